//! What happened, in the words that rules know: `hubspot.contact.creation`, `gmail.message.received`.
//!
//! Promises: an event is recorded in the transaction that makes it so, and once, whoever finds it: a
//! notification, a look of our own, or the daily comparison. It is made from what the provider says
//! now, never from what a notification says. May not know: who acts upon it. Reads nobody's tables.

mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::book::Kind;
use crate::tasks::{Payload, Priority};

pub use store::{KEPT, append, find, forget_values, names, open, settle, since, tidy};

/// Something that happened.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// `hubspot.contact.creation`
    pub name: &'static str,
    /// What makes it once.
    pub key: [u8; 32],
    /// The row of the book that it is about.
    pub item: Option<(Kind, Uuid)>,
    /// The provider's name for that.
    pub external_id: String,
    /// What the book can't tell.
    pub data: Value,
    pub occurred_at: DateTime<Utc>,
    /// It happened before anybody listened: rules are rehearsed with it, and don't act upon it.
    pub past: bool,
}

/// "Something has happened."
#[derive(Debug, Serialize, Deserialize)]
pub struct Happened {}

impl Payload for Happened {
    const KIND: &'static str = "apply_rules";
    const PRIORITY: Priority = Priority::Interactive;
}

/// An event as it is recorded.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: Uuid,
    pub name: String,
    /// `email`, `contact`, `note`, `deal` or `event`.
    pub item_kind: Option<String>,
    pub item_id: Option<Uuid>,
    pub external_id: Option<String>,
    pub data: Value,
    pub occurred_at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
    pub past: bool,
}

impl Event {
    /// When rules saw it, or would have.
    pub const fn seen_at(&self) -> DateTime<Utc> {
        if self.past {
            self.occurred_at
        } else {
            self.recorded_at
        }
    }
}
