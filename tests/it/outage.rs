//! A database that crashes without a word and comes back on another port, behind a proxy that stands
//! for its address.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use paraplanner::db::server::{Durability, Lifetime, Options, Server};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::world::eventually;

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

/// A server of the test's own, and the way to it.
pub struct Outage {
    _folder: TempDir,
    options: Options,
    postgres: Option<Server>,
    proxy: Proxy,
    url: Url,
}

impl Outage {
    pub async fn prepare() -> Self {
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
        let mut url: Url = postgres.url().expose().parse().unwrap();
        proxy.lead_to(url.port());
        url.set_port(Some(proxy.address.port())).unwrap();
        Self {
            _folder: folder,
            options,
            postgres: Some(postgres),
            proxy,
            url,
        }
    }

    /// Where the database is, whenever it is anywhere.
    pub fn url(&self) -> Url {
        self.url.clone()
    }

    /// SIGQUIT to the postmaster: "immediate", without a checkpoint or a word to the clients.
    pub async fn crash(&mut self) {
        let pidfile = self.options.data_dir.join("postgres/postmaster.pid");
        let file = std::fs::read_to_string(pidfile).unwrap();
        let pid = Pid::from_raw(file.lines().next().unwrap().parse().unwrap()).unwrap();
        let postgres = self.postgres.take().unwrap();
        let url: Url = postgres.url().expose().parse().unwrap();
        kill_process(pid, Signal::QUIT).unwrap();
        eventually("the database is gone", async || {
            TcpStream::connect(("127.0.0.1", url.port().unwrap()))
                .await
                .err()
        })
        .await;
        self.proxy.lead_to(None);
    }

    pub async fn come_back(&mut self) {
        let postgres = Server::start(&self.options).await.unwrap();
        let url: Url = postgres.url().expose().parse().unwrap();
        self.proxy.lead_to(url.port());
        self.postgres = Some(postgres);
    }

    pub async fn end(mut self) {
        self.postgres.take().unwrap().stop().await.unwrap();
    }
}
