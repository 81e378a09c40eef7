//! What has no conversation and no time of its own: notes, deals and documents, each read in full.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToolError, id, tool, wrong};
use crate::agent::sources::Seen;
use crate::agent::work::Work;
use crate::book::{self, Kind};
use crate::db::UserScope;
use crate::llm::visible;
use crate::providers::openai::Tool;
use crate::state::App;

/// Characters of a document that are shown at once.
const LONGEST_PART: usize = 6000;

#[derive(Deserialize, JsonSchema)]
pub(super) struct GetNote {
    /// The note's id, from an earlier result.
    #[serde(alias = "note_id")]
    id: String,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct GetDeal {
    /// The deal's id, from an earlier result.
    #[serde(alias = "deal_id")]
    id: String,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct GetDocument {
    /// The document's id, from an earlier result.
    #[serde(alias = "document_id")]
    id: String,
    /// Characters to leave out at the beginning, to read on in a long one: `next` of the part before; null for
    /// the beginning.
    #[serde(default, alias = "offset")]
    from: Option<usize>,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        tool::<GetNote>("get_note", "Reads one note on a client."),
        tool::<GetDeal>("get_deal", "Reads one deal's record."),
        tool::<GetDocument>("get_document", "Reads a document, a long one part by part."),
    ]
}

pub(super) async fn get_note(
    app: &App,
    scope: &UserScope,
    asked: GetNote,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    let note = book::find_note(&mut tx, id(&asked.id)?)
        .await?
        .ok_or_else(|| wrong("there is no note with this id"))?;
    let number = work.sources.number(Seen {
        kind: Kind::Note,
        source_id: note.id,
        title: note.text.chars().take(80).collect(),
        occurred_at: note.written_at,
        shown: note.text.clone(),
    });
    Ok(vec![json!({
        "ref": number,
        "kind": Kind::Note,
        "id": note.id,
        "at": note.written_at,
        "text": visible(&note.text),
    })])
}

pub(super) async fn get_deal(
    app: &App,
    scope: &UserScope,
    asked: GetDeal,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    let deal = book::find_deal(&mut tx, id(&asked.id)?)
        .await?
        .ok_or_else(|| wrong("there is no deal with this id"))?;
    let number = work.sources.number(Seen {
        kind: Kind::Deal,
        source_id: deal.id,
        title: deal.name.clone(),
        occurred_at: None,
        shown: deal.text.clone(),
    });
    Ok(vec![json!({
        "ref": number,
        "kind": Kind::Deal,
        "id": deal.id,
        "name": visible(&deal.name),
        "closes_on": deal.closes_on,
        "record": visible(&deal.text),
    })])
}

pub(super) async fn get_document(
    app: &App,
    scope: &UserScope,
    asked: GetDocument,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    let document = book::find_document(&mut tx, id(&asked.id)?)
        .await?
        .ok_or_else(|| wrong("there is no document with this id"))?;
    let from = asked.from.unwrap_or_default();
    let rest: String = document
        .text
        .chars()
        .skip(from)
        .take(LONGEST_PART)
        .collect();
    let next = from + rest.chars().count();
    let is_cut = document.text.chars().nth(next).is_some();
    let number = work.sources.number(Seen {
        kind: Kind::Document,
        source_id: document.id,
        title: document.title.clone(),
        occurred_at: Some(document.imported_at),
        shown: rest.clone(),
    });
    Ok(vec![json!({
        "ref": number,
        "kind": Kind::Document,
        "id": document.id,
        "title": visible(&document.title),
        "file_name": visible(&document.file_name),
        "text": visible(&rest),
        "next": is_cut.then_some(next),
    })])
}
