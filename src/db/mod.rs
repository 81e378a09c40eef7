//! The database: pool, the server that we start ourselves, migrations, and [`UserScope`].
//!
//! Promises: migrations are applied before anybody gets the pool, by one instance at a time; every
//! connection of the pool runs as the role `paraplanner_app`, which row-level security binds; user
//! data is touched only through [`Scoped`], which says whose. May not know: any table of a feature.
//! Begin with [`Database::open`].

mod scope;
pub mod server;
mod setup;

use std::time::Duration;

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _, PgPool};

pub use scope::{Scoped, UserId, UserScope};

use crate::config;
use crate::secret::Secret;

/// A statement that takes longer is a mistake; imports and re-embedding work in batches far below it.
const STATEMENT_TIMEOUT: &str = "30s";

/// The open database: migrated, and with its server running if it is ours.
pub struct Database {
    pub pool: PgPool,
    /// With the rights of whoever migrates; the pool's connections give them up.
    pub url: Secret<String>,
    server: Option<server::Server>,
}

impl Database {
    /// Connects to the configured server, or starts our own; migrates; makes the pool.
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
        let pool = connect(url.expose(), settings.max_connections).await?;
        Ok(Self { pool, url, server })
    }

    /// Joins the server of a program that already runs on this data directory, or opens it.
    pub async fn join_or_open(settings: &config::Database) -> anyhow::Result<Self> {
        if settings.url.is_none()
            && let Some(url) = server::attach(&settings.data_dir).await?
        {
            let pool = connect(url.expose(), 4).await?;
            return Ok(Self {
                pool,
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

    /// Closes the pool, then stops the server if it is ours.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(server) = self.server
            && let Err(error) = server.stop().await
        {
            tracing::warn!(%error, "the embedded database did not stop in order");
        }
    }
}

async fn connect(url: &str, max_connections: u32) -> anyhow::Result<PgPool> {
    let options: PgConnectOptions = url.parse().context("reading the database's URL")?;
    let options = options
        .application_name("paraplanner")
        .disable_statement_logging()
        .options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("idle_in_transaction_session_timeout", "60s"),
        ]);
    setup::prepare(&options).await?;
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(3))
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("set role paraplanner_app").await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await
        .context("connecting to the database")
}

/// What `/health/database` tells.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Health {
    pub round_trip_ms: f64,
    pub pool: PoolUse,
    pub server_version: String,
    pub pgvector_version: String,
    /// The last migration applied.
    pub migration: i64,
}

/// Connections of this process.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PoolUse {
    pub in_use: u32,
    pub idle: u32,
    pub size: u32,
}

/// Asks the database how it is.
pub async fn health(pool: &PgPool) -> Result<Health, sqlx::Error> {
    let started = std::time::Instant::now();
    let row = sqlx::query!(
        r#"
        select current_setting('server_version') as "server_version!",
            (select extversion from pg_extension where extname = 'vector') as "pgvector_version!",
            migration.version as "migration!"
        from paraplanner_migration() as migration (version)
        "#
    )
    .fetch_one(pool)
    .await?;
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    Ok(Health {
        round_trip_ms: started.elapsed().as_secs_f64() * 1000.0,
        pool: PoolUse {
            in_use: pool.size().saturating_sub(idle),
            idle,
            size: pool.size(),
        },
        server_version: row.server_version,
        pgvector_version: row.pgvector_version,
        migration: row.migration,
    })
}

/// The newest migration that this program knows.
pub fn newest_migration() -> i64 {
    setup::MIGRATOR.iter().last().map_or(0, |last| last.version)
}
