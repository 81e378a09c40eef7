//! What a test or the demo does at the simulated Google from inside: mails arrive, events change, ids
//! grow old. The same is reached over HTTP by `control`.

use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::gmail::{self, Delivery, Letter, Sent};
use super::push::{Mischief, PushSettings};
use super::{Google, State, Switches, calendar};
use crate::clock::Clock;

impl Google {
    /// The world's clock, from now on.
    pub(in crate::simulator) fn keep_time(&self, clock: &Clock) {
        self.state().clock = clock.clone();
    }

    /// Works on the state, then tells whoever watches.
    fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = work(&mut state);
        let now = state.now();
        state.announce(now);
        result
    }

    /// A mail arrives; its id. None when there is no such account.
    pub fn deliver(&self, email: &str, raw: &[u8], delivery: Delivery) -> Option<String> {
        self.change(|state| put(state, email, raw, delivery))
    }

    /// Mails in parts, or many at once: one notification for all.
    pub fn deliver_all(
        &self,
        email: &str,
        mails: impl IntoIterator<Item = (Vec<u8>, Delivery)>,
    ) -> Vec<String> {
        self.change(|state| {
            mails
                .into_iter()
                .filter_map(|(raw, delivery)| put(state, email, &raw, delivery))
                .collect()
        })
    }

    /// A mail in parts arrives; its id.
    pub fn deliver_letter(
        &self,
        email: &str,
        letter: &Letter,
        delivery: Delivery,
    ) -> Option<String> {
        let now = self.state().now();
        self.deliver(email, &letter.write(now), delivery)
    }

    /// A reply to one of the account's messages arrives, in its thread; its id.
    pub fn deliver_reply(
        &self,
        email: &str,
        to_message: &str,
        from: &str,
        text: &str,
    ) -> Option<String> {
        self.change(|state| {
            let now = state.now();
            let mailbox = &state.accounts.get(email)?.mailbox;
            let parent = mailbox.find(to_message)?;
            let letter = Letter::reply_to(&parent.raw, email, from, text);
            put(state, email, &letter.write(now), Delivery::default())
        })
    }

    /// The ids of the account's messages and their labels.
    pub fn messages(&self, email: &str) -> Vec<(String, Vec<String>)> {
        let state = self.state();
        let account = state.accounts.get(email);
        account.map_or_else(Vec::new, |account| {
            let all = account.mailbox.messages.values();
            all.map(|message| {
                let labels = message.labels.iter().cloned().collect();
                (gmail::text(message.id), labels)
            })
            .collect()
        })
    }

    /// What the account sent, oldest first.
    pub fn sent(&self, email: &str) -> Vec<Sent> {
        gmail::sent(&self.state(), email)
    }

    /// A message is deleted for good.
    pub fn delete_message(&self, email: &str, id: &str) -> bool {
        self.change(|state| {
            let account = state.accounts.get_mut(email);
            account
                .zip(gmail::number(id))
                .is_some_and(|(account, id)| account.mailbox.delete(id))
        })
    }

    /// The user adds and removes labels in another program.
    pub fn relabel(&self, email: &str, id: &str, add: &[&str], remove: &[&str]) -> bool {
        let owned = |labels: &[&str]| labels.iter().map(|&label| label.to_owned()).collect();
        let (add, remove): (Vec<String>, Vec<String>) = (owned(add), owned(remove));
        self.change(|state| {
            let account = state.accounts.get_mut(email);
            account
                .zip(gmail::number(id))
                .is_some_and(|(account, id)| account.mailbox.relabel(id, &add, &remove))
        })
    }

    /// History ids so far are too old to start from.
    pub fn expire_history(&self, email: &str) {
        if let Some(account) = self.state().accounts.get_mut(email) {
            // Who asks for the present id after this can start from it.
            account.mailbox.skip();
            account.mailbox.forgotten = account.mailbox.history_id();
        }
    }

    /// An event, as its body says, made by the account itself; it as the API shows it.
    pub fn add_event(&self, email: &str, event: &Value) -> Result<Value, String> {
        self.add_event_in(email, "primary", event)
    }

    pub fn add_event_in(
        &self,
        email: &str,
        calendar: &str,
        event: &Value,
    ) -> Result<Value, String> {
        self.change(|state| calendar::add_event(state, email, calendar, event))
    }

    /// The account changes an event in another program; arrays are replaced whole.
    pub fn patch_event(&self, email: &str, id: &str, changes: &Value) -> Result<Value, String> {
        self.change(|state| calendar::patch_event(state, email, id, changes))
    }

    pub fn delete_event(&self, email: &str, id: &str) -> bool {
        self.change(|state| calendar::delete_event(state, email, id))
    }

    /// The events of the primary calendar that aren't cancelled, series as such.
    pub fn events(&self, email: &str) -> Vec<Value> {
        calendar::events(&self.state(), email)
    }

    /// Another calendar in the account's list; `role` is `owner`, `writer`, `reader` or
    /// `freeBusyReader`.
    pub fn add_calendar(&self, email: &str, id: &str, summary: &str, role: &str) {
        self.change(|state| {
            if let Some(account) = state.accounts.get_mut(email) {
                account.diary.add(id, summary, role);
            }
        });
    }

    /// The calendar is no longer in the account's list.
    pub fn remove_calendar(&self, email: &str, id: &str) {
        self.change(|state| {
            if let Some(account) = state.accounts.get_mut(email) {
                account.diary.remove(id);
            }
        });
    }

    pub fn set_time_zone(&self, email: &str, zone: &str) {
        if let Some(account) = self.state().accounts.get_mut(email) {
            zone.clone_into(&mut account.diary.time_zone);
        }
    }

    /// Sync tokens so far, and `updatedMin` before now, get a 410.
    pub fn expire_sync_tokens(&self, email: &str) {
        let mut state = self.state();
        let now = state.now();
        if let Some(account) = state.accounts.get_mut(email) {
            account.diary.expire(now);
        }
    }

    pub fn set_switches(&self, switches: Switches) {
        self.state().switches = switches;
    }

    pub fn switches(&self) -> Switches {
        self.state().switches.clone()
    }

    /// Where the topic's subscription pushes to.
    pub fn push_to(&self, settings: PushSettings) {
        self.state().push.settings = Some(settings);
    }

    pub fn push_to_endpoint(&self, endpoint: Url) {
        self.push_to(PushSettings::to(endpoint));
    }

    /// What becomes of the next push about a mailbox.
    pub fn twist_push(&self, mischief: Mischief) {
        self.state().push.mischief.push_back(mischief);
    }

    /// What becomes of the next channel notification.
    pub fn twist_channel(&self, mischief: Mischief) {
        self.state().push.channel_mischief.push_back(mischief);
    }
}

fn put(state: &mut State, email: &str, raw: &[u8], delivery: Delivery) -> Option<String> {
    let now = state.now();
    let at = delivery.at.unwrap_or_else(|| gmail::dated(raw, now));
    let labels = if delivery.labels.is_empty() {
        vec!["INBOX".to_owned(), "UNREAD".to_owned()]
    } else {
        delivery.labels
    };
    let mailbox = &mut state.accounts.get_mut(email)?.mailbox;
    // Names of the user's own labels are made as they come.
    let labels: Vec<String> = labels
        .into_iter()
        .map(|label| {
            if mailbox.knows_label(&label) {
                return label;
            }
            let known = mailbox.labels.iter().find(|known| known.name == label);
            match known {
                Some(known) => known.id.clone(),
                None => mailbox.add_label(&label),
            }
        })
        .collect();
    let id = mailbox.add(Arc::from(raw), labels, at, None);
    Some(gmail::text(id))
}
