//! A task that the assistant notes for the user: when it is due, it is there.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::App;
use crate::tasks::{Context, Failure, Handler, Payload};

/// "Remind me of this."
#[derive(Debug, Serialize, Deserialize)]
pub struct Reminder {
    pub title: String,
}

impl Payload for Reminder {
    const KIND: &'static str = "reminder";
}

impl Handler<App> for Reminder {
    async fn run(self, _: Context<App>) -> Result<Value, Failure> {
        Ok(json!({"title": self.title}))
    }
}
