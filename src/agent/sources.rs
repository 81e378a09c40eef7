//! What the tools have shown the model in this answer, by number.
//!
//! A citation may point only at these: a number that no tool gave out cites nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::book::Kind;

/// One numbered thing that the model has seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    pub kind: Kind,
    pub source_id: Uuid,
    pub title: String,
    pub occurred_at: Option<DateTime<Utc>>,
    /// The words that were shown, for citations without a quote.
    pub shown: String,
}

/// Numbers are given from 1 and never change within an answer.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<Seen>);

impl Sources {
    /// The number under which a source is shown; a source shown again keeps its number and gains
    /// the new words.
    pub fn number(&mut self, seen: Seen) -> usize {
        if let Some(place) = self
            .0
            .iter()
            .position(|known| known.source_id == seen.source_id && known.kind == seen.kind)
        {
            if let Some(known) = self.0.get_mut(place)
                && !known.shown.contains(&seen.shown)
            {
                known.shown.push_str("\n\n");
                known.shown.push_str(&seen.shown);
            }
            return place + 1;
        }
        self.0.push(seen);
        self.0.len()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order of their numbers.
    pub fn all(&self) -> &[Seen] {
        &self.0
    }

    /// What was added after there were so many. Words that were added to one shown before stay with it.
    pub fn since(&self, before: usize) -> Vec<Seen> {
        self.0.get(before..).unwrap_or_default().to_vec()
    }

    pub fn get(&self, number: usize) -> Option<&Seen> {
        self.0.get(number.checked_sub(1)?)
    }
}
