//! What people do in a portal, for tests and the demo: by method, or below `/sim/hubspot`.
//!
//! These need the world's time and its connection to the app, which [`HubSpot`](super::HubSpot) alone
//! doesn't have; so they start from the [`World`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::events::Source;
use super::kind::Kind;
use super::objects::shown;
use super::store::{Store, Values, iso};
use super::webhooks;
use crate::simulator::World;

/// Somebody at the keyboard of a portal.
#[derive(Clone)]
pub struct Desk {
    world: World,
    portal: u64,
}

impl World {
    /// Works in a portal, which is there afterwards.
    pub fn portal(&self, id: u64) -> Desk {
        self.hubspot().add_portal(id, "example.com");
        Desk {
            world: self.clone(),
            portal: id,
        }
    }
}

fn values(properties: &[(&str, &str)]) -> Values {
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), Some(value.to_owned()));
    properties.iter().map(own).collect()
}

impl Desk {
    fn work<T>(
        &self,
        change: impl FnOnce(&mut Store, DateTime<Utc>, &Source) -> T,
    ) -> anyhow::Result<T> {
        let now = self.world.clock().now();
        let done = {
            let mut state = self.world.hubspot().state();
            let portal = state.portals.get_mut(&self.portal);
            let portal = portal.ok_or_else(|| anyhow::anyhow!("no such portal"))?;
            change(&mut portal.store, now, &Source::user())
        };
        webhooks::flush(&self.world);
        Ok(done)
    }

    /// A new object; its id.
    pub fn create(&self, kind: Kind, properties: &[(&str, &str)]) -> anyhow::Result<u64> {
        let values = values(properties);
        self.work(|store, now, source| store.create(kind, &values, now, source))?
            .map_err(|wrong| anyhow::anyhow!("refused: {wrong:?}"))
    }

    pub fn add_contact(&self, properties: &[(&str, &str)]) -> anyhow::Result<u64> {
        self.create(Kind::Contact, properties)
    }

    /// A deal of a contact.
    pub fn add_deal(&self, contact: u64, properties: &[(&str, &str)]) -> anyhow::Result<u64> {
        let id = self.create(Kind::Deal, properties)?;
        self.link((Kind::Deal, id), (Kind::Contact, contact))?;
        Ok(id)
    }

    /// A note on a contact.
    pub fn add_note(&self, contact: u64, html: &str, at: DateTime<Utc>) -> anyhow::Result<u64> {
        let properties = [("hs_note_body", html), ("hs_timestamp", &iso(at))];
        let id = self.create(Kind::Note, &properties)?;
        self.link((Kind::Note, id), (Kind::Contact, contact))?;
        Ok(id)
    }

    pub fn link(&self, from: (Kind, u64), to: (Kind, u64)) -> anyhow::Result<()> {
        self.work(|store, now, source| store.link(from, to, None, now, source))?
            .map_err(|wrong| anyhow::anyhow!("refused: {wrong:?}"))
    }

    pub fn unlink(&self, from: (Kind, u64), to: (Kind, u64)) -> anyhow::Result<()> {
        self.work(|store, now, source| store.unlink(from, to, now, source))
    }

    /// Changes properties; an empty value clears one.
    pub fn update(&self, kind: Kind, id: u64, properties: &[(&str, &str)]) -> anyhow::Result<()> {
        let lag = self.world.hubspot().state().search_lag;
        let values = values(properties);
        self.work(|store, now, source| store.update(kind, id, &values, (now, lag), source))?
            .map(|_| ())
            .map_err(|wrong| anyhow::anyhow!("refused: {wrong:?}"))
    }

    pub fn archive(&self, kind: Kind, id: u64) -> anyhow::Result<()> {
        self.work(|store, now, source| store.archive(kind, id, now, source))
    }

    /// The id of what survives.
    pub fn merge(&self, kind: Kind, primary: u64, other: u64) -> anyhow::Result<u64> {
        self.work(|store, now, source| store.merge(kind, (primary, other), now, source))?
            .map_err(|wrong| anyhow::anyhow!("refused: {wrong:?}"))
    }

    /// Erases a contact by law.
    pub fn erase(&self, contact: u64) -> anyhow::Result<()> {
        self.work(|store, now, source| store.erase(contact, now, source))
    }

    /// Many contacts at once, as if they had always been there: no events. Each is a map of
    /// properties; with the time of its last change, or now. Their ids.
    pub fn load_contacts(
        &self,
        contacts: impl IntoIterator<Item = (BTreeMap<String, String>, Option<DateTime<Utc>>)>,
    ) -> anyhow::Result<Vec<u64>> {
        self.work(|store, now, source| {
            let events = store.events.len();
            let ids = contacts
                .into_iter()
                .map(|(properties, at)| {
                    let values = properties
                        .into_iter()
                        .map(|(name, value)| (name, Some(value)));
                    let id = store
                        .create(Kind::Contact, &values.collect(), at.unwrap_or(now), source)
                        .map_err(|wrong| anyhow::anyhow!("refused: {wrong:?}"));
                    store.events.truncate(events);
                    id
                })
                .collect();
            store.events.truncate(events);
            ids
        })?
    }

    /// The portal's own rule: objects of this type need the property.
    pub fn require(&self, kind: Kind, property: &str) -> anyhow::Result<()> {
        self.work(|store, _, _| {
            store.wanted.insert((kind, property.to_owned()));
        })
    }

    /// Whether a merge leaves the primary record's id; else what survives has a new one.
    pub fn set_merge_keeps_id(&self, keeps: bool) -> anyhow::Result<()> {
        self.work(|store, _, _| store.merge_keeps_id = keeps)
    }

    /// All living objects of a type, with all of their properties and the ids of their contacts.
    pub fn all(&self, kind: Kind) -> Vec<Value> {
        self.work(|store, _, _| {
            let Some(table) = store.get(kind) else {
                return Vec::new();
            };
            let living = table
                .records
                .values()
                .filter(|record| record.archived_at.is_none());
            living
                .map(|record| {
                    let names: Vec<String> = record.properties.keys().cloned().collect();
                    let mut body = shown(record, kind, &names, self.portal);
                    let contacts = store.linked((kind, record.id), Kind::Contact, 0);
                    body["contacts"] = json!(contacts.map(|(id, _)| id).collect::<Vec<_>>());
                    body
                })
                .collect()
        })
        .unwrap_or_default()
    }

    /// What stands on the portal's contacts.
    pub fn all_notes(&self) -> Vec<Value> {
        self.all(Kind::Note)
    }
}
