//! Text cut into passages that fit an embedding model, and into sentences.
//!
//! A chunk holds about `max_words` words: whole paragraphs where they fit, whole sentences
//! where they don't, pieces of what is longer than a chunk. Neighbours overlap by about 15 %.
//! Promises: every span is a range of the given text on character bounds; a chunk's payload is
//! its spans, word for word, joined by a blank line; no payload is over `MAX_BYTES`; at most
//! `MAX_CHUNKS` per source, and `complete` says whether that sufficed. Linear time.
//! Weighs words as a tokenizer would, roughly: long and unspaced words count more. May not know
//! mails, models or the database.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Match, Regex};

/// A payload's hard limit, whatever it consists of.
pub const MAX_BYTES: usize = 1200;
/// What is beyond isn't searched for; 2,000 chunks are a book of 200,000 words.
pub const MAX_CHUNKS: usize = 2000;
/// Blank space inside a span that is kept; more than that parts spans.
const MAX_GAP: usize = 16;
const JOINT: &str = "\n\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// From 0, in the order of the text.
    pub ordinal: usize,
    /// Ranges of the source's text.
    pub spans: Vec<Range<usize>>,
    /// What is embedded: the header line and the spans.
    pub text: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunks {
    pub chunks: Vec<Chunk>,
    /// Where the chunks' text ends in the source; short of the last segment's end only where
    /// there were too many.
    pub covered: usize,
    pub complete: bool,
}

/// A sentence, or a piece of one too long for a chunk.
struct Piece {
    range: Range<usize>,
    weight: usize,
    /// Begins a paragraph or a segment.
    opens: bool,
    segment: usize,
}

/// Chunks of those segments of a text that are worth searching. `header` stands above each.
pub fn chunk(text: &str, segments: &[Range<usize>], header: &str, max_words: usize) -> Chunks {
    let max = max_words.max(8);
    let pieces = pieces(text, segments, max);
    let paragraphs = paragraph_weights(&pieces);
    let mut found = Chunks {
        complete: true,
        ..Chunks::default()
    };
    let mut from = 0;
    while from < pieces.len() {
        if found.chunks.len() == MAX_CHUNKS {
            found.complete = false;
            break;
        }
        let to = fill(&pieces, &paragraphs, from, max);
        let spans = spans(pieces.get(from..to).unwrap_or_default());
        found.covered = spans.last().map_or(found.covered, |span| span.end);
        let payload = spans
            .iter()
            .filter_map(|span| text.get(span.clone()))
            .collect::<Vec<_>>()
            .join(JOINT);
        found.chunks.push(Chunk {
            ordinal: found.chunks.len(),
            text: if header.is_empty() {
                payload
            } else {
                format!("{header}\n{payload}")
            },
            spans,
        });
        if to >= pieces.len() {
            break;
        }
        from = overlap(&pieces, from, to, max);
    }
    found
}

/// How far a chunk that begins with the piece at `from` goes.
fn fill(pieces: &[Piece], paragraphs: &[usize], from: usize, max: usize) -> usize {
    let (mut weight, mut bytes, mut to) = (0, 0, from);
    while let Some(piece) = pieces.get(to) {
        let more = piece.range.len() + MAX_GAP;
        if to > from {
            if weight + piece.weight > max || bytes + more > MAX_BYTES {
                break;
            }
            // A paragraph that wouldn't fit whole begins the next chunk if this one is nearly
            // full.
            let paragraph = paragraphs.get(to).copied().unwrap_or_default();
            if piece.opens && weight * 10 >= max * 6 && weight + paragraph > max {
                break;
            }
        }
        weight += piece.weight;
        bytes += more;
        to += 1;
    }
    to
}

/// Where the chunk after `from..to` begins: a little before its end, and past its start.
fn overlap(pieces: &[Piece], from: usize, to: usize, max: usize) -> usize {
    let mut weight = 0;
    let mut start = to;
    while start > from + 1 {
        let Some(piece) = pieces.get(start - 1) else {
            break;
        };
        // One sentence may be more than 15 %, but not by much.
        let limit = if start == to {
            max * 3 / 10
        } else {
            max * 15 / 100
        };
        if weight + piece.weight > limit || piece.range.len() > MAX_BYTES / 3 {
            break;
        }
        weight += piece.weight;
        start -= 1;
    }
    // With the overlap, the next chunk must still get beyond this one.
    let carried: usize = pieces
        .get(start..to)
        .unwrap_or_default()
        .iter()
        .map(|piece| piece.range.len() + MAX_GAP)
        .sum();
    match pieces.get(to) {
        Some(next)
            if carried + next.range.len() + MAX_GAP <= MAX_BYTES && weight + next.weight <= max =>
        {
            start
        }
        _ => to,
    }
}

