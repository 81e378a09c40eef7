//! The one error type of all routes: RFC 9457.
//!
//! A [`Problem`] travels as a response extension; `middleware::edge` writes its body, because only
//! there the request id is known, and logs its cause, once. What a client sees never holds the cause.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// What went wrong, for the client and (in `cause`) for the log.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    title: Cow<'static, str>,
    detail: Option<String>,
    errors: Vec<FieldError>,
    retry_after_secs: Option<u64>,
    budget_resets_at: Option<DateTime<Utc>>,
    close: bool,
    cause: Option<anyhow::Error>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, Serialize, PartialEq, Eq, utoipa::ToSchema)]
pub struct FieldError {
    /// Path of the field, such as `name` or `items[2].kind`.
    pub field: String,
    pub message: String,
}

/// The body of every error, `application/problem+json`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: String,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub request_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Of a 429 because the day's tokens are used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_resets_at: Option<DateTime<Utc>>,
}

impl Problem {
    pub fn new(status: StatusCode, title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            title: title.into(),
            detail: None,
            errors: Vec::new(),
            retry_after_secs: None,
            budget_resets_at: None,
            close: false,
            cause: None,
        }
    }

    pub fn malformed(title: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, title)
    }

    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not signed in")
    }

    pub fn forbidden(title: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, title)
    }

    /// Absent, or another user's: the two are the same answer.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found")
    }

    pub fn conflict(title: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, title)
    }

    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid request");
        problem.errors.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
        problem
    }

    pub fn unsupported_media_type(expected: &'static str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type")
            .detail(format!("send the body as {expected}"))
    }

    /// The connection is closed too: the rest of the body is not worth reading.
    pub fn too_large(limit: u64) -> Self {
        let mut problem = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large")
            .detail(format!("the limit is {limit} bytes"));
        problem.close = true;
        problem
    }

    /// Something we need is away or full; worth trying again.
    pub fn unavailable(title: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, title);
        problem.retry_after_secs = Some(2);
        problem
    }

    /// Too often, or too much at once.
    pub fn too_many(title: impl Into<Cow<'static, str>>, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, title)
            .detail("come back when Retry-After says")
            .retry_after(wait)
    }

    /// The user's tokens of the day are used up.
    pub fn over_budget(now: DateTime<Utc>, resets_at: DateTime<Utc>) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "the day's tokens are used up",
        )
        .detail(format!(
            "the budget begins anew at {}",
            resets_at.to_rfc3339()
        ));
        let pause = (resets_at - now).num_seconds().max(1);
        problem.retry_after_secs = u64::try_from(pause).ok();
        problem.budget_resets_at = Some(resets_at);
        problem
    }

    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error").caused_by(cause)
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// When it is worth coming back: whole seconds, one at least.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let begun = u64::from(wait.subsec_nanos() > 0);
        self.retry_after_secs = Some((wait.as_secs() + begun).max(1));
        self
    }

    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The chain of causes on one line, for the log alone.
    pub fn cause(&self) -> Option<String> {
        self.cause.as_ref().map(|cause| format!("{cause:#}"))
    }

    /// What the client gets to see.
    pub fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            kind: "about:blank",
            title: self.title.clone().into_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
            budget_resets_at: self.budget_resets_at,
        }
    }
}

/// How a [`Problem`] reaches the edge: extensions must be `Clone`.
#[derive(Clone)]
pub(super) struct Carried(pub(super) std::sync::Arc<Problem>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after_secs {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.close {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
            .extensions_mut()
            .insert(Carried(std::sync::Arc::new(self)));
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // Capacity or reachability: the caller may try again, and it isn't our bug.
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
                Self::unavailable("the database is not available").caused_by(error)
            }
            // 57014: the statement ran into its timeout; 57P01..03: the server is going or coming.
            sqlx::Error::Database(ref inner)
                if inner.code().is_some_and(|code| code.starts_with("57")) =>
            {
                Self::unavailable("the database is not available").caused_by(error)
            }
            other => Self::internal(other),
        }
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<sqlx::Error>() {
            Ok(database) => Self::from(database),
            Err(other) => Self::internal(other),
        }
    }
}
