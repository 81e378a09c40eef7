//! The simulated Google Calendar: its calls, and what each needs.
//!
//! Events are kept as the JSON that the API shows. Knows calendars; how others are told of a change is
//! `push`'s business.

mod channels;
mod cursor;
mod diary;
mod events;
mod freebusy;
mod guests;
mod lists;
mod recurrence;
mod sync;
mod times;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use axum::routing::any;
use serde_json::{Map, Value, json};

pub use channels::Channel;
pub use diary::Diary;
use events::{How, Notify};

use super::access::{self, Call, Failure, respond};
use super::{State, push};
use crate::simulator::World;

const ROOT: &str = "/calendar/v3/";
const CALLS_A_MINUTE: u32 = 600;

const READ: &[&str] = &[
    "calendar",
    "calendar.readonly",
    "calendar.events",
    "calendar.events.readonly",
    "calendar.events.owned",
    "calendar.events.owned.readonly",
];
const WRITE: &[&str] = &["calendar", "calendar.events", "calendar.events.owned"];
const LIST: &[&str] = &[
    "calendar",
    "calendar.readonly",
    "calendar.calendarlist",
    "calendar.calendarlist.readonly",
];
const CALENDAR: &[&str] = &[
    "calendar",
    "calendar.readonly",
    "calendar.calendars",
    "calendar.calendars.readonly",
];
const SETTINGS: &[&str] = &[
    "calendar",
    "calendar.readonly",
    "calendar.settings",
    "calendar.settings.readonly",
];
const FREE_BUSY: &[&str] = &[
    "calendar",
    "calendar.readonly",
    "calendar.freebusy",
    "calendar.events.freebusy",
];
const STOP: &[&str] = &[
    "calendar",
    "calendar.readonly",
    "calendar.events",
    "calendar.events.readonly",
    "calendar.calendarlist",
    "calendar.calendarlist.readonly",
];

pub fn router() -> Router<World> {
    Router::new().route("/calendar/v3/{*rest}", any(answer))
}

async fn answer(Shared(world): Shared<World>, request: Request) -> Response {
    let call = match Call::read(request, ROOT).await {
        Ok(call) => call,
        Err(failure) => return failure.respond(),
    };
    let reply = run(&world, &call).map_err(Failure::of_calendar);
    let first = {
        let mut state = world.google().state();
        if state.switches.sync_before_reply {
            state.push.take_syncs()
        } else {
            Vec::new()
        }
    };
    for sync in first {
        push::deliver(world.http(), &sync).await;
    }
    respond(&call, reply)
}

fn needs(method: &str, path: &[&str]) -> Option<&'static [&'static str]> {
    Some(match (method, path) {
        ("GET", ["users", "me", "calendarList"] | ["users", "me", "calendarList", _])
        | ("POST", ["users", "me", "calendarList", "watch"]) => LIST,
        ("GET", ["users", "me", "settings"] | ["users", "me", "settings", _]) => SETTINGS,
        ("GET", ["calendars", _]) => CALENDAR,
        (
            "GET",
            ["calendars", _, "events"]
            | ["calendars", _, "events", _]
            | ["calendars", _, "events", _, "instances"],
        )
        | ("POST", ["calendars", _, "events", "watch"]) => READ,
        ("POST", ["calendars", _, "events"])
        | ("PATCH" | "PUT" | "DELETE", ["calendars", _, "events", _]) => WRITE,
        ("POST", ["freeBusy"]) => FREE_BUSY,
        ("POST", ["channels", "stop"]) => STOP,
        _ => return None,
    })
}

fn run(world: &World, call: &Call) -> Result<Value, Failure> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let method = call.method.as_str();
    let scopes = needs(method, &path).ok_or_else(|| Failure::new(404, "notFound", "Not Found"))?;
    let mut state = world.google().state();
    let caller = access::check(&state, call, scopes)?;
    let email = caller.email.as_str();
    let now = state.now();
    if state.switches.enforce_quota {
        let units = if method == "PATCH" { 3 } else { 1 };
        access::spend(state.account(email)?, now, units, CALLS_A_MINUTE)?;
    }
    let reply = work(&mut state, call, email, method, &path);
    state.announce(now);
    reply
}

