//! Who works, and until when: one row for each process, whatever it runs.

use std::time::Duration;

use super::Queue;

/// The claim that a worker holds; every write on behalf of the task carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub id: i64,
    pub fence: i32,
}

/// Recovery is one instance's work at a time.
const RESCUE_LOCK: i64 = 0x7265_7363_7565;
/// Tasks taken over in one statement.
const RESCUE_BATCH: i64 = 500;

impl Queue {
    /// Joins as a new instance.
    pub async fn join(&self, lock: Duration) -> Result<i32, sqlx::Error> {
        sqlx::query_scalar!(
            "insert into instances (lease_until) values (now() + make_interval(secs => $1)) returning id",
            lock.as_secs_f64(),
        )
        .fetch_one(&self.pool)
        .await
    }

    /// False when the lease has run out, and others may have taken the tasks over.
    pub async fn renew(&self, instance: i32, lock: Duration) -> Result<bool, sqlx::Error> {
        sqlx::query!(
            "update instances set lease_until = now() + make_interval(secs => $2)
            where id = $1 and lease_until > now()",
            instance,
            lock.as_secs_f64(),
        )
        .execute(&self.pool)
        .await
        .map(|outcome| outcome.rows_affected() == 1)
    }

    /// Ends every other instance's lease: for a database that only this process can reach.
    pub async fn expire_others(&self, instance: i32) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update instances set lease_until = now() where id <> $1",
            instance
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Leaves in order: what the instance holds goes to the front of its line without having spent an
    /// attempt. Returns how many.
    pub async fn leave(&self, instance: i32) -> Result<u64, sqlx::Error> {
        let mut tx = self.pool.begin_with("begin").await?;
        let given_back = sqlx::query!(
            "update tasks
            set state = 1, turn = task_turn(null, priority), instance_id = null, fence = fence + 1,
                attempts = greatest(attempts - 1, 0)
            where instance_id = $1 and state = 2",
            instance,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        sqlx::query!("delete from instances where id = $1", instance)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(given_back)
    }

    /// Takes tasks back from instances whose lease has run out. A crash spends the attempt, or a task
    /// that kills its process would run for ever; and from the second on it costs a pause, so that
    /// its neighbours aren't killed with it again. Returns how many; none when another instance is at it.
    pub async fn rescue(&self) -> Result<u64, sqlx::Error> {
        let mut tx = self.pool.begin_with("begin").await?;
        let ours = sqlx::query_scalar!(
            r#"select pg_try_advisory_xact_lock($1) as "ours!""#,
            RESCUE_LOCK
        )
        .fetch_one(&mut *tx)
        .await?;
        if !ours {
            return Ok(0);
        }
        let orphaned = sqlx::query_scalar!(
            "
            select id
            from tasks
            where state = 2
                and not exists (
                    select from instances where instances.id = tasks.instance_id and lease_until > now()
                )
            order by id
            limit $1
            for update skip locked
            ",
            RESCUE_BATCH,
        )
        .fetch_all(&mut *tx)
        .await?;
        if !orphaned.is_empty() {
            sqlx::query!(
                "
                update tasks
                set state = case when attempts < 2 then 1 else 0 end,
                    turn = task_turn(user_id, priority),
                    run_at = now() + make_interval(secs => $2)
                        + case when attempts < 2 then 0 else random() * 2 ^ least(attempts - 1, 9) end
                            * interval '1 second',
                    last_error = 'the process that ran this ended without a word',
                    instance_id = null, fence = fence + 1
                where id = any($1) and attempts < max_attempts
                ",
                &orphaned,
                self.ahead(),
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query!(
                "
                with failed as (
                    delete from tasks where id = any($1) and attempts >= max_attempts and state = 2
                    returning id, public_id, user_id, kind, payload, priority, run_at, attempts,
                        max_attempts, fence, unique_key, progress_done, progress_total, caused_by,
                        request_id, created_at, started_at
                )
                insert into ended_tasks (id, public_id, user_id, kind, payload, state, priority, run_at,
                    attempts, max_attempts, fence, unique_key, progress_done, progress_total, last_error,
                    reason, caused_by, request_id, created_at, started_at, finished_at)
                select id, public_id, user_id, kind, payload, 5, priority, run_at, attempts,
                    max_attempts, fence, unique_key, progress_done, progress_total,
                    'the process that ran this ended without a word, the last time as well',
                    'crashed', caused_by, request_id, created_at, started_at, $2
                from failed
                ",
                &orphaned,
                self.clock.now(),
            )
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query!(
            "delete from instances
            where lease_until < now() - interval '1 hour'
                and not exists (select from tasks where instance_id = instances.id and state = 2)"
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(orphaned.len() as u64)
    }
}
