//! All SQL over `connections`, their routes, and revocations that are owed.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::Provider;
use crate::db::{Scoped, UserId};

/// A stored grant; its tokens are sealed.
pub(super) struct Row {
    pub id: Uuid,
    pub account: String,
    pub status: String,
    pub access_token: Option<Vec<u8>>,
    pub access_expires_at: Option<DateTime<Utc>>,
    pub refresh_token: Vec<u8>,
}

pub(super) async fn find(tx: &mut Scoped, provider: Provider) -> Result<Option<Row>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Row,
        "
        select id, account, status, access_token, access_expires_at, refresh_token
        from connections
        where user_id = $1 and provider = $2
        ",
        user_id,
        provider.name(),
    )
    .fetch_optional(&mut **tx)
    .await
}

/// What a user sees of a grant.
pub(super) struct Listed {
    pub provider: String,
    pub account: String,
    pub scopes: Vec<String>,
    pub status: String,
    pub problem: Option<String>,
    pub connected_at: DateTime<Utc>,
}

pub(super) async fn list(tx: &mut Scoped) -> Result<Vec<Listed>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Listed,
        "
        select provider, account, scopes, status, problem, connected_at
        from connections
        where user_id = $1
        order by provider
        ",
        user_id,
    )
    .fetch_all(&mut **tx)
    .await
}

/// A grant to be stored.
pub(super) struct New<'a> {
    pub provider: Provider,
    pub id: Uuid,
    pub account: &'a str,
    pub account_id: &'a str,
    pub realm: &'a str,
    pub scopes: &'a [String],
    pub access_token: &'a [u8],
    pub access_expires_at: DateTime<Utc>,
    pub refresh_token: &'a [u8],
    pub sealed_with: &'a str,
    pub now: DateTime<Utc>,
}

/// Stores a grant in the place of the user's earlier one.
pub(super) async fn put(tx: &mut Scoped, new: &New<'_>) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        with routed as (
            insert into connection_routes (user_id, provider, account_id, realm, sealed_with)
            values ($1, $2, $3, $4, $5)
            on conflict (user_id, provider) do update
                set account_id = excluded.account_id, realm = excluded.realm,
                    sealed_with = excluded.sealed_with
        )
        insert into connections (user_id, provider, id, account, scopes, access_token,
            access_expires_at, refresh_token, connected_at)
        values ($1, $2, $6, $7, $8, $9, $10, $11, $12)
        on conflict (user_id, provider) do update
            set id = excluded.id, account = excluded.account, scopes = excluded.scopes,
                status = 'connected', problem = null, access_token = excluded.access_token,
                access_expires_at = excluded.access_expires_at,
                refresh_token = excluded.refresh_token, refreshing_until = null,
                connected_at = excluded.connected_at
        ",
        user_id,
        new.provider.name(),
        new.account_id,
        new.realm,
        new.sealed_with,
        new.id,
        new.account,
        new.scopes,
        new.access_token,
        new.access_expires_at,
        new.refresh_token,
        new.now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Takes the lease on asking the provider for an access token. Nobody else asks until it ends, and no
