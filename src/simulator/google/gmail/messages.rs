//! Messages: listed, read, relabelled.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Switches;
use super::super::access::{Call, Failure};
use super::mailbox::{Mailbox, Message, number, text};
use super::mime::{self, Show};
use super::search::Search;

/// How a mail is put into a mailbox.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// `INBOX` and `UNREAD` when empty.
    pub labels: Vec<String>,
    /// When it came; when absent, its own date unless that lies ahead.
    pub at: Option<DateTime<Utc>>,
}

/// What shapes a view of messages.
pub struct See<'s> {
    pub switches: &'s Switches,
    pub nonce: u64,
    /// The scope shows headers and labels only.
    pub only_metadata: bool,
}

/// The messages that a call's `q`, `labelIds` and `includeSpamTrash` ask for, newest first.
pub fn found<'m>(
    mailbox: &'m Mailbox,
    call: &Call,
    see: &See<'_>,
    now: DateTime<Utc>,
) -> Result<impl Iterator<Item = &'m Message>, Failure> {
    let q = call.one("q").unwrap_or_default();
    if !q.is_empty() && see.only_metadata {
        return Err(Failure::new(
            403,
            "forbidden",
            "Metadata scope does not support 'q' parameter",
        ));
    }
    let labels: Vec<String> = call.all("labelIds").map(str::to_owned).collect();
    known(mailbox, &labels)?;
    let everywhere = call.flag("includeSpamTrash")?.unwrap_or(false)
        || labels
            .iter()
            .any(|label| label == "SPAM" || label == "TRASH");
    let search = Search::read(q, mailbox, now);
    Ok(mailbox
        .order
        .iter()
        .rev()
        .filter_map(|(_, id)| mailbox.messages.get(id))
        .filter(move |message| labels.iter().all(|label| message.labels.contains(label)))
        .filter(move |message| search.fits(message, everywhere)))
}

/// Where a page begins: what came before this.
pub fn position(call: &Call) -> Result<Option<(i64, u64)>, Failure> {
    let Some(token) = call.one("pageToken").filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    mime::decode(token)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| {
            let (date, id) = text.split_once(' ')?;
            Some((date.parse().ok()?, id.parse().ok()?))
        })
        .map(Some)
        .ok_or_else(|| Failure::parameter("pageToken", "invalidArgument", "Invalid pageToken"))
}

pub fn token(date: i64, id: u64) -> String {
    mime::encode(format!("{date} {id}").as_bytes(), false)
}

pub fn list(
    mailbox: &Mailbox,
    call: &Call,
    see: &See<'_>,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let size = call.size(100, 500)?;
    let begin = position(call)?;
    let mut page: Vec<&Message> = found(mailbox, call, see, now)?
        .skip_while(|message| begin.is_some_and(|begin| (message.date, message.id) >= begin))
        .take(size + 1)
        .collect();
    let mut reply = json!({});
    if page.len() > size {
        page.truncate(size);
        // A message that moved, as it seems to the reader: it is on both pages.
        let last = if see.switches.repeat_in_lists && size > 1 {
            page[size - 2]
        } else {
            page[size - 1]
        };
        reply["nextPageToken"] = json!(token(last.date, last.id));
    }
    // Not the total: nobody may take it for that.
    reply["resultSizeEstimate"] = json!(page.len() + page.len() % 3);
    if !page.is_empty() {
        reply["messages"] = page.iter().map(|message| stub(message)).collect();
    }
    Ok(reply)
}

pub fn stub(message: &Message) -> Value {
    json!({"id": text(message.id), "threadId": text(message.thread)})
}

pub fn with_labels(message: &Message) -> Value {
    let mut value = stub(message);
    if !message.labels.is_empty() {
        value["labelIds"] = json!(message.labels);
    }
    value
}

pub fn get(mailbox: &Mailbox, call: &Call, id: &str, see: &See<'_>) -> Result<Value, Failure> {
    let message = mailbox.find(id).ok_or_else(|| {
        if number(id).is_some() {
            Failure::not_found()
        } else {
            Failure::new(400, "invalidArgument", "Invalid id value")
        }
    })?;
    view(message, call, see)
}

