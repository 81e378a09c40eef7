//! What is done to the outside world: proposed, allowed, and done at most once per intent, whatever
//! crashes between.
//!
//! Promises: `planned` is committed with the decision, `sending` before the provider hears of it, the
//! outcome after. Whoever finds an effect in `sending` asks the provider what became of it before
//! anything is repeated; where the provider can't tell, it is `unknown`, which is said and never
//! resent. Every write carries the fence of the task, and nothing is sent when the lease is about to end.
//! Nothing goes out while its user has paused everything. May not know: conversations, rules, how an
//! action was thought of; it is given the bounds within which that happened, and judges by them.
//! Reads `contacts` and `contact_keys` of `book` (whom the user knows), and `tasks`: whether who would do a
//! thing still lives.
//!
//! Begin with [`propose`] and [`see_through`]; [`perform`] is what makes an effect happen once. A new
//! action: a variant of [`Action`], an `impl Outward` beside its provider's others, a test that kills it
//! midway.

mod action;
mod approvals;
pub mod calendar;
mod crm;
mod mail;
mod policy;
pub mod replies;
pub mod routes;
mod store;
mod through;
mod undo;

use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::{Scoped, UserScope};
use crate::identity::settings;
use crate::ids;
use crate::providers;
use crate::state::App;
use crate::tasks::{Context, Failure, Guard, OrFailure as _};
use store::{Row, State};

pub use action::{
    Action, CancelEvent, Change, CreateContact, CreateEvent, CreateNote, SendEmail, Span,
    UpdateContact, UpdateEvent, Wrong,
};
pub use approvals::{Approval, Proposal, decided, find, find_by_key, propose, tell};
pub use crm::values_now;
pub use mail::EFFECT_HEADER;
pub use policy::{Bounds, Item, Risk};
pub use store::made;
pub use through::{Acted, see_through};
pub use undo::Undo;

/// No call is begun with less of the lease left: a thawed process must not speak after its successor.
const MARGIN: Duration = Duration::from_millis(500);
/// Between two questions of what became of an effect.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// What is still paused then is given up.
const LONGEST_PAUSE: TimeDelta = TimeDelta::days(90);

/// One kind of effect: its input is `Self`, stored as it was decided. `S` is what handlers are given.
pub trait Outward<S>: Serialize + DeserializeOwned + Send + Sync {
    /// Stable name; part of the key.
    const ACTION: &'static str;
    /// Of one call. Longer than the provider's own patience, shorter than the lease.
    const TIMEOUT: Duration = Duration::from_secs(30);
    /// For how long the provider is asked again whether it was done, before it is `unknown`: searches
    /// lag behind.
    const PATIENCE: Duration = Duration::ZERO;

    /// Does it, carrying `key` to the provider in whatever way it can be found by later.
    fn send(
        &self,
        with: &S,
        key: &str,
        notes: &mut Notes,
    ) -> impl Future<Output = Result<Value, SendError>> + Send;

    /// What became of an earlier `send` with this key?
    fn find(
        &self,
        with: &S,
        key: &str,
        notes: &Notes,
    ) -> impl Future<Output = anyhow::Result<Found>> + Send;
}

/// What an effect has noted of itself on the way: a draft's id, so that recovery can look for it.
pub struct Notes {
    guard: Guard,
    effect: Uuid,
    noted: Option<Value>,
    again: bool,
}

impl Notes {
    pub const fn scope(&self) -> UserScope {
        self.guard.scope()
    }

    /// Whether the provider may have heard of it before.
    pub const fn is_again(&self) -> bool {
        self.again
    }

    pub const fn noted(&self) -> Option<&Value> {
        self.noted.as_ref()
    }

    /// Commits what the provider calls it, before the call that matters. An error means that nothing
    /// more may be sent.
    pub async fn note(&mut self, noted: Value) -> Result<(), SendError> {
        let write = async {
            let mut tx = self.guard.begin().await?;
            store::note(&mut tx, self.effect, &noted).await.or_retry()?;
            let paused = settings::hold_if_paused(&mut tx).await.or_retry()?;
            tx.commit().await.or_retry()?;
            Ok::<_, Failure>(paused.is_some())
        };
        let paused = write
            .await
            .map_err(|failure| SendError::Maybe(anyhow!("{failure}")))?;
        self.noted = Some(noted);
        if paused {
            let soon = Some(Duration::from_secs(1));
            return Err(SendError::NotDone(anyhow!("everything is paused"), soon));
        }
        Ok(())
    }
}

/// Why sending didn't work.
#[derive(Debug)]
pub enum SendError {
    /// The provider refused: it hasn't happened and won't.
    Refused(anyhow::Error),
    /// It certainly hasn't happened; after this long (or a growing pause) it may be tried again.
    NotDone(anyhow::Error, Option<Duration>),
    /// It may have happened: a timeout, a broken connection, a 5xx.
    Maybe(anyhow::Error),
}

