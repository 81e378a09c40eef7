//! Running one claimed task: slot, time limit, panic, and what follows from how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures::FutureExt as _;
use rand::Rng as _;
use serde_json::Value;
use tracing::Instrument as _;

use super::flush::Finished;
use super::{Life, Worker, WorkerSettings};
use crate::tasks::context::Run;
use crate::tasks::registry::Kind;
use crate::tasks::{Claimed, Ended, Ending, Failure, Priority};
use crate::telemetry::spans;

const BACKOFF_BASE: Duration = Duration::from_secs(2);
const BACKOFF_CAP: Duration = Duration::from_secs(600);

impl<S: Clone + Send + Sync + 'static> Worker<S> {
    pub(super) fn start(&self, life: &Life, task: Claimed) {
        let in_hand = life.slots.take(Priority::of(task.priority));
        let run = Run {
            lease: task.lease(),
            task_id: task.public_id,
            user_id: task.user_id,
            request_id: task.request_id.clone(),
            stop: life.stop.clone(),
            lease_end: life.lease_end.clone(),
            queue: self.with.queue.clone(),
            pool: self.with.pool.clone(),
        };
        let span = spans::task(&task.kind, task.public_id, task.request_id.as_deref());
        let own_span = span.clone();
        let registry = Arc::clone(&self.registry);
        let app = self.app.clone();
        let with = Arc::clone(&self.with);
        let (stop, halt) = (life.stop.clone(), life.halt.clone());
        let finished = life.finished.clone();
        let running = life.running.token();
        let work = async move {
            let slot = in_hand.slot().await;
            // What hasn't begun when the process stops is given back.
            if stop.is_cancelled() {
                return;
            }
            // Only known kinds are claimed.
            let Some(kind) = registry.find(&task.kind) else {
                return;
            };
            let started = Instant::now();
            let in_progress = with.metrics.task_running();
            with.tell(task.user_id, task.public_id);
            let attempt = attempt(kind, &task, app, run, &with);
            let outcome = tokio::select! {
                biased;
                () = halt.cancelled() => Err(Failure::LeaseLost),
                outcome = attempt => outcome,
            };
            drop((in_progress, slot));
            in_hand.ran(started.elapsed());
            let (label, ending) = with.judge(&task, outcome, stop.is_cancelled());
            with.metrics
                .task_finished(kind.name, label, started.elapsed());
            spans::attempted(&own_span, label);
            if let Some(ending) = ending {
                let ended = Ended {
                    lease: task.lease(),
                    ending,
                };
                // The flusher lives longer than any task.
                let _ = finished
                    .send(Finished {
                        ended,
                        user_id: task.user_id,
                        public_id: task.public_id,
                        running,
                    })
                    .await;
            }
        };
        life.running.spawn(work.instrument(span));
    }
}

async fn attempt<S>(
    kind: &Kind<S>,
    task: &Claimed,
    app: S,
    run: Run,
    with: &WorkerSettings,
) -> Result<Value, Failure> {
    // Also what happens before the first await, such as reading the payload.
    let work = async {
        with.fail_points
            .panic_at("tasks.attempt", &task.payload.to_string());
        kind.start(task.payload.clone(), app, run).await
    };
    match tokio::time::timeout(kind.time_limit, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Failure::Retry(anyhow!("the handler panicked"))),
        Err(_) => Err(Failure::Retry(anyhow!(
            "the handler did not end within its time limit of {} s",
            kind.time_limit.as_secs()
        ))),
    }
}

impl WorkerSettings {
    /// What follows from an attempt's outcome, and its label for the metrics.
    fn judge(
        &self,
        task: &Claimed,
        outcome: Result<Value, Failure>,
        stopping: bool,
    ) -> (&'static str, Option<Ending>) {
        match outcome {
            Ok(result) => ("done", Some(Ending::Done(result))),
            Err(Failure::Wait(wait)) => ("waits", Some(Ending::Wait(wait))),
            // Interrupted by our own end: it is given back, and the attempt with it.
            Err(_) if stopping => ("interrupted", None),
            Err(Failure::LeaseLost) => {
                self.metrics.lease_lost();
                ("lease_lost", None)
            }
            Err(Failure::Again(pause)) => (
                "again",
                Some(Ending::Again {
                    pause,
                    error: None,
                    spent: false,
                }),
            ),
            Err(failure @ Failure::Retry(_)) if task.attempts < task.max_attempts => {
                let error = failure.to_string();
                let attempt = task.attempts;
                tracing::warn!(error, attempt, "the task will be tried again");
                (
                    "retry",
                    Some(Ending::Again {
                        pause: backoff(task.attempts),
                        error: Some(error),
                        spent: true,
                    }),
                )
            }
            Err(failure) => {
                let error = failure.to_string();
                tracing::error!(error, attempt = task.attempts, "the task failed");
                ("failed", Some(Ending::Failed(error)))
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
    ceiling.mul_f64(rand::rng().random_range(0.05..1.0))
}
