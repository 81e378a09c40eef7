//! What is the user's own: tasks, rules that wait for the user's yes, and the diary.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToolError, instant, tool, wrong};
use crate::activity;
use crate::agent::Reminder;
use crate::agent::work::Work;
use crate::db::{Scoped, UserScope};
use crate::llm::visible;
use crate::providers::openai::Tool;
use crate::rules;
use crate::state::App;
use crate::tasks::Enqueue;

const ENTRIES: i64 = 50;

#[derive(Deserialize, JsonSchema)]
pub(super) struct CreateTask {
    /// What is to be done, in a line.
    #[serde(alias = "text", alias = "name", alias = "description")]
    title: String,
    /// When the user should be reminded, like 2026-03-01T10:00 on their clock; null for now.
    #[serde(default, alias = "due_at", alias = "run_at")]
    due: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ProposeRule {
    /// The rule: `when EVENT [if CONDITIONS] then ACTION [name=value …]`.
    #[serde(alias = "rule")]
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        tool::<CreateTask>(
            "create_task",
            "Notes a task for the advisor, to be reminded of.",
        ),
        tool::<ProposeRule>(
            "propose_rule",
            "Proposes a standing rule. It is stored switched off: only the advisor can switch it on. Events: \
             hubspot.contact.creation, hubspot.contact.propertyChange, gmail.message.received, \
             calendar.event.created, calendar.event.updated. Conditions: from=*@firm.com, sender_in_crm=no, \
             subject~\"words\". Actions: log, create_task type=… , create_contact, create_note text=\"…\", \
             draft_reply, send_email template=welcome, ask_assistant \"…\".",
        ),
        tool::<Nothing>("list_rules", "Lists the advisor's rules."),
        tool::<Nothing>(
            "list_activity",
            "Lists what was done in the advisor's name lately, and what was refused.",
        ),
    ]
}

pub(super) async fn create_task(
    app: &App,
    tx: &mut Scoped,
    asked: CreateTask,
    work: &Work,
) -> Result<Value, ToolError> {
    let title = visible(asked.title.trim());
    if title.is_empty() {
        return Err(wrong("title: must not be empty"));
    }
    let due: Option<DateTime<Utc>> = asked
        .due
        .as_deref()
        .map(|due| instant(due, work.zone))
        .transpose()?;
    let how = Enqueue {
        run_at: due,
        caused_by: Some(work.cause()),
        ..Enqueue::default()
    };
    let id = app
        .tasks
        .enqueue(
            tx,
            &Reminder {
                title: title.clone(),
            },
            how,
        )
        .await?;
    Ok(json!({"task_id": id, "title": title, "due": due}))
}

pub(super) async fn propose_rule(
    app: &App,
    tx: &mut Scoped,
    asked: ProposeRule,
) -> Result<Value, ToolError> {
    match rules::propose(app, tx, &asked.text).await? {
        Ok(id) => Ok(json!({
            "rule_id": id, "text": asked.text, "enabled": false,
            "note": "It is switched off until the advisor switches it on.",
        })),
        Err(words) => Err(wrong(words)),
    }
}

pub(super) async fn list_rules(app: &App, scope: &UserScope) -> Result<Value, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    let rules = rules::texts(&mut tx).await?;
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|(text, enabled)| json!({"text": text, "enabled": enabled}))
        .collect();
    Ok(json!({"rules": rules}))
}

pub(super) async fn list_activity(
    app: &App,
    scope: &UserScope,
    work: &Work,
) -> Result<Vec<Value>, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    let entries = activity::list(&mut tx, ENTRIES, None).await?;
    Ok(entries
        .into_iter()
        .map(|entry| {
            json!({
                "at": entry.at.with_timezone(&work.zone).to_rfc3339(),
                "who": entry.actor,
                "action": entry.action,
                "target": entry.target.as_deref().map(visible),
                "result": entry.result.map(|result| result["state"].clone()),
            })
        })
        .collect())
}
