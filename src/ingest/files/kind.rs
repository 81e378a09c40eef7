//! What a file is, from its name and its first bytes.
//!
//! The content decides where it is unmistakable (`%PDF-`, `BEGIN:VCARD`, a separator line of a
//! mailbox), the extension where it isn't. A wrong extension is the user's slip, not an error;
//! a file of another kind altogether is refused with a sentence that names what can be read.
//! Knows the kinds, not how they are read.

use std::sync::LazyLock;

use regex::Regex;

use super::{charset, item::Unreadable, mbox};

/// So much of the beginning is looked at.
pub(super) const SNIFF: usize = 8 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mbox,
    Mail,
    Text,
    Html,
    Pdf,
    Vcf,
    Ics,
    Csv,
}

/// Two headers in a row, one of them a header that every mail has.
static HEADERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\A(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?(?:from|received|return-path|message-id|mime-version|delivered-to|date|subject|to|x-gmail-labels|x-mozilla-status|content-type):",
    )
    .expect("a valid pattern")
});

pub(super) fn recognise(file_name: &str, first: &[u8]) -> Result<Kind, Unreadable> {
    let extension = file_name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    let by_name = match extension.as_deref() {
        Some("mbox" | "mbx" | "mboxrd" | "mboxo") => Some(Kind::Mbox),
        Some("eml" | "mail") => Some(Kind::Mail),
        Some("txt" | "text" | "md" | "markdown" | "log") => Some(Kind::Text),
        Some("html" | "htm" | "xhtml") => Some(Kind::Html),
        Some("pdf") => Some(Kind::Pdf),
        Some("vcf" | "vcard") => Some(Kind::Vcf),
        Some("ics" | "ical" | "ifb") => Some(Kind::Ics),
        Some("csv" | "tsv") => Some(Kind::Csv),
        _ => None,
    };
    if first.iter().all(u8::is_ascii_whitespace) {
        return Err(Unreadable::file("The file is empty."));
    }
    if let Some(kind) = by_content(by_name, first) {
        return Ok(kind);
    }
    if let Some(what) = foreign(first) {
        return Err(Unreadable::file(format!(
            "This is {what}, which can't be read. {READABLE}"
        )));
    }
    match by_name {
        // The content would have shown it: what claims to be one of these and isn't is text.
        Some(Kind::Pdf) => Err(Unreadable::file(
            "The name says PDF, but this isn't a PDF document.",
        )),
        Some(Kind::Vcf) => Err(Unreadable::file(
            "The name says contacts, but there is no contact card in the file.",
        )),
        Some(Kind::Ics) => Err(Unreadable::file(
            "The name says calendar, but there is no calendar in the file.",
        )),
        Some(kind) => Ok(kind),
        None if looks_like_text(first) => Ok(Kind::Text),
        None => Err(Unreadable::file(format!(
            "This kind of file can't be read. {READABLE}"
        ))),
    }
}

const READABLE: &str = "Mailboxes (.mbox), mails (.eml), contacts (.vcf, .csv), calendars (.ics), PDF, web pages and text can.";

