//! The assistant's work: a bounded loop of model and tools on one question; where it is to act, a run that
//! lasts for days; and where no model is configured, the passages themselves.
//!
//! Promises: tools read within the asker's rows; what goes out is proposed to `effects` within bounds that
//! code has fixed from the user's own words, and is done by a run alone; text from outside reaches the
//! model as tool results and nowhere else; a citation is shown only when its quote stands in the stored
//! source; every turn is stored before anything of it happens; when the listener goes away, the model call
//! ends. May not know: HTTP, SSE, or how conversations are kept. Begin with [`answer`] and `runs`; a new
//! tool is a row in `tools`.

mod canary;
mod citations;
mod extractive;
mod intent;
mod lent;
mod prompt;
mod reminder;
mod run;
mod runs;
mod sources;
mod tools;
mod work;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

pub use extractive::is_about;
pub use lent::{Lent, NotLent, lent, use_lent};
pub use prompt::VERSION as PROMPT_VERSION;
pub use reminder::Reminder;
pub use runs::{AssistantRun, Said};

use crate::book::Kind;
use crate::db::UserScope;
use crate::effects::Approval;
use crate::llm;
use crate::state::App;

/// A turn of the conversation so far, oldest first.
#[derive(Clone, Debug)]
pub struct Turn {
    pub from_user: bool,
    pub text: String,
}

/// A question, and the conversation in which it is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub conversation_id: Uuid,
    /// Without the question.
    pub history: Vec<Turn>,
    pub question: String,
    /// What tools have shown in the conversation's last answers: it may live on in their text.
    pub shown: Vec<Value>,
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
    /// A call waits for the user's yes.
    Approval {
        call_id: String,
        approval: Box<Approval>,
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
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
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
pub async fn answer(app: &App, scope: UserScope, asked: Asked, sink: &Sink) {
    let outcome = match Mode::of(app) {
        Mode::Model => run::answer(app, scope, asked, sink).await,
        Mode::Extractive => extractive::answer(app, scope, &asked.question, sink).await,
    };
    if outcome.is_err() {
        tracing::debug!("the reader left before the answer was complete");
    }
}

async fn send(sink: &Sink, part: Part) -> Result<(), Gone> {
    sink.send(part).await.map_err(|_| Gone)
}
