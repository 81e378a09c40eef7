//! From a proposal to what came of it: the user's word, the look whether things still are as they were,
//! the deed, the diary.

use serde_json::{Value, json};
use uuid::Uuid;

use super::action::{Action, SendEmail, step_of};
use super::approvals::{self, Approval, Proposal};
use super::policy::Bounds;
use super::{Outcome, Settle, calendar, crm, perform};
use crate::activity::{self, New};
use crate::db::Scoped;
use crate::identity::connections::Grant;
use crate::live::Topic;
use crate::providers::caller::Credentials as _;
use crate::state::App;
use crate::tasks::{Context, Failure, OrFailure as _, Woken};

/// What came of a proposal.
#[derive(Clone, Debug, PartialEq)]
pub enum Acted {
    Done(Value),
    Failed(String),
    /// Nobody knows; the user has been asked and doesn't want it done again.
    Unknown(String),
    Rejected(Option<String>),
    Expired,
    /// Things are no longer as they were; nothing was done.
    Stale(String),
    /// What it was for came about by itself.
    Superseded,
}

impl Acted {
    /// For a task's result, and for the model.
    pub fn told(&self) -> Value {
        match self {
            Self::Done(result) => json!({"state": "done", "result": result}),
            Self::Failed(words) => json!({"state": "failed", "error": words}),
            Self::Unknown(words) => json!({"state": "unknown", "error": words}),
            Self::Rejected(reason) => json!({"state": "rejected", "reason": reason}),
            Self::Expired => json!({"state": "expired"}),
            Self::Stale(words) => json!({"state": "stale", "reason": words}),
            Self::Superseded => json!({"state": "superseded"}),
        }
    }
}

/// Sees a proposal through, over days and crashes. Where `reply` is given, the proposal has no sense any
/// more once that has come. The task sleeps while the user thinks.
pub async fn see_through(
    context: &Context<App>,
    id: Uuid,
    reply: Option<Uuid>,
) -> Result<Acted, Failure> {
    let approval = found(context, id).await?;
    if approval.state == "pending" || approval.state == "expired" {
        let woken = context
            .wait(
                &format!("approval:{id}"),
                approvals::waited_for(id, reply),
                approval.expires_at,
                Some(json!({"approval_id": id, "until": approval.expires_at})),
            )
            .await?;
        let over = match woken {
            Woken::TimedOut => Some(("expired", Acted::Expired)),
            Woken::Event { key, .. } if key != approvals::decided(id) => {
                Some(("superseded", Acted::Superseded))
            }
            Woken::Event { .. } => None,
        };
        if let Some((state, acted)) = over
            && end(context, &approval, state).await?
        {
            return Ok(acted);
        }
    }
    let approval = found(context, id).await?;
    match approval.state.as_str() {
        "rejected" => return Ok(Acted::Rejected(approval.decision)),
        "expired" => return Ok(Acted::Expired),
        "stale" => return Ok(Acted::Stale(approval.decision.unwrap_or_default())),
        "superseded" => return Ok(Acted::Superseded),
        _ => {}
    }
    let action = approval.action().or_fail()?;
    let grant = Grant::new(&context.app, context.scope, action.provider());
    // With a dead grant it is waited for the user first.
    let alive = grant.bearer(None).await.map(drop);
    grant.or_wait(context, alive).await?;
    if approval.outcome.is_none()
        && let Some(words) = Box::pin(unlike(context, &approval, &action)).await?
    {
        return Ok(Acted::Stale(words));
    }
    match carry_out(context, &approval, &action).await? {
        Outcome::Done(result) => Ok(Acted::Done(result)),
        Outcome::Failed(words) => Ok(Acted::Failed(words)),
        Outcome::Unknown(words) => in_doubt(context, &approval, words).await,
    }
}

async fn found(context: &Context<App>, id: Uuid) -> Result<Approval, Failure> {
    let mut tx = context.scope.begin(&context.app.pool).await.or_retry()?;
    let found = approvals::find(&mut tx, id, context.app.clock.now())
        .await
        .or_retry()?;
    tx.commit().await.or_retry()?;
    found
        .ok_or_else(|| anyhow::anyhow!("the approval {id} is gone"))
        .or_fail()
}

/// Whether it was still pending.
async fn end(context: &Context<App>, approval: &Approval, state: &str) -> Result<bool, Failure> {
    let (app, now) = (&context.app, context.app.clock.now());
    let mut tx = context.begin().await?;
    let ended = approvals::end(&mut tx, approval.id, state, None, now)
        .await
        .or_retry()?;
    if ended {
        let actor = activity::Actor::System;
        approvals::note_refusal(&mut tx, approval, actor, state, None, now)
            .await
            .or_retry()?;
    }
    tx.commit().await.or_retry()?;
    let scope = context.scope;
    app.live.tell(
        scope.user_id(),
        Topic::Approval,
        json!({"id": approval.id, "state": state}),
    );
    Ok(ended)
}

async fn carry_out(
    context: &Context<App>,
    approval: &Approval,
    action: &Action,
) -> Result<Outcome, Failure> {
    let step = step_of(approval.id);
    let kept = Kept {
        app: &context.app,
        approval,
        action,
        task_id: context.task_id,
    };
    let outcome = match action {
        Action::SendEmail(input) => {
            let unread = approval.automatic && approval.actor() == activity::Actor::Rule;
            let input = SendEmail {
                unread,
                ..input.clone()
            };
            perform(context, &step, &input, &kept).await
        }
        Action::CreateEvent(input) => perform(context, &step, input, &kept).await,
        Action::UpdateEvent(input) => perform(context, &step, input, &kept).await,
        Action::CancelEvent(input) => perform(context, &step, input, &kept).await,
        Action::CreateContact(input) => perform(context, &step, input, &kept).await,
        Action::UpdateContact(input) => perform(context, &step, input, &kept).await,
        Action::CreateNote(input) => perform(context, &step, input, &kept).await,
    }?;
    let user_id = context.scope.user_id();
    let data = json!({"id": approval.id, "state": approval.state});
    context.app.live.tell(user_id, Topic::Approval, data);
    context.app.live.tell(user_id, Topic::Activity, json!({}));
    Ok(outcome)
}

