//! What every import does with what it read: convert, chunk, store, all of a batch at once. Notes and
//! deals, which name their people by uid, have a file of their own.

mod records;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::files::{CalendarEvent, Contact, Document, Email, Item, Mailbox};
use crate::book::{
    self, Kind, NewContact, NewDeal, NewDocument, NewEmail, NewEvent, NewNote, Origin, Person,
    Stored,
};
use crate::db::Scoped;
use crate::ids;
use crate::llm;
use crate::retrieval::{self, Passage, Searchable};
use crate::state::App;

/// Items a transaction: enough that its cost vanishes, few enough that progress is smooth.
pub const MAX_ITEMS: usize = 250;
/// Bytes of content a batch may hold, so that large mails don't add up.
pub const MAX_BYTES: usize = 8 << 20;

/// Items that were read, converted and chunked, ready for one transaction.
#[derive(Default)]
pub struct Batch {
    emails: Vec<NewEmail>,
    contacts: Vec<NewContact>,
    events: Vec<NewEvent>,
    documents: Vec<NewDocument>,
    notes: Vec<NewNote>,
    deals: Vec<NewDeal>,
    /// Of each item in the order that they came.
    keys: Vec<[u8; 32]>,
    /// By the id that each item came with.
    passages: HashMap<Uuid, Vec<Passage>>,
}

/// What storing a batch did.
#[derive(Debug, Default)]
pub struct Outcome {
    pub counts: Counts,
    /// The rows that weren't there before.
    pub new: HashSet<Uuid>,
    /// Those that were, with other content.
    pub updated: HashSet<Uuid>,
}

/// The same in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// New or changed.
    pub imported: u64,
    pub unchanged: u64,
}

impl Batch {
    /// Converts and chunks; costs processor time, so it runs on the blocking pool.
    pub fn prepare(items: Vec<Item>, file_name: &str, app: &App) -> Self {
        let mut batch = Self::default();
        let mut sources = Vec::with_capacity(items.len());
        for item in items {
            sources.push(match item {
                Item::Email(email) => batch.email(*email),
                Item::Contact(contact) => batch.contact(*contact),
                Item::Event(event) => batch.event(*event),
                Item::Document(document) => batch.document(*document, file_name),
                Item::Note(note) => batch.note(*note),
                Item::Deal(deal) => batch.deal(*deal),
            });
        }
        for passage in retrieval::passages(&sources, llm::passage_words(app)) {
            batch
                .passages
                .entry(passage.source_id)
                .or_default()
                .push(passage);
        }
        batch
    }

    /// Under which key each item is stored, in the order that they came.
    pub fn keys(&self) -> &[[u8; 32]] {
        &self.keys
    }

    /// Stores the batch within the caller's transaction: the items, and the passages of those that
    /// are new or changed.
    pub async fn store(
        mut self,
        tx: &mut Scoped,
        app: &App,
        origin: Origin,
    ) -> Result<Outcome, sqlx::Error> {
        let now = app.clock.now();
        let all = self.keys.len() as u64;
        let contacts = book::upsert_contacts(tx, &self.contacts, origin, now).await?;
        self.introduce(tx).await?;
        let kinds = [
            contacts,
            book::upsert_emails(tx, &self.emails, origin, now).await?,
            book::upsert_events(tx, &self.events, origin, now).await?,
            book::upsert_documents(tx, &self.documents, now).await?,
            book::upsert_notes(tx, &self.notes, now).await?,
            book::upsert_deals(tx, &self.deals, now).await?,
        ];
        let mut outcome = Outcome::default();
        for stored in kinds {
            outcome.counts.imported += stored.changed.len() as u64;
            self.store_passages(tx, &stored).await?;
            let rows = stored.changed.values().copied();
            outcome
                .new
                .extend(rows.filter(|row| !stored.updated.contains(row)));
            outcome.updated.extend(stored.updated);
        }
        outcome.counts.unchanged = all - outcome.counts.imported;
        Ok(outcome)
    }

    async fn store_passages(
        &mut self,
        tx: &mut Scoped,
        stored: &Stored,
    ) -> Result<(), sqlx::Error> {
        let mut passages = Vec::new();
        for (came_as, stored_as) in &stored.changed {
            for mut passage in self.passages.remove(came_as).unwrap_or_default() {
                passage.source_id = *stored_as;
                passages.push(passage);
            }
        }
        retrieval::store_passages(tx, &passages, &stored.updated).await
    }

