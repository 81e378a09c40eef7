//! All SQL over `conversations` and `messages`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::agent::{Citation, Mode, Turn};
use crate::db::Scoped;
use crate::http::Cursor;

/// A conversation in a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Conversation {
    pub id: Uuid,
    pub title: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A stored message.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Message {
    pub id: Uuid,
    #[schema(value_type = Role)]
    pub role: String,
    /// Null for the user's own.
    #[schema(value_type = Option<Mode>)]
    pub mode: Option<String>,
    pub text: String,
    /// As `data-citation` has them.
    #[schema(value_type = Vec<Citation>)]
    pub citations: Value,
    #[schema(value_type = Vec<ToolCall>)]
    pub tool_calls: Value,
    #[schema(value_type = Vec<Warning>)]
    pub warnings: Value,
    #[schema(value_type = Option<Usage>)]
    pub usage: Option<Value>,
    /// False for an answer that was cut off.
    pub complete: bool,
    pub created_at: DateTime<Utc>,
}

/// Who says it.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
enum Role {
    User,
    Assistant,
}

/// What the assistant looked up or wanted to do.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
pub(super) struct ToolCall {
    name: String,
    /// What it was called with.
    input: Value,
    /// Of what waits for the user's word, with `approval_id`.
    output: Value,
    /// False when it failed; null while it has no answer.
    ok: Option<bool>,
}

/// Something the reader should know that isn't part of the answer.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
pub(super) struct Warning {
    code: String,
    text: String,
}

/// Tokens, as the model's server told them.
#[derive(utoipa::ToSchema)]
#[schema(as = TokenUsage)]
#[expect(dead_code, reason = "describes the contract")]
pub(super) struct Usage {
    input_tokens: u64,
    output_tokens: u64,
}

pub(super) async fn create(
    tx: &mut Scoped,
    id: Uuid,
    title: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "insert into conversations (id, user_id, title, created_at, updated_at) values ($1, $2, $3, $4, $4)",
        id,
        user_id,
        title,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Marks a conversation as used now; false when there is none.
pub(super) async fn touch(
    tx: &mut Scoped,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update conversations set updated_at = $3 where user_id = $1 and id = $2",
        user_id,
        id,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}

/// Stores a message once, unless its conversation was deleted meanwhile.
pub(super) async fn append(
    tx: &mut Scoped,
    conversation_id: Uuid,
    message: &Message,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "insert into messages (id, user_id, conversation_id, role, mode, text, citations, tool_calls, warnings,
            usage, complete, created_at)
        select $1, $2, id, $4, $5, $6, $7, $8, $9, $10, $11, $12
        from conversations
        where user_id = $2 and id = $3
        on conflict do nothing",
        message.id,
        user_id,
        conversation_id,
        message.role,
        message.mode,
        message.text,
        message.citations,
        message.tool_calls,
        message.warnings,
        message.usage,
        message.complete,
        message.created_at,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The last turns of a conversation, oldest first, and what tools have shown in them.
pub(super) async fn turns(
    tx: &mut Scoped,
    conversation_id: Uuid,
    limit: i64,
) -> Result<(Vec<Turn>, Vec<Value>), sqlx::Error> {
    let user_id = tx.user_id();
    let rows = sqlx::query!(
        "select role, text, tool_calls from messages
        where user_id = $1 and conversation_id = $2
        order by created_at desc, id desc
        limit $3",
        user_id,
        conversation_id,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut turns = Vec::with_capacity(rows.len());
    let mut shown = Vec::new();
    for row in rows.into_iter().rev() {
        if let Value::Array(calls) = row.tool_calls {
            shown.extend(calls.into_iter().map(|mut call| call["output"].take()));
        }
        turns.push(Turn {
            from_user: row.role == "user",
            text: row.text,
        });
    }
    Ok((turns, shown))
}

pub(super) async fn list(
    tx: &mut Scoped,
    limit: i64,
    after: Option<Cursor>,
) -> Result<Vec<Conversation>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Conversation,
        "select id, title, created_at, updated_at
        from conversations
        where user_id = $1 and ($3::timestamptz is null or (updated_at, id) < ($3, $4::uuid))
        order by updated_at desc, id desc
        limit $2::bigint + 1",
        user_id,
        limit,
        after.map(|cursor| cursor.at),
        after.map(|cursor| cursor.id),
    )
    .fetch_all(&mut **tx)
    .await
}

pub(super) async fn find(tx: &mut Scoped, id: Uuid) -> Result<Option<Conversation>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Conversation,
        "select id, title, created_at, updated_at from conversations where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await
}

pub(super) async fn messages(tx: &mut Scoped, id: Uuid) -> Result<Vec<Message>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Message,
        "select id, role, mode, text, citations, tool_calls, warnings, usage, complete, created_at
        from messages
        where user_id = $1 and conversation_id = $2
        order by created_at, id",
        user_id,
        id,
    )
    .fetch_all(&mut **tx)
    .await
}

pub(super) async fn rename(tx: &mut Scoped, id: Uuid, title: &str) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update conversations set title = $3 where user_id = $1 and id = $2",
        user_id,
        id,
        title,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}

pub(super) async fn delete(tx: &mut Scoped, id: Uuid) -> Result<bool, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "delete from conversations where user_id = $1 and id = $2",
        user_id,
        id,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected() == 1)
}
