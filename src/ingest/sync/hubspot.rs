//! HubSpot's contacts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Read, Source, Walk, ended};
use crate::identity::connections::{Grant, Provider};
use crate::ingest::files::{Contact, Item};
use crate::providers::hubspot::crm::{Kinds, Record};
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _, Payload};

/// "Read the contacts of this user's HubSpot."
#[derive(Debug, Serialize, Deserialize)]
pub struct SyncContacts {}

impl Payload for SyncContacts {
    const KIND: &'static str = "sync_hubspot_contacts";
}

impl Handler<App> for SyncContacts {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        ended(walk(&context).await)
    }
}

async fn walk(context: &Context<App>) -> Result<Value, Failure> {
    let app = &context.app;
    let hubspot = app
        .hubspot
        .as_ref()
        .ok_or_else(|| anyhow::anyhow!("HubSpot isn't configured"))
        .or_fail()?;
    let grant = Grant::new(app, context.scope, Provider::HubSpot);
    let mut walk = Walk::begin(context, Source::HubspotContacts, None).await?;
    loop {
        let page = hubspot
            .crm
            .list(&grant, Kinds::Contacts, walk.page.as_deref())
            .await;
        let page = walk.or_restart(page).await?;
        let page = grant.or_wait(context, page).await?;
        let mut read = Read {
            unreadable: page.unreadable.len(),
            next: page.next,
            ..Read::default()
        };
        for record in page.items.iter().filter(|record| !record.archived) {
            match converted(record) {
                Some(contact) => read.items.push(Item::Contact(Box::new(contact))),
                None => read.unreadable += 1,
            }
        }
        if !walk.store(read).await? {
            return Ok(walk.result());
        }
    }
}

/// As an address book would have it; nothing when there is nothing to know somebody by.
fn converted(record: &Record) -> Option<Contact> {
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
    let named = all(&["firstname", "lastname"], " ");
    let name = if named.is_empty() {
        emails.first().or(phones.first())?.clone()
    } else {
        named
    };
    let address = all(&["address", "city", "state", "zip", "country"], ", ");
    Some(Contact {
        uid: Some(format!("hubspot:{}", record.id)),
        name,
        emails,
        phones,
        organisation: record.property("company"),
        title: record.property("jobtitle"),
        addresses: Some(address)
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect(),
        birthday: record.property("date_of_birth"),
        notes: String::new(),
        extra: Vec::new(),
    })
}
