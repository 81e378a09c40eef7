//! All SQL over the book. Writers take batches and tell which items were new.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Kind, NewContact, NewDocument, NewEmail, NewEvent};
use crate::db::Scoped;
use crate::http::Cursor;

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

pub async fn upsert_emails(
    tx: &mut Scoped,
    emails: &[NewEmail],
    now: DateTime<Utc>,
) -> Result<Stored, sqlx::Error> {
    if emails.is_empty() {
        return Ok(Stored::default());
    }
    let user_id = tx.user_id();
    let mut ids = Vec::with_capacity(emails.len());
    let mut keys = Vec::with_capacity(emails.len());
    let mut message_ids = Vec::with_capacity(emails.len());
    let mut threads = Vec::with_capacity(emails.len());
    let mut subjects = Vec::with_capacity(emails.len());
    let mut senders = Vec::with_capacity(emails.len());
    let mut recipients = Vec::with_capacity(emails.len());
    let mut copied = Vec::with_capacity(emails.len());
    let mut participants = Vec::with_capacity(emails.len());
    let mut sent = Vec::with_capacity(emails.len());
    let mut texts = Vec::with_capacity(emails.len());
    let mut htmls = Vec::with_capacity(emails.len());
    let mut attachments = Vec::with_capacity(emails.len());
    for email in emails {
        ids.push(email.id);
        keys.push(email.dedupe_key().to_vec());
        message_ids.push(email.message_id.as_str());
        threads.push(email.thread_id());
        subjects.push(email.subject.as_str());
        senders.push(email.sender.as_ref().map(json_of).transpose()?);
        recipients.push(json_of(&email.to)?);
        copied.push(json_of(&email.cc)?);
        participants.push(joined(&email.participants()));
        sent.push(email.sent_at);
        texts.push(email.text.as_str());
        htmls.push(email.html.as_deref());
        attachments.push(email.attachments.clone());
    }
    let new = sqlx::query_scalar!(
        r#"
        insert into emails (id, user_id, dedupe_key, message_id, thread_id, subject, sender, recipients,
            copied, participants, sent_at, text, html, attachments, imported_at)
        select id, $1, key, message_id, thread_id, subject, sender, recipients, copied,
            string_to_array(participants, $16), sent_at, text, html, attachments, $15
        from unnest($2::uuid[], $3::bytea[], $4::text[], $5::uuid[], $6::text[], $7::jsonb[], $8::jsonb[],
            $9::jsonb[], $10::text[], $11::timestamptz[], $12::text[], $13::text[], $14::jsonb[])
            as new (id, key, message_id, thread_id, subject, sender, recipients, copied, participants,
                sent_at, text, html, attachments)
        on conflict on constraint emails_dedupe_key do nothing
        returning id
        "#,
        user_id,
        &ids,
        &keys,
        &message_ids as &[&str],
        &threads,
        &subjects as &[&str],
        &senders as &[Option<Value>],
        &recipients,
        &copied,
        &participants,
        &sent as &[Option<DateTime<Utc>>],
        &texts as &[&str],
        &htmls as &[Option<&str>],
        &attachments,
        now,
        SEPARATOR,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(Stored::new(new))
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

pub async fn upsert_contacts(
    tx: &mut Scoped,
    contacts: &[NewContact],
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
    let uids: Vec<_> = contacts.iter().map(|(c, _)| c.uid.as_deref()).collect();
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
            birthday, notes, extra, content_hash, text, imported_at)
        select id, $1, key, uid, name, string_to_array(emails, $15), string_to_array(phones, $15), organisation,
            title, string_to_array(addresses, $15), birthday, notes, extra, hash, text, $16
        from unnest($2::uuid[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::text[], $12::jsonb[], $13::bytea[], $14::text[], $17::text[])
            as new (id, key, name, emails, phones, organisation, title, addresses, birthday, notes, extra, hash,
                text, uid)
        on conflict on constraint contacts_dedupe_key do update set
            name = excluded.name, emails = excluded.emails, phones = excluded.phones,
            organisation = excluded.organisation, title = excluded.title, addresses = excluded.addresses,
            birthday = excluded.birthday, notes = excluded.notes, extra = excluded.extra, text = excluded.text,
            content_hash = excluded.content_hash, imported_at = excluded.imported_at
            where contacts.content_hash <> excluded.content_hash
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
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(stored_by_key(rows, &came_as))
}

pub async fn upsert_events(
    tx: &mut Scoped,
    events: &[NewEvent],
    now: DateTime<Utc>,
) -> Result<Stored, sqlx::Error> {
    let events = last_of_each(events, NewEvent::dedupe_key);
    if events.is_empty() {
        return Ok(Stored::default());
    }
    let user_id = tx.user_id();
    let came_as = events
        .iter()
        .map(|(event, key)| (key.to_vec(), event.id))
        .collect();
    let ids: Vec<_> = events.iter().map(|(event, _)| event.id).collect();
    let keys: Vec<_> = events.iter().map(|(_, key)| key.to_vec()).collect();
    let uids: Vec<_> = events.iter().map(|(e, _)| e.uid.as_str()).collect();
    let titles: Vec<_> = events.iter().map(|(e, _)| e.title.as_str()).collect();
    let descriptions: Vec<_> = events.iter().map(|(e, _)| e.description.as_str()).collect();
    let locations: Vec<_> = events.iter().map(|(e, _)| e.location.as_deref()).collect();
    let starts: Vec<_> = events.iter().map(|(e, _)| e.starts_at).collect();
    let ends: Vec<_> = events.iter().map(|(e, _)| e.ends_at).collect();
    let all_day: Vec<_> = events.iter().map(|(e, _)| e.all_day).collect();
    let days: Vec<_> = events.iter().map(|(e, _)| e.starts_on).collect();
    let zones: Vec<_> = events.iter().map(|(e, _)| e.time_zone.as_deref()).collect();
    let organisers = events
        .iter()
        .map(|(e, _)| e.organiser.as_ref().map(json_of).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    let attendees: Vec<_> = events.iter().map(|(e, _)| e.attendees_json()).collect();
    let statuses: Vec<_> = events.iter().map(|(e, _)| e.status.as_deref()).collect();
    let recurrences: Vec<_> = events
        .iter()
        .map(|(e, _)| e.recurrence.as_deref())
        .collect();
    let texts: Vec<_> = events.iter().map(|(e, _)| e.text()).collect();
    let hashes: Vec<_> = events
        .iter()
        .map(|(e, _)| e.content_hash().to_vec())
        .collect();
    let rows = sqlx::query_as!(
        Upserted,
        r#"
        insert into calendar_events (id, user_id, dedupe_key, uid, title, description, location, starts_at, ends_at,
            all_day, starts_on, time_zone, organiser, attendees, status, recurrence, content_hash, text,
            imported_at)
        select id, $1, key, uid, title, description, location, starts_at, ends_at, all_day, starts_on, time_zone,
            organiser, attendees, status, recurrence, hash, text, $18
        from unnest($2::uuid[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
            $8::timestamptz[], $9::bool[], $10::date[], $11::text[], $12::jsonb[], $13::jsonb[], $14::text[],
            $15::text[], $16::bytea[], $17::text[], $19::text[])
            as new (id, key, title, description, location, starts_at, ends_at, all_day, starts_on, time_zone,
                organiser, attendees, status, recurrence, hash, text, uid)
        on conflict on constraint calendar_events_dedupe_key do update set
            title = excluded.title, description = excluded.description, location = excluded.location,
            starts_at = excluded.starts_at, ends_at = excluded.ends_at, all_day = excluded.all_day,
            starts_on = excluded.starts_on, time_zone = excluded.time_zone, organiser = excluded.organiser,
            attendees = excluded.attendees, status = excluded.status, recurrence = excluded.recurrence, text = excluded.text,
            content_hash = excluded.content_hash, imported_at = excluded.imported_at
            where calendar_events.content_hash <> excluded.content_hash
        returning id, dedupe_key, (xmax = 0) as "is_new!"
        "#,
        user_id,
        &ids,
        &keys,
        &titles as &[&str],
        &descriptions as &[&str],
        &locations as &[Option<&str>],
        &starts as &[Option<DateTime<Utc>>],
        &ends as &[Option<DateTime<Utc>>],
        &all_day,
        &days as &[Option<NaiveDate>],
        &zones as &[Option<&str>],
        &organisers as &[Option<Value>],
        &attendees,
        &statuses as &[Option<&str>],
        &recurrences as &[Option<&str>],
        &hashes,
        &texts,
        now,
        &uids as &[&str],
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(stored_by_key(rows, &came_as))
}

pub async fn upsert_documents(
    tx: &mut Scoped,
    documents: &[NewDocument],
    now: DateTime<Utc>,
) -> Result<Stored, sqlx::Error> {
    if documents.is_empty() {
        return Ok(Stored::default());
    }
    let user_id = tx.user_id();
    let ids: Vec<_> = documents.iter().map(|document| document.id).collect();
    let keys: Vec<_> = documents.iter().map(|d| d.dedupe_key().to_vec()).collect();
    let titles: Vec<_> = documents.iter().map(|d| d.title.as_str()).collect();
    let names: Vec<_> = documents.iter().map(|d| d.file_name.as_str()).collect();
    let texts: Vec<_> = documents.iter().map(|d| d.text.as_str()).collect();
    let new = sqlx::query_scalar!(
        r#"
        insert into documents (id, user_id, dedupe_key, title, file_name, text, imported_at)
        select id, $1, key, title, file_name, text, $7
        from unnest($2::uuid[], $3::bytea[], $4::text[], $5::text[], $6::text[])
            as new (id, key, title, file_name, text)
        on conflict on constraint documents_dedupe_key do nothing
        returning id
        "#,
        user_id,
        &ids,
        &keys,
        &titles as &[&str],
        &names as &[&str],
        &texts as &[&str],
        now,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(Stored::new(new))
}

/// A stored mail.
#[derive(Debug)]
pub struct Email {
    pub id: Uuid,
    pub message_id: String,
    pub thread_id: Uuid,
    pub subject: String,
    pub sender: Option<Value>,
    pub recipients: Value,
    pub copied: Value,
    pub sent_at: Option<DateTime<Utc>>,
    pub text: String,
    pub html: Option<String>,
    pub attachments: Value,
}

pub async fn find_email(tx: &mut Scoped, id: Uuid) -> Result<Option<Email>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Email,
        "select id, message_id, thread_id, subject, sender, recipients, copied, sent_at, text, html, attachments
        from emails
        where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A thread's mails, oldest first.
pub async fn list_thread(
    tx: &mut Scoped,
    thread_id: Uuid,
    limit: i64,
) -> Result<Vec<Email>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Email,
        "select id, message_id, thread_id, subject, sender, recipients, copied, sent_at, text,
            null::text as html, attachments
        from emails
        where user_id = $1 and thread_id = $2
        order by sent_at, id
        limit $3",
        user_id,
        thread_id,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// A stored contact.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Contact {
    pub id: Uuid,
    pub name: String,
    pub emails: Vec<String>,
    pub phones: Vec<String>,
    pub organisation: Option<String>,
    pub title: Option<String>,
    pub addresses: Vec<String>,
    pub birthday: Option<String>,
    pub notes: String,
    /// List of `{label, value}`.
    pub extra: Value,
    /// The record as lines of text: what citations quote.
    pub text: String,
    pub imported_at: DateTime<Utc>,
}

pub async fn find_contact(tx: &mut Scoped, id: Uuid) -> Result<Option<Contact>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Contact,
        "select id, name, emails, phones, organisation, title, addresses, birthday, notes, extra, text, imported_at
        from contacts
        where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Contacts by name, nearest first; every word of `named` must stand in the name, an address or a
/// phone number, or the name be alike (a slip of the pen).
pub async fn find_contacts(
    tx: &mut Scoped,
    named: &str,
    limit: i64,
) -> Result<Vec<Contact>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Contact,
        r#"
        select id, name, emails, phones, organisation, title, addresses, birthday, notes, extra, text, imported_at
        from contacts
        where user_id = $1
            and (
                unaccent(lower(concat_ws(' ', name, array_to_string(emails, ' '), array_to_string(phones, ' '))))
                    like all (
                        select '%' || replace(replace(replace(word, '\', '\\'), '%', '\%'), '_', '\_') || '%'
                        from unnest(string_to_array(unaccent(lower($2)), ' ')) as word
                    )
                or similarity(unaccent(lower(name)), unaccent(lower($2))) > 0.45
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
        "select id, name, emails, phones, organisation, title, addresses, birthday, notes, extra, text, imported_at
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

/// A stored calendar event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Event {
    pub id: Uuid,
    pub title: String,
    pub description: String,
    pub location: Option<String>,
    pub start: Option<DateTime<Utc>>,
    pub end: Option<DateTime<Utc>>,
    pub all_day: bool,
    /// The first day of an all-day event.
    pub start_date: Option<NaiveDate>,
    pub time_zone: Option<String>,
    pub organiser: Option<Value>,
    /// List of `{name, address, status}`.
    pub attendees: Value,
    pub status: Option<String>,
    pub recurrence: Option<String>,
    /// The event as lines of text: what citations quote.
    pub text: String,
}

pub async fn find_event(tx: &mut Scoped, id: Uuid) -> Result<Option<Event>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Event,
        r#"
        select id, title, description, location, starts_at as start, ends_at as end, all_day,
            starts_on as start_date, time_zone, organiser, attendees, status, recurrence, text
        from calendar_events
        where user_id = $1 and id = $2
        "#,
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A stored document.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Document {
    pub id: Uuid,
    pub title: String,
    pub file_name: String,
    pub text: String,
    pub imported_at: DateTime<Utc>,
}

pub async fn find_document(tx: &mut Scoped, id: Uuid) -> Result<Option<Document>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Document,
        "select id, title, file_name, text, imported_at from documents where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
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
        "#,
        user_id,
        id,
        kind.name(),
    )
    .fetch_optional(&mut **tx)
    .await
}
