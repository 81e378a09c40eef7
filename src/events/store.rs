//! All SQL over `events`.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Event, Happened, NewEvent};
use crate::db::Scoped;
use crate::ids;
use crate::state::App;
use crate::tasks::Enqueue;

/// As far back as a rule can be rehearsed.
pub const KEPT: TimeDelta = TimeDelta::days(90);
const REMOVED_AT_ONCE: i64 = 500;

/// Records what isn't recorded yet, and queues what follows from it; what is past is dealt with already. The id of each, in the order that
/// they came.
pub async fn append(
    app: &App,
    tx: &mut Scoped,
    events: &[NewEvent],
    caused_by: &Value,
) -> anyhow::Result<Vec<Uuid>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let (user_id, now) = (tx.user_id(), app.clock.now());
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
    let past: Vec<bool> = events.iter().map(|event| event.past).collect();
    let recorded = sqlx::query!(
        "
        insert into events (id, user_id, name, event_key, item_kind, item_id, external_id, data,
            caused_by, occurred_at, recorded_at, past, handled_at)
        select id, $1, name, event_key, item_kind, item_id, external_id, data, $2, occurred_at, $3::timestamptz, past,
            case when past then $3::timestamptz end
        from unnest($4::uuid[], $5::text[], $6::bytea[], $7::text[], $8::uuid[], $9::text[],
            $10::jsonb[], $11::timestamptz[], $12::boolean[])
            as new (id, name, event_key, item_kind, item_id, external_id, data, occurred_at, past)
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
        &past,
    )
    .execute(&mut **tx)
    .await?;
    if recorded.rows_affected() > 0 && past.contains(&false) {
        let once = Enqueue {
            unique_key: Some("rules".to_owned()),
            ..Enqueue::default()
        };
        app.tasks.enqueue(tx, &Happened {}, once).await?;
    }
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

pub async fn find(tx: &mut Scoped, id: Uuid) -> Result<Option<Event>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Event,
        "
        select id, name, item_kind, item_id, external_id, data, occurred_at, recorded_at, past
        from events
        where user_id = $1 and id = $2
        ",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// What rules haven't looked at yet, oldest first.
pub async fn open(tx: &mut Scoped, limit: i64) -> Result<Vec<Event>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Event,
        "
        select id, name, item_kind, item_id, external_id, data, occurred_at, recorded_at, past
        from events
        where user_id = $1 and handled_at is null
        order by id
        limit $2
        ",
        user_id,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// What happened since then, in the order in which rules saw it, or would have; the latest of it when it is
/// too much.
pub async fn since(
    tx: &mut Scoped,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    let user_id = tx.user_id();
    let mut events = sqlx::query_as!(
        Event,
        "
        select id, name, item_kind, item_id, external_id, data, occurred_at, recorded_at, past
        from events
        where user_id = $1 and case when past then occurred_at else recorded_at end >= $2
        order by past, case when past then occurred_at end desc, id desc
        limit $3
        ",
        user_id,
        since,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    events.reverse();
    Ok(events)
}

/// Forgets some of what happened long ago, by the system's time, which ids are made of.
pub async fn tidy(tx: &mut Scoped, system: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        delete from events
        where user_id = $1 and id = any(array(
            select id from events
            where user_id = $1 and id < $2 and handled_at is not null
            order by id
            limit $3
        ))
        ",
        user_id,
        ids::first_of(system - KEPT),
        REMOVED_AT_ONCE,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Forgets the values of what these records of a kind (`hubspot.contact`) were changed to: they were erased by law.
pub async fn forget_values(
    tx: &mut Scoped,
    kind: &str,
    external_ids: &[String],
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        update events set data = data - 'value'
        where user_id = $1 and starts_with(name, $2 || '.') and external_id = any($3) and data ? 'value'
        ",
        user_id,
        kind,
        external_ids,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Notes that rules have looked at these.
pub async fn settle(tx: &mut Scoped, ids: &[Uuid], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update events set handled_at = $3 where user_id = $1 and id = any($2)",
        user_id,
        ids,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}
