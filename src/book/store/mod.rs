//! All SQL over the book, a file for each kind; here is what they share, and what concerns all kinds.
//! Writers take batches and tell which items were new.

mod appearances;
mod contacts;
mod documents;
mod emails;
mod events;
mod people;
mod records;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Kind, Origin};
use crate::db::Scoped;

pub use contacts::{
    Contact, Extra, Known, find_contact, find_contacts, find_people, list_contacts, upsert_contacts,
};
pub use documents::{Document, find_document, upsert_documents};
pub use emails::{Email, find_email, list_thread, upsert_emails};
pub use events::{Event, ListedEvent, events_between, find_event, list_events, upsert_events};
pub use people::{
    Acquaintance, LatestMail, ListedDeal, ListedNote, Meeting, Somebody, deals_about, everybody,
    household, latest_mails, latest_notes, names_used, nearest_meetings, readers,
};
pub use records::{Deal, Note, find_deal, find_note, upsert_deals, upsert_notes};

/// What a batch changed: the ids under which new or changed items are stored, by the id they came with.
#[derive(Debug, Default)]
pub struct Stored {
    pub changed: HashMap<Uuid, Uuid>,
    /// Stored ids (of `changed`) that existed before with other content.
    pub updated: HashSet<Uuid>,
}

impl Stored {
    fn new(ids: impl IntoIterator<Item = Uuid>) -> Self {
        Self {
            changed: ids.into_iter().map(|id| (id, id)).collect(),
            updated: HashSet::new(),
        }
    }
}

fn json_of(value: &impl Serialize) -> Result<Value, sqlx::Error> {
    serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Lists become rows of one column each: Postgres has no ragged arrays, so inner lists travel joined
/// by a character that no address, phone or street has.
const SEPARATOR: &str = "\u{1f}";

fn joined(items: &[String]) -> String {
    items.join(SEPARATOR)
}

/// Keeps the last of several with one key: a statement may touch a row only once.
fn last_of_each<T>(items: &[T], key: impl Fn(&T) -> [u8; 32]) -> Vec<(&T, [u8; 32])> {
    let mut places: HashMap<[u8; 32], usize> = HashMap::new();
    let mut kept: Vec<(&T, [u8; 32])> = Vec::new();
    for item in items {
        let key = key(item);
        match places.get(&key) {
            Some(place) => kept[*place] = (item, key),
            None => {
                places.insert(key, kept.len());
                kept.push((item, key));
            }
        }
    }
    kept
}

struct Upserted {
    id: Uuid,
    dedupe_key: Vec<u8>,
    is_new: bool,
}

fn stored_by_key(rows: Vec<Upserted>, came_as: &HashMap<Vec<u8>, Uuid>) -> Stored {
    let mut stored = Stored::default();
    for row in rows {
        if let Some(came) = came_as.get(&row.dedupe_key) {
            stored.changed.insert(*came, row.id);
            if !row.is_new {
                stored.updated.insert(row.id);
            }
        }
    }
    stored
}

/// Remembers that a file brought these, also where a provider did so before. After the insertion, so
/// that what another transaction stored meanwhile is seen; rows that are marked stay untouched.
async fn mark(
    tx: &mut Scoped,
    kind: Kind,
    origin: Origin,
    keys: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    if origin != Origin::File {
        return Ok(());
    }
    let user_id = tx.user_id();
    sqlx::query!(
        "
        with marked_emails as (
            update emails set from_file = true
            where $2 = 'email' and user_id = $1 and dedupe_key = any($3) and not from_file
        ), marked_contacts as (
            update contacts set from_file = true
            where $2 = 'contact' and user_id = $1 and dedupe_key = any($3) and not from_file
        )
        update calendar_events set from_file = true
        where $2 = 'event' and user_id = $1 and dedupe_key = any($3) and not from_file
        ",
        user_id,
        kind.name(),
        keys,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The ids of the rows that stand under these keys.
pub async fn ids_of(
    tx: &mut Scoped,
    kind: Kind,
    keys: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, Uuid>, sqlx::Error> {
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select dedupe_key as "key!", id as "id!" from emails
            where $2 = 'email' and user_id = $1 and dedupe_key = any($3)
        union all select dedupe_key, id from contacts
            where $2 = 'contact' and user_id = $1 and dedupe_key = any($3)
        union all select dedupe_key, id from calendar_events
            where $2 = 'event' and user_id = $1 and dedupe_key = any($3)
        union all select dedupe_key, id from notes
            where $2 = 'note' and user_id = $1 and dedupe_key = any($3)
        union all select dedupe_key, id from deals
            where $2 = 'deal' and user_id = $1 and dedupe_key = any($3)
        "#,
        user_id,
        kind.name(),
        keys,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.id)).collect())
}

/// Deletes what no file brought, and tells what that was: what the advisor put there by hand doesn't
/// go with a provider's record. Documents all came from files. The passages are the caller's to remove.
pub async fn delete(tx: &mut Scoped, kind: Kind, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        with email as (
            delete from emails
            where $2 = 'email' and user_id = $1 and id = any($3) and not from_file
            returning id
        ), contact as (
            delete from contacts
            where $2 = 'contact' and user_id = $1 and id = any($3) and not from_file
            returning id
        ), event as (
            delete from calendar_events
            where $2 = 'event' and user_id = $1 and id = any($3) and not from_file
            returning id
        ), note as (
            delete from notes where $2 = 'note' and user_id = $1 and id = any($3) returning id
        ), deal as (
            delete from deals where $2 = 'deal' and user_id = $1 and id = any($3) returning id
        ), deleted as (
            select id from email
            union all select id from contact
            union all select id from event
            union all select id from note
            union all select id from deal
        ), unseen as (
            delete from appearances
            where user_id = $1 and item_id in (select id from deleted)
        )
        select id as "id!" from deleted
        "#,
        user_id,
        kind.name(),
        ids,
    )
    .fetch_all(&mut **tx)
    .await
}