fn by_content(by_name: Option<Kind>, first: &[u8]) -> Option<Kind> {
    // A few bytes of rubbish before the mark are allowed by most PDF readers.
    if memchr::memmem::find(first.get(..first.len().min(1024))?, b"%PDF-").is_some()
        && matches!(by_name, None | Some(Kind::Pdf))
        || first.starts_with(b"%PDF-")
    {
        return Some(Kind::Pdf);
    }
    let text = charset::decode(first);
    let text = text.trim_start_matches(['\u{feff}', '\n', '\r', ' ', '\t']);
    let starts = |with: &str| {
        text.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    if starts("BEGIN:VCARD") {
        return Some(Kind::Vcf);
    }
    if starts("BEGIN:VCALENDAR") || starts("BEGIN:VEVENT") {
        return Some(Kind::Ics);
    }
    if mbox::begins_mailbox(text) {
        return Some(Kind::Mbox);
    }
    let has_headers = HEADERS.is_match(text);
    match by_name {
        // One mail under the name of a mailbox.
        Some(Kind::Mbox | Kind::Mail) => Some(Kind::Mail),
        // Text and spreadsheets may begin with "Subject:" for reasons of their own.
        Some(Kind::Text | Kind::Csv | Kind::Html) => by_name,
        Some(Kind::Vcf) if text.to_ascii_uppercase().contains("BEGIN:VCARD") => Some(Kind::Vcf),
        Some(Kind::Ics) if text.to_ascii_uppercase().contains("BEGIN:V") => Some(Kind::Ics),
        _ if starts("<!doctype html") || starts("<html") => Some(Kind::Html),
        _ if has_headers => Some(Kind::Mail),
        _ => None,
    }
    .filter(|kind| *kind == Kind::Mail || foreign(first).is_none())
}

/// Kinds that people do hand over, named so that they know what to do about it.
fn foreign(first: &[u8]) -> Option<&'static str> {
    Some(match first {
        [b'P', b'K', 3, 4, ..] => "a ZIP archive or an Office document",
        [0x1f, 0x8b, ..] => "a compressed archive",
        [0xd0, 0xcf, 0x11, 0xe0, ..] => "an old Office document or an Outlook message",
        [b'!', b'B', b'D', b'N', ..] => "an Outlook data file (.pst)",
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] | [b'G', b'I', b'F', b'8', ..] => {
            "a picture"
        }
        _ if !looks_like_text(first) => "not text",
        _ => return None,
    })
}

/// Control characters other than line ends and tabs are rare in text of any character set.
fn looks_like_text(first: &[u8]) -> bool {
    let text = charset::decode(first);
    let odd = text
        .chars()
        .filter(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}'))
        .count();
    // NUL was dropped by decoding, so it is counted in the bytes.
    let utf16 = first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]);
    let nul = if utf16 || text.len() * 3 < first.len() * 2 {
        0
    } else {
        memchr::memchr_iter(0, first).count()
    };
    (odd + nul) * 50 <= first.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_corrects_the_extension() {
        let mail = b"Received: by x\r\n\tid 1\r\nFrom: a@example.com\r\n\r\nhello";
        let mbox = b"From a@example.com Mon Jan  1 10:00:00 2024\nSubject: x\n\nhello\n";
        for (name, first, kind) in [
            ("a.mbox", &mail[..], Kind::Mail),
            ("a.mbox", &mbox[..], Kind::Mbox),
            ("a.txt", &mbox[..], Kind::Mbox),
            ("archive", &mbox[..], Kind::Mbox),
            ("archive", &mail[..], Kind::Mail),
            ("notes.txt", b"Dear all,\nwe met.", Kind::Text),
            ("notes", b"Dear all,\nwe met.", Kind::Text),
            ("x.txt", b"BEGIN:VCARD\nFN:A\nEND:VCARD", Kind::Vcf),
            ("x.csv", b"Name;E-mail\nA;a@example.com", Kind::Csv),
            ("x.dat", b"%PDF-1.4 ...", Kind::Pdf),
            ("page", b"<!DOCTYPE html><p>x", Kind::Html),
            ("cal.ics", b"\xef\xbb\xbfBEGIN:VCALENDAR\n", Kind::Ics),
        ] {
            assert_eq!(recognise(name, first), Ok(kind), "{name}");
        }
    }

    #[test]
    fn other_kinds_are_refused_in_words() {
        for (name, first) in [
            ("a.docx", &b"PK\x03\x04aaaaaaa"[..]),
            ("a.pst", b"!BDN\x00\x00"),
            ("a.pdf", b"hello"),
            ("a.vcf", b"hello"),
            ("a.bin", b"\x01\x02\x03\x00\x00\x00\x00\x05"),
            ("a.txt", b"  \n"),
        ] {
            let refused = recognise(name, first).expect_err(name);
            assert!(refused.reason.ends_with('.'), "{}", refused.reason);
        }
    }
}
