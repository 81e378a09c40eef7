//! HubSpot's contacts, notes and deals.
//!
//! All property values are text or nothing there, and so they are here. Searching lags behind by up
//! to half a minute and finds at most 10,000, five times a second: it is for what changed, in windows,
//! and never answers "is there such a contact?" before one is made. That is what
//! [`Created::Exists`] is for.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{VERSION, error};
use crate::providers::caller::{Call, Caller, Credentials, Pace};
use crate::providers::wire::{self, Page};
use crate::providers::{Error, Kind};
use crate::telemetry::Metrics;

/// Of one page of a listing.
const PAGE: u32 = 100;
/// Of one page of a search.
pub const SEARCH_PAGE: usize = 200;
/// More of what a search finds can't be had by paging.
pub const MOST_FOUND: usize = 10_000;
/// Inputs of one batch.
pub const BATCH: usize = 100;
/// HubSpot's own type of the link from a note to its contact.
const NOTE_TO_CONTACT: u32 = 202;

/// Kinds of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kinds {
    Contacts,
    Notes,
    Deals,
}

impl Kinds {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Notes => "notes",
            Self::Deals => "deals",
        }
    }

    /// What is read of each; only what is named comes.
    const fn properties(self) -> &'static str {
        match self {
            Self::Contacts => {
                "createdate,email,firstname,lastname,lastmodifieddate,phone,mobilephone,company,jobtitle,\
                 hs_additional_emails,address,city,state,zip,country,hubspot_owner_id"
            }
            Self::Notes => {
                "hs_createdate,hs_lastmodifieddate,hs_note_body,hs_timestamp,hubspot_owner_id"
            }
            Self::Deals => {
                "amount,closedate,createdate,dealname,dealstage,hs_lastmodifieddate,pipeline,description"
            }
        }
    }

    /// The property that says when a record was changed last.
    pub const fn modified(self) -> &'static str {
        match self {
            Self::Contacts => "lastmodifieddate",
            Self::Notes | Self::Deals => "hs_lastmodifieddate",
        }
    }
}

/// A record.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    #[serde(deserialize_with = "wire::text")]
    pub id: String,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub updated_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub url: Option<String>,
}

impl Record {
    /// A property that isn't empty.
    pub fn property(&self, name: &str) -> Option<String> {
        let text = match self.properties.get(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// When it was changed last.
    pub fn modified(&self, kind: Kinds) -> Option<DateTime<Utc>> {
        let written = self.property(kind.modified()).and_then(|text| {
            let at = DateTime::parse_from_rfc3339(&text).ok()?;
            Some(at.to_utc())
        });
        written.or(self.updated_at)
    }
}

/// What a creation came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Created {
    New(String),
    /// There is one with this address already.
    Exists(String),
}

/// Where a search for what changed goes on.
#[derive(Clone, Copy, Debug)]
pub struct Since<'a> {
    pub modified: DateTime<Utc>,
    /// Only records with a greater id: the way past [`MOST_FOUND`].
    pub beyond: Option<&'a str>,
    pub page: Option<&'a str>,
}

/// The latest change of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Latest {
    /// None when there are no records.
    pub modified: Option<DateTime<Utc>>,
    pub total: Option<i64>,
}

/// The way to HubSpot's records; cheap to clone.
#[derive(Clone)]
pub struct Crm {
    caller: Caller,
    /// Searches have a limit of their own.
    searcher: Caller,
    api: Url,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default, deserialize_with = "wire::list")]
    results: Vec<Value>,
    #[serde(default)]
    paging: Option<Paging>,
    #[serde(default, deserialize_with = "wire::opt_number")]
    total: Option<i64>,
}

#[derive(Deserialize)]
struct Paging {
    #[serde(default)]
    next: Option<Next>,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default, deserialize_with = "wire::opt_text")]
    after: Option<String>,
}

impl Listing {
    fn next(&self) -> Option<String> {
        self.paging.as_ref()?.next.as_ref()?.after.clone()
    }
}

impl Crm {
    pub fn new(
        http: reqwest::Client,
        metrics: Metrics,
        api: Url,
        pace: Pace,
        search_pace: Pace,
    ) -> Self {
        Self {
            caller: Caller::new(http.clone(), metrics.clone(), "hubspot", pace, error::read),
            searcher: Caller::new(http, metrics, "hubspot", search_pace, error::read),
            api,
        }
    }

    fn request(&self, method: Method, path: &[&str]) -> reqwest::RequestBuilder {
        let url = crate::providers::below(&self.api, &["crm"], path);
        self.caller.http.request(method, url)
    }

    fn records(&self, method: Method, kind: Kinds, rest: &[&str]) -> reqwest::RequestBuilder {
        let path = [&["objects", VERSION, kind.name()], rest].concat();
        self.request(method, &path)
    }

