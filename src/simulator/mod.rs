//! Google, HubSpot and an OpenAI-compatible model over real HTTP on a loopback port: what stands in for
//! the providers in the demo and in tests, by the same base-URL settings as production.
//!
//! It keeps state (what is sent is in the sent folder), keeps a [`Journal`] of calls, and misbehaves on
//! demand ([`Faults`]). Knows only the wire: it shares no type with `providers`, so that a mistake there
//! isn't made twice, and no database. Never part of a production start. A test holds the handle and
//! calls its methods; anybody else steers it over HTTP below `/sim`.
//!
//! Begin with [`Simulator::start`]. A new method of a provider: a route in its folder, its state beside
//! it, and a control below `/sim` when tests need to bring something about.

mod faults;
pub mod google;
pub mod hubspot;
mod journal;
pub mod model;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use faults::{Fault, Faults, Misbehaviour};
pub use journal::{Entry, Journal};

use crate::clock::Clock;
use crate::http::Json;

/// The simulated world; cheap to clone.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    url: Url,
    clock: Clock,
    http: reqwest::Client,
    journal: Journal,
    faults: Faults,
    google: google::Google,
    hubspot: hubspot::HubSpot,
    model: model::Model,
}

impl World {
    /// Where this world answers; ends without a path.
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// The world's time: mails, changes and expiries follow it.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// For what the world sends: pushes and webhooks.
    pub fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub fn google(&self) -> &google::Google {
        &self.0.google
    }

    pub fn hubspot(&self) -> &hubspot::HubSpot {
        &self.0.hubspot
    }

    pub fn model(&self) -> &model::Model {
        &self.0.model
    }
}

/// A running simulator; it ends when it is dropped.
pub struct Simulator {
    world: World,
    stop: CancellationToken,
}

impl Simulator {
    /// Answers on this listener. `clock` may be the program's own, so that both move together.
    pub fn start(listener: TcpListener, clock: Clock) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        // The first to come installs it; the client below is built for TLS like any other.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let world = World(Arc::new(Inner {
            url: Url::parse(&format!("http://{address}"))?,
            clock,
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(30))
                .build()?,
            journal: Journal::default(),
            faults: Faults::default(),
            google: google::Google::default(),
            hubspot: hubspot::HubSpot::default(),
            model: model::Model::default(),
        }));
        let router = Router::new()
            .merge(control())
            .merge(google::router())
            .merge(hubspot::router())
            .merge(model::router());
        let stop = CancellationToken::new();
        serve::start(listener, router, world.clone(), stop.clone());
        Ok(Self { world, stop })
    }

    pub const fn world(&self) -> &World {
        &self.world
    }

    /// The settings that point the program here.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        Self::settings_at(self.world.url())
    }

    /// The settings that point the program to a simulator at this origin.
    pub fn settings_at(url: &Url) -> Vec<(&'static str, String)> {
        let at = |path: &str| format!("{}{path}", url.as_str().trim_end_matches('/'));
        vec![
            ("GOOGLE_CLIENT_ID", google::CLIENT_ID.to_owned()),
            ("GOOGLE_CLIENT_SECRET", google::CLIENT_SECRET.to_owned()),
            ("GOOGLE_AUTH_URL", at("/o/oauth2/v2/auth")),
            ("GOOGLE_TOKEN_URL", at("/token")),
            ("GOOGLE_REVOKE_URL", at("/revoke")),
            ("GOOGLE_JWKS_URL", at("/oauth2/v3/certs")),
            ("GMAIL_API_URL", at("")),
            ("CALENDAR_API_URL", at("")),
            ("HUBSPOT_CLIENT_ID", hubspot::CLIENT_ID.to_owned()),
            ("HUBSPOT_CLIENT_SECRET", hubspot::CLIENT_SECRET.to_owned()),
            ("HUBSPOT_APP_ID", hubspot::APP_ID.to_string()),
            ("HUBSPOT_AUTH_URL", at("/oauth/authorize")),
            ("HUBSPOT_API_URL", at("")),
            // Its own limits are switched off unless they are what is tried.
            ("GMAIL_UNITS_PER_MINUTE", "0".to_owned()),
            ("CALENDAR_CALLS_PER_MINUTE", "0".to_owned()),
            ("HUBSPOT_CALLS_PER_MINUTE", "0".to_owned()),
            ("HUBSPOT_SEARCHES_PER_MINUTE", "0".to_owned()),
        ]
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What concerns no single provider.
fn control() -> Router<World> {
    Router::new()
        .route(
            "/sim/journal",
            get(async |State(world): State<World>| Json(world.journal().entries()))
                .delete(async |State(world): State<World>| world.journal().clear()),
        )
        .route(
            "/sim/faults",
            post(add_fault).delete(async |State(world): State<World>| world.faults().clear()),
        )
        .route("/sim/clock", post(advance))
        // Browsers ask for it unasked.
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
}

async fn add_fault(State(world): State<World>, Json(fault): Json<Fault>) -> StatusCode {
    world.faults().add(fault);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Advance {
    seconds: i64,
}

async fn advance(State(world): State<World>, Json(by): Json<Advance>) -> Json<Value> {
    if let Some(by) = chrono::TimeDelta::try_seconds(by.seconds) {
        world.clock().advance(by);
    }
    Json(json!({"now": world.clock().now()}))
}

/// A reply with a body of JSON.
fn reply(status: u16, body: Value) -> axum::response::Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body)).into_response()
}
