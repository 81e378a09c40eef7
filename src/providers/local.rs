//! The built-in embedder: a small English sentence model inside the binary, so that a fresh
//! machine needs neither key nor network. 384 dimensions, 128 tokens a text, on the processor.
//!
//! The model is loaded when it is first needed (some 100 ms, some 100 MB), never where another
//! embedding server is configured. Calls block: they run on the blocking pool.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;

use super::{Error, Kind};

/// Longer texts are cut by the model; callers chunk below it.
pub const DIMENSIONS: usize = 384;

/// Cheap to clone; all clones share the model.
#[derive(Clone)]
pub struct Embedder {
    loaded: Arc<OnceLock<Result<pocket_encoder::Encoder, String>>>,
    /// One for each core. A crowd of questions stands in line here, so that its threads don't take the processor
    /// from everything else. Batches don't: they come one at a time, and no question waits for a whole one.
    singles: Arc<Semaphore>,
}

impl Default for Embedder {
    fn default() -> Self {
        Self {
            loaded: Arc::default(),
            singles: Arc::new(Semaphore::new(cores())),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

impl Embedder {
    /// What vectors of this model are stored under.
    pub fn model_name() -> &'static str {
        "pocket-encoder/minilm-l3-q4-g32-v1/384"
    }

    fn encoder(&self) -> Result<pocket_encoder::Encoder, Error> {
        self.loaded
            .get_or_init(|| pocket_encoder::Encoder::new().map_err(|error| error.to_string()))
            .clone()
            .map_err(|error| Error::new(Kind::Unavailable, error))
    }

    /// Unit vectors in the order of the texts; blank texts are refused by the model.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Error> {
        let this = self.clone();
        let turn = match texts.len() {
            // Never closed, so always had in the end.
            1 => Arc::clone(&self.singles).acquire_owned().await.ok(),
            _ => None,
        };
        tokio::task::spawn_blocking(move || {
            // Kept until the work is done, also when whoever asked has left.
            let _turn = turn;
            this.embed_blocking(&texts)
        })
        .await
        .map_err(|_| Error::new(Kind::Unavailable, "the embedder panicked"))?
    }

    fn embed_blocking(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
        let encoder = self.encoder()?;
        let share = texts.len().div_ceil(cores()).max(1);
        // One text is one pass on one core; a batch is shared out over the cores.
        std::thread::scope(|scope| {
            let workers: Vec<_> = texts
                .chunks(share)
                .map(|slice| {
                    let encoder = encoder.clone();
                    scope.spawn(move || encoder.embed(slice))
                })
                .collect();
            let mut vectors = Vec::with_capacity(texts.len());
            for worker in workers {
                let part = worker
                    .join()
                    .map_err(|_| Error::new(Kind::Unavailable, "the embedder panicked"))?
                    .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
                vectors.extend(part);
            }
            Ok(vectors)
        })
    }
}
