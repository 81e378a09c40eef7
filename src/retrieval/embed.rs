//! The task that gives passages their vectors, batch by batch, for as long as there are any.
//!
//! One a user at a time. Each batch is a step of its own: read (short transaction), embed (no
//! transaction), store (short transaction); a crash repeats at most one batch.

use pgvector::HalfVector;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::store;
use crate::live::Topic;
use crate::llm;
use crate::providers;
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _, Payload, Priority};

/// "This user has passages without a vector."
#[derive(Debug, Serialize, Deserialize)]
pub struct Embed {}

impl Payload for Embed {
    const KIND: &'static str = "embed";
    const PRIORITY: Priority = Priority::Bulk;
    // A model server may be away for hours; attempts are spaced up to ten minutes apart.
    const MAX_ATTEMPTS: i32 = 50;
}

impl Handler<App> for Embed {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let model = llm::embedding_model(app);
        let batch = i64::try_from(llm::embedding_batch(app)).or_fail()?;
        let mut tx = context.scope.begin(&app.pool).await.or_retry()?;
        let model_id = store::model_id(&mut tx, &model).await.or_retry()?;
        store::queue_missing(&mut tx, model_id).await.or_retry()?;
        tx.commit().await.or_retry()?;

        let mut embedded = 0_u64;
        while !context.stop.is_cancelled() {
            let mut tx = context.scope.begin(&app.pool).await.or_retry()?;
            let waiting = store::next_to_embed(&mut tx, batch).await.or_retry()?;
            drop(tx);
            if waiting.is_empty() {
                return Ok(json!({"embedded": embedded}));
            }
            let texts = waiting.iter().map(|chunk| chunk.text.clone()).collect();
            let vectors = llm::embed(app, texts).await.map_err(judge)?;
            let ids: Vec<i64> = waiting.iter().map(|chunk| chunk.id).collect();
            let vectors: Vec<HalfVector> = vectors
                .iter()
                .map(|vector| HalfVector::from_f32_slice(vector))
                .collect();

            let mut tx = context.scope.begin(&app.pool).await.or_retry()?;
            context.hold(&mut tx).await?;
            store::store_vectors(&mut tx, model_id, &ids, &vectors)
                .await
                .or_retry()?;
            let status = store::index_status(&mut tx).await.or_retry()?;
            tx.commit().await.or_retry()?;
            embedded += ids.len() as u64;
            app.metrics.embedded(ids.len() as u64);
            context
                .progress(status.total - status.waiting, status.total)
                .await?;
            app.live.tell(
                context.scope.user_id(),
                Topic::Ingest,
                json!({"source": "documents", "done": status.total - status.waiting, "total": status.total}),
            );
        }
        Err(Failure::LeaseLost)
    }
}

fn judge(error: providers::Error) -> Failure {
    if error.kind.is_passing() || error.kind == providers::Kind::Unauthorized {
        Failure::Retry(error.into())
    } else {
        Failure::Fail(error.into())
    }
}
