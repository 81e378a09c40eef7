//! Answers without a model: the passages that match, word for word, and nothing else.
//!
//! Never a paraphrase, never a joined quote, and it says what it is. A request to act is refused
//! with the reason.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;
use uuid::Uuid;

use super::{Citation, Gone, Part, Sink, send};
use crate::book;
use crate::db::UserScope;
use crate::llm::{self, EmbeddingModel};
use crate::retrieval::routes::source_url;
use crate::retrieval::{self, Hit, SearchError, SearchRequest, chunk, cite};
use crate::state::App;

const LEAD: &str = "No language model is configured. These passages match your question:";
const NOTHING: &str =
    "No language model is configured, and no passage in your book matches this question.";
const NO_ACTION: &str = "No language model is configured, so I can't act on requests; I can only show passages from \
your book. Set OPENAI_API_KEY, or OPENAI_BASE_URL for a model of your own, and start again.";

/// Below it nothing that was found is about the question: the best sentence's cosine with the
/// question's topic, plus [`MATCHED_SHARE`] of the topic's words that a passage holds. Measured on the
/// advisor set's unfrozen half with the built-in model, where it refuses half of what has no answer and
/// a tenth of what has one; no threshold parts the two better.
const ABOUT_FLOOR: f64 = 0.32;
const MATCHED_SHARE: f64 = 0.3;
/// Whoever names exactly what stands there means it, whatever the vectors say.
const ALL_MATCHED: f64 = 0.9;
const MAX_QUOTES: usize = 5;
const MAX_PER_SOURCE: usize = 2;
/// A quote much weaker than the best one distracts.
const WORTH_SHOWING: f64 = 0.75;

#[expect(clippy::unwrap_used, reason = "a literal, compiled in a test")]
static ACTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^\s*(?:please\s+|can you\s+|could you\s+|would you\s+)*(?:(?:schedule|reschedule|cancel|send|forward|remind|invite|delete|set up)\s+\w|(?:book|write|draft|create|add|e-?mail|reply to)\s+(?:an?|the|my|me|us|him|her|them|to)\b)",
    )
    .unwrap()
});

struct Sentence<'a> {
    hit: &'a Hit,
    text: String,
    /// With the question's topic.
    cosine: f64,
    score: f64,
}

pub(super) async fn answer(
    app: &App,
    scope: UserScope,
    question: &str,
    sink: &Sink,
) -> Result<(), Gone> {
    if ACTION.is_match(question) {
        return send(sink, Part::Text(NO_ACTION.to_owned())).await;
    }
    match quotes(app, scope, question, sink).await {
        Ok(()) => Ok(()),
        Err(Stop::Gone) => Err(Gone),
        Err(Stop::Failed(error)) => {
            tracing::warn!(%error, "an answer failed");
            let words = "The search is not available right now. Try again in a moment.";
            send(sink, Part::Error(words.to_owned())).await
        }
    }
}

