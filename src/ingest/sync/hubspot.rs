//! HubSpot's contacts, notes and deals. What changed is found by searching for the time of change,
//! which is late by up to half a minute: each look goes back a little behind the last one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::feed::{Begun, Entry, Page, What};
use super::gmail::nameless;
use crate::db::UserScope;
use crate::html;
use crate::identity::connections::{Grant, Provider};
use crate::ids;
use crate::ingest::files::{Contact, Deal, Item, Note};
use crate::providers::hubspot::HubSpot;
use crate::providers::hubspot::crm::{Kinds, MOST_FOUND, Record, SEARCH_PAGE, Since};
use crate::providers::{Error, Kind, wire};
use crate::state::App;

/// How far each look goes back behind the latest change that was seen.
const LAG: TimeDelta = TimeDelta::seconds(120);

/// One kind of record in a user's HubSpot.
pub(super) struct Records {
    hubspot: Arc<HubSpot>,
    pub grant: Grant,
    kind: Kinds,
}

impl Records {
    pub fn new(app: &App, hubspot: Arc<HubSpot>, scope: UserScope, kind: Kinds) -> Self {
        Self {
            hubspot,
            grant: Grant::new(app, scope, Provider::HubSpot),
            kind,
        }
    }

    async fn entries(&self, page: wire::Page<Record>) -> Result<Vec<Entry>, Error> {
        let contacts = match self.kind {
            Kinds::Contacts => BTreeMap::new(),
            Kinds::Notes | Kinds::Deals => {
                let ids: Vec<String> = page.items.iter().map(|record| record.id.clone()).collect();
                let crm = &self.hubspot.crm;
                crm.contacts_of(&self.grant, self.kind, &ids).await?
            }
        };
        let read = page.items.iter().map(|record| {
            let about = contacts.get(&record.id).map_or(&[][..], Vec::as_slice);
            let what = if record.archived {
                What::Gone
            } else {
                What::Item(self.converted(record, about))
            };
            Entry::new(record.id.clone(), record.modified(self.kind), what)
                .born(creation(self.kind), record.created_at)
        });
        Ok(read.chain(nameless(page.unreadable)).collect())
    }

    /// These records, with these properties beside those that are kept.
    pub async fn ask(&self, ids: &[String], properties: &[String]) -> Result<Asked, Error> {
        let found = self
            .hubspot
            .crm
            .get_all(&self.grant, self.kind, ids, properties)
            .await?;
        let mut values = HashMap::new();
        for record in &found.items {
            for property in properties {
                let of = (record.id.clone(), property.clone());
                values.insert(of, record.property(property));
            }
        }
        let mut entries = self.entries(found).await?;
        let there: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        let gone: Vec<Entry> = ids
            .iter()
            .filter(|id| !there.contains(id.as_str()))
            .map(|id| Entry::new(id.clone(), None, What::Gone))
            .collect();
        entries.extend(gone);
        Ok(Asked { entries, values })
    }

    fn converted(&self, record: &Record, about: &[String]) -> Item {
        match self.kind {
            Kinds::Contacts => Item::Contact(Box::new(contact(record))),
            Kinds::Notes => Item::Note(Box::new(note(record, about))),
            Kinds::Deals => Item::Deal(Box::new(deal(record, about))),
        }
    }

    pub async fn begin(&self) -> Result<Begun, Error> {
        let latest = self.hubspot.crm.latest(&self.grant, self.kind).await?;
        let modified = latest.modified.unwrap_or(DateTime::UNIX_EPOCH);
        Ok(Begun {
            cursor: Some(Cursor::at(modified).to_string()),
            total: latest.total,
        })
    }

    pub async fn list(&self, page: Option<&str>) -> Result<Page, Error> {
        let listed = self.hubspot.crm.list(&self.grant, self.kind, page).await?;
        let next = listed.next.clone();
        Ok(Page {
            entries: self.entries(listed).await?,
            next,
            ..Page::default()
        })
    }

