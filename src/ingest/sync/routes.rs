//! `POST /api/ingest/emails`, `/contacts`, `/calendar`, and their part of `/api/ingest/status`.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Source, Unreadable, items, store};
use crate::db::{Scoped, UserScope};
use crate::http::middleware::RequestId;
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::identity::connections::{self, Connection, watches};
use crate::ingest::routes::{Queued, SourceStatus};
use crate::state::App;
use crate::tasks::{self, Enqueue};

/// Unreadable items that the status lists of each source.
const LISTED: i64 = 20;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(emails))
        .routes(routes!(contacts))
        .routes(routes!(calendar))
}

/// Reads the mailbox now. 409 when Google isn't connected, or not for mail.
#[utoipa::path(post, path = "/api/ingest/emails", tag = "ingest", responses(
    (status = 202, body = Queued), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 409, body = ProblemBody)))]
async fn emails(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Extension(request_id): Extension<RequestId>,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    queue(&app, &scope, Source::Gmail, &request_id).await
}

/// Reads HubSpot's contacts now, and then notes and deals. 409 when HubSpot isn't connected.
#[utoipa::path(post, path = "/api/ingest/contacts", tag = "ingest", responses(
    (status = 202, body = Queued), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 409, body = ProblemBody)))]
async fn contacts(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Extension(request_id): Extension<RequestId>,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    queue(&app, &scope, Source::HubspotContacts, &request_id).await
}

/// Reads the calendar now. 409 when Google isn't connected, or not for the calendar.
#[utoipa::path(post, path = "/api/ingest/calendar", tag = "ingest", responses(
    (status = 202, body = Queued), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 409, body = ProblemBody)))]
async fn calendar(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Extension(request_id): Extension<RequestId>,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    queue(&app, &scope, Source::Calendar, &request_id).await
}

async fn queue(
    app: &App,
    scope: &UserScope,
    source: Source,
    request_id: &RequestId,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    let provider = source.provider();
    let connection = connections::find(app, scope, provider).await?;
    let why = match &connection {
        None => Some("it isn't connected"),
        Some(connection) => source.off(connection).map(reason),
    };
    if let Some(why) = why {
        return Err(Problem::conflict(format!("{provider} can't be read"))
            .detail(format!("{why}: GET /api/auth/{provider}/start")));
    }
    let mut tx = scope.begin(&app.pool).await?;
    let how = Enqueue {
        request_id: Some(request_id.0.to_string()),
        ..Enqueue::default()
    };
    let task_id = source.queue(app, &mut tx, how.clone()).await?;
    // What is written about contacts goes with them, once these are known.
    if source == Source::HubspotContacts
        && let Some(connection) = &connection
        && store::list(&mut tx)
            .await?
            .iter()
            .any(|state| state.source == source.name() && state.last_synced_at.is_some())
    {
        for next in [Source::HubspotNotes, Source::HubspotDeals] {
            if next.off(connection).is_none() {
                next.queue(app, &mut tx, how.clone()).await?;
            }
        }
    }
    tx.commit().await?;
    app.tasks.wake();
    Ok((StatusCode::ACCEPTED, Json(Queued { task_id })))
}

/// A feature's code in words.
fn reason(why: &str) -> &'static str {
    match why {
        "scope_missing" => "this access was not granted; connect again and leave it ticked",
        _ => "the access has ended; connect again",
    }
}

/// How far the sources of the user's connections are.
pub async fn status(app: &App, tx: &mut Scoped) -> Result<Vec<SourceStatus>, Problem> {
    let connections = connections::list_within(tx).await?;
    if connections.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: Vec<&str> = Source::ALL.iter().map(|source| source.kind()).collect();
    let now = app.clock.now();
    let known = Known {
        now,
        states: store::list(tx).await?,
        counts: items::counts(tx).await?,
        unreadable: items::unreadable(tx, LISTED).await?,
        live: tasks::live_kinds(tx, &kinds).await?,
        watches: watches::list(tx, now).await?,
    };
    let mut all = Vec::new();
    for source in Source::ALL {
        let provider = source.provider().name();
        let connection = connections
            .iter()
            .find(|connection| connection.provider == provider);
        if let Some(connection) = connection {
            all.push(known.of(source, connection));
        }
    }
    Ok(all)
}

/// What is known of all sources.
struct Known {
    now: DateTime<Utc>,
    states: Vec<store::State>,
    counts: Vec<items::Count>,
    unreadable: HashMap<String, Vec<Unreadable>>,
    /// Kinds of task that wait or run.
    live: Vec<String>,
    watches: Vec<watches::Watch>,
}

impl Known {
    fn of(&self, source: Source, connection: &Connection) -> SourceStatus {
        let name = source.name();
        let state = self.states.iter().find(|state| state.source == name);
        let count = self.counts.iter().find(|count| count.source == name);
        let problem = state.and_then(|state| state.problem.clone());
        let (shown, error) = match source.off(connection) {
            Some("needs_reauth") => ("needs_reauth", Some(reason("needs_reauth").to_owned())),
            Some(why) => ("idle", Some(reason(why).to_owned())),
            None if problem.is_some() => ("failing", problem),
            None if self.live.iter().any(|kind| kind == source.kind()) => ("running", None),
            None => ("idle", None),
        };
        let done = count.map_or(0, |count| count.stored);
        let unreadable = count.map_or(0, |count| count.unreadable);
        // While a walk is under way there is only the provider's estimate.
        let estimate = state
            .filter(|state| state.walk.is_some())
            .and_then(|state| state.total);
        let last_synced_at = state.and_then(|state| state.last_synced_at);
        let watch = self.watches.iter().find(|watch| watch.what == name);
        SourceStatus {
            source: name,
            state: shown,
            done,
            total: estimate.unwrap_or(0).max(done + unreadable),
            last_synced_at,
            newest_item_at: count.and_then(|count| count.newest_at),
            lag_seconds: last_synced_at.map(|at| (self.now - at).num_seconds().max(0)),
            watch_expires_at: watch.map(|watch| watch.expires_at),
            last_reconciled_at: state.and_then(|state| state.last_reconciled_at),
            gaps_repaired: state.map_or(0, |state| state.gaps_repaired),
            error,
            bytes_left: 0,
            unreadable,
            unreadable_items: self.unreadable.get(name).cloned().unwrap_or_default(),
        }
    }
}
