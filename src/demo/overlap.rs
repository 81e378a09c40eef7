//! How many words a question shares with a text: the figure behind "lexical" and "paraphrase".
//!
//! Counted are content words, lower-cased and stemmed by Snowball's English stemmer (as Postgres'
//! `english` does), names included. Knows nothing of facts.

use std::collections::BTreeSet;

use rust_stemmers::{Algorithm, Stemmer};

/// Words that carry no topic; also the question words of the test set.
const STOPWORDS: &[&str] = &[
    "a", "about", "after", "again", "all", "am", "an", "and", "any", "are", "as", "at", "be",
    "because", "been", "before", "being", "but", "by", "can", "could", "did", "do", "does",
    "doing", "for", "from", "had", "has", "have", "having", "he", "her", "here", "him", "his",
    "how", "i", "if", "in", "into", "is", "it", "its", "just", "me", "more", "most", "my", "no",
    "nor", "not", "of", "off", "on", "once", "only", "or", "other", "our", "out", "over", "own",
    "s", "same", "she", "should", "so", "some", "such", "t", "than", "that", "the", "their",
    "them", "then", "there", "these", "they", "this", "those", "through", "to", "too", "under",
    "until", "up", "us", "very", "was", "we", "were", "what", "when", "where", "which", "while",
    "who", "whom", "whose", "why", "will", "with", "would", "you", "your", "mr", "mrs",
];

/// The distinct stems of a text's content words.
pub fn stems(text: &str) -> BTreeSet<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !STOPWORDS.contains(word))
        .map(|word| stemmer.stem(word).into_owned())
        .collect()
}

/// The share of the question's content words that stand in the text, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a question has few words")]
pub fn share(question: &BTreeSet<String>, text: &BTreeSet<String>) -> f64 {
    if question.is_empty() {
        return 0.0;
    }
    question.intersection(text).count() as f64 / question.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stems_and_not_letters_or_little_words() {
        let question = stems("When is Sara selling the shares?");
        let shared = share(&question, &stems("I'd like to sell my share. Sara"));
        assert!((shared - 1.0).abs() < f64::EPSILON);
        let shared = share(&question, &stems("The equity goes."));
        assert!(shared.abs() < f64::EPSILON);
    }
}
