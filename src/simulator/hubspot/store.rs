//! What a portal holds: records by id, with an index by their time of change, and the links between
//! them. Knows no HTTP; every change also writes down the events that it causes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::events::{Change, Event, Source};
use super::kind::Kind;
use super::wrong::Wrong;

pub(super) type Values = BTreeMap<String, Option<String>>;

/// An object. Its own times and id aren't among its `properties`.
#[derive(Clone)]
pub(super) struct Record {
    pub id: u64,
    pub properties: BTreeMap<String, String>,
    pub created: DateTime<Utc>,
    pub modified: DateTime<Utc>,
    pub archived_at: Option<DateTime<Utc>>,
    /// How search saw it before the last change, while the index lags.
    before: Option<Box<Record>>,
}

impl Record {
    pub fn value(&self, kind: Kind, name: &str) -> Option<Cow<'_, str>> {
        if name == kind.modified() {
            Some(iso(self.modified).into())
        } else if name == kind.created() {
            Some(iso(self.created).into())
        } else if name == "hs_object_id" {
            Some(self.id.to_string().into())
        } else {
            self.properties.get(name).map(Into::into)
        }
    }

    /// As the index has it: what changed less than `lag` ago is old there, or missing.
    pub fn indexed(&self, now: DateTime<Utc>, lag: TimeDelta) -> Option<&Self> {
        if self.modified + lag <= now {
            Some(self)
        } else {
            self.before.as_ref()?.indexed(now, lag)
        }
    }
}

pub(super) fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An instant as HubSpot takes it: ISO, or milliseconds since the epoch.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(millis) = text.parse::<i64>() {
        return DateTime::from_timestamp_millis(millis);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_time(chrono::NaiveTime::MIN).and_utc())
}

#[derive(Default)]
pub(super) struct Table {
    pub records: BTreeMap<u64, Record>,
    /// Living records by the millisecond of their last change.
    pub by_modified: BTreeSet<(i64, u64)>,
    /// Living contacts by lower-case address.
    pub by_email: HashMap<String, u64>,
    /// Ids that became part of another record.
    merged: HashMap<u64, u64>,
}

impl Table {
    fn insert(&mut self, record: Record) {
        if record.archived_at.is_none() {
            self.by_modified
                .insert((record.modified.timestamp_millis(), record.id));
            if let Some(email) = record.properties.get("email") {
                self.by_email.insert(email.clone(), record.id);
            }
        }
        self.records.insert(record.id, record);
    }

    fn remove(&mut self, id: u64) -> Option<Record> {
        let record = self.records.remove(&id)?;
        self.by_modified
            .remove(&(record.modified.timestamp_millis(), id));
        if let Some(email) = record.properties.get("email")
            && self.by_email.get(email) == Some(&id)
        {
            self.by_email.remove(email);
        }
        Some(record)
    }

    /// Where a merged-away id went.
    pub fn survivor(&self, mut id: u64) -> u64 {
        while let Some(next) = self.merged.get(&id) {
            id = *next;
        }
        id
    }

    /// A living record, also by an id that was merged away.
    pub fn living(&self, id: u64) -> Option<&Record> {
        let record = self.records.get(&self.survivor(id))?;
        record.archived_at.is_none().then_some(record)
    }
}

/// One end of a link.
pub(super) type End = (Kind, u64);

/// All data of one portal.
#[derive(Default)]
pub(super) struct Store {
    tables: BTreeMap<Kind, Table>,
    /// Both directions, with the type ids of each.
    pub links: BTreeMap<(Kind, u64, Kind, u64), BTreeSet<u32>>,
    /// Properties that this portal wants on creation.
    pub wanted: BTreeSet<(Kind, String)>,
    /// A merge leaves the primary record's id as it was.
    pub merge_keeps_id: bool,
    pub events: Vec<Event>,
    last_id: u64,
}

impl Store {
    pub fn table(&mut self, kind: Kind) -> &mut Table {
        self.tables.entry(kind).or_default()
    }

    pub fn get(&self, kind: Kind) -> Option<&Table> {
        self.tables.get(&kind)
    }

    pub fn living(&self, kind: Kind, id: u64) -> Option<&Record> {
        self.get(kind)?.living(id)
    }

