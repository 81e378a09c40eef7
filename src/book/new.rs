//! Items on their way into the book, and the keys by which the same item is known again.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Known;
use crate::ids;

/// Somebody as a header names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Person {
    pub name: Option<String>,
    pub address: String,
}

impl Person {
    /// `Sara Smith <sara@example.com>`, or the address alone.
    pub fn display(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} <{}>", self.address),
            None => self.address.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewEmail {
    pub id: Uuid,
    pub message_id: String,
    /// The thread's first Message-ID, or what stands for it.
    pub thread_key: String,
    pub subject: String,
    pub sender: Option<Person>,
    pub to: Vec<Person>,
    pub cc: Vec<Person>,
    pub sent_at: Option<DateTime<Utc>>,
    pub text: String,
    pub html: Option<String>,
    /// List of `{name, content_type, size}`.
    pub attachments: Value,
}

impl NewEmail {
    /// A Message-ID alone isn't enough: broken programs give every mail the same one, and a
    /// stranger can reuse another's.
    pub fn dedupe_key(&self) -> [u8; 32] {
        let sender = self.sender.as_ref().map_or("", |sender| &sender.address);
        let date = self
            .sent_at
            .map_or_else(String::new, |at| at.timestamp().to_string());
        ids::digest(&[&self.message_id, sender, &date, self.subject.trim()])
    }

    pub fn thread_id(&self) -> Uuid {
        ids::derived(&["thread", &self.thread_key])
    }

