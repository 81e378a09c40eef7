//! RFC 5322 as Gmail shows it: the tree of parts, headers, snippets; and what it changes when it sends.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mail_parser::{Header, Message, MessageParser, MessagePart, MimeHeaders as _, PartType};
use serde_json::{Value, json};

/// Attachments up to this many bytes come with their part.
const INLINE_LIMIT: usize = 256;

/// What threading looks at.
pub struct Head {
    pub message_id: Option<String>,
    /// In-Reply-To and References.
    pub references: Vec<String>,
    pub subject: String,
}

/// The headers of the message itself, unfolded, in order.
pub fn headers(raw: &[u8]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in raw.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(line);
        if text.starts_with([' ', '\t']) {
            if let Some((_, value)) = found.last_mut() {
                value.push(' ');
                value.push_str(text.trim());
            }
        } else if let Some((name, value)) = text.split_once(':') {
            found.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// The first header of this name.
pub fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

pub fn head(raw: &[u8]) -> Head {
    let headers = headers(raw);
    let ids = |name: &str| {
        header(&headers, name)
            .map(|value| {
                value
                    .split('<')
                    .skip(1)
                    .filter_map(|rest| Some(format!("<{}>", rest.split_once('>')?.0)))
                    .collect::<Vec<_>>()
            })
            .unwrap_or_default()
    };
    let mut references = ids("References");
    references.extend(ids("In-Reply-To"));
    Head {
        message_id: ids("Message-ID").pop(),
        references,
        subject: decoded(header(&headers, "Subject").unwrap_or_default()),
    }
}

/// A subject without the prefixes that replies and forwards have.
pub fn thread_subject(subject: &str) -> String {
    let mut rest = subject.trim();
    while let Some((prefix, after)) = rest.split_once(':') {
        let prefix = prefix.trim().to_ascii_lowercase();
        if !["re", "fwd", "fw", "aw", "wg", "sv"].contains(&prefix.as_str()) {
            break;
        }
        rest = after.trim();
    }
    rest.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

/// Encoded words read.
pub fn decoded(value: &str) -> String {
    if !value.contains("=?") {
        return value.to_owned();
    }
    let mail = format!("Subject: {value}\r\n\r\n");
    MessageParser::new()
        .parse(mail.as_bytes())
        .and_then(|message| message.subject().map(str::to_owned))
        .unwrap_or_else(|| value.to_owned())
}

pub fn parse(raw: &[u8]) -> Option<Message<'_>> {
    MessageParser::default()
        .parse(raw)
        .filter(|message| !message.parts.is_empty())
}

/// How parts are shown.
pub struct Show<'s> {
    /// Of the message, for its attachments' ids.
    pub id: &'s str,
    /// Makes the attachments' ids differ from one get to the next.
    pub nonce: u64,
    pub leave_encoded_words: bool,
}

/// The payload.
pub fn tree(message: &Message<'_>, show: &Show<'_>) -> Value {
    part(message, 0, "", show)
}

fn part(message: &Message<'_>, place: u32, id: &str, show: &Show<'_>) -> Value {
    let Some(this) = message.parts.get(place as usize) else {
        return json!({"partId": id, "mimeType": "text/plain", "filename": "", "headers": [], "body": {"size": 0}});
    };
    let below = |number: usize| {
        if id.is_empty() {
            number.to_string()
        } else {
            format!("{id}.{number}")
        }
    };
    let filename = this
        .attachment_name()
        .map(str::to_owned)
        .unwrap_or_default();
    let mut value = json!({
        "partId": id, "mimeType": media_type(this), "filename": filename,
        "headers": shown_headers(message, &this.headers, show),
    });
    let whole = content(this);
    let parts: Vec<Value> = match &this.body {
        PartType::Multipart(children) => children
            .iter()
            .enumerate()
            .map(|(number, child)| part(message, *child, &below(number), show))
            .collect(),
        PartType::Message(inner) => vec![part(inner, 0, &below(0), show)],
        _ => Vec::new(),
    };
    let detached = (!filename.is_empty() || !this.is_text()) && whole.len() > INLINE_LIMIT;
    let mut body = json!({"size": whole.len()});
    if matches!(this.body, PartType::Multipart(_)) {
        body = json!({"size": 0});
    } else if detached || matches!(this.body, PartType::Message(_)) {
        let path = if id.is_empty() { "-" } else { id };
        let token = format!("{}/{path}/{}", show.id, show.nonce);
        body["attachmentId"] = json!(format!("ANGj{}", encode(token.as_bytes(), false)));
    } else if !whole.is_empty() {
        body["data"] = json!(encode(&whole, show.nonce.is_multiple_of(2)));
    }
    value["body"] = body;
    if !parts.is_empty() {
        value["parts"] = json!(parts);
    }
    value
}

/// A part's bytes, its transfer encoding undone and its text as UTF-8.
fn content(part: &MessagePart<'_>) -> Vec<u8> {
    match &part.body {
        PartType::Multipart(_) => Vec::new(),
        PartType::Message(inner) => inner.raw_message().to_vec(),
        _ => part.contents().to_vec(),
    }
}

fn media_type(part: &MessagePart<'_>) -> String {
    match part.content_type() {
        Some(kind) => format!(
            "{}/{}",
            kind.ctype().to_ascii_lowercase(),
            kind.subtype().unwrap_or("plain").to_ascii_lowercase()
        ),
        None => match &part.body {
            PartType::Message(_) => "message/rfc822".to_owned(),
            PartType::Multipart(_) => "multipart/mixed".to_owned(),
            PartType::Html(_) => "text/html".to_owned(),
            PartType::Binary(_) | PartType::InlineBinary(_) => {
                "application/octet-stream".to_owned()
            }
            PartType::Text(_) => "text/plain".to_owned(),
        },
    }
}

/// Names in the sender's case, values unfolded.
pub fn shown_headers(message: &Message<'_>, headers: &[Header<'_>], show: &Show<'_>) -> Vec<Value> {
    headers
        .iter()
        .filter_map(|header| {
            let raw = &message.raw_message;
            let field = raw.get(header.offset_field as usize..header.offset_start as usize)?;
            let value = raw.get(header.offset_start as usize..header.offset_end as usize)?;
            let name = String::from_utf8_lossy(field);
            let value = String::from_utf8_lossy(value);
            let unfolded = value
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join(" ");
            let value = if show.leave_encoded_words {
                unfolded
            } else {
                decoded(&unfolded)
            };
            Some(json!({"name": name.trim_end_matches([':', ' ']), "value": value}))
        })
        .collect()
}

