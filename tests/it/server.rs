//! One Postgres for a whole run of tests: shared by threads under `cargo test` and by processes under
//! `cargo nextest run`. It ends with the runner, whose process id names its folder. Each test gets a
//! copy of a migrated template database.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use paraplanner::config::{Config, Source};
use paraplanner::db::Database;
use paraplanner::db::server::{self, Durability, Error, Lifetime, Options, Server};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use url::Url;

const TEMPLATE: &str = "template_it";
const TEMPLATE_LOCK: i64 = 0x7465_6d70;

/// The superuser's URL of the run's server.
fn admin_url() -> &'static Url {
    static URL: OnceLock<Url> = OnceLock::new();
    URL.get_or_init(|| {
        apart(async || {
            let url = start_or_attach().await;
            make_template(&url).await;
            url
        })
    })
}

/// Runs to its end on a thread and runtime of its own: tests' runtimes end with the first test.
fn apart<T: Send + 'static>(work: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work())
    })
    .join()
    .unwrap()
}

async fn start_or_attach() -> Url {
    let runner = std::os::unix::process::parent_id();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it");
    sweep(&folder);
    let options = Options {
        data_dir: folder.join(runner.to_string()),
        durability: Durability::Off,
        lifetime: Lifetime::WhileProcessLives(runner),
        max_connections: 300,
    };
    loop {
        if let Ok(Some(url)) = server::attach(&options.data_dir).await {
            return url.expose().parse().unwrap();
        }
        match Server::start(&options).await {
            Ok(server) => {
                let url = server.url().expose().parse().unwrap();
                // It belongs to the run, not to the test that came first.
                std::mem::forget(server);
                return url;
            }
            Err(Error::InUse { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("no database for the tests: {error}"),
        }
    }
}

/// Removes what earlier runs left.
fn sweep(folder: &Path) {
    let left: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let runner = path.file_name().unwrap_or_default();
            !Path::new("/proc").join(runner).exists() && Path::new("/proc/self").exists()
        })
        .collect();
    for path in left {
        let _ = std::fs::remove_dir_all(path);
    }
}

fn named(admin: &Url, database: &str) -> Url {
    let mut url = admin.clone();
    url.set_path(database);
    url
}

/// Made under another name first, so that half a template is never copied.
async fn make_template(admin: &Url) {
    let mut connection = PgConnection::connect(admin.as_str()).await.unwrap();
    sqlx::query("select pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut connection)
        .await
        .unwrap();
    let there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(TEMPLATE)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    if !there {
        connection
            .execute("create database making_it")
            .await
            .unwrap();
        let source = Source::of([(
            "DATABASE_URL".to_owned(),
            named(admin, "making_it").to_string(),
        )]);
        let settings = Config::read(&source).unwrap().database;
        Database::open(&settings).await.unwrap().close().await;
        connection
            .execute(AssertSqlSafe(format!(
                "alter database making_it rename to {TEMPLATE}"
            )))
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}

/// A database of one test; it goes with the run's server. Dropping it earlier would wait for sessions
/// that are still being opened.
pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    pub async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let admin = tokio::task::spawn_blocking(admin_url).await.unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t_{}_{count}", std::process::id());
        let mut connection = PgConnection::connect(admin.as_str()).await.unwrap();
        connection
            .execute(AssertSqlSafe(format!(
                "create database {name} template {TEMPLATE}"
            )))
            .await
            .unwrap();
        connection.close().await.unwrap();
        Self { name }
    }

    /// With the rights of a superuser.
    pub fn url(&self) -> Url {
        named(admin_url(), &self.name)
    }

    /// Tasks that failed, as `kind: error`.
    pub fn failed_tasks(&self) -> Vec<String> {
        let url = self.url();
        apart(async move || {
            let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
            sqlx::query_scalar(
                "select kind || ': ' || coalesce(last_error, '') from ended_tasks where state = 5",
            )
            .fetch_all(&mut connection)
            .await
            .unwrap()
        })
    }
}
