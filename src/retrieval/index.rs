//! From sources to stored passages: the part of an import that runs inside its transaction, so that
//! a mail can be found by its words the moment it is stored. Vectors follow (`embed.rs`).

use std::collections::HashSet;
use std::ops::Range;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{chunk, clean, store};
use crate::book::Kind;
use crate::db::Scoped;

/// A source as retrieval needs it.
#[derive(Clone, Debug)]
pub struct Searchable {
    pub kind: Kind,
    /// The stored item's id.
    pub source_id: Uuid,
    pub thread_id: Option<Uuid>,
    pub occurred_at: Option<DateTime<Utc>>,
    pub title: String,
    /// One line in front of every passage: `Email | from | to | date | subject`.
    pub header: String,
    /// Address keys (`book::address_key`) and, of notes and deals, contacts' uids.
    pub participants: Vec<String>,
    /// Words that are searched as they stand, without stemming: names, addresses, tickers.
    pub names: String,
    pub text: String,
    /// Where in a mail's text its attachments begin: what stands there is nobody's quoted reply.
    pub attached_at: usize,
}

/// A passage ready to be stored.
#[derive(Clone, Debug)]
pub struct Passage {
    pub kind: Kind,
    pub source_id: Uuid,
    pub ordinal: i32,
    pub thread_id: Option<Uuid>,
    pub occurred_at: Option<DateTime<Utc>>,
    pub title: String,
    pub header: String,
    pub text: String,
    pub participants: Vec<String>,
    pub names: String,
}

/// Cleans and chunks; costs processor time and touches nothing, so it runs on the blocking pool.
pub fn passages(sources: &[Searchable], max_words: usize) -> Vec<Passage> {
    sources
        .iter()
        .flat_map(|source| {
            let whole = || std::iter::once(0..source.text.len()).collect();
            let segments = match source.kind {
                Kind::Email => email_segments(source),
                Kind::Contact | Kind::Note | Kind::Event | Kind::Deal | Kind::Document => whole(),
            };
            let mut chunks: Vec<String> = chunk::chunk(&source.text, &segments, "", max_words)
                .chunks
                .into_iter()
                .map(|chunk| chunk.text)
                .collect();
            // A mail that says it all in its subject is still found by it.
            if chunks.is_empty() {
                chunks.push(source.title.clone());
            }
            chunks.into_iter().zip(0..).map(|(text, ordinal)| Passage {
                kind: source.kind,
                source_id: source.source_id,
                ordinal,
                thread_id: source.thread_id,
                occurred_at: source.occurred_at,
                title: source.title.clone(),
                header: source.header.clone(),
                text,
                participants: source.participants.clone(),
                names: source.names.clone(),
            })
        })
        .collect()
}

/// What the sender wrote in this mail, and each of its attachments whole.
fn email_segments(source: &Searchable) -> Vec<Range<usize>> {
    let body = source
        .text
        .get(..source.attached_at)
        .unwrap_or(&source.text);
    let mut segments = if body.trim().is_empty() {
        Vec::new()
    } else {
        clean::fresh_segments(body)
    };
    if body.len() < source.text.len() {
        segments.push(body.len()..source.text.len());
    }
    segments
}

/// Stores passages within the import's transaction. Those of `updated` sources replace their old
/// ones: what says the same at the same place stays, with its vector, and only the rest is embedded.
/// Storing the same again writes nothing.
pub async fn store_passages(
    tx: &mut Scoped,
    passages: &[Passage],
    updated: &HashSet<Uuid>,
) -> Result<(), sqlx::Error> {
    let updated: Vec<_> = updated.iter().copied().collect();
    store::keep_unchanged(tx, passages, &updated).await?;
    store::insert(tx, passages).await
}

/// Removes the passages of sources that are gone, with their vectors.
pub async fn forget(tx: &mut Scoped, sources: &[Uuid]) -> Result<(), sqlx::Error> {
    if sources.is_empty() {
        return Ok(());
    }
    store::delete_of_sources(tx, sources).await
}
