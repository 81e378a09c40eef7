//! What rules can know of events: the fields of the grammar, read from the book for many events at once.
//! Reads `emails`, `contacts`, `contact_keys`, `notes`, `deals` and `calendar_events` of `book`.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use uuid::Uuid;

use super::grammar::{Field, Value};
use crate::book::address_key;
use crate::db::Scoped;
use crate::events::Event;

/// Characters of a text that rules look at.
const LOOKED_AT: i32 = 20_000;

/// An event and what is known of it.
pub(super) struct Known {
    pub event: Event,
    pub facts: BTreeMap<Field, Value>,
    /// Of a mail.
    pub thread_id: Option<Uuid>,
    /// Whom an answer would go to.
    pub address: Option<String>,
    /// What it is about, for people.
    pub title: String,
    /// Addresses of those who take part.
    pub people: Vec<String>,
}

impl Known {
    pub fn text(&self, field: Field) -> Option<String> {
        self.facts.get(&field).map(ToString::to_string)
    }

    pub fn is(&self, field: Field) -> bool {
        matches!(self.facts.get(&field), Some(Value::Flag(true)))
    }
}

/// What the book has of one item.
#[derive(Default)]
struct Item {
    facts: BTreeMap<Field, Value>,
    thread_id: Option<Uuid>,
    address: Option<String>,
    title: String,
    starts_at: Option<DateTime<Utc>>,
    /// Who takes part, for whether they are in HubSpot.
    people: Vec<String>,
    /// The others who know of it.
    all: Vec<String>,
}

/// In the order of the events.
pub(super) async fn of(tx: &mut Scoped, events: Vec<Event>) -> Result<Vec<Known>, sqlx::Error> {
    let mut ids: HashMap<&str, Vec<Uuid>> = HashMap::new();
    for event in &events {
        if let (Some(kind), Some(id)) = (event.item_kind.as_deref(), event.item_id) {
            ids.entry(kind).or_default().push(id);
        }
    }
    let of = |kind: &str| ids.get(kind).cloned().unwrap_or_default();
    let mut items: HashMap<Uuid, Item> = HashMap::new();
    items.extend(emails(tx, &of("email")).await?);
    items.extend(contacts(tx, &of("contact")).await?);
    items.extend(notes(tx, &of("note")).await?);
    items.extend(deals(tx, &of("deal")).await?);
    items.extend(meetings(tx, &of("event")).await?);
    let people: Vec<String> = items
        .values()
        .flat_map(|item| item.people.iter().map(|address| address_key(address)))
        .collect();
    let in_crm = in_crm(tx, &people).await?;
    drop(ids);
    Ok(events
        .into_iter()
        .map(|event| known(event, &items, &in_crm))
        .collect())
}

fn known(event: Event, items: &HashMap<Uuid, Item>, in_crm: &HashSet<String>) -> Known {
    let nothing = Item::default();
    let item = event.item_id.and_then(|id| items.get(&id));
    let found = item.unwrap_or(&nothing);
    let mut facts = found.facts.clone();
    facts.insert(Field::Event, Value::text(event.name.as_str()));
    facts.insert(Field::Own, Value::Flag(event.data["own"] == true));
    let known_people = || {
        found
            .people
            .iter()
            .any(|address| in_crm.contains(&address_key(address)))
    };
    match event.item_kind.as_deref() {
        Some("email") => {
            if item.is_some() {
                facts.insert(Field::SenderInCrm, Value::Flag(known_people()));
            }
            for (field, name) in [
                (Field::IsReply, "is_reply"),
                (Field::Automatic, "automatic"),
            ] {
                if let Some(flag) = event.data[name].as_bool() {
                    facts.insert(field, Value::Flag(flag));
                }
            }
            if let Some(size) = event.data["size"].as_f64() {
                facts.insert(Field::Size, Value::Number(size));
            }
            if let Some(labels) = event.data["labels"].as_array() {
                let labels = labels.iter().filter_map(Json::as_str);
                facts.insert(Field::Label, Value::list(labels));
            }
        }
        Some("event") if item.is_some() => {
            facts.insert(Field::AttendeeInCrm, Value::Flag(known_people()));
            if let Some(starts_at) = found.starts_at {
                // From when it was heard of: a rehearsal later must see the same.
                let minutes = (starts_at - event.seen_at()).num_minutes();
                let hours = f64::from(i32::try_from(minutes).unwrap_or(i32::MAX)) / 60.0;
                facts.insert(Field::StartsInHours, Value::Number(hours));
            }
        }
        _ => {
            for (field, name) in [
                (Field::Property, "property"),
                (Field::Value, "value"),
                (Field::Source, "source"),
            ] {
                if let Some(text) = event.data[name].as_str() {
                    facts.insert(field, Value::text(text));
                }
            }
        }
    }
    Known {
        thread_id: found.thread_id,
        address: found.address.clone(),
        title: found.title.clone(),
        people: found
            .all
            .iter()
            .chain(&found.people)
            .chain(&found.address)
            .cloned()
            .collect(),
        facts,
        event,
    }
}

/// Of these keys those that a contact of HubSpot's is known by.
async fn in_crm(tx: &mut Scoped, keys: &[String]) -> Result<HashSet<String>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let user_id = tx.user_id();
    let found = sqlx::query_scalar!(
        r#"
        select distinct asked.key as "key!"
        from unnest($2::text[]) as asked (key)
            join contact_keys on contact_keys.user_id = $1 and contact_keys.key = 'mail:' || asked.key
            join contacts on contacts.user_id = $1 and contacts.id = contact_id
        where contacts.uid like 'hubspot:%'
        "#,
        user_id,
        keys,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(found.into_iter().collect())
}

