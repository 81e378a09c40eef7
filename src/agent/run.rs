//! The loop of model and tools. Bounded in steps, time and text; a model that loops, cuts off or
//! talks nonsense ends in words for the user, with what was said so far kept.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::citations::Citations;
use super::sources::Sources;
use super::tools::{self, ToolError};
use super::{Gone, Part, Sink, Turn, prompt, send};
use crate::db::UserScope;
use crate::llm;
use crate::providers::openai::{ChatPiece, Cut, Message, Tool, ToolCall, Usage};
use crate::providers::{Error, Kind};
use crate::state::App;

/// Turns of the model in one answer; the last one gets no tools, so that it has to speak.
const MAX_STEPS: usize = 8;
const MAX_CALLS_PER_STEP: usize = 8;
const MAX_TEXT: usize = 40_000;
const WALL_CLOCK: Duration = Duration::from_secs(300);
/// Turns of the conversation that are told again.
const MAX_HISTORY: usize = 20;

/// What one turn of the model came to.
struct Step {
    text: String,
    calls: Vec<ToolCall>,
}

/// Why a turn ended early.
enum Stop {
    Gone,
    Failed(Error),
    Database(sqlx::Error),
    TooLong,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

struct Run<'a> {
    app: &'a App,
    scope: UserScope,
    sink: &'a Sink,
    sources: Sources,
    citations: Citations,
    usage: Usage,
    written: usize,
    deadline: Instant,
}

pub(super) async fn answer(
    app: &App,
    scope: UserScope,
    history: &[Turn],
    question: &str,
    sink: &Sink,
) -> Result<(), Gone> {
    let mut run = Run {
        app,
        scope,
        sink,
        sources: Sources::default(),
        citations: Citations::new(scope),
        usage: Usage::default(),
        written: 0,
        deadline: Instant::now() + WALL_CLOCK,
    };
    let mut messages = vec![Message::System(prompt::system(app.clock.now()))];
    messages.extend(remembered(history));
    messages.push(Message::User(question.to_owned()));
    let outcome = run.steps(messages).await;
    run.end(outcome).await
}

/// The conversation's last turns, without their citations: the numbers meant another answer's sources.
fn remembered(history: &[Turn]) -> Vec<Message> {
    let start = history.len().saturating_sub(MAX_HISTORY);
    history
        .get(start..)
        .unwrap_or_default()
        .iter()
        .filter(|turn| !turn.text.trim().is_empty())
        .map(|turn| {
            if turn.from_user {
                Message::User(turn.text.clone())
            } else {
                Message::Assistant {
                    text: without_citations(&turn.text),
                    tool_calls: Vec::new(),
                }
            }
        })
        .collect()
}

fn without_citations(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        kept.push_str(before);
        let inner = from[1..].find(']').map(|close| &from[1..=close]);
        match inner {
            Some(number)
                if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                rest = &from[number.len() + 2..];
            }
            _ => {
                kept.push('[');
                rest = &from[1..];
            }
        }
    }
    kept.push_str(rest);
    kept
}