/// What follows from a provider's error for a call that isn't to be repeated blindly.
pub(crate) fn send_error(error: providers::Error) -> SendError {
    use providers::Kind;
    match error.kind {
        Kind::Forbidden
        | Kind::ScopeMissing
        | Kind::NotFound
        | Kind::Gone
        | Kind::Conflict
        | Kind::Invalid => SendError::Refused(error.into()),
        // The user has to connect anew, which `see_through` waits for before it tries.
        Kind::Unauthorized => SendError::NotDone(error.into(), Some(Duration::from_secs(5))),
        Kind::RateLimited { retry_after } => {
            let pause = retry_after.unwrap_or(Duration::from_secs(60));
            SendError::NotDone(error.into(), Some(pause))
        }
        Kind::Unavailable | Kind::Ambiguous | Kind::Nonsense => SendError::Maybe(error.into()),
    }
}

/// What is written when an effect ends, in the transaction that ends it.
pub trait Settle {
    fn settle(
        &self,
        tx: &mut Scoped,
        outcome: &Outcome,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

impl Settle for () {
    async fn settle(&self, _: &mut Scoped, _: &Outcome) -> anyhow::Result<()> {
        Ok(())
    }
}

/// What the provider knows of an effect.
#[derive(Debug)]
pub enum Found {
    Done(Value),
    NotDone,
    /// Finding nothing proves nothing here.
    CannotTell(String),
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done(Value),
    Failed(String),
    /// It may have been done; a person has to look.
    Unknown(String),
}

/// The key of an effect: the same for every attempt at the same step of the same cause.
pub fn key(user_id: Uuid, cause: Uuid, step: &str, action: &str) -> String {
    let parts = [&*user_id.to_string(), &*cause.to_string(), step, action];
    // Safe in headers and queries.
    URL_SAFE_NO_PAD.encode(ids::digest(&parts))
}

/// Does what `input` says, once for this task and step, and returns how it ended. Called again after a
/// crash or with another wording, it goes on with the stored input, or returns what came of it.
pub async fn perform<S: AsRef<App> + Sync, E: Outward<S>>(
    context: &Context<S>,
    step: &str,
    input: &E,
    settle: &(impl Settle + Sync),
) -> Result<Outcome, Failure> {
    let user_id = context.scope.user_id().0;
    let key = key(user_id, context.task_id, step, E::ACTION);
    let row = plan(context, &key, input).await?;
    if let Some(outcome) = row.outcome() {
        return Ok(outcome);
    }
    context.app.as_ref().fail_points.hit("effects.planned");
    let input: E = serde_json::from_value(row.input.clone())
        .map_err(|error| anyhow!("the stored effect {} can't be read: {error}", row.id))
        .or_fail()?;
    let mut notes = Notes {
        guard: context.guard(),
        effect: row.id,
        noted: row.noted.clone(),
        again: row.sent > 0,
    };
    if row.state == State::Sending {
        match found(context, &input, &key, &notes).await? {
            Found::Done(result) => return end(context, &row, Outcome::Done(result), settle).await,
            Found::CannotTell(why) => {
                let waited = row
                    .sending_at
                    .map(|at| context.app.as_ref().clock.now() - at);
                if waited.and_then(|waited| waited.to_std().ok()) < Some(E::PATIENCE) {
                    return Err(Failure::Again(LOOK_AGAIN));
                }
                return end(context, &row, Outcome::Unknown(why), settle).await;
            }
            Found::NotDone => {}
        }
    }
    begin(context, &row).await?;
    context.app.as_ref().fail_points.hit("effects.sending");
    send(context, &row, &input, &key, &mut notes, settle).await
}

/// Commits the intent, or finds the one that an earlier attempt committed.
async fn plan<S: AsRef<App> + Sync, E: Outward<S>>(
    context: &Context<S>,
    key: &str,
    input: &E,
) -> Result<Row, Failure> {
    let mut tx = context.begin().await?;
    let input = serde_json::to_value(input).or_fail()?;
    let now = context.app.as_ref().clock.now();
    let row = store::plan(&mut tx, context.task_id, key, E::ACTION, &input, now)
        .await
        .or_retry()?;
    tx.commit().await.or_retry()?;
    Ok(row)
}

/// Asks the provider. While it can't be asked, nothing is repeated.
async fn found<S: AsRef<App> + Sync, E: Outward<S>>(
    context: &Context<S>,
    input: &E,
    key: &str,
    notes: &Notes,
) -> Result<Found, Failure> {
    match tokio::time::timeout(E::TIMEOUT, input.find(&context.app, key, notes)).await {
        Ok(found) => {
            let found = found.or_retry()?;
            let label = match found {
                Found::Done(_) => "found",
                Found::NotDone => "not_found",
                Found::CannotTell(_) => "cannot_tell",
            };
            context.app.as_ref().metrics.effect(E::ACTION, label);
            Ok(found)
        }
        Err(_) => Err(Failure::Retry(anyhow!(
            "the provider did not say in time whether {} was done",
            E::ACTION
        ))),
    }
}

/// Commits that the provider is about to hear of it, unless the user has paused everything: then it is
/// waited for the end of that.
async fn begin<S: AsRef<App> + Sync>(context: &Context<S>, row: &Row) -> Result<(), Failure> {
    let mut tx = context.begin().await?;
    let now = context.app.as_ref().clock.now();
    if let Some(paused_at) = settings::hold_if_paused(&mut tx).await.or_retry()? {
        drop(tx);
        let resumed = settings::resumed(paused_at);
        let until = now + LONGEST_PAUSE;
        let shown = json!({"paused_since": paused_at, "until": until});
        context
            .wait(&resumed, vec![resumed.clone()], until, Some(shown))
            .await?;
        // Awake by the end of the waiting, not of the pause.
        return Err(Failure::Fail(anyhow!("everything was paused for too long")));
    }
    let begun = store::begin(&mut tx, row.id, context.fence(), now)
        .await
        .or_retry()?;
    tx.commit().await.or_retry()?;
    if begun {
        Ok(())
    } else {
        Err(Failure::LeaseLost)
    }
}

async fn send<S: AsRef<App> + Sync, E: Outward<S>>(
    context: &Context<S>,
    row: &Row,
    input: &E,
    key: &str,
    notes: &mut Notes,
    settle: &(impl Settle + Sync),
) -> Result<Outcome, Failure> {
    // Frozen since the commit, we may no longer be the one; and the call must end before the lease does.
    let limit = context
        .lease_remaining()
        .saturating_sub(MARGIN)
        .min(E::TIMEOUT);
    if limit.is_zero() {
        return Err(Failure::LeaseLost);
    }
    let sent = tokio::time::timeout(limit, input.send(&context.app, key, notes))
        .await
        .unwrap_or_else(|_| Err(SendError::Maybe(anyhow!("no answer within {limit:?}"))));
    context.app.as_ref().fail_points.hit("effects.sent");
    match sent {
        Ok(result) => end(context, row, Outcome::Done(result), settle).await,
        Err(SendError::Refused(error)) => {
            end(context, row, Outcome::Failed(format!("{error:#}")), settle).await
        }
        Err(SendError::NotDone(error, pause)) => {
            back(context, row, &error).await?;
            context.app.as_ref().metrics.effect(E::ACTION, "not_done");
            Err(pause.map_or(Failure::Retry(error), Failure::Again))
        }
        // It stays `sending`: the next attempt asks first.
        Err(SendError::Maybe(error)) => {
            context.app.as_ref().metrics.effect(E::ACTION, "maybe");
            Err(Failure::Retry(error))
        }
    }
}

/// It certainly wasn't done: the next attempt needn't ask.
async fn back<S: AsRef<App> + Sync>(
    context: &Context<S>,
    row: &Row,
    error: &anyhow::Error,
) -> Result<(), Failure> {
    let mut tx = context.begin().await?;
    store::back(&mut tx, row.id, &format!("{error:#}"))
        .await
        .or_retry()?;
    tx.commit().await.or_retry()
}

async fn end<S: AsRef<App> + Sync>(
    context: &Context<S>,
    row: &Row,
    outcome: Outcome,
    settle: &(impl Settle + Sync),
) -> Result<Outcome, Failure> {
    let mut tx = context.begin().await?;
    store::end(&mut tx, row.id, &outcome, context.app.as_ref().clock.now())
        .await
        .or_retry()?;
    settle.settle(&mut tx, &outcome).await.or_retry()?;
    tx.commit().await.or_retry()?;
    context
        .app
        .as_ref()
        .metrics
        .effect(&row.action, outcome.label());
    context.app.as_ref().fail_points.hit("effects.ended");
    Ok(outcome)
}

impl Outcome {
    const fn label(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_follows_the_intent() {
        let (user, cause) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = key(user, cause, "invite", "send_email");
        assert_eq!(first.len(), 43);
        assert_eq!(first, key(user, cause, "invite", "send_email"));
        assert_ne!(first, key(user, cause, "confirm", "send_email"));
        assert_ne!(first, key(user, cause, "invite", "create_event"));
        assert_ne!(first, key(cause, user, "invite", "send_email"));
    }
}