    fn email(&mut self, email: Email) -> Searchable {
        let attachments = email
            .attachments
            .iter()
            .map(|part| json!({"name": part.name, "content_type": part.content_type, "size": part.size}))
            .collect();
        let thread_key = email.thread_key().to_owned();
        let mut text = email.text;
        let attached_at = text.len();
        // What an attachment says is searched and quoted as a part of its mail.
        for part in &email.attachments {
            if let Some(content) = part
                .text
                .as_deref()
                .filter(|content| !content.trim().is_empty())
            {
                let _ = write!(text, "\n\n[{}]\n\n{content}", part.name);
            }
        }
        let new = NewEmail {
            id: ids::next(),
            message_id: email.message_id,
            thread_key,
            subject: email.subject,
            sender: email.from.map(person),
            to: email.to.into_iter().map(person).collect(),
            cc: email.cc.into_iter().chain(email.bcc).map(person).collect(),
            sent_at: email.date,
            text,
            html: email.html,
            attachments,
        };
        let names: Vec<String> = new
            .sender
            .iter()
            .chain(&new.to)
            .chain(&new.cc)
            .map(Person::display)
            .collect();
        let searchable = Searchable {
            kind: Kind::Email,
            source_id: new.id,
            thread_id: Some(new.thread_id()),
            occurred_at: new.sent_at,
            title: if new.subject.trim().is_empty() {
                "(no subject)".to_owned()
            } else {
                new.subject.clone()
            },
            header: header(&[
                "Email",
                &new.sender.as_ref().map_or_else(String::new, short),
                &new.to.first().map_or_else(String::new, short),
                &day(new.sent_at),
                &new.subject,
            ]),
            participants: book::address_keys(&new.participants()),
            names: names.join(" "),
            text: new.text.clone(),
            attached_at,
        };
        self.keys.push(new.dedupe_key());
        self.emails.push(new);
        searchable
    }

    fn contact(&mut self, contact: Contact) -> Searchable {
        let new = NewContact {
            id: ids::next(),
            key: contact.key,
            uid: contact.uid,
            name: contact.name,
            emails: contact.emails,
            phones: contact.phones,
            organisation: contact.organisation,
            title: contact.title,
            addresses: contact.addresses,
            birthday: contact.birthday,
            notes: contact.notes,
            extra: contact.extra,
        };
        let title = [Some(&new.name), new.emails.first(), new.phones.first()]
            .into_iter()
            .flatten()
            .find(|text| !text.trim().is_empty())
            .cloned()
            .unwrap_or_else(|| "(no name)".to_owned());
        let searchable = Searchable {
            kind: Kind::Contact,
            source_id: new.id,
            thread_id: None,
            occurred_at: None,
            header: header(&["Contact", &title]),
            title,
            participants: book::address_keys(&new.emails),
            names: format!("{} {}", new.name, new.emails.join(" ")),
            text: new.text(),
            attached_at: 0,
        };
        self.keys.push(new.dedupe_key());
        self.contacts.push(new);
        searchable
    }

    fn event(&mut self, event: CalendarEvent) -> Searchable {
        let new = NewEvent {
            id: ids::next(),
            key: event.key,
            uid: event.uid,
            recurrence_id: event.recurrence_id,
            title: event.title,
            description: event.description,
            location: Some(event.location).filter(|place| !place.is_empty()),
            starts_at: event.start,
            ends_at: event.end,
            all_day: event.all_day,
            starts_on: event.start_date,
            time_zone: event.time_zone,
            organiser: event.organiser.map(person),
            attendees: event
                .attendees
                .into_iter()
                .map(|attendee| (person(attendee.mailbox), attendee.status))
                .collect(),
            status: event.status,
            recurrence: event.recurrence,
        };
        let title = if new.title.trim().is_empty() {
            "(no title)".to_owned()
        } else {
            new.title.clone()
        };
        let names: Vec<String> = new
            .organiser
            .iter()
            .chain(new.attendees.iter().map(|(person, _)| person))
            .map(Person::display)
            .collect();
        let searchable = Searchable {
            kind: Kind::Event,
            source_id: new.id,
            thread_id: None,
            occurred_at: new.starts_at,
            header: header(&["Event", &title, &day(new.starts_at)]),
            title,
            participants: book::address_keys(&new.participants()),
            names: names.join(" "),
            text: new.text(),
            attached_at: 0,
        };
        self.keys.push(new.dedupe_key());
        self.events.push(new);
        searchable
    }

    fn document(&mut self, document: Document, file_name: &str) -> Searchable {
        let new = NewDocument {
            id: ids::next(),
            title: document.title,
            file_name: file_name.to_owned(),
            text: document.text,
        };
        let searchable = Searchable {
            kind: Kind::Document,
            source_id: new.id,
            thread_id: None,
            occurred_at: None,
            title: new.title.clone(),
            header: header(&["Document", &new.title]),
            participants: Vec::new(),
            names: new.file_name.clone(),
            text: new.text.clone(),
            attached_at: 0,
        };
        self.keys.push(new.dedupe_key());
        self.documents.push(new);
        searchable
    }
}

fn day(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(String::new, |at| at.format("%-d %B %Y").to_string())
}

fn person(mailbox: Mailbox) -> Person {
    Person {
        name: mailbox.name,
        address: mailbox.address,
    }
}

/// The name, or the address where there is none: headers are embedded, and their tokens are few.
fn short(person: &Person) -> String {
    person
        .name
        .clone()
        .unwrap_or_else(|| person.address.clone())
}

/// One line, each field cut so that no subject pushes the text out of the model's window.
fn header(fields: &[&str]) -> String {
    fields
        .iter()
        .map(|field| {
            let line: Vec<&str> = field.split_whitespace().collect();
            line.join(" ").chars().take(80).collect::<String>()
        })
        .filter(|field| !field.is_empty())
        .collect::<Vec<_>>()
        .join(" | ")
}
