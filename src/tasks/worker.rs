//! The loops of a process that works: claim, run, write outcomes, keep the lease, wake what is due.
//!
//! They survive any database error: each goes on after a pause that grows, jittered. Claiming is woken
//! by hints (this process's, or NOTIFY for the others') and polls as the safety net. A third of the
//! lock timeout is the heartbeat; a process that couldn't renew in time stops its handlers before
//! others may take over, and joins again.

mod flush;
mod run;
mod watch;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::Rng as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::flush::Finished;
use super::context::LeaseEnd;
use super::queue::{Reached, line};
use super::slots::Slots;
use super::{Queue, Registry, Tasks};
use crate::clock::Clock;
use crate::config;
use crate::failpoint::FailPoints;
use crate::live::Live;
use crate::telemetry::Metrics;

/// Outcomes that may wait to be written; beyond it handlers' ends wait.
const UNWRITTEN: usize = 1000;
/// For handlers that are ended to be gone.
const HALT: Duration = Duration::from_secs(1);
/// A database that hiccups at the end is asked again.
const LEAVINGS: u32 = 3;
/// At most this often the senders are told how far the lines have moved on.
const MOVE_ON: Duration = Duration::from_millis(100);
/// At most this long a claim is put off for more room.
const GATHER: Duration = Duration::from_millis(20);
/// Claims begin where the line stood this long ago: a sender's commit may come late, but not later.
const FLOOR_AGE: Duration = Duration::from_secs(1);
/// And this often from the very beginning, for a commit that came later all the same.
const FROM_THE_BEGINNING: Duration = Duration::from_secs(4);

/// What the worker needs beyond its handlers.
#[derive(Clone)]
pub struct WorkerSettings {
    pub queue: Queue,
    /// For the user's own rows.
    pub pool: sqlx::PgPool,
    pub clock: Clock,
    pub metrics: Metrics,
    pub fail_points: FailPoints,
    pub live: Live,
    pub tasks: Tasks,
    pub settings: config::Worker,
    /// Only this process can reach the database, so other instances' leases are of the dead.
    pub alone: bool,
}

/// A process's worker.
pub struct Worker<S> {
    with: Arc<WorkerSettings>,
    registry: Arc<Registry<S>>,
    app: S,
}

/// One life of an instance: ends with the process, or when the lease was lost.
struct Life {
    instance: i32,
    lease_end: LeaseEnd,
    /// Handlers are asked to end.
    stop: CancellationToken,
    /// Handlers are ended.
    halt: CancellationToken,
    slots: Arc<Slots>,
    running: TaskTracker,
    finished: mpsc::Sender<Finished>,
}

