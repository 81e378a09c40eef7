//! Taking back what was done, where that can be: an appointment is cancelled, former values are written
//! back, what was made in HubSpot is archived. Only while things are as we left them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::action::{Action, CancelEvent, UpdateContact};
use super::{Found, Notes, Outcome, Outward, SendError, Settle, calendar, crm, perform};
use crate::activity::{self, Actor, Entry, New, Why};
use crate::db::Scoped;
use crate::identity::connections::{Grant, Provider};
use crate::live::Topic;
use crate::providers::Kind;
use crate::providers::caller::Credentials as _;
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _, Payload, Priority};

/// "Take this back": the user's own word, so nobody is asked again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Undo {
    pub entry_id: Uuid,
}

impl Payload for Undo {
    const KIND: &'static str = "undo";
    const PRIORITY: Priority = Priority::Interactive;
    /// HubSpot is down for hours at times, and answers get lost.
    const MAX_ATTEMPTS: i32 = 25;
    const TIME_LIMIT: Duration = Duration::from_secs(300);
}

/// Something of HubSpot's that is put away; HubSpot keeps it for 90 days.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Archive {
    /// `contacts` or `notes`.
    pub kind: String,
    pub id: String,
}

impl Outward<App> for Archive {
    const ACTION: &'static str = "archive";

    async fn send(&self, app: &App, _: &str, notes: &mut Notes) -> Result<Value, SendError> {
        crm::archive(app, notes.scope(), &self.kind, &self.id).await?;
        Ok(json!({"id": self.id}))
    }

    async fn find(&self, _: &App, _: &str, _: &Notes) -> anyhow::Result<Found> {
        // Archiving what is archived changes nothing.
        Ok(Found::NotDone)
    }
}

/// What takes an entry back.
enum Back {
    Cancel(CancelEvent, String),
    Write(UpdateContact),
    Archive(Archive),
}

impl Back {
    fn of(undo: &Value) -> Option<Self> {
        let name = undo["action"].as_str()?;
        if name == "archive" {
            return serde_json::from_value(json!({"kind": undo["kind"], "id": undo["id"]}))
                .ok()
                .map(Self::Archive);
        }
        match Action::of(name, &undo["input"]).ok()? {
            Action::CancelEvent(event) => {
                let etag = undo["etag"].as_str().unwrap_or_default().to_owned();
                Some(Self::Cancel(event, etag))
            }
            Action::UpdateContact(change) => Some(Self::Write(change)),
            _ => None,
        }
    }

    const fn provider(&self) -> Provider {
        match self {
            Self::Cancel(..) => Provider::Google,
            Self::Write(_) | Self::Archive(_) => Provider::HubSpot,
        }
    }
}

/// Whether the descriptor of an entry is one that this program can carry out.
pub(super) fn is_possible(entry: &Entry) -> bool {
    entry.undo.as_ref().and_then(Back::of).is_some()
}

impl Handler<App> for Undo {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let (app, scope) = (&context.app, context.scope);
        let mut tx = scope.begin(&app.pool).await.or_retry()?;
        let entry = activity::find(&mut tx, self.entry_id).await.or_retry()?;
        tx.commit().await.or_retry()?;
        let entry = entry
            .ok_or_else(|| anyhow::anyhow!("the entry is gone"))
            .or_fail()?;
        let back = entry
            .undo
            .as_ref()
            .and_then(Back::of)
            .ok_or_else(|| anyhow::anyhow!("this can't be taken back"))
            .or_fail()?;
        let grant = Grant::new(app, scope, back.provider());
        let alive = grant.bearer(None).await.map(drop);
        grant.or_wait(&context, alive).await?;
        if let Some(words) = conflict(&context, &back, &grant).await? {
            return Ok(json!({"state": "conflict", "reason": "conflict", "error": words}));
        }
        let settle = Undone {
            app,
            entry: &entry,
            task_id: context.task_id,
        };
        let outcome = match &back {
            Back::Cancel(event, _) => perform(&context, "undo", event, &settle).await,
            Back::Write(change) => perform(&context, "undo", change, &settle).await,
            Back::Archive(archive) => perform(&context, "undo", archive, &settle).await,
        }?;
        app.live.tell(scope.user_id(), Topic::Activity, json!({}));
        Ok(match outcome {
            Outcome::Done(result) => json!({"state": "done", "result": result}),
            Outcome::Failed(words) => json!({"state": "failed", "error": words}),
            Outcome::Unknown(words) => json!({"state": "unknown", "error": words}),
        })
    }
}

/// What somebody else has changed since, in words; looked for once, before anything is done.
async fn conflict(
    context: &Context<App>,
    back: &Back,
    grant: &Grant,
) -> Result<Option<String>, Failure> {
    let (app, scope) = (&context.app, context.scope);
    let looked = async {
        Ok(match back {
            Back::Cancel(event, etag) => {
                match calendar::appointment(app, scope, &event.event_id).await {
                    Ok(now) if now.is_cancelled() => Some("It was cancelled already.".to_owned()),
                    Ok(now) => (now.etag.as_deref() != Some(etag))
                        .then(|| "The appointment was changed since.".to_owned()),
                    Err(error) if matches!(error.kind, Kind::NotFound | Kind::Gone) => {
                        Some("The appointment is gone already.".to_owned())
                    }
                    Err(error) => grant.or_wait(context, Err(error)).await?,
                }
            }
            Back::Write(change) => {
                let found = crm::differs(app, scope, change).await;
                grant.or_wait(context, found).await?
            }
            Back::Archive(_) => None,
        })
    };
    context.step("conflict", looked).await
}

/// The diary says that it was taken back, with the end of the effect.
struct Undone<'a> {
    app: &'a App,
    entry: &'a Entry,
    task_id: Uuid,
}

impl Settle for Undone<'_> {
    async fn settle(&self, tx: &mut Scoped, outcome: &Outcome) -> anyhow::Result<()> {
        let (state, undoes) = match outcome {
            Outcome::Done(_) => ("done", Some(self.entry.id)),
            Outcome::Failed(_) => ("failed", None),
            Outcome::Unknown(_) => ("unknown", None),
        };
        let action = format!("undo_{}", self.entry.action);
        let why = Why {
            task_id: Some(self.task_id),
            ..serde_json::from_value(self.entry.why.clone()).unwrap_or_default()
        };
        let entry = New {
            target: self.entry.target.clone(),
            done: self.entry.undo.clone(),
            result: Some(json!({"state": state})),
            undoes,
            ..New::of(Actor::User, &action, why)
        };
        activity::append(tx, entry, self.app.clock.now()).await?;
        Ok(())
    }
}
