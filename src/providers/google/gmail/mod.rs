//! Gmail: reading a mailbox and what changed in it, drafting and sending.
//!
//! Messages are read raw: mail from Gmail and mail from a file go through one parser. Sending is by
//! draft, because a draft that was sent is gone: whoever doesn't know what became of a sending can
//! find out. Quotas: 6,000 units a minute and user, of which reading takes at most a set part;
//! acting isn't paced.

mod batch;
mod messages;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

pub use messages::{Change, Format, Message, MessageRef};

use super::error;
use crate::providers::caller::{Call, Caller, Credentials, Pace};
use crate::providers::wire::{self, Page};
use crate::providers::{Error, Kind};
use crate::telemetry::Metrics;

const HISTORY_PAGE: u32 = 500;
/// Reads of single messages under way: few, because each may be large.
const AT_ONCE: usize = 4;

/// Gmail's base64: of either alphabet, with padding or without.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    DECODER.decode(text).ok()
}

/// The way to Gmail; cheap to clone.
#[derive(Clone)]
pub struct Gmail {
    caller: Caller,
    api: Url,
}

/// Whose mailbox it is, and where it stands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub email_address: String,
    #[serde(default, deserialize_with = "wire::opt_number")]
    pub messages_total: Option<i64>,
    /// Where changes are listed from.
    #[serde(deserialize_with = "wire::text")]
    pub history_id: String,
}

/// Which messages are listed.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// As in Gmail's search field.
    pub query: &'a str,
    /// The id of a label that they carry.
    pub label: Option<&'a str>,
    /// At most 500.
    pub page_size: u32,
}

/// A label of a mailbox.
#[derive(Clone, Debug, Deserialize)]
pub struct Label {
    #[serde(deserialize_with = "wire::text")]
    pub id: String,
    #[serde(default)]
    pub name: String,
}

/// What changed since a history id.
#[derive(Debug)]
pub struct History {
    pub changes: Vec<Change>,
    pub next: Option<String>,
    /// Where to go on the next time, once all pages are read.
    pub history_id: String,
}

/// Until when Gmail notifies, and from where.
#[derive(Debug)]
pub struct Watch {
    pub history_id: String,
    pub expires_at: DateTime<Utc>,
}

/// A draft, and the message that it holds.
#[derive(Debug, Deserialize)]
pub struct Draft {
    #[serde(deserialize_with = "wire::text")]
    pub id: String,
    #[serde(default)]
    pub message: Option<MessageRef>,
}

impl Gmail {
    pub fn new(http: reqwest::Client, metrics: Metrics, api: Url, pace: Pace) -> Self {
        Self {
            caller: Caller::new(http, metrics, "gmail", pace, error::read),
            api,
        }
    }

    /// An address below the user's mailbox; what is in `path` is escaped.
    fn at(&self, path: &[&str]) -> Url {
        crate::providers::below(&self.api, &["gmail", "v1", "users", "me"], path)
    }

    fn get(&self, path: &[&str]) -> reqwest::RequestBuilder {
        self.caller.http.get(self.at(path))
    }

    fn post(&self, path: &[&str], body: &Value) -> reqwest::RequestBuilder {
        self.caller.http.post(self.at(path)).json(body)
    }

    pub async fn profile(&self, user: &dyn Credentials) -> Result<Profile, Error> {
        let call = Call::read("getProfile", 1, self.get(&["profile"]));
        self.caller.send(user, call).await?.json()
    }

    /// A page of the messages that are found, newest first. Not a snapshot: a message may come
    /// twice or be missed between two pages.
    pub async fn list(
        &self,
        user: &dyn Credentials,
        search: &Search<'_>,
        page: Option<&str>,
    ) -> Result<Page<MessageRef>, Error> {
        #[derive(Deserialize)]
        struct Listing {
            #[serde(default, deserialize_with = "wire::list")]
            messages: Vec<Value>,
            #[serde(default, rename = "nextPageToken")]
            next: Option<String>,
        }
        let mut request = self
            .get(&["messages"])
            .query(&[("maxResults", search.page_size)]);
        if !search.query.is_empty() {
            request = request.query(&[("q", search.query)]);
        }
        if let Some(label) = search.label {
            request = request.query(&[("labelIds", label)]);
        }
        if let Some(page) = page {
            request = request.query(&[("pageToken", page)]);
        }
        let call = Call::read("messages.list", 5, request);
        let listing: Listing = self.caller.send(user, call).await?.json()?;
        Ok(Page::of(listing.messages, listing.next))
    }

