//! The list of an account's calendars.

use serde_json::{Value, json};

use super::super::State;
use super::super::access::{Call, Failure};
use super::diary::{self, Diary};
use super::{cursor, sync};

/// What one may do, from least to most.
const ROLES: [&str; 4] = ["freeBusyReader", "reader", "writer", "owner"];

pub fn entry(diary: &Diary, email: &str, key: &str) -> Option<Value> {
    let calendar = diary.calendars.get(key)?;
    let id = diary::address(email, key);
    if calendar.removed {
        return Some(json!({
            "kind": "calendar#calendarListEntry", "etag": format!("\"{}\"", calendar.listed),
            "id": id, "deleted": true,
        }));
    }
    let mut entry = json!({
        "kind": "calendar#calendarListEntry", "etag": format!("\"{}\"", calendar.listed),
        "id": id, "summary": calendar.summary(email), "timeZone": diary.time_zone,
        "accessRole": calendar.role, "selected": true, "colorId": "14",
        "defaultReminders": [{"method": "popup", "minutes": 10}],
    });
    if key == "primary" {
        entry["primary"] = json!(true);
    }
    Some(entry)
}

pub fn list(state: &State, call: &Call, email: &str) -> Result<Value, Failure> {
    let size = call.size(100, 250)?;
    let account = state.accounts.get(email).ok_or_else(Failure::not_found)?;
    let diary = &account.diary;
    let invalid = |name: &str| Failure::parameter(name, "invalid", "Invalid token value.");
    let since = match call.one("syncToken") {
        None => None,
        Some(_) if call.one("minAccessRole").is_some() => {
            return Err(Failure::parameter(
                "syncToken",
                "badRequest",
                "Sync token cannot be used with the parameter minAccessRole.",
            ));
        }
        Some(token) => {
            let token = cursor::decode(token).ok_or_else(|| invalid("syncToken"))?;
            let version = token["list"].as_u64().ok_or_else(|| invalid("syncToken"))?;
            if version < diary.forgotten {
                return Err(sync::expired());
            }
            Some(version)
        }
    };
    let least = call.one("minAccessRole").unwrap_or(ROLES[0]);
    let rank = |role: &str| ROLES.iter().position(|other| *other == role);
    let deleted = since.is_some() || call.flag("showDeleted")?.unwrap_or(false);
    let from = match call.one("pageToken").filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => cursor::decode(token)
            .and_then(|token| usize::try_from(token["from"].as_u64()?).ok())
            .ok_or_else(|| invalid("pageToken"))?,
    };
    let found: Vec<Value> = diary
        .calendars
        .iter()
        .filter(|(_, calendar)| since.is_none_or(|since| calendar.listed > since))
        .filter(|(_, calendar)| deleted || !calendar.removed)
        .filter(|(_, calendar)| rank(&calendar.role) >= rank(least))
        .filter_map(|(key, _)| entry(diary, email, key))
        .collect();
    let items: Vec<&Value> = found.iter().skip(from).take(size).collect();
    let mut reply = json!({
        "kind": "calendar#calendarList", "etag": format!("\"l{}\"", diary.version),
        "items": items,
    });
    if from + size < found.len() {
        reply["nextPageToken"] = json!(cursor::encode(&json!({"from": from + size})));
    } else {
        reply["nextSyncToken"] = json!(cursor::encode(&json!({"list": diary.version})));
    }
    Ok(reply)
}
