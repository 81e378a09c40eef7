//! Mails and documents of any bytes.

use std::io::Cursor;

use paraplanner::html::{html_to_text, sanitise};
use paraplanner::ingest::files::{Item, Resume, open, parse_mail};
use paraplanner::retrieval::{chunk, clean};

/// One mail: no panic, no NUL, no CR, always an id, and passages that are spans of its text.
pub fn mime(raw: &[u8]) {
    if let Ok(mail) = parse_mail(raw, None) {
        assert!(!mail.message_id.is_empty());
        assert!(!mail.text.contains(['\0', '\r']));
        assert!(!mail.thread_key().is_empty());
        let segments = clean::fresh_segments(&mail.text);
        let chunks = chunk::chunk(&mail.text, &segments, "", 100);
        for span in chunks.chunks.iter().flat_map(|chunk| &chunk.spans) {
            assert!(mail.text.get(span.clone()).is_some());
        }
    }
}

/// HTML, to text and sanitised: what is shown never loads or runs anything.
pub fn html(raw: &[u8]) {
    let html = String::from_utf8_lossy(raw);
    assert!(!html_to_text(&html).contains('\0'));
    let shown = sanitise(&html).to_lowercase();
    for bad in [
        "<script", "<style", "<img", "<svg", "<iframe", "<form", "<base", "<meta", "<link",
    ] {
        assert!(!shown.contains(bad), "{bad}");
    }
    for tag in tags(&shown) {
        assert!(!tag.contains("=\"javascript:"), "{tag}");
    }
}

/// What stands between `<` and `>`, the latter outside of quotation marks: text may say anything.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<').skip(1).map(|rest| {
        let mut quoted = false;
        let end = rest.find(|c| {
            quoted ^= c == '"';
            c == '>' && !quoted
        });
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// A PDF: no panic, and pages within the text.
pub fn pdf(raw: &[u8]) {
    let file = Box::new(Cursor::new(raw.to_vec()));
    let Ok(items) = open("a.pdf", file, Resume::default()) else {
        return;
    };
    for located in items {
        let located = located.expect("memory can always be read");
        if let Ok(Item::Document(document)) = located.item {
            for page in document.pages {
                assert!(document.text.get(page..).is_some());
            }
        }
    }
}
