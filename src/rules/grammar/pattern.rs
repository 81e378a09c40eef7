//! Texts compared without regard to case, and patterns with `*`, each matched in linear time.
//!
//! A pattern is cut at its stars when the rule is read. Matching then looks for one part after the
//! other and never goes back: the leftmost place of a part leaves most room for the rest. Regular
//! expressions were refused: they say more than is needed, and users would have to escape dots.

use std::fmt;
use std::sync::OnceLock;

use memchr::memmem;

use super::lexicon;

/// The form of a text in which case doesn't count. Character by character, so that a part of a text
/// folds to a part of the folded text; upper case first, so that `ß` meets `SS` and `ς` meets `σ`.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// A text that rules are held against. It is folded once, and only if some rule looks at it: a body
/// may be long, and rules many.
#[derive(Clone, Debug, Default)]
pub struct Text {
    text: String,
    folded: OnceLock<String>,
}

impl Text {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn folded(&self) -> &[u8] {
        self.folded.get_or_init(|| fold(&self.text)).as_bytes()
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            folded: OnceLock::new(),
        }
    }
}

/// A text to be found somewhere in another.
#[derive(Clone, Debug)]
pub struct Needle {
    text: String,
    folded: String,
}

impl Needle {
    pub(super) fn new(text: String) -> Self {
        Self {
            folded: fold(&text),
            text,
        }
    }

    pub fn is_in(&self, text: &Text) -> bool {
        memmem::find(text.folded(), self.folded.as_bytes()).is_some()
    }
}

impl PartialEq for Needle {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Needle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lexicon::write_value(f, &self.text)
    }
}

/// A whole text, in which each `*` stands for anything.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// What stands between the stars: one part more than there are stars, and only the first and the
    /// last may be empty.
    parts: Vec<String>,
    folded: Vec<String>,
}

impl Pattern {
    /// From characters, each with whether it is a star that stands for anything.
    pub(super) fn new(chars: impl IntoIterator<Item = (char, bool)>) -> Self {
        let mut parts = vec![String::new()];
        let mut after_star = false;
        for (c, star) in chars {
            match parts.last_mut() {
                _ if star && !after_star => parts.push(String::new()),
                Some(part) if !star => part.push(c),
                _ => {}
            }
            after_star = star;
        }
        Self {
            folded: parts.iter().map(|part| fold(part)).collect(),
            parts,
        }
    }

    pub fn matches(&self, text: &Text) -> bool {
        let text = text.folded();
        let (first, last, between) = match self.folded.as_slice() {
            [] => return text.is_empty(),
            [whole] => return text == whole.as_bytes(),
            [first, between @ .., last] => (first, last, between),
        };
        let Some(text) = text.strip_prefix(first.as_bytes()) else {
            return false;
        };
        let Some(mut rest) = text.strip_suffix(last.as_bytes()) else {
            return false;
        };
        between.iter().all(|part| {
            let found = memmem::find(rest, part.as_bytes());
            let after = found.and_then(|at| rest.get(at + part.len()..));
            rest = after.unwrap_or_default();
            after.is_some()
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A `*` that is meant, and a backslash, must be told from those that are not.
        if self.parts.iter().any(|part| part.contains(['*', '\\'])) {
            f.write_str("\"")?;
            for (n, part) in self.parts.iter().enumerate() {
                if n > 0 {
                    f.write_str("*")?;
                }
                for (n, part) in part.split('*').enumerate() {
                    if n > 0 {
                        f.write_str("\\*")?;
                    }
                    lexicon::write_escaped(f, part)?;
                }
            }
            return f.write_str("\"");
        }
        lexicon::write_value(f, &self.parts.join("*"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text.chars().map(|c| (c, c == '*')))
    }

    fn matches(glob: &str, text: &str) -> bool {
        pattern(glob).matches(&Text::from(text))
    }

    #[test]
    fn a_star_stands_for_anything_and_case_for_nothing() {
        for (glob, text) in [
            ("*@bigclient.com", "Ann@BigClient.COM"),
            ("*", ""),
            ("**", "x"),
            ("a*b*c", "aXXbYYbZc"),
            ("STRASSE*", "Straße 5"),
            ("ΟΔΟΣ*", "οδοςα"),
            ("", ""),
        ] {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [
            ("*@bigclient.com", "ann@bigclient.com.evil.org"),
            ("a*a", "a"),
            ("ab", "abc"),
            ("", "x"),
            ("*aba*aba*", "xababax"),
        ] {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_linear_time() {
        let glob = format!("*{}b*", "a".repeat(1_900)).repeat(2);
        let text = Text::from("a".repeat(5_000_000));
        assert!(!pattern(&glob).matches(&text));
    }

    /// What a glob means, with no thought of speed.
    fn naively(glob: &[char], text: &[char]) -> bool {
        match (glob, text) {
            ([], []) => true,
            (['*', glob_rest @ ..], _) => {
                naively(glob_rest, text) || (!text.is_empty() && naively(glob, &text[1..]))
            }
            ([one, glob_rest @ ..], [other, text_rest @ ..]) => {
                one.eq_ignore_ascii_case(other) && naively(glob_rest, text_rest)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn globs_do_as_the_naive_reference(glob in "[abB*]{0,8}", text in "[abA]{0,12}") {
            let reference = naively(
                &glob.chars().collect::<Vec<_>>(),
                &text.chars().collect::<Vec<_>>(),
            );
            prop_assert_eq!(matches(&glob, &text), reference, "{} {}", glob, text);
        }

        #[test]
        fn a_part_folds_to_a_part(before in ".{0,5}", middle in ".{0,5}", after in ".{0,5}") {
            let whole = Text::from(format!("{before}{middle}{after}"));
            prop_assert!(Needle::new(middle).is_in(&whole));
        }
    }
}
