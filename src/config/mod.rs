//! Every setting of the program: one struct of small structs, read once at the start.
//!
//! Alone reads the environment (and `.env`). Values are parsed into types at once and then judged
//! together, so that nothing behind this module meets a half-valid setting. A bad value is one line
//! that names its variable. May not know: any feature; it holds what features are given.
//!
//! To add a setting: a field here, a line in [`Config::read`], a line in `.env.example` (a test
//! holds the two together), a row in README.md.

mod limits;
mod providers;
mod read;
mod telemetry;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::{Origin, Url};

pub use read::{Invalid, Source};

use crate::failpoint::FailPoints;
use crate::secret::{Key, Secret};

/// The settings, valid as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    pub environment: Environment,
    pub server: Server,
    pub database: Database,
    pub secret_key: Option<Secret<String>>,
    /// The first seals tokens, all open them; the one derived from the secret key comes after them.
    pub token_keys: Vec<(String, Key)>,
    pub google: Option<Google>,
    pub hubspot: Option<HubSpot>,
    pub model: Model,
    pub worker: Worker,
    pub limits: Limits,
    pub telemetry: Telemetry,
    pub demo: Demo,
    /// A firm must keep what is here: users can't delete their accounts and conversations.
    pub retention_hold: bool,
    /// Where tests make the process die; none outside of development.
    pub fail_points: FailPoints,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Development,
    Production,
}

#[derive(Clone, Debug)]
pub struct Server {
    pub listen: SocketAddr,
    /// This server as others see it; absent means `http://localhost:<the port it got>`.
    pub public_url: Option<Url>,
    /// The browser frontend; absent means the same as `public_url`.
    pub frontend_url: Option<Url>,
    /// Largest upload, in bytes.
    pub upload_max_bytes: u64,
}

#[derive(Clone, Debug)]
pub struct Database {
    /// A server of somebody else's; absent means one of our own in `data_dir`.
    pub url: Option<Secret<String>>,
    pub data_dir: PathBuf,
    /// Connections of all pools together; see `db::Pools`.
    pub max_connections: u32,
    /// A transaction that does nothing for so long is ended: a frozen process must not keep its tasks'
    /// rows locked beyond its lease.
    pub idle_transaction: Duration,
}

/// Google's addresses, and our client there.
#[derive(Clone, Debug)]
pub struct Google {
    pub client: OAuthClient,
    pub auth_url: Url,
    pub token_url: Url,
    pub revoke_url: Url,
    pub jwks_url: Url,
    /// Origins before the documented paths.
    pub gmail_api: Url,
    pub calendar_api: Url,
    /// How Gmail tells us of changes; without it mail is polled.
    pub push: Option<GmailPush>,
    /// What reading may use of a user's quota; none means no limit of ours.
    pub gmail_units_per_minute: Option<NonZeroU32>,
    pub calendar_calls_per_minute: Option<NonZeroU32>,
}

/// Gmail's notifications by Pub/Sub.
#[derive(Clone, Debug)]
pub struct GmailPush {
    /// `projects/<project>/topics/<name>`.
    pub topic: String,
    /// For whom the pushes' tokens must be, and whose they must be.
    pub audience: String,
    pub service_account: String,
}

/// HubSpot's addresses, and our client there.
#[derive(Clone, Debug)]
pub struct HubSpot {
    pub client: OAuthClient,
    /// What our app is called by events that it caused; without it only what we made is known as ours.
    pub app_id: Option<u64>,
    pub auth_url: Url,
    /// The origin before the documented paths.
    pub api: Url,
    /// What reading may use of a user's share; none means no limit of ours.
    pub calls_per_minute: Option<NonZeroU32>,
    pub searches_per_minute: Option<NonZeroU32>,
    /// Signatures of versions 1 and 2 count where there is none of version 3.
    pub allow_legacy_signatures: bool,
}

#[derive(Clone, Debug)]
pub struct OAuthClient {
    pub client_id: String,
    pub client_secret: Secret<String>,
}

/// An OpenAI-compatible server, when one is configured.
#[derive(Clone, Debug)]
pub struct Model {
    pub server: Option<ModelServer>,
    /// Model name for chat; `None` answers from quotes alone.
    pub chat: Option<String>,
    /// Model name for embeddings; `None` uses the built-in one.
    pub embedding: Option<String>,
    /// Vector length to ask of the embedding model; `None` takes its own.
    pub embedding_dimensions: Option<u16>,
}

#[derive(Clone, Debug)]
pub struct ModelServer {
    /// Ends without a slash and includes `/v1` where the server has it.
    pub base_url: Url,
    pub api_key: Option<Secret<String>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Worker {
    pub enabled: bool,
    pub poll_interval: Duration,
    pub max_concurrent: u16,
    pub lock_timeout: Duration,
    /// Days that ended tasks are kept: done and cancelled ones, and failed ones.
    pub keep_done_days: u16,
    pub keep_failed_days: u16,
}

/// How often something may happen in a minute; none means no limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests of one user or, where nobody is signed in, of one peer.
    pub per_user: Option<NonZeroU32>,
    /// Requests of all together, deliveries of providers apart.
    pub global: Option<NonZeroU32>,
    /// Verified deliveries of all providers.
    pub webhooks: Option<NonZeroU32>,
    /// Calls of the chat model.
    pub model_per_user: Option<NonZeroU32>,
    pub model_global: Option<NonZeroU32>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// A Redis or Valkey that all instances count in.
    pub redis_url: Option<Secret<String>>,
}

#[derive(Clone, Debug)]
pub struct Telemetry {
    /// A `tracing` filter such as `info` or `paraplanner=debug,info`.
    pub log_level: String,
    pub log_format: LogFormat,
    pub metrics_token: Option<Secret<String>>,
    /// Sentry's address of a project; the key in it is public, but nobody's business.
    pub sentry_dsn: Option<Secret<String>>,
    /// Where traces go.
    pub traces: Option<Traces>,
}

/// A collector of OpenTelemetry traces.
#[derive(Clone, Debug)]
pub struct Traces {
    /// OTLP over HTTP; `/v1/traces` comes after it.
    pub endpoint: Url,
    /// Headers that it asks for: a vendor's key.
    pub headers: Vec<(String, Secret<String>)>,
    /// The share of requests and tasks that are traced, 0 to 1.
    pub share: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

#[derive(Clone, Copy, Debug)]
pub struct Demo {
    /// `DEMO_CONTROLS`: the clock may be moved.
    pub controls: bool,
    /// `DEMO_MODE`: the demo advisor may sign in, on any address.
    pub mode: bool,
    /// Whoever sits at this machine may sign in: development, loopback only, no Google client,
    /// and `DEMO_MODE` not set to `false`.
    pub local_sign_in: bool,
}

impl Config {
    /// Reads the process's environment and `.env`.
    pub fn from_env() -> Result<Self, Vec<Invalid>> {
        Self::read(&Source::process())
    }

    /// The origins that may write with a cookie: this server's and the frontend's.
    pub fn origins(public_url: &Url, frontend_url: &Url) -> BTreeSet<String> {
        [public_url, frontend_url]
            .into_iter()
            .map(Url::origin)
            .filter(Origin::is_tuple)
            .map(|origin| origin.ascii_serialization())
            .collect()
    }

    /// Whether only this machine can reach the server.
    pub const fn is_loopback(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => v4.is_loopback(),
            IpAddr::V6(v6) => v6.is_loopback(),
        }
    }
}
