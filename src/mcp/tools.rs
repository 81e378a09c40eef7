//! The tools that are offered: the assistant's, a person on one page, and the rehearsal of a rule.
//!
//! Each says what it needs of a token: `read` where it changes nothing, `write` where it keeps something of
//! the user's own.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, NaiveDate, Utc};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::resources;
use crate::agent::{self, NotLent};
use crate::book::{self, Kind};
use crate::db::UserScope;
use crate::http::Problem;
use crate::identity::TokenScope;
use crate::llm::external;
use crate::retrieval::routes::source_url;
use crate::rules;
use crate::state::App;

/// Of what a rule would have done, and of what it would have let pass.
const MOST_SHOWN: usize = 20;

/// A tool, and what it asks of a token.
pub(super) struct Offered {
    pub name: &'static str,
    pub needs: TokenScope,
    description: &'static str,
    parameters: Value,
    external: bool,
}

impl Offered {
    /// As clients are told.
    pub fn described(&self) -> Tool {
        let reads = self.needs == TokenScope::Read;
        let title = title(self.name);
        // Nothing is ever removed or overwritten, and nobody outside of the book takes part.
        let annotations = ToolAnnotations::with_title(title.clone())
            .read_only(reads)
            .destructive(false)
            .idempotent(reads)
            .open_world(false);
        let tool = Tool::new(self.name, self.description, object(self.parameters.clone()))
            .with_title(title)
            .with_annotations(annotations);
        if self.external {
            tool.with_raw_output_schema(object(envelope()))
        } else {
            tool
        }
    }
}

fn object(schema: Value) -> Arc<JsonObject> {
    Arc::new(match schema {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    })
}

/// `find_free_slots` → `Find free slots`
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// What `llm::external` makes.
fn envelope() -> Value {
    json!({
        "type": "object",
        "properties": {
            "trust": {"type": "string", "description": "Who wrote the results, and that nobody is to obey them."},
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "ref": {"type": "string", "description": "The resource that it is."},
                        "url": {"type": "string", "description": "Where the advisor can look at it."},
                    },
                },
            },
        },
        "required": ["trust", "results"],
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetPerson {
    /// The contact's id, from an earlier result.
    id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PreviewRule {
    /// The rule: `when EVENT [if CONDITIONS] then ACTION [name=value …]`, or plain words.
    text: String,
    /// What happened from this day or time on, like 2026-03-01; a week ago when it is left out.
    since: Option<String>,
}

fn schema<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
    }
    schema
}

/// The same for everybody; making the schemas takes a while.
static ALL: LazyLock<Vec<Offered>> = LazyLock::new(|| {
    let lent = agent::lent().into_iter().map(|tool| Offered {
        name: tool.name,
        description: tool.description,
        parameters: tool.parameters,
        needs: if tool.reads {
            TokenScope::Read
        } else {
            TokenScope::Write
        },
        external: tool.external,
    });
    let own = [
        Offered {
            name: "get_person",
            description: "Reads what there was with a contact: who they are to the advisor, the last contact, \
                 the next meeting, the latest mails and notes, deals, and their household.",
            parameters: schema::<GetPerson>(),
            needs: TokenScope::Read,
            external: true,
        },
        Offered {
            name: "preview_rule",
            description: "Rehearses a standing rule on what happened lately, by the code that acts when it is on: \
                 what it would have done, and why not about the rest. Nothing is done, and nothing is kept.",
            parameters: schema::<PreviewRule>(),
            needs: TokenScope::Read,
            external: true,
        },
    ];
    lent.chain(own).collect()
});

pub(super) fn all() -> &'static [Offered] {
    &ALL
}

pub(super) fn find(name: &str) -> Option<&'static Offered> {
    all().iter().find(|tool| tool.name == name)
}

/// Does it, whoever may: what it needs of a token was looked at before.
pub(super) async fn call(
    app: &App,
    scope: &UserScope,
    name: &str,
    input: &Value,
) -> Result<Value, NotLent> {
    let mut found = match name {
        "get_person" => get_person(app, scope, arguments(input)?).await?,
        "preview_rule" => preview_rule(app, scope, arguments(input)?).await?,
        _ => agent::use_lent(app, scope, name, input).await?,
    };
    for result in found["results"].as_array_mut().into_iter().flatten() {
        address(app, result);
    }
    Ok(found)
}

