//! What the simulated HubSpot sends: signed batches of events to the app's one target, again and again
//! until they are taken.
//!
//! Changes only write events down; [`flush`] makes batches of them once the lock is free. A delivery
//! holds the world weakly, so that one that waits for a retry doesn't keep a dropped world alive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Weak;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::put;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::signatures::{signature_v1, signature_v3};
use super::{APP_ID, CLIENT_SECRET};
use crate::http::{Json, Path};
use crate::simulator::{Inner, World, reply};

const BATCH: usize = 100;
const TIME_LIMIT: Duration = Duration::from_secs(5);
const RETRIES: u32 = 10;
/// How often a delivery that waits looks at the world's clock.
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn router() -> Router<World> {
    Router::new()
        .route(
            "/webhooks/{version}/{app}/settings",
            put(settings).get(shown),
        )
        .route(
            "/app-webhooks/{version}/{app}/settings",
            put(settings).get(shown),
        )
}

/// What goes wrong with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oddity {
    /// It never comes.
    Drop,
    /// It comes twice.
    Double,
    /// Its events stand in reverse.
    Reorder,
    /// It was signed ten minutes ago.
    StaleTimestamp,
    BadSignature,
}

/// When a delivery that failed is tried again.
#[derive(Clone, Copy, Debug, Default)]
pub enum Pace {
    /// Ten times over a day, by the world's clock.
    #[default]
    Real,
    /// After this long, by nobody's clock.
    Every(Duration),
}

#[derive(Default)]
pub(super) struct Webhooks {
    pub target: Option<String>,
    /// Events come as `object.…` where both forms exist.
    pub generic: bool,
    /// Events of several portals share a batch.
    pub mixed: bool,
    /// Events wait until this ends.
    pub held: bool,
    pub pace: Pace,
    /// The subscription types that are on; all of them when none.
    pub only: Option<BTreeSet<String>>,
    pub oddities: VecDeque<Oddity>,
    /// By type and property.
    subscriptions: BTreeMap<(String, String), u64>,
    waiting: Vec<Value>,
    sent: u64,
    pub tasks: TaskTracker,
}

impl Webhooks {
    /// An event gets its subscription, its id, and its place in the next batch.
    fn add(&mut self, mut body: Value) {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let key = (text("subscriptionType"), text("propertyName"));
        if self
            .only
            .as_ref()
            .is_some_and(|only| !only.contains(&key.0))
        {
            return;
        }
        let next = 321 + u64::try_from(self.subscriptions.len()).unwrap_or_default();
        body["subscriptionId"] = json!(*self.subscriptions.entry(key).or_insert(next));
        self.sent += 1;
        body["eventId"] = json!(99 + self.sent);
        self.waiting.push(body);
    }

    /// The batches that go now, each with what is wrong with it.
    fn batches(&mut self) -> Vec<(Vec<Value>, Option<Oddity>)> {
        let mut groups: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
        for event in std::mem::take(&mut self.waiting) {
            let portal = event["portalId"].as_u64().unwrap_or_default();
            let group = if self.mixed { 0 } else { portal };
            groups.entry(group).or_default().push(event);
        }
        let mut batches = Vec::new();
        for group in groups.into_values() {
            for batch in group.chunks(BATCH) {
                let mut batch = batch.to_vec();
                let oddity = self.oddities.pop_front();
                match oddity {
                    Some(Oddity::Drop) => continue,
                    Some(Oddity::Double) => batches.push((batch.clone(), None)),
                    Some(Oddity::Reorder) => batch.reverse(),
                    _ => {}
                }
                batches.push((batch, oddity));
            }
        }
        batches
    }
}

/// Sends what happened since the last time.
pub(super) fn flush(world: &World) {
    let mut state = world.hubspot().state();
    let super::State {
        portals, webhooks, ..
    } = &mut *state;
    for (id, portal) in portals {
        let events = std::mem::take(&mut portal.store.events);
        if webhooks.target.is_none() || portal.uninstalled {
            continue;
        }
        for event in events {
            let subscription = event.subscription(webhooks.generic);
            webhooks.add(event.body(*id, &subscription));
        }
    }
    // Without a runtime (a test that only arranges) they wait for the next call.
    if webhooks.held || tokio::runtime::Handle::try_current().is_err() {
        return;
    }
    let Some(target) = webhooks.target.clone() else {
        return;
    };
    for (batch, oddity) in webhooks.batches() {
        let world = std::sync::Arc::downgrade(&world.0);
        let (target, pace) = (target.clone(), webhooks.pace);
        webhooks
            .tasks
            .spawn(deliver(world, target, batch, oddity, pace));
    }
}

