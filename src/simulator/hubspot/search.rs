//! Search: filters, sorts, the text query, and the limits of all of these.
//!
//! Without lag, filters on the time of change narrow the walk by its index, so that "what changed
//! since" doesn't look at all of a large portal.

use std::cmp::Ordering;
use std::ops::Bound;

use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::crm::{Answer, Call};
use super::kind::Kind;
use super::objects::shown;
use super::store::{Record, Store, instant};
use super::wrong::Wrong;

const BODY_LIMIT: usize = 3000;
const GROUPS: usize = 5;
const FILTERS: usize = 6;
const FILTERS_IN_ALL: usize = 18;
const PAGE_LIMIT: usize = 200;
const CAP: usize = 10_000;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Asked {
    filter_groups: Vec<Group>,
    sorts: Vec<Value>,
    query: Option<String>,
    properties: Option<Vec<String>>,
    limit: Option<usize>,
    after: Option<Value>,
}

#[derive(Deserialize)]
struct Group {
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    property_name: String,
    operator: Operator,
    value: Option<String>,
    high_value: Option<String>,
    values: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Operator {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
    Between,
    In,
    NotIn,
    HasProperty,
    NotHasProperty,
    ContainsToken,
    NotContainsToken,
}

impl Filter {
    fn check(&self) -> Result<(), Wrong> {
        use Operator::{Between, HasProperty, In, NotHasProperty, NotIn};
        let fits = match self.operator {
            HasProperty | NotHasProperty => true,
            In | NotIn => self
                .values
                .as_ref()
                .is_some_and(|values| !values.is_empty()),
            Between => self.value.is_some() && self.high_value.is_some(),
            _ => self.value.is_some(),
        };
        if fits {
            Ok(())
        } else {
            let message = format!(
                "There was a problem with the request: filter on {}",
                self.property_name
            );
            Err(Wrong::validation(&message))
        }
    }

    fn fits(&self, store: &Store, kind: Kind, record: &Record) -> bool {
        if let Some(other) = self.property_name.strip_prefix("associations.") {
            let wanted = self.value.as_deref().and_then(|id| id.parse::<u64>().ok());
            let (Some(to), Some(id)) = (Kind::named(other), wanted) else {
                return false;
            };
            let linked = store.links.contains_key(&(kind, record.id, to, id));
            return linked == (self.operator != Operator::Neq);
        }
        // Times are compared as such, without writing them out first.
        let moment = if self.property_name == kind.modified() {
            Some(record.modified)
        } else if self.property_name == kind.created() {
            Some(record.created)
        } else {
            None
        };
        if let (Some(moment), Some(value)) = (moment, &self.value) {
            let Some(value) = instant(value) else {
                return false;
            };
            let high = self.high_value.as_deref().and_then(instant);
            return self.ordered(moment.cmp(&value), high.map(|high| moment.cmp(&high)));
        }
        let value = record.value(kind, &self.property_name);
        let value = value.as_deref();
        let equal = |other: &String| value.is_some_and(|value| value.eq_ignore_ascii_case(other));
        match self.operator {
            Operator::HasProperty => value.is_some(),
            Operator::NotHasProperty => value.is_none(),
            Operator::In => self.values.iter().flatten().any(equal),
            Operator::NotIn => value.is_some() && !self.values.iter().flatten().any(equal),
            Operator::Neq => !self.value.iter().any(equal),
            Operator::ContainsToken => value.is_some_and(|value| self.contained(value)),
            Operator::NotContainsToken => !value.is_some_and(|value| self.contained(value)),
            _ => {
                let (Some(value), Some(other)) = (value, &self.value) else {
                    return false;
                };
                let high = self.high_value.as_ref().map(|high| compare(value, high));
                self.ordered(compare(value, other), high)
            }
        }
    }

    fn ordered(&self, low: Ordering, high: Option<Ordering>) -> bool {
        match self.operator {
            Operator::Eq => low.is_eq(),
            Operator::Neq => low.is_ne(),
            Operator::Lt => low.is_lt(),
            Operator::Lte => low.is_le(),
            Operator::Gt => low.is_gt(),
            Operator::Gte => low.is_ge(),
            Operator::Between => low.is_ge() && high.is_some_and(Ordering::is_le),
            Operator::HasProperty => true,
            _ => false,
        }
    }

    fn contained(&self, value: &str) -> bool {
        let pattern = self.value.as_deref().unwrap_or_default().to_lowercase();
        let value = value.to_lowercase();
        like(&value, &pattern) || tokens(&value).any(|token| like(token, &pattern))
    }
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|token| !token.is_empty())
}

/// Whether a text is as a pattern says, in which `*` stands for anything.
fn like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// As times, numbers or texts, by what both are.
fn compare(one: &str, other: &str) -> Ordering {
    let number = |text: &str| text.parse::<f64>().ok();
    if let (Some(one), Some(other)) = (number(one), number(other)) {
        return one.total_cmp(&other);
    }
    if let (Some(one), Some(other)) = (instant(one), instant(other)) {
        return one.cmp(&other);
    }
    one.to_lowercase().cmp(&other.to_lowercase())
}

