//! The advisor's book: the local copy of what files and providers hold: mails, contacts, calendar
//! events, documents, notes, deals.
//!
//! Promises: text is stored as it came, less NUL, because quotes are checked against it letter for
//! letter; the same thing brought twice is stored once (`dedupe_key`). May not know: where an item
//! came from, or how it is searched. Begin with the `New…` types; `store` is all SQL.

mod keys;
mod new;
mod person;
pub mod routes;
mod store;

pub use keys::{address_key, address_keys};
pub use new::{NewContact, NewDeal, NewDocument, NewEmail, NewEvent, NewNote, Person};
pub use person::{ContactPage, find_contact_page};
pub use store::{
    Acquaintance, Contact, Deal, Document, Email, Event, Known, ListedSource, Note, Stored, delete,
    events_between, everybody, find_contact, find_contacts, find_deal, find_document, find_email,
    find_event, find_note, find_people, ids_of, list_sources, list_thread, readers, source_text,
    upsert_contacts, upsert_deals, upsert_documents, upsert_emails, upsert_events, upsert_notes,
};

/// Who brought an item: what a file brought stays when a provider's record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    File,
    Provider,
}

/// What a source is. The names are those of the API.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Email,
    Contact,
    Note,
    Event,
    Deal,
    Document,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Contact => "contact",
            Self::Note => "note",
            Self::Event => "event",
            Self::Deal => "deal",
            Self::Document => "document",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Email,
            Self::Contact,
            Self::Note,
            Self::Event,
            Self::Deal,
            Self::Document,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}
