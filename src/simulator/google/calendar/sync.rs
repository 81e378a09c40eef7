//! Lists of events: in full, of a window, or of what changed since a sync token.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::super::State;
use super::super::access::{Call, Failure};
use super::diary::{Calendar, Stored};
use super::{cursor, events, missing, recurrence, times};

type Event = Map<String, Value>;

/// Endless series go on until then when no `timeMax` is given.
const FAR: TimeDelta = TimeDelta::days(3650);
/// Not to be given together with a sync token.
const NOT_INCREMENTAL: [&str; 8] = [
    "timeMin",
    "timeMax",
    "q",
    "orderBy",
    "updatedMin",
    "iCalUID",
    "privateExtendedProperty",
    "sharedExtendedProperty",
];

/// What a listing asks for.
struct Asked {
    /// Only what changed after this version.
    since: Option<u64>,
    min: Option<DateTime<Utc>>,
    max: Option<DateTime<Utc>>,
    single: bool,
    deleted: bool,
    zone: Tz,
    horizon: DateTime<Utc>,
}

impl Asked {
    /// Whether an event is in the window; its bounds don't count as being in it.
    fn overlaps(&self, event: &Event) -> bool {
        let start = times::instant(&event["start"], self.zone);
        let end = times::instant(&event["end"], self.zone);
        self.min.is_none_or(|min| end.is_some_and(|end| end > min))
            && self
                .max
                .is_none_or(|max| start.is_some_and(|start| start < max))
    }

    /// The instances in the window, without those that are events of their own.
    fn instances(&self, calendar: &Calendar, series: &Event) -> Vec<Event> {
        recurrence::instances(series, self.zone, self.horizon)
            .into_iter()
            .filter(|instance| self.overlaps(instance))
            .filter(|instance| {
                let id = instance["id"].as_str().unwrap_or_default();
                !calendar.events.contains_key(id)
            })
            .collect()
    }

    fn concerns(&self, calendar: &Calendar, event: &Event) -> bool {
        if event.contains_key("recurrence") {
            self.min.is_none() && self.max.is_none() || !self.instances(calendar, event).is_empty()
        } else {
            self.overlaps(event)
        }
    }
}

