//! The calls on one object, and the list of all.

use serde_json::{Map, Value, json};

use super::Portal;
use super::crm::{Answer, Call};
use super::kind::Kind;
use super::store::{Record, Store, iso};
use super::validate;
use super::wrong::Wrong;

/// Inline associations are cut at this many.
const INLINE: usize = 100;
/// Association types that a call may name, with those that HubSpot defines besides the default ones.
const LABELS: u32 = 10_000;

/// An object as replies show it, with these properties or the usual ones.
pub(super) fn shown(record: &Record, kind: Kind, asked: &[String], portal: u64) -> Value {
    let mut properties = Map::new();
    let mut add = |name: &str, known: bool| {
        let value = record.value(kind, name);
        if value.is_some() || known {
            properties.insert(name.to_owned(), json!(value));
        }
    };
    for name in [kind.created(), kind.modified(), "hs_object_id"] {
        add(name, true);
    }
    if asked.is_empty() {
        for name in kind.defaults() {
            add(name, true);
        }
    }
    for name in asked {
        let known = [kind.defaults(), kind.known()].concat();
        add(name, known.contains(&name.as_str()));
    }
    let mut body = json!({
        "id": record.id.to_string(), "properties": properties,
        "createdAt": iso(record.created), "updatedAt": iso(record.modified),
        "archived": record.archived_at.is_some(),
        "url": format!("https://app.hubspot.com/contacts/{portal}/record/{}/{}",
                       kind.type_id(), record.id),
    });
    if let Some(at) = record.archived_at {
        body["archivedAt"] = json!(iso(at));
    }
    body
}

/// The `associations` of an object to the types that were asked for.
fn inline(store: &Store, kind: Kind, id: u64, asked: &[String], call: &Call) -> Option<Value> {
    let mut all = Map::new();
    for to in asked.iter().filter_map(|name| Kind::named(name)) {
        let mut linked = store.linked((kind, id), to, 0);
        let name = format!("{}_to_{}", kind.singular(), to.singular());
        let results: Vec<Value> = linked
            .by_ref()
            .take(INLINE)
            .map(|(id, _)| json!({"id": id.to_string(), "type": name}))
            .collect();
        if results.is_empty() {
            continue;
        }
        let mut entry = json!({"results": results});
        if let Some((next, _)) = linked.next() {
            entry["paging"] = call.paging(next);
        }
        all.insert(to.plural().to_owned(), entry);
    }
    (!all.is_empty()).then_some(Value::Object(all))
}

fn whole(store: &Store, record: &Record, kind: Kind, call: &Call) -> Value {
    let mut body = shown(record, kind, &call.names("properties"), call.portal);
    let associations = call.names("associations");
    if let Some(associations) = inline(store, kind, record.id, &associations, call) {
        body["associations"] = associations;
    }
    body
}

pub(super) fn owners(portal: &Portal) -> Value {
    let owners: Vec<Value> = portal
        .users
        .iter()
        .map(|(user, email)| {
            json!({
                "id": user.to_string(), "userId": user, "email": email, "type": "PERSON",
                "userIdIncludingInactive": user, "firstName": "", "lastName": "",
                "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
                "archived": false, "teams": [],
            })
        })
        .collect();
    json!({"results": owners})
}

/// In order of ids; what changes meanwhile can be missed, as with the real one.
pub(super) fn list(store: &Store, kind: Kind, call: &Call) -> Answer {
    let most = if call.query("propertiesWithHistory").is_some() {
        50
    } else {
        100
    };
    let limit = call.limit(10, most)?;
    let after = match call.query("after").map(str::parse::<u64>) {
        None => 0,
        Some(Ok(after)) => after,
        Some(Err(_)) => return Err(Wrong::validation("after is not a valid cursor")),
    };
    let archived = call.query("archived") == Some("true");
    let records = store.get(kind).map(|table| table.records.range(after..));
    let mut records = records
        .into_iter()
        .flatten()
        .map(|(_, record)| record)
        .filter(|record| record.archived_at.is_some() == archived);
    let results: Vec<Value> = records
        .by_ref()
        .take(limit)
        .map(|record| whole(store, record, kind, call))
        .collect();
    let mut body = json!({"results": results});
    if let Some(next) = records.next() {
        body["paging"] = call.paging(next.id);
    }
    Ok((200, body))
}

/// The id that a path or an input means, by `idProperty`.
pub(super) fn resolved(
    store: &Store,
    kind: Kind,
    text: &str,
    property: Option<&str>,
) -> Result<u64, Wrong> {
    let found = match property {
        None | Some("hs_object_id") => text.parse().ok(),
        Some("email") if kind == Kind::Contact => store
            .get(kind)
            .and_then(|table| table.by_email.get(&text.to_lowercase()).copied()),
        Some(name) => {
            let message = format!("{name} is not a unique property");
            return Err(Wrong::validation(&message));
        }
    };
    found.ok_or_else(|| Wrong::not_found(kind, &text))
}

