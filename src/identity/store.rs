//! All SQL over `users`, `sessions`, API tokens and their keys. `users`, `sessions` and
//! `api_token_keys` are routing tables: they are read before a scope is known.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::access::TokenScope;
use super::tokens::ApiToken;
use crate::db::{Scoped, UserId};
use crate::http::Cursor;

/// Seeing a session or token again within this writes nothing.
const STALE: TimeDelta = TimeDelta::minutes(1);

pub(super) struct NewUser {
    pub id: Uuid,
    pub subject: String,
    pub email: String,
    pub name: String,
    pub picture_url: Option<String>,
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
        insert into users (id, subject, email, name, created_at, picture_url)
        values ($1, $2, $3, $4, $5, $6)
        on conflict on constraint users_subject_key do update set subject = users.subject
        returning id as "id: UserId"
        "#,
        new.id,
        new.subject,
        new.email,
        new.name,
        new.now,
        new.picture_url,
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

/// Who has this subject, which is the account's key.
pub(super) async fn find_by_subject(
    pool: &PgPool,
    subject: &str,
) -> Result<Option<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id: UserId" from users where subject = $1"#,
        subject,
    )
    .fetch_optional(pool)
    .await
}

/// Whether a user's account is one of Google's.
pub(super) async fn signs_in_with_google(
    pool: &PgPool,
    user_id: UserId,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select subject like 'google:%' as "google!" from users where id = $1"#,
        user_id.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.unwrap_or(true))
}

/// Address, name and picture may change at the provider; the account stays.
pub(super) async fn update_profile(
    pool: &PgPool,
    user_id: UserId,
    new: &NewUser,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        update users set email = $2, name = $3, picture_url = $4
        where id = $1 and (email, name, picture_url) is distinct from ($2, $3, $4)
        ",
        user_id.0,
        new.email,
        new.name,
        new.picture_url,
    )
    .execute(pool)
    .await
    .map(drop)
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
    sqlx::query_scalar!(
        r#"
        with seen as (
            update sessions set last_seen_at = $2
            where id_hash = $1 and expires_at > $2 and last_seen_at > $3 and last_seen_at < $4
        )
        select user_id as "user_id: UserId"
        from sessions
        where id_hash = $1 and expires_at > $2 and last_seen_at > $3
        "#,
        id_hash,
        now,
        now - idle,
        now - STALE,
    )
    .fetch_optional(pool)
    .await
}

/// The user and scopes of a live API token; using it is noted, at most once a minute.
pub(super) async fn find_token(
    pool: &PgPool,
    token_hash: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<(UserId, Vec<TokenScope>)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with used as (
            update api_token_keys set last_used_at = $2
            where token_hash = $1 and (expires_at is null or expires_at > $2)
                and (last_used_at is null or last_used_at < $3)
        )
        select user_id as "user_id: UserId", scopes
        from api_token_keys
        where token_hash = $1 and (expires_at is null or expires_at > $2)
        "#,
        token_hash,
        now,
        now - STALE,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.user_id, parsed(&row.scopes))))
}

fn parsed(scopes: &[String]) -> Vec<TokenScope> {
    scopes
        .iter()
        .filter_map(|name| TokenScope::named(name))
        .collect()
}

/// Adds a token, unless the user has as many as may be.
pub(super) async fn add_token(
    tx: &mut Scoped,
    token: &ApiToken,
    token_hash: &[u8],
    most: i64,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    let scopes: Vec<String> = token
        .scopes
        .iter()
        .map(|scope| scope.name().to_owned())
        .collect();
    let added = sqlx::query!(
        "
        with added as (
            insert into api_tokens (id, user_id, name, created_at)
            select $1, $2, $3, $4
            where (select count(*) from api_tokens where user_id = $2) < $5
            returning id
        )
        insert into api_token_keys (token_hash, token_id, user_id, scopes, expires_at)
        select $6, id, $2, $7, $8 from added
        ",
        token.id,
        user_id,
        token.name,
        token.created_at,
        most,
        token_hash,
        &scopes,
        token.expires_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// A user's tokens, newest first.
pub(super) async fn list_tokens(
    tx: &mut Scoped,
    limit: i64,
    after: Option<Cursor>,
) -> Result<Vec<ApiToken>, sqlx::Error> {
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        "
        select api_tokens.id, name, scopes, expires_at, created_at, last_used_at
        from api_tokens join api_token_keys on token_id = api_tokens.id
        where api_tokens.user_id = $1
            and ($3::timestamptz is null or (created_at, api_tokens.id) < ($3, $4::uuid))
        order by created_at desc, api_tokens.id desc
        limit $2
        ",
        user_id,
        limit,
        after.map(|cursor| cursor.at),
        after.map(|cursor| cursor.id),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ApiToken {
            id: row.id,
            name: row.name,
            scopes: parsed(&row.scopes),
            expires_at: row.expires_at,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        })
        .collect())
}

/// Whether there was such a token of this user; its key goes with it.
pub(super) async fn delete_token(tx: &mut Scoped, id: Uuid) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    let deleted = sqlx::query!(
        "delete from api_tokens where id = $1 and user_id = $2",
        id,
        user_id,
    )
    .execute(&mut **tx)
    .await?;
    Ok(deleted.rows_affected() == 1)
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

/// A sign-in under way.
pub(super) struct OAuthState {
    pub provider: String,
    pub browser_hash: Vec<u8>,
    pub user_id: Option<UserId>,
    pub redirect_uri: String,
    pub return_to: String,
    pub expires_at: DateTime<Utc>,
}

/// Adds one, and sweeps those that ended before `forgotten`.
pub(super) async fn add_state(
    pool: &PgPool,
    state_hash: &[u8],
    state: &OAuthState,
    forgotten: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        with swept as (delete from oauth_states where expires_at < $7)
        insert into oauth_states
            (state_hash, provider, browser_hash, user_id, redirect_uri, return_to, expires_at)
        values ($1, $2, $3, $4, $5, $6, $8)
        ",
        state_hash,
        state.provider,
        state.browser_hash,
        state.user_id.map(|user| user.0),
        state.redirect_uri,
        state.return_to,
        forgotten,
        state.expires_at,
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Reads one and ends it, in one statement: of two who bring it, one gets it.
pub(super) async fn take_state(
    pool: &PgPool,
    state_hash: &[u8],
) -> Result<Option<OAuthState>, sqlx::Error> {
    sqlx::query_as!(
        OAuthState,
        r#"
        delete from oauth_states where state_hash = $1
        returning provider, browser_hash, user_id as "user_id: UserId", redirect_uri, return_to,
            expires_at
        "#,
        state_hash,
    )
    .fetch_optional(pool)
    .await
}
