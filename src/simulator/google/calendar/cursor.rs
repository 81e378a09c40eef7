//! Where a listing of events goes on: page tokens, and the text of sync tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::super::access::{Call, Failure};

/// A page's place.
pub struct Position {
    pub from: usize,
    /// The calendar's when the first page was made: nothing that changes meanwhile is lost.
    pub version: u64,
    pub empty: bool,
}

pub fn position(call: &Call, version: u64, empty: bool) -> Result<Position, Failure> {
    let Some(token) = call.one("pageToken").filter(|token| !token.is_empty()) else {
        return Ok(Position {
            from: 0,
            version,
            empty,
        });
    };
    let invalid = || Failure::parameter("pageToken", "invalid", "Invalid page token value.");
    let token = decode(token).ok_or_else(invalid)?;
    if token["same"] != same(call) {
        return Err(invalid());
    }
    Ok(Position {
        from: token["from"]
            .as_u64()
            .and_then(|from| usize::try_from(from).ok())
            .ok_or_else(invalid)?,
        version: token["version"].as_u64().ok_or_else(invalid)?,
        empty: false,
    })
}

/// The parameters that must stay from page to page.
pub fn same(call: &Call) -> String {
    let free = [
        "pageToken",
        "maxResults",
        "fields",
        "alt",
        "prettyPrint",
        "key",
    ];
    let mut kept: Vec<String> = call
        .query
        .iter()
        .filter(|(name, _)| !free.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    kept.sort();
    kept.join("&")
}

pub fn encode(token: &Value) -> String {
    URL_SAFE_NO_PAD.encode(token.to_string())
}

pub fn decode(token: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}
