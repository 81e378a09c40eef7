//! What is done to the outside world, each at most once per intent, whatever crashes between.
//!
//! Promises: `planned` is committed with the decision, `sending` before the provider hears of it, the
//! outcome after. Whoever finds an effect in `sending` asks the provider what became of it before
//! anything is repeated; where the provider can't tell, it is `unknown`, which is said and never
//! resent. Every write carries the fence of the task, and nothing is sent when the lease is about to end.
//! May not know: what an effect does ([`Outward`] is implemented beside its provider), nor whether it
//! may be done: that is decided before.
//!
//! Begin with [`perform`]. A new kind of effect: `impl Outward`, a test that kills it midway.

mod store;

use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::ids;
use crate::state::App;
use crate::tasks::{Context, Failure, Guard, OrFailure as _};
use store::{Row, State};

/// No call is begun with less of the lease left: a thawed process must not speak after its successor.
const MARGIN: Duration = Duration::from_millis(500);

/// One kind of effect: its input is `Self`, stored as it was decided. `S` is what handlers are given.
pub trait Outward<S>: Serialize + DeserializeOwned + Send + Sync {
    /// Stable name; part of the key.
    const ACTION: &'static str;
    /// Of one call. Longer than the provider's own patience, shorter than the lease.
    const TIMEOUT: Duration = Duration::from_secs(30);

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
}

impl Notes {
    pub const fn noted(&self) -> Option<&Value> {
        self.noted.as_ref()
    }

    /// Commits what the provider calls it, before the call that matters. An error means that nothing
    /// more may be sent.
    pub async fn note(&mut self, noted: Value) -> Result<(), SendError> {
        let write = async {
            let mut tx = self.guard.begin().await?;
            store::note(&mut tx, self.effect, &noted).await.or_retry()?;
            tx.commit().await.or_retry()
        };
        write
            .await
            .map_err(|failure| SendError::Maybe(anyhow!("{failure}")))?;
        self.noted = Some(noted);
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
    };
    if row.state == State::Sending {
        match found(context, &input, &key, &notes).await? {
            Found::Done(result) => return end(context, &row, Outcome::Done(result)).await,
            Found::CannotTell(why) => return end(context, &row, Outcome::Unknown(why)).await,
            Found::NotDone => {}
        }
    }
    begin(context, &row).await?;
    context.app.as_ref().fail_points.hit("effects.sending");
    send(context, &row, &input, &key, &mut notes).await
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

/// Commits that the provider is about to hear of it.
async fn begin<S: AsRef<App> + Sync>(context: &Context<S>, row: &Row) -> Result<(), Failure> {
    let mut tx = context.begin().await?;
    let now = context.app.as_ref().clock.now();
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
        Ok(result) => end(context, row, Outcome::Done(result)).await,
        Err(SendError::Refused(error)) => {
            end(context, row, Outcome::Failed(format!("{error:#}"))).await
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
) -> Result<Outcome, Failure> {
    let mut tx = context.begin().await?;
    store::end(&mut tx, row.id, &outcome, context.app.as_ref().clock.now())
        .await
        .or_retry()?;
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