    pub fn create(
        &mut self,
        kind: Kind,
        values: &Values,
        now: DateTime<Utc>,
        source: &Source,
    ) -> Result<u64, Wrong> {
        let properties = super::validate::checked(kind, values)?;
        let wanted = self.wanted.iter().filter(|(of, _)| *of == kind);
        for (_, name) in wanted {
            if !properties.contains_key(name) {
                return Err(Wrong::property("MISSING_REQUIRED_PROPERTY", name));
            }
        }
        if kind == Kind::Note && !properties.contains_key("hs_timestamp") {
            return Err(Wrong::property("MISSING_REQUIRED_PROPERTY", "hs_timestamp"));
        }
        self.free_email(kind, &properties, None)?;
        self.last_id = self.last_id.max(50) + 1;
        let id = self.last_id;
        self.note(kind, id, now, source, Change::Creation);
        for (name, value) in &properties {
            self.changed(kind, id, now, source, name, value);
        }
        self.table(kind).insert(Record {
            id,
            properties,
            created: now,
            modified: now,
            archived_at: None,
            before: None,
        });
        Ok(id)
    }

    fn free_email(
        &self,
        kind: Kind,
        properties: &BTreeMap<String, String>,
        own: Option<u64>,
    ) -> Result<(), Wrong> {
        let holder = properties
            .get("email")
            .and_then(|email| self.get(kind)?.by_email.get(email));
        match holder {
            Some(&id) if kind == Kind::Contact && Some(id) != own => Err(Wrong::conflict(id)),
            _ => Ok(()),
        }
    }

    /// Changes some properties; an empty value clears one. The id that the record has.
    pub fn update(
        &mut self,
        kind: Kind,
        id: u64,
        values: &Values,
        (now, lag): (DateTime<Utc>, TimeDelta),
        source: &Source,
    ) -> Result<u64, Wrong> {
        let mut record = self
            .living(kind, id)
            .cloned()
            .ok_or_else(|| Wrong::not_found(kind, &id))?;
        let id = record.id;
        let new = super::validate::checked(kind, values)?;
        self.free_email(kind, &new, Some(id))?;
        // Versions that the index no longer shows aren't kept.
        let old = record.indexed(now, lag).map_or_else(
            || record.before.clone(),
            |seen| {
                let mut seen = seen.clone();
                seen.before = None;
                Some(Box::new(seen))
            },
        );
        let mut touched = Vec::new();
        for name in values.keys() {
            let value = new.get(name);
            if record.properties.get(name) == value {
                continue;
            }
            match value {
                Some(value) => record.properties.insert(name.clone(), value.clone()),
                None => record.properties.remove(name),
            };
            touched.push((name.clone(), value.cloned().unwrap_or_default()));
        }
        record.modified = now;
        record.before = if lag.is_zero() { None } else { old };
        self.table(kind).remove(id);
        self.table(kind).insert(record);
        for (name, value) in touched {
            self.changed(kind, id, now, source, &name, &value);
        }
        Ok(id)
    }

    /// As if it had never been made.
    pub fn forget(&mut self, kind: Kind, id: u64) {
        self.unlink_all((kind, id));
        self.table(kind).remove(id);
    }

    /// To the recycling bin; nothing happens to what is there already.
    pub fn archive(&mut self, kind: Kind, id: u64, now: DateTime<Utc>, source: &Source) {
        let id = self.table(kind).survivor(id);
        if self.living(kind, id).is_none() {
            return;
        }
        if let Some(mut record) = self.table(kind).remove(id) {
            record.archived_at = Some(now);
            record.modified = now;
            self.table(kind).insert(record);
            self.unlink_all((kind, id));
            self.note(kind, id, now, source, Change::Deletion);
        }
    }

    /// Erased by law: nothing of it stays.
    pub fn erase(&mut self, id: u64, now: DateTime<Utc>, source: &Source) {
        let id = self.table(Kind::Contact).survivor(id);
        if self.table(Kind::Contact).remove(id).is_some() {
            self.unlink_all((Kind::Contact, id));
            self.note(Kind::Contact, id, now, source, Change::PrivacyDeletion);
            self.note(Kind::Contact, id, now, source, Change::Deletion);
        }
    }

