//! HubSpot's token endpoints, in all versions that are still about.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::access::{Grant, oauth_error};
use super::{APP_ID, CLIENT_ID, CLIENT_SECRET, State as Inner};
use crate::http::Path;
use crate::simulator::{World, reply};

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/oauth/{version}/token", post(token))
        .route("/oauth/{version}/token/introspect", post(introspect))
        .route("/oauth/{version}/token/revoke", post(revoke))
        .route("/oauth/v1/access-tokens/{token}", get(access_token))
        .route(
            "/oauth/v1/refresh-tokens/{token}",
            get(refresh_token).delete(end_refresh_token),
        )
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenForm {
    grant_type: String,
    client_id: String,
    client_secret: String,
    redirect_uri: Option<String>,
    code: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
    token: String,
}

fn wrong<T>(http: u16, status: &str, error: &str, words: &str) -> Result<T, Box<Response>> {
    Err(Box::new(oauth_error(http, status, error, words)))
}

/// The form of a call that our app may make. Credentials count in the body alone: HubSpot takes
/// none from the query or from a header.
fn form(version: &str, headers: &HeaderMap, body: &str) -> Result<TokenForm, Box<Response>> {
    if !matches!(version, "v1" | "v3" | "2026-03" | "2026-09") {
        return Err(Box::new(StatusCode::NOT_FOUND.into_response()));
    }
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        let words = "the body must be a form";
        return wrong(415, "UNSUPPORTED_MEDIA_TYPE", "invalid_request", words);
    }
    let Ok(form) = serde_urlencoded::from_str::<TokenForm>(body) else {
        let words = "the form can't be read";
        return wrong(400, "BAD_REQUEST", "invalid_request", words);
    };
    if form.client_id != CLIENT_ID {
        let words = "missing or unknown client id";
        return wrong(400, "BAD_CLIENT_ID", "invalid_client", words);
    }
    if form.client_secret != CLIENT_SECRET {
        let words = "missing or invalid client secret";
        return wrong(401, "BAD_CLIENT_SECRET", "invalid_client", words);
    }
    Ok(form)
}

async fn token(
    State(world): State<World>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let form = match form(&version, &headers, &body) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let granted = match form.grant_type.as_str() {
        "authorization_code" => exchange(&world, &form),
        "refresh_token" => refresh(&world, &form),
        _ => {
            let words = "missing or unknown grant_type";
            wrong(400, "BAD_GRANT_TYPE", "unsupported_grant_type", words)
        }
    };
    match granted {
        Ok((grant, refresh)) => token_reply(&world, &version, &grant, &refresh),
        Err(response) => *response,
    }
}

/// The grant of a code, and a new refresh token.
fn exchange(world: &World, form: &TokenForm) -> Result<(Grant, String), Box<Response>> {
    let mut state = world.hubspot().state();
    // Gone whatever comes of it: a code works once.
    let issued = form.code.as_ref().and_then(|code| state.codes.remove(code));
    let Some(issued) = issued else {
        let words = "missing or unknown auth code";
        return wrong(400, "BAD_AUTH_CODE", "invalid_grant", words);
    };
    if issued.expires_at <= world.clock().now() {
        let words = "the auth code has expired";
        return wrong(400, "EXPIRED_AUTH_CODE", "invalid_grant", words);
    }
    if form.redirect_uri.as_deref() != Some(&issued.redirect_uri) {
        let words = "redirect uri does not match the auth code's";
        let status = "MISMATCH_REDIRECT_URI_AUTH_CODE";
        return wrong(400, status, "invalid_grant", words);
    }
    let proven = issued.challenge.is_none_or(|(challenge, hashed)| {
        form.code_verifier.as_ref().is_some_and(|verifier| {
            if hashed {
                URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge
            } else {
                *verifier == challenge
            }
        })
    });
    if !proven {
        let words = "the code verifier does not match the challenge";
        return wrong(400, "BAD_AUTH_CODE", "invalid_grant", words);
    }
    if let Some(portal) = state.portals.get_mut(&issued.grant.portal) {
        portal.uninstalled = false;
    }
    let refresh = state.open_refresh(&issued.grant);
    Ok((issued.grant, refresh))
}

/// The grant of a refresh token, which stays the same.
fn refresh(world: &World, form: &TokenForm) -> Result<(Grant, String), Box<Response>> {
    let token = form.refresh_token.clone().unwrap_or_default();
    match world.hubspot().state().refresh.get(&token) {
        Some(grant) => Ok((grant.clone(), token)),
        None => {
            let words = "missing or invalid refresh token";
            wrong(400, "BAD_REFRESH_TOKEN", "invalid_grant", words)
        }
    }
}

