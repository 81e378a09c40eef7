//! One question on its way to a stored answer.
//!
//! The answer is made in a task of its own, not in the request: when the reader leaves, the channel
//! closes, the model call ends, and what was said so far is stored.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::Instrument as _;
use uuid::Uuid;

use super::body::Asked;
use super::store::{self, Message};
use crate::agent::{self, Citation, Mode, Part};
use crate::db::UserScope;
use crate::effects::Approval;
use crate::http::Problem;
use crate::ids;
use crate::llm::{self, Budget};
use crate::state::App;

const HISTORY: i64 = 20;
const TITLE_CHARS: usize = 60;

/// A question that is stored and being answered.
pub(super) struct Answering {
    pub conversation_id: Uuid,
    pub message_id: Uuid,
    pub mode: Mode,
    pub parts: mpsc::Receiver<Part>,
}

/// Stores the question and starts the answer.
pub(super) async fn begin(app: &App, scope: UserScope, asked: Asked) -> Result<Answering, Problem> {
    let now = app.clock.now();
    if Mode::of(app) == Mode::Model {
        // The first turn's; those that follow wait for theirs.
        app.limits.model_call(scope.user_id()).await?;
    }
    let mut tx = scope.begin(&app.pool).await?;
    if Mode::of(app) == Mode::Model {
        let budget = Budget::read(&mut tx, now).await?;
        let tokens = llm::estimate(&[llm::Message::User(asked.text.clone())], &[]);
        if !budget.affords(tokens) {
            return Err(Problem::over_budget(now, budget.resets_at));
        }
    }
    let (conversation_id, (history, shown)) = match asked.conversation_id {
        Some(id) => {
            if !store::touch(&mut tx, id, now).await? {
                return Err(Problem::not_found());
            }
            (id, store::turns(&mut tx, id, HISTORY).await?)
        }
        None => {
            let id = ids::next();
            store::create(&mut tx, id, &title_of(&asked.text), now).await?;
            (id, (Vec::new(), Vec::new()))
        }
    };
    let question = Message {
        id: ids::next(),
        role: "user".to_owned(),
        mode: None,
        text: asked.text.clone(),
        citations: json!([]),
        tool_calls: json!([]),
        warnings: json!([]),
        usage: None,
        complete: true,
        created_at: now,
    };
    store::append(&mut tx, conversation_id, &question).await?;
    tx.commit().await?;

    let (reader, parts) = mpsc::channel(64);
    let answering = Answering {
        conversation_id,
        message_id: ids::next(),
        mode: Mode::of(app),
        parts,
    };
    let job = Job {
        app: app.clone(),
        scope,
        conversation_id,
        message_id: answering.message_id,
        mode: answering.mode,
    };
    let asked = agent::Asked {
        conversation_id,
        history,
        question: asked.text,
        shown,
    };
    // Its lines carry the id of the request that asked.
    app.background
        .spawn(job.run(asked, reader).in_current_span());
    Ok(answering)
}

fn title_of(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= TITLE_CHARS {
        return line;
    }
    let cut: String = line.chars().take(TITLE_CHARS - 1).collect();
    format!("{}…", cut.trim_end())
}

struct Job {
    app: App,
    scope: UserScope,
    conversation_id: Uuid,
    message_id: Uuid,
    mode: Mode,
}

impl Job {
    async fn run(self, asked: agent::Asked, reader: mpsc::Sender<Part>) {
        let (sink, mut made) = mpsc::channel(64);
        let (app, scope) = (&self.app, self.scope);
        let mut kept = Kept::default();
        let making = async move {
            agent::answer(app, scope, asked, &sink).await;
        };
        let keeping = async {
            loop {
                let part = tokio::select! {
                    part = made.recv() => part,
                    () = reader.closed() => break,
                    () = app.halting.cancelled() => break,
                };
                let Some(part) = part else { return };
                kept.keep(&part);
                if reader.send(part).await.is_err() {
                    break;
                }
            }
            // Closing is what tells the maker; what it had made by then is kept too.
            kept.cut_off = true;
            made.close();
            while let Some(part) = made.recv().await {
                kept.keep(&part);
            }
        };
        tokio::join!(making, keeping);
        if let Err(error) = self.store(kept).await {
            tracing::error!(%error, "an answer could not be stored");
        }
        // The reader's stream ends only now: whoever asks for the conversation then finds the answer.
        drop(reader);
    }

    async fn store(&self, kept: Kept) -> Result<(), sqlx::Error> {
        let now = self.app.clock.now();
        let mut tx = self.scope.begin(&self.app.pool).await?;
        let answer = Message {
            id: self.message_id,
            role: "assistant".to_owned(),
            mode: Some(self.mode.name().to_owned()),
            complete: !kept.cut_off,
            text: kept.text,
            citations: json!(kept.citations),
            tool_calls: kept.tool_calls.into_iter().map(|(_, call)| call).collect(),
            warnings: kept.warnings.into(),
            usage: kept.usage,
            created_at: now,
        };
        store::append(&mut tx, self.conversation_id, &answer).await?;
        store::touch(&mut tx, self.conversation_id, now).await?;
        tx.commit().await
    }
}

/// An answer as it is stored.
#[derive(Default)]
pub(super) struct Kept {
    pub text: String,
    pub citations: Vec<Citation>,
    pub tool_calls: Vec<(String, Value)>,
    pub approvals: Vec<Approval>,
    pub warnings: Vec<Value>,
    pub usage: Option<Value>,
    cut_off: bool,
}

impl Kept {
    pub fn keep(&mut self, part: &Part) {
        match part {
            Part::Text(text) => self.text.push_str(text),
            Part::Citation(citation) => self.citations.push(citation.clone()),
            Part::ToolInput {
                call_id,
                name,
                input,
            } => self.tool_calls.push((
                call_id.clone(),
                json!({"name": name, "input": input, "output": null, "ok": false}),
            )),
            Part::ToolOutput { call_id, output } => self.end_call(call_id, output.clone(), true),
            Part::ToolError { call_id, message } => self.end_call(call_id, json!(message), false),
            Part::Approval { call_id, approval } => {
                let output = json!({"state": approval.state, "approval_id": approval.id});
                self.end_call(call_id, output, true);
                self.approvals.push((**approval).clone());
            }
            Part::Warning { code, text } => self.warnings.push(json!({"code": code, "text": text})),
            Part::Usage {
                input_tokens,
                output_tokens,
            } => {
                self.usage =
                    Some(json!({"input_tokens": input_tokens, "output_tokens": output_tokens}));
            }
            Part::Error(words) => {
                self.cut_off = true;
                self.warnings.push(json!({"code": "error", "text": words}));
            }
        }
    }

    fn end_call(&mut self, call_id: &str, output: Value, ok: bool) {
        // The last of that id: a model may use one twice.
        if let Some((_, call)) = self
            .tool_calls
            .iter_mut()
            .rev()
            .find(|(id, _)| id == call_id)
        {
            call["output"] = output;
            call["ok"] = json!(ok);
        }
    }
}
