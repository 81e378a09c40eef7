//! How Google tells others of changes: Pub/Sub pushes for mailboxes, channel notifications for calendars.
//!
//! Notifications are written under the lock, when the change happens, and delivered by
//! [`deliver_notifications`] without it: a push until it is acknowledged, a channel's a few times.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::keys::Key;
use super::{CLIENT_ID, State};
use crate::clock::Clock;
use crate::simulator::World;

/// No reply within this is no acknowledgement.
const ACK_DEADLINE: Duration = Duration::from_secs(10);
/// Far shorter than in truth, so that a test needn't wait.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const CHANNEL_TRIES: u32 = 6;
/// A `sync` comes after the watch call's reply, as far as that can be told.
const AFTER_REPLY: Duration = Duration::from_millis(50);

/// The push subscription of the topic that mailboxes are watched through.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PushSettings {
    pub endpoint: Url,
    /// Watches must name it; any when absent.
    #[serde(default)]
    pub topic: Option<String>,
    #[serde(default = "subscription")]
    pub subscription: String,
    /// The endpoint when absent.
    #[serde(default)]
    pub audience: Option<String>,
    /// In whose name the tokens are signed.
    #[serde(default = "service_account")]
    pub service_account: String,
    /// Whether pushes carry a token at all.
    #[serde(default = "yes")]
    pub authenticated: bool,
}

fn subscription() -> String {
    "projects/sim/subscriptions/gmail-push".to_owned()
}

fn service_account() -> String {
    "push@sim.iam.gserviceaccount.com".to_owned()
}

const fn yes() -> bool {
    true
}

impl PushSettings {
    /// A subscription with an endpoint, the rest as usual.
    pub fn to(endpoint: Url) -> Self {
        Self {
            endpoint,
            topic: None,
            subscription: subscription(),
            audience: None,
            service_account: service_account(),
            authenticated: true,
        }
    }
}

/// What becomes of the next notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Mischief {
    /// Nothing goes wrong.
    None,
    /// It is lost.
    Drop,
    /// It comes twice.
    Double,
    /// It comes late, after others.
    Delay {
        millis: u64,
    },
    /// It tells of an older history id.
    StaleHistoryId,
    BadAudience,
    WrongEmail,
    Unverified,
    Expired,
    /// Signed by nobody's key, under the name of Google's.
    WrongKey,
    /// A token as sign-ins have it.
    SignInToken,
    /// Without a token, a channel's too.
    NoToken,
    /// A channel's token that isn't the one it was made with.
    WrongToken,
}

#[derive(Default)]
pub struct Outbox {
    pub settings: Option<PushSettings>,
    /// For the next pushes, then the next channel notifications.
    pub mischief: VecDeque<Mischief>,
    pub channel_mischief: VecDeque<Mischief>,
    wake: Arc<Notify>,
    waiting: Vec<Outgoing>,
    last: HashMap<String, DateTime<Utc>>,
    made: u64,
}

/// A notification on its way.
#[derive(Clone)]
pub struct Outgoing {
    to: Url,
    headers: Vec<(&'static str, String)>,
    body: String,
    after: Duration,
    /// A push is repeated until it is acknowledged.
    push: bool,
    sync: bool,
}

impl Outbox {
    fn send(&mut self, outgoing: Outgoing) {
        self.waiting.push(outgoing);
        self.wake.notify_one();
    }

    /// Takes the `sync` notifications out that would go after the reply.
    pub fn take_syncs(&mut self) -> Vec<Outgoing> {
        let (syncs, others) = self.waiting.drain(..).partition(|outgoing| outgoing.sync);
        self.waiting = others;
        syncs
    }

