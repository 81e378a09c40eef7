//! What becomes of a call: read, kept, done when the user or their leave allows it, or waited for.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{End, Going};
use crate::agent::tools::{self, Nature, ToolError, act, nature, written};
use crate::agent::work::{Sent, Turn, Work};
use crate::db::{Scoped, UserScope};
use crate::effects::replies::{self, Awaited};
use crate::effects::{self, Acted, Action, Approval, Proposal};
use crate::providers::openai::{Message, ToolCall};
use crate::state::App;
use crate::tasks::{Failure, OrFailure as _};

/// What came of a call.
pub(super) enum Answered {
    With(Box<Turn>),
    /// It is stored already.
    Recorded,
    Over(End),
}

/// The outward calls of one turn of the model, each as an action, or refused in words.
pub(in crate::agent) struct Proposed {
    actions: Vec<(usize, Action)>,
    refused: Vec<(ToolCall, String)>,
}

/// Makes actions of what goes out. Asks the book and the providers, and does nothing.
pub(in crate::agent) async fn propose_all(
    app: &App,
    scope: &UserScope,
    work: &mut Work,
    calls: &[ToolCall],
) -> Proposed {
    let mut proposed = Proposed {
        actions: Vec::new(),
        refused: Vec::new(),
    };
    for (index, call) in calls.iter().enumerate() {
        if nature(&call.name) != Some(Nature::GoesOut) {
            continue;
        }
        let made = match written(&call.arguments) {
            Ok(_) if !work.may_use(&call.name) => {
                Err(ToolError::Wrong("this tool can't be used here".to_owned()))
            }
            Ok(input) => act::action(app, scope, work, &call.name, &input).await,
            Err(error) => Err(error),
        };
        match made {
            // The same twice in one breath is one.
            Ok(action) if proposed.actions.iter().any(|(_, other)| *other == action) => proposed
                .refused
                .push((call.clone(), "this is the same call again".to_owned())),
            Ok(action) => proposed.actions.push((index, action)),
            Err(error) => {
                let words = error.in_words(&call.name);
                proposed.refused.push((call.clone(), words));
            }
        }
    }
    proposed
}

impl Proposed {
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Why it isn't an action, for these calls.
    pub fn refusals(&self) -> &[(ToolCall, String)] {
        &self.refused
    }

    /// What was refused, as turns.
    pub fn refused(&self) -> Vec<Turn> {
        self.refused
            .iter()
            .map(|(call, words)| Turn::of(result(call, &json!({"error": words}))))
            .collect()
    }

    /// Stores the proposals, judged, in the transaction that stores the turn.
    pub async fn store(
        &self,
        app: &App,
        tx: &mut Scoped,
        work: &Work,
        run_id: Uuid,
        place: usize,
    ) -> anyhow::Result<Vec<(usize, Approval)>> {
        if self.actions.is_empty() {
            return Ok(Vec::new());
        }
        let bounds = work.bounds(tx).await?;
        let mut stored = Vec::with_capacity(self.actions.len());
        for (index, action) in &self.actions {
            let proposal = Proposal {
                action,
                reason: work.reason.clone(),
                bounds: &bounds,
                why: work.why.clone(),
                key: key(run_id, place, *index),
                doubt: None,
            };
            stored.push((*index, effects::propose(app, tx, proposal).await?));
        }
        Ok(stored)
    }
}

/// The call, whenever it is answered.
fn key(run_id: Uuid, place: usize, index: usize) -> String {
    format!("run:{run_id}:{place}:{index}")
}

pub(super) fn result(call: &ToolCall, content: &Value) -> Message {
    Message::ToolResult {
        call_id: call.id.clone(),
        content: content.to_string(),
    }
}

