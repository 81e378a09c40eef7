//! The simulated Gmail: its calls, and what each needs.
//!
//! One table says which scopes and how many units a call takes; the calls themselves are in the files
//! beside. Knows mailboxes; what others are told of a change is `push`'s business.

mod compose;
mod drafts;
mod history;
mod labels;
mod mailbox;
mod messages;
mod mime;
mod search;
mod send;
mod threads;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use axum::routing::any;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

pub use compose::{Letter, LetterAttachment};
pub use mailbox::{Mailbox, number, text};
pub use messages::Delivery;
pub use send::{Sent, sent};

use super::State;
use super::access::{self, Call, Caller, Failure, respond};
use crate::simulator::World;
use mailbox::Watch;

const USERS: &str = "/gmail/v1/users/";
/// Units that a user has in a minute.
const UNITS_A_MINUTE: u32 = 6000;
const WATCH_LIFE: TimeDelta = TimeDelta::days(7);

const READ: &[&str] = &["gmail.readonly", "gmail.modify", "https://mail.google.com/"];
const LOOK: &[&str] = &[
    "gmail.metadata",
    "gmail.readonly",
    "gmail.modify",
    "https://mail.google.com/",
];
const LABELS: &[&str] = &[
    "gmail.labels",
    "gmail.metadata",
    "gmail.readonly",
    "gmail.modify",
    "https://mail.google.com/",
];
const PROFILE: &[&str] = &[
    "gmail.metadata",
    "gmail.readonly",
    "gmail.compose",
    "gmail.modify",
    "https://mail.google.com/",
];
const MODIFY: &[&str] = &["gmail.modify", "https://mail.google.com/"];
const MAKE_LABELS: &[&str] = &["gmail.labels", "gmail.modify", "https://mail.google.com/"];
const SEND: &[&str] = &[
    "gmail.send",
    "gmail.compose",
    "gmail.modify",
    "https://mail.google.com/",
];
const DRAFT: &[&str] = &["gmail.compose", "gmail.modify", "https://mail.google.com/"];
const READ_DRAFTS: &[&str] = &[
    "gmail.readonly",
    "gmail.compose",
    "gmail.modify",
    "https://mail.google.com/",
];
const ALL: &[&str] = &["https://mail.google.com/"];

pub fn router() -> Router<World> {
    Router::new()
        .route("/gmail/v1/users/{*rest}", any(answer))
        .route("/upload/gmail/v1/users/{*rest}", any(upload))
}

async fn answer(Shared(world): Shared<World>, request: Request) -> Response {
    match Call::read(request, USERS).await {
        Ok(call) => respond(&call, run(&world, &call, false)),
        Err(failure) => failure.respond(),
    }
}

async fn upload(Shared(world): Shared<World>, request: Request) -> Response {
    match Call::read(request, "/upload/gmail/v1/users/").await {
        Ok(call) => respond(&call, run(&world, &call, true)),
        Err(failure) => failure.respond(),
    }
}

/// The scopes of which one is needed, and the units; none when there is no such call.
fn needs(method: &str, path: &[&str]) -> Option<(&'static [&'static str], u32)> {
    Some(match (method, path) {
        ("GET", ["profile"]) => (PROFILE, 1),
        ("POST", ["watch"]) => (LOOK, 100),
        ("POST", ["stop"]) => (LOOK, 50),
        ("GET", ["messages"]) => (LOOK, 5),
        ("GET", ["messages", _]) => (LOOK, 20),
        ("GET", ["messages", _, "attachments", _]) => (READ, 20),
        ("POST", ["messages", "send"]) => (SEND, 100),
        ("POST", ["messages", "batchModify"]) => (MODIFY, 50),
        ("POST", ["messages", "batchDelete"]) => (ALL, 50),
        ("POST", ["messages", _, "modify" | "trash" | "untrash"]) => (MODIFY, 5),
        ("DELETE", ["messages", _]) => (ALL, 10),
        ("GET", ["threads"]) => (LOOK, 10),
        ("GET", ["threads", _]) => (LOOK, 40),
        ("POST", ["threads", _, "modify" | "trash" | "untrash"]) => (MODIFY, 10),
        ("GET", ["drafts"] | ["drafts", _]) => (READ_DRAFTS, 5),
        ("POST", ["drafts"]) | ("DELETE", ["drafts", _]) => (DRAFT, 10),
        ("POST", ["drafts", "send"]) => (DRAFT, 100),
        ("PUT", ["drafts", _]) => (DRAFT, 15),
        ("GET", ["history"]) => (LOOK, 2),
        ("GET", ["labels"] | ["labels", _]) => (LABELS, 1),
        ("POST", ["labels"]) => (MAKE_LABELS, 5),
        _ => return None,
    })
}

