//! All SQL over `effects`. Writes are made in transactions that hold the task's fence.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::Outcome;
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
        returning id, action, input, state as "state: State", noted, result, error
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
        set state = 'sending', fence = $3, sent = sent + 1, sending_at = $4, error = null
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
