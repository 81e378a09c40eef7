//! Google's sign-in pages, token, revocation and key endpoints.

use std::fmt::Write as _;

use axum::Form;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Access, CLIENT_ID, CLIENT_SECRET, Decision, Google, Key, State as Inner, Twist};
use crate::clock::Clock;
use crate::http::{Json, Query};
use crate::simulator::{World, reply};

const CODE_LIFE: TimeDelta = TimeDelta::minutes(10);
const ACCESS_LIFE: TimeDelta = TimeDelta::seconds(3599);

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/o/oauth2/v2/auth", get(authorize).post(consent))
        .route("/token", post(token))
        .route("/revoke", post(revoke))
        .route("/oauth2/v3/certs", get(certs))
        .route("/sim/google/accounts", post(add_account))
        .route("/sim/google/decisions", post(add_decision))
        .route("/sim/google/twists", post(add_twist))
        .route("/sim/google/keys/rotate", post(rotate))
        .route("/sim/google/revoke", post(end_grant))
        .route("/sim/google/access-tokens/expire", post(expire))
}

/// What an authorization asks for.
#[derive(Clone, Debug, Deserialize)]
struct Asked {
    client_id: String,
    redirect_uri: String,
    response_type: String,
    scope: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    code_challenge: Option<String>,
    #[serde(default)]
    code_challenge_method: Option<String>,
    #[serde(default)]
    access_type: Option<String>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    login_hint: Option<String>,
}

/// A code that was given out, and for what.
pub(super) struct Issued {
    email: String,
    scopes: Vec<String>,
    redirect_uri: String,
    nonce: Option<String>,
    challenge: Option<(String, bool)>,
    offline: bool,
    expires_at: DateTime<Utc>,
}

async fn authorize(State(world): State<World>, Query(asked): Query<Asked>) -> Response {
    if let Err(page) = judge(&asked) {
        return *page;
    }
    let decision = world.google().state().decisions.pop_front();
    match decision {
        Some(decision) => decided(&world, &asked, decision),
        None => page(world.google(), &asked),
    }
}

/// Google shows an error page of its own, and sends nobody anywhere.
fn judge(asked: &Asked) -> Result<(), Box<Response>> {
    let wrong = |words: &str| {
        let page = format!("<!doctype html><title>Error 400</title><h1>Error 400: {words}</h1>");
        Err(Box::new(
            (StatusCode::BAD_REQUEST, Html(page)).into_response(),
        ))
    };
    if asked.client_id != CLIENT_ID {
        return wrong("invalid_client");
    }
    let is_local = Url::parse(&asked.redirect_uri)
        .is_ok_and(|url| url.path() == "/api/auth/google/callback" && url.query().is_none());
    if !is_local {
        return wrong("redirect_uri_mismatch");
    }
    if asked.response_type != "code" {
        return wrong("unsupported_response_type");
    }
    if asked.scope.trim().is_empty() {
        return wrong("invalid_scope");
    }
    Ok(())
}

fn decided(world: &World, asked: &Asked, decision: Decision) -> Response {
    let Ok(mut back) = Url::parse(&asked.redirect_uri) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let all = || asked.scope.split_whitespace().map(long).collect::<Vec<_>>();
    let granted = match decision {
        Decision::Refuse { error } => {
            back.query_pairs_mut().append_pair("error", &error);
            None
        }
        Decision::Allow { email } => Some((email, all())),
        Decision::AllowOnly { email, scopes } => {
            let kept = all()
                .into_iter()
                .filter(|scope| scopes.iter().any(|wanted| long(wanted) == *scope));
            Some((email, kept.collect()))
        }
    };
    if let Some((email, scopes)) = granted {
        let mut state = world.google().state();
        if !state.accounts.contains_key(&email) {
            return (StatusCode::BAD_REQUEST, "no such account").into_response();
        }
        // Real codes hold a slash, which arrives percent-encoded.
        let code = state.next("4/0");
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("authuser", "0")
            .append_pair("prompt", asked.prompt.as_deref().unwrap_or("none"));
        let method = asked.code_challenge_method.as_deref();
        state.codes.insert(
            code,
            Issued {
                email,
                scopes,
                redirect_uri: asked.redirect_uri.clone(),
                nonce: asked.nonce.clone(),
                challenge: asked
                    .code_challenge
                    .clone()
                    .map(|challenge| (challenge, method == Some("S256"))),
                offline: asked.access_type.as_deref() == Some("offline"),
                expires_at: world.clock().now() + CODE_LIFE,
            },
        );
    }
    if let Some(state) = &asked.state {
        back.query_pairs_mut().append_pair("state", state);
    }
    Redirect::to(back.as_str()).into_response()
}

