//! The connections of this process, and who may hold how many of them.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgPool};

/// A connection that was idle for longer is asked whether it still is one.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// With one alone a single slow statement would be everybody's.
const LEAST: u32 = 2;

/// In shares, so that each waits behind its like: a flood of deliveries or an import doesn't keep an advisor
/// waiting, and whoever asks much doesn't keep a provider waiting that asks once.
#[derive(Clone, Debug)]
pub struct Pools {
    /// What requests use, but deliveries.
    pub api: PgPool,
    /// What tasks use.
    pub worker: PgPool,
    /// What the doors for providers use.
    pub deliveries: PgPool,
}

impl Pools {
    /// So many connections at most, and at least two for each share.
    pub(super) async fn connect(most: u32, options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        let deliveries = (most / 4).max(LEAST);
        let worker = (most * 2 / 5).max(LEAST);
        let api = most.saturating_sub(deliveries + worker).max(LEAST);
        let role = "set role paraplanner_app";
        Ok(Self {
            // The first one is made now, so that what is wrong with the database is known at the start.
            api: pool_of(api, role).connect_with(options.clone()).await?,
            worker: pool_of(worker, role).connect_lazy_with(options.clone()),
            deliveries: pool_of(deliveries, role).connect_lazy_with(options),
        })
    }

    /// Each with its name.
    pub const fn shares(&self) -> [(&'static str, &PgPool); 3] {
        [
            ("api", &self.api),
            ("worker", &self.worker),
            ("deliveries", &self.deliveries),
        ]
    }

    pub(super) async fn close(&self) {
        for (_, share) in self.shares() {
            share.close().await;
        }
    }
}

/// Connections of this process.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, utoipa::ToSchema)]
pub struct PoolUse {
    pub in_use: u32,
    pub idle: u32,
    pub size: u32,
}

impl PoolUse {
    pub fn of(pool: &PgPool) -> Self {
        let size = pool.size();
        let idle = u32::try_from(pool.num_idle()).map_or(size, |idle| idle.min(size));
        Self {
            in_use: size - idle,
            idle,
            size,
        }
    }
}

impl std::iter::Sum for PoolUse {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            in_use: sum.in_use + one.in_use,
            idle: sum.idle + one.idle,
            size: sum.size + one.size,
        })
    }
}

/// Pools whose connections begin with these statements.
pub(super) fn pool_of(max_connections: u32, first: &'static str) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(3))
        // Asking each time would double the round trips of a short request. A connection that was
        // used a moment ago is taken for alive.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(first).await?;
                Ok(())
            })
        })
}
