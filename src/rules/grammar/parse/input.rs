//! The smallest parts: space, words, marks, values with and without quotes.

use winnow::Parser as _;
use winnow::combinator::{opt, peek};
use winnow::error::{ErrMode, ModalResult, ParserError};
use winnow::stream::{LocatingSlice, Location as _, Stateful, Stream};
use winnow::token::{any, one_of, take_while};

use super::super::error::{Fault, shown};
use super::super::lexicon::{closing, ends_value, ends_word, is_quote, is_reserved};
use super::super::vocabulary::Field;

pub type Input<'t> = Stateful<LocatingSlice<&'t str>, State>;
pub type Parsed<T> = ModalResult<T, Fault>;

/// What the parser has learnt on its way. It isn't undone by backtracking.
#[derive(Debug, Default)]
pub struct State {
    /// Those that the rule's events have.
    pub fields: Vec<Field>,
    pub triggers: usize,
    pub comparisons: usize,
    pub nesting: usize,
    pub actions: usize,
    /// The last place at which something was looked for in vain, and what.
    tried: (usize, Vec<&'static str>),
}

impl State {
    pub fn note(&mut self, at: usize, expected: &'static str) {
        if self.tried.0 != at {
            self.tried = (at, Vec::new());
        }
        if !self.tried.1.contains(&expected) {
            self.tried.1.push(expected);
        }
    }

    pub fn tried_at(&self, at: usize) -> &[&'static str] {
        if self.tried.0 == at {
            &self.tried.1
        } else {
            &[]
        }
    }
}

impl<'t> ParserError<Input<'t>> for Fault {
    type Inner = Self;

    fn from_input(input: &Input<'t>) -> Self {
        Self::unexpected(here(input))
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

pub fn new(text: &str) -> Input<'_> {
    Input {
        input: LocatingSlice::new(text),
        state: State::default(),
    }
}

/// Bytes from the beginning of the text.
pub fn here(input: &Input<'_>) -> usize {
    input.current_token_start()
}

/// Passes over white space; then nothing but `expected` fits.
pub fn missing<T>(input: &mut Input<'_>, expected: &'static str) -> Parsed<T> {
    let at = next(input)?;
    input.state.note(at, expected);
    Err(ErrMode::Backtrack(Fault::unexpected(at)))
}

/// Passes over white space, to where something begins.
pub fn next(input: &mut Input<'_>) -> Parsed<usize> {
    take_while(0.., char::is_whitespace)
        .void()
        .parse_next(input)?;
    Ok(here(input))
}

/// A word of the grammar, in any case.
pub fn keyword<'t>(expected: &'static str) -> impl winnow::Parser<Input<'t>, (), ErrMode<Fault>> {
    move |input: &mut Input<'t>| {
        let start = input.checkpoint();
        next(input)?;
        let found = take_while(0.., |c| !ends_word(c)).parse_next(input)?;
        if found.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        input.reset(&start);
        missing(input, expected)
    }
}

/// A single mark.
pub fn symbol<'t>(mark: char) -> impl winnow::Parser<Input<'t>, (), ErrMode<Fault>> {
    move |input: &mut Input<'t>| {
        next(input)?;
        one_of(mark).void().parse_next(input)
    }
}

/// Any word, with its place.
pub fn word<'t>(expected: &'static str) -> impl FnMut(&mut Input<'t>) -> Parsed<(usize, &'t str)> {
    move |input| {
        let at = next(input)?;
        match take_while(0.., |c| !ends_word(c)).parse_next(input)? {
            "" => missing(input, expected),
            word => Ok((at, word)),
        }
    }
}

pub fn end(input: &mut Input<'_>) -> Parsed<()> {
    next(input)?;
    match opt(peek(any)).parse_next(input)? {
        None => Ok(()),
        Some(_) => missing(input, "the end"),
    }
}

/// A value, character by character, so that what is wrong in it can be found at its place.
#[derive(Debug)]
pub struct Literal {
    pub at: usize,
    pub letters: Vec<Letter>,
}

#[derive(Clone, Copy, Debug)]
pub struct Letter {
    pub at: usize,
    pub char: char,
    /// Written with a backslash before it.
    pub escaped: bool,
}

impl Literal {
    pub fn text(&self) -> String {
        self.letters.iter().map(|letter| letter.char).collect()
    }
}

/// With quotes or without.
pub fn value(input: &mut Input<'_>) -> Parsed<Literal> {
    next(input)?;
    match opt(peek(one_of(is_quote))).parse_next(input)? {
        Some(_) => quoted(input),
        None => bare(input),
    }
}

fn bare(input: &mut Input<'_>) -> Parsed<Literal> {
    let at = next(input)?;
    let written = peek(take_while(0.., |c| !ends_value(c))).parse_next(input)?;
    if written.is_empty() || is_reserved(written) {
        return missing(input, "a value").map_err(ErrMode::cut);
    }
    let mut letters = Vec::new();
    let mut rest = written.char_indices().peekable();
    while let Some((offset, char)) = rest.next() {
        // Without quotes a backslash is one, but before a star: file names have many.
        let star = rest.next_if(|(_, next)| char == '\\' && *next == '*');
        letters.push(Letter {
            at: at + offset,
            char: star.map_or(char, |(_, star)| star),
            escaped: star.is_some(),
        });
    }
    take_while(0.., |c| !ends_value(c))
        .void()
        .parse_next(input)?;
    let quote = here(input);
    match opt(one_of(is_quote)).parse_next(input)? {
        None => Ok(Literal { at, letters }),
        Some(_) => {
            let sentence = format!(
                "a quote follows {}; put all of it in quotes",
                shown(written)
            );
            Err(ErrMode::Cut(Fault::says(quote, sentence)))
        }
    }
}

/// In quotes; an error unless a quote begins here.
pub fn quoted(input: &mut Input<'_>) -> Parsed<Literal> {
    let at = next(input)?;
    let opening = one_of(is_quote).parse_next(input)?;
    let ends = closing(opening).unwrap_or(&['"']);
    let mut letters = Vec::new();
    loop {
        let place = here(input);
        let Some(char) = opt(any).parse_next(input)? else {
            let fault = Fault::says(at, "this quote is never closed");
            return Err(ErrMode::Cut(fault.expecting(ends)));
        };
        if ends.contains(&char) {
            return Ok(Literal { at, letters });
        }
        let escaped = char == '\\';
        let char = if escaped { escape(input, place)? } else { char };
        letters.push(Letter {
            at: place,
            char,
            escaped,
        });
    }
}

/// What follows a backslash in quotes.
fn escape(input: &mut Input<'_>, backslash: usize) -> Parsed<char> {
    match opt(any).parse_next(input)? {
        Some('n') => Ok('\n'),
        Some(c) if c == '\\' || c == '*' || is_quote(c) => Ok(c),
        _ => {
            let sentence = "a backslash in quotes wants one of \" \\ n * behind it; write \\\\ for a backslash";
            Err(ErrMode::Cut(Fault::says(backslash, sentence)))
        }
    }
}
