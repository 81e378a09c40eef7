//! Writing how attempts ended, many in one statement.
//!
//! The fence alone decides whether a write counts; the state is not asked for, because statistics know
//! no running rows and the planner would walk their index with all its dead entries. A lateral
//! sub-select that locks can be planned in one way alone, a look-up by primary key for each; as a join,
//! statistics of an empty table once made it a walk over all tasks for each of them.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Lease, Queue, event_lock};
use crate::db::UserId;
use crate::tasks::State;

/// How an attempt ended.
#[derive(Debug)]
pub enum Ending {
    Done(Value),
    Failed(String),
    /// Once more after this long; `spent` tells whether the attempt counts.
    Again {
        pause: Duration,
        error: Option<String>,
        spent: bool,
    },
    Wait(Box<Wait>),
}

/// An ended attempt.
#[derive(Debug)]
pub struct Ended {
    pub lease: Lease,
    pub ending: Ending,
}

/// What a task sleeps for.
#[derive(Clone, Debug)]
pub struct Wait {
    pub user_id: UserId,
    /// The step in which it sleeps.
    pub name: String,
    /// Any of these wakes it.
    pub on: Vec<String>,
    pub until: DateTime<Utc>,
    /// What the API tells of it, as `waiting_on`.
    pub shown: Option<Value>,
}

/// What ended a wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Woken {
    Event { key: String, value: Value },
    TimedOut,
}

/// What came of writing endings.
#[derive(Debug, Default)]
pub struct Written {
    /// The others had lost their lease.
    pub ids: HashSet<i64>,
    /// Some of them are in line again, or will be.
    pub again: bool,
}

/// Arrays for `unnest`.
#[derive(Default)]
struct Over {
    ids: Vec<i64>,
    fences: Vec<i32>,
    states: Vec<i16>,
    results: Vec<Option<Value>>,
    errors: Vec<Option<String>>,
}

#[derive(Default)]
struct Again {
    ids: Vec<i64>,
    fences: Vec<i32>,
    pauses: Vec<f64>,
    errors: Vec<Option<String>>,
    spent: Vec<bool>,
}

impl Queue {
    /// Writes endings. May be repeated after an error: what was written then doesn't come back, and
    /// nothing happens twice.
    pub async fn finish(&self, ended: &[Ended]) -> Result<Written, sqlx::Error> {
        let mut over = Over::default();
        let mut again = Again::default();
        let mut written = Written::default();
        for Ended { lease, ending } in ended {
            match ending {
                Ending::Done(result) => over.add(*lease, State::Done, Some(result), None),
                Ending::Failed(error) => over.add(*lease, State::Failed, None, Some(error)),
                Ending::Again {
                    pause,
                    error,
                    spent,
                } => again.add(*lease, *pause, error.as_ref(), *spent),
                Ending::Wait(wait) => {
                    if self.wait(*lease, wait).await? {
                        written.ids.insert(lease.id);
                        written.again = true;
                    }
                }
            }
        }
        if !over.ids.is_empty() {
            let ended = self.end(&over).await?;
            let fewer = ended.len() < over.ids.len();
            written.ids.extend(ended);
            if fewer {
                let rerun = self.rerun(&over).await?;
                written.again |= !rerun.is_empty();
                written.ids.extend(rerun);
            }
        }
        if !again.ids.is_empty() {
            written.again = true;
            written.ids.extend(self.put_back(again).await?);
        }
        Ok(written)
    }

    async fn end(&self, over: &Over) -> Result<Vec<i64>, sqlx::Error> {
        sqlx::query_scalar!(
            "
            with ended as materialized (
                select outcome.state as ended_as, outcome.result, outcome.error, held.*
                from unnest($1::bigint[], $2::int[], $3::smallint[], $4::jsonb[], $5::text[])
                        as outcome (id, fence, state, result, error)
                    cross join lateral (
                        select id, public_id, user_id, kind, payload, priority, run_at, attempts,
                            max_attempts, fence, unique_key, progress_done, progress_total, caused_by,
                            request_id, created_at, started_at
                        from tasks
                        where tasks.id = outcome.id and tasks.fence = outcome.fence
                            and not (rerun and outcome.state = 4)
                        for update
                    ) as held
            ), gone as (
                delete from tasks where id = any(array(select id from ended))
            ), forgotten as (
                delete from task_steps
                where task_id = any(array(select id from ended where ended_as = 4))
            )
            insert into ended_tasks (id, public_id, user_id, kind, payload, state, priority, run_at,
                attempts, max_attempts, fence, unique_key, progress_done, progress_total, last_error,
                result, reason, caused_by, request_id, created_at, started_at, finished_at)
            select id, public_id, user_id, kind, payload, ended_as, priority, run_at, attempts,
                max_attempts, fence, unique_key, progress_done, progress_total, error, result,
                result ->> 'reason', caused_by, request_id, created_at, started_at, $6
            from ended
            returning id
            ",
            &over.ids,
            &over.fences,
            &over.states,
            &over.results as &[Option<Value>],
            &over.errors as &[Option<String>],
            self.clock.now(),
        )
        .fetch_all(&self.pool)
        .await
    }

