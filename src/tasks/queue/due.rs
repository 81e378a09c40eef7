//! What becomes due by itself: scheduled tasks, the ends of waits, recurring work.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{Queue, Woken};
use crate::ids;
use crate::tasks::Priority;

/// Tasks moved in one statement.
const BATCH: i64 = 500;

/// What a look at the due times found.
#[derive(Debug)]
pub struct Due {
    /// Tasks that are ready now.
    pub moved: u64,
    /// Until the next one is due.
    pub next: Option<Duration>,
    /// The database's time, with the demo clock's lead.
    pub now: DateTime<Utc>,
}

impl Due {
    /// There may be more that is due already.
    pub const fn is_cut(&self) -> bool {
        self.moved >= BATCH.unsigned_abs()
    }
}

impl Queue {
    /// Makes due tasks ready, by the database's clock.
    pub async fn move_due(&self) -> Result<Due, sqlx::Error> {
        let timed_out = serde_json::to_value(Woken::TimedOut)
            .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let moved = sqlx::query!(
            "
            with due as materialized (
                select id, user_id, wait_name
                from tasks
                where state in (0, 3) and run_at <= now() + make_interval(secs => $1)
                order by run_at
                limit $2
                for update skip locked
            ), recorded as (
                insert into task_steps (task_id, name, user_id, value)
                select id, wait_name, user_id, $3 from due where wait_name is not null
                on conflict do nothing
            ), unbound as (
                delete from task_waits
                where task_id = any(array(select id from due where wait_name is not null))
            )
            update tasks
            set state = 1, turn = task_turn(user_id, priority), wait_name = null, waiting_on = null
            where id = any(array(select id from due))
            ",
            self.ahead(),
            BATCH,
            timed_out,
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        let next = sqlx::query!(
            r#"
            select now() + make_interval(secs => $1) as "now!", extract(epoch from min(run_at) - now())::float8 - $1 as secs
            from tasks
            where state in (0, 3)
            "#,
            self.ahead(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Due {
            moved,
            next: next
                .secs
                .map(|secs| Duration::try_from_secs_f64(secs).unwrap_or_default()),
            now: next.now,
        })
    }

    /// Queues recurring work for a due time, unless that or a later one was queued. A routine that
    /// is seen for the first time begins with its next due time.
    pub async fn queue_routine(
        &self,
        name: &str,
        due_at: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.pool.begin_with("begin").await?;
        let known = sqlx::query!(
            "insert into task_schedules (name, queued_for) values ($1, $2) on conflict do nothing",
            name,
            due_at,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 0;
        let ours = known
            && sqlx::query!(
                "update task_schedules set queued_for = $2 where name = $1 and queued_for < $2",
                name,
                due_at,
            )
            .execute(&mut *tx)
            .await?
            .rows_affected()
                == 1;
        if ours {
            // The one before may still run, and have looked too early: then it runs once more.
            sqlx::query!(
                "
                insert into tasks (public_id, kind, payload, state, priority, turn, run_at, max_attempts,
                    unique_key, caused_by, created_at)
                values ($1, $2, '{}', 1, $3, task_turn(null, $3), $4, 3, '', $5, $4)
                on conflict (kind, user_id, unique_key) where unique_key is not null
                    do update set rerun = (tasks.state = 2)
                ",
                ids::next(),
                name,
                Priority::Ordinary as i16,
                due_at,
                json!({"kind": "schedule", "id": name}),
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(ours)
    }
}
