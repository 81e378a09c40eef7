//! All SQL over `contacts`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{SEPARATOR, Stored, Upserted, joined, last_of_each, mark, stored_by_key};
use crate::book::keys::{is_kept, shared_keys};
use crate::book::{Kind, NewContact, Origin};
use crate::db::Scoped;
use crate::http::Cursor;

/// A provider's id stays beside a file's: notes and deals name their people by it.
pub async fn upsert_contacts(
    tx: &mut Scoped,
    contacts: &[NewContact],
    origin: Origin,
    now: DateTime<Utc>,
) -> Result<Stored, sqlx::Error> {
    let contacts = last_of_each(contacts, NewContact::dedupe_key);
    if contacts.is_empty() {
        return Ok(Stored::default());
    }
    let user_id = tx.user_id();
    let came_as = contacts
        .iter()
        .map(|(contact, key)| (key.to_vec(), contact.id))
        .collect();
    let ids: Vec<_> = contacts.iter().map(|(contact, _)| contact.id).collect();
    let keys: Vec<_> = contacts.iter().map(|(_, key)| key.to_vec()).collect();
    let uids: Vec<_> = contacts
        .iter()
        .map(|(c, _)| c.uid.as_deref().filter(|uid| is_kept(uid)))
        .collect();
    let names: Vec<_> = contacts.iter().map(|(c, _)| c.name.as_str()).collect();
    let emails: Vec<_> = contacts.iter().map(|(c, _)| joined(&c.emails)).collect();
    let phones: Vec<_> = contacts.iter().map(|(c, _)| joined(&c.phones)).collect();
    let organisations: Vec<_> = contacts
        .iter()
        .map(|(c, _)| c.organisation.as_deref())
        .collect();
    let titles: Vec<_> = contacts.iter().map(|(c, _)| c.title.as_deref()).collect();
    let addresses: Vec<_> = contacts.iter().map(|(c, _)| joined(&c.addresses)).collect();
    let birthdays: Vec<_> = contacts
        .iter()
        .map(|(c, _)| c.birthday.as_deref())
        .collect();
    let notes: Vec<_> = contacts.iter().map(|(c, _)| c.notes.as_str()).collect();
    let extras: Vec<Value> = contacts
        .iter()
        .map(|(c, _)| {
            c.extra
                .iter()
                .map(|(label, value)| serde_json::json!({"label": label, "value": value}))
                .collect()
        })
        .collect();
    let texts: Vec<_> = contacts.iter().map(|(c, _)| c.text()).collect();
    let hashes: Vec<_> = contacts
        .iter()
        .map(|(c, _)| c.content_hash().to_vec())
        .collect();
    let rows = sqlx::query_as!(
        Upserted,
        r#"
        insert into contacts (id, user_id, dedupe_key, uid, name, emails, phones, organisation, title, addresses,
            birthday, notes, extra, content_hash, text, imported_at, from_file)
        select id, $1, key, uid, name, string_to_array(emails, $15), string_to_array(phones, $15), organisation,
            title, string_to_array(addresses, $15), birthday, notes, extra, hash, text, $16, $18
        from unnest($2::uuid[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::text[], $12::jsonb[], $13::bytea[], $14::text[], $17::text[])
            as new (id, key, name, emails, phones, organisation, title, addresses, birthday, notes, extra, hash,
                text, uid)
        on conflict on constraint contacts_dedupe_key do update set
            name = excluded.name, emails = excluded.emails, phones = excluded.phones,
            organisation = excluded.organisation, title = excluded.title, addresses = excluded.addresses,
            birthday = excluded.birthday, notes = excluded.notes, extra = excluded.extra, text = excluded.text,
            content_hash = excluded.content_hash, imported_at = excluded.imported_at,
            uid = case when $18 then coalesce(contacts.uid, excluded.uid)
                else coalesce(excluded.uid, contacts.uid) end
            where contacts.content_hash <> excluded.content_hash
                or (not $18 and contacts.uid is distinct from coalesce(excluded.uid, contacts.uid))
        returning id, dedupe_key, (xmax = 0) as "is_new!"
        "#,
        user_id,
        &ids,
        &keys,
        &names as &[&str],
        &emails,
        &phones,
        &organisations as &[Option<&str>],
        &titles as &[Option<&str>],
        &addresses,
        &birthdays as &[Option<&str>],
        &notes as &[&str],
        &extras,
        &hashes,
        &texts,
        SEPARATOR,
        now,
        &uids as &[Option<&str>],
        origin == Origin::File,
    )
    .fetch_all(&mut **tx)
    .await?;
    mark(tx, Kind::Contact, origin, &keys).await?;
    let stored = stored_by_key(rows, &came_as);
    let keys = contacts
        .iter()
        .filter_map(|(contact, _)| Some((contact, *stored.changed.get(&contact.id)?)))
        .flat_map(|(contact, id)| {
            shared_keys(&contact.emails, &contact.phones, &contact.addresses)
                .into_iter()
                .map(move |key| (id, key))
        });
    store_keys(tx, &stored, keys).await?;
    Ok(stored)
}

/// Writes what the new and changed contacts of a batch may share with others.
async fn store_keys(
    tx: &mut Scoped,
    stored: &Stored,
    keys: impl Iterator<Item = (Uuid, String)>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    if !stored.updated.is_empty() {
        let updated: Vec<_> = stored.updated.iter().copied().collect();
        sqlx::query!(
            "delete from contact_keys where user_id = $1 and contact_id = any($2)",
            user_id,
            &updated,
        )
        .execute(&mut **tx)
        .await?;
    }
    let (ids, keys): (Vec<_>, Vec<_>) = keys.unzip();
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into contact_keys (user_id, contact_id, key)
        select $1, contact_id, key from unnest($2::uuid[], $3::text[]) as new (contact_id, key)",
        user_id,
        &ids,
        &keys,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// What else stands in a contact's record.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
pub struct Extra {
    label: String,
    value: String,
}

/// A stored contact.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Contact {
    pub id: Uuid,
    /// The provider's own id, or the file's: `hubspot:51`.
    pub uid: Option<String>,
    pub name: String,
    pub emails: Vec<String>,
    pub phones: Vec<String>,
    pub organisation: Option<String>,
    pub title: Option<String>,
    pub addresses: Vec<String>,
    pub birthday: Option<String>,
    /// What the record itself says; the page of a contact has it as `remarks`.
    pub notes: String,
    #[schema(value_type = Vec<Extra>)]
    pub extra: Value,
    /// The record as lines of text: what citations quote.
    pub text: String,
    pub imported_at: DateTime<Utc>,
}

pub async fn find_contact(tx: &mut Scoped, id: Uuid) -> Result<Option<Contact>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Contact,
        "select id, uid, name, emails, phones, organisation, title, addresses, birthday, notes, extra, text, imported_at
        from contacts
        where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Contacts by name, nearest first; every word of `named` must stand in the name, an address or a
/// phone number, or the name be alike, as a whole or word by word (a slip of the pen).
pub async fn find_contacts(
    tx: &mut Scoped,
    named: &str,
    limit: i64,
) -> Result<Vec<Contact>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Contact,
        r#"
        select id, uid, name, emails, phones, organisation, title, addresses, birthday, notes, extra, text, imported_at
        from contacts
        where user_id = $1
            and (
                unaccent(lower(concat_ws(' ', name, array_to_string(emails, ' '), array_to_string(phones, ' '))))
                    like all (
                        select '%' || replace(replace(replace(word, '\', '\\'), '%', '\%'), '_', '\_') || '%'
                        from unnest(string_to_array(unaccent(lower($2)), ' ')) as word
                    )
                or similarity(unaccent(lower(name)), unaccent(lower($2))) > 0.45
                or not exists (
                    select from regexp_split_to_table(unaccent(lower($2)), '\s+') as word
                    where not exists (
                        select from regexp_split_to_table(unaccent(lower(name)), '\s+') as part
                        where similarity(word, part) > 0.3
                    )
                )
            )
        order by similarity(unaccent(lower(name)), unaccent(lower($2))) desc, name, id
        limit $3
        "#,
        user_id,
        named,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

pub async fn list_contacts(
    tx: &mut Scoped,
    limit: i64,
    after: Option<Cursor>,
) -> Result<Vec<Contact>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Contact,
        "select id, uid, name, emails, phones, organisation, title, addresses, birthday, notes, extra, text, imported_at
        from contacts
        where user_id = $1 and ($3::timestamptz is null or (imported_at, id) < ($3, $4::uuid))
        order by imported_at desc, id desc
        limit $2::bigint + 1",
        user_id,
        limit,
        after.map(|cursor| cursor.at),
        after.map(|cursor| cursor.id),
    )
    .fetch_all(&mut **tx)
    .await
}

/// Somebody in the book, for whom a provider's record names by uid.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: Uuid,
    /// The key under which they are stored: [`NewContact::key`] keeps them there.
    pub key: [u8; 32],
    pub name: String,
    pub emails: Vec<String>,
}

/// Who is stored under these uids. A file may claim a provider's uid; it doesn't win.
pub async fn find_people(
    tx: &mut Scoped,
    uids: &[String],
) -> Result<HashMap<String, Known>, sqlx::Error> {
    if uids.is_empty() {
        return Ok(HashMap::new());
    }
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        r#"
        select distinct on (uid) uid as "uid!", id, dedupe_key, name, emails
        from contacts
        where user_id = $1 and uid = any($2)
        order by uid, from_file, id
        "#,
        user_id,
        uids,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = row.dedupe_key.try_into().map_err(|_| {
                sqlx::Error::Decode("a key of another length than a digest's".into())
            })?;
            let known = Known {
                id: row.id,
                key,
                name: row.name,
                emails: row.emails,
            };
            Ok((row.uid, known))
        })
        .collect()
}
