//! One mail: headers, the text to read, what is attached.
//!
//! `parse_mail` takes RFC 5322 bytes as they come: 8-bit headers, unknown character sets, parts
//! without end. `text` is what the author wrote, as sent: plain parts joined, `format=flowed`
//! unwrapped, HTML turned to text only where there is no plain part; LF only, no NUL. A mail
//! without `Message-ID` gets one made from its content, so that the same mail is the same twice.
//! Attachments keep their extracted text, not their bytes. May not know where a mail came from.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use mail_parser::decoders::{base64::base64_decode, quoted_printable::quoted_printable_decode};
use mail_parser::{
    ContentType, Encoding, HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType,
};
use sha2::{Digest, Sha256};

use super::attachment::{self, Attachment};
use super::{charset, guard, headers};
use crate::html;

pub(super) static PARSER: LazyLock<MessageParser> = LazyLock::new(MessageParser::default);

/// A name and an address, e.g. of an author. The domain is in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Email {
    /// Without angle brackets.
    pub message_id: String,
    /// The mail had no id: this one is made from its content.
    pub synthetic_id: bool,
    pub in_reply_to: Vec<String>,
    /// Oldest first.
    pub references: Vec<String>,
    pub subject: String,
    pub from: Option<Mailbox>,
    pub to: Vec<Mailbox>,
    pub cc: Vec<Mailbox>,
    pub bcc: Vec<Mailbox>,
    pub reply_to: Vec<Mailbox>,
    pub date: Option<DateTime<Utc>>,
    pub labels: Vec<String>,
    pub text: String,
    /// As sent. To be shown only through `sanitise`.
    pub html: Option<String>,
    pub attachments: Vec<Attachment>,
    pub list_id: Option<String>,
    pub auto_submitted: bool,
    /// The server that took it in found it not to be from whom it says (DMARC).
    pub forged: bool,
    /// It reports that a mail couldn't be delivered; the Message-IDs that it names.
    pub undelivered: Option<Vec<String>>,
    /// Of the whole mail, in bytes.
    pub size: u64,
}

impl Email {
    /// The same for all mails of a conversation: the id of the first one.
    pub fn thread_key(&self) -> &str {
        self.references
            .first()
            .or_else(|| self.in_reply_to.first())
            .unwrap_or(&self.message_id)
    }
}

/// Parses one mail. `received` stands in for a missing date. The error is a sentence for a
/// layman.
pub fn parse_mail(raw: &[u8], received: Option<DateTime<Utc>>) -> Result<Email, String> {
    parse_nested(raw, received, 0)
}

pub(super) fn parse_nested(
    raw: &[u8],
    received: Option<DateTime<Utc>>,
    depth: usize,
) -> Result<Email, String> {
    let start = raw
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    let trimmed = raw.get(start..).unwrap_or_default();
    let trimmed = trimmed.strip_prefix(b"\xef\xbb\xbf").unwrap_or(trimmed);
    if trimmed.is_empty() {
        return Err("It is empty: there are neither headers nor text.".to_owned());
    }
    let passed = guard::pass(trimmed)?;
    let message = PARSER
        .parse(passed.as_ref())
        .filter(|message| has_headers(message))
        .ok_or_else(|| "It has no mail headers such as From, Date or Subject.".to_owned())?;

    let html = html_body(&message);
    let plain = plain_body(&message);
    let blank = plain.as_deref().is_none_or(|text| text.trim().is_empty());
    let cut_off = (blank && html.is_none())
        .then(|| cut_off_body(&message))
        .flatten();
    let text = match (plain, &html, &cut_off) {
        (_, Some(html), _) if blank => html::html_to_text(html),
        (_, _, Some((_, text))) => text.clone(),
        (plain, ..) => plain.unwrap_or_default(),
    };
    let mut email = Email {
        message_id: String::new(),
        synthetic_id: false,
        in_reply_to: headers::ids(message.in_reply_to()),
        references: headers::ids(message.references()),
        subject: one_line(message.subject().unwrap_or_default()),
        from: headers::mailboxes(&message, &HeaderName::From)
            .into_iter()
            .next()
            .or_else(|| {
                headers::mailboxes(&message, &HeaderName::Sender)
                    .into_iter()
                    .next()
            }),
        to: headers::mailboxes(&message, &HeaderName::To),
        cc: headers::mailboxes(&message, &HeaderName::Cc),
        bcc: headers::mailboxes(&message, &HeaderName::Bcc),
        reply_to: headers::mailboxes(&message, &HeaderName::ReplyTo),
        date: headers::date(&message).or(received),
        labels: headers::labels(&message),
        text,
        html,
        attachments: attachment::attachments(&message, cut_off.map(|(id, _)| id), depth),
        list_id: headers::list_id(&message),
        auto_submitted: headers::auto_submitted(&message),
        forged: headers::fails_dmarc(&message),
        undelivered: undelivered(&message),
        size: raw.len() as u64,
    };
    if let Some(id) = headers::message_id(&message) {
        email.message_id = id;
    } else {
        email.message_id = synthetic_id(&email);
        email.synthetic_id = true;
    }
    Ok(email)
}

