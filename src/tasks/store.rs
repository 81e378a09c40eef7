//! All SQL over `tasks` and `instances`. A worker's statements run with `app.worker` set, because
//! they concern every user's tasks; the user's own run within their scope.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::routes::TaskView;
use super::{Enqueue, Lease, Priority};
use crate::db::{Scoped, UserId};
use crate::http::Cursor;

pub(super) struct NewTask {
    pub public_id: Uuid,
    pub kind: &'static str,
    pub payload: Value,
    pub priority: Priority,
    pub max_attempts: i32,
    pub now: DateTime<Utc>,
}

pub(super) async fn insert(
    tx: &mut Scoped,
    new: &NewTask,
    how: &Enqueue,
) -> Result<Uuid, sqlx::Error> {
    let user_id = tx.user_id();
    // The update that changes nothing makes `returning` give the live twin's id.
    sqlx::query_scalar!(
        r#"
        insert into tasks (public_id, user_id, kind, payload, priority, run_at, max_attempts,
            unique_key, request_id, caused_by, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $6)
        on conflict (kind, user_id, unique_key)
            where state in ('pending', 'in_progress', 'waiting') and unique_key is not null
            do update set kind = tasks.kind
        returning public_id
        "#,
        new.public_id,
        user_id,
        new.kind,
        new.payload,
        new.priority as i16,
        new.now,
        new.max_attempts,
        how.unique_key,
        how.request_id,
        how.caused_by,
    )
    .fetch_one(&mut **tx)
    .await
}

pub(super) async fn count_live(tx: &mut Scoped, kind: &str) -> Result<i64, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from tasks
        where user_id = $1 and kind = $2 and state in ('pending', 'in_progress', 'waiting')
        "#,
        user_id,
        kind,
    )
    .fetch_one(&mut **tx)
    .await
}

pub(super) async fn hold(tx: &mut Scoped, lease: Lease) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select true as "held!" from tasks where id = $1 and fence = $2 for update"#,
        lease.id,
        lease.fence,
    )
    .fetch_optional(&mut **tx)
    .await
    .map(|held| held.is_some())
}

pub(super) async fn progress(
    tx: &mut Scoped,
    lease: Lease,
    done: i64,
    total: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update tasks set progress_done = $3, progress_total = $4 where id = $1 and fence = $2",
        lease.id,
        lease.fence,
        done,
        total,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}

/// A transaction that sees every user's tasks, and nothing else of anybody.
async fn as_worker(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with("begin; select set_config('app.worker', 'on', true)")
        .await
}

pub(super) async fn join(pool: &PgPool, lease: Duration) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into instances (lease_until) values (now() + make_interval(secs => $1)) returning id",
        lease.as_secs_f64(),
    )
    .fetch_one(pool)
    .await
}

/// False when the row is gone: another instance took us for dead.
pub(super) async fn renew(
    pool: &PgPool,
    instance: i32,
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update instances set lease_until = now() + make_interval(secs => $2)
        where id = $1 and lease_until > now()",
        instance,
        lease.as_secs_f64(),
    )
    .execute(pool)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}