    /// A page of all records of a kind, by id.
    pub async fn list(
        &self,
        user: &dyn Credentials,
        kind: Kinds,
        page: Option<&str>,
    ) -> Result<Page<Record>, Error> {
        let mut request = self
            .records(Method::GET, kind, &[])
            .query(&[("limit", PAGE)])
            .query(&[("properties", kind.properties())]);
        if let Some(page) = page {
            request = request.query(&[("after", page)]);
        }
        let call = Call::read("objects.list", 1, request);
        let listing: Listing = self.caller.send(user, call).await?.json()?;
        let next = listing.next();
        Ok(Page::of(listing.results, next))
    }

    /// A page of what changed, by id. A record that changes meanwhile may come twice and is never
    /// missed: it only joins those that are found.
    pub async fn changed(
        &self,
        user: &dyn Credentials,
        kind: Kinds,
        since: &Since<'_>,
    ) -> Result<Page<Record>, Error> {
        let mut filters = vec![json!({"propertyName": kind.modified(), "operator": "GTE",
            "value": since.modified.timestamp_millis().to_string()})];
        if let Some(id) = since.beyond {
            filters.push(json!({"propertyName": "hs_object_id", "operator": "GT", "value": id}));
        }
        let sort = json!({"propertyName": "hs_object_id", "direction": "ASCENDING"});
        let mut body = search(kind, &filters, &sort, SEARCH_PAGE);
        if let Some(page) = since.page {
            body["after"] = json!(page);
        }
        let listing = self.search(user, kind, &body).await?;
        let next = listing.next();
        Ok(Page::of(listing.results, next))
    }

    /// When a record of a kind was changed last, by HubSpot's clock, and how many there are.
    pub async fn latest(&self, user: &dyn Credentials, kind: Kinds) -> Result<Latest, Error> {
        let sort = json!({"propertyName": kind.modified(), "direction": "DESCENDING"});
        let listing = self
            .search(user, kind, &search(kind, &[], &sort, 1))
            .await?;
        let total = listing.total;
        let newest = Page::<Record>::of(listing.results, None).items;
        Ok(Latest {
            modified: newest.first().and_then(|record| record.modified(kind)),
            total,
        })
    }

    async fn search(
        &self,
        user: &dyn Credentials,
        kind: Kinds,
        body: &Value,
    ) -> Result<Listing, Error> {
        let request = self.records(Method::POST, kind, &["search"]).json(body);
        let call = Call::read("objects.search", 1, request);
        self.searcher.send(user, call).await?.json()
    }

    /// One record. After a merge the survivor answers, under its own id.
    pub async fn get(
        &self,
        user: &dyn Credentials,
        kind: Kinds,
        id: &str,
    ) -> Result<Record, Error> {
        let request = self
            .records(Method::GET, kind, &[id])
            .query(&[("properties", kind.properties())]);
        let call = Call::read("objects.get", 1, request);
        self.caller.send(user, call).await?.json()
    }