/// Any line with a colon parses as a header; a mail has at least one that mails have.
fn has_headers(message: &Message<'_>) -> bool {
    message.headers().iter().any(|header| {
        !matches!(header.name, HeaderName::Other(_)) || {
            let name = header.name.as_str();
            name.len() > 2 && (name.starts_with("X-") || name.starts_with("x-"))
        }
    })
}

/// What a delivery report is about: the mail that it holds, or that mail's headers.
fn undelivered(message: &Message<'_>) -> Option<Vec<String>> {
    let is_report = message.content_type().is_some_and(|kind| {
        kind.subtype()
            .is_some_and(|subtype| subtype.eq_ignore_ascii_case("report"))
            && kind
                .attribute("report-type")
                .is_none_or(|kind| kind.eq_ignore_ascii_case("delivery-status"))
    });
    if !is_report && message.header_raw("X-Failed-Recipients").is_none() {
        return None;
    }
    // "It is on its way still" and "it has arrived" are reports too.
    let is_final = |text: &str| {
        let text = text.to_ascii_lowercase();
        !text.contains("action:") || text.contains("action: failed")
    };
    let mut names = Vec::new();
    for part in &message.parts {
        let subtype = part.content_type().and_then(|kind| kind.subtype());
        match &part.body {
            PartType::Message(inner) => names.extend(headers::message_id(inner)),
            PartType::Text(text) if subtype == Some("delivery-status") && !is_final(text) => {
                return None;
            }
            PartType::Text(text) if subtype == Some("rfc822-headers") => {
                let inner = PARSER.parse(text.as_bytes());
                names.extend(inner.and_then(|inner| headers::message_id(&inner)));
            }
            PartType::Binary(bytes)
                if subtype == Some("delivery-status")
                    && !is_final(&String::from_utf8_lossy(bytes)) =>
            {
                return None;
            }
            PartType::Binary(bytes) if subtype == Some("rfc822-headers") => {
                let inner = PARSER.parse(bytes.as_ref());
                names.extend(inner.and_then(|inner| headers::message_id(&inner)));
            }
            _ => {}
        }
    }
    Some(names)
}

/// The same mail must get the same id in every archive that it is found in, so only what
/// archives leave alone goes in.
fn synthetic_id(email: &Email) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    add(&email.date.map(|date| date.to_rfc3339()).unwrap_or_default());
    add(email.from.as_ref().map_or("", |from| &from.address));
    for to in email.to.iter().chain(&email.cc) {
        add(&to.address);
    }
    add(&email.subject);
    add(email.text.trim_end());
    for attachment in &email.attachments {
        add(&attachment.name);
        add(&attachment.size.to_string());
    }
    let mut id = String::with_capacity(56);
    for byte in hash.finalize().iter().take(20) {
        // Writing to a string can't fail.
        let _ = write!(id, "{byte:02x}");
    }
    id + "@synthetic.invalid"
}

pub(super) fn one_line(text: &str) -> String {
    let one: String = text
        .chars()
        .filter(|c| *c != '\0')
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(2000)
        .collect();
    one.trim().to_owned()
}

