//! What every handler and task is given. Holds no slice; cheap to clone; built once in `app.rs`.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRef;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::clock::Clock;
use crate::config::Config;
use crate::db::Pools;
use crate::failpoint::FailPoints;
use crate::http::Problem;
use crate::limits::Limits;
use crate::live::Live;
use crate::providers::google::Google;
use crate::providers::hubspot::HubSpot;
use crate::providers::{local, openai};
use crate::secret::{Keyring, Secret};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;

/// The program's shared parts.
#[derive(Clone)]
pub struct App {
    pub config: Arc<Config>,
    /// The share of whoever was given this: of requests, or of tasks.
    pub pool: PgPool,
    pub pools: Pools,
    pub clock: Clock,
    pub metrics: Metrics,
    pub live: Live,
    pub tasks: Tasks,
    pub limits: Limits,
    /// Where tests make the process die.
    pub fail_points: FailPoints,
    /// Opens and seals what must lie unreadable in the database.
    pub keys: Arc<Keyring>,
    /// What keys for single purposes are derived from.
    pub secret_key: Secret<String>,
    /// The one HTTP client of the outside world.
    pub http: reqwest::Client,
    pub google: Option<Arc<Google>>,
    pub hubspot: Option<Arc<HubSpot>>,
    /// The OpenAI-compatible server, when one is configured.
    pub model_server: Option<openai::Client>,
    /// The built-in embedder; loads its model when it is first used.
    pub local_embedder: local::Embedder,
    /// This server as others see it, and the browser frontend.
    pub public_url: Arc<Url>,
    pub frontend_url: Arc<Url>,
    /// Begins when the process is asked to stop: `/ready` says so, streams end.
    pub stopping: CancellationToken,
    /// The grace is over: answers that are still being made are cut off and stored.
    pub halting: CancellationToken,
    pub memory: Memory,
    /// Work that outlives its request (an answer whose reader left is stored); shutdown waits for it.
    pub background: TaskTracker,
}

impl App {
    /// Cookies are `Secure` and HSTS is sent exactly when the world reaches us by https.
    pub fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// Whether users may delete what a firm may have to keep.
    pub fn may_delete(&self) -> Result<(), Problem> {
        if self.config.retention_hold {
            return Err(Problem::conflict("a retention hold is set").detail(
                "the firm must keep these records; whoever runs this server can lift the hold",
            ));
        }
        Ok(())
    }
}

impl FromRef<App> for Metrics {
    fn from_ref(app: &App) -> Self {
        app.metrics.clone()
    }
}

impl AsRef<Self> for App {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What slices keep in mind for as long as the process lives, each under a type of its own: never more
/// than what the database says, only sooner at hand.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl Memory {
    /// The one of this type; empty when it is first asked for.
    pub fn of<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = kept
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Arc::new(T::default()));
        Arc::clone(one).downcast().unwrap_or_default()
    }
}
