//! The built-in page at `/`: plain HTML, CSS and ES modules out of the binary, under a strict
//! content security policy. It uses the public API and nothing else. May not know: any feature.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;

use crate::state::App;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

const JS: &str = "text/javascript; charset=utf-8";

/// Path, type, content. A new file of the page is a line here.
const FILES: &[(&str, &str, &str)] = &[
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("assets/index.html"),
    ),
    (
        "/app.css",
        "text/css; charset=utf-8",
        include_str!("assets/app.css"),
    ),
    (
        "/favicon.svg",
        "image/svg+xml",
        include_str!("assets/favicon.svg"),
    ),
    ("/api.js", JS, include_str!("assets/api.js")),
    ("/app.js", JS, include_str!("assets/app.js")),
    ("/connections.js", JS, include_str!("assets/connections.js")),
    (
        "/conversation.js",
        JS,
        include_str!("assets/conversation.js"),
    ),
    ("/dom.js", JS, include_str!("assets/dom.js")),
    ("/events.js", JS, include_str!("assets/events.js")),
    ("/imports.js", JS, include_str!("assets/imports.js")),
    ("/markdown.js", JS, include_str!("assets/markdown.js")),
    ("/search.js", JS, include_str!("assets/search.js")),
    ("/source.js", JS, include_str!("assets/source.js")),
    ("/stream.js", JS, include_str!("assets/stream.js")),
];

pub fn router() -> Router<App> {
    FILES
        .iter()
        .fold(Router::new(), |router, (path, kind, content)| {
            router.route(path, get(async move || file(kind, content)))
        })
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = AppendHeaders([
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_SECURITY_POLICY, POLICY),
        // A new version of the binary is a new page at once.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]);
    (headers, content)
}
