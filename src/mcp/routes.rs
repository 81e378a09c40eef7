//! `POST /mcp`: who may come in, and how the protocol's errors become replies.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use rmcp::ErrorData;
use rmcp::model::{ClientJsonRpcMessage, ErrorCode, JsonRpcError, RequestId};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde::Deserialize as _;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::server::Server;
use crate::http::{Json, Problem, ProblemBody};
use crate::identity::{self, Bearer};
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(message))
}

/// A message of the Model Context Protocol, by streamable HTTP without sessions: one JSON-RPC message in, its
/// answer out. Asks for an API token; a session doesn't count. `Accept` must name `application/json` and
/// `text/event-stream`.
#[utoipa::path(post, path = "/mcp", tag = "mcp",
    request_body(content = Value, description = "A JSON-RPC 2.0 message.",
        example = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})),
    responses(
        (status = 200, description = "The answer: a JSON-RPC 2.0 result or error.", body = Value),
        (status = 202, description = "A notification was heard."),
        (status = 400, description = "No JSON-RPC message that is understood; a JSON-RPC 2.0 error.", body = Value),
        (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 406, body = ProblemBody), (status = 413, body = ProblemBody),
        (status = 415, body = ProblemBody)))]
async fn message(
    State(app): State<App>,
    bearer: Result<Bearer, Problem>,
    request: Request,
) -> Result<Response, Problem> {
    identity::refuse_foreign(&app, request.headers())?;
    let bearer = bearer?;
    let (parts, body) = request.into_parts();
    let arrived = Request::from_parts(parts.clone(), body);
    let message = match Json::<Value>::from_request(arrived, &()).await {
        Ok(Json(message)) => message,
        Err(problem) => return unreadable(problem),
    };
    if ClientJsonRpcMessage::deserialize(&message).is_err() {
        let id = RequestId::deserialize(&message["id"]).ok();
        let error = ErrorData::invalid_request("this is no JSON-RPC 2.0 message of a client", None);
        return Ok(refusal(id, error));
    }
    let server = Server {
        app: app.clone(),
        bearer,
    };
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(NeverSessionManager::default()),
        settings(&app),
    );
    let request = Request::from_parts(parts, Body::from(message.to_string()));
    in_our_words(&app, service.handle(request).await.map(Body::new)).await
}

/// Each message for itself, answered at once.
fn settings(app: &App) -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts(app))
        .with_cancellation_token(app.halting.clone())
}

/// By which names this server is called: a page whose name was made to point here is told off. A proxy either
/// passes on what its client asked for, or calls us by where we listen.
fn hosts(app: &App) -> Vec<String> {
    let listens = app.config.server.listen.ip();
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    own.into_iter()
        .chain(app.public_url.host_str().map(str::to_owned))
        .chain((!listens.is_unspecified()).then(|| listens.to_string()))
        .collect()
}

/// What isn't JSON is the protocol's error; a wrong media type or length is HTTP's.
fn unreadable(problem: Problem) -> Result<Response, Problem> {
    let body = problem.body("");
    let error = match problem.status() {
        StatusCode::BAD_REQUEST => {
            let place = body.detail.unwrap_or_default();
            ErrorData::new(
                ErrorCode::PARSE_ERROR,
                format!("{} {place}", body.title).trim_end().to_owned(),
                None,
            )
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            let wrong = body.errors.first();
            let words = wrong.map_or(body.title.clone(), |one| {
                format!("{}: {}", one.field, one.message)
            });
            ErrorData::invalid_request(words, None)
        }
        _ => return Err(problem),
    };
    Ok(refusal(None, error))
}

fn refusal(id: Option<RequestId>, error: ErrorData) -> Response {
    (StatusCode::BAD_REQUEST, Json(JsonRpcError::new(id, error))).into_response()
}

/// The SDK says in plain text what is wrong with the HTTP around a message; here that is a problem like
/// everywhere.
async fn in_our_words(app: &App, reply: Response) -> Result<Response, Problem> {
    let status = reply.status();
    let is_json = reply
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return Ok(reply);
    }
    let text = reply.into_body().collect().await;
    let text = text.map_err(Problem::internal)?.to_bytes();
    let text = String::from_utf8_lossy(&text).into_owned();
    Err(match status {
        StatusCode::FORBIDDEN => Problem::forbidden("the Host header names another server")
            .detail("use the address of PUBLIC_URL; a proxy passes the header on"),
        _ if status.is_client_error() => Problem::new(status, text),
        _ if app.halting.is_cancelled() => Problem::unavailable("the server is stopping"),
        _ => Problem::internal(anyhow::anyhow!(text)),
    })
}