    pub async fn changed(&self, cursor: &str, page: Option<&str>) -> Result<Page, Error> {
        let gone = || Error::new(Kind::Gone, "the cursor can't be read");
        let cursor = Cursor::read(cursor).ok_or_else(gone)?;
        let place = page.map_or_else(|| Some(Place::default()), Place::read);
        let mut place = place.ok_or_else(gone)?;
        let since = Since {
            modified: cursor.modified - LAG,
            beyond: place.beyond.as_deref(),
            page: place.after.as_deref(),
        };
        let found = self
            .hubspot
            .crm
            .changed(&self.grant, self.kind, &since)
            .await?;
        let seen: Vec<(String, Option<DateTime<Utc>>)> = found
            .items
            .iter()
            .map(|record| (record.id.clone(), record.modified(self.kind)))
            .collect();
        place.saw(&seen);
        let next = place.next(found.next.clone(), seen.last());
        if next.is_some() {
            return Ok(Page {
                entries: self.entries(found).await?,
                next,
                ..Page::default()
            });
        }
        let after = Cursor {
            modified: place.latest.max(cursor.modified),
            seen: place.seen.clone(),
        };
        // The same records as the last time, changed at the same times: nothing is new.
        if after == cursor && found.unreadable.is_empty() {
            return Ok(Page {
                cursor: Some(after.to_string()),
                ..Page::default()
            });
        }
        Ok(Page {
            entries: self.entries(found).await?,
            cursor: Some(after.to_string()),
            ..Page::default()
        })
    }
}

const fn creation(kind: Kinds) -> &'static str {
    match kind {
        Kinds::Contacts => "hubspot.contact.creation",
        Kinds::Notes => "hubspot.note.creation",
        Kinds::Deals => "hubspot.deal.creation",
    }
}

/// Records by their ids, as they are now.
pub(super) struct Asked {
    /// Those that aren't there any more are gone.
    pub entries: Vec<Entry>,
    /// The values of the properties that were asked for, by record and property.
    pub values: HashMap<(String, String), Option<String>>,
}

/// The latest change that was seen, and what the search that saw it found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor {
    modified: DateTime<Utc>,
    /// A digest of ids and times of change; empty when there was no search.
    seen: String,
}

impl Cursor {
    const fn at(modified: DateTime<Utc>) -> Self {
        Self {
            modified,
            seen: String::new(),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (millis, seen) = text.split_once('.')?;
        Some(Self {
            modified: DateTime::from_timestamp_millis(millis.parse().ok()?)?,
            seen: seen.to_owned(),
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.modified.timestamp_millis(), self.seen)
    }
}

/// Where a search of many pages is: beyond which id, on which page of it, how many that page's search
/// has brought, and what the cursor will be made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    beyond: Option<String>,
    after: Option<String>,
    found: usize,
    latest: DateTime<Utc>,
    seen: String,
}

impl Place {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, ' ');
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        Some(Self {
            beyond: some(parts.next()?),
            found: parts.next()?.parse().ok()?,
            latest: DateTime::from_timestamp_millis(parts.next()?.parse().ok()?)?,
            seen: parts.next()?.to_owned(),
            after: some(parts.next()?),
        })
    }

    fn saw(&mut self, records: &[(String, Option<DateTime<Utc>>)]) {
        self.found += records.len();
        for (id, modified) in records {
            let modified = modified.unwrap_or_default();
            self.latest = self.latest.max(modified);
            let line = format!("{} {id} {}", self.seen, modified.timestamp_millis());
            self.seen = URL_SAFE_NO_PAD.encode(&ids::digest(&[&line])[..9]);
        }
    }

    /// The place of the next page. Where paging ends before the records do, the search begins anew
    /// beyond the last one.
    fn next(
        &self,
        after: Option<String>,
        last: Option<&(String, Option<DateTime<Utc>>)>,
    ) -> Option<String> {
        let after = after?;
        let (last, _) = last?;
        let next = if self.found + SEARCH_PAGE > MOST_FOUND {
            Self {
                beyond: Some(last.clone()),
                after: None,
                found: 0,
                ..self.clone()
            }
        } else {
            Self {
                after: Some(after),
                ..self.clone()
            }
        };
        Some(next.to_string())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} {} {} {}",
            self.beyond.as_deref().unwrap_or("-"),
            self.found,
            self.latest.timestamp_millis(),
            self.seen,
            self.after.as_deref().unwrap_or("-"),
        )
    }
}