/// All that is promised of an event that is gone.
fn stub(event: &Event) -> Event {
    let kept = [
        "kind",
        "etag",
        "id",
        "recurringEventId",
        "originalStartTime",
    ];
    let mut stub: Event = event
        .iter()
        .filter(|(name, _)| kept.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    stub.insert("status".to_owned(), json!("cancelled"));
    stub
}

pub fn list(state: &State, call: &Call, email: &str, key: &str) -> Result<Value, Failure> {
    let calendar = events::calendar(state, email, key)?;
    let size = call.size(250, 2500)?;
    let mut asked = asked(state, call, email)?;
    let token = match call.one("syncToken") {
        Some(token) => Some(incremental(call, calendar, key, token, &mut asked)?),
        None => None,
    };
    let updated_min = match call.one("updatedMin") {
        Some(text) => Some(times::parameter("updatedMin", text)?),
        None => None,
    };
    if let (Some(min), Some(floor)) = (updated_min, calendar.updated_floor)
        && min < floor
    {
        return Err(gone(
            "updatedMinTooLongAgo",
            "The requested minimum modification time lies too far in the past.",
            "updatedMin",
        ));
    }
    let mut found = Vec::new();
    for event in calendar.events.values() {
        found.extend(entries(calendar, event, &asked, updated_min.is_some()));
    }
    found.retain(|event| {
        fits(event, call) && updated_min.is_none_or(|min| updated(event).is_none_or(|at| at >= min))
    });
    match call.one("orderBy") {
        None => {}
        Some("updated") => found.sort_by_key(updated),
        Some("startTime") if asked.single => {
            found.sort_by_key(|event| times::instant(&event["start"], asked.zone));
        }
        Some("startTime") => {
            return Err(Failure::parameter(
                "orderBy",
                "badRequest",
                "The requested ordering is not available for the particular query.",
            ));
        }
        Some(_) => {
            return Err(Failure::parameter(
                "orderBy",
                "invalidParameter",
                "Invalid value for orderBy.",
            ));
        }
    }
    let position = cursor::position(call, calendar.version, state.switches.empty_pages)?;
    let page: Vec<Event> = if position.empty {
        Vec::new()
    } else {
        found
            .iter()
            .skip(position.from)
            .take(size)
            .cloned()
            .collect()
    };
    let next = position.from + page.len();
    let items: Vec<Value> = page
        .into_iter()
        .map(|event| shown(state, call, email, event))
        .collect::<Result<_, _>>()?;
    let now = state.now();
    let mut reply = json!({
        "kind": "calendar#events", "etag": format!("\"p{}\"", calendar.version),
        "summary": calendar.summary(email), "updated": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "timeZone": call.one("timeZone").unwrap_or(asked.zone.name()), "accessRole": calendar.role,
        "defaultReminders": [{"method": "popup", "minutes": 10}], "items": items,
    });
    if position.empty || next < found.len() {
        reply["nextPageToken"] = json!(cursor::encode(&json!({
            "from": next, "version": position.version, "same": cursor::same(call),
        })));
        return Ok(reply);
    }
    let forgets = [
        "orderBy",
        "q",
        "iCalUID",
        "updatedMin",
        "privateExtendedProperty",
    ];
    if forgets.iter().all(|name| call.one(name).is_none()) {
        let mut token = token.unwrap_or_else(|| {
            json!({
                "calendar": key, "min": call.one("timeMin"), "max": call.one("timeMax"),
                "single": asked.single,
            })
        });
        token["version"] = json!(position.version);
        reply["nextSyncToken"] = json!(cursor::encode(&token));
    }
    Ok(reply)
}

fn asked(state: &State, call: &Call, email: &str) -> Result<Asked, Failure> {
    let bound = |name: &str| {
        call.one(name)
            .map(|text| times::parameter(name, text))
            .transpose()
    };
    let (min, max) = (bound("timeMin")?, bound("timeMax")?);
    check_range(min, max)?;
    let zone = events::zone(state, email);
    if let Some(name) = call.one("timeZone")
        && times::zone(name).is_none()
    {
        return Err(Failure::parameter(
            "timeZone",
            "invalid",
            "Invalid time zone.",
        ));
    }
    Ok(Asked {
        since: None,
        min,
        max,
        single: call.flag("singleEvents")?.unwrap_or(false),
        deleted: call.flag("showDeleted")?.unwrap_or(false),
        zone,
        horizon: max.unwrap_or_else(|| state.now() + FAR),
    })
}

pub fn check_range(min: Option<DateTime<Utc>>, max: Option<DateTime<Utc>>) -> Result<(), Failure> {
    match (min, max) {
        (Some(min), Some(max)) if min >= max => Err(Failure::parameter(
            "timeMax",
            "timeRangeEmpty",
            "The specified time range is empty.",
        )),
        _ => Ok(()),
    }
}

/// Reads a sync token; its window is the one of the first listing.
fn incremental(
    call: &Call,
    calendar: &Calendar,
    key: &str,
    token: &str,
    asked: &mut Asked,
) -> Result<Value, Failure> {
    if let Some(name) = NOT_INCREMENTAL.iter().find(|name| call.one(name).is_some()) {
        let words = format!("Sync token cannot be used with the parameter {name}.");
        return Err(Failure::parameter("syncToken", "badRequest", &words));
    }
    if call.flag("showDeleted")? == Some(false) {
        return Err(Failure::parameter(
            "syncToken",
            "badRequest",
            "Sync token cannot be used without deleted entries.",
        ));
    }
    let invalid = || Failure::parameter("syncToken", "invalid", "Invalid sync token value.");
    let token = cursor::decode(token).ok_or_else(invalid)?;
    if token["calendar"] != key {
        return Err(invalid());
    }
    let version = token["version"].as_u64().ok_or_else(invalid)?;
    if version < calendar.forgotten {
        return Err(expired());
    }
    if token["single"] != asked.single {
        return Err(Failure::parameter(
            "syncToken",
            "badRequest",
            "Sync token does not fit the other parameters.",
        ));
    }
    let bound = |name: &str| {
        token[name]
            .as_str()
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
            .map(|instant| instant.to_utc())
    };
    asked.since = Some(version);
    asked.min = bound("min");
    asked.max = bound("max");
    if let Some(max) = asked.max {
        asked.horizon = max;
    }
    asked.deleted = true;
    Ok(token)
}

pub fn expired() -> Failure {
    gone(
        "fullSyncRequired",
        "Sync token is no longer valid, a full sync is required.",
        "syncToken",
    )
}

fn gone(reason: &str, words: &str, parameter: &str) -> Failure {
    Failure::parameter(parameter, reason, words).at(410, "calendar")
}

/// What an event puts into a list: itself, its instances, what is left of it, or nothing.
fn entries(calendar: &Calendar, event: &Stored, asked: &Asked, by_update: bool) -> Vec<Event> {
    let Some(since) = asked.since else {
        if event.cancelled() {
            if asked.deleted || by_update {
                return vec![event.body.clone()];
            }
            // Without it, the reader would fill the gap in the series.
            let needed = event.is_exception() && !asked.single;
            return if needed {
                vec![stub(&event.body)]
            } else {
                Vec::new()
            };
        }
        return if event.is_series() && asked.single {
            asked.instances(calendar, &event.body)
        } else if asked.concerns(calendar, &event.body) {
            vec![event.body.clone()]
        } else {
            Vec::new()
        };
    };
    if event.version <= since {
        return Vec::new();
    }
    let past: Vec<&Event> = event
        .past
        .iter()
        .filter(|(replaced, _)| *replaced > since)
        .map(|(_, body)| body)
        .collect();
    let series = event.is_series() || past.iter().any(|body| body.contains_key("recurrence"));
    if asked.single && series {
        let now = if event.cancelled() {
            Vec::new()
        } else {
            asked.instances(calendar, &event.body)
        };
        let mut gone: Vec<Event> = Vec::new();
        for earlier in past {
            for instance in asked.instances(calendar, earlier) {
                let same = |other: &Event| other["id"] == instance["id"];
                if !now.iter().any(same) && !gone.iter().any(same) {
                    gone.push(instance);
                }
            }
        }
        let gone = gone.iter().map(stub);
        return gone.chain(now.iter().cloned()).collect();
    }
    if event.cancelled() {
        return vec![stub(&event.body)];
    }
    let concerned = asked.concerns(calendar, &event.body)
        || past
            .iter()
            .any(|body| !body.is_empty() && asked.concerns(calendar, body));
    if concerned {
        vec![event.body.clone()]
    } else {
        Vec::new()
    }
}

fn updated(event: &Event) -> Option<DateTime<Utc>> {
    let text = event.get("updated")?.as_str()?;
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

/// `q`, `iCalUID`, `eventTypes` and extended properties.
fn fits(event: &Event, call: &Call) -> bool {
    if let Some(q) = call.one("q") {
        let q = q.to_lowercase();
        let whole = ["summary", "description", "location", "attendees"]
            .iter()
            .filter_map(|name| event.get(*name))
            .map(|value| value.to_string().to_lowercase())
            .collect::<String>();
        if !q.split_whitespace().all(|word| whole.contains(word)) {
            return false;
        }
    }
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    if call
        .one("iCalUID")
        .is_some_and(|uid| text("iCalUID") != Some(uid))
    {
        return false;
    }
    let types: Vec<&str> = call.all("eventTypes").collect();
    if !types.is_empty() && text("eventType").is_some_and(|kind| !types.contains(&kind)) {
        return false;
    }
    let has = |kind: &str, wanted: &str| {
        let (name, value) = wanted.split_once('=').unwrap_or((wanted, ""));
        event
            .get("extendedProperties")
            .is_some_and(|properties| properties[kind][name] == value)
    };
    call.all("privateExtendedProperty")
        .all(|wanted| has("private", wanted))
        && call
            .all("sharedExtendedProperty")
            .all(|wanted| has("shared", wanted))
}

/// An event as this call wants it: in its zone, with at most so many guests.
pub fn shown(
    state: &State,
    call: &Call,
    email: &str,
    mut event: Map<String, Value>,
) -> Result<Value, Failure> {
    let zone = match call.one("timeZone") {
        Some(name) => times::zone(name),
        None => Some(events::zone(state, email)),
    };
    if let Some(zone) = zone {
        times::in_zone(&mut event, zone);
    }
    if let Some(most) = call.one("maxAttendees") {
        let most: usize = most.parse().map_err(|_| {
            Failure::parameter("maxAttendees", "invalidParameter", "Invalid value.")
        })?;
        if let Some(attendees) = event.get_mut("attendees").and_then(Value::as_array_mut)
            && attendees.len() > most
        {
            // The reader's own entry is what stays.
            attendees.sort_by_key(|attendee| attendee["self"] != true);
            attendees.truncate(most);
            event.insert("attendeesOmitted".to_owned(), json!(true));
        }
    }
    Ok(Value::Object(event))
}

/// The instances of a series, those that differ among them.
pub fn instances(
    state: &State,
    call: &Call,
    email: &str,
    key: &str,
    id: &str,
) -> Result<Value, Failure> {
    let calendar = events::calendar(state, email, key)?;
    let size = call.size(250, 2500)?;
    let asked = asked(state, call, email)?;
    let series = calendar.events.get(id).ok_or_else(missing)?;
    let mut found = asked.instances(calendar, &series.body);
    found.extend(
        calendar
            .events
            .values()
            .filter(|event| event.body.get("recurringEventId") == Some(&json!(id)))
            .filter(|event| !event.cancelled() || asked.deleted)
            .filter(|event| asked.overlaps(&event.body))
            .map(|event| event.body.clone()),
    );
    found.sort_by_key(|event| times::instant(&event["originalStartTime"], asked.zone));
    let position = cursor::position(call, calendar.version, false)?;
    let next = position.from + size;
    let items: Vec<Value> = found
        .iter()
        .skip(position.from)
        .take(size)
        .map(|event| shown(state, call, email, event.clone()))
        .collect::<Result<_, _>>()?;
    let mut reply = json!({
        "kind": "calendar#events", "etag": format!("\"p{}\"", calendar.version),
        "summary": calendar.summary(email), "timeZone": asked.zone.name(),
        "accessRole": calendar.role, "items": items,
        "defaultReminders": [{"method": "popup", "minutes": 10}],
    });
    if next < found.len() {
        reply["nextPageToken"] = json!(cursor::encode(&json!({
            "from": next, "version": position.version, "same": cursor::same(call),
        })));
    }
    Ok(reply)
}
