//! `/api/auth/tokens`: personal API tokens for scripts. A token is shown once, when it is made.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::access::{InPerson, TokenScope};
use super::store;
use crate::http::{Cursor, Json, Page, PageQuery, Path, Problem, ProblemBody, Query};
use crate::ids;
use crate::state::App;

/// So that scanners know one when it stands where it shouldn't.
pub(super) const PREFIX: &str = "ppt_";
const MOST: i64 = 100;
const LONGEST_NAME: usize = 100;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(delete))
}

pub(super) fn hash(token: &str) -> [u8; 32] {
    ids::digest(&["api token", token])
}

/// An API token, without the token itself.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ApiToken {
    pub id: Uuid,
    pub name: String,
    pub scopes: Vec<TokenScope>,
    pub expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// To the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// The one time that the token is told.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct NewApiToken {
    #[serde(flatten)]
    about: ApiToken,
    /// Send it as `Authorization: Bearer <token>`. It can't be had again.
    token: String,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct CreateToken {
    /// What it is for, 1 to 100 characters.
    name: String,
    /// `["read"]` when absent.
    scopes: Option<Vec<TokenScope>>,
    /// Without one it lasts until it is deleted.
    expires_at: Option<DateTime<Utc>>,
}

/// The user's API tokens, newest first. Asked for in person only.
#[utoipa::path(get, path = "/api/auth/tokens", tag = "auth", params(PageQuery), responses(
    (status = 200, body = Page<ApiToken>), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn list(
    State(app): State<App>,
    InPerson(scope): InPerson,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ApiToken>>, Problem> {
    let (limit, cursor) = page.parse()?;
    let mut tx = scope.begin(&app.pool).await?;
    let rows = store::list_tokens(&mut tx, limit + 1, cursor).await?;
    tx.commit().await?;
    Ok(Json(Page::of(rows, limit, |token| Cursor {
        at: token.created_at,
        id: token.id,
    })))
}

/// Makes an API token. In person only: a token can't make another.
#[utoipa::path(post, path = "/api/auth/tokens", tag = "auth", responses(
    (status = 201, body = NewApiToken), (status = 401, body = ProblemBody),
    (status = 403, body = ProblemBody), (status = 409, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn create(
    State(app): State<App>,
    InPerson(scope): InPerson,
    Json(asked): Json<CreateToken>,
) -> Result<(StatusCode, Json<NewApiToken>), Problem> {
    let name = asked.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(Problem::invalid("name", "must have 1 to 100 characters"));
    }
    let mut scopes = asked.scopes.unwrap_or_else(|| vec![TokenScope::Read]);
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(Problem::invalid("scopes", "must hold at least one"));
    }
    let now = app.clock.now();
    if asked.expires_at.is_some_and(|at| at <= now) {
        return Err(Problem::invalid("expires_at", "must be in the future"));
    }
    let token = format!("{PREFIX}{}", ids::token());
    let about = ApiToken {
        id: ids::next(),
        name: name.to_owned(),
        scopes,
        expires_at: asked.expires_at,
        created_at: now,
        last_used_at: None,
    };
    let mut tx = scope.begin(&app.pool).await?;
    let added = store::add_token(&mut tx, &about, &hash(&token), MOST).await?;
    tx.commit().await?;
    if !added {
        return Err(Problem::conflict("too many API tokens").detail("delete one first"));
    }
    Ok((StatusCode::CREATED, Json(NewApiToken { about, token })))
}

/// Ends an API token at once. In person only.
#[utoipa::path(delete, path = "/api/auth/tokens/{id}", tag = "auth", params(("id" = Uuid, Path)), responses(
    (status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody)))]
async fn delete(
    State(app): State<App>,
    InPerson(scope): InPerson,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let deleted = store::delete_token(&mut tx, id).await?;
    tx.commit().await?;
    if deleted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found())
    }
}
