//! `POST /api/webhooks/hubspot`: batches of events about the records of many accounts. HubSpot sends
//! again whatever isn't answered with 2xx, for a day.

use std::collections::{BTreeSet, HashMap};

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::delivery::{Delivery, hubspot_events};
use super::{Intake, Outcome, count, refused};
use crate::db::UserId;
use crate::http::extract::body_within;
use crate::http::middleware::RequestId;
use crate::http::{Problem, ProblemBody};
use crate::identity::connections::{self, Provider};
use crate::providers::hubspot::signature::{Header, Signed};
use crate::state::App;

const SOURCE: &str = "hubspot";
const BODY_LIMIT: usize = 2 << 20;
const SIGNATURE: HeaderName = HeaderName::from_static("x-hubspot-signature-v3");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-hubspot-request-timestamp");
const LEGACY: HeaderName = HeaderName::from_static("x-hubspot-signature");
const LEGACY_VERSION: HeaderName = HeaderName::from_static("x-hubspot-signature-version");

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(deliver))
}

/// "These records have changed." Authenticated by HubSpot's signature, version 3.
#[utoipa::path(post, path = "/api/webhooks/hubspot", tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json"), responses(
    (status = 200), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
    (status = 413, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn deliver(
    State(app): State<App>,
    Extension(intake): Extension<Intake>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Result<StatusCode, Problem> {
    // Without our client's secret nothing can be verified.
    let hubspot = app
        .hubspot
        .as_ref()
        .ok_or_else(|| refused(&app, SOURCE, "no HubSpot client is configured"))?;
    let headers = request.headers().clone();
    let method = request.method().clone();
    let called = request
        .uri()
        .path_and_query()
        .map_or("/", |called| called.as_str());
    let uri = format!("{}{called}", app.public_url.origin().ascii_serialization());
    let body = body_within(request, BODY_LIMIT).await?;
    let signed = Signed {
        method: method.as_str(),
        uri: &uri,
        body: &body,
        v3: header(&headers, &SIGNATURE),
        timestamp: header(&headers, &TIMESTAMP),
        legacy: header(&headers, &LEGACY),
        legacy_version: header(&headers, &LEGACY_VERSION),
    };
    let settings = &hubspot.settings;
    let version = signed
        .verify(
            settings.client.client_secret.expose(),
            settings.allow_legacy_signatures,
            app.clock.system(),
        )
        .map_err(|why| refused(&app, SOURCE, why))?;
    let events = hubspot_events(&body, version.name()).map_err(|problem| {
        count(&app, SOURCE, Outcome::Unreadable);
        Problem::malformed("these are no events of HubSpot's").detail(problem)
    })?;
    let by_user = by_user(&intake, events).await?;
    if by_user.is_empty() {
        count(&app, SOURCE, Outcome::Unknown);
        return Ok(StatusCode::OK);
    }
    intake.take(by_user, &request_id.0).await?;
    count(&app, SOURCE, Outcome::Taken);
    Ok(StatusCode::OK)
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Header<'h> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Header::Absent,
        (Some(value), None) => value.to_str().map_or(Header::Odd, Header::Once),
        (Some(_), Some(_)) => Header::Odd,
    }
}

/// An account may be several users'; one that nobody here has is nobody's business.
async fn by_user(
    intake: &Intake,
    events: Vec<(String, Delivery)>,
) -> Result<HashMap<UserId, Vec<Delivery>>, Problem> {
    let portals: BTreeSet<&String> = events.iter().map(|(portal, _)| portal).collect();
    let portals: Vec<String> = portals.into_iter().cloned().collect();
    let users = connections::users_of_realms(intake.pool(), Provider::HubSpot, &portals).await?;
    let mut by_user: HashMap<UserId, Vec<Delivery>> = HashMap::new();
    for (portal, delivery) in events {
        let Some((last, others)) = users.get(&portal).and_then(|users| users.split_last()) else {
            continue;
        };
        for user_id in others {
            by_user.entry(*user_id).or_default().push(delivery.clone());
        }
        by_user.entry(*last).or_default().push(delivery);
    }
    Ok(by_user)
}
