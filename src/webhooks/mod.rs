//! What providers tell us: verified, queued in a transaction, then answered. A 2xx is a promise that
//! what was told isn't lost.
//!
//! Promises: nothing is read from a delivery before it is verified, and nothing of its content is
//! believed after: it says that something changed, and the user's own grant is asked what. Told many
//! times is done once. May not know: what follows from a change; that is a task for whoever imports.

mod calendar;
mod gmail;

use axum::http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;

use crate::db::{UserId, UserScope};
use crate::http::Problem;
use crate::http::middleware::RequestId;
use crate::state::App;
use crate::tasks::{Enqueue, Payload, Priority};

/// Of Google's, which are small.
const BODY_LIMIT: usize = 64 * 1024;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(gmail::router())
        .merge(calendar::router())
}

/// "The provider says that this source of the user's has changed."
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    /// `gmail` or `calendar`.
    pub source: String,
}

impl Payload for Told {
    const KIND: &'static str = "provider_told";
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

/// Queues a look for a user. Told again before it has begun is the same look.
async fn queue(
    app: &App,
    user_id: UserId,
    source: &'static str,
    request_id: &RequestId,
) -> Result<(), Problem> {
    let mut tx = UserScope::checked(user_id).begin(&app.pool).await?;
    let once = Enqueue {
        unique_key: Some(source.to_owned()),
        request_id: Some(request_id.0.to_string()),
        ..Enqueue::default()
    };
    let told = Told {
        source: source.to_owned(),
    };
    app.tasks.enqueue(&mut tx, &told, once).await?;
    tx.commit().await?;
    app.tasks.wake();
    Ok(())
}
