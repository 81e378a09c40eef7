//! What was asked of the simulated world, in order.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Longer bodies are cut in the journal.
const BODY_LIMIT: usize = 64 * 1024;

/// One call.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub at: DateTime<Utc>,
    pub method: String,
    pub path: String,
    pub query: String,
    /// As text; cut beyond 64 KiB.
    pub body: String,
    /// The status of the reply; 0 when the connection was cut.
    pub status: u16,
    /// Whether a fault took part.
    pub misbehaved: bool,
}

/// The calls so far; cheap to clone.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<Entry>>>);

impl Journal {
    pub(super) fn add(&self, mut entry: Entry) {
        if entry.body.len() > BODY_LIMIT {
            let end = entry.body.floor_char_boundary(BODY_LIMIT);
            entry.body.truncate(end);
        }
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many calls of this method had this path, or one below it when it ends with `/`.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.entries()
            .iter()
            .filter(|entry| entry.method == method)
            .filter(|entry| {
                entry.path == path || (path.ends_with('/') && entry.path.starts_with(path))
            })
            .count()
    }

    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
