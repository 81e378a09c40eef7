//! All SQL over `user_settings`.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{AutoRecipients, Autonomy, ImportScope, Leave, SendUpdates, Settings};
use crate::db::Scoped;

struct Row {
    labels: Vec<String>,
    never_senders: Vec<String>,
    never_domains: Vec<String>,
    own_addresses: Vec<String>,
    time_zone: Option<String>,
    working_hours: Option<Value>,
    autonomy_send_email: Leave,
    autonomy_create_event: Leave,
    autonomy_write_crm: Leave,
    auto_recipients: AutoRecipients,
    instructions: String,
    send_updates: SendUpdates,
    daily_token_budget: i64,
    paused_at: Option<DateTime<Utc>>,
    budget_set_at: Option<DateTime<Utc>>,
}

/// The user's settings; the defaults where nothing was set.
pub async fn find(tx: &mut Scoped) -> Result<Settings, sqlx::Error> {
    let user_id = tx.user_id();
    let row = sqlx::query_as!(
        Row,
        r#"
        select labels, never_senders, never_domains, own_addresses, time_zone, working_hours,
            autonomy_send_email as "autonomy_send_email: Leave",
            autonomy_create_event as "autonomy_create_event: Leave",
            autonomy_write_crm as "autonomy_write_crm: Leave",
            auto_recipients as "auto_recipients: AutoRecipients", instructions,
            send_updates as "send_updates: SendUpdates", daily_token_budget, paused_at,
            budget_set_at
        from user_settings
        where user_id = $1
        "#,
        user_id,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map_or_else(Settings::default, Settings::from))
}

impl From<Row> for Settings {
    fn from(row: Row) -> Self {
        let zone = row.time_zone.and_then(|name| name.parse().ok());
        let hours = row.working_hours.map(serde_json::from_value);
        Self {
            import_scope: ImportScope {
                labels: row.labels,
                never_senders: row.never_senders,
                never_domains: row.never_domains,
            },
            own_addresses: row.own_addresses,
            time_zone: zone.unwrap_or(chrono_tz::Tz::UTC),
            working_hours: hours.and_then(Result::ok).unwrap_or_default(),
            autonomy: Autonomy {
                send_email: row.autonomy_send_email,
                create_event: row.autonomy_create_event,
                write_crm: row.autonomy_write_crm,
            },
            auto_recipients: row.auto_recipients,
            instructions: row.instructions,
            send_updates: row.send_updates,
            daily_token_budget: row.daily_token_budget,
            paused: row.paused_at.is_some(),
            paused_at: row.paused_at,
            budget_set_at: row.budget_set_at,
        }
    }
}

/// The pause that is on, with the promise that none begins before the transaction's end: whoever then
/// commits that something is about to go out did so before it.
pub async fn hold_if_paused(tx: &mut Scoped) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let user_id = tx.user_id();
    let paused_at = sqlx::query_scalar!(
        "select paused_at from user_settings where user_id = $1 for share",
        user_id,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(paused_at.flatten())
}

/// Takes over the time zone of the user's calendar, unless one is set.
pub async fn adopt_time_zone(tx: &mut Scoped, name: &str) -> Result<(), sqlx::Error> {
    let Ok(zone) = name.parse::<chrono_tz::Tz>() else {
        return Ok(());
    };
    let user_id = tx.user_id();
    sqlx::query!(
        "
        insert into user_settings (user_id, time_zone) values ($1, $2)
        on conflict (user_id) do update set time_zone = excluded.time_zone
            where user_settings.time_zone is null
        ",
        user_id,
        zone.name(),
    )
    .execute(&mut **tx)
    .await
    .map(drop)
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
    let hours = serde_json::to_value(&settings.working_hours)
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "
        update user_settings
        set labels = $2, never_senders = $3, never_domains = $4, own_addresses = $5,
            working_hours = $6, autonomy_send_email = $7, autonomy_create_event = $8,
            autonomy_write_crm = $9, auto_recipients = $10, instructions = $11, send_updates = $12,
            daily_token_budget = $13, paused_at = $14, budget_set_at = $15
        where user_id = $1
        ",
        user_id,
        &scope.labels,
        &scope.never_senders,
        &scope.never_domains,
        &settings.own_addresses,
        hours,
        settings.autonomy.send_email as Leave,
        settings.autonomy.create_event as Leave,
        settings.autonomy.write_crm as Leave,
        settings.auto_recipients as AutoRecipients,
        settings.instructions,
        settings.send_updates as SendUpdates,
        settings.daily_token_budget,
        settings.paused_at,
        settings.budget_set_at,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub(super) async fn put_time_zone(tx: &mut Scoped, zone: chrono_tz::Tz) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update user_settings set time_zone = $2 where user_id = $1",
        user_id,
        zone.name(),
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