/// The bytes that an attachment's id names, when it belongs to this message.
pub fn attachment(raw: &[u8], message: &str, attachment: &str) -> Option<Vec<u8>> {
    let token = String::from_utf8(decode(attachment.strip_prefix("ANGj")?)?).ok()?;
    let mut fields = token.split('/');
    if fields.next() != Some(message) {
        return None;
    }
    let path = fields.next()?;
    let parsed = parse(raw)?;
    find(&parsed, path)
}

fn find(message: &Message<'_>, path: &str) -> Option<Vec<u8>> {
    let mut place = 0;
    let mut steps = path.split('.').filter(|step| *step != "-");
    while let Some(step) = steps.next() {
        match &message.parts.get(place)?.body {
            PartType::Multipart(children) => {
                place = *children.get(step.parse::<usize>().ok()?)? as usize;
            }
            PartType::Message(inner) => {
                let rest: Vec<&str> = steps.collect();
                let rest = if rest.is_empty() {
                    "-".to_owned()
                } else {
                    rest.join(".")
                };
                return find(inner, &rest);
            }
            _ => return None,
        }
    }
    message.parts.get(place).map(content)
}

/// The text that a reader sees, for search and snippets.
pub fn text(message: &Message<'_>) -> String {
    let mut whole = String::new();
    for place in 0..message.text_body_count() {
        if let Some(text) = message.body_text(place) {
            let _ = write!(whole, "{text} ");
        }
    }
    whole
}

/// The beginning of the text, escaped as HTML.
pub fn snippet(message: &Message<'_>) -> String {
    let words = text(message)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    words
        .chars()
        .take(120)
        .collect::<String>()
        .trim()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The addresses in a header.
pub fn addresses(value: &str) -> Vec<String> {
    let mail = format!("To: {value}\r\n\r\n");
    let Some(message) = MessageParser::default().parse(mail.as_bytes()) else {
        return Vec::new();
    };
    message
        .to()
        .map(|list| {
            list.iter()
                .map(|address| address.address().unwrap_or_default().to_owned())
                .collect()
        })
        .unwrap_or_default()
}

/// Whether mail can go there.
pub fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty()
            && domain.contains(|letter: char| letter.is_ascii_alphanumeric())
            && !text.contains(|letter: char| letter.is_whitespace() || "<>,;\"".contains(letter))
            && !domain.contains('@')
    })
}

/// The message with some headers removed and others put first.
pub fn rewritten(raw: &[u8], without: &[&str], first: &[(&str, String)]) -> Vec<u8> {
    let mut result = Vec::with_capacity(raw.len() + 200);
    for (name, value) in first {
        result.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let mut rest = raw;
    let mut dropping = false;
    while !rest.is_empty() {
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(rest.len(), |place| place + 1);
        let (line, after) = rest.split_at(end);
        if line == b"\r\n" || line == b"\n" {
            result.extend_from_slice(rest);
            return result;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            dropping = without
                .iter()
                .any(|other| name.trim_ascii().eq_ignore_ascii_case(other.as_bytes()));
        }
        if !dropping {
            result.extend_from_slice(line);
        }
        rest = after;
    }
    result
}

pub fn encode(bytes: &[u8], padded: bool) -> String {
    if padded {
        base64::engine::general_purpose::URL_SAFE.encode(bytes)
    } else {
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// base64url, or the standard alphabet, with or without padding.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let tolerant =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.replace('+', "-").replace('/', "_");
    GeneralPurpose::new(&alphabet::URL_SAFE, tolerant)
        .decode(text.trim())
        .ok()
}
