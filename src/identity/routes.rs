//! `/api/auth`: which sign-ins there are, who is signed in, the demo's sign-in, signing out.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::connections::{self, Connection};
use super::{DEMO_ADVISOR, demo_advisor, session, store};
use crate::db::UserScope;
use crate::http::extract::{JSON_LIMIT, body_within};
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(options))
        .routes(routes!(me))
        .routes(routes!(demo))
        .routes(routes!(local))
        .routes(routes!(logout))
        .merge(super::tokens::router())
        .merge(super::sign_in::router())
        .merge(connections::routes::router())
        .merge(super::settings::routes::router())
}

/// Who is signed in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Me {
    id: Uuid,
    email: String,
    name: String,
    picture_url: Option<String>,
    connections: Vec<Connection>,
}

/// Which ways to sign in this server offers.
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the JSON")]
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Options {
    /// The demo advisor: `POST /api/auth/demo`.
    demo: bool,
    /// Time can be moved and clients can be made to write, see `/api/demo`.
    demo_controls: bool,
    /// Whoever sits at this machine: `POST /api/auth/local`.
    local: bool,
    /// Google: `GET /api/auth/google/start`.
    google: bool,
    /// HubSpot, once signed in: `GET /api/auth/hubspot/start`.
    hubspot: bool,
    /// Whether this request carries a live session, so that a page needn't ask and be refused.
    signed_in: bool,
}

/// Which sign-ins are offered.
#[utoipa::path(get, path = "/api/auth/options", tag = "auth", responses((status = 200, body = Options)))]
async fn options(State(app): State<App>, user: Option<Extension<UserScope>>) -> Json<Options> {
    let demo = app.config.demo;
    Json(Options {
        demo: demo.mode,
        demo_controls: demo.controls,
        local: demo.local_sign_in,
        google: app.google.is_some(),
        hubspot: app.hubspot.is_some(),
        signed_in: user.is_some(),
    })
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/auth/me", tag = "auth", responses(
    (status = 200, body = Me), (status = 401, body = ProblemBody)))]
async fn me(State(app): State<App>, CurrentUser(scope): CurrentUser) -> Result<Json<Me>, Problem> {
    describe(&app, scope).await
}

async fn describe(app: &App, scope: UserScope) -> Result<Json<Me>, Problem> {
    let user = store::get(&app.pool, scope.user_id())
        .await?
        .ok_or_else(Problem::unauthenticated)?;
    Ok(Json(Me {
        id: user.id,
        email: user.email,
        name: user.name,
        picture_url: user.picture_url,
        connections: connections::list(app, &scope).await?,
    }))
}

/// What demo sign-in takes; an empty body is fine.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
struct DemoSignIn {
    /// Another demo advisor than the usual one, with a book of their own.
    email: Option<String>,
}

/// Opens a session as a demo advisor. Demo mode only.
#[utoipa::path(post, path = "/api/auth/demo", tag = "auth", request_body = inline(Option<DemoSignIn>), responses(
    (status = 200, body = Me), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn demo(
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    if !app.config.demo.mode {
        return Err(Problem::not_found());
    }
    let body = body_within(request, JSON_LIMIT).await?;
    let asked: Option<DemoSignIn> = if body.is_empty() {
        None
    } else {
        serde_json::from_slice(&body).map_err(|_| Problem::malformed("malformed JSON"))?
    };
    let asked = asked.unwrap_or_default();
    let email = asked.email.as_deref().unwrap_or(DEMO_ADVISOR);
    if !is_plain_address(email) {
        return Err(Problem::invalid("email", "must be an e-mail address"));
    }
    sign_in(&app, &headers, email).await
}

/// Opens a session for whoever sits at this machine: a development server on a loopback address
/// without any other way to sign in.
#[utoipa::path(post, path = "/api/auth/local", tag = "auth", responses(
    (status = 200, body = Me), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn local(State(app): State<App>, headers: HeaderMap) -> Result<impl IntoResponse, Problem> {
    if !app.config.demo.local_sign_in {
        return Err(Problem::not_found());
    }
    sign_in(&app, &headers, DEMO_ADVISOR).await
}

async fn sign_in(
    app: &App,
    headers: &HeaderMap,
    email: &str,
) -> Result<impl IntoResponse + use<>, Problem> {
    session::refuse_foreign(app, headers)?;
    // A new id at every sign-in: whoever knew the old one knows nothing now.
    session::close(app, headers).await?;
    let scope = demo_advisor(&app.pool, &app.clock, email).await?;
    let cookie = session::open(app, scope.user_id()).await?;
    let me = describe(app, scope).await?;
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), me))
}

fn is_plain_address(text: &str) -> bool {
    text.len() <= 254
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && domain.contains('.') && !domain.contains('@')
        })
}

/// Ends this session.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses(
    (status = 204), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody)))]
async fn logout(
    State(app): State<App>,
    CurrentUser(_scope): CurrentUser,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let cookie = session::close(&app, &headers).await?;
    Ok((
        StatusCode::NO_CONTENT,
        AppendHeaders([(SET_COOKIE, cookie)]),
    ))
}
