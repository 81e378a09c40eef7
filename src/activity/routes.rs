//! `/api/activity`: the diary, and whether it is whole.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Actor, Entry, Why, store};
use crate::http::{CurrentUser, Cursor, Json, Page, PageQuery, Problem, ProblemBody, Query};
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(verify))
}

/// An entry as its user sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct EntryBody {
    id: Uuid,
    at: DateTime<Utc>,
    #[schema(value_type = Actor)]
    actor: String,
    /// `send_email`, `undo_create_event`, `change_settings`, `export` …
    action: String,
    /// Whom or what it concerned.
    target: Option<String>,
    #[schema(value_type = Why)]
    why: Value,
    /// As it was first wanted.
    #[schema(value_type = Option<HashMap<String, Value>>)]
    proposed: Option<Value>,
    /// What was done, or would have been.
    #[schema(value_type = Option<HashMap<String, Value>>)]
    r#final: Option<Value>,
    /// What came of it: a `state` such as `done`, `failed`, `rejected` or `stale`, and what belongs to it.
    #[schema(value_type = Option<HashMap<String, Value>>)]
    result: Option<Value>,
    /// Null where it can't be taken back.
    #[schema(value_type = Option<CanUndo>)]
    undo: Option<Value>,
    /// The entry that this one took back.
    undoes: Option<Uuid>,
    /// SHA-256 over the entry before and this one.
    hash: String,
}

/// How an entry can be taken back.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
struct CanUndo {
    /// At `POST /api/activity/{id}/undo`.
    possible: bool,
    /// What is done then, in words.
    how: String,
    /// The entry that took it back.
    undone_by: Option<Uuid>,
}

impl From<Entry> for EntryBody {
    fn from(entry: Entry) -> Self {
        let undone_by = entry.undone_by;
        let undo = entry.undo.map(|how| {
            json!({"possible": undone_by.is_none(), "how": how["how"], "undone_by": undone_by})
        });
        Self {
            id: entry.id,
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            target: entry.target,
            why: entry.why,
            proposed: entry.proposed,
            r#final: entry.done,
            result: entry.result,
            undo,
            undoes: entry.undoes,
            hash: hex::encode(entry.hash),
        }
    }
}

/// What was done in the user's name, newest first; refusals too.
#[utoipa::path(get, path = "/api/activity", tag = "activity", params(PageQuery), responses(
    (status = 200, body = Page<EntryBody>), (status = 401, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn list(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<EntryBody>>, Problem> {
    let (limit, after) = page.parse()?;
    let mut tx = scope.begin(&app.pool).await?;
    let entries = store::list(&mut tx, limit, after).await?;
    let page = Page::of(entries, limit, |entry| Cursor {
        at: entry.at,
        id: entry.id,
    });
    Ok(Json(Page {
        items: page.items.into_iter().map(EntryBody::from).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// Whether the diary is whole.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Verified {
    ok: bool,
    /// How many there are.
    entries: i64,
    /// The first that isn't as it was written, or that stands where another stood.
    first_bad_id: Option<Uuid>,
    /// Entries are missing at the end.
    cut_off: bool,
}

/// Walks the chain of hashes from the first entry to the last.
#[utoipa::path(get, path = "/api/activity/verify", tag = "activity", responses(
    (status = 200, body = Verified), (status = 401, body = ProblemBody)))]
async fn verify(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
) -> Result<Json<Verified>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let walk = store::walk(&mut tx).await?;
    Ok(Json(Verified {
        ok: walk.first_bad_id.is_none() && !walk.cut_off,
        entries: walk.entries,
        first_bad_id: walk.first_bad_id,
        cut_off: walk.cut_off,
    }))
}