/// Ends every other instance's lease: for a database that only this process can reach.
pub(super) async fn expire_others(pool: &PgPool, instance: i32) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update instances set lease_until = now() where id <> $1",
        instance
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Leaves in order: what still runs goes back to the queue without having spent an attempt.
pub(super) async fn leave(pool: &PgPool, instance: i32) -> Result<(), sqlx::Error> {
    let mut tx = as_worker(pool).await?;
    sqlx::query!(
        "update tasks
        set state = 'pending', instance_id = null, fence = fence + 1, attempts = greatest(attempts - 1, 0)
        where instance_id = $1 and state = 'in_progress'",
        instance,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from instances where id = $1", instance)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

pub(super) struct Claimed {
    pub id: i64,
    pub public_id: Uuid,
    pub user_id: UserId,
    pub kind: String,
    pub payload: Value,
    pub attempts: i32,
    pub max_attempts: i32,
    pub fence: i32,
    pub request_id: Option<String>,
}

/// Takes up to `limit` due tasks of the known kinds, the most urgent first.
pub(super) async fn claim(
    pool: &PgPool,
    instance: i32,
    kinds: &[String],
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let mut tx = as_worker(pool).await?;
    // The array pins the inner select: as a plain sub-query the planner may run it again and claim more.
    let claimed = sqlx::query_as!(
        Claimed,
        r#"
        update tasks
        set state = 'in_progress', instance_id = $1, fence = fence + 1, attempts = attempts + 1,
            started_at = $4
        where id = any(array(
            select id from tasks
            where state = 'pending' and run_at <= $4 and kind = any($2)
            order by priority, run_at, id
            limit $3
            for update skip locked
        ))
        returning id, public_id, user_id as "user_id: UserId", kind, payload, attempts,
            max_attempts, fence, request_id
        "#,
        instance,
        kinds,
        limit,
        now,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(claimed)
}

/// How an attempt ended, for the row.
pub(super) enum Ending {
    Done(Value),
    Failed(String),
    /// Once more at this time; `spent` tells whether the attempt counts.
    Again {
        at: DateTime<Utc>,
        error: Option<String>,
        spent: bool,
    },
}

/// Writes an ending; false when the lease was lost and nothing was written.
pub(super) async fn end(
    pool: &PgPool,
    lease: Lease,
    ending: Ending,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let mut tx = as_worker(pool).await?;
    let outcome = match ending {
        Ending::Done(result) => {
            sqlx::query!(
                "update tasks
                set state = 'done', instance_id = null, result = $3, last_error = null, finished_at = $4
                where id = $1 and fence = $2",
                lease.id,
                lease.fence,
                result,
                now,
            )
            .execute(&mut *tx)
            .await?
        }
        Ending::Failed(error) => {
            sqlx::query!(
                "update tasks
                set state = 'failed', instance_id = null, last_error = $3, finished_at = $4
                where id = $1 and fence = $2",
                lease.id,
                lease.fence,
                error,
                now,
            )
            .execute(&mut *tx)
            .await?
        }
        Ending::Again { at, error, spent } => {
            sqlx::query!(
                "update tasks
                set state = 'pending', instance_id = null, run_at = $3,
                    last_error = coalesce($4, last_error),
                    attempts = attempts - case when $5 then 0 else 1 end
                where id = $1 and fence = $2",
                lease.id,
                lease.fence,
                at,
                error,
                spent,
            )
            .execute(&mut *tx)
            .await?
        }
    };
    tx.commit().await?;
    Ok(outcome.rows_affected() == 1)
}

/// Takes tasks back from instances whose lease has run out. A crash spends the attempt, or a task
/// that kills the process would run for ever. Returns how many.
pub(super) async fn rescue(pool: &PgPool, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let mut tx = as_worker(pool).await?;
    let rescued = sqlx::query!(
        "update tasks
        set state = case when attempts < max_attempts then 'pending' else 'failed' end,
            finished_at = case when attempts < max_attempts then null else $1::timestamptz end,
            last_error = 'the process that ran this ended without a word',
            instance_id = null, fence = fence + 1
        where id = any(array(
            select id from tasks
            where state = 'in_progress'
                and not exists (
                    select from instances where instances.id = tasks.instance_id and lease_until > now()
                )
            limit 500
            for update skip locked
        ))",
        now,
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    sqlx::query!(
        "delete from instances
        where lease_until < now() - interval '1 hour'
            and not exists (
                select from tasks where instance_id = instances.id and state = 'in_progress'
            )"
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rescued)
}

/// Tells the other processes; on its own, because a commit with a pending NOTIFY takes a lock of
/// the whole server.
pub(super) async fn announce(pool: &PgPool, channel: &str) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!(r#"select pg_notify($1, '')::text as "told""#, channel)
        .fetch_one(pool)
        .await
        .map(drop)
}

pub(super) async fn list(
    tx: &mut Scoped,
    state: Option<&str>,
    kind: Option<&str>,
    limit: i64,
    after: Option<Cursor>,
) -> Result<Vec<TaskView>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        TaskView,
        r#"
        select public_id as id, kind, state, priority, attempts, max_attempts, run_at,
            progress_done, progress_total, last_error, result, reason, caused_by, created_at, finished_at
        from tasks
        where user_id = $1
            and ($2::text is null or state = $2)
            and ($3::text is null or kind = $3)
            and ($5::timestamptz is null or (created_at, public_id) < ($5, $6::uuid))
        order by created_at desc, public_id desc
        limit $4::bigint + 1
        "#,
        user_id,
        state,
        kind,
        limit,
        after.map(|cursor| cursor.at),
        after.map(|cursor| cursor.id),
    )
    .fetch_all(&mut **tx)
    .await
}

pub(super) async fn find(tx: &mut Scoped, id: Uuid) -> Result<Option<TaskView>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        TaskView,
        r#"
        select public_id as id, kind, state, priority, attempts, max_attempts, run_at,
            progress_done, progress_total, last_error, result, reason, caused_by, created_at, finished_at
        from tasks
        where user_id = $1 and public_id = $2
        "#,
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Ends a live task; its worker, if any, loses the fence. False when it isn't live.
pub(super) async fn cancel(
    tx: &mut Scoped,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update tasks
        set state = 'cancelled', instance_id = null, fence = fence + 1, finished_at = $3
        where user_id = $1 and public_id = $2 and state in ('pending', 'in_progress', 'waiting')",
        user_id,
        id,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}

/// Gives a failed or cancelled task a new set of attempts. False when it is neither.
pub(super) async fn retry(
    tx: &mut Scoped,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update tasks
        set state = 'pending', attempts = 0, fence = fence + 1, run_at = $3, finished_at = null,
            reason = null
        where user_id = $1 and public_id = $2 and state in ('failed', 'cancelled')",
        user_id,
        id,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}
