//! `/api/usage`: what the models took, and what is left of the day.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::usage::{self, Budget, Spent};
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::state::App;

/// Two purposes over three months.
const ROWS: i64 = 200;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get))
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct UsageBody {
    /// The latest days first.
    items: Vec<Spent>,
    used_today: i64,
    /// Tokens in a day.
    budget: i64,
    budget_resets_at: DateTime<Utc>,
}

/// Tokens by day and purpose, and the budget.
#[utoipa::path(get, path = "/api/usage", tag = "settings", responses(
    (status = 200, body = UsageBody), (status = 401, body = ProblemBody)))]
async fn get(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
) -> Result<Json<UsageBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let budget = Budget::read(&mut tx, app.clock.now()).await?;
    let items = usage::list(&mut tx, ROWS).await?;
    Ok(Json(UsageBody {
        items,
        used_today: budget.used,
        budget: budget.daily,
        budget_resets_at: budget.resets_at,
    }))
}
