//! Links between objects, by the v4 calls.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::batch::{complete, id_of, inputs};
use super::crm::{Answer, Call};
use super::kind::Kind;
use super::objects::resolved;
use super::store::{End, Store};
use super::wrong::Wrong;

const PAGE: usize = 500;
const BATCH_READ: usize = 1000;
const BATCH_WRITE: usize = 2000;
const CATEGORIES: [&str; 3] = ["HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED"];

/// Below one object: its links of a type, or one link.
pub(super) fn of_one(
    store: &mut Store,
    verb: &str,
    (kind, id): (Kind, &str),
    rest: &[&str],
    call: &Call,
) -> Answer {
    let from = (kind, resolved(store, kind, id, None)?);
    match (verb, rest) {
        ("GET", [to]) => {
            let to = named(to)?;
            if store.living(from.0, from.1).is_none() {
                return Err(Wrong::not_found(from.0, &id));
            }
            let after = match call.query("after").map(str::parse) {
                None => 0,
                Some(Ok(after)) => after,
                Some(Err(_)) => return Err(Wrong::validation("after is not a valid cursor")),
            };
            let limit = call.limit(PAGE, PAGE)?;
            Ok((200, page(store, from, to, after, limit, call)))
        }
        ("PUT", ["default", to, other]) => {
            let to = named(to)?;
            let to = (to, resolved(store, to, other, None)?);
            store.link(from, to, None, call.now, &call.source)?;
            Ok(complete(200, &[both(from, to)], &[], call))
        }
        ("PUT", [to, other]) => {
            let to = named(to)?;
            let to = (to, resolved(store, to, other, None)?);
            let labels = labels(&call.body)?;
            for &label in &labels {
                store.link(from, to, Some(label), call.now, &call.source)?;
            }
            Ok((
                201,
                json!({
                    "fromObjectTypeId": from.0.type_id(), "fromObjectId": from.1,
                    "toObjectTypeId": to.0.type_id(), "toObjectId": to.1, "labels": [],
                }),
            ))
        }
        ("DELETE", [to, other]) => {
            let to = named(to)?;
            let to = (to, resolved(store, to, other, None)?);
            store.unlink(from, to, call.now, &call.source);
            Ok((204, Value::Null))
        }
        _ => Err(Wrong::nowhere()),
    }
}

fn named(name: &str) -> Result<Kind, Wrong> {
    Kind::named(name)
        .ok_or_else(|| Wrong::validation(&format!("Unable to infer object type from: {name}")))
}

/// The type ids of a labelled link.
fn labels(body: &Value) -> Result<Vec<u32>, Wrong> {
    let invalid = || Wrong::validation("Invalid input JSON: association types");
    let types = body.as_array().filter(|types| !types.is_empty());
    types
        .ok_or_else(invalid)?
        .iter()
        .map(|label| {
            let category = label["associationCategory"].as_str().unwrap_or_default();
            let id = label["associationTypeId"].as_u64();
            id.and_then(|id| u32::try_from(id).ok())
                .filter(|_| CATEGORIES.contains(&category))
                .ok_or_else(invalid)
        })
        .collect()
}

fn shown(id: u64, types: &BTreeSet<u32>) -> Value {
    let types: Vec<Value> = types
        .iter()
        .map(|id| json!({"category": "HUBSPOT_DEFINED", "typeId": id, "label": null}))
        .collect();
    json!({"toObjectId": id.to_string(), "associationTypes": types})
}

fn page(store: &Store, from: End, to: Kind, after: u64, limit: usize, call: &Call) -> Value {
    let mut linked = store.linked(from, to, after);
    let results: Vec<Value> = linked
        .by_ref()
        .take(limit)
        .map(|(id, types)| shown(id, types))
        .collect();
    let mut body = json!({"results": results});
    if let Some((next, _)) = linked.next() {
        body["paging"] = call.paging(next);
    }
    body
}

fn both(from: End, to: End) -> Value {
    json!({
        "from": {"id": from.1.to_string()}, "to": {"id": to.1.to_string()},
        "associationSpec": {"associationCategory": "HUBSPOT_DEFINED",
                            "associationTypeId": from.0.association(to.0)},
    })
}

/// Below two types: their labels, and batches.
pub(super) fn of_types(
    store: &mut Store,
    verb: &str,
    (from, to): (Kind, Kind),
    rest: &[&str],
    call: &Call,
) -> Answer {
    match (verb, rest) {
        ("GET", ["labels"]) => {
            let label = |id: u32, label: Option<&str>| json!({"category": "HUBSPOT_DEFINED", "typeId": id, "label": label});
            let mut results = vec![label(from.association(to), None)];
            if (from, to) == (Kind::Contact, Kind::Company) {
                results.insert(0, label(1, Some("Primary")));
            }
            Ok((200, json!({"results": results})))
        }
        ("POST", ["batch", "read"]) => {
            Ok(batch_read(store, from, to, inputs(call, BATCH_READ)?, call))
        }
        ("POST", ["batch", what @ ("create" | "archive")]) => {
            batch_write(store, (from, to), what, call)
        }
        ("POST", ["batch", "associate", "default"]) => {
            batch_write(store, (from, to), "default", call)
        }
        _ => Err(Wrong::nowhere()),
    }
}

fn batch_read(store: &Store, from: Kind, to: Kind, inputs: &[Value], call: &Call) -> (u16, Value) {
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in inputs {
        let text = id_of(input);
        let found = resolved(store, from, &text, None);
        let living = found.ok().filter(|&id| store.living(from, id).is_some());
        let linked = living.filter(|&id| store.linked((from, id), to, 0).next().is_some());
        let Some(id) = linked else {
            // Also for objects that are there but have no link of this type.
            let mut wrong = Wrong::not_found(from, &text).entry(None);
            wrong["subCategory"] = json!("crm.associations.NO_ASSOCIATIONS_FOUND");
            errors.push(wrong);
            continue;
        };
        let after = input["after"].as_str().and_then(|after| after.parse().ok());
        let mut body = page(store, (from, id), to, after.unwrap_or(0), PAGE, call);
        let mut result = json!({"from": {"id": id.to_string()}, "to": body["results"].take()});
        if !body["paging"].is_null() {
            result["paging"] = body["paging"].take();
        }
        results.push(result);
    }
    complete(200, &results, &errors, call)
}

fn batch_write(store: &mut Store, (from, to): (Kind, Kind), what: &str, call: &Call) -> Answer {
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in inputs(call, BATCH_WRITE)? {
        let others = match &input["to"] {
            Value::Array(others) => others.clone(),
            other => vec![other.clone()],
        };
        for other in others {
            match write_one(store, (from, to), what, input, &other, call) {
                Ok(result) => results.push(result),
                Err(wrong) => errors.push(wrong.entry(None)),
            }
        }
    }
    if what == "archive" {
        return Ok((204, Value::Null));
    }
    let status = if what == "create" { 201 } else { 200 };
    Ok(complete(status, &results, &errors, call))
}

fn write_one(
    store: &mut Store,
    (from, to): (Kind, Kind),
    what: &str,
    input: &Value,
    other: &Value,
    call: &Call,
) -> Result<Value, Wrong> {
    let from = (from, resolved(store, from, &id_of(&input["from"]), None)?);
    let to = (to, resolved(store, to, &id_of(other), None)?);
    match what {
        "archive" => store.unlink(from, to, call.now, &call.source),
        "create" => {
            for label in labels(&input["types"])? {
                store.link(from, to, Some(label), call.now, &call.source)?;
            }
        }
        _ => store.link(from, to, None, call.now, &call.source)?,
    }
    Ok(both(from, to))
}