impl<S: Clone + Send + Sync + 'static> Worker<S> {
    pub fn new(with: WorkerSettings, registry: Registry<S>, app: S) -> Self {
        for schedule in registry.schedules() {
            with.metrics.routine_exists(schedule.name);
        }
        Self {
            with: Arc::new(with),
            registry: Arc::new(registry),
            app,
        }
    }

    /// Works until `stop`; then claims nothing, lets handlers end within `grace`, gives the rest back.
    pub async fn run(self, stop: CancellationToken, grace: Duration) {
        let (finished, outcomes) = mpsc::channel(UNWRITTEN);
        let written = CancellationToken::new();
        let writing = TaskTracker::new();
        writing.spawn(flush::run(
            Arc::clone(&self.with),
            outcomes,
            written.clone(),
        ));
        writing.close();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let asked_at = Instant::now();
            match self.with.queue.join(self.with.settings.lock_timeout).await {
                Ok(instance) => {
                    failures = 0;
                    let life = Life {
                        instance,
                        lease_end: LeaseEnd::new(asked_at, self.with.settings.lock_timeout),
                        stop: CancellationToken::new(),
                        halt: CancellationToken::new(),
                        slots: Slots::new(self.with.settings.max_concurrent.into()),
                        running: TaskTracker::new(),
                        finished: finished.clone(),
                    };
                    Box::pin(self.live(life, &stop, grace)).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the worker can't join the queue");
                    failures += 1;
                    tokio::select! {
                        () = tokio::time::sleep(database_pause(failures)) => {}
                        () = stop.cancelled() => {}
                    }
                }
            }
        }
        drop(finished);
        // What is unwritten when the database stays away is done again by whoever takes it over.
        if tokio::time::timeout(Duration::from_secs(2), writing.wait())
            .await
            .is_err()
        {
            written.cancel();
            writing.wait().await;
        }
    }

    async fn live(&self, life: Life, stop: &CancellationToken, grace: Duration) {
        let hints = &self.with.tasks.hints;
        let kinds = self.registry.kinds();
        if self.with.alone
            && let Err(error) = self.with.queue.expire_others(life.instance).await
        {
            tracing::warn!(%error, "leases of earlier starts could not be ended");
        }
        let queued = watch::begin(&self.with, self.registry.schedules()).await;
        hints.working.store(true, Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => {}
            () = watch::heartbeat(&self.with, life.instance, &life.lease_end) => {
                tracing::error!(instance = life.instance, "the worker lost its lease and stops what it runs");
                life.halt.cancel();
            }
            () = watch::rescue(&self.with) => {}
            () = watch::listen(&self.with) => {}
            () = watch::announce(&self.with) => {}
            () = watch::due(&self.with, self.registry.schedules(), queued) => {}
            () = watch::measure(&self.with, &kinds) => {}
            () = self.claim(&life, &kinds) => {}
        }
        hints.working.store(false, Ordering::Relaxed);
        life.stop.cancel();
        life.running.close();
        // Outcomes count as running until they are written: `leave` raises the fence that they carry.
        if tokio::time::timeout(grace, life.running.wait())
            .await
            .is_err()
        {
            life.halt.cancel();
            let _ = tokio::time::timeout(HALT, life.running.wait()).await;
        }
        for attempt in 1..=LEAVINGS {
            match self.with.queue.leave(life.instance).await {
                Ok(0) => break,
                Ok(count) => {
                    tracing::info!(count, "gave {count} tasks back");
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, attempt, "leases could not be given back; others wait for their end");
                    tokio::time::sleep(database_pause(attempt)).await;
                }
            }
        }
    }

    async fn claim(&self, life: &Life, kinds: &[String]) {
        let hints = &self.with.tasks.hints;
        // Dead rows of an earlier start would be walked over as well.
        let mut floor = Floor::at(self.with.queue.reached().await.unwrap_or_default());
        let mut failures = 0;
        let mut backlog = false;
        loop {
            let room = life.slots.room();
            if room.all == 0 {
                life.slots.freed.notified().await;
                continue;
            }
            // With more in line, a claim for each task that ends would cost more than the tasks.
            if backlog && room.all < life.slots.worth_a_claim() {
                tokio::select! {
                    () = life.slots.freed.notified() => continue,
                    () = hints.ready.notified() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
            }
            let found = match self
                .with
                .queue
                .claim(life.instance, kinds, room, floor.now())
                .await
            {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "claiming tasks failed");
                    failures += 1;
                    tokio::time::sleep(database_pause(failures)).await;
                    continue;
                }
            };
            failures = 0;
            if !found.is_empty() {
                self.with.fail_points.hit("tasks.claimed");
            }
            let mut by_line = [0_i64; 3];
            let mut reached = [0; 3];
            for task in &found {
                let which = line(task.priority);
                by_line[which] += 1;
                reached[which] = reached[which].max(task.turn);
            }
            let [interactive, ordinary, bulk] = by_line;
            let but_interactive = ordinary + bulk;
            backlog = interactive + but_interactive >= room.all;
            let class_full = but_interactive >= room.but_interactive || bulk >= room.bulk;
            for task in found {
                self.start(life, task);
            }
            if let Some(reached) = floor.reached(reached)
                && let Err(error) = self.with.queue.move_on(reached).await
            {
                tracing::debug!(%error, "the lines could not be moved on");
            }
            if backlog {
                continue;
            }
            let pause = tokio::time::sleep(jittered(self.with.settings.poll_interval));
            tokio::select! {
                () = hints.ready.notified() => {}
                // Work of a class that was full may be waiting.
                () = life.slots.freed.notified(), if class_full => {}
                () = pause => {}
            }
        }
    }
}

/// Where claims begin in each line. While a long transaction keeps vacuum from removing dead rows, a
/// claim from the beginning would walk over all of them.
struct Floor {
    /// Reached at `since`, and before that.
    recent: Reached,
    old: Reached,
    since: Instant,
    beginning_at: Instant,
    told_at: Instant,
    told: Reached,
}

impl Floor {
    fn at(reached: Reached) -> Self {
        let now = Instant::now();
        Self {
            recent: reached,
            old: reached,
            since: now,
            beginning_at: now,
            told_at: now,
            told: reached,
        }
    }

    fn now(&mut self) -> Reached {
        if self.beginning_at.elapsed() >= FROM_THE_BEGINNING {
            self.beginning_at = Instant::now();
            return [0; 3];
        }
        self.old
    }

    /// Notes what was claimed; returns what the senders should be told, now and then.
    fn reached(&mut self, reached: Reached) -> Option<Reached> {
        for (line, place) in reached.into_iter().enumerate() {
            self.told[line] = self.told[line].max(place);
        }
        if self.since.elapsed() >= FLOOR_AGE {
            self.since = Instant::now();
            self.old = self.recent;
            self.recent = self.told;
        }
        let due = reached != [0; 3] && self.told_at.elapsed() >= MOVE_ON;
        due.then(|| {
            self.told_at = Instant::now();
            self.told
        })
    }
}

/// So that instances don't poll in step.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::rng().random_range(0.8..1.2))
}

/// Before the database is asked again: up to 5 s, so that a worker is back soon after it.
fn database_pause(failures: u32) -> Duration {
    let ceiling = Duration::from_millis(200)
        .saturating_mul(2_u32.saturating_pow(failures.min(5)))
        .min(Duration::from_secs(5));
    ceiling.mul_f64(rand::rng().random_range(0.2..1.0))
}
