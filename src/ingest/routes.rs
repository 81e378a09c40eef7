//! `/api/ingest`: files in, and how far the import is.

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::{Extension, RequestExt as _};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::documents::{ImportDocuments, SweepUploads};
use super::{store, sync};
use crate::db::UserScope;
use crate::http::middleware::RequestId;
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::ids;
use crate::retrieval::{self, Embed};
use crate::state::App;
use crate::tasks::{self, Enqueue, Payload as _};

/// A part of an upload as it is stored; the most of a file that is ever in memory.
const PART_BYTES: usize = 1 << 20;
const MAX_FILES: usize = 100;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .merge(sync::routes::router())
        .merge(super::demo_book::router())
}

/// Uploads take as long as the client's line needs, so they stand outside of the reply timeout.
pub fn upload_router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(upload))
        // axum's own limit is for what is held in memory; this is streamed, and counted as it comes.
        .layer(DefaultBodyLimit::disable())
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Queued {
    pub task_id: Uuid,
}

/// One or more files.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the form to OpenAPI")]
struct Files {
    /// .mbox, .eml, .txt, .md, .html, .pdf, .vcf, .ics, or a .csv of contacts.
    #[schema(value_type = Vec<String>)]
    file: Vec<Vec<u8>>,
}

/// Imports files into the book: streamed, then read by a task that lists what can't be read.
#[utoipa::path(post, path = "/api/ingest/documents", tag = "ingest",
    request_body(content = Files, content_type = "multipart/form-data"), responses(
    (status = 202, body = Queued), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
    (status = 413, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn upload(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    let is_form = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data"));
    if !is_form {
        return Err(Problem::unsupported_media_type("multipart/form-data"));
    }
    let form: Multipart = request
        .extract()
        .await
        .map_err(|_| Problem::malformed("the form has no boundary"))?;
    let mut received = Received {
        app: app.clone(),
        scope,
        files: Vec::new(),
    };
    receive(&app, &scope, form, &mut received.files).await?;
    let queued = queue(&app, &scope, &received.files, &request_id).await?;
    received.files.clear();
    Ok(queued)
}

/// Files that have arrived without a task. Dropped so, by an error or because the client left, they
/// are removed; what a crash leaves, the sweep finds.
struct Received {
    app: App,
    scope: UserScope,
    files: Vec<(Uuid, i64)>,
}

impl Drop for Received {
    fn drop(&mut self) {
        if self.files.is_empty() {
            return;
        }
        let ids: Vec<_> = self.files.iter().map(|(id, _)| *id).collect();
        let (app, scope) = (self.app.clone(), self.scope);
        self.app.background.spawn(async move {
            let removed = async {
                let mut tx = scope.begin(&app.pool).await?;
                store::discard(&mut tx, &ids).await?;
                tx.commit().await
            };
            if let Err(error) = removed.await {
                tracing::warn!(%error, "an abandoned upload is left for the sweep");
            }
        });
    }
}

async fn receive(
    app: &App,
    scope: &UserScope,
    mut form: Multipart,
    received: &mut Vec<(Uuid, i64)>,
) -> Result<(), Problem> {
    let mut left = app.config.server.upload_max_bytes;
    while let Some(field) = form.next_field().await.map_err(broken)? {
        if field.name() != Some("file") {
            continue;
        }
        if received.len() == MAX_FILES {
            return Err(Problem::invalid(
                "file",
                format!("at most {MAX_FILES} at once"),
            ));
        }
        let upload_id = ids::next();
        let mut tx = scope.begin(&app.pool).await?;
        store::begin_upload(&mut tx, upload_id, &file_name(&field), app.clock.now()).await?;
        tx.commit().await?;
        received.push((upload_id, 0));
        let size = receive_file(app, scope, field, upload_id, &mut left).await?;
        if let Some(last) = received.last_mut() {
            last.1 = size;
        }
    }
    if received.is_empty() {
        return Err(Problem::invalid(
            "file",
            "at least one part named file is needed",
        ));
    }
    Ok(())
}

/// Stores a file's bytes part by part, each in a transaction of its own: none waits for the client.
async fn receive_file(
    app: &App,
    scope: &UserScope,
    mut field: Field<'_>,
    upload_id: Uuid,
    left: &mut u64,
) -> Result<i64, Problem> {
    let mut buffer = Vec::with_capacity(PART_BYTES);
    let mut at = 0;
    loop {
        let piece = field.chunk().await.map_err(broken)?;
        let ended = piece.is_none();
        if let Some(piece) = piece {
            *left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| Problem::too_large(app.config.server.upload_max_bytes))?;
            buffer.extend_from_slice(&piece);
        }
        if buffer.len() >= PART_BYTES || (ended && !buffer.is_empty()) {
            let mut tx = scope.begin(&app.pool).await?;
            store::add_part(&mut tx, upload_id, at, &buffer).await?;
            tx.commit().await?;
            at += i64::try_from(buffer.len()).unwrap_or(i64::MAX);
            buffer.clear();
        }
        if ended {
            return Ok(at);
        }
    }
}

/// The last component, without what a log or a page could trip over.
fn file_name(field: &Field<'_>) -> String {
    let given = field.file_name().unwrap_or("unnamed");
    let name: String = given
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(given)
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    if name.trim().is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn broken(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large")
        }
        _ => Problem::malformed("the form is broken or did not arrive whole")
            .detail(error.body_text()),
    }
}

