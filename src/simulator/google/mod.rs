//! The simulated Google: accounts, consent, tokens and the keys that sign them; each account's mailbox
//! and calendars, and the notifications about both.
//!
//! One lock over all of its state, never held over an await. Begin with [`Google::add_account`] and
//! [`Google::decide`]; `handle.rs` has what a test does to mails and events.

mod access;
mod batch;
mod calendar;
mod control;
mod gmail;
mod handle;
mod keys;
mod oauth;
mod push;
mod switches;
mod tokens;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{World, reply};
use crate::clock::Clock;
use keys::Key;

pub use gmail::{Delivery, Letter, LetterAttachment, Sent};
pub(super) use push::deliver_notifications;
pub use push::{Mischief, PushSettings};
pub use switches::Switches;

pub const CLIENT_ID: &str = "simulated.apps.googleusercontent.com";
pub const CLIENT_SECRET: &str = "simulated-google-client-secret";

/// The provider's state; cheap to clone.
#[derive(Clone, Default)]
pub struct Google(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    accounts: BTreeMap<String, Account>,
    codes: HashMap<String, oauth::Issued>,
    /// Access tokens by their text.
    access: HashMap<String, Access>,
    /// Refresh tokens by their text: whose, and with which scopes.
    refresh: HashMap<String, (String, Vec<String>)>,
    keys: Vec<Key>,
    /// What the next users do on the consent page, without a page.
    decisions: VecDeque<Decision>,
    /// What is wrong with the next `id_token`s.
    twists: VecDeque<Twist>,
    switches: Switches,
    /// Live and dead watch channels of calendars, by their ids.
    channels: BTreeMap<String, calendar::Channel>,
    push: push::Outbox,
    /// The world's, once it runs.
    clock: Clock,
    made: u64,
}

struct Account {
    sub: String,
    name: String,
    mailbox: gmail::Mailbox,
    diary: calendar::Diary,
    spent: access::Spent,
}

struct Access {
    email: String,
    scopes: Vec<String>,
    expires_at: DateTime<Utc>,
}

/// What a user does on the consent page.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Decision {
    /// Allows everything, as this account.
    Allow { email: String },
    /// Unticks all but these scopes.
    AllowOnly { email: String, scopes: Vec<String> },
    /// An error comes back, such as `access_denied`.
    Refuse { error: String },
}

/// What is wrong with an `id_token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Twist {
    Missing,
    WrongNonce,
    WrongAudience,
    WrongAuthorizedParty,
    WrongIssuer,
    ShortIssuer,
    Expired,
    FromTheFuture,
    Unverified,
    NoSignature,
    ForeignKey,
    UnknownKey,
    Tampered,
    SymmetricKey,
}

impl Google {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody who can sign in; the account's subject.
    pub fn add_account(&self, email: &str, name: &str) -> String {
        let mut state = self.state();
        let sub = format!("1{:020}", state.accounts.len() + 1);
        let account = state
            .accounts
            .entry(email.to_owned())
            .or_insert_with(|| Account {
                sub,
                name: name.to_owned(),
                mailbox: gmail::Mailbox::default(),
                diary: calendar::Diary::default(),
                spent: access::Spent::default(),
            });
        account.sub.clone()
    }

    /// The account has another address from now on.
    pub fn rename_account(&self, email: &str, to: &str) {
        let mut state = self.state();
        if let Some(account) = state.accounts.remove(email) {
            state.accounts.insert(to.to_owned(), account);
        }
        for access in state.access.values_mut() {
            if access.email == email {
                to.clone_into(&mut access.email);
            }
        }
        for (owner, _) in state.refresh.values_mut() {
            if owner == email {
                to.clone_into(owner);
            }
        }
        for channel in state.channels.values_mut() {
            if channel.email == email {
                to.clone_into(&mut channel.email);
            }
        }
    }

    /// What the next user does on the consent page.
    pub fn decide(&self, decision: Decision) {
        self.state().decisions.push_back(decision);
    }

    /// What is wrong with the next `id_token`.
    pub fn twist(&self, twist: Twist) {
        self.state().twists.push_back(twist);
    }

    /// Signs with another key from now on; the earlier ones stay in the key set for a while, unless
    /// they are `dead`.
    pub fn rotate_keys(&self, dead: bool) -> anyhow::Result<()> {
        let mut state = self.state();
        let key = Key::generate(format!("key-{}", state.made))?;
        state.made += 1;
        if dead {
            state.keys.clear();
        }
        state.keys.insert(0, key);
        Ok(())
    }

    /// The access tokens so far are dead; refresh tokens live on.
    pub fn expire_access_tokens(&self) {
        self.state().access.clear();
    }

    /// The user takes the grant back at Google.
    pub fn revoke(&self, email: &str) {
        self.state().end_grant(email);
    }
}

impl State {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn end_grant(&mut self, email: &str) {
        self.access.retain(|_, access| access.email != email);
        self.refresh.retain(|_, (owner, _)| owner != email);
    }

    fn next(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{}-{}", self.made, crate::ids::token())
    }

    /// The key that signs now.
    fn key(&mut self) -> &Key {
        if self.keys.is_empty() {
            let key = Key::generate("key-first".to_owned()).expect("a key can be made");
            self.keys.push(key);
        }
        &self.keys[0]
    }
}

pub(super) fn router() -> Router<World> {
    oauth::router()
        .merge(tokens::router())
        .merge(gmail::router())
        .merge(calendar::router())
        .merge(batch::router())
        .merge(control::router())
}

/// An error reply in Google's form.
pub(super) fn refusal(status: u16, reason: Option<&str>) -> Response {
    reply(status, error(status, reason.unwrap_or("backendError")))
}

fn error(status: u16, reason: &str) -> Value {
    let (name, message) = match status {
        401 => ("UNAUTHENTICATED", "Invalid Credentials"),
        403 => ("PERMISSION_DENIED", "The caller does not have permission"),
        404 => ("NOT_FOUND", "Requested entity was not found."),
        429 => ("RESOURCE_EXHAUSTED", "Rate limit exceeded"),
        400 => ("INVALID_ARGUMENT", "Invalid request"),
        _ => ("UNAVAILABLE", "The service is currently unavailable."),
    };
    json!({"error": {
        "code": status, "message": message, "status": name,
        "errors": [{"domain": "global", "reason": reason, "message": message}],
    }})
}
