//! Threads: the messages that belong together, as one.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::access::{Call, Failure};
use super::mailbox::{Mailbox, number, text};
use super::messages::{self, See};
use super::mime;

pub fn list(
    mailbox: &Mailbox,
    call: &Call,
    see: &See<'_>,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let size = call.size(100, 500)?;
    let begin = messages::position(call)?;
    let mut seen = std::collections::HashSet::new();
    let mut page = Vec::new();
    let mut more = false;
    let mut last = (0, 0);
    for message in messages::found(mailbox, call, see, now)? {
        // A thread stands where its newest message that fits stands.
        if !seen.insert(message.thread)
            || begin.is_some_and(|begin| (message.date, message.id) >= begin)
        {
            continue;
        }
        if page.len() == size {
            more = true;
            break;
        }
        last = (message.date, message.id);
        let newest = mailbox
            .threads
            .get(&message.thread)
            .and_then(|members| mailbox.messages.get(members.last()?));
        let snippet = newest
            .and_then(|newest| mime::parse(&newest.raw).as_ref().map(mime::snippet))
            .unwrap_or_default();
        let history_id = newest.map_or(0, |newest| newest.history_id);
        page.push(json!({
            "id": text(message.thread), "snippet": snippet, "historyId": history_id.to_string(),
        }));
    }
    let mut reply = json!({"resultSizeEstimate": page.len()});
    if more {
        reply["nextPageToken"] = json!(messages::token(last.0, last.1));
    }
    if !page.is_empty() {
        reply["threads"] = json!(page);
    }
    Ok(reply)
}

fn members(mailbox: &Mailbox, id: &str) -> Result<Vec<u64>, Failure> {
    number(id)
        .and_then(|id| mailbox.threads.get(&id).cloned())
        .ok_or_else(Failure::not_found)
}

pub fn get(mailbox: &Mailbox, call: &Call, id: &str, see: &See<'_>) -> Result<Value, Failure> {
    if call.one("format") == Some("raw") {
        return Err(Failure::parameter(
            "format",
            "invalidParameter",
            "Invalid value 'raw'.",
        ));
    }
    let shown: Vec<Value> = members(mailbox, id)?
        .iter()
        .filter_map(|member| mailbox.messages.get(member))
        .map(|message| messages::view(message, call, see))
        .collect::<Result<_, _>>()?;
    Ok(json!({"id": id, "historyId": newest(mailbox, id)?, "messages": shown}))
}

fn newest(mailbox: &Mailbox, id: &str) -> Result<String, Failure> {
    let newest = members(mailbox, id)?
        .iter()
        .filter_map(|member| Some(mailbox.messages.get(member)?.history_id))
        .max();
    Ok(newest.unwrap_or_default().to_string())
}

pub fn modify(mailbox: &mut Mailbox, call: &Call, id: &str, how: &str) -> Result<Value, Failure> {
    let (add, remove) = match how {
        "trash" => (vec!["TRASH".to_owned()], vec!["INBOX".to_owned()]),
        "untrash" => (Vec::new(), vec!["TRASH".to_owned()]),
        _ => messages::changes(mailbox, &call.json()?)?,
    };
    let members = members(mailbox, id)?;
    for member in &members {
        mailbox.relabel(*member, &add, &remove);
    }
    let shown: Vec<Value> = members
        .iter()
        .filter_map(|member| mailbox.messages.get(member))
        .map(messages::with_labels)
        .collect();
    Ok(json!({"id": id, "historyId": newest(mailbox, id)?, "messages": shown}))
}
