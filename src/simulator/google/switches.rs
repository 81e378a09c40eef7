//! How the simulated Google behaves from now on, beyond single faults: all off at first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Lasting behaviours; over HTTP, fields left out are off.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a behaviour that is on or off by itself"
)]
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Sent mail gets a Message-ID of Gmail's own.
    pub replace_message_ids: bool,
    /// Header values keep their encoded words.
    pub leave_encoded_words: bool,
    /// The last entry of a page comes again as the first of the next.
    pub repeat_in_lists: bool,
    /// The units of Gmail's table and Calendar's calls a minute are enforced for each user.
    pub enforce_quota: bool,
    /// Replies of a batch come in another order.
    pub shuffle_batches: bool,
    /// This many inner calls of every batch are refused for too much at once.
    pub refuse_in_batches: u32,
    /// Gmail may not publish to the topic.
    pub topic_forbidden: bool,
    /// At most one notification a second for a user, as in truth; the rest is dropped.
    pub limit_notifications: bool,
    /// Notifications have their history id as text.
    pub history_id_as_text: bool,
    /// The first page of an event list is empty, with a page token.
    pub empty_pages: bool,
    /// A channel's `sync` arrives before the reply of its watch call.
    pub sync_before_reply: bool,
    /// Channels may only have addresses with https, as in truth.
    pub only_https: bool,
    /// How many reads still show a conference as pending.
    pub pending_reads: u32,
    /// Conferences fail.
    pub conferences_fail: bool,
    /// Calendars whose free and busy times can't be had, with the reason.
    pub free_busy_errors: BTreeMap<String, String>,
}
