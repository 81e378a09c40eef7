//! All SQL over `notes` and `deals`, which only providers bring.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::{SEPARATOR, Stored, Upserted, appearances, joined, last_of_each, stored_by_key};
use crate::book::{Kind, NewDeal, NewNote};
use crate::db::Scoped;

pub async fn upsert_notes(
    tx: &mut Scoped,
    notes: &[NewNote],
    now: DateTime<Utc>,
) -> Result<Stored, sqlx::Error> {
    let notes = last_of_each(notes, NewNote::dedupe_key);
    if notes.is_empty() {
        return Ok(Stored::default());
    }
    let user_id = tx.user_id();
    let came_as = notes
        .iter()
        .map(|(note, key)| (key.to_vec(), note.id))
        .collect();
    let ids: Vec<_> = notes.iter().map(|(note, _)| note.id).collect();
    let keys: Vec<_> = notes.iter().map(|(_, key)| key.to_vec()).collect();
    let uids: Vec<_> = notes.iter().map(|(n, _)| n.uid.as_str()).collect();
    let texts: Vec<_> = notes.iter().map(|(n, _)| n.text.as_str()).collect();
    let times: Vec<_> = notes.iter().map(|(n, _)| n.written_at).collect();
    let about: Vec<_> = notes.iter().map(|(n, _)| joined(&n.about)).collect();
    let hashes: Vec<_> = notes
        .iter()
        .map(|(n, _)| n.content_hash().to_vec())
        .collect();
    let rows = sqlx::query_as!(
        Upserted,
        r#"
        insert into notes (id, user_id, dedupe_key, uid, text, written_at, about, content_hash, imported_at)
        select id, $1, key, uid, text, written_at, string_to_array(about, $9), hash, $10
        from unnest($2::uuid[], $3::bytea[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::bytea[])
            as new (id, key, uid, text, written_at, about, hash)
        on conflict on constraint notes_dedupe_key do update set
            text = excluded.text, written_at = excluded.written_at, about = excluded.about,
            content_hash = excluded.content_hash, imported_at = excluded.imported_at
            where notes.content_hash <> excluded.content_hash
        returning id, dedupe_key, (xmax = 0) as "is_new!"
        "#,
        user_id,
        &ids,
        &keys,
        &uids as &[&str],
        &texts as &[&str],
        &times as &[Option<DateTime<Utc>>],
        &about,
        &hashes,
        SEPARATOR,
        now,
    )
    .fetch_all(&mut **tx)
    .await?;
    let stored = stored_by_key(rows, &came_as);
    let appearances = notes
        .iter()
        .filter_map(|(note, _)| Some((note, *stored.changed.get(&note.id)?)))
        .flat_map(|(note, id)| appearances::of_uids(id, note.written_at, &note.about));
    appearances::store(tx, Kind::Note, &stored, appearances).await?;
    Ok(stored)
}

pub async fn upsert_deals(
    tx: &mut Scoped,
    deals: &[NewDeal],
    now: DateTime<Utc>,
) -> Result<Stored, sqlx::Error> {
    let deals = last_of_each(deals, NewDeal::dedupe_key);
    if deals.is_empty() {
        return Ok(Stored::default());
    }
    let user_id = tx.user_id();
    let came_as = deals
        .iter()
        .map(|(deal, key)| (key.to_vec(), deal.id))
        .collect();
    let ids: Vec<_> = deals.iter().map(|(deal, _)| deal.id).collect();
    let keys: Vec<_> = deals.iter().map(|(_, key)| key.to_vec()).collect();
    let uids: Vec<_> = deals.iter().map(|(d, _)| d.uid.as_str()).collect();
    let names: Vec<_> = deals.iter().map(|(d, _)| d.name.as_str()).collect();
    let amounts: Vec<_> = deals.iter().map(|(d, _)| d.amount.as_deref()).collect();
    let stages: Vec<_> = deals.iter().map(|(d, _)| d.stage.as_deref()).collect();
    let pipelines: Vec<_> = deals.iter().map(|(d, _)| d.pipeline.as_deref()).collect();
    let days: Vec<_> = deals.iter().map(|(d, _)| d.closes_on).collect();
    let descriptions: Vec<_> = deals
        .iter()
        .map(|(d, _)| d.description.as_deref())
        .collect();
    let about: Vec<_> = deals.iter().map(|(d, _)| joined(&d.about)).collect();
    let texts: Vec<_> = deals.iter().map(|(d, _)| d.text()).collect();
    let hashes: Vec<_> = deals
        .iter()
        .map(|(d, _)| d.content_hash().to_vec())
        .collect();
    let rows = sqlx::query_as!(
        Upserted,
        r#"
        insert into deals (id, user_id, dedupe_key, uid, name, amount, stage, pipeline, closes_on, description,
            about, text, content_hash, imported_at)
        select id, $1, key, uid, name, amount, stage, pipeline, closes_on, description,
            string_to_array(about, $14), text, hash, $15
        from unnest($2::uuid[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::date[], $10::text[], $11::text[], $12::text[], $13::bytea[])
            as new (id, key, uid, name, amount, stage, pipeline, closes_on, description, about, text, hash)
        on conflict on constraint deals_dedupe_key do update set
            name = excluded.name, amount = excluded.amount, stage = excluded.stage,
            pipeline = excluded.pipeline, closes_on = excluded.closes_on, description = excluded.description,
            about = excluded.about, text = excluded.text, content_hash = excluded.content_hash,
            imported_at = excluded.imported_at
            where deals.content_hash <> excluded.content_hash
        returning id, dedupe_key, (xmax = 0) as "is_new!"
        "#,
        user_id,
        &ids,
        &keys,
        &uids as &[&str],
        &names as &[&str],
        &amounts as &[Option<&str>],
        &stages as &[Option<&str>],
        &pipelines as &[Option<&str>],
        &days as &[Option<NaiveDate>],
        &descriptions as &[Option<&str>],
        &about,
        &texts,
        &hashes,
        SEPARATOR,
        now,
    )
    .fetch_all(&mut **tx)
    .await?;
    let stored = stored_by_key(rows, &came_as);
    let appearances = deals
        .iter()
        .filter_map(|(deal, _)| Some((deal, *stored.changed.get(&deal.id)?)))
        .flat_map(|(deal, id)| appearances::of_uids(id, None, &deal.about));
    appearances::store(tx, Kind::Deal, &stored, appearances).await?;
    Ok(stored)
}

/// A stored note.
#[derive(Debug)]
pub struct Note {
    pub id: Uuid,
    pub uid: String,
    pub text: String,
    pub written_at: Option<DateTime<Utc>>,
    /// The uids of the contacts that it is about.
    pub about: Vec<String>,
}

pub async fn find_note(tx: &mut Scoped, id: Uuid) -> Result<Option<Note>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Note,
        "select id, uid, text, written_at, about from notes where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A stored deal.
#[derive(Debug)]
pub struct Deal {
    pub id: Uuid,
    pub uid: String,
    pub name: String,
    pub amount: Option<String>,
    pub stage: Option<String>,
    pub pipeline: Option<String>,
    pub closes_on: Option<NaiveDate>,
    pub description: Option<String>,
    pub about: Vec<String>,
    pub text: String,
}

pub async fn find_deal(tx: &mut Scoped, id: Uuid) -> Result<Option<Deal>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Deal,
        "select id, uid, name, amount, stage, pipeline, closes_on, description, about, text
        from deals
        where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}
