//! Recurring work: once per due time over all instances, whichever of them lives then.
//!
//! A row for each routine says for which due time a task was queued last. Moving that row on and
//! queueing the task are one transaction, so two instances can't both. Due times that passed while
//! nothing ran are made up for by one run, not by one each.

use std::future::Future;
use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;
use serde_json::{Value, json};

use super::{Failure, OrFailure as _, RoutineContext};

/// Work that is due again and again. It belongs to no user.
pub trait Routine<S>: Send + 'static {
    /// The task's type; never renamed.
    const NAME: &'static str;
    /// Five fields, in UTC.
    const CRON: &'static str;
    const TIME_LIMIT: Duration = Duration::from_secs(600);

    fn run(context: RoutineContext<S>) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// When a routine is due.
pub(super) struct Schedule {
    pub name: &'static str,
    cron: Cron,
}

impl Schedule {
    pub fn of<S, R: Routine<S>>() -> Self {
        Self {
            name: R::NAME,
            cron: Cron::from_str(R::CRON).expect("a routine's times are well-formed"),
        }
    }

    /// The latest due time that isn't after `now`.
    pub fn last_due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cron.find_previous_occurrence(&now, true).ok()
    }
}

/// Removes what has been kept long enough, every hour.
pub struct TidyTasks;

impl<S: Send + 'static> Routine<S> for TidyTasks {
    const NAME: &'static str = "tidy_tasks";
    const CRON: &'static str = "17 * * * *";

    async fn run(context: RoutineContext<S>) -> Result<Value, Failure> {
        let removed = context.queue.tidy().await.or_retry()?;
        Ok(json!({"removed": removed}))
    }
}
