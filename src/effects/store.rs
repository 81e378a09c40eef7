//! All SQL over `effects`, and over the book's contacts as far as they matter here. Writes are made in
//! transactions that hold the task's fence.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::Outcome;
use crate::book::address_key;
use crate::db::Scoped;
use crate::ids;

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(super) enum State {
    Planned,
    Sending,
    Done,
    Failed,
    Unknown,
}

#[derive(Debug)]
pub(super) struct Row {
    pub id: Uuid,
    pub action: String,
    pub input: Value,
    pub state: State,
    pub noted: Option<Value>,
    /// How often the provider was called to do it.
    pub sent: i32,
    pub sending_at: Option<DateTime<Utc>>,
    result: Option<Value>,
    error: Option<String>,
}

impl Row {
    /// None while it hasn't ended.
    pub fn outcome(&self) -> Option<Outcome> {
        let error = || self.error.clone().unwrap_or_default();
        match self.state {
            State::Planned | State::Sending => None,
            State::Done => Some(Outcome::Done(self.result.clone().unwrap_or_default())),
            State::Failed => Some(Outcome::Failed(error())),
            State::Unknown => Some(Outcome::Unknown(error())),
        }
    }
}

/// The row of this key: the stored one, when there is one, with its own input.
pub(super) async fn plan(
    tx: &mut Scoped,
    task_id: Uuid,
    key: &str,
    action: &str,
    input: &Value,
    now: DateTime<Utc>,
) -> Result<Row, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Row,
        r#"
        insert into effects (id, user_id, effect_key, action, input, task_id, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict on constraint effects_key do update set task_id = effects.task_id
        returning id, action, input, state as "state: State", noted, sent, sending_at, result, error
        "#,
        ids::next(),
        user_id,
        key,
        action,
        input,
        task_id,
        now,
    )
    .fetch_one(&mut **tx)
    .await
}

/// False when it has ended meanwhile.
pub(super) async fn begin(
    tx: &mut Scoped,
    id: Uuid,
    fence: i32,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update effects
        set state = 'sending', fence = $3, sent = sent + 1, sending_at = coalesce(sending_at, $4), error = null
        where user_id = $1 and id = $2 and state in ('planned', 'sending')",
        user_id,
        id,
        fence,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}

pub(super) async fn back(tx: &mut Scoped, id: Uuid, error: &str) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update effects set state = 'planned', error = $3
        where user_id = $1 and id = $2 and state = 'sending'",
        user_id,
        id,
        error,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub(super) async fn end(
    tx: &mut Scoped,
    id: Uuid,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    let (result, error) = match outcome {
        Outcome::Done(result) => (Some(result), None),
        Outcome::Failed(error) | Outcome::Unknown(error) => (None, Some(error)),
    };
    sqlx::query!(
        "update effects set state = $3, result = $4, error = $5, ended_at = $6
        where user_id = $1 and id = $2 and state in ('planned', 'sending')",
        user_id,
        id,
        outcome.label(),
        result,
        error,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub(super) async fn note(tx: &mut Scoped, id: Uuid, noted: &Value) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update effects set noted = $3 where user_id = $1 and id = $2 and state = 'sending'",
        user_id,
        id,
        noted,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// HubSpot's id of the contact with this address, if the book has it.
pub(super) async fn hubspot_id(
    tx: &mut Scoped,
    address: &str,
) -> Result<Option<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select substr(contacts.uid, length('hubspot:') + 1) as "id!"
        from contact_keys join contacts on contacts.user_id = $1 and contacts.id = contact_id
        where contact_keys.user_id = $1 and key = 'mail:' || $2 and contacts.uid like 'hubspot:%'
        order by contacts.id
        limit 1
        "#,
        user_id,
        address_key(address),
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Every address of the user's contacts, as keys; the book of 200 families is read at once.
pub(super) async fn known_addresses(tx: &mut Scoped) -> Result<Vec<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select distinct substr(key, length('mail:') + 1) as "address!"
        from contact_keys
        where user_id = $1 and key like 'mail:%'
        limit 50000
        "#,
        user_id,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Of these names that a provider gave to items, those that we made there.
pub async fn made(tx: &mut Scoped, names: &[String]) -> Result<Vec<String>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select distinct made.name as "name!"
        from effects cross join lateral (
            values (result ->> 'contact_id'), (result ->> 'note_id'), (result ->> 'event_id'),
                (result ->> 'gmail_id'), (noted ->> 'contact_id')
        ) as made (name)
        where user_id = $1 and made.name = any($2)
            -- A contact that was there before isn't ours.
            and coalesce(result ->> 'existed', noted ->> 'existed', 'false') = 'false'
        "#,
        user_id,
        names,
    )
    .fetch_all(&mut **tx)
    .await
}
