//! What rules set going. Until the assistant can act, each action but `log` is a task that ends with a
//! draft: what would be done, for the user to do.

use chrono::{DateTime, Months, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::engine::filled;
use super::facts::Known;
use super::grammar::{self, Action, Due, TaskKind};
use super::store;
use crate::db::Scoped;
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
        }

        impl Handler<App> for $name {
            async fn run(self, context: Context<App>) -> Result<Value, Failure> {
                draft(self.0, &context).await
            }
        }
    )*};
}

errands! {
    /// "A first mail to this new contact."
    WelcomeEmail = "welcome_email";
    /// "Come back to them."
    FollowUp = "follow_up";
    /// "This mail wants something done."
    ProcessEmail = "process_email";
    /// "What is to be known before this meeting."
    MeetingBrief = "meeting_brief";
    /// "Whatever the title says."
    Generic = "generic";
    /// "A contact in HubSpot."
    CreateContact = "create_contact";
    /// "A note in HubSpot."
    CreateNote = "create_note";
    /// "An answer to this mail."
    DraftReply = "draft_reply";
    /// "A mail by this template."
    SendEmail = "send_email";
    /// "The assistant's opinion."
    AskAssistant = "ask_assistant";
}

async fn draft(errand: Errand, context: &Context<App>) -> Result<Value, Failure> {
    let mut tx = context.begin().await?;
    store::judge(&mut tx, errand.rule_id, None)
        .await
        .or_retry()?;
    tx.commit().await.or_retry()?;
    Ok(json!({"draft": errand.draft, "event": errand.event, "item": errand.item}))
}

/// Does what an action says: queues its task, if it has one.
pub(super) async fn act(
    app: &App,
    tx: &mut Scoped,
    rule_id: Uuid,
    action: &Action,
    known: &Known,
) -> anyhow::Result<Option<Uuid>> {
    let now = app.clock.now();
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
    };
    let mut how = Enqueue {
        caused_by: Some(json!({"kind": "rule", "id": rule_id, "event_id": event.id})),
        ..Enqueue::default()
    };
    let id = match action {
        Action::Log { .. } => {
            tracing::info!(rule = %rule_id, event = %event.id, name = event.name, "a rule logs");
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

fn after(now: DateTime<Utc>, due: &Due) -> Option<DateTime<Utc>> {
    now.checked_add_months(Months::new(due.months))?
        .checked_add_signed(TimeDelta::days(due.days.into()))?
        .checked_add_signed(TimeDelta::seconds(due.seconds.into()))
}
