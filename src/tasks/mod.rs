//! Queued work that survives the process: claim, lease, fence, retry, wait, schedule.
//!
//! Promises: a task runs at least once until it ends; every write of a worker carries the fence of
//! its claim, so that a worker that lost its lease changes nothing; no handler runs inside a
//! transaction; a panic is a retry; what sleeps is woken once, by whatever comes first. May not
//! know: any kind of task. The payload type lives with the one who asks, `impl Handler` with the one
//! who does, and `app.rs` registers it in one line; recurring work is a [`Routine`].
//!
//! Begin with [`Payload`] and [`Handler`]. [`Tasks`] is the sending end, [`Context`] what a handler is
//! given, `worker` the loops, [`Queue`] all statements of a worker, `history` those of the API.

mod context;
mod history;
mod queue;
mod registry;
pub mod routes;
mod schedule;
mod send;
mod slots;
mod worker;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;

pub use context::{Context, Guard, RoutineContext};
pub use history::{Keep, LastEnded, count_live, last_ended, live_kinds};
pub use queue::{Claimed, Depth, Due, Ended, Ending, Lease, Queue, Room, Wait, Woken, Written};
pub use registry::Registry;
pub use schedule::{Routine, TidyTasks};
pub use send::{Enqueue, Tasks};
pub use worker::{Worker, WorkerSettings};

/// What is to be done: data that an older version of the program wrote must stay readable.
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {
    /// The task's type in the API; never renamed.
    const KIND: &'static str;
    const PRIORITY: Priority = Priority::Ordinary;
    const MAX_ATTEMPTS: i32 = 5;
    /// Of one attempt; one that takes longer is stopped and counts as failed.
    const TIME_LIMIT: Duration = Duration::from_secs(600);
}

/// Who does it. `S` is what the program gives to all handlers.
pub trait Handler<S>: Payload {
    /// The value becomes the task's `result`. Must be safe to run again: what [`Context::step`] has
    /// recorded isn't done twice.
    fn run(self, context: Context<S>) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// What goes first; a bulk import never delays an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Priority {
    /// Somebody waits for it.
    Interactive = 0,
    Ordinary = 10,
    Bulk = 20,
}

/// Where a task stands. Scheduled and ready ones are both `pending` in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[repr(i16)]
pub enum State {
    Scheduled = 0,
    Ready = 1,
    Running = 2,
    Waiting = 3,
    Done = 4,
    Failed = 5,
    Cancelled = 6,
}

impl State {
    /// As the API says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled | Self::Ready => "pending",
            Self::Running => "in_progress",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The states that the API calls by this name; none when there is no such name.
    pub fn named(name: &str) -> &'static [Self] {
        match name {
            "pending" => &[Self::Scheduled, Self::Ready],
            "in_progress" => &[Self::Running],
            "waiting" => &[Self::Waiting],
            "done" => &[Self::Done],
            "failed" => &[Self::Failed],
            "cancelled" => &[Self::Cancelled],
            _ => &[],
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Why a handler ended without a result, and so what follows.
#[derive(Debug)]
pub enum Failure {
    /// Worth another attempt, after a pause that grows.
    Retry(anyhow::Error),
    /// No attempt will help.
    Fail(anyhow::Error),
    /// Not its turn (a provider said when): again after this long, without spending an attempt.
    Again(Duration),
    /// Sleeps until what it waits for; made by [`Context::wait`] alone.
    Wait(Box<Wait>),
    /// Another worker has the task now, or the user cancelled it: stop, write nothing.
    LeaseLost,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(cause) | Self::Fail(cause) => write!(f, "{cause:#}"),
            Self::Again(pause) => write!(f, "again in {} s", pause.as_secs()),
            Self::Wait(wait) => write!(f, "waits in {:?}", wait.name),
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
