//! The other end of the model's wire: an OpenAI-compatible server that follows a script, is as strict
//! about requests as the vendor's, and notices when its client hangs up.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const KEY: &str = "sk-test";
pub const NAME: &str = "test-model";

/// What the model does when it is asked.
#[derive(Clone)]
pub enum Turn {
    /// Says this, piece by piece.
    Say(&'static [&'static str]),
    /// Asks for these functions: id, name, arguments.
    Call(&'static [(&'static str, &'static str, &'static str)]),
    /// An error reply.
    Refuse(u16, &'static str),
    /// Says this, then the connection breaks.
    Cut(&'static str),
    /// Says this, then sends what isn't a chunk.
    Garbage(&'static str),
    /// Says this, then nothing more, with the connection open.
    Silence(&'static str),
    /// Never stops talking.
    Endless,
}

#[derive(Default)]
struct Inner {
    script: VecDeque<Turn>,
    /// When the script is over.
    otherwise: Option<Turn>,
    requests: Vec<Value>,
    /// What a strict server would have refused.
    complaints: Vec<String>,
    /// Replies that the client did not hear to their end.
    hung_up: usize,
}

type Shared = Arc<Mutex<Inner>>;

pub struct Model {
    pub base_url: String,
    inner: Shared,
    server: tokio::task::JoinHandle<()>,
}

impl Model {
    /// Follows the script, and says "Nothing more." when it is over.
    pub async fn start(script: &[Turn]) -> Self {
        Self::with(script, Turn::Say(&["Nothing more."])).await
    }

    /// Always the same.
    pub async fn always(turn: Turn) -> Self {
        Self::with(&[], turn).await
    }

    async fn with(script: &[Turn], otherwise: Turn) -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            script: script.iter().cloned().collect(),
            otherwise: Some(otherwise),
            ..Inner::default()
        }));
        let router = Router::new()
            .route("/v1/chat/completions", post(chat))
            .with_state(Arc::clone(&inner));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            base_url,
            inner,
            server,
        }
    }

    /// The bodies of the requests so far.
    pub fn requests(&self) -> Vec<Value> {
        self.inner.lock().unwrap().requests.clone()
    }

    /// The last request's messages.
    pub fn last_messages(&self) -> Vec<Value> {
        let requests = self.requests();
        requests.last().unwrap()["messages"]
            .as_array()
            .unwrap()
            .clone()
    }

    pub fn hung_up(&self) -> usize {
        self.inner.lock().unwrap().hung_up
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
        let complaints = &self.inner.lock().unwrap().complaints;
        if std::thread::panicking() {
            eprintln!("the model server's complaints: {complaints:?}");
        } else {
            assert!(
                complaints.is_empty(),
                "a strict model server complains: {complaints:?}"
            );
        }
    }
}

async fn chat(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let turn = {
        let mut inner = shared.lock().unwrap();
        match check(&headers, &body) {
            Ok(request) => inner.requests.push(request),
            Err(complaint) => {
                inner.complaints.push(complaint.clone());
                return (StatusCode::BAD_REQUEST, complaint).into_response();
            }
        }
        let next = inner.script.pop_front().or_else(|| inner.otherwise.clone());
        next.unwrap()
    };
    match turn {
        Turn::Refuse(status, body) => {
            // At once: the tests don't wait for politeness.
            let headers = [
                ("content-type", "application/json"),
                ("retry-after-ms", "1"),
            ];
            (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
        }
        Turn::Say(pieces) => {
            let mut lines: Vec<String> = pieces.iter().map(|piece| text(piece)).collect();
            lines.push(usage());
            lines.push(DONE.to_owned());
            stream(&shared, futures::stream::iter(lines).map(Ok))
        }
        Turn::Call(calls) => stream(&shared, futures::stream::iter(call_lines(calls)).map(Ok)),
        Turn::Cut(piece) => {
            let broken = io::Error::new(io::ErrorKind::ConnectionReset, "cut");
            // Two steps, so that the words have left before the connection breaks.
            let words = futures::stream::iter([Ok(text(piece))]);
            let cut = futures::stream::once(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(broken)
            });
            stream(&shared, words.chain(cut))
        }
        Turn::Garbage(piece) => {
            let lines = [text(piece), "data: <html>Bad gateway</html>\n\n".to_owned()];
            stream(&shared, futures::stream::iter(lines).map(Ok))
        }
        Turn::Silence(piece) => {
            let words = futures::stream::iter([Ok(text(piece))]);
            stream(&shared, words.chain(futures::stream::pending()))
        }
        Turn::Endless => {
            let words = futures::stream::repeat(()).then(|()| async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(text("and so on, "))
            });
            stream(&shared, words)
        }
    }
}

const DONE: &str = "data: [DONE]\n\n";

fn chunk(delta: &Value, finish: &Value) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": NAME,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": null,
    });
    format!("data: {chunk}\n\n")
}

fn text(piece: &str) -> String {
    chunk(&json!({"content": piece}), &Value::Null)
}

fn usage() -> String {
    let usage = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": NAME,
        "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    });
    format!("data: {usage}\n\n")
}

