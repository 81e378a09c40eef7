//! The outside world: one module for each system, and the built-in embedder.
//!
//! Knows wire formats; knows no database, no user, no feature. A provider's JSON stops here:
//! callers get our types, and errors whose [`Kind`] they can decide on. `http.rs` makes the one
//! client; whatever is added here uses it.

pub mod caller;
pub mod google;
pub mod http;
pub mod hubspot;
pub mod local;
pub mod oauth;
pub mod openai;
pub mod wire;

use std::fmt;
use std::time::Duration;

use url::Url;

/// What a caller decides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The credentials are refused.
    Unauthorized,
    /// The credentials are fine, the thing isn't allowed.
    Forbidden,
    NotFound,
    /// What the call went on from is no longer known: begin anew.
    Gone,
    Conflict,
    /// The user has not granted what this needs; the token itself is fine.
    ScopeMissing,
    /// Our request is wrong; again would be wrong again.
    Invalid,
    /// Too fast, or out of money (`retry_after` is then `None`).
    RateLimited {
        retry_after: Option<Duration>,
    },
    /// Nobody answers, or only with an error of its own.
    Unavailable,
    /// The connection broke after the request was sent: it may have happened.
    Ambiguous,
    /// What came back makes no sense.
    Nonsense,
}

impl Kind {
    /// A label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::Conflict => "conflict",
            Self::ScopeMissing => "scope_missing",
            Self::Invalid => "invalid",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Ambiguous => "ambiguous",
            Self::Nonsense => "nonsense",
        }
    }

    /// Whether the same call may work a little later.
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::RateLimited {
                retry_after: Some(_)
            } | Self::Unavailable
                | Self::Ambiguous
        )
    }
}

/// A call that failed: what kind, and words for the log that hold no content of ours.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.label(), self.message)
    }
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// An address below an origin: the fixed part, then pieces that are escaped as they need.
fn below(origin: &Url, fixed: &[&str], path: &[&str]) -> Url {
    let mut url = origin.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(fixed).extend(path);
    }
    url
}
