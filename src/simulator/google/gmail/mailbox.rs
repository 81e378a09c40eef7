//! An account's mailbox: messages, threads, labels, drafts and the history of changes.
//!
//! Messages are kept as their bytes; only what threading needs is looked at when one arrives, so that a
//! hundred thousand are loaded in seconds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::mime;

/// Ids begin here in every mailbox: the same id names different messages of different users.
const FIRST_ID: u64 = 0x18f1_a2b3_0000_0000;
const FIRST_HISTORY: u64 = 987_000;

pub const SYSTEM_LABELS: [&str; 14] = [
    "INBOX",
    "SENT",
    "DRAFT",
    "SPAM",
    "TRASH",
    "UNREAD",
    "STARRED",
    "IMPORTANT",
    "CHAT",
    "CATEGORY_PERSONAL",
    "CATEGORY_SOCIAL",
    "CATEGORY_PROMOTIONS",
    "CATEGORY_UPDATES",
    "CATEGORY_FORUMS",
];

pub struct Message {
    pub id: u64,
    pub thread: u64,
    pub labels: BTreeSet<String>,
    /// Milliseconds.
    pub date: i64,
    pub history_id: u64,
    pub raw: Arc<[u8]>,
    header_id: Option<String>,
    subject: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Added,
    Deleted,
    LabelsAdded(Vec<String>),
    LabelsRemoved(Vec<String>),
}

/// A record of the history.
pub struct Change {
    pub id: u64,
    pub what: What,
    pub message: u64,
    pub thread: u64,
    /// After the change.
    pub labels: Vec<String>,
}

pub struct Label {
    pub id: String,
    pub name: String,
    pub list_visibility: String,
    pub message_visibility: String,
}

/// Who is told of changes, and until when.
pub struct Watch {
    pub topic: String,
    pub labels: Vec<String>,
    pub exclude: bool,
    pub expires_at: DateTime<Utc>,
}

/// A message that left.
pub struct Envelope {
    pub id: u64,
    pub recipients: Vec<String>,
}

#[derive(Default)]
pub struct Mailbox {
    pub messages: BTreeMap<u64, Message>,
    /// By date.
    pub order: BTreeSet<(i64, u64)>,
    /// Oldest first.
    pub threads: HashMap<u64, Vec<u64>>,
    by_message_id: HashMap<String, u64>,
    pub history: Vec<Change>,
    changes: u64,
    /// Starts before this are too old.
    pub forgotten: u64,
    /// The messages of the drafts, by the drafts' ids.
    pub drafts: BTreeMap<String, u64>,
    pub labels: Vec<Label>,
    pub watch: Option<Watch>,
    pub sent: Vec<Envelope>,
    /// The history that notifications have told of.
    pub announced: u64,
    made: u64,
}

impl Mailbox {
    pub const fn history_id(&self) -> u64 {
        // Gaps, but always growing.
        FIRST_HISTORY + self.changes * 3 + self.changes / 4
    }

    const fn changed(&mut self) -> u64 {
        self.changes += 1;
        self.history_id()
    }

    /// Ids so far are no longer the newest.
    pub const fn skip(&mut self) {
        self.changes += 1;
        self.announced = self.history_id();
    }

    fn record(&mut self, what: What, message: u64) {
        let id = self.changed();
        let Some(kept) = self.messages.get_mut(&message) else {
            return;
        };
        kept.history_id = id;
        self.history.push(Change {
            id,
            what,
            message,
            thread: kept.thread,
            labels: kept.labels.iter().cloned().collect(),
        });
    }

    /// The thread that a mail continues: it names one of its messages and has the same subject.
    fn continued(&self, head: &mime::Head) -> Option<u64> {
        let subject = mime::thread_subject(&head.subject);
        head.references
            .iter()
            .rev()
            .filter_map(|id| self.messages.get(self.by_message_id.get(id)?))
            .find(|earlier| earlier.subject == subject)
            .map(|earlier| earlier.thread)
    }

