//! The handle's methods over HTTP, below `/sim/google`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::gmail::{Delivery, Letter};
use super::push::{Mischief, PushSettings};
use super::{Decision, Switches, Twist, refusal};
use crate::http::{Json, Path};
use crate::simulator::{World, reply};

pub fn router() -> Router<World> {
    Router::new()
        .route("/sim/google/accounts", post(add_account))
        .route("/sim/google/decisions", post(add_decision))
        .route("/sim/google/twists", post(add_twist))
        .route("/sim/google/keys/rotate", post(rotate))
        .route("/sim/google/revoke", post(end_grant))
        .route("/sim/google/access-tokens/expire", post(expire))
        .route("/sim/google/{email}/mails", post(deliver))
        .route("/sim/google/{email}/replies", post(deliver_reply))
        .route("/sim/google/{email}/sent", get(sent))
        .route("/sim/google/{email}/mails/{id}/delete", post(delete_mail))
        .route("/sim/google/{email}/history/expire", post(expire_history))
        .route("/sim/google/{email}/events", post(add_event).get(events))
        .route(
            "/sim/google/{email}/events/{id}",
            axum::routing::patch(patch_event).delete(delete_event),
        )
        .route("/sim/google/{email}/calendars", post(add_calendar))
        .route("/sim/google/{email}/sync-tokens/expire", post(expire_sync))
        .route("/sim/google/switches", put(set_switches).get(switches))
        .route("/sim/google/push", put(push_to))
        .route("/sim/google/push/mischief", post(twist_push))
        .route("/sim/google/channels/mischief", post(twist_channel))
}

/// A mail, as its bytes or in parts.
#[derive(Deserialize)]
struct MailForm {
    /// Base64.
    #[serde(default)]
    raw: Option<String>,
    #[serde(flatten)]
    delivery: Delivery,
    #[serde(default)]
    mail: Letter,
}

async fn deliver(
    State(world): State<World>,
    Path(email): Path<String>,
    Json(form): Json<MailForm>,
) -> Response {
    let google = world.google();
    let id = match &form.raw {
        Some(raw) => {
            let Ok(raw) = STANDARD.decode(raw) else {
                return refusal(400, Some("badRequest"));
            };
            google.deliver(&email, &raw, form.delivery)
        }
        None => google.deliver_letter(&email, &form.mail, form.delivery),
    };
    made(id)
}

fn made(id: Option<String>) -> Response {
    match id {
        Some(id) => reply(200, json!({"id": id})),
        None => refusal(404, Some("notFound")),
    }
}

fn done(was_there: bool) -> Response {
    if was_there {
        reply(200, json!({}))
    } else {
        refusal(404, Some("notFound"))
    }
}

#[derive(Deserialize)]
struct ReplyForm {
    to_message: String,
    from: String,
    text: String,
}

async fn deliver_reply(
    State(world): State<World>,
    Path(email): Path<String>,
    Json(form): Json<ReplyForm>,
) -> Response {
    made(
        world
            .google()
            .deliver_reply(&email, &form.to_message, &form.from, &form.text),
    )
}

async fn sent(State(world): State<World>, Path(email): Path<String>) -> Response {
    reply(200, json!(world.google().sent(&email)))
}

async fn delete_mail(
    State(world): State<World>,
    Path((email, id)): Path<(String, String)>,
) -> Response {
    done(world.google().delete_message(&email, &id))
}

async fn expire_history(State(world): State<World>, Path(email): Path<String>) -> Response {
    world.google().expire_history(&email);
    done(true)
}

fn event(result: Result<Value, String>) -> Response {
    match result {
        Ok(event) => reply(200, event),
        Err(words) => reply(400, json!({"error": words})),
    }
}

#[derive(Deserialize)]
struct EventForm {
    #[serde(default)]
    calendar: Option<String>,
    event: Value,
}

async fn add_event(
    State(world): State<World>,
    Path(email): Path<String>,
    Json(form): Json<EventForm>,
) -> Response {
    let calendar = form.calendar.as_deref().unwrap_or("primary");
    event(world.google().add_event_in(&email, calendar, &form.event))
}

async fn events(State(world): State<World>, Path(email): Path<String>) -> Response {
    reply(200, json!(world.google().events(&email)))
}

async fn patch_event(
    State(world): State<World>,
    Path((email, id)): Path<(String, String)>,
    Json(changes): Json<Value>,
) -> Response {
    event(world.google().patch_event(&email, &id, &changes))
}

async fn delete_event(
    State(world): State<World>,
    Path((email, id)): Path<(String, String)>,
) -> Response {
    done(world.google().delete_event(&email, &id))
}

#[derive(Deserialize)]
struct CalendarForm {
    id: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    role: Option<String>,
}

async fn add_calendar(
    State(world): State<World>,
    Path(email): Path<String>,
    Json(form): Json<CalendarForm>,
) -> Response {
    let role = form.role.as_deref().unwrap_or("owner");
    world
        .google()
        .add_calendar(&email, &form.id, &form.summary, role);
    done(true)
}

async fn expire_sync(State(world): State<World>, Path(email): Path<String>) -> Response {
    world.google().expire_sync_tokens(&email);
    done(true)
}

async fn set_switches(State(world): State<World>, Json(switches): Json<Switches>) -> Response {
    world.google().set_switches(switches);
    done(true)
}

async fn switches(State(world): State<World>) -> Response {
    reply(200, json!(world.google().switches()))
}

async fn push_to(State(world): State<World>, Json(settings): Json<PushSettings>) -> Response {
    world.google().push_to(settings);
    done(true)
}

async fn twist_push(State(world): State<World>, Json(mischief): Json<Mischief>) -> Response {
    world.google().twist_push(mischief);
    done(true)
}

async fn twist_channel(State(world): State<World>, Json(mischief): Json<Mischief>) -> Response {
    world.google().twist_channel(mischief);
    done(true)
}

#[derive(Deserialize)]
struct AccountForm {
    email: String,
    #[serde(default)]
    name: String,
}

async fn add_account(State(world): State<World>, Json(new): Json<AccountForm>) -> Json<Value> {
    Json(json!({"sub": world.google().add_account(&new.email, &new.name)}))
}

async fn add_decision(State(world): State<World>, Json(decision): Json<Decision>) -> StatusCode {
    world.google().decide(decision);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct TwistForm {
    twist: Twist,
}

async fn add_twist(State(world): State<World>, Json(form): Json<TwistForm>) -> StatusCode {
    world.google().twist(form.twist);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct RotateForm {
    #[serde(default)]
    dead: bool,
}

async fn rotate(State(world): State<World>, Json(form): Json<RotateForm>) -> StatusCode {
    match world.google().rotate_keys(form.dead) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn end_grant(State(world): State<World>, Json(account): Json<AccountForm>) -> StatusCode {
    world.google().revoke(&account.email);
    StatusCode::NO_CONTENT
}

async fn expire(State(world): State<World>) -> StatusCode {
    world.google().expire_access_tokens();
    StatusCode::NO_CONTENT
}