    /// At most one a second, when that is switched on.
    fn too_soon(&mut self, email: &str, now: DateTime<Utc>) -> bool {
        let soon = self
            .last
            .get(email)
            .is_some_and(|last| now - *last < TimeDelta::seconds(1));
        if !soon {
            self.last.insert(email.to_owned(), now);
        }
        soon
    }
}

impl State {
    /// Notifications about everything that changed and wasn't told of.
    pub fn announce(&mut self, now: DateTime<Utc>) {
        let mut news = Vec::new();
        let mut calendars = Vec::new();
        for (email, account) in &mut self.accounts {
            let mailbox = &mut account.mailbox;
            let history_id = mailbox.history_id();
            if history_id > mailbox.announced {
                if mailbox.has_news(now) {
                    news.push((email.clone(), history_id));
                }
                mailbox.announced = history_id;
            }
            for calendar in account.diary.unannounced() {
                calendars.push((email.clone(), calendar));
            }
        }
        for (email, history_id) in news {
            self.push_mail(&email, history_id, now);
        }
        for (email, calendar) in calendars {
            self.notify_channels(&email, calendar.as_deref(), now);
        }
    }

    /// Tells the topic's subscription that a mailbox changed.
    pub fn push_mail(&mut self, email: &str, history_id: u64, now: DateTime<Utc>) {
        let Some(settings) = self.push.settings.clone() else {
            return;
        };
        if self.switches.limit_notifications && self.push.too_soon(email, now) {
            return;
        }
        let mischief = self.push.mischief.pop_front().unwrap_or(Mischief::None);
        let history_id = match mischief {
            Mischief::Drop => return,
            Mischief::StaleHistoryId => history_id.saturating_sub(50),
            _ => history_id,
        };
        let told = if self.switches.history_id_as_text {
            json!(history_id.to_string())
        } else {
            json!(history_id)
        };
        let data = json!({"emailAddress": email, "historyId": told}).to_string();
        self.push.made += 1;
        let id = (2_070_443_601_311_540 + self.push.made * 17).to_string();
        let at = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        let body = json!({
            "message": {
                "attributes": {}, "data": STANDARD.encode(data), "messageId": id, "message_id": id,
                "publishTime": at, "publish_time": at,
            },
            "subscription": settings.subscription,
        });
        let mut headers = vec![
            ("Content-Type", "application/json".to_owned()),
            (
                "User-Agent",
                "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"
                    .to_owned(),
            ),
        ];
        if settings.authenticated && mischief != Mischief::NoToken {
            headers.push((
                "Authorization",
                format!("Bearer {}", self.push_token(&settings, mischief)),
            ));
        }
        let outgoing = Outgoing {
            to: settings.endpoint,
            headers,
            body: body.to_string(),
            after: match mischief {
                Mischief::Delay { millis } => Duration::from_millis(millis),
                _ => Duration::ZERO,
            },
            push: true,
            sync: false,
        };
        if mischief == Mischief::Double {
            self.push.send(outgoing.clone());
        }
        self.push.send(outgoing);
    }

    fn push_token(&mut self, settings: &PushSettings, mischief: Mischief) -> String {
        // Signatures follow the system's clock, also when the world's is moved.
        let now = Clock::default().now().timestamp();
        let audience = settings
            .audience
            .clone()
            .unwrap_or_else(|| settings.endpoint.to_string());
        let mut claims = json!({
            "iss": "https://accounts.google.com", "aud": audience, "azp": "113774264463038321964",
            "sub": "113774264463038321964", "email": settings.service_account,
            "email_verified": true, "iat": now, "exp": now + 3600,
        });
        match mischief {
            Mischief::BadAudience => claims["aud"] = json!("https://another.example.com/push"),
            Mischief::WrongEmail => {
                claims["email"] = json!("push@another.iam.gserviceaccount.com");
            }
            Mischief::Unverified => claims["email_verified"] = json!(false),
            Mischief::Expired => {
                claims["iat"] = json!(now - 7200);
                claims["exp"] = json!(now - 3600);
            }
            Mischief::SignInToken => {
                claims["aud"] = json!(CLIENT_ID);
                claims["azp"] = json!(CLIENT_ID);
                if let Some((email, account)) = self.accounts.first_key_value() {
                    claims["sub"] = json!(account.sub);
                    claims["email"] = json!(email);
                }
            }
            _ => {}
        }
        let key = self.key();
        if mischief == Mischief::WrongKey
            && let Ok(foreign) = Key::generate(key.kid.clone())
        {
            return foreign.sign(&claims);
        }
        key.sign(&claims)
    }

