//! How facts are put into words: the layer that may change while the truth stays.
//!
//! Per kind one [`Wording`]: six or more ways to write it in a mail, the advisor's notes, the
//! advisor's own question (which never holds the answer), and the questions of the test set, plain
//! (sharing words with the mails) and oblique (sharing hardly any). Slots: `{v}` value, `{d}`
//! detail, `{child}`, `{name}` full name, `{first}`, `{last}` of the household.
//!
//! Promises: every telling holds `{v}` and `{d}`; no question holds what it asks for (tests below).
//! To add a kind: a variant and pool in `facts`, an entry in one of the files here.

mod family;
pub mod filler;
mod life;
mod money;
mod planning;

use super::facts::{Fact, Kind};
use super::people::Household;

/// All the words for one kind.
#[derive(Debug)]
pub struct Wording {
    pub kind: Kind,
    /// "Who wrote about {topic} in March?"
    pub topic: &'static str,
    pub subjects: &'static [&'static str],
    /// The advisor asks; the client's reply tells.
    pub asks: &'static [&'static str],
    /// The client tells, in the first person.
    pub mails: &'static [&'static str],
    /// The advisor notes it down, in the third person.
    pub notes: &'static [&'static str],
    /// Questions in the words of the mails.
    pub plain: &'static [&'static str],
    /// Questions in other words.
    pub oblique: &'static [&'static str],
    /// Questions with several right people; they hold `{v}` or `{d}`, and that decides who is right.
    pub who: &'static [&'static str],
}

/// The wording of a kind; every kind has one.
pub fn of(kind: Kind) -> &'static Wording {
    tables()
        .find(|wording| wording.kind == kind)
        .unwrap_or(&family::WORDINGS[0])
}

fn tables() -> impl Iterator<Item = &'static Wording> {
    family::WORDINGS
        .iter()
        .chain(life::WORDINGS)
        .chain(money::WORDINGS)
        .chain(planning::WORDINGS)
}

/// Puts a fact into a template.
pub fn tell(template: &str, fact: &Fact, household: &Household) -> String {
    let text = address(template, household, fact.adult)
        .replace("{v}", &fact.value)
        .replace("{d}", &fact.detail);
    match &fact.child {
        Some(child) => text.replace("{child}", child),
        None => text,
    }
}

/// Puts only the names of a household into a template: for questions about what was never told.
pub fn address(template: &str, household: &Household, adult: usize) -> String {
    let person = &household.adults[adult];
    template
        .replace("{name}", &person.full_name())
        .replace("{first}", &person.first)
        .replace("{last}", &household.last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_kind_has_enough_words_and_every_telling_holds_the_fact() {
        for kind in Kind::all() {
            let wording = of(kind);
            assert_eq!(wording.kind, kind);
            assert!(wording.mails.len() >= 6, "{kind:?}: mails");
            assert!(
                wording.plain.len() >= 2 && wording.oblique.len() >= 3,
                "{kind:?}: questions"
            );
            assert!(
                wording.asks.len() >= 2 && wording.notes.len() >= 2,
                "{kind:?}: asks, notes"
            );
            for text in wording.mails.iter().chain(wording.notes) {
                assert!(
                    text.contains("{v}") && text.contains("{d}"),
                    "{kind:?}: {text}"
                );
                // A name may begin a sentence; other values are lower case.
                let begins = text.starts_with("{v}") && !kind.names_a_professional();
                assert!(!begins, "{kind:?}: {text}");
            }
            let distinct: HashSet<_> = wording.mails.iter().collect();
            assert_eq!(
                distinct.len(),
                wording.mails.len(),
                "{kind:?} repeats itself"
            );
        }
    }

    #[test]
    fn no_question_holds_its_answer() {
        for kind in Kind::all() {
            let wording = of(kind);
            for text in wording
                .asks
                .iter()
                .chain(wording.plain)
                .chain(wording.oblique)
            {
                assert!(!text.contains("{v}"), "{kind:?}: {text}");
            }
            // Nor does the advisor state half of the fact in asking for the other half.
            assert!(
                wording.asks.iter().all(|text| !text.contains("{d}")),
                "{kind:?}"
            );
            for text in wording.who {
                assert!(
                    text.contains("{v}") || text.contains("{d}"),
                    "{kind:?}: {text}"
                );
            }
        }
    }
}
