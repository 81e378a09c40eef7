//! How Google words its refusals.
//!
//! The same trouble comes with different statuses (a quota as 403 and as 429), so the reason goes
//! before the status. A body may be anything, HTML included.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;

use crate::providers::{Error, Kind, http};

/// The project's day is used up.
const DAY: Duration = Duration::from_secs(3600);
/// The limit of sent mails, where Google doesn't say until when.
const SENDING: Duration = Duration::from_secs(3600);

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Inner,
}

#[derive(Default, Deserialize)]
struct Inner {
    #[serde(default)]
    errors: Vec<Item>,
    #[serde(default)]
    details: Vec<Detail>,
    #[serde(default)]
    message: String,
}

#[derive(Default, Deserialize)]
struct Item {
    #[serde(default)]
    reason: String,
}

#[derive(Default, Deserialize)]
struct Detail {
    #[serde(default)]
    reason: String,
}

/// What a refusal means.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let reason = body
        .error
        .errors
        .first()
        .map_or("", |item| item.reason.as_str());
    let asked = http::retry_after(headers);
    let limited = |default: u64| Kind::RateLimited {
        retry_after: Some(asked.unwrap_or(Duration::from_secs(default))),
    };
    let kind = match (status.as_u16(), reason) {
        (403, "dailyLimitExceeded") => Kind::RateLimited {
            retry_after: Some(asked.unwrap_or(DAY)),
        },
        (403 | 429, _) if body.error.message.contains("Retry after") => Kind::RateLimited {
            retry_after: Some(sending_again(headers, &body.error.message).unwrap_or(SENDING)),
        },
        (429, _) | (403, "rateLimitExceeded" | "userRateLimitExceeded" | "quotaExceeded") => {
            limited(1)
        }
        (403, "domainPolicy") => Kind::Unauthorized,
        (403, _) if lacks_scope(headers, reason, &body.error.details) => Kind::ScopeMissing,
        _ => http::kind_of(status, asked),
    };
    // The reason is one of Google's own words; the message may repeat ours.
    let is_word = !reason.is_empty()
        && reason.len() <= 64
        && reason.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let words = if is_word {
        format!("status {} ({reason})", status.as_u16())
    } else {
        format!("status {}", status.as_u16())
    };
    Error::new(kind, words)
}

fn lacks_scope(headers: &HeaderMap, reason: &str, details: &[Detail]) -> bool {
    reason == "insufficientPermissions"
        || details
            .iter()
            .any(|detail| detail.reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
        || headers
            .get(WWW_AUTHENTICATE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.contains("insufficient_scope"))
}

/// "User-rate limit exceeded. Retry after 2026-01-01T00:00:00.000Z".
fn sending_again(headers: &HeaderMap, message: &str) -> Option<Duration> {
    let (_, text) = message.split_once("Retry after ")?;
    let at = text.split_whitespace().next()?.trim_end_matches(['.', ')']);
    let at: DateTime<Utc> = DateTime::parse_from_rfc3339(at).ok()?.into();
    let now = headers
        .get(reqwest::header::DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
        .unwrap_or_else(SystemTime::now);
    Some(
        SystemTime::from(at)
            .duration_since(now)
            .unwrap_or(Duration::from_secs(1)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> Kind {
        let status = StatusCode::from_u16(status).unwrap();
        read(status, &HeaderMap::new(), body.as_bytes()).kind
    }

    #[test]
    fn the_reason_goes_before_the_status() {
        let with = |reason: &str| format!(r#"{{"error":{{"errors":[{{"reason":"{reason}"}}]}}}}"#);
        let soon = Kind::RateLimited {
            retry_after: Some(Duration::from_secs(1)),
        };
        assert_eq!(kind(403, &with("userRateLimitExceeded")), soon);
        assert_eq!(kind(429, "<html>"), soon);
        assert_eq!(
            kind(403, &with("insufficientPermissions")),
            Kind::ScopeMissing
        );
        assert_eq!(kind(403, &with("forbidden")), Kind::Forbidden);
        assert_eq!(kind(403, &with("domainPolicy")), Kind::Unauthorized);
        assert_eq!(kind(401, &with("authError")), Kind::Unauthorized);
        assert_eq!(kind(410, "{}"), Kind::Gone);
        assert_eq!(kind(412, "[]"), Kind::Conflict);
        assert_eq!(kind(503, "\u{fffd}"), Kind::Unavailable);
        assert_eq!(kind(400, &with("invalidArgument")), Kind::Invalid);
    }

    #[test]
    fn googles_words_never_carry_ours() {
        let body =
            r#"{"error":{"message":"Ann's secret","errors":[{"reason":"a secret of Ann's"}]}}"#;
        let error = read(StatusCode::BAD_REQUEST, &HeaderMap::new(), body.as_bytes());
        assert_eq!(error.to_string(), "invalid: status 400");
    }

    #[test]
    fn the_sending_limit_says_until_when() {
        let mut headers = HeaderMap::new();
        headers.insert("date", "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap());
        let body = r#"{"error":{"message":"User-rate limit exceeded.  Retry after 2026-01-01T00:10:00.000Z"}}"#;
        let error = read(StatusCode::TOO_MANY_REQUESTS, &headers, body.as_bytes());
        let retry_after = Some(Duration::from_secs(600));
        assert_eq!(error.kind, Kind::RateLimited { retry_after });
    }
}
