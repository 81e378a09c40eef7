//! `DELETE /api/auth/google` and `/api/auth/hubspot`.

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Provider, disconnect};
use crate::http::{Problem, ProblemBody};
use crate::identity::access::InPerson;
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(google))
        .routes(routes!(hubspot))
}

/// Ends the connection with Google: its tokens are revoked and forgotten. What was imported stays
/// until the account is deleted, and so does the session. In person only.
#[utoipa::path(delete, path = "/api/auth/google", tag = "auth", responses(
    (status = 204, description = "Also when there was none"), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody)))]
async fn google(State(app): State<App>, InPerson(scope): InPerson) -> Result<StatusCode, Problem> {
    disconnect(&app, &scope, Provider::Google).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the connection with HubSpot, likewise.
#[utoipa::path(delete, path = "/api/auth/hubspot", tag = "auth", responses(
    (status = 204, description = "Also when there was none"), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody)))]
async fn hubspot(State(app): State<App>, InPerson(scope): InPerson) -> Result<StatusCode, Problem> {
    disconnect(&app, &scope, Provider::HubSpot).await?;
    Ok(StatusCode::NO_CONTENT)
}
