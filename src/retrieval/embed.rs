//! The task that gives passages their vectors, batch by batch, for as long as there are any.
//!
//! One a user at a time. Each batch is a step of its own: read (short transaction), embed (no
//! transaction), store (short transaction); a crash repeats at most one batch. The ordinary run is of
//! one new mail, and takes few round trips; all passages are gone through only when the model has
//! changed.

use std::time::{Duration, Instant};

use pgvector::HalfVector;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::refusals::Patient;
use super::vectors::{self, Model, Waiting};
use crate::db::Scoped;
use crate::live::Topic;
use crate::llm::EmbeddingModel;
use crate::providers;
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _, Payload, Priority};

/// Then it makes room and goes on later, well before an attempt's time limit.
const STINT: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(200);
/// Between two tellings of how far it is: counting reads the user's whole index.
const TELLING: Duration = Duration::from_secs(1);

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
        let model = EmbeddingModel::configured(&context.app);
        let outcome = Run::new(&context, &model).go_through().await;
        if let Err(Failure::Fail(_) | Failure::Retry(_)) = &outcome
            && let Err(error) = note_failure(&context).await
        {
            tracing::warn!(%error, "the next start won't know that passages wait for their vectors");
        }
        outcome
    }
}

async fn note_failure(context: &Context<App>) -> Result<(), Failure> {
    let mut tx = context.begin().await?;
    vectors::set_stalled(&mut tx).await.or_retry()?;
    tx.commit().await.or_retry()
}

struct Run<'a> {
    context: &'a Context<App>,
    model: &'a EmbeddingModel,
    name: String,
    patient: Patient<'a>,
    /// What vectors are stored under; none until the model has made its first.
    current: Option<Model>,
    /// As the database has it.
    serving: Option<i16>,
    embedded: u64,
    refused: u64,
    told: Instant,
}

impl<'a> Run<'a> {
    fn new(context: &'a Context<App>, model: &'a EmbeddingModel) -> Self {
        Self {
            context,
            model,
            name: model.name(),
            patient: Patient::new(&context.app, model),
            current: None,
            serving: None,
            embedded: 0,
            refused: 0,
            told: Instant::now(),
        }
    }

    async fn go_through(mut self) -> Result<Value, Failure> {
        let pool = &self.context.app.pool;
        let batch = self.model.batch();
        let limit = i64::try_from(batch).or_fail()?;
        let started = Instant::now();
        let mut tx = self.context.scope.begin(pool).await.or_retry()?;
        let route = vectors::route(&mut tx, &self.name).await.or_retry()?;
        (self.current, self.serving) = (route.current, route.serving);
        if !route.queued {
            drop(tx);
            self.queue_for_this_model().await?;
            tx = self.context.scope.begin(pool).await.or_retry()?;
        }
        loop {
            let waiting = vectors::next_to_embed(&mut tx, limit).await.or_retry()?;
            drop(tx);
            if waiting.is_empty() {
                break;
            }
            let all = self.embed(&waiting).await?;
            // What is stored from now on queues the task again.
            if all && waiting.len() < batch {
                break;
            }
            if self.context.stop.is_cancelled() {
                return Err(Failure::LeaseLost);
            }
            if started.elapsed() > STINT {
                return Err(Failure::Again(PAUSE));
            }
            if self.told.elapsed() > TELLING {
                self.tell().await?;
            }
            tx = self.context.scope.begin(pool).await.or_retry()?;
        }
        self.settle(route.stalled).await?;
        self.tell().await?;
        Ok(json!({"embedded": self.embedded, "refused": self.refused}))
    }

