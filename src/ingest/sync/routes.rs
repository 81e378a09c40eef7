//! `POST /api/ingest/emails`, `/contacts`, `/calendar`, and their part of `/api/ingest/status`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Source, store};
use crate::db::{Scoped, UserScope};
use crate::http::middleware::RequestId;
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::identity::connections::{self, Connection};
use crate::ingest::routes::{Queued, SourceStatus};
use crate::state::App;
use crate::tasks::{self, Enqueue};

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

/// Reads HubSpot's contacts now. 409 when HubSpot isn't connected.
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
    let task_id = source.queue(app, &mut tx, how).await?;
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
pub async fn status(tx: &mut Scoped) -> Result<Vec<SourceStatus>, Problem> {
    let connections = connections::list_within(tx).await?;
    let known = store::list(tx).await?;
    let mut items = Vec::new();
    for source in Source::ALL {
        let provider = source.provider().name();
        let connection = connections
            .iter()
            .find(|connection| connection.provider == provider);
        if let Some(connection) = connection {
            items.push(of(source, connection, &known, tx).await?);
        }
    }
    Ok(items)
}

async fn of(
    source: Source,
    connection: &Connection,
    known: &[store::State],
    tx: &mut Scoped,
) -> Result<SourceStatus, Problem> {
    let ended = [tasks::State::Done, tasks::State::Failed];
    let latest = tasks::last_ended(tx, &[source.kind()], &ended).await?;
    let failed = latest
        .filter(|task| task.state == tasks::State::Failed)
        .and_then(|task| task.error);
    let (state, error) = match source.off(connection) {
        Some("needs_reauth") => ("needs_reauth", Some(reason("needs_reauth").to_owned())),
        Some(why) => ("idle", Some(reason(why).to_owned())),
        None if tasks::count_live(tx, source.kind()).await? > 0 => ("running", None),
        None if failed.is_some() => ("failing", failed),
        None => ("idle", None),
    };
    let known = known.iter().find(|known| known.source == source.name());
    let done = known.map_or(0, |known| known.done);
    Ok(SourceStatus {
        source: source.name(),
        state,
        done,
        total: known.and_then(|known| known.total).unwrap_or(0).max(done),
        last_synced_at: known.and_then(|known| known.last_synced_at),
        newest_item_at: None,
        lag_seconds: None,
        watch_expires_at: None,
        last_reconciled_at: None,
        gaps_repaired: 0,
        error,
        bytes_left: 0,
    })
}
