//! Reading the files an advisor hands over: mailboxes, single mails, contacts, calendars,
//! spreadsheets of contacts and documents.
//!
//! `open` looks at the name and the first bytes, and yields what the file holds, item by item.
//! Promises: memory is bounded whatever the file's size (one item at a time, each with a cap);
//! one bad item never stops the file, it comes back as `Unreadable` with its place and a reason
//! that a layman understands; every item says where reading can go on after it.
//! May not know: the database, users, tokio, or how an item is stored. Every byte is hostile:
//! parsers are guarded against depth, part counts and decompression before they run, and the
//! caller still runs them on a thread of its own with panics caught.
//! Begin at `open`; a new kind is a variant in `kind::Kind`, a file beside this one, a line in
//! `open` and a fuzz target.

mod attachment;
mod charset;
mod columns;
mod contact;
mod csv;
mod dates;
mod document;
mod guard;
mod headers;
mod ics;
mod item;
mod kind;
mod lines;
mod mail;
mod mbox;
mod pdf;
mod record;
mod vcf;

use std::io::{self, Read};

pub use attachment::Attachment;
pub use contact::Contact;
pub use document::Document;
pub use ics::{Attendee, CalendarEvent};
pub use item::{Item, Located, Position, Resume, Unit, Unreadable};
pub use mail::{Email, Mailbox, parse_mail};
pub use record::{Deal, Note};

use kind::Kind;

/// The items of one file. An `Err` is the reader's own failure (disk, network): reading may be
/// tried again from the last `next_offset`.
pub type Items = Box<dyn Iterator<Item = io::Result<Located>> + Send>;

/// A single mail, whether a file of its own or one of a mailbox.
const MAX_MAIL: usize = 50 << 20;
/// A document of text; a PDF, which carries pictures, may be larger.
const MAX_TEXT: usize = 20 << 20;
const MAX_PDF: usize = 50 << 20;

/// Opens a file by its name and its first bytes. `start` continues an earlier reading: bytes
/// before its offset are skipped, so the reader must begin at the file's first byte.
pub fn open(
    file_name: &str,
    mut reader: Box<dyn Read + Send>,
    start: Resume,
) -> Result<Items, Unreadable> {
    let mut first = Vec::new();
    if let Err(error) = reader
        .by_ref()
        .take(kind::SNIFF as u64)
        .read_to_end(&mut first)
    {
        return Ok(Box::new(std::iter::once(Err(error))));
    }
    let kind = kind::recognise(file_name, &first)?;
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(first).chain(reader));
    let name = file_name.to_owned();
    Ok(match kind {
        Kind::Mbox => Box::new(mbox::Messages::new(whole, start)),
        Kind::Vcf => Box::new(vcf::Cards::new(whole, start)),
        Kind::Ics => Box::new(ics::Events::new(whole, start)),
        Kind::Csv => Box::new(csv::Rows::new(whole, start)),
        Kind::Mail => single(whole, start, Unit::Message, MAX_MAIL, |bytes| {
            parse_mail(bytes, None).map(|mail| Item::Email(Box::new(mail)))
        }),
        Kind::Pdf => Box::new(pdf::Pages::new(whole, start, name, MAX_PDF)),
        Kind::Text => single(whole, start, Unit::Document, MAX_TEXT, move |bytes| {
            document::from_text(&name, bytes).map(|found| Item::Document(Box::new(found)))
        }),
        Kind::Html => single(whole, start, Unit::Document, MAX_TEXT, move |bytes| {
            document::from_html(&name, bytes).map(|found| Item::Document(Box::new(found)))
        }),
    })
}

/// A file that is one item: read up to its cap, parsed, yielded once. Read lazily, so that even
/// a slow disk is only touched when the item is asked for.
fn single<F>(
    mut reader: Box<dyn Read + Send>,
    start: Resume,
    unit: Unit,
    cap: usize,
    parse: F,
) -> Items
where
    F: FnOnce(&[u8]) -> Result<Item, String> + Send + 'static,
{
    let mut parse = Some(parse);
    Box::new(std::iter::from_fn(move || {
        let parse = parse.take()?;
        if start.offset > 0 {
            return None;
        }
        let position = Position::first(unit);
        let mut bytes = Vec::new();
        if let Err(error) = reader.by_ref().take(cap as u64 + 1).read_to_end(&mut bytes) {
            return Some(Err(error));
        }
        let item = if bytes.len() > cap {
            Err(item::too_large(cap))
        } else {
            parse(&bytes)
        };
        Some(Ok(Located::new(
            position,
            // Past an oversized file there is nothing to go on with either.
            bytes.len().max(1) as u64,
            item,
        )))
    }))
}
