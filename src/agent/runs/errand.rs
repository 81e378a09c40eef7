//! What rules ask of the assistant. Somebody else's doing set it going, so it reads the one conversation or
//! event that it is about and its people's records, and writes to nobody else. A brief reads all that its
//! people are part of, and writes to nobody.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Turn, go_on, store};
use crate::activity::Why;
use crate::agent::work::{Reach, Work};
use crate::book::{self, Kind, address_key};
use crate::db::Scoped;
use crate::identity::settings;
use crate::llm;
use crate::providers::openai::{Message, ToolCall};
use crate::rules::{AskAssistant, DraftReply, Errand, MeetingBrief, ProcessEmail};
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _};

impl Handler<App> for DraftReply {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let what = "draft_reply: write the answer to this mail with reply_in_thread. The advisor reads it before \
            it is sent.";
        run(&context, self.0, what, How::Drafts).await
    }
}

impl Handler<App> for AskAssistant {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        run(
            &context,
            self.0,
            "ask_assistant: do what its text says.",
            How::Acts,
        )
        .await
    }
}

impl Handler<App> for ProcessEmail {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let what = "process_email: do what the advisor's standing instructions say about such a mail. Where they \
            say nothing, do nothing and tell the advisor in a few words what this mail asks of them.";
        run(&context, self.0, what, How::Acts).await
    }
}

impl Handler<App> for MeetingBrief {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let what = "meeting_brief: write the advisor a brief for this meeting. Look up everybody who comes, and \
            search what each of them is part of. Then say, in at most twelve lines: who comes, what was last spoken \
            of, what is open or was promised, what happened in their life, and what to bring up. Each claim with \
            its citation; nothing that you haven't read.";
        run(&context, self.0, what, How::Brief).await
    }
}

/// What an errand is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Acts,
    /// What it writes is read by the user before it is sent.
    Drafts,
    /// It tells the user, and does nothing.
    Brief,
}

/// Begins the run, unless an earlier attempt has, and sees it through.
async fn run(
    context: &Context<App>,
    errand: Errand,
    what: &str,
    how: How,
) -> Result<Value, Failure> {
    let app = &context.app;
    let mut result = errand.drafted();
    if llm::chat_model(app).is_none() {
        result["note"] = json!("no language model is configured");
        return Ok(result);
    }
    if context.recorded::<bool>("begun").await?.is_none() {
        let work = Work::of_user(app, &context.scope).await.or_retry()?;
        let mut tx = context.begin().await?;
        let (work, turns) = begin(&mut tx, &errand, work, what, how).await.or_retry()?;
        // A run has the id of its task here.
        store::begin(&mut tx, context.task_id, &work, app.clock.now())
            .await
            .or_retry()?;
        store::append(&mut tx, context.task_id, 0, &turns)
            .await
            .or_retry()?;
        context.record(&mut tx, "begun", &true).await?;
        tx.commit().await.or_retry()?;
    }
    let done = go_on(context, context.task_id).await?;
    for name in ["text", "citations", "reason", "did"] {
        result[name] = done[name].clone();
    }
    Ok(result)
}

/// What it is about is told as a tool's result, like everything that others wrote.
async fn begin(
    tx: &mut Scoped,
    errand: &Errand,
    mut work: Work,
    what: &str,
    how: How,
) -> Result<(Work, Vec<Turn>), sqlx::Error> {
    let item = errand
        .item
        .as_ref()
        .and_then(|item| Some((Kind::parse(&item.kind)?, item.id)));
    let thread = match item {
        Some((Kind::Email, id)) => book::find_email(tx, id).await?.map(|mail| mail.thread_id),
        _ => None,
    };
    work.reason = format!("Your rule: {}", errand.bounds.said);
    work.why = Why {
        rule_id: Some(errand.rule_id),
        event_id: Some(errand.event_id),
        ..Why::default()
    };
    work.said.clone_from(&errand.bounds.said);
    work.named = Some(errand.bounds.named.clone());
    work.earlier.clone_from(&errand.bounds.seen);
    work.rule_is_auto = errand.bounds.rule_is_auto;
    work.is_draft = how == How::Drafts;
    work.is_brief = how == How::Brief;
    // The user takes part in everything: that they do brings nothing into reach.
    let own: BTreeSet<String> = settings::own_addresses(tx)
        .await?
        .iter()
        .map(|address| address_key(address))
        .collect();
    let people = errand.bounds.named.difference(&own).cloned().collect();
    work.reach = Some(Reach { thread, people });
    let mut turns = vec![Turn::of(Message::User(format!(
        "{} has happened, and this rule of mine applies to it:\n\n{}\n\nWords in braces stand for what the \
         event has under that name. Do this of it now: {what}",
        errand.event, errand.bounds.said
    )))];
    let look = item.and_then(|(kind, id)| match kind {
        Kind::Email => Some(("get_email", id)),
        Kind::Contact => Some(("get_contact", id)),
        Kind::Event => Some(("get_event", id)),
        Kind::Note | Kind::Deal | Kind::Document => None,
    });
    if let Some((name, id)) = look {
        turns.push(Turn::of(Message::Assistant {
            text: String::new(),
            tool_calls: vec![ToolCall {
                id: "trigger".to_owned(),
                name: name.to_owned(),
                arguments: json!({"id": id}).to_string(),
            }],
        }));
    }
    Ok((work, turns))
}
