//! The reply as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::chat::Reply;
use super::error_body;
use super::script::Oddity;

/// Letters of a piece of text.
const PIECE: usize = 12;
/// Letters of a piece of arguments that are split.
const SPLIT: usize = 5;

pub(super) fn respond(reply: &Reply, usage: bool) -> Response {
    let mut events = events(reply, usage);
    let turn = &reply.turn;
    if turn.is(&Oddity::Cut) || turn.is(&Oddity::ErrorInside) {
        events.truncate(events.len().div_ceil(2));
        if turn.is(&Oddity::ErrorInside) {
            let words = "The server had an error while processing your request.";
            events.push(event(&error_body(words, "server_error", None, None)));
        }
    } else {
        events.push("data: [DONE]\n\n".to_owned());
    }
    if turn.is(&Oddity::KeepAlive) {
        events.insert(1, ": keep-alive\n\n".to_owned());
        events.insert(0, ": keep-alive\n\n".to_owned());
    }
    let pause = turn.pause().map(Duration::from_millis);
    let pieces = futures::stream::iter(events).then(move |event| async move {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        Ok::<_, Infallible>(event)
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

fn event(body: &Value) -> String {
    format!("data: {body}\n\n")
}

fn events(reply: &Reply, usage: bool) -> Vec<String> {
    let turn = &reply.turn;
    // `usage` stands in every chunk once it was asked for, and is null until the last.
    let chunk = |choices: Value, counted: Value| {
        let mut body = json!({
            "id": reply.id, "object": "chat.completion.chunk", "created": reply.created,
            "model": reply.model, "choices": choices,
        });
        if usage && !turn.is(&Oddity::NoUsage) {
            body["usage"] = counted;
        }
        event(&body)
    };
    let delta = |delta: Value, finish: Option<&str>| {
        chunk(
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]),
            Value::Null,
        )
    };
    let mut events = Vec::new();
    if let Some(text) = &turn.text {
        events.push(delta(
            json!({"role": "assistant", "content": "", "refusal": null}),
            None,
        ));
        for piece in pieces(text, PIECE) {
            events.push(delta(json!({"content": piece}), None));
        }
    } else if reply.calls.is_empty() {
        events.push(delta(json!({"role": "assistant", "content": null}), None));
    }
    for (place, (id, name, arguments)) in reply.calls.iter().enumerate() {
        for (order, mut call) in pieces_of_call(reply, place, id, name, arguments)
            .into_iter()
            .enumerate()
        {
            if turn.is(&Oddity::NoIndex)
                && let Some(call) = call.as_object_mut()
            {
                call.remove("index");
            }
            let mut body = json!({"tool_calls": [call]});
            if events.is_empty() && order == 0 {
                body["role"] = json!("assistant");
                body["content"] = Value::Null;
            }
            events.push(delta(body, None));
        }
    }
    events.push(delta(json!({}), Some(&reply.finish_reason)));
    if usage && !turn.is(&Oddity::NoUsage) {
        let choices = if turn.is(&Oddity::NullChoices) {
            Value::Null
        } else {
            json!([])
        };
        events.push(chunk(choices, reply.usage_body()));
    } else if turn.is(&Oddity::NullChoices) {
        events.push(chunk(Value::Null, Value::Null));
    }
    events
}

fn pieces_of_call(
    reply: &Reply,
    place: usize,
    id: &str,
    name: &str,
    arguments: &str,
) -> Vec<Value> {
    let turn = &reply.turn;
    let index = if turn.is(&Oddity::IndexZero) {
        0
    } else {
        place
    };
    let first = |arguments: &str| {
        json!({"index": index, "id": id, "type": "function",
               "function": {"name": name, "arguments": arguments}})
    };
    if turn.is(&Oddity::WholeCalls) {
        return vec![first(arguments)];
    }
    let length = if turn.is(&Oddity::SplitArguments) {
        SPLIT
    } else {
        usize::MAX
    };
    let mut all = vec![first("")];
    for piece in pieces(arguments, length) {
        all.push(json!({"index": index, "function": {"arguments": piece}}));
    }
    all
}

/// A text in pieces of at most so many letters.
fn pieces(text: &str, length: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters
        .chunks(length)
        .map(|piece| piece.iter().collect())
        .collect()
}
