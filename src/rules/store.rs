//! All SQL over `rules` and `rule_runs`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::engine::Standing;
use super::facts::Known;
use crate::db::Scoped;

/// A rule as it is stored.
pub(super) struct Stored {
    pub id: Uuid,
    pub text: String,
    pub enabled: bool,
    pub autonomy: String,
    pub created_at: DateTime<Utc>,
    pub last_matched_at: Option<DateTime<Utc>>,
    pub match_count: i64,
    /// Why it was switched off by itself.
    pub notice: Option<String>,
}

/// Newest first; one more than `limit`.
pub(super) async fn list(
    tx: &mut Scoped,
    limit: i64,
    before: Option<Uuid>,
) -> Result<Vec<Stored>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Stored,
        "
        select id, text, enabled, autonomy, created_at, last_matched_at, match_count, notice
        from rules
        where user_id = $1 and ($2::uuid is null or id < $2)
        order by id desc
        limit $3::bigint + 1
        ",
        user_id,
        before,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

pub(super) async fn find(tx: &mut Scoped, id: Uuid) -> Result<Option<Stored>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Stored,
        "
        select id, text, enabled, autonomy, created_at, last_matched_at, match_count, notice
        from rules
        where user_id = $1 and id = $2
        ",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

pub(super) async fn count(tx: &mut Scoped) -> Result<i64, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from rules where user_id = $1"#,
        user_id,
    )
    .fetch_one(&mut **tx)
    .await
}

pub(super) async fn insert(
    tx: &mut Scoped,
    id: Uuid,
    (text, enabled, autonomy): (&str, bool, &str),
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        insert into rules (id, user_id, text, enabled, autonomy, created_at, watched_from)
        values ($1, $2, $3, $4, $5, $6, $6)
        ",
        id,
        user_id,
        text,
        enabled,
        autonomy,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Writes a rule anew: it has a new chance.
pub(super) async fn update(
    tx: &mut Scoped,
    id: Uuid,
    (text, enabled, autonomy): (&str, bool, &str),
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        update rules
        set text = $3, enabled = $4, autonomy = $5, watched_from = $6, failures = 0, notice = null
        where user_id = $1 and id = $2
        ",
        user_id,
        id,
        text,
        enabled,
        autonomy,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Whether there was one.
pub(super) async fn delete(tx: &mut Scoped, id: Uuid) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    let deleted = sqlx::query!(
        "delete from rules where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .execute(&mut **tx)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

/// How a rule's latest tasks ended, the last one first: what went wrong, or nothing.
pub(super) async fn latest_ends(
    tx: &mut Scoped,
    rule_id: Uuid,
    limit: i64,
) -> Result<Vec<Option<String>>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select case
            when state = 5 then coalesce(last_error, '')
            when result->'outcome'->>'state' = 'failed' then coalesce(result->'outcome'->>'error', '')
        end as wrong
        from ended_tasks
        where user_id = $1 and state in (4, 5) and public_id = any(array(
            select unnest(task_ids)
            from rules join rule_runs on rule_runs.user_id = $1 and rule_id = rules.id
            where rules.user_id = $1 and rules.id = $2 and ran_at > watched_from and outcome = 'acted'
            order by ran_at desc
            limit 100
        ))
        order by finished_at desc
        limit $3
        "#,
        user_id,
        rule_id,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Switches a rule off. Whether it was on.
pub(super) async fn switch_off(
    tx: &mut Scoped,
    id: Uuid,
    failures: i32,
    notice: &str,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    let switched = sqlx::query!(
        "
        update rules set enabled = false, failures = $3, notice = $4
        where user_id = $1 and id = $2 and enabled
        ",
        user_id,
        id,
        failures,
        notice,
    )
    .execute(&mut **tx)
    .await?;
    Ok(switched.rows_affected() == 1)
}

/// One rule, if it is on.
pub(super) async fn find_enabled(
    tx: &mut Scoped,
    id: Uuid,
) -> Result<Option<Enabled>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Enabled,
        "select id, text, autonomy from rules where user_id = $1 and id = $2 and enabled",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Rules that are on, the oldest first.
pub(super) async fn enabled(tx: &mut Scoped) -> Result<Vec<Enabled>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Enabled,
        "select id, text, autonomy from rules where user_id = $1 and enabled order by id",
        user_id,
    )
    .fetch_all(&mut **tx)
    .await
}

/// A rule that is on.
pub(super) struct Enabled {
    pub id: Uuid,
    pub text: String,
    pub autonomy: String,
}

/// What a rule did about an event.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub rule_id: Uuid,
    pub event_id: Uuid,
    /// `acted`, or what held it back.
    pub outcome: &'static str,
    pub thread_id: Option<Uuid>,
    pub recipient: Option<String>,
}

impl Run {
    pub fn of(standing: &Standing, known: &Known, outcome: &'static str) -> Self {
        let writes = standing.writes();
        Self {
            rule_id: standing.id,
            event_id: known.event.id,
            outcome,
            thread_id: known.thread_id.filter(|_| writes),
            recipient: known.address.clone().filter(|_| writes),
        }
    }
}

/// Notes a run. False when the rule has dealt with this event before.
pub(super) async fn begin_run(
    tx: &mut Scoped,
    run: &Run,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    let inserted = sqlx::query!(
        "
        insert into rule_runs (user_id, rule_id, event_id, outcome, thread_id, recipient, task_ids, ran_at)
        values ($1, $2, $3, $4, $5, $6, '{}', $7)
        on conflict do nothing
        ",
        user_id,
        run.rule_id,
        run.event_id,
        run.outcome,
        run.thread_id,
        run.recipient,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Notes the tasks that a run queued, and that its rule matched.
pub(super) async fn end_run(
    tx: &mut Scoped,
    run: &Run,
    task_ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        with run as (
            update rule_runs set task_ids = $4
            where user_id = $1 and rule_id = $2 and event_id = $3
        )
        update rules set match_count = match_count + 1, last_matched_at = $5
        where user_id = $1 and id = $2
        ",
        user_id,
        run.rule_id,
        run.event_id,
        task_ids,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Of a run that acted.
pub(super) struct Mark {
    pub rule_id: Uuid,
    pub thread_id: Option<Uuid>,
    pub recipient: Option<String>,
    pub at: DateTime<Utc>,
}

/// The runs since then that acted.
pub(super) async fn marks(tx: &mut Scoped, since: DateTime<Utc>) -> Result<Vec<Mark>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Mark,
        "
        select rule_id, thread_id, recipient, ran_at as at
        from rule_runs
        where user_id = $1 and ran_at > $2 and outcome = 'acted'
        ",
        user_id,
        since,
    )
    .fetch_all(&mut **tx)
    .await
}
