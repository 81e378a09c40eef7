//! The loop that claims due tasks and runs them, at most so many at once.
//!
//! It is woken by a hint (this process, or LISTEN for the others') and polls as the safety net. It
//! survives any database error: claiming goes on after a pause. A third of the lock timeout is the
//! heartbeat; a process that couldn't renew in time stops its handlers before others may take over.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::FutureExt as _;
use rand::Rng as _;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::store::{self, Claimed, Ending};
use super::{Context, Failure, Lease, Registry, Tasks};
use crate::clock::Clock;
use crate::config;
use crate::db::UserScope;
use crate::live::{Live, Topic};
use crate::telemetry::Metrics;

const CHANNEL: &str = "paraplanner_tasks";
const BACKOFF_BASE: Duration = Duration::from_secs(2);
const BACKOFF_CAP: Duration = Duration::from_secs(600);

/// What the worker needs beyond its handlers.
#[derive(Clone)]
pub struct WorkerSettings {
    pub pool: PgPool,
    pub clock: Clock,
    pub metrics: Metrics,
    pub live: Live,
    pub tasks: Tasks,
    pub settings: config::Worker,
    /// Only this process can reach the database, so other instances' leases are of the dead.
    pub alone: bool,
}

/// The pool of running tasks.
pub struct Worker<S> {
    with: WorkerSettings,
    registry: Arc<Registry<S>>,
    app: S,
    running: TaskTracker,
    slots: Arc<Semaphore>,
}

impl<S: Clone + Send + Sync + 'static> Worker<S> {
    pub fn new(with: WorkerSettings, registry: Registry<S>, app: S) -> Self {
        let slots = Arc::new(Semaphore::new(with.settings.max_concurrent.into()));
        Self {
            with,
            registry: Arc::new(registry),
            app,
            running: TaskTracker::new(),
            slots,
        }
    }

    /// Works until `stop`; then claims nothing, lets handlers end within `grace`, gives the rest back.
    pub async fn run(self, stop: CancellationToken, grace: Duration) {
        while !stop.is_cancelled() {
            match store::join(&self.with.pool, self.with.settings.lock_timeout).await {
                Ok(instance) => self.work(instance, &stop, grace).await,
                Err(error) => {
                    tracing::warn!(%error, "the worker can't join the queue");
                    sleep_or_stop(Duration::from_secs(1), &stop).await;
                }
            }
        }
    }

    /// One life of an instance: ends with the process, or when the lease was lost.
    async fn work(&self, instance: i32, stop: &CancellationToken, grace: Duration) {
        let lease_held = CancellationToken::new();
        if self.with.alone
            && let Err(error) = store::expire_others(&self.with.pool, instance).await
        {
            tracing::warn!(%error, "leases of earlier starts could not be ended");
        }
        self.with.tasks.working.store(true, Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.heartbeat(instance) => {
                tracing::error!(instance, "the worker lost its lease and stops what it runs");
            }
            () = self.rescue() => {}
            () = self.listen() => {}
            () = self.announce() => {}
            () = self.claim(instance, &lease_held) => {}
        }
        self.with.tasks.working.store(false, Ordering::Relaxed);
        // Handlers are told first and given time; what doesn't end is taken back with a new fence.
        lease_held.cancel();
        self.running.close();
        // A lost lease leaves no time: others may have begun already.
        if stop.is_cancelled() {
            let _ = tokio::time::timeout(grace, self.running.wait()).await;
        }
        self.running.reopen();
        if let Err(error) = store::leave(&self.with.pool, instance).await {
            tracing::warn!(%error, instance, "leases could not be given back; others wait for their end");
        }
    }

    /// Returns when the lease is lost.
    async fn heartbeat(&self, instance: i32) {
        let lock = self.with.settings.lock_timeout;
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(lock / 3).await;
            let started = Instant::now();
            match store::renew(&self.with.pool, instance, lock).await {
                Ok(true) => renewed = started,
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, instance, "the lease could not be renewed"),
            }
            // By our own clock, counted from before the last renewal that worked.
            if renewed.elapsed() + lock / 6 >= lock {
                return;
            }
        }
    }

    async fn rescue(&self) {
        loop {
            match store::rescue(&self.with.pool, self.with.clock.now()).await {
                Ok(0) => {}
                Ok(count) => {
                    tracing::warn!(count, "took {count} tasks over from instances that died");
                    self.with.tasks.ready.notify_one();
                }
                Err(error) => tracing::warn!(%error, "looking for dead instances failed"),
            }
            tokio::time::sleep(self.with.settings.lock_timeout / 6).await;
        }
    }

    /// Hears of other processes' work. A lost connection costs latency, not work.
    async fn listen(&self) {
        loop {
            if let Err(error) = self.hear().await {
                tracing::warn!(%error, "listening for tasks failed; polling goes on");
            }
            self.with.tasks.ready.notify_one();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn hear(&self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.with.pool).await?;
        listener.listen(CHANNEL).await?;
        while listener.try_recv().await?.is_some() {
            self.with.tasks.ready.notify_one();
        }
        Ok(())
    }

    async fn announce(&self) {
        loop {
            self.with.tasks.announce.notified().await;
            if let Err(error) = store::announce(&self.with.pool, CHANNEL).await {
                tracing::debug!(%error, "announcing work failed; the others poll");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn claim(&self, instance: i32, handlers_stop: &CancellationToken) {
        let kinds = self.registry.kinds();
        loop {
            // Waits for a free slot first, so that nothing is claimed that can't start.
            let Ok(first) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            let mut permits = vec![first];
            while let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
                permits.push(permit);
            }
            let limit = i64::try_from(permits.len()).unwrap_or(i64::MAX);
            let now = self.with.clock.now();
            let found = match store::claim(&self.with.pool, instance, &kinds, limit, now).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "claiming tasks failed");
                    Vec::new()
                }
            };
            let all_slots_used = found.len() == permits.len();
            for (task, permit) in found.into_iter().zip(permits) {
                self.start(task, permit, handlers_stop.child_token());
            }
            if !all_slots_used {
                self.pause().await;
            }
        }
    }

    /// Until a hint or the next poll; jittered, so that instances don't poll in step.
    async fn pause(&self) {
        let poll = self.with.settings.poll_interval;
        let jittered = poll.mul_f64(rand::rng().random_range(0.8..1.2));
        let _ = tokio::time::timeout(jittered, self.with.tasks.ready.notified()).await;
    }

    fn start(&self, task: Claimed, permit: OwnedSemaphorePermit, stop: CancellationToken) {
        let lease = Lease {
            id: task.id,
            fence: task.fence,
        };
        let scope = UserScope::checked(task.user_id);
        let context = Context {
            app: self.app.clone(),
            scope,
            task_id: task.public_id,
            request_id: task.request_id.clone(),
            stop: stop.clone(),
            lease,
            pool: self.with.pool.clone(),
        };
        let span = tracing::info_span!(
            "task",
            task_id = %task.public_id,
            kind = task.kind,
            request_id = task.request_id
        );
        let Some((kind, work)) = self
            .registry
            .start(&task.kind, task.payload.clone(), context)
        else {
            return;
        };
        let with = self.with.clone();
        self.running.spawn(
            async move {
                let started = Instant::now();
                let in_progress = with.metrics.task_running();
                with.live.tell(
                    task.user_id,
                    Topic::Task,
                    json!({"task_id": task.public_id}),
                );
                let outcome = AssertUnwindSafe(work).catch_unwind().await;
                drop(in_progress);
                let outcome = outcome.unwrap_or_else(|_| {
                    with.metrics.panic();
                    Err(Failure::Retry(anyhow::anyhow!("the handler panicked")))
                });
                let label = with
                    .finish(&task, lease, outcome, stop.is_cancelled())
                    .await;
                with.metrics.task_finished(kind, label, started.elapsed());
                with.live.tell(
                    task.user_id,
                    Topic::Task,
                    json!({"task_id": task.public_id}),
                );
                // The slot is free only now, and the loop may be waiting for it.
                drop(permit);
            }
            .instrument(span),
        );
    }
}