fn judged(length: usize, call: &Call) -> Result<(Asked, usize, usize), Wrong> {
    if length > BODY_LIMIT {
        let message = format!("The request body is {length} characters; at most {BODY_LIMIT} fit");
        return Err(Wrong::validation(&message));
    }
    let body = if call.body.is_null() {
        json!({})
    } else {
        call.body.clone()
    };
    let asked: Asked = serde_json::from_value(body)
        .map_err(|error| Wrong::validation(&format!("Invalid input JSON: {error}")))?;
    let filters = asked.filter_groups.iter().map(|group| group.filters.len());
    if asked.filter_groups.len() > GROUPS
        || filters.clone().any(|filters| filters > FILTERS)
        || filters.sum::<usize>() > FILTERS_IN_ALL
    {
        return Err(Wrong::validation("too many filter groups or filters"));
    }
    for filter in asked.filter_groups.iter().flat_map(|group| &group.filters) {
        filter.check()?;
    }
    if asked.sorts.len() > 1 {
        return Err(Wrong::validation("only one sort is supported"));
    }
    let limit = asked.limit.unwrap_or(10);
    if limit > PAGE_LIMIT {
        return Err(Wrong::validation("limit must be at most 200"));
    }
    let after = match &asked.after {
        None | Some(Value::Null) => 0,
        Some(Value::String(text)) if text.is_empty() => 0,
        Some(Value::String(text)) => text
            .parse()
            .map_err(|_| Wrong::validation("after is not a valid cursor"))?,
        Some(other) => other
            .as_u64()
            .and_then(|after| usize::try_from(after).ok())
            .ok_or_else(|| Wrong::validation("after is not a valid cursor"))?,
    };
    if after + limit > CAP {
        return Err(Wrong::validation(
            "a search goes no further than 10000 results",
        ));
    }
    Ok((asked, limit, after))
}

/// The range of change times within which all results must be, in milliseconds.
fn narrowed(asked: &Asked, kind: Kind) -> (i64, i64) {
    let (mut low, mut high) = (i64::MIN, i64::MAX);
    if let [group] = asked.filter_groups.as_slice() {
        let filters = group.filters.iter();
        for filter in filters.filter(|filter| filter.property_name == kind.modified()) {
            let millis = |text: &Option<String>| {
                let at = text.as_deref().and_then(instant);
                at.map(|at: DateTime<_>| at.timestamp_millis())
            };
            let value = millis(&filter.value);
            match filter.operator {
                Operator::Gt | Operator::Gte => low = low.max(value.unwrap_or(low)),
                Operator::Lt | Operator::Lte => high = high.min(value.unwrap_or(high)),
                Operator::Between => {
                    low = low.max(value.unwrap_or(low));
                    high = high.min(millis(&filter.high_value).unwrap_or(high));
                }
                _ => {}
            }
        }
    }
    (low, high)
}

fn sort(asked: &Asked) -> Option<(String, bool)> {
    match asked.sorts.first()? {
        Value::String(text) => Some(match text.strip_prefix('-') {
            Some(name) => (name.to_owned(), true),
            None => (text.clone(), false),
        }),
        sort => {
            let name = sort["propertyName"].as_str()?.to_owned();
            Some((name, sort["direction"] == "DESCENDING"))
        }
    }
}

pub(super) fn search(store: &Store, kind: Kind, length: usize, call: &Call) -> Answer {
    let (asked, limit, after) = judged(length, call)?;
    let words: Vec<String> = asked
        .query
        .as_deref()
        .unwrap_or_default()
        .to_lowercase()
        .split_whitespace()
        .map(ToOwned::to_owned)
        .collect();
    let fits = |record: &&Record| {
        let groups = &asked.filter_groups;
        let filtered = groups.is_empty()
            || groups.iter().any(|group| {
                let mut filters = group.filters.iter();
                filters.all(|filter| filter.fits(store, kind, record))
            });
        filtered && words.iter().all(|word| mentions(record, kind, word))
    };
    let (low, high) = narrowed(&asked, kind);
    let table = store.get(kind);
    let mut found: Vec<&Record> = match table {
        None => Vec::new(),
        Some(_) if low > high => Vec::new(),
        Some(table) if call.lag.is_zero() => table
            .by_modified
            .range((Bound::Included((low, 0)), Bound::Included((high, u64::MAX))))
            .filter_map(|(_, id)| table.records.get(id))
            .filter(fits)
            .collect(),
        Some(table) => table
            .records
            .values()
            .filter(|record| record.archived_at.is_none())
            .filter_map(|record| record.indexed(call.now, call.lag))
            .filter(fits)
            .collect(),
    };
    match sort(&asked) {
        Some((name, descending)) => {
            if name == kind.modified() {
                found.sort_by_key(|record| (record.modified, record.id));
            } else if name == kind.created() {
                found.sort_by_key(|record| (record.created, record.id));
            } else if name == "hs_object_id" {
                found.sort_by_key(|record| record.id);
            } else {
                found.sort_by(|one, other| by_property(one, other, kind, &name));
            }
            if descending {
                found.reverse();
            }
        }
        None => found.sort_by_key(|record| record.id),
    }
    let properties = asked.properties.unwrap_or_default();
    let results: Vec<Value> = found
        .iter()
        .skip(after)
        .take(limit)
        .map(|record| shown(record, kind, &properties, call.portal))
        .collect();
    let mut body = json!({"total": found.len(), "results": results});
    if found.len() > after + limit {
        body["paging"] = json!({"next": {"after": (after + limit).to_string()}});
    }
    Ok((200, body))
}

fn by_property(one: &Record, other: &Record, kind: Kind, name: &str) -> Ordering {
    match (one.value(kind, name), other.value(kind, name)) {
        (Some(one), Some(other)) => compare(&one, &other),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

/// The text properties that `query` looks into, word by word from their beginnings.
fn mentions(record: &Record, kind: Kind, word: &str) -> bool {
    let names: &[&str] = match kind {
        Kind::Contact => &["email", "firstname", "lastname", "phone", "company"],
        Kind::Company => &["name", "domain", "phone"],
        Kind::Deal => &["dealname", "description"],
        Kind::Note => &["hs_note_body"],
    };
    names
        .iter()
        .filter_map(|name| record.properties.get(*name))
        .any(|value| {
            let value = value.to_lowercase();
            value.starts_with(word) || tokens(&value).any(|token| token.starts_with(word))
        })
}
