//! The page that HTML is set on: words, lines, quote marks, and what stands between cells.
//!
//! Blanks and line ends are held back until a word follows, so that nothing ends or begins with
//! them. Also decodes entities, since they decide what is a blank. Knows no tags.

use std::borrow::Cow;
use std::sync::LazyLock;

use encoding_rs::WINDOWS_1252;
use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memchr2};
use regex::Regex;

/// Quote marks at the start of a line.
const MAX_QUOTES: usize = 5;

/// The text as it grows: blanks and line ends are held back until a word follows.
#[derive(Default)]
pub(super) struct Page {
    out: String,
    lines: usize,
    blank: bool,
    /// A cell has begun on a line that already holds another one.
    between: bool,
    pub(super) mark: Option<Cow<'static, str>>,
    pub(super) quotes: usize,
    /// How deep the line last begun is quoted.
    line_quotes: usize,
    pub(super) preformatted: usize,
}

impl Page {
    /// At least so many line ends before the next word.
    pub(super) fn lines(&mut self, lines: usize) {
        self.lines = self.lines.max(lines);
        self.between = false;
    }

    pub(super) fn line_break(&mut self) {
        if !self.out.is_empty() {
            self.lines = (self.lines + 1).min(2);
        }
        self.between = false;
    }

    pub(super) fn cell(&mut self) {
        self.between = self.lines == 0 && !self.out.is_empty();
        self.blank = true;
    }

    pub(super) fn text(&mut self, text: &str) {
        if self.preformatted > 0 {
            for (index, line) in text.split('\n').enumerate() {
                if index > 0 {
                    self.lines = (self.lines + 1).min(3);
                }
                let line = line.trim_end_matches('\r');
                if !line.is_empty() {
                    self.before_word();
                    self.out.push_str(line);
                }
            }
            return;
        }
        let text = if text.is_ascii() && memchr(0, text.as_bytes()).is_none() {
            Cow::Borrowed(text)
        } else {
            FILLERS.replace_all(text, "")
        };
        let text = BLANKS.replace_all(&text, " ");
        self.blank |= text.starts_with(' ');
        let words = text.trim_matches(' ');
        if !words.is_empty() {
            self.before_word();
            self.out.push_str(words);
            self.blank = text.ends_with(' ');
        }
    }

    fn before_word(&mut self) {
        if self.out.is_empty() {
            self.quote();
        } else if self.lines > 0 {
            self.out.push('\n');
            // A blank line between two quotes belongs to the outer one.
            let between = self.quotes.min(self.line_quotes);
            for _ in 1..self.lines {
                self.out
                    .extend(std::iter::repeat_n('>', between.min(MAX_QUOTES)));
                self.out.push('\n');
            }
            self.quote();
        } else if self.between {
            self.out.push_str(" | ");
        } else if self.blank {
            self.out.push(' ');
        }
        if let Some(mark) = self.mark.take() {
            self.out.push_str(&mark);
        }
        self.lines = 0;
        self.blank = false;
        self.between = false;
    }

    fn quote(&mut self) {
        self.line_quotes = self.quotes;
        for _ in 0..self.quotes.min(MAX_QUOTES) {
            self.out.push('>');
        }
        if self.quotes > 0 {
            self.out.push(' ');
        }
    }

    pub(super) fn finish(mut self) -> String {
        let end = self.out.trim_end().len();
        self.out.truncate(end);
        // By way of entities and preformatted text.
        if memchr2(0, b'\r', self.out.as_bytes()).is_some() {
            self.out = self.out.replace(['\0', '\r'], "");
        }
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }
}

/// What isn't a single blank but counts as one.
static BLANKS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[ \n\t\r\x0c\u{a0}]{2,}|[\n\t\r\x0c\u{a0}]").expect("a valid pattern")
});
/// What newsletters pad their preview with.
static FILLERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\x00\u{200b}\u{feff}\u{34f}\u{ad}\u{2060}\u{180e}]+").expect("a valid pattern")
});
/// Entities decoded; what isn't one stays as it is.
pub fn entities(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr(b'&', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let (start, mut rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len());
    out.push_str(start);
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        let (before, entity) = rest.split_at(at);
        out.push_str(before);
        // The longest name has 31 letters.
        let head = entity
            .get(..entity.floor_char_boundary(34))
            .unwrap_or(entity);
        if let Some(end) = memchr(b';', head.as_bytes()) {
            let (token, after) = entity.split_at(end + 1);
            add_entity(&mut out, token);
            rest = after;
        } else {
            out.push('&');
            rest = entity.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn add_entity(out: &mut String, token: &str) {
    let Some(code) = token
        .strip_prefix("&#")
        .map(|code| code.trim_end_matches(';'))
    else {
        add_html_token(out, token.as_bytes(), false);
        return;
    };
    let code = match code.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => code.parse(),
    };
    match code {
        // Written for windows-1252, and read so by every browser.
        Ok(code @ 0x80..=0x9f) => {
            let byte = [u8::try_from(code).unwrap_or(b' ')];
            out.push_str(&WINDOWS_1252.decode_without_bom_handling(&byte).0);
        }
        Ok(0) => {}
        Ok(code) => out.push(char::from_u32(code).unwrap_or('\u{fffd}')),
        Err(_) => out.push_str(token),
    }
}
