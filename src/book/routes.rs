//! The stored source behind a citation: mails, contacts, calendar events, documents.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Person;
use super::store::{self, Contact, Document, Email, Event};
use crate::html;
use crate::http::{CurrentUser, Cursor, Json, Page, PageQuery, Path, Problem, ProblemBody, Query};
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_email))
        .routes(routes!(list_contacts))
        .routes(routes!(get_contact))
        .routes(routes!(get_event))
        .routes(routes!(get_document))
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
    /// List of `{name, content_type, size}`.
    attachments: Value,
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

/// The user's contacts, the latest imported first.
#[utoipa::path(get, path = "/api/contacts", tag = "sources", params(PageQuery), responses(
    (status = 200, body = Page<Contact>), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn list_contacts(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Contact>>, Problem> {
    let (limit, cursor) = page.parse()?;
    let mut tx = scope.begin(&app.pool).await?;
    let rows = store::list_contacts(&mut tx, limit, cursor).await?;
    Ok(Json(Page::of(rows, limit, |contact: &Contact| Cursor {
        at: contact.imported_at,
        id: contact.id,
    })))
}

/// One contact.
#[utoipa::path(get, path = "/api/contacts/{id}", tag = "sources", params(("id" = Uuid, Path)), responses(
    (status = 200, body = Contact), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get_contact(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<Contact>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let contact = store::find_contact(&mut tx, id).await?;
    contact.map(Json).ok_or_else(Problem::not_found)
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
