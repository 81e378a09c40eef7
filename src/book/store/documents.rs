//! All SQL over `documents`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Stored;
use crate::book::NewDocument;
use crate::db::Scoped;

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
