//! What a worker does beside its tasks: keep its lease, take over from the dead, hear and tell of
//! work, wake what is due, measure.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgListener;

use super::{WorkerSettings, database_pause, jittered};
use crate::tasks::context::LeaseEnd;
use crate::tasks::schedule::Schedule;

const CHANNEL: &str = "paraplanner_tasks";
/// What a NOTIFY says when a due time has changed.
const DUE: &str = "due";
const ANNOUNCE_EVERY: Duration = Duration::from_millis(10);
const MEASURE_EVERY: Duration = Duration::from_secs(30);

/// Returns when the lease is lost.
pub async fn heartbeat(with: &WorkerSettings, instance: i32, lease_end: &LeaseEnd) {
    let lock = with.settings.lock_timeout;
    let mut pause = lock / 3;
    loop {
        tokio::time::sleep(pause).await;
        // By our own clock, and with time left to stop handlers before others may take over.
        if lease_end.remaining() <= lock / 6 {
            return;
        }
        let asked_at = Instant::now();
        pause = match tokio::time::timeout(lock / 6, with.queue.renew(instance, lock)).await {
            Ok(Ok(true)) => {
                lease_end.renewed(asked_at, lock);
                lock / 3
            }
            Ok(Ok(false)) => return,
            Ok(Err(error)) => {
                tracing::warn!(%error, instance, "the lease could not be renewed");
                (lock / 30).min(Duration::from_secs(1))
            }
            Err(_) => Duration::ZERO,
        };
    }
}

pub async fn rescue(with: &WorkerSettings) {
    let pause = with.settings.lock_timeout / 6;
    loop {
        match with.queue.rescue().await {
            Ok(0) => {}
            Ok(count) => {
                tracing::warn!(count, "took {count} tasks over from instances that died");
                with.tasks.hints.ready.notify_one();
                with.tasks.hints.due.notify_one();
                continue;
            }
            Err(error) => tracing::warn!(%error, "looking for dead instances failed"),
        }
        tokio::time::sleep(jittered(pause)).await;
    }
}

/// Hears of other processes' work. A lost connection costs latency, not work.
pub async fn listen(with: &WorkerSettings) {
    let mut failures = 0;
    loop {
        let listened = Instant::now();
        if let Err(error) = hear(with).await {
            tracing::warn!(%error, "listening for tasks failed; polling goes on");
        }
        failures = if listened.elapsed() > Duration::from_secs(30) {
            1
        } else {
            failures + 1
        };
        tokio::time::sleep(database_pause(failures)).await;
    }
}

async fn hear(with: &WorkerSettings) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(with.queue.pool()).await?;
    listener.listen(CHANNEL).await?;
    // What was announced before, or while the connection was gone.
    with.tasks.hints.ready.notify_one();
    with.tasks.hints.due.notify_one();
    while let Some(told) = listener.try_recv().await? {
        with.tasks.hints.ready.notify_one();
        if told.payload() == DUE {
            with.tasks.hints.due.notify_one();
        }
    }
    Ok(())
}

/// One NOTIFY at most in each interval, on its own: a commit with a pending NOTIFY takes a lock of
/// the whole server.
pub async fn announce(with: &WorkerSettings) {
    let hints = &with.tasks.hints;
    loop {
        hints.announce.notified().await;
        let due = hints.due_untold.swap(false, Ordering::AcqRel);
        let says = if due { DUE } else { "" };
        if let Err(error) = with.queue.announce(CHANNEL, says).await {
            tracing::debug!(%error, "announcing work failed; the others poll");
        }
        tokio::time::sleep(ANNOUNCE_EVERY).await;
    }
}

/// The due times of recurring work that were dealt with.
pub type Queued = HashMap<&'static str, DateTime<Utc>>;

/// The first look, before the worker says that it is there: recurring work that nobody knew begins with
/// its next due time, which is to be counted from now.
pub async fn begin(with: &WorkerSettings, schedules: &[Schedule]) -> Queued {
    let mut queued = Queued::new();
    if let Err(error) = look(with, schedules, &mut queued).await {
        tracing::warn!(%error, "looking for what is due failed");
    }
    queued
}

/// Wakes what is due, when it is due.
pub async fn due(with: &WorkerSettings, schedules: &[Schedule], mut queued: Queued) {
    let mut failures = 0;
    loop {
        let pause = match look(with, schedules, &mut queued).await {
            Ok(pause) => {
                failures = 0;
                pause
            }
            Err(error) => {
                tracing::warn!(%error, "looking for what is due failed");
                failures += 1;
                database_pause(failures)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = with.tasks.hints.due.notified() => {}
        }
    }
}

/// Returns how long nothing is due.
async fn look(
    with: &WorkerSettings,
    schedules: &[Schedule],
    queued: &mut Queued,
) -> Result<Duration, sqlx::Error> {
    let due = with.queue.move_due().await?;
    if due.moved > 0 {
        with.tasks.hints.ready.notify_one();
    }
    if due.is_cut() {
        return Ok(Duration::ZERO);
    }
    for schedule in schedules {
        let Some(due_at) = schedule.last_due(due.now) else {
            continue;
        };
        if queued.get(schedule.name) != Some(&due_at) {
            if with.queue.queue_routine(schedule.name, due_at).await? {
                with.tasks.hints.ready.notify_one();
            }
            queued.insert(schedule.name, due_at);
        }
    }
    let poll = jittered(with.settings.poll_interval);
    Ok(due.next.map_or(poll, |next| next.min(poll)))
}

/// Shows operators how deep the queue is, and refuses kinds that nobody knows.
pub async fn measure(with: &WorkerSettings, kinds: &[String]) {
    loop {
        if let Err(error) = look_at_depths(with, kinds).await {
            tracing::debug!(%error, "the queue could not be measured");
        }
        tokio::time::sleep(jittered(MEASURE_EVERY.min(with.settings.lock_timeout))).await;
    }
}

async fn look_at_depths(with: &WorkerSettings, kinds: &[String]) -> Result<(), sqlx::Error> {
    let depths = with.queue.depths().await?;
    let mut unknown = false;
    with.metrics.clear_task_depths();
    let mut oldest: f64 = 0.0;
    for depth in &depths {
        let known = kinds.contains(&depth.kind);
        unknown |= !known;
        let label = if known {
            depth.kind.as_str()
        } else {
            "unknown"
        };
        with.metrics
            .add_task_depth(label, depth.state.name(), depth.count);
        oldest = oldest.max(depth.oldest_secs.unwrap_or(0.0));
    }
    with.metrics
        .task_queue(oldest, with.queue.dead_rows().await?);
    if unknown {
        let grace = with.settings.lock_timeout;
        let failed = with.queue.refuse_unknown(kinds, grace).await?;
        tracing::warn!(failed, "tasks are queued that this program doesn't know");
    }
    Ok(())
}
