//! What of a reading is news: the events that follow from what was stored and removed, and from what
//! HubSpot told of single records.
//!
//! What a source brings anew is an event that rules act upon only if it came to be since the reading of the
//! source began, and not long ago: years of old mail are no news, nor is what lay there while nobody was
//! connected. Of that, the last weeks are recorded as past, so that rules can be rehearsed with them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Source;
use super::feed::Birth;
use super::hubspot::Asked;
use crate::db::Scoped;
use crate::effects::{
    self,
    replies::{self, Heard},
};
use crate::events::{self, NewEvent};
use crate::ids;
use crate::ingest::batch::Outcome;
use crate::state::App;
use crate::webhooks::{self, Pending};

/// What is older is no news, even if we hear of it only now.
const STALE: TimeDelta = TimeDelta::days(2);

/// The provider's clock isn't ours, and some of its times are in whole seconds.
const SKEW: TimeDelta = TimeDelta::seconds(5);

/// A contact was erased by law. What was told of it goes with it.
const ERASED: &str = "hubspot.contact.privacyDeletion";

/// What news is measured by.
#[derive(Clone, Copy)]
pub(super) struct News<'a> {
    pub source: Source,
    pub account: &'a str,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    /// What HubSpot told of these records, with the values of the properties that it named.
    told: Option<(&'a [Pending], &'a Values)>,
}

pub(super) type Values = HashMap<(String, String), Option<String>>;

/// An item that was stored, or was as it is stored.
pub(super) struct Met<'a> {
    pub external_id: &'a str,
    pub row: Uuid,
    pub birth: Option<Birth>,
}

/// An item that was removed with its row.
pub(super) struct Removed {
    pub external_id: String,
    pub row: Uuid,
}

