//! Sending: what Gmail checks and changes in a mail, and where it arrives.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::super::State;
use super::super::access::{Call, Failure};
use super::mailbox::{Envelope, number, text};
use super::{messages, mime};

const LARGEST: usize = 36_700_160;
const MOST_RECIPIENTS: usize = 500;

/// A mail that an account sent.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    pub id: String,
    pub thread_id: String,
    /// Everybody who got it, blind copies too.
    pub recipients: Vec<String>,
    pub subject: String,
    pub text: String,
    #[serde(skip)]
    pub raw: Vec<u8>,
    pub at: DateTime<Utc>,
}

/// The `raw` and `threadId` of a message in a body.
pub fn raw_of(message: &Value) -> Result<(Vec<u8>, Option<String>), Failure> {
    let invalid = |words: &str| Failure::new(400, "invalidArgument", words);
    let raw = message["raw"].as_str().unwrap_or_default();
    if raw.is_empty() {
        return Err(invalid(
            "'raw' RFC822 payload message string or uploading message via /upload/* URL required",
        ));
    }
    let raw = mime::decode(raw).ok_or_else(|| {
        invalid("Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed")
    })?;
    Ok((raw, message["threadId"].as_str().map(str::to_owned)))
}

/// The same of an upload: the mail alone, or beside its JSON in `multipart/related`.
pub fn uploaded(call: &Call) -> (Vec<u8>, Option<String>) {
    let kind = call
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let boundary = kind
        .split(';')
        .find_map(|field| field.trim().strip_prefix("boundary="))
        .filter(|_| kind.starts_with("multipart/related"));
    let Some(boundary) = boundary else {
        return (call.body.to_vec(), None);
    };
    let whole = format!("--{}", boundary.trim_matches('"'));
    let mut parts = Vec::new();
    let mut rest = &call.body[..];
    while let Some(place) = memchr::memmem::find(rest, whole.as_bytes()) {
        parts.push(&rest[..place]);
        rest = &rest[place + whole.len()..];
    }
    // Whichever line ends the part's head, the first one does: the mail has empty lines of its own.
    let body = |part: &[u8]| {
        let crlf = memchr::memmem::find(part, b"\r\n\r\n").map(|end| end + 4);
        let lf = memchr::memmem::find(part, b"\n\n").map(|end| end + 2);
        let begin = [crlf, lf].into_iter().flatten().min()?;
        Some(part[begin..].to_vec())
    };
    // What stands before the first boundary is no part.
    let mut bodies = parts.into_iter().skip(1).filter_map(body);
    let json: Value = bodies
        .next()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default();
    let thread = json["threadId"]
        .as_str()
        .or_else(|| json["message"]["threadId"].as_str());
    (bodies.next().unwrap_or_default(), thread.map(str::to_owned))
}

pub fn message(
    state: &mut State,
    call: &Call,
    email: &str,
    upload: bool,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let (raw, thread) = if upload {
        uploaded(call)
    } else {
        raw_of(&call.json()?)?
    };
    leave(state, email, &raw, thread.as_deref(), now)
}

pub fn draft(
    state: &mut State,
    call: &Call,
    email: &str,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let body = call.json()?;
    let id = body["id"].as_str().unwrap_or_default();
    let mailbox = &state.account(email)?.mailbox;
    let draft = mailbox
        .drafts
        .get(id)
        .and_then(|message| mailbox.messages.get(message))
        .ok_or_else(Failure::not_found)?;
    let (place, thread) = (draft.id, text(draft.thread));
    let raw = match &body["message"]["raw"] {
        Value::String(_) => raw_of(&body["message"])?.0,
        _ => draft.raw.to_vec(),
    };
    let sent = leave(state, email, &raw, Some(&thread), now)?;
    let mailbox = &mut state.account(email)?.mailbox;
    mailbox.delete(place);
    Ok(sent)
}

