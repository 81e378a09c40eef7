//! All SQL over `calendar_events`.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Stored, Upserted, appearances, json_of, last_of_each, mark, stored_by_key};
use crate::book::{Kind, NewEvent, Origin, Person};
use crate::db::Scoped;
use crate::http::Cursor;

pub async fn upsert_events(
    tx: &mut Scoped,
    events: &[NewEvent],
    origin: Origin,
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
            imported_at, from_file)
        select id, $1, key, uid, title, description, location, starts_at, ends_at, all_day, starts_on, time_zone,
            organiser, attendees, status, recurrence, hash, text, $18, $20
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
        origin == Origin::File,
    )
    .fetch_all(&mut **tx)
    .await?;
    mark(tx, Kind::Event, origin, &keys).await?;
    let stored = stored_by_key(rows, &came_as);
    let appearances = events
        .iter()
        .filter_map(|(event, _)| Some((event, *stored.changed.get(&event.id)?)))
        .flat_map(|(event, id)| {
            let organiser = event.organiser.as_ref().map(|person| &person.address);
            appearances::of_addresses(id, event.starts_at, organiser, &event.participants())
        });
    appearances::store(tx, Kind::Event, &stored, appearances).await?;
    Ok(stored)
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
    #[schema(value_type = Option<Person>)]
    pub organiser: Option<Value>,
    #[schema(value_type = Vec<Attendee>)]
    pub attendees: Value,
    pub status: Option<String>,
    pub recurrence: Option<String>,
    /// The event as lines of text: what citations quote.
    pub text: String,
}

/// Who is invited.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
pub struct Attendee {
    name: Option<String>,
    address: String,
    /// What they answered.
    status: Option<String>,
}

impl Event {
    /// The addresses of those who take part.
    pub fn people(&self) -> Vec<String> {
        let guests = self.attendees.as_array().map_or(&[][..], Vec::as_slice);
        let mut people: Vec<String> = self
            .organiser
            .iter()
            .chain(guests)
            .filter_map(|person| person["address"].as_str())
            .map(str::to_owned)
            .collect();
        people.sort_unstable();
        people.dedup();
        people
    }
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

/// An event as it is listed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ListedEvent {
    pub id: Uuid,
    pub title: String,
    pub location: Option<String>,
    pub start: DateTime<Utc>,
    pub end: Option<DateTime<Utc>>,
    pub all_day: bool,
    /// The first day of an all-day event.
    pub start_date: Option<NaiveDate>,
    pub status: Option<String>,
    /// An RFC 5545 RRULE: the event stands here by its first occurrence.
    pub recurrence: Option<String>,
}

/// Events that begin from `after` on and before `before`, the earliest first.
pub async fn list_events(
    tx: &mut Scoped,
    after: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    limit: i64,
    cursor: Option<Cursor>,
) -> Result<Vec<ListedEvent>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        ListedEvent,
        r#"
        select id, title, location, starts_at as "start!", ends_at as end, all_day, starts_on as start_date,
            status, recurrence
        from calendar_events
        where user_id = $1 and starts_at is not null
            and ($2::timestamptz is null or starts_at >= $2)
            and ($3::timestamptz is null or starts_at < $3)
            and ($5::timestamptz is null or (starts_at, id) > ($5, $6::uuid))
        order by starts_at, id
        limit $4::bigint + 1
        "#,
        user_id,
        after,
        before,
        limit,
        cursor.map(|cursor| cursor.at),
        cursor.map(|cursor| cursor.id),
    )
    .fetch_all(&mut **tx)
    .await
}

/// Events that touch this time and take place, the earliest first.
pub async fn events_between(
    tx: &mut Scoped,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Event,
        r#"
        select id, title, description, location, starts_at as start, ends_at as end, all_day,
            starts_on as start_date, time_zone, organiser, attendees, status, recurrence, text
        from calendar_events
        where user_id = $1 and starts_at < $3 and coalesce(ends_at, starts_at) >= $2
            and status is distinct from 'cancelled'
        order by starts_at, id
        limit $4
        "#,
        user_id,
        from,
        until,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}
