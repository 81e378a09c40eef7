//! The door of the CRM: versions of paths, tokens, scopes and limits; behind it stand the calls.
//!
//! One handler takes all paths, since dated versions turn the order of their parts around: here they
//! become one form, and the calls know no version.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::events::Source;
use super::kind::Kind;
use super::store::Store;
use super::wrong::Wrong;
use super::{State as Inner, access, associations, batch, limits, objects, search, webhooks};
use crate::simulator::{World, reply};

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/crm/{*rest}", any(answer))
        .route("/account-info/{version}/details", any(answer))
        // A batch of a hundred long notes is larger than axum's own limit.
        .layer(DefaultBodyLimit::disable())
}

/// A call that passed the door.
pub(super) struct Call {
    pub portal: u64,
    pub now: DateTime<Utc>,
    pub lag: chrono::TimeDelta,
    query: HashMap<String, String>,
    pub body: Value,
    pub source: Source,
    /// Where lists say that they go on.
    pub origin: String,
    pub path: String,
}

impl Call {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A list of names: separated by commas, given several times, or both.
    pub fn names(&self, name: &str) -> Vec<String> {
        let text = self.query(name).unwrap_or_default();
        let names = text.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }

    /// The size of a page.
    pub fn limit(&self, usual: usize, most: usize) -> Result<usize, Wrong> {
        match self.query("limit").map(str::parse::<usize>) {
            None => Ok(usual),
            Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(Wrong::validation(&format!(
                "limit must be between 1 and {most}"
            ))),
        }
    }

    /// A `paging` that goes on after this.
    pub fn paging(&self, after: u64) -> Value {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.query.iter().filter(|(name, _)| *name != "after") {
            query.append_pair(name, value);
        }
        let query = query.append_pair("after", &after.to_string()).finish();
        let link = format!("{}{}?{query}", self.origin, self.path);
        json!({"next": {"after": after.to_string(), "link": link}})
    }
}

/// A status and a body; null for none.
pub(super) type Answer = Result<(u16, Value), Wrong>;

async fn answer(
    State(world): State<World>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let response = work(&world, &method, &uri, &headers, &body);
    webhooks::flush(&world);
    response
}

fn work(world: &World, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
    let parts: Vec<String> = uri
        .path()
        .split('/')
        .skip(1)
        .map(|part| {
            percent_encoding::percent_decode_str(part)
                .decode_utf8_lossy()
                .into_owned()
        })
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let Some(parts) = unversioned(&parts) else {
        return access::refusal(404, None);
    };
    let now = world.clock().now();
    let mut state = world.hubspot().state();
    let portal = match bearer(&state, headers, now) {
        Ok(grant) => {
            if let Some(scope) = needed(method, &parts)
                && !grant.scopes.iter().any(|held| held == scope)
            {
                return access::missing_scopes(scope);
            }
            grant.portal
        }
        Err(response) => return *response,
    };
    let searches = parts.last() == Some(&"search");
    let limit = state.limits.take(portal, searches, now);
    let left = match limit {
        Ok(left) => left,
        Err(policy) => return limits::refused(policy, state.limits.tells_when),
    };
    let mut response = match call(&mut state, portal, world, method, uri, headers, body) {
        Ok(call) => match route(&mut state, method, &parts, body.len(), &call) {
            Ok((status, Value::Null)) => StatusCode::from_u16(status)
                .unwrap_or(StatusCode::NO_CONTENT)
                .into_response(),
            Ok((status, body)) => reply(status, body),
            Err(wrong) => wrong.into_response(),
        },
        Err(wrong) => wrong.into_response(),
    };
    if !searches {
        limits::tell(&mut response, left);
    }
    response
}

fn call(
    state: &mut Inner,
    portal: u64,
    world: &World,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Call, Wrong> {
    let writes = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    let json_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    let body = if writes && !body.is_empty() {
        if !json_type {
            return Err(Wrong::unsupported());
        }
        serde_json::from_slice(body)
            .map_err(|error| Wrong::validation(&format!("Invalid input JSON: {error}")))?
    } else {
        Value::Null
    };
    let mut query: HashMap<String, String> = HashMap::new();
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    for (name, value) in pairs {
        let text = query.entry(name.into_owned()).or_default();
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&value);
    }
    Ok(Call {
        portal,
        now: world.clock().now(),
        lag: state.search_lag,
        query,
        body,
        source: Source::app(),
        origin: world.url().as_str().trim_end_matches('/').to_owned(),
        path: uri.path().to_owned(),
    })
}

