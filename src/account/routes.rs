//! `/api/account`: everything at once, taken along or ended.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deletion;
use super::export::{self, Exports};
use crate::activity::{self, Actor, Why};
use crate::http::{CurrentUser, Problem, ProblemBody};
use crate::identity::{self, InPerson};
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(take_along))
        .routes(routes!(end))
}

/// Everything that is held on the user: a zip of JSON lines and `.eml` files, streamed while it is read. One at a
/// time. `manifest.json` in it says what each file has; a zip without its end broke off.
#[utoipa::path(get, path = "/api/account/export", tag = "account", responses(
    (status = 200, content_type = "application/zip", body = String), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn take_along(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
) -> Result<impl IntoResponse, Problem> {
    let exports = app.memory.of::<Exports>();
    let turn = exports.begin(scope.user_id().0).ok_or_else(|| {
        Problem::conflict("an export is under way").detail("wait for its end, or break it off")
    })?;
    let now = app.clock.now();
    let mut tx = scope.begin(&app.pool).await?;
    let entry = activity::New {
        result: Some(json!({"state": "begun"})),
        ..activity::New::of(Actor::User, "export", Why::default())
    };
    activity::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    let body = export::stream(&app, scope, turn);
    let name = format!(
        "attachment; filename=\"paraplanner-{}.zip\"",
        now.format("%Y-%m-%d")
    );
    let headers = AppendHeaders([
        (CONTENT_TYPE, HeaderValue::from_static("application/zip")),
        (
            CONTENT_DISPOSITION,
            HeaderValue::from_str(&name).map_err(Problem::internal)?,
        ),
    ]);
    Ok((headers, Body::from_stream(ReceiverStream::new(body))))
}

/// Ends the account: grants are revoked, every row is deleted, and nothing of it can be had back. In person only.
/// What is at Google and HubSpot stays there.
#[utoipa::path(delete, path = "/api/account", tag = "account", responses(
    (status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 409, body = ProblemBody)))]
async fn end(
    State(app): State<App>,
    InPerson(scope): InPerson,
) -> Result<impl IntoResponse, Problem> {
    app.may_delete()?;
    // It goes on when the reader leaves: half a deletion is none.
    let deleting = app.clone();
    let deleted = app
        .background
        .spawn(async move { deletion::delete(&deleting, scope).await });
    deleted
        .await
        .map_err(Problem::internal)?
        .map_err(Problem::internal)?;
    let cookie = identity::no_session(&app);
    Ok((
        StatusCode::NO_CONTENT,
        AppendHeaders([(SET_COOKIE, cookie)]),
    ))
}
