//! All SQL over `provider_items` and `walked_items`. Reads `contacts` and `calendar_events` of `book`,
//! for the keys of the rows that items are stored as.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Source;
use super::news::Removed;
use crate::book::Kind;
use crate::db::Scoped;

/// What is known of an item.
pub(super) struct Known {
    pub external_id: String,
    pub has_item: bool,
    pub problem: Option<String>,
}

pub(super) async fn known(
    tx: &mut Scoped,
    source: &str,
    ids: &[String],
) -> Result<Vec<Known>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Known,
        r#"
        select external_id, item_id is not null as "has_item!", problem
        from provider_items
        where user_id = $1 and source = $2 and external_id = any($3)
        "#,
        user_id,
        source,
        ids,
    )
    .fetch_all(&mut **tx)
    .await
}

/// An item and the key of its row.
pub(super) struct Key {
    pub external_id: String,
    pub key: Vec<u8>,
}

/// The rows of these contacts or events, and the items whose rows stand under these keys.
///
/// By three statements, each with its values as a list: while a table is being filled the planner takes
/// it for empty, and in a join it would go through all of it for each row.
pub(super) async fn keys(
    tx: &mut Scoped,
    source: Source,
    ids: &[String],
    keys: &[Vec<u8>],
) -> Result<Vec<Key>, sqlx::Error> {
    let user_id = tx.user_id();
    let contacts = source.item_kind() == Kind::Contact;
    let standing = if contacts {
        sqlx::query_scalar!(
            "select id from contacts where user_id = $1 and dedupe_key = any($2)",
            user_id,
            keys,
        )
        .fetch_all(&mut **tx)
        .await?
    } else {
        sqlx::query_scalar!(
            "select id from calendar_events where user_id = $1 and dedupe_key = any($2)",
            user_id,
            keys,
        )
        .fetch_all(&mut **tx)
        .await?
    };
    let links = sqlx::query!(
        r#"
        select external_id, item_id as "item_id!" from provider_items
        where user_id = $1 and source = $2 and item_id is not null
            and (external_id = any($3) or item_id = any($4))
        "#,
        user_id,
        source.name(),
        ids,
        &standing,
    )
    .fetch_all(&mut **tx)
    .await?;
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Uuid> = links.iter().map(|link| link.item_id).collect();
    let stored: HashMap<Uuid, Vec<u8>> = if contacts {
        sqlx::query!(
            "select id, dedupe_key from contacts where user_id = $1 and id = any($2)",
            user_id,
            &rows,
        )
        .map(|row| (row.id, row.dedupe_key))
        .fetch_all(&mut **tx)
        .await?
    } else {
        sqlx::query!(
            "select id, dedupe_key from calendar_events where user_id = $1 and id = any($2)",
            user_id,
            &rows,
        )
        .map(|row| (row.id, row.dedupe_key))
        .fetch_all(&mut **tx)
        .await?
    }
    .into_iter()
    .collect();
    let key = |row| stored.get(&row).cloned();
    Ok(links
        .into_iter()
        .filter_map(|link| {
            Some(Key {
                key: key(link.item_id)?,
                external_id: link.external_id,
            })
        })
        .collect())
}

/// Items and the rows that they are stored as.
#[derive(Default)]
pub(super) struct Links {
    pub external_ids: Vec<String>,
    pub item_ids: Vec<Uuid>,
    pub at: Vec<Option<DateTime<Utc>>>,
}

/// Writes only what is new.
pub(super) async fn link(tx: &mut Scoped, source: &str, links: &Links) -> Result<(), sqlx::Error> {
    if links.external_ids.is_empty() {
        return Ok(());
    }
    let user_id = tx.user_id();
    sqlx::query!(
        "
        insert into provider_items (user_id, source, external_id, item_id, at)
        select distinct on (external_id) $1, $2, external_id, item_id, at
        from unnest($3::text[], $4::uuid[], $5::timestamptz[]) as new (external_id, item_id, at)
        on conflict (user_id, source, external_id) do update
            set item_id = excluded.item_id, at = excluded.at, problem = null, reason = null
            where (provider_items.item_id, provider_items.at, provider_items.problem)
                is distinct from (excluded.item_id, excluded.at, null)
        ",
        user_id,
        source,
        &links.external_ids,
        &links.item_ids,
        &links.at as &[Option<DateTime<Utc>>],
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Why these items aren't kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Unreadable,
    Excluded,
}

impl Problem {
    const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Excluded => "excluded",
        }
    }
}

