//! Hybrid search: the question's vector and its words, fused, made diverse.
//!
//! What the database brings up is re-ranked here: recency breaks ties, near-repeats make room
//! (MMR), a thread gets at most three passages.

use std::collections::HashMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use uuid::Uuid;

use super::question::Question;
use super::serving::serving_model;
use super::store::{self, Candidate};
use crate::book::{self, Kind};
use crate::db::UserScope;
use crate::llm::{self, EmbeddingModel};
use crate::state::App;
use crate::telemetry::spans;

/// How much likeness to the question counts against unlikeness to what is chosen already.
const RELEVANCE: f64 = 0.8;
const PER_THREAD: usize = 3;
/// Measured on the advisor set's unfrozen half.
const NARROWED_KEYWORD_WEIGHT: f64 = 0.2;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct SearchRequest {
    pub query: String,
    /// Passages to return.
    pub top_k: usize,
    /// Only these; empty means all.
    pub kinds: Vec<Kind>,
    pub after: Option<DateTime<Utc>>,
    pub before: Option<DateTime<Utc>>,
    /// Only what this contact took part in, and their record.
    pub contact_id: Option<Uuid>,
}

/// A passage found.
#[derive(Clone, Debug)]
pub struct Hit {
    pub kind: Kind,
    pub source_id: Uuid,
    pub ordinal: i32,
    pub title: String,
    /// Who, when, what: the line that stands in front of the passage.
    pub header: String,
    pub text: String,
    pub previous: Option<String>,
    pub next: Option<String>,
    pub thread_id: Option<Uuid>,
    pub occurred_at: Option<DateTime<Utc>>,
    /// For ordering within one search only.
    pub score: f64,
    pub cosine: Option<f64>,
    /// Share of the question's words that it holds, weighted by rarity; 0 to 1.
    pub matched: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("no such contact")]
    NoSuchContact,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Searches the user's book. Without an embedding (the model server is away) it goes on with words
/// alone.
pub async fn search(
    app: &App,
    scope: &UserScope,
    request: &SearchRequest,
) -> Result<Vec<Hit>, SearchError> {
    let now = app.clock.now();
    let question = Question::read(&request.query, now);
    let (model, vector) = vector_of(app, scope, &question.topic).await?;
    let started = Instant::now();
    let span = spans::search();
    let mut candidates = run(app, scope, request, &question, (&model, vector)).await?;
    app.metrics.search(started.elapsed());
    drop(span);
    if question.period.is_none() {
        prefer_recent(&mut candidates, now);
    }
    Ok(choose(candidates, request.top_k)
        .into_iter()
        .filter_map(into_hit)
        .collect())
}

/// The question's vector by the model that serves; where that one can no longer be asked, by the one in
/// the settings, which may not have all passages yet.
async fn vector_of(
    app: &App,
    scope: &UserScope,
    topic: &str,
) -> Result<(EmbeddingModel, Option<HalfVector>), sqlx::Error> {
    let configured = EmbeddingModel::configured(app);
    let serving = serving_model(app, scope).await?;
    if serving != configured
        && let Some(vector) = embedded(app, &serving, topic).await
    {
        return Ok((serving, Some(vector)));
    }
    let vector = embedded(app, &configured, topic).await;
    Ok((configured, vector))
}

async fn embedded(app: &App, model: &EmbeddingModel, topic: &str) -> Option<HalfVector> {
    match llm::embed(app, model, vec![topic.to_owned()]).await {
        Ok(vectors) => vectors
            .first()
            .map(|vector| HalfVector::from_f32_slice(vector)),
        Err(error) => {
            let model = model.name();
            tracing::warn!(%error, model, "the question has no embedding by this model");
            None
        }
    }
}

