//! Mailboxes: one file, many mails, split while it streams.
//!
//! A message begins at a line "From …" that looks like a separator and follows a blank line or
//! the file's start, or that is dated and followed by headers: not every writer leaves a blank
//! line. `Content-Length` is not believed. One level of `>From ` quoting is taken
//! off (mboxrd, mboxo). The archives of mailing lists, which write "user at example.com", are
//! read too. Memory: one message, at most `MAX_MAIL`; a larger one is reported and skipped.
//! Searching is done by `memmem` over large blocks, never line by line, so that a gigabyte is
//! split in seconds even where this code isn't optimised. Knows separators, not mail.

use std::io::{self, Read};
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use memchr::memmem;
use regex::bytes::Regex as Bytes;

use super::{
    MAX_MAIL,
    item::{Item, Located, Position, Resume, Unit, too_large},
    mail,
};

const BLOCK: usize = 256 << 10;
/// A separator is a short line.
const MAX_SEPARATOR: usize = 512;
/// So much after a separator is looked at for headers.
const MAX_HEADERS: usize = 1024;

/// "Mon Jan  1 10:00:00 2024" in all its variations: with a zone before or after the year, with
/// the zone's name, without seconds.
static DATED: LazyLock<Bytes> = LazyLock::new(|| {
    Bytes::new(
        r"(?-u)^From .*?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +(?:(?P<m>[A-Z][a-z]{2}) +(?P<d>\d{1,2})|(?P<d2>\d{1,2}) (?P<m2>[A-Z][a-z]{2})(?: (?P<y2>\d{4}))?) +(?P<t>\d{1,2}:\d{2}(?::\d{2})?)(?P<rest>.*)",
    )
    .expect("a valid pattern")
});
/// Weaker: a clock and a year somewhere. Believed only before something like a header.
static CLOCK: LazyLock<Bytes> = LazyLock::new(|| {
    Bytes::new(r"(?-u)^From \S+.*\d{1,2}:\d{2}.*\b(?:19|20)\d{2}\b").expect("a valid pattern")
});
static YEAR: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::new(r"(?-u)\b((?:19|20)\d{2})\b").expect("a valid pattern"));
static ZONE: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::new(r"(?-u)([+-]\d{4})\b").expect("a valid pattern"));
static HEADER: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::new(r"(?-u)^(?:[!-9;-~]+:|>From )").expect("a valid pattern"));
/// Stricter, for where prose may stand: "http://…" is none.
static FIELD: LazyLock<Bytes> = LazyLock::new(|| {
    Bytes::new(r"(?-u)^[A-Za-z][A-Za-z0-9_-]*:(?:[ \t]|\r?$)").expect("a valid pattern")
});
static QUOTED: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::new(r"(?m-u)^>(>*From )").expect("a valid pattern"));

/// Whether a text file is a mailbox: its first line is a separator, and a header follows.
pub(super) fn begins_mailbox(text: &str) -> bool {
    let mut lines = text.lines();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return false;
    };
    first.starts_with("From ")
        && (DATED.is_match(first.as_bytes()) || HEADER.is_match(second.as_bytes()))
        && (HEADER.is_match(second.as_bytes()) || second.trim().is_empty())
}

pub(super) struct Messages {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// So much of the buffer is dealt with; it is dropped when the next block is read.
    head: usize,
    /// The file's offset of `buffer[head]`.
    base: u64,
    ended: bool,
    start: Resume,
    count: u64,
    separators: memmem::Finder<'static>,
    opened: bool,
    cap: usize,
}