pub(super) fn read(store: &Store, kind: Kind, id: &str, call: &Call) -> Answer {
    let id = resolved(store, kind, id, call.query("idProperty"))?;
    let record = if call.query("archived") == Some("true") {
        let record = store.get(kind).and_then(|table| table.records.get(&id));
        record.filter(|record| record.archived_at.is_some())
    } else {
        store.living(kind, id)
    };
    let record = record.ok_or_else(|| Wrong::not_found(kind, &id))?;
    Ok((200, whole(store, record, kind, call)))
}

/// What `associations` of a new object name: other ends with labels.
fn wanted(
    store: &Store,
    kind: Kind,
    associations: Option<&Value>,
) -> Result<Vec<(Kind, u64, u32)>, Wrong> {
    let invalid = || Wrong::validation("Invalid input JSON: associations");
    let mut all = Vec::new();
    for association in associations.and_then(Value::as_array).into_iter().flatten() {
        let to = &association["to"]["id"];
        let to = to
            .as_u64()
            .or_else(|| to.as_str()?.parse().ok())
            .ok_or_else(invalid)?;
        let types = association["types"].as_array().ok_or_else(invalid)?;
        for label in types {
            let label = label["associationTypeId"].as_u64().ok_or_else(invalid)?;
            let label = u32::try_from(label).map_err(|_| invalid())?;
            // The id alone says which type the other end has.
            let other = [Kind::Contact, Kind::Company, Kind::Deal, Kind::Note]
                .into_iter()
                .find(|&other| kind.association(other) == label)
                .or((kind == Kind::Contact && label == 1).then_some(Kind::Company));
            let Some(other) = other.filter(|_| label < LABELS) else {
                let message = format!("association type {label} doesn't exist between these types");
                return Err(Wrong::validation(&message));
            };
            if store.living(other, to).is_none() {
                return Err(Wrong::not_found(other, &to));
            }
            all.push((other, to, label));
        }
    }
    Ok(all)
}

/// Creates from the body of a call or from an input of a batch; the new id.
pub(super) fn create_one(
    store: &mut Store,
    kind: Kind,
    input: &Value,
    call: &Call,
) -> Result<u64, Wrong> {
    let values = validate::values(input.get("properties"))?;
    // Before anything is made, so that a refusal leaves nothing behind.
    let ends = wanted(store, kind, input.get("associations"))?;
    let id = store.create(kind, &values, call.now, &call.source)?;
    for (other, to, label) in ends {
        store.link((kind, id), (other, to), Some(label), call.now, &call.source)?;
    }
    Ok(id)
}

pub(super) fn create(store: &mut Store, kind: Kind, call: &Call) -> Answer {
    let id = create_one(store, kind, &call.body, call)?;
    Ok((201, made(store, kind, id, call)?))
}

/// The reply to a write: the usual properties, with those that were written.
pub(super) fn made(store: &Store, kind: Kind, id: u64, call: &Call) -> Result<Value, Wrong> {
    let record = store
        .living(kind, id)
        .ok_or_else(|| Wrong::not_found(kind, &id))?;
    let mut names: Vec<String> = kind
        .defaults()
        .iter()
        .map(|&name| name.to_owned())
        .collect();
    names.extend(record.properties.keys().cloned());
    Ok(shown(record, kind, &names, call.portal))
}

pub(super) fn update(store: &mut Store, kind: Kind, id: &str, call: &Call) -> Answer {
    let id = resolved(store, kind, id, call.query("idProperty"))?;
    let values = validate::values(call.body.get("properties"))?;
    let id = store.update(kind, id, &values, (call.now, call.lag), &call.source)?;
    Ok((200, made(store, kind, id, call)?))
}

/// Fine also when it is gone already.
pub(super) fn archive(store: &mut Store, kind: Kind, id: &str, call: &Call) -> (u16, Value) {
    if let Ok(id) = resolved(store, kind, id, None) {
        store.archive(kind, id, call.now, &call.source);
    }
    (204, Value::Null)
}

fn field(body: &Value, name: &str) -> Result<u64, Wrong> {
    let value = &body[name];
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .ok_or_else(|| Wrong::validation(&format!("Invalid input JSON: {name}")))
}

pub(super) fn merge(store: &mut Store, kind: Kind, call: &Call) -> Answer {
    let primary = field(&call.body, "primaryObjectId")?;
    let other = field(&call.body, "objectIdToMerge")?;
    let id = store.merge(kind, (primary, other), call.now, &call.source)?;
    Ok((200, made(store, kind, id, call)?))
}

pub(super) fn erase(store: &mut Store, kind: Kind, call: &Call) -> Answer {
    if kind != Kind::Contact {
        return Err(Wrong::validation("only contacts can be erased"));
    }
    let text = call.body["objectId"].as_str().unwrap_or_default();
    let property = call.body["idProperty"].as_str();
    let id = resolved(store, kind, text, property)?;
    store.erase(id, call.now, &call.source);
    Ok((204, Value::Null))
}
