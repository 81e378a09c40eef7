//! Work that outlives its request: days of waiting for the user's yes and for others' answers.
//!
//! A run is its stored turns. Every turn of the model is stored, together with what it proposes, before
//! anything of it happens; every result before the next turn. Whoever goes on after a crash or a sleep
//! reads them, answers the calls that have no answer yet, and asks the model for the next turn only when
//! all have. So nothing is decided twice, and the model never words a thing again that was said.

mod answer;
mod away;
mod errand;
pub(super) mod store;
mod waiting;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::canary::Canary;
use super::citations::Citations;
use super::run;
use super::tools::{self, Nature};
use super::work::{Turn, Work};
use super::{Citation, Part, prompt};
use crate::effects::replies;
use crate::llm::{self, Purpose};
use crate::providers::openai::{Message, ToolCall};
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _, Payload, Priority};
use answer::Answered;

pub(super) use answer::{Proposed, propose_all};

/// Turns of the model in one run, however many days it takes.
const MOST_TURNS: usize = 40;
const MOST_CALLS: usize = 8;
/// Tokens of one run, however many days it takes; the user's day has a limit of its own.
const MOST_TOKENS: u64 = 500_000;

/// Goes on with a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct AssistantRun {
    pub run_id: Uuid,
}

impl Payload for AssistantRun {
    const KIND: &'static str = "assistant_run";
    const PRIORITY: Priority = Priority::Interactive;
    /// Providers and models are down for hours at times; what was decided waits.
    const MAX_ATTEMPTS: i32 = 25;
    const TIME_LIMIT: Duration = Duration::from_secs(900);
}

/// Something that the assistant says in a conversation after its answer there.
#[derive(Debug, Serialize, Deserialize)]
pub struct Said {
    pub conversation_id: Uuid,
    pub text: String,
    pub citations: Vec<Citation>,
    /// What the words may rest on, as a tool's output: it counts against whoever is written to later.
    #[serde(default)]
    pub shown: Value,
}

impl Payload for Said {
    const KIND: &'static str = "assistant_said";
    const PRIORITY: Priority = Priority::Interactive;
}

/// How a run ended.
struct End {
    text: String,
    /// A code, where it isn't simply done.
    reason: Option<&'static str>,
}

impl End {
    fn because(reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            reason: Some(reason),
        }
    }
}

impl Handler<App> for AssistantRun {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        go_on(&context, self.run_id).await
    }
}

/// From where a run stands until it is over.
async fn go_on(context: &Context<App>, run_id: Uuid) -> Result<Value, Failure> {
    let work = Work::of_user(&context.app, &context.scope)
        .await
        .or_retry()?;
    let mut tx = context.begin().await?;
    let found = store::load(&mut tx, run_id, work).await.or_retry()?;
    tx.commit().await.or_retry()?;
    // Forgotten with its user's data.
    let Some((mut work, turns)) = found else {
        return Ok(json!({"reason": "gone"}));
    };
    work.why.task_id = Some(context.task_id);
    let mut going = Going {
        context,
        run_id,
        work,
        turns,
    };
    let end = Box::pin(going.on()).await?;
    going.end(end).await
}

/// A run in hand.
struct Going<'a> {
    context: &'a Context<App>,
    run_id: Uuid,
    work: Work,
    turns: Vec<Turn>,
}

