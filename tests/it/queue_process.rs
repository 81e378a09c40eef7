//! Real worker processes that are killed, frozen and cut off from their database, with tasks that each
//! have one effect on a server that counts and refuses nothing: only the queue and the outbox stand
//! between a crash and a second effect.
//!
//! The sizes are those of a quick run; `QUEUE_TASKS`, `QUEUE_KILLS` and `QUEUE_AWAY_SECS` raise them.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use paraplanner::db::server::{Durability, Lifetime, Options, Server};
use paraplanner::failpoint;
use paraplanner::http::Json;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::server::TestDatabase;
use crate::world::eventually;

const LOCK_SECS: u64 = 3;

fn size(name: &str, otherwise: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// The outside world: counts what is done to it, by key.
#[derive(Clone, Default)]
struct Outside {
    done: Arc<Mutex<HashMap<String, usize>>>,
    /// Effects happen, but nobody is answered.
    silent: Arc<AtomicBool>,
}

impl Outside {
    async fn start(&self) -> (Url, AbortOnDropHandle<()>) {
        let routes = Router::new()
            .route("/effects", get(look).post(count))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/effects", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (url.parse().unwrap(), AbortOnDropHandle::new(serving))
    }

    fn keys(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    #[track_caller]
    fn assert_each_once(&self, keys: usize) {
        let done = self.done.lock().unwrap();
        let doubles = done.values().filter(|times| **times > 1).count();
        assert_eq!((done.len(), doubles), (keys, 0), "effects and doubles");
    }
}

async fn count(State(outside): State<Outside>, Json(body): Json<Value>) -> Json<Value> {
    let key = body["key"].as_str().unwrap().to_owned();
    *outside.done.lock().unwrap().entry(key).or_default() += 1;
    if outside.silent.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    Json(json!({"done": true}))
}

async fn look(
    State(outside): State<Outside>,
    uri: axum::http::Uri,
) -> Result<Json<Value>, StatusCode> {
    let key = uri.query().and_then(|query| query.strip_prefix("key="));
    let key = key.ok_or(StatusCode::BAD_REQUEST)?;
    if outside.done.lock().unwrap().contains_key(key) {
        Ok(Json(json!({"done": true})))
    } else {
        Err(StatusCode::NOT_FOUND)
    }
}

fn bench_queue(database: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paraplanner"));
    command
        .arg("bench-queue")
        .args(arguments)
        .env("DATABASE_URL", database)
        .env("DATABASE_MAX_CONNECTIONS", "12")
        .env("WORKER_LOCK_TIMEOUT", LOCK_SECS.to_string())
        .env("WORKER_POLL_INTERVAL", "1")
        .env("LOG_LEVEL", "error")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// What a `RESULT` line says.
fn result(output: &[u8]) -> Value {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no result: {text}"))).unwrap()
}

async fn load(database: &str, arguments: &[&str]) {
    let mut command = bench_queue(database, &[&["load"], arguments].concat());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert!(output.status.success());
}

/// A worker process; killed when dropped.
struct Drain(Child);

impl Drain {
    fn start(database: &str, tasks: usize, fail_points: Option<&str>) -> Self {
        let mut command = bench_queue(database, &["drain", &tasks.to_string()]);
        if let Some(fail_points) = fail_points {
            command.env("FAIL_POINTS", fail_points);
        }
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    async fn result(mut self) -> Value {
        let status = eventually("the queue is drained", async || self.0.try_wait().unwrap()).await;
        assert!(status.success(), "{status}");
        let mut said = Vec::new();
        std::io::Read::read_to_end(self.0.stdout.as_mut().unwrap(), &mut said).unwrap();
        result(&said)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tasks by state, ended or not, and effects by state.
async fn states(database: &str) -> (Vec<(i16, i64)>, Vec<(String, i64)>) {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let tasks = sqlx::query_as(
        "select state, count(*) from (select state from tasks union all select state from ended_tasks) as t
        group by state",
    );
    let effects = sqlx::query_as("select state, count(*) from effects group by state");
    (
        tasks.fetch_all(&mut connection).await.unwrap(),
        effects.fetch_all(&mut connection).await.unwrap(),
    )
}

async fn assert_all_done(database: &str, tasks: usize) {
    let count = i64::try_from(tasks).unwrap();
    assert_eq!(
        states(database).await,
        (vec![(4, count)], vec![("done".to_owned(), count)])
    );
}

#[tokio::test]
async fn a_storm_of_kills_neither_loses_nor_doubles_an_effect() {
    let (tasks, kills) = (size("QUEUE_TASKS", 600), size("QUEUE_KILLS", 21));
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let outside = Outside::default();
    let (url, _serving) = outside.start().await;
    let test_database = TestDatabase::create().await;
    let database = test_database.url().to_string();
    load(&database, &[&tasks.to_string(), "--effects", url.as_str()]).await;

    let mut drains: Vec<Drain> = Vec::new();
    for kill in 0..kills {
        // Every place in turn, and between them kills at any instruction.
        let place = failpoint::NAMES.get(kill / 2 % failpoint::NAMES.len());
        let fail_points = place
            .filter(|_| kill % 2 == 0)
            .map(|name| format!("{name}={}", random.random_range(1..30)));
        drains.push(Drain::start(&database, tasks, fail_points.as_deref()));
        tokio::time::sleep(Duration::from_millis(random.random_range(50..700))).await;
        if drains.len() > 2 {
            let victim = random.random_range(0..drains.len());
            drop(drains.swap_remove(victim));
        }
        if states(&database)
            .await
            .0
            .iter()
            .all(|(state, _)| *state > 3)
        {
            println!("drained after {kill} of {kills} kills");
            break;
        }
    }
    drains.clear();
    let left = tasks - outside.keys().min(tasks);
    let began = Instant::now();
    Drain::start(&database, tasks, None).result().await;
    outside.assert_each_once(tasks);
    assert_all_done(&database, tasks).await;
    // What the last kill left is taken over when its lease ends; the rest of the time is work, and the
    // pause of tasks that were killed more than once.
    let limit = Duration::from_secs(2 * LOCK_SECS + 20)
        + Duration::from_millis(20) * u32::try_from(left).unwrap();
    assert!(began.elapsed() < limit, "stuck for {:?}", began.elapsed());
}

#[tokio::test]
async fn a_frozen_worker_that_thaws_does_nothing_a_second_time() {
    let tasks = 40;
    let outside = Outside::default();
    let (url, _serving) = outside.start().await;
    let test_database = TestDatabase::create().await;
    let database = test_database.url().to_string();
    load(&database, &[&tasks.to_string(), "--effects", url.as_str()]).await;

    outside.silent.store(true, Ordering::Relaxed);
    let frozen = Drain::start(&database, tasks, None);
    eventually("it has begun", async || (outside.keys() >= 5).then_some(())).await;
    frozen.signal(Signal::STOP);
    outside.silent.store(false, Ordering::Relaxed);
    // Takes over when the lease has run out.
    Drain::start(&database, tasks, None).result().await;
    outside.assert_each_once(tasks);
    frozen.signal(Signal::CONT);
    frozen.result().await;
    outside.assert_each_once(tasks);
    assert_all_done(&database, tasks).await;
}

#[tokio::test]
async fn a_task_longer_than_the_lock_runs_once_while_its_worker_lives() {
    let test_database = TestDatabase::create().await;
    let database = test_database.url().to_string();
    let millis = (LOCK_SECS * 5 * 1000).to_string();
    load(&database, &["1", "--millis", &millis]).await;
    let drains = [
        Drain::start(&database, 1, None),
        Drain::start(&database, 1, None),
    ];
    let mut ran = 0;
    for drain in drains {
        ran += drain.result().await["ran"].as_u64().unwrap();
    }
    assert_eq!(ran, 1);
    let mut connection = PgConnection::connect(&database).await.unwrap();
    let attempts: Vec<(i32, i32)> = sqlx::query_as("select attempts, fence from ended_tasks")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(attempts, [(1, 1)]);
}

#[tokio::test]
async fn three_instances_share_the_work_evenly_and_do_each_task_once() {
    let tasks = size("QUEUE_TASKS", 6000);
    let test_database = TestDatabase::create().await;
    let database = test_database.url().to_string();
    load(&database, &[&tasks.to_string(), "--millis", "10"]).await;
    let drains: Vec<Drain> = (0..3)
        .map(|_| Drain::start(&database, tasks, None))
        .collect();
    let mut shares = Vec::new();
    for drain in drains {
        shares.push(drain.result().await["ran"].as_u64().unwrap());
    }
    println!("shares {shares:?}");
    let tasks = tasks as u64;
    assert_eq!(shares.iter().sum::<u64>(), tasks);
    for share in &shares {
        assert!(
            share * 3 > tasks * 8 / 10 && share * 3 < tasks * 12 / 10,
            "{shares:?}"
        );
    }
}

/// A Postgres that can be killed, behind an address that stays.
struct Unreliable {
    folder: TempDir,
    port: Arc<Mutex<u16>>,
    server: Option<Server>,
    url: Url,
    _forwarding: AbortOnDropHandle<()>,
}

impl Unreliable {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        // Postgres runs under an account of its own when we are root.
        std::fs::set_permissions(
            folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let server = Server::start(&options(folder.path())).await.unwrap();
        let mut url: Url = server.url().expose().parse().unwrap();
        let port = Arc::new(Mutex::new(url.port().unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let forwarding = tokio::spawn(forward(listener, Arc::clone(&port)));
        Self {
            folder,
            port,
            server: Some(server),
            url,
            _forwarding: AbortOnDropHandle::new(forwarding),
        }
    }

    /// As a power cut: no checkpoint, no farewell.
    async fn kill(&mut self) {
        let file = self.folder.path().join("postgres/postmaster.pid");
        let pid = std::fs::read_to_string(file).unwrap();
        let pid = pid.lines().next().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::QUIT).unwrap();
        let _ = self.server.take().unwrap().stop().await;
    }

    async fn revive(&mut self) {
        let server = Server::start(&options(self.folder.path())).await.unwrap();
        let url: Url = server.url().expose().parse().unwrap();
        *self.port.lock().unwrap() = url.port().unwrap();
        self.server = Some(server);
    }
}

fn options(folder: &Path) -> Options {
    Options {
        data_dir: folder.to_owned(),
        durability: Durability::Full,
        lifetime: Lifetime::default(),
        max_connections: 60,
    }
}

async fn forward(listener: TcpListener, port: Arc<Mutex<u16>>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let port = *port.lock().unwrap();
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

#[tokio::test]
async fn a_database_that_is_killed_under_load_loses_nothing() {
    let tasks = size("QUEUE_TASKS", 3000);
    let away = Duration::from_secs(size("QUEUE_AWAY_SECS", 4) as u64);
    let outside = Outside::default();
    let (url, _serving) = outside.start().await;
    let mut database = Unreliable::start().await;
    let address = database.url.to_string();
    load(&address, &[&tasks.to_string(), "--effects", url.as_str()]).await;
    let drain = Drain::start(&address, tasks, None);
    eventually("it is at work", async || {
        (outside.keys() > tasks / 10).then_some(())
    })
    .await;
    database.kill().await;
    tokio::time::sleep(away).await;
    let before = outside.keys();
    assert!(before < tasks, "there is work left");
    database.revive().await;
    let back = Instant::now();
    eventually("it goes on", async || {
        (outside.keys() > before).then_some(())
    })
    .await;
    assert!(
        back.elapsed() < Duration::from_secs(10),
        "{:?}",
        back.elapsed()
    );
    drain.result().await;
    outside.assert_each_once(tasks);
    assert_all_done(&address, tasks).await;
}
