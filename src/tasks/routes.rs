//! `/api/tasks`: what is queued, runs and has ended, for its user.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{State as TaskState, history};
use crate::http::{CurrentUser, Cursor, Json, Page, PageQuery, Path, Problem, ProblemBody, Query};
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}

/// A task as its user sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TaskView {
    pub id: Uuid,
    #[serde(rename = "type")]
    pub kind: String,
    #[schema(value_type = TaskStateName)]
    pub state: TaskState,
    /// Lower goes first.
    pub priority: i16,
    pub attempts: i32,
    pub max_attempts: i32,
    pub run_at: DateTime<Utc>,
    #[serde(skip)]
    pub progress_done: i64,
    #[serde(skip)]
    pub progress_total: i64,
    pub last_error: Option<String>,
    /// What came of it; each type has its own.
    #[schema(value_type = Option<HashMap<String, Value>>)]
    pub result: Option<Value>,
    /// A code, such as `no_reply`, `undeliverable`, `superseded` or `conflict`.
    pub reason: Option<String>,
    #[schema(value_type = Option<Cause>)]
    pub caused_by: Option<Value>,
    /// What a waiting task waits for; null while it doesn't.
    #[schema(value_type = Option<WaitingOn>)]
    pub waiting_on: Option<Value>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Where a task stands.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum TaskStateName {
    Pending,
    InProgress,
    Waiting,
    Done,
    Failed,
    Cancelled,
}

/// What led to a task.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
struct Cause {
    /// `rule`, `conversation`, `task`, `activity`, `webhook_event` …
    kind: String,
    id: Option<Uuid>,
}

/// What is waited for: an answer to a mail, tomorrow's tokens, or the end of the pause.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
struct WaitingOn {
    /// Of the mail whose answer is waited for.
    message_id: Option<String>,
    /// The provider's.
    thread_id: Option<String>,
    /// Whose answer it is.
    addresses: Option<Vec<String>>,
    /// They are reminded then.
    nudge_at: Option<DateTime<Utc>>,
    /// It is given up then.
    until: Option<DateTime<Utc>>,
    round: Option<i32>,
    /// The day's tokens are used up until then.
    budget_resets_at: Option<DateTime<Utc>>,
    /// Everything is stopped.
    paused: Option<bool>,
}

/// How far a task is, in its kind's unit (bytes for imports).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Progress {
    done: i64,
    total: i64,
}

/// What `GET` answers: the row with its progress nested.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct TaskBody {
    #[serde(flatten)]
    task: TaskView,
    progress: Progress,
}

impl From<TaskView> for TaskBody {
    fn from(task: TaskView) -> Self {
        Self {
            progress: Progress {
                done: task.progress_done,
                total: task.progress_total,
            },
            task,
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only tasks in this state, or in one of several: `pending,waiting`.
    #[param(example = "pending,waiting")]
    state: Option<String>,
    /// Only tasks of this type, or of one of several, with commas between them.
    #[param(example = "follow_up")]
    #[serde(rename = "type")]
    kind: Option<String>,
}

const STATES: [&str; 6] = [
    "pending",
    "in_progress",
    "waiting",
    "done",
    "failed",
    "cancelled",
];

/// All states that are named, each of which must be one.
fn states(names: &str) -> Result<Vec<TaskState>, Problem> {
    let mut states = Vec::new();
    for name in names.split(',') {
        let meant = TaskState::named(name.trim());
        if meant.is_empty() {
            let words = format!("must be one of {}", STATES.join(", "));
            return Err(Problem::invalid("state", words));
        }
        states.extend_from_slice(meant);
    }
    Ok(states)
}

/// The user's tasks, newest first.
#[utoipa::path(get, path = "/api/tasks", tag = "tasks", params(PageQuery, Filter), responses(
    (status = 200, body = Page<TaskBody>), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn list(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Query(page): Query<PageQuery>,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<TaskBody>>, Problem> {
    let (limit, cursor) = page.parse()?;
    let states = filter.state.as_deref().map(states).transpose()?;
    let kinds: Option<Vec<String>> = filter.kind.map(|kinds| {
        kinds
            .split(',')
            .map(|kind| kind.trim().to_owned())
            .collect()
    });
    let mut tx = scope.begin(&app.pool).await?;
    let rows = history::list(
        &mut tx,
        states.as_deref(),
        kinds.as_deref(),
        limit,
        cursor.map(|cursor| cursor.id),
    )
    .await?;
    let rows = rows.into_iter().map(TaskBody::from).collect();
    Ok(Json(Page::of(rows, limit, |body: &TaskBody| Cursor {
        at: body.task.created_at,
        id: body.task.id,
    })))
}

/// One task.
#[utoipa::path(get, path = "/api/tasks/{id}", tag = "tasks", params(("id" = Uuid, Path)), responses(
    (status = 200, body = TaskBody), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<TaskBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let task = history::find(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    Ok(Json(task.into()))
}

/// Stops a task that hasn't ended; what it has stored stays.
#[utoipa::path(post, path = "/api/tasks/{id}/cancel", tag = "tasks", params(("id" = Uuid, Path)), responses(
    (status = 202), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody),
    (status = 409, body = ProblemBody)))]
async fn cancel(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let cancelled = history::cancel(&mut tx, id, app.clock.now()).await?;
    if !cancelled {
        let task = history::find(&mut tx, id)
            .await?
            .ok_or_else(Problem::not_found)?;
        return Err(
            Problem::conflict("the task has ended").detail(format!("it is {}", task.state.name()))
        );
    }
    tx.commit().await?;
    Ok(StatusCode::ACCEPTED)
}

/// Queues a failed or cancelled task again.
#[utoipa::path(post, path = "/api/tasks/{id}/retry", tag = "tasks", params(("id" = Uuid, Path)), responses(
    (status = 202), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody),
    (status = 409, body = ProblemBody)))]
async fn retry(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let queued = history::retry(&mut tx, id, app.clock.now())
        .await
        .map_err(|error| {
            match error
                .as_database_error()
                .and_then(|inner| inner.constraint())
            {
                Some("tasks_unique_key") => Problem::conflict("the same work is queued already"),
                _ => Problem::from(error),
            }
        })?;
    if !queued {
        let task = history::find(&mut tx, id)
            .await?
            .ok_or_else(Problem::not_found)?;
        return Err(
            Problem::conflict("only failed and cancelled tasks can be retried")
                .detail(format!("it is {}", task.state.name())),
        );
    }
    tx.commit().await?;
    app.tasks.wake();
    Ok(StatusCode::ACCEPTED)
}