impl Run<'_> {
    async fn steps(&mut self, mut messages: Vec<Message>) -> Result<(), Stop> {
        for step in 1..=MAX_STEPS {
            let tools = if step < MAX_STEPS {
                tools::all()
            } else {
                Vec::new()
            };
            let may_call = !tools.is_empty();
            let Step { text, mut calls } = self.turn(messages.clone(), tools).await?;
            if calls.is_empty() || !may_call {
                if self.written == 0 {
                    return Err(Stop::Failed(Error::new(
                        Kind::Nonsense,
                        "the model said nothing",
                    )));
                }
                return Ok(());
            }
            calls.truncate(MAX_CALLS_PER_STEP);
            calls.iter_mut().for_each(mend_call);
            messages.push(Message::Assistant {
                text,
                tool_calls: calls.iter().map(told_back).collect(),
            });
            for call in calls {
                let content = self.call(&call).await?;
                messages.push(Message::ToolResult {
                    call_id: call.id,
                    content,
                });
            }
        }
        Ok(())
    }

    /// One turn: streams its text to the reader as it comes.
    async fn turn(&mut self, messages: Vec<Message>, tools: Vec<Tool>) -> Result<Step, Stop> {
        let started = tokio::select! {
            started = llm::chat(self.app, messages, tools) => started,
            () = self.sink.closed() => return Err(Stop::Gone),
            () = tokio::time::sleep_until(self.deadline) => return Err(Stop::TooLong),
        };
        let mut stream = match started {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => return Err(Stop::Failed(error)),
            None => {
                return Err(Stop::Failed(Error::new(
                    Kind::Unavailable,
                    "no model is configured",
                )));
            }
        };
        let mut step = Step {
            text: String::new(),
            calls: Vec::new(),
        };
        loop {
            // Dropping the stream on any way out of here closes the connection: the model stops.
            let piece = tokio::select! {
                piece = stream.next() => piece,
                () = self.sink.closed() => return Err(Stop::Gone),
                () = tokio::time::sleep_until(self.deadline) => return Err(Stop::TooLong),
            };
            match piece {
                Some(Ok(ChatPiece::Text(text))) => {
                    self.written += text.len();
                    let parts = self.citations.push(self.app, &self.sources, &text).await?;
                    self.tell(parts).await?;
                    step.text.push_str(&text);
                    if self.written > MAX_TEXT {
                        return Err(Stop::TooLong);
                    }
                }
                Some(Ok(ChatPiece::ToolCalls(calls))) => step.calls = calls,
                Some(Ok(ChatPiece::Usage(usage))) => {
                    self.usage.prompt_tokens += usage.prompt_tokens;
                    self.usage.completion_tokens += usage.completion_tokens;
                }
                Some(Ok(ChatPiece::Cut(cut))) => {
                    let text = match cut {
                        Cut::Length => {
                            "The model reached its length limit: the answer stops midway."
                        }
                        Cut::Filter => "The model server's content filter ended the answer.",
                    };
                    let code = "answer_cut_off";
                    let text = text.to_owned();
                    send(self.sink, Part::Warning { code, text }).await?;
                }
                Some(Err(error)) => return Err(Stop::Failed(error)),
                None => break,
            }
        }
        let parts = self.citations.finish(self.app, &self.sources).await?;
        self.tell(parts).await?;
        Ok(step)
    }

    async fn tell(&self, parts: Vec<Part>) -> Result<(), Gone> {
        for part in parts {
            send(self.sink, part).await?;
        }
        Ok(())
    }

    /// Runs one call; what goes wrong goes back to the model in words.
    async fn call(&mut self, call: &ToolCall) -> Result<String, Stop> {
        let input = serde_json::from_str::<Value>(&call.arguments);
        send(
            self.sink,
            Part::ToolInput {
                call_id: call.id.clone(),
                name: call.name.clone(),
                input: input.as_ref().map_or_else(|_| json!({}), Clone::clone),
            },
        )
        .await?;
        let outcome = match input {
            Ok(input) => {
                tools::call(self.app, &self.scope, &call.name, &input, &mut self.sources).await
            }
            Err(_) => Err(ToolError::Wrong(
                "the arguments are not valid JSON".to_owned(),
            )),
        };
        let call_id = call.id.clone();
        match outcome {
            Ok(output) => {
                let content = output.to_string();
                send(self.sink, Part::ToolOutput { call_id, output }).await?;
                Ok(content)
            }
            Err(error) => {
                let message = match error {
                    ToolError::Wrong(words) => words,
                    ToolError::Broken(cause) => {
                        tracing::warn!(error = %cause, tool = call.name, "a tool failed");
                        "the search is not available right now".to_owned()
                    }
                };
                let content = json!({"error": message}).to_string();
                send(self.sink, Part::ToolError { call_id, message }).await?;
                Ok(content)
            }
        }
    }

    /// Says what the reader has to know, whichever way it ended.
    async fn end(&mut self, outcome: Result<(), Stop>) -> Result<(), Gone> {
        if let Err(Stop::Gone) = outcome {
            return Err(Gone);
        }
        // What was held back as a beginning of a citation belongs to the text after all.
        if let Ok(parts) = self.citations.finish(self.app, &self.sources).await {
            self.tell(parts).await?;
        }
        self.app
            .metrics
            .citations(self.citations.kept(), self.citations.dropped);
        if self.citations.dropped > 0 {
            let text = match self.citations.dropped {
                1 => "One citation was removed: its quote is not in the source.".to_owned(),
                count => {
                    format!("{count} citations were removed: their quotes are not in the sources.")
                }
            };
            let code = "citation_dropped";
            send(self.sink, Part::Warning { code, text }).await?;
        }
        if self.usage != Usage::default() {
            let usage = Part::Usage {
                input_tokens: self.usage.prompt_tokens,
                output_tokens: self.usage.completion_tokens,
            };
            send(self.sink, usage).await?;
        }
        let words = match outcome {
            Ok(()) | Err(Stop::Gone) => return Ok(()),
            Err(Stop::TooLong) => "The answer took too long and was ended here.".to_owned(),
            Err(Stop::Database(error)) => {
                tracing::warn!(%error, "an answer failed");
                "The database is not available right now. Try again in a moment.".to_owned()
            }
            Err(Stop::Failed(error)) => {
                tracing::warn!(%error, "the model call failed");
                in_words(&error)
            }
        };
        send(self.sink, Part::Error(words)).await
    }
}

/// A call as it may be told back to the server: strict ones refuse arguments that are no JSON.
fn told_back(call: &ToolCall) -> ToolCall {
    let mut call = call.clone();
    if serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_err() {
        "{}".clone_into(&mut call.arguments);
    }
    call
}

/// No arguments are an empty object, and the name is a legal one.
fn mend_call(call: &mut ToolCall) {
    if call.arguments.trim().is_empty() {
        "{}".clone_into(&mut call.arguments);
    }
    call.name
        .retain(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    call.name.truncate(64);
    if call.name.is_empty() {
        "unnamed".clone_into(&mut call.name);
    }
}

fn in_words(error: &Error) -> String {
    match error.kind {
        Kind::Unauthorized => "The model server refused the API key. Check OPENAI_API_KEY.".to_owned(),
        Kind::Forbidden | Kind::ScopeMissing => "The model server does not allow this model. Check OPENAI_CHAT_MODEL.".to_owned(),
        Kind::NotFound => {
            "The model server does not know this model or address. Check OPENAI_CHAT_MODEL and OPENAI_BASE_URL."
                .to_owned()
        }
        Kind::RateLimited { retry_after: None } => "The model account has no credit left.".to_owned(),
        Kind::RateLimited { .. } => "The model server is busy. Try again in a moment.".to_owned(),
        Kind::Unavailable | Kind::Conflict | Kind::Gone => "The model server can't be reached. Try again in a moment.".to_owned(),
        Kind::Ambiguous => "The model's answer was cut off. Try again.".to_owned(),
        Kind::Invalid if error.message.contains("context_length") => {
            "The question and its sources are too long for this model.".to_owned()
        }
        Kind::Invalid => "The model server refused the request.".to_owned(),
        Kind::Nonsense => "The model gave no usable answer. Try again, or ask in other words.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_an_earlier_answer_are_forgotten() {
        assert_eq!(
            without_citations("Tom plays [1], Ann [22] too [sic] [x"),
            "Tom plays , Ann  too [sic] [x"
        );
    }
}
