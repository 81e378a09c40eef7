//! The simulated model server: OpenAI's chat completions, embeddings and list of models.
//!
//! It says what a script tells it to ([`Model::script`]), oddities included; without one it answers
//! the last question with a plain sentence. It checks requests as the real one does, so that a
//! conversation that is told wrongly fails here too. What it was asked is in the journal and, as
//! JSON, in [`Model::requests`].

mod chat;
mod controls;
mod embeddings;
mod obedient;
mod script;
mod stream;
mod switches;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{World, reply};
use crate::http::Json;

pub use script::{Oddity, ToolCall, Turn, Usage};
pub use switches::Switches;

pub const CHAT_MODEL: &str = "simulated-chat";
pub const EMBEDDING_MODEL: &str = "simulated-embedding";
/// A key that is refused; any other is fine.
pub const WRONG_KEY: &str = "wrong-key";

/// The provider's state; cheap to clone.
#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    turns: Vec<Turn>,
    requests: Vec<Value>,
    made: u64,
    switches: Switches,
}

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it says when it is asked next, after the turns before; a turn with `when` waits for a
    /// request that fits.
    pub fn script(&self, turn: Turn) {
        self.state().turns.push(turn);
    }

    pub fn clear_script(&self) {
        self.state().turns.clear();
    }

    /// Turns that nobody has asked for yet.
    pub fn turns_left(&self) -> usize {
        self.state().turns.len()
    }

    /// How it behaves from now on.
    pub fn switch(&self, switches: Switches) {
        self.state().switches = switches;
    }

    pub fn switches(&self) -> Switches {
        self.state().switches.clone()
    }

    /// The chat requests so far, as they came.
    pub fn requests(&self) -> Vec<Value> {
        self.state().requests.clone()
    }
}

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/embeddings", post(embeddings::embed))
        .layer(map_response(with_headers))
        // Embeddings of 300,000 tokens are larger than axum's own limit.
        .layer(DefaultBodyLimit::disable())
        .merge(controls::router())
}

async fn models(headers: HeaderMap) -> Response {
    if let Err(response) = authorized(&headers) {
        return *response;
    }
    let model = |id: &str| json!({"id": id, "object": "model", "created": 1_767_225_600, "owned_by": "simulator"});
    reply(
        200,
        json!({"object": "list", "data": [model(CHAT_MODEL), model(EMBEDDING_MODEL)]}),
    )
}

async fn with_headers(response: Response) -> Response {
    named(response)
}

/// With the headers of every reply.
fn named(mut response: Response) -> Response {
    let id = format!("req_{}", crate::ids::next().simple());
    if let Ok(id) = HeaderValue::from_str(&id) {
        let name = HeaderName::from_static("x-request-id");
        response.headers_mut().insert(name, id);
    }
    for (name, value) in [
        ("openai-processing-ms", "12"),
        ("x-ratelimit-limit-requests", "5000"),
        ("x-ratelimit-remaining-requests", "4999"),
        ("x-ratelimit-reset-requests", "12ms"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-tokens", "1999000"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ] {
        response
            .headers_mut()
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

fn authorized(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let key = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match key {
        None | Some("") => Err(Box::new(error(
            401,
            "You didn't provide an API key.",
            "invalid_request_error",
            None,
            None,
        ))),
        Some(WRONG_KEY) => Err(Box::new(refusal(401, None))),
        Some(_) => Ok(()),
    }
}

/// A body as JSON, with its errors in the provider's form.
fn parsed(body: &[u8]) -> Result<Value, Box<Response>> {
    let invalid = "We could not parse the JSON body of your request.";
    serde_json::from_slice::<Value>(body)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| Box::new(error(400, invalid, "invalid_request_error", None, None)))
}

/// A refusal of one field.
fn invalid<T>(words: &str, param: &str, code: Option<&str>) -> Result<T, Box<Response>> {
    let kind = "invalid_request_error";
    Err(Box::new(error(400, words, kind, Some(param), code)))
}

fn error_body(words: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": words, "type": kind, "param": param, "code": code}})
}

fn error(
    status: u16,
    words: &str,
    kind: &str,
    param: Option<&str>,
    code: Option<&str>,
) -> Response {
    reply(status, error_body(words, kind, param, code))
}

/// An error reply in the provider's form.
pub(super) fn refusal(status: u16, reason: Option<&str>) -> Response {
    let (words, kind, code) = match (status, reason) {
        (429, Some("insufficient_quota")) => (
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            Some("insufficient_quota"),
        ),
        (429, kind) => (
            "Rate limit reached for requests. Please try again in 20ms.",
            kind.filter(|kind| *kind == "tokens").unwrap_or("requests"),
            Some("rate_limit_exceeded"),
        ),
        (401, _) => (
            "Incorrect API key provided.",
            "invalid_request_error",
            Some("invalid_api_key"),
        ),
        (404, _) => (
            "The model does not exist or you do not have access to it.",
            "invalid_request_error",
            Some("model_not_found"),
        ),
        (500.., code) => (
            "The server had an error while processing your request. Sorry about that!",
            "server_error",
            code,
        ),
        (_, code) => ("The request was refused.", "invalid_request_error", code),
    };
    let mut response = error(status, words, kind, None, code);
    if status == 429 {
        // The vendor's own client obeys this one before anything else.
        let again = HeaderValue::from_static(if code == Some("insufficient_quota") {
            "false"
        } else {
            "true"
        });
        let name = HeaderName::from_static("x-should-retry");
        response.headers_mut().insert(name, again);
    }
    named(response)
}

/// A rough count: real tokens are about four letters.
fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

/// Bodies of this module are JSON, whatever their content type says.
fn answered(body: Value) -> Response {
    use axum::response::IntoResponse as _;
    Json(body).into_response()
}
