//! One change that a provider told us of, in the form that the inbox keeps, and what HubSpot's mean.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use memchr::memmem;
use serde_json::Value;

use crate::ids;

/// More events than this in one request are nobody's.
const MOST: usize = 1000;

/// What is read of those things that notifications name, and the absence of it.
pub(super) const OBJECT_KINDS: [&str; 4] = ["contact", "deal", "note", ""];

/// What was told, less whose it is.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub provider: &'static str,
    /// What makes it once; see [`hubspot_key`].
    pub key: [u8; 32],
    /// In the provider's own words: `contact.creation`.
    pub kind: String,
    /// What it is about, of [`OBJECT_KINDS`].
    pub object_kind: &'static str,
    /// Of digits alone.
    pub object_ids: Vec<String>,
    pub occurred_at: Option<DateTime<Utc>>,
    pub verified_by: &'static str,
    /// As it came.
    pub content: Value,
}

/// The events of one request of HubSpot's, each with its portal.
///
/// # Errors
/// What is wrong, in words for whoever configures the sender.
pub fn hubspot_events(
    body: &[u8],
    verified_by: &'static str,
) -> Result<Vec<(String, Delivery)>, String> {
    let events: Vec<Value> = serde_json::from_slice(body)
        .map_err(|error| format!("must be an array of events: {error}"))?;
    if events.len() > MOST {
        return Err(format!("must hold at most {MOST} events"));
    }
    // JSON has one way of writing it. Postgres can't keep it, and looking for it in each text of each event takes longer
    // than reading them.
    let holds_nul = memmem::find(body, br"\u0000").is_some();
    events
        .into_iter()
        .enumerate()
        .map(|(place, event)| {
            let event = if holds_nul { without_nul(event) } else { event };
            let named = |problem| format!("event {place}: {problem}");
            hubspot_event(event, verified_by).map_err(named)
        })
        .collect()
}

fn hubspot_event(
    content: Value,
    verified_by: &'static str,
) -> Result<(String, Delivery), &'static str> {
    if !content.is_object() {
        return Err("must be an object");
    }
    let kind = content
        .get("subscriptionType")
        .and_then(Value::as_str)
        .filter(|kind| !kind.is_empty() && kind.len() <= 200)
        .ok_or("subscriptionType must be text")?
        .to_owned();
    let portal = id(&content, "portalId").ok_or("portalId must be a number")?;
    id(&content, "eventId").ok_or("eventId must be a number")?;
    let occurred_at = id(&content, "occurredAt")
        .and_then(|millis| DateTime::from_timestamp_millis(millis.parse().ok()?))
        .ok_or("occurredAt must be a time in milliseconds")?;
    let (object_kind, object_ids) = objects(&kind, &content);
    let is_link = kind.ends_with(".associationChange");
    if object_ids.is_empty() && !is_link {
        return Err("objectId must be a number");
    }
    let delivery = Delivery {
        provider: "hubspot",
        key: hubspot_key(&content),
        kind,
        object_kind: object_kind.unwrap_or_default(),
        object_ids,
        occurred_at: Some(occurred_at),
        verified_by,
        content,
    };
    Ok((portal, delivery))
}

/// The same event told again has the same key: `eventId` alone isn't unique, and `attemptNumber`
/// counts the tries.
fn hubspot_key(event: &Value) -> [u8; 32] {
    let part = |name: &str| match event.get(name) {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
        Some(other) => Cow::Owned(other.to_string()),
    };
    let named = [
        "portalId",
        "appId",
        "subscriptionId",
        "subscriptionType",
        "eventId",
        "objectId",
        "propertyName",
        "propertyValue",
        "occurredAt",
        // Links have no object of their own.
        "fromObjectId",
        "toObjectId",
        "associationType",
        "associationTypeId",
        "associationRemoved",
    ]
    .map(part);
    let mut parts = vec!["hubspot"];
    parts.extend(named.iter().map(Cow::as_ref));
    ids::digest(&parts)
}

