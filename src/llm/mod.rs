//! The only way to a chat or embedding model: which one, and what it costs.
//!
//! Promises: vectors are always named after the model that made them, so that no search compares
//! across models; every call is counted. May not know: what a question is about. Prompts live with
//! those who ask.

use std::time::Instant;

use futures::StreamExt as _;

use crate::providers::openai::{
    ChatPiece, ChatRequest, ChatStream, EmbeddingRequest, Message, Tool, Usage,
};
use crate::providers::{Error, local};
use crate::state::App;

/// Words of payload in a passage, so that it and its header fit the embedding model's window.
const WORDS_BUILT_IN: usize = 80;
const WORDS_SERVER: usize = 180;

/// Texts a call: few enough that progress shows and a shutdown doesn't wait, many enough that a
/// server's round trip is paid seldom.
const BATCH_BUILT_IN: usize = 64;
const BATCH_SERVER: usize = 256;

/// The chat model, when one is configured.
pub fn chat_model(app: &App) -> Option<&str> {
    app.model_server
        .as_ref()
        .and(app.config.model.chat.as_deref())
}

/// Starts a turn of the chat model.
pub async fn chat(
    app: &App,
    messages: Vec<Message>,
    tools: Vec<Tool>,
) -> Option<Result<ChatStream, Error>> {
    let server = app.model_server.as_ref()?;
    let model = chat_model(app)?.to_owned();
    let started = Instant::now();
    let request = ChatRequest {
        model,
        messages,
        tools,
    };
    Some(match server.chat(request).await {
        Ok(stream) => Ok(counted(app, stream, started)),
        Err(error) => {
            app.metrics
                .model_request("chat", error.kind.label(), started.elapsed());
            Err(error)
        }
    })
}

/// Counts a stream when it ends, fails, or is dropped.
fn counted(app: &App, stream: ChatStream, started: Instant) -> ChatStream {
    struct Count {
        metrics: crate::telemetry::Metrics,
        started: Instant,
        outcome: &'static str,
    }
    impl Drop for Count {
        fn drop(&mut self) {
            self.metrics
                .model_request("chat", self.outcome, self.started.elapsed());
        }
    }
    let mut count = Count {
        metrics: app.metrics.clone(),
        started,
        outcome: "stopped",
    };
    let ended = futures::stream::iter([None]);
    Box::pin(stream.map(Some).chain(ended).filter_map(move |item| {
        match &item {
            Some(Ok(ChatPiece::Usage(Usage {
                prompt_tokens,
                completion_tokens,
            }))) => count
                .metrics
                .model_tokens(*prompt_tokens, *completion_tokens),
            Some(Err(error)) => count.outcome = error.kind.label(),
            None if count.outcome == "stopped" => count.outcome = "ok",
            Some(Ok(_)) | None => {}
        }
        std::future::ready(item)
    }))
}

/// Which embedder is in use.
enum Embedder<'a> {
    BuiltIn,
    Server {
        client: &'a crate::providers::openai::Client,
        model: &'a str,
    },
}

fn embedder(app: &App) -> Embedder<'_> {
    match (&app.model_server, &app.config.model.embedding) {
        (Some(client), Some(model)) => Embedder::Server { client, model },
        _ => Embedder::BuiltIn,
    }
}

/// The name under which vectors are stored: model, dimensions, and the version of our preprocessing.
pub fn embedding_model(app: &App) -> String {
    const PREPROCESSING: &str = "p1";
    match embedder(app) {
        Embedder::BuiltIn => format!("{}/{PREPROCESSING}", local::Embedder::model_name()),
        Embedder::Server { model, .. } => {
            let dimensions = app
                .config
                .model
                .embedding_dimensions
                .map_or_else(|| "own".to_owned(), |length| length.to_string());
            format!("{model}/{dimensions}/{PREPROCESSING}")
        }
    }
}

/// Whether two cosines of this model can be held against the thresholds that were measured for it.
pub fn is_built_in_embedder(app: &App) -> bool {
    matches!(embedder(app), Embedder::BuiltIn)
}

/// Words of payload that a passage may have.
pub fn passage_words(app: &App) -> usize {
    match embedder(app) {
        Embedder::BuiltIn => WORDS_BUILT_IN,
        Embedder::Server { .. } => WORDS_SERVER,
    }
}

/// Texts that one call of [`embed`] should get.
pub fn embedding_batch(app: &App) -> usize {
    match embedder(app) {
        Embedder::BuiltIn => BATCH_BUILT_IN,
        Embedder::Server { .. } => BATCH_SERVER,
    }
}

/// Unit vectors in the order of the texts, none of which may be blank.
pub async fn embed(app: &App, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Error> {
    match embedder(app) {
        Embedder::BuiltIn => app.local_embedder.embed(texts).await,
        Embedder::Server { client, model } => {
            let started = Instant::now();
            let outcome = client
                .embed(EmbeddingRequest {
                    model: model.to_owned(),
                    texts,
                    dimensions: app.config.model.embedding_dimensions,
                })
                .await;
            let label = outcome
                .as_ref()
                .map_or_else(|error| error.kind.label(), |_| "ok");
            app.metrics
                .model_request("embedding", label, started.elapsed());
            let (vectors, usage) = outcome?;
            app.metrics
                .model_tokens(usage.prompt_tokens, usage.completion_tokens);
            Ok(vectors)
        }
    }
}
