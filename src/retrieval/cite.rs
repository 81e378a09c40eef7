//! Quotes that can be trusted: a quote is shown only when it stands in the stored source.
//!
//! Letter for letter, except that a run of white space equals any other, since mail is wrapped and
//! unwrapped on its way, and that a printer's quotation marks, dashes and ellipses equal those of a
//! keyboard, which models write instead. What is returned is the source's own wording.

use std::iter;
use std::ops::Range;

use super::chunk;

/// Words of a quote that is enough to find the place, and not so long that nobody reads it.
const LONGEST_QUOTE: usize = 600;

/// Finds a quote in a text; the range is of the text. Blank quotes are found nowhere.
pub fn find(text: &str, quote: &str) -> Option<Range<usize>> {
    let mut pattern = quote.split_whitespace();
    let first = pattern.next()?;
    let rest: Vec<&str> = pattern.collect();
    text.char_indices().find_map(|(start, _)| {
        let length = starts_with(text.get(start..)?, first)?;
        let end = continues(text, start + length, &rest)?;
        Some(start..end)
    })
}

/// The length of the text's beginning that is this word, in any typography.
fn starts_with(text: &str, word: &str) -> Option<usize> {
    let mut wanted = word.chars().flat_map(typed).peekable();
    let mut length = 0;
    for letter in text.chars() {
        if wanted.peek().is_none() {
            break;
        }
        // A letter of the text counts as a whole or not at all.
        if !typed(letter).all(|sign| wanted.next_if_eq(&sign).is_some()) {
            return None;
        }
        length += letter.len_utf8();
    }
    wanted.peek().is_none().then_some(length)
}

/// What one types for it on a keyboard.
fn typed(letter: char) -> impl Iterator<Item = char> {
    let (sign, times) = match letter {
        '‘' | '’' | '‚' | '‛' | 'ʼ' => ('\'', 1),
        '“' | '”' | '„' | '‟' => ('"', 1),
        // Hyphens that don't break, figure, en and em dashes, the minus.
        '\u{2010}'..='\u{2015}' | '\u{2212}' => ('-', 1),
        '…' => ('.', 3),
        other => (other, 1),
    };
    iter::repeat_n(sign, times)
}

fn continues(text: &str, mut at: usize, words: &[&str]) -> Option<usize> {
    for word in words {
        let rest = text.get(at..)?;
        let trimmed = rest.trim_start();
        if trimmed.len() == rest.len() {
            return None;
        }
        at += rest.len() - trimmed.len();
        at += starts_with(trimmed, word)?;
    }
    Some(at)
}

/// The quote as the source has it, when it is there and neither blank nor a whole letter.
pub fn verified<'a>(text: &'a str, quote: &str) -> Option<&'a str> {
    if quote.len() > LONGEST_QUOTE * 4 {
        return None;
    }
    text.get(find(text, quote)?)
}

/// The sentence of a passage that best carries a claim, by shared words; for a model that cites
/// without quoting. `None` when the passage shares too little to be called support.
pub fn best_sentence<'a>(passage: &'a str, claim: &str) -> Option<&'a str> {
    let claim = content_words(claim);
    if claim.is_empty() {
        return None;
    }
    let scored = chunk::sentences(passage).filter_map(|range| {
        let sentence = passage.get(range)?.trim();
        let words = content_words(sentence);
        let shared = claim.iter().filter(|word| words.contains(word)).count();
        (shared > 0 && sentence.len() <= LONGEST_QUOTE).then_some((shared, sentence))
    });
    let (shared, best) = scored.max_by_key(|(shared, _)| *shared)?;
    // Half of a short claim's words, two of any.
    (shared >= 2 || shared * 2 >= claim.len()).then_some(best)
}

/// The first sentence that is short enough to be a quote.
pub fn first_sentence(passage: &str) -> Option<&str> {
    chunk::sentences(passage)
        .filter_map(|range| passage.get(range))
        .map(str::trim)
        .find(|sentence| !sentence.is_empty() && sentence.len() <= LONGEST_QUOTE)
}

/// Lower-case words of four letters and more, and numbers: what a claim is about.
fn content_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() >= 4 || word.chars().any(|c| c.is_ascii_digit()))
        .map(|word| {
            let lower = word.to_lowercase();
            // Enough of a stem to let "plays" meet "play".
            lower
                .strip_suffix('s')
                .map_or(lower.clone(), ToOwned::to_owned)
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn white_space_is_all_that_may_differ() {
        let text = "He said:\n  sell the  AAPL\nshares, all of them.";
        assert_eq!(
            verified(text, "sell the AAPL shares"),
            Some("sell the  AAPL\nshares")
        );
        for wrong in ["sell the aapl shares", "sell AAPL", "", "  ", "sellthe"] {
            assert_eq!(verified(text, wrong), None, "{wrong}");
        }
        assert_eq!(find("aab", "ab"), Some(1..3));
    }

    #[test]
    fn a_keyboards_signs_find_the_printers_and_come_back_as_those() {
        let text = "“We can’t sell – not yet … later—maybe 5\u{a0}000.” ‘So’ be it...";
        for (quote, found) in [
            ("We can't sell", "We can’t sell"),
            (
                "\"We can't sell - not yet ...",
                "“We can’t sell – not yet …",
            ),
            (
                "yet ... later-maybe 5 000.\"",
                "yet … later—maybe 5\u{a0}000.”",
            ),
            ("'So' be it…", "‘So’ be it..."),
            ("later—maybe", "later—maybe"),
        ] {
            assert_eq!(verified(text, quote), Some(found), "{quote}");
        }
        // Part of a sign is no sign, and other letters are other letters.
        for wrong in [
            "not yet ..",
            ". later",
            "We cant sell",
            "We can\"t sell",
            "later maybe",
        ] {
            assert_eq!(verified(text, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_claim_finds_its_sentence_or_none() {
        let passage = "The weather was fine. Tom plays baseball on Saturdays! See you soon.";
        assert_eq!(
            best_sentence(passage, "Her son Tom plays baseball"),
            Some("Tom plays baseball on Saturdays!")
        );
        assert_eq!(
            best_sentence(passage, "The mortgage was refinanced in 2024"),
            None
        );
    }

    proptest! {
        #[test]
        fn every_span_of_words_is_found(words in prop::collection::vec("[a-zé]{1,6}", 1..20), from in 0_usize..20, count in 1_usize..20) {
            let text = words.join(" \n");
            let from = from.min(words.len() - 1);
            let quote = words[from..(from + count).min(words.len())].join("  ");
            let found = verified(&text, &quote).unwrap();
            prop_assert_eq!(found.split_whitespace().collect::<Vec<_>>(), quote.split_whitespace().collect::<Vec<_>>());
        }

        #[test]
        fn nothing_panics(text in ".*", quote in ".*") {
            let _ = verified(&text, &quote);
            let _ = best_sentence(&text, &quote);
        }
    }
}
