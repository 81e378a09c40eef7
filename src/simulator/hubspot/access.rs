//! Tokens, and the forms of HubSpot's error replies.

use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{State, reply};

const ACCESS_LIFE: TimeDelta = TimeDelta::seconds(1800);
/// Real tokens grow with each release; a client that keeps them in a narrow column must fail here.
const ACCESS_LENGTH: usize = 460;

/// What a user allowed.
#[derive(Clone)]
pub(super) struct Grant {
    pub portal: u64,
    pub user: u64,
    pub scopes: Vec<String>,
}

pub(super) struct Access {
    pub grant: Grant,
    pub expires_at: DateTime<Utc>,
    /// Expired on demand, before its time.
    pub cut_short: bool,
}

impl Access {
    /// Seconds that are left; none when it has expired.
    pub fn left(&self, now: DateTime<Utc>) -> Option<i64> {
        (!self.cut_short && self.expires_at > now).then(|| (self.expires_at - now).num_seconds())
    }
}

impl State {
    /// A new access token and its life in seconds.
    pub fn open_access(&mut self, grant: &Grant, now: DateTime<Utc>) -> (String, i64) {
        let mut token = format!("CP{}sim", self.next());
        while token.len() < ACCESS_LENGTH {
            token.push_str(&crate::ids::token());
        }
        self.access.insert(
            token.clone(),
            Access {
                grant: grant.clone(),
                expires_at: now + ACCESS_LIFE,
                cut_short: false,
            },
        );
        (token, ACCESS_LIFE.num_seconds())
    }

    pub fn open_refresh(&mut self, grant: &Grant) -> String {
        let token = format!("na1-sim-{}-{}", self.next(), crate::ids::token());
        self.refresh.insert(token.clone(), grant.clone());
        token
    }
}

/// An error of the token endpoints: the older style and RFC 6749's in one body.
pub(super) fn oauth_error(http: u16, status: &str, error: &str, words: &str) -> Response {
    reply(
        http,
        json!({
            "status": status, "message": words, "correlationId": crate::ids::next(),
            "error": error, "error_description": words,
        }),
    )
}

/// An error reply of the CRM; `more` is laid over it.
pub(super) fn error(status: u16, category: &str, message: &str, more: &Value) -> Response {
    let mut body = json!({
        "status": "error", "message": message, "correlationId": crate::ids::next(),
        "category": category,
    });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    reply(status, body)
}

/// What a call meets on demand. A reason of the token endpoints gets their form, the name of a
/// rate-limit policy that of limits; others are a `category`.
pub(super) fn refusal(status: u16, reason: Option<&str>) -> Response {
    match (status, reason) {
        (_, Some("invalid_grant" | "BAD_REFRESH_TOKEN")) => {
            let words = "missing or invalid refresh token";
            oauth_error(status, "BAD_REFRESH_TOKEN", "invalid_grant", words)
        }
        (_, Some("invalid_client" | "BAD_CLIENT_ID")) => oauth_error(
            status,
            "BAD_CLIENT_ID",
            "invalid_client",
            "missing or invalid client id",
        ),
        (_, Some(reason)) if reason.ends_with("_AUTH_CODE") => oauth_error(
            status,
            reason,
            "invalid_grant",
            "missing or invalid auth code",
        ),
        (429, policy) => limited(policy.unwrap_or("TEN_SECONDLY_ROLLING")),
        (401, reason) => error(
            401,
            reason.unwrap_or("INVALID_AUTHENTICATION"),
            "Authentication credentials not found. This API supports OAuth 2.0 authentication.",
            &json!({}),
        ),
        (403, None | Some("MISSING_SCOPES")) => missing_scopes("crm.objects.contacts.read"),
        (404, None) => reply(
            404,
            json!({"status": "error", "message": "resource not found",
                   "correlationId": crate::ids::next()}),
        ),
        (423, None) => error(423, "LOCKED", "The record is locked", &json!({})),
        (477, None) => error(
            477,
            "MIGRATION_IN_PROGRESS",
            "Account is being moved",
            &json!({}),
        ),
        (409, None) => error(409, "CONFLICT", "Conflict", &json!({})),
        (400, None) => error(400, "VALIDATION_ERROR", "Invalid input", &json!({})),
        (500.., None) => error(status, "INTERNAL_ERROR", "internal error", &json!({})),
        (_, reason) => {
            let reason = reason.unwrap_or("ERROR");
            error(status, reason, "The request was refused", &json!({}))
        }
    }
}

/// The token is fine, but wasn't granted this.
pub(super) fn missing_scopes(scope: &str) -> Response {
    let message = "This app hasn't been granted all required scopes to make this call. \
                   Read more about required scopes here: https://developers.hubspot.com/scopes.";
    error(
        403,
        "MISSING_SCOPES",
        message,
        &json!({
            "errors": [{"message": "One or more of the following scopes are required.",
                        "context": {"requiredGranularScopes": [scope]}}],
            "links": {"scopes": "https://developers.hubspot.com/scopes"},
        }),
    )
}

/// Too many calls by this policy.
pub(super) fn limited(policy: &str) -> Response {
    let words = policy.to_lowercase();
    reply(
        429,
        json!({
            "status": "error", "message": format!("You have reached your {words} limit."),
            "errorType": "RATE_LIMIT", "correlationId": crate::ids::next(),
            "policyName": policy, "requestId": crate::ids::next(),
        }),
    )
}