/// An id: a number there, a string of digits elsewhere.
fn id(event: &Value, name: &str) -> Option<String> {
    let text = match event.get(name)? {
        Value::Number(number) => number.as_u64()?.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let is_number =
        (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

/// What of ours an event is about, in the classic and the generic form.
fn objects(kind: &str, event: &Value) -> (Option<&'static str>, Vec<String>) {
    let of_type = |name: &str| match event.get(name).and_then(Value::as_str) {
        Some("0-1") => Some("contact"),
        Some("0-3") => Some("deal"),
        Some("0-46" | "note") => Some("note"),
        _ => None,
    };
    let some = |names: &[&str]| -> Vec<String> {
        let mut ids: Vec<String> = names.iter().filter_map(|name| id(event, name)).collect();
        ids.dedup();
        ids
    };
    if kind.ends_with(".associationChange") {
        return link(kind, event, of_type, some);
    }
    let object = match kind.split('.').next() {
        Some("contact") => Some("contact"),
        Some("deal") => Some("deal"),
        Some("object") => of_type("objectTypeId"),
        _ => None,
    };
    let mut ids = some(&["objectId", "newObjectId", "primaryObjectId"]);
    if let Some(merged) = event.get("mergedObjectIds").and_then(Value::as_array) {
        let wrapped = |one: &Value| id(&serde_json::json!({"id": one}), "id");
        ids.extend(merged.iter().filter_map(wrapped));
    }
    ids.sort();
    ids.dedup();
    (object, ids)
}

/// A note or a deal says whom it is about, so it is read again; links between contacts and others
/// aren't kept.
fn link(
    kind: &str,
    event: &Value,
    of_type: impl Fn(&str) -> Option<&'static str>,
    some: impl Fn(&[&str]) -> Vec<String>,
) -> (Option<&'static str>, Vec<String>) {
    let classic = event
        .get("associationType")
        .and_then(Value::as_str)
        .and_then(|name| name.split_once("_TO_"));
    let plain = |name: &str| match name {
        "CONTACT" => Some("contact"),
        "DEAL" => Some("deal"),
        "NOTE" => Some("note"),
        _ => None,
    };
    let (from, to) = match classic {
        Some((from, to)) => (plain(from), plain(to)),
        None => (of_type("fromObjectTypeId"), of_type("toObjectTypeId")),
    };
    match (from, to) {
        (Some(object @ ("note" | "deal")), _) => (Some(object), some(&["fromObjectId"])),
        (_, Some(object @ ("note" | "deal"))) | (None, Some(object)) => {
            (Some(object), some(&["toObjectId"]))
        }
        (Some(object), _) => (Some(object), some(&["fromObjectId"])),
        (None, None) => {
            let own = (kind == "contact.associationChange").then_some("contact");
            (own, some(&["fromObjectId", "objectId"]))
        }
    }
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "")),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name.replace('\0', ""), without_nul(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn creation() -> Value {
        json!({"eventId": 100, "subscriptionId": 321, "portalId": 4242, "appId": 777,
            "occurredAt": 1_767_225_600_000_i64, "subscriptionType": "contact.creation",
            "attemptNumber": 0, "objectId": 51, "changeFlag": "NEW"})
    }

    fn read(event: &Value) -> Result<Vec<(String, Delivery)>, String> {
        hubspot_events(json!([event]).to_string().as_bytes(), "hubspot_v3")
    }

    fn with(changes: &[(&str, Value)]) -> Value {
        let mut event = creation();
        for (name, value) in changes {
            event[*name] = value.clone();
        }
        event
    }

    #[test]
    fn ids_are_numbers_or_digits_and_attempts_are_the_same_event() {
        let first = read(&creation()).unwrap().remove(0);
        assert_eq!(first.0, "4242");
        assert_eq!(first.1.object_kind, "contact");
        let again = with(&[
            ("attemptNumber", json!(3)),
            ("portalId", json!("4242")),
            ("objectId", json!("51")),
        ]);
        assert_eq!(read(&again).unwrap()[0].1.key, first.1.key);
        for (name, value) in [
            ("objectId", json!(52)),
            ("occurredAt", json!(1)),
            ("propertyValue", json!("x")),
            ("subscriptionType", json!("contact.deletion")),
        ] {
            assert_ne!(read(&with(&[(name, value)])).unwrap()[0].1.key, first.1.key);
        }
    }

    #[test]
    fn what_is_required_is_required() {
        for name in [
            "eventId",
            "portalId",
            "occurredAt",
            "subscriptionType",
            "objectId",
        ] {
            let mut event = creation();
            event.as_object_mut().unwrap().remove(name);
            assert!(read(&event).unwrap_err().contains(name));
            assert!(read(&with(&[(name, json!([]))])).is_err());
        }
        for body in [
            "", "{}", "null", "[1]", "[null]", "[[]]", "[{}]", "[", "\"[]\"",
        ] {
            assert!(hubspot_events(body.as_bytes(), "v").is_err(), "{body}");
        }
        assert_eq!(hubspot_events(b"[]", "v").unwrap().len(), 0);
        let many = Value::Array(vec![creation(); 1001]).to_string();
        assert!(hubspot_events(many.as_bytes(), "v").is_err());
    }

    #[test]
    fn both_forms_name_the_same_objects() {
        let object = |changes: &[(&str, Value)]| {
            let (_, delivery) = read(&with(changes)).unwrap().remove(0);
            (delivery.object_kind, delivery.object_ids.join(","))
        };
        let generic = ("subscriptionType", json!("object.creation"));
        assert_eq!(
            object(&[generic.clone(), ("objectTypeId", json!("0-46"))]),
            ("note", "51".to_owned())
        );
        assert_eq!(
            object(&[generic, ("objectTypeId", json!("0-5"))]),
            ("", "51".to_owned())
        );
        let merge = [
            ("subscriptionType", json!("contact.merge")),
            ("primaryObjectId", json!(51)),
            ("mergedObjectIds", json!([60, "61"])),
            ("newObjectId", json!(70)),
        ];
        assert_eq!(object(&merge), ("contact", "51,60,61,70".to_owned()));
        let link = [
            ("subscriptionType", json!("deal.associationChange")),
            ("associationType", json!("CONTACT_TO_DEAL")),
            ("fromObjectId", json!(1)),
            ("toObjectId", json!(2)),
        ];
        assert_eq!(object(&link), ("deal", "2".to_owned()));
        let unknown = [("subscriptionType", json!("conversation.newMessage"))];
        assert_eq!(object(&unknown), ("", "51".to_owned()));
    }

    #[test]
    fn what_postgres_cannot_keep_is_removed() {
        let odd = with(&[
            ("propertyName\0", json!({"a\0": ["b\0", 1]})),
            ("propertyValue", json!("\\u0000\0")),
        ]);
        let (_, delivery) = read(&odd).unwrap().remove(0);
        assert_eq!(delivery.content["propertyName"], json!({"a": ["b", 1]}));
        assert_eq!(delivery.content["propertyValue"], "\\u0000");
    }

    proptest! {
        #[test]
        fn nonsense_is_refused_in_words(body: Vec<u8>, text in ".*") {
            let _ = hubspot_events(&body, "v");
            let _ = hubspot_events(text.as_bytes(), "v");
            let _ = read(&with(&[("subscriptionType", json!(text.clone())), ("objectId", json!(text))]));
        }
    }
}
