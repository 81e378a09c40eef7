//! The call taken apart, who calls, what they may and how much of it, and how a refusal is worded.

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{Account, State};
use crate::simulator::reply;

/// Beyond the largest upload.
const BODY_LIMIT: usize = 64 << 20;

/// A call to an API.
pub struct Call {
    pub method: Method,
    /// Below the API's root, decoded.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub async fn read(request: Request, root: &str) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, BODY_LIMIT)
            .await
            .map_err(|_| Failure::new(413, "uploadTooLarge", "Request is too large."))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let below = parts.uri.path().strip_prefix(root).unwrap_or_default();
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            method: parts.method,
            path: below.split('/').map(decoded).collect(),
            query: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            headers: parts.headers,
            body,
        })
    }

    pub fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub fn all<'c>(&'c self, name: &str) -> impl Iterator<Item = &'c str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// What a parameter that is a yes or a no says.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.one(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Failure::parameter(
                name,
                "invalidParameter",
                &format!("Invalid boolean value: '{other}'."),
            )),
        }
    }

    /// A page's size.
    pub fn size(&self, default: usize, most: usize) -> Result<usize, Failure> {
        let Some(text) = self.one("maxResults") else {
            return Ok(default);
        };
        match text.parse::<usize>() {
            Ok(0) | Err(_) => Err(Failure::parameter(
                "maxResults",
                "invalidParameter",
                &format!("Invalid value '{text}'. Values must be within the range: [1, {most}]"),
            )),
            Ok(size) => Ok(size.min(most)),
        }
    }

    /// The body; an absent one is an empty object.
    pub fn json(&self) -> Result<Value, Failure> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        match serde_json::from_slice(&self.body) {
            Ok(value @ Value::Object(_)) => Ok(value),
            _ => Err(Failure::new(400, "parseError", "Parse Error")),
        }
    }
}

/// A refusal.
#[derive(Debug)]
pub struct Failure {
    status: u16,
    error: Value,
    challenge: Option<String>,
}

impl Failure {
    pub fn new(status: u16, reason: &str, message: &str) -> Self {
        let name = match status {
            400 | 413 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ALREADY_EXISTS",
            429 => "RESOURCE_EXHAUSTED",
            _ => "FAILED_PRECONDITION",
        };
        let domain = if reason.ends_with("Exceeded") {
            "usageLimits"
        } else {
            "global"
        };
        Self {
            status,
            error: json!({
                "code": status, "message": message, "status": name,
                "errors": [{"message": message, "domain": domain, "reason": reason}],
            }),
            challenge: None,
        }
    }

    /// About a parameter.
    pub fn parameter(name: &str, reason: &str, message: &str) -> Self {
        let mut failure = Self::new(400, reason, message);
        failure.error["errors"][0]["locationType"] = json!("parameter");
        failure.error["errors"][0]["location"] = json!(name);
        failure
    }

    pub fn not_found() -> Self {
        Self::new(404, "notFound", "Requested entity was not found.")
    }

    /// Calendar words its errors without the name of the status.
    pub fn of_calendar(mut self) -> Self {
        if self.status != 401
            && self.challenge.is_none()
            && let Some(error) = self.error.as_object_mut()
        {
            error.remove("status");
        }
        self
    }

    pub fn at(mut self, status: u16, domain: &str) -> Self {
        self.status = status;
        self.error["code"] = json!(status);
        self.error["errors"][0]["domain"] = json!(domain);
        self
    }

    pub fn respond(self) -> Response {
        let mut response = reply(self.status, json!({"error": self.error}));
        if let Some(challenge) = self
            .challenge
            .and_then(|text| HeaderValue::from_str(&text).ok())
        {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A reply; `null` is an empty one.
pub fn respond(call: &Call, result: Result<Value, Failure>) -> Response {
    match result {
        Ok(Value::Null) => StatusCode::NO_CONTENT.into_response(),
        Ok(mut value) => {
            if let Some(fields) = call.one("fields")
                && fields != "*"
            {
                value = partial(value, fields);
            }
            reply(200, value)
        }
        Err(failure) => failure.respond(),
    }
}

/// The fields of a partial reply: `a,b/c,d(e,f)`.
fn partial(value: Value, fields: &str) -> Value {
    match value {
        Value::Array(items) => items
            .into_iter()
            .map(|item| partial(item, fields))
            .collect(),
        Value::Object(mut object) => {
            let mut kept = Map::new();
            for field in split(fields) {
                let end = field.find(['/', '(']).unwrap_or(field.len());
                let (name, rest) = field.split_at(end);
                let below = rest
                    .strip_prefix('/')
                    .or_else(|| rest.strip_prefix('(')?.strip_suffix(')'))
                    .unwrap_or_default();
                if let Some(inner) = object.remove(name) {
                    let inner = if below.is_empty() || below == "*" {
                        inner
                    } else {
                        partial(inner, below)
                    };
                    kept.insert(name.to_owned(), inner);
                }
            }
            Value::Object(kept)
        }
        other => other,
    }
}

/// At the commas outside of parentheses.
fn split(fields: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0_i32, 0, Vec::new());
    for (place, letter) in fields.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&fields[from..place]);
                from = place + 1;
            }
            _ => {}
        }
    }
    found.push(&fields[from..]);
    found
}

