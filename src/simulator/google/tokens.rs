//! Google's token, revocation and key endpoints, and tokens of identity with what may be wrong with them.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::oauth::{Issued, long};
use super::{Access, CLIENT_ID, CLIENT_SECRET, Key, State as Inner, Twist};
use crate::clock::Clock;
use crate::http::Json;
use crate::simulator::{World, reply};

const ACCESS_LIFE: TimeDelta = TimeDelta::seconds(3599);

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/token", post(token))
        .route("/revoke", post(revoke))
        .route("/oauth2/v3/certs", get(certs))
}

#[derive(Deserialize)]
struct TokenForm {
    #[serde(default)]
    grant_type: String,
    code: Option<String>,
    redirect_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
}

fn oauth_error(status: u16, error: &str, words: &str) -> Response {
    reply(status, json!({"error": error, "error_description": words}))
}

async fn token(
    State(world): State<World>,
    headers: HeaderMap,
    Form(form): Form<TokenForm>,
) -> Response {
    let basic = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok());
    let ours = match basic {
        Some(pair) => pair == format!("{CLIENT_ID}:{CLIENT_SECRET}"),
        None => {
            form.client_id.as_deref() == Some(CLIENT_ID)
                && form.client_secret.as_deref() == Some(CLIENT_SECRET)
        }
    };
    if !ours {
        return oauth_error(401, "invalid_client", "Unauthorized");
    }
    match form.grant_type.as_str() {
        "authorization_code" => exchange(&world, &form),
        "refresh_token" => refresh(&world, &form),
        _ => oauth_error(400, "unsupported_grant_type", "Invalid grant_type"),
    }
}

fn exchange(world: &World, form: &TokenForm) -> Response {
    let now = world.clock().now();
    let mut state = world.google().state();
    // Gone whatever comes of it: a code works once.
    let Some(issued) = form.code.as_ref().and_then(|code| state.codes.remove(code)) else {
        return oauth_error(400, "invalid_grant", "Malformed auth code.");
    };
    let proven = match (&issued.challenge, &form.code_verifier) {
        (None, _) => true,
        (Some(_), None) => return oauth_error(400, "invalid_grant", "Missing code verifier."),
        (Some((challenge, true)), Some(verifier)) => {
            URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == *challenge
        }
        (Some((challenge, false)), Some(verifier)) => verifier == challenge,
    };
    let same = form.redirect_uri.as_deref() == Some(&issued.redirect_uri);
    if !proven || !same || issued.expires_at <= now {
        return oauth_error(400, "invalid_grant", "Bad Request");
    }
    let mut body = access(&mut state, now, &issued.email, &issued.scopes);
    if issued.offline {
        let refresh = state.next("1//0");
        let grant = (issued.email.clone(), issued.scopes.clone());
        state.refresh.insert(refresh.clone(), grant);
        body["refresh_token"] = json!(refresh);
    }
    if issued.scopes.iter().any(|scope| scope == "openid") {
        let twist = state.twists.pop_front();
        let token = id_token(&mut state, &issued, twist);
        if let Some(token) = token {
            body["id_token"] = json!(token);
        }
    }
    no_store(reply(200, body))
}

fn refresh(world: &World, form: &TokenForm) -> Response {
    let now = world.clock().now();
    let mut state = world.google().state();
    let grant = form
        .refresh_token
        .as_ref()
        .and_then(|token| state.refresh.get(token).cloned());
    let Some((email, scopes)) = grant else {
        return oauth_error(400, "invalid_grant", "Token has been expired or revoked.");
    };
    no_store(reply(200, access(&mut state, now, &email, &scopes)))
}

fn access(state: &mut Inner, now: DateTime<Utc>, email: &str, scopes: &[String]) -> Value {
    let token = state.next("ya29.");
    state.access.insert(
        token.clone(),
        Access {
            email: email.to_owned(),
            scopes: scopes.to_vec(),
            expires_at: now + ACCESS_LIFE,
        },
    );
    json!({
        "access_token": token, "expires_in": ACCESS_LIFE.num_seconds(), "token_type": "Bearer",
        "scope": scopes.join(" "),
    })
}

fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    response
}

fn id_token(state: &mut Inner, issued: &Issued, twist: Option<Twist>) -> Option<String> {
    let (email, nonce) = (&issued.email, issued.nonce.as_deref());
    let account = state.accounts.get(email)?;
    // Signatures follow the system's clock, also when the world's is moved.
    let now = Clock::default().now().timestamp();
    let mut claims = json!({
        "iss": "https://accounts.google.com", "aud": CLIENT_ID, "azp": CLIENT_ID, "sub": account.sub,
        "iat": now, "exp": now + 3600,
    });
    let allows = |scope: &str| issued.scopes.contains(&long(scope));
    if allows("email") {
        claims["email"] = json!(email);
        claims["email_verified"] = json!(true);
    }
    if allows("profile") {
        claims["name"] = json!(account.name);
    }
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    match twist {
        Some(Twist::Missing) => return None,
        Some(Twist::WrongNonce) => claims["nonce"] = json!("another"),
        Some(Twist::WrongAudience) => claims["aud"] = json!("another.apps.googleusercontent.com"),
        Some(Twist::WrongAuthorizedParty) => claims["azp"] = json!("another"),
        Some(Twist::WrongIssuer) => {
            claims["iss"] = json!("https://accounts.google.com.evil.example");
        }
        Some(Twist::ShortIssuer) => claims["iss"] = json!("accounts.google.com"),
        Some(Twist::Expired) => {
            claims["iat"] = json!(now - 7200);
            claims["exp"] = json!(now - 3600);
        }
        Some(Twist::FromTheFuture) => {
            claims["iat"] = json!(now + 3600);
            claims["exp"] = json!(now + 7200);
        }
        Some(Twist::Unverified) => claims["email_verified"] = json!(false),
        _ => {}
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let key = state.key();
    Some(match twist {
        Some(Twist::NoSignature) => {
            format!(
                "{}.{}.",
                part(&json!({"alg": "none", "kid": key.kid})),
                part(&claims)
            )
        }
        Some(Twist::ForeignKey) => Key::generate(key.kid.clone()).ok()?.sign(&claims),
        Some(Twist::UnknownKey) => Key::generate("unknown".to_owned()).ok()?.sign(&claims),
        Some(Twist::SymmetricKey) => {
            key.sign_with(&json!({"alg": "HS256", "kid": key.kid}), &claims)
        }
        Some(Twist::Tampered) => {
            let token = key.sign(&claims);
            claims["sub"] = json!("somebody-else");
            let mut parts: Vec<&str> = token.split('.').collect();
            let changed = part(&claims);
            parts[1] = &changed;
            parts.join(".")
        }
        _ => key.sign(&claims),
    })
}

#[derive(Deserialize)]
struct RevokeForm {
    token: String,
}

async fn revoke(State(world): State<World>, Form(form): Form<RevokeForm>) -> Response {
    let mut state = world.google().state();
    let owner = state
        .refresh
        .get(&form.token)
        .map(|(email, _)| email.clone())
        .or_else(|| Some(state.access.get(&form.token)?.email.clone()));
    match owner {
        Some(email) => {
            state.end_grant(&email);
            reply(200, json!({}))
        }
        None => oauth_error(400, "invalid_token", "Token expired or revoked"),
    }
}

async fn certs(State(world): State<World>) -> Response {
    let mut state = world.google().state();
    state.key();
    let keys: Vec<Value> = state.keys.iter().map(Key::public).collect();
    let max_age = [(
        header::CACHE_CONTROL,
        "public, max-age=20000, must-revalidate",
    )];
    (max_age, Json(json!({"keys": keys}))).into_response()
}
