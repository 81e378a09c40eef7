//! Which model's vectors a user's search compares with, and what a change of model leaves to be done.
//!
//! A new model makes its vectors in the background (`embed.rs`); until it has them all, the one that had
//! the most goes on serving. The former's vectors are kept for a day after that: going back within it
//! costs nothing, nor do instances that for a while run with different settings.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::Embed;
use super::vectors;
use crate::db::UserScope;
use crate::llm::EmbeddingModel;
use crate::state::App;
use crate::tasks::{Enqueue, Failure, OrFailure as _, Routine, RoutineContext};

const FORMER_KEPT: TimeDelta = TimeDelta::days(1);
/// Users a page.
const USERS: i64 = 200;
/// Vectors that are removed at once.
const VECTORS: i64 = 5000;

/// The model that a search's question is to be embedded with; one row by its key.
pub async fn serving_model(app: &App, scope: &UserScope) -> Result<EmbeddingModel, sqlx::Error> {
    let serving = vectors::serving_name(&app.pool, scope.user_id()).await?;
    Ok(serving
        .and_then(|name| EmbeddingModel::named(app, &name))
        .unwrap_or_else(|| EmbeddingModel::configured(app)))
}

/// Every hour: queues what instances with earlier settings may have left, and removes vectors that
/// nobody will ask for any more.
pub struct TendIndexes;

impl Routine<App> for TendIndexes {
    const NAME: &'static str = "tend_indexes";
    const CRON: &'static str = "23 * * * *";

    async fn run(context: RoutineContext<App>) -> Result<Value, Failure> {
        let queued = queue_all(&context.app, false).await.or_retry()?;
        let removed = remove_former(&context).await.or_retry()?;
        Ok(json!({"queued": queued, "removed": removed}))
    }
}

/// Right after the start, which is when the model changes and when what failed is tried again.
pub async fn embed_at_start(app: App) {
    if let Err(error) = queue_all(&app, true).await {
        tracing::warn!(%error, "passages could not be queued for the embedding model; it is tried again");
    }
}

/// Queues [`Embed`] for whoever has passages without a vector of the model in the settings. Queueing
/// twice is queueing once, so instances may do it at the same time.
async fn queue_all(app: &App, stalled: bool) -> anyhow::Result<u64> {
    let name = EmbeddingModel::configured(app).name();
    let (mut queued, mut after) = (0, None);
    loop {
        let users = vectors::users_to_embed(&app.pool, &name, stalled, after, USERS).await?;
        let Some(last) = users.last() else { break };
        after = Some(*last);
        for user_id in users {
            let mut tx = UserScope::checked(user_id).begin(&app.pool).await?;
            let once = Enqueue {
                unique_key: Some("embed".to_owned()),
                ..Enqueue::default()
            };
            app.tasks.enqueue(&mut tx, &Embed {}, once).await?;
            tx.commit().await?;
            queued += 1;
        }
    }
    if queued > 0 {
        app.tasks.wake();
        tracing::info!(
            users = queued,
            model = name,
            "passages get vectors of another model"
        );
    }
    Ok(queued)
}

async fn remove_former(context: &RoutineContext<App>) -> Result<u64, sqlx::Error> {
    let pool = &context.app.pool;
    let until = context.app.clock.now() - FORMER_KEPT;
    let (mut removed, mut after) = (0, None);
    loop {
        let users = vectors::users_with_former(pool, until, after, USERS).await?;
        let Some(last) = users.last() else { break };
        after = Some(*last);
        for user_id in users {
            let scope = UserScope::checked(user_id);
            loop {
                if context.stop.is_cancelled() {
                    return Ok(removed);
                }
                let mut tx = scope.begin(pool).await?;
                let Some(serving) = vectors::lock_settled(&mut tx, until).await? else {
                    break;
                };
                let gone = vectors::remove_former(&mut tx, serving, VECTORS).await?;
                if gone == 0 {
                    vectors::set_no_former(&mut tx).await?;
                }
                tx.commit().await?;
                removed += gone;
                if gone == 0 {
                    break;
                }
            }
        }
    }
    Ok(removed)
}