    /// Every address, lower case, each once.
    pub fn participants(&self) -> Vec<String> {
        let mut addresses: Vec<_> = self
            .sender
            .iter()
            .chain(&self.to)
            .chain(&self.cc)
            .map(|person| person.address.to_lowercase())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

#[derive(Clone, Debug)]
pub struct NewContact {
    pub id: Uuid,
    /// The key under which it is stored, where that isn't what follows from its content: a provider's
    /// record keeps its row when its address changes.
    pub key: Option<[u8; 32]>,
    pub uid: Option<String>,
    pub name: String,
    pub emails: Vec<String>,
    pub phones: Vec<String>,
    pub organisation: Option<String>,
    pub title: Option<String>,
    pub addresses: Vec<String>,
    pub birthday: Option<String>,
    pub notes: String,
    /// What we have no field for: label and value.
    pub extra: Vec<(String, String)>,
}

impl NewContact {
    /// The first that there is of: the key given, address, the file's own id, name with phone.
    pub fn dedupe_key(&self) -> [u8; 32] {
        self.key.unwrap_or_else(|| {
            Self::natural_key(&self.emails, self.uid.as_deref(), &self.name, &self.phones)
        })
    }

    /// What follows from the content.
    pub fn natural_key(
        emails: &[String],
        uid: Option<&str>,
        name: &str,
        phones: &[String],
    ) -> [u8; 32] {
        match (emails.first(), uid) {
            (Some(address), _) => ids::digest(&["email", &address.to_lowercase()]),
            (None, Some(uid)) => ids::digest(&["uid", uid]),
            (None, None) => ids::digest(&[
                "name",
                &name.to_lowercase(),
                phones.first().map_or("", String::as_str),
            ]),
        }
    }

    /// The record as lines: what is searched and quoted.
    pub fn text(&self) -> String {
        let mut lines = vec![self.name.clone()];
        let mut line = |label: &str, value: &str| {
            if !value.trim().is_empty() {
                lines.push(format!("{label}: {}", value.trim()));
            }
        };
        line("E-mail", &self.emails.join(", "));
        line("Phone", &self.phones.join(", "));
        line(
            "Organisation",
            self.organisation.as_deref().unwrap_or_default(),
        );
        line("Title", self.title.as_deref().unwrap_or_default());
        for address in &self.addresses {
            line("Address", address);
        }
        line("Birthday", self.birthday.as_deref().unwrap_or_default());
        for (label, value) in &self.extra {
            line(label, value);
        }
        line("Notes", &self.notes);
        lines.join("\n")
    }

    pub fn content_hash(&self) -> [u8; 32] {
        let all = json!([
            self.name,
            self.emails,
            self.phones,
            self.organisation,
            self.title,
            self.addresses,
            self.birthday,
            self.notes,
            self.extra
        ]);
        ids::digest(&[&all.to_string()])
    }
}

#[derive(Clone, Debug)]
pub struct NewEvent {
    pub id: Uuid,
    /// As a contact's.
    pub key: Option<[u8; 32]>,
    pub uid: String,
    pub recurrence_id: Option<String>,
    pub title: String,
    pub description: String,
    pub location: Option<String>,
    pub starts_at: Option<DateTime<Utc>>,
    pub ends_at: Option<DateTime<Utc>>,
    pub all_day: bool,
    pub starts_on: Option<NaiveDate>,
    pub time_zone: Option<String>,
    pub organiser: Option<Person>,
    /// Person and answer.
    pub attendees: Vec<(Person, Option<String>)>,
    pub status: Option<String>,
    pub recurrence: Option<String>,
}

impl NewEvent {
    pub fn dedupe_key(&self) -> [u8; 32] {
        self.key
            .unwrap_or_else(|| Self::natural_key(&self.uid, self.recurrence_id.as_deref()))
    }

    /// What follows from the content.
    pub fn natural_key(uid: &str, recurrence_id: Option<&str>) -> [u8; 32] {
        ids::digest(&[uid, recurrence_id.unwrap_or_default()])
    }

    /// The event as lines: what is searched and quoted.
    pub fn text(&self) -> String {
        let mut lines = vec![self.title.clone()];
        let mut line = |label: &str, value: &str| {
            if !value.trim().is_empty() {
                lines.push(format!("{label}: {}", value.trim()));
            }
        };
        if let Some(day) = self.starts_on {
            line("Date", &day.format("%A %-d %B %Y").to_string());
        } else if let Some(at) = self.starts_at {
            line("Start", &at.format("%A %-d %B %Y %H:%M UTC").to_string());
        }
        line("Place", self.location.as_deref().unwrap_or_default());
        let who: Vec<_> = self
            .organiser
            .iter()
            .chain(self.attendees.iter().map(|(person, _)| person))
            .map(Person::display)
            .collect();
        line("With", &who.join(", "));
        line("Repeats", self.recurrence.as_deref().unwrap_or_default());
        line("Description", &self.description);
        lines.join("\n")
    }

    pub fn attendees_json(&self) -> Value {
        self.attendees
            .iter()
            .map(|(person, status)| {
                json!({"name": person.name, "address": person.address, "status": status})
            })
            .collect()
    }

    pub fn content_hash(&self) -> [u8; 32] {
        let all = json!([
            self.title,
            self.description,
            self.location,
            self.starts_at,
            self.ends_at,
            self.all_day,
            self.starts_on,
            self.time_zone,
            self.organiser,
            self.attendees_json(),
            self.status,
            self.recurrence
        ]);
        ids::digest(&[&all.to_string()])
    }

    pub fn participants(&self) -> Vec<String> {
        let mut addresses: Vec<_> = self
            .organiser
            .iter()
            .chain(self.attendees.iter().map(|(person, _)| person))
            .map(|person| person.address.to_lowercase())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

#[derive(Clone, Debug)]
pub struct NewDocument {
    pub id: Uuid,
    pub title: String,
    pub file_name: String,
    pub text: String,
}

impl NewDocument {
    pub fn dedupe_key(&self) -> [u8; 32] {
        ids::digest(&[&self.title, &self.text])
    }
}

#[derive(Clone, Debug)]
pub struct NewNote {
    pub id: Uuid,
    /// The provider's own id.
    pub uid: String,
    /// What is searched and quoted.
    pub text: String,
    pub written_at: Option<DateTime<Utc>>,
    /// The uids of the contacts that it is about.
    pub about: Vec<String>,
    /// Those of them that the book knows: their names stand in front of its passages.
    pub people: Vec<Known>,
}

impl NewNote {
    pub fn dedupe_key(&self) -> [u8; 32] {
        ids::digest(&["uid", &self.uid])
    }

    pub fn content_hash(&self) -> [u8; 32] {
        let all = json!([
            self.text,
            self.written_at,
            self.about,
            as_json(&self.people)
        ]);
        ids::digest(&[&all.to_string()])
    }
}

#[derive(Clone, Debug)]
pub struct NewDeal {
    pub id: Uuid,
    pub uid: String,
    pub name: String,
    pub amount: Option<String>,
    pub stage: Option<String>,
    pub pipeline: Option<String>,
    pub closes_on: Option<NaiveDate>,
    pub description: Option<String>,
    pub about: Vec<String>,
    pub people: Vec<Known>,
}

impl NewDeal {
    pub fn dedupe_key(&self) -> [u8; 32] {
        ids::digest(&["uid", &self.uid])
    }

    /// The record as lines: what is searched and quoted.
    pub fn text(&self) -> String {
        let mut lines = vec![self.name.clone()];
        let mut line = |label: &str, value: &str| {
            if !value.trim().is_empty() {
                lines.push(format!("{label}: {}", value.trim()));
            }
        };
        line("Amount", self.amount.as_deref().unwrap_or_default());
        line("Stage", self.stage.as_deref().unwrap_or_default());
        line("Pipeline", self.pipeline.as_deref().unwrap_or_default());
        if let Some(day) = self.closes_on {
            line("Closes", &day.format("%A %-d %B %Y").to_string());
        }
        line(
            "Description",
            self.description.as_deref().unwrap_or_default(),
        );
        lines.join("\n")
    }

    pub fn content_hash(&self) -> [u8; 32] {
        let all = json!([
            self.name,
            self.amount,
            self.stage,
            self.pipeline,
            self.closes_on,
            self.description,
            self.about,
            as_json(&self.people)
        ]);
        ids::digest(&[&all.to_string()])
    }
}

/// What passages are made of, beside the record itself.
fn as_json(people: &[Known]) -> Value {
    people
        .iter()
        .map(|person| json!([person.name, person.emails]))
        .collect()
}
