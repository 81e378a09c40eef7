//! The simulated model, as a client meets it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use paraplanner::simulator::model::{CHAT_MODEL, EMBEDDING_MODEL, Oddity, Turn, WRONG_KEY};
use paraplanner::simulator::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::world::Stage;

async fn post(stage: &Stage, path: &str, body: &Value) -> reqwest::Response {
    let request = stage.http.post(stage.at(path)).bearer_auth("any-key");
    request.json(body).send().await.unwrap()
}

fn question(more: &Value) -> Value {
    let mut body = json!({
        "model": CHAT_MODEL, "messages": [{"role": "user", "content": "Who mentioned AAPL?"}],
    });
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

async fn chat(stage: &Stage, more: Value) -> (u16, Value) {
    let response = post(stage, "/v1/chat/completions", &question(&more)).await;
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

/// The data of a stream's events.
async fn streamed(stage: &Stage, usage: bool) -> Vec<String> {
    let mut more = json!({"stream": true});
    if usage {
        more["stream_options"] = json!({"include_usage": true});
    }
    let response = post(stage, "/v1/chat/completions", &question(&more)).await;
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    text.split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .map(ToOwned::to_owned)
        .collect()
}

fn chunks(events: &[String]) -> Vec<Value> {
    let chunks = events.iter().filter(|event| *event != "[DONE]");
    chunks
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

#[tokio::test]
async fn without_a_script_it_answers_the_question() {
    let stage = Stage::start().await;
    let (status, body) = chat(&stage, json!({})).await;
    assert_eq!(status, 200);
    let message = &body["choices"][0]["message"];
    assert_eq!(message["content"], json!("You asked: Who mentioned AAPL?"));
    assert_eq!(body["choices"][0]["finish_reason"], json!("stop"));
    assert!(body["usage"]["total_tokens"].as_u64().unwrap() > 0);
    assert_eq!(stage.world().model().requests().len(), 1);
    assert_eq!(
        stage
            .world()
            .journal()
            .count("POST", "/v1/chat/completions"),
        1
    );
}

#[tokio::test]
async fn turns_come_in_order_unless_they_wait_for_words() {
    let stage = Stage::start().await;
    let model = stage.world().model();
    model.script(Turn::say("later").when("nothing like it"));
    model.script(Turn::say("first"));
    model.script(Turn::say("about shares").when("AAPL"));
    for expected in ["first", "about shares", "You asked: Who mentioned AAPL?"] {
        let (_, body) = chat(&stage, json!({})).await;
        assert_eq!(body["choices"][0]["message"]["content"], json!(expected));
    }
    assert_eq!(model.turns_left(), 1);
}

#[tokio::test]
async fn a_stream_joins_to_two_calls_and_ends_with_usage() {
    let stage = Stage::start().await;
    let turn = Turn::call("search", json!({"query": "AAPL"})).and_call("clock", json!({}));
    stage
        .world()
        .model()
        .script(turn.with(Oddity::SplitArguments));
    let events = streamed(&stage, true).await;
    assert_eq!(events.last().unwrap(), "[DONE]");
    let chunks = chunks(&events);
    let mut arguments = [String::new(), String::new()];
    let mut ids = Vec::new();
    let mut pieces = 0;
    for chunk in &chunks {
        assert_eq!(chunk["id"], chunks[0]["id"]);
        let Some(call) = chunk["choices"][0]["delta"]["tool_calls"].get(0) else {
            continue;
        };
        let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
        arguments[index].push_str(call["function"]["arguments"].as_str().unwrap());
        ids.extend(call["id"].as_str());
        pieces += 1;
    }
    assert_eq!(arguments, [r#"{"query":"AAPL"}"#, "{}"]);
    assert_eq!(ids.len(), 2);
    assert!(pieces > 4);
    let [.., finish, usage] = chunks.as_slice() else {
        panic!("too few chunks")
    };
    assert_eq!(finish["choices"][0]["finish_reason"], json!("tool_calls"));
    assert!(finish["usage"].is_null());
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["total_tokens"].is_u64());
}

#[tokio::test]
async fn streams_misbehave_as_told() {
    let stage = Stage::start().await;
    let model = stage.world().model();
    let calls = || Turn::call("a", json!({"x": 1})).and_call("b", json!({"y": 2}));

    model.script(calls().with(Oddity::IndexZero));
    let all = chunks(&streamed(&stage, false).await);
    let calls_in = |chunk: &Value| chunk["choices"][0]["delta"]["tool_calls"].get(0).cloned();
    assert!(
        all.iter()
            .filter_map(calls_in)
            .all(|call| call["index"] == 0)
    );
    assert!(all.iter().all(|chunk| chunk.get("usage").is_none()));

    model.script(Turn::say("a sentence that is cut").with(Oddity::Cut));
    assert!(!streamed(&stage, false).await.contains(&"[DONE]".to_owned()));

    model.script(Turn::say("a sentence that fails").with(Oddity::ErrorInside));
    let all = chunks(&streamed(&stage, false).await);
    assert_eq!(all.last().unwrap()["error"]["type"], json!("server_error"));

    model.script(Turn::say("short").with(Oddity::NullChoices));
    let all = chunks(&streamed(&stage, true).await);
    assert!(all.last().unwrap()["choices"].is_null());

    model.script(Turn::say("short").with(Oddity::NoUsage));
    let all = chunks(&streamed(&stage, true).await);
    assert!(all.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[tokio::test]
async fn arguments_can_be_broken() {
    let stage = Stage::start().await;
    let turn = Turn::call("a", json!({"x": 1})).with(Oddity::InvalidArguments);
    stage.world().model().script(turn);
    let (_, body) = chat(&stage, json!({})).await;
    let call = &body["choices"][0]["message"]["tool_calls"][0];
    let arguments = call["function"]["arguments"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(arguments).is_err());
}

#[tokio::test]
async fn both_kinds_of_too_much_can_be_told_apart() {
    let stage = Stage::start().await;
    let model = stage.world().model();
    model.script(Turn::default().with(Oddity::RateLimited));
    model.script(Turn::default().with(Oddity::OutOfMoney));
    for code in ["rate_limit_exceeded", "insufficient_quota"] {
        let (status, body) = chat(&stage, json!({})).await;
        assert_eq!((status, &body["error"]["code"]), (429, &json!(code)));
    }
    let refuse = Misbehaviour::Refuse {
        status: 429,
        reason: Some("insufficient_quota".to_owned()),
        retry_after_secs: Some(3),
    };
    stage.world().faults().add(Fault::next("/v1/*", 1, refuse));
    let (_, body) = chat(&stage, json!({})).await;
    assert_eq!(body["error"]["type"], json!("insufficient_quota"));
}

#[tokio::test]
async fn a_conversation_told_wrongly_is_refused() {
    let stage = Stage::start().await;
    let user = json!({"role": "user", "content": "hello"});
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "a", "arguments": "{}"}});
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [call("1"), call("2")]});
    let tool = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
    let cases = [
        (json!([user, calls, tool("1"), tool("2"), user]), 200),
        (json!([user, tool("1")]), 400),
        (json!([user, calls, tool("1"), user, tool("2")]), 400),
        (json!([user, calls, tool("1")]), 400),
        (json!([user, calls, tool("1"), tool("3")]), 400),
        (json!([user, calls, tool("1"), tool("1"), tool("2")]), 400),
        (json!([{"role": "robot", "content": "x"}]), 400),
        (json!([]), 400),
    ];
    for (messages, expected) in cases {
        let (status, body) = chat(&stage, json!({"messages": messages})).await;
        assert_eq!(status, expected, "{messages}: {body}");
    }
}

#[tokio::test]
async fn tools_are_checked() {
    let stage = Stage::start().await;
    let tool = |name: &str, parameters: &Value| {
        json!([{"type": "function",
                "function": {"name": name, "parameters": parameters, "strict": true}}])
    };
    let strict = json!({"type": "object", "properties": {"q": {"type": "string"}},
                        "required": ["q"], "additionalProperties": false});
    let loose = json!({"type": "object", "properties": {"q": {"type": "string"}}});
    for (tools, expected) in [
        (tool("search", &strict), Value::Null),
        (tool("search", &loose), json!("invalid_function_parameters")),
        (tool("not a name", &strict), json!("invalid_value")),
    ] {
        let (_, body) = chat(&stage, json!({"tools": tools})).await;
        assert_eq!(body["error"]["code"], expected);
    }
}

#[tokio::test]
async fn keys_and_models_are_looked_at() {
    let stage = Stage::start().await;
    let models = stage.at("/v1/models");
    assert_eq!(stage.http.get(&models).send().await.unwrap().status(), 401);
    let request = stage.http.get(&models).bearer_auth(WRONG_KEY);
    assert_eq!(request.send().await.unwrap().status(), 401);
    let request = stage.http.get(&models).bearer_auth("x");
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["data"][0]["id"], json!(CHAT_MODEL));
    let (status, body) = chat(&stage, json!({"model": "missing"})).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (404, &json!("model_not_found"))
    );
}