/// The stored text that quotes from a source are held against.
pub async fn source_text(
    tx: &mut Scoped,
    kind: Kind,
    id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select case when text ~ '\S' then text else subject end as "text!"
            from emails where $3 = 'email' and user_id = $1 and id = $2
        union all select text from contacts where $3 = 'contact' and user_id = $1 and id = $2
        union all select text from calendar_events where $3 = 'event' and user_id = $1 and id = $2
        union all select text from documents where $3 = 'document' and user_id = $1 and id = $2
        union all select text from notes where $3 = 'note' and user_id = $1 and id = $2
        union all select text from deals where $3 = 'deal' and user_id = $1 and id = $2
        "#,
        user_id,
        id,
        kind.name(),
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A source as it is listed.
#[derive(Debug)]
pub struct ListedSource {
    pub id: Uuid,
    /// What its page is headed with; of a note, how it begins.
    pub title: String,
    pub occurred_at: Option<DateTime<Utc>>,
}

/// The user's sources of one kind, the latest imported first, from before this id on.
pub async fn list_sources(
    tx: &mut Scoped,
    kind: Kind,
    before: Uuid,
    limit: i64,
) -> Result<Vec<ListedSource>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        ListedSource,
        r#"
        (select id as "id!", subject as "title!", sent_at as "occurred_at?" from emails
            where $2 = 'email' and user_id = $1 and id < $3 order by id desc limit $4)
        union all (select id, name, null from contacts
            where $2 = 'contact' and user_id = $1 and id < $3 order by id desc limit $4)
        union all (select id, title, starts_at from calendar_events
            where $2 = 'event' and user_id = $1 and id < $3 order by id desc limit $4)
        union all (select id, title, imported_at from documents
            where $2 = 'document' and user_id = $1 and id < $3 order by id desc limit $4)
        union all (select id, left(text, 200), written_at from notes
            where $2 = 'note' and user_id = $1 and id < $3 order by id desc limit $4)
        union all (select id, name, null from deals
            where $2 = 'deal' and user_id = $1 and id < $3 order by id desc limit $4)
        "#,
        user_id,
        kind.name(),
        before,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}
