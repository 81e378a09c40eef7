//! How HubSpot words its refusals. Every field may be missing, and a body may be HTML.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::providers::{Error, Kind, http};

/// A locked record is free again after two.
const LOCKED: Duration = Duration::from_secs(3);
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    category: String,
    #[serde(default, rename = "policyName")]
    policy: String,
    #[serde(default)]
    errors: Vec<Item>,
}

#[derive(Default, Deserialize)]
struct Item {
    #[serde(default)]
    code: String,
}

/// What a refusal means.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let asked = http::retry_after(headers);
    let limited = |default: Duration| Kind::RateLimited {
        retry_after: Some(asked.unwrap_or(default)),
    };
    let kind = match status.as_u16() {
        403 if body.category == "MISSING_SCOPES" => Kind::ScopeMissing,
        423 => limited(LOCKED),
        // Which limit it was says how long: the header isn't promised.
        429 if body.policy.contains("DAILY") => limited(HOUR),
        429 if body.policy == "SECONDLY" => limited(Duration::from_secs(1)),
        429 => limited(Duration::from_secs(10)),
        // The account is being moved to another data centre.
        477 => limited(HOUR),
        _ => http::kind_of(status, asked),
    };
    let code = body.errors.first().map_or("", |item| item.code.as_str());
    let words: Vec<&str> = [body.category.as_str(), code]
        .into_iter()
        .filter(|word| is_word(word))
        .collect();
    let status = status.as_u16();
    Error::new(
        kind,
        if words.is_empty() {
            format!("status {status}")
        } else {
            format!("status {status} ({})", words.join(", "))
        },
    )
}

/// One of HubSpot's own names: its messages may repeat what we sent.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        read(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn the_policy_says_how_long() {
        let wait =
            |policy: &str| match read_as(429, &format!(r#"{{"policyName":"{policy}"}}"#)).kind {
                Kind::RateLimited { retry_after } => retry_after.unwrap().as_secs(),
                other => panic!("{other:?}"),
            };
        assert_eq!(wait("SECONDLY"), 1);
        assert_eq!(wait("TEN_SECONDLY_ROLLING"), 10);
        assert_eq!(wait("DAILY"), 3600);
    }

    #[test]
    fn a_missing_scope_is_no_dead_token() {
        let error = read_as(403, r#"{"category":"MISSING_SCOPES"}"#);
        assert_eq!(error.kind, Kind::ScopeMissing);
        assert_eq!(read_as(403, "<html>").kind, Kind::Forbidden);
        assert_eq!(read_as(401, "{}").kind, Kind::Unauthorized);
        assert_eq!(read_as(521, "").kind, Kind::Unavailable);
    }

    #[test]
    fn their_words_never_carry_ours() {
        let body = r#"{"category":"VALIDATION_ERROR","message":"Ann","errors":[{"code":"INVALID_EMAIL","message":"ann@x"}]}"#;
        let said = read_as(400, body).to_string();
        assert_eq!(
            said,
            "invalid: status 400 (VALIDATION_ERROR, INVALID_EMAIL)"
        );
    }
}