    /// All labels of the mailbox, the system's among them.
    pub async fn labels(&self, user: &dyn Credentials) -> Result<Vec<Label>, Error> {
        #[derive(Deserialize)]
        struct Listing {
            #[serde(default, deserialize_with = "wire::list")]
            labels: Vec<Value>,
        }
        let call = Call::read("labels.list", 1, self.get(&["labels"]));
        let listing: Listing = self.caller.send(user, call).await?.json()?;
        Ok(Page::of(listing.labels, None).items)
    }

    /// One message. `NotFound` is ordinary: it was deleted since it was listed.
    pub async fn message(
        &self,
        user: &dyn Credentials,
        id: &str,
        format: Format,
    ) -> Result<Message, Error> {
        let request = self.get(&["messages", id]).query(&format.parameters());
        let call = Call::read("messages.get", messages::GET_COST, request);
        let reply: messages::Wire = self.caller.send(user, call).await?.json()?;
        Ok(reply.into())
    }

    /// What changed since a history id, a page of it. `Gone` when the id is too old: list anew.
    pub async fn history(
        &self,
        user: &dyn Credentials,
        since: &str,
        page: Option<&str>,
    ) -> Result<History, Error> {
        let mut request = self
            .get(&["history"])
            .query(&[("startHistoryId", since)])
            .query(&[("maxResults", HISTORY_PAGE)])
            .query(&messages::HISTORY_TYPES.map(|name| ("historyTypes", name)));
        if let Some(page) = page {
            request = request.query(&[("pageToken", page)]);
        }
        let call = Call::read("history.list", 2, request);
        let reply: messages::HistoryWire = self
            .caller
            .send(user, call)
            .await
            .map_err(|error| match error.kind {
                // 404 says that the id is too old; a malformed one has been answered with 400.
                Kind::NotFound | Kind::Invalid => Error::new(Kind::Gone, error.message),
                _ => error,
            })?
            .json()?;
        Ok(reply.into())
    }