/// A scope as token replies word it.
fn long(scope: &str) -> String {
    match scope {
        "email" | "profile" => format!("https://www.googleapis.com/auth/userinfo.{scope}"),
        other => other.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

fn page(google: &Google, asked: &Asked) -> Response {
    let mut fields = String::new();
    for (name, value) in [
        ("client_id", Some(&asked.client_id)),
        ("redirect_uri", Some(&asked.redirect_uri)),
        ("response_type", Some(&asked.response_type)),
        ("scope", Some(&asked.scope)),
        ("state", asked.state.as_ref()),
        ("nonce", asked.nonce.as_ref()),
        ("code_challenge", asked.code_challenge.as_ref()),
        (
            "code_challenge_method",
            asked.code_challenge_method.as_ref(),
        ),
        ("access_type", asked.access_type.as_ref()),
        ("prompt", asked.prompt.as_ref()),
    ] {
        if let Some(value) = value {
            let value = escaped(value);
            let _ = write!(fields, "<input type=hidden name={name} value=\"{value}\">");
        }
    }
    let mut accounts = String::new();
    let state = google.state();
    for (place, (email, account)) in state.accounts.iter().enumerate() {
        let hinted = asked.login_hint.as_deref();
        let checked = hinted == Some(email) || hinted == Some(&account.sub) || place == 0;
        let (email, name) = (escaped(email), escaped(&account.name));
        let checked = if checked { " checked" } else { "" };
        let _ = write!(
            accounts,
            "<label><input type=radio name=email value=\"{email}\"{checked}> {name} ({email})</label>"
        );
    }
    let mut boxes = String::new();
    for scope in asked.scope.split_whitespace() {
        let scope = escaped(scope);
        let _ = write!(
            boxes,
            "<label><input type=checkbox name=granted value=\"{scope}\" checked> {scope}</label>"
        );
    }
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Simulated Google</title><style>body{{font:16px/1.5 system-ui;max-width:34rem;margin:3rem auto;\
         padding:0 1rem}}label{{display:block;margin:.4rem 0}}button{{font:inherit;padding:.5rem 1.2rem;\
         margin:1rem .5rem 0 0}}</style><main><h1>Simulated Google</h1><p>Paraplanner asks for access. This is the \
         demo's stand-in for Google: nothing leaves this machine.</p><form method=post>{fields}\
         <fieldset><legend>Account</legend>{accounts}</fieldset><fieldset><legend>Access</legend>{boxes}\
         </fieldset><button name=decision value=allow>Allow</button><button name=decision value=deny>Deny\
         </button></form></main></html>"
    );
    Html(page).into_response()
}

/// The page's form.
async fn consent(State(world): State<World>, body: String) -> Response {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let Ok(asked) = serde_urlencoded::from_str::<Asked>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if let Err(page) = judge(&asked) {
        return *page;
    }
    let field = |name: &str| pairs.iter().find(|(key, _)| key == name);
    let allowed = field("decision").is_some_and(|(_, value)| value == "allow");
    let decision = match field("email") {
        Some((_, email)) if allowed => Decision::AllowOnly {
            email: email.clone(),
            scopes: pairs
                .iter()
                .filter(|(key, _)| key == "granted")
                .map(|(_, scope)| scope.clone())
                .collect(),
        },
        _ => Decision::Refuse {
            error: "access_denied".to_owned(),
        },
    };
    decided(&world, &asked, decision)
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
        let token = id_token(&mut state, &issued.email, issued.nonce.as_deref(), twist);
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

fn id_token(
    state: &mut Inner,
    email: &str,
    nonce: Option<&str>,
    twist: Option<Twist>,
) -> Option<String> {
    let account = state.accounts.get(email)?;
    // Signatures follow the system's clock, also when the world's is moved.
    let now = Clock::default().now().timestamp();
    let mut claims = json!({
        "iss": "https://accounts.google.com", "aud": CLIENT_ID, "azp": CLIENT_ID, "sub": account.sub,
        "email": email, "email_verified": true, "name": account.name, "iat": now, "exp": now + 3600,
    });
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

#[derive(Deserialize)]
struct AccountForm {
    email: String,
    #[serde(default)]
    name: String,
}

async fn add_account(State(world): State<World>, Json(new): Json<AccountForm>) -> Json<Value> {
    Json(json!({"sub": world.google().add_account(&new.email, &new.name)}))
}

async fn add_decision(State(world): State<World>, Json(decision): Json<Decision>) -> StatusCode {
    world.google().decide(decision);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct TwistForm {
    twist: Twist,
}

async fn add_twist(State(world): State<World>, Json(form): Json<TwistForm>) -> StatusCode {
    world.google().twist(form.twist);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct RotateForm {
    #[serde(default)]
    dead: bool,
}

async fn rotate(State(world): State<World>, Json(form): Json<RotateForm>) -> StatusCode {
    match world.google().rotate_keys(form.dead) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn end_grant(State(world): State<World>, Json(account): Json<AccountForm>) -> StatusCode {
    world.google().revoke(&account.email);
    StatusCode::NO_CONTENT
}

async fn expire(State(world): State<World>) -> StatusCode {
    world.google().expire_access_tokens();
    StatusCode::NO_CONTENT
}
