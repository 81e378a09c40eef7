//! What reading a file yields: an item or the reason why there is none, and its place.
//!
//! A place is written for people ("message 17 at byte 48213", "row 3"), a `next_offset` for the
//! next reading. A reason is a sentence for a layman: it may quote at most 80 characters of the
//! file and never a parser's own words. Knows the items' types, nothing of how they are read.

use std::fmt;

use super::{CalendarEvent, Contact, Deal, Document, Email, Note};

/// Boxed, since a mail is many times the size of a pointer and travels through iterators.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Email(Box<Email>),
    Contact(Box<Contact>),
    Event(Box<CalendarEvent>),
    Document(Box<Document>),
    Note(Box<Note>),
    Deal(Box<Deal>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    pub position: Position,
    /// Where a later reading goes on, with `Resume::after(&located)`.
    pub next_offset: u64,
    pub item: Result<Item, Unreadable>,
}

impl Located {
    pub(super) fn new(position: Position, next_offset: u64, item: Result<Item, String>) -> Self {
        Self {
            item: item.map_err(|reason| Unreadable { position, reason }),
            position,
            next_offset,
        }
    }
}

/// Where to begin: `default()` is the file's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resume {
    /// A `next_offset` of an earlier reading of the same file.
    pub offset: u64,
    /// How many items that reading had yielded, so that the numbers in positions go on.
    pub items: u64,
}

impl Resume {
    pub fn after(located: &Located) -> Self {
        Self {
            offset: located.next_offset,
            items: located.position.ordinal,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Message,
    Card,
    Event,
    Row,
    Page,
    Document,
}

/// Where in the file an item stands. `ordinal` counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub unit: Unit,
    pub ordinal: u64,
    pub offset: u64,
}

impl Position {
    pub(super) fn first(unit: Unit) -> Self {
        Self {
            unit,
            ordinal: 1,
            offset: 0,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ordinal, offset, ..
        } = self;
        match self.unit {
            Unit::Message => write!(f, "message {ordinal} at byte {offset}"),
            Unit::Card => write!(f, "contact {ordinal} at byte {offset}"),
            Unit::Event => write!(f, "event {ordinal} at byte {offset}"),
            Unit::Row => write!(f, "row {ordinal}"),
            Unit::Page => write!(f, "page {ordinal}"),
            Unit::Document => f.write_str("the document"),
        }
    }
}

/// Something that couldn't be read, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {reason}")]
pub struct Unreadable {
    pub position: Position,
    pub reason: String,
}

impl Unreadable {
    /// The file as a whole.
    pub(super) fn file(reason: impl Into<String>) -> Self {
        Self {
            position: Position::first(Unit::Document),
            reason: reason.into(),
        }
    }
}

/// The reason for everything that is over its cap.
pub(super) fn too_large(cap: usize) -> String {
    format!("It is larger than the {} MB that can be read.", cap >> 20)
}

/// At most 80 characters of the file's own words, on one line, for use in a reason.
pub(super) fn quote(text: &str) -> String {
    let mut short: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(60)
        .collect::<String>();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
