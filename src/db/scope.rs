//! Whose rows: the type that proves that row-level security is set.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

/// An advisor who signs in: the owner of rows.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    sqlx::Type,
    utoipa::ToSchema,
)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct UserId(pub Uuid);

/// Leave to touch one user's rows. Only two make it: `identity`, when a session or token has been
/// checked, and `tasks`, when a task has been claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserScope {
    user_id: UserId,
}

impl UserScope {
    /// For `identity` and `tasks` alone: whoever calls this has checked who asks.
    pub const fn checked(user_id: UserId) -> Self {
        Self { user_id }
    }

    pub const fn user_id(&self) -> UserId {
        self.user_id
    }

    /// Opens a transaction that sees this user's rows and no others.
    ///
    /// One round trip: the setting goes out with `begin`. The value is a UUID, so nothing that
    /// came from outside becomes SQL.
    pub async fn begin(&self, pool: &PgPool) -> Result<Scoped, sqlx::Error> {
        self.begin_with(pool, "").await
    }

    /// The same for work on many rows: each statement is planned for the data that there is now. A plan
    /// that is kept from when a table was empty reads all of it, again and again, while it fills.
    pub async fn begin_bulk(&self, pool: &PgPool) -> Result<Scoped, sqlx::Error> {
        self.begin_with(pool, "; set local plan_cache_mode = force_custom_plan")
            .await
    }

    async fn begin_with(&self, pool: &PgPool, also: &'static str) -> Result<Scoped, sqlx::Error> {
        let statement = format!(
            "begin{also}; select set_config('app.user_id', '{}', true)",
            self.user_id.0
        );
        let transaction = pool.begin_with(sqlx::AssertSqlSafe(statement)).await?;
        Ok(Scoped {
            transaction,
            user_id: self.user_id,
        })
    }
}

/// A transaction within one user's rows: the only handle with which a store touches user data.
/// Dropped without [`Scoped::commit`], it rolls back.
pub struct Scoped {
    transaction: Transaction<'static, Postgres>,
    user_id: UserId,
}

impl Scoped {
    /// Bind this as `user_id` in every statement: row-level security is the net, not the rope.
    pub const fn user_id(&self) -> Uuid {
        self.user_id.0
    }

    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}

impl Deref for Scoped {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Scoped {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