async fn deliver(
    world: Weak<Inner>,
    target: String,
    mut batch: Vec<Value>,
    oddity: Option<Oddity>,
    pace: Pace,
) {
    for attempt in 0..=RETRIES {
        for event in &mut batch {
            event["attemptNumber"] = json!(attempt);
        }
        let body = Value::Array(batch.clone()).to_string();
        let (signed_at, http) = match world.upgrade().map(World) {
            // Signatures are dated by the real time, wherever a story's clock stands.
            Some(world) => (world.clock().system(), world.http().clone()),
            None => return,
        };
        if attempt_one(&http, &target, body, signed_at, oddity).await {
            return;
        }
        if attempt < RETRIES && !wait(&world, attempt, pace).await {
            return;
        }
    }
}

/// Whether it was taken.
async fn attempt_one(
    http: &reqwest::Client,
    target: &str,
    body: String,
    signed_at: DateTime<Utc>,
    oddity: Option<Oddity>,
) -> bool {
    let at = match oddity {
        Some(Oddity::StaleTimestamp) => signed_at - TimeDelta::minutes(10),
        _ => signed_at,
    };
    let timestamp = at.timestamp_millis().to_string();
    let secret = match oddity {
        Some(Oddity::BadSignature) => "another-secret",
        _ => CLIENT_SECRET,
    };
    let request = http
        .post(target)
        .timeout(TIME_LIMIT)
        .header("content-type", "application/json")
        .header("user-agent", "HubSpot Connect 2.0")
        .header("x-hubspot-signature", signature_v1(secret, body.as_bytes()))
        .header("x-hubspot-signature-version", "v1")
        .header(
            "x-hubspot-signature-v3",
            signature_v3(secret, "POST", target, body.as_bytes(), &timestamp),
        )
        .header("x-hubspot-request-timestamp", timestamp)
        .body(body);
    let response = request.send().await;
    response.is_ok_and(|response| response.status().is_success())
}

/// Until the next attempt; false when the world ended meanwhile.
async fn wait(world: &Weak<Inner>, attempt: u32, pace: Pace) -> bool {
    match pace {
        Pace::Every(pause) => {
            tokio::time::sleep(pause).await;
            world.strong_count() > 0
        }
        Pace::Real => {
            // 1, 3, 7 … minutes, and then every few hours: a day in all.
            let minutes = i64::from(2_u32.saturating_pow(attempt + 1) - 1).min(240);
            let Some(from) = world.upgrade().map(|inner| inner.clock.now()) else {
                return false;
            };
            let due = from + TimeDelta::minutes(minutes);
            while let Some(now) = world.upgrade().map(|inner| inner.clock.now()) {
                if now >= due {
                    return true;
                }
                tokio::time::sleep(LOOK).await;
            }
            false
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    target_url: String,
    #[serde(default)]
    throttling: Throttling,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Throttling {
    max_concurrent_requests: u32,
}

impl Default for Throttling {
    fn default() -> Self {
        Self {
            max_concurrent_requests: 10,
        }
    }
}

async fn settings(
    State(world): State<World>,
    Path((_, app)): Path<(String, u64)>,
    Json(settings): Json<Settings>,
) -> axum::response::Response {
    if app != APP_ID {
        return super::refusal(404, None);
    }
    if settings.throttling.max_concurrent_requests < 6 {
        return super::refusal(400, None);
    }
    world
        .hubspot()
        .set_webhook_target(Some(&settings.target_url));
    reply(200, told(&settings.target_url))
}

async fn shown(
    State(world): State<World>,
    Path((_, app)): Path<(String, u64)>,
) -> axum::response::Response {
    match &world.hubspot().state().webhooks.target {
        Some(target) if app == APP_ID => reply(200, told(target)),
        _ => super::refusal(404, None),
    }
}

fn told(target: &str) -> Value {
    json!({"targetUrl": target, "throttling": {"maxConcurrentRequests": 10},
           "createdAt": "2026-01-01T00:00:00.000Z"})
}
