//! Reading what providers send as they send it: numbers as strings, strings as numbers, items that
//! make no sense among others that do.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A page of a listing.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Items that couldn't be read, by id where they had one. They never stop the others.
    pub unreadable: Vec<String>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

impl<T: DeserializeOwned> Page<T> {
    /// Each item for itself.
    pub(super) fn of(items: Vec<Value>, next: Option<String>) -> Self {
        let mut page = Self {
            items: Vec::with_capacity(items.len()),
            unreadable: Vec::new(),
            next: next.filter(|next| !next.is_empty()),
        };
        for item in items {
            match T::deserialize(&item) {
                Ok(item) => page.items.push(item),
                Err(_) => page.unreadable.push(id_of(&item)),
            }
        }
        page
    }
}

fn id_of(item: &Value) -> String {
    match item.get("id") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => String::new(),
    }
}

/// Text, or a number as text: ids come both ways.
pub(super) fn text<'d, D: Deserializer<'d>>(deserializer: D) -> Result<String, D::Error> {
    opt_text(deserializer)?.ok_or_else(|| serde::de::Error::custom("neither text nor a number"))
}

/// The same, or nothing.
pub(super) fn opt_text<'d, D: Deserializer<'d>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A list, or nothing at all.
pub(super) fn list<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A count, or a count as text; whatever else is there is nothing.
pub(super) fn opt_number<'d, D: Deserializer<'d>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_i64(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Item {
        #[serde(deserialize_with = "text")]
        id: String,
        #[serde(default, deserialize_with = "opt_number")]
        size: Option<i64>,
    }

    #[test]
    fn a_bad_item_does_not_stop_the_others() {
        let items = vec![
            json!({"id": 7, "size": "12"}),
            json!({"size": 1}),
            json!("nonsense"),
            json!({"id": "x", "size": {}}),
        ];
        let page: Page<Item> = Page::of(items, Some(String::new()));
        let item = |id: &str, size| Item {
            id: id.to_owned(),
            size,
        };
        assert_eq!(page.items, [item("7", Some(12)), item("x", None)]);
        assert_eq!(page.unreadable.len(), 2);
        assert_eq!(page.next, None);
    }
}