    /// The contact with this address.
    pub async fn id_of_address(
        &self,
        user: &dyn Credentials,
        address: &str,
    ) -> Result<Option<String>, Error> {
        let request = self
            .records(Method::GET, Kinds::Contacts, &[address])
            .query(&[("properties", "email"), ("idProperty", "email")]);
        let call = Call::read("objects.get", 1, request);
        match self.caller.send(user, call).await {
            Ok(reply) => Ok(Some(reply.json::<Record>()?.id)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Records by id, with more properties than are usually read; those that are gone are left out.
    pub async fn get_all(
        &self,
        user: &dyn Credentials,
        kind: Kinds,
        ids: &[String],
        more: &[String],
    ) -> Result<Page<Record>, Error> {
        let mut properties: Vec<&str> = kind.properties().split(',').map(str::trim).collect();
        properties.extend(more.iter().map(String::as_str));
        let mut all = Page::of(Vec::new(), None);
        for some in ids.chunks(BATCH) {
            let inputs: Vec<Value> = some.iter().map(|id| json!({"id": id})).collect();
            let request = self
                .records(Method::POST, kind, &["batch", "read"])
                .json(&json!({"inputs": inputs, "properties": properties}));
            let call = Call::read("objects.batch_read", 1, request);
            let listing: Listing = self.caller.send(user, call).await?.json()?;
            let page = Page::<Record>::of(listing.results, None);
            all.items.extend(page.items);
            all.unreadable.extend(page.unreadable);
        }
        Ok(all)
    }

    /// The contacts of each note or deal, by its id.
    pub async fn contacts_of(
        &self,
        user: &dyn Credentials,
        kind: Kinds,
        ids: &[String],
    ) -> Result<BTreeMap<String, Vec<String>>, Error> {
        self.linked(user, kind, ids, Kinds::Contacts).await
    }

    /// The notes of a contact.
    pub async fn notes_of(
        &self,
        user: &dyn Credentials,
        contact_id: &str,
    ) -> Result<Vec<String>, Error> {
        let ids = [contact_id.to_owned()];
        let links = self
            .linked(user, Kinds::Contacts, &ids, Kinds::Notes)
            .await?;
        Ok(links.into_values().flatten().collect())
    }

    async fn linked(
        &self,
        user: &dyn Credentials,
        from: Kinds,
        ids: &[String],
        to: Kinds,
    ) -> Result<BTreeMap<String, Vec<String>>, Error> {
        #[derive(Deserialize)]
        struct Side {
            #[serde(deserialize_with = "wire::text")]
            id: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Other {
            #[serde(deserialize_with = "wire::text")]
            to_object_id: String,
        }
        #[derive(Deserialize)]
        struct Link {
            from: Side,
            #[serde(default)]
            to: Vec<Other>,
        }
        let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for some in ids.chunks(BATCH) {
            let inputs: Vec<Value> = some.iter().map(|id| json!({"id": id})).collect();
            let path = [
                "associations",
                VERSION,
                from.name(),
                to.name(),
                "batch",
                "read",
            ];
            let request = self
                .request(Method::POST, &path)
                .json(&json!({"inputs": inputs}));
            let call = Call::read("associations.batch_read", 1, request);
            let listing: Listing = self.caller.send(user, call).await?.json()?;
            for link in Page::<Link>::of(listing.results, None).items {
                let ids = link.to.into_iter().map(|other| other.to_object_id);
                links.entry(link.from.id).or_default().extend(ids);
            }
        }
        Ok(links)
    }

    /// Makes a contact, unless there is one with its address.
    pub async fn create_contact(
        &self,
        user: &dyn Credentials,
        properties: &BTreeMap<String, String>,
    ) -> Result<Created, Error> {
        let request = self
            .records(Method::POST, Kinds::Contacts, &[])
            .json(&json!({"properties": properties}));
        let call = Call::act("contacts.create", 0, request).also(&[409]);
        let reply = self.caller.send(user, call).await?;
        if reply.status.as_u16() != 409 {
            return reply.json::<Record>().map(|record| Created::New(record.id));
        }
        existing_id(&String::from_utf8_lossy(&reply.body))
            .map(Created::Exists)
            .ok_or_else(|| Error::new(Kind::Conflict, "status 409 without an id"))
    }

    /// Changes properties of a record; an empty value clears one.
    pub async fn update(
        &self,
        user: &dyn Credentials,
        kind: Kinds,
        id: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<Record, Error> {
        let request = self
            .records(Method::PATCH, kind, &[id])
            .json(&json!({"properties": properties}));
        let call = Call::act("objects.update", 0, request).repeatable();
        self.caller.send(user, call).await?.json()
    }

    /// Writes a note (HTML, at most 65,536 characters) on a contact; the note's id. Never repeated by
    /// itself: after `Ambiguous` look among the contact's notes.
    pub async fn create_note(
        &self,
        user: &dyn Credentials,
        contact_id: &str,
        html: &str,
        at: DateTime<Utc>,
    ) -> Result<String, Error> {
        let request = self.records(Method::POST, Kinds::Notes, &[]).json(&json!({
            "properties": {"hs_timestamp": at.to_rfc3339(), "hs_note_body": html},
            "associations": [{"to": {"id": contact_id}, "types": [{
                "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": NOTE_TO_CONTACT,
            }]}],
        }));
        let call = Call::act("notes.create", 0, request);
        let record: Record = self.caller.send(user, call).await?.json()?;
        Ok(record.id)
    }

    /// Archives a record; fine when it is archived.
    pub async fn archive(
        &self,
        user: &dyn Credentials,
        kind: Kinds,
        id: &str,
    ) -> Result<(), Error> {
        let call = Call::act(
            "objects.archive",
            0,
            self.records(Method::DELETE, kind, &[id]),
        );
        let call = call.repeatable().also(&[404]);
        self.caller.send(user, call).await.map(drop)
    }
}

fn search(kind: Kinds, filters: &[Value], sort: &Value, limit: usize) -> Value {
    let properties: Vec<&str> = kind.properties().split(',').collect();
    let groups = if filters.is_empty() {
        json!([])
    } else {
        json!([{"filters": filters}])
    };
    json!({"filterGroups": groups, "sorts": [sort], "properties": properties, "limit": limit})
}

/// "Contact already exists. Existing ID: 51": the id is only in the text.
fn existing_id(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("Existing ID:")?;
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_names_the_contact() {
        let said = r#"{"message":"Contact already exists. Existing ID: 51","category":"CONFLICT"}"#;
        assert_eq!(existing_id(said).as_deref(), Some("51"));
        assert_eq!(existing_id("Contact already exists. Existing ID: "), None);
        assert_eq!(existing_id("<html>"), None);
    }

    #[test]
    fn properties_are_text_or_nothing() {
        let record: Record = serde_json::from_value(json!({
            "id": 51, "properties": {"email": "ann@example.com", "city": "", "zip": 8000, "phone": null},
        }))
        .unwrap();
        assert_eq!(record.id, "51");
        assert_eq!(record.property("email").as_deref(), Some("ann@example.com"));
        assert_eq!(record.property("zip").as_deref(), Some("8000"));
        assert_eq!(
            (record.property("city"), record.property("phone")),
            (None, None)
        );
    }
}
