//! Housekeeping and what operators see.

use std::time::Duration;

use super::Queue;
use crate::tasks::State;

/// Rows removed in one statement.
const BATCH: i64 = 1000;
/// Events are kept for whoever begins to wait for them later; no wait is longer.
const EVENT_DAYS: i32 = 90;

/// How many live tasks of a kind are in a state.
#[derive(Debug)]
pub struct Depth {
    pub kind: String,
    pub state: State,
    pub count: i64,
    /// Since the oldest of them was due, in seconds; for ready tasks.
    pub oldest_secs: Option<f64>,
}

impl Queue {
    /// Counts what lives. `tasks` holds nothing else, so this stays small.
    pub async fn depths(&self) -> Result<Vec<Depth>, sqlx::Error> {
        sqlx::query_as!(
            Depth,
            r#"
            select kind, state as "state: State", count(*) as "count!",
                case when state = 1 then
                    greatest(extract(epoch from now() - min(run_at))::float8 + $1, 0)
                end as oldest_secs
            from tasks
            group by kind, state
            "#,
            self.ahead(),
        )
        .fetch_all(&self.pool)
        .await
    }

    /// Whether no task of any user is left to do.
    pub async fn is_drained(&self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar!(
            r#"select not exists (select from tasks where user_id is not null) as "drained!""#
        )
        .fetch_one(&self.pool)
        .await
    }

    /// Dead rows of `tasks` that vacuum has yet to remove, by the server's estimate.
    pub async fn dead_rows(&self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar!(
            r#"
            select coalesce(sum(n_dead_tup), 0)::bigint as "dead!"
            from pg_stat_user_tables
            where relname = 'tasks'
            "#
        )
        .fetch_one(&self.pool)
        .await
    }

    /// Says of ready tasks of unknown kinds that nobody can do them; those that have been ready for
    /// `grace` fail, since no newer version has come that could. Nothing is lost: a failed task can be
    /// retried. Returns how many failed.
    pub async fn refuse_unknown(
        &self,
        known: &[String],
        grace: Duration,
    ) -> Result<u64, sqlx::Error> {
        const SAID: &str = "no running program knows tasks of this type";
        sqlx::query!(
            "update tasks set last_error = $2
            where state = 1 and kind <> all($1) and last_error is distinct from $2",
            known,
            SAID,
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "
            with refused as (
                delete from tasks
                where state = 1 and kind <> all($1)
                    and greatest(run_at, created_at) < now() + make_interval(secs => $2) - make_interval(secs => $3)
                returning id, public_id, user_id, kind, payload, priority, run_at, attempts,
                    max_attempts, fence, unique_key, progress_done, progress_total, caused_by,
                    request_id, created_at, started_at
            )
            insert into ended_tasks (id, public_id, user_id, kind, payload, state, priority, run_at,
                attempts, max_attempts, fence, unique_key, progress_done, progress_total, last_error,
                reason, caused_by, request_id, created_at, started_at, finished_at)
            select id, public_id, user_id, kind, payload, 5, priority, run_at, attempts, max_attempts,
                fence, unique_key, progress_done, progress_total, $4, 'unknown_type', caused_by,
                request_id, created_at, started_at, $5
            from refused
            ",
            known,
            self.ahead(),
            grace.as_secs_f64(),
            SAID,
            self.clock.now(),
        )
        .execute(&self.pool)
        .await
        .map(|outcome| outcome.rows_affected())
    }

    /// Removes what has been kept long enough, a batch at a time; returns how many rows.
    pub async fn tidy(&self) -> Result<u64, sqlx::Error> {
        let now = self.clock.now();
        let mut removed = 0;
        loop {
            // Steps of failed and cancelled tasks are kept as long as those, for a retry.
            let tasks = sqlx::query!(
                "
                with old as (
                    delete from ended_tasks
                    where ctid = any(array(
                        select ctid from ended_tasks
                        where finished_at < $1 and (state <> 5 or finished_at < $2)
                        order by finished_at
                        limit $3
                    ))
                    returning id
                ), forgotten as (
                    delete from task_steps where task_id = any(array(select id from old))
                )
                select count(*) from old
                ",
                now - chrono::TimeDelta::days(self.keep.done_days.into()),
                now - chrono::TimeDelta::days(self.keep.failed_days.into()),
                BATCH,
            )
            .fetch_one(&self.pool)
            .await?
            .count
            .unwrap_or(0);
            let events = sqlx::query!(
                "delete from task_events
                where (user_id, event_key) in (
                    select user_id, event_key from task_events
                    where at < now() - make_interval(days => $1)
                    limit $2
                )",
                EVENT_DAYS,
                BATCH,
            )
            .execute(&self.pool)
            .await?
            .rows_affected();
            removed += tasks.unsigned_abs() + events;
            if tasks < BATCH && events < BATCH.unsigned_abs() {
                return Ok(removed);
            }
        }
    }
}
