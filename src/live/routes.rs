//! `GET /api/events`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _};
use tokio_stream::wrappers::BroadcastStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::db::UserId;
use crate::http::{CurrentUser, ProblemBody, STREAMING};
use crate::state::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// What changes for this user, as it happens: events named `ingest`, `task`, `approval` and `activity`, and `bye`
/// before the server stops. Each is a hint with a small JSON; the API has the truth.
#[utoipa::path(get, path = "/api/events", tag = "events", responses(
    (status = 200, content_type = "text/event-stream", body = String), (status = 401, body = ProblemBody)))]
async fn events(State(app): State<App>, CurrentUser(scope): CurrentUser) -> impl IntoResponse {
    let changes = Sse::new(changes(&app, scope.user_id()))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    (STREAMING, changes)
}

/// Ends with a last `bye` when the server stops, so that the browser comes back to another instance.
fn changes(app: &App, user_id: UserId) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let stopping = app.stopping.clone();
    let hello = futures::stream::iter([Event::default().comment("listening")]);
    let bye = futures::stream::iter([Event::default().event("bye").data("{}")]);
    let changes = BroadcastStream::new(app.live.listen()).filter_map(move |change| {
        // A lagging listener has lost hints; the next one will do.
        let event = change
            .ok()
            .filter(|change| change.user_id == user_id)
            .map(|change| {
                Event::default()
                    .event(change.topic.name())
                    .data(change.data.to_string())
            });
        std::future::ready(event)
    });
    hello
        .chain(changes.take_until(stopping.cancelled_owned()))
        .chain(bye)
        .map(Ok)
}