/// The plain parts, joined. Parts that only exist as HTML come as text in their place.
fn plain_body(message: &Message<'_>) -> Option<String> {
    let mut joined: Option<String> = None;
    for id in &message.text_body {
        let text = match message.part(*id) {
            Some(
                part @ MessagePart {
                    body: PartType::Text(text),
                    ..
                },
            ) => {
                let text = charset::line_feeds(part_text(message, part, text));
                match part.content_type().filter(|kind| flowed(kind)) {
                    Some(kind) => unwrap_flowed(&text, delsp(kind)),
                    None => text.into_owned(),
                }
            }
            Some(
                part @ MessagePart {
                    body: PartType::Html(text),
                    ..
                },
            ) => html::html_to_text(&part_text(message, part, text)),
            _ => continue,
        };
        match &mut joined {
            Some(all) => {
                if !all.ends_with("\n\n") {
                    all.push_str(if all.ends_with('\n') { "\n" } else { "\n\n" });
                }
                all.push_str(&text);
            }
            None => joined = Some(text),
        }
    }
    joined
}

fn html_body(message: &Message<'_>) -> Option<String> {
    message.html_body.iter().find_map(|id| {
        let part = message.part(*id)?;
        let PartType::Html(text) = &part.body else {
            return None;
        };
        Some(charset::line_feeds(part_text(message, part, text)).into_owned())
    })
}

/// The text of a mail that ends before its last part does: the parser takes what has no end for
/// an attachment.
fn cut_off_body(message: &Message<'_>) -> Option<(u32, String)> {
    message.attachments.iter().find_map(|id| {
        let part = message.part(*id)?;
        let (PartType::Text(text) | PartType::Html(text)) = &part.body else {
            return None;
        };
        if !part.is_encoding_problem || part.attachment_name().is_some() {
            return None;
        }
        let text = charset::line_feeds(part_text(message, part, text));
        let kind = part.content_type().and_then(|kind| kind.subtype());
        let text = if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("html")) {
            html::html_to_text(&text)
        } else {
            text.into_owned()
        };
        (!text.trim().is_empty()).then_some((*id, text))
    })
}

/// The part's text, decoded anew where the parser had to put replacement characters: it knows
/// no other way out of an unknown or wrong character set.
pub(super) fn part_text<'a>(
    message: &'a Message<'_>,
    part: &MessagePart<'_>,
    text: &'a str,
) -> Cow<'a, str> {
    if !text.contains('\u{fffd}') {
        return charset::without_nul(Cow::Borrowed(text));
    }
    let Some(raw) = message
        .raw_message
        .get(part.offset_body as usize..part.offset_end as usize)
    else {
        return charset::without_nul(Cow::Borrowed(text));
    };
    let bytes = match part.encoding {
        Encoding::None => Some(Cow::Borrowed(raw)),
        Encoding::Base64 => base64_decode(raw).map(Cow::Owned),
        Encoding::QuotedPrintable => quoted_printable_decode(raw).map(Cow::Owned),
    };
    let label = part
        .content_type()
        .and_then(|kind| kind.attribute("charset"))
        .unwrap_or_default();
    match bytes {
        Some(bytes) => Cow::Owned(charset::decode_as(&bytes, label).into_owned()),
        None => charset::without_nul(Cow::Borrowed(text)),
    }
}

fn flowed(kind: &ContentType<'_>) -> bool {
    kind.attribute("format")
        .is_some_and(|format| format.eq_ignore_ascii_case("flowed"))
}

fn delsp(kind: &ContentType<'_>) -> bool {
    kind.attribute("delsp")
        .is_some_and(|delsp| delsp.eq_ignore_ascii_case("yes"))
}

/// RFC 3676: a line that ends in a blank goes on in the next one of the same quoting depth.
fn unwrap_flowed(text: &str, delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let content = line.trim_start_matches('>');
        let depth = line.len() - content.len();
        let content = content.strip_prefix(' ').unwrap_or(content);
        let signature = content == "-- ";
        if open == Some(depth) && !signature {
            // Goes on: no quote marks of its own.
        } else {
            if open.is_some() {
                out.push('\n');
            }
            for _ in 0..depth {
                out.push('>');
            }
            if depth > 0 {
                out.push(' ');
            }
        }
        if content.ends_with(' ') && !signature {
            out.push_str(if delsp {
                content.strip_suffix(' ').unwrap_or(content)
            } else {
                content
            });
            open = Some(depth);
        } else {
            out.push_str(content);
            out.push('\n');
            open = None;
        }
    }
    out
}
