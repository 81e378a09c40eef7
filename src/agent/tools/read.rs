//! Reading: the book, within the user's rows and the work's reach.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ToolError, arguments, id, tool, wrong};
use crate::agent::sources::{Seen, Sources};
use crate::agent::work::Work;
use crate::book::{self, Kind};
use crate::db::UserScope;
use crate::llm::visible;
use crate::providers::openai::Tool;
use crate::retrieval::{self, SearchRequest};
use crate::state::App;

const MAILS_OF_THREAD: i64 = 20;

#[derive(Deserialize, JsonSchema)]
struct Search {
    /// What to look for, in plain words; names and tickers as they are written.
    query: String,
    /// Only these kinds; null for all.
    kinds: Option<Vec<SearchKind>>,
    /// Only what happened at or after this day, as YYYY-MM-DD; null for no limit.
    after: Option<String>,
    /// Only what happened before this day, as YYYY-MM-DD; null for no limit.
    before: Option<String>,
    /// Only what this contact took part in (an id that `find_contacts` gave); null for everybody.
    contact_id: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SearchKind {
    Email,
    Contact,
    Event,
    Note,
    Deal,
    Document,
}

#[derive(Deserialize, JsonSchema)]
struct GetEmail {
    /// The mail's id, from a search result.
    #[serde(alias = "email_id")]
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct GetThread {
    /// The thread's id, from a search result.
    #[serde(alias = "id")]
    thread_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct FindContacts {
    /// A name, part of one, an address or a phone number.
    #[serde(alias = "query")]
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct GetContact {
    /// The contact's id, from an earlier result.
    #[serde(alias = "contact_id")]
    id: String,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        tool::<Search>(
            "search",
            "Searches the advisor's mail, contacts, calendar, notes, deals and documents by meaning and by \
             words. Returns passages, each with a ref to cite it by.",
        ),
        tool::<GetEmail>("get_email", "Reads one mail in full."),
        tool::<GetThread>("get_thread", "Reads the mails of one thread, oldest first."),
        tool::<FindContacts>("find_contacts", "Looks up people in the address book."),
        tool::<GetContact>("get_contact", "Reads one contact's record."),
    ]
}

/// None when it is none of these.
pub(super) async fn call(
    app: &App,
    scope: &UserScope,
    name: &str,
    input: &Value,
    work: &mut Work,
) -> Option<Result<Vec<Value>, ToolError>> {
    macro_rules! run {
        ($read:ident) => {
            match arguments(input) {
                Ok(asked) => $read(app, scope, asked, work).await,
                Err(error) => Err(error),
            }
        };
    }
    Some(match name {
        "search" => run!(search),
        "get_email" => run!(get_email),
        "get_thread" => run!(get_thread),
        "find_contacts" => run!(find_contacts),
        "get_contact" => run!(get_contact),
        _ => return None,
    })
}

async fn search(
    app: &App,
    scope: &UserScope,
    asked: Search,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let day = |text: Option<String>| {
        text.map(|text| {
            text.parse::<chrono::NaiveDate>()
                .map_err(|_| wrong("a day is written YYYY-MM-DD"))
        })
        .transpose()
        .map(|day| {
            day.and_then(|day| day.and_hms_opt(0, 0, 0))
                .map(|at| at.and_utc())
        })
    };
    if asked.query.trim().is_empty() {
        return Err(wrong("query: must not be empty"));
    }
    let request = SearchRequest {
        query: asked
            .query
            .chars()
            .filter(|c| *c != '\0')
            .take(1000)
            .collect(),
        top_k: 8,
        kinds: asked
            .kinds
            .unwrap_or_default()
            .into_iter()
            .map(|kind| match kind {
                SearchKind::Email => Kind::Email,
                SearchKind::Contact => Kind::Contact,
                SearchKind::Event => Kind::Event,
                SearchKind::Note => Kind::Note,
                SearchKind::Deal => Kind::Deal,
                SearchKind::Document => Kind::Document,
            })
            .collect(),
        after: day(asked.after)?,
        before: day(asked.before)?,
        contact_id: asked.contact_id.as_deref().map(id).transpose()?,
    };
    if work.reach.is_some() {
        within_reach(app, scope, request.contact_id, work).await?;
    }
    let hits = retrieval::search(app, scope, &request).await?;
    Ok(hits
        .into_iter()
        .map(|hit| {
            // With its neighbours, because the passage's border is ours and not the author's.
            let passage = [
                hit.previous.as_deref(),
                Some(hit.text.as_str()),
                hit.next.as_deref(),
            ]
            .into_iter()
            .flatten()
            .map(visible)
            .collect::<Vec<_>>()
            .join("\n\n");
            let number = work.sources.number(Seen {
                kind: hit.kind,
                source_id: hit.source_id,
                title: hit.title.clone(),
                occurred_at: hit.occurred_at,
                shown: hit.text,
            });
            json!({
                "ref": number,
                "kind": hit.kind,
                "id": hit.source_id,
                "thread_id": hit.thread_id,
                "about": visible(&hit.header),
                "occurred_at": hit.occurred_at,
                "passage": passage,
            })
        })
        .collect())
}

/// Restricted work searches what one of its people is part of.
async fn within_reach(
    app: &App,
    scope: &UserScope,
    contact: Option<Uuid>,
    work: &Work,
) -> Result<(), ToolError> {
    let contact = contact.ok_or_else(|| wrong("contact_id: here only one person's is searched"))?;
    let mut tx = scope.begin(&app.pool).await?;
    let found = book::find_contact(&mut tx, contact).await?;
    found
        .filter(|contact| work.may_read_of(&contact.emails))
        .map(drop)
        .ok_or_else(|| wrong("there is no contact with this id"))
}

async fn get_email(
    app: &App,
    scope: &UserScope,
    asked: GetEmail,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    let email = book::find_email(&mut tx, id(&asked.id)?)
        .await?
        .filter(|email| work.may_read_mail(email.thread_id, &email.people()))
        .ok_or_else(|| wrong("there is no mail with this id"))?;
    Ok(vec![show_email(&email, &mut work.sources)])
}

async fn get_thread(
    app: &App,
    scope: &UserScope,
    asked: GetThread,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    let thread = id(&asked.thread_id)?;
    let mut mails = book::list_thread(&mut tx, thread, MAILS_OF_THREAD).await?;
    mails.retain(|email| work.may_read_mail(thread, &email.people()));
    if mails.is_empty() {
        return Err(wrong("there is no thread with this id"));
    }
    Ok(mails
        .iter()
        .map(|email| show_email(email, &mut work.sources))
        .collect())
}

pub(in crate::agent) fn show_email(email: &book::Email, sources: &mut Sources) -> Value {
    // A thread shows each mail's own words; the quoted copies are in the others.
    let text: String = retrieval::clean::fresh_segments(&email.text)
        .into_iter()
        .filter_map(|range| email.text.get(range))
        .collect::<Vec<_>>()
        .join("\n\n");
    let number = sources.number(Seen {
        kind: Kind::Email,
        source_id: email.id,
        title: email.subject.clone(),
        occurred_at: email.sent_at,
        shown: text.clone(),
    });
    json!({
        "ref": number,
        "kind": Kind::Email,
        "id": email.id,
        "thread_id": email.thread_id,
        "from": email.sender,
        "to": email.recipients,
        "cc": email.copied,
        "date": email.sent_at,
        "subject": visible(&email.subject),
        "text": visible(&text),
    })
}

async fn find_contacts(
    app: &App,
    scope: &UserScope,
    asked: FindContacts,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let named: String = asked
        .name
        .chars()
        .filter(|c| *c != '\0')
        .take(200)
        .collect();
    let named = named.split_whitespace().collect::<Vec<_>>().join(" ");
    if named.is_empty() {
        return Err(wrong("name: must not be empty"));
    }
    let mut tx = scope.begin(&app.pool).await?;
    let contacts = book::find_contacts(&mut tx, &named, 10).await?;
    let within: Vec<_> = contacts
        .into_iter()
        .filter(|contact| work.may_read_of(&contact.emails))
        .collect();
    Ok(within
        .into_iter()
        .map(|contact| show_contact(&contact, &mut work.sources))
        .collect())
}

async fn get_contact(
    app: &App,
    scope: &UserScope,
    asked: GetContact,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    let contact = book::find_contact(&mut tx, id(&asked.id)?)
        .await?
        .filter(|contact| work.may_read_of(&contact.emails))
        .ok_or_else(|| wrong("there is no contact with this id"))?;
    Ok(vec![show_contact(&contact, &mut work.sources)])
}

fn show_contact(contact: &book::Contact, sources: &mut Sources) -> Value {
    let number = sources.number(Seen {
        kind: Kind::Contact,
        source_id: contact.id,
        title: contact.name.clone(),
        occurred_at: None,
        shown: contact.text.clone(),
    });
    json!({
        "ref": number,
        "kind": Kind::Contact,
        "id": contact.id,
        "name": visible(&contact.name),
        "addresses": contact.emails,
        "record": visible(&contact.text),
    })
}