/// Who calls.
pub struct Caller {
    pub email: String,
    scopes: Vec<String>,
}

impl Caller {
    pub fn has(&self, scope: &str) -> bool {
        let long = full(scope);
        self.scopes.contains(&long)
    }
}

fn full(scope: &str) -> String {
    if scope.starts_with("https://") {
        scope.to_owned()
    } else {
        format!("https://www.googleapis.com/auth/{scope}")
    }
}

/// The caller, when one of these scopes is granted.
pub fn check(state: &State, call: &Call, wanted: &[&str]) -> Result<Caller, Failure> {
    let header = call
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let invalid = || {
        let mut failure = Failure::new(401, "authError", "Invalid Credentials");
        failure.error["errors"][0]["locationType"] = json!("header");
        failure.error["errors"][0]["location"] = json!("Authorization");
        failure
    };
    let token = match header {
        Some(value) => value.strip_prefix("Bearer ").ok_or_else(invalid)?,
        None => call.one("access_token").ok_or_else(|| {
            let mut failure = invalid();
            failure.error["errors"][0]["reason"] = json!("required");
            failure.error["errors"][0]["message"] = json!("Login Required.");
            failure.error["message"] = json!("Login Required.");
            failure
        })?,
    };
    let access = state.access.get(token.trim()).ok_or_else(invalid)?;
    if access.expires_at <= state.now() || !state.accounts.contains_key(&access.email) {
        return Err(invalid());
    }
    let caller = Caller {
        email: access.email.clone(),
        scopes: access.scopes.clone(),
    };
    if wanted.iter().any(|scope| caller.has(scope)) {
        return Ok(caller);
    }
    let mut failure = Failure::new(
        403,
        "insufficientPermissions",
        "Request had insufficient authentication scopes.",
    );
    failure.error["errors"][0]["message"] = json!("Insufficient Permission");
    failure.error["details"] = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "domain": "googleapis.com",
    }]);
    let scopes: Vec<String> = wanted.iter().map(|scope| full(scope)).collect();
    failure.challenge = Some(format!(
        "Bearer realm=\"https://accounts.google.com/\", error=\"insufficient_scope\", scope=\"{}\"",
        scopes.join(" ")
    ));
    Err(failure)
}

/// What an account has used in the present minute.
#[derive(Default)]
pub struct Spent {
    minute: Option<DateTime<Utc>>,
    units: u32,
    refusals: u32,
}

/// Counts units; refuses beyond the minute's limit, by turns with either status.
pub fn spend(
    account: &mut Account,
    now: DateTime<Utc>,
    units: u32,
    limit: u32,
) -> Result<(), Failure> {
    let spent = &mut account.spent;
    if spent
        .minute
        .is_none_or(|begun| now - begun >= TimeDelta::minutes(1))
    {
        spent.minute = Some(now);
        spent.units = 0;
    }
    if spent.units + units > limit {
        spent.refusals += 1;
        return Err(if spent.refusals % 2 == 1 {
            Failure::new(403, "userRateLimitExceeded", "User Rate Limit Exceeded")
        } else {
            Failure::new(429, "rateLimitExceeded", "Rate Limit Exceeded")
        });
    }
    spent.units += units;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_reply_holds_the_fields_asked_for() {
        let whole = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [{"f": 4, "g": 5}], "h": 6});
        assert_eq!(
            partial(whole, "a,b/c,e(f)"),
            json!({"a": 1, "b": {"c": 2}, "e": [{"f": 4}]})
        );
    }
}
