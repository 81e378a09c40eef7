//! The queue while Postgres is killed under it: a server of the test's own, which crashes without a
//! word and comes back on another port, behind a proxy that stands for its address.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paraplanner::db::server::{Durability, Lifetime, Options, Server};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::bench::{Bench, EffectServer, size};
use crate::world::eventually;

/// After which the worker must be back.
const BACK: Duration = Duration::from_secs(10);

/// Leads to wherever the database is; while it is nowhere, connections are closed at once.
struct Proxy {
    address: SocketAddr,
    target: Arc<Mutex<Option<u16>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target: Arc<Mutex<Option<u16>>> = Arc::default();
        let to = Arc::clone(&target);
        let accepting = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let Some(port) = *to.lock().unwrap() else {
                    continue;
                };
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self {
            address,
            target,
            accepting,
        }
    }

    fn lead_to(&self, port: Option<u16>) {
        *self.target.lock().unwrap() = port;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn url(server: &Server) -> Url {
    server.url().expose().parse().unwrap()
}

/// SIGQUIT to the postmaster: "immediate", without a checkpoint or a word to the clients.
async fn crash(data_dir: &Path, port: u16) {
    let file = std::fs::read_to_string(data_dir.join("postgres/postmaster.pid")).unwrap();
    let pid = Pid::from_raw(file.lines().next().unwrap().parse().unwrap()).unwrap();
    kill_process(pid, Signal::QUIT).unwrap();
    eventually("the database is gone", async || {
        TcpStream::connect(("127.0.0.1", port)).await.err()
    })
    .await;
}

#[tokio::test]
async fn a_database_that_crashes_under_load_and_returns_loses_nothing() {
    let tasks = size("QUEUE_OUTAGE_TASKS", 600);
    let away = Duration::from_secs(size("QUEUE_OUTAGE_SECS", 4) as u64);
    // The database's own account must get through to it.
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
    let options = Options {
        data_dir: folder.path().join("data"),
        durability: Durability::Full,
        lifetime: Lifetime::ThisProcess,
        max_connections: 60,
    };
    let postgres = Server::start(&options).await.unwrap();
    let proxy = Proxy::start().await;
    proxy.lead_to(url(&postgres).port());
    let mut database = url(&postgres);
    database.set_port(Some(proxy.address.port())).unwrap();
    let (bench, server) = (Bench { database }, EffectServer::start().await);
    bench.load(tasks, &["--effects", &server.url]).await;
    let drain = bench.drain(tasks);
    eventually("it is at work", async || {
        (server.total() > tasks / 4).then_some(())
    })
    .await;

    crash(&options.data_dir, url(&postgres).port().unwrap()).await;
    proxy.lead_to(None);
    drop(postgres);
    let before = server.total();
    assert!(before < tasks, "it was done before the crash");
    tokio::time::sleep(away).await;
    let postgres = Server::start(&options).await.unwrap();
    proxy.lead_to(url(&postgres).port());
    let back = Instant::now();
    // What was on its way may have arrived since; only the database lets a new one begin.
    let during = server.total();
    eventually("it goes on", async || {
        (server.total() > during).then_some(())
    })
    .await;
    let resumed = back.elapsed();

    drain.ran().await;
    println!(
        "{tasks} tasks, {before} before the crash, {during} when it was back after {away:?}; \
         resumed after {resumed:?}, ended after {:?}; {} effects found done",
        back.elapsed(),
        server.found(),
    );
    assert!(resumed <= BACK, "{resumed:?}");
    server.each_once(tasks);
    let mut look = bench.look().await;
    look.all_done(tasks).await;
    look.all_effects_done(tasks).await;
    drop(look);
    postgres.stop().await.unwrap();
}
