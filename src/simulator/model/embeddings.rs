//! Embeddings without a model: each word stem points somewhere, and a text where its words point
//! together. So texts that share words are near each other, always in the same way.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rust_stemmers::{Algorithm, Stemmer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Switches, answered, authorized, invalid, parsed, tokens};
use crate::simulator::World;

const DIMENSIONS: usize = 1536;
const INPUTS: usize = 2048;
const TOKENS: usize = 8192;
const TOKENS_IN_ALL: usize = 300_000;
/// How many numbers of a vector one word moves.
const PLACES: usize = 8;

pub(super) async fn embed(State(world): State<World>, headers: HeaderMap, body: Bytes) -> Response {
    let request = match authorized(&headers).and_then(|()| parsed(&body)) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let (inputs, dimensions, base64) = match judged(&request, &world.model().switches()) {
        Ok(judged) => judged,
        Err(response) => return *response,
    };
    let used: usize = inputs.iter().map(|input| tokens(input)).sum();
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input, dimensions);
            let embedding = if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|n| n.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    answered(json!({
        "object": "list", "data": data, "model": request["model"],
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }))
}

fn judged<'a>(
    request: &'a Value,
    switches: &Switches,
) -> Result<(Vec<&'a str>, usize, bool), Box<Response>> {
    if request["model"].as_str().is_none_or(str::is_empty) {
        return invalid("you must provide a model parameter", "model", None);
    }
    let wrong = |words: &str| invalid(words, "input", None);
    let inputs: Option<Vec<&str>> = match &request["input"] {
        Value::String(text) => Some(vec![text]),
        Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let Some(inputs) = inputs.filter(|inputs| !inputs.is_empty()) else {
        return wrong("Invalid 'input': expected a string or an array of strings.");
    };
    if inputs.len() > INPUTS {
        return wrong(
            "Invalid 'input': array too long. Expected an array with maximum length 2048.",
        );
    }
    if inputs.iter().any(|input| input.is_empty()) {
        return wrong("Invalid 'input': input cannot be an empty string.");
    }
    if inputs.iter().any(|input| tokens(input) > TOKENS) {
        return wrong("Invalid 'input': maximum context length is 8192 tokens.");
    }
    let words = |input: &&str| input.split_whitespace().count();
    if let Some(most) = switches.embedding_words
        && inputs.iter().any(|input| words(input) > most)
    {
        return wrong("Invalid 'input': the input is longer than the model's context length.");
    }
    if let Some(filtered) = &switches.embedding_filter
        && inputs.iter().any(|input| input.contains(filtered))
    {
        return invalid(
            "The input was refused by the content filter.",
            "input",
            Some("content_filter"),
        );
    }
    if inputs.iter().map(|input| tokens(input)).sum::<usize>() > TOKENS_IN_ALL {
        return wrong("Invalid 'input': maximum request size is 300000 tokens per request.");
    }
    let dimensions = match &request["dimensions"] {
        Value::Null => switches.embedding_dimensions.unwrap_or(DIMENSIONS),
        asked => match asked.as_u64().and_then(|asked| usize::try_from(asked).ok()) {
            Some(asked) if (1..=DIMENSIONS).contains(&asked) => asked,
            _ => {
                let words = "Invalid value for 'dimensions': must be between 1 and 1536.";
                return invalid(words, "dimensions", None);
            }
        },
    };
    match request["encoding_format"].as_str() {
        None | Some("float") => Ok((inputs, dimensions, false)),
        Some("base64") => Ok((inputs, dimensions, true)),
        Some(_) => invalid(
            "Invalid value for 'encoding_format'.",
            "encoding_format",
            None,
        ),
    }
}

/// Of length 1.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let stemmer = Stemmer::create(Algorithm::English);
    let mut vector = vec![0_f32; dimensions];
    let mut add = |word: &str, weight: f32| {
        let digest = Sha256::digest(word);
        for bytes in digest.chunks_exact(32 / PLACES) {
            let place = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
            let place = usize::try_from(place).unwrap_or_default() % dimensions;
            vector[place] += if bytes[3] & 1 == 0 { weight } else { -weight };
        }
    };
    // So that a text without words points somewhere too.
    add("", 0.01);
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() {
            add(&stemmer.stem(&word.to_lowercase()), 1.0);
        }
    }
    let length = vector.iter().map(|n| n * n).sum::<f32>().sqrt();
    if length > 0.0 {
        for n in &mut vector {
            *n /= length;
        }
    } else {
        vector[0] = 1.0;
    }
    vector
}