async fn vectors(stage: &Stage, body: &Value) -> Vec<Vec<f64>> {
    let body: Value = post(stage, "/v1/embeddings", body)
        .await
        .json()
        .await
        .unwrap();
    let data = body["data"].as_array().unwrap();
    let numbers = |entry: &Value| serde_json::from_value(entry["embedding"].clone()).unwrap();
    data.iter().map(numbers).collect()
}

#[tokio::test]
async fn texts_with_the_same_words_are_near() {
    let stage = Stage::start().await;
    let input = [
        "selling the Apple shares",
        "She sold apples; sell the share",
        "his kid plays baseball",
    ];
    let body = json!({"model": EMBEDDING_MODEL, "input": input, "dimensions": 256});
    let all = vectors(&stage, &body).await;
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    assert_eq!(all[0].len(), 256);
    assert!((dot(&all[0], &all[0]) - 1.0).abs() < 1e-5);
    assert!(dot(&all[0], &all[1]) > dot(&all[0], &all[2]) + 0.3);
    assert_eq!(all, vectors(&stage, &body).await);

    let mut body = body;
    body["encoding_format"] = json!("base64");
    let reply: Value = post(&stage, "/v1/embeddings", &body)
        .await
        .json()
        .await
        .unwrap();
    let bytes = STANDARD
        .decode(reply["data"][0]["embedding"].as_str().unwrap())
        .unwrap();
    assert_eq!(bytes.len(), 256 * 4);
    let first = f32::from_le_bytes(bytes[..4].try_into().unwrap());
    assert!((f64::from(first) - all[0][0]).abs() < 1e-6);
}

#[tokio::test]
async fn the_limits_of_embeddings_hold() {
    let stage = Stage::start().await;
    let long = "word ".repeat(8000);
    for (input, expected) in [
        (json!(""), 400),
        (json!(["a", ""]), 400),
        (json!(vec!["a"; 2049]), 400),
        (json!(long), 400),
        (json!(vec![&long[..30_000]; 41]), 400),
        (json!(["a", "b"]), 200),
    ] {
        let body = json!({"model": EMBEDDING_MODEL, "input": input});
        let response = post(&stage, "/v1/embeddings", &body).await;
        assert_eq!(response.status(), expected);
    }
}

#[tokio::test]
async fn a_script_can_be_set_over_http() {
    let stage = Stage::start().await;
    let turn = json!({"text": "hi", "oddities": ["no_usage", {"slow": 1}]});
    assert_eq!(post(&stage, "/sim/model/turns", &turn).await.status(), 204);
    let (_, body) = chat(&stage, json!({})).await;
    assert_eq!(body["choices"][0]["message"]["content"], json!("hi"));
    assert!(body.get("usage").is_none());
}
