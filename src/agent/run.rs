//! The loop of model and tools. Bounded in steps, time and text; a model that loops, cuts off or
//! talks nonsense ends in words for the user, with what was said so far kept.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::canary::Canary;
use super::citations::Citations;
use super::runs::{self, AssistantRun, Proposed, propose_all};
use super::tools::{self, AskUser, Nature, ToolError, arguments, nature, written};
use super::work::{self, Work, is_for_a_run, shown_before};
use super::{Asked, Gone, Part, Sink, Turn, prompt, send};
use crate::activity::{self, Actor, New};
use crate::db::{Scoped, UserScope};
use crate::effects;
use crate::ids;
use crate::llm::{self, Budget, Purpose};
use crate::providers::openai::{ChatPiece, Cut, Message, Tool, ToolCall, Usage};
use crate::providers::{Error, Kind};
use crate::state::App;
use crate::tasks::Enqueue;

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
    Database(anyhow::Error),
    TooLong,
    /// Until then.
    OverBudget(DateTime<Utc>),
    /// The model says what it was told.
    Leaked,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Database(error)
    }
}

struct Run<'a> {
    app: &'a App,
    scope: UserScope,
    sink: &'a Sink,
    work: Work,
    canary: Canary,
    citations: Citations,
    usage: Usage,
    written: usize,
    /// Turns that the model was asked for.
    turns: u32,
    deadline: Instant,
}

