//! What is wrong with a rule's text, and where.
//!
//! The parser speaks of a [`Fault`] at an offset; the user gets a [`SyntaxError`] at a line and column,
//! with what would have fitted and the nearest word that exists.

use std::fmt::Write as _;

use super::lexicon::{ends_word, is_quote};
use super::vocabulary::Field;

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// 1-based; a line ends with a line feed.
    pub line: usize,
    /// 1-based, within the line, in Unicode scalar values; one past the last where the text ends too early.
    pub column: usize,
    /// The whole sentence, for a person.
    pub message: String,
    /// What would have fitted, all of it, even where the message shortens the list.
    pub expected: Vec<String>,
    /// What stands there instead; nothing at the end of the text.
    pub found: Option<String>,
}

/// Lists up to here are read; longer ones are shortened in the message.
const LISTED: usize = 20;
const LISTED_OF_MORE: usize = 8;
const MAX_FOUND: usize = 40;
/// Words that are less alike (0 to 1) are no suggestion: by edits, by shared pairs of letters.
const ALIKE_BY_EDITS: f64 = 0.55;
const ALIKE_BY_PAIRS: f64 = 0.45;

/// The same in the parser's terms.
#[derive(Debug)]
pub(super) struct Fault {
    /// Bytes from the beginning of the text.
    pub at: usize,
    /// Nothing where what stands there isn't wrong in itself, but doesn't fit.
    says: Option<String>,
    expected: Vec<String>,
    found: Option<String>,
    /// Said at the end, in brackets.
    hint: Option<String>,
}

impl Fault {
    pub fn unexpected(at: usize) -> Self {
        Self {
            at,
            says: None,
            expected: Vec::new(),
            found: None,
            hint: None,
        }
    }

    pub fn says(at: usize, sentence: impl Into<String>) -> Self {
        Self {
            says: Some(sentence.into()),
            ..Self::unexpected(at)
        }
    }

    /// A word that isn't one of those known.
    pub fn unknown(at: usize, word: &str, what: &str, known: &[&str]) -> Self {
        Self::says(at, format!("{} is no {what}", shown(word)))
            .expecting(known)
            .finding(word)
            .meaning(nearest(word, known))
    }

    /// A word where a field of the rule's events should stand.
    pub fn no_field(at: usize, word: &str, known: &[Field]) -> Self {
        let names: Vec<_> = known.iter().map(|field| field.name()).collect();
        if Field::parse(word).is_none() {
            let fault = Self::unknown(at, word, "field", &names);
            if word.starts_with(|c: char| c.is_ascii_digit()) {
                return fault.hinting("a number is written without commas");
            }
            return fault;
        }
        let sentence = format!("no event of this rule has the field {}", shown(word));
        Self::says(at, sentence).expecting(&names).finding(word)
    }

    pub fn expecting(mut self, expected: &[impl ToString]) -> Self {
        self.expected = expected.iter().map(ToString::to_string).collect();
        self
    }

    pub fn finding(mut self, found: &str) -> Self {
        self.found = Some(shortened(found));
        self
    }

    /// With the word that one may have meant, if there is one.
    pub fn meaning(self, near: Option<String>) -> Self {
        match near {
            Some(near) => self.hinting(format!("did you mean {near}?")),
            None => self,
        }
    }

