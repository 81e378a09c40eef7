//! `POST /api/webhooks/gmail`: Pub/Sub's push. What a delivery can't change by being sent again is
//! acknowledged, or it would be sent for a week.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::delivery::Delivery;
use super::{BODY_LIMIT, Intake, Outcome, count, only, refused};
use crate::http::extract::body_within;
use crate::http::middleware::RequestId;
use crate::http::{Problem, ProblemBody};
use crate::identity::connections::{self, Provider};
use crate::ids;
use crate::providers::google::identity::Refused;
use crate::state::App;

const SOURCE: &str = "gmail";

/// Pub/Sub writes standard base64, and Gmail's guide says the other alphabet.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(push))
}

#[derive(Deserialize)]
struct Envelope {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    data: String,
    #[serde(default, rename = "messageId")]
    id: Option<String>,
    #[serde(default, rename = "publishTime")]
    publish_time: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    email_address: String,
}

/// Of the notification only whose mailbox it is counts: where to look from, we know ourselves.
pub struct Push {
    pub mailbox: String,
    /// Pub/Sub's name for the message.
    pub id: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

/// "This mailbox has changed." Authenticated by Google's signed token, for the configured audience and
/// service account.
#[utoipa::path(post, path = "/api/webhooks/gmail", tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json"), responses(
    (status = 204), (status = 401, body = ProblemBody),
    (status = 413, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn push(
    State(app): State<App>,
    Extension(intake): Extension<Intake>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Result<StatusCode, Problem> {
    // Without the settings nothing can be verified.
    let (google, settings) = app
        .google
        .as_ref()
        .and_then(|google| Some((google, google.settings.push.as_ref()?)))
        .ok_or_else(|| refused(&app, SOURCE, "no push is configured"))?;
    let headers = request.headers().clone();
    let body = body_within(request, BODY_LIMIT).await?;
    let token = only(&headers, &AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .ok_or_else(|| refused(&app, SOURCE, "no token"))?
        .1;
    let claims = match google.identity.verify(token, &settings.audience).await {
        Ok(claims) => claims,
        Err(Refused::Invalid(why)) => return Err(refused(&app, SOURCE, why)),
        Err(error @ Refused::NoKeys(_)) => {
            return Err(Problem::unavailable("Google's keys can't be had").caused_by(error));
        }
    };
    if claims.email_verified != Some(true)
        || claims.email.as_deref() != Some(settings.service_account.as_str())
    {
        return Err(refused(&app, SOURCE, "another account's token"));
    }
    let Some(push) = read(&body) else {
        count(&app, SOURCE, Outcome::Unreadable);
        tracing::warn!("a push of Gmail's can't be decoded");
        return Ok(StatusCode::NO_CONTENT);
    };
    let mailbox = [push.mailbox.clone()];
    let users = connections::users_of_realms(intake.pool(), Provider::Google, &mailbox).await?;
    if users.is_empty() {
        count(&app, SOURCE, Outcome::Unknown);
        tracing::info!("a push is about a mailbox that nobody here has");
        return Ok(StatusCode::NO_CONTENT);
    }
    let delivery = Delivery {
        provider: SOURCE,
        // What has no name is the same when it says the same.
        key: match &push.id {
            Some(id) => ids::digest(&[SOURCE, id]),
            None => ids::digest(&[SOURCE, "", &String::from_utf8_lossy(&body)]),
        },
        kind: "mailbox.change".to_owned(),
        object_kind: "",
        object_ids: Vec::new(),
        occurred_at: push.at,
        verified_by: "google_token",
        content: json!({"email_address": push.mailbox, "message_id": push.id}),
    };
    let by_user: HashMap<_, _> = users
        .into_values()
        .flatten()
        .map(|user_id| (user_id, vec![delivery.clone()]))
        .collect();
    intake.take(by_user, &request_id.0).await?;
    count(&app, SOURCE, Outcome::Taken);
    Ok(StatusCode::NO_CONTENT)
}

/// What a push says, if it is one.
pub fn read(body: &[u8]) -> Option<Push> {
    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    let message = envelope.message;
    let data: String = message
        .data
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    let data = DECODER.decode(data).ok()?;
    let notification: Notification = serde_json::from_slice(&data).ok()?;
    let mailbox = notification.email_address.to_lowercase();
    let id = message.id.filter(|id| !id.is_empty() && !id.contains('\0'));
    (!mailbox.contains('\0')).then_some(Push {
        mailbox,
        id,
        at: message.publish_time,
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn mailbox_of(body: &[u8]) -> Option<String> {
        Some(read(body)?.mailbox)
    }

    fn envelope(data: &str) -> Vec<u8> {
        json!({"message": {"data": data, "messageId": "1"}, "subscription": "s"})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn googles_own_samples() {
        for data in [
            "eyJlbWFpbEFkZHJlc3MiOiJhZHZpc29yQGV4YW1wbGUuY29tIiwiaGlzdG9yeUlkIjo5ODc2NTR9",
            "eyJlbWFpbEFkZHJlc3MiOiJhZHZpc29yQGV4YW1wbGUuY29tIiwiaGlzdG9yeUlkIjoiOTg3NjU0In0=",
        ] {
            assert_eq!(
                mailbox_of(&envelope(data)).as_deref(),
                Some("advisor@example.com")
            );
        }
    }

    proptest! {
        #[test]
        fn either_alphabet_is_read(mailbox in "[^\0]{1,30}") {
            let text = json!({"emailAddress": mailbox, "historyId": 7}).to_string();
            for data in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                prop_assert_eq!(mailbox_of(&envelope(&data)), Some(mailbox.to_lowercase()));
            }
        }

        #[test]
        fn nonsense_is_nothing(body: Vec<u8>, data in ".*") {
            prop_assert_eq!(mailbox_of(&body), None);
            let _ = mailbox_of(&envelope(&data));
        }
    }
}
