//! Single events: made, read, changed, deleted; and the conferences that they get a while later.

use chrono::SecondsFormat;
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::super::State;
use super::super::access::{Call, Failure};
use super::diary::{self, Calendar, is};
use super::{guests, missing, recurrence, times};

/// What only the server writes.
const FIXED: [&str; 14] = [
    "id",
    "kind",
    "etag",
    "htmlLink",
    "created",
    "updated",
    "creator",
    "organizer",
    "iCalUID",
    "sequence",
    "recurringEventId",
    "originalStartTime",
    "hangoutLink",
    "eventType",
];
/// What only the organizer changes.
const ORGANIZERS: [&str; 7] = [
    "summary",
    "description",
    "location",
    "start",
    "end",
    "recurrence",
    "conferenceData",
];

/// Who gets mail about a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    Everybody,
    Outsiders,
    Nobody,
}

pub struct How {
    pub conference: bool,
    pub notify: Notify,
}

impl How {
    pub fn of(call: &Call) -> Result<Self, Failure> {
        let deprecated = call.flag("sendNotifications")?.unwrap_or(false);
        let notify = match call.one("sendUpdates") {
            Some("all") => Notify::Everybody,
            Some("externalOnly") => Notify::Outsiders,
            None if deprecated => Notify::Everybody,
            None | Some("none") => Notify::Nobody,
            Some(other) => {
                return Err(Failure::parameter(
                    "sendUpdates",
                    "invalidParameter",
                    &format!("Invalid value '{other}'."),
                ));
            }
        };
        let conference = match call.one("conferenceDataVersion") {
            None | Some("0") => false,
            Some("1") => true,
            Some(other) => {
                return Err(Failure::parameter(
                    "conferenceDataVersion",
                    "invalidParameter",
                    &format!("Invalid value '{other}'. Values must be within the range: [0, 1]"),
                ));
            }
        };
        Ok(Self { conference, notify })
    }
}

pub fn zone(state: &State, email: &str) -> Tz {
    state
        .accounts
        .get(email)
        .and_then(|account| times::zone(&account.diary.time_zone))
        .unwrap_or(Tz::UTC)
}

pub fn calendar<'s>(state: &'s State, email: &str, key: &str) -> Result<&'s Calendar, Failure> {
    state
        .accounts
        .get(email)
        .and_then(|account| account.diary.calendars.get(key))
        .ok_or_else(missing)
}

fn writable(state: &State, email: &str, key: &str) -> Result<(), Failure> {
    if ["owner", "writer"].contains(&calendar(state, email, key)?.role.as_str()) {
        return Ok(());
    }
    Err(Failure::new(
        403,
        "requiredAccessLevel",
        "You need to have writer access to this calendar.",
    )
    .at(403, "calendar"))
}

/// An event, or an instance of a series that nobody has touched.
pub fn get(state: &State, email: &str, key: &str, id: &str) -> Result<Map<String, Value>, Failure> {
    let calendar = calendar(state, email, key)?;
    if let Some(event) = calendar.events.get(id) {
        return Ok(event.body.clone());
    }
    id.rsplit_once('_')
        .and_then(|(series, _)| calendar.events.get(series))
        .filter(|series| series.is_series() && !series.cancelled())
        .and_then(|series| recurrence::instance(&series.body, zone(state, email), id))
        .ok_or_else(missing)
}

/// Keeps a state of an event, with a new etag.
pub fn put(
    state: &mut State,
    email: &str,
    key: &str,
    mut body: Map<String, Value>,
    pending: Option<u32>,
) -> Result<Map<String, Value>, Failure> {
    let now = state.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let etag = format!("\"{}\"", 3_181_161_784_712_000 + state.nonce() * 2);
    body.insert("etag".to_owned(), json!(etag));
    body.insert("updated".to_owned(), json!(now));
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    let calendar = state
        .account(email)?
        .diary
        .calendars
        .get_mut(key)
        .ok_or_else(missing)?;
    calendar.put(&id, body.clone(), pending);
    Ok(body)
}

pub fn insert(
    state: &mut State,
    email: &str,
    key: &str,
    mut body: Map<String, Value>,
    how: &How,
) -> Result<Map<String, Value>, Failure> {
    writable(state, email, key)?;
    let id = match body.get("id").and_then(Value::as_str) {
        None => format!("sim{:023x}", state.nonce()),
        Some(id) => {
            let fine = |letter: char| letter.is_ascii_digit() || ('a'..='v').contains(&letter);
            if !(5..=1024).contains(&id.len()) || !id.chars().all(fine) {
                return Err(Failure::new(400, "invalid", "Invalid resource id value."));
            }
            if calendar(state, email, key)?.events.contains_key(id) {
                return Err(Failure::new(
                    409,
                    "duplicate",
                    "The requested identifier already exists.",
                ));
            }
            id.to_owned()
        }
    };
    let uid = body.get("iCalUID").cloned();
    for name in FIXED.iter().filter(|name| **name != "eventType") {
        body.remove(*name);
    }
    let now = state.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let organizer = diary::address(email, key);
    let own = json!({"email": organizer, "self": true});
    for (name, value) in [
        ("kind", json!("calendar#event")),
        ("id", json!(id)),
        (
            "htmlLink",
            json!(format!("https://www.google.com/calendar/event?eid={id}")),
        ),
        ("created", json!(now)),
        ("creator", json!({"email": email, "self": key == "primary"})),
        ("organizer", own),
        (
            "iCalUID",
            uid.unwrap_or_else(|| json!(format!("{id}@google.com"))),
        ),
        ("sequence", json!(0)),
    ] {
        body.insert(name.to_owned(), value);
    }
    for (name, value) in [
        ("status", json!("confirmed")),
        ("reminders", json!({"useDefault": true})),
        ("eventType", json!("default")),
    ] {
        body.entry(name).or_insert(value);
    }
    let pending = finish(state, email, &organizer, &mut body, how, None)?;
    let made = put(state, email, key, body, pending)?;
    if key == "primary" {
        guests::share(state, email, &made, None, how.notify);
    }
    Ok(made)
}

