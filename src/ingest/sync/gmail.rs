//! Mail: newest first, so that questions work after the first page; drafts, spam and trash aren't
//! anybody's word. A mail never changes, so one that is known is never fetched again.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::OnceCell;

use super::feed::{Begun, Entry, Page, Walk, What, Why};
use super::scope::Exclusions;
use crate::db::UserScope;
use crate::identity::connections::{Grant, Provider};
use crate::ingest::files::{Item, parse_mail};
use crate::providers::google::Google;
use crate::providers::google::gmail::{Change, Format, Message, Search};
use crate::providers::{Error, Kind};
use crate::state::App;

/// Spam and trash the listing leaves out by itself.
pub(super) const QUERY: &str = "-in:drafts -in:chats";
/// Of a listing of which each message is fetched: a user's quota reads so many in half a minute, after
/// which they can be found.
const MAIL_PAGE: u32 = 100;
/// Of a listing of which most are known.
pub(super) const ID_PAGE: u32 = 500;
const NEVER: [&str; 4] = ["DRAFT", "SPAM", "TRASH", "CHAT"];

/// A user's mailbox.
pub(super) struct Mailbox {
    app: App,
    google: Arc<Google>,
    scope: UserScope,
    pub grant: Grant,
    exclusions: OnceCell<Exclusions>,
    label_names: OnceCell<HashMap<String, String>>,
}

impl Mailbox {
    pub fn new(app: &App, google: Arc<Google>, scope: UserScope) -> Self {
        Self {
            app: app.clone(),
            google,
            scope,
            grant: Grant::new(app, scope, Provider::Google),
            exclusions: OnceCell::new(),
            label_names: OnceCell::new(),
        }
    }

    /// Loaded when the first message is judged: most looks find none.
    async fn exclusions(&self) -> Result<&Exclusions, Error> {
        self.exclusions
            .get_or_try_init(|| Exclusions::load(&self.app, self.scope, Some(&self.grant)))
            .await
    }

    /// As the user calls their labels; asked for when the first message has one of theirs.
    async fn names_of(&self, labels: &[String]) -> Result<Vec<String>, Error> {
        if !labels.iter().any(|label| label.starts_with(OWN_LABEL)) {
            return Ok(labels.to_vec());
        }
        let ask = || async {
            let labels = self.google.gmail.labels(&self.grant).await?;
            Ok(labels
                .into_iter()
                .map(|label| (label.id, label.name))
                .collect())
        };
        let names = self.label_names.get_or_try_init(ask).await?;
        let called = labels.iter().map(|id| names.get(id).unwrap_or(id).clone());
        Ok(called.collect())
    }

    /// Of what changed, each message once, as it is now.
    async fn judged(&self, changes: Vec<Change>) -> Result<Vec<Entry>, Error> {
        let mut order = Vec::new();
        let mut latest: HashMap<String, What> = HashMap::new();
        for change in changes {
            let (id, what) = match change {
                Change::Deleted(message) => (message.id, What::Gone),
                Change::Added(message) | Change::Labelled(message) => {
                    let what = if is_never(&message.labels) {
                        What::Gone
                    } else if let Some(part) = self.exclusions().await?.of_labels(&message.labels) {
                        What::Excluded(part)
                    } else {
                        What::Named
                    };
                    (message.id, what)
                }
            };
            if !latest.contains_key(&id) {
                order.push(id.clone());
            }
            latest.insert(id, what);
        }
        Ok(order
            .into_iter()
            .filter_map(|id| {
                let what = latest.remove(&id)?;
                Some(Entry::new(id, None, what))
            })
            .collect())
    }

    pub async fn begin(&self) -> Result<Begun, Error> {
        let profile = self.google.gmail.profile(&self.grant).await?;
        Ok(Begun {
            cursor: Some(profile.history_id),
            total: profile.messages_total,
        })
    }

    pub async fn list(&self, walk: Walk, page: Option<&str>) -> Result<Page, Error> {
        let search = Search {
            query: QUERY,
            label: None,
            page_size: if walk.why == Why::First {
                MAIL_PAGE
            } else {
                ID_PAGE
            },
        };
        let listed = self.google.gmail.list(&self.grant, &search, page).await?;
        let named = listed
            .items
            .into_iter()
            .map(|message| Entry::new(message.id, None, What::Named));
        Ok(Page {
            entries: named.chain(nameless(listed.unreadable)).collect(),
            next: listed.next,
            ..Page::default()
        })
    }

