//! What is worth a span: a request, a task, and within them calls to providers and models, and searches.
//!
//! The spans of requests and tasks carry ids into every line of the log. What is recorded on them at
//! their end is for traces. The spans within are for traces alone: the log doesn't know them, so its
//! lines look the same with and without. No span holds SQL, a path, an address or a word of a user.

use tracing::Span;
use tracing::field::Empty;

/// Whose spans the log leaves out.
pub const TRACES_ALONE: &str = "paraplanner_traces";

/// A request, until its reply begins.
pub fn request(request_id: &str) -> Span {
    tracing::info_span!(
        "request",
        request_id,
        http.request.method = Empty,
        http.route = Empty,
        http.response.status_code = Empty,
        otel.status_code = Empty,
    )
}

/// How a request was answered, after the last line about it.
pub fn answered(span: &Span, method: &str, route: &str, status: u16) {
    span.record("http.request.method", method);
    span.record("http.route", route);
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// An attempt of a task, with the id of the request that caused it.
pub fn task(kind: &str, task_id: uuid::Uuid, request_id: Option<&str>) -> Span {
    tracing::info_span!(
        "task",
        task_id = %task_id,
        kind,
        request_id,
        outcome = Empty,
        otel.status_code = Empty,
    )
}

/// What came of an attempt, after the last line about it.
pub fn attempted(span: &Span, outcome: &str) {
    span.record("outcome", outcome);
    if matches!(outcome, "failed" | "retry" | "lease_lost") {
        span.record("otel.status_code", "ERROR");
    }
}

/// An attempt of a call to a provider.
pub fn call(provider: &'static str, operation: &'static str) -> Span {
    tracing::info_span!(
        target: TRACES_ALONE,
        "call",
        otel.name = format!("{provider} {operation}"),
        otel.kind = "client",
        provider,
        operation,
        outcome = Empty,
        otel.status_code = Empty,
    )
}

/// A request to a model server, until its last byte.
pub fn model(purpose: &'static str) -> Span {
    tracing::info_span!(
        target: TRACES_ALONE,
        "model",
        otel.name = format!("model {purpose}"),
        otel.kind = "client",
        purpose,
        outcome = Empty,
        otel.status_code = Empty,
    )
}

/// A search in the database.
pub fn search() -> Span {
    tracing::info_span!(target: TRACES_ALONE, "search")
}

/// What came of a call: `ok`, `stopped`, or a kind of error.
pub fn ended(span: &Span, outcome: &str) {
    span.record("outcome", outcome);
    if !matches!(outcome, "ok" | "stopped") {
        span.record("otel.status_code", "ERROR");
    }
}