/// Pieces that stand close together become one span. Segments stay apart, however short what
/// was dropped between them is.
fn spans(pieces: &[Piece]) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut segment = None;
    for piece in pieces {
        match spans.last_mut() {
            Some(span)
                if segment == Some(piece.segment) && piece.range.start - span.end <= MAX_GAP =>
            {
                span.end = piece.range.end;
            }
            _ => spans.push(piece.range.clone()),
        }
        segment = Some(piece.segment);
    }
    spans
}

fn pieces(text: &str, segments: &[Range<usize>], max: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let Some(part) = text.get(segment.clone()) else {
            continue;
        };
        let mut end = 0;
        for sentence in sentences(part) {
            let between = part.get(end..sentence.start).unwrap_or_default();
            let opens = end == 0
                || memchr::memchr_iter(b'\n', between.as_bytes())
                    .nth(1)
                    .is_some();
            end = sentence.end;
            let words = part.get(sentence.clone()).unwrap_or_default();
            let at = segment.start + sentence.start;
            let weight = weight(words);
            if weight <= max && words.len() + MAX_GAP <= MAX_BYTES {
                pieces.push(Piece {
                    range: at..at + words.len(),
                    weight,
                    opens,
                    segment: index,
                });
            } else {
                let whole = Piece {
                    range: at..at + words.len(),
                    weight,
                    opens,
                    segment: index,
                };
                cut(words, &whole, max, &mut pieces);
            }
            // Far more than will be used.
            if pieces.len() > MAX_CHUNKS * 200 {
                return pieces;
            }
        }
    }
    pieces
}

/// A sentence longer than a chunk: by words, and a word longer than that by characters.
fn cut(sentence: &str, whole: &Piece, max: usize, into: &mut Vec<Piece>) {
    // Halves of a chunk, so that they pack and overlap with what stands around.
    let (max, bytes) = ((max / 2).max(1), MAX_BYTES / 4);
    let (at, segment, mut opens) = (whole.range.start, whole.segment, whole.opens);
    let mut open: Option<Piece> = None;
    for word in sentence.split_whitespace() {
        // The slice is part of the sentence, so this is its offset.
        let start = word.as_ptr().addr() - sentence.as_ptr().addr();
        let mut from = 0;
        while from < word.len() {
            let to = word.floor_char_boundary(from + bytes).max(from + 1);
            let to = word.ceil_char_boundary(to.min(word.len()));
            let part = word.get(from..to).unwrap_or_default();
            let range = at + start + from..at + start + to;
            let weight = weight(part);
            match &mut open {
                Some(piece)
                    if piece.weight + weight <= max
                        && range.end - piece.range.start <= bytes
                        && range.start - piece.range.end <= MAX_GAP =>
                {
                    piece.weight += weight;
                    piece.range.end = range.end;
                }
                _ => {
                    into.extend(open.take());
                    open = Some(Piece {
                        range,
                        weight,
                        opens,
                        segment,
                    });
                    opens = false;
                }
            }
            from = to;
        }
    }
    into.extend(open);
}

/// For each piece, the weight of its paragraph from there on.
fn paragraph_weights(pieces: &[Piece]) -> Vec<usize> {
    let mut weights = vec![0; pieces.len()];
    let mut sum = 0;
    for (weight, piece) in weights.iter_mut().zip(pieces).rev() {
        sum += piece.weight;
        *weight = sum;
        if piece.opens {
            sum = 0;
        }
    }
    weights
}

static LONG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\S{15,}").expect("a valid pattern"));

/// Words, roughly as a tokenizer counts them against its limit.
fn weight(text: &str) -> usize {
    if text.is_ascii() {
        let blanks = memchr::memchr2_iter(b' ', b'\n', text.as_bytes()).count();
        let long: usize = LONG
            .find_iter(text)
            .map(|word| if word.len() < 25 { 1 } else { word.len() / 4 })
            .sum();
        return 1 + blanks + long;
    }
    text.split_whitespace()
        .map(|word| {
            // Accents cost little, scripts without spaces a token for each character.
            match word.chars().filter(|c| *c as u32 >= 0x2e80).count() {
                0 => 1 + word.len() / 16,
                wide => 1 + wide,
            }
        })
        .sum()
}

