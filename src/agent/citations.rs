//! Citations in a model's text, checked while it streams.
//!
//! The model writes `[3: "words"]` (or, disobediently, `[3]`). Each is held back until it is whole,
//! held against the stored source, and either becomes `[n]` with its [`Citation`] (numbered in order
//! of appearance) or is dropped and counted. All other text passes at once.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use uuid::Uuid;

use super::sources::{Seen, Sources};
use super::{Citation, Part};
use crate::book;
use crate::db::{Scoped, UserScope};
use crate::retrieval::cite;
use crate::retrieval::routes::source_url;
use crate::state::App;

/// A bracket that isn't whole by then is no citation.
const LONGEST: usize = 2500;

/// The longest beginning of the rest that could still become a citation.
#[expect(clippy::unwrap_used, reason = "a literal, compiled in a test")]
static OPEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\[(?:\s*(?:\d{1,4}(?:\s*,\s*\d{0,4})*\s*(?::\s*(?:["“][^\]]*)?)?)?)?$|^\[\s*\d{1,4}\s*:\s*["“](?s:.)*$"#).unwrap()
});
#[expect(clippy::unwrap_used, reason = "a literal, compiled in a test")]
static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"^\[\s*(?:(\d{1,4})\s*:\s*["“](?s:(.*?))["”]\s*\]|(\d{1,4}(?:\s*,\s*\d{1,4})*)\s*\])"#,
    )
    .unwrap()
});

#[expect(clippy::unwrap_used, reason = "a literal, compiled in a test")]
static NESTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[\s*\d{1,4}\s*:").unwrap());
#[expect(clippy::unwrap_used, reason = "a literal, compiled in a test")]
static NEXT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"["”]\s*[;,]\s*(\d{1,4})\s*:\s*["“]"#).unwrap());

/// Numbers up to here may be a model's mistake about its sources; beyond, they are years and indexes.
const MOST_SOURCES: usize = 99;

/// The filter between the model's text and the reader.
pub(super) struct Citations {
    scope: UserScope,
    /// Text that may be the beginning of a citation.
    held: String,
    /// The sentence that is being written: what a citation without a quote is about.
    sentence: String,
    /// Numbers given out, by source and quote: the same words keep their number.
    given: HashMap<(Uuid, String), usize>,
    /// Stored texts that quotes were held against.
    texts: HashMap<Uuid, Option<String>>,
    pub dropped: u64,
}

impl Citations {
    pub fn new(scope: UserScope) -> Self {
        Self {
            scope,
            held: String::new(),
            sentence: String::new(),
            given: HashMap::new(),
            texts: HashMap::new(),
            dropped: 0,
        }
    }

    pub fn kept(&self) -> u64 {
        self.given.len() as u64
    }

    /// Takes a piece of the model's text; returns what the reader may see by now.
    pub async fn push(
        &mut self,
        app: &App,
        sources: &Sources,
        piece: &str,
    ) -> Result<Vec<Part>, sqlx::Error> {
        self.held.push_str(piece);
        self.drain(app, sources, false).await
    }

    /// The text is over: what was held back was no citation.
    pub async fn finish(&mut self, app: &App, sources: &Sources) -> Result<Vec<Part>, sqlx::Error> {
        self.drain(app, sources, true).await
    }

    async fn drain(
        &mut self,
        app: &App,
        sources: &Sources,
        ended: bool,
    ) -> Result<Vec<Part>, sqlx::Error> {
        let mut parts = Vec::new();
        loop {
            let Some(bracket) = self.held.find('[') else {
                self.pass(self.held.len(), &mut parts);
                return Ok(parts);
            };
            self.pass(bracket, &mut parts);
            let whole = WHOLE
                .captures(&self.held)
                .filter(|found| Cited::is_meant(found, sources));
            if let Some(found) = whole {
                let length = found.get(0).map_or(1, |whole| whole.len());
                let cited = Cited::read(&found);
                self.held.drain(..length);
                for (number, quote) in cited {
                    self.resolve(app, sources, number, quote, &mut parts)
                        .await?;
                }
            } else if !ended && self.held.len() < LONGEST && OPEN.is_match(&self.held) {
                return Ok(parts);
            } else {
                self.pass(1, &mut parts);
            }
        }
    }

    /// Lets text through.
    fn pass(&mut self, length: usize, parts: &mut Vec<Part>) {
        if length == 0 {
            return;
        }
        let text: String = self.held.drain(..length).collect();
        match text.rfind(['.', '!', '?', '\n']) {
            // The full stop before a citation still belongs to its claim.
            Some(end) if !text[end + 1..].trim().is_empty() => {
                text[end + 1..].clone_into(&mut self.sentence);
            }
            _ => self.sentence.push_str(&text),
        }
        match parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(&text),
            _ => parts.push(Part::Text(text)),
        }
    }

    async fn resolve(
        &mut self,
        app: &App,
        sources: &Sources,
        number: usize,
        quote: Option<String>,
        parts: &mut Vec<Part>,
    ) -> Result<(), sqlx::Error> {
        let quote = match sources.get(number) {
            Some(seen) => self
                .verify(app, seen, quote)
                .await?
                .map(|quote| (seen, quote)),
            None => None,
        };
        let Some((seen, quote)) = quote else {
            self.dropped += 1;
            return Ok(());
        };
        let key = (seen.source_id, quote);
        let index = match self.given.get(&key) {
            Some(index) => *index,
            None => {
                let index = self.given.len() + 1;
                parts.push(Part::Citation(Citation {
                    index,
                    kind: seen.kind,
                    source_id: seen.source_id,
                    title: seen.title.clone(),
                    quote: key.1.clone(),
                    occurred_at: seen.occurred_at,
                    url: source_url(seen.kind, seen.source_id),
                }));
                self.given.insert(key, index);
                index
            }
        };
        parts.push(Part::Text(format!("[{index}]")));
        Ok(())
    }

    /// The source's own words for the quote, or none.
    async fn verify(
        &mut self,
        app: &App,
        seen: &Seen,
        quote: Option<String>,
    ) -> Result<Option<String>, sqlx::Error> {
        if !self.texts.contains_key(&seen.source_id) {
            let mut tx: Scoped = self.scope.begin(&app.pool).await?;
            let text = book::source_text(&mut tx, seen.kind, seen.source_id).await?;
            self.texts.insert(seen.source_id, text);
        }
        let Some(Some(text)) = self.texts.get(&seen.source_id) else {
            return Ok(None);
        };
        Ok(match quote {
            Some(quote) => cite::verified(text, &quote).map(ToOwned::to_owned),
            None => cite::best_sentence(&seen.shown, &self.sentence)
                .or_else(|| cite::first_sentence(&seen.shown))
                .and_then(|sentence| cite::verified(text, sentence))
                .map(ToOwned::to_owned),
        })
    }
}

