//! All SQL behind one contact's page: where they appear, and with whom they live. Reads `users` and
//! `connections` for the user's own addresses.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::db::Scoped;

/// A key that so many share is an office's, and no household's.
const LARGEST_HOUSEHOLD: i64 = 8;

/// A mail as it is listed.
pub struct LatestMail {
    pub id: Uuid,
    pub subject: String,
    pub sent_at: Option<DateTime<Utc>>,
    pub sender: Option<Value>,
    /// As much of the text as a snippet may need.
    pub beginning: String,
}

/// The latest mails with any of these addresses, by their keys.
pub async fn latest_mails(
    tx: &mut Scoped,
    keys: &[String],
    limit: i64,
) -> Result<Vec<LatestMail>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        LatestMail,
        r#"
        select id, subject, sent_at, sender, left(text, 1000) as "beginning!"
        from (
            select distinct item_id
            from unnest($2::text[]) as key (who) cross join lateral (
                select item_id
                from appearances
                where user_id = $1 and appearances.who = key.who and kind = 'email'
                order by at desc nulls last, item_id
                limit $3
            ) as latest
        ) as appeared
        join emails on emails.user_id = $1 and emails.id = item_id
        order by sent_at desc nulls last, id
        limit $3
        "#,
        user_id,
        keys,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// A meeting as it is listed.
pub struct Meeting {
    pub id: Uuid,
    pub title: String,
    pub start: DateTime<Utc>,
    pub organiser: Option<Value>,
}

/// The last meeting with any of these addresses that has begun, and the next one, as far as there are
/// any. What was cancelled counts as neither. The orders are those of the index.
pub async fn nearest_meetings(
    tx: &mut Scoped,
    keys: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<Meeting>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Meeting,
        r#"
        (
            select id as "id!", title as "title!", starts_at as "start!", organiser
            from unnest($2::text[]) as key (who) cross join lateral (
                select id, title, starts_at, organiser
                from appearances join calendar_events on calendar_events.user_id = $1 and id = item_id
                where appearances.user_id = $1 and appearances.who = key.who and kind = 'event' and at < $3
                    and status is distinct from 'cancelled'
                order by at desc nulls last
                limit 1
            ) as past
            order by starts_at desc, id
            limit 1
        )
        union all
        (
            select id, title, starts_at, organiser
            from unnest($2::text[]) as key (who) cross join lateral (
                select id, title, starts_at, organiser
                from appearances join calendar_events on calendar_events.user_id = $1 and id = item_id
                where appearances.user_id = $1 and appearances.who = key.who and kind = 'event' and at >= $3
                    and status is distinct from 'cancelled'
                order by at nulls first
                limit 1
            ) as coming
            order by starts_at, id
            limit 1
        )
        "#,
        user_id,
        keys,
        now,
    )
    .fetch_all(&mut **tx)
    .await
}

/// A note as it is listed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ListedNote {
    pub id: Uuid,
    pub text: String,
    pub at: Option<DateTime<Utc>>,
}

pub async fn latest_notes(
    tx: &mut Scoped,
    uid: &str,
    limit: i64,
) -> Result<Vec<ListedNote>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        ListedNote,
        "
        select id, text, written_at as at
        from appearances join notes on notes.user_id = $1 and id = item_id
        where appearances.user_id = $1 and who = $2 and kind = 'note'
        order by appearances.at desc nulls last, item_id
        limit $3
        ",
        user_id,
        uid,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// A deal as it is listed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ListedDeal {
    pub id: Uuid,
    pub name: String,
    /// As the provider writes it.
    pub amount: Option<String>,
    pub stage: Option<String>,
    pub closes_on: Option<NaiveDate>,
}

/// What closes last comes first.
pub async fn deals_about(
    tx: &mut Scoped,
    uid: &str,
    limit: i64,
) -> Result<Vec<ListedDeal>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        ListedDeal,
        "
        select id, name, amount, stage, closes_on
        from appearances join deals on deals.user_id = $1 and id = item_id
        where appearances.user_id = $1 and who = $2 and kind = 'deal'
        order by closes_on desc nulls last, name, id
        limit $3
        ",
        user_id,
        uid,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Somebody in the book, by name.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Somebody {
    pub id: Uuid,
    pub name: String,
}

/// Who shares an address, a number or a home with this contact, but for `none_of` these keys.
pub async fn household(
    tx: &mut Scoped,
    contact_id: Uuid,
    none_of: &[String],
    limit: i64,
) -> Result<Vec<Somebody>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Somebody,
        "
        with shared as (
            select key from contact_keys
            where user_id = $1 and contact_id = $2 and key <> all($3)
                and (
                    select count(*) from contact_keys as holders
                    where holders.user_id = $1 and holders.key = contact_keys.key
                ) <= $4
        )
        select id, name from contacts
        where user_id = $1 and id <> $2 and id in (
            select contact_id from contact_keys join shared using (key) where user_id = $1
        )
        order by name, id
        limit $5
        ",
        user_id,
        contact_id,
        none_of,
        LARGEST_HOUSEHOLD,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// The names under which mails from these addresses came, of their latest ones, the most usual first.
pub async fn names_used(
    tx: &mut Scoped,
    keys: &[String],
    mails: i64,
) -> Result<Vec<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select sender ->> 'name' as "name!"
        from unnest($2::text[]) as key (who) cross join lateral (
            select item_id
            from appearances
            where user_id = $1 and appearances.who = key.who and kind = 'email' and role = 'from'
            order by at desc nulls last, item_id
            limit $3
        ) as latest
        join emails on emails.user_id = $1 and emails.id = item_id
        where sender ->> 'name' is not null
        group by 1
        order by count(*) desc, 1
        "#,
        user_id,
        keys,
        mails,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Somebody by the name in the address book.
#[derive(Clone, Debug)]
pub struct Acquaintance {
    pub name: String,
    /// Keys of their addresses.
    pub keys: Vec<String>,
}

/// Everybody who has an address, by name; a book of 200 families is read at once.
pub async fn everybody(tx: &mut Scoped) -> Result<Vec<Acquaintance>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Acquaintance,
        r#"
        select name, array_agg(substr(key, length('mail:') + 1) order by key) as "keys!"
        from contacts join contact_keys on contact_keys.user_id = $1 and contact_id = contacts.id
        where contacts.user_id = $1 and key like 'mail:%'
        group by contacts.id, name
        order by name, contacts.id
        limit 50000
        "#,
        user_id,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Who knows each of these items anyway, by the keys of their addresses: who takes part in a mail or an
/// event, and whom a contact's record, a note or a deal is about.
pub async fn readers(
    tx: &mut Scoped,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, BTreeSet<String>>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select item_id as "item_id!", who as "address!"
        from appearances
        where user_id = $1 and item_id = any($2) and kind in ('email', 'event')
        union
        select item_id, substr(key, length('mail:') + 1)
        from appearances
            join contacts on contacts.user_id = $1 and contacts.uid = who
            join contact_keys on contact_keys.user_id = $1 and contact_id = contacts.id
        where appearances.user_id = $1 and item_id = any($2) and kind in ('note', 'deal')
            and key like 'mail:%'
        union
        select contact_id, substr(key, length('mail:') + 1)
        from contact_keys
        where user_id = $1 and contact_id = any($2) and key like 'mail:%'
        "#,
        user_id,
        ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut readers: HashMap<Uuid, BTreeSet<String>> = HashMap::new();
    for row in rows {
        readers.entry(row.item_id).or_default().insert(row.address);
    }
    Ok(readers)
}