    pub fn hinting(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// In lines and columns of the text. `tried` is what the parser looked for at `at` in vain.
    pub fn located(self, text: &str, tried: &[&'static str]) -> SyntaxError {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let found = self.found.or_else(|| word_at(text, self.at));
        let expected = match &self.says {
            None if self.expected.is_empty() => tried.iter().map(ToString::to_string).collect(),
            _ => self.expected,
        };
        let mut message = match line {
            1 => format!("column {column}: "),
            _ => format!("line {line}, column {column}: "),
        };
        match (self.says, &found) {
            (Some(sentence), _) => message.push_str(&sentence),
            (None, Some(found)) => {
                message.push_str(&shown(found));
                message.push_str(" doesn't belong here");
            }
            (None, None) => message.push_str("the rule ends too early"),
        }
        // A long list is worth less than a guess.
        if expected.len() <= LISTED || self.hint.is_none() {
            list(&mut message, &expected);
        }
        if let Some(hint) = self.hint {
            let _ = write!(message, " ({hint})");
        }
        SyntaxError {
            line,
            column,
            message,
            expected,
            found,
        }
    }
}

fn list(message: &mut String, expected: &[String]) {
    match expected {
        [] => {}
        [one] => {
            message.push_str("; expected ");
            message.push_str(one);
        }
        few if few.len() <= LISTED => {
            message.push_str("; expected one of ");
            message.push_str(&few.join(", "));
        }
        many => {
            message.push_str("; expected one of ");
            message.push_str(&many[..LISTED_OF_MORE].join(", "));
            let _ = write!(message, " and {} more", many.len() - LISTED_OF_MORE);
        }
    }
}

/// A foreign word in our sentence: quoted, short, and with what can't be seen made visible.
pub(super) fn shown(word: &str) -> String {
    let mut out = String::from('"');
    for c in shortened(word).chars() {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out.push('"');
    out
}

fn shortened(word: &str) -> String {
    match word.char_indices().nth(MAX_FOUND) {
        None => word.to_owned(),
        Some((end, _)) => format!("{}…", &word[..end]),
    }
}

/// The word that begins there, or one character if it is none; nothing at the end.
fn word_at(text: &str, at: usize) -> Option<String> {
    let rest = text.get(at..)?;
    let mut chars = rest.chars();
    let first = chars.next()?;
    if ends_word(first) && !is_quote(first) {
        return Some(first.to_string());
    }
    let length: usize = chars
        .take_while(|c| !ends_word(*c))
        .map(char::len_utf8)
        .sum();
    rest.get(..first.len_utf8() + length).map(shortened)
}

/// The known word that one most likely meant. Edit distance finds what was mistyped, shared pairs of
/// letters what was remembered in part (`reply_al` for `draft_reply`).
pub(super) fn nearest(word: &str, known: &[impl AsRef<str>]) -> Option<String> {
    if word.chars().nth(MAX_FOUND).is_some() {
        return None;
    }
    let word = word.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in known {
        let candidate = candidate.as_ref();
        let folded = candidate.to_lowercase();
        let by_edits = strsim::normalized_damerau_levenshtein(&word, &folded);
        let by_pairs = strsim::sorensen_dice(&word, &folded);
        let alike = by_edits.max(by_pairs);
        if (by_edits >= ALIKE_BY_EDITS || by_pairs >= ALIKE_BY_PAIRS)
            && best.is_none_or(|(most, _)| alike > most)
        {
            best = Some((alike, candidate));
        }
    }
    best.map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_begin_anew() {
        let error = Fault::says("né ✓\r\nxü ".len(), "here").located("né ✓\r\nxü y", &[]);
        assert_eq!((error.line, error.column), (2, 4));
        assert_eq!(error.message, "line 2, column 4: here");
        assert_eq!(error.found.as_deref(), Some("y"));
    }

    #[test]
    fn the_nearest_word_is_near() {
        let actions = ["log", "draft_reply", "create_task"];
        let near = |word| nearest(word, &actions);
        assert_eq!(near("reply_al").as_deref(), Some("draft_reply"));
        assert_eq!(near("Creat_Taks").as_deref(), Some("create_task"));
        assert_eq!(near("xyz"), None);
        assert_eq!(near(&"log".repeat(99)), None);
    }

    #[test]
    fn what_cannot_be_seen_is_made_visible() {
        assert_eq!(shown("a\u{202e}\u{feff}\n"), r#""a\u{202e}\u{feff}\n""#);
        assert_eq!(shown("it's “so” \\"), "\"it's “so” \\\"");
    }

    #[test]
    fn long_lists_are_shortened_in_the_message_only() {
        let many: Vec<String> = (0..30).map(|n| format!("w{n}")).collect();
        let error = Fault::says(0, "so").expecting(&many).located("", &[]);
        assert_eq!(error.expected.len(), 30);
        assert!(error.message.ends_with("w7 and 22 more"), "{error}");
        assert_eq!(error.found, None);
    }
}