impl Going<'_> {
    /// Until it is over, or has to wait.
    async fn on(&mut self) -> Result<End, Failure> {
        loop {
            while let Some((place, index, call)) = self.next_unanswered() {
                match Box::pin(self.answer(place, index, &call)).await? {
                    Answered::With(turn) => self.record(vec![*turn]).await?,
                    Answered::Recorded => {}
                    Answered::Over(end) => return Ok(end),
                }
            }
            if let Some(Message::Assistant { text, tool_calls }) = self.last_said()
                && tool_calls.is_empty()
            {
                return Ok(End {
                    text: text.clone(),
                    reason: None,
                });
            }
            if let Some(end) = self.next_turn().await? {
                return Ok(end);
            }
        }
    }

    fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.turns.iter().filter_map(|turn| turn.message.as_ref())
    }

    fn last_said(&self) -> Option<&Message> {
        self.messages().next_back()
    }

    /// The first call of the model's last turn without a result: the turn's place, and its own.
    fn next_unanswered(&self) -> Option<(usize, usize, ToolCall)> {
        let is_calling = |turn: &Turn| matches!(&turn.message, Some(Message::Assistant { tool_calls, .. }) if !tool_calls.is_empty());
        let place = self.turns.iter().rposition(is_calling)?;
        let Some(Message::Assistant { tool_calls, .. }) = &self.turns.get(place)?.message else {
            return None;
        };
        let answered = |id: &str| {
            self.turns.iter().skip(place + 1).any(|turn| {
                matches!(&turn.message, Some(Message::ToolResult { call_id, .. }) if call_id == id)
            })
        };
        let (index, call) = tool_calls
            .iter()
            .enumerate()
            .find(|(_, call)| !answered(&call.id))?;
        Some((place, index, call.clone()))
    }

    /// Stores turns, under the task's fence.
    async fn record(&mut self, turns: Vec<Turn>) -> Result<(), Failure> {
        let mut tx = self.context.begin().await?;
        store::append(&mut tx, self.run_id, self.turns.len(), &turns)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        self.context.app.fail_points.hit("agent.recorded");
        self.keep(turns);
        Ok(())
    }

    /// What is stored is in hand.
    fn keep(&mut self, turns: Vec<Turn>) {
        for turn in turns {
            self.work.take(&turn);
            self.turns.push(turn);
        }
    }

    /// Asks the model, and stores what it says with what it proposes.
    async fn next_turn(&mut self) -> Result<Option<End>, Failure> {
        let (app, scope) = (&self.context.app, self.context.scope);
        let said = self
            .messages()
            .filter(|message| matches!(message, Message::Assistant { .. }))
            .count();
        if said >= MOST_TURNS {
            return Ok(Some(End::because(
                "too_many_steps",
                "I stopped here: this took more steps than it should. Tell me how to go on.",
            )));
        }
        let spent: u64 = self.turns.iter().map(|turn| turn.tokens).sum();
        if spent >= MOST_TOKENS {
            return Ok(Some(End::because(
                "too_expensive",
                "I stopped here: this took more of the model than it should. Tell me how to go on.",
            )));
        }
        let canary = Canary::new();
        let prompt = prompt::system(app.clock.now(), &self.work, &canary);
        let mut messages = vec![Message::System(prompt)];
        messages.extend(self.messages().cloned());
        let tools = tools::offered(&self.work);
        llm::afford(self.context, llm::estimate(&messages, &tools)).await?;
        let asked = llm::turn(app, messages, tools).await;
        let llm::Turn {
            text,
            mut calls,
            usage,
        } = match asked {
            Ok(turn) => turn,
            Err(error) if run::is_final(&error) => {
                return Ok(Some(End::because("model_refused", run::in_words(&error))));
            }
            Err(error) => return Err(Failure::Retry(error.into())),
        };
        if run::leaks(&canary, &text, &calls) {
            let mut tx = self.context.begin().await?;
            run::note_leak(app, &mut tx, &self.work).await.or_retry()?;
            tx.commit().await.or_retry()?;
            return Ok(Some(End::because("leaked", run::LEAKED)));
        }
        calls.truncate(MOST_CALLS);
        run::mend_calls(&mut calls);
        if text.trim().is_empty() && calls.is_empty() {
            let words = "The model gave no usable answer, so I stopped here.";
            return Ok(Some(End::because("model_silent", words)));
        }
        let asks = calls
            .iter()
            .find(|call| tools::nature(&call.name) == Some(Nature::Asks));
        if let Some(question) = asks.and_then(|call| run::question(&call.arguments)) {
            return Ok(Some(End::because("asked", question)));
        }
        let place = self.turns.len();
        let proposed = propose_all(app, &scope, &mut self.work, &calls).await;
        let mut turns = vec![Turn {
            tokens: usage.total(),
            ..Turn::of(Message::Assistant {
                text,
                tool_calls: calls.iter().map(run::told_back).collect(),
            })
        }];
        turns.extend(proposed.refused());
        let mut tx = self.context.begin().await?;
        store::append(&mut tx, self.run_id, place, &turns)
            .await
            .or_retry()?;
        llm::spend(&mut tx, Purpose::Assistant, usage, app.clock.now())
            .await
            .or_retry()?;
        let approvals = proposed
            .store(app, &mut tx, &self.work, self.run_id, place)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        app.fail_points.hit("agent.recorded");
        for (_, approval) in &approvals {
            crate::effects::tell(app, scope, approval);
        }
        self.keep(turns);
        Ok(None)
    }

    /// Says how it ended, once, and forgets what was waited for.
    async fn end(&mut self, end: End) -> Result<Value, Failure> {
        let (app, scope) = (&self.context.app, self.context.scope);
        let mut citations = Citations::new(scope);
        let mut parts = citations
            .push(app, &self.work.sources, &end.text)
            .await
            .or_retry()?;
        parts.extend(citations.finish(app, &self.work.sources).await.or_retry()?);
        let mut text = String::new();
        let mut cited = Vec::new();
        for part in parts {
            match part {
                Part::Text(piece) => text.push_str(&piece),
                Part::Citation(citation) => cited.push(citation),
                _ => {}
            }
        }
        let mut tx = self.context.begin().await?;
        for sent in &self.work.sent {
            replies::forget(&mut tx, sent.awaited).await.or_retry()?;
        }
        let is_new = self.context.recorded::<bool>("said").await?.is_none();
        if is_new {
            if let Some(conversation_id) = self.work.why.conversation_id {
                let said = Said {
                    conversation_id,
                    text: text.clone(),
                    citations: cited.clone(),
                    shown: self.work.shown(),
                };
                app.tasks
                    .enqueue(&mut tx, &said, crate::tasks::Enqueue::default())
                    .await
                    .or_retry()?;
            }
            self.context.record(&mut tx, "said", &true).await?;
        }
        tx.commit().await.or_retry()?;
        app.tasks.wake();
        Ok(json!({
            "text": text, "citations": cited, "reason": end.reason,
            "did": self.work.done.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        }))
    }
}
