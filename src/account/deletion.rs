//! The end of an account: grants are given back, then every row goes in one transaction.

use std::time::Duration;

use sqlx::Executor as _;

use crate::db::UserScope;
use crate::identity::connections::{self, Provider};
use crate::rules;
use crate::state::App;

/// Rows go with others' locks in the way at times: a worker writes to the user's tasks.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Returns when nothing is left. A provider that doesn't answer keeps nothing alive: what is owed to it is a
/// revocation without a name, for a day at most.
pub(super) async fn delete(app: &App, scope: UserScope) -> anyhow::Result<()> {
    for provider in [Provider::Google, Provider::HubSpot] {
        connections::disconnect(app, &scope, provider).await?;
    }
    for attempt in 1.. {
        match delete_rows(app, &scope).await {
            Ok(()) => break,
            Err(error) if attempt < ATTEMPTS && is_passing(&error) => {
                tokio::time::sleep(PAUSE * attempt).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    rules::forget_read(app);
    app.metrics.account("deletion");
    Ok(())
}

async fn delete_rows(app: &App, scope: &UserScope) -> Result<(), sqlx::Error> {
    let mut tx = scope.begin(&app.pool).await?;
    // A large book is more than a statement may usually take.
    tx.execute("set local statement_timeout = '10min'").await?;
    sqlx::query_scalar!(r#"select delete_account() as "count!""#)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await
}

/// Deadlocks, and statements that were cut off.
fn is_passing(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("40P01" | "40001" | "57014" | "55P03"))
}
