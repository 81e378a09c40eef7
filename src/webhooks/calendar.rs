//! `POST /api/webhooks/calendar`: a channel's notification. It carries no content and no signature; the
//! secret that only Google and we know is all that proves it.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::delivery::Delivery;
use super::{BODY_LIMIT, Intake, Outcome, count, only, refused};
use crate::http::extract::body_within;
use crate::http::middleware::RequestId;
use crate::http::{Problem, ProblemBody};
use crate::identity::connections::watches;
use crate::ids;
use crate::state::App;

const SOURCE: &str = "calendar";
const CHANNEL: HeaderName = HeaderName::from_static("x-goog-channel-id");
const TOKEN: HeaderName = HeaderName::from_static("x-goog-channel-token");
const RESOURCE: HeaderName = HeaderName::from_static("x-goog-resource-id");
const STATE: HeaderName = HeaderName::from_static("x-goog-resource-state");
/// Counts a channel's notifications.
const NUMBER: HeaderName = HeaderName::from_static("x-goog-message-number");

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(notify))
}

/// "This calendar has changed." Authenticated by the channel's secret.
#[utoipa::path(post, path = "/api/webhooks/calendar", tag = "webhooks", responses(
    (status = 204), (status = 401, body = ProblemBody), (status = 413, body = ProblemBody),
    (status = 503, body = ProblemBody)))]
async fn notify(
    State(app): State<App>,
    Extension(intake): Extension<Intake>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let headers = request.headers().clone();
    body_within(request, BODY_LIMIT).await?;
    let (Some(channel), Some(token), Some(resource), Some(state)) = (
        only(&headers, &CHANNEL),
        only(&headers, &TOKEN),
        only(&headers, &RESOURCE),
        only(&headers, &STATE),
    ) else {
        return Err(refused(&app, SOURCE, "a header is missing, or there twice"));
    };
    let hash = watches::token_hash(token);
    let user_id =
        watches::user_of_channel(intake.pool(), channel, resource, &hash, app.clock.now()).await?;
    let Some(user_id) = user_id else {
        return Err(refused(&app, SOURCE, "no such channel"));
    };
    // The channel's first says only that it is open.
    if state != "sync" {
        let number = only(&headers, &NUMBER).map(str::to_owned);
        // Without its number none is known to be a repeat.
        let name = number.clone().unwrap_or_else(|| ids::next().to_string());
        let delivery = Delivery {
            provider: SOURCE,
            key: ids::digest(&[SOURCE, channel, &name]),
            kind: "calendar.change".to_owned(),
            object_kind: "",
            object_ids: Vec::new(),
            occurred_at: None,
            verified_by: "channel_secret",
            content: json!({"channel_id": channel, "resource_state": state, "message_number": number}),
        };
        let by_user = HashMap::from([(user_id, vec![delivery])]);
        intake.take(by_user, &request_id.0).await?;
    }
    count(&app, SOURCE, Outcome::Taken);
    Ok(StatusCode::NO_CONTENT)
}
