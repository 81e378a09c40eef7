//! The contract as it is published, for whoever makes types and calls of it.
//!
//! Promises: each operation has an id of its own, made of its method and path; what the server always sends is
//! required; every body, reply and problem has an example, which the tests of the clients hold against its schema.
//! Statuses and sign-in are written into it by `http::contract` before. May not know: what any route does. A new route's examples go into
//! `examples.json`, under its method and path.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

const EXAMPLES: &str = include_str!("examples.json");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// Fields of replies that aren't always there; all others are, and null where there is nothing.
const SOMETIMES: &[(&str, &[&str])] = &[
    ("ProblemBody", &["detail", "errors", "budget_resets_at"]),
    ("Caused", &["name"]),
    (
        "WaitingOn",
        &[
            "message_id",
            "thread_id",
            "addresses",
            "nudge_at",
            "until",
            "round",
            "budget_resets_at",
            "paused",
        ],
    ),
    ("CanUndo", &["undone_by"]),
    ("Outcome", &["result", "error"]),
];

/// The document, complete.
pub fn publish(api: &OpenApi) -> Value {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    require(&mut document);
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    for (path, method, operation) in operations(&mut document) {
        operation["operationId"] = json!(id(&method, &path));
        let example = &examples[format!("{} {path}", method.to_uppercase())];
        complete(operation, example);
    }
    document
}

/// Every operation with its path and method.
fn operations(document: &mut Value) -> Vec<(String, String, &mut Value)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object_mut().into_iter().flatten();
            methods
                .filter(|(method, _)| METHODS.contains(&method.as_str()))
                .map(|(method, operation)| (path.clone(), method.clone(), operation))
        })
        .collect()
}

/// `GET /api/rules/{id}` is `get_rules_by_id`.
fn id(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/api").replace('-', "_");
    words
        .split('/')
        .filter(|word| !word.is_empty())
        .fold(method.to_owned(), |id, word| match word.strip_prefix('{') {
            Some(name) => format!("{id}_by_{}", name.trim_end_matches('}')),
            None => format!("{id}_{}", word.replace('.', "_")),
        })
}

/// The examples of one operation.
fn complete(operation: &mut Value, example: &Value) {
    let parameters = operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        if parameter["name"] == "id" {
            parameter["example"] = json!("01997f6e-51c0-7c1e-9a54-6f1d6a0b7c2e");
        }
    }
    if let Some(body) = example.get("body") {
        for kind in contents(&mut operation["requestBody"]) {
            kind["example"] = body.clone();
        }
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if !status.starts_with(['4', '5']) {
            if let Some(reply) = example.get(status) {
                for kind in contents(response) {
                    kind["example"] = reply.clone();
                }
            }
            continue;
        }
        let (title, errors) = error(status);
        if response["description"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
        {
            response["description"] = json!(title);
        }
        // A reply that isn't a problem, such as that of `/ready`, stays what it is.
        if let Some(problem) = response.pointer_mut("/content/application~1problem+json") {
            let mut body = json!({"type": "about:blank", "title": title, "status": status.parse::<u16>().ok(),
                "request_id": "01997f6e-51c0-7c1e-9a54-6f1d6a0b7c2e"});
            if let Some(errors) = errors {
                body["errors"] = errors;
            }
            problem["example"] = body;
        } else if let Some(reply) = example.get(status) {
            for kind in contents(response) {
                kind["example"] = reply.clone();
            }
        }
    }
}

fn contents(of: &mut Value) -> Vec<&mut Value> {
    of.get_mut("content")
        .and_then(Value::as_object_mut)
        .map(|kinds| kinds.values_mut().collect())
        .unwrap_or_default()
}

/// What such an error says, and of which fields.
fn error(status: &str) -> (&'static str, Option<Value>) {
    match status {
        "400" => ("malformed JSON", None),
        "401" => ("not signed in", None),
        "403" => ("not allowed", None),
        "404" => ("not found", None),
        "409" => ("it has changed, or can't be done now", None),
        "413" => ("body too large", None),
        "415" => ("unsupported media type", None),
        "422" => (
            "invalid request",
            Some(json!([{"field": "limit", "message": "must be from 1 to 200"}])),
        ),
        "429" => ("too many requests", None),
        "502" => ("the provider doesn't answer", None),
        "503" => ("not ready", None),
        _ => ("internal error", None),
    }
}

/// Says of what only replies hold that all of it is there.
fn require(document: &mut Value) {
    let (mut asked, mut told) = (BTreeSet::new(), BTreeSet::new());
    let components = document["components"]["schemas"].clone();
    for (_, _, operation) in operations(document) {
        reach(&operation["requestBody"], &components, &mut asked);
        reach(&operation["responses"], &components, &mut told);
    }
    for name in told.difference(&asked) {
        let optional = SOMETIMES.iter().find(|(known, _)| known == name);
        let optional = optional.map_or(&[][..], |(_, fields)| fields);
        require_in(
            &mut document["components"]["schemas"][name.as_str()],
            optional,
        );
    }
}

fn require_in(schema: &mut Value, optional: &[&str]) {
    let parts = schema.get_mut("allOf").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten() {
        require_in(part, optional);
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for property in properties.values_mut() {
        // A list of objects that have no name of their own.
        if property["type"] == "array" {
            require_in(&mut property["items"], optional);
        }
    }
    let fields: Vec<&String> = properties
        .keys()
        .filter(|name| !optional.contains(&name.as_str()))
        .collect();
    let required = json!(fields);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("required".to_owned(), required);
    }
}

/// Collects the names of all schemas that can be got to from here.
fn reach(from: &Value, components: &Value, names: &mut BTreeSet<String>) {
    match from {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = name.and_then(|path| path.rsplit('/').next())
                && names.insert(name.to_owned())
            {
                reach(&components[name], components, names);
            }
            fields
                .values()
                .for_each(|value| reach(value, components, names));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|value| reach(value, components, names)),
        _ => {}
    }
}