/// Blank lines, items of lists, and the stops of two families of scripts.
static BOUND: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"\n[ \t\r]*\n\s*|\n[ \t>]*(?:[-*+•·‣▪–—]|\(?[0-9]{1,3}[.)]|[a-z][.)])[ \t]+|[.!?…]+["'”’»)\]]*\s+|[。！？]+[”」』）]*\s*"#,
    )
    .expect("a valid pattern")
});

/// Never the end of a sentence.
const TITLES: [&str; 44] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "rev", "hon", "gen", "col", "sgt", "capt",
    "lt", "fr", "hr", "mme", "mlle", "e.g", "i.e", "eg", "ie", "cf", "vs", "viz", "approx", "ca",
    "no", "nr", "nos", "fig", "sec", "vol", "pp", "ref", "acct", "attn", "tel", "ext", "z.b",
    "d.h", "bzw", "resp",
];
/// The end of a sentence only where a new one plainly begins.
const PERHAPS: [&str; 38] = [
    "inc", "ltd", "co", "corp", "llc", "plc", "bros", "etc", "u.s", "u.k", "u.s.a", "e.u", "u.n",
    "d.c", "a.m", "p.m", "ph.d", "b.a", "m.d", "jan", "feb", "mar", "apr", "jun", "jul", "aug",
    "sep", "sept", "oct", "nov", "dec", "mon", "tue", "wed", "thu", "fri", "est", "dept",
];
const BEGINNINGS: [&str; 40] = [
    "The", "This", "That", "These", "Those", "He", "She", "It", "We", "You", "They", "I", "I'm",
    "I'll", "I've", "My", "Our", "Your", "His", "Her", "Their", "But", "And", "So", "If", "In",
    "On", "At", "As", "When", "While", "However", "Please", "Thanks", "There", "What", "Can",
    "Could", "Let", "For",
];

/// The sentences of a text, without the blanks between them. A line end inside a paragraph
/// doesn't end a sentence; a blank line and an item of a list do.
pub fn sentences(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    let mut bounds = BOUND.find_iter(text);
    let mut ended = false;
    std::iter::from_fn(move || {
        loop {
            if ended {
                return None;
            }
            let bound = bounds.find_map(|found| match found.as_str().chars().next() {
                Some('\n') => Some((found.start(), found.start() + 1)),
                Some('。' | '！' | '？') => Some((found.end(), found.end())),
                _ => ends(text, start, &found).then(|| (found.end(), found.end())),
            });
            let (end, next) = bound.unwrap_or((text.len(), text.len()));
            ended = bound.is_none();
            let sentence = text.get(start..end).unwrap_or_default();
            let from = start + (sentence.len() - sentence.trim_start().len());
            let range = from..from + sentence.trim().len();
            start = next;
            if !range.is_empty() {
                return Some(range);
            }
        }
    })
}

/// Whether a full stop, and what follows it, ends the sentence that began at `start`.
fn ends(text: &str, start: usize, stop: &Match<'_>) -> bool {
    // An item that follows at once was swallowed with the blanks; a blank line always ends.
    if memchr::memchr_iter(b'\n', stop.as_str().as_bytes())
        .nth(1)
        .is_some()
    {
        return true;
    }
    let before = text
        .get(start..stop.start())
        .unwrap_or_default()
        .trim_start();
    let after = text.get(stop.end()..).unwrap_or_default();
    // "1. First"
    if before.len() <= 3 && before.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    if after.chars().next().is_some_and(char::is_lowercase) {
        return false;
    }
    if !stop.as_str().starts_with('.') || stop.as_str().starts_with("..") {
        return true;
    }
    let word = before
        .get(before.ceil_char_boundary(before.len().saturating_sub(40))..)
        .and_then(|tail| tail.split_whitespace().next_back())
        .unwrap_or_default()
        .trim_start_matches(['(', '[', '"', '\'', '“', '‘']);
    let mut letters = word.chars();
    if letters.next().is_some_and(char::is_uppercase) && letters.next().is_none() && word != "I" {
        // An initial.
        return false;
    }
    if word.len() > 8 {
        return true;
    }
    let lower = word.to_lowercase();
    // "No." is a number's before a number, and a refusal elsewhere.
    if matches!(
        lower.as_str(),
        "no" | "nos" | "nr" | "ext" | "sec" | "fig" | "vol" | "pp"
    ) {
        return !after.starts_with(|c: char| c.is_ascii_digit() || c == '#');
    }
    if TITLES.contains(&lower.as_str()) {
        return false;
    }
    if PERHAPS.contains(&lower.as_str()) {
        let next = after
            .split(|c: char| c.is_whitespace() || c == ',')
            .next()
            .unwrap_or_default();
        return BEGINNINGS.contains(&next) || next.is_empty();
    }
    true
}
