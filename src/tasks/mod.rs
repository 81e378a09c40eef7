//! Queued work that survives the process: claim, lease, fence, retry.
//!
//! Promises: a task runs at least once until it ends; every write of a worker carries the fence of
//! its claim, so that a worker that lost its lease changes nothing; no handler runs inside a
//! transaction; a panic is a retry. May not know: any kind of task. The payload type lives with the
//! one who asks, `impl Handler` with the one who does, and `app.rs` registers it in one line.
//!
//! Begin with [`Payload`] and [`Handler`]; `worker.rs` is the loop, `store.rs` all SQL.

mod registry;
pub mod routes;
mod store;
mod worker;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::{Scoped, UserScope};
use crate::ids;

pub use registry::Registry;
pub use worker::{Worker, WorkerSettings};

/// What is to be done: data that an older version of the program wrote must stay readable.
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {
    /// The task's type in the API; never renamed.
    const KIND: &'static str;
    const PRIORITY: Priority = Priority::Ordinary;
    const MAX_ATTEMPTS: i32 = 5;
}

/// Who does it. `S` is what the program gives to all handlers.
pub trait Handler<S>: Payload {
    /// The value becomes the task's `result`. Must be safe to run again from its last checkpoint.
    fn run(self, context: Context<S>) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// What goes first; a bulk import never delays an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it.
    Interactive = 0,
    Ordinary = 10,
    Bulk = 20,
}

/// Why a handler ended without a result, and so what follows.
#[derive(Debug)]
pub enum Failure {
    /// Worth another attempt, after a pause that grows.
    Retry(anyhow::Error),
    /// No attempt will help.
    Fail(anyhow::Error),
    /// Not its turn: again after this long, without spending an attempt.
    Again(Duration),
    /// Another worker has the task now, or the user cancelled it: stop, write nothing.
    LeaseLost,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(cause) | Self::Fail(cause) => write!(f, "{cause:#}"),
            Self::Again(pause) => write!(f, "again in {} s", pause.as_secs()),
            Self::LeaseLost => f.write_str("the lease was lost"),
        }
    }
}

/// At every `?` of a handler it says what follows.
pub trait OrFailure<T> {
    fn or_retry(self) -> Result<T, Failure>;
    fn or_fail(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFailure<T> for Result<T, E> {
    fn or_retry(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Retry(error.into()))
    }

    fn or_fail(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Fail(error.into()))
    }
}

/// What a running handler is given.
pub struct Context<S> {
    pub app: S,
    pub scope: UserScope,
    /// The task's id in the API.
    pub task_id: Uuid,
    pub request_id: Option<String>,
    /// Cancelled when the process stops or the lease is lost: end at the next safe place.
    pub stop: CancellationToken,
    lease: Lease,
    pool: PgPool,
}

/// The claim that a worker holds; every write on behalf of the task carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    id: i64,
    fence: i32,
}

impl<S> Context<S> {
    /// Checks the fence inside the caller's transaction and locks the task until its end, so that
    /// what the transaction writes can't come from a worker that has been replaced.
    pub async fn hold(&self, tx: &mut Scoped) -> Result<(), Failure> {
        if store::hold(tx, self.lease).await.or_retry()? {
            Ok(())
        } else {
            Err(Failure::LeaseLost)
        }
    }

    /// Tells how far the task is, in whatever unit the kind has.
    pub async fn progress(&self, done: i64, total: i64) -> Result<(), Failure> {
        let mut tx = self.scope.begin(&self.pool).await.or_retry()?;
        let held = store::progress(&mut tx, self.lease, done, total)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        if held {
            Ok(())
        } else {
            Err(Failure::LeaseLost)
        }
    }
}

/// The sending end of the queue.
#[derive(Clone, Debug)]
pub struct Tasks {
    clock: Clock,
    /// Wakes this process's worker.
    ready: Arc<Notify>,
    /// Wakes the announcer, which tells the other processes.
    announce: Arc<Notify>,
    working: Arc<AtomicBool>,
}

/// How a task is queued, beyond its payload.
#[derive(Clone, Debug, Default)]
pub struct Enqueue {
    /// While a task of this kind and key lives, another isn't made.
    pub unique_key: Option<String>,
    pub request_id: Option<String>,
    /// What caused it, as the API shows it.
    pub caused_by: Option<Value>,
}

impl Tasks {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            ready: Arc::default(),
            announce: Arc::default(),
            working: Arc::default(),
        }
    }

    /// Queues a task within the caller's transaction and returns its id, or that of the live task
    /// with the same unique key. Call [`Tasks::wake`] after the commit.
    pub async fn enqueue<P: Payload>(
        &self,
        tx: &mut Scoped,
        payload: &P,
        how: Enqueue,
    ) -> anyhow::Result<Uuid> {
        let new = store::NewTask {
            public_id: ids::next(),
            kind: P::KIND,
            payload: serde_json::to_value(payload)?,
            priority: P::PRIORITY,
            max_attempts: P::MAX_ATTEMPTS,
            now: self.clock.now(),
        };
        Ok(store::insert(tx, &new, &how).await?)
    }

    /// Whether this process's worker has joined the queue.
    pub fn is_working(&self) -> bool {
        self.working.load(Ordering::Relaxed)
    }

    /// "There may be work": a hint, to this process at once and to the others within 10 ms.
    pub fn wake(&self) {
        self.ready.notify_one();
        self.announce.notify_one();
    }
}

/// Which of the user's tasks of one kind live (wait or run)?
pub async fn count_live(tx: &mut Scoped, kind: &str) -> Result<i64, sqlx::Error> {
    store::count_live(tx, kind).await
}
