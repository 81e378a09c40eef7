//! The only way to a chat or embedding model: which one, and what it costs.
//!
//! Promises: vectors are always named after the model that made them, so that no search compares
//! across models; every call is counted, and what a user's calls took is written down by those who
//! make them ([`spend`]). May not know: what a question is about. Prompts live with
//! those who ask.

mod embedding;
mod outside;
pub mod routes;
mod usage;

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tracing::Span;

use crate::providers::openai::{ChatPiece, ChatRequest, ChatStream, Tool, Usage};
pub use crate::providers::openai::{Message, ToolCall};
use crate::providers::{Error, Kind};
use crate::state::App;
use crate::telemetry::{Metrics, spans};

pub use embedding::{EmbeddingModel, embed, passage_words};
pub use outside::{external, visible};
pub use usage::{Budget, Purpose, afford, estimate, guessed, spend};

/// The chat model, when one is configured.
pub fn chat_model(app: &App) -> Option<&str> {
    app.model_server
        .as_ref()
        .and(app.config.model.chat.as_deref())
}

/// Starts a turn of the chat model.
pub async fn chat(
    app: &App,
    messages: Vec<Message>,
    tools: Vec<Tool>,
) -> Option<Result<ChatStream, Error>> {
    let server = app.model_server.as_ref()?;
    let model = chat_model(app)?.to_owned();
    let started = Instant::now();
    let span = spans::model("chat");
    let request = ChatRequest {
        model,
        messages,
        tools,
    };
    Some(match server.chat(request).await {
        Ok(stream) => Ok(counted(app, stream, started, span)),
        Err(error) => {
            app.metrics
                .model_request("chat", error.kind.label(), started.elapsed());
            spans::ended(&span, error.kind.label());
            Err(error)
        }
    })
}

/// Counts a stream when it ends, fails, or is dropped.
fn counted(app: &App, stream: ChatStream, started: Instant, span: Span) -> ChatStream {
    struct Count {
        metrics: Metrics,
        span: Span,
        started: Instant,
        outcome: &'static str,
    }
    impl Drop for Count {
        fn drop(&mut self) {
            self.metrics
                .model_request("chat", self.outcome, self.started.elapsed());
            spans::ended(&self.span, self.outcome);
        }
    }
    let mut count = Count {
        metrics: app.metrics.clone(),
        span,
        started,
        outcome: "stopped",
    };
    let ended = futures::stream::iter([None]);
    Box::pin(stream.map(Some).chain(ended).filter_map(move |item| {
        match &item {
            Some(Ok(ChatPiece::Usage(Usage {
                prompt_tokens,
                completion_tokens,
            }))) => count
                .metrics
                .model_tokens(*prompt_tokens, *completion_tokens),
            Some(Err(error)) => count.outcome = error.kind.label(),
            None if count.outcome == "stopped" => count.outcome = "ok",
            Some(Ok(_)) | None => {}
        }
        std::future::ready(item)
    }))
}

/// For texts that nobody reads while they come.
const MAX_TEXT: usize = 40_000;
const WALL_CLOCK: Duration = Duration::from_secs(300);

/// A whole turn of the model, and what it took.
#[derive(Debug)]
pub struct Turn {
    pub text: String,
    pub calls: Vec<ToolCall>,
    pub usage: Usage,
}

/// Asks for a turn and hears it to its end.
pub async fn turn(app: &App, messages: Vec<Message>, tools: Vec<Tool>) -> Result<Turn, Error> {
    let tokens = estimate(&messages, &tools);
    let asking = async {
        let started = chat(app, messages, tools).await;
        let mut stream = started
            .unwrap_or_else(|| Err(Error::new(Kind::Unavailable, "no model is configured")))?;
        let (mut text, mut calls, mut told) = (String::new(), Vec::new(), None);
        while let Some(piece) = stream.next().await {
            match piece? {
                ChatPiece::Text(piece) if text.len() < MAX_TEXT => text.push_str(&piece),
                ChatPiece::ToolCalls(asked) => calls = asked,
                ChatPiece::Usage(usage) => told = Some(usage),
                ChatPiece::Text(_) | ChatPiece::Cut(_) => {}
            }
        }
        let usage = told.unwrap_or_else(|| guessed(tokens));
        Ok(Turn { text, calls, usage })
    };
    tokio::time::timeout(WALL_CLOCK, asking)
        .await
        .unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "the model took too long")))
}
