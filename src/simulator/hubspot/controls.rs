//! Steering the simulated HubSpot from outside, below `/sim/hubspot`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Decision, Desk, Kind, Oddity, Pace};
use crate::http::{Json, Path};
use crate::simulator::World;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/sim/hubspot/portals", post(add_portal))
        .route("/sim/hubspot/users", post(add_user))
        .route("/sim/hubspot/decisions", post(add_decision))
        .route("/sim/hubspot/revoke", post(revoke))
        .route("/sim/hubspot/uninstall", post(uninstall))
        .route("/sim/hubspot/access-tokens/expire", post(expire))
        .route("/sim/hubspot/switches", post(switch))
        .route("/sim/hubspot/webhooks/spoil", post(spoil))
        .route("/sim/hubspot/webhooks/send", post(send))
        .route("/sim/hubspot/portals/{portal}/work", post(work))
        .route("/sim/hubspot/portals/{portal}/contacts", post(load))
        .route("/sim/hubspot/portals/{portal}/notes", get(notes))
}

#[derive(Deserialize)]
struct PortalForm {
    id: u64,
    domain: String,
    /// Scopes that its plan lacks.
    #[serde(default)]
    lacking: Vec<String>,
}

async fn add_portal(State(world): State<World>, Json(new): Json<PortalForm>) -> StatusCode {
    world.hubspot().add_portal(new.id, &new.domain);
    let lacking: Vec<&str> = new.lacking.iter().map(String::as_str).collect();
    world.hubspot().set_lacking(new.id, &lacking);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct UserForm {
    portal: u64,
    id: u64,
    email: String,
}

async fn add_user(State(world): State<World>, Json(new): Json<UserForm>) -> StatusCode {
    world.hubspot().add_user(new.portal, new.id, &new.email);
    StatusCode::NO_CONTENT
}

async fn add_decision(State(world): State<World>, Json(decision): Json<Decision>) -> StatusCode {
    world.hubspot().decide(decision);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Which {
    portal: u64,
}

async fn revoke(State(world): State<World>, Json(which): Json<Which>) -> StatusCode {
    world.hubspot().revoke(which.portal);
    StatusCode::NO_CONTENT
}

async fn uninstall(State(world): State<World>, Json(which): Json<Which>) -> StatusCode {
    world.hubspot().uninstall(which.portal);
    StatusCode::NO_CONTENT
}

async fn expire(State(world): State<World>) -> StatusCode {
    world.hubspot().expire_access_tokens();
    StatusCode::NO_CONTENT
}

/// Settings of the simulation; what isn't named stays as it is.
#[derive(Deserialize)]
struct Switches {
    short_token_replies: Option<bool>,
    search_lag_secs: Option<i64>,
    /// Too many calls are refused.
    limits: Option<bool>,
    /// The refusals say when to come back.
    retry_after: Option<bool>,
    webhook_target: Option<String>,
    generic_events: Option<bool>,
    mixed_batches: Option<bool>,
    hold_events: Option<bool>,
    /// Deliveries are repeated after this long, instead of over a day.
    retry_millis: Option<u64>,
    /// Subscription types that are on.
    subscriptions: Option<Vec<String>>,
}

async fn switch(State(world): State<World>, Json(to): Json<Switches>) -> StatusCode {
    let hubspot = world.hubspot();
    if let Some(short) = to.short_token_replies {
        hubspot.set_short_token_replies(short);
    }
    if let Some(lag) = to.search_lag_secs.and_then(TimeDelta::try_seconds) {
        hubspot.set_search_lag(lag);
    }
    if to.limits.is_some() || to.retry_after.is_some() {
        hubspot.set_limits(to.limits.unwrap_or(true), to.retry_after.unwrap_or(false));
    }
    if let Some(target) = &to.webhook_target {
        hubspot.set_webhook_target((!target.is_empty()).then_some(target));
    }
    if let Some(generic) = to.generic_events {
        hubspot.set_generic_events(generic);
    }
    if let Some(mixed) = to.mixed_batches {
        hubspot.set_mixed_batches(mixed);
    }
    if let Some(held) = to.hold_events {
        hubspot.hold_events(held);
    }
    if let Some(millis) = to.retry_millis {
        hubspot.set_retry_pace(Pace::Every(Duration::from_millis(millis)));
    }
    if let Some(only) = &to.subscriptions {
        let only: Vec<&str> = only.iter().map(String::as_str).collect();
        hubspot.set_subscriptions(Some(&only));
    }
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Spoil {
    oddity: Oddity,
}

async fn spoil(State(world): State<World>, Json(spoil): Json<Spoil>) -> StatusCode {
    world.hubspot().spoil_batch(spoil.oddity);
    StatusCode::NO_CONTENT
}

async fn send(State(world): State<World>) -> StatusCode {
    world.send_events();
    StatusCode::NO_CONTENT
}

type Texts = BTreeMap<String, String>;

/// What somebody does in a portal.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Work {
    Create {
        kind: Kind,
        properties: Texts,
        contact: Option<u64>,
    },
    Note {
        contact: u64,
        html: String,
        at: Option<DateTime<Utc>>,
    },
    Update {
        kind: Kind,
        id: u64,
        properties: Texts,
    },
    Archive {
        kind: Kind,
        id: u64,
    },
    Merge {
        kind: Kind,
        primary: u64,
        other: u64,
    },
    Erase {
        contact: u64,
    },
    /// The portal's own rule.
    Require {
        kind: Kind,
        property: String,
    },
}

fn borrowed(properties: &Texts) -> Vec<(&str, &str)> {
    properties
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The id that came of it.
fn worked(desk: &Desk, work: &Work, now: DateTime<Utc>) -> anyhow::Result<Option<u64>> {
    Ok(match work {
        Work::Create {
            kind,
            properties,
            contact,
        } => {
            let id = desk.create(*kind, &borrowed(properties))?;
            if let Some(contact) = contact {
                desk.link((*kind, id), (Kind::Contact, *contact))?;
            }
            Some(id)
        }
        Work::Note { contact, html, at } => {
            Some(desk.add_note(*contact, html, at.unwrap_or(now))?)
        }
        Work::Update {
            kind,
            id,
            properties,
        } => {
            desk.update(*kind, *id, &borrowed(properties))?;
            Some(*id)
        }
        Work::Archive { kind, id } => {
            desk.archive(*kind, *id)?;
            None
        }
        Work::Merge {
            kind,
            primary,
            other,
        } => Some(desk.merge(*kind, *primary, *other)?),
        Work::Erase { contact } => {
            desk.erase(*contact)?;
            None
        }
        Work::Require { kind, property } => {
            desk.require(*kind, property)?;
            None
        }
    })
}

fn answered<T: serde::Serialize>(name: &str, done: anyhow::Result<T>) -> Response {
    match done {
        Ok(done) => Json(json!({ name: done })).into_response(),
        Err(error) => (StatusCode::CONFLICT, error.to_string()).into_response(),
    }
}

async fn work(
    State(world): State<World>,
    Path(portal): Path<u64>,
    Json(work): Json<Work>,
) -> Response {
    let now = world.clock().now();
    answered("id", worked(&world.portal(portal), &work, now))
}

#[derive(Deserialize)]
struct Load {
    contacts: Vec<Texts>,
}

async fn load(
    State(world): State<World>,
    Path(portal): Path<u64>,
    Json(load): Json<Load>,
) -> Response {
    let contacts = load.contacts.into_iter().map(|texts| (texts, None));
    answered("ids", world.portal(portal).load_contacts(contacts))
}

async fn notes(State(world): State<World>, Path(portal): Path<u64>) -> Json<Value> {
    Json(json!(world.portal(portal).all_notes()))
}
