//! The AI SDK UI message stream protocol: parts of an answer as its chunks.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::agent::{Citation, Mode, Part};
use crate::book::Kind;

/// Turns parts into chunks; remembers which text block is open.
pub(super) struct Wire {
    /// Number of the open text block; the protocol wants each begun and ended.
    open_text: Option<u32>,
    next_text: u32,
    failed: bool,
}

impl Wire {
    pub const fn new() -> Self {
        Self {
            open_text: None,
            next_text: 0,
            failed: false,
        }
    }

    pub fn start(message_id: Uuid, conversation_id: Uuid, mode: Mode) -> Vec<Value> {
        vec![
            json!({
                "type": "start",
                "messageId": message_id,
                "messageMetadata": {"conversation_id": conversation_id, "mode": mode},
            }),
            json!({"type": "start-step"}),
        ]
    }

    pub fn part(&mut self, part: &Part) -> Vec<Value> {
        let mut chunks = Vec::new();
        match part {
            Part::Text(delta) => {
                let id = self.open_text(&mut chunks);
                chunks.push(json!({"type": "text-delta", "id": id.to_string(), "delta": delta}));
            }
            Part::Citation(citation) => {
                chunks.push(source_document(citation));
                chunks.push(json!({"type": "data-citation", "id": format!("citation-{}", citation.index), "data": citation}));
            }
            Part::ToolInput {
                call_id,
                name,
                input,
            } => {
                self.close_text(&mut chunks);
                chunks.push(json!({
                    "type": "tool-input-available",
                    "toolCallId": call_id,
                    "toolName": name,
                    "input": input,
                }));
            }
            Part::ToolOutput { call_id, output } => {
                chunks.push(json!({"type": "tool-output-available", "toolCallId": call_id, "output": output}));
            }
            Part::ToolError { call_id, message } => {
                chunks.push(json!({"type": "tool-output-error", "toolCallId": call_id, "errorText": message}));
            }
            Part::Approval { call_id, approval } => {
                chunks.push(json!({
                    "type": "tool-approval-request", "toolCallId": call_id, "approvalId": approval.id,
                }));
                chunks.push(json!({"type": "data-approval", "id": approval.id, "data": approval}));
            }
            Part::Warning { code, text } => {
                chunks.push(json!({"type": "data-warning", "data": {"code": code, "text": text}}));
            }
            Part::Usage {
                input_tokens,
                output_tokens,
            } => {
                chunks.push(json!({
                    "type": "data-usage",
                    "data": {"input_tokens": input_tokens, "output_tokens": output_tokens},
                }));
            }
            Part::Error(words) => {
                self.failed = true;
                self.close_text(&mut chunks);
                chunks.push(json!({"type": "error", "errorText": words}));
            }
        }
        chunks
    }

    pub fn finish(mut self) -> Vec<Value> {
        let mut chunks = Vec::new();
        self.close_text(&mut chunks);
        chunks.push(json!({"type": "finish-step"}));
        let reason = if self.failed { "error" } else { "stop" };
        chunks.push(json!({"type": "finish", "finishReason": reason}));
        chunks
    }

    fn open_text(&mut self, chunks: &mut Vec<Value>) -> u32 {
        *self.open_text.get_or_insert_with(|| {
            self.next_text += 1;
            chunks.push(json!({"type": "text-start", "id": self.next_text.to_string()}));
            self.next_text
        })
    }

    fn close_text(&mut self, chunks: &mut Vec<Value>) {
        if let Some(id) = self.open_text.take() {
            chunks.push(json!({"type": "text-end", "id": id.to_string()}));
        }
    }
}

fn source_document(citation: &Citation) -> Value {
    let media_type = match citation.kind {
        Kind::Email => "message/rfc822",
        Kind::Contact => "text/vcard",
        Kind::Event => "text/calendar",
        Kind::Note | Kind::Deal | Kind::Document => "text/plain",
    };
    json!({
        "type": "source-document",
        "sourceId": citation.source_id,
        "mediaType": media_type,
        "title": citation.title,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(chunks: &[Value]) -> Vec<&str> {
        chunks
            .iter()
            .filter_map(|chunk| chunk["type"].as_str())
            .collect()
    }

    #[test]
    fn every_text_block_is_begun_and_ended() {
        let mut wire = Wire::new();
        let mut chunks = Vec::new();
        for part in [
            Part::Text("Let me look.".into()),
            Part::ToolInput {
                call_id: "a".into(),
                name: "search".into(),
                input: json!({}),
            },
            Part::ToolOutput {
                call_id: "a".into(),
                output: json!({}),
            },
            Part::Text("Tom ".into()),
            Part::Text("plays.".into()),
            Part::Error("cut".into()),
        ] {
            chunks.extend(wire.part(&part));
        }
        chunks.extend(wire.finish());
        assert_eq!(
            types(&chunks),
            [
                "text-start",
                "text-delta",
                "text-end",
                "tool-input-available",
                "tool-output-available",
                "text-start",
                "text-delta",
                "text-delta",
                "text-end",
                "error",
                "finish-step",
                "finish"
            ]
        );
        assert_eq!(chunks[5]["id"], "2");
    }
}
