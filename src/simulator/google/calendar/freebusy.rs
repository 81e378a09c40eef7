//! When calendars are busy. A calendar that can't be read has an error, and no busy times.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::super::State;
use super::super::access::Failure;
use super::diary::is;
use super::{events, recurrence, sync, times};

const MOST: usize = 50;

pub fn query(state: &State, body: &Value, email: &str) -> Result<Value, Failure> {
    let bound = |name: &str| {
        let text = body[name].as_str().ok_or_else(|| {
            Failure::parameter(name, "required", &format!("Missing {name} parameter."))
        })?;
        times::parameter(name, text)
    };
    let (min, max) = (bound("timeMin")?, bound("timeMax")?);
    sync::check_range(Some(min), Some(max))?;
    let zone = match body["timeZone"].as_str() {
        None => Tz::UTC,
        Some(name) => times::zone(name)
            .ok_or_else(|| Failure::parameter("timeZone", "invalid", "Invalid time zone."))?,
    };
    let items: Vec<&str> = body["items"]
        .as_array()
        .map(|items| {
            items
                .iter()
                .filter_map(|item| item["id"].as_str())
                .collect()
        })
        .unwrap_or_default();
    let mut calendars = Map::new();
    for id in &items {
        let found = if items.len() > MOST {
            Err("tooManyCalendarsRequested".to_owned())
        } else if let Some(reason) = state.switches.free_busy_errors.get(*id) {
            Err(reason.clone())
        } else {
            busy(state, email, id, min, max).ok_or_else(|| "notFound".to_owned())
        };
        let entry = match found {
            Ok(times) => {
                let busy: Vec<Value> = times
                    .iter()
                    .map(|(start, end)| {
                        json!({"start": times::rfc3339(*start, zone), "end": times::rfc3339(*end, zone)})
                    })
                    .collect();
                json!({"busy": busy})
            }
            Err(reason) => json!({"errors": [{"domain": "global", "reason": reason}], "busy": []}),
        };
        calendars.insert((*id).to_owned(), entry);
    }
    Ok(json!({
        "kind": "calendar#freeBusy", "timeMin": times::rfc3339(min, Tz::UTC),
        "timeMax": times::rfc3339(max, Tz::UTC), "calendars": calendars,
    }))
}

/// The busy times of a calendar that the account may see: its own, and those of its domain.
fn busy(
    state: &State,
    email: &str,
    id: &str,
    min: DateTime<Utc>,
    max: DateTime<Utc>,
) -> Option<Vec<(DateTime<Utc>, DateTime<Utc>)>> {
    let domain = |address: &str| {
        address
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_owned())
    };
    let (owner, key) = if id == "primary" || id == email {
        (email, "primary")
    } else if state.accounts.contains_key(id) && domain(id) == domain(email) {
        (id, "primary")
    } else {
        (email, id)
    };
    let diary = &state.accounts.get(owner)?.diary;
    let calendar = diary
        .calendars
        .get(key)
        .filter(|calendar| !calendar.removed)?;
    let zone = events::zone(state, owner);
    let mut found = Vec::new();
    for event in calendar.events.values() {
        if event.cancelled() || is(&event.body, "transparency", "transparent") {
            continue;
        }
        let declined = event
            .body
            .get("attendees")
            .and_then(Value::as_array)
            .is_some_and(|attendees| {
                attendees.iter().any(|attendee| {
                    attendee["self"] == true && attendee["responseStatus"] == "declined"
                })
            });
        if declined {
            continue;
        }
        let each = if event.is_series() {
            recurrence::instances(&event.body, zone, max)
                .into_iter()
                .filter(|instance| {
                    let id = instance["id"].as_str().unwrap_or_default();
                    !calendar.events.contains_key(id)
                })
                .collect()
        } else {
            vec![event.body.clone()]
        };
        for event in each {
            let start = times::instant(&event["start"], zone)?;
            let end = times::instant(&event["end"], zone)?;
            if end > min && start < max {
                found.push((start.max(min), end.min(max)));
            }
        }
    }
    found.sort_unstable();
    let mut merged: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (start, end) in found {
        match merged.last_mut() {
            Some((_, last)) if start <= *last => *last = (*last).max(end),
            _ => merged.push((start, end)),
        }
    }
    Some(merged)
}