/// The parts of a path without `crm` and the version.
fn unversioned<'a>(parts: &[&'a str]) -> Option<Vec<&'a str>> {
    let dated = |part: &str| matches!(part, "2026-03" | "2026-09");
    match parts {
        ["account-info", version, "details"] if *version == "v3" || dated(version) => {
            Some(vec!["details"])
        }
        ["crm", version @ ("v3" | "v4"), rest @ ..] => {
            let v4_only = rest.contains(&"associations");
            let fits = (*version == "v4") == v4_only;
            fits.then(|| rest.to_vec())
        }
        ["crm", family, version, rest @ ..] if dated(version) => {
            let mut whole = vec![*family];
            whole.extend(rest);
            Some(whole)
        }
        _ => None,
    }
}

/// Who calls.
fn bearer(
    state: &Inner,
    headers: &HeaderMap,
    now: DateTime<Utc>,
) -> Result<access::Grant, Box<Response>> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(access) = token.and_then(|token| state.access.get(token)) else {
        return Err(Box::new(access::refusal(401, None)));
    };
    if access.left(now).is_some() {
        return Ok(access.grant.clone());
    }
    let ago = (now - access.expires_at).num_seconds().max(0);
    let expired = access.expires_at.min(now).to_rfc3339();
    Err(Box::new(access::error(
        401,
        "EXPIRED_AUTHENTICATION",
        &format!("The OAuth token used to make this call expired {ago} second(s) ago."),
        &json!({"context": {"expire time": [expired]}}),
    )))
}

/// The scope that a call wants. Notes go with contacts.
fn needed(method: &Method, parts: &[&str]) -> Option<&'static str> {
    let kind = match parts {
        ["objects" | "associations", kind, ..] => Kind::named(kind)?,
        ["owners", ..] => return Some("crm.objects.owners.read"),
        _ => return None,
    };
    let reads = *method == Method::GET
        || matches!(parts.last(), Some(&"search" | &"labels"))
        || parts.ends_with(&["batch", "read"]);
    Some(match (kind, reads) {
        (Kind::Contact | Kind::Note, true) => "crm.objects.contacts.read",
        (Kind::Contact | Kind::Note, false) => "crm.objects.contacts.write",
        (Kind::Deal, true) => "crm.objects.deals.read",
        (Kind::Deal, false) => "crm.objects.deals.write",
        (Kind::Company, true) => "crm.objects.companies.read",
        (Kind::Company, false) => "crm.objects.companies.write",
    })
}

fn kind(name: &str) -> Result<Kind, Wrong> {
    Kind::named(name)
        .ok_or_else(|| Wrong::validation(&format!("Unable to infer object type from: {name}")))
}

fn route(state: &mut Inner, method: &Method, parts: &[&str], length: usize, call: &Call) -> Answer {
    let Some(portal) = state.portals.get_mut(&call.portal) else {
        return Err(Wrong::validation("the account is gone"));
    };
    match (method.as_str(), parts) {
        ("GET", ["details"]) => {
            return Ok((
                200,
                json!({
                    "portalId": call.portal, "accountType": "STANDARD", "timeZone": "US/Eastern",
                    "companyCurrency": "USD", "additionalCurrencies": [],
                    "utcOffset": "-05:00", "utcOffsetMilliseconds": -18_000_000,
                    "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
                }),
            ));
        }
        ("GET", ["owners" | "owners/"]) => return Ok((200, objects::owners(portal))),
        _ => {}
    }
    let store: &mut Store = &mut portal.store;
    match (method.as_str(), parts) {
        ("GET", ["objects", of]) => objects::list(store, kind(of)?, call),
        ("POST", ["objects", of]) => objects::create(store, kind(of)?, call),
        ("POST", ["objects", of, "search"]) => search::search(store, kind(of)?, length, call),
        ("POST", ["objects", of, "merge"]) => objects::merge(store, kind(of)?, call),
        ("POST", ["objects", of, "gdpr-delete"]) => objects::erase(store, kind(of)?, call),
        ("POST", ["objects", of, "batch", what]) => batch::route(store, kind(of)?, what, call),
        ("GET", ["objects", of, id]) => objects::read(store, kind(of)?, id, call),
        ("PATCH", ["objects", of, id]) => objects::update(store, kind(of)?, id, call),
        ("DELETE", ["objects", of, id]) => Ok(objects::archive(store, kind(of)?, id, call)),
        (verb, ["objects", of, id, "associations", rest @ ..]) => {
            associations::of_one(store, verb, (kind(of)?, id), rest, call)
        }
        (verb, ["associations", from, to, rest @ ..]) => {
            associations::of_types(store, verb, (kind(from)?, kind(to)?), rest, call)
        }
        _ => Err(Wrong::nowhere()),
    }
}