    /// Asks for notifications, for a week at most. Calling it again renews.
    pub async fn watch(&self, user: &dyn Credentials, topic: &str) -> Result<Watch, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            #[serde(deserialize_with = "wire::text")]
            history_id: String,
            #[serde(deserialize_with = "wire::opt_number")]
            expiration: Option<i64>,
        }
        let call = Call::act(
            "watch",
            0,
            self.post(&["watch"], &json!({"topicName": topic})),
        );
        let reply: Reply = self.caller.send(user, call.repeatable()).await?.json()?;
        let expires_at = reply
            .expiration
            .and_then(DateTime::from_timestamp_millis)
            .ok_or_else(|| Error::new(Kind::Nonsense, "a watch without an end"))?;
        Ok(Watch {
            history_id: reply.history_id,
            expires_at,
        })
    }

    /// Ends all notifications of the mailbox; fine when there were none.
    pub async fn stop(&self, user: &dyn Credentials) -> Result<(), Error> {
        let call = Call::act("stop", 0, self.post(&["stop"], &json!({})));
        self.caller.send(user, call.repeatable()).await.map(drop)
    }

    /// Stores a message (RFC 5322) as a draft, in a thread where one is given.
    pub async fn create_draft(
        &self,
        user: &dyn Credentials,
        message: &[u8],
        thread_id: Option<&str>,
    ) -> Result<Draft, Error> {
        let mut inner = json!({"raw": URL_SAFE_NO_PAD.encode(message)});
        if let Some(thread_id) = thread_id {
            inner["threadId"] = json!(thread_id);
        }
        let request = self.post(&["drafts"], &json!({"message": inner}));
        let call = Call::act("drafts.create", 0, request);
        self.caller.send(user, call).await?.json()
    }

    /// Sends a draft, after which it is gone: `NotFound` says that it was sent or discarded. Never
    /// repeated by itself: after `Ambiguous` ask for the draft, and for the message in its thread.
    pub async fn send_draft(
        &self,
        user: &dyn Credentials,
        draft_id: &str,
    ) -> Result<MessageRef, Error> {
        let request = self.post(&["drafts", "send"], &json!({"id": draft_id}));
        let call = Call::act("drafts.send", 0, request);
        self.caller.send(user, call).await?.json()
    }

    pub async fn draft(&self, user: &dyn Credentials, draft_id: &str) -> Result<Draft, Error> {
        let request = self
            .get(&["drafts", draft_id])
            .query(&[("format", "minimal")]);
        let call = Call::read("drafts.get", 5, request);
        self.caller.send(user, call).await?.json()
    }

    /// The newest drafts, 100 at most.
    pub async fn drafts(&self, user: &dyn Credentials) -> Result<Vec<Draft>, Error> {
        #[derive(Deserialize)]
        struct Listing {
            #[serde(default, deserialize_with = "wire::list")]
            drafts: Vec<Value>,
        }
        let request = self.get(&["drafts"]).query(&[("maxResults", "100")]);
        let call = Call::read("drafts.list", 5, request);
        let listing: Listing = self.caller.send(user, call).await?.json()?;
        Ok(Page::<Draft>::of(listing.drafts, None).items)
    }

    /// The messages of a thread, with their headers.
    pub async fn thread(&self, user: &dyn Credentials, id: &str) -> Result<Vec<Message>, Error> {
        #[derive(Deserialize)]
        struct Thread {
            #[serde(default)]
            messages: Vec<messages::Wire>,
        }
        let request = self.get(&["threads", id]).query(&[("format", "metadata")]);
        let call = Call::read("threads.get", 10, request);
        let thread: Thread = self.caller.send(user, call).await?.json()?;
        Ok(thread.messages.into_iter().map(Message::from).collect())
    }

    /// Discards a draft; fine when it is gone.
    pub async fn delete_draft(&self, user: &dyn Credentials, draft_id: &str) -> Result<(), Error> {
        let request = self
            .caller
            .http
            .request(Method::DELETE, self.at(&["drafts", draft_id]));
        let call = Call::act("drafts.delete", 0, request)
            .repeatable()
            .also(&[404]);
        self.caller.send(user, call).await.map(drop)
    }

    /// Many messages in as few calls as pay, each with its own outcome, in the order asked for. Fetched
    /// as they are taken: at no time are more of them in memory than one call brings.
    pub fn messages<'a>(
        &'a self,
        user: &'a dyn Credentials,
        ids: &'a [String],
        format: Format,
    ) -> impl Stream<Item = (String, Result<Message, Error>)> + Send + 'a {
        futures::stream::iter(ids.chunks(batch::LARGEST))
            .then(move |some| async move {
                match batch::get(&self.caller, &self.api, user, some, format).await {
                    Ok(outcomes) => futures::stream::iter(outcomes).boxed(),
                    // Too large as a whole, garbled, or no batches there: one by one, none of them
                    // can spoil the others.
                    Err(Error {
                        kind: Kind::Nonsense | Kind::NotFound | Kind::Invalid,
                        ..
                    }) => self.one_by_one(user, some, format).boxed(),
                    Err(error) => futures::stream::iter(refused(some, &error)).boxed(),
                }
            })
            .flatten()
    }

    fn one_by_one<'a>(
        &'a self,
        user: &'a dyn Credentials,
        ids: &'a [String],
        format: Format,
    ) -> impl Stream<Item = (String, Result<Message, Error>)> + Send + 'a {
        futures::stream::iter(ids)
            .map(move |id| async move { (id.clone(), self.message(user, id, format).await) })
            .buffered(AT_ONCE)
    }
}

/// The same for all of a batch.
fn refused(ids: &[String], error: &Error) -> Vec<(String, Result<Message, Error>)> {
    ids.iter()
        .map(|id| {
            (
                id.clone(),
                Err(Error::new(error.kind, error.message.clone())),
            )
        })
        .collect()
}
