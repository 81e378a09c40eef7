//! What values properties take.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kind::Kind;
use super::store::{Values, instant, iso};
use super::wrong::Wrong;

const NOTE_LIMIT: usize = 65_536;
const TIMES: [&str; 2] = ["hs_timestamp", "closedate"];
const READ_ONLY: [&str; 5] = [
    "createdate",
    "hs_createdate",
    "lastmodifieddate",
    "hs_lastmodifieddate",
    "hs_object_id",
];

/// The `properties` of a request: texts, numbers, truth values or null.
pub(super) fn values(properties: Option<&Value>) -> Result<Values, Wrong> {
    let Some(properties) = properties.and_then(Value::as_object) else {
        return Err(Wrong::validation(
            "Invalid input JSON: properties is required",
        ));
    };
    properties
        .iter()
        .map(|(name, value)| {
            let text = match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(yes) => Some(yes.to_string()),
                _ => {
                    return Err(Wrong::validation(
                        "Invalid input JSON: property values are texts",
                    ));
                }
            };
            Ok((name.clone(), text))
        })
        .collect()
}

/// The values as they are stored; empty ones are gone.
pub(super) fn checked(kind: Kind, values: &Values) -> Result<BTreeMap<String, String>, Wrong> {
    let mut properties = BTreeMap::new();
    for (name, value) in values {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Wrong::property("PROPERTY_DOESNT_EXIST", name));
        }
        if READ_ONLY.contains(&name.as_str()) {
            return Err(Wrong::property("READ_ONLY_VALUE", name));
        }
        let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else {
            continue;
        };
        let value = match name.as_str() {
            "email" if kind == Kind::Contact => email(value)?,
            "hs_note_body" if value.chars().count() > NOTE_LIMIT => {
                return Err(Wrong::property("INVALID_LENGTH", name));
            }
            name if TIMES.contains(&name) => match instant(value) {
                Some(at) => iso(at),
                None => return Err(Wrong::property("INVALID_DATE", name)),
            },
            "amount" if value.parse::<f64>().is_err() => {
                return Err(Wrong::property("INVALID_INTEGER", name));
            }
            _ => value.to_owned(),
        };
        properties.insert(name.clone(), value);
    }
    Ok(properties)
}

/// Lower case, as HubSpot keeps addresses.
fn email(text: &str) -> Result<String, Wrong> {
    let text = text.trim().to_lowercase();
    let valid = text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.contains('@') && !domain.ends_with('.')
    }) && !text.contains(char::is_whitespace);
    if valid {
        Ok(text)
    } else {
        Err(Wrong::property("INVALID_EMAIL", "email"))
    }
}