    /// Takes a message in. A `thread` that is asked for counts only when the message also belongs there
    /// by its references and subject; a draft may say so by `thread` alone.
    pub fn add(
        &mut self,
        raw: Arc<[u8]>,
        labels: impl IntoIterator<Item = String>,
        date: DateTime<Utc>,
        thread: Option<u64>,
    ) -> u64 {
        self.made += 1;
        let id = FIRST_ID + self.made * 4099;
        let head = mime::head(&raw);
        let labels: BTreeSet<String> = labels.into_iter().collect();
        let continued = self.continued(&head);
        let trusted = thread.filter(|_| labels.contains("DRAFT"));
        let thread = match (trusted, thread, continued) {
            (Some(thread), _, _) => thread,
            (None, Some(asked), Some(found)) if asked == found => asked,
            (None, None, Some(found)) => found,
            _ => id,
        };
        let date = date.timestamp_millis();
        if let Some(message_id) = &head.message_id {
            self.by_message_id.insert(message_id.clone(), id);
        }
        self.messages.insert(
            id,
            Message {
                id,
                thread,
                labels,
                date,
                history_id: 0,
                raw,
                subject: mime::thread_subject(&head.subject),
                header_id: head.message_id,
            },
        );
        self.order.insert((date, id));
        let members = self.threads.entry(thread).or_default();
        let place = members.partition_point(|other| {
            self.messages
                .get(other)
                .is_some_and(|other| (other.date, other.id) < (date, id))
        });
        members.insert(place, id);
        self.record(What::Added, id);
        id
    }

    /// Gone for good.
    pub fn delete(&mut self, id: u64) -> bool {
        if !self.messages.contains_key(&id) {
            return false;
        }
        self.record(What::Deleted, id);
        let Some(message) = self.messages.remove(&id) else {
            return false;
        };
        self.order.remove(&(message.date, id));
        if let Some(members) = self.threads.get_mut(&message.thread) {
            members.retain(|member| *member != id);
            if members.is_empty() {
                self.threads.remove(&message.thread);
            }
        }
        if let Some(message_id) = &message.header_id
            && self.by_message_id.get(message_id) == Some(&id)
        {
            self.by_message_id.remove(message_id);
        }
        self.drafts.retain(|_, message| *message != id);
        true
    }

    /// Adds and removes labels; only what differs is recorded.
    pub fn relabel(&mut self, id: u64, add: &[String], remove: &[String]) -> bool {
        let Some(message) = self.messages.get_mut(&id) else {
            return false;
        };
        let added: Vec<String> = add
            .iter()
            .filter(|label| message.labels.insert((*label).clone()))
            .cloned()
            .collect();
        let removed: Vec<String> = remove
            .iter()
            .filter(|label| message.labels.remove(*label))
            .cloned()
            .collect();
        if !added.is_empty() {
            self.record(What::LabelsAdded(added), id);
        }
        if !removed.is_empty() {
            self.record(What::LabelsRemoved(removed), id);
        }
        true
    }

    pub fn knows_label(&self, id: &str) -> bool {
        SYSTEM_LABELS.contains(&id) || self.labels.iter().any(|label| label.id == id)
    }

    pub fn add_label(&mut self, name: &str) -> String {
        self.made += 1;
        let id = format!("Label_{}", self.made);
        self.labels.push(Label {
            id: id.clone(),
            name: name.to_owned(),
            list_visibility: "labelShow".to_owned(),
            message_visibility: "show".to_owned(),
        });
        id
    }

    pub fn add_draft(&mut self, raw: Arc<[u8]>, now: DateTime<Utc>, thread: Option<u64>) -> String {
        let message = self.add(raw, ["DRAFT".to_owned()], now, thread);
        self.made += 1;
        let id = format!("r{}", 7_000_000_000_000_u64 + self.made * 77);
        self.drafts.insert(id.clone(), message);
        id
    }

    pub fn watched(&self, now: DateTime<Utc>) -> bool {
        self.watch
            .as_ref()
            .is_some_and(|watch| watch.expires_at > now)
    }

    /// Whether the watch wants to hear of what happened since the last notification.
    pub fn has_news(&self, now: DateTime<Utc>) -> bool {
        let Some(watch) = self.watch.as_ref().filter(|watch| watch.expires_at > now) else {
            return false;
        };
        self.history
            .iter()
            .rev()
            .take_while(|change| change.id > self.announced)
            .any(|change| {
                let met = change
                    .labels
                    .iter()
                    .any(|label| watch.labels.contains(label));
                watch.labels.is_empty() || met != watch.exclude
            })
    }

    /// A message by its id as text.
    pub fn find(&self, id: &str) -> Option<&Message> {
        self.messages.get(&number(id)?)
    }
}

/// An id as the wire has it.
pub fn text(id: u64) -> String {
    format!("{id:x}")
}

pub fn number(id: &str) -> Option<u64> {
    u64::from_str_radix(id, 16).ok()
}