impl Messages {
    pub(super) fn new(reader: Box<dyn Read + Send>, start: Resume) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            head: 0,
            base: 0,
            ended: false,
            start,
            count: start.items,
            separators: memmem::Finder::new(b"\nFrom "),
            opened: false,
            cap: MAX_MAIL,
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.head..).unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.head);
        self.head = 0;
        let before = self.buffer.len();
        self.reader
            .by_ref()
            .take(BLOCK as u64)
            .read_to_end(&mut self.buffer)?;
        self.ended = self.buffer.len() == before;
        Ok(())
    }

    /// Drops what has been dealt with.
    fn consume(&mut self, bytes: usize) {
        self.head += bytes;
        self.base += bytes as u64;
    }

    /// Skips to where an earlier reading ended, and blank lines there.
    fn skip_to_start(&mut self) -> io::Result<()> {
        let skipped = io::copy(
            &mut self.reader.by_ref().take(self.start.offset),
            &mut io::sink(),
        )?;
        self.base = skipped;
        loop {
            self.fill()?;
            let blank = self
                .rest()
                .iter()
                .take_while(|byte| matches!(byte, b'\n' | b'\r' | b' ' | b'\t'))
                .count();
            let mark = usize::from(self.base == 0 && self.rest().starts_with(b"\xef\xbb\xbf")) * 3;
            self.consume(blank.max(mark));
            if self.ended || !self.rest().is_empty() {
                return Ok(());
            }
        }
    }

    /// Yields the next message's bytes, and whether they were cut because there were too many.
    /// Looks for the next separator from where the last search ended, so each byte is searched
    /// once whatever the sizes of messages and blocks.
    fn next_raw(&mut self) -> io::Result<Option<(u64, Vec<u8>, bool)>> {
        if !self.opened {
            self.opened = true;
            self.skip_to_start()?;
        }
        let at = self.base;
        let mut searched = 0;
        let mut oversized = false;
        loop {
            while let Some(found) = self
                .rest()
                .get(searched..)
                .and_then(|rest| self.separators.find(rest))
            {
                let line = searched + found + 1;
                // The judgement needs this line and the next two.
                let enough = self.ended || self.rest().len() > line + MAX_SEPARATOR + MAX_HEADERS;
                if !enough {
                    break;
                }
                searched = line;
                if self.is_separator(line) {
                    return Ok(Some(self.take(at, line, oversized)));
                }
            }
            if self.ended {
                if self.rest().is_empty() && !oversized {
                    return Ok(None);
                }
                let all = self.rest().len();
                return Ok(Some(self.take(at, all, oversized)));
            }
            // A separator may lie across the end of the block, with what is needed to judge it.
            let pending = self
                .rest()
                .get(searched..)
                .and_then(|rest| self.separators.find(rest))
                .map(|found| searched + found);
            searched = pending.unwrap_or_else(|| self.rest().len().saturating_sub(6).max(searched));
            if self.rest().len() > self.cap {
                oversized = true;
                // Two bytes before a separator tell whether the line above it is blank.
                let keep = searched.saturating_sub(2);
                self.consume(keep);
                searched -= keep;
            }
            self.fill()?;
        }
    }

    fn take(&mut self, at: u64, end: usize, oversized: bool) -> (u64, Vec<u8>, bool) {
        let bytes = self.rest().get(..end).unwrap_or_default().to_vec();
        self.consume(end);
        (at, bytes, oversized || end > self.cap + MAX_SEPARATOR)
    }

    fn is_separator(&self, line: usize) -> bool {
        let before = self.rest().get(..line).unwrap_or_default();
        let blank_above = before.ends_with(b"\n\n") || before.ends_with(b"\n\r\n") || line == 0;
        // Some writers put two separators above one mail: between them is no mail.
        let doubled =
            before.starts_with(b"From ") && memchr::memchr(b'\n', before) == Some(line - 1);
        let rest = self.rest().get(line..).unwrap_or_default();
        if blank_above {
            is_separator(rest)
        } else {
            !doubled && begins_mail(rest)
        }
    }
}

/// Judges a line "From …" by itself and by the line after it.
fn is_separator(rest: &[u8]) -> bool {
    let Some((line, next)) = split_separator(rest) else {
        return false;
    };
    DATED.is_match(line) || (CLOCK.is_match(line) && HEADER.is_match(next))
}

/// Judges a line "From …" in the midst of text, where only a mail's whole beginning will do: a
/// date, then a header, then another one, its continuation or the blank line after it.
fn begins_mail(rest: &[u8]) -> bool {
    let Some((line, next)) = split_separator(rest) else {
        return false;
    };
    let mut lines = next.split_inclusive(|byte| *byte == b'\n');
    let mut field = || lines.next().unwrap_or_default();
    let (first, second) = (field(), field());
    // What is cut off where the look ahead ends is given the benefit of the doubt.
    let goes_on = |line: &[u8]| {
        !line.ends_with(b"\n") || line.starts_with(b" ") || line.starts_with(b"\t") || {
            let line = line.trim_ascii_end();
            line.is_empty() || FIELD.is_match(line)
        }
    };
    FIELD.is_match(first.strip_suffix(b"\n").unwrap_or(first))
        && goes_on(second)
        && separator_date(line).is_some()
}

/// A line "From …" and as much of what follows as is looked at.
fn split_separator(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let short = rest.get(..MAX_SEPARATOR.min(rest.len())).unwrap_or(rest);
    let (line, after) = rest.split_at(memchr::memchr(b'\n', short)?);
    let next = after.get(1..).unwrap_or_default();
    Some((
        line,
        next.get(..MAX_HEADERS.min(next.len())).unwrap_or(next),
    ))
}

impl Iterator for Messages {
    type Item = io::Result<Located>;

    fn next(&mut self) -> Option<Self::Item> {
        let (offset, bytes, oversized) = match self.next_raw() {
            Ok(found) => found?,
            Err(error) => return Some(Err(error)),
        };
        self.count += 1;
        let position = Position {
            unit: Unit::Message,
            ordinal: self.count,
            offset,
        };
        let item = if oversized {
            Err(too_large(self.cap))
        } else {
            let (sent, message) = unwrap(&bytes);
            mail::parse_mail(&message, sent).map(|mail| Item::Email(Box::new(mail)))
        };
        Some(Ok(Located::new(position, self.base, item)))
    }
}