impl<'a> News<'a> {
    pub fn new(
        source: Source,
        account: &'a str,
        began_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            source,
            account,
            since: (began_at - SKEW).max(now - STALE),
            now,
            told: None,
        }
    }

    pub const fn told(mut self, pending: &'a [Pending], values: &'a Values) -> Self {
        self.told = Some((pending, values));
        self
    }

    /// Records what happened, and what each delivery came to.
    pub async fn record(
        &self,
        app: &App,
        tx: &mut Scoped,
        (met, stored): (&[Met<'_>], &Outcome),
        removed: &[Removed],
        task_id: Uuid,
    ) -> anyhow::Result<()> {
        replies::hear(app, tx, &heard(met, stored)).await?;
        let mut happened = self.of_stored(met, stored);
        happened.extend(self.of_removed(removed));
        let app_id = app.hubspot.as_ref().and_then(|own| own.settings.app_id);
        // Of what was told with who did it: whether we did.
        let mut known: HashMap<usize, bool> = HashMap::new();
        // Which of the events each delivery came to.
        let mut came_to: Vec<(Uuid, Vec<usize>)> = Vec::new();
        if let Some((pending, values)) = self.told {
            let rows: HashMap<&str, Uuid> =
                met.iter().map(|met| (met.external_id, met.row)).collect();
            for delivery in pending {
                let mut of_it: Vec<usize> = Vec::new();
                if let Some(event) = self.of_delivery(delivery, &rows, values) {
                    of_it.push(happened.len());
                    let is_ours = app_id.and_then(|app_id| delivery.is_by_app(app_id));
                    known.extend(is_ours.map(|is_ours| (happened.len(), is_ours)));
                    happened.push(event);
                } else if delivery.verb() == "deletion" {
                    let is_its = |event: &NewEvent| {
                        event.name == self.source.gone()
                            && delivery.object_ids.contains(&event.external_id)
                    };
                    of_it.extend(happened.iter().position(is_its));
                }
                came_to.push((delivery.id, of_it));
            }
        }
        if !happened.is_empty() {
            let names: Vec<String> = happened.iter().map(|one| one.external_id.clone()).collect();
            let ours = effects::made(tx, &names).await?;
            for (place, event) in happened.iter_mut().enumerate() {
                let made = || ours.contains(&event.external_id);
                if known.get(&place).copied().unwrap_or_else(made) {
                    event.data["own"] = json!(true);
                }
            }
        }
        let erased: Vec<String> = happened
            .iter()
            .filter(|event| event.name == ERASED)
            .map(|event| event.external_id.clone())
            .collect();
        if !erased.is_empty() {
            events::forget_values(tx, "hubspot.contact", &erased).await?;
            webhooks::forget(tx, &erased).await?;
        }
        let caused_by = json!({"kind": "task", "id": task_id});
        let ids = events::append(app, tx, &happened, &caused_by).await?;
        let settled: Vec<(Uuid, Vec<Uuid>)> = came_to
            .into_iter()
            .map(|(delivery, events)| {
                let ids = events.iter().filter_map(|place| ids.get(*place).copied());
                (delivery, ids.collect())
            })
            .collect();
        if settled.is_empty() {
            return Ok(());
        }
        Ok(webhooks::settle(tx, &settled, task_id, self.now).await?)
    }

    fn of_stored(&self, met: &[Met<'_>], stored: &Outcome) -> Vec<NewEvent> {
        met.iter()
            .filter_map(|met| {
                let birth = met.birth.as_ref()?;
                let past = birth.at < self.since;
                if past && (birth.at < self.now - events::KEPT || !stored.new.contains(&met.row)) {
                    return None;
                }
                let (name, moment) = if stored.new.contains(&met.row) {
                    (birth.event, String::new())
                } else if stored.updated.contains(&met.row) {
                    (self.source.changed()?, birth.at.to_rfc3339())
                } else {
                    return None;
                };
                Some(NewEvent {
                    name,
                    key: self.key(name, &[met.external_id, &moment]),
                    item: Some((self.source.item_kind(), met.row)),
                    external_id: met.external_id.to_owned(),
                    data: birth.data.clone(),
                    occurred_at: birth.at,
                    past,
                })
            })
            .collect()
    }

    fn of_removed(&self, removed: &[Removed]) -> Vec<NewEvent> {
        let name = self.source.gone();
        // A record that was merged into another isn't deleted.
        let merged = |id: &String| {
            self.told.is_some_and(|(pending, _)| {
                pending
                    .iter()
                    .any(|one| one.verb() == "merge" && one.object_ids.contains(id))
            })
        };
        removed
            .iter()
            .filter(|gone| !merged(&gone.external_id))
            .map(|gone| NewEvent {
                name,
                // It may come back, and go again.
                key: self.key(name, &[&gone.external_id, &gone.row.to_string()]),
                item: Some((self.source.item_kind(), gone.row)),
                external_id: gone.external_id.clone(),
                data: json!({}),
                occurred_at: self.now,
                past: false,
            })
            .collect()
    }

    /// What HubSpot said happened to a record, if the record agrees.
    fn of_delivery(
        &self,
        delivery: &Pending,
        rows: &HashMap<&str, Uuid>,
        values: &Values,
    ) -> Option<NewEvent> {
        let verb = delivery.verb();
        let name = self.source.told_event(verb)?;
        let found = delivery
            .object_ids
            .iter()
            .find_map(|id| rows.get_key_value(id.as_str()));
        let is_erased = verb == "privacyDeletion";
        if found.is_none() != is_erased {
            return None;
        }
        let external_id = match found {
            Some((id, _)) => *id,
            None => delivery.object_ids.first()?,
        };
        let key = if verb == "creation" {
            self.key(name, &[external_id, ""])
        } else {
            self.key(name, &[&hex::encode(&delivery.key)])
        };
        Some(NewEvent {
            name,
            key,
            item: found.map(|(_, row)| (self.source.item_kind(), *row)),
            external_id: external_id.to_owned(),
            data: data(delivery, external_id, values),
            occurred_at: delivery.occurred_at.unwrap_or(self.now),
            past: false,
        })
    }

    fn key(&self, name: &str, rest: &[&str]) -> [u8; 32] {
        let mut parts = vec![name, self.account];
        parts.extend(rest);
        ids::digest(&parts)
    }
}

/// What came in that could answer a mail of the user's, however old it is by now.
fn heard(met: &[Met<'_>], stored: &Outcome) -> Vec<Heard> {
    let received = met.iter().filter_map(|met| {
        let birth = met.birth.as_ref()?;
        let is_new = stored.new.contains(&met.row) && birth.event == "gmail.message.received";
        is_new.then_some((met.row, birth))
    });
    let text = |data: &Value, name: &str| data[name].as_str().map(str::to_owned);
    received
        .map(|(row, birth)| Heard {
            email_id: row,
            from: text(&birth.data, "from"),
            names: birth.data["names"]
                .as_array()
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            thread: text(&birth.data, "thread"),
            forged: birth.data["forged"] == true,
            automatic: birth.data["automatic"] == true,
            bounce: birth.data["undelivered"] == true,
            at: Some(birth.at),
        })
        .collect()
}

/// Which property changed, and its value now; who changed it, in HubSpot's words.
fn data(delivery: &Pending, id: &str, values: &Values) -> Value {
    let mut data = json!({});
    if let Some(property) = named_property(delivery) {
        let of = (id.to_owned(), property);
        data["value"] = json!(values.get(&of).cloned().flatten());
        data["property"] = json!(of.1);
    }
    if let Some(source) = delivery.content.get("changeSource").and_then(Value::as_str) {
        data["source"] = json!(source);
    }
    data
}

/// The property that a delivery is about. Anything that can't be the name of one is none.
fn named_property(delivery: &Pending) -> Option<String> {
    let name = delivery.content.get("propertyName")?.as_str()?;
    let is_name = (1..=100).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_name.then(|| name.to_owned())
}

/// The records that deliveries are about, and the properties that they name.
pub(super) fn asked_for(pending: &[Pending]) -> (Vec<String>, Vec<String>) {
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names.dedup();
        names
    };
    let ids = pending.iter().flat_map(|one| one.object_ids.clone());
    let properties = pending.iter().filter_map(named_property);
    (sorted(ids.collect()), sorted(properties.collect()))
}

impl Asked {
    /// Items that are there, for a walk under way.
    pub fn there(&self) -> Vec<String> {
        self.entries
            .iter()
            .filter(|entry| !matches!(entry.what, super::feed::What::Gone))
            .map(|entry| entry.id.clone())
            .collect()
    }
}

impl Source {
    /// The event of an item that has gone.
    const fn gone(self) -> &'static str {
        match self {
            Self::Gmail => "gmail.message.deleted",
            Self::Calendar => "calendar.event.cancelled",
            Self::HubspotContacts => "hubspot.contact.deletion",
            Self::HubspotNotes => "hubspot.note.deletion",
            Self::HubspotDeals => "hubspot.deal.deletion",
        }
    }

    /// The event of an item whose content is another; HubSpot tells which property it was.
    const fn changed(self) -> Option<&'static str> {
        match self {
            Self::Calendar => Some("calendar.event.updated"),
            _ => None,
        }
    }

    /// The event that HubSpot calls by this verb. Deletions follow from what is removed.
    fn told_event(self, verb: &str) -> Option<&'static str> {
        let (contact, note, deal) = match verb {
            "creation" => (
                "hubspot.contact.creation",
                Some("hubspot.note.creation"),
                "hubspot.deal.creation",
            ),
            "propertyChange" => (
                "hubspot.contact.propertyChange",
                Some("hubspot.note.propertyChange"),
                "hubspot.deal.propertyChange",
            ),
            "associationChange" => (
                "hubspot.contact.associationChange",
                Some("hubspot.note.associationChange"),
                "hubspot.deal.associationChange",
            ),
            "merge" => ("hubspot.contact.merge", None, "hubspot.deal.merge"),
            "restore" => ("hubspot.contact.restore", None, "hubspot.deal.restore"),
            "privacyDeletion" if self == Self::HubspotContacts => {
                return Some(ERASED);
            }
            _ => return None,
        };
        match self {
            Self::HubspotContacts => Some(contact),
            Self::HubspotNotes => note,
            Self::HubspotDeals => Some(deal),
            Self::Gmail | Self::Calendar => None,
        }
    }
}
