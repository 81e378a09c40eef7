//! `paraplanner bench-queue` as processes that a test may kill and freeze, what is left of their tasks
//! in the database, and the server on which those tasks have their effects.

use std::collections::HashMap;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::post;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use url::Url;

/// The smallest allowed, in seconds.
const LOCK_SECS: u16 = 3;
pub const LOCK: Duration = Duration::from_secs(LOCK_SECS as u64);

/// A size that can be raised by hand: `QUEUE_TASKS=10000 cargo test …`.
pub fn size(name: &str, usual: usize) -> usize {
    std::env::var(name)
        .ok()
        .map_or(usual, |text| text.parse().unwrap())
}

/// The command on one database.
pub struct Bench {
    pub database: Url,
}

impl Bench {
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paraplanner"));
        command
            // Away from anybody's .env.
            .current_dir(std::env::temp_dir())
            .arg("bench-queue")
            .env("DATABASE_URL", self.database.as_str())
            .env("DATABASE_MAX_CONNECTIONS", "10")
            .env("WORKER_LOCK_TIMEOUT", LOCK_SECS.to_string())
            .env("WORKER_MAX_CONCURRENT", "10")
            .env_remove("FAIL_POINTS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub async fn load(&self, count: usize, how: &[&str]) {
        let ended = self
            .command()
            .args(["load", &count.to_string()])
            .args(how)
            .stderr(Stdio::piped())
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
    }

    /// Starts a process that works until nothing is left.
    pub fn drain(&self, count: usize) -> Drain {
        self.drain_until(count, None)
    }

    /// One that ends itself at this passing of a named place.
    pub fn drain_until(&self, count: usize, fail_point: Option<(&str, u32)>) -> Drain {
        let mut command = self.command();
        command.args(["drain", &count.to_string()]);
        if let Some((name, passing)) = fail_point {
            command.env("FAIL_POINTS", format!("{name}={passing}"));
        }
        Drain {
            child: command.spawn().unwrap(),
        }
    }

    pub async fn look(&self) -> Look {
        Look {
            connection: PgConnection::connect(self.database.as_str()).await.unwrap(),
        }
    }
}

/// A process that works. Killed when dropped.
pub struct Drain {
    child: Child,
}

impl Drain {
    pub fn signal(&self, signal: Signal) {
        // It has not been waited for, so the id is still its own.
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end, which must be a success; returns how many tasks ran in it.
    pub async fn ran(self) -> u64 {
        let ended = self.child.wait_with_output().await.unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        assert!(ended.status.success(), "{}: {said}", ended.status);
        let Some(result) = said.lines().find_map(|line| line.strip_prefix("RESULT ")) else {
            panic!("no result: {said}");
        };
        let result: Value = serde_json::from_str(result).unwrap();
        result["ran"].as_u64().unwrap()
    }
}

/// A look behind the program's back, with the rights of a superuser.
pub struct Look {
    pub connection: PgConnection,
}

impl Look {
    pub async fn count(&mut self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.connection)
            .await
            .unwrap()
    }

    /// Instances whose lease holds.
    pub async fn instances(&mut self) -> i64 {
        self.count("select count(*) from instances where lease_until > now()")
            .await
    }

    /// For how long the task that waits the longest could have been taken up and wasn't: since the lease
    /// of whoever had it ended, or since it was due again.
    pub async fn overdue(&mut self) -> Duration {
        let secs: f64 = sqlx::query_scalar(
            "select coalesce(extract(epoch from max(now() - since)), 0)::float8
            from (
                select coalesce(lease_until, started_at) as since
                from tasks
                left join instances on instances.id = instance_id
                where state = 2
                union all
                select run_at from tasks where state = 0
            ) as held",
        )
        .fetch_one(&mut self.connection)
        .await
        .unwrap();
        Duration::try_from_secs_f64(secs).unwrap_or_default()
    }

    /// Every one of `count` tasks has ended well, and none is left.
    pub async fn all_done(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap();
        let left = self
            .count("select count(*) from tasks where user_id is not null")
            .await;
        let ended = self.count("select count(*) from ended_tasks").await;
        let done = self
            .count("select count(distinct id) from ended_tasks where state = 4")
            .await;
        assert_eq!((left, ended, done), (0, count, count));
    }

    /// And so have their effects.
    pub async fn all_effects_done(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap();
        let effects = self.count("select count(*) from effects").await;
        let done = self
            .count("select count(*) from effects where state = 'done'")
            .await;
        assert_eq!((effects, done), (count, count));
    }

    /// Attempts beyond the first of each task.
    pub async fn repeated(&mut self) -> i64 {
        self.count("select coalesce(sum(attempts - 1), 0)::bigint from ended_tasks")
            .await
    }
}

/// Counts what is done on it and refuses nothing, so that each key is as often as it was sent.
pub struct EffectServer {
    pub url: String,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

struct Shared {
    record: Mutex<Record>,
    /// While true, what is posted is done but not answered.
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct Record {
    done: HashMap<String, usize>,
    total: usize,
    found: usize,
}

impl EffectServer {
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            record: Mutex::default(),
            held: watch::Sender::new(false),
        });
        let router = Router::new()
            .route("/effects", post(act).get(find))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/effects", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            shared,
            server,
        }
    }

    pub fn hold(&self, held: bool) {
        self.shared.held.send_replace(held);
    }

    /// Effects, doubles included.
    pub fn total(&self) -> usize {
        self.shared.record.lock().unwrap().total
    }

    /// Effects that were asked for by somebody who didn't know whether they had happened, and had.
    pub fn found(&self) -> usize {
        self.shared.record.lock().unwrap().found
    }

    /// `count` effects, none of them twice.
    #[track_caller]
    pub fn each_once(&self, count: usize) {
        let record = self.shared.record.lock().unwrap();
        let doubles: Vec<_> = record
            .done
            .iter()
            .filter(|(_, times)| **times > 1)
            .collect();
        assert!(doubles.is_empty(), "done more than once: {doubles:?}");
        assert_eq!(record.done.len(), count);
    }
}

impl Drop for EffectServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn act(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<String, StatusCode> {
    let body: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let key = body["key"].as_str().ok_or(StatusCode::BAD_REQUEST)?;
    let total = {
        let mut record = shared.record.lock().unwrap();
        *record.done.entry(key.to_owned()).or_default() += 1;
        record.total += 1;
        record.total
    };
    let mut held = shared.held.subscribe();
    // The sender is in `shared`.
    let _ = held.wait_for(|held| !held).await;
    Ok(json!({"n": total}).to_string())
}

async fn find(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<String, StatusCode> {
    let query = uri.query().unwrap_or_default();
    let key = url::form_urlencoded::parse(query.as_bytes())
        .find_map(|(name, value)| (name == "key").then_some(value))
        .ok_or(StatusCode::BAD_REQUEST)?;
    let mut record = shared.record.lock().unwrap();
    let times = *record.done.get(key.as_ref()).ok_or(StatusCode::NOT_FOUND)?;
    record.found += 1;
    Ok(json!({"times": times}).to_string())
}