fn run(world: &World, call: &Call, upload: bool) -> Result<Value, Failure> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let (user, path) = path.split_first().ok_or_else(Failure::not_found)?;
    let method = call.method.as_str();
    let (scopes, units) = needs(method, path)
        .filter(|_| !upload || path == ["messages", "send"] || path.first() == Some(&"drafts"))
        .ok_or_else(|| Failure::new(404, "notFound", "Not Found"))?;
    let mut state = world.google().state();
    let caller = access::check(&state, call, scopes)?;
    if *user != "me" && !user.eq_ignore_ascii_case(&caller.email) {
        let words = format!("Delegation denied for {}", caller.email);
        return Err(Failure::new(403, "forbidden", &words));
    }
    let now = state.now();
    if state.switches.enforce_quota {
        access::spend(state.account(&caller.email)?, now, units, UNITS_A_MINUTE)?;
    }
    let reply = work(&mut state, call, &caller, path, upload, now);
    state.announce(now);
    reply
}

fn work(
    state: &mut State,
    call: &Call,
    caller: &Caller,
    path: &[&str],
    upload: bool,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let switches = state.switches.clone();
    let nonce = state.nonce();
    let email = caller.email.as_str();
    let method = call.method.as_str();
    // Sending reaches other mailboxes too.
    match (method, path) {
        ("POST", ["messages", "send"]) => return send::message(state, call, email, upload, now),
        ("POST", ["drafts", "send"]) => return send::draft(state, call, email, now),
        ("POST", ["watch"]) => return watch(state, call, email, now),
        _ => {}
    }
    let mailbox = &mut state.account(email)?.mailbox;
    let see = messages::See {
        switches: &switches,
        nonce,
        only_metadata: !READ.iter().any(|scope| caller.has(scope)),
    };
    match (method, path) {
        ("GET", ["profile"]) => Ok(json!({
            "emailAddress": email, "messagesTotal": mailbox.messages.len(),
            "threadsTotal": mailbox.threads.len(), "historyId": mailbox.history_id().to_string(),
        })),
        ("POST", ["stop"]) => {
            mailbox.watch = None;
            Ok(Value::Null)
        }
        ("GET", ["messages"]) => messages::list(mailbox, call, &see, now),
        ("GET", ["messages", id]) => messages::get(mailbox, call, id, &see),
        ("GET", ["messages", id, "attachments", attachment]) => {
            let message = mailbox.find(id).ok_or_else(Failure::not_found)?;
            let bytes = mime::attachment(&message.raw, id, attachment)
                .ok_or_else(|| Failure::new(400, "invalidArgument", "Invalid attachment token"))?;
            Ok(json!({"size": bytes.len(), "data": mime::encode(&bytes, nonce.is_multiple_of(2))}))
        }
        ("POST", ["messages", "batchModify"]) => messages::modify_many(mailbox, &call.json()?),
        ("POST", ["messages", "batchDelete"]) => {
            for id in messages::ids(&call.json()?, "ids") {
                number(&id).map(|id| mailbox.delete(id));
            }
            Ok(Value::Null)
        }
        ("POST", ["messages", id, "modify"]) => messages::modify(mailbox, id, &call.json()?),
        ("POST", ["messages", id, "trash"]) => {
            messages::relabel(mailbox, id, &["TRASH".into()], &["INBOX".into()])
        }
        ("POST", ["messages", id, "untrash"]) => {
            messages::relabel(mailbox, id, &[], &["TRASH".into()])
        }
        ("DELETE", ["messages", id]) => {
            let id = number(id).filter(|id| mailbox.delete(*id));
            id.map(|_| Value::Null).ok_or_else(Failure::not_found)
        }
        ("GET", ["threads"]) => threads::list(mailbox, call, &see, now),
        ("GET", ["threads", id]) => threads::get(mailbox, call, id, &see),
        ("POST", ["threads", id, how]) => threads::modify(mailbox, call, id, how),
        ("GET", ["drafts"]) => drafts::list(mailbox, call, now),
        ("GET", ["drafts", id]) => drafts::get(mailbox, call, id, &see),
        ("POST", ["drafts"]) => drafts::create(mailbox, call, email, upload, now),
        ("PUT", ["drafts", id]) => drafts::update(mailbox, call, id, email, upload, now),
        ("DELETE", ["drafts", id]) => {
            let message = mailbox.drafts.remove(*id).ok_or_else(Failure::not_found)?;
            mailbox.delete(message);
            Ok(Value::Null)
        }
        ("GET", ["history"]) => history::list(mailbox, call),
        ("GET", ["labels"]) => Ok(labels::list(mailbox)),
        ("GET", ["labels", id]) => labels::get(mailbox, id),
        ("POST", ["labels"]) => labels::create(mailbox, &call.json()?),
        _ => Err(Failure::not_found()),
    }
}

