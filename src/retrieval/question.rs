//! A question taken apart: what it is about, whom it names, which period.
//!
//! A small sentence model spends most of a short question's vector on its names, and names are what
//! words find best. So the names go to the keyword search, and the vector is of the rest. Measured on
//! the advisor set with the built-in model: recall@8 0.78 with the names in the vector, 0.88 without.

use chrono::{DateTime, Utc};

use super::dates::{self, Period};

/// A question, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Without the names; the whole question where little else is left.
    pub topic: String,
    pub names: Vec<String>,
    pub period: Option<Period>,
}

const MAX_NAMES: usize = 8;
/// Words of some length that a topic must have to stand without the names.
const TOPIC_WORDS: usize = 2;

impl Question {
    pub fn read(text: &str, now: DateTime<Utc>) -> Self {
        let period = Period::named_in(text, now);
        let (names, rest) = split(text);
        let substance = rest
            .split_whitespace()
            .filter(|word| word.chars().filter(|c| c.is_alphabetic()).count() >= 4)
            .count();
        let stands_alone = substance >= TOPIC_WORDS;
        Self {
            topic: if stands_alone { rest } else { text.to_owned() },
            names,
            period,
        }
    }
}

/// What a question is about, without the names that it mentions.
pub fn topic_of(text: &str, now: DateTime<Utc>) -> String {
    Question::read(text, now).topic
}

/// Names by their look (a capital or a digit anywhere but at the start, an `@`, all capitals), and
/// the text without them.
fn split(text: &str) -> (Vec<String>, String) {
    let mut names: Vec<String> = Vec::new();
    let mut rest = Vec::new();
    for (place, word) in text.split_whitespace().enumerate() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let bare = bare
            .strip_suffix("'s")
            .or_else(|| bare.strip_suffix("’s"))
            .unwrap_or(bare);
        if is_name(place, bare) {
            if names.len() < MAX_NAMES && !names.iter().any(|name| name == bare) {
                names.push(bare.to_owned());
            }
        } else if !(place > 0 && dates::is_month(bare) && starts_upper(bare)) {
            rest.push(word);
        }
    }
    (names, rest.join(" "))
}

fn is_name(place: usize, word: &str) -> bool {
    const TITLES: [&str; 6] = ["I", "Mr", "Mrs", "Ms", "Dr", "OK"];
    if TITLES.contains(&word) || (dates::is_month(word) && starts_upper(word)) {
        return false;
    }
    let capitals = word.chars().count() > 1
        && word.chars().any(char::is_alphabetic)
        && !word.chars().any(char::is_lowercase);
    word.contains('@')
        || capitals
        || (place > 0 && (starts_upper(word) || word.chars().any(|c| c.is_ascii_digit())))
}

fn starts_upper(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Vec<String>) {
        let question = Question::read(text, "2026-11-23T00:00:00Z".parse().unwrap());
        (question.topic, question.names)
    }

    #[test]
    fn names_leave_the_topic() {
        assert_eq!(
            read("Why did Greg's wife want to sell her AAPL shares?"),
            (
                "Why did wife want to sell her shares?".to_owned(),
                vec!["Greg".to_owned(), "AAPL".to_owned()]
            )
        );
        assert_eq!(
            read("Which clients brought up life insurance in March?"),
            (
                "Which clients brought up life insurance in".to_owned(),
                vec![]
            )
        );
        assert_eq!(
            read("Who mentioned their kid plays baseball?").1,
            Vec::<String>::new()
        );
    }

    #[test]
    fn little_else_left_means_the_whole_question() {
        assert_eq!(
            read("sara@example.com"),
            (
                "sara@example.com".to_owned(),
                vec!["sara@example.com".to_owned()]
            )
        );
        assert_eq!(read("Who is Sara Smith?").0, "Who is Sara Smith?");
    }
}
