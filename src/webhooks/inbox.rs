//! All SQL over `webhook_events`. Reads `events` of its neighbour, for what a delivery came to.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::delivery::{Delivery, OBJECT_KINDS};
use crate::db::Scoped;
use crate::ids;

/// How long what has been handled is kept: much longer than any provider tells it again.
const KEPT: TimeDelta = TimeDelta::days(7);
const REMOVED_AT_ONCE: i64 = 500;

/// Stores what isn't known yet. Which providers' inboxes grew.
///
/// In the order of the keys: two transactions with the same deliveries wait for each other, and don't
/// lock each other out.
pub(super) async fn take(
    tx: &mut Scoped,
    deliveries: &[(Delivery, Option<String>)],
    now: DateTime<Utc>,
) -> Result<Vec<String>, sqlx::Error> {
    let user_id = tx.user_id();
    let of = |part: fn(&Delivery) -> &str| -> Vec<&str> {
        deliveries.iter().map(|(one, _)| part(one)).collect()
    };
    let ids: Vec<Uuid> = deliveries.iter().map(|_| ids::next()).collect();
    let keys: Vec<&[u8]> = deliveries.iter().map(|(one, _)| &one.key[..]).collect();
    // They are digits. Arrays of several lengths are nothing that can be unnested.
    let object_ids: Vec<String> = deliveries
        .iter()
        .map(|(one, _)| one.object_ids.join(","))
        .collect();
    let contents: Vec<&Value> = deliveries.iter().map(|(one, _)| &one.content).collect();
    let requests: Vec<Option<&str>> = deliveries
        .iter()
        .map(|(_, request)| request.as_deref())
        .collect();
    let occurred: Vec<Option<DateTime<Utc>>> =
        deliveries.iter().map(|(one, _)| one.occurred_at).collect();
    sqlx::query_scalar!(
        r#"
        with new as (
            insert into webhook_events (id, user_id, provider, event_key, kind, object_kind,
                object_ids, verified_by, content, request_id, occurred_at, received_at)
            select id, $1, provider, event_key, kind, object_kind,
                string_to_array(object_ids, ','), verified_by, content, request_id,
                occurred_at, $2
            from unnest($3::uuid[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[],
                $9::text[], $10::jsonb[], $11::text[], $12::timestamptz[])
                as came (id, provider, event_key, kind, object_kind, object_ids, verified_by,
                    content, request_id, occurred_at)
            order by provider, event_key
            on conflict (user_id, provider, event_key) do nothing
            returning provider
        )
        select distinct provider as "provider!" from new order by 1
        "#,
        user_id,
        now,
        &ids,
        &of(|one| one.provider) as &[&str],
        &keys as &[&[u8]],
        &of(|one| &one.kind) as &[&str],
        &of(|one| one.object_kind) as &[&str],
        &object_ids,
        &of(|one| one.verified_by) as &[&str],
        &contents as &[&Value],
        &requests as &[Option<&str>],
        &occurred as &[Option<DateTime<Utc>>],
    )
    .fetch_all(&mut **tx)
    .await
}

/// A delivery that waits to be acted upon.
#[derive(Clone, Debug)]
pub struct Pending {
    pub id: Uuid,
    pub key: Vec<u8>,
    pub kind: String,
    pub object_ids: Vec<String>,
    pub content: Value,
    pub occurred_at: Option<DateTime<Utc>>,
}

impl Pending {
    /// What HubSpot says was done: `creation` of `contact.creation`.
    pub fn verb(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }

    /// Whether HubSpot says that this app did it, or that somebody at the keyboard changed a property; none where that
    /// can't be told. How it names an app isn't documented, so another name is no proof that it wasn't ours.
    pub fn is_by_app(&self, app_id: u64) -> Option<bool> {
        let text = |name: &str| self.content.get(name).and_then(Value::as_str);
        let source = self.content.get("sourceId")?;
        let by_user = text("sourceId").is_some_and(|source| source.starts_with("userId"));
        if by_user {
            let is_change = self.verb() == "propertyChange";
            return (is_change && text("changeSource") == Some("CRM_UI")).then_some(false);
        }
        let number = match source.as_str() {
            Some(source) => source.rsplit(':').next()?.parse().ok(),
            None => source.as_u64(),
        };
        (number == Some(app_id)).then_some(true)
    }
}

/// What waits, oldest first, of a provider and about one kind of object, or about none (`""`).
pub async fn pending(
    tx: &mut Scoped,
    provider: &str,
    object_kind: &str,
    limit: i64,
) -> Result<Vec<Pending>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Pending,
        r#"
        select id, event_key as key, kind, object_ids, content, occurred_at
        from webhook_events
        where user_id = $1 and provider = $2 and object_kind = $3 and handled_at is null
        order by id
        limit $4
        "#,
        user_id,
        provider,
        object_kind,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// About which kinds of object something waits. One probe of the index for each: there may be very much.
pub async fn pending_kinds(tx: &mut Scoped, provider: &str) -> Result<Vec<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select about as "about!" from unnest($3::text[]) as about
        where exists (
            select from webhook_events
            where user_id = $1 and provider = $2 and object_kind = about and handled_at is null
        )
        "#,
        user_id,
        provider,
        &OBJECT_KINDS as &[&str],
    )
    .fetch_all(&mut **tx)
    .await
}