async fn run(
    app: &App,
    scope: &UserScope,
    request: &SearchRequest,
    question: &Question,
    (model, vector): (&EmbeddingModel, Option<HalfVector>),
) -> Result<Vec<Candidate>, SearchError> {
    let mut tx = scope.begin(&app.pool).await?;
    let participants = match request.contact_id {
        Some(id) => {
            let contact = book::find_contact(&mut tx, id)
                .await?
                .ok_or(SearchError::NoSuchContact)?;
            let mut keys = book::address_keys(&contact.emails);
            keys.extend(contact.uid);
            Some(keys)
        }
        None => None,
    };
    let model = model.name();
    let kinds = (!request.kinds.is_empty()).then(|| {
        request
            .kinds
            .iter()
            .map(|kind| kind.name().to_owned())
            .collect()
    });
    // Names and periods have narrowed the field already; among what is left, meaning tells more.
    let narrowed = !question.names.is_empty() || question.period.is_some();
    let query = store::Query {
        topic: &question.topic,
        names: &question.names,
        vector,
        model: &model,
        kinds,
        after: request.after,
        before: request.before,
        participants,
        source_id: request.contact_id,
        said_after: question.period.map(|period| period.from),
        said_before: question.period.map(|period| period.until),
        keyword_weight: if narrowed {
            NARROWED_KEYWORD_WEIGHT
        } else {
            1.0
        },
    };
    Ok(store::search(&mut tx, query).await?)
}

/// Breaks ties only: at most a tenth of the score.
fn prefer_recent(candidates: &mut [Candidate], now: DateTime<Utc>) {
    for candidate in candidates.iter_mut() {
        let days = candidate
            .occurred_at
            .map_or(3650, |at| (now - at).num_days().clamp(0, 3650));
        let age = f64::from(i32::try_from(days).unwrap_or(i32::MAX));
        candidate.score *= 0.9 + 0.1 * (-age / 180.0).exp();
    }
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// A candidate that isn't chosen yet.
struct Left {
    candidate: Candidate,
    /// Empty where there is none.
    vector: Vec<f32>,
    /// Its likeness to what is chosen already, to the likest of them.
    repeats: f64,
}

/// Maximal marginal relevance over the candidates, at most [`PER_THREAD`] of a thread. Each candidate is compared with
/// each choice once.
fn choose(candidates: Vec<Candidate>, count: usize) -> Vec<Candidate> {
    let best = candidates
        .iter()
        .map(|candidate| candidate.score)
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut left: Vec<Left> = candidates
        .into_iter()
        .map(|candidate| Left {
            vector: candidate.embedding.as_ref().map_or_else(Vec::new, floats),
            candidate,
            repeats: 0.0,
        })
        .collect();
    let mut chosen: Vec<Candidate> = Vec::with_capacity(count);
    let mut per_thread: HashMap<Uuid, usize> = HashMap::new();
    while chosen.len() < count {
        let worth =
            |one: &Left| RELEVANCE * one.candidate.score / best - (1.0 - RELEVANCE) * one.repeats;
        let next = left
            .iter()
            .enumerate()
            .map(|(place, one)| (place, worth(one)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((place, _)) = next else { break };
        let Left {
            candidate, vector, ..
        } = left.remove(place);
        let in_thread = per_thread
            .entry(candidate.thread_id.unwrap_or(candidate.source_id))
            .or_default();
        if *in_thread < PER_THREAD {
            *in_thread += 1;
            for other in &mut left {
                other.repeats = other.repeats.max(likeness(&other.vector, &vector));
            }
            chosen.push(candidate);
        }
    }
    chosen
}

fn floats(vector: &HalfVector) -> Vec<f32> {
    vector.as_slice().iter().map(|part| part.to_f32()).collect()
}

/// Cosine of two unit vectors; 0 where one is missing.
fn likeness(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(x, y)| f64::from(*x) * f64::from(*y))
        .sum()
}

fn into_hit(candidate: Candidate) -> Option<Hit> {
    Some(Hit {
        kind: Kind::parse(&candidate.kind)?,
        source_id: candidate.source_id,
        ordinal: candidate.ordinal,
        title: candidate.title,
        header: candidate.header,
        text: candidate.text,
        previous: candidate.previous,
        next: candidate.next,
        thread_id: candidate.thread_id,
        occurred_at: candidate.occurred_at,
        score: candidate.score,
        cosine: candidate.cosine,
        matched: candidate.matched,
    })
}
