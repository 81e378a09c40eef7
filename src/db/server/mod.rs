//! The Postgres that the program starts by itself when `DATABASE_URL` names none.
//!
//! Promises: one owner per data directory; the server ends with its owner, even when that is killed, and
//! loses nothing that was committed; it listens on the loopback address alone and wants a password; as
//! root it runs under another account. May not know: what is in the database, and who asks for it.
//!
//! In the data directory: `lock`, `postgres/` (the cluster), `postgres.password`, `postgres.log` and
//! `postgres.log.last`; `postgres.location` if the cluster and the lock had to go elsewhere.
//! Begin with [`Server::start`]; [`attach`] is for a second process.

mod account;
mod cluster;
mod error;
mod fetch;
mod files;
mod installation;
mod lock;
mod postmaster;
mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::{Instant, sleep};

use self::account::Account;
use self::cluster::{Place, ROLE};
use self::installation::Installation;
use self::lock::Lock;
use self::postmaster::{POLL, Postmaster};
use self::process::Process;
use crate::secret::Secret;

pub use self::error::Error;

/// How long [`attach`] waits for a server that is just starting.
const ATTACH_LIMIT: Duration = Duration::from_secs(10);

/// Connections beside the pool's: the queue's, listeners, commands and a second instance beside the
/// program, PostgreSQL's reserve.
const SPARE_CONNECTIONS: u16 = 80;

/// What a crash of the machine may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    #[default]
    Full,
    /// Everything: for tests, which it makes faster.
    Off,
}

/// How long the server runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the [`Server`] is stopped or dropped, or this process ends.
    #[default]
    ThisProcess,
    /// Until the process with this id ends, though the starting one is gone: for a test run's set-up.
    WhileProcessLives(u32),
}

/// How to run a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Made if it isn't there.
    pub data_dir: PathBuf,
    pub durability: Durability,
    pub lifetime: Lifetime,
    /// Of the server, all clients together.
    pub max_connections: u16,
}

impl Options {
    /// The options of the product: durable, for this process, with room beside a pool of this size.
    pub fn for_data_dir(data_dir: PathBuf, pool_connections: u32) -> Self {
        let pool = u16::try_from(pool_connections).unwrap_or(u16::MAX);
        Self {
            data_dir,
            durability: Durability::default(),
            lifetime: Lifetime::default(),
            max_connections: pool.saturating_add(SPARE_CONNECTIONS),
        }
    }
}

/// A running server and the lock on its data directory. Dropped, it stops by itself a moment later;
/// [`Server::stop`] waits for that.
pub struct Server {
    url: Secret<String>,
    process: Process,
    lock: Lock,
}

impl Server {
    /// Starts a server on the data directory, with a new cluster if it has none.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let began = Instant::now();
        let place = Place::prepare(&options.data_dir).await?;
        let lock = Lock::take(&place.root, &place.data_dir).await?;
        let cluster = place.cluster();
        let account = Account::of_cluster(&cluster).map_err(Error::file("reading", &cluster))?;
        let made_by = place.made_by()?;
        let installation = Installation::find(account, &cluster, made_by).await?;
        if made_by.is_none() {
            let sync = options.durability == Durability::Full;
            place.make_cluster(&installation, account, sync).await?;
        }
        let password = place.password()?;
        postmaster::stop_orphan(&cluster).await?;
        let process = Process::start(options, &installation, account, &place, &lock).await?;
        let server = Self {
            url: url(&password, process.port),
            process,
            lock,
        };
        if let Err(error) = greet(&password, server.process.port).await {
            server.stop().await?;
            return Err(Error::Refused(error));
        }
        tracing::info!(
            cluster = %cluster.display(),
            version = installation.major,
            took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "the embedded database runs"
        );
        Ok(server)
    }

    /// The superuser's URL. It holds the password.
    pub const fn url(&self) -> &Secret<String> {
        &self.url
    }

    /// Shuts down: sessions are ended, what was committed is kept. Immediately after 10 seconds, which
    /// is [`Error::StoppedHard`] and costs a recovery at the next start, but no data.
    pub async fn stop(self) -> Result<(), Error> {
        let stopped = self.process.stop().await;
        // Explicitly, because a watchdog's leftovers could hold a duplicate for a moment.
        if let Err(error) = self.lock.free() {
            tracing::warn!(%error, "could not free the lock on the data directory");
        }
        stopped
    }
}

/// The superuser's URL of the server that another process runs on this data directory; `None` when
/// there is none. Waits for one that is starting.
pub async fn attach(data_dir: &Path) -> Result<Option<Secret<String>>, Error> {
    let deadline = Instant::now() + ATTACH_LIMIT;
    while let Some(place) = owned_place(data_dir)? {
        let cluster = place.cluster();
        if let Some(found) = Postmaster::read(&cluster).filter(|found| found.ready)
            && found.runs(&cluster).await
        {
            let password = place.password()?;
            if greet(&password, found.port).await.is_ok() {
                return Ok(Some(url(&password, found.port)));
            }
        }
        if Instant::now() > deadline {
            return Err(Error::NotReady);
        }
        sleep(POLL).await;
    }
    Ok(None)
}

/// Where the cluster lies, if somebody holds its lock.
fn owned_place(data_dir: &Path) -> Result<Option<Place>, Error> {
    let Some(place) = Place::find(data_dir)? else {
        return Ok(None);
    };
    Ok(lock::is_held(&place.root)?.then_some(place))
}

/// The password has hexadecimal digits only, so nothing is to be escaped.
fn url(password: &Secret<String>, port: u16) -> Secret<String> {
    Secret::new(format!(
        "postgres://{ROLE}:{}@127.0.0.1:{port}/{ROLE}?sslmode=disable",
        password.expose()
    ))
}

/// Connects once, so that a wrong password or a stranger on the port shows here.
async fn greet(password: &Secret<String>, port: u16) -> Result<(), sqlx::Error> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(ROLE)
        .password(password.expose())
        .database(ROLE)
        .ssl_mode(sqlx::postgres::PgSslMode::Disable);
    options.connect().await?.close().await
}
