//! What every reply that streams events says to those it passes on its way.

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue};

/// Headers of an event stream. They replace axum's own `Cache-Control`, under which a cache may
/// keep a copy of what is private.
pub const STREAMING: [(HeaderName, HeaderValue); 2] = [
    (
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store"),
    ),
    // Proxies that buffer would hold the words back.
    (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    ),
];
