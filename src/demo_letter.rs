//! `POST /api/demo/letter`: a client writes, in demonstrations beside the simulated providers, so that rules have
//! something to act on. With `DEMO_CONTROLS` only, which production refuses.
//!
//! The letter is put into the simulated mailbox and comes from there like any other. May not know: what follows.

use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::book;
use crate::http::{CurrentUser, Json, Problem, ProblemBody};
use crate::identity::connections::{self, Provider};
use crate::state::App;

/// Subject and text; the text ends with the sender's name.
const LETTERS: [(&str, &str); 6] = [
    (
        "A question about my pension",
        "Could you tell me whether I can pay more into my pension this year? I have had a bonus.",
    ),
    (
        "Can we meet?",
        "I would like to talk about the house. Do you have half an hour for me next week?",
    ),
    (
        "The quarterly letter",
        "Thank you for the quarterly letter. The part about fees isn't clear to me: could you explain it?",
    ),
    (
        "News from us",
        "Our daughter has been accepted at college! We should look at the savings plan soon.",
    ),
    (
        "I am worried",
        "With the markets as they are I hardly sleep. Should we sell something? Please call me.",
    ),
    (
        "New address",
        "We have moved. I will send you the new address when the boxes are unpacked.",
    ),
];
const STRANGERS: [(&str, &str); 3] = [
    ("Robin Fairweather", "robin.fairweather@newcomer.example"),
    ("Jo Lindqvist", "jo.lindqvist@elsewhere.example"),
    ("Kim Okafor", "kim.okafor@firsttime.example"),
];
/// Every so many letters one is from somebody new.
const EVERY: usize = 3;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(write))
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Written {
    from: String,
    subject: String,
}

/// Lets a client write to the user's simulated mailbox. Where `DEMO_CONTROLS` is set, beside the simulated
/// providers only.
#[utoipa::path(post, path = "/api/demo/letter", tag = "demo", responses(
    (status = 200, body = Written), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 502, body = ProblemBody)))]
async fn write(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
) -> Result<Json<Written>, Problem> {
    if !app.config.demo.controls {
        return Err(Problem::not_found());
    }
    let connection = connections::find(&app, &scope, Provider::Google)
        .await?
        .ok_or_else(|| Problem::conflict("connect Google first"))?;
    let google = app.google.as_ref().ok_or_else(Problem::not_found)?;
    let mut tx = scope.begin(&app.pool).await?;
    let people = book::everybody(&mut tx).await?;
    tx.commit().await?;
    let turn = usize::try_from(app.clock.system().timestamp_millis() / 100).unwrap_or_default();
    let (name, address) = pick(&people, turn);
    let (subject, text) = LETTERS[turn % LETTERS.len()];
    let path = format!("/sim/google/{}/mails", connection.account);
    let url = google
        .settings
        .gmail_api
        .join(&path)
        .map_err(Problem::internal)?;
    let mail = json!({"mail": {
        "from": format!("{} <{address}>", name.replace(['<', '>', '"', ',', '\r', '\n'], " ")),
        "to": [connection.account], "subject": subject, "text": format!("Hello,\n\n{text}\n\n{name}"),
    }});
    let reply = app.http.post(url).json(&mail).send().await;
    let status = reply
        .map_err(|error| {
            Problem::new(
                axum::http::StatusCode::BAD_GATEWAY,
                "the simulated world doesn't answer",
            )
            .caused_by(error.without_url())
        })?
        .status();
    if !status.is_success() {
        return Err(Problem::conflict(
            "there is no simulated mailbox to write to",
        ));
    }
    Ok(Json(Written {
        from: name,
        subject: subject.to_owned(),
    }))
}

/// A client, or at times somebody new.
fn pick(people: &[book::Acquaintance], turn: usize) -> (String, String) {
    let stranger = || {
        let (name, address) = STRANGERS[turn / EVERY % STRANGERS.len()];
        (name.to_owned(), address.to_owned())
    };
    if turn.is_multiple_of(EVERY) || people.is_empty() {
        return stranger();
    }
    let one = &people[turn % people.len()];
    one.keys
        .first()
        .map_or_else(stranger, |address| (one.name.clone(), address.clone()))
}