    /// Tells the live channels of a calendar, or of the calendar list, that something changed.
    pub fn notify_channels(&mut self, email: &str, calendar: Option<&str>, now: DateTime<Utc>) {
        let ids: Vec<String> = self
            .channels
            .values()
            .filter(|channel| channel.email == email && channel.calendar.as_deref() == calendar)
            .filter(|channel| !channel.stopped && channel.expires_at > now)
            .map(|channel| channel.id.clone())
            .collect();
        for id in ids {
            if self.switches.limit_notifications && self.push.too_soon(&id, now) {
                continue;
            }
            self.notify_channel(&id, "exists");
        }
    }

    pub fn notify_channel(&mut self, id: &str, resource_state: &str) {
        let Some(channel) = self.channels.get_mut(id) else {
            return;
        };
        let sync = resource_state == "sync";
        // Grows with gaps; the first is always 1.
        channel.number += if sync { 1 } else { 1 + channel.number % 3 };
        let mischief = if sync {
            Mischief::None
        } else {
            self.push
                .channel_mischief
                .pop_front()
                .unwrap_or(Mischief::None)
        };
        if mischief == Mischief::Drop {
            return;
        }
        let mut headers = vec![
            ("X-Goog-Channel-ID", channel.id.clone()),
            (
                "X-Goog-Channel-Expiration",
                channel
                    .expires_at
                    .format("%a, %d %b %Y %H:%M:%S GMT")
                    .to_string(),
            ),
            ("X-Goog-Resource-ID", channel.resource_id.clone()),
            ("X-Goog-Resource-URI", channel.uri.clone()),
            ("X-Goog-Resource-State", resource_state.to_owned()),
            ("X-Goog-Message-Number", channel.number.to_string()),
        ];
        match (&channel.token, mischief) {
            (_, Mischief::NoToken) | (None, _) => {}
            (Some(_), Mischief::WrongToken) => {
                headers.push(("X-Goog-Channel-Token", "another".to_owned()));
            }
            (Some(token), _) => headers.push(("X-Goog-Channel-Token", token.clone())),
        }
        let outgoing = Outgoing {
            to: channel.address.clone(),
            headers,
            body: String::new(),
            after: match mischief {
                Mischief::Delay { millis } => Duration::from_millis(millis),
                _ if sync => AFTER_REPLY,
                _ => Duration::ZERO,
            },
            push: false,
            sync,
        };
        if mischief == Mischief::Double {
            self.push.send(outgoing.clone());
        }
        self.push.send(outgoing);
    }
}

/// Delivers until `stop`.
pub async fn deliver_notifications(world: World, stop: CancellationToken) {
    let wake = Arc::clone(&world.google().state().push.wake);
    let tasks = TaskTracker::new();
    loop {
        let waiting = std::mem::take(&mut world.google().state().push.waiting);
        for outgoing in waiting {
            let (http, stop) = (world.http().clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = later(&http, &outgoing) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        tokio::select! {
            () = wake.notified() => {}
            () = stop.cancelled() => break,
        }
    }
}

async fn later(http: &reqwest::Client, outgoing: &Outgoing) {
    tokio::time::sleep(outgoing.after).await;
    deliver(http, outgoing).await;
}

/// Until it is acknowledged, or given up.
pub async fn deliver(http: &reqwest::Client, outgoing: &Outgoing) {
    let mut pause = FIRST_PAUSE;
    for attempt in 1_u32.. {
        let status = attempted(http, outgoing).await;
        let acknowledged = matches!(status, Some(102 | 200 | 201 | 202 | 204));
        let again = if outgoing.push {
            !acknowledged
        } else {
            matches!(status, None | Some(500 | 502 | 503 | 504)) && attempt < CHANNEL_TRIES
        };
        if !again {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempted(http: &reqwest::Client, outgoing: &Outgoing) -> Option<u16> {
    let mut request = http.post(outgoing.to.clone()).timeout(ACK_DEADLINE);
    for (name, value) in &outgoing.headers {
        request = request.header(*name, value);
    }
    if outgoing.body.is_empty() {
        request = request.header("Content-Length", "0");
    }
    let response = request.body(outgoing.body.clone()).send().await.ok()?;
    Some(response.status().as_u16())
}