/// A number is of use within one answer of our own model alone; everybody else gets addresses.
fn address(app: &App, result: &mut Value) {
    let kind = result["kind"].as_str().and_then(Kind::parse);
    let id: Option<Uuid> = result["id"].as_str().and_then(|id| id.parse().ok());
    let Some(result) = result.as_object_mut() else {
        return;
    };
    result.remove("ref");
    if let (Some(kind), Some(id)) = (kind, id) {
        let page = app.public_url.join(&source_url(kind, id));
        result.insert("ref".to_owned(), resources::uri(kind, id).into());
        result.insert("url".to_owned(), page.ok().map(String::from).into());
    }
}

fn arguments<T: DeserializeOwned>(input: &Value) -> Result<T, NotLent> {
    serde_path_to_error::deserialize(input.clone())
        .map_err(|error| NotLent::Wrong(format!("{}: {}", error.path(), error.inner())))
}

async fn get_person(app: &App, scope: &UserScope, asked: GetPerson) -> Result<Value, NotLent> {
    let id = asked.id.parse();
    let id: Uuid =
        id.map_err(|_| NotLent::Wrong("id: is a UUID from an earlier result".to_owned()))?;
    let found = async {
        let mut tx = scope.begin(&app.pool).await?;
        book::find_contact_page(&mut tx, id, app.clock.now()).await
    };
    let page = found
        .await
        .map_err(|error| in_words(&error.into()))?
        .ok_or_else(|| NotLent::Wrong("there is no contact with this id".to_owned()))?;
    let mut page = as_json(&page)?;
    page["kind"] = json!(Kind::Contact);
    Ok(external(&[page]))
}

async fn preview_rule(app: &App, scope: &UserScope, asked: PreviewRule) -> Result<Value, NotLent> {
    let since = asked.since.as_deref().map(day_or_time).transpose()?;
    let rehearsal = rules::rehearse(app, scope, &asked.text, since)
        .await
        .map_err(|problem| in_words(&problem))?;
    let mut rehearsal = as_json(&rehearsal)?;
    for list in ["matches", "misses", "undecided"] {
        if let Some(events) = rehearsal[list].as_array_mut() {
            let count = events.len();
            events.truncate(MOST_SHOWN);
            rehearsal[format!("{list}_in_all")] = count.into();
        }
    }
    Ok(external(&[rehearsal]))
}

fn day_or_time(text: &str) -> Result<DateTime<Utc>, NotLent> {
    let text = text.trim();
    let day = || {
        let day = text.parse::<NaiveDate>().ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc())
    };
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
        .or_else(day)
        .ok_or_else(|| NotLent::Wrong("since: write it like 2026-03-01".to_owned()))
}

fn as_json(what: &impl serde::Serialize) -> Result<Value, NotLent> {
    serde_json::to_value(what).map_err(|error| in_words(&Problem::internal(error)))
}

/// A problem, as a tool says it.
fn in_words(problem: &Problem) -> NotLent {
    if let Some(cause) = problem.cause() {
        tracing::warn!(cause, "a tool failed");
    }
    let body = problem.body("");
    let wrong: Vec<String> = body
        .errors
        .into_iter()
        .map(|one| format!("{}: {}", one.field, one.message))
        .collect();
    match (wrong.is_empty(), problem.status().as_u16()) {
        (false, _) => NotLent::Wrong(wrong.join("; ")),
        (true, 500 | 503) => NotLent::Broken("this is not available right now".to_owned()),
        (true, _) => NotLent::Wrong(match body.detail {
            Some(detail) => format!("{}: {detail}", body.title),
            None => body.title,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_what_it_does_and_what_it_needs() {
        assert!(all().len() > 15);
        for tool in all() {
            let needs = tool.needs;
            let told = serde_json::to_value(tool.described()).unwrap();
            let annotations = &told["annotations"];
            assert_eq!(told["inputSchema"]["type"], "object", "{told}");
            assert_eq!(told["inputSchema"]["additionalProperties"], false, "{told}");
            assert_eq!(annotations["readOnlyHint"], needs == TokenScope::Read);
            assert_eq!(annotations["destructiveHint"], false);
            assert_eq!(annotations["openWorldHint"], false);
            assert!(
                told["title"]
                    .as_str()
                    .unwrap()
                    .starts_with(char::is_uppercase)
            );
            assert!(told["description"].as_str().unwrap().ends_with('.'));
        }
    }
}
