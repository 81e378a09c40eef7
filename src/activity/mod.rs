//! What was done in the user's name, by whom and why: a diary that can be added to and not altered.
//!
//! Promises: an entry is appended in the transaction that makes it so; each holds the hash of the one
//! before it, so that a changed, removed or inserted one is found ([`verify`]); the database's role may
//! insert and read, nothing else. May not know: what any action is. Begin with [`append`].

mod chain;
pub mod routes;
mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub use store::{append, find, list};

/// Who acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    User,
    Assistant,
    Rule,
    System,
}

impl Actor {
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Rule => "rule",
            Self::System => "system",
        }
    }
}

/// What led to an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Why {
    pub conversation_id: Option<Uuid>,
    pub rule_id: Option<Uuid>,
    pub task_id: Option<Uuid>,
    pub event_id: Option<Uuid>,
}

/// What is appended.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub actor: Actor,
    /// `send_email`, `reject`, `change_settings` …
    pub action: &'a str,
    /// Whom or what it concerned, for people.
    pub target: Option<String>,
    pub why: Why,
    pub proposed: Option<Value>,
    #[doc(alias = "final")]
    pub done: Option<Value>,
    pub result: Option<Value>,
    /// How it can be taken back.
    pub undo: Option<Value>,
    /// The entry that this one takes back.
    pub undoes: Option<Uuid>,
}

impl<'a> New<'a> {
    pub fn of(actor: Actor, action: &'a str, why: Why) -> Self {
        Self {
            actor,
            action,
            target: None,
            why,
            proposed: None,
            done: None,
            result: None,
            undo: None,
            undoes: None,
        }
    }
}

/// An entry as it stands in the diary.
#[derive(Clone, Debug)]
pub struct Entry {
    pub place: i64,
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub target: Option<String>,
    pub why: Value,
    pub proposed: Option<Value>,
    pub done: Option<Value>,
    pub result: Option<Value>,
    pub undo: Option<Value>,
    pub undoes: Option<Uuid>,
    /// The entry that took this one back; not part of what is hashed.
    pub undone_by: Option<Uuid>,
    pub hash: Vec<u8>,
}
