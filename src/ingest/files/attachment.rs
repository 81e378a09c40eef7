//! What is attached to a mail: its name, its size, and its text where it can be read.
//!
//! The bytes aren't kept. Read are text, HTML, PDFs up to `MAX_PDF`, and mails inside of mails,
//! to `MAX_DEPTH`; how many are read is bounded, since each may cost seconds. What can't be read
//! has no text and is no error. Knows the parser's parts, not headers or bodies.

use std::fmt::Write as _;

use mail_parser::{Message, MessagePart, MimeHeaders, PartType};

use super::mail::{one_line, parse_nested, part_text};
use super::{charset, guard, pdf};
use crate::html;

/// Mails inside mails inside mails.
const MAX_DEPTH: usize = 4;
/// Larger PDFs are kept by name only.
const MAX_PDF: usize = 10 << 20;
/// Text of an attachment.
const MAX_TEXT: usize = 4 << 20;
const MAX_ATTACHMENTS: usize = 200;
/// Attachments whose text is looked for: each may cost seconds.
const MAX_EXTRACTED: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub name: String,
    pub content_type: String,
    /// Decoded, in bytes.
    pub size: u64,
    /// For the kinds that can be read.
    pub text: Option<String>,
}

/// All but the one that was taken for the body.
pub(super) fn attachments(
    message: &Message<'_>,
    body: Option<u32>,
    depth: usize,
) -> Vec<Attachment> {
    let mut extracted = 0;
    message
        .attachments
        .iter()
        .filter(|id| Some(**id) != body)
        .filter_map(|id| message.part(*id))
        .take(MAX_ATTACHMENTS)
        .enumerate()
        .map(|(index, part)| {
            let content_type = content_type(part);
            let name = part
                .attachment_name()
                .map(one_line)
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| format!("part {}", index + 1));
            let text = (extracted < MAX_EXTRACTED)
                .then(|| attached_text(message, part, &content_type, &name, depth))
                .flatten();
            extracted += usize::from(text.is_some());
            Attachment {
                size: part.contents().len() as u64,
                name,
                content_type,
                text,
            }
        })
        .collect()
}

fn content_type(part: &MessagePart<'_>) -> String {
    part.content_type().map_or_else(
        || "text/plain".to_owned(),
        |kind| {
            if kind.ctype().eq_ignore_ascii_case(guard::NESTED_TYPE) {
                return "message/rfc822".to_owned();
            }
            let full = format!(
                "{}/{}",
                kind.ctype(),
                kind.subtype().unwrap_or("octet-stream")
            );
            one_line(&full).to_ascii_lowercase()
        },
    )
}

/// The text of what is attached, for the kinds that can be read. Many clients send everything
/// as `application/octet-stream`, so the name counts too.
fn attached_text(
    message: &Message<'_>,
    part: &MessagePart<'_>,
    content_type: &str,
    name: &str,
    depth: usize,
) -> Option<String> {
    let extension = name
        .rsplit_once('.')
        .map(|(_, end)| end.to_ascii_lowercase());
    let extension = extension.as_deref().unwrap_or_default();
    let bytes = part.contents();
    let text = match &part.body {
        PartType::Html(text) => html::html_to_text(&part_text(message, part, text)),
        PartType::Text(text) => charset::line_feeds(part_text(message, part, text)).into_owned(),
        PartType::Multipart(_) | PartType::Message(_) => return None,
        PartType::Binary(_) | PartType::InlineBinary(_) => {
            if content_type == "message/rfc822" || extension == "eml" {
                nested_text(bytes, depth)?
            } else if content_type == "application/pdf" || extension == "pdf" {
                (bytes.len() <= MAX_PDF).then(|| pdf::plain_text(bytes))??
            } else if matches!(extension, "txt" | "md" | "csv" | "ics" | "vcf") {
                charset::line_feeds(charset::decode(bytes)).into_owned()
            } else if matches!(extension, "html" | "htm") {
                html::html_to_text(&charset::decode(bytes))
            } else {
                return None;
            }
        }
    };
    let mut text = text;
    let end = text.floor_char_boundary(MAX_TEXT);
    text.truncate(end);
    (!text.trim().is_empty()).then_some(text)
}

fn nested_text(bytes: &[u8], depth: usize) -> Option<String> {
    if depth >= MAX_DEPTH {
        return None;
    }
    let email = parse_nested(bytes, None, depth + 1).ok()?;
    let mut text = String::new();
    if let Some(from) = &email.from {
        let name = from.name.as_deref().unwrap_or_default();
        let _ = writeln!(text, "From: {name} <{}>", from.address);
    }
    if let Some(date) = email.date {
        let _ = writeln!(text, "Date: {}", date.to_rfc2822());
    }
    let _ = write!(text, "Subject: {}\n\n{}", email.subject, email.text);
    for attachment in email.attachments {
        if let Some(inner) = attachment.text {
            let _ = write!(text, "\n\n{}\n\n{inner}", attachment.name);
        }
    }
    Some(text)
}