/// Checks what was written and adds what follows from it; reads until a new conference is there.
fn finish(
    state: &State,
    email: &str,
    organizer: &str,
    body: &mut Map<String, Value>,
    how: &How,
    before: Option<&Map<String, Value>>,
) -> Result<Option<u32>, Failure> {
    times::checked(body, zone(state, email))?;
    if body.contains_key("recurrence") && !recurrence::is_valid(body) {
        return Err(Failure::new(400, "invalid", "Invalid recurrence rule."));
    }
    if let Some(attendees) = body.get_mut("attendees").and_then(Value::as_array_mut) {
        for attendee in attendees.iter_mut() {
            let address = attendee["email"].as_str().unwrap_or_default().to_owned();
            if !address.contains('@') || address.contains(char::is_whitespace) {
                return Err(Failure::new(400, "invalid", "Invalid attendee email."));
            }
            if attendee["responseStatus"].is_null() {
                attendee["responseStatus"] = json!("needsAction");
            }
            if address.eq_ignore_ascii_case(organizer) {
                attendee["organizer"] = json!(true);
                attendee["self"] = json!(true);
            }
        }
        if attendees.is_empty() {
            body.remove("attendees");
        }
    }
    let earlier = before.and_then(|before| before.get("conferenceData").cloned());
    if !how.conference {
        // As a client that knows of no conferences: what is there stays.
        match earlier {
            Some(earlier) => body.insert("conferenceData".to_owned(), earlier),
            None => body.remove("conferenceData"),
        };
        return Ok(None);
    }
    let Some(conference) = body.get_mut("conferenceData") else {
        return Ok(None);
    };
    let Some(request) = conference["createRequest"].as_object() else {
        return Ok(None);
    };
    let Some(request_id) = request.get("requestId").and_then(Value::as_str) else {
        return Err(Failure::new(400, "invalid", "Invalid conference request."));
    };
    // The same request again makes no second conference.
    if let Some(earlier) = earlier
        && earlier["createRequest"]["requestId"] == request_id
    {
        *conference = earlier;
        return Ok(None);
    }
    *conference = json!({"createRequest": {
        "requestId": request_id, "conferenceSolutionKey": {"type": "hangoutsMeet"},
        "status": {"statusCode": "pending"},
    }});
    Ok(Some(state.switches.pending_reads))
}

/// Conferences that are due come into being when their events are read.
pub fn settle(state: &mut State, email: &str, key: &str, only: Option<&str>) {
    let fails = state.switches.conferences_fail;
    let mut due = Vec::new();
    if let Some(calendar) = state
        .accounts
        .get_mut(email)
        .and_then(|account| account.diary.calendars.get_mut(key))
    {
        for (id, event) in &mut calendar.events {
            if only.is_some_and(|only| only != id) {
                continue;
            }
            match &mut event.pending {
                Some(0) => due.push(event.body.clone()),
                Some(reads) => *reads -= 1,
                None => {}
            }
        }
    }
    for mut body in due {
        let request = body["conferenceData"]["createRequest"].take();
        let mut conference = json!({"createRequest": request});
        if fails {
            conference["createRequest"]["status"] = json!({"statusCode": "failure"});
        } else {
            conference["createRequest"]["status"] = json!({"statusCode": "success"});
            let number = state.nonce();
            let code = format!("sim-{:04}-meet", number % 10_000);
            let link = format!("https://meet.google.com/{code}");
            conference["conferenceId"] = json!(code);
            conference["conferenceSolution"] =
                json!({"key": {"type": "hangoutsMeet"}, "name": "Google Meet"});
            conference["entryPoints"] = json!([{
                "entryPointType": "video", "uri": link,
                "label": link.trim_start_matches("https://"),
            }]);
            body.insert("hangoutLink".to_owned(), json!(link));
        }
        body.insert("conferenceData".to_owned(), conference);
        if let Ok(made) = put(state, email, key, body, None) {
            guests::share(state, email, &made, None, Notify::Nobody);
        }
    }
}