    /// The model has changed, or the index is new: queues what it has no vector of, and lets the model
    /// serve meanwhile that has the most and can still be asked.
    async fn queue_for_this_model(&mut self) -> Result<(), Failure> {
        let app = &self.context.app;
        let mut tx = self.context.begin().await?;
        vectors::set_queued_for(&mut tx, &self.name, self.current)
            .await
            .or_retry()?;
        let held = vectors::held(&mut tx).await.or_retry()?;
        let current = self.current.map(|model| model.id);
        let serving = held
            .iter()
            // Of this very model there may be vectors of a length that it no longer makes.
            .filter(|(id, name)| *name != self.name || Some(*id) == current)
            .find(|(_, name)| EmbeddingModel::named(app, name).is_some())
            .map(|(id, _)| *id);
        vectors::queue_missing(&mut tx, self.current, serving, app.clock.now())
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        self.serving = serving;
        Ok(())
    }

    /// Says whether all of them are dealt with.
    async fn embed(&mut self, waiting: &[Waiting]) -> Result<bool, Failure> {
        let texts: Vec<String> = waiting.iter().map(|chunk| chunk.text.clone()).collect();
        let made = self.patient.embed(&texts).await.map_err(judge)?;
        // One length a batch: where the server changed it in between, the others wait for the next.
        let length = made.iter().flatten().last().map(Vec::len);
        let (mut ids, mut vectors, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (chunk, vector) in waiting.iter().zip(&made) {
            match vector {
                Some(vector) if Some(vector.len()) == length => {
                    ids.push(chunk.id);
                    vectors.push(HalfVector::from_f32_slice(vector));
                }
                Some(_) => {}
                None => refused.push(chunk.id),
            }
        }
        let before = self.current;
        let mut tx = self.context.begin().await?;
        if let Some(length) = length {
            self.current = Some(self.model_of(&mut tx, length).await?);
            if before.is_none() {
                vectors::set_queued_for(&mut tx, &self.name, self.current)
                    .await
                    .or_retry()?;
            }
        }
        vectors::store(&mut tx, self.current, &ids, &vectors, &refused)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        let metrics = &self.context.app.metrics;
        metrics.embedded(ids.len() as u64, refused.len() as u64);
        self.embedded += ids.len() as u64;
        self.refused += refused.len() as u64;
        if !refused.is_empty() {
            tracing::warn!(
                passages = refused.len(),
                model = self.name,
                "the embedding model refuses passages however short; they are found by their words only"
            );
        }
        let changed = before.is_some() && before != self.current;
        if changed {
            tracing::warn!(
                model = self.name,
                "the embedding model's vectors have another length than before; all passages get new ones"
            );
            self.queue_for_this_model().await?;
        }
        Ok(!changed && ids.len() + refused.len() == waiting.len())
    }

    async fn model_of(&self, tx: &mut Scoped, length: usize) -> Result<Model, Failure> {
        let length = i32::try_from(length).or_fail()?;
        match self.current {
            Some(model) if model.dimensions == length => Ok(model),
            _ => vectors::model(tx, &self.name, length).await.or_retry(),
        }
    }

    /// The queue is empty: this model serves from now on.
    async fn settle(&self, was_stalled: bool) -> Result<(), Failure> {
        if self.serving == self.current.map(|model| model.id) && !was_stalled {
            return Ok(());
        }
        let mut tx = self.context.begin().await?;
        vectors::settle(&mut tx, self.current, self.context.app.clock.now())
            .await
            .or_retry()?;
        tx.commit().await.or_retry()
    }

    async fn tell(&mut self) -> Result<(), Failure> {
        let (app, scope) = (&self.context.app, &self.context.scope);
        self.told = Instant::now();
        let mut tx = scope.begin(&app.pool).await.or_retry()?;
        let (total, waiting) = vectors::progress(&mut tx).await.or_retry()?;
        drop(tx);
        self.context.progress(total - waiting, total).await?;
        app.live.tell(
            scope.user_id(),
            Topic::Ingest,
            json!({"source": "documents", "done": total - waiting, "total": total}),
        );
        Ok(())
    }
}

fn judge(error: providers::Error) -> Failure {
    use providers::Kind::{Nonsense, Unauthorized};
    // A reply that makes no sense is somebody's error page, mostly.
    if error.kind.is_passing() || matches!(error.kind, Nonsense | Unauthorized) {
        Failure::Retry(error.into())
    } else {
        Failure::Fail(error.into())
    }
}
