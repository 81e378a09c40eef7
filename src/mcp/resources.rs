//! The advisor's sources as resources: `paraplanner://email/<id>` and likewise.
//!
//! They are listed kind by kind, the few before the many, the latest imported first. Reading one is calling the
//! tool that reads it, so a resource says what the tool says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::book::{self, Kind, ListedSource};
use crate::db::UserScope;
use crate::llm::visible;
use crate::state::App;

const SCHEME: &str = "paraplanner://";
const JSON: &str = "application/json";
const PAGE: usize = 100;
const LONGEST_TITLE: usize = 200;

/// In the order in which they are listed, with the tool that reads one, and how it is called.
const KINDS: [(Kind, &str, &str); 6] = [
    (Kind::Contact, "get_contact", "A contact"),
    (Kind::Document, "get_document", "A document"),
    (Kind::Deal, "get_deal", "A deal"),
    (Kind::Note, "get_note", "A note on a client"),
    (Kind::Event, "get_event", "An event of the calendar"),
    (Kind::Email, "get_email", "A mail"),
];

pub(super) fn uri(kind: Kind, id: Uuid) -> String {
    format!("{SCHEME}{}/{id}", kind.name())
}

/// Where a list goes on: within a kind, before an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    kind: usize,
    before: Uuid,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            kind: 0,
            before: Uuid::max(),
        }
    }
}

impl Place {
    pub fn encode(self) -> String {
        let mut bytes = vec![u8::try_from(self.kind).unwrap_or(u8::MAX)];
        bytes.extend_from_slice(self.before.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (kind, id) = bytes.split_first()?;
        let kind = usize::from(*kind);
        (kind < KINDS.len()).then_some(Self {
            kind,
            before: Uuid::from_slice(id).ok()?,
        })
    }
}

/// A page, and where the next one begins.
pub(super) async fn list(
    app: &App,
    scope: &UserScope,
    from: Place,
) -> Result<(Vec<Resource>, Option<Place>), sqlx::Error> {
    let mut tx = scope.begin(&app.pool).await?;
    let mut found: Vec<(usize, ListedSource)> = Vec::new();
    let mut before = from.before;
    for (place, (kind, ..)) in KINDS.iter().enumerate().skip(from.kind) {
        // One more than a page tells whether there is another.
        let wanted = i64::try_from(PAGE + 1 - found.len()).unwrap_or_default();
        let listed = book::list_sources(&mut tx, *kind, before, wanted).await?;
        found.extend(listed.into_iter().map(|source| (place, source)));
        if found.len() > PAGE {
            break;
        }
        before = Uuid::max();
    }
    tx.commit().await?;
    let is_more = found.len() > PAGE;
    found.truncate(PAGE);
    let next = found.last().filter(|_| is_more).map(|(kind, last)| Place {
        kind: *kind,
        before: last.id,
    });
    let resources = found
        .into_iter()
        .filter_map(|(place, source)| Some(listed(KINDS.get(place)?.0, &source)))
        .collect();
    Ok((resources, next))
}

fn listed(kind: Kind, source: &ListedSource) -> Resource {
    let title: String = visible(&source.title)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(LONGEST_TITLE)
        .collect();
    let name = if title.is_empty() {
        format!("{} without a title", kind.name())
    } else {
        title
    };
    let about = match source.occurred_at {
        Some(at) => format!("{}, {}", kind.name(), at.format("%Y-%m-%d")),
        None => kind.name().to_owned(),
    };
    Resource::new(uri(kind, source.id), name)
        .with_description(about)
        .with_mime_type(JSON)
}

pub(super) fn templates() -> Vec<ResourceTemplate> {
    let sources = KINDS
        .iter()
        .map(|(kind, _, called)| (kind.name(), *called))
        .chain([("thread", "The mails of one thread")]);
    sources
        .map(|(name, called)| {
            ResourceTemplate::new(format!("{SCHEME}{name}/{{id}}"), name)
                .with_description(format!("{called}, by the id that a search gave."))
                .with_mime_type(JSON)
        })
        .collect()
}

/// The tool that reads what stands at an address, and what it is to be told; none when it is no address of ours.
pub(super) fn reading(uri: &str) -> Option<(&'static str, Value)> {
    let (name, id) = uri.strip_prefix(SCHEME)?.split_once('/')?;
    let id: Uuid = id.parse().ok()?;
    if name == "thread" {
        return Some(("get_thread", json!({"thread_id": id})));
    }
    let kind = Kind::parse(name)?;
    let (_, tool, _) = KINDS.iter().find(|(known, ..)| *known == kind)?;
    Some((*tool, json!({"id": id})))
}

pub(super) fn contents(uri: &str, found: &Value) -> ReadResourceResult {
    let text = ResourceContents::text(found.to_string(), uri);
    ReadResourceResult::new(vec![text.with_mime_type(JSON)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_comes_back(kind in 0..KINDS.len(), id: u128) {
            let place = Place { kind, before: Uuid::from_u128(id) };
            prop_assert_eq!(Place::decode(&place.encode()), Some(place));
        }

        #[test]
        fn any_text_is_no_place_or_one_of_ours(text in ".*") {
            if let Some(place) = Place::decode(&text) {
                prop_assert!(place.kind < KINDS.len());
            }
            let _ = reading(&text);
        }
    }

    #[test]
    fn an_address_says_which_tool_reads_it() {
        let id = Uuid::from_u128(7);
        for (kind, tool, _) in KINDS {
            assert_eq!(reading(&uri(kind, id)), Some((tool, json!({"id": id}))));
        }
        for wrong in [
            "email/7",
            "paraplanner://email/7",
            "paraplanner://rule/",
            "file:///etc/passwd",
        ] {
            assert_eq!(reading(wrong), None, "{wrong}");
        }
    }
}
