//! Chat completions: the checks of a request, and the reply in one piece.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::script::{Oddity, Turn, Usage};
use super::{
    State as Inner, answered, authorized, error, invalid, obedient, parsed, refusal, stream, tokens,
};
use crate::simulator::World;

/// A request that asks for more is refused.
const CONTEXT: usize = 128_000;

/// A reply that is ready to be worded.
pub(super) struct Reply {
    pub id: String,
    pub created: i64,
    pub model: String,
    pub turn: Turn,
    /// Id, name and arguments of each call.
    pub calls: Vec<(String, String, String)>,
    pub finish_reason: String,
    pub usage: Usage,
}

impl Reply {
    pub fn usage_body(&self) -> Value {
        let Usage {
            prompt_tokens,
            completion_tokens,
        } = self.usage;
        json!({
            "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        })
    }
}

pub(super) async fn complete(
    State(world): State<World>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = match authorized(&headers).and_then(|()| parsed(&body)) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    if let Err(response) = check(&request) {
        return *response;
    }
    let prompt = tokens(&request["messages"].to_string()) + tokens(&request["tools"].to_string());
    if prompt > CONTEXT {
        let words = format!("This model's maximum context length is {CONTEXT} tokens.");
        return error(
            400,
            &words,
            "invalid_request_error",
            Some("messages"),
            Some("context_length_exceeded"),
        );
    }
    let reply = {
        let mut state = world.model().state();
        state.requests.push(request.clone());
        reply(
            &mut state,
            &request,
            prompt,
            world.clock().now().timestamp(),
        )
    };
    for oddity in &reply.turn.oddities {
        match oddity {
            Oddity::RateLimited => return refusal(429, None),
            Oddity::OutOfMoney => return refusal(429, Some("insufficient_quota")),
            Oddity::Refused(status) => return refusal(*status, None),
            _ => {}
        }
    }
    if request["stream"] == true {
        let usage = request["stream_options"]["include_usage"] == true;
        return stream::respond(&reply, usage);
    }
    if let Some(millis) = reply.turn.pause() {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    whole(&reply)
}

fn whole(reply: &Reply) -> Response {
    let mut message = json!({"role": "assistant", "content": reply.turn.text, "refusal": null});
    if !reply.calls.is_empty() {
        let calls: Vec<Value> = reply
            .calls
            .iter()
            .map(|(id, name, arguments)| {
                json!({"id": id, "type": "function",
                       "function": {"name": name, "arguments": arguments}})
            })
            .collect();
        message["tool_calls"] = json!(calls);
    }
    let mut body = json!({
        "id": reply.id, "object": "chat.completion", "created": reply.created,
        "model": reply.model,
        "choices": [{"index": 0, "message": message, "logprobs": null,
                     "finish_reason": reply.finish_reason}],
    });
    if !reply.turn.is(&Oddity::NoUsage) {
        body["usage"] = reply.usage_body();
    }
    answered(body)
}

/// The words of a message, whether it holds a text or parts.
fn words(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts = parts.iter().filter_map(|part| part["text"].as_str());
            parts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn reply(state: &mut Inner, request: &Value, prompt: usize, created: i64) -> Reply {
    let messages = request["messages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let last = messages.last().map(words).unwrap_or_default();
    let fits = |turn: &Turn| turn.when.as_ref().is_none_or(|when| last.contains(when));
    let turn = match state.turns.iter().position(fits) {
        Some(place) => state.turns.remove(place),
        None if state.switches.obeys => obedient::turn(messages, state.made),
        None => unscripted(messages),
    };
    state.made += 1;
    let id = format!("chatcmpl-{}", state.made);
    let calls: Vec<_> = turn
        .tool_calls
        .iter()
        .enumerate()
        .map(|(place, call)| {
            let made = format!("call_{}_{place}", state.made);
            let mut arguments = call.text();
            if turn.is(&Oddity::InvalidArguments) {
                arguments.pop();
            }
            (
                call.id.clone().unwrap_or(made),
                call.name.clone(),
                arguments,
            )
        })
        .collect();
    // A named choice ends with `stop` although there are calls.
    let usual = if calls.is_empty() || request["tool_choice"].is_object() {
        "stop"
    } else {
        "tool_calls"
    };
    let said = tokens(turn.text.as_deref().unwrap_or_default());
    let called: usize = calls
        .iter()
        .map(|(_, name, text)| tokens(name) + tokens(text))
        .sum();
    let count = |tokens: usize| u64::try_from(tokens).unwrap_or(u64::MAX);
    Reply {
        id,
        created,
        model: request["model"].as_str().unwrap_or_default().to_owned(),
        finish_reason: turn
            .finish_reason
            .clone()
            .unwrap_or_else(|| usual.to_owned()),
        usage: turn.usage.unwrap_or_else(|| Usage {
            prompt_tokens: count(prompt),
            completion_tokens: count(said + called),
        }),
        calls,
        turn,
    }
}

/// A plain sentence about the last thing that the user said.
fn unscripted(messages: &[Value]) -> Turn {
    let asked = messages
        .iter()
        .rev()
        .find(|message| message["role"] == "user");
    let asked = asked.map(words).unwrap_or_default();
    let line: String = asked
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    Turn::say(&format!("You asked: {line}"))
}

/// What the real server refuses.
fn check(request: &Value) -> Result<(), Box<Response>> {
    if request["model"].as_str().is_none_or(str::is_empty) {
        return invalid("you must provide a model parameter", "model", None);
    }
    if request["model"] == "missing" {
        return Err(Box::new(refusal(404, None)));
    }
    let Some(messages) = request["messages"].as_array().filter(|all| !all.is_empty()) else {
        let words = "Invalid 'messages': empty array. Expected an array with minimum length 1.";
        return invalid(words, "messages", Some("empty_array"));
    };
    if request.get("max_tokens").is_some() && request.get("max_completion_tokens").is_some() {
        let words =
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return invalid(words, "max_tokens", Some("unsupported_parameter"));
    }
    let streams = request["stream"] == true;
    if request
        .get("stream_options")
        .is_some_and(|options| !options.is_null())
        && !streams
    {
        let words = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return invalid(words, "stream_options", None);
    }
    check_tools(request)?;
    check_order(messages)
}

fn name_is_valid(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

fn check_tools(request: &Value) -> Result<(), Box<Response>> {
    let tools = match &request["tools"] {
        Value::Null if request["tool_choice"].is_null() => return Ok(()),
        Value::Null => {
            let words = "'tool_choice' is only allowed when 'tools' are specified.";
            return invalid(words, "tool_choice", None);
        }
        tools => tools,
    };
    let Some(tools) = tools.as_array().filter(|tools| !tools.is_empty()) else {
        return invalid(
            "Invalid 'tools': empty array.",
            "tools",
            Some("empty_array"),
        );
    };
    let mut names = BTreeSet::new();
    for (place, tool) in tools.iter().enumerate() {
        let function = &tool["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let param = format!("tools[{place}].function.name");
        if tool["type"] != "function" || !name_is_valid(name) {
            let words = format!("Invalid '{param}': string does not match pattern.");
            return invalid(&words, &param, Some("invalid_value"));
        }
        names.insert(name);
        let schema = &function["parameters"];
        if function["strict"] == true && !is_strict(schema) {
            let words = format!(
                "Invalid schema for function '{name}': 'additionalProperties' is required to be \
                 supplied and to be false, and all properties must be in 'required'."
            );
            let param = format!("tools[{place}].function.parameters");
            return invalid(&words, &param, Some("invalid_function_parameters"));
        }
    }
    let chosen = &request["tool_choice"]["function"]["name"];
    if chosen.as_str().is_some_and(|name| !names.contains(name)) {
        let words = "Tool choice names a function that isn't among 'tools'.";
        return invalid(words, "tool_choice", None);
    }
    Ok(())
}

/// Whether an object's schema and those within it fit strict mode.
fn is_strict(schema: &Value) -> bool {
    let Some(properties) = schema["properties"].as_object() else {
        return schema["type"] != "object" || schema["additionalProperties"] == false;
    };
    let required = schema["required"].as_array();
    let named = |name: &String| {
        required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name.as_str())))
    };
    schema["additionalProperties"] == false
        && properties.keys().all(named)
        && properties.values().all(is_strict)
}

/// Each call is answered once, before anything else is said; and only calls are answered.
fn check_order(messages: &[Value]) -> Result<(), Box<Response>> {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let mut answers = false;
    for (place, message) in messages.iter().enumerate() {
        let param = format!("messages.[{place}].role");
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !answers {
                let words = "Invalid parameter: messages with role 'tool' must be a response to a \
                             preceding message with 'tool_calls'.";
                return invalid(words, &param, None);
            }
            if !open.remove(id) {
                let words = format!(
                    "Invalid parameter: 'tool_call_id' of '{id}' not found in 'tool_calls' of previous message."
                );
                return invalid(&words, &param, None);
            }
            continue;
        }
        unanswered(&open)?;
        answers = false;
        match role {
            "system" | "developer" | "user" => {
                if message["content"].is_null() {
                    let param = format!("messages.[{place}].content");
                    let words = "Invalid value for 'content': expected a string, got null.";
                    return invalid(words, &param, None);
                }
            }
            "assistant" => {
                let calls = message["tool_calls"].as_array();
                if message["content"].is_null() && calls.is_none_or(Vec::is_empty) {
                    let words = "an assistant message needs 'content' or 'tool_calls'";
                    return invalid(words, &param, None);
                }
                for call in calls.into_iter().flatten() {
                    open.insert(call["id"].as_str().unwrap_or_default());
                    if !call["function"]["arguments"].is_string() {
                        let words = "Invalid type for 'arguments': expected a string.";
                        return invalid(words, &param, Some("invalid_type"));
                    }
                    answers = true;
                }
            }
            _ => {
                let words = format!("Invalid value: '{role}'.");
                return invalid(&words, &param, Some("invalid_value"));
            }
        }
    }
    unanswered(&open)
}

fn unanswered(open: &BTreeSet<&str>) -> Result<(), Box<Response>> {
    if open.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = open.iter().copied().collect();
    let words = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
         'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        ids.join(", ")
    );
    invalid(&words, "messages", None)
}