/// Notes that these were acted upon: by which task, and what each came to.
pub async fn settle(
    tx: &mut Scoped,
    settled: &[(Uuid, Vec<Uuid>)],
    task_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    let ids: Vec<Uuid> = settled.iter().map(|(id, _)| *id).collect();
    let events: Vec<Value> = settled
        .iter()
        .map(|(_, events)| events.iter().map(Uuid::to_string).collect())
        .collect();
    sqlx::query!(
        "
        update webhook_events as delivery
        set handled_at = $2, task_id = $3,
            event_ids = array(select jsonb_array_elements_text(settled.events)::uuid)
        from unnest($4::uuid[], $5::jsonb[]) as settled (id, events)
        where delivery.user_id = $1 and delivery.id = settled.id
        ",
        user_id,
        now,
        task_id,
        &ids,
        &events,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The same for all that waits of a provider about one kind of object, or about none (`""`).
pub async fn settle_all(
    tx: &mut Scoped,
    provider: &str,
    object_kind: &str,
    task_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        update webhook_events set handled_at = $4, task_id = $5
        where user_id = $1 and provider = $2 and object_kind = $3 and handled_at is null
        ",
        user_id,
        provider,
        object_kind,
        now,
        task_id,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Forgets what was told of these contacts of HubSpot's, but that something was: they were erased by law.
pub async fn forget(tx: &mut Scoped, contact_ids: &[String]) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        r#"
        update webhook_events set content = '{"erased": true}'
        where user_id = $1 and provider = 'hubspot' and object_kind = 'contact' and object_ids && $2
        "#,
        user_id,
        contact_ids,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Forgets some of what was handled long ago, by the system's time, which ids are made of: so the rows
/// that stay aren't looked at.
pub async fn tidy(tx: &mut Scoped, system: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "
        delete from webhook_events
        where user_id = $1 and id = any(array(
            select id from webhook_events
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

/// A delivery as the inbox shows it.
pub(super) struct Stored {
    pub id: Uuid,
    pub provider: String,
    pub kind: String,
    pub object_kind: String,
    pub object_ids: Vec<String>,
    pub verified_by: String,
    pub content: Value,
    pub occurred_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
    pub handled_at: Option<DateTime<Utc>>,
    pub task_id: Option<Uuid>,
    pub event_ids: Vec<Uuid>,
}

/// Newest first; one more than `limit`.
pub(super) async fn list(
    tx: &mut Scoped,
    provider: Option<&str>,
    handled: Option<bool>,
    limit: i64,
    before: Option<Uuid>,
) -> Result<Vec<Stored>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Stored,
        "
        select id, provider, kind, object_kind, object_ids, verified_by, content, occurred_at,
            received_at, handled_at, task_id, event_ids
        from webhook_events
        where user_id = $1 and ($2::text is null or provider = $2)
            and ($3::bool is null or (handled_at is not null) = $3)
            and ($4::uuid is null or id < $4)
        order by id desc
        limit $5::bigint + 1
        ",
        user_id,
        provider,
        handled,
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
        select id, provider, kind, object_kind, object_ids, verified_by, content, occurred_at,
            received_at, handled_at, task_id, event_ids
        from webhook_events
        where user_id = $1 and id = $2
        ",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Lets it be acted upon once more. Its provider; none when there is no such delivery.
pub(super) async fn reopen(tx: &mut Scoped, id: Uuid) -> Result<Option<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        "
        update webhook_events set handled_at = null
        where user_id = $1 and id = $2
        returning provider
        ",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Some of what these tasks brought about: events, by task.
pub(super) async fn events_of_tasks(
    tx: &mut Scoped,
    tasks: &[Uuid],
    of_each: i64,
) -> Result<HashMap<Uuid, Vec<Uuid>>, sqlx::Error> {
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select task as "task_id!", event.id as "id!"
        from (select distinct task from unnest($2::uuid[]) as task) as tasks
        cross join lateral (
            select id from events
            where user_id = $1 and caused_by is not null and caused_by ->> 'id' = task::text and not past
            order by id
            limit $3
        ) as event
        order by task, event.id
        "#,
        user_id,
        tasks,
        of_each,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut by_task: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for row in rows {
        by_task.entry(row.task_id).or_default().push(row.id);
    }
    Ok(by_task)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_said_of_the_cause_is_believed() {
        let by = |kind: &str, source: Value, change_source: &str| {
            let pending = Pending {
                id: Uuid::nil(),
                key: Vec::new(),
                kind: kind.to_owned(),
                object_ids: Vec::new(),
                content: json!({"sourceId": source, "changeSource": change_source}),
                occurred_at: None,
            };
            pending.is_by_app(777)
        };
        let change = "contact.propertyChange";
        for ours in [json!("777"), json!(777), json!("appId:777")] {
            assert_eq!(by(change, ours, "INTEGRATION"), Some(true));
        }
        assert_eq!(by(change, json!("userId:777"), "CRM_UI"), Some(false));
        // Whoever made it is known otherwise.
        assert_eq!(by("contact.creation", json!("userId:777"), "CRM_UI"), None);
        assert_eq!(by(change, json!("userId:777"), "API"), None);
        for unclear in [json!("778"), json!(null), json!("oauth"), json!({})] {
            assert_eq!(by(change, unclear, "API"), None);
        }
    }
}
