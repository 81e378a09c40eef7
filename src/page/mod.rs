//! The built-in page at `/`: plain HTML, CSS and ES modules out of the binary, under a strict
//! content security policy. It uses the public API and nothing else. May not know: any feature.
//!
//! The files stand below `/assets/<digest of them all>/`, so a browser keeps them for ever and a new version of
//! the binary is a new page at once; the page itself is asked for each time, and is a 304 if it is the same.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::compression::CompressionLayer;

use crate::ids;
use crate::state::App;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

const INDEX: &str = include_str!("assets/index.html");

/// Name, type, content. A new file of the page is a line here.
macro_rules! assets {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("assets/", $name)))),*]
    };
}

const ASSETS: &[(&str, &str)] = assets! {
    "activity.js" "api.js" "app.css" "app.js" "approvals.js" "card.js" "connections.js" "conversation.js"
    "dialog.js" "diff.js" "dom.js" "events.js" "favicon.svg" "imports.js" "markdown.js" "people.js" "rooms.css"
    "rooms.js" "rules.js" "search.js" "session.js" "settings.js" "source.js" "stream.js" "today.js" "words.js"
};

/// What all files together are.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut parts = vec![INDEX];
    parts.extend(ASSETS.iter().flat_map(|(name, content)| [*name, *content]));
    let mut digest = hex::encode(ids::digest(&parts));
    digest.truncate(16);
    digest
});

/// The page, with its files by their full names.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    ASSETS.iter().fold(INDEX.to_owned(), |page, (name, _)| {
        let path = format!("\"/assets/{}/{name}\"", *VERSION);
        page.replace(&format!("\"/{name}\""), &path)
    })
});

pub fn router() -> Router<App> {
    let router = Router::new()
        .route("/", get(page))
        // Browsers ask for it by this name before they have read anything.
        .route("/favicon.svg", get(|| async { asset("favicon.svg") }));
    ASSETS
        .iter()
        .fold(router, |router, (name, _)| {
            let path = format!("/assets/{}/{name}", *VERSION);
            router.route(&path, get(async || asset(name)))
        })
        .layer(CompressionLayer::new())
}

async fn page(headers: HeaderMap) -> Response {
    let tag = format!("\"{}\"", *VERSION);
    let known = headers.get(IF_NONE_MATCH).is_some_and(|tags| {
        let tags = tags.to_str().unwrap_or_default();
        tags.split(',')
            .any(|one| one.trim().trim_start_matches("W/") == tag)
    });
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
    ];
    let tag = [(ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, headers, tag).into_response();
    }
    (headers, tag, PAGE.as_str()).into_response()
}

fn asset(name: &'static str) -> Response {
    let Some((_, content)) = ASSETS.iter().find(|(known, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_SECURITY_POLICY, POLICY),
        (
            CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        ),
    ];
    (headers, *content).into_response()
}
