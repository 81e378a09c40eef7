//! Batches: many calls in one `multipart/mixed` body, each run as if it had come alone.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tower::ServiceExt as _;

use super::access::Failure;
use super::{calendar, gmail};
use crate::simulator::World;

const BODY_LIMIT: usize = 16 << 20;

pub fn router() -> Router<World> {
    Router::new()
        .route(
            "/batch",
            post(async |world, request| run(world, request, 50).await),
        )
        .route(
            "/batch/gmail/v1",
            post(async |world, request| run(world, request, 100).await),
        )
        .route(
            "/batch/calendar/v3",
            post(async |world, request| run(world, request, 50).await),
        )
}

async fn run(State(world): State<World>, request: Request, most: usize) -> Response {
    let (outer, body) = request.into_parts();
    let content_type = outer
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let boundary = content_type
        .split(';')
        .filter_map(|field| field.trim().strip_prefix("boundary="))
        .map(|value| value.trim_matches('"').to_owned())
        .next();
    let invalid = |words: &str| Failure::new(400, "badRequest", words).respond();
    let Some(boundary) = boundary else {
        return invalid("Missing boundary in multipart content");
    };
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return invalid("The batch is too large");
    };
    let text = String::from_utf8_lossy(&body).replace("\r\n", "\n");
    let parts: Vec<&str> = text
        .split(&format!("--{boundary}"))
        .skip(1)
        .take_while(|part| !part.starts_with("--"))
        .collect();
    if parts.is_empty() || parts.len() > most {
        return invalid(&format!("The batch must hold between 1 and {most} calls"));
    }
    let switches = world.google().switches();
    let calls = gmail::router()
        .merge(calendar::router())
        .with_state(world.clone());
    let mut replies = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let Some(inner) = inner(part, &outer) else {
            return invalid("Failed to parse a part of the batch");
        };
        let refused = u32::try_from(place).unwrap_or(u32::MAX) < switches.refuse_in_batches;
        let response = if refused {
            Failure::new(
                429,
                "rateLimitExceeded",
                "Too many concurrent requests for user",
            )
            .respond()
        } else {
            let Ok(response) = calls.clone().oneshot(inner.request).await;
            response
        };
        replies.push(written(&inner.id, response).await);
    }
    if switches.shuffle_batches {
        replies.reverse();
    }
    let mut whole = String::new();
    for reply in replies {
        let _ = write!(whole, "--batch_simulated\r\n{reply}\r\n");
    }
    whole.push_str("--batch_simulated--\r\n");
    (
        [(
            header::CONTENT_TYPE,
            "multipart/mixed; boundary=batch_simulated",
        )],
        whole,
    )
        .into_response()
}

struct Inner {
    id: String,
    request: Request,
}

/// The call in a part.
fn inner(part: &str, outer: &axum::http::request::Parts) -> Option<Inner> {
    let (head, call) = part.trim_start_matches('\n').split_once("\n\n")?;
    let id = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-id")
            .then(|| value.trim().trim_matches(['<', '>']).to_owned())
    });
    let (head, body) = call.split_once("\n\n").unwrap_or((call, ""));
    let mut lines = head.trim_start().lines();
    let mut first = lines.next()?.split_whitespace();
    let method: Method = first.next()?.parse().ok()?;
    let target = first.next()?;
    // A whole address is fine too: only its path counts.
    let target = match target.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => target,
    };
    let mut request = Request::builder().method(method).uri(target);
    let mut authorized = false;
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            let name = name.trim();
            authorized |= name.eq_ignore_ascii_case("authorization");
            if !name.eq_ignore_ascii_case("content-length") {
                request = request.header(name, value.trim());
            }
        }
    }
    if !authorized && let Some(token) = outer.headers.get(header::AUTHORIZATION) {
        request = request.header(header::AUTHORIZATION, token);
    }
    Some(Inner {
        id: id.unwrap_or_default(),
        request: request
            .body(Body::from(body.trim_end_matches('\n').to_owned()))
            .ok()?,
    })
}

async fn written(id: &str, response: Response) -> String {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let mut text = String::from("Content-Type: application/http\r\n");
    if !id.is_empty() {
        let _ = write!(text, "Content-ID: <response-{id}>\r\n");
    }
    let _ = write!(text, "\r\nHTTP/1.1 {}\r\n", parts.status);
    for (name, value) in &parts.headers {
        if let Ok(value) = value.to_str() {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    let _ = write!(
        text,
        "Content-Length: {}\r\n\r\n{}",
        body.len(),
        String::from_utf8_lossy(&body)
    );
    text
}
