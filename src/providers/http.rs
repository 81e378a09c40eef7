//! The one HTTP client: connect 5 s, no redirects (a provider's API has none, and a key must not
//! follow one), a bounded body. Total time is the caller's, because streams have none.

use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use reqwest::header::HeaderMap;
use reqwest::{Client, Response, StatusCode, redirect};

use super::{Error, Kind};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the client that everything in `providers` shares.
pub fn client() -> Result<Client, Error> {
    // The first to come installs it; tests share a process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("paraplanner/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::new(Kind::Invalid, error.without_url().to_string()))
}

/// A transport failure, with or without a request that may have arrived.
pub fn transport(error: reqwest::Error) -> Error {
    let kind = if error.is_connect() {
        Kind::Unavailable
    } else if error.is_builder() {
        Kind::Invalid
    } else {
        Kind::Ambiguous
    };
    let words = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        // Sources such as "connection refused" are what an operator needs; the URL isn't.
        let error = error.without_url();
        std::iter::successors(std::error::Error::source(&error), |inner| inner.source())
            .last()
            .map_or_else(|| error.to_string(), ToString::to_string)
    };
    Error::new(kind, words)
}

/// The kind that a status alone tells.
pub fn kind_of(status: StatusCode, retry_after: Option<Duration>) -> Kind {
    match status.as_u16() {
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        404 => Kind::NotFound,
        409 | 412 => Kind::Conflict,
        410 => Kind::Gone,
        429 => Kind::RateLimited {
            retry_after: Some(retry_after.unwrap_or(Duration::from_secs(1))),
        },
        408 | 500..=599 => Kind::Unavailable,
        _ => Kind::Invalid,
    }
}

/// The error of a reply whose status alone counts.
pub fn refused(response: &Response) -> Error {
    let status = response.status();
    Error::new(
        kind_of(status, retry_after(response.headers())),
        format!("status {}", status.as_u16()),
    )
}

/// `Retry-After` in seconds or as a date, or the millisecond form that some servers add.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let seconds = |name: &str| {
        let number = text(name)?.trim().parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number)
    };
    seconds("retry-after-ms")
        .map(|millis| millis / 1000.0)
        .or_else(|| seconds("retry-after"))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .or_else(|| {
            let at = httpdate::parse_http_date(text("retry-after")?).ok()?;
            // A date is told by the server's clock; so is `Date`, where it is sent.
            let now = text("date")
                .and_then(|date| httpdate::parse_http_date(date).ok())
                .unwrap_or_else(SystemTime::now);
            Some(at.duration_since(now).unwrap_or_default())
        })
}

/// The whole body, refused beyond `limit` bytes.
pub async fn body_within(response: Response, limit: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(transport)?;
        if body.len() + piece.len() > limit {
            return Err(Error::new(Kind::Nonsense, "the answer is too large"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
