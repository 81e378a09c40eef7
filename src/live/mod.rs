//! "This changed", to the browsers of the user concerned (`GET /api/events`).
//!
//! A hint, not a log: who was away asks the API again. Bounded: a browser that reads too slowly
//! loses hints, never memory of ours. May not know: what changed, beyond the name and a small JSON.

pub mod routes;

use serde_json::Value;
use tokio::sync::broadcast;

use crate::db::UserId;

/// Kinds of change, as the stream names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Ingest,
    Task,
    Approval,
    Activity,
}

impl Topic {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Task => "task",
            Self::Approval => "approval",
            Self::Activity => "activity",
        }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    pub user_id: UserId,
    pub topic: Topic,
    pub data: Value,
}

/// Where changes are told and heard within this process.
#[derive(Clone, Debug)]
pub struct Live(broadcast::Sender<Change>);

impl Default for Live {
    fn default() -> Self {
        Self(broadcast::channel(1024).0)
    }
}

impl Live {
    pub fn tell(&self, user_id: UserId, topic: Topic, data: Value) {
        // Nobody listening is the ordinary case.
        let _ = self.0.send(Change {
            user_id,
            topic,
            data,
        });
    }

    /// Whether anybody listens; saves the making of what nobody hears.
    pub fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub fn listen(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }
}
