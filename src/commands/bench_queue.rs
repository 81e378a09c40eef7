//! `paraplanner bench-queue`: loads and measures the task queue, with all its features on, on the
//! empty database of `DATABASE_URL`. Each measurement prints one line: `RESULT {…}`.
//!
//! The tasks do nothing, sleep, or have one effect on a server that counts (for tests that kill this
//! process). Their kinds are known to this command alone.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::app;
use crate::config::Config;
use crate::db::{Database, UserScope};
use crate::effects::{self, Found, Notes, Outcome, Outward, SendError};
use crate::identity;
use crate::providers;
use crate::state::App;
use crate::tasks::{Context, Enqueue, Failure, Handler, Payload, Queue, Registry, Worker};

/// Tasks in one insert.
const BATCH: u64 = 5000;
/// Users that the tasks are spread over.
const USERS: u64 = 10;

/// Without the database, draining is given up after this long.
const DATABASE_AWAY: Duration = Duration::from_secs(120);

#[derive(Subcommand)]
pub enum BenchQueue {
    /// Makes the schema and COUNT tasks
    Load {
        count: u64,
        /// Each sleeps this long
        #[arg(long, conflicts_with = "effects")]
        millis: Option<u64>,
        /// Each has one effect on the server at this URL: POST with {"key"} does it, GET with ?key= says
        /// whether it was done (200) or not (404)
        #[arg(long)]
        effects: Option<Url>,
    },
    /// Works until the database says that none is unfinished
    Drain { count: u64 },
    /// RATE tasks a second for SECS seconds, each queued by itself while the worker is idle
    Latency { rate: u32, secs: u32 },
}

pub async fn run(config: Config, what: BenchQueue) -> anyhow::Result<ExitCode> {
    let database = Database::join_or_open(&config.database).await?;
    let app = app::build(config, &database, SocketAddr::from(([127, 0, 0, 1], 0)))?;
    match what {
        BenchQueue::Load {
            count,
            millis,
            effects,
        } => load(&app, count, millis, effects).await?,
        BenchQueue::Drain { count } => drain(&app, &database, count).await?,
        BenchQueue::Latency { rate, secs } => latency(&app, &database, rate, secs).await?,
    }
    database.close().await;
    Ok(ExitCode::SUCCESS)
}

/// What the handlers are given.
#[derive(Clone)]
struct Bench {
    app: App,
    http: reqwest::Client,
    began: Instant,
    ran: Arc<AtomicU64>,
    /// Milliseconds from before the insert to the handler's start.
    latencies: Arc<Mutex<Vec<f64>>>,
}

#[derive(Serialize, Deserialize)]
struct Nothing {}

#[derive(Serialize, Deserialize)]
struct Sleep {
    millis: u64,
}

#[derive(Serialize, Deserialize)]
struct Timed {
    /// Since this process began.
    sent_micros: u64,
}

#[derive(Serialize, Deserialize)]
struct OneEffect {
    on: Url,
}

impl AsRef<App> for Bench {
    fn as_ref(&self) -> &App {
        &self.app
    }
}

impl Payload for Nothing {
    const KIND: &'static str = "bench_nothing";
}

impl Payload for Sleep {
    const KIND: &'static str = "bench_sleep";
}

impl Payload for Timed {
    const KIND: &'static str = "bench_timed";
}

impl Payload for OneEffect {
    const KIND: &'static str = "bench_effect";
    // Each `kill -9` spends one.
    const MAX_ATTEMPTS: i32 = 25;
}

impl Handler<Bench> for Nothing {
    async fn run(self, context: Context<Bench>) -> Result<Value, Failure> {
        context.app.ran.fetch_add(1, Ordering::Relaxed);
        Ok(Value::Null)
    }
}

impl Handler<Bench> for Sleep {
    async fn run(self, context: Context<Bench>) -> Result<Value, Failure> {
        tokio::time::sleep(Duration::from_millis(self.millis)).await;
        context.app.ran.fetch_add(1, Ordering::Relaxed);
        Ok(Value::Null)
    }
}

impl Handler<Bench> for Timed {
    async fn run(self, context: Context<Bench>) -> Result<Value, Failure> {
        let sent = Duration::from_micros(self.sent_micros);
        let waited = context.app.began.elapsed().saturating_sub(sent);
        context
            .app
            .latencies
            .lock()
            .await
            .push(waited.as_secs_f64() * 1000.0);
        Ok(Value::Null)
    }
}

impl Handler<Bench> for OneEffect {
    async fn run(self, context: Context<Bench>) -> Result<Value, Failure> {
        let outcome = effects::perform(&context, "once", &Counted { on: self.on }, &()).await?;
        context.app.ran.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Done(result) => Ok(result),
            Outcome::Failed(why) | Outcome::Unknown(why) => Err(Failure::Fail(anyhow!(why))),
        }
    }
}

/// An effect on a server that counts: it doesn't refuse a second one, so only we can prevent it.
#[derive(Serialize, Deserialize)]
struct Counted {
    on: Url,
}

impl Outward<Bench> for Counted {
    const ACTION: &'static str = "bench_count";

