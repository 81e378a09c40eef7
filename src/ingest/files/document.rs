//! Documents of text: notes, Markdown, web pages; the shape that PDFs take, too.
//!
//! The text is kept as written, with LF and without NUL. The title is the document's own where
//! it has one at its top, else the file's name. Knows nothing of mail.

use std::sync::LazyLock;

use regex::Regex;

use super::{charset, contact};
use crate::html;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub title: String,
    pub text: String,
    /// Where in `text` each page begins; empty for what has no pages.
    pub pages: Vec<usize>,
}

static TITLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?is)<title\b[^>]*>(.{0,1000}?)</title").expect("a valid pattern")
});

pub(super) fn from_text(file_name: &str, bytes: &[u8]) -> Result<Document, String> {
    let text = charset::line_feeds(charset::decode(bytes)).into_owned();
    if text.trim().is_empty() {
        return Err("There is no text in it.".to_owned());
    }
    // Markdown's first heading.
    let heading = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .and_then(|line| line.strip_prefix("# "))
        .map(contact::one_line);
    Ok(Document {
        title: named(heading, file_name),
        text,
        pages: Vec::new(),
    })
}

pub(super) fn from_html(file_name: &str, bytes: &[u8]) -> Result<Document, String> {
    let source = charset::decode(bytes);
    let text = html::html_to_text(&source);
    if text.is_empty() {
        return Err("There is no text to see in it.".to_owned());
    }
    let title = TITLE
        .captures(&source)
        .and_then(|found| found.get(1))
        .map(|title| contact::one_line(&html::entities(title.as_str())));
    Ok(Document {
        title: named(title, file_name),
        text,
        pages: Vec::new(),
    })
}

fn named(title: Option<String>, file_name: &str) -> String {
    title
        .filter(|title| !title.is_empty() && title.len() <= 500)
        .unwrap_or_else(|| file_title(file_name))
}

/// A file's name without folder and extension.
pub(super) fn file_title(file_name: &str) -> String {
    let name = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    contact::one_line(if stem.is_empty() { name } else { stem })
}
