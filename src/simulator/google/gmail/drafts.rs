//! Drafts: messages that wait to be sent. Each change gives a draft's message a new id.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::access::{Call, Failure};
use super::mailbox::{Mailbox, number};
use super::messages::{self, See};
use super::{mime, search, send};

pub fn list(mailbox: &Mailbox, call: &Call, now: DateTime<Utc>) -> Result<Value, Failure> {
    let size = call.size(100, 500)?;
    let search = search::Search::read(call.one("q").unwrap_or_default(), mailbox, now);
    let after = call.one("pageToken").unwrap_or_default();
    let mut found = mailbox
        .drafts
        .iter()
        .filter(|(id, _)| id.as_str() > after)
        .filter_map(|(id, message)| Some((id, mailbox.messages.get(message)?)))
        .filter(|(_, message)| search.fits(message, false));
    let page: Vec<_> = found.by_ref().take(size).collect();
    let mut reply = json!({"resultSizeEstimate": page.len()});
    if found.next().is_some()
        && let Some((last, _)) = page.last()
    {
        reply["nextPageToken"] = json!(last);
    }
    if !page.is_empty() {
        reply["drafts"] = page
            .iter()
            .map(|(id, message)| json!({"id": id, "message": messages::stub(message)}))
            .collect();
    }
    Ok(reply)
}

pub fn get(mailbox: &Mailbox, call: &Call, id: &str, see: &See<'_>) -> Result<Value, Failure> {
    let message = mailbox
        .drafts
        .get(id)
        .and_then(|message| mailbox.messages.get(message))
        .ok_or_else(Failure::not_found)?;
    Ok(json!({"id": id, "message": messages::view(message, call, see)?}))
}

/// The bytes of a draft, and the thread it shall be in.
fn content(
    mailbox: &Mailbox,
    call: &Call,
    email: &str,
    upload: bool,
) -> Result<(Arc<[u8]>, Option<u64>), Failure> {
    let (raw, thread) = if upload {
        send::uploaded(call)
    } else {
        let body = call.json()?;
        send::raw_of(&body["message"])?
    };
    let thread = match thread {
        None => None,
        Some(id) => Some(
            number(&id)
                .filter(|id| mailbox.threads.contains_key(id))
                .ok_or_else(Failure::not_found)?,
        ),
    };
    let raw = if mime::header(&mime::headers(&raw), "From").is_some() {
        raw
    } else {
        mime::rewritten(&raw, &[], &[("From", email.to_owned())])
    };
    Ok((raw.into(), thread))
}

pub fn create(
    mailbox: &mut Mailbox,
    call: &Call,
    email: &str,
    upload: bool,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let (raw, thread) = content(mailbox, call, email, upload)?;
    let id = mailbox.add_draft(raw, now, thread);
    shown(mailbox, &id)
}

fn shown(mailbox: &Mailbox, id: &str) -> Result<Value, Failure> {
    let message = mailbox
        .drafts
        .get(id)
        .and_then(|message| mailbox.messages.get(message))
        .ok_or_else(Failure::not_found)?;
    Ok(json!({"id": id, "message": messages::with_labels(message)}))
}

pub fn update(
    mailbox: &mut Mailbox,
    call: &Call,
    id: &str,
    email: &str,
    upload: bool,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let old = *mailbox.drafts.get(id).ok_or_else(Failure::not_found)?;
    let (raw, thread) = content(mailbox, call, email, upload)?;
    let thread = thread.or_else(|| Some(mailbox.messages.get(&old)?.thread));
    let message = mailbox.add(raw, ["DRAFT".to_owned()], now, thread);
    mailbox.delete(old);
    mailbox.drafts.insert(id.to_owned(), message);
    shown(mailbox, id)
}