fn work(
    state: &mut State,
    call: &Call,
    email: &str,
    method: &str,
    path: &[&str],
) -> Result<Value, Failure> {
    match (method, path) {
        ("GET", ["users", "me", "calendarList"]) => lists::list(state, call, email),
        ("POST", ["users", "me", "calendarList", "watch"]) => {
            channels::watch(state, call, email, None)
        }
        ("GET", ["users", "me", "calendarList", id]) => {
            let key = key(state, email, id)?;
            lists::entry(&state.account(email)?.diary, email, &key).ok_or_else(missing)
        }
        ("GET", ["users", "me", "settings"]) => {
            let zone = &state.account(email)?.diary.time_zone;
            Ok(json!({
                "kind": "calendar#settings", "etag": "\"s1\"", "nextSyncToken": "settings-1",
                "items": [setting("timezone", zone), setting("locale", "en"), setting("weekStart", "1")],
            }))
        }
        ("GET", ["users", "me", "settings", "timezone"]) => {
            Ok(setting("timezone", &state.account(email)?.diary.time_zone))
        }
        ("GET", ["users", "me", "settings", "locale"]) => Ok(setting("locale", "en")),
        ("GET", ["calendars", id]) => {
            let key = key(state, email, id)?;
            let diary = &state.account(email)?.diary;
            let calendar = diary.calendars.get(&key).ok_or_else(missing)?;
            Ok(json!({
                "kind": "calendar#calendar", "etag": "\"c1\"", "id": diary::address(email, &key),
                "summary": calendar.summary(email), "timeZone": diary.time_zone,
            }))
        }
        ("POST", ["channels", "stop"]) => channels::stop(state, call, email),
        ("POST", ["freeBusy"]) => freebusy::query(state, &call.json()?, email),
        ("POST", ["calendars", id, "events", "watch"]) => {
            let key = key(state, email, id)?;
            channels::watch(state, call, email, Some(key))
        }
        ("GET", ["calendars", id, "events"]) => {
            let key = key(state, email, id)?;
            events::settle(state, email, &key, None);
            sync::list(state, call, email, &key)
        }
        ("GET", ["calendars", id, "events", event, "instances"]) => {
            let key = key(state, email, id)?;
            sync::instances(state, call, email, &key, event)
        }
        ("GET", ["calendars", id, "events", event]) => {
            let key = key(state, email, id)?;
            events::settle(state, email, &key, Some(event));
            let found = events::get(state, email, &key, event)?;
            sync::shown(state, call, email, found)
        }
        ("POST", ["calendars", id, "events"]) => {
            let key = key(state, email, id)?;
            let how = How::of(call)?;
            let made = events::insert(state, email, &key, object(call)?, &how)?;
            sync::shown(state, call, email, made)
        }
        ("PATCH" | "PUT", ["calendars", id, "events", event]) => {
            let key = key(state, email, id)?;
            let how = How::of(call)?;
            events::unchanged(state, email, &key, event, call)?;
            let fields = object(call)?;
            let replace = method == "PUT";
            let changed = events::change(state, email, &key, event, fields, replace, &how)?;
            sync::shown(state, call, email, changed)
        }
        ("DELETE", ["calendars", id, "events", event]) => {
            let key = key(state, email, id)?;
            let how = How::of(call)?;
            events::unchanged(state, email, &key, event, call)?;
            events::delete(state, email, &key, event, &how)?;
            Ok(Value::Null)
        }
        _ => Err(missing()),
    }
}

fn missing() -> Failure {
    Failure::new(404, "notFound", "Not Found")
}

fn setting(id: &str, value: &str) -> Value {
    json!({"kind": "calendar#setting", "etag": "\"s1\"", "id": id, "value": value})
}

fn object(call: &Call) -> Result<Map<String, Value>, Failure> {
    match call.json()? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Failure::new(400, "parseError", "Parse Error")),
    }
}

/// Under which name the account keeps a calendar.
fn key(state: &State, email: &str, id: &str) -> Result<String, Failure> {
    let key = if id == "primary" || id.eq_ignore_ascii_case(email) {
        "primary"
    } else {
        id
    };
    state
        .accounts
        .get(email)
        .and_then(|account| account.diary.calendars.get(key))
        .filter(|calendar| !calendar.removed)
        .map(|_| key.to_owned())
        .ok_or_else(missing)
}

fn fields(event: &Value) -> Map<String, Value> {
    event.as_object().cloned().unwrap_or_default()
}

/// For the handle: as if the user had done it in Google's own page.
pub fn add_event(
    state: &mut State,
    email: &str,
    calendar: &str,
    event: &Value,
) -> Result<Value, String> {
    let how = How {
        conference: true,
        notify: Notify::Nobody,
    };
    let key = key(state, email, calendar).map_err(|failure| format!("{failure:?}"))?;
    events::insert(state, email, &key, fields(event), &how)
        .map(Value::Object)
        .map_err(|failure| format!("{failure:?}"))
}

pub fn patch_event(
    state: &mut State,
    email: &str,
    id: &str,
    changes: &Value,
) -> Result<Value, String> {
    let how = How {
        conference: true,
        notify: Notify::Nobody,
    };
    events::change(state, email, "primary", id, fields(changes), false, &how)
        .map(Value::Object)
        .map_err(|failure| format!("{failure:?}"))
}

pub fn delete_event(state: &mut State, email: &str, id: &str) -> bool {
    let how = How {
        conference: true,
        notify: Notify::Nobody,
    };
    events::delete(state, email, "primary", id, &how).is_ok()
}

pub fn events(state: &State, email: &str) -> Vec<Value> {
    let primary = state
        .accounts
        .get(email)
        .and_then(|account| account.diary.calendars.get("primary"));
    primary
        .into_iter()
        .flat_map(|calendar| calendar.events.values())
        .filter(|event| !event.cancelled())
        .map(|event| Value::Object(event.body.clone()))
        .collect()
}
