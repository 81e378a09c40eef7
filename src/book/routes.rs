//! The stored source behind a citation: mails, contacts, calendar events, documents, notes, deals.

use axum::extract::State;
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::store::{self, Contact, Document, Email, Event, ListedEvent, Somebody};
use super::{Person, person};
use crate::db::Scoped;
use crate::html;
use crate::http::{CurrentUser, Cursor, Json, Page, PageQuery, Path, Problem, ProblemBody, Query};
use crate::state::App;

const LONGEST_NAME: usize = 200;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_email))
        .routes(routes!(list_contacts))
        .routes(routes!(person::get_contact))
        .routes(routes!(list_events))
        .routes(routes!(get_event))
        .routes(routes!(get_document))
        .routes(routes!(get_note))
        .routes(routes!(get_deal))
}

/// A stored mail.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct EmailBody {
    id: Uuid,
    /// As RFC 5322 has it, without angle brackets.
    message_id: String,
    thread_id: Uuid,
    subject: String,
    from: Option<Person>,
    to: Vec<Person>,
    cc: Vec<Person>,
    date: Option<DateTime<Utc>>,
    text: String,
    /// Sanitised; loads nothing.
    html: Option<String>,
    #[schema(value_type = Vec<Attachment>)]
    attachments: Value,
}

/// What a mail carries.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the contract")]
struct Attachment {
    name: Option<String>,
    content_type: Option<String>,
    /// In bytes.
    size: Option<i64>,
}

impl TryFrom<Email> for EmailBody {
    type Error = serde_json::Error;

    fn try_from(email: Email) -> Result<Self, Self::Error> {
        Ok(Self {
            id: email.id,
            message_id: email.message_id,
            thread_id: email.thread_id,
            subject: email.subject,
            from: email.sender.map(serde_json::from_value).transpose()?,
            to: serde_json::from_value(email.recipients)?,
            cc: serde_json::from_value(email.copied)?,
            date: email.sent_at,
            text: email.text,
            html: email.html.as_deref().map(html::sanitise),
            attachments: email.attachments,
        })
    }
}

/// One mail.
#[utoipa::path(get, path = "/api/emails/{id}", tag = "sources", params(("id" = Uuid, Path)), responses(
    (status = 200, body = EmailBody), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get_email(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<EmailBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let email = store::find_email(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    // Sanitising a large mail takes a while: not on a thread that serves others.
    let body = tokio::task::spawn_blocking(move || EmailBody::try_from(email))
        .await
        .map_err(Problem::internal)?
        .map_err(Problem::internal)?;
    Ok(Json(body))
}

/// Whom to look for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Named {
    /// Of a name, an address or a phone number; slips of the pen are forgiven. The nearest come first then, on
    /// one page.
    #[param(max_length = 200)]
    q: Option<String>,
}

/// The user's contacts, the latest imported first.
#[utoipa::path(get, path = "/api/contacts", tag = "sources", params(PageQuery, Named), responses(
    (status = 200, body = Page<Contact>), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn list_contacts(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Query(page): Query<PageQuery>,
    Query(asked): Query<Named>,
) -> Result<Json<Page<Contact>>, Problem> {
    let (limit, cursor) = page.parse()?;
    let mut tx = scope.begin(&app.pool).await?;
    let named = asked.q.as_deref().unwrap_or_default();
    if named.chars().count() > LONGEST_NAME || named.contains('\0') {
        let words = format!("at most {LONGEST_NAME} characters, without NUL");
        return Err(Problem::invalid("q", words));
    }
    let words: Vec<&str> = named.split_whitespace().collect();
    if !words.is_empty() {
        let items = store::find_contacts(&mut tx, &words.join(" "), limit).await?;
        return Ok(Json(Page {
            items,
            next_cursor: None,
        }));
    }
    let rows = store::list_contacts(&mut tx, limit, cursor).await?;
    Ok(Json(Page::of(rows, limit, |contact: &Contact| Cursor {
        at: contact.imported_at,
        id: contact.id,
    })))
}

