//! Sessions: the cookie, and the middleware that turns it or an API token into a `UserScope`.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use cookie::{Cookie, SameSite};

use super::access::{Access, is_read};
use super::{store, tokens};
use crate::config::Config;
use crate::db::{UserId, UserScope};
use crate::http::Problem;
use crate::ids;
use crate::state::App;

const LIFETIME: TimeDelta = TimeDelta::days(30);
const IDLE: TimeDelta = TimeDelta::days(7);
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-session" } else { "session" }
}

fn cookie(app: &App, value: String) -> Cookie<'static> {
    Cookie::build((cookie_name(app.is_https()), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.is_https())
        .build()
}

/// The opaque ids that the request carries; a browser may hold one of ours and one of a stranger's
/// making, so each is tried.
fn ids_of(headers: &HeaderMap, https: bool) -> Vec<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .filter(|cookie| cookie.name() == cookie_name(https))
        .map(|cookie| cookie.value().to_owned())
        .take(4)
        .collect()
}

fn hash(id: &str) -> [u8; 32] {
    ids::digest(&[id])
}

/// Opens a session; the value is for `Set-Cookie`.
pub(super) async fn open(app: &App, user_id: UserId) -> Result<String, sqlx::Error> {
    let id = ids::token();
    store::open_session(&app.pool, &hash(&id), user_id, app.clock.now(), LIFETIME).await?;
    let mut cookie = cookie(app, id);
    cookie.set_max_age(cookie::time::Duration::seconds(LIFETIME.num_seconds()));
    Ok(cookie.to_string())
}

/// Ends the request's sessions; the value removes the cookie.
pub(super) async fn close(app: &App, headers: &HeaderMap) -> Result<String, sqlx::Error> {
    for id in ids_of(headers, app.is_https()) {
        store::close_session(&app.pool, &hash(&id), app.clock.now(), IDLE).await?;
    }
    Ok(no_session(app))
}

/// Removes the browser's cookie, as a value of `Set-Cookie`.
pub fn no_session(app: &App) -> String {
    let mut cookie = cookie(app, String::new());
    cookie.set_max_age(cookie::time::Duration::ZERO);
    cookie.to_string()
}

/// Puts the `UserScope` of the session or API token into the request; without a live one the request
/// goes on without, and routes that need it answer 401.
pub async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match who(&app, request.headers()).await {
        Ok(Some((user_id, access))) => {
            let extensions = request.extensions_mut();
            extensions.insert(UserScope::checked(user_id));
            extensions.insert(access);
        }
        Ok(None) => {}
        Err(error) => return Problem::from(error).into_response(),
    }
    next.run(request).await
}

/// After [`authenticate`]: a write by cookie from elsewhere ends here, and so does what a token's scopes
/// don't allow.
pub async fn authorize(State(app): State<App>, request: Request, next: Next) -> Response {
    if let Some(access) = request.extensions().get::<Access>() {
        if *access == Access::Session
            && !is_read(request.method())
            && !is_from_us(&app, request.headers())
        {
            return foreign().into_response();
        }
        if let Some(scope) = access.lacks(request.method(), request.uri().path()) {
            return Problem::forbidden("this API token may not do this")
                .detail(format!("it lacks the scope {:?}", scope.name()))
                .into_response();
        }
    }
    next.run(request).await
}

/// Whose live token or session the request carries. A token says on purpose who asks, so it goes
/// before a cookie, which browsers send by themselves.
async fn who(app: &App, headers: &HeaderMap) -> Result<Option<(UserId, Access)>, sqlx::Error> {
    let now = app.clock.now();
    if let Some(token) = api_token(headers) {
        let found = store::find_token(&app.pool, &tokens::hash(token), now).await?;
        return Ok(found.map(|(user_id, scopes)| (user_id, Access::Token(scopes))));
    }
    let user_id = user_of(app, headers).await?;
    Ok(user_id.map(|user_id| (user_id, Access::Session)))
}

/// Whose live session the request carries.
pub(super) async fn user_of(app: &App, headers: &HeaderMap) -> Result<Option<UserId>, sqlx::Error> {
    let now = app.clock.now();
    for id in ids_of(headers, app.is_https()) {
        if let Some(user_id) = store::find_session(&app.pool, &hash(&id), now, IDLE).await? {
            return Ok(Some(user_id));
        }
    }
    Ok(None)
}

/// The one bearer token of ours; the operators' for `/metrics` is none.
fn api_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with(tokens::PREFIX)).then_some(token)
}

pub(super) fn foreign() -> Problem {
    Problem::forbidden("this request comes from another site")
        .detail("send it from PUBLIC_URL or FRONTEND_URL, with an Origin header")
}

/// An `Origin` of ours, compared as a whole; or a browser's own word that the site is the same.
fn is_from_us(app: &App, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => {
            let ours = Config::origins(&app.public_url, &app.frontend_url);
            origin.to_str().is_ok_and(|origin| ours.contains(origin)) || is_same_origin(headers)
        }
        (None, _) => is_same_origin(headers),
        (Some(_), Some(_)) => false,
    }
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    headers
        .get(SEC_FETCH_SITE)
        .is_some_and(|site| site == "same-origin")
}

/// For sign-in without a session: a browser tells where it comes from, a script says nothing.
pub fn refuse_foreign(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let says_nothing = !headers.contains_key(ORIGIN) && !headers.contains_key(SEC_FETCH_SITE);
    if says_nothing || is_from_us(app, headers) {
        Ok(())
    } else {
        Err(foreign())
    }
}
