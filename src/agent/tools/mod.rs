//! What the model may ask for, by what it can lead to: it reads, it keeps something of the user's own,
//! it goes out (which is proposed, never done here), it waits, or it asks.
//!
//! Each tool has a strict schema made from its arguments' type; what a model writes is read leniently
//! (other servers' models have other habits) and checked strictly. Results are JSON in one fixed
//! envelope. A new tool: its arguments and function in `read`, `records`, `calendar`, `own` or `act`, a row in
//! that file's `tools`, and its nature in [`nature`].

pub(super) mod act;
pub(super) mod calendar;
mod own;
pub(super) mod read;
mod records;

use std::str::FromStr as _;

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::work::Work;
use crate::db::{Scoped, UserScope};
use crate::llm::external;
use crate::providers::openai::Tool;
use crate::retrieval::SearchError;
use crate::state::App;

/// What a call can lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Within the user's rows and the work's reach.
    Reads,
    /// A row of the user's own: seen and undone here.
    Keeps,
    /// To others, or into their records: through the policy.
    GoesOut,
    Waits,
    /// The user is asked, and the work ends until they answer.
    Asks,
}

/// None when there is no such tool.
pub(super) fn nature(name: &str) -> Option<Nature> {
    Some(match name {
        "search" | "get_email" | "get_thread" | "find_contacts" | "get_contact" | "list_events"
        | "get_event" | "get_note" | "get_deal" | "get_document" | "find_free_slots"
        | "list_rules" | "draft_email" | "list_activity" => Nature::Reads,
        "create_task" | "propose_rule" => Nature::Keeps,
        "send_email" | "reply_in_thread" | "create_event" | "update_event" | "cancel_event"
        | "create_contact" | "update_contact" | "create_note" => Nature::GoesOut,
        "wait_for_reply" => Nature::Waits,
        "ask_user" => Nature::Asks,
        _ => return None,
    })
}

/// What a model is offered for work of this reach.
pub(super) fn offered(work: &Work) -> Vec<Tool> {
    let all = all().into_iter();
    all.filter(|tool| work.may_use(tool.name)).collect()
}

pub(super) fn all() -> Vec<Tool> {
    [
        read::tools(),
        records::tools(),
        calendar::tools(),
        own::tools(),
        act::tools(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct AskUser {
    /// The question, with what there is to choose from.
    #[serde(alias = "text", alias = "message")]
    pub question: String,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WaitForReply {
    /// Working days after which to come back when nobody has answered; null for three.
    #[serde(default, alias = "nudge_after_days", alias = "business_days")]
    pub days: Option<u32>,
}

fn tool<T: JsonSchema>(name: &'static str, description: &'static str) -> Tool {
    let mut schema = schemars::schema_for!(T).to_value();
    make_strict(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
    }
    Tool {
        name,
        description,
        parameters: schema,
    }
}

/// Strict schemas want every property required (an optional one says so by its type) and no defaults.
fn make_strict(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        if object.get("type").is_some_and(|kind| kind == "object") {
            object.entry("properties").or_insert_with(|| json!({}));
        }
        if let Some(names) = object
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect::<Vec<_>>())
        {
            object.insert("required".to_owned(), names.into());
            object.insert("additionalProperties".to_owned(), false.into());
        }
        for unknown in ["default", "format", "minimum"] {
            if !object.get(unknown).is_some_and(Value::is_object) {
                object.remove(unknown);
            }
        }
        object.values_mut().for_each(make_strict);
    } else if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(make_strict);
    }
}

/// Why a call gave no result; the words go back to the model, so that it can mend its call.
#[derive(Debug)]
pub(super) enum ToolError {
    Wrong(String),
    /// Ours, not the model's: said without detail, logged with it.
    Broken(anyhow::Error),
}

impl ToolError {
    /// As the model is told.
    pub fn in_words(self, tool: &str) -> String {
        match self {
            Self::Wrong(words) => words,
            Self::Broken(cause) => {
                tracing::warn!(error = %format!("{cause:#}"), tool, "a tool failed");
                "this is not available right now".to_owned()
            }
        }
    }
}

fn wrong(words: impl Into<String>) -> ToolError {
    ToolError::Wrong(words.into())
}

impl From<sqlx::Error> for ToolError {
    fn from(error: sqlx::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl From<anyhow::Error> for ToolError {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<SearchError> for ToolError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::NoSuchContact => wrong("there is no contact with this id"),
            SearchError::Database(error) => error.into(),
        }
    }
}

/// The arguments as JSON, whatever it is that the model wrote.
pub(super) fn written(arguments: &str) -> Result<Value, ToolError> {
    if arguments.trim().is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_str(arguments).map_err(|_| wrong("the arguments are not valid JSON"))
}

pub(super) fn arguments<T: DeserializeOwned>(input: &Value) -> Result<T, ToolError> {
    serde_path_to_error::deserialize(input.clone())
        .map_err(|error| wrong(format!("{}: {}", error.path(), error.inner())))
}

fn id(text: &str) -> Result<Uuid, ToolError> {
    text.parse()
        .map_err(|_| wrong("an id is a UUID from an earlier result"))
}

/// Runs a reading call within the user's scope and the work's reach, and numbers what it shows.
pub(super) async fn read(
    app: &App,
    scope: &UserScope,
    name: &str,
    input: &Value,
    work: &mut Work,
) -> Result<Value, ToolError> {
    if !work.may_use(name) {
        return Err(wrong("this tool can't be used here"));
    }
    if let Some(found) = read::call(app, scope, name, input, work).await {
        return found.map(|found| external(&found));
    }
    match name {
        "list_events" => calendar::list_events(app, scope, arguments(input)?, work)
            .await
            .map(|found| external(&found)),
        "get_event" => calendar::get_event(app, scope, arguments(input)?, work)
            .await
            .map(|found| external(&found)),
        "get_note" => records::get_note(app, scope, arguments(input)?, work)
            .await
            .map(|found| external(&found)),
        "get_deal" => records::get_deal(app, scope, arguments(input)?, work)
            .await
            .map(|found| external(&found)),
        "get_document" => records::get_document(app, scope, arguments(input)?, work)
            .await
            .map(|found| external(&found)),
        "find_free_slots" => calendar::find_free_slots(app, scope, arguments(input)?, work).await,
        "draft_email" => act::draft(input),
        "list_rules" => own::list_rules(app, scope).await,
        "list_activity" => own::list_activity(app, scope, work)
            .await
            .map(|found| external(&found)),
        _ => Err(wrong("there is no such tool")),
    }
}

/// Keeps something of the user's own, within the transaction that records the call's result.
pub(super) async fn keep(
    app: &App,
    tx: &mut Scoped,
    name: &str,
    input: &Value,
    work: &Work,
) -> Result<Value, ToolError> {
    if !work.may_use(name) {
        return Err(wrong("this tool can't be used here"));
    }
    match name {
        "create_task" => own::create_task(app, tx, arguments(input)?, work).await,
        "propose_rule" => own::propose_rule(app, tx, arguments(input)?).await,
        _ => Err(wrong("there is no such tool")),
    }
}

/// An instant as a model writes it: with an offset, or on the user's clock.
fn instant(text: &str, zone: Tz) -> Result<DateTime<Utc>, ToolError> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let local = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d %H:%M",
    ]
    .into_iter()
    .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    .or_else(|| NaiveDate::from_str(text).ok()?.and_hms_opt(0, 0, 0))
    .ok_or_else(|| {
        wrong(format!(
            "{text:?} is no time; write it like 2026-03-01T10:00 ({zone}) or with an offset"
        ))
    })?;
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Ok(at.to_utc()),
        LocalResult::Ambiguous(..) => Err(wrong(format!(
            "{text} happens twice that day in {zone}, where the clocks go back: write it with its offset"
        ))),
        LocalResult::None => Err(wrong(format!(
            "{text} doesn't exist that day in {zone}, where the clocks go forward"
        ))),
    }
}

