//! A user's own tasks, live and ended: what the API shows and steers, and what a handler writes
//! about its own task. Everything here runs within the user's scope.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::queue::Lease;
use super::{State, routes::TaskView};
use crate::db::Scoped;

/// How many days ended tasks are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Done and cancelled ones.
    pub done_days: u16,
    pub failed_days: u16,
}

/// How many of the user's tasks of a kind live (wait or run)?
pub async fn count_live(tx: &mut Scoped, kind: &str) -> Result<i64, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from tasks where user_id = $1 and kind = $2"#,
        user_id,
        kind,
    )
    .fetch_one(&mut **tx)
    .await
}

/// Which of these kinds have tasks of the user that live.
pub async fn live_kinds(tx: &mut Scoped, kinds: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    let user_id = tx.user_id();
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    sqlx::query_scalar!(
        "select distinct kind from tasks where user_id = $1 and kind = any($2)",
        user_id,
        &kinds,
    )
    .fetch_all(&mut **tx)
    .await
}

/// How the latest task to end did so.
#[derive(Debug)]
pub struct LastEnded {
    pub state: State,
    pub error: Option<String>,
    pub finished_at: DateTime<Utc>,
}

/// The user's latest ended task of one of these kinds and in one of these states.
pub async fn last_ended(
    tx: &mut Scoped,
    kinds: &[&str],
    states: &[State],
) -> Result<Option<LastEnded>, sqlx::Error> {
    let user_id = tx.user_id();
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let states: Vec<i16> = states.iter().map(|state| *state as i16).collect();
    sqlx::query_as!(
        LastEnded,
        r#"
        select state as "state: State", last_error as error, finished_at
        from ended_tasks
        where user_id = $1 and kind = any($2) and state = any($3)
        order by finished_at desc
        limit 1
        "#,
        user_id,
        &kinds,
        &states,
    )
    .fetch_optional(&mut **tx)
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

pub(super) async fn steps(
    tx: &mut Scoped,
    task_id: i64,
) -> Result<HashMap<String, Value>, sqlx::Error> {
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        "select name, value from task_steps where task_id = $1 and user_id = $2",
        task_id,
        user_id,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
}

/// False when the step has been recorded already.
pub(super) async fn record(
    tx: &mut Scoped,
    task_id: i64,
    name: &str,
    value: &Value,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "insert into task_steps (task_id, name, user_id, value) values ($1, $2, $3, $4) on conflict do nothing",
        task_id,
        name,
        user_id,
        value,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}

/// A page of tasks and one more, newest first; both halves are read in the order of their index.
pub(super) async fn list(
    tx: &mut Scoped,
    states: Option<&[State]>,
    kinds: Option<&[String]>,
    limit: i64,
    before: Option<Uuid>,
) -> Result<Vec<TaskView>, sqlx::Error> {
    let user_id = tx.user_id();
    let states: Option<Vec<i16>> =
        states.map(|states| states.iter().map(|state| *state as i16).collect());
    sqlx::query_as!(
        TaskView,
        r#"
        select public_id as "id!", kind as "kind!", state as "state!: State", priority as "priority!",
            attempts as "attempts!", max_attempts as "max_attempts!", run_at as "run_at!",
            progress_done as "progress_done!", progress_total as "progress_total!", last_error,
            result, reason, caused_by, waiting_on, created_at as "created_at!", finished_at
        from (
            (
                select public_id, kind, state, priority, attempts, max_attempts, run_at, progress_done,
                    progress_total, last_error, null::jsonb as result, null as reason, caused_by,
                    waiting_on, created_at, null::timestamptz as finished_at
                from tasks
                where user_id = $1 and ($2::smallint[] is null or state = any($2))
                    and ($3::text[] is null or kind = any($3)) and ($4::uuid is null or public_id < $4)
                order by public_id desc
                limit $5::bigint + 1
            ) union all (
                select public_id, kind, state, priority, attempts, max_attempts, run_at, progress_done,
                    progress_total, last_error, result, reason, caused_by, null, created_at, finished_at
                from ended_tasks
                where user_id = $1 and ($2::smallint[] is null or state = any($2))
                    and ($3::text[] is null or kind = any($3)) and ($4::uuid is null or public_id < $4)
                order by public_id desc
                limit $5::bigint + 1
            )
        ) as live_and_ended
        order by public_id desc
        limit $5::bigint + 1
        "#,
        user_id,
        states.as_deref(),
        kinds,
        before,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

pub(super) async fn find(tx: &mut Scoped, id: Uuid) -> Result<Option<TaskView>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        TaskView,
        r#"
        select public_id as "id!", kind as "kind!", state as "state!: State", priority as "priority!",
            attempts as "attempts!", max_attempts as "max_attempts!", run_at as "run_at!",
            progress_done as "progress_done!", progress_total as "progress_total!", last_error,
            null::jsonb as result, null as reason, caused_by, waiting_on,
            created_at as "created_at!", null::timestamptz as finished_at
        from tasks
        where user_id = $1 and public_id = $2
        union all
        select public_id, kind, state, priority, attempts, max_attempts, run_at, progress_done,
            progress_total, last_error, result, reason, caused_by, null, created_at, finished_at
        from ended_tasks
        where user_id = $1 and public_id = $2
        "#,
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Ends a live task; its worker, if any, finds it gone. False when it isn't live.
pub(super) async fn cancel(
    tx: &mut Scoped,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        with cancelled as (
            delete from tasks where user_id = $1 and public_id = $2
            returning id, public_id, user_id, kind, payload, priority, run_at, attempts, max_attempts,
                fence, unique_key, progress_done, progress_total, last_error, caused_by, request_id,
                created_at, started_at
        ), unbound as (
            delete from task_waits where task_id = any(array(select id from cancelled))
        )
        insert into ended_tasks (id, public_id, user_id, kind, payload, state, priority, run_at, attempts,
            max_attempts, fence, unique_key, progress_done, progress_total, last_error, caused_by,
            request_id, created_at, started_at, finished_at)
        select id, public_id, user_id, kind, payload, 6, priority, run_at, attempts, max_attempts,
            fence, unique_key, progress_done, progress_total, last_error, caused_by, request_id,
            created_at, started_at, $3
        from cancelled
        ",
        user_id,
        id,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}

/// Gives a failed or cancelled task a new set of attempts, from its recorded steps on. False when it
/// is neither.
pub(super) async fn retry(
    tx: &mut Scoped,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        with again as (
            delete from ended_tasks where user_id = $1 and public_id = $2 and state in (5, 6)
            returning id, public_id, user_id, kind, payload, priority, max_attempts, fence, unique_key,
                progress_done, progress_total, last_error, caused_by, request_id, created_at
        )
        insert into tasks (id, public_id, user_id, kind, payload, state, priority, turn, run_at,
            max_attempts, fence, unique_key, progress_done, progress_total, last_error, caused_by,
            request_id, created_at)
        select id, public_id, user_id, kind, payload, 1, priority, task_turn(user_id, priority), $3,
            max_attempts, fence + 1, unique_key, progress_done, progress_total, last_error, caused_by,
            request_id, created_at
        from again
        ",
        user_id,
        id,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}