    async fn send(&self, with: &Bench, key: &str, _: &mut Notes) -> Result<Value, SendError> {
        let maybe = |error: reqwest::Error| SendError::Maybe(error.without_url().into());
        let sent = with
            .http
            .post(self.on.clone())
            .json(&json!({"key": key}))
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(maybe)?;
        sent.json().await.map_err(maybe)
    }

    async fn find(&self, with: &Bench, key: &str, _: &Notes) -> anyhow::Result<Found> {
        let mut url = self.on.clone();
        url.query_pairs_mut().append_pair("key", key);
        let reply = with.http.get(url).send().await?;
        if reply.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(Found::NotDone);
        }
        Ok(Found::Done(reply.error_for_status()?.json().await?))
    }
}

async fn users(app: &App) -> anyhow::Result<Vec<UserScope>> {
    let mut users = Vec::new();
    for number in 0..USERS {
        let address = format!("bench-{number}@example.com");
        users.push(identity::demo_advisor(&app.pool, &app.clock, &address).await?);
    }
    Ok(users)
}

async fn load(
    app: &App,
    count: u64,
    millis: Option<u64>,
    effects: Option<Url>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let users = users(app).await?;
    let mut left = count;
    let mut turn = users.iter().cycle();
    while let (Some(scope), 1..) = (turn.next(), left) {
        let batch = left.min(BATCH).min(count.div_ceil(USERS));
        let mut tx = scope.begin(&app.pool).await?;
        match (&effects, millis) {
            (Some(on), _) => {
                let tasks: Vec<_> = (0..batch).map(|_| OneEffect { on: on.clone() }).collect();
                app.tasks.enqueue_all(&mut tx, &tasks).await?;
            }
            (None, Some(millis)) => {
                let tasks: Vec<_> = (0..batch).map(|_| Sleep { millis }).collect();
                app.tasks.enqueue_all(&mut tx, &tasks).await?;
            }
            (None, None) => {
                let tasks: Vec<_> = (0..batch).map(|_| Nothing {}).collect();
                app.tasks.enqueue_all(&mut tx, &tasks).await?;
            }
        }
        tx.commit().await?;
        left -= batch;
    }
    println!(
        "RESULT {}",
        json!({"n": count, "secs": began.elapsed().as_secs_f64()})
    );
    Ok(())
}

/// Starts a worker of this command's kinds, and what its handlers are given.
fn work(app: &App, database: &Database) -> anyhow::Result<(Bench, Queue, CancellationToken)> {
    let bench = Bench {
        app: app.clone(),
        http: providers::http::client()?,
        began: Instant::now(),
        ran: Arc::default(),
        latencies: Arc::default(),
    };
    let registry = Registry::default()
        .with::<Nothing>()
        .with::<Sleep>()
        .with::<Timed>()
        .with::<OneEffect>();
    let settings = app::worker_settings(app, database);
    let queue = settings.queue.clone();
    let stop = CancellationToken::new();
    app.background.spawn(
        Worker::new(settings, registry, bench.clone()).run(stop.clone(), Duration::from_secs(5)),
    );
    app.background.close();
    Ok((bench, queue, stop))
}

async fn drain(app: &App, database: &Database, count: u64) -> anyhow::Result<()> {
    let (bench, queue, stop) = work(app, database)?;
    let mut answered = Instant::now();
    let mut seen = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        // Asking while there is work would be work for the database.
        let ran = bench.ran.load(Ordering::Relaxed);
        if std::mem::replace(&mut seen, ran) != ran {
            continue;
        }
        match queue.is_drained().await {
            Ok(true) => break,
            Ok(false) => answered = Instant::now(),
            // The database may be away for a while: that is one of the things to be tried.
            Err(error) if answered.elapsed() > DATABASE_AWAY => return Err(error.into()),
            Err(_) => {}
        }
    }
    let secs = bench.began.elapsed().as_secs_f64();
    let ran = bench.ran.load(Ordering::Relaxed);
    stop.cancel();
    app.background.wait().await;
    println!("RESULT {}", json!({"n": count, "ran": ran, "secs": secs}));
    Ok(())
}

async fn latency(app: &App, database: &Database, rate: u32, secs: u32) -> anyhow::Result<()> {
    let users = users(app).await?;
    let (bench, queue, stop) = work(app, database)?;
    // Idle: joined, listening, with warm connections.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    let sent = rate * secs;
    for scope in users.iter().cycle().take(sent as usize) {
        ticks.tick().await;
        let sent_micros = u64::try_from(bench.began.elapsed().as_micros())?;
        let mut tx = scope.begin(&app.pool).await?;
        app.tasks
            .enqueue(&mut tx, &Timed { sent_micros }, Enqueue::default())
            .await?;
        tx.commit().await?;
        app.tasks.wake();
    }
    while !queue.is_drained().await? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    app.background.wait().await;
    let mut latencies = bench.latencies.lock().await.clone();
    latencies.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list of thousands"
        )]
        let place = ((latencies.len().saturating_sub(1)) as f64 * share).round() as usize;
        latencies.get(place).copied()
    };
    println!(
        "RESULT {}",
        json!({"sent": sent, "ran": latencies.len(), "p50": at(0.5), "p99": at(0.99), "max": at(1.0)})
    );
    Ok(())
}