/// Numbers in one bracket, with the quote if there is one.
struct Cited;

impl Cited {
    /// A quote that holds the beginning of another citation has lost its end; a bare number that no
    /// tool can have given is the text's own (`array[0]`, `[2024]`).
    fn is_meant(found: &regex::Captures<'_>, sources: &Sources) -> bool {
        if let Some(quote) = found.get(2) {
            return !NESTED.is_match(quote.as_str());
        }
        let numbers = found.get(3).map_or("", |numbers| numbers.as_str());
        let known = sources.len().max(MOST_SOURCES);
        numbers
            .split(',')
            .filter_map(|number| number.trim().parse().ok())
            .all(|number: usize| (1..=known).contains(&number))
    }

    fn read(found: &regex::Captures<'_>) -> Vec<(usize, Option<String>)> {
        if let (Some(number), Some(quote)) = (found.get(1), found.get(2)) {
            return Self::quotes(number.as_str(), quote.as_str());
        }
        found
            .get(3)
            .map_or("", |numbers| numbers.as_str())
            .split(',')
            .filter_map(|number| Some((number.trim().parse().ok()?, None)))
            .collect()
    }

    /// `1: "a"; 2: "b"` in one bracket are two citations.
    fn quotes(first: &str, text: &str) -> Vec<(usize, Option<String>)> {
        let mut quotes = Vec::new();
        let (mut number, mut from) = (first.to_owned(), 0);
        for joint in NEXT.captures_iter(text) {
            let (Some(whole), Some(next)) = (joint.get(0), joint.get(1)) else {
                continue;
            };
            quotes.push((number, &text[from..whole.start()]));
            (number, from) = (next.as_str().to_owned(), whole.end());
        }
        quotes.push((number, &text[from..]));
        quotes
            .into_iter()
            .map(|(number, quote)| (number.parse().unwrap_or(0), Some(quote.to_owned())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_citations_are_told_from_other_brackets() {
        for open in [
            "[",
            "[1",
            "[12, 3",
            "[1:",
            "[1: ",
            "[1: \"He said",
            "[1: \"He said [sic] so",
            "[ 2 : “so",
        ] {
            assert!(OPEN.is_match(open), "{open}");
        }
        for other in ["[a", "[1 a", "[x](", "[12345", "[1: he"] {
            assert!(!OPEN.is_match(other), "{other}");
        }
    }

    #[test]
    fn whole_citations_are_read() {
        let read = |text: &str| WHOLE.captures(text).map(|found| Cited::read(&found));
        assert_eq!(read("[1] more"), Some(vec![(1, None)]));
        assert_eq!(read("[1, 22]"), Some(vec![(1, None), (22, None)]));
        assert_eq!(
            read("[3: \"a [b] c\"] x"),
            Some(vec![(3, Some("a [b] c".to_owned()))])
        );
        assert_eq!(read("[3: “a”]"), Some(vec![(3, Some("a".to_owned()))]));
        assert_eq!(
            read("[3: \"say \"it\" now\"]"),
            Some(vec![(3, Some("say \"it\" now".to_owned()))])
        );
        assert_eq!(
            read("[1: \"a\"; 2: \"b\"]"),
            Some(vec![(1, Some("a".to_owned())), (2, Some("b".to_owned()))])
        );
        assert_eq!(read("[3: \"a"), None);
        assert_eq!(read("[sic]"), None);
    }
}
