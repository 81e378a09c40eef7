//! From what a model wants to an action as it would be done: names resolved, times read, threads found.
//! Nothing is done here. Where it isn't clear who or what is meant, the model is told to ask.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AskUser, ToolError, WaitForReply, arguments, id, instant, some, tool, wrong};
use crate::agent::intent;
use crate::agent::work::{Work, people};
use crate::book::{self, Contact, Email};
use crate::db::UserScope;
use crate::effects::{self, Action, Span};
use crate::identity::settings;
use crate::ingest;
use crate::llm::visible;
use crate::providers::openai::Tool;
use crate::providers::{Error, Kind};
use crate::state::App;

#[derive(Deserialize, JsonSchema)]
struct SendEmail {
    /// Addresses or contact ids.
    #[serde(
        alias = "recipient",
        alias = "recipients",
        alias = "contact_id",
        deserialize_with = "some"
    )]
    #[schemars(with = "Vec<String>")]
    to: Vec<String>,
    #[serde(default, deserialize_with = "some")]
    #[schemars(with = "Option<Vec<String>>")]
    cc: Vec<String>,
    #[serde(default, deserialize_with = "some")]
    #[schemars(with = "Option<Vec<String>>")]
    bcc: Vec<String>,
    subject: String,
    /// Plain text, as it will be read.
    #[serde(alias = "body", alias = "message", alias = "content")]
    text: String,
    /// The times that it offers, as `find_free_slots` gave them; null when it offers none.
    #[serde(default, alias = "slots")]
    offers: Option<Vec<Times>>,
}

#[derive(Deserialize, JsonSchema)]
struct Times {
    start: String,
    end: String,
}

#[derive(Deserialize, JsonSchema)]
struct ReplyInThread {
    /// The mail to answer, by its id; null for the last mail that was sent here, or that this is about.
    #[serde(default, alias = "id", alias = "in_reply_to", alias = "thread_id")]
    email_id: Option<String>,
    /// Plain text, as it will be read.
    #[serde(alias = "body", alias = "message", alias = "content")]
    text: String,
    /// The times that it offers, as `find_free_slots` gave them; null when it offers none.
    #[serde(default, alias = "slots")]
    offers: Option<Vec<Times>>,
}