/// One, several, or none; a list in one text is taken apart.
fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(String),
        Many(Vec<One>),
        Nobody,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum One {
        Text(String),
        Person {
            #[serde(alias = "address")]
            email: String,
        },
    }
    Ok(match Given::deserialize(from)? {
        Given::One(text) => text
            .split([',', ';'])
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
            .collect(),
        Given::Many(list) => list
            .into_iter()
            .map(|one| match one {
                One::Text(text) => text,
                One::Person { email } => email,
            })
            .collect(),
        Given::Nobody => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_strict_and_every_tool_has_its_nature() {
        let work = Work::default();
        let all = offered(&work);
        assert!(all.len() > 20);
        for tool in all {
            let schema = &tool.parameters;
            assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
            let properties = schema["properties"].as_object().unwrap();
            assert_eq!(
                schema["required"].as_array().unwrap().len(),
                properties.len()
            );
            assert!(nature(tool.name).is_some(), "{}", tool.name);
        }
    }

    #[test]
    fn a_time_is_on_the_users_clock_unless_it_says_otherwise() {
        let zone = Tz::Europe__Berlin;
        let at = |text: &str| instant(text, zone).map(|at| at.to_rfc3339()).ok();
        assert_eq!(
            at("2026-11-26T10:00").as_deref(),
            Some("2026-11-26T09:00:00+00:00")
        );
        assert_eq!(
            at("2026-07-26 10:00").as_deref(),
            Some("2026-07-26T08:00:00+00:00")
        );
        assert_eq!(
            at("2026-11-26T10:00:00-05:00").as_deref(),
            Some("2026-11-26T15:00:00+00:00")
        );
        // The hour that is skipped, and the one that comes twice.
        assert_eq!(at("2026-03-29T02:30"), None);
        assert_eq!(at("2026-10-25T02:30"), None);
        assert_eq!(at("next Tuesday"), None);
    }

    #[test]
    fn lists_are_read_in_whatever_form_they_come() {
        #[derive(Deserialize)]
        struct Mail {
            #[serde(default, deserialize_with = "some")]
            to: Vec<String>,
        }
        for (given, is) in [
            (json!({"to": "a@x, b@x"}), vec!["a@x", "b@x"]),
            (json!({"to": ["a@x"]}), vec!["a@x"]),
            (json!({"to": [{"email": "a@x"}]}), vec!["a@x"]),
            (json!({"to": null}), vec![]),
            (json!({}), vec![]),
        ] {
            let mail: Mail = serde_json::from_value(given).unwrap();
            assert_eq!(mail.to, is);
        }
    }
}
