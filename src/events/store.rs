//! All SQL over `events`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::NewEvent;
use crate::db::Scoped;
use crate::ids;

/// Records what isn't recorded yet. The id of each, in the order that they came.
pub async fn append(
    tx: &mut Scoped,
    events: &[NewEvent],
    caused_by: &Value,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let user_id = tx.user_id();
    let ids: Vec<Uuid> = events.iter().map(|_| ids::next()).collect();
    let names: Vec<&str> = events.iter().map(|event| event.name).collect();
    let keys: Vec<&[u8]> = events.iter().map(|event| &event.key[..]).collect();
    let kinds: Vec<Option<&str>> = events
        .iter()
        .map(|event| event.item.map(|(kind, _)| kind.name()))
        .collect();
    let items: Vec<Option<Uuid>> = events
        .iter()
        .map(|event| event.item.map(|(_, id)| id))
        .collect();
    let external_ids: Vec<&str> = events
        .iter()
        .map(|event| event.external_id.as_str())
        .collect();
    let data: Vec<&Value> = events.iter().map(|event| &event.data).collect();
    let occurred: Vec<DateTime<Utc>> = events.iter().map(|event| event.occurred_at).collect();
    sqlx::query!(
        "
        insert into events (id, user_id, name, event_key, item_kind, item_id, external_id, data,
            caused_by, occurred_at, recorded_at)
        select id, $1, name, event_key, item_kind, item_id, external_id, data, $2, occurred_at, $3
        from unnest($4::uuid[], $5::text[], $6::bytea[], $7::text[], $8::uuid[], $9::text[],
            $10::jsonb[], $11::timestamptz[])
            as new (id, name, event_key, item_kind, item_id, external_id, data, occurred_at)
        order by event_key
        on conflict (user_id, event_key) do nothing
        ",
        user_id,
        caused_by,
        now,
        &ids,
        &names as &[&str],
        &keys as &[&[u8]],
        &kinds as &[Option<&str>],
        &items as &[Option<Uuid>],
        &external_ids as &[&str],
        &data as &[&Value],
        &occurred,
    )
    .execute(&mut **tx)
    .await?;
    let recorded: HashMap<Vec<u8>, Uuid> = sqlx::query!(
        "select event_key, id from events where user_id = $1 and event_key = any($2)",
        user_id,
        &keys as &[&[u8]],
    )
    .map(|row| (row.event_key, row.id))
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .collect();
    Ok(events
        .iter()
        .filter_map(|event| recorded.get(&event.key[..]).copied())
        .collect())
}

/// What these are called.
pub async fn names(tx: &mut Scoped, ids: &[Uuid]) -> Result<HashMap<Uuid, String>, sqlx::Error> {
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        "select id, name from events where user_id = $1 and id = any($2)",
        user_id,
        ids,
    )
    .map(|row| (row.id, row.name))
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().collect())
}