    pub async fn changed(&self, cursor: &str, page: Option<&str>) -> Result<Page, Error> {
        let history = self.google.gmail.history(&self.grant, cursor, page).await?;
        Ok(Page {
            entries: self.judged(history.changes).await?,
            cursor: history.next.is_none().then_some(history.history_id),
            next: history.next,
            ..Page::default()
        })
    }

    /// Parses what comes, as it comes: nothing but its text is kept. One that can't be had while
    /// others can is noted; when none can be had, the page comes again.
    pub async fn fetch(&self, ids: &[String]) -> Result<Vec<Entry>, Error> {
        let exclusions = self.exclusions().await?;
        let mut entries = Vec::with_capacity(ids.len());
        let (mut had, mut away) = (false, None);
        let found = self.google.gmail.messages(&self.grant, ids, Format::Raw);
        let mut found = std::pin::pin!(found);
        while let Some((id, outcome)) = found.next().await {
            let entry = match outcome {
                Ok(message) => {
                    had = true;
                    let labels = self.names_of(&message.labels).await?;
                    read(id, &message, &labels, exclusions)
                }
                // It was deleted since it was listed.
                Err(error) if error.kind == Kind::NotFound => Entry::new(id, None, What::Gone),
                Err(error)
                    if matches!(error.kind, Kind::Unauthorized | Kind::RateLimited { .. }) =>
                {
                    return Err(error);
                }
                Err(error) => {
                    tracing::info!(id, %error, "a message of Gmail can't be had now");
                    if error.kind.is_passing() {
                        away = Some(error);
                    }
                    Entry::unreadable(id, "Gmail doesn't hand it over.")
                }
            };
            entries.push(entry);
        }
        match away {
            Some(error) if !had => Err(error),
            _ => Ok(entries),
        }
    }
}

/// Of the mails that a mail names, the latest are enough.
const MOST_NAMES: usize = 100;

/// What the ids of labels begin with that the user made.
const OWN_LABEL: &str = "Label_";

/// On what the user sent.
const SENT: &str = "SENT";

fn is_never(labels: &[String]) -> bool {
    labels.iter().any(|label| NEVER.contains(&label.as_str()))
}

/// `labels` by their names.
fn read(id: String, message: &Message, labels: &[String], exclusions: &Exclusions) -> Entry {
    let at = message.received_at;
    if is_never(&message.labels) {
        return Entry::new(id, at, What::Gone);
    }
    if let Some(part) = exclusions.of_labels(&message.labels) {
        return Entry::new(id, at, What::Excluded(part));
    }
    let Some(raw) = message.raw.as_deref() else {
        return Entry::unreadable(id, "It came without its text.");
    };
    match parse_mail(raw, at) {
        Ok(mail) => match exclusions.of_mail(&mail) {
            Some(part) => Entry::new(id, at, What::Excluded(part)),
            None => {
                let is_own = message.labels.iter().any(|label| label == SENT);
                let event = if is_own {
                    "gmail.message.sent"
                } else {
                    "gmail.message.received"
                };
                let names = mail.undelivered.iter().flatten();
                let names = names.chain(&mail.in_reply_to).chain(&mail.references);
                let data = json!({
                    "labels": labels, "size": mail.size,
                    "automatic": mail.auto_submitted || mail.list_id.is_some(),
                    "is_reply": !mail.in_reply_to.is_empty() || !mail.references.is_empty(),
                    "from": mail.from.as_ref().map(|from| &from.address),
                    "names": names.take(MOST_NAMES).collect::<Vec<_>>(),
                    "thread": message.thread_id,
                    "forged": mail.forged,
                    "undelivered": mail.undelivered.is_some(),
                });
                Entry::new(id, at, What::Item(Item::Email(Box::new(mail))))
                    .born(event, at)
                    .with_data(data)
            }
        },
        Err(reason) => {
            tracing::info!(id, reason, "a message of Gmail can't be read");
            Entry::unreadable(id, reason)
        }
    }
}

/// Items of a listing that can't be read, where they at least have a name.
pub(super) fn nameless(ids: Vec<String>) -> impl Iterator<Item = Entry> {
    ids.into_iter()
        .filter(|id| !id.is_empty())
        .map(|id| Entry::unreadable(id, "Its entry in the listing makes no sense."))
}