fn uid(id: &str) -> String {
    format!("hubspot:{id}")
}

fn day(text: &str) -> Option<NaiveDate> {
    text.get(..10)?.parse().ok()
}

fn note(record: &Record, about: &[String]) -> Note {
    let at = record.property("hs_timestamp").and_then(|text| {
        let at = DateTime::parse_from_rfc3339(&text).ok()?;
        Some(at.to_utc())
    });
    Note {
        uid: uid(&record.id),
        text: html::html_to_text(&record.property("hs_note_body").unwrap_or_default()),
        at: at.or(record.created_at),
        about: about.iter().map(|id| uid(id)).collect(),
    }
}

fn deal(record: &Record, about: &[String]) -> Deal {
    Deal {
        uid: uid(&record.id),
        name: record.property("dealname").unwrap_or_default(),
        amount: record.property("amount"),
        stage: record.property("dealstage"),
        pipeline: record.property("pipeline"),
        closes_on: record.property("closedate").as_deref().and_then(day),
        description: record.property("description"),
        about: about.iter().map(|id| uid(id)).collect(),
    }
}

/// As an address book would have it. Who has no name is called by what else there is.
fn contact(record: &Record) -> Contact {
    let all = |names: &[&str], between: &str| {
        let found: Vec<String> = names
            .iter()
            .filter_map(|name| record.property(name))
            .collect();
        found.join(between)
    };
    let mut emails: Vec<String> = record.property("email").into_iter().collect();
    if let Some(more) = record.property("hs_additional_emails") {
        emails.extend(more.split(';').map(|address| address.trim().to_owned()));
    }
    emails.retain(|address| address.contains('@'));
    let phones: Vec<String> = ["phone", "mobilephone"]
        .iter()
        .filter_map(|name| record.property(name))
        .collect();
    let organisation = record.property("company");
    let named = all(&["firstname", "lastname"], " ");
    let name = [
        Some(&named),
        emails.first(),
        phones.first(),
        organisation.as_ref(),
    ]
    .into_iter()
    .flatten()
    .find(|name| !name.trim().is_empty())
    .cloned()
    .unwrap_or_else(|| format!("Contact {}", record.id));
    let address = all(&["address", "city", "state", "zip", "country"], ", ");
    Contact {
        key: None,
        uid: Some(uid(&record.id)),
        name,
        emails,
        phones,
        organisation,
        title: record.property("jobtitle"),
        addresses: Some(address)
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect(),
        birthday: record.property("date_of_birth"),
        notes: String::new(),
        extra: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_and_cursors_are_read_as_written(
            beyond in proptest::option::of("[0-9]{1,12}"), after in proptest::option::of("[0-9a-z =]{2,20}"),
            found in 0..10_000_usize, millis in 0..4_000_000_000_000_i64, seen in "[0-9a-f]{0,16}",
        ) {
            let latest = DateTime::from_timestamp_millis(millis).unwrap();
            let place = Place { beyond, after, found, latest, seen: seen.clone() };
            prop_assert_eq!(Place::read(&place.to_string()), Some(place));
            let cursor = Cursor { modified: latest, seen };
            prop_assert_eq!(Cursor::read(&cursor.to_string()), Some(cursor));
        }

        #[test]
        fn no_place_or_cursor_of_others_breaks_us(text in ".*") {
            let _ = (Place::read(&text), Cursor::read(&text));
        }
    }

    #[test]
    fn where_paging_ends_the_search_begins_anew() {
        let record = |id: usize| (id.to_string(), None);
        let mut place = Place::default();
        let mut pages = 0;
        loop {
            let records: Vec<_> = (0..SEARCH_PAGE)
                .map(|n| record(pages * SEARCH_PAGE + n))
                .collect();
            place.saw(&records);
            pages += 1;
            let next = place.next(Some("next".to_owned()), records.last()).unwrap();
            place = Place::read(&next).unwrap();
            if place.beyond.is_some() {
                break;
            }
            assert!(place.found < MOST_FOUND, "the limit is never reached");
        }
        assert_eq!(pages, MOST_FOUND / SEARCH_PAGE);
        assert_eq!(
            (place.after, place.beyond.as_deref(), place.found),
            (None, Some("9999"), 0)
        );
    }
}
