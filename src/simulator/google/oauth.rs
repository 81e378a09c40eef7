//! Google's sign-in page: what is asked, who allows it, and the code that goes back.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::get;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use url::Url;

use super::{CLIENT_ID, Decision, Google};
use crate::http::Query;
use crate::simulator::World;

const CODE_LIFE: TimeDelta = TimeDelta::minutes(10);

pub(super) fn router() -> Router<World> {
    Router::new().route("/o/oauth2/v2/auth", get(authorize).post(consent))
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
    pub email: String,
    pub scopes: Vec<String>,
    pub redirect_uri: String,
    pub nonce: Option<String>,
    pub challenge: Option<(String, bool)>,
    pub offline: bool,
    pub expires_at: DateTime<Utc>,
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
pub(super) fn long(scope: &str) -> String {
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
