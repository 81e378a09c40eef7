//! Embedding models: the one in the settings, and earlier ones that can still be asked.

use std::time::Instant;

use crate::providers::openai::EmbeddingRequest;
use crate::providers::{Error, Kind, local};
use crate::state::App;
use crate::telemetry::spans;

/// Words of payload in a passage, so that it and its header fit the embedding model's window.
const WORDS_BUILT_IN: usize = 80;
const WORDS_SERVER: usize = 180;

/// Texts a call: few enough that progress shows and a shutdown doesn't wait, many enough that a
/// server's round trip is paid seldom.
const BATCH_BUILT_IN: usize = 64;
const BATCH_SERVER: usize = 256;

/// Of how texts are prepared; vectors of two versions aren't compared.
const PREPROCESSING: &str = "p1";
/// In place of a length: whatever the model's own is.
const OWN_LENGTH: &str = "own";

/// A model that makes vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmbeddingModel {
    BuiltIn,
    Server {
        model: String,
        dimensions: Option<u16>,
    },
}

impl EmbeddingModel {
    /// The one in the settings: passages get its vectors.
    pub fn configured(app: &App) -> Self {
        match (&app.model_server, &app.config.model.embedding) {
            (Some(_), Some(model)) => Self::Server {
                model: model.clone(),
                dimensions: app.config.model.embedding_dimensions,
            },
            _ => Self::BuiltIn,
        }
    }

    /// The one that vectors were stored under, if it can still be asked: the built-in one always can,
    /// a server's as long as a server is configured.
    pub fn named(app: &App, name: &str) -> Option<Self> {
        let found = Self::parse(name)?;
        (found == Self::BuiltIn || app.model_server.is_some()).then_some(found)
    }

    fn parse(name: &str) -> Option<Self> {
        let (model, preprocessing) = name.rsplit_once('/')?;
        if preprocessing != PREPROCESSING {
            return None;
        }
        if model == local::Embedder::model_name() {
            return Some(Self::BuiltIn);
        }
        let (model, length) = model.rsplit_once('/')?;
        let dimensions = match length {
            OWN_LENGTH => None,
            number => Some(number.parse().ok()?),
        };
        Some(Self::Server {
            model: model.to_owned(),
            dimensions,
        })
    }

    /// What its vectors are stored under: model, dimensions, and the version of our preprocessing.
    pub fn name(&self) -> String {
        match self {
            Self::BuiltIn => format!("{}/{PREPROCESSING}", local::Embedder::model_name()),
            Self::Server { model, dimensions } => {
                let length =
                    dimensions.map_or_else(|| OWN_LENGTH.to_owned(), |length| length.to_string());
                format!("{model}/{length}/{PREPROCESSING}")
            }
        }
    }

    /// Whether its cosines can be held against the thresholds that were measured.
    pub const fn is_built_in(&self) -> bool {
        matches!(self, Self::BuiltIn)
    }

    /// Texts that one call of [`embed`] should get.
    pub const fn batch(&self) -> usize {
        match self {
            Self::BuiltIn => BATCH_BUILT_IN,
            Self::Server { .. } => BATCH_SERVER,
        }
    }
}

/// Words of payload that a passage may have.
pub fn passage_words(app: &App) -> usize {
    match EmbeddingModel::configured(app) {
        EmbeddingModel::BuiltIn => WORDS_BUILT_IN,
        EmbeddingModel::Server { .. } => WORDS_SERVER,
    }
}

/// Unit vectors in the order of the texts, none of which may be blank; all of one length.
pub async fn embed(
    app: &App,
    model: &EmbeddingModel,
    texts: Vec<String>,
) -> Result<Vec<Vec<f32>>, Error> {
    let (model, dimensions) = match model {
        EmbeddingModel::BuiltIn => return app.local_embedder.embed(texts).await,
        EmbeddingModel::Server { model, dimensions } => (model.clone(), *dimensions),
    };
    let Some(server) = &app.model_server else {
        return Err(Error::new(Kind::Invalid, "no model server is configured"));
    };
    let started = Instant::now();
    let span = spans::model("embedding");
    let outcome = server
        .embed(EmbeddingRequest {
            model,
            texts,
            dimensions,
        })
        .await;
    let label = outcome
        .as_ref()
        .map_or_else(|error| error.kind.label(), |_| "ok");
    app.metrics
        .model_request("embedding", label, started.elapsed());
    spans::ended(&span, label);
    let (vectors, usage) = outcome?;
    app.metrics
        .model_tokens(usage.prompt_tokens, usage.completion_tokens);
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_name_leads_back_to_its_model() {
        let server = |model: &str, dimensions| EmbeddingModel::Server {
            model: model.to_owned(),
            dimensions,
        };
        for model in [
            EmbeddingModel::BuiltIn,
            server("text-embedding-3-small", None),
            server("org/model:v1.5", Some(768)),
        ] {
            assert_eq!(EmbeddingModel::parse(&model.name()), Some(model));
        }
        for unknown in ["", "p1", "model/p1", "model/own/p0", "model/many/p1"] {
            assert_eq!(EmbeddingModel::parse(unknown), None, "{unknown}");
        }
    }
}