async fn queue(
    app: &App,
    scope: &UserScope,
    received: &[(Uuid, i64)],
    request_id: &RequestId,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let how = Enqueue {
        request_id: Some(request_id.0.to_string()),
        ..Enqueue::default()
    };
    let task_id = app.tasks.enqueue(&mut tx, &ImportDocuments {}, how).await?;
    store::assign(&mut tx, received, task_id).await?;
    let once = Enqueue {
        unique_key: Some("sweep".to_owned()),
        ..Enqueue::default()
    };
    app.tasks.enqueue(&mut tx, &SweepUploads {}, once).await?;
    tx.commit().await?;
    app.tasks.wake();
    Ok((StatusCode::ACCEPTED, Json(Queued { task_id })))
}

/// How far the import of one source is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct SourceStatus {
    /// `documents` always; the others when they are connected.
    #[schema(value_type = SourceName)]
    pub source: &'static str,
    #[schema(value_type = SourceState)]
    pub state: &'static str,
    /// Items that are stored; of `documents`, passages that are searchable by words and by meaning,
    /// whatever source they are of.
    pub done: i64,
    /// Items, or passages, in all; an estimate while everything is read.
    pub total: i64,
    /// The provider's changes up to then are stored.
    pub last_synced_at: Option<DateTime<Utc>>,
    pub newest_item_at: Option<DateTime<Utc>>,
    /// How long ago that was: what happened since may be missing here.
    pub lag_seconds: Option<i64>,
    /// The provider notifies until then; without it, it is looked at every minute.
    pub watch_expires_at: Option<DateTime<Utc>>,
    /// When all that there is was last compared with what is stored.
    pub last_reconciled_at: Option<DateTime<Utc>>,
    /// Items that such comparisons found missing, changed or gone.
    pub gaps_repaired: i64,
    /// Why it fails, or why it is off.
    pub error: Option<String>,
    /// Items that can't be read. They stop no others, and are tried again every day.
    pub unreadable: i64,
    /// Some of them.
    pub unreadable_items: Vec<sync::Unreadable>,
    /// Bytes of uploads that are still to be read.
    pub bytes_left: i64,
}

/// Where things come from.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum SourceName {
    Documents,
    Gmail,
    Calendar,
    HubspotContacts,
    HubspotNotes,
    HubspotDeals,
}

/// How a source is.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum SourceState {
    Idle,
    Running,
    NeedsReauth,
    Failing,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = IngestStatus)]
struct Status {
    items: Vec<SourceStatus>,
}

/// How far the imports are, and how fresh what they brought is.
#[utoipa::path(get, path = "/api/ingest/status", tag = "ingest", responses(
    (status = 200, body = Status), (status = 401, body = ProblemBody)))]
async fn status(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
) -> Result<Json<Status>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let index = retrieval::index_status(&mut tx).await?;
    let live = tasks::count_live(&mut tx, ImportDocuments::KIND).await?
        + tasks::count_live(&mut tx, Embed::KIND).await?;
    let imported =
        tasks::last_ended(&mut tx, &[ImportDocuments::KIND], &[tasks::State::Done]).await?;
    let latest = tasks::last_ended(
        &mut tx,
        &[ImportDocuments::KIND, Embed::KIND],
        &[tasks::State::Done, tasks::State::Failed],
    )
    .await?;
    let error = latest
        .filter(|task| task.state == tasks::State::Failed)
        .and_then(|task| task.error);
    let state = match (live, &error) {
        (1.., _) => "running",
        (_, Some(_)) => "failing",
        _ => "idle",
    };
    let documents = SourceStatus {
        source: "documents",
        state,
        done: index.total - index.waiting,
        total: index.total,
        last_synced_at: imported.map(|task| task.finished_at),
        newest_item_at: index.newest_item_at,
        lag_seconds: None,
        watch_expires_at: None,
        last_reconciled_at: None,
        gaps_repaired: 0,
        error,
        unreadable: 0,
        unreadable_items: Vec::new(),
        bytes_left: store::bytes_under_way(&mut tx).await?,
    };
    let connected = sync::routes::status(&app, &mut tx).await?;
    let items = std::iter::once(documents).chain(connected).collect();
    Ok(Json(Status { items }))
}
