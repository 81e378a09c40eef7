//! What happens to every request and reply, outermost first: [`edge`] (request id, log line,
//! metrics, the body of problems), [`security_headers`], panics, timeouts.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use super::Problem;
use super::problem::Carried;
use crate::failpoint::FailPoints;
use crate::ids;
use crate::telemetry::{Metrics, UNMATCHED, spans};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id that ties together a request, its log lines and the tasks that it causes.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// The client's, when it is a sane token of at most 128 visible ASCII characters; else a new one.
    fn of(request: &Request) -> Self {
        let given = request
            .headers()
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|text| (1..=128).contains(&text.len()))
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        Self(given.map_or_else(|| ids::next().to_string().into(), Into::into))
    }
}

/// Request id in and out, one log line and one measurement, and the bodies of all problems.
pub async fn edge(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(&request);
    let method = method_label(request.method());
    request.extensions_mut().insert(id.clone());
    // For extractors, which know no state.
    request.extensions_mut().insert(metrics.clone());
    let span = spans::request(&id.0);
    let in_progress = metrics.http_in_progress();
    let response = next.run(request).instrument(span.clone()).await;
    drop(in_progress);

    let route = response
        .extensions()
        .get::<Route>()
        .map_or_else(|| UNMATCHED.to_owned(), |route| route.0.as_str().to_owned());
    let response = finish(response, &id, &span);
    let status = response.status();
    let elapsed = started.elapsed();
    metrics.http_request(method, &route, status.as_u16(), elapsed);
    span.in_scope(|| {
        tracing::info!(
            method,
            route,
            status = status.as_u16(),
            elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "{method} {route} answered {}",
            status.as_u16()
        );
    });
    spans::answered(&span, method, &route, status.as_u16());
    response
}

fn finish(response: Response, id: &RequestId, span: &tracing::Span) -> Response {
    let (mut parts, mut body) = response.into_parts();
    if let Some(Carried(problem)) = parts.extensions.remove::<Carried>() {
        if let Some(cause) = problem.cause() {
            span.in_scope(|| {
                if problem.status().as_u16() == 500 {
                    tracing::error!(cause, "a request failed");
                } else {
                    tracing::warn!(cause, "a request could not be served");
                }
            });
        }
        let text = serde_json::to_vec(&problem.body(&id.0)).unwrap_or_default();
        body = Body::from(text);
        parts.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        parts.headers.insert(X_REQUEST_ID, value);
    }
    Response::from_parts(parts, body)
}

/// Labels come from closed sets, so that a stranger can't grow the metrics.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[derive(Clone)]
struct Route(MatchedPath);

/// Hands the route's template out to [`edge`], which stands outside of the routing.
pub async fn remember_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(Route(route));
    }
    response
}

/// Headers of an API reply; a route that serves pages sets its own policy and keeps it.
pub async fn security_headers(State(https): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if https {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=63072000; includeSubDomains"),
        );
    }
    response
}

/// A reply that doesn't begin within `limit` is a 503; streams begin at once.
pub async fn timeout(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| Problem::unavailable("this took too long").into_response())
}

/// What a panic in a handler becomes. Its text may hold anything, so it goes to the panic hook's log alone.
pub fn on_panic(metrics: &Metrics, _: &(dyn Any + Send)) -> Response {
    metrics.panic();
    Problem::internal(anyhow::anyhow!("a handler panicked")).into_response()
}

/// Where a test wants a handler to panic, with words of the request's that nobody may find anywhere.
pub async fn fail(State(points): State<FailPoints>, request: Request, next: Next) -> Response {
    points.panic_at("http.request", &format!("{:?}", request.uri()));
    next.run(request).await
}

/// Unknown paths.
pub async fn not_found() -> Problem {
    Problem::not_found()
}

/// Known paths with another method; axum adds `Allow`.
pub async fn method_not_allowed() -> Problem {
    Problem::new(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        "method not allowed",
    )
}
