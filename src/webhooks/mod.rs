//! What providers tell us: verified, stored, then answered. A 2xx is a promise that what was told
//! isn't lost; whoever can't keep it says 503.
//!
//! Promises: nothing is read from a delivery before it is verified, and nothing of its content is
//! believed after: it says that something changed, and the user's own grant is asked what. Told many
//! times is stored once (`inbox`), over all instances, and so is what follows. May not know: what
//! follows; that is a task for whoever imports ([`Delivered`]). A door is a file; `intake` is behind
//! all of them.

mod calendar;
mod delivery;
mod gmail;
mod hubspot;
mod inbox;
mod intake;
mod routes;

use axum::http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;

use crate::http::Problem;
use crate::state::App;
use crate::tasks::{Payload, Priority};

pub use delivery::{Delivery, hubspot_events};
pub use gmail::{Push, read as read_push};
pub use inbox::{Pending, forget, pending, pending_kinds, settle, settle_all, tidy};
pub use intake::Intake;

const PROVIDERS: [&str; 3] = ["hubspot", "gmail", "calendar"];

/// Of Google's, which are small.
const BODY_LIMIT: usize = 64 * 1024;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(gmail::router())
        .merge(calendar::router())
        .merge(hubspot::router())
        .merge(routes::router())
}

/// "Something is in the inbox."
#[derive(Debug, Serialize, Deserialize)]
pub struct Delivered {
    /// `hubspot`, `gmail` or `calendar`.
    pub provider: String,
}

impl Payload for Delivered {
    const KIND: &'static str = "handle_deliveries";
    const PRIORITY: Priority = Priority::Interactive;
}

/// What a delivery came to, for the metric.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Taken,
    /// Not from whom it says that it is.
    Refused,
    /// About somebody whom nobody here is.
    Unknown,
    /// Genuine, and makes no sense.
    Unreadable,
}

impl Outcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
        }
    }
}

fn count(app: &App, source: &'static str, outcome: Outcome) {
    app.metrics.webhook(source, outcome.label());
}

/// The same for everything that isn't verified: no forger learns how close a try was.
fn refused(app: &App, source: &'static str, why: &'static str) -> Problem {
    count(app, source, Outcome::Refused);
    tracing::info!(source, why, "a delivery is refused");
    Problem::unauthenticated()
}

/// The value of a header that is there exactly once, as text.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
