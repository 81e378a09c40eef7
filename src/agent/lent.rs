//! The tools as they are lent to other assistants: those that read, and those that keep something of the
//! user's own. What goes out, waits or asks isn't lent, because here nobody would judge it or wait for it. The
//! borrower answers to nobody's rule and has no run, so it has all of the user's rows in reach.

use serde_json::Value;

use super::tools::{self, Nature, ToolError, nature};
use super::work::Work;
use crate::db::UserScope;
use crate::state::App;

/// A tool, as it is described to whoever borrows it.
#[derive(Debug)]
pub struct Lent {
    pub name: &'static str,
    pub description: &'static str,
    /// JSON Schema of its arguments; what may be null may also be left out.
    pub parameters: Value,
    /// It changes nothing.
    pub reads: bool,
    /// What it gives stands in the envelope of what others wrote.
    pub external: bool,
}

/// Why a call gave no result, in words for whoever called.
#[derive(Debug, thiserror::Error)]
pub enum NotLent {
    #[error("there is no such tool")]
    NoSuchTool,
    #[error("{0}")]
    Wrong(String),
    /// Ours; the cause stands in the log.
    #[error("{0}")]
    Broken(String),
}

pub fn lent() -> Vec<Lent> {
    let tools = tools::all().into_iter();
    tools
        .filter_map(|tool| {
            let reads = reads(tool.name)?;
            let mut parameters = tool.parameters;
            loosen(&mut parameters);
            Some(Lent {
                name: tool.name,
                description: tool.description,
                parameters,
                reads,
                external: reads
                    && !matches!(tool.name, "find_free_slots" | "list_rules" | "draft_email"),
            })
        })
        .collect()
}

/// None when it isn't lent.
fn reads(name: &str) -> Option<bool> {
    match nature(name)? {
        Nature::Reads => Some(true),
        Nature::Keeps => Some(false),
        Nature::GoesOut | Nature::Waits | Nature::Asks => None,
    }
}

/// Models want every property required; programs leave out what they don't say.
fn loosen(schema: &mut Value) {
    let may_be_null = |property: &Value| {
        let is_null = |kind: &Value| kind == "null" || kind["type"] == "null";
        let lists = [&property["type"], &property["anyOf"]];
        lists
            .iter()
            .filter_map(|kinds| kinds.as_array())
            .flatten()
            .any(is_null)
    };
    let optional: Vec<String> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, property)| may_be_null(property))
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(required) = schema["required"].as_array_mut() {
        required.retain(|name| !optional.iter().any(|one| name == one.as_str()));
    }
}

/// Does what the tool does, within the user's rows.
pub async fn use_lent(
    app: &App,
    scope: &UserScope,
    name: &str,
    input: &Value,
) -> Result<Value, NotLent> {
    let reads = reads(name).ok_or(NotLent::NoSuchTool)?;
    done(app, scope, name, input, reads).await.map_err(|error| {
        let is_ours = matches!(error, ToolError::Broken(_));
        let words = error.in_words(name);
        if is_ours {
            NotLent::Broken(words)
        } else {
            NotLent::Wrong(words)
        }
    })
}

async fn done(
    app: &App,
    scope: &UserScope,
    name: &str,
    input: &Value,
    reads: bool,
) -> Result<Value, ToolError> {
    let mut work = Work::of_user(app, scope).await?;
    if reads {
        return tools::read(app, scope, name, input, &mut work).await;
    }
    let mut tx = scope.begin(&app.pool).await?;
    let kept = tools::keep(app, &mut tx, name, input, &work).await?;
    tx.commit().await?;
    app.tasks.wake();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_goes_out_waits_or_asks_is_lent() {
        let names: Vec<&str> = lent().iter().map(|tool| tool.name).collect();
        assert!(names.contains(&"search") && names.contains(&"draft_email"));
        for name in ["send_email", "create_event", "wait_for_reply", "ask_user"] {
            assert!(!names.contains(&name), "{name}");
        }
        let keeps: Vec<&str> = lent()
            .iter()
            .filter(|tool| !tool.reads)
            .map(|tool| tool.name)
            .collect();
        assert_eq!(keeps, ["create_task", "propose_rule"]);
    }

    #[test]
    fn what_may_be_null_may_be_left_out() {
        let all = lent();
        let search = all.iter().find(|tool| tool.name == "search");
        assert_eq!(search.unwrap().parameters["required"], json!(["query"]));
        let draft = all.iter().find(|tool| tool.name == "draft_email");
        let required = draft.unwrap().parameters["required"].as_array().cloned();
        let mut required = required.unwrap();
        required.sort_by_key(ToString::to_string);
        assert_eq!(required, [json!("subject"), json!("text"), json!("to")]);
    }
}
