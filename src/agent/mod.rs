//! The assistant's work on one question: a bounded loop of model and tools, or, where no model is
//! configured, the passages themselves.
//!
//! Promises: tools only read, and only within the asker's rows; text from outside reaches the model
//! as tool results and nowhere else; a citation is shown only when its quote stands in the stored
//! source; when the listener goes away, the model call ends. May not know: HTTP, SSE, or how
//! conversations are kept. Begin with [`answer`]; a new tool is a row in `tools.rs`.

mod citations;
mod extractive;
mod prompt;
mod run;
mod sources;
mod tools;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

pub use extractive::is_about;

use crate::book::Kind;
use crate::db::UserScope;
use crate::llm;
use crate::state::App;

/// A turn of the conversation so far, oldest first.
#[derive(Clone, Debug)]
pub struct Turn {
    pub from_user: bool,
    pub text: String,
}

/// What an answer consists of, in the order in which it comes about.
#[derive(Clone, Debug)]
pub enum Part {
    /// A piece of the answer's text. Citations stand in it as `[1]`.
    Text(String),
    /// Precedes the text that holds its `[index]`.
    Citation(Citation),
    ToolInput {
        call_id: String,
        name: String,
        input: Value,
    },
    ToolOutput {
        call_id: String,
        output: Value,
    },
    ToolError {
        call_id: String,
        message: String,
    },
    /// Something the reader should know that isn't part of the answer.
    Warning {
        code: &'static str,
        text: String,
    },
    Usage {
        input_tokens: u64,
        output_tokens: u64,
    },
    /// The answer ends here, unfinished; in words for the user.
    Error(String),
}

/// A quote with its place.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Citation {
    /// The number in the text.
    pub index: usize,
    pub kind: Kind,
    pub source_id: Uuid,
    pub title: String,
    /// As the source has it, letter for letter.
    pub quote: String,
    pub occurred_at: Option<DateTime<Utc>>,
    /// Where the built-in page shows it.
    pub url: String,
}

/// How answers are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// By the configured model.
    Model,
    /// Word-for-word passages; no model is configured.
    Extractive,
}

impl Mode {
    pub fn of(app: &App) -> Self {
        if llm::chat_model(app).is_some() {
            Self::Model
        } else {
            Self::Extractive
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Extractive => "extractive",
        }
    }
}

/// Where parts go. Bounded: a slow reader slows the model down, not our memory up.
pub type Sink = mpsc::Sender<Part>;

/// The listener has gone: stop.
pub(crate) struct Gone;

/// Answers the last turn, which is the user's. Ends when the answer is complete, has failed (as
/// [`Part::Error`]), or nobody listens any more.
pub async fn answer(app: &App, scope: UserScope, history: &[Turn], question: &str, sink: &Sink) {
    let outcome = match Mode::of(app) {
        Mode::Model => run::answer(app, scope, history, question, sink).await,
        Mode::Extractive => extractive::answer(app, scope, question, sink).await,
    };
    if outcome.is_err() {
        tracing::debug!("the reader left before the answer was complete");
    }
}

async fn send(sink: &Sink, part: Part) -> Result<(), Gone> {
    sink.send(part).await.map_err(|_| Gone)
}
