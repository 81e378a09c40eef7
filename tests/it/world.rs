//! A running program of one test's own: its database, port 0, and the advisors who use it.
//!
//! The world accuses when it ends: a failed task, a caught panic or a 500 fails the test, whatever
//! the test itself looked at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use paraplanner::app::{self, Running};
use paraplanner::clock::Clock;
use paraplanner::config::{Config, Source};
use paraplanner::simulator::Simulator;
use paraplanner::state::App;
use tokio::net::TcpListener;

use crate::client::{Advisor, Reply};
use crate::model::Model;
use crate::server::TestDatabase;

/// All waiting has this one end.
const LIMIT: Duration = Duration::from_secs(60);

/// What follows from it differs from a production's by nothing but this.
pub const SECRET_KEY: &str = "a key of the tests, of no use to anybody";

/// Providers with clocks of their own.
pub async fn simulator() -> Simulator {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Simulator::start(listener, Clock::default()).unwrap()
}

/// Asks until there is something; panics with `what` when there never is.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let Ok(found) = tokio::time::timeout(LIMIT, waiting).await else {
        panic!("waited in vain: {what}");
    };
    found
}

/// The client that all tests use; the provider of TLS is asked for even where nothing is encrypted.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIMIT)
        .build()
        .unwrap()
}

pub struct World {
    pub url: String,
    pub http: reqwest::Client,
    running: Running,
    /// Further instances over the same database.
    others: Vec<Running>,
    settings: Vec<(String, String)>,
    database: TestDatabase,
    failures_expected: AtomicBool,
}

impl World {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Answers come from this model, embeddings from the built-in one.
    pub async fn with_model(model: &Model) -> Self {
        Self::with(&[
            ("OPENAI_BASE_URL", &model.base_url),
            ("OPENAI_API_KEY", crate::model::KEY),
            ("OPENAI_CHAT_MODEL", crate::model::NAME),
            ("OPENAI_EMBEDDING_MODEL", "built-in"),
        ])
        .await
    }

    /// Google and HubSpot are simulated.
    pub async fn with_providers() -> (Self, Simulator) {
        Self::with_providers_and(&[]).await
    }

    pub async fn with_providers_and(more: &[(&str, &str)]) -> (Self, Simulator) {
        let simulator = simulator().await;
        (Self::with_simulator(&simulator, more).await, simulator)
    }

    pub async fn with_simulator(simulator: &Simulator, more: &[(&str, &str)]) -> Self {
        let settings = simulator.settings();
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .chain(more.iter().copied())
            .collect();
        Self::with(&settings).await
    }

    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create().await;
        let url = database.url();
        let settings: Vec<(String, String)> = [
            ("DATABASE_URL", url.as_str()),
            ("DATABASE_MAX_CONNECTIONS", "8"),
            ("DEMO_MODE", "true"),
            ("SECRET_KEY", SECRET_KEY),
            // Tests hurry; those of the limits set their own.
            ("RATE_LIMIT_PER_USER", "0"),
            ("RATE_LIMIT_GLOBAL", "0"),
            ("RATE_LIMIT_LLM_PER_USER", "0"),
            ("RATE_LIMIT_LLM_GLOBAL", "0"),
        ]
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        let running = start(&settings).await;
        let world = Self {
            url: format!("http://{}", running.address),
            http: http(),
            running,
            others: Vec::new(),
            settings,
            database,
            failures_expected: AtomicBool::new(false),
        };
        eventually("the worker joins", async || {
            (world.get("/ready").await.status == 200).then_some(())
        })
        .await;
        world
    }

    /// Another instance of the program over the same database, with these settings changed.
    pub async fn another(&mut self, settings: &[(&str, &str)]) -> App {
        let changed = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let all: Vec<_> = self.settings.iter().cloned().chain(changed).collect();
        let other = start(&all).await;
        let app = other.app.clone();
        self.others.push(other);
        app
    }

    /// Where the last of the other instances is.
    pub fn other_url(&self) -> String {
        format!("http://{}", self.others.last().unwrap().address)
    }

    pub const fn app(&self) -> &App {
        &self.running.app
    }

    /// Tasks that fail are what the test is about.
    pub fn expect_failures(&self) {
        self.failures_expected.store(true, Ordering::Relaxed);
    }

    /// With the rights of a superuser, for looking behind the program's back.
    pub fn database_url(&self) -> url::Url {
        self.database.url()
    }

    /// What browsers call this server's origin.
    pub fn origin(&self) -> String {
        self.app().public_url.origin().ascii_serialization()
    }

    /// Without a session.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.http.get(format!("{}{path}", self.url)))
            .await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        Reply::read(request.send().await.unwrap()).await
    }

    /// Signed in, with an empty book.
    pub async fn advisor(&self, name: &str) -> Advisor {
        Advisor::sign_in(
            &self.url,
            &self.origin(),
            &self.http,
            &format!("{name}@example.com"),
        )
        .await
    }
}

/// Later settings go before earlier ones.
async fn start(settings: &[(String, String)]) -> Running {
    let source = Source::of(settings.iter().cloned());
    let config = Config::read(&source).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    app::start(config, listener, app::Role::Server)
        .await
        .unwrap()
}

impl Drop for World {
    fn drop(&mut self) {
        self.app().stopping.cancel();
        for other in &self.others {
            other.app.stopping.cancel();
        }
        if std::thread::panicking() {
            return;
        }
        if !self.failures_expected.load(Ordering::Relaxed) {
            let failed = self.database.failed_tasks();
            assert!(failed.is_empty(), "tasks failed: {failed:?}");
        }
        let metrics = self.app().metrics.text().unwrap();
        let accusing: Vec<&str> = metrics
            .lines()
            .filter(|line| {
                line.contains("status=\"500\"")
                    || (line.starts_with("paraplanner_panics_total") && !line.ends_with(" 0"))
            })
            .collect();
        assert!(accusing.is_empty(), "something broke inside: {accusing:?}");
    }
}