/// Names first, then the arguments in pieces, as the vendor sends them.
fn call_lines(calls: &[(&str, &str, &str)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, (id, name, arguments)) in calls.iter().enumerate() {
        let begun = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
        lines.push(chunk(&json!({"tool_calls": [begun]}), &Value::Null));
        let letters: Vec<char> = arguments.chars().collect();
        for piece in letters.chunks(7) {
            let piece: String = piece.iter().collect();
            let more = json!({"index": index, "function": {"arguments": piece}});
            lines.push(chunk(&json!({"tool_calls": [more]}), &Value::Null));
        }
    }
    lines.push(chunk(&json!({}), &json!("tool_calls")));
    lines.push(usage());
    lines.push(DONE.to_owned());
    lines
}

/// Counts a reply that is dropped before its end.
struct Hearing {
    shared: Shared,
    ended: bool,
}

impl Drop for Hearing {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.lock().unwrap().hung_up += 1;
        }
    }
}

fn stream(
    shared: &Shared,
    lines: impl Stream<Item = io::Result<String>> + Send + 'static,
) -> Response {
    let hearing = Hearing {
        shared: Arc::clone(shared),
        ended: false,
    };
    let lines = futures::stream::unfold(
        (Box::pin(lines), hearing),
        |(mut lines, mut hearing)| async move {
            let line = lines.next().await;
            hearing.ended = !matches!(line, Some(Ok(_)));
            line.map(|line| (line, (lines, hearing)))
        },
    );
    let body = Body::from_stream(lines);
    ([("content-type", "text/event-stream")], body).into_response()
}

/// What the vendor would refuse with a 400 or 401, in words.
fn check(headers: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if header("authorization") != format!("Bearer {KEY}") {
        return Err("the key is missing or wrong".to_owned());
    }
    if header("content-type") != "application/json" {
        return Err("the body is not announced as JSON".to_owned());
    }
    let request: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    only(
        &request,
        &["model", "messages", "tools", "stream", "stream_options"],
    )?;
    if request["model"] != NAME
        || request["stream"] != true
        || request["stream_options"]["include_usage"] != true
    {
        return Err(format!("not the model, or not streamed: {request}"));
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        only(tool, &["type", "function"])?;
        only(
            &tool["function"],
            &["name", "description", "parameters", "strict"],
        )?;
        if tool["function"]["strict"] != true {
            return Err(format!("not strict: {tool}"));
        }
        check_schema(&tool["function"]["parameters"])?;
    }
    if request
        .get("tools")
        .is_some_and(|tools| tools.as_array().is_none_or(Vec::is_empty))
    {
        return Err("an empty list of tools".to_owned());
    }
    check_messages(request["messages"].as_array().ok_or("no messages")?)?;
    Ok(request)
}

fn only(object: &Value, known: &[&str]) -> Result<(), String> {
    let object = object
        .as_object()
        .ok_or_else(|| format!("not an object: {object}"))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(format!("unknown parameter: {unknown}")),
        None => Ok(()),
    }
}

/// Strict mode: every object closed, every property required, only the keywords that are supported.
fn check_schema(schema: &Value) -> Result<(), String> {
    const KEYWORDS: [&str; 14] = [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "description",
        "enum",
        "const",
        "anyOf",
        "items",
        "$ref",
        "$defs",
        "format",
        "minimum",
        "maximum",
    ];
    only(schema, &KEYWORDS)?;
    if let Some(properties) = schema["properties"].as_object() {
        let names: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        let required: BTreeSet<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if names != required || schema["additionalProperties"] != false {
            return Err(format!("not a strict schema: {schema}"));
        }
    }
    let inner = ["properties", "$defs"]
        .iter()
        .filter_map(|name| schema[*name].as_object())
        .flat_map(serde_json::Map::values)
        .chain(schema["anyOf"].as_array().into_iter().flatten())
        .chain(schema.get("items"));
    for schema in inner {
        check_schema(schema)?;
    }
    Ok(())
}

/// Every call is followed by exactly its results, before anybody else speaks.
fn check_messages(messages: &[Value]) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" && !open.is_empty() {
            return Err(format!("calls without results: {open:?}"));
        }
        match role {
            "system" if place == 0 => only(message, &["role", "content"])?,
            "user" => only(message, &["role", "content"])?,
            "assistant" => {
                only(message, &["role", "content", "tool_calls"])?;
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    only(call, &["id", "type", "function"])?;
                    only(&call["function"], &["name", "arguments"])?;
                    let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
                    if serde_json::from_str::<Value>(arguments).is_err() {
                        return Err(format!("arguments are not JSON: {arguments}"));
                    }
                    open.push(call["id"].as_str().unwrap_or_default());
                }
                if message["content"].as_str().is_none_or(str::is_empty) && open.is_empty() {
                    return Err("an assistant that neither says nor calls anything".to_owned());
                }
            }
            "tool" => {
                only(message, &["role", "content", "tool_call_id"])?;
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let place = open
                    .iter()
                    .position(|open| *open == id)
                    .ok_or_else(|| format!("a result for no call: {id}"))?;
                open.remove(place);
            }
            _ => return Err(format!("unexpected role: {message}")),
        }
    }
    if !open.is_empty() {
        return Err(format!("calls without results: {open:?}"));
    }
    match messages.last().and_then(|last| last["role"].as_str()) {
        Some("user" | "tool") => Ok(()),
        _ => Err("the last message is neither a user's nor a result".to_owned()),
    }
}