/// A message in the format that the call asks for.
pub fn view(message: &Message, call: &Call, see: &See<'_>) -> Result<Value, Failure> {
    let format = call
        .one("format")
        .or_else(|| see.only_metadata.then_some("metadata"))
        .unwrap_or("full")
        .to_ascii_lowercase();
    if see.only_metadata && (format == "full" || format == "raw") {
        let words = format!(
            "Metadata scope doesn't allow format {}",
            format.to_uppercase()
        );
        return Err(Failure::new(403, "forbidden", &words));
    }
    let id = text(message.id);
    let parsed = mime::parse(&message.raw);
    let mut value = with_labels(message);
    value["snippet"] = json!(parsed.as_ref().map(mime::snippet).unwrap_or_default());
    value["sizeEstimate"] = json!(message.raw.len());
    value["historyId"] = json!(message.history_id.to_string());
    value["internalDate"] = json!(message.date.to_string());
    let show = Show {
        id: &id,
        nonce: see.nonce,
        leave_encoded_words: see.switches.leave_encoded_words,
    };
    match (format.as_str(), &parsed) {
        ("minimal", _) | (_, None) => {}
        ("raw", _) => value["raw"] = json!(mime::encode(&message.raw, see.nonce.is_multiple_of(2))),
        ("full", Some(parsed)) => value["payload"] = mime::tree(parsed, &show),
        ("metadata", Some(parsed)) => {
            let wanted: Vec<&str> = call.all("metadataHeaders").collect();
            let mut headers = mime::shown_headers(parsed, parsed.headers(), &show);
            headers.retain(|header| {
                let name = header["name"].as_str().unwrap_or_default();
                wanted.is_empty() || wanted.iter().any(|other| other.eq_ignore_ascii_case(name))
            });
            let kind = mime::tree(parsed, &show)["mimeType"].take();
            value["payload"] = json!({"mimeType": kind, "headers": headers});
        }
        _ => {
            return Err(Failure::parameter(
                "format",
                "invalidParameter",
                &format!("Invalid value '{format}'."),
            ));
        }
    }
    Ok(value)
}

/// A list of texts in a body.
pub fn ids(body: &Value, field: &str) -> Vec<String> {
    body[field]
        .as_array()
        .map(|items| {
            items
                .iter()
                .filter_map(|item| Some(item.as_str()?.to_owned()))
                .collect()
        })
        .unwrap_or_default()
}

/// Refuses labels that don't exist.
pub fn known(mailbox: &Mailbox, labels: &[String]) -> Result<(), Failure> {
    match labels.iter().find(|label| !mailbox.knows_label(label)) {
        Some(label) => Err(Failure::new(
            400,
            "invalidArgument",
            &format!("Invalid label: {label}"),
        )),
        None => Ok(()),
    }
}

/// The labels that a body adds and removes.
pub fn changes(mailbox: &Mailbox, body: &Value) -> Result<(Vec<String>, Vec<String>), Failure> {
    let (add, remove) = (ids(body, "addLabelIds"), ids(body, "removeLabelIds"));
    let invalid = |words: &str| Err(Failure::new(400, "invalidArgument", words));
    if add.is_empty() && remove.is_empty() {
        return invalid("No label add or removes specified");
    }
    if add.len() > 100 || remove.len() > 100 {
        return invalid("Too many labels");
    }
    for label in add.iter().chain(&remove) {
        if matches!(label.as_str(), "SENT" | "DRAFT" | "CHAT") || !mailbox.knows_label(label) {
            return invalid(&format!("Invalid label: {label}"));
        }
    }
    if add.iter().any(|label| remove.contains(label)) {
        return invalid("Cannot both add and remove the same label");
    }
    Ok((add, remove))
}

pub fn modify(mailbox: &mut Mailbox, id: &str, body: &Value) -> Result<Value, Failure> {
    let (add, remove) = changes(mailbox, body)?;
    relabel(mailbox, id, &add, &remove)
}

pub fn relabel(
    mailbox: &mut Mailbox,
    id: &str,
    add: &[String],
    remove: &[String],
) -> Result<Value, Failure> {
    let number = number(id)
        .filter(|id| mailbox.relabel(*id, add, remove))
        .ok_or_else(Failure::not_found)?;
    let message = mailbox
        .messages
        .get(&number)
        .ok_or_else(Failure::not_found)?;
    Ok(with_labels(message))
}

pub fn modify_many(mailbox: &mut Mailbox, body: &Value) -> Result<Value, Failure> {
    let (add, remove) = changes(mailbox, body)?;
    let ids = ids(body, "ids");
    if ids.is_empty() || ids.len() > 1000 {
        return Err(Failure::new(
            400,
            "invalidArgument",
            "Between 1 and 1000 ids are needed",
        ));
    }
    for id in ids {
        number(&id).map(|id| mailbox.relabel(id, &add, &remove));
    }
    Ok(Value::Null)
}
