//! A sign-in under way: what went out with the browser, and must come back with the same one, once.
//!
//! The database holds only hashes. The PKCE verifier and the nonce follow from the state and the
//! program's secret key, so that they needn't be kept anywhere.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use cookie::{Cookie, SameSite};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::db::UserId;
use crate::identity::store::{self, OAuthState};
use crate::ids;
use crate::secret::{Secret, derive};
use crate::state::App;

/// From the redirect to Google until it comes back.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// Then a late browser is no longer told from a forged one.
const KEPT: TimeDelta = TimeDelta::days(1);

const fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-sign-in" } else { "sign-in" }
}

/// A state that goes out.
pub(super) struct Begun {
    pub state: String,
    pub verifier: Secret<String>,
    pub nonce: String,
    /// For `Set-Cookie`.
    pub cookie: String,
}

/// What a state that came back had gone out with.
#[derive(Debug)]
pub(super) struct Returned {
    pub user_id: Option<UserId>,
    pub return_to: String,
    pub verifier: Secret<String>,
    pub nonce: String,
}

/// Why a state isn't taken; where the browser should go is known when only its time is over.
#[derive(Debug)]
pub(super) enum Refused {
    Unknown,
    Expired { return_to: String },
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Begins a sign-in in this browser.
pub(super) async fn begin(
    app: &App,
    headers: &HeaderMap,
    provider: &'static str,
    redirect_uri: &str,
    return_to: &str,
    user_id: Option<UserId>,
) -> Result<Begun, sqlx::Error> {
    let state = ids::token();
    // One cookie for all of a browser's tabs, or the second tab's sign-in would end the first's.
    let browser = browser(app, headers).unwrap_or_else(ids::token);
    let now = app.clock.now();
    store::add_state(
        &app.pool,
        &hash(&state),
        &OAuthState {
            provider: provider.to_owned(),
            browser_hash: hash(&browser).to_vec(),
            user_id,
            redirect_uri: redirect_uri.to_owned(),
            return_to: return_to.to_owned(),
            expires_at: now + LIFETIME,
        },
        now - KEPT,
    )
    .await?;
    let cookie = Cookie::build((cookie_name(app.is_https()), browser))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.is_https())
        .max_age(cookie::time::Duration::seconds(LIFETIME.num_seconds()))
        .build()
        .to_string();
    Ok(Begun {
        verifier: verifier(app, &state),
        nonce: nonce(app, &state),
        state,
        cookie,
    })
}

/// Takes a state back: it is gone afterwards, whatever comes of it.
pub(super) async fn take(
    app: &App,
    headers: &HeaderMap,
    provider: &'static str,
    redirect_uri: &str,
    state: &str,
) -> Result<Returned, Refused> {
    let found = store::take_state(&app.pool, &hash(state))
        .await?
        .ok_or(Refused::Unknown)?;
    let same_browser = browser(app, headers).is_some_and(|browser| {
        subtle::ConstantTimeEq::ct_eq(&hash(&browser)[..], &found.browser_hash).into()
    });
    if found.provider != provider || !same_browser || found.redirect_uri != redirect_uri {
        return Err(Refused::Unknown);
    }
    if found.expires_at <= app.clock.now() {
        return Err(Refused::Expired {
            return_to: found.return_to,
        });
    }
    Ok(Returned {
        user_id: found.user_id,
        return_to: found.return_to,
        verifier: verifier(app, state),
        nonce: nonce(app, state),
    })
}

fn browser(app: &App, headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == cookie_name(app.is_https()) && cookie.value().len() == 43)
        .map(|cookie| cookie.value().to_owned())
}

fn hash(text: &str) -> [u8; 32] {
    ids::digest(&["sign-in", text])
}

fn verifier(app: &App, state: &str) -> Secret<String> {
    Secret::new(following_from(app, "PKCE verifier", state))
}

fn nonce(app: &App, state: &str) -> String {
    following_from(app, "nonce", state)
}

fn following_from(app: &App, purpose: &str, state: &str) -> String {
    let key = derive(&app.secret_key, purpose);
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("any length is a key");
    mac.update(state.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}
