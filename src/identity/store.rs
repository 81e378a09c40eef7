//! All SQL over `users` and `sessions`, the routing tables that are read before a scope is known.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::UserId;

pub(super) struct NewUser {
    pub id: Uuid,
    pub subject: String,
    pub email: String,
    pub name: String,
    pub now: DateTime<Utc>,
}

pub(super) struct User {
    pub id: Uuid,
    pub email: String,
    pub name: String,
    pub picture_url: Option<String>,
}

pub(super) async fn find_or_create(pool: &PgPool, new: &NewUser) -> Result<UserId, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        insert into users (id, subject, email, name, created_at)
        values ($1, $2, $3, $4, $5)
        on conflict on constraint users_subject_key do update set subject = users.subject
        returning id as "id: UserId"
        "#,
        new.id,
        new.subject,
        new.email,
        new.name,
        new.now,
    )
    .fetch_one(pool)
    .await
}

pub(super) async fn get(pool: &PgPool, user_id: UserId) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as!(
        User,
        "select id, email, name, picture_url from users where id = $1",
        user_id.0,
    )
    .fetch_optional(pool)
    .await
}

pub(super) async fn open_session(
    pool: &PgPool,
    id_hash: &[u8],
    user_id: UserId,
    now: DateTime<Utc>,
    lifetime: TimeDelta,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into sessions (id_hash, user_id, created_at, last_seen_at, expires_at)
        values ($1, $2, $3, $3, $4)",
        id_hash,
        user_id.0,
        now,
        now + lifetime,
    )
    .execute(pool)
    .await
    .map(drop)
}

/// The user of a live session; seeing it moves its idle end, at most once a minute.
pub(super) async fn find_session(
    pool: &PgPool,
    id_hash: &[u8],
    now: DateTime<Utc>,
    idle: TimeDelta,
) -> Result<Option<UserId>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select user_id as "user_id: UserId", last_seen_at
        from sessions
        where id_hash = $1 and expires_at > $2 and last_seen_at > $3
        "#,
        id_hash,
        now,
        now - idle,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.last_seen_at < now - TimeDelta::minutes(1) {
        sqlx::query!(
            "update sessions set last_seen_at = $2 where id_hash = $1",
            id_hash,
            now,
        )
        .execute(pool)
        .await?;
    }
    Ok(Some(row.user_id))
}

/// Ends a session, and sweeps those that ended by themselves.
pub(super) async fn close_session(
    pool: &PgPool,
    id_hash: &[u8],
    now: DateTime<Utc>,
    idle: TimeDelta,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from sessions where id_hash = $1 or expires_at <= $2 or last_seen_at <= $3",
        id_hash,
        now,
        now - idle,
    )
    .execute(pool)
    .await
    .map(drop)
}