fn address(person: &Json) -> Option<String> {
    person["address"].as_str().map(str::to_owned)
}

fn addresses(people: &Json) -> Vec<String> {
    let people = people.as_array().map_or(&[][..], Vec::as_slice);
    people.iter().filter_map(address).collect()
}

async fn emails(tx: &mut Scoped, ids: &[Uuid]) -> Result<Vec<(Uuid, Item)>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select id, thread_id, subject, sender, recipients, copied, left(text, $3) as "text!", attachments
        from emails
        where user_id = $1 and id = any($2)
        "#,
        user_id,
        ids,
        LOOKED_AT,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let sender = row.sender.unwrap_or_default();
            let from = address(&sender);
            let (to, cc) = (addresses(&row.recipients), addresses(&row.copied));
            let files: Vec<&str> = row.attachments.as_array().map_or_else(Vec::new, |files| {
                files
                    .iter()
                    .filter_map(|file| file["name"].as_str())
                    .collect()
            });
            let has_files = row
                .attachments
                .as_array()
                .is_some_and(|files| !files.is_empty());
            let mut facts = BTreeMap::from([
                (Field::To, Value::list(to.iter().cloned())),
                (Field::Cc, Value::list(cc.iter().cloned())),
                (
                    Field::Recipients,
                    Value::list(to.iter().chain(&cc).cloned()),
                ),
                (Field::Subject, Value::text(row.subject.as_str())),
                (Field::Body, Value::text(row.text)),
                (Field::Attachment, Value::list(files)),
                (Field::HasAttachment, Value::Flag(has_files)),
            ]);
            if let Some(from) = &from {
                facts.insert(Field::From, Value::text(from.as_str()));
                if let Some((_, domain)) = from.rsplit_once('@') {
                    facts.insert(Field::FromDomain, Value::text(domain));
                }
            }
            if let Some(name) = sender["name"].as_str() {
                facts.insert(Field::FromName, Value::text(name));
            }
            let item = Item {
                facts,
                thread_id: Some(row.thread_id),
                people: from.iter().cloned().collect(),
                address: from,
                title: row.subject,
                starts_at: None,
                all: to.into_iter().chain(cc).collect(),
            };
            (row.id, item)
        })
        .collect())
}

async fn contacts(tx: &mut Scoped, ids: &[Uuid]) -> Result<Vec<(Uuid, Item)>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        "
        select id, name, emails, phones, organisation from contacts
        where user_id = $1 and id = any($2)
        ",
        user_id,
        ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut facts = BTreeMap::from([
                (Field::Name, Value::text(row.name.as_str())),
                (Field::HasEmail, Value::Flag(!row.emails.is_empty())),
                (Field::Email, Value::list(row.emails.iter().cloned())),
                (Field::Phone, Value::list(row.phones)),
            ]);
            if let Some(company) = row.organisation {
                facts.insert(Field::Company, Value::text(company));
            }
            let item = Item {
                facts,
                address: row.emails.into_iter().next(),
                title: row.name,
                ..Item::default()
            };
            (row.id, item)
        })
        .collect())
}

async fn notes(tx: &mut Scoped, ids: &[Uuid]) -> Result<Vec<(Uuid, Item)>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select id, left(text, $3) as "text!", array(
            select name from contacts where contacts.user_id = $1 and uid = any(notes.about) order by name
        ) as "people!"
        from notes
        where user_id = $1 and id = any($2)
        "#,
        user_id,
        ids,
        LOOKED_AT,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let title = row.text.lines().next().unwrap_or_default().to_owned();
            let facts = BTreeMap::from([
                (Field::Text, Value::text(row.text)),
                (Field::Contact, Value::list(row.people)),
            ]);
            let item = Item {
                facts,
                title,
                ..Item::default()
            };
            (row.id, item)
        })
        .collect())
}

async fn deals(tx: &mut Scoped, ids: &[Uuid]) -> Result<Vec<(Uuid, Item)>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        "select id, name, amount, stage from deals where user_id = $1 and id = any($2)",
        user_id,
        ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut facts = BTreeMap::from([(Field::Name, Value::text(row.name.as_str()))]);
            if let Some(stage) = row.stage {
                facts.insert(Field::Stage, Value::text(stage));
            }
            if let Some(amount) = row.amount.and_then(|amount| amount.parse().ok()) {
                facts.insert(Field::Amount, Value::Number(amount));
            }
            let item = Item {
                facts,
                title: row.name,
                ..Item::default()
            };
            (row.id, item)
        })
        .collect())
}

async fn meetings(tx: &mut Scoped, ids: &[Uuid]) -> Result<Vec<(Uuid, Item)>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select id, title, left(description, $3) as "description!", location, starts_at, all_day,
            organiser, attendees
        from calendar_events
        where user_id = $1 and id = any($2)
        "#,
        user_id,
        ids,
        LOOKED_AT,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let guests = addresses(&row.attendees);
            let mut facts = BTreeMap::from([
                (Field::Title, Value::text(row.title.as_str())),
                (Field::Description, Value::text(row.description)),
                (Field::AllDay, Value::Flag(row.all_day)),
                (Field::Attendee, Value::list(guests.iter().cloned())),
            ]);
            if let Some(organiser) = row.organiser.as_ref().and_then(address) {
                facts.insert(Field::Organizer, Value::text(organiser));
            }
            if let Some(location) = row.location {
                facts.insert(Field::Location, Value::text(location));
            }
            let item = Item {
                facts,
                title: row.title,
                starts_at: row.starts_at,
                people: guests,
                ..Item::default()
            };
            (row.id, item)
        })
        .collect())
}
