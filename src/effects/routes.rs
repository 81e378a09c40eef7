//! `/api/approvals`: what waits for the user's word, and their word; and taking back what was done.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::approvals::{self, Approval, Decided, Word};
use super::undo::{self, Undo};
use crate::activity;
use crate::db::UserScope;
use crate::http::{CurrentUser, Cursor, Json, Page, PageQuery, Path, Problem, ProblemBody, Query};
use crate::identity::MayApprove;
use crate::live::Topic;
use crate::state::App;
use crate::tasks::Enqueue;

const LONGEST_REASON: usize = 2000;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(take_back))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those in this state.
    #[param(value_type = Option<approvals::ApprovalState>, inline)]
    state: Option<String>,
}

const STATES: [&str; 6] = [
    "pending",
    "approved",
    "rejected",
    "expired",
    "stale",
    "superseded",
];

/// What waits for the user's word, and what had it; newest first.
#[utoipa::path(get, path = "/api/approvals", tag = "approvals", params(PageQuery, Filter), responses(
    (status = 200, body = Page<Approval>), (status = 401, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn list(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Query(page): Query<PageQuery>,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Approval>>, Problem> {
    let (limit, after) = page.parse()?;
    let state = filter.state.as_deref();
    if state.is_some_and(|state| !STATES.contains(&state)) {
        let words = format!("must be one of {}", STATES.join(", "));
        return Err(Problem::invalid("state", words));
    }
    let mut tx = scope.begin(&app.pool).await?;
    let found = approvals::list(&mut tx, app.clock.now(), state, limit, after).await?;
    Ok(Json(Page::of(found, limit, |approval| Cursor {
        at: approval.created_at,
        id: approval.id,
    })))
}

/// One approval.
#[utoipa::path(get, path = "/api/approvals/{id}", tag = "approvals", responses(
    (status = 200, body = Approval), (status = 401, body = ProblemBody),
    (status = 404, body = ProblemBody)))]
async fn get(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<Approval>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    approvals::find(&mut tx, id, app.clock.now())
        .await?
        .map(Json)
        .ok_or_else(Problem::not_found)
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
struct Approve {
    /// What was looked at; anything else now is a conflict.
    expected_digest: Option<String>,
    /// What is to be done instead.
    #[schema(value_type = Option<approvals::Input>)]
    input: Option<Value>,
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
struct Reject {
    /// Goes back to the assistant.
    reason: Option<String>,
}

/// Allows it: exactly what is stored, or what is sent along, once. Needs the user in person or a token
/// with the scope `approve`.
#[utoipa::path(post, path = "/api/approvals/{id}/approve", tag = "approvals", request_body = Option<Approve>,
    responses((status = 200, body = Approval), (status = 400, body = ProblemBody),
    (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
    (status = 409, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn approve(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    may_approve: MayApprove,
    Path(id): Path<Uuid>,
    body: Option<Json<Approve>>,
) -> Result<Json<Approval>, Problem> {
    let asked = body.map(|Json(asked)| asked).unwrap_or_default();
    let word = Word::Approve {
        expected_digest: asked.expected_digest,
        input: asked.input,
    };
    decide(&app, scope, &may_approve, id, word).await
}

/// Refuses it; nothing is done.
#[utoipa::path(post, path = "/api/approvals/{id}/reject", tag = "approvals", request_body = Option<Reject>,
    responses((status = 200, body = Approval), (status = 400, body = ProblemBody),
    (status = 401, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
    (status = 409, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn reject(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    may_approve: MayApprove,
    Path(id): Path<Uuid>,
    body: Option<Json<Reject>>,
) -> Result<Json<Approval>, Problem> {
    let asked = body.map(|Json(asked)| asked).unwrap_or_default();
    if let Some(reason) = &asked.reason
        && (reason.chars().count() > LONGEST_REASON || reason.contains('\0'))
    {
        let words = format!("at most {LONGEST_REASON} characters, without NUL");
        return Err(Problem::invalid("reason", words));
    }
    let word = Word::Reject {
        reason: asked.reason,
    };
    decide(&app, scope, &may_approve, id, word).await
}

fn allowed(may_approve: &MayApprove) -> Result<(), Problem> {
    if may_approve.0 {
        return Ok(());
    }
    Err(
        Problem::forbidden("this token can't decide what is done outside")
            .detail("sign in, or use a token with the scope approve"),
    )
}

async fn decide(
    app: &App,
    scope: UserScope,
    may_approve: &MayApprove,
    id: Uuid,
    word: Word,
) -> Result<Json<Approval>, Problem> {
    allowed(may_approve)?;
    let mut tx = scope.begin(&app.pool).await?;
    let decided = approvals::decide(app, &mut tx, id, word).await?;
    let approval = match decided {
        Decided::Yes(approval) => *approval,
        Decided::Absent => return Err(Problem::not_found()),
        Decided::Over(state) if state == "superseded" => {
            return Err(Problem::conflict("nobody is left to do this")
                .detail("it is superseded: what it was for came about, or its task has ended"));
        }
        Decided::Over(state) => {
            return Err(Problem::conflict("this has been decided").detail(format!("it is {state}")));
        }
        Decided::OtherDigest => {
            return Err(Problem::conflict("this isn't what you looked at")
                .detail("its content has changed: look again"));
        }
        Decided::Wrong(wrong) => {
            return Err(Problem::invalid(
                format!("input.{}", wrong.field),
                wrong.message,
            ));
        }
    };
    tx.commit().await?;
    app.tasks.wake();
    approvals::tell(app, scope, &approval);
    if approval.state == "rejected" {
        app.live
            .tell(scope.user_id(), Topic::Activity, serde_json::json!({}));
    }
    Ok(Json(approval))
}

/// The task that takes something back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Begun {
    task_id: Uuid,
}

/// Takes back what was done, where `undo` of the entry says that it can be. Only while things are as they were
/// left: otherwise the task ends with the reason `conflict`, and nothing is changed.
#[utoipa::path(post, path = "/api/activity/{id}/undo", tag = "activity", params(("id" = Uuid, Path)), responses(
    (status = 202, body = Begun), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn take_back(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    may_approve: MayApprove,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let entry = activity::find(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    // It reaches the outside world like what it takes back.
    allowed(&may_approve)?;
    if entry.undone_by.is_some() {
        return Err(Problem::conflict("this was taken back already"));
    }
    if !undo::is_possible(&entry) {
        return Err(Problem::conflict("this can't be taken back"));
    }
    let how = Enqueue {
        unique_key: Some(id.to_string()),
        caused_by: Some(json!({"kind": "activity", "id": id})),
        ..Enqueue::default()
    };
    let task_id = app
        .tasks
        .enqueue(&mut tx, &Undo { entry_id: id }, how)
        .await
        .map_err(Problem::internal)?;
    tx.commit().await?;
    app.tasks.wake();
    Ok((StatusCode::ACCEPTED, Json(Begun { task_id })))
}
