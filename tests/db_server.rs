//! The server that the program starts by itself: real servers, real kills. Runs as root and as an
//! ordinary user; what differs is who owns the files.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unforeseen happens"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use paraplanner::db::server::{Durability, Error, Lifetime, Options, Server, attach};
use paraplanner::secret::Secret;
use sqlx::{Connection as _, Executor as _, PgConnection};

/// A data directory of one test, gone with it.
struct DataDir(PathBuf);

impl DataDir {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("paraplanner-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn options(&self) -> Options {
        Options {
            durability: Durability::Off,
            ..durable(&self.0)
        }
    }

    fn cluster(&self) -> PathBuf {
        self.0.join("postgres")
    }

    fn server_pid(&self) -> i32 {
        self.pid_file(0).parse().unwrap()
    }

    /// A line of PostgreSQL's own file.
    fn pid_file(&self, line: usize) -> String {
        let file = fs::read_to_string(self.cluster().join("postmaster.pid")).unwrap();
        file.lines().nth(line).unwrap().to_owned()
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn durable(data_dir: &Path) -> Options {
    Options {
        max_connections: 20,
        ..Options::for_data_dir(data_dir.to_owned(), 0)
    }
}

async fn connect(url: &Secret<String>) -> PgConnection {
    PgConnection::connect(url.expose()).await.unwrap()
}

async fn execute(url: &Secret<String>, sql: &'static str) {
    connect(url).await.execute(sql).await.unwrap();
}

async fn ask<T>(url: &Secret<String>, sql: &'static str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    let mut connection = connect(url).await;
    sqlx::query_scalar(sql)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

fn alive(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let zombie = fs::read(format!("/proc/{pid}/cmdline", pid = pid.as_raw_nonzero()))
        .is_ok_and(|line| line.is_empty());
    !zombie
        && !matches!(
            rustix::process::test_kill_process(pid),
            Err(rustix::io::Errno::SRCH)
        )
}

fn kill_hard(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

async fn until_dead(pid: i32) {
    let began = Instant::now();
    while alive(pid) {
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "process {pid} lingers"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Another process that owns a server: this test program, run again for [`the_owner`] alone.
struct Owner {
    child: Child,
    /// Open, so that the test program can end with its usual words.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Owner {
    fn start(data_dir: &DataDir, lifetime: Option<u32>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_owner", "--ignored", "--nocapture"])
            .env("OWNED_DATA_DIR", &data_dir.0)
            .env(
                "OWNED_LIFETIME",
                lifetime.map(|pid| pid.to_string()).unwrap_or_default(),
            )
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = output.any(|line| line.unwrap().contains("the server runs"));
        assert!(ready, "the owner has no server");
        Self {
            child,
            _output: output,
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
#[ignore = "run by the other tests, as a process of its own"]
async fn the_owner() {
    let data_dir = PathBuf::from(std::env::var_os("OWNED_DATA_DIR").unwrap());
    let lifetime = std::env::var_os("OWNED_LIFETIME").unwrap();
    let lifetime = lifetime
        .to_str()
        .and_then(|pid| pid.parse().ok())
        .map_or(Lifetime::ThisProcess, Lifetime::WhileProcessLives);
    let server = Server::start(&Options {
        lifetime,
        ..durable(&data_dir)
    })
    .await
    .unwrap();
    execute(server.url(), "create table if not exists notes (text text)").await;
    execute(server.url(), "insert into notes values ('committed')").await;
    println!("\nthe server runs");
    if lifetime == Lifetime::ThisProcess {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_first_start_makes_a_database_with_all_extensions() {
    let data_dir = DataDir::new("first");
    let server = Server::start(&durable(&data_dir.0)).await.unwrap();
    for statement in [
        "create extension vector",
        "create extension pg_trgm",
        "create extension unaccent",
    ] {
        execute(server.url(), statement).await;
    }
    assert_eq!(
        ask::<String>(server.url(), "show listen_addresses").await,
        "127.0.0.1"
    );
    assert_eq!(ask::<String>(server.url(), "show fsync").await, "on");
    assert_eq!(ask::<String>(server.url(), "show timezone").await, "UTC");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn letters_are_unicodes_and_order_is_bytewise() {
    let data_dir = DataDir::new("letters");
    let server = Server::start(&data_dir.options()).await.unwrap();
    let url = server.url();
    execute(url, "create extension pg_trgm").await;
    assert_eq!(ask::<String>(url, "select lower('ÄÖŁ')").await, "äöł");
    assert!(ask::<bool>(url, "select 'MÜLLER' ilike 'müller'").await);
    assert!(
        ask::<bool>(
            url,
            "select to_tsvector('simple', 'MÜLLER') @@ to_tsquery('simple', 'müller')"
        )
        .await
    );
    assert!((ask::<f32>(url, "select similarity('ÜÜ', 'üü')").await - 1.0).abs() < f32::EPSILON);
    assert!(ask::<bool>(url, "select 'Z' < 'a'").await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let data_dir = DataDir::new("private");
    let server = Server::start(&data_dir.options()).await.unwrap();
    let port = data_dir.pid_file(3);
    let guess = format!("postgres://postgres:guess@127.0.0.1:{port}/postgres");
    assert!(PgConnection::connect(&guess).await.is_err());
    for private in ["postgres.password", "postgres.log", "lock"] {
        let mode = fs::metadata(data_dir.0.join(private))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
    assert_eq!(
        fs::metadata(data_dir.cluster())
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_start_says_who_is_there_and_leaves_the_first_alone() {
    let data_dir = DataDir::new("second");
    let server = Server::start(&data_dir.options()).await.unwrap();
    let began = Instant::now();
    let refused = Server::start(&data_dir.options()).await.err().unwrap();
    assert!(began.elapsed() < Duration::from_millis(500));
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .starts_with("another paraplanner runs on the data directory /")
    );
    assert_eq!(ask::<i32>(server.url(), "select 1").await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_and_starting_keeps_the_data() {
    let data_dir = DataDir::new("again");
    let server = Server::start(&durable(&data_dir.0)).await.unwrap();
    execute(server.url(), "create table notes as select 7 as n").await;
    let mut open = connect(server.url()).await;
    open.execute("begin").await.unwrap();
    let pid = data_dir.server_pid();
    server.stop().await.unwrap();
    assert!(!alive(pid));

    let server = Server::start(&durable(&data_dir.0)).await.unwrap();
    assert_eq!(ask::<i32>(server.url(), "select n from notes").await, 7);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_server_stops_by_itself() {
    let data_dir = DataDir::new("dropped");
    let server = Server::start(&data_dir.options()).await.unwrap();
    let pid = data_dir.server_pid();
    drop(server);
    until_dead(pid).await;
}

#[tokio::test]
async fn a_killed_owner_takes_its_server_along_and_loses_nothing() {
    let data_dir = DataDir::new("killed");
    let owner = Owner::start(&data_dir, None);
    let pid = data_dir.server_pid();
    owner.kill();
    until_dead(pid).await;

    let server = Server::start(&durable(&data_dir.0)).await.unwrap();
    assert_eq!(
        ask::<String>(server.url(), "select text from notes").await,
        "committed"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_right_after_the_kill_does_not_wait_for_the_watchdog() {
    let data_dir = DataDir::new("orphan");
    for times in 1..=3 {
        Owner::start(&data_dir, None).kill();
        let server = Server::start(&durable(&data_dir.0)).await.unwrap();
        assert_eq!(
            ask::<i64>(server.url(), "select count(*) from notes").await,
            times
        );
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_server_recovers() {
    let data_dir = DataDir::new("crash");
    let server = Server::start(&durable(&data_dir.0)).await.unwrap();
    execute(server.url(), "create table notes as select 7 as n").await;
    let pid = data_dir.server_pid();
    kill_hard(pid);
    until_dead(pid).await;
    drop(server);

    let server = Server::start(&durable(&data_dir.0)).await.unwrap();
    assert_eq!(ask::<i32>(server.url(), "select n from notes").await, 7);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_pid_that_is_now_anothers_is_no_server() {
    let data_dir = DataDir::new("stale");
    let server = Server::start(&data_dir.options()).await.unwrap();
    let pid = data_dir.server_pid();
    kill_hard(pid);
    until_dead(pid).await;
    drop(server);
    let file = data_dir.cluster().join("postmaster.pid");
    let content = fs::read_to_string(&file).unwrap();
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    let stale = content.replacen(&pid.to_string(), &stranger.id().to_string(), 1);
    fs::write(&file, stale).unwrap();

    assert!(attach(&data_dir.0).await.unwrap().is_none());
    let server = Server::start(&data_dir.options()).await.unwrap();
    assert!(
        stranger.try_wait().unwrap().is_none(),
        "a stranger was killed"
    );
    server.stop().await.unwrap();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn another_process_attaches() {
    let data_dir = DataDir::new("attach");
    assert!(attach(&data_dir.0).await.unwrap().is_none());
    let owner = Owner::start(&data_dir, None);
    let url = attach(&data_dir.0).await.unwrap().unwrap();
    assert_eq!(
        ask::<String>(&url, "select text from notes").await,
        "committed"
    );
    let pid = data_dir.server_pid();
    owner.kill();
    assert!(attach(&data_dir.0).await.unwrap().is_none());
    until_dead(pid).await;
}

#[tokio::test]
async fn attaching_waits_for_a_server_that_is_starting() {
    let data_dir = DataDir::new("starting");
    let options = data_dir.options();
    let attaching = async {
        loop {
            if let Some(url) = attach(&data_dir.0).await.unwrap() {
                break url;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let (server, url) = tokio::join!(Server::start(&options), attaching);
    let server = server.unwrap();
    assert_eq!(server.url().expose(), url.expose());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_shared_server_lives_as_long_as_the_process_it_is_for() {
    let data_dir = DataDir::new("shared");
    let mut test_run = Command::new("sleep").arg("60").spawn().unwrap();
    let mut starter = Owner::start(&data_dir, Some(test_run.id()));
    assert!(starter.child.wait().unwrap().success());
    let pid = data_dir.server_pid();

    let url = attach(&data_dir.0).await.unwrap().unwrap();
    assert_eq!(
        ask::<String>(&url, "select text from notes").await,
        "committed"
    );
    let refused = Server::start(&data_dir.options()).await.err().unwrap();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");

    test_run.kill().unwrap();
    test_run.wait().unwrap();
    until_dead(pid).await;
}

#[tokio::test]
async fn a_cluster_half_made_is_made_anew() {
    let data_dir = DataDir::new("half");
    let unfinished = data_dir.0.join("postgres.new-0123456789abcdef");
    fs::create_dir_all(unfinished.join("cluster/base")).unwrap();
    fs::set_permissions(&data_dir.0, fs::Permissions::from_mode(0o711)).unwrap();
    fs::write(unfinished.join("cluster/PG_VERSION"), "18\n").unwrap();
    fs::write(data_dir.0.join("postgres.password"), "of the half-made one").unwrap();
    fs::create_dir(data_dir.cluster()).unwrap();

    let server = Server::start(&data_dir.options()).await.unwrap();
    assert_eq!(ask::<i32>(server.url(), "select 1").await, 1);
    assert!(!unfinished.exists());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_data_directory_closed_to_the_server_has_its_cluster_elsewhere() {
    if !rustix::process::geteuid().is_root() {
        return; // The server is then of our own account, and gets where we get.
    }
    let closed = DataDir::new("closed");
    fs::create_dir(&closed.0).unwrap();
    fs::set_permissions(&closed.0, fs::Permissions::from_mode(0o700)).unwrap();
    let data_dir = closed.0.join("data");
    for _ in ["first", "again"] {
        let server = Server::start(&durable(&data_dir)).await.unwrap();
        execute(server.url(), "create table if not exists notes (text text)").await;
        let url = attach(&data_dir).await.unwrap().unwrap();
        assert_eq!(url.expose(), server.url().expose());
        server.stop().await.unwrap();
    }
    assert!(!data_dir.join("postgres").exists());
    let elsewhere = fs::read_to_string(data_dir.join("postgres.location")).unwrap();
    assert!(Path::new(&elsewhere).join("postgres/PG_VERSION").exists());
    fs::remove_dir_all(elsewhere).unwrap();
}

#[tokio::test]
async fn foreign_and_future_clusters_are_refused_in_words() {
    let data_dir = DataDir::new("foreign");
    fs::create_dir_all(data_dir.cluster()).unwrap();
    fs::write(data_dir.cluster().join("notes.txt"), "mine").unwrap();
    let refused = Server::start(&data_dir.options()).await.err().unwrap();
    assert!(matches!(refused, Error::NotACluster { .. }), "{refused}");

    fs::write(data_dir.cluster().join("PG_VERSION"), "99\n").unwrap();
    let refused = Server::start(&data_dir.options()).await.err().unwrap();
    assert!(
        matches!(refused, Error::OtherMajor { made_by: 99, .. }),
        "{refused}"
    );
    assert_eq!(
        fs::read_to_string(data_dir.cluster().join("notes.txt")).unwrap(),
        "mine"
    );
}

#[tokio::test]
async fn what_postgres_says_of_a_failed_start_is_passed_on() {
    let data_dir = DataDir::new("broken");
    Server::start(&data_dir.options())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::write(
        data_dir.cluster().join("postgresql.auto.conf"),
        "no_such_setting = 1\n",
    )
    .unwrap();
    let failed = Server::start(&data_dir.options()).await.err().unwrap();
    assert!(failed.to_string().contains("no_such_setting"), "{failed}");
}

#[tokio::test]
async fn a_lost_password_is_named() {
    let data_dir = DataDir::new("password");
    Server::start(&data_dir.options())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::remove_file(data_dir.0.join("postgres.password")).unwrap();
    let refused = Server::start(&data_dir.options()).await.err().unwrap();
    assert!(matches!(refused, Error::NoPassword { .. }), "{refused}");
}