    /// What was asked for again while it ran goes back in line, without its steps.
    async fn rerun(&self, over: &Over) -> Result<Vec<i64>, sqlx::Error> {
        sqlx::query_scalar!(
            "
            with again as (
                update tasks
                set state = 1, turn = task_turn(user_id, priority), rerun = false, attempts = 0,
                    last_error = null, instance_id = null, fence = tasks.fence + 1
                from unnest($1::bigint[], $2::int[], $3::smallint[]) as outcome (id, fence, state)
                where tasks.id = outcome.id and tasks.fence = outcome.fence
                    and rerun and outcome.state = 4
                returning tasks.id
            ), forgotten as (
                delete from task_steps where task_id = any(array(select id from again))
            )
            select id from again
            ",
            &over.ids,
            &over.fences,
            &over.states,
        )
        .fetch_all(&self.pool)
        .await
    }

    async fn put_back(&self, again: Again) -> Result<Vec<i64>, sqlx::Error> {
        sqlx::query_scalar!(
            r#"
            update tasks
            set state = case when outcome.pause > 0 then 0 else 1 end,
                turn = case when outcome.pause > 0 then turn else task_turn(user_id, priority) end,
                run_at = now() + make_interval(secs => $6 + outcome.pause),
                last_error = coalesce(outcome.error, last_error),
                attempts = attempts - case when outcome.spent then 0 else 1 end,
                instance_id = null, fence = tasks.fence + 1
            from unnest($1::bigint[], $2::int[], $3::float8[], $4::text[], $5::bool[])
                as outcome (id, fence, pause, error, spent)
            where tasks.id = outcome.id and tasks.fence = outcome.fence
            returning tasks.id
            "#,
            &again.ids,
            &again.fences,
            &again.pauses,
            &again.errors as &[Option<String>],
            &again.spent,
            self.ahead(),
        )
        .fetch_all(&self.pool)
        .await
    }

    /// Lays a task to sleep, or back in line when what it waits for has happened already. It begins
    /// with a new set of attempts: so far it went well.
    async fn wait(&self, lease: Lease, wait: &Wait) -> Result<bool, sqlx::Error> {
        let user_id = wait.user_id.0;
        let mut tx = self.pool.begin_with("begin").await?;
        // Sorted, so that two who wait for the same two events don't lock crosswise.
        let mut keys = wait.on.clone();
        keys.sort_unstable();
        keys.dedup();
        for key in &keys {
            event_lock(&mut tx, user_id, key).await?;
        }
        let happened = sqlx::query!(
            "select event_key, value from task_events
            where user_id = $1 and event_key = any($2)
            order by at, event_key
            limit 1",
            user_id,
            &keys,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let sleeps = happened.is_none();
        let held = sqlx::query!(
            "update tasks
            set state = case when $3 then 3 else 1 end,
                wait_name = case when $3 then $4 end,
                waiting_on = case when $3 then $5::jsonb end,
                run_at = case when $3 then $6 else run_at end,
                turn = case when $3 then turn else task_turn(user_id, priority) end,
                attempts = 0, instance_id = null, fence = fence + 1
            where id = $1 and fence = $2 and user_id = $7",
            lease.id,
            lease.fence,
            sleeps,
            wait.name,
            wait.shown,
            wait.until,
            user_id,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        if !held {
            return Ok(false);
        }
        match happened {
            Some(event) => {
                let woken = Woken::Event {
                    key: event.event_key,
                    value: event.value,
                };
                self.pass(&mut tx, user_id, lease, &wait.name, woken)
                    .await?;
            }
            None => {
                sqlx::query!(
                    "insert into task_waits (user_id, event_key, task_id) select $1, unnest($2::text[]), $3",
                    user_id,
                    &keys,
                    lease.id,
                )
                .execute(&mut *tx)
                .await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Records that a wait is over.
    async fn pass(
        &self,
        tx: &mut sqlx::PgConnection,
        user_id: Uuid,
        lease: Lease,
        name: &str,
        woken: Woken,
    ) -> Result<(), sqlx::Error> {
        let woken =
            serde_json::to_value(woken).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        sqlx::query!(
            "insert into task_steps (task_id, name, user_id, value) values ($1, $2, $3, $4) on conflict do nothing",
            lease.id,
            name,
            user_id,
            woken,
        )
        .execute(tx)
        .await
        .map(drop)
    }
}

impl Over {
    fn add(&mut self, lease: Lease, state: State, result: Option<&Value>, error: Option<&String>) {
        self.ids.push(lease.id);
        self.fences.push(lease.fence);
        self.states.push(state as i16);
        self.results.push(result.cloned());
        self.errors.push(error.cloned());
    }
}

impl Again {
    fn add(&mut self, lease: Lease, pause: Duration, error: Option<&String>, spent: bool) {
        self.ids.push(lease.id);
        self.fences.push(lease.fence);
        self.pauses.push(pause.as_secs_f64());
        self.errors.push(error.cloned());
        self.spent.push(spent);
    }
}
