//! `/api/chat` and `/api/conversations`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_stream::wrappers::ReceiverStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answering::{self, Answering, Kept};
use super::body::ChatBody;
use super::store::{self, Conversation, Message};
use super::wire::Wire;
use crate::agent::{Citation, Mode, Part};
use crate::effects::Approval;
use crate::http::{
    CurrentUser, Cursor, Json, Page, PageQuery, Path, Problem, ProblemBody, Query, STREAMING,
};
use crate::state::App;

const PROTOCOL: HeaderName = HeaderName::from_static("x-vercel-ai-ui-message-stream");
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const LONGEST_TITLE: usize = 200;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(stream))
        .routes(routes!(list))
        .routes(routes!(get, rename, delete))
}

/// A whole answer takes as long as the model needs, so it stands outside of the reply timeout.
pub fn waiting_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(message))
}

/// Answers as a stream, in the AI SDK UI message stream protocol.
#[utoipa::path(post, path = "/api/chat/stream", tag = "chat", request_body = ChatBody, responses(
    (status = 200, content_type = "text/event-stream", body = String), (status = 400, body = ProblemBody),
    (status = 401, body = ProblemBody), (status = 404, body = ProblemBody), (status = 415, body = ProblemBody),
    (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
async fn stream(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Json(body): Json<ChatBody>,
) -> Result<impl IntoResponse, Problem> {
    let answering = answering::begin(&app, scope, body.parse()?).await?;
    let events = Sse::new(events(answering)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let protocol = [(PROTOCOL, HeaderValue::from_static("v1"))];
    Ok((STREAMING, protocol, events))
}

fn events(answering: Answering) -> impl Stream<Item = Result<Event, Infallible>> {
    let start = Wire::start(
        answering.message_id,
        answering.conversation_id,
        answering.mode,
    );
    let parts = ReceiverStream::new(answering.parts)
        .map(Some)
        .chain(futures::stream::iter([None]));
    let rest = parts.scan(Some(Wire::new()), |wire, part| {
        let chunks = match part {
            Some(part) => wire.as_mut().map(|wire| wire.part(&part)),
            None => wire.take().map(Wire::finish),
        };
        std::future::ready(chunks)
    });
    futures::stream::iter([start])
        .chain(rest)
        .flat_map(futures::stream::iter)
        .map(|chunk: Value| Event::default().data(chunk.to_string()))
        .chain(futures::stream::iter([Event::default().data("[DONE]")]))
        .map(Ok)
}

/// An answer at once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Answer {
    conversation_id: Uuid,
    message_id: Uuid,
    mode: Mode,
    text: String,
    citations: Vec<Citation>,
    #[schema(value_type = Vec<store::ToolCall>)]
    tool_calls: Vec<Value>,
    /// What the assistant asks leave for.
    approvals: Vec<Approval>,
    #[schema(value_type = Vec<store::Warning>)]
    warnings: Vec<Value>,
    #[schema(value_type = Option<store::Usage>)]
    usage: Option<Value>,
}

/// Answers without streaming.
#[utoipa::path(post, path = "/api/chat/message", tag = "chat", request_body = ChatBody, responses(
    (status = 200, body = Answer), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
    (status = 404, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody),
    (status = 429, body = ProblemBody), (status = 502, body = ProblemBody)))]
async fn message(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Json(body): Json<ChatBody>,
) -> Result<Json<Answer>, Problem> {
    let mut answering = answering::begin(&app, scope, body.parse()?).await?;
    let mut kept = Kept::default();
    let mut failure = None;
    while let Some(part) = answering.parts.recv().await {
        if let Part::Error(words) = &part {
            failure = Some(words.clone());
        }
        kept.keep(&part);
    }
    // With something said, the answer stands, and the warning says that it was cut off.
    if let Some(words) = failure
        && kept.text.is_empty()
    {
        return Err(
            Problem::new(StatusCode::BAD_GATEWAY, "the model gave no answer").detail(words),
        );
    }
    Ok(Json(Answer {
        conversation_id: answering.conversation_id,
        message_id: answering.message_id,
        mode: answering.mode,
        text: kept.text,
        citations: kept.citations,
        tool_calls: kept.tool_calls.into_iter().map(|(_, call)| call).collect(),
        approvals: kept.approvals,
        warnings: kept.warnings,
        usage: kept.usage,
    }))
}

/// The user's conversations, the latest first.
#[utoipa::path(get, path = "/api/conversations", tag = "chat", params(PageQuery), responses(
    (status = 200, body = Page<Conversation>), (status = 401, body = ProblemBody),
    (status = 422, body = ProblemBody)))]
async fn list(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Conversation>>, Problem> {
    let (limit, cursor) = page.parse()?;
    let mut tx = scope.begin(&app.pool).await?;
    let rows = store::list(&mut tx, limit, cursor).await?;
    Ok(Json(Page::of(
        rows,
        limit,
        |conversation: &Conversation| Cursor {
            at: conversation.updated_at,
            id: conversation.id,
        },
    )))
}

/// A conversation with its messages.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ConversationBody {
    #[serde(flatten)]
    conversation: Conversation,
    messages: Vec<Message>,
}

/// One conversation with its messages, oldest first.
#[utoipa::path(get, path = "/api/conversations/{id}", tag = "chat", params(("id" = Uuid, Path)), responses(
    (status = 200, body = ConversationBody), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
async fn get(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<ConversationBody>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let conversation = store::find(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let messages = store::messages(&mut tx, id).await?;
    Ok(Json(ConversationBody {
        conversation,
        messages,
    }))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct Rename {
    #[schema(min_length = 1, max_length = 200)]
    title: String,
}

/// Renames a conversation.
#[utoipa::path(patch, path = "/api/conversations/{id}", tag = "chat", params(("id" = Uuid, Path)),
    request_body = Rename, responses(
    (status = 200, body = Conversation), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
    (status = 404, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn rename(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
    Json(body): Json<Rename>,
) -> Result<Json<Conversation>, Problem> {
    let title = body.title.trim();
    if title.is_empty() || title.chars().count() > LONGEST_TITLE {
        return Err(Problem::invalid(
            "title",
            format!("must hold 1 to {LONGEST_TITLE} characters"),
        ));
    }
    let mut tx = scope.begin(&app.pool).await?;
    if !store::rename(&mut tx, id, title).await? {
        return Err(Problem::not_found());
    }
    let conversation = store::find(&mut tx, id)
        .await?
        .ok_or_else(Problem::not_found)?;
    tx.commit().await?;
    Ok(Json(conversation))
}

/// Deletes a conversation with its messages.
#[utoipa::path(delete, path = "/api/conversations/{id}", tag = "chat", params(("id" = Uuid, Path)), responses(
    (status = 204), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody),
    (status = 409, body = ProblemBody)))]
async fn delete(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.may_delete()?;
    let mut tx = scope.begin(&app.pool).await?;
    if !store::delete(&mut tx, id).await? {
        return Err(Problem::not_found());
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
