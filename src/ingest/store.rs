//! All SQL over `uploads` and their parts.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::batch::Counts;
use crate::db::{Scoped, UserId, UserScope};

pub(super) async fn begin_upload(
    tx: &mut Scoped,
    id: Uuid,
    file_name: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "insert into uploads (id, user_id, file_name, created_at) values ($1, $2, $3, $4)",
        id,
        user_id,
        file_name,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub(super) async fn add_part(
    tx: &mut Scoped,
    upload_id: Uuid,
    at: i64,
    bytes: &[u8],
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "insert into upload_parts (upload_id, user_id, at, bytes) values ($1, $2, $3, $4)",
        upload_id,
        user_id,
        at,
        bytes,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Says that the uploads have arrived whole and which task reads them.
pub(super) async fn assign(
    tx: &mut Scoped,
    uploads: &[(Uuid, i64)],
    task_id: Uuid,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    let (ids, sizes): (Vec<_>, Vec<_>) = uploads.iter().copied().unzip();
    sqlx::query!(
        "update uploads set task_id = $4, size = new.size
        from unnest($2::uuid[], $3::bigint[]) as new (id, size)
        where uploads.user_id = $1 and uploads.id = new.id",
        user_id,
        &ids,
        &sizes,
        task_id,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub(super) async fn discard(tx: &mut Scoped, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "delete from uploads where user_id = $1 and id = any($2) and task_id is null",
        user_id,
        ids,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Removes what a vanished client left behind.
pub(super) async fn discard_older(
    tx: &mut Scoped,
    before: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "delete from uploads where user_id = $1 and task_id is null and created_at < $2",
        user_id,
        before,
    )
    .execute(&mut **tx)
    .await
    .map(|outcome| outcome.rows_affected())
}

pub(super) struct Upload {
    pub id: Uuid,
    pub file_name: String,
    pub size: i64,
    pub resume_offset: i64,
    pub imported: i64,
    pub unchanged: i64,
    pub unreadable_count: i64,
    pub unreadable: Value,
    pub finished: bool,
}

impl Upload {
    /// Items that earlier readings have passed.
    pub fn items(&self) -> u64 {
        u64::try_from(self.imported + self.unchanged + self.unreadable_count).unwrap_or(0)
    }
}

pub(super) async fn uploads_of(tx: &mut Scoped, task_id: Uuid) -> Result<Vec<Upload>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Upload,
        "select id, file_name, size, resume_offset, imported, unchanged, unreadable_count, unreadable, finished
        from uploads
        where user_id = $1 and task_id = $2
        order by created_at, id",
        user_id,
        task_id,
    )
    .fetch_all(&mut **tx)
    .await
}

/// The part of an upload that begins at or after `at`.
pub(super) async fn part(
    tx: &mut Scoped,
    upload_id: Uuid,
    at: i64,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        "select bytes from upload_parts where user_id = $1 and upload_id = $2 and at = $3",
        user_id,
        upload_id,
        at,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Moves an upload on, with the items that were stored in the same transaction.
pub(super) async fn advance(
    tx: &mut Scoped,
    upload_id: Uuid,
    resume_offset: i64,
    counts: Counts,
    unreadable_count: i64,
    unreadable: &Value,
) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update uploads
        set resume_offset = $3, imported = imported + $4, unchanged = unchanged + $5,
            unreadable_count = unreadable_count + $6, unreadable = unreadable || $7::jsonb
        where user_id = $1 and id = $2",
        user_id,
        upload_id,
        resume_offset,
        i64::try_from(counts.imported).unwrap_or(i64::MAX),
        i64::try_from(counts.unchanged).unwrap_or(i64::MAX),
        unreadable_count,
        unreadable,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Ends an upload: its report stays, its bytes go.
pub(super) async fn finish(tx: &mut Scoped, upload_id: Uuid) -> Result<(), sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query!(
        "update uploads set finished = true where user_id = $1 and id = $2",
        user_id,
        upload_id,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "delete from upload_parts where user_id = $1 and upload_id = $2",
        user_id,
        upload_id,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Bytes that the user's unfinished imports still have to read, and have in all.
pub(super) async fn bytes_under_way(tx: &mut Scoped) -> Result<i64, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_scalar!(
        r#"
        select coalesce(sum(size - resume_offset), 0)::bigint as "left!"
        from uploads
        where user_id = $1 and task_id is not null and not finished
        "#,
        user_id,
    )
    .fetch_one(&mut **tx)
    .await
}

/// Opens the scope again and again: the reader of an upload fetches part by part, each in a
/// transaction of its own, so that none stays open while items are parsed.
pub(super) async fn read_part(
    pool: &PgPool,
    user_id: UserId,
    upload_id: Uuid,
    at: i64,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let mut tx = UserScope::checked(user_id).begin(pool).await?;
    part(&mut tx, upload_id, at).await
}