    /// Makes one record of two; the id of what survives, which may be new.
    pub fn merge(
        &mut self,
        kind: Kind,
        (primary, other): (u64, u64),
        now: DateTime<Utc>,
        source: &Source,
    ) -> Result<u64, Wrong> {
        for id in [primary, other] {
            if self.living(kind, id).is_none() {
                return Err(Wrong::not_found(kind, &id));
            }
        }
        let (first, second) = (
            self.table(kind).survivor(primary),
            self.table(kind).survivor(other),
        );
        if first == second {
            return Err(Wrong::validation("Cannot merge an object with itself."));
        }
        let (Some(mut kept), Some(gone)) = (
            self.table(kind).remove(first),
            self.table(kind).remove(second),
        ) else {
            return Err(Wrong::not_found(kind, &primary));
        };
        let mut moved = 0;
        for (name, value) in gone.properties {
            kept.properties.entry(name).or_insert_with(|| {
                moved += 1;
                value
            });
        }
        kept.modified = now;
        kept.before = None;
        if !self.merge_keeps_id {
            self.last_id += 1;
            kept.id = self.last_id;
        }
        let id = kept.id;
        for old in [first, second] {
            if old != id {
                self.table(kind).merged.insert(old, id);
                self.relink((kind, old), (kind, id));
            }
        }
        self.table(kind).insert(kept);
        let change = Change::Merge {
            primary: first,
            merged: vec![first, second],
            moved,
        };
        self.note(kind, id, now, source, change);
        Ok(id)
    }

    /// Links two records both ways; with the unlabelled type when `label` is none.
    pub fn link(
        &mut self,
        from: End,
        to: End,
        label: Option<u32>,
        now: DateTime<Utc>,
        source: &Source,
    ) -> Result<(), Wrong> {
        for (kind, id) in [from, to] {
            if self.living(kind, id).is_none() {
                return Err(Wrong::not_found(kind, &id));
            }
        }
        let there = from.0.association(to.0);
        let label = label.unwrap_or(there);
        let ahead = self.links.entry((from.0, from.1, to.0, to.1)).or_default();
        let new = ahead.insert(label);
        self.links
            .entry((to.0, to.1, from.0, from.1))
            .or_default()
            .insert(to.0.association(from.0));
        if new {
            let change = Change::Association {
                to,
                removed: false,
                type_id: label,
            };
            self.note(from.0, from.1, now, source, change);
        }
        Ok(())
    }

    pub fn unlink(&mut self, from: End, to: End, now: DateTime<Utc>, source: &Source) {
        let ahead = self.links.remove(&(from.0, from.1, to.0, to.1));
        self.links.remove(&(to.0, to.1, from.0, from.1));
        if ahead.is_some() {
            let change = Change::Association {
                to,
                removed: true,
                type_id: from.0.association(to.0),
            };
            self.note(from.0, from.1, now, source, change);
        }
    }

    /// What a record is linked to, in order of ids, from an id on.
    pub fn linked(
        &self,
        (kind, id): End,
        to: Kind,
        after: u64,
    ) -> impl Iterator<Item = (u64, &BTreeSet<u32>)> {
        self.links
            .range((kind, id, to, after)..=(kind, id, to, u64::MAX))
            .map(|((.., id), types)| (*id, types))
    }

    fn ends(&self, (kind, id): End) -> Vec<(End, BTreeSet<u32>)> {
        self.links
            .range((kind, id, Kind::Contact, 0)..=(kind, id, Kind::Note, u64::MAX))
            .map(|((_, _, to, other), types)| ((*to, *other), types.clone()))
            .collect()
    }

    fn unlink_all(&mut self, from: End) {
        for (to, _) in self.ends(from) {
            self.links.remove(&(from.0, from.1, to.0, to.1));
            self.links.remove(&(to.0, to.1, from.0, from.1));
        }
    }

    fn relink(&mut self, old: End, new: End) {
        for (to, types) in self.ends(old) {
            self.links.remove(&(old.0, old.1, to.0, to.1));
            let back = self.links.remove(&(to.0, to.1, old.0, old.1));
            if to == new {
                continue;
            }
            let ahead = self.links.entry((new.0, new.1, to.0, to.1)).or_default();
            ahead.extend(types);
            let behind = self.links.entry((to.0, to.1, new.0, new.1)).or_default();
            behind.extend(back.unwrap_or_default());
        }
    }

    fn note(&mut self, kind: Kind, id: u64, at: DateTime<Utc>, source: &Source, change: Change) {
        self.events.push(Event {
            kind,
            id,
            at,
            source: source.clone(),
            change,
        });
    }

    fn changed(
        &mut self,
        kind: Kind,
        id: u64,
        at: DateTime<Utc>,
        source: &Source,
        name: &str,
        value: &str,
    ) {
        let change = Change::Property {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        self.note(kind, id, at, source, change);
    }
}
