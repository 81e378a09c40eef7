//! All SQL over `user_settings`.

use super::{ImportScope, Settings};
use crate::db::Scoped;

struct Row {
    labels: Vec<String>,
    never_senders: Vec<String>,
    never_domains: Vec<String>,
    own_addresses: Vec<String>,
}

/// The user's settings; the defaults where nothing was set.
pub async fn find(tx: &mut Scoped) -> Result<Settings, sqlx::Error> {
    let user_id = tx.user_id();
    let row = sqlx::query_as!(
        Row,
        "
        select labels, never_senders, never_domains, own_addresses
        from user_settings
        where user_id = $1
        ",
        user_id,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map_or_else(Settings::default, |row| Settings {
        import_scope: ImportScope {
            labels: row.labels,
            never_senders: row.never_senders,
            never_domains: row.never_domains,
        },
        own_addresses: row.own_addresses,
    }))
}

/// Keeps others from changing the user's settings until the transaction's end.
pub(super) async fn lock(tx: &mut Scoped) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "insert into user_settings (user_id) values ($1) on conflict do nothing",
        user_id,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "select from user_settings where user_id = $1 for update",
        user_id
    )
    .fetch_optional(&mut **tx)
    .await
    .map(drop)
}

pub(super) async fn put(tx: &mut Scoped, settings: &Settings) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    let scope = &settings.import_scope;
    sqlx::query!(
        "
        insert into user_settings (user_id, labels, never_senders, never_domains, own_addresses)
        values ($1, $2, $3, $4, $5)
        on conflict (user_id) do update set
            labels = excluded.labels, never_senders = excluded.never_senders,
            never_domains = excluded.never_domains, own_addresses = excluded.own_addresses
        ",
        user_id,
        &scope.labels,
        &scope.never_senders,
        &scope.never_domains,
        &settings.own_addresses,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Every address of the user's own, in lower case: as they sign in, their mailbox, and what they set.
pub async fn own_addresses(tx: &mut Scoped) -> Result<Vec<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select lower(email) as "address!" from users where id = $1
        union
        select lower(account) from connections where user_id = $1 and provider = 'google'
        union
        select unnest(own_addresses) from user_settings where user_id = $1
        order by 1
        "#,
        user_id,
    )
    .fetch_all(&mut **tx)
    .await
}
