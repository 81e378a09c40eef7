//! HubSpot's consent page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::get;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use url::Url;

use super::access::Grant;
use super::{CLIENT_ID, Decision, HubSpot};
use crate::http::Query;
use crate::simulator::World;

/// The app is configured to need these; an authorization that asks for fewer or more is refused.
const REQUIRED: [&str; 3] = [
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
];
/// The only redirect that the app is configured with.
const CALLBACK: &str = "/api/auth/hubspot/callback";
const CODE_LIFE: TimeDelta = TimeDelta::minutes(10);

pub(super) fn router() -> Router<World> {
    Router::new().route("/oauth/authorize", get(authorize).post(consent))
}

/// What an authorization asks for.
#[derive(Clone, Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    optional_scope: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    code_challenge: Option<String>,
    #[serde(default)]
    code_challenge_method: Option<String>,
}

/// A code that was given out, and for what.
pub(super) struct Issued {
    pub grant: Grant,
    pub redirect_uri: String,
    /// With whether it is a SHA-256.
    pub challenge: Option<(String, bool)>,
    pub expires_at: DateTime<Utc>,
}

async fn authorize(State(world): State<World>, Query(asked): Query<Asked>) -> Response {
    if let Err(page) = judge(&asked) {
        return *page;
    }
    let decision = world.hubspot().state().decisions.pop_front();
    match decision {
        Some(decision) => decided(&world, &asked, decision),
        None => page(world.hubspot(), &asked),
    }
}

/// HubSpot shows an error page of its own, and sends nobody anywhere.
fn judge(asked: &Asked) -> Result<(), Box<Response>> {
    let wrong = |words: &str| {
        let page =
            format!("<!doctype html><title>HubSpot</title><h1>Authorization failed: {words}</h1>");
        Err(Box::new(
            (StatusCode::BAD_REQUEST, Html(page)).into_response(),
        ))
    };
    if asked.client_id != CLIENT_ID {
        return wrong("the client ID does not exist");
    }
    let known = Url::parse(&asked.redirect_uri).is_ok_and(|url| {
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let safe = url.scheme() == "https" || (url.scheme() == "http" && local);
        safe && url.path().ends_with(CALLBACK) && url.query().is_none()
    });
    if !known {
        return wrong("the redirect URL does not match the app's");
    }
    let scopes: BTreeSet<&str> = asked.scope.split_whitespace().collect();
    if scopes != BTreeSet::from(REQUIRED) {
        return wrong("scopes mismatch: the link must name exactly the app's required scopes");
    }
    Ok(())
}

fn decided(world: &World, asked: &Asked, decision: Decision) -> Response {
    let Ok(mut back) = Url::parse(&asked.redirect_uri) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (portal, user, only) = match decision {
        Decision::Refuse { error } => {
            back.query_pairs_mut()
                .append_pair("error", &error)
                .append_pair(
                    "error_description",
                    "The user refused access to the account.",
                );
            return sent_back(back, asked);
        }
        Decision::Allow { portal, user } => (portal, user, None),
        Decision::AllowOnly {
            portal,
            user,
            scopes,
        } => (portal, user, Some(scopes)),
    };
    let mut state = world.hubspot().state();
    let Some(place) = state.portals.get(&portal) else {
        return (StatusCode::BAD_REQUEST, "no such account").into_response();
    };
    if !place.users.contains_key(&user) {
        return (StatusCode::BAD_REQUEST, "no such user in this account").into_response();
    }
    let optional = asked
        .optional_scope
        .split_whitespace()
        .filter(|&scope| !place.lacking.contains(scope));
    let scopes = asked
        .scope
        .split_whitespace()
        .chain(optional)
        .filter(|&scope| {
            let ticked = |only: &Vec<String>| only.iter().any(|wanted| wanted == scope);
            only.as_ref().is_none_or(ticked)
        })
        .map(ToOwned::to_owned)
        .collect();
    let code = format!("na1-{:04x}-{}", state.next(), crate::ids::next());
    back.query_pairs_mut().append_pair("code", &code);
    let hashed = asked.code_challenge_method.as_deref() == Some("S256");
    state.codes.insert(
        code,
        Issued {
            grant: Grant {
                portal,
                user,
                scopes,
            },
            redirect_uri: asked.redirect_uri.clone(),
            challenge: asked
                .code_challenge
                .clone()
                .map(|challenge| (challenge, hashed)),
            expires_at: world.clock().now() + CODE_LIFE,
        },
    );
    sent_back(back, asked)
}

fn sent_back(mut back: Url, asked: &Asked) -> Response {
    if let Some(state) = &asked.state {
        back.query_pairs_mut().append_pair("state", state);
    }
    Redirect::to(back.as_str()).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

fn page(hubspot: &HubSpot, asked: &Asked) -> Response {
    let mut fields = String::new();
    for (name, value) in [
        ("client_id", Some(&asked.client_id)),
        ("redirect_uri", Some(&asked.redirect_uri)),
        ("scope", Some(&asked.scope)),
        ("optional_scope", Some(&asked.optional_scope)),
        ("state", asked.state.as_ref()),
        ("code_challenge", asked.code_challenge.as_ref()),
        (
            "code_challenge_method",
            asked.code_challenge_method.as_ref(),
        ),
    ] {
        if let Some(value) = value {
            let value = escaped(value);
            let _ = write!(fields, "<input type=hidden name={name} value=\"{value}\">");
        }
    }
    let mut accounts = String::new();
    for (id, portal) in &hubspot.state().portals {
        for (user, email) in &portal.users {
            let checked = if accounts.is_empty() { " checked" } else { "" };
            let (domain, email) = (escaped(&portal.domain), escaped(email));
            let _ = write!(
                accounts,
                "<label><input type=radio name=account value=\"{id}:{user}\"{checked}> {domain} \
                 (account {id}), as {email}</label>"
            );
        }
    }
    let mut scopes = String::new();
    let asked_for = asked.scope.split_whitespace();
    for scope in asked_for.chain(asked.optional_scope.split_whitespace()) {
        let _ = write!(scopes, "<li>{}</li>", escaped(scope));
    }
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Simulated HubSpot</title><style>body{{font:16px/1.5 system-ui;max-width:34rem;margin:3rem auto;\
         padding:0 1rem}}label{{display:block;margin:.4rem 0}}button{{font:inherit;padding:.5rem 1.2rem;\
         margin:1rem .5rem 0 0}}</style><main><h1>Simulated HubSpot</h1><p>Paraplanner asks for access. This is the \
         demo's stand-in for HubSpot: nothing leaves this machine.</p><form method=post>{fields}\
         <fieldset><legend>Account</legend>{accounts}</fieldset><p>It may then use:</p><ul>{scopes}</ul>\
         <button name=decision value=allow>Connect app</button><button name=decision value=deny>Cancel\
         </button></form></main></html>"
    );
    Html(page).into_response()
}

/// The page's form.
async fn consent(State(world): State<World>, body: String) -> Response {
    let Ok(asked) = serde_urlencoded::from_str::<Asked>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if let Err(page) = judge(&asked) {
        return *page;
    }
    let field = |name: &str| {
        url::form_urlencoded::parse(body.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let allowed = field("decision").is_some_and(|value| value == "allow");
    let account = field("account").and_then(|account| {
        let (portal, user) = account.split_once(':')?;
        Some((portal.parse().ok()?, user.parse().ok()?))
    });
    let decision = match account {
        Some((portal, user)) if allowed => Decision::Allow { portal, user },
        _ => Decision::Refuse {
            error: "access_denied".to_owned(),
        },
    };
    decided(&world, &asked, decision)
}