/// Looks once whether things still are as they were when it was thought of; what isn't, in words.
async fn unlike(
    context: &Context<App>,
    approval: &Approval,
    action: &Action,
) -> Result<Option<String>, Failure> {
    let (app, scope) = (&context.app, context.scope);
    // Once it is about to go out, it goes on as it was.
    let name = format!("unlike:{}", approval.id);
    let looked = async {
        let grant = Grant::new(app, scope, action.provider());
        let found = match action {
            Action::SendEmail(SendEmail { offers, .. }) if !offers.is_empty() => {
                let taken = calendar::taken(app, scope, offers).await;
                let taken = grant.or_wait(context, taken).await?;
                taken.first().map(|span| {
                    format!(
                        "The time that it offers, {}, is taken.",
                        span.start.to_rfc3339()
                    )
                })
            }
            Action::CreateEvent(event) if event.only_if_free => {
                let span = super::action::Span {
                    start: event.start,
                    end: event.end,
                };
                let taken = calendar::taken(app, scope, &[span]).await;
                let taken = grant.or_wait(context, taken).await?;
                (!taken.is_empty()).then(|| "Something else is at that time now.".to_owned())
            }
            Action::UpdateContact(change) => {
                let found = crm::differs(app, scope, change).await;
                grant.or_wait(context, found).await?
            }
            _ => None,
        };
        Ok(found)
    };
    let found: Option<String> = Box::pin(context.step(&name, looked)).await?;
    if let Some(words) = &found {
        let mut tx = context.begin().await?;
        approvals::make_stale(&mut tx, approval, words, app.clock.now())
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
    }
    Ok(found)
}

/// Asks the user about what may have been done; their word is for doing it again.
async fn in_doubt(
    context: &Context<App>,
    approval: &Approval,
    words: String,
) -> Result<Acted, Failure> {
    let app = &context.app;
    let action = approval.action().or_fail()?;
    let bounds: Bounds = serde_json::from_value(approval.bounds.clone()).or_fail()?;
    let mut tx = context.begin().await?;
    let again = approvals::propose(
        app,
        &mut tx,
        Proposal {
            action: &action,
            reason: format!("This may already have been done. {words}"),
            bounds: &bounds,
            why: activity::Why {
                task_id: Some(context.task_id),
                ..approval.why()
            },
            key: format!("again:{}", approval.id),
            doubt: Some(words.clone()),
        },
    )
    .await
    .or_retry()?;
    tx.commit().await.or_retry()?;
    approvals::tell(app, context.scope, &again);
    match Box::pin(see_through(context, again.id, None)).await? {
        Acted::Rejected(_) | Acted::Expired => Ok(Acted::Unknown(words)),
        other => Ok(other),
    }
}

/// What is written with an effect's end: what came of it, and the diary.
struct Kept<'a> {
    app: &'a App,
    approval: &'a Approval,
    action: &'a Action,
    task_id: Uuid,
}

impl Settle for Kept<'_> {
    async fn settle(&self, tx: &mut Scoped, outcome: &Outcome) -> anyhow::Result<()> {
        let (result, undo) = match outcome {
            Outcome::Done(result) => (
                json!({"state": "done", "result": result}),
                undo(self.action, result),
            ),
            Outcome::Failed(words) => (json!({"state": "failed", "error": words}), None),
            Outcome::Unknown(words) => (json!({"state": "unknown", "error": words}), None),
        };
        approvals::keep_outcome(tx, self.approval.id, self.task_id, &result).await?;
        let mut why = self.approval.why();
        why.task_id = why.task_id.or(Some(self.task_id));
        let mut result = result;
        result["approval_id"] = json!(self.approval.id);
        let entry = New {
            target: Some(self.action.target()),
            proposed: self
                .approval
                .proposed
                .clone()
                .or_else(|| Some(self.approval.input.clone())),
            done: Some(self.approval.input.clone()),
            result: Some(result),
            undo,
            ..New::of(self.approval.actor(), self.action.name(), why)
        };
        activity::append(tx, entry, self.app.clock.now()).await?;
        Ok(())
    }
}

/// How it can be taken back.
fn undo(action: &Action, result: &Value) -> Option<Value> {
    match action {
        Action::CreateEvent(event) => Some(json!({
            "how": "cancel the appointment", "action": "cancel_event", "etag": result["etag"],
            "input": {
                "event_id": result["event_id"], "title": event.title, "attendees": event.attendees,
            },
        })),
        Action::UpdateContact(change) => {
            let back: Vec<Value> = change
                .changes
                .iter()
                .map(|one| {
                    json!({
                        "property": one.property, "from": one.to,
                        "to": one.from.clone().unwrap_or_default(),
                    })
                })
                .collect();
            Some(json!({
                "how": "write the former values back", "action": "update_contact",
                "input": {"contact_id": change.contact_id, "name": change.name, "changes": back},
            }))
        }
        Action::CreateContact(_) if result["existed"] == false => Some(json!({
            "how": "archive the contact", "action": "archive", "kind": "contacts",
            "id": result["contact_id"],
        })),
        Action::CreateNote(_) => Some(json!({
            "how": "archive the note", "action": "archive", "kind": "notes", "id": result["note_id"],
        })),
        _ => None,
    }
}