/// Refuses when the caller's `If-Match` is of an older state.
pub fn unchanged(
    state: &State,
    email: &str,
    key: &str,
    id: &str,
    call: &Call,
) -> Result<(), Failure> {
    let wanted = call
        .headers
        .get("if-match")
        .and_then(|value| value.to_str().ok())
        .filter(|wanted| *wanted != "*");
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let event = get(state, email, key, id)?;
    let bare = |etag: &str| etag.trim_start_matches("W/").to_owned();
    if event["etag"].as_str().map(bare) == Some(bare(wanted)) {
        return Ok(());
    }
    Err(Failure::new(412, "conditionNotMet", "Precondition Failed"))
}

/// Patches, or replaces what a client may write.
pub fn change(
    state: &mut State,
    email: &str,
    key: &str,
    id: &str,
    mut changes: Map<String, Value>,
    replace: bool,
    how: &How,
) -> Result<Map<String, Value>, Failure> {
    writable(state, email, key)?;
    let before = get(state, email, key, id)?;
    for name in FIXED {
        changes.remove(name);
    }
    let mut body = before.clone();
    if replace {
        body.retain(|name, _| FIXED.contains(&name.as_str()));
        changes.retain(|_, value| !value.is_null());
        body.extend(changes);
        body.entry("status").or_insert_with(|| json!("confirmed"));
        body.entry("reminders")
            .or_insert_with(|| json!({"useDefault": true}));
    } else {
        merge(&mut body, changes);
    }
    if body.get("start") != before.get("start") && body["start"]["date"].is_string() {
        clear(&mut body, "dateTime");
    }
    let organizer = diary::address(email, key);
    let ours = before["organizer"]["self"] == true;
    let pending = finish(state, email, &organizer, &mut body, how, Some(&before))?;
    if !ours {
        let touched = ORGANIZERS
            .iter()
            .any(|name| body.get(*name) != before.get(*name));
        if touched {
            return Err(Failure::new(
                403,
                "forbiddenForNonOrganizer",
                "Shared properties can only be changed by the organizer of the event.",
            )
            .at(403, "calendar"));
        }
    }
    if is(&body, "status", "cancelled") {
        remove(state, email, key, id, &before, how)?;
        return get(state, email, key, id);
    }
    if ["start", "end", "recurrence"]
        .iter()
        .any(|name| body.get(*name) != before.get(*name))
    {
        let sequence = before["sequence"].as_i64().unwrap_or(0) + 1;
        body.insert("sequence".to_owned(), json!(sequence));
    }
    let pending = pending.or_else(|| {
        calendar(state, email, key)
            .ok()
            .and_then(|calendar| calendar.events.get(id)?.pending)
    });
    let kept = put(state, email, key, body, pending)?;
    if key == "primary" {
        if ours {
            guests::share(state, email, &kept, Some(&before), how.notify);
        } else {
            guests::respond(state, email, &kept);
        }
    }
    Ok(kept)
}

/// A patch: objects are merged, null removes, anything else replaces.
fn merge(body: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, value) in changes {
        match (body.get_mut(&name), value) {
            (_, Value::Null) => {
                body.remove(&name);
            }
            (Some(Value::Object(kept)), Value::Object(inner)) => {
                // Of a time's two forms, the one given counts.
                if inner.contains_key("dateTime") {
                    kept.remove("date");
                }
                if inner.contains_key("date") {
                    kept.remove("dateTime");
                    kept.remove("timeZone");
                }
                merge(kept, inner);
            }
            (_, value) => {
                body.insert(name, value);
            }
        }
    }
}

fn clear(body: &mut Map<String, Value>, field: &str) {
    for name in ["start", "end"] {
        if let Some(time) = body.get_mut(name).and_then(Value::as_object_mut) {
            time.remove(field);
        }
    }
}

pub fn delete(
    state: &mut State,
    email: &str,
    key: &str,
    id: &str,
    how: &How,
) -> Result<(), Failure> {
    writable(state, email, key)?;
    let before = get(state, email, key, id)?;
    if is(&before, "status", "cancelled") {
        return Err(Failure::new(410, "deleted", "Resource has been deleted"));
    }
    remove(state, email, key, id, &before, how)
}

fn remove(
    state: &mut State,
    email: &str,
    key: &str,
    id: &str,
    before: &Map<String, Value>,
    how: &How,
) -> Result<(), Failure> {
    let ours = before["organizer"]["self"] == true;
    let mut body = before.clone();
    body.insert("status".to_owned(), json!("cancelled"));
    let gone = put(state, email, key, body, None)?;
    // What differed from the series goes with it.
    let exceptions: Vec<Map<String, Value>> = calendar(state, email, key)?
        .events
        .values()
        .filter(|event| is(&event.body, "recurringEventId", id) && !event.cancelled())
        .map(|event| event.body.clone())
        .collect();
    for mut exception in exceptions {
        exception.insert("status".to_owned(), json!("cancelled"));
        put(state, email, key, exception, None)?;
    }
    if key == "primary" {
        if ours {
            guests::cancel(state, email, &gone, how.notify);
        } else {
            guests::decline(state, email, &gone);
        }
    }
    Ok(())
}