pub(super) async fn answer(
    app: &App,
    scope: UserScope,
    asked: Asked,
    sink: &Sink,
) -> Result<(), Gone> {
    let mut run = Run {
        app,
        scope,
        sink,
        work: Work::default(),
        canary: Canary::new(),
        citations: Citations::new(scope),
        usage: Usage::default(),
        written: 0,
        turns: 0,
        deadline: Instant::now() + WALL_CLOCK,
    };
    let outcome = match run.prepare(&asked).await {
        Ok(()) => {
            let mut messages = vec![Message::System(prompt::system(
                app.clock.now(),
                &run.work,
                &run.canary,
            ))];
            messages.extend(remembered(&asked.history));
            messages.push(Message::User(asked.question));
            run.steps(messages).await
        }
        Err(stop) => Err(stop),
    };
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
    /// What is known before anything from outside is read.
    async fn prepare(&mut self, asked: &Asked) -> Result<(), Stop> {
        self.work = Work::of_user(self.app, &self.scope).await?;
        let users = asked.history.iter().filter(|turn| turn.from_user);
        let mut said: Vec<&str> = users.map(|turn| turn.text.as_str()).collect();
        said.push(&asked.question);
        self.work.said = said.join("\n");
        let question: String = asked.question.chars().take(300).collect();
        self.work.reason = format!("You asked: “{question}”");
        self.work.why.conversation_id = Some(asked.conversation_id);
        if !asked.shown.is_empty() {
            let mut tx = self.scope.begin(&self.app.pool).await?;
            self.work.earlier = shown_before(&mut tx, &asked.shown).await?;
        }
        Ok(())
    }

    async fn steps(&mut self, mut messages: Vec<Message>) -> Result<(), Stop> {
        for step in 1..=MAX_STEPS {
            let tools = if step < MAX_STEPS {
                tools::offered(&self.work)
            } else {
                Vec::new()
            };
            let may_call = !tools.is_empty();
            let Step { text, mut calls } = self.turn(messages.clone(), tools).await?;
            if leaks(&self.canary, &text, &calls) {
                return Err(Stop::Leaked);
            }
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
            mend_calls(&mut calls);
            let asks = calls
                .iter()
                .find(|call| nature(&call.name) == Some(Nature::Asks));
            if let Some(question) = asks.and_then(|call| question(&call.arguments)) {
                self.say(&question).await?;
                return Ok(());
            }
            let place = messages.len();
            messages.push(Message::Assistant {
                text,
                tool_calls: calls.iter().map(told_back).collect(),
            });
            let proposed = propose_all(self.app, &self.scope, &mut self.work, &calls).await;
            for call in &calls {
                self.tell_input(call).await?;
                if let Some(content) = self.answered(call, &proposed).await? {
                    messages.push(Message::ToolResult {
                        call_id: call.id.clone(),
                        content,
                    });
                }
            }
            if !proposed.is_empty() {
                return self.hand_over(&calls, &proposed, messages, place).await;
            }
        }
        Ok(())
    }

    /// Says something of ours.
    async fn say(&mut self, text: &str) -> Result<(), Gone> {
        let gap = if self.written == 0 { "" } else { "\n\n" };
        self.written += text.len();
        send(self.sink, Part::Text(format!("{gap}{text}"))).await
    }

    /// Gives the work to a run, which does what was proposed when it is allowed, and goes on from there.
    async fn hand_over(
        &mut self,
        calls: &[ToolCall],
        proposed: &Proposed,
        messages: Vec<Message>,
        place: usize,
    ) -> Result<(), Stop> {
        let (app, run_id) = (self.app, ids::next());
        // The prompt isn't part of it: it is written anew, with the time that it is then.
        let mut turns: Vec<work::Turn> = messages.into_iter().skip(1).map(work::Turn::of).collect();
        if let Some(first) = turns.first_mut() {
            first.seen = self.work.sources.all().to_vec();
            first.slots.clone_from(&self.work.slots);
        }
        let mut tx = self.scope.begin(&app.pool).await?;
        let how = Enqueue {
            caused_by: Some(self.work.cause()),
            ..Enqueue::default()
        };
        let task_id = app
            .tasks
            .enqueue(&mut tx, &AssistantRun { run_id }, how)
            .await?;
        self.work.why.task_id = Some(task_id);
        runs::store::begin(&mut tx, run_id, &self.work, app.clock.now()).await?;
        runs::store::append(&mut tx, run_id, 0, &turns).await?;
        let approvals = proposed
            .store(app, &mut tx, &self.work, run_id, place.saturating_sub(1))
            .await?;
        tx.commit().await?;
        app.tasks.wake();
        let mut waits = Vec::new();
        let mut begun = Vec::new();
        for (index, approval) in approvals {
            effects::tell(app, self.scope, &approval);
            let summary = approval.preview["summary"].as_str().unwrap_or_default();
            let line = format!("- {summary}");
            let call_id = calls
                .get(index)
                .map_or_else(String::new, |call| call.id.clone());
            if approval.state == "pending" {
                waits.push(line);
                let approval = Box::new(approval);
                send(self.sink, Part::Approval { call_id, approval }).await?;
            } else {
                begun.push(line);
                let output = json!({"state": approval.state, "approval_id": approval.id});
                send(self.sink, Part::ToolOutput { call_id, output }).await?;
            }
        }
        if self.written == 0 {
            let mut text = Vec::new();
            if !waits.is_empty() {
                text.push(format!(
                    "This waits for your approval:\n{}",
                    waits.join("\n")
                ));
            }
            if !begun.is_empty() {
                text.push(format!("I am on it:\n{}", begun.join("\n")));
            }
            self.say(&text.join("\n\n")).await?;
        }
        Ok(())
    }

    /// One turn: streams its text to the reader as it comes.
    async fn turn(&mut self, messages: Vec<Message>, tools: Vec<Tool>) -> Result<Step, Stop> {
        self.afford(&messages, &tools).await?;
        self.wait_for_turn().await?;
        let tokens = llm::estimate(&messages, &tools);
        let mut told = None;
        let step = self.listen(messages, tools, &mut told).await;
        // Whoever hangs up has spent it all the same.
        let usage = told.unwrap_or_else(|| llm::guessed(tokens));
        let mut tx = self.scope.begin(&self.app.pool).await?;
        llm::spend(&mut tx, Purpose::Chat, usage, self.app.clock.now()).await?;
        tx.commit().await?;
        step
    }

    async fn listen(
        &mut self,
        messages: Vec<Message>,
        tools: Vec<Tool>,
        told: &mut Option<Usage>,
    ) -> Result<Step, Stop> {
        let started = tokio::select! {
            started = llm::chat(self.app, messages, tools) => started,
            () = self.sink.closed() => return Err(Stop::Gone),
            () = tokio::time::sleep_until(self.deadline) => return Err(Stop::TooLong),
        };
        let mut stream = match started {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => {
                // It said nothing.
                *told = Some(Usage::default());
                return Err(Stop::Failed(error));
            }
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
                    let parts = self
                        .citations
                        .push(self.app, &self.work.sources, &text)
                        .await?;
                    self.tell(parts).await?;
                    step.text.push_str(&text);
                    if self.written > MAX_TEXT {
                        return Err(Stop::TooLong);
                    }
                }
                Some(Ok(ChatPiece::ToolCalls(calls))) => step.calls = calls,
                Some(Ok(ChatPiece::Usage(usage))) => {
                    *told = Some(usage);
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
        let parts = self.citations.finish(self.app, &self.work.sources).await?;
        self.tell(parts).await?;
        Ok(step)
    }

    /// Whether there is enough left of the day, looked at before each call.
    async fn afford(&self, messages: &[Message], tools: &[Tool]) -> Result<(), Stop> {
        let mut tx = self.scope.begin(&self.app.pool).await?;
        let budget = Budget::read(&mut tx, self.app.clock.now()).await?;
        tx.commit().await?;
        if budget.affords(llm::estimate(messages, tools)) {
            Ok(())
        } else {
            Err(Stop::OverBudget(budget.resets_at))
        }
    }

    /// The first turn was let in with the question; the others take their turn among everybody's.
    async fn wait_for_turn(&mut self) -> Result<(), Stop> {
        self.turns += 1;
        if self.turns == 1 {
            return Ok(());
        }
        let patience = self.deadline.saturating_duration_since(Instant::now());
        tokio::select! {
            turn = self.app.limits.model_turn(self.scope.user_id(), patience) =>
                turn.map_err(|_| Stop::TooLong),
            () = self.sink.closed() => Err(Stop::Gone),
        }
    }

    async fn tell(&self, parts: Vec<Part>) -> Result<(), Gone> {
        for part in parts {
            send(self.sink, part).await?;
        }
        Ok(())
    }

    async fn note_leak(&self) -> anyhow::Result<()> {
        let mut tx = self.scope.begin(&self.app.pool).await?;
        note_leak(self.app, &mut tx, &self.work).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn tell_input(&self, call: &ToolCall) -> Result<(), Gone> {
        let part = Part::ToolInput {
            call_id: call.id.clone(),
            name: call.name.clone(),
            input: serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({})),
        };
        send(self.sink, part).await
    }

    /// The result of a call that has one now; what goes wrong goes back to the model in words. What goes
    /// out, and what waits for it, is answered by the run.
    async fn answered(
        &mut self,
        call: &ToolCall,
        proposed: &Proposed,
    ) -> Result<Option<String>, Stop> {
        let outcome = if is_for_a_run(&call.name) {
            let refusal = proposed
                .refusals()
                .iter()
                .find(|(refused, _)| refused.id == call.id)
                .map(|(_, words)| words.clone());
            match refusal {
                Some(words) => Err(ToolError::Wrong(words)),
                None if proposed.is_empty() => Err(ToolError::Wrong(
                    "there is no mail whose answer could be waited for: send one first".to_owned(),
                )),
                None => return Ok(None),
            }
        } else {
            match written(&call.arguments) {
                Ok(input) if nature(&call.name) == Some(Nature::Keeps) => {
                    self.keep(&call.name, &input).await
                }
                Ok(input) => {
                    tools::read(self.app, &self.scope, &call.name, &input, &mut self.work).await
                }
                Err(error) => Err(error),
            }
        };
        let call_id = call.id.clone();
        Ok(Some(match outcome {
            Ok(output) => {
                let content = output.to_string();
                send(self.sink, Part::ToolOutput { call_id, output }).await?;
                content
            }
            Err(error) => {
                let message = error.in_words(&call.name);
                let content = json!({"error": message}).to_string();
                send(self.sink, Part::ToolError { call_id, message }).await?;
                content
            }
        }))
    }

    async fn keep(&self, name: &str, input: &Value) -> Result<Value, ToolError> {
        let mut tx = self.scope.begin(&self.app.pool).await?;
        let kept = tools::keep(self.app, &mut tx, name, input, &self.work).await?;
        tx.commit().await?;
        self.app.tasks.wake();
        Ok(kept)
    }

    /// Says what the reader has to know, whichever way it ended.
    async fn end(&mut self, outcome: Result<(), Stop>) -> Result<(), Gone> {
        if let Err(Stop::Gone) = outcome {
            return Err(Gone);
        }
        // What was held back as a beginning of a citation belongs to the text after all.
        if let Ok(parts) = self.citations.finish(self.app, &self.work.sources).await {
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
        if matches!(outcome, Err(Stop::Leaked))
            && let Err(error) = self.note_leak().await
        {
            tracing::error!(%error, "a leak could not be written down");
        }
        let words = match outcome {
            Ok(()) | Err(Stop::Gone) => return Ok(()),
            Err(Stop::OverBudget(resets_at)) => format!(
                "The day's tokens are used up. The budget begins anew at {}.",
                resets_at
                    .with_timezone(&self.work.zone)
                    .format("%H:%M on %-d %B (%Z)")
            ),
            Err(Stop::Leaked) => LEAKED.to_owned(),
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
pub(super) fn told_back(call: &ToolCall) -> ToolCall {
    let mut call = call.clone();
    if serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_err() {
        "{}".clone_into(&mut call.arguments);
    }
    call
}

/// The question that a call asks the user; none when it can't be read.
pub(super) fn question(written_arguments: &str) -> Option<String> {
    let asked: AskUser = arguments(&written(written_arguments).ok()?).ok()?;
    Some(llm::visible(asked.question.trim())).filter(|question| !question.is_empty())
}

/// Whether asking again is of no use.
pub(super) const fn is_final(error: &Error) -> bool {
    matches!(
        error.kind,
        Kind::Unauthorized | Kind::Forbidden | Kind::ScopeMissing | Kind::NotFound | Kind::Invalid
    )
}

/// What the user reads when the model was made to tell what it was told.
pub(super) const LEAKED: &str = "I stopped: something that I read made me repeat my own instructions, which is a sign of an \
    attack. Nothing of this was done. Look at the mails and records that this was about.";

pub(super) fn leaks(canary: &Canary, text: &str, calls: &[ToolCall]) -> bool {
    canary.is_in(text) || calls.iter().any(|call| canary.is_in(&call.arguments))
}

/// Raises the alarm.
pub(super) async fn note_leak(app: &App, tx: &mut Scoped, work: &Work) -> anyhow::Result<()> {
    tracing::error!("the assistant was made to repeat its instructions");
    app.metrics.leak();
    let entry = New {
        result: Some(json!({"state": "stopped", "reason": "the prompt was repeated"})),
        ..New::of(Actor::System, "stop_assistant", work.why.clone())
    };
    activity::append(tx, entry, app.clock.now()).await?;
    Ok(())
}

/// Every call has a legal name, an id of its own, and arguments.
pub(super) fn mend_calls(calls: &mut [ToolCall]) {
    let mut taken = std::collections::HashSet::new();
    for (place, call) in calls.iter_mut().enumerate() {
        mend_call(call);
        if call.id.is_empty() || !taken.insert(call.id.clone()) {
            call.id = format!("{}#{place}", call.id);
            taken.insert(call.id.clone());
        }
    }
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

pub(super) fn in_words(error: &Error) -> String {
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