fn token_reply(world: &World, version: &str, grant: &Grant, refresh: &str) -> Response {
    let mut state = world.hubspot().state();
    let (access, expires_in) = state.open_access(grant, world.clock().now());
    let mut body = json!({
        "token_type": "bearer", "access_token": access, "refresh_token": refresh,
        "expires_in": expires_in,
    });
    if version != "v1" {
        body["token_use"] = json!("access_token");
        if !state.short_token_replies {
            body["hub_id"] = json!(grant.portal);
            body["user_id"] = json!(grant.user);
            body["scopes"] = json!(grant.scopes);
        }
    }
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (no_store, reply(200, body)).into_response()
}

async fn introspect(
    State(world): State<World>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let form = match form(&version, &headers, &body) {
        Ok(_) if version == "v1" => return StatusCode::NOT_FOUND.into_response(),
        Ok(form) => form,
        Err(response) => return *response,
    };
    let state = world.hubspot().state();
    let Some((grant, left)) = found(&state, &form.token, world.clock().now()) else {
        return reply(200, json!({"active": false}));
    };
    let mut body = told(&state, &form.token, &grant, left);
    let token_use = if left.is_some() {
        "access_token"
    } else {
        "refresh_token"
    };
    body["active"] = json!(true);
    body["token_use"] = json!(token_use);
    body["client_id"] = json!(CLIENT_ID);
    body["is_private_distribution"] = json!(false);
    if let Some(left) = left {
        let expires_at = world.clock().now().timestamp_millis() + left * 1000;
        body["signed_access_token"] = json!({
            "expiresAt": expires_at, "hubId": grant.portal, "userId": grant.user, "appId": APP_ID,
            "scopes": "AAEAAQ==", "signature": "c2ltdWxhdGVk", "scopeToScopeGroupPks": "",
            "hublet": "na1", "trialScopes": "", "trialScopeToScopeGroupPks": "", "isUserLevel": false,
        });
    }
    reply(200, body)
}

/// A living token's grant, and the seconds that it has left if it is an access token.
fn found(state: &Inner, token: &str, now: DateTime<Utc>) -> Option<(Grant, Option<i64>)> {
    if let Some(grant) = state.refresh.get(token) {
        return Some((grant.clone(), None));
    }
    let access = state.access.get(token)?;
    Some((access.grant.clone(), Some(access.left(now)?)))
}

/// What both generations of introspection tell.
fn told(state: &Inner, token: &str, grant: &Grant, left: Option<i64>) -> Value {
    let portal = state.portals.get(&grant.portal);
    let mut body = json!({
        "token": token, "hub_id": grant.portal, "user_id": grant.user, "app_id": APP_ID,
        "scopes": grant.scopes, "token_type": if left.is_some() { "access" } else { "refresh" },
        "hub_domain": portal.map(|portal| &portal.domain),
        "user": portal.and_then(|portal| portal.users.get(&grant.user)),
    });
    if let Some(left) = left {
        body["expires_in"] = json!(left);
    }
    body
}

async fn revoke(
    State(world): State<World>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let form = match form(&version, &headers, &body) {
        Ok(_) if version == "v1" => return StatusCode::NOT_FOUND.into_response(),
        Ok(form) => form,
        Err(response) => return *response,
    };
    let mut state = world.hubspot().state();
    let refresh = state.refresh.remove(&form.token).is_some();
    if refresh || state.access.remove(&form.token).is_some() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let words = "missing or unknown token";
        oauth_error(400, "BAD_TOKEN", "invalid_request", words)
    }
}

async fn access_token(State(world): State<World>, Path(token): Path<String>) -> Response {
    let state = world.hubspot().state();
    match found(&state, &token, world.clock().now()) {
        Some((grant, left @ Some(_))) => reply(200, told(&state, &token, &grant, left)),
        _ => unknown_token(),
    }
}

async fn refresh_token(State(world): State<World>, Path(token): Path<String>) -> Response {
    let state = world.hubspot().state();
    match found(&state, &token, world.clock().now()) {
        Some((grant, None)) => {
            let mut body = told(&state, &token, &grant, None);
            body["client_id"] = json!(CLIENT_ID);
            reply(200, body)
        }
        _ => unknown_token(),
    }
}

async fn end_refresh_token(State(world): State<World>, Path(token): Path<String>) -> Response {
    match world.hubspot().state().refresh.remove(&token) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => unknown_token(),
    }
}

fn unknown_token() -> Response {
    oauth_error(
        404,
        "NOT_FOUND",
        "invalid_request",
        "the token is not known",
    )
}
