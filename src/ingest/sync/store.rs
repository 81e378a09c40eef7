//! All SQL over `sources` and `sync_due`. Reads `connections` and `watches` of `identity`.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::{Scoped, UserId};

/// Where the reading of a source stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Of the connection, and the one that what is stored came from.
    pub account: String,
    pub stored_account: Option<String>,
    pub cursor: Option<String>,
    pub changes_page: Option<String>,
    pub walk: Option<String>,
    pub walk_started_at: Option<DateTime<Utc>>,
    pub walk_listed: bool,
    pub page: Option<String>,
    pub done: i64,
    pub total: Option<i64>,
    pub unreadable: i64,
    pub last_reconciled_at: Option<DateTime<Utc>>,
    pub last_synced_at: Option<DateTime<Utc>>,
    pub scope_changed: bool,
    /// When its reading began: what was there before is no news.
    pub began_at: DateTime<Utc>,
}

/// None when the provider isn't connected.
pub(super) async fn open(
    tx: &mut Scoped,
    source: &str,
    provider: &str,
    now: DateTime<Utc>,
) -> Result<Option<Place>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Place,
        r#"
        select connections.account, sources.account as "stored_account?", cursor, changes_page, walk,
            walk_started_at, coalesce(walk_listed, false) as "walk_listed!", page,
            coalesce(done, 0) as "done!", total, coalesce(unreadable, 0) as "unreadable!",
            last_reconciled_at, last_synced_at, coalesce(scope_changed, false) as "scope_changed!",
            coalesce(began_at, $4) as "began_at!"
        from connections
        left join sources on sources.user_id = $1 and sources.source = $2
        where connections.user_id = $1 and connections.provider = $3
        "#,
        user_id,
        source,
        provider,
        now,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Begins with an account, from nothing.
