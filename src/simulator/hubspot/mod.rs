//! The simulated HubSpot: accounts ("portals") with their users, consent and tokens, their contacts,
//! deals and notes, and the webhooks that tell of changes.
//!
//! One lock over all of its state, never held over an await. Knows the wire of the real one and
//! nothing of `providers`. Begin with [`HubSpot::add_user`] and [`HubSpot::decide`]; what people do
//! in a portal is [`World::portal`]. A new call: a line in `crm.rs`, its work beside the others.

mod access;
mod associations;
mod batch;
mod controls;
mod crm;
mod events;
mod kind;
mod limits;
mod oauth;
mod objects;
mod portal;
mod search;
mod signatures;
mod store;
mod tokens;
mod validate;
mod webhooks;
mod wrong;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use chrono::TimeDelta;
use serde::Deserialize;

use super::{World, reply};

pub use kind::Kind;
pub use portal::Desk;
pub use webhooks::{Oddity, Pace};

pub const CLIENT_ID: &str = "paraplanner-simulated";
pub const CLIENT_SECRET: &str = "simulated-client-secret";
pub const APP_ID: u64 = 777;

/// The provider's state; cheap to clone.
#[derive(Clone, Default)]
pub struct HubSpot(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    portals: BTreeMap<u64, Portal>,
    codes: HashMap<String, oauth::Issued>,
    /// Access tokens by their text; expired ones stay, since their errors differ from unknown ones.
    access: HashMap<String, access::Access>,
    /// Refresh tokens by their text.
    refresh: HashMap<String, access::Grant>,
    /// What the next users do on the consent page, without a page.
    decisions: VecDeque<Decision>,
    /// Token replies tell neither account nor scopes, as v1 never did.
    short_token_replies: bool,
    /// How long search takes to see a change.
    search_lag: TimeDelta,
    limits: limits::Limits,
    webhooks: webhooks::Webhooks,
    made: u64,
}

/// A customer's account.
struct Portal {
    domain: String,
    /// Email addresses by user id.
    users: BTreeMap<u64, String>,
    /// Optional scopes that its plan has no use for.
    lacking: BTreeSet<String>,
    store: store::Store,
    /// The app was removed: no events until it is installed again.
    uninstalled: bool,
}

/// What a user does on the consent page.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Decision {
    /// Allows everything that the portal's plan has.
    Allow { portal: u64, user: u64 },
    /// Only these scopes are granted.
    AllowOnly {
        portal: u64,
        user: u64,
        scopes: Vec<String>,
    },
    /// An error comes back, such as `access_denied`.
    Refuse { error: String },
}

impl HubSpot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A customer's account, such as 4242 at `example.com`.
    pub fn add_portal(&self, id: u64, domain: &str) {
        self.state().portals.entry(id).or_insert_with(|| Portal {
            domain: domain.to_owned(),
            users: BTreeMap::new(),
            lacking: BTreeSet::new(),
            store: store::Store::default(),
            uninstalled: false,
        });
    }

    /// Somebody who may install apps in a portal; the portal is there afterwards.
    pub fn add_user(&self, portal: u64, user_id: u64, email: &str) {
        self.add_portal(portal, "example.com");
        if let Some(portal) = self.state().portals.get_mut(&portal) {
            portal.users.insert(user_id, email.to_owned());
        }
    }

    /// The portal's plan lacks these scopes: an authorization drops them without a word.
    pub fn set_lacking(&self, portal: u64, scopes: &[&str]) {
        if let Some(portal) = self.state().portals.get_mut(&portal) {
            portal.lacking = scopes.iter().map(|&scope| scope.to_owned()).collect();
        }
    }

    /// What the next user does on the consent page.
    pub fn decide(&self, decision: Decision) {
        self.state().decisions.push_back(decision);
    }

    /// Whether token replies leave out account, user and scopes.
    pub fn set_short_token_replies(&self, short: bool) {
        self.state().short_token_replies = short;
    }

    /// The refresh tokens of a portal are dead; access tokens live until their time is up, and the
    /// app stays installed.
    pub fn revoke(&self, portal: u64) {
        self.state()
            .refresh
            .retain(|_, grant| grant.portal != portal);
    }

    /// The portal removes the app: all of its tokens are dead at once.
    pub fn uninstall(&self, portal: u64) {
        let mut state = self.state();
        state.refresh.retain(|_, grant| grant.portal != portal);
        state
            .access
            .retain(|_, access| access.grant.portal != portal);
        if let Some(portal) = state.portals.get_mut(&portal) {
            portal.uninstalled = true;
        }
    }

    /// The access tokens so far have expired; refresh tokens live on.
    pub fn expire_access_tokens(&self) {
        for access in self.state().access.values_mut() {
            access.cut_short = true;
        }
    }

    /// How long search takes to see a change, by the world's clock; nothing at first.
    pub fn set_search_lag(&self, lag: TimeDelta) {
        self.state().search_lag = lag;
    }

    /// Whether too many calls are refused, and whether the refusals say when to come back.
    pub fn set_limits(&self, enforced: bool, tells_when: bool) {
        let mut state = self.state();
        state.limits.enforced = enforced;
        state.limits.tells_when = tells_when;
    }

    /// Where events go from now on; nowhere at first.
    pub fn set_webhook_target(&self, url: Option<&str>) {
        self.state().webhooks.target = url.map(ToOwned::to_owned);
    }

    /// Whether events come as `object.…` where both forms exist.
    pub fn set_generic_events(&self, generic: bool) {
        self.state().webhooks.generic = generic;
    }

    /// Whether events of several portals share a batch.
    pub fn set_mixed_batches(&self, mixed: bool) {
        self.state().webhooks.mixed = mixed;
    }

    /// While held, events gather; they go in batches with the next change after that, or with
    /// [`World::send_events`].
    pub fn hold_events(&self, held: bool) {
        self.state().webhooks.held = held;
    }

    /// The subscription types that are on; all of them when none.
    pub fn set_subscriptions(&self, only: Option<&[&str]>) {
        let only = only.map(|only| only.iter().map(|&name| name.to_owned()).collect());
        self.state().webhooks.only = only;
    }

    /// What is wrong with the next batch of events.
    pub fn spoil_batch(&self, oddity: Oddity) {
        self.state().webhooks.oddities.push_back(oddity);
    }

    /// When deliveries that failed are tried again.
    pub fn set_retry_pace(&self, pace: Pace) {
        self.state().webhooks.pace = pace;
    }

    /// Deliveries that haven't been taken yet, and haven't been given up.
    pub fn deliveries(&self) -> usize {
        self.state().webhooks.tasks.len()
    }
}

impl World {
    /// Ends a hold, and sends what gathered.
    pub fn send_events(&self) {
        self.hubspot().hold_events(false);
        webhooks::flush(self);
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

pub(super) fn router() -> Router<World> {
    oauth::router()
        .merge(tokens::router())
        .merge(crm::router())
        .merge(webhooks::router())
        .merge(controls::router())
        .layer(map_response(correlate))
}

async fn correlate(response: Response) -> Response {
    named(response)
}

/// Every reply has a name, good or bad.
fn named(mut response: Response) -> Response {
    let id = crate::ids::next().to_string();
    if let Ok(id) = HeaderValue::from_str(&id) {
        let name = HeaderName::from_static("x-hubspot-correlation-id");
        response.headers_mut().entry(name).or_insert(id);
    }
    response
}

/// An error reply in the provider's form.
pub(super) fn refusal(status: u16, reason: Option<&str>) -> Response {
    named(access::refusal(status, reason))
}
