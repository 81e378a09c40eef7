//! An account's calendars and the events in them, with what each event was before.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// Earlier states kept of an event.
const PAST_LIMIT: usize = 20;

pub struct Diary {
    pub time_zone: String,
    /// `primary` is the account's own.
    pub calendars: BTreeMap<String, Calendar>,
    /// Of the list of calendars.
    pub version: u64,
    pub forgotten: u64,
    announced: u64,
}

impl Default for Diary {
    fn default() -> Self {
        let primary = Calendar {
            role: "owner".to_owned(),
            ..Calendar::default()
        };
        Self {
            time_zone: "Europe/Zurich".to_owned(),
            calendars: BTreeMap::from([("primary".to_owned(), primary)]),
            version: 0,
            forgotten: 0,
            announced: 0,
        }
    }
}

#[derive(Default)]
pub struct Calendar {
    name: String,
    pub role: String,
    /// No longer in the list.
    pub removed: bool,
    /// The list's version when this calendar changed in it.
    pub listed: u64,
    pub events: BTreeMap<String, Stored>,
    pub version: u64,
    /// Sync tokens of versions before this are dead.
    pub forgotten: u64,
    /// `updatedMin` before this is too long ago.
    pub updated_floor: Option<DateTime<Utc>>,
    announced: u64,
}

/// An event.
#[derive(Default)]
pub struct Stored {
    /// As the API shows it.
    pub body: Map<String, Value>,
    /// The calendar's version that this state came with.
    pub version: u64,
    /// Earlier states, with the version that replaced each.
    pub past: Vec<(u64, Map<String, Value>)>,
    /// Reads that still show its conference as pending.
    pub pending: Option<u32>,
}

impl Stored {
    pub fn cancelled(&self) -> bool {
        is(&self.body, "status", "cancelled")
    }

    pub fn is_series(&self) -> bool {
        self.body.contains_key("recurrence")
    }

    /// An instance that differs from its series.
    pub fn is_exception(&self) -> bool {
        self.body.contains_key("recurringEventId")
    }
}

pub fn is(body: &Map<String, Value>, field: &str, value: &str) -> bool {
    body.get(field).and_then(Value::as_str) == Some(value)
}

/// The id that others know a calendar by.
pub fn address(email: &str, key: &str) -> String {
    if key == "primary" { email } else { key }.to_owned()
}

impl Calendar {
    pub fn summary(&self, email: &str) -> String {
        if self.name.is_empty() {
            email.to_owned()
        } else {
            self.name.clone()
        }
    }

    /// Another state of an event, which becomes the calendar's newest change.
    pub fn put(&mut self, id: &str, body: Map<String, Value>, pending: Option<u32>) {
        self.version += 1;
        let stored = self.events.entry(id.to_owned()).or_default();
        if !stored.body.is_empty() {
            let before = std::mem::take(&mut stored.body);
            stored.past.push((self.version, before));
            if stored.past.len() > PAST_LIMIT {
                stored.past.remove(0);
            }
        }
        stored.body = body;
        stored.version = self.version;
        stored.pending = pending;
    }
}

impl Diary {
    pub fn add(&mut self, id: &str, summary: &str, role: &str) {
        self.version += 1;
        let calendar = self.calendars.entry(id.to_owned()).or_default();
        summary.clone_into(&mut calendar.name);
        role.clone_into(&mut calendar.role);
        calendar.removed = false;
        calendar.listed = self.version;
    }

    pub fn remove(&mut self, id: &str) {
        if let Some(calendar) = self.calendars.get_mut(id) {
            self.version += 1;
            calendar.removed = true;
            calendar.listed = self.version;
        }
    }

    pub fn expire(&mut self, now: DateTime<Utc>) {
        self.version += 1;
        self.forgotten = self.version;
        self.announced = self.version;
        for calendar in self.calendars.values_mut() {
            // The tokens of the present version too: so the version moves, without news.
            calendar.version += 1;
            calendar.forgotten = calendar.version;
            calendar.announced = calendar.version;
            calendar.updated_floor = Some(now);
        }
    }

    /// What changed since this was last asked: calendars, or `None` for the list of them.
    pub fn unannounced(&mut self) -> Vec<Option<String>> {
        let mut found = Vec::new();
        if self.version > self.announced {
            self.announced = self.version;
            found.push(None);
        }
        for (key, calendar) in &mut self.calendars {
            if calendar.version > calendar.announced {
                calendar.announced = calendar.version;
                found.push(Some(key.clone()));
            }
        }
        found
    }
}
