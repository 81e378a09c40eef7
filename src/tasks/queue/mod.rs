//! Every statement of a worker: joining, claiming, ending, waking, taking over.
//!
//! Runs on connections of its own, which may touch every user's tasks (`db::Database::queue`). Each
//! hot statement commits by itself: one round trip. Claims are as durable as all else: a claim that a
//! crash of the database undid would be made again with the same fence, and two would hold it.
//! May not know: handlers, kinds, what runs in this process.

mod claim;
mod due;
mod finish;
mod lease;
mod tidy;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub use claim::{Claimed, Reached, Room, line};
pub use due::Due;
pub use finish::{Ended, Ending, Wait, Woken, Written};
pub use lease::Lease;
pub use tidy::Depth;

use super::Keep;
use crate::clock::Clock;

/// The worker's end of the queue; cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    pool: PgPool,
    clock: Clock,
    keep: Keep,
}

impl Queue {
    /// `pool` is `db::Database::queue`.
    pub const fn new(pool: PgPool, clock: Clock, keep: Keep) -> Self {
        Self { pool, clock, keep }
    }

    pub(super) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Tells other processes' workers.
    pub(super) async fn announce(&self, channel: &str, says: &str) -> Result<(), sqlx::Error> {
        sqlx::query_scalar!(r#"select pg_notify($1, $2)::text as "told""#, channel, says)
            .fetch_one(&self.pool)
            .await
            .map(drop)
    }

    /// What the demo clock is ahead of the database's, in seconds.
    fn ahead(&self) -> f64 {
        self.clock.ahead().as_secs_f64()
    }
}

/// Until the end of the transaction: between "has it happened?" and "then I sleep", nobody tells of it.
pub(super) async fn event_lock(
    connection: &mut PgConnection,
    user_id: Uuid,
    event_key: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended($1::text, 0))::text as "locked""#,
        format!("{user_id} {event_key}"),
    )
    .fetch_one(connection)
    .await
    .map(drop)
}