pub(super) async fn begin(
    tx: &mut Scoped,
    source: &str,
    account: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        insert into sources (user_id, source, account, began_at) values ($1, $2, $3, $4)
        on conflict (user_id, source) do update set
            account = excluded.account, began_at = excluded.began_at, cursor = null, changes_page = null, walk = null,
            walk_started_at = null, walk_listed = false, page = null, done = 0, total = null,
            unreadable = 0, repairs = 0, gaps_repaired = 0, last_synced_at = null,
            last_reconciled_at = null, problem = null
        ",
        user_id,
        source,
        account,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Begins a walk. A cursor that is known stays; `cursor` is for when there is none.
pub(super) async fn begin_walk(
    tx: &mut Scoped,
    source: &str,
    why: &str,
    now: DateTime<Utc>,
    (cursor, total): (Option<&str>, Option<i64>),
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        update sources
        set walk = $3, walk_started_at = $4, walk_listed = false, page = null, done = 0,
            unreadable = 0, repairs = 0, cursor = coalesce(cursor, $5), total = coalesce($6, total)
        where user_id = $1 and source = $2
        ",
        user_id,
        source,
        why,
        now,
        cursor,
        total,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Where a walk goes on after a portion is stored.
#[derive(Clone, Debug, Default)]
pub(super) enum Step {
    /// The page has more portions.
    #[default]
    Stay,
    /// At the next page.
    To(String),
    /// The listing is read to its end.
    End,
}

/// What a portion added to a walk.
pub(super) struct Progress {
    pub step: Step,
    pub cursor: Option<String>,
    pub done: i64,
    pub unreadable: i64,
    pub repairs: i64,
}

pub(super) async fn advance(
    tx: &mut Scoped,
    source: &str,
    progress: &Progress,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    let (page_done, next) = match &progress.step {
        Step::Stay => (false, None),
        Step::To(next) => (true, Some(next.as_str())),
        Step::End => (true, None),
    };
    sqlx::query!(
        "
        update sources
        set page = case when $3 then $4 else page end,
            walk_listed = walk_listed or ($3 and $4::text is null),
            cursor = coalesce($5, cursor),
            changes_page = case when $5::text is null then changes_page end,
            done = done + $6, unreadable = unreadable + $7, repairs = repairs + $8
        where user_id = $1 and source = $2
        ",
        user_id,
        source,
        page_done,
        next,
        progress.cursor.as_deref(),
        progress.done,
        progress.unreadable,
        progress.repairs,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Ends a walk: all that there was at its beginning is known.
pub(super) async fn end_walk(
    tx: &mut Scoped,
    source: &str,
    repairs: i64,
    is_repair: bool,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        update sources
        set last_synced_at = greatest(last_synced_at, walk_started_at),
            last_reconciled_at = walk_started_at,
            gaps_repaired = gaps_repaired + case when $4 then repairs + $3 else 0 end,
            walk = null, walk_started_at = null, walk_listed = false, page = null, total = null,
            repairs = 0, problem = null
        where user_id = $1 and source = $2
        ",
        user_id,
        source,
        repairs,
        is_repair,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Forgets the place of a walk or of a listing of changes: it begins anew.
pub(super) async fn restart(tx: &mut Scoped, source: &str) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        update sources
        set page = null, walk_listed = false, done = 0, unreadable = 0, changes_page = null
        where user_id = $1 and source = $2
        ",
        user_id,
        source,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Changes can't be listed any more. What became of a mail's labels meanwhile isn't known either.
pub(super) async fn lose_cursor(tx: &mut Scoped, source: &str) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        update sources
        set cursor = null, changes_page = null, scope_changed = (source = 'gmail')
        where user_id = $1 and source = $2
        ",
        user_id,
        source,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub(super) async fn changes_page(
    tx: &mut Scoped,
    source: &str,
    page: Option<&str>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update sources set changes_page = $3 where user_id = $1 and source = $2",
        user_id,
        source,
        page,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// How often a source is looked at of ourselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    pub unwatched_secs: f64,
    /// While the provider notifies: what it doesn't tell is found at the latest then.
    pub watched_secs: f64,
}

/// All changes up to `checked_at` are stored: the source is as fresh as that, unless a walk has yet to
/// bring what is missing. False when somebody else has moved the cursor.
pub(super) async fn settle(
    tx: &mut Scoped,
    source: &str,
    (before, after): (&str, &str),
    checked_at: DateTime<Utc>,
    rhythm: Rhythm,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        with due as (
            insert into sync_due (user_id, source, due_at)
            select $1, $2, least(
                $5::timestamptz + make_interval(secs => case when watched.until is null then $6 else $7::float8 end),
                watched.until
            )
            from (
                select max(expires_at) as until from watches
                where user_id = $1 and what = $2 and resource_id is not null and expires_at > $5
            ) as watched
            on conflict (user_id, source) do update set due_at = excluded.due_at
        )
        update sources
        set cursor = $4, changes_page = null, problem = null,
            last_synced_at = case
                when walk is null or walk = 'daily' then greatest(last_synced_at, $5)
                else last_synced_at
            end
        where user_id = $1 and source = $2 and cursor = $3
        returning true as "settled!"
        "#,
        user_id,
        source,
        before,
        after,
        checked_at,
        rhythm.unwatched_secs,
        rhythm.watched_secs,
    )
    .fetch_optional(&mut **tx)
    .await
    .map(|settled| settled.is_some())
}

/// What went wrong, for the user; the next success takes it away.
pub(super) async fn trouble(
    tx: &mut Scoped,
    source: &str,
    problem: &str,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update sources set problem = $3 where user_id = $1 and source = $2",
        user_id,
        source,
        problem,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The user's scope of import is applied, or is to be.
pub(super) async fn scope_changed(
    tx: &mut Scoped,
    source: &str,
    changed: bool,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update sources set scope_changed = $3 where user_id = $1 and source = $2",
        user_id,
        source,
        changed,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The next reading walks through everything.
pub(super) async fn ask_for_walk(tx: &mut Scoped, source: &str) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update sources set last_reconciled_at = null where user_id = $1 and source = $2",
        user_id,
        source,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Users whose calendar is read, in the order of their ids.
pub(super) async fn with_calendar(
    pool: &PgPool,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select user_id as "user_id: UserId" from sync_due
        where source = 'calendar' and ($1::uuid is null or user_id > $1)
        order by user_id
        limit $2
        "#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Takes sources that are due, of whoever they are: nobody else gets them until `again_at`.
pub(super) async fn take_due(
    pool: &PgPool,
    now: DateTime<Utc>,
    again_at: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(UserId, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        update sync_due as due
        set due_at = $2
        from (
            select user_id, source from sync_due
            where due_at <= $1
            order by due_at
            limit $3
            for update skip locked
        ) as taken
        where due.user_id = taken.user_id and due.source = taken.source
        returning due.user_id as "user_id: UserId", due.source
        "#,
        now,
        again_at,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.user_id, row.source))
        .collect())
}

/// A source that isn't connected any more isn't looked at.
pub(super) async fn forget_due(tx: &mut Scoped, source: &str) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "delete from sync_due where user_id = $1 and source = $2",
        user_id,
        source,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Looked at at the latest then.
pub(super) async fn due_at(
    tx: &mut Scoped,
    source: &str,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        insert into sync_due (user_id, source, due_at) values ($1, $2, $3)
        on conflict (user_id, source) do update set due_at = excluded.due_at
        ",
        user_id,
        source,
        at,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// How far a source is, for its user.
pub(super) struct State {
    pub source: String,
    pub walk: Option<String>,
    pub total: Option<i64>,
    pub last_synced_at: Option<DateTime<Utc>>,
    pub last_reconciled_at: Option<DateTime<Utc>>,
    pub gaps_repaired: i64,
    pub problem: Option<String>,
}

pub(super) async fn list(tx: &mut Scoped) -> Result<Vec<State>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        State,
        "
        select source, walk, total, last_synced_at, last_reconciled_at, gaps_repaired, problem
        from sources
        where user_id = $1
        ",
        user_id,
    )
    .fetch_all(&mut **tx)
    .await
}
