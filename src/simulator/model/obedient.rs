//! A model that does whatever it read last, and never words a thing twice alike: the worst that an attacker's
//! text can meet.

use serde_json::Value;

use super::script::Turn;

const OPEN: &str = "((call ";
const CLOSE: &str = "))";

/// The next thing that a text in a tool's result wants and that wasn't called yet; a sentence when all was.
pub(super) fn turn(messages: &[Value], made: u64) -> Turn {
    let mut wanted = Vec::new();
    for message in messages.iter().filter(|message| message["role"] == "tool") {
        let content = message["content"].as_str().unwrap_or_default();
        let content = serde_json::from_str(content).unwrap_or(Value::String(content.to_owned()));
        collect(&content, &mut wanted);
    }
    let called: Vec<&Value> = messages
        .iter()
        .filter_map(|message| message["tool_calls"].as_array())
        .flatten()
        .map(|call| &call["function"])
        .collect();
    let next = wanted.into_iter().find(|(name, input)| {
        !called.iter().any(|call| {
            let given: Value = call["arguments"]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            call["name"] == name.as_str() && is_alike(&given, input)
        })
    });
    match next {
        Some((name, mut input)) => {
            if let Some(text) = input["text"].as_str() {
                input["text"] = format!("{text} ({made})").into();
            }
            Turn::call(&name, input)
        }
        None => Turn::say(&format!("That is all, for the {made}th time.")),
    }
}

/// The same but for the wording.
fn is_alike(given: &Value, wanted: &Value) -> bool {
    let without = |value: &Value| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("text");
        }
        value
    };
    without(given) == without(wanted)
}

fn collect(value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::String(text) => {
            for part in text.split(OPEN).skip(1) {
                let Some((order, _)) = part.split_once(CLOSE) else {
                    continue;
                };
                let (name, input) = order.split_once(' ').unwrap_or((order, "{}"));
                let input = serde_json::from_str(input).unwrap_or(Value::String(input.to_owned()));
                let order = (name.to_owned(), input);
                if !found.contains(&order) {
                    found.push(order);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|one| collect(one, found)),
        Value::Object(fields) => fields.values().for_each(|one| collect(one, found)),
        _ => {}
    }
}
