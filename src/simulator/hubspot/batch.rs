//! Up to a hundred objects in a call.

use serde_json::{Value, json};

use super::crm::{Answer, Call};
use super::kind::Kind;
use super::objects::{create_one, made, resolved, shown};
use super::store::{Store, iso};
use super::validate;
use super::wrong::Wrong;

const MOST: usize = 100;

pub(super) fn route(store: &mut Store, kind: Kind, what: &str, call: &Call) -> Answer {
    let inputs = inputs(call, MOST)?;
    match what {
        "read" => Ok(read(store, kind, inputs, call)),
        "create" => create(store, kind, inputs, call),
        "update" => Ok(update(store, kind, inputs, call)),
        "upsert" => Ok(upsert(store, kind, inputs, call)),
        "archive" => {
            for input in inputs {
                if let Ok(id) = resolved(store, kind, &id_of(input), None) {
                    store.archive(kind, id, call.now, &call.source);
                }
            }
            Ok((204, Value::Null))
        }
        _ => Err(Wrong::nowhere()),
    }
}

/// The `inputs` of a batch.
pub(super) fn inputs(call: &Call, most: usize) -> Result<&Vec<Value>, Wrong> {
    match call.body["inputs"].as_array() {
        Some(inputs) if inputs.len() <= most => Ok(inputs),
        Some(_) => Err(Wrong::validation(&format!(
            "Invalid input: a batch holds at most {most} inputs"
        ))),
        None => Err(Wrong::validation("Invalid input JSON: inputs is required")),
    }
}

pub(super) fn id_of(input: &Value) -> String {
    match &input["id"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The reply of a batch: multi-status when something in it went wrong.
pub(super) fn complete(
    status: u16,
    results: &[Value],
    errors: &[Value],
    call: &Call,
) -> (u16, Value) {
    let mut body = json!({
        "status": "COMPLETE", "results": results,
        "startedAt": iso(call.now), "completedAt": iso(call.now),
    });
    if errors.is_empty() {
        return (status, body);
    }
    body["numErrors"] = json!(errors.len());
    body["errors"] = json!(errors);
    (207, body)
}

fn read(store: &Store, kind: Kind, inputs: &[Value], call: &Call) -> (u16, Value) {
    let names: Vec<String> = call.body["properties"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(ToOwned::to_owned))
        .collect();
    let property = call.body["idProperty"].as_str();
    let archived = call.query("archived") == Some("true");
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in inputs {
        let text = id_of(input);
        let record = resolved(store, kind, &text, property).ok().and_then(|id| {
            let table = store.get(kind)?;
            if archived {
                table
                    .records
                    .get(&id)
                    .filter(|record| record.archived_at.is_some())
            } else {
                table.living(id)
            }
        });
        match record {
            Some(record) => results.push(shown(record, kind, &names, call.portal)),
            None => errors.push(Wrong::not_found(kind, &text).entry(None)),
        }
    }
    complete(200, &results, &errors, call)
}

/// One conflict fails the whole batch, and so does one invalid input, unless every input is named by
/// an `objectWriteTraceId`: then the others are made.
fn create(store: &mut Store, kind: Kind, inputs: &[Value], call: &Call) -> Answer {
    let traced = inputs
        .iter()
        .all(|input| input["objectWriteTraceId"].is_string());
    let (mut results, mut errors, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let events = store.events.len();
    for input in inputs {
        match create_one(store, kind, input, call) {
            Ok(id) => {
                let mut body = made(store, kind, id, call)?;
                if let Some(trace) = input.get("objectWriteTraceId") {
                    body["objectWriteTraceId"] = trace.clone();
                }
                ids.push(id);
                results.push(body);
            }
            Err(wrong) if traced && wrong.status != 409 => {
                errors.push(wrong.entry(input.get("objectWriteTraceId")));
            }
            Err(wrong) => {
                for id in ids {
                    store.forget(kind, id);
                }
                store.events.truncate(events);
                return Err(wrong);
            }
        }
    }
    Ok(complete(201, &results, &errors, call))
}

fn update(store: &mut Store, kind: Kind, inputs: &[Value], call: &Call) -> (u16, Value) {
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in inputs {
        let updated = change(store, kind, input, call).and_then(|id| made(store, kind, id, call));
        match updated {
            Ok(body) => results.push(body),
            Err(wrong) => errors.push(wrong.entry(input.get("objectWriteTraceId"))),
        }
    }
    complete(200, &results, &errors, call)
}

fn change(store: &mut Store, kind: Kind, input: &Value, call: &Call) -> Result<u64, Wrong> {
    let id = resolved(store, kind, &id_of(input), input["idProperty"].as_str())?;
    let values = validate::values(input.get("properties"))?;
    store.update(kind, id, &values, (call.now, call.lag), &call.source)
}

fn upsert(store: &mut Store, kind: Kind, inputs: &[Value], call: &Call) -> (u16, Value) {
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in inputs {
        let done = match change(store, kind, input, call) {
            Err(wrong) if wrong.status == 404 => {
                let mut input = input.clone();
                if let Some(property) = input["idProperty"].as_str().map(ToOwned::to_owned) {
                    let id = input["id"].clone();
                    input["properties"][property] = id;
                }
                create_one(store, kind, &input, call).map(|id| (id, true))
            }
            done => done.map(|id| (id, false)),
        };
        let body = done.and_then(|(id, new)| {
            let mut body = made(store, kind, id, call)?;
            body["new"] = json!(new);
            Ok(body)
        });
        match body {
            Ok(body) => results.push(body),
            Err(wrong) => errors.push(wrong.entry(input.get("objectWriteTraceId"))),
        }
    }
    complete(200, &results, &errors, call)
}
