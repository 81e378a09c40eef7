//! What rules set going: each action but `log` is a task. What reaches the outside world is proposed, and
//! done when the user or their leave allows it; what nobody can do yet ends as a draft for the user.

use std::collections::BTreeSet;

use chrono::{DateTime, Months, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::engine::{Standing, filled};
use super::facts::Known;
use super::grammar::{self, Action, Due, TaskKind};
use super::templates;
use crate::activity::{self, Actor, Why};
use crate::book::{Kind, address_key};
use crate::db::Scoped;
use crate::effects::{self, Bounds, Proposal};
use crate::identity::connections;
use crate::state::App;
use crate::tasks::{Context, Enqueue, Failure, Handler, OrFailure as _, Payload, Priority};

/// What a task of a rule's is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Errand {
    pub rule_id: Uuid,
    pub event_id: Uuid,
    pub event: String,
    /// What it is about: the row of the book, if it is one.
    pub item: Option<Item>,
    pub draft: Value,
    /// Within what it was thought of.
    #[serde(default)]
    pub bounds: Bounds,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    pub kind: String,
    pub id: Uuid,
    pub title: String,
}

/// The tasks that rules make.
macro_rules! errands {
    ($($(#[$meta:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Errand);

        impl Payload for $name {
            const KIND: &'static str = $kind;
            /// Providers and models are down for hours at times, and answers get lost.
            const MAX_ATTEMPTS: i32 = 25;
        }
    )*};
}

errands! {
    /// "A first mail to this new contact."
    WelcomeEmail = "welcome_email";
    /// "Come back to them."
    FollowUp = "follow_up";
    /// "This mail wants something done." The assistant's.
    ProcessEmail = "process_email";
    /// "What is to be known before this meeting." The assistant's.
    MeetingBrief = "meeting_brief";
    /// "Whatever the title says."
    Generic = "generic";
    /// "A contact in HubSpot."
    CreateContact = "create_contact";
    /// "A note in HubSpot."
    CreateNote = "create_note";
    /// "An answer to this mail." The assistant's.
    DraftReply = "draft_reply";
    /// "A mail by this template."
    SendEmail = "send_email";
    /// "The assistant's opinion." The assistant's.
    AskAssistant = "ask_assistant";
}

/// Those that need no thinking.
macro_rules! mechanical {
    ($($name:ident)*) => {$(
        impl Handler<App> for $name {
            async fn run(self, context: Context<App>) -> Result<Value, Failure> {
                self.0.run(&context).await
            }
        }
    )*};
}

mechanical! { WelcomeEmail FollowUp Generic CreateContact CreateNote SendEmail }

impl Errand {
    /// What there is to show before anything was done.
    pub fn drafted(&self) -> Value {
        json!({"draft": self.draft, "event": self.event, "item": self.item})
    }

    const fn why(&self, task_id: Option<Uuid>) -> Why {
        Why {
            rule_id: Some(self.rule_id),
            event_id: Some(self.event_id),
            task_id,
            conversation_id: None,
        }
    }

    /// What of it reaches the outside world, if all is said that it needs.
    fn action(&self) -> Option<effects::Action> {
        let parameters = &self.draft["parameters"];
        let text = |name: &str| parameters[name].as_str().map(str::to_owned);
        let (name, input) = match self.draft["action"].as_str()? {
            "create_contact" => (
                "create_contact",
                json!({"email": text("email")?, "name": text("name"), "note": text("note")}),
            ),
            "create_note" => (
                "create_note",
                json!({"contact": text("contact")?, "text": text("text")?}),
            ),
            "create_task" if text("type")? == TaskKind::WelcomeEmail.name() => {
                let (subject, words) = templates::written("welcome")?;
                (
                    "send_email",
                    json!({"to": [text("to")?], "subject": subject, "text": words}),
                )
            }
            "send_email" => {
                let to = text("to")?;
                let name = text("template").unwrap_or_default();
                let (subject, words) = templates::written(&name).unzip();
                let subject = text("subject").or(subject.map(str::to_owned))?;
                let words = text("text").or(words.map(str::to_owned))?;
                (
                    "send_email",
                    json!({"to": [to], "subject": subject, "text": words}),
                )
            }
            _ => return None,
        };
        // What the event's words make invalid stays a draft, for the user to mend.
        effects::Action::of(name, &input).ok()
    }

    async fn run(self, context: &Context<App>) -> Result<Value, Failure> {
        let mut result = self.drafted();
        let Some(action) = self.action() else {
            return Ok(result);
        };
        let connection = connections::find(&context.app, &context.scope, action.provider());
        if connection.await.or_retry()?.is_none() {
            result["note"] = json!(format!("{} isn't connected", action.provider()));
            return Ok(result);
        }
        let mut tx = context.begin().await?;
        let proposal = Proposal {
            action: &action,
            reason: self.bounds.said.clone(),
            bounds: &self.bounds,
            why: self.why(Some(context.task_id)),
            key: format!("task:{}", context.task_id),
            doubt: None,
        };
        let approval = effects::propose(&context.app, &mut tx, proposal)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        effects::tell(&context.app, context.scope, &approval);
        let acted = Box::pin(effects::see_through(context, approval.id, None)).await?;
        result["approval_id"] = json!(approval.id);
        result["outcome"] = acted.told();
        Ok(result)
    }
}

/// Does what an action says: queues its task, if it has one.
pub(super) async fn act(
    app: &App,
    tx: &mut Scoped,
    standing: &Standing,
    action: &Action,
    known: &Known,
) -> anyhow::Result<Option<Uuid>> {
    let now = app.clock.now();
    let rule_id = standing.id;
    let event = &known.event;
    let item = event.item_kind.clone().zip(event.item_id);
    let errand = Errand {
        rule_id,
        event_id: event.id,
        event: event.name.clone(),
        item: item.map(|(kind, id)| Item {
            kind,
            id,
            title: known.title.clone(),
        }),
        draft: filled(action, known),
        bounds: bounds(standing, known),
    };
    let mut how = Enqueue {
        caused_by: Some(json!({"kind": "rule", "id": rule_id, "event_id": event.id})),
        ..Enqueue::default()
    };
    let id = match action {
        Action::Log { .. } => {
            let line = activity::New {
                target: Some(known.title.clone()),
                result: Some(json!({
                    "state": "done", "event": event.name, "text": errand.draft["parameters"]["text"],
                })),
                ..activity::New::of(Actor::Rule, "log", errand.why(None))
            };
            activity::append(tx, line, now).await?;
            return Ok(None);
        }
        Action::CreateTask {
            kind,
            priority,
            due,
            ..
        } => {
            how.priority = Some(match priority {
                grammar::Priority::High => Priority::Interactive,
                grammar::Priority::Normal => Priority::Ordinary,
                grammar::Priority::Low => Priority::Bulk,
            });
            how.run_at = due.as_ref().and_then(|due| after(now, due));
            match kind {
                TaskKind::WelcomeEmail => app.tasks.enqueue(tx, &WelcomeEmail(errand), how).await?,
                TaskKind::FollowUp => app.tasks.enqueue(tx, &FollowUp(errand), how).await?,
                TaskKind::ProcessEmail => app.tasks.enqueue(tx, &ProcessEmail(errand), how).await?,
                TaskKind::MeetingBrief => app.tasks.enqueue(tx, &MeetingBrief(errand), how).await?,
                TaskKind::Generic => app.tasks.enqueue(tx, &Generic(errand), how).await?,
            }
        }
        Action::CreateContact { .. } => app.tasks.enqueue(tx, &CreateContact(errand), how).await?,
        Action::CreateNote { .. } => app.tasks.enqueue(tx, &CreateNote(errand), how).await?,
        Action::DraftReply { .. } => app.tasks.enqueue(tx, &DraftReply(errand), how).await?,
        Action::SendEmail { .. } => app.tasks.enqueue(tx, &SendEmail(errand), how).await?,
        Action::AskAssistant { .. } => app.tasks.enqueue(tx, &AskAssistant(errand), how).await?,
    };
    Ok(Some(id))
}

/// Who takes part in what happened, and whom the rule names, may be written to; what happened is known to
/// those who take part.
fn bounds(standing: &Standing, known: &Known) -> Bounds {
    let participants: BTreeSet<String> = known.people.iter().map(|one| address_key(one)).collect();
    let written = standing
        .text
        .split(|c: char| c.is_whitespace() || "=\"',;<>()".contains(c));
    let mut bounds = Bounds {
        named: participants.clone(),
        said: standing.text.clone(),
        rule_is_auto: standing.is_auto,
        ..Bounds::default()
    };
    bounds
        .named
        .extend(written.filter(|word| word.contains('@')).map(address_key));
    let item = known.event.item_kind.as_deref().and_then(Kind::parse);
    if let (Some(kind), Some(id)) = (item, known.event.item_id) {
        bounds.see(effects::Item {
            kind,
            id,
            title: known.title.clone(),
            readers: participants,
        });
    }
    bounds
}

fn after(now: DateTime<Utc>, due: &Due) -> Option<DateTime<Utc>> {
    now.checked_add_months(Months::new(due.months))?
        .checked_add_signed(TimeDelta::days(due.days.into()))?
        .checked_add_signed(TimeDelta::seconds(due.seconds.into()))
}