impl WorkerSettings {
    /// Writes how the attempt ended; returns its label for the metrics.
    async fn finish(
        &self,
        task: &Claimed,
        lease: Lease,
        outcome: Result<serde_json::Value, Failure>,
        stopping: bool,
    ) -> &'static str {
        let now = self.clock.now();
        let (label, ending) = match outcome {
            Ok(result) => ("done", Ending::Done(result)),
            // Interrupted by our own end: `leave` gives it back.
            Err(_) if stopping => return "interrupted",
            Err(Failure::LeaseLost) => {
                self.metrics.lease_lost();
                return "lease_lost";
            }
            Err(Failure::Again(pause)) => (
                "again",
                Ending::Again {
                    at: now + TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX),
                    error: None,
                    spent: false,
                },
            ),
            Err(failure @ Failure::Retry(_)) if task.attempts < task.max_attempts => {
                let error = failure.to_string();
                tracing::warn!(
                    error,
                    attempt = task.attempts,
                    "the task will be tried again"
                );
                let pause = backoff(task.attempts);
                (
                    "retry",
                    Ending::Again {
                        at: now + TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX),
                        error: Some(error),
                        spent: true,
                    },
                )
            }
            Err(failure) => {
                let error = failure.to_string();
                tracing::error!(error, attempt = task.attempts, "the task failed");
                ("failed", Ending::Failed(error))
            }
        };
        match store::end(&self.pool, lease, ending, now).await {
            Ok(true) => label,
            Ok(false) => {
                self.metrics.lease_lost();
                "lease_lost"
            }
            Err(error) => {
                // The row stays in progress and is rescued when our lease ends.
                tracing::error!(%error, "a task's outcome could not be written");
                "unwritten"
            }
        }
    }
}

/// Full jitter over an exponential: `0..min(base · 2^attempts, cap)`.
fn backoff(attempts: i32) -> Duration {
    let exponent = u32::try_from(attempts.clamp(0, 16)).unwrap_or(0);
    let ceiling = BACKOFF_BASE
        .saturating_mul(2_u32.saturating_pow(exponent))
        .min(BACKOFF_CAP);
    ceiling.mul_f64(rand::rng().random_range(0.1..1.0))
}

async fn sleep_or_stop(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = stop.cancelled() => {}
    }
}