#[derive(Deserialize, JsonSchema)]
struct CreateEvent {
    #[serde(alias = "summary", alias = "subject", alias = "name")]
    title: String,
    /// Like 2026-03-01T10:00 on the advisor's clock, or with an offset.
    #[serde(alias = "start_time", alias = "starts_at")]
    start: String,
    #[serde(default, alias = "end_time", alias = "ends_at")]
    end: Option<String>,
    /// Instead of the end.
    #[serde(default, alias = "duration")]
    duration_minutes: Option<u32>,
    /// Addresses or contact ids of those who are invited.
    #[serde(
        default,
        alias = "guests",
        alias = "invitees",
        deserialize_with = "some"
    )]
    #[schemars(with = "Option<Vec<String>>")]
    attendees: Vec<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    location: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct UpdateEvent {
    /// The event's id.
    #[serde(alias = "id")]
    event_id: String,
    #[serde(default, alias = "summary")]
    title: Option<String>,
    #[serde(default, alias = "start_time")]
    start: Option<String>,
    #[serde(default, alias = "end_time")]
    end: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct CancelEvent {
    /// The event's id.
    #[serde(alias = "id")]
    event_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct CreateContact {
    #[serde(alias = "address")]
    email: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    company: Option<String>,
    /// Written as the contact's first note.
    #[serde(default)]
    note: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct UpdateContact {
    /// The contact's id or address.
    #[serde(alias = "contact", alias = "id", alias = "email")]
    contact_id: String,
    #[serde(alias = "properties")]
    #[schemars(with = "Vec<Change>")]
    changes: Changes,
}

#[derive(Deserialize, JsonSchema)]
struct Change {
    /// HubSpot's name of it: `phone`, `jobtitle`, `city` …
    #[serde(alias = "name")]
    property: String,
    #[serde(alias = "to")]
    value: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Changes {
    List(Vec<Change>),
    Map(BTreeMap<String, String>),
}

#[derive(Deserialize, JsonSchema)]
struct CreateNote {
    /// The contact's id or address.
    #[serde(alias = "contact_id", alias = "email", alias = "address")]
    contact: String,
    #[serde(alias = "body", alias = "note", alias = "content")]
    text: String,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        tool::<SendEmail>("send_email", "Sends a new mail in the advisor's name."),
        tool::<ReplyInThread>("reply_in_thread", "Answers a mail, in its thread."),
        tool::<SendEmail>(
            "draft_email",
            "Drafts a mail for the advisor to read here. Nothing is sent.",
        ),
        tool::<CreateEvent>(
            "create_event",
            "Books an appointment in the advisor's calendar; attendees are invited.",
        ),
        tool::<UpdateEvent>("update_event", "Moves or changes an appointment."),
        tool::<CancelEvent>("cancel_event", "Cancels an appointment."),
        tool::<CreateContact>("create_contact", "Creates a contact in HubSpot."),
        tool::<UpdateContact>("update_contact", "Changes a contact's record in HubSpot."),
        tool::<CreateNote>("create_note", "Writes a note on a contact into HubSpot."),
        tool::<WaitForReply>(
            "wait_for_reply",
            "Waits, for days if need be, for the answer to the last mail that was sent here.",
        ),
        tool::<AskUser>(
            "ask_user",
            "Asks the advisor when it isn't clear who or what is meant. The work ends until they answer.",
        ),
    ]
}

/// The action that a call wants, whole and checked.
pub(in crate::agent) async fn action(
    app: &App,
    scope: &UserScope,
    work: &mut Work,
    name: &str,
    input: &Value,
) -> Result<Action, ToolError> {
    let (name, input) = match name {
        "send_email" => (
            "send_email",
            send(app, scope, work, arguments(input)?).await?,
        ),
        "reply_in_thread" => (
            "send_email",
            reply(app, scope, work, arguments(input)?).await?,
        ),
        "create_event" => (
            "create_event",
            book_event(app, scope, work, arguments(input)?).await?,
        ),
        "update_event" => (
            "update_event",
            change_event(app, scope, work, arguments(input)?).await?,
        ),
        "cancel_event" => {
            let asked: CancelEvent = arguments(input)?;
            let event = appointment(app, scope, &asked.event_id).await?;
            (
                "cancel_event",
                json!({"event_id": event.id, "title": event.title, "attendees": event.guests}),
            )
        }
        "create_contact" => {
            let asked: CreateContact = arguments(input)?;
            (
                "create_contact",
                json!({
                    "email": bare(&asked.email), "name": asked.name, "phone": asked.phone,
                    "company": asked.company, "note": asked.note,
                }),
            )
        }
        "update_contact" => (
            "update_contact",
            change_contact(app, scope, arguments(input)?).await?,
        ),
        "create_note" => {
            let asked: CreateNote = arguments(input)?;
            let contact = contact_for_crm(app, scope, &asked.contact).await?;
            (
                "create_note",
                json!({"contact": contact, "text": asked.text}),
            )
        }
        _ => return Err(wrong("there is no such tool")),
    };
    let action = Action::of(name, &input).map_err(|error| wrong(error.to_string()))?;
    if work.was_done(&action) {
        return Err(wrong("exactly this was done already; don't do it again"));
    }
    is_clear(app, scope, work, &action).await?;
    Ok(action)
}

/// Two clients of one name are a question and never a guess.
async fn is_clear(
    app: &App,
    scope: &UserScope,
    work: &mut Work,
    action: &Action,
) -> Result<(), ToolError> {
    let people = people(app, scope).await?;
    let named = intent::named(&work.said, &people);
    let mut keys = action.recipient_keys();
    keys.extend(action.subject().map(book::address_key));
    let doubt = if work.why.rule_id.is_none() {
        intent::doubt(&named, &people, &keys)
    } else {
        None
    };
    if let Some((name, fitting)) = doubt {
        let list: Vec<String> = fitting
            .iter()
            .take(10)
            .map(|one| format!("{} ({})", visible(&one.name), one.keys.join(", ")))
            .collect();
        return Err(wrong(format!(
            "The advisor wrote {name:?}, which fits several contacts: {}. Ask with ask_user which one is meant.",
            list.join("; ")
        )));
    }
    work.named.get_or_insert(named.keys);
    Ok(())
}

pub(super) fn draft(input: &Value) -> Result<Value, ToolError> {
    let asked: SendEmail = arguments(input)?;
    Ok(json!({
        "state": "drafted", "to": asked.to, "cc": asked.cc, "bcc": asked.bcc,
        "subject": asked.subject, "text": asked.text, "note": "Nothing was sent.",
    }))
}

/// `Sara <sara@example.com>` without the name.
fn bare(text: &str) -> &str {
    let inner = text
        .rsplit_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(text, |(address, _)| address).trim()
}

/// An address as it is given, or a contact's: by id, or by a name that one contact alone has.
async fn addresses(
    app: &App,
    scope: &UserScope,
    field: &str,
    given: Vec<String>,
) -> Result<Vec<String>, ToolError> {
    let mut found = Vec::with_capacity(given.len());
    for one in given {
        let one = bare(&one);
        if one.contains('@') {
            found.push(one.to_owned());
            continue;
        }
        let contact = contact(app, scope, one).await?;
        let address = contact.emails.first().ok_or_else(|| {
            wrong(format!(
                "{field}: {} has no address",
                visible(&contact.name)
            ))
        })?;
        found.push(address.clone());
    }
    Ok(found)
}

/// A contact by id, or by a name that fits nobody else.
async fn contact(app: &App, scope: &UserScope, given: &str) -> Result<Contact, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    if let Ok(id) = given.parse::<Uuid>() {
        return book::find_contact(&mut tx, id)
            .await?
            .ok_or_else(|| wrong("there is no contact with this id"));
    }
    let mut fitting = book::find_contacts(&mut tx, given, 5).await?;
    let is_called = |one: &Contact| one.name.to_lowercase() == given.to_lowercase();
    if fitting.iter().filter(|one| is_called(one)).count() == 1 {
        fitting.retain(is_called);
    }
    match (fitting.pop(), fitting.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(wrong(format!(
            "nobody in the address book is called {given:?}"
        ))),
        (Some(_), false) => Err(wrong(format!(
            "{given:?} fits several contacts; look them up and ask which one is meant"
        ))),
    }
}

/// As HubSpot can be asked for it: its id, or an address.
async fn contact_for_crm(app: &App, scope: &UserScope, given: &str) -> Result<String, ToolError> {
    let given = bare(given);
    if given.contains('@') || (!given.is_empty() && given.bytes().all(|b| b.is_ascii_digit())) {
        return Ok(given.to_owned());
    }
    let contact = contact(app, scope, given).await?;
    // By the address it is known whose record it is.
    contact
        .emails
        .first()
        .cloned()
        .or_else(|| hubspot_id(&contact))
        .ok_or_else(|| wrong("this contact isn't in HubSpot"))
}

fn hubspot_id(contact: &Contact) -> Option<String> {
    let uid = contact.uid.as_deref()?;
    uid.strip_prefix("hubspot:").map(str::to_owned)
}

/// The times that a mail offers: those that are said, and those of the found ones that its text names.
fn offers(
    given: Option<Vec<Times>>,
    text: &str,
    now: DateTime<Utc>,
    work: &Work,
) -> Result<Vec<Span>, ToolError> {
    let mut offers = Vec::new();
    for times in given.unwrap_or_default() {
        let start = instant(&times.start, work.zone)?;
        let end = instant(&times.end, work.zone)?;
        if start <= now {
            return Err(wrong(format!("offers: {} is over", times.start)));
        }
        offers.push(Span { start, end });
    }
    for slot in &work.slots {
        let start = slot.start.with_timezone(&work.zone);
        let names_hour = ["%H:%M", "%-H:%M", "%-I:%M"]
            .iter()
            .any(|form| text.contains(&start.format(form).to_string()));
        let names_day = ["%A", "%-d %B", "%B %-d", "%Y-%m-%d", "%-d %b", "%b %-d"]
            .iter()
            .any(|form| text.contains(&start.format(form).to_string()));
        if names_hour && names_day && !offers.contains(slot) {
            offers.push(*slot);
        }
    }
    Ok(offers)
}

async fn send(
    app: &App,
    scope: &UserScope,
    work: &Work,
    asked: SendEmail,
) -> Result<Value, ToolError> {
    let offers = offers(asked.offers, &asked.text, app.clock.now(), work)?;
    Ok(json!({
        "to": addresses(app, scope, "to", asked.to).await?,
        "cc": addresses(app, scope, "cc", asked.cc).await?,
        "bcc": addresses(app, scope, "bcc", asked.bcc).await?,
        "subject": asked.subject,
        "text": asked.text,
        "offers": offers,
    }))
}

async fn reply(
    app: &App,
    scope: &UserScope,
    work: &Work,
    asked: ReplyInThread,
) -> Result<Value, ToolError> {
    let offers = offers(asked.offers, &asked.text, app.clock.now(), work)?;
    let given = asked
        .email_id
        .map(|given| given.trim().to_owned())
        .filter(|given| !given.is_empty());
    // What a rule's run is about needs no name.
    let about = || {
        let thread = work.reach.as_ref()?.thread?;
        work.sent.is_empty().then(|| thread.to_string())
    };
    let answered = match given.or_else(about) {
        Some(given) => answered(app, scope, work, &given).await?,
        None => None,
    };
    let (to, subject, message_id) = match answered {
        Some((email, own)) => {
            let from = email
                .sender
                .as_ref()
                .and_then(|one| one["address"].as_str());
            let is_own = |address: &str| own.contains(&book::address_key(address));
            // One's own mail is followed up to those who got it.
            let to: Vec<String> = match from {
                Some(from) if !is_own(from) => vec![from.to_owned()],
                _ => email
                    .recipients
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|one| one["address"].as_str())
                    .filter(|address| !is_own(address))
                    .map(str::to_owned)
                    .collect(),
            };
            (to, email.subject, Some(email.message_id))
        }
        None => {
            let last = work
                .sent
                .last()
                .ok_or_else(|| wrong("email_id: say which mail is answered"))?;
            (
                last.to.clone(),
                last.subject.clone(),
                last.message_id.clone(),
            )
        }
    };
    let is_reply = subject
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    let subject: String = subject
        .chars()
        .filter(|c| !c.is_control())
        .take(400)
        .collect();
    Ok(json!({
        "to": to,
        "subject": if is_reply { subject } else { format!("Re: {subject}") },
        "text": asked.text,
        "in_reply_to": message_id,
        "offers": offers,
    }))
}

/// The mail that is answered, or the last one of its thread; none for one that we sent and that hasn't
/// been read back yet. With the user's own addresses.
async fn answered(
    app: &App,
    scope: &UserScope,
    work: &Work,
    given: &str,
) -> Result<Option<(Email, Vec<String>)>, ToolError> {
    let is_sent_here = |given: &str| {
        work.sent.iter().any(|sent| {
            sent.message_id.as_deref() == Some(given) || sent.thread.as_deref() == Some(given)
        })
    };
    if is_sent_here(given.trim_matches(['<', '>'])) {
        return Ok(None);
    }
    let id = id(given)?;
    let mut tx = scope.begin(&app.pool).await?;
    let email = match book::find_email(&mut tx, id).await? {
        Some(email) => Some(email),
        None => book::list_thread(&mut tx, id, 200).await?.pop(),
    };
    let email = email
        .filter(|email| work.may_read_mail(email.thread_id, &[]))
        .ok_or_else(|| wrong("email_id: there is no such mail"))?;
    let own = settings::own_addresses(&mut tx).await?;
    Ok(Some((
        email,
        own.iter().map(|one| book::address_key(one)).collect(),
    )))
}

async fn book_event(
    app: &App,
    scope: &UserScope,
    work: &Work,
    asked: CreateEvent,
) -> Result<Value, ToolError> {
    let start = instant(&asked.start, work.zone)?;
    let end = match (asked.end, asked.duration_minutes) {
        (Some(end), _) => instant(&end, work.zone)?,
        (None, minutes) => start + TimeDelta::minutes(minutes.unwrap_or(30).into()),
    };
    if end <= app.clock.now() {
        return Err(wrong("start: this time is over"));
    }
    Ok(json!({
        "title": asked.title,
        "start": start,
        "end": end,
        "attendees": addresses(app, scope, "attendees", asked.attendees).await?,
        "description": asked.description.unwrap_or_default(),
        "location": asked.location.filter(|place| !place.trim().is_empty()),
        "time_zone": work.zone.name(),
    }))
}

/// An appointment as it stands now.
struct Appointment {
    id: String,
    etag: String,
    title: String,
    guests: Vec<String>,
}

/// By our id of it or Google's.
async fn appointment(app: &App, scope: &UserScope, given: &str) -> Result<Appointment, ToolError> {
    let id = match given.parse::<Uuid>() {
        Ok(id) => {
            let mut tx = scope.begin(&app.pool).await?;
            let found = ingest::external_id(&mut tx, "calendar", id).await?;
            found.ok_or_else(|| wrong("event_id: this event isn't in the connected calendar"))?
        }
        Err(_) => given.trim().to_owned(),
    };
    let event = effects::calendar::appointment(app, *scope, &id)
        .await
        .map_err(|error| of_provider(error, "event_id: there is no such event"))?;
    if event.is_cancelled() {
        return Err(wrong("event_id: this event was cancelled"));
    }
    Ok(Appointment {
        id: event.id,
        etag: event.etag.unwrap_or_default(),
        title: event.summary.unwrap_or_default(),
        guests: event
            .attendees
            .into_iter()
            .filter_map(|guest| guest.email)
            .collect(),
    })
}

fn of_provider(error: Error, absent: &str) -> ToolError {
    match error.kind {
        Kind::NotFound | Kind::Gone => wrong(absent),
        _ => ToolError::Broken(error.into()),
    }
}

async fn change_event(
    app: &App,
    scope: &UserScope,
    work: &Work,
    asked: UpdateEvent,
) -> Result<Value, ToolError> {
    let at = |text: Option<String>| text.map(|text| instant(&text, work.zone)).transpose();
    let (start, end) = (at(asked.start)?, at(asked.end)?);
    let event = appointment(app, scope, &asked.event_id).await?;
    Ok(json!({
        "event_id": event.id, "etag": event.etag, "called": event.title, "attendees": event.guests,
        "title": asked.title, "start": start, "end": end, "description": asked.description,
    }))
}

async fn change_contact(
    app: &App,
    scope: &UserScope,
    asked: UpdateContact,
) -> Result<Value, ToolError> {
    let given = bare(&asked.contact_id);
    let contact = contact(app, scope, given).await?;
    let id = hubspot_id(&contact).ok_or_else(|| wrong("this contact isn't in HubSpot"))?;
    let changes: Vec<(String, String)> = match asked.changes {
        Changes::List(list) => list
            .into_iter()
            .map(|one| (one.property, one.value))
            .collect(),
        Changes::Map(map) => map.into_iter().collect(),
    };
    let names: Vec<String> = changes.iter().map(|(name, _)| name.clone()).collect();
    let values = effects::values_now(app, *scope, &id, &names)
        .await
        .map_err(|error| of_provider(error, "contact_id: there is no such contact"))?
        .ok_or_else(|| wrong("contact_id: there is no such contact in HubSpot"))?;
    let changes: Vec<Value> = changes
        .into_iter()
        .zip(values)
        .map(|((property, to), from)| json!({"property": property, "from": from, "to": to}))
        .collect();
    Ok(json!({
        "contact_id": id, "name": contact.name, "address": contact.emails.first(), "changes": changes,
    }))
}
