//! The text of PDF documents.
//!
//! Streams are decompressed with limits, pages are read one by one between looks at the clock,
//! and a page that can't be read is reported while the others are kept. Scanned pages have no
//! text: a document of nothing else says so. Encrypted documents are refused unless they open
//! without a password. Knows nothing of layout: lines come in the order of the file.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use lopdf::{Document as Pdf, LoadOptions, Object};

use super::{
    Document, contact,
    document::file_title,
    item::{Item, Located, Position, Resume, Unit, too_large},
};

const MAX_PAGES: usize = 5000;
/// One stream, unpacked.
const MAX_STREAM: usize = 32 << 20;
/// The text of a document.
const MAX_TEXT: usize = 20 << 20;
const TIME: Duration = Duration::from_secs(20);

/// The document as the last item, after the pages that couldn't be read.
pub(super) struct Pages {
    source: Option<(Box<dyn Read + Send>, String, usize)>,
    ready: std::vec::IntoIter<Located>,
    done: bool,
}

impl Pages {
    pub(super) fn new(
        reader: Box<dyn Read + Send>,
        start: Resume,
        file_name: String,
        cap: usize,
    ) -> Self {
        Self {
            source: Some((reader, file_name, cap)),
            ready: Vec::new().into_iter(),
            done: start.offset > 0,
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let Some((reader, file_name, cap)) = self.source.take() else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        reader.take(cap as u64 + 1).read_to_end(&mut bytes)?;
        // Bad pages come first and lead back to the start, so that a reading which stops among
        // them begins again and the document isn't lost.
        let end = bytes.len() as u64;
        let position = Position::first(Unit::Document);
        let mut items = Vec::new();
        let document = if bytes.len() > cap {
            Err(too_large(cap))
        } else {
            read(&bytes).map(|text| {
                items.extend(text.bad_pages.iter().map(|(page, reason)| {
                    let position = Position {
                        unit: Unit::Page,
                        ordinal: *page,
                        offset: 0,
                    };
                    Located::new(position, 0, Err(reason.clone()))
                }));
                Item::Document(Box::new(Document {
                    title: text.title.unwrap_or_else(|| file_title(&file_name)),
                    text: text.whole,
                    pages: text.pages,
                }))
            })
        };
        items.push(Located::new(position, end, document));
        self.ready = items.into_iter();
        Ok(())
    }
}

impl Iterator for Pages {
    type Item = io::Result<Located>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.done {
            self.done = true;
            if let Err(error) = self.read() {
                return Some(Err(error));
            }
        }
        self.ready.next().map(Ok)
    }
}

struct Text {
    title: Option<String>,
    whole: String,
    /// Where in `whole` each page begins.
    pages: Vec<usize>,
    bad_pages: Vec<(u64, String)>,
}

/// The text of an attached PDF, or nothing.
pub(super) fn plain_text(bytes: &[u8]) -> Option<String> {
    read(bytes).ok().map(|text| text.whole)
}

fn read(bytes: &[u8]) -> Result<Text, String> {
    let start = Instant::now();
    let options = LoadOptions {
        max_decompressed_size: Some(MAX_STREAM),
        ..LoadOptions::default()
    };
    let pdf = Pdf::load_mem_with_options(bytes, options).map_err(|error| reason(&error))?;
    if pdf.is_encrypted() {
        return Err(ENCRYPTED.to_owned());
    }
    let mut found = Text {
        title: title(&pdf),
        whole: String::new(),
        pages: Vec::new(),
        bad_pages: Vec::new(),
    };
    let numbers: Vec<u32> = pdf
        .get_pages()
        .keys()
        .copied()
        .take(MAX_PAGES + 1)
        .collect();
    if numbers.is_empty() {
        return Err("The PDF has no pages, or is damaged.".to_owned());
    }
    for (index, number) in numbers.iter().enumerate() {
        let over = if index >= MAX_PAGES {
            Some(format!("Only the first {MAX_PAGES} pages were read."))
        } else if start.elapsed() > TIME {
            Some(
                "Reading the pages before this one took too long; the rest was left out."
                    .to_owned(),
            )
        } else if found.whole.len() > MAX_TEXT {
            Some("The pages before this one hold too much text; the rest was left out.".to_owned())
        } else {
            None
        };
        if let Some(over) = over {
            found.bad_pages.push(((*number).into(), over));
            break;
        }
        found.pages.push(found.whole.len());
        let chunks = pdf.extract_text_chunks_with_limit(&[*number], MAX_STREAM);
        let mut page = String::new();
        let mut failed = None;
        for chunk in chunks {
            match chunk {
                Ok(chunk) => page.push_str(&chunk),
                Err(error) => failed = Some(reason(&error)),
            }
        }
        let page = page.replace(['\0', '\r'], "");
        if page.trim().is_empty() {
            if let Some(failed) = failed {
                found.bad_pages.push(((*number).into(), failed));
            }
            continue;
        }
        found.whole.push_str(page.trim_end());
        found.whole.push_str("\n\n");
    }
    if found.whole.trim().is_empty() {
        return Err(found.bad_pages.into_iter().next().map_or_else(
            || "The PDF holds no text, probably because its pages are pictures.".to_owned(),
            |(_, reason)| reason,
        ));
    }
    Ok(found)
}

const ENCRYPTED: &str = "The PDF is protected with a password.";

/// A layman's words for the library's error.
fn reason(error: &lopdf::Error) -> String {
    match error {
        lopdf::Error::Decryption(_)
        | lopdf::Error::InvalidPassword
        | lopdf::Error::UnsupportedSecurityHandler(_) => ENCRYPTED,
        lopdf::Error::Decompress(lopdf::DecompressError::MemoryLimitExceeded { .. }) => {
            "It unpacks to far more than it should, so it was not read."
        }
        _ => "The PDF is damaged, or not a PDF at all.",
    }
    .to_owned()
}

/// From the document's properties. Programs that print write the file's name there, or nothing.
fn title(pdf: &Pdf) -> Option<String> {
    let info = pdf.trailer.get(b"Info").ok()?;
    let (_, info) = pdf.dereference(info).ok()?;
    let Object::String(bytes, _) = info.as_dict().ok()?.get(b"Title").ok()? else {
        return None;
    };
    let title = contact::one_line(&super::charset::decode(bytes));
    (!title.is_empty() && title.len() < 500).then_some(title)
}
