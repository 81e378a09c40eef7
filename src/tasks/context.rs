//! What a running handler is given: its user's scope, its steps, its waits, its lease.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Failure, Lease, OrFailure as _, Queue, Wait, Woken, history};
use crate::db::{Scoped, UserId, UserScope};

/// What a running handler is given.
pub struct Context<S> {
    pub app: S,
    pub scope: UserScope,
    /// The task's id in the API.
    pub task_id: Uuid,
    pub request_id: Option<String>,
    /// Cancelled when the process stops: end at the next safe place.
    pub stop: CancellationToken,
    run: Run,
    /// What earlier attempts recorded; read when a step is first asked for.
    steps: OnceCell<HashMap<String, Value>>,
}

/// What a running routine is given.
pub struct RoutineContext<S> {
    pub app: S,
    pub stop: CancellationToken,
    pub queue: Queue,
}

/// Leave to write on behalf of a claimed task, for as long as its fence holds.
#[derive(Clone)]
pub struct Guard {
    scope: UserScope,
    pool: PgPool,
    lease: Lease,
}

impl Guard {
    pub const fn scope(&self) -> UserScope {
        self.scope
    }

    /// Opens a transaction under the task's fence: see [`Context::hold`].
    pub async fn begin(&self) -> Result<Scoped, Failure> {
        let mut tx = self.scope.begin_bulk(&self.pool).await.or_retry()?;
        held(history::hold(&mut tx, self.lease).await.or_retry()?)?;
        Ok(tx)
    }
}

/// One attempt at a task, as the worker knows it.
pub(super) struct Run {
    pub lease: Lease,
    pub task_id: Uuid,
    pub user_id: Option<UserId>,
    pub request_id: Option<String>,
    pub stop: CancellationToken,
    pub lease_end: LeaseEnd,
    pub queue: Queue,
    /// For the user's own rows.
    pub pool: PgPool,
}

impl Run {
    /// None for a task that belongs to no user.
    pub fn for_user<S>(self, app: S) -> Option<Context<S>> {
        Some(Context {
            app,
            // The row that was claimed says whose it is.
            scope: UserScope::checked(self.user_id?),
            task_id: self.task_id,
            request_id: self.request_id.clone(),
            stop: self.stop.clone(),
            run: self,
            steps: OnceCell::new(),
        })
    }

    pub fn for_routine<S>(self, app: S) -> RoutineContext<S> {
        RoutineContext {
            app,
            stop: self.stop,
            queue: self.queue,
        }
    }
}

/// When this process's lease ends, by its own monotonic clock, which goes on while the process is frozen.
#[derive(Clone, Debug)]
pub(super) struct LeaseEnd {
    base: Instant,
    micros: Arc<AtomicU64>,
}

impl LeaseEnd {
    /// Counted from before the renewal was asked for.
    pub fn new(asked_at: Instant, lock: Duration) -> Self {
        let end = Self {
            base: asked_at,
            micros: Arc::default(),
        };
        end.renewed(asked_at, lock);
        end
    }

    pub fn renewed(&self, asked_at: Instant, lock: Duration) {
        let end = asked_at.duration_since(self.base) + lock;
        let micros = u64::try_from(end.as_micros()).unwrap_or(u64::MAX);
        self.micros.store(micros, Ordering::Release);
    }

    pub fn remaining(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Acquire))
            .saturating_sub(self.base.elapsed())
    }
}

impl<S> Context<S> {
    /// How long nobody else can have the task. Zero means: do nothing more to the outside world.
    pub fn lease_remaining(&self) -> Duration {
        self.run.lease_end.remaining()
    }

    /// Of the claim under which this attempt runs.
    pub const fn fence(&self) -> i32 {
        self.run.lease.fence
    }

    pub fn guard(&self) -> Guard {
        Guard {
            scope: self.scope,
            pool: self.run.pool.clone(),
            lease: self.run.lease,
        }
    }

    /// Opens a transaction under the task's fence.
    pub async fn begin(&self) -> Result<Scoped, Failure> {
        self.guard().begin().await
    }

    /// Checks the fence inside the caller's transaction and locks the task until its end, so that
    /// what the transaction writes can't come from a worker that has been replaced.
    pub async fn hold(&self, tx: &mut Scoped) -> Result<(), Failure> {
        held(history::hold(tx, self.run.lease).await.or_retry()?)
    }

    /// Tells how far the task is, in whatever unit the kind has.
    pub async fn progress(&self, done: i64, total: i64) -> Result<(), Failure> {
        let mut tx = self.scope.begin(&self.run.pool).await.or_retry()?;
        let written = history::progress(&mut tx, self.run.lease, done, total)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        held(written)
    }

    /// Does `work` unless an earlier attempt has recorded this step, and records what comes out.
    /// A crash between the two does it again: `work` must bear that.
    pub async fn step<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        if let Some(done) = self.recorded(name).await? {
            return Ok(done);
        }
        let value = work.await?;
        let mut tx = self.scope.begin(&self.run.pool).await.or_retry()?;
        self.record(&mut tx, name, &value).await?;
        tx.commit().await.or_retry()?;
        Ok(value)
    }

    /// What an earlier attempt recorded under this name.
    pub async fn recorded<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let steps = self
            .steps
            .get_or_try_init(async || {
                let mut tx = self.scope.begin(&self.run.pool).await.or_retry()?;
                history::steps(&mut tx, self.run.lease.id).await.or_retry()
            })
            .await?;
        let Some(value) = steps.get(name) else {
            return Ok(None);
        };
        T::deserialize(value).map(Some).map_err(|error| {
            Failure::Fail(anyhow!(
                "the step {name:?} was recorded in another shape: {error}"
            ))
        })
    }

    /// Records a step within the caller's transaction, so that what it did to our own rows and the
    /// record of it are one.
    pub async fn record(
        &self,
        tx: &mut Scoped,
        name: &str,
        value: &impl Serialize,
    ) -> Result<(), Failure> {
        self.hold(tx).await?;
        let value = serde_json::to_value(value).or_fail()?;
        if history::record(tx, self.run.lease.id, name, &value)
            .await
            .or_retry()?
        {
            Ok(())
        } else {
            Err(Failure::Fail(anyhow!("two steps are named {name:?}")))
        }
    }

    /// Sleeps until one of the events or the end, whichever comes first. Costs a row, no slot and no
    /// lease: the handler ends here with `?` and begins again when it is woken, and then passes.
    pub async fn wait(
        &self,
        name: &str,
        on: Vec<String>,
        until: DateTime<Utc>,
        shown: Option<Value>,
    ) -> Result<Woken, Failure> {
        if let Some(woken) = self.recorded(name).await? {
            return Ok(woken);
        }
        Err(Failure::Wait(Box::new(Wait {
            user_id: self.scope.user_id(),
            name: name.to_owned(),
            on,
            until,
            shown,
        })))
    }
}

const fn held(held: bool) -> Result<(), Failure> {
    if held {
        Ok(())
    } else {
        Err(Failure::LeaseLost)
    }
}