/// Takes off the separator line, the blank line before the next one and the quoting.
fn unwrap(bytes: &[u8]) -> (Option<DateTime<Utc>>, std::borrow::Cow<'_, [u8]>) {
    let (line, body) = if bytes.starts_with(b"From ") {
        bytes.split_at(memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1))
    } else {
        bytes.split_at(0)
    };
    let body = body
        .strip_suffix(b"\r\n\r\n")
        .map(|cut| body.get(..cut.len() + 2).unwrap_or(cut))
        .or_else(|| {
            body.strip_suffix(b"\n\n")
                .map(|cut| body.get(..=cut.len()).unwrap_or(cut))
        })
        .unwrap_or(body);
    let plain = if memmem::find(body, b">From ").is_some() {
        QUOTED.replace_all(body, &b"$1"[..])
    } else {
        body.into()
    };
    (separator_date(line), plain)
}

/// The date of delivery, which stands in where the mail has none of its own.
fn separator_date(line: &[u8]) -> Option<DateTime<Utc>> {
    let found = DATED.captures(line)?;
    let text = |name: &str, other: &str| {
        found
            .name(name)
            .or_else(|| found.name(other))
            .and_then(|part| str::from_utf8(part.as_bytes()).ok())
    };
    let month = match text("m", "m2")? {
        "Jan" => 1,
        "Feb" => 2,
        "Mar" => 3,
        "Apr" => 4,
        "May" => 5,
        "Jun" => 6,
        "Jul" => 7,
        "Aug" => 8,
        "Sep" => 9,
        "Oct" => 10,
        "Nov" => 11,
        "Dec" => 12,
        _ => return None,
    };
    let rest = found.name("rest")?.as_bytes();
    let year = match found.name("y2") {
        Some(year) => year.as_bytes(),
        None => YEAR.captures(rest)?.get(1)?.as_bytes(),
    };
    let time = text("t", "t")?;
    let time = NaiveTime::parse_from_str(time, "%H:%M:%S")
        .or_else(|_| NaiveTime::parse_from_str(time, "%H:%M"))
        .ok()?;
    let local = NaiveDate::from_ymd_opt(
        str::from_utf8(year).ok()?.parse().ok()?,
        month,
        text("d", "d2")?.parse().ok()?,
    )?
    .and_time(time);
    let zone = ZONE
        .captures(rest)
        .and_then(|zone| zone.get(1))
        .and_then(|zone| str::from_utf8(zone.as_bytes()).ok())
        .and_then(|zone| zone.parse::<i32>().ok())
        .map_or(0, |zone| (zone / 100 * 60 + zone % 100) * 60);
    local
        .checked_sub_signed(chrono::TimeDelta::seconds(zone.into()))
        .map(|utc| utc.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "From a@example.com Mon Jan  1 10:00:00 2024\nSubject: one\n\none\n";

    fn texts(file: String) -> Vec<String> {
        Messages::new(Box::new(io::Cursor::new(file)), Resume::default())
            .map(|located| match located.expect("memory").item {
                Ok(Item::Email(mail)) => mail.text,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_separator_needs_no_blank_line_above_when_a_mail_follows() {
        for next in [
            "From b@example.com Tue Jan  2 10:00:00 2024\nReturn-Path: <b@example.com>\nSubject: two\n\ntwo\n",
            "From b at example.com  Tue Jan  2 10:00:00 2024\r\nReceived: from a\r\n\tby b\r\n\r\ntwo\r\n",
            "From - Tue Jan  2 10:00:00 2024\nSubject: alone\n\ntwo\n",
        ] {
            let texts = texts(format!("{HEAD}{next}"));
            assert_eq!(texts, ["one\n", "two\n"], "{next}");
        }
        let doubled = format!("From - Mon Jan  1 10:00:00 2024\n{HEAD}");
        assert_eq!(texts(doubled), ["one\n"]);
        // Whatever the blocks' borders cut apart.
        for filler in (BLOCK - 1100..BLOCK).step_by(13) {
            let filler = "x".repeat(filler);
            let next = "From b@example.com Tue Jan  2 10:00:00 2024\nSubject: two\nTo: c@example.com\n\ntwo\n";
            assert_eq!(texts(format!("{HEAD}{filler}\n{next}")).len(), 2);
        }
    }

    #[test]
    fn prose_that_begins_with_from_stays_where_it_is() {
        for line in [
            "From my point of view: all is well.\nNote: it is 10:30 in 2024.\n",
            "From the desk of Bob Mon Jan  1 10:00:00 2024\nwe send our regards.\n",
            "From the desk of Bob Mon Jan  1 10:00:00 2024\nNote: no meeting today.\nSee you.\n",
            "From the desk of Bob Mon Jan  1 10:00:00 2024\nhttps://example.com\n\nBob\n",
            "From the desk of Bob Mon Jan 77 10:00:00 2024\nSubject: a\nTo: b\n\nBob\n",
        ] {
            let texts = texts(format!("{HEAD}{line}"));
            assert_eq!(texts, [format!("one\n{line}")]);
        }
    }
}
