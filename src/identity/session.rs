//! Sessions: the cookie, and the middleware that turns it into a `UserScope`.

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use cookie::{Cookie, SameSite};

use super::store;
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
    let mut cookie = cookie(app, String::new());
    cookie.set_max_age(cookie::time::Duration::ZERO);
    Ok(cookie.to_string())
}

/// Puts the session's `UserScope` into the request; without a live session the request goes on
/// without one, and routes that need it answer 401. A write by cookie from elsewhere ends here.
pub async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let mut user = None;
    for id in ids_of(request.headers(), app.is_https()) {
        match store::find_session(&app.pool, &hash(&id), app.clock.now(), IDLE).await {
            Ok(Some(found)) => {
                user = Some(found);
                break;
            }
            Ok(None) => {}
            Err(error) => return Problem::from(error).into_response(),
        }
    }
    if let Some(user_id) = user {
        let reads = matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        if !reads && !is_from_us(&app, request.headers()) {
            return foreign().into_response();
        }
        request.extensions_mut().insert(UserScope::checked(user_id));
    }
    next.run(request).await
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
pub(super) fn is_not_foreign(app: &App, headers: &HeaderMap) -> bool {
    let says_nothing = !headers.contains_key(ORIGIN) && !headers.contains_key(SEC_FETCH_SITE);
    says_nothing || is_from_us(app, headers)
}