impl Going<'_> {
    pub(super) async fn answer(
        &mut self,
        place: usize,
        index: usize,
        call: &ToolCall,
    ) -> Result<Answered, Failure> {
        match nature(&call.name) {
            Some(Nature::GoesOut) => self.see_through(place, index, call).await,
            Some(Nature::Waits) => self.wait(place, index, call).await,
            Some(Nature::Keeps) => self.keep_own(call).await,
            _ => Ok(self.look(call).await),
        }
    }

    async fn look(&mut self, call: &ToolCall) -> Answered {
        let (app, scope) = (&self.context.app, self.context.scope);
        let seen_before = self.work.sources.len();
        let slots_before = self.work.slots.len();
        let found = match written(&call.arguments) {
            Ok(input) => tools::read(app, &scope, &call.name, &input, &mut self.work).await,
            Err(error) => Err(error),
        };
        let content = found.unwrap_or_else(|error| json!({"error": error.in_words(&call.name)}));
        let mut turn = Turn::of(result(call, &content));
        turn.seen = self.work.sources.since(seen_before);
        turn.slots = self.work.slots.split_off(slots_before);
        Answered::With(Box::new(turn))
    }

    /// A row of the user's own, with the record of it.
    async fn keep_own(&mut self, call: &ToolCall) -> Result<Answered, Failure> {
        let app = &self.context.app;
        let mut tx = self.context.begin().await?;
        let kept = match written(&call.arguments) {
            Ok(input) => tools::keep(app, &mut tx, &call.name, &input, &self.work).await,
            Err(error) => Err(error),
        };
        let content = match kept {
            Ok(content) => content,
            Err(ToolError::Wrong(words)) => json!({"error": words}),
            Err(ToolError::Broken(error)) => return Err(Failure::Retry(error)),
        };
        let turn = Turn::of(result(call, &content));
        super::store::append(
            &mut tx,
            self.run_id,
            self.turns.len(),
            std::slice::from_ref(&turn),
        )
        .await
        .or_retry()?;
        tx.commit().await.or_retry()?;
        app.tasks.wake();
        self.keep(vec![turn]);
        Ok(Answered::Recorded)
    }

    /// What was proposed with the turn, until it is done or won't be.
    async fn see_through(
        &mut self,
        place: usize,
        index: usize,
        call: &ToolCall,
    ) -> Result<Answered, Failure> {
        let (app, scope) = (&self.context.app, self.context.scope);
        let mut tx = scope.begin(&app.pool).await.or_retry()?;
        let now = app.clock.now();
        let approval = effects::find_by_key(&mut tx, &key(self.run_id, place, index), now)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        let Some(approval) = approval else {
            let content = json!({"error": "this wasn't proposed"});
            return Ok(Answered::With(Box::new(Turn::of(result(call, &content)))));
        };
        // A reminder has no sense any more once the answer is there.
        let reply = (approval.action == "send_email" && self.work.unheard > 0)
            .then(|| self.work.unanswered().last().map(|sent| sent.awaited))
            .flatten();
        let acted = Box::pin(effects::see_through(self.context, approval.id, reply)).await?;
        let mut turn = Turn::of(result(call, &acted.told()));
        if let Acted::Done(done) = &acted {
            // With what the user made of it.
            let mut tx = scope.begin(&app.pool).await.or_retry()?;
            let now = app.clock.now();
            let final_input = effects::find(&mut tx, approval.id, now)
                .await
                .or_retry()?
                .map_or(approval.input.clone(), |after| after.input);
            tx.commit().await.or_retry()?;
            turn.sent = (approval.action == "send_email")
                .then(|| sent(self.run_id, &approval, &final_input, done));
            turn.done = Some((approval.action.clone(), final_input));
        }
        if let Some(sent) = &turn.sent {
            self.expect(sent).await?;
        }
        Ok(Answered::With(Box::new(turn)))
    }

    /// Listens for the answer from now on, whether or not it will be waited for.
    async fn expect(&self, sent: &Sent) -> Result<(), Failure> {
        let awaited = Awaited {
            message_ids: sent.message_id.iter().cloned().collect(),
            thread: sent.thread.clone(),
            addresses: sent.to.clone(),
        };
        let mut tx = self.context.begin().await?;
        let now = self.context.app.clock.now();
        replies::expect(&mut tx, sent.awaited, &awaited, now)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()
    }
}

fn sent(run_id: Uuid, approval: &Approval, input: &Value, done: &Value) -> Sent {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Sent {
        awaited: replies::id_of(run_id, &approval.id.to_string()),
        message_id: text(&done["message_id"]),
        thread: text(&done["thread_id"]),
        to: input["to"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(text)
            .collect(),
        subject: text(&input["subject"]).unwrap_or_default(),
    }
}