/// Notes items that can't be read or aren't wanted. What can't be read now keeps the row that it had.
pub(super) async fn note(
    tx: &mut Scoped,
    source: &str,
    problem: Problem,
    ids: &[String],
    reasons: &[String],
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let user_id = tx.user_id();
    sqlx::query!(
        "
        insert into provider_items (user_id, source, external_id, problem, reason)
        select distinct on (external_id) $1, $2, external_id, $3, reason
        from unnest($4::text[], $5::text[]) as new (external_id, reason)
        on conflict (user_id, source, external_id) do update
            set problem = excluded.problem, reason = excluded.reason
            where (provider_items.problem, provider_items.reason)
                is distinct from (excluded.problem, excluded.reason)
        ",
        user_id,
        source,
        problem.name(),
        ids,
        reasons,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The rows of these items.
pub(super) async fn rows(
    tx: &mut Scoped,
    source: &str,
    ids: &[String],
) -> Result<Vec<Removed>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let user_id = tx.user_id();
    sqlx::query_as!(
        Removed,
        r#"
        select external_id, item_id as "row!" from provider_items
        where user_id = $1 and source = $2 and item_id is not null and external_id = any($3)
        "#,
        user_id,
        source,
        ids,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Parts items from their rows, and tells which of the rows no item stands for any more. Items that
/// are `gone` are forgotten; those that are excluded stay known.
pub(super) async fn part(
    tx: &mut Scoped,
    source: &str,
    ids: &[String],
    gone: bool,
) -> Result<Vec<Uuid>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let user_id = tx.user_id();
    // Two statements: the second must see what the first did.
    let parted = if gone {
        sqlx::query_scalar!(
            "
            delete from provider_items
            where user_id = $1 and source = $2 and external_id = any($3)
            returning item_id
            ",
            user_id,
            source,
            ids,
        )
        .fetch_all(&mut **tx)
        .await?
    } else {
        sqlx::query_scalar!(
            "
            with before as (
                select external_id, item_id from provider_items
                where user_id = $1 and source = $2 and external_id = any($3) and item_id is not null
            )
            update provider_items as item set item_id = null
            from before
            where item.user_id = $1 and item.source = $2 and item.external_id = before.external_id
            returning before.item_id
            ",
            user_id,
            source,
            ids,
        )
        .fetch_all(&mut **tx)
        .await?
    };
    let parted: Vec<Uuid> = parted.into_iter().flatten().collect();
    if parted.is_empty() {
        return Ok(parted);
    }
    sqlx::query_scalar!(
        r#"
        select distinct parted.id as "id!"
        from unnest($2::uuid[]) as parted (id)
        where not exists (select from provider_items where user_id = $1 and item_id = parted.id)
        "#,
        user_id,
        &parted,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Notes that the walk under way has met these.
pub(super) async fn walked(
    tx: &mut Scoped,
    source: &str,
    ids: &[String],
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let user_id = tx.user_id();
    sqlx::query!(
        "
        insert into walked_items (user_id, source, external_id)
        select $1, $2, unnest($3::text[])
        on conflict do nothing
        ",
        user_id,
        source,
        ids,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub(super) async fn forget_walked(tx: &mut Scoped, source: &str) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "delete from walked_items where user_id = $1 and source = $2",
        user_id,
        source,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Some of the items that the walk hasn't met. Of a calendar only those that begin within the window
/// that was listed: what is older stays.
///
/// Two sets are subtracted, and no row looked for in the other: a walk fills its table within seconds,
/// and a planner that still takes it for empty would compare each with each.
pub(super) async fn not_walked(
    tx: &mut Scoped,
    source: &str,
    window: Option<(DateTime<Utc>, DateTime<Utc>)>,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select external_id as "external_id!"
        from provider_items as item
        where user_id = $1 and source = $2
            and ($3::timestamptz is null or item_id is null or exists (
                select from calendar_events as event
                where event.user_id = $1 and event.id = item.item_id
                    and (event.starts_at is null or event.starts_at between $3 and $4::timestamptz)
            ))
        except
        select external_id from walked_items where user_id = $1 and source = $2
        limit $5
        "#,
        user_id,
        source,
        window.map(|window| window.0),
        window.map(|window| window.1),
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Some items of a source, whatever they are.
pub(super) async fn some(
    tx: &mut Scoped,
    source: &str,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        "select external_id from provider_items where user_id = $1 and source = $2 limit $3",
        user_id,
        source,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// How many items of each source there are.
pub(super) struct Count {
    pub source: String,
    pub stored: i64,
    pub unreadable: i64,
    pub newest_at: Option<DateTime<Utc>>,
}

pub(super) async fn counts(tx: &mut Scoped) -> Result<Vec<Count>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Count,
        r#"
        select source, count(item_id) as "stored!",
            count(*) filter (where problem = 'unreadable') as "unreadable!",
            max(at) filter (where item_id is not null) as newest_at
        from provider_items
        where user_id = $1
        group by source
        "#,
        user_id,
    )
    .fetch_all(&mut **tx)
    .await
}

/// An item that can't be read.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Unreadable {
    /// The provider's name for it.
    pub id: String,
    pub reason: String,
}

/// The unreadable items of each source, some of each.
pub(super) async fn unreadable(
    tx: &mut Scoped,
    of_each: i64,
) -> Result<HashMap<String, Vec<Unreadable>>, sqlx::Error> {
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select source as "source!", external_id as "external_id!", coalesce(reason, '') as "reason!"
        from (
            select source, external_id, reason,
                row_number() over (partition by source order by external_id) as place
            from provider_items
            where user_id = $1 and problem = 'unreadable'
        ) as each
        where place <= $2
        order by source, place
        "#,
        user_id,
        of_each,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut by_source: HashMap<String, Vec<Unreadable>> = HashMap::new();
    for row in rows {
        by_source.entry(row.source).or_default().push(Unreadable {
            id: row.external_id,
            reason: row.reason,
        });
    }
    Ok(by_source)
}

/// Forgets what is left out by none of these parts of the user's scope any more, so that the next walk
/// fetches it. Whether there was any.
pub(super) async fn readmit(
    tx: &mut Scoped,
    source: &str,
    parts: &[String],
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    let forgotten = sqlx::query!(
        "
        delete from provider_items
        where user_id = $1 and source = $2 and problem = 'excluded' and reason <> all($3)
        ",
        user_id,
        source,
        parts,
    )
    .execute(&mut **tx)
    .await?;
    Ok(forgotten.rows_affected() > 0)
}

/// A stored mail and who wrote it to whom.
pub(super) struct Mail {
    pub external_id: String,
    pub sender: Option<String>,
    pub recipients: Vec<String>,
}

/// Mails of the mailbox in which one of these addresses or domains takes part, by the mailbox's ids.
pub(super) async fn mails_with(
    tx: &mut Scoped,
    addresses: &[String],
    domains: &[String],
    after: &str,
    limit: i64,
) -> Result<Vec<Mail>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Mail,
        r#"
        select external_id, sender ->> 'address' as sender,
            array(
                select person ->> 'address' from jsonb_array_elements(recipients || copied) as person
            ) as "recipients!"
        from provider_items as item
        join emails on emails.user_id = $1 and emails.id = item.item_id
        where item.user_id = $1 and item.source = 'gmail' and item.external_id > $4
            and exists (
                select from unnest(participants) as address
                where address = any($2) or exists (
                    select from unnest($3::text[]) as domain
                    where address like '%@' || domain or address like '%.' || domain
                )
            )
        order by external_id
        limit $5
        "#,
        user_id,
        addresses,
        domains,
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// What the provider calls an item that is stored under this id.
pub async fn external_id(
    tx: &mut Scoped,
    source: &str,
    item_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        "select external_id from provider_items where user_id = $1 and source = $2 and item_id = $3 limit 1",
        user_id,
        source,
        item_id,
    )
    .fetch_optional(&mut **tx)
    .await
}