enum Stop {
    Gone,
    Failed(SearchError),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<SearchError> for Stop {
    fn from(error: SearchError) -> Self {
        Self::Failed(error)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Whether the best of what was found is about the question at all.
pub async fn is_about(
    app: &App,
    scope: &UserScope,
    question: &str,
    hits: &[Hit],
) -> Result<bool, sqlx::Error> {
    let model = retrieval::serving_model(app, scope).await?;
    let sentences = best_sentences(app, &model, question, hits).await;
    Ok(passes(&model, &sentences, hits))
}

/// The floor was measured for one model. Of another's cosines it says little, so there whatever shares
/// a word with the question is shown.
fn passes(model: &EmbeddingModel, sentences: &[Sentence<'_>], hits: &[Hit]) -> bool {
    let cosine = sentences
        .iter()
        .map(|sentence| sentence.cosine)
        .fold(0.0, f64::max);
    let matched = hits.iter().map(|hit| hit.matched).fold(0.0, f64::max);
    let enough = if model.is_built_in() {
        ALL_MATCHED
    } else {
        f64::MIN_POSITIVE
    };
    matched >= enough || cosine + MATCHED_SHARE * matched >= ABOUT_FLOOR
}

async fn quotes(app: &App, scope: UserScope, question: &str, sink: &Sink) -> Result<(), Stop> {
    let request = SearchRequest {
        query: question.to_owned(),
        top_k: 8,
        ..SearchRequest::default()
    };
    let hits = retrieval::search(app, &scope, &request).await?;
    let model = retrieval::serving_model(app, &scope).await?;
    let sentences = best_sentences(app, &model, question, &hits).await;
    if !passes(&model, &sentences, &hits) {
        return Ok(send(sink, Part::Text(NOTHING.to_owned())).await?);
    }
    let mut tx = scope.begin(&app.pool).await?;
    let mut texts: HashMap<Uuid, Option<String>> = HashMap::new();
    let mut index = 0;
    let mut dropped = 0;
    for sentence in choose(sentences) {
        let hit = sentence.hit;
        let stored = match texts.entry(hit.source_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                place.insert(book::source_text(&mut tx, hit.kind, hit.source_id).await?)
            }
        };
        let Some(quote) = stored
            .as_deref()
            .and_then(|text| cite::verified(text, &sentence.text))
        else {
            dropped += 1;
            continue;
        };
        if index == 0 {
            send(sink, Part::Text(LEAD.to_owned())).await?;
        }
        index += 1;
        let shown = quote.split_whitespace().collect::<Vec<_>>().join(" ");
        send(
            sink,
            Part::Citation(Citation {
                index,
                kind: hit.kind,
                source_id: hit.source_id,
                title: hit.title.clone(),
                quote: quote.to_owned(),
                occurred_at: hit.occurred_at,
                url: source_url(hit.kind, hit.source_id),
            }),
        )
        .await?;
        let line = format!("\n\n> {shown} [{index}]\n\n{}", attribution(hit));
        send(sink, Part::Text(line)).await?;
    }
    app.metrics.citations(index as u64, dropped);
    if index == 0 {
        send(sink, Part::Text(NOTHING.to_owned())).await?;
    }
    Ok(())
}

/// Who, when, what, without the header's first word.
fn attribution(hit: &Hit) -> String {
    let line = hit.header.split(" | ").collect::<Vec<_>>().join(", ");
    format!("— {line}")
}

/// Scores sentences by meaning and by the question's words, best first.
async fn best_sentences<'a>(
    app: &App,
    model: &EmbeddingModel,
    question: &str,
    hits: &'a [Hit],
) -> Vec<Sentence<'a>> {
    let mut seen = HashSet::new();
    let candidates: Vec<(&Hit, String)> = hits
        .iter()
        .flat_map(|hit| {
            chunk::sentences(&hit.text)
                .filter_map(|range| hit.text.get(range))
                .map(str::trim)
                .filter(|text| text.split_whitespace().count() >= 3 && text.len() <= 600)
                .map(|text| (hit, text.to_owned()))
                .collect::<Vec<_>>()
        })
        // Overlapping passages share sentences.
        .filter(|(hit, text)| seen.insert((hit.source_id, text.clone())))
        .collect();
    let mut texts: Vec<String> = candidates.iter().map(|(_, text)| text.clone()).collect();
    texts.push(retrieval::topic_of(question, app.clock.now()));
    let vectors = llm::embed(app, model, texts).await.unwrap_or_default();
    let asked = words(question);
    let rarity = rarity(&asked, &candidates);
    let question_vector = vectors.last();
    let mut sentences: Vec<Sentence<'_>> = candidates
        .into_iter()
        .enumerate()
        .map(|(place, (hit, text))| {
            let cosine = match (question_vector, vectors.get(place)) {
                (Some(question), Some(sentence)) => dot(question, sentence),
                _ => 0.0,
            };
            let held = words(&text);
            let share: f64 = rarity
                .iter()
                .filter(|(word, _)| held.contains(**word))
                .map(|(_, weight)| weight)
                .sum();
            Sentence {
                hit,
                text,
                cosine,
                score: 0.6 * cosine + 0.4 * share,
            }
        })
        .collect();
    sentences.sort_by(|a, b| b.score.total_cmp(&a.score));
    sentences
}

/// The best few, not too many of one source.
fn choose(sentences: Vec<Sentence<'_>>) -> Vec<Sentence<'_>> {
    let best = sentences.first().map_or(0.0, |sentence| sentence.score);
    let mut per_source: HashMap<Uuid, usize> = HashMap::new();
    sentences
        .into_iter()
        .filter(|sentence| sentence.score >= best * WORTH_SHOWING)
        .filter(|sentence| {
            let count = per_source.entry(sentence.hit.source_id).or_default();
            *count += 1;
            *count <= MAX_PER_SOURCE
        })
        .take(MAX_QUOTES)
        .collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(x, y)| f64::from(*x) * f64::from(*y))
        .sum()
}

/// Lower-case words of three letters and more, without a plural's s.
fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() >= 3)
        .map(|word| {
            let lower = word.to_lowercase();
            lower
                .strip_suffix('s')
                .map_or(lower.clone(), ToOwned::to_owned)
        })
        .collect()
}

/// The question's words with their share of weight, the rarer among the sentences the heavier.
fn rarity<'a>(asked: &'a HashSet<String>, candidates: &[(&Hit, String)]) -> HashMap<&'a str, f64> {
    let held: Vec<HashSet<String>> = candidates.iter().map(|(_, text)| words(text)).collect();
    let total = f64::from(u32::try_from(held.len().max(1)).unwrap_or(u32::MAX));
    let weights: HashMap<&str, f64> = asked
        .iter()
        .map(|word| {
            let holders = held.iter().filter(|words| words.contains(word)).count();
            let holders = f64::from(u32::try_from(holders).unwrap_or(u32::MAX));
            (word.as_str(), (1.0 + total / (1.0 + holders)).ln())
        })
        .collect();
    let sum: f64 = weights.values().sum::<f64>().max(f64::MIN_POSITIVE);
    weights
        .into_iter()
        .map(|(word, weight)| (word, weight / sum))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_to_act_are_told_from_questions() {
        for action in [
            "Schedule an appointment with Sara",
            "please send Tom the plan",
            "Could you book a slot?",
        ] {
            assert!(ACTION.is_match(action), "{action}");
        }
        for question in [
            "Who mentioned baseball?",
            "When did Sara call?",
            "What did Tom send?",
            "book club dates",
            "move 40,000 dollars into bonds",
            "email from Sara",
        ] {
            assert!(!ACTION.is_match(question), "{question}");
        }
    }
}
