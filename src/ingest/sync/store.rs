//! All SQL over `sources`.

use chrono::{DateTime, Utc};

use crate::db::Scoped;

/// Where a walk goes on.
pub(super) struct Place {
    pub page: Option<String>,
    pub done: i64,
    pub unreadable: i64,
}

/// Goes on with the walk of this account that is under way, or begins one.
pub(super) async fn begin(
    tx: &mut Scoped,
    source: &str,
    account: &str,
    total: Option<i64>,
) -> Result<Place, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Place,
        "
        insert into sources (user_id, source, account, total) values ($1, $2, $3, $4)
        on conflict (user_id, source) do update set
            account = excluded.account,
            total = excluded.total,
            page = case when sources.account = excluded.account then sources.page end,
            done = case when sources.account = excluded.account and sources.page is not null
                then sources.done else 0 end,
            unreadable = case when sources.account = excluded.account and sources.page is not null
                then sources.unreadable else 0 end
        returning page, done, unreadable
        ",
        user_id,
        source,
        account,
        total,
    )
    .fetch_one(&mut **tx)
    .await
}

/// What a page added to a walk.
pub(super) struct Progress<'a> {
    /// None ends the walk.
    pub next: Option<&'a str>,
    pub done: i64,
    pub unreadable: i64,
    pub now: DateTime<Utc>,
}

pub(super) async fn advance(
    tx: &mut Scoped,
    source: &str,
    progress: &Progress<'_>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        update sources
        set page = $3, done = done + $4, unreadable = unreadable + $5,
            total = case when $3::text is null then done + $4 else total end,
            last_synced_at = case when $3 is null then $6 else last_synced_at end
        where user_id = $1 and source = $2
        ",
        user_id,
        source,
        progress.next,
        progress.done,
        progress.unreadable,
        progress.now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Forgets the place of a walk.
pub(super) async fn restart(tx: &mut Scoped, source: &str) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update sources set page = null where user_id = $1 and source = $2",
        user_id,
        source,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// How far a source is.
pub(super) struct State {
    pub source: String,
    pub done: i64,
    pub total: Option<i64>,
    pub last_synced_at: Option<DateTime<Utc>>,
}

pub(super) async fn list(tx: &mut Scoped) -> Result<Vec<State>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        State,
        "select source, done, total, last_synced_at from sources where user_id = $1",
        user_id,
    )
    .fetch_all(&mut **tx)
    .await
}
