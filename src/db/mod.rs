//! The database: pools, the server that we start ourselves, migrations, and [`UserScope`].
//!
//! Promises: migrations are applied before anybody gets a pool, by one instance at a time; every
//! connection of the pools runs as the role `paraplanner_app`, which row-level security binds; user
//! data is touched only through [`Scoped`], which says whose. May not know: any table of a feature.
//! Begin with [`Database::open`].

mod pools;
mod scope;
pub mod server;
mod setup;

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgPool};

use pools::pool_of;
pub use pools::{PoolUse, Pools};
pub use scope::{Scoped, UserId, UserScope};

use crate::config;
use crate::secret::Secret;

/// A statement that takes longer is a mistake; imports and re-embedding work in batches far below it.
const STATEMENT_TIMEOUT: &str = "30s";

/// The plans of the queue's statements are pinned to its indexes: its tables fill and empty faster than
/// statistics follow, and a plan made for an empty table is a disaster on a full one.
const QUEUE_SESSION: &str = "set role paraplanner_app; set app.worker = 'on'; set enable_seqscan = off; \
    set enable_bitmapscan = off; set enable_hashjoin = off; set enable_mergejoin = off";

/// For workers: claiming, writing outcomes, listening, and one for the rest.
const QUEUE_CONNECTIONS: u32 = 4;

/// The open database: migrated, and with its server running if it is ours.
pub struct Database {
    pub pools: Pools,
    /// Sees every user's tasks and nothing else of anybody: for `tasks::Queue` alone. Opens its
    /// connections when they are first needed.
    pub queue: PgPool,
    /// With the rights of whoever migrates; the pools' connections give them up.
    pub url: Secret<String>,
    server: Option<server::Server>,
}

impl Database {
    /// Connects to the configured server, or starts our own; migrates; makes the pools.
    pub async fn open(settings: &config::Database) -> anyhow::Result<Self> {
        let (server, url) = match &settings.url {
            Some(url) => (None, url.clone()),
            None => {
                let server = server::Server::start(&server::Options::for_data_dir(
                    settings.data_dir.clone(),
                    settings.max_connections,
                ))
                .await?;
                let url = server.url().clone();
                (Some(server), url)
            }
        };
        let (pools, queue) = connect(url.expose(), settings, settings.max_connections).await?;
        Ok(Self {
            pools,
            queue,
            url,
            server,
        })
    }

    /// Joins the server of a program that already runs on this data directory, or opens it.
    pub async fn join_or_open(settings: &config::Database) -> anyhow::Result<Self> {
        if settings.url.is_none()
            && let Some(url) = server::attach(&settings.data_dir).await?
        {
            let (pools, queue) = connect(url.expose(), settings, 4).await?;
            return Ok(Self {
                pools,
                queue,
                url,
                server: None,
            });
        }
        Self::open(settings).await
    }

    /// Whether this process runs the server, so that nobody else is connected when it starts.
    pub const fn is_ours(&self) -> bool {
        self.server.is_some()
    }

    /// Closes the pools, then stops the server if it is ours.
    pub async fn close(self) {
        self.queue.close().await;
        self.pools.close().await;
        if let Some(server) = self.server
            && let Err(error) = server.stop().await
        {
            tracing::warn!(%error, "the embedded database did not stop in order");
        }
    }
}

async fn connect(
    url: &str,
    settings: &config::Database,
    max_connections: u32,
) -> anyhow::Result<(Pools, PgPool)> {
    let options: PgConnectOptions = url.parse().context("reading the database's URL")?;
    let options = options
        .application_name("paraplanner")
        .disable_statement_logging()
        .options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            (
                "idle_in_transaction_session_timeout",
                &*format!("{}ms", settings.idle_transaction.as_millis()),
            ),
        ]);
    setup::prepare(&options).await?;
    let pools = Pools::connect(max_connections, options.clone())
        .await
        .context("connecting to the database")?;
    let queue = pool_of(QUEUE_CONNECTIONS, QUEUE_SESSION).connect_lazy_with(options);
    Ok((pools, queue))
}

/// What `/health/database` tells.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = DatabaseHealth)]
pub struct Health {
    pub round_trip_ms: f64,
    pub pool: PoolUse,
    pub server_version: String,
    pub pgvector_version: String,
    /// The last migration applied.
    pub migration: i64,
}

/// Asks the database how it is.
pub async fn health(pools: &Pools) -> Result<Health, sqlx::Error> {
    let started = std::time::Instant::now();
    let row = sqlx::query!(
        r#"
        select current_setting('server_version') as "server_version!",
            (select extversion from pg_extension where extname = 'vector') as "pgvector_version!",
            migration.version as "migration!"
        from paraplanner_migration() as migration (version)
        "#
    )
    .fetch_one(&pools.api)
    .await?;
    Ok(Health {
        round_trip_ms: started.elapsed().as_secs_f64() * 1000.0,
        pool: pools
            .shares()
            .map(|(_, share)| PoolUse::of(share))
            .into_iter()
            .sum(),
        server_version: row.server_version,
        pgvector_version: row.pgvector_version,
        migration: row.migration,
    })
}

/// The newest migration that this program knows.
pub fn newest_migration() -> i64 {
    setup::MIGRATOR.iter().last().map_or(0, |last| last.version)
}