fn watch(
    state: &mut State,
    call: &Call,
    email: &str,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let body = call.json()?;
    let topic = body["topicName"].as_str().unwrap_or_default().to_owned();
    let fields: Vec<&str> = topic.split('/').collect();
    if !matches!(fields[..], ["projects", project, "topics", name] if !project.is_empty() && !name.is_empty())
    {
        return Err(Failure::new(
            400,
            "invalidArgument",
            &format!("Invalid topicName does not match projects/*/topics/*: {topic}"),
        ));
    }
    let settings = state.push.settings.as_ref();
    if let Some(real) = settings.and_then(|settings| settings.topic.as_deref())
        && real != topic
    {
        let same_project = real.split('/').nth(1) == fields.get(1).copied();
        return Err(if same_project {
            Failure::new(404, "notFound", "Requested entity was not found.")
        } else {
            Failure::new(
                400,
                "invalidRequest",
                &format!("Invalid topicName does not match projects/sim/topics/*: {topic}"),
            )
        });
    }
    if state.switches.topic_forbidden {
        return Err(Failure::new(
            403,
            "forbidden",
            "Error sending test message to Cloud PubSub projects: User not authorized to perform this \
             action.",
        ));
    }
    let mailbox = &mut state.account(email)?.mailbox;
    if mailbox.watched(now)
        && mailbox
            .watch
            .as_ref()
            .is_some_and(|watch| watch.topic != topic)
    {
        return Err(Failure::new(
            400,
            "invalidRequest",
            "Only one user push notification client allowed per developer (call /stop then try again)",
        ));
    }
    let labels = messages::ids(&body, "labelIds");
    messages::known(mailbox, &labels)?;
    let behaviour = body["labelFilterBehavior"]
        .as_str()
        .or_else(|| body["labelFilterAction"].as_str())
        .unwrap_or("include");
    let expires_at = now + WATCH_LIFE;
    mailbox.watch = Some(Watch {
        topic,
        labels,
        exclude: behaviour.eq_ignore_ascii_case("exclude"),
        expires_at,
    });
    let history_id = mailbox.history_id();
    mailbox.announced = history_id;
    state.push_mail(email, history_id, now);
    Ok(json!({
        "historyId": history_id.to_string(), "expiration": expires_at.timestamp_millis().to_string(),
    }))
}

impl State {
    /// A number that differs from call to call.
    pub const fn nonce(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// The caller's account.
    pub fn account(&mut self, email: &str) -> Result<&mut super::Account, Failure> {
        self.accounts.get_mut(email).ok_or_else(Failure::not_found)
    }
}

/// When a mail says it was written, unless that lies ahead.
pub fn dated(raw: &[u8], now: DateTime<Utc>) -> DateTime<Utc> {
    mime::header(&mime::headers(raw), "Date")
        .and_then(|value| DateTime::parse_from_rfc2822(value).ok())
        .map(|date| date.to_utc())
        .filter(|date| *date <= now)
        .unwrap_or(now)
}
