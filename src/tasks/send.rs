//! The sending end of the queue: queueing tasks, telling events, waking workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

use super::queue::event_lock;
use super::{Payload, Priority};
use crate::clock::Clock;
use crate::db::Scoped;
use crate::ids;

/// The sending end of the queue; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks {
    clock: Clock,
    pub(super) hints: Arc<Hints>,
}

/// Between the sending end and this process's worker.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// There may be ready tasks.
    pub ready: Notify,
    /// A due time may have changed.
    pub due: Notify,
    /// The other processes should be told.
    pub announce: Notify,
    /// What is to be announced includes a due time.
    pub due_untold: AtomicBool,
    pub working: AtomicBool,
}

/// How a task is queued, beyond its payload.
#[derive(Clone, Debug, Default)]
pub struct Enqueue {
    /// While a task of this kind and key lives, another isn't made; one that runs already runs once
    /// more when it is done, because it may have looked before there was what this one is about.
    pub unique_key: Option<String>,
    pub request_id: Option<String>,
    /// What caused it, as the API shows it.
    pub caused_by: Option<Value>,
    /// Not before this instant.
    pub run_at: Option<DateTime<Utc>>,
    /// Another than the kind's own.
    pub priority: Option<Priority>,
}

impl Tasks {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            hints: Arc::default(),
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
        let now = self.clock.now();
        let user_id = tx.user_id();
        let scheduled = how.run_at.filter(|at| *at > now);
        // The update also makes `returning` give the live twin's id.
        let id = sqlx::query_scalar!(
            "
            insert into tasks (public_id, user_id, kind, payload, state, priority, turn, run_at,
                max_attempts, unique_key, request_id, caused_by, created_at)
            values ($1, $2, $3, $4, case when $5::timestamptz is null then 1 else 0 end, $6,
                case when $5 is null then task_turn($2, $6) else 0 end, coalesce($5, $7),
                $8, $9, $10, $11, $7)
            on conflict (kind, user_id, unique_key) where unique_key is not null
                do update set rerun = (tasks.state = 2)
            returning public_id
            ",
            ids::next(),
            user_id,
            P::KIND,
            serde_json::to_value(payload)?,
            scheduled,
            how.priority.unwrap_or(P::PRIORITY) as i16,
            now,
            P::MAX_ATTEMPTS,
            how.unique_key,
            how.request_id,
            how.caused_by,
        )
        .fetch_one(&mut **tx)
        .await?;
        if scheduled.is_some() {
            self.hints.due_untold.store(true, Ordering::Release);
        }
        Ok(id)
    }

    /// Queues many of a kind in one statement, in this order.
    pub async fn enqueue_all<P: Payload>(
        &self,
        tx: &mut Scoped,
        payloads: &[P],
    ) -> anyhow::Result<()> {
        let user_id = tx.user_id();
        let payloads: Vec<Value> = payloads
            .iter()
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()?;
        let ids: Vec<Uuid> = payloads.iter().map(|_| ids::next()).collect();
        sqlx::query!(
            "
            insert into tasks (public_id, user_id, kind, payload, state, priority, turn, run_at,
                max_attempts, created_at)
            select new.id, $1, $2, new.payload, 1, $3, line.turn + new.place - 1, $4, $5, $4
            from unnest($6::uuid[], $7::jsonb[]) with ordinality as new (id, payload, place)
                cross join (select task_turn($1, $3) as turn) as line
            ",
            user_id,
            P::KIND,
            P::PRIORITY as i16,
            self.clock.now(),
            P::MAX_ATTEMPTS,
            &ids,
            &payloads,
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Tells that something has happened, within the transaction that makes it so: tasks that wait
    /// for it are woken by the commit, one that begins to wait later passes at once. The first of a
    /// key stays, so a key names one happening ("approval decided", with its id), never a kind.
    /// Call [`Tasks::wake`] after the commit. Returns whether it was the first.
    pub async fn emit(
        &self,
        tx: &mut Scoped,
        event_key: &str,
        value: &impl Serialize,
    ) -> anyhow::Result<bool> {
        let user_id = tx.user_id();
        // Before anything is read: whoever begins to wait at the same time sees the event or is seen.
        event_lock(&mut *tx, user_id, event_key).await?;
        let value = serde_json::to_value(value)?;
        let first = sqlx::query!(
            "insert into task_events (user_id, event_key, value) values ($1, $2, $3) on conflict do nothing",
            user_id,
            event_key,
            value,
        )
        .execute(&mut **tx)
        .await?
        .rows_affected()
            == 1;
        if first {
            let woken = super::Woken::Event {
                key: event_key.to_owned(),
                value,
            };
            // The rows of `tasks` are locked before anything is written: so the timer, which wakes
            // by the same order, can't have half of it.
            sqlx::query!(
                "
                with sleeping as materialized (
                    select tasks.id, tasks.wait_name
                    from task_waits join tasks on tasks.id = task_waits.task_id
                    where task_waits.user_id = $1 and event_key = $2 and tasks.user_id = $1 and state = 3
                    order by tasks.id
                    for update of tasks
                ), recorded as (
                    insert into task_steps (task_id, name, user_id, value)
                    select id, wait_name, $1, $3 from sleeping
                ), unbound as (
                    delete from task_waits where task_id = any(array(select id from sleeping))
                )
                update tasks
                set state = 1, turn = task_turn(user_id, priority), wait_name = null, waiting_on = null
                where id = any(array(select id from sleeping))
                ",
                user_id,
                event_key,
                serde_json::to_value(woken)?,
            )
            .execute(&mut **tx)
            .await?;
        }
        Ok(first)
    }

    /// Whether this process's worker has joined the queue.
    pub fn is_working(&self) -> bool {
        self.hints.working.load(Ordering::Relaxed)
    }

    /// "There may be work": a hint, to this process at once and to the others within 10 ms.
    pub fn wake(&self) {
        self.hints.ready.notify_one();
        if self.hints.due_untold.load(Ordering::Acquire) {
            self.hints.due.notify_one();
        }
        self.hints.announce.notify_one();
    }

    /// The clock was moved: what is due may have changed.
    pub fn clock_moved(&self) {
        self.hints.due.notify_one();
    }
}

impl Priority {
    pub(super) const fn of(number: i16) -> Self {
        match number {
            ..=0 => Self::Interactive,
            1..=10 => Self::Ordinary,
            11.. => Self::Bulk,
        }
    }
}
