//! Which kinds of task this program can do.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::Value;

use super::context::Run;
use super::schedule::{Routine, Schedule};
use super::{Failure, Handler, OrFailure as _, Payload};

type Running = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;
type Start<S> = Box<dyn Fn(Value, S, Run) -> Running + Send + Sync>;

/// Kinds and their handlers. Unknown kinds aren't claimed: a newer version may know them.
pub struct Registry<S> {
    kinds: HashMap<&'static str, Kind<S>>,
    schedules: Vec<Schedule>,
}

pub(super) struct Kind<S> {
    /// Static, for metric labels.
    pub name: &'static str,
    pub time_limit: Duration,
    start: Start<S>,
}

impl<S> Kind<S> {
    pub(super) fn start(&self, payload: Value, app: S, run: Run) -> Running {
        (self.start)(payload, app, run)
    }
}

impl<S> Default for Registry<S> {
    fn default() -> Self {
        Self {
            kinds: HashMap::new(),
            schedules: Vec::new(),
        }
    }
}

impl<S: Send + 'static> Registry<S> {
    /// Adds a kind.
    #[must_use]
    pub fn with<H: Handler<S>>(self) -> Self {
        self.add(
            <H as Payload>::KIND,
            H::TIME_LIMIT,
            Box::new(|payload, app, run| {
                Box::pin(async move {
                    let task: H = serde_json::from_value(payload)
                        .context("the payload can't be read; perhaps an older version wrote it")
                        .or_fail()?;
                    let context = run
                        .for_user(app)
                        .ok_or_else(|| anyhow!("the task belongs to no user"))
                        .or_fail()?;
                    task.run(context).await
                })
            }),
        )
    }

    /// Adds recurring work.
    ///
    /// # Panics
    /// When [`Routine::CRON`] is malformed: a mistake in the program, found by any start.
    #[must_use]
    pub fn routine<R: Routine<S>>(mut self) -> Self {
        self.schedules.push(Schedule::of::<S, R>());
        self.add(
            R::NAME,
            R::TIME_LIMIT,
            Box::new(|_, app, run| Box::pin(R::run(run.for_routine(app)))),
        )
    }

    fn add(mut self, name: &'static str, time_limit: Duration, start: Start<S>) -> Self {
        let kind = Kind {
            name,
            time_limit,
            start,
        };
        let earlier = self.kinds.insert(name, kind);
        assert!(earlier.is_none(), "two handlers for tasks of kind {name}");
        self
    }

    pub(super) fn kinds(&self) -> Vec<String> {
        self.kinds.keys().map(|kind| (*kind).to_owned()).collect()
    }

    pub(super) fn find(&self, kind: &str) -> Option<&Kind<S>> {
        self.kinds.get(kind)
    }

    pub(super) fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }
}
