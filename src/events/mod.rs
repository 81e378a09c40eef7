//! What happened, in the words that rules know: `hubspot.contact.creation`, `gmail.message.received`.
//!
//! Promises: an event is recorded in the transaction that makes it so, and once, whoever finds it: a
//! notification, a look of our own, or the daily comparison. It is made from what the provider says
//! now, never from what a notification says. May not know: who acts upon it. Reads nobody's tables.

mod store;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::book::Kind;

pub use store::{append, names};

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
}