/// What of the calendar is listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Window {
    /// Only what begins then or later.
    after: Option<DateTime<Utc>>,
    /// Only what begins earlier.
    before: Option<DateTime<Utc>>,
}

/// The user's calendar events, the earliest first.
#[utoipa::path(get, path = "/api/calendar", tag = "sources", params(PageQuery, Window), responses(
    (status = 200, body = Page<ListedEvent>), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn list_events(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Query(page): Query<PageQuery>,
    Query(window): Query<Window>,
) -> Result<Json<Page<ListedEvent>>, Problem> {
    let (limit, cursor) = page.parse()?;
    for (field, at) in [("after", window.after), ("before", window.before)] {
        if at.is_some_and(|at| !(1..=9999).contains(&at.year())) {
            return Err(Problem::invalid(field, "must be in the years 1 to 9999"));
        }
    }
    let mut tx = scope.begin(&app.pool).await?;
    let rows = store::list_events(&mut tx, window.after, window.before, limit, cursor).await?;
    Ok(Json(Page::of(rows, limit, |event: &ListedEvent| Cursor {
        at: event.start,
        id: event.id,
    })))
}

/// One calendar event.
#[utoipa::path(get, path = "/api/calendar/{id}", tag = "sources", params(("id" = Uuid, Path)), responses(
    (status = 200, body = Event), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get_event(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<Event>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let event = store::find_event(&mut tx, id).await?;
    event.map(Json).ok_or_else(Problem::not_found)
}

/// One imported document.
#[utoipa::path(get, path = "/api/documents/{id}", tag = "sources", params(("id" = Uuid, Path)), responses(
    (status = 200, body = Document), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get_document(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<Document>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let document = store::find_document(&mut tx, id).await?;
    document.map(Json).ok_or_else(Problem::not_found)
}

/// A stored note.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct NoteBody {
    id: Uuid,
    /// The provider's own id: `hubspot:900`.
    uid: String,
    text: String,
    at: Option<DateTime<Utc>>,
    /// Those whom it is about, as far as the book knows them.
    contacts: Vec<Somebody>,
}

/// One note.
#[utoipa::path(get, path = "/api/notes/{id}", tag = "sources", params(("id" = Uuid, Path)), responses(
    (status = 200, body = NoteBody), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get_note(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<NoteBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let note = store::find_note(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let contacts = named(&mut tx, &note.about).await?;
    Ok(Json(NoteBody {
        id: note.id,
        uid: note.uid,
        text: note.text,
        at: note.written_at,
        contacts,
    }))
}

/// A stored deal.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct DealBody {
    id: Uuid,
    /// The provider's own id: `hubspot:700`.
    uid: String,
    name: String,
    /// As the provider writes it.
    amount: Option<String>,
    stage: Option<String>,
    pipeline: Option<String>,
    closes_on: Option<NaiveDate>,
    description: Option<String>,
    /// Those whom it is about, as far as the book knows them.
    contacts: Vec<Somebody>,
    /// The record as lines of text: what citations quote.
    text: String,
}

/// One deal.
#[utoipa::path(get, path = "/api/deals/{id}", tag = "sources", params(("id" = Uuid, Path)), responses(
    (status = 200, body = DealBody), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get_deal(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<DealBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let deal = store::find_deal(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let contacts = named(&mut tx, &deal.about).await?;
    Ok(Json(DealBody {
        id: deal.id,
        uid: deal.uid,
        name: deal.name,
        amount: deal.amount,
        stage: deal.stage,
        pipeline: deal.pipeline,
        closes_on: deal.closes_on,
        description: deal.description,
        contacts,
        text: deal.text,
    }))
}

/// Those behind uids, in their order.
async fn named(tx: &mut Scoped, uids: &[String]) -> Result<Vec<Somebody>, sqlx::Error> {
    let known = store::find_people(tx, uids).await?;
    Ok(uids
        .iter()
        .filter_map(|uid| known.get(uid))
        .map(|person| Somebody {
            id: person.id,
            name: person.name.clone(),
        })
        .collect())
}
