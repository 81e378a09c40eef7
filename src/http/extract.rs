//! Extractors that reject as [`Problem`], so that no plain-text error slips out.

use axum::RequestExt as _;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Problem;
use super::screen::screen;
use crate::db::UserScope;
use crate::telemetry::Metrics;

/// Largest JSON body, in bytes.
pub const JSON_LIMIT: usize = 1 << 20;

/// A JSON body, in or out.
#[derive(Debug)]
pub struct Json<T>(pub T);

fn is_json(request: &Request) -> bool {
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim());
    media_type.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            return Err(Problem::unsupported_media_type("application/json"));
        }
        let metrics = request.extensions().get::<Metrics>().cloned();
        let body = body_within(request, JSON_LIMIT).await?;
        parse_json(&body, metrics.as_ref()).map(Self)
    }
}

/// Where a body may be left out, an empty one is none, whatever its type; so is `null`.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Problem> {
        let is_json = is_json(&request);
        let metrics = request.extensions().get::<Metrics>().cloned();
        let body = body_within(request, JSON_LIMIT).await?;
        if body.is_empty() {
            return Ok(None);
        }
        if !is_json {
            return Err(Problem::unsupported_media_type("application/json"));
        }
        parse_json::<Option<T>>(&body, metrics.as_ref()).map(|value| value.map(Self))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The whole body, if it is no longer than `limit` bytes.
pub async fn body_within(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::too_large(limit as u64);
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match Limited::new(request.into_limited_body(), limit)
        .collect()
        .await
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::malformed("the body did not arrive whole")),
    }
}

/// JSON of a shape, or what is wrong with it: 400 or 422.
pub fn parse_json<T: DeserializeOwned>(
    body: &[u8],
    metrics: Option<&Metrics>,
) -> Result<T, Problem> {
    // Two steps, because they fail differently: text that is no JSON is malformed (400), JSON of
    // another shape is invalid (422) and can say which field.
    let value: serde_json::Value = serde_json::from_slice(body).map_err(|error| {
        Problem::malformed("malformed JSON").detail(format!(
            "line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    let mut path = Vec::new();
    if holds_nul(&value, &mut path) {
        return Err(Problem::invalid(
            path.join("."),
            "must not hold a NUL character",
        ));
    }
    screen_strings(&value, metrics);
    serde_path_to_error::deserialize(value)
        .map_err(|error| Problem::invalid(error.path().to_string(), wanted(error.inner())))
}

/// What serde says without the value that it quotes: errors are kept and passed on by others, and what was
/// sent is the sender's.
fn wanted(error: &impl std::fmt::Display) -> String {
    let words = error.to_string();
    match words.rsplit_once(", expected ") {
        Some((met, expected)) => {
            let kind = met.split(['`', '"']).next().unwrap_or_default();
            format!("{}, expected {expected}", kind.trim_end())
        }
        None => words,
    }
}

/// Postgres can't store NUL in text; refusing it here spares every column its own check.
fn holds_nul(value: &serde_json::Value, path: &mut Vec<String>) -> bool {
    use serde_json::Value;
    let mut enter = |step: String, inner: &Value| {
        path.push(step);
        let found = holds_nul(inner, path);
        if !found {
            path.pop();
        }
        found
    };
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .any(|(index, item)| enter(index.to_string(), item)),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, item)| name.contains('\0') || enter(name.clone(), item)),
        _ => false,
    }
}

/// Counts what looks like an injection, in values; names are nobody's text.
fn screen_strings(value: &serde_json::Value, metrics: Option<&Metrics>) {
    use serde_json::Value;
    match value {
        Value::String(text) => screen(metrics, text),
        Value::Array(items) => items.iter().for_each(|item| screen_strings(item, metrics)),
        Value::Object(fields) => fields
            .values()
            .for_each(|field| screen_strings(field, metrics)),
        _ => {}
    }
}

/// Path parameters; one that doesn't parse names nothing, which is a 404.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[expect(clippy::disallowed_types, reason = "the one use of axum's Path")]
        let path = axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found())?;
        Ok(Self(path.0))
    }
}

/// Query parameters.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if query.contains("%00") {
            return Err(Problem::invalid("query", "must not hold a NUL character"));
        }
        let metrics = parts.extensions.get::<Metrics>();
        for (_, value) in url::form_urlencoded::parse(query.as_bytes()) {
            screen(metrics, &value);
        }
        serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(
            url::form_urlencoded::parse(query.as_bytes()),
        ))
        .map(Self)
        .map_err(|error| Problem::invalid(error.path().to_string(), wanted(error.inner())))
    }
}

/// Who asks. `identity`'s middleware puts the scope into the request; without one it is a 401.
#[derive(Clone, Debug)]
pub struct CurrentUser(pub UserScope);

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<UserScope>()
            .copied()
            .map(Self)
            .ok_or_else(Problem::unauthenticated)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[expect(dead_code, reason = "only its parsing is under test")]
        name: String,
    }

    fn status(body: &[u8]) -> u16 {
        parse_json::<Body>(body, None)
            .unwrap_err()
            .status()
            .as_u16()
    }

    #[test]
    fn malformed_and_invalid_differ() {
        assert!(parse_json::<Body>(br#"{"name": "O'Brien", "more": 1}"#, None).is_ok());
        assert_eq!(status(b"{"), 400);
        assert_eq!(status(b"\xff"), 400);
        assert_eq!(status(br#"{"name": "\ud800"}"#), 400);
        assert_eq!(status("[".repeat(200).as_bytes()), 400);
        assert_eq!(status(br#"{"name": 1}"#), 422);
        assert_eq!(status(b"{}"), 422);
    }

    #[test]
    fn what_was_sent_is_not_said_back() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Kind {
            Mail,
            Note,
        }
        #[derive(Debug, Deserialize)]
        struct Odd {
            #[expect(dead_code, reason = "only its parsing is under test")]
            kind: Kind,
            #[serde(default)]
            #[expect(dead_code, reason = "only its parsing is under test")]
            count: u8,
        }
        let told = |body: &[u8]| {
            let problem = parse_json::<Odd>(body, None).unwrap_err();
            problem.body("r").errors[0].message.clone()
        };
        assert_eq!(
            told(br#"{"kind": "of, expected nobody"}"#),
            "unknown variant, expected `mail` or `note`"
        );
        assert_eq!(
            told(br#"{"kind": "mail", "count": "thirty"}"#),
            "invalid type: string, expected u8"
        );
    }

    #[test]
    fn a_nul_is_refused_with_its_place() {
        let problem =
            parse_json::<Body>(br#"{"name": "a", "list": ["x", "a\u0000b"]}"#, None).unwrap_err();
        assert_eq!(problem.body("r").errors[0].field, "list.1");
    }
}
