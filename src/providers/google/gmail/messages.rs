//! Messages and changes, as Gmail writes them and as we read them.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{History, decoded};
use crate::providers::wire;

/// Units of quota for reading a message, in projects of today.
pub(super) const GET_COST: u32 = 20;

pub(super) const HISTORY_TYPES: [&str; 4] = [
    "messageAdded",
    "messageDeleted",
    "labelAdded",
    "labelRemoved",
];

/// How much of a message is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As it was sent, in [`Message::raw`].
    Raw,
    /// Its `Message-ID` and other headers, without text.
    Headers,
    /// Ids and labels alone.
    Minimal,
}

impl Format {
    pub(super) const fn parameters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Raw => &[("format", "raw")],
            Self::Headers => &[("format", "metadata")],
            Self::Minimal => &[("format", "minimal")],
        }
    }
}

/// Which message, in which thread.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct MessageRef {
    #[serde(deserialize_with = "wire::text")]
    pub id: String,
    #[serde(default, rename = "threadId", deserialize_with = "wire::opt_text")]
    pub thread_id: Option<String>,
    #[serde(default, rename = "labelIds")]
    pub labels: Vec<String>,
}

/// A message of a mailbox.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    pub thread_id: Option<String>,
    /// System labels by their names (`INBOX`, `SENT`, `DRAFT` …), others by their ids.
    pub labels: Vec<String>,
    /// When Gmail got it: what mails are sorted by.
    pub received_at: Option<DateTime<Utc>>,
    pub history_id: Option<String>,
    /// RFC 5322, with [`Format::Raw`].
    pub raw: Option<Vec<u8>>,
    /// With [`Format::Headers`]; names as the sender spelt them.
    pub headers: Vec<(String, String)>,
}

impl Message {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wire {
    #[serde(deserialize_with = "wire::text")]
    id: String,
    #[serde(default, deserialize_with = "wire::opt_text")]
    thread_id: Option<String>,
    #[serde(default)]
    label_ids: Vec<String>,
    #[serde(default, deserialize_with = "wire::opt_number")]
    internal_date: Option<i64>,
    #[serde(default, deserialize_with = "wire::opt_text")]
    history_id: Option<String>,
    #[serde(default)]
    raw: Option<String>,
    #[serde(default)]
    payload: Option<Payload>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    headers: Vec<Header>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
}

impl From<Wire> for Message {
    fn from(wire: Wire) -> Self {
        let headers = wire
            .payload
            .map_or_else(Vec::new, |payload| payload.headers);
        Self {
            id: wire.id,
            thread_id: wire.thread_id,
            labels: wire.label_ids,
            received_at: wire.internal_date.and_then(DateTime::from_timestamp_millis),
            history_id: wire.history_id,
            raw: wire.raw.as_deref().and_then(decoded),
            headers: headers
                .into_iter()
                .map(|header| (header.name, header.value))
                .collect(),
        }
    }
}

/// Something that happened to a message. The same may be told several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Added(MessageRef),
    /// For good; moving to the trash is a label.
    Deleted(MessageRef),
    /// The message with the labels that it has now.
    Labelled(MessageRef),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryWire {
    #[serde(default, deserialize_with = "wire::list")]
    history: Vec<Value>,
    #[serde(default)]
    next_page_token: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    history_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    messages_added: Vec<Value>,
    #[serde(default)]
    messages_deleted: Vec<Value>,
    #[serde(default)]
    labels_added: Vec<Value>,
    #[serde(default)]
    labels_removed: Vec<Value>,
}

#[derive(Deserialize)]
struct About {
    message: MessageRef,
}

impl From<HistoryWire> for History {
    fn from(wire: HistoryWire) -> Self {
        let mut changes = Vec::new();
        for record in wire.history {
            let Ok(record) = serde_json::from_value::<Record>(record) else {
                continue;
            };
            let mut add = |items: Vec<Value>, change: fn(MessageRef) -> Change| {
                let read = items
                    .into_iter()
                    .filter_map(|item| serde_json::from_value::<About>(item).ok());
                changes.extend(read.map(|about| change(about.message)));
            };
            add(record.messages_added, Change::Added);
            add(record.labels_added, Change::Labelled);
            add(record.labels_removed, Change::Labelled);
            add(record.messages_deleted, Change::Deleted);
        }
        Self {
            changes,
            next: wire.next_page_token.filter(|token| !token.is_empty()),
            history_id: wire.history_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn base64_of_every_kind_is_read(bytes: Vec<u8>) {
            for text in [URL_SAFE.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes), STANDARD.encode(&bytes)] {
                prop_assert_eq!(decoded(&text), Some(bytes.clone()));
            }
        }
    }

    #[test]
    fn googles_own_sample() {
        let text = "R3LDvMOfZSDigJQgMTAgJSDiiaUgOSDinJMgPG9rPj8-";
        assert_eq!(
            decoded(text)
                .map(|bytes| String::from_utf8(bytes).unwrap())
                .as_deref(),
            Some("Grüße — 10 % ≥ 9 ✓ <ok>?>")
        );
    }
}