/// Sends it: into the sender's sent mail and the mailboxes of recipients who have an account here.
fn leave(
    state: &mut State,
    email: &str,
    raw: &[u8],
    thread: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let invalid = |words: &str| Failure::new(400, "invalidArgument", words);
    if raw.len() > LARGEST {
        return Err(invalid("Message too large"));
    }
    let headers = mime::headers(raw);
    let mut recipients = BTreeSet::new();
    for name in ["To", "Cc", "Bcc"] {
        let values = headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        for (_, value) in values {
            let addresses = mime::addresses(value);
            let fine = addresses.iter().all(|address| mime::is_address(address));
            if !fine || (addresses.is_empty() && !value.trim().is_empty()) {
                return Err(invalid(&format!("Invalid {name} header")));
            }
            recipients.extend(addresses.iter().map(|address| address.to_ascii_lowercase()));
        }
    }
    if recipients.is_empty() {
        return Err(invalid("Recipient address required"));
    }
    if recipients.len() > MOST_RECIPIENTS {
        return Err(invalid("Too many recipients"));
    }
    let thread = match thread {
        None => None,
        Some(id) => Some(
            number(id)
                .filter(|id| {
                    state
                        .accounts
                        .get(email)
                        .is_some_and(|account| account.mailbox.threads.contains_key(id))
                })
                .ok_or_else(Failure::not_found)?,
        ),
    };
    let raw: Arc<[u8]> = prepared(state, email, raw, &headers, now).into();
    let to_self = recipients.contains(&email.to_ascii_lowercase());
    let mut labels = vec!["SENT".to_owned()];
    if to_self {
        labels.extend(["INBOX".to_owned(), "UNREAD".to_owned()]);
    }
    let mailbox = &mut state.account(email)?.mailbox;
    let id = mailbox.add(Arc::clone(&raw), labels, now, thread);
    let recipients: Vec<String> = recipients.into_iter().collect();
    mailbox.sent.push(Envelope {
        id,
        recipients: recipients.clone(),
    });
    let reply = mailbox
        .messages
        .get(&id)
        .map(messages::with_labels)
        .ok_or_else(Failure::not_found)?;
    for (address, account) in &mut state.accounts {
        if address != email && recipients.contains(&address.to_ascii_lowercase()) {
            let labels = ["INBOX", "UNREAD", "CATEGORY_PERSONAL"].map(str::to_owned);
            account.mailbox.add(Arc::clone(&raw), labels, now, None);
        }
    }
    Ok(reply)
}

/// As it leaves: from the account, with a date and an id, without blind copies.
fn prepared(
    state: &mut State,
    email: &str,
    raw: &[u8],
    headers: &[(String, String)],
    now: DateTime<Utc>,
) -> Vec<u8> {
    let mut without = vec!["Bcc"];
    let mut first = Vec::new();
    let ours = mime::header(headers, "From").is_some_and(|from| {
        mime::addresses(from)
            .iter()
            .any(|address| address.eq_ignore_ascii_case(email))
    });
    if !ours {
        without.push("From");
        let name = state
            .accounts
            .get(email)
            .map(|account| account.name.clone())
            .unwrap_or_default();
        first.push((
            "From",
            if name.is_empty() {
                email.to_owned()
            } else {
                format!("\"{}\" <{email}>", name.replace(['"', '\\'], ""))
            },
        ));
    }
    if mime::header(headers, "Date").is_none() {
        first.push(("Date", now.to_rfc2822()));
    }
    let replaced = state.switches.replace_message_ids;
    if replaced || mime::header(headers, "Message-ID").is_none() {
        without.push("Message-ID");
        let word = state.next("CA").replace('_', "-");
        first.push(("Message-ID", format!("<{word}@mail.gmail.com>")));
    }
    if mime::header(headers, "MIME-Version").is_none() {
        first.push(("MIME-Version", "1.0".to_owned()));
    }
    mime::rewritten(raw, &without, &first)
}

/// What an account sent so far, oldest first.
pub fn sent(state: &State, email: &str) -> Vec<Sent> {
    let Some(account) = state.accounts.get(email) else {
        return Vec::new();
    };
    let mailbox = &account.mailbox;
    mailbox
        .sent
        .iter()
        .filter_map(|envelope| {
            let message = mailbox.messages.get(&envelope.id)?;
            let parsed = mime::parse(&message.raw);
            Some(Sent {
                id: text(message.id),
                thread_id: text(message.thread),
                recipients: envelope.recipients.clone(),
                subject: mime::head(&message.raw).subject,
                text: parsed.as_ref().map(mime::text).unwrap_or_default(),
                raw: message.raw.to_vec(),
                at: DateTime::from_timestamp_millis(message.date)?,
            })
        })
        .collect()
}