/// lock is held meanwhile. False when somebody has it, or the grant was replaced.
pub(super) async fn begin_refresh(
    tx: &mut Scoped,
    id: Uuid,
    seconds: f64,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    let begun = sqlx::query!(
        "
        update connections set refreshing_until = now() + make_interval(secs => $3)
        where user_id = $1 and id = $2 and status = 'connected'
            and (refreshing_until is null or refreshing_until <= now())
        ",
        user_id,
        id,
        seconds,
    )
    .execute(&mut **tx)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Stores what a refresh brought and ends the lease. A refresh token is replaced by another, never by
/// nothing. During a change of keys an older instance may seal under an older one: the route says so,
/// and `reseal` comes back.
pub(super) async fn end_refresh(
    tx: &mut Scoped,
    id: Uuid,
    access_token: &[u8],
    expires_at: DateTime<Utc>,
    refresh_token: Option<&[u8]>,
    sealed_with: &str,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    let stored = sqlx::query!(
        "
        with stored as (
            update connections
            set access_token = $3, access_expires_at = $4,
                refresh_token = coalesce($5, refresh_token), refreshing_until = null
            where user_id = $1 and id = $2
            returning provider
        )
        update connection_routes set sealed_with = $6
        from stored
        where connection_routes.user_id = $1 and connection_routes.provider = stored.provider
        ",
        user_id,
        id,
        access_token,
        expires_at,
        refresh_token,
        sealed_with,
    )
    .execute(&mut **tx)
    .await?;
    Ok(stored.rows_affected() == 1)
}

/// Ends the lease after a failure: the next one asks again.
pub(super) async fn give_up_refresh(tx: &mut Scoped, id: Uuid) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update connections set refreshing_until = null where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Only the user can help. False when it was so already, or the grant was replaced meanwhile.
pub(super) async fn needs_reauth(
    tx: &mut Scoped,
    id: Uuid,
    problem: &str,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    let changed = sqlx::query!(
        "
        update connections
        set status = 'needs_reauth', problem = $3, access_token = null, access_expires_at = null,
            refreshing_until = null
        where user_id = $1 and id = $2 and status = 'connected'
        ",
        user_id,
        id,
        problem,
    )
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// A grant that is no longer here.
pub(super) struct Forgotten {
    pub id: Uuid,
    pub account_id: String,
    pub refresh_token: Vec<u8>,
}

/// Forgets the grant; its sealed refresh token comes back, to be revoked.
pub(super) async fn forget(
    tx: &mut Scoped,
    provider: Provider,
) -> Result<Option<Forgotten>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Forgotten,
        "
        with gone as (
            delete from connections where user_id = $1 and provider = $2
            returning id, refresh_token
        ), unrouted as (
            delete from connection_routes where user_id = $1 and provider = $2
            returning account_id
        )
        select id, account_id, refresh_token from gone cross join unrouted
        ",
        user_id,
        provider.name(),
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Notes that a token is to be ended at the provider, without saying whose it was.
pub(super) async fn owe_revocation(
    tx: &mut Scoped,
    id: Uuid,
    provider: Provider,
    account_hash: &[u8],
    (token, channels): (&[u8], &Value),
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        insert into revocations (id, provider, account_hash, token, channels, created_at)
        values ($1, $2, $3, $4, $5, $6)
        ",
        id,
        provider.name(),
        account_hash,
        token,
        channels,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The account has been connected anew.
pub(super) async fn forgive_revocations(
    tx: &mut Scoped,
    account_hash: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from revocations where account_hash = $1",
        account_hash
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A revocation that is owed.
pub(super) struct Owed {
    pub id: Uuid,
    pub provider: String,
    pub token: Vec<u8>,
    /// What is to be stopped before.
    pub channels: Value,
    pub created_at: DateTime<Utc>,
}

/// The oldest first.
pub(super) async fn owed_revocations(pool: &PgPool, limit: i64) -> Result<Vec<Owed>, sqlx::Error> {
    sqlx::query_as!(
        Owed,
        "
        select id, provider, token, channels, created_at from revocations
        order by created_at
        limit $1
        ",
        limit,
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn end_revocation(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from revocations where id = $1", id)
        .execute(pool)
        .await
        .map(drop)
}

/// Whose tokens aren't sealed with this key, in the order of users.
pub(super) async fn sealed_otherwise(
    pool: &PgPool,
    key_id: &str,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<(UserId, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select user_id as "user_id: UserId", provider from connection_routes
        where sealed_with <> $1 and ($2::uuid is null or user_id > $2)
        order by user_id
        fetch first $3 rows with ties
        "#,
        key_id,
        after.map(|user| user.0),
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.user_id, row.provider))
        .collect())
}

/// A grant's sealed tokens.
pub(super) struct Tokens {
    pub access_token: Option<Vec<u8>>,
    pub refresh_token: Vec<u8>,
}

/// Locks the row until the transaction's end.
pub(super) async fn lock_tokens(
    tx: &mut Scoped,
    provider: Provider,
) -> Result<Option<Tokens>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Tokens,
        "
        select access_token, refresh_token from connections
        where user_id = $1 and provider = $2
        for update
        ",
        user_id,
        provider.name(),
    )
    .fetch_optional(&mut **tx)
    .await
}

pub(super) async fn put_resealed(
    tx: &mut Scoped,
    provider: Provider,
    access_token: Option<&[u8]>,
    refresh_token: &[u8],
    sealed_with: &str,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        with noted as (
            update connection_routes set sealed_with = $5 where user_id = $1 and provider = $2
        )
        update connections set access_token = $3, refresh_token = $4
        where user_id = $1 and provider = $2
        ",
        user_id,
        provider.name(),
        access_token,
        refresh_token,
        sealed_with,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A few of those who have connected something.
pub(super) async fn some_users(pool: &PgPool) -> Result<Vec<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select distinct user_id as "user_id: UserId" from connection_routes
        order by 1
        limit 20
        "#,
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn users_of_realms(
    pool: &PgPool,
    provider: Provider,
    realms: &[String],
) -> Result<Vec<(String, UserId)>, sqlx::Error> {
    sqlx::query!(
        r#"
        select realm as "realm!", user_id as "user_id: UserId" from connection_routes
        where provider = $1 and realm = any($2)
        "#,
        provider.name(),
        realms,
    )
    .map(|row| (row.realm, row.user_id))
    .fetch_all(pool)
    .await
}

/// Whose account this is, before anybody's scope is known.
pub(super) async fn user_of(
    pool: &PgPool,
    provider: Provider,
    account_id: &str,
) -> Result<Option<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select user_id as "user_id: UserId" from connection_routes
        where provider = $1 and account_id = $2
        "#,
        provider.name(),
        account_id,
    )
    .fetch_optional(pool)
    .await
}
