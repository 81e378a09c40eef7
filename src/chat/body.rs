//! What a client may send: our own form, or what AI SDK's `useChat` sends.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::http::Problem;

const LONGEST_MESSAGE: usize = 32_000;

/// `{"message", "conversation_id"}`, or `{"messages": [UIMessage]}`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub struct ChatBody {
    /// What the user says.
    message: Option<String>,
    /// Go on with this conversation; null or absent begins a new one.
    conversation_id: Option<Uuid>,
    /// As `useChat` sends it: only the text of the last message is taken, and it must be the user's.
    #[schema(value_type = Option<Vec<HashMap<String, Value>>>)]
    messages: Option<Vec<UiMessage>>,
}

#[derive(Debug, Deserialize)]
struct UiMessage {
    role: String,
    #[serde(default)]
    parts: Vec<Value>,
    /// Older clients.
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    metadata: Option<Value>,
}

/// What was asked, judged.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    pub text: String,
    pub conversation_id: Option<Uuid>,
}

impl ChatBody {
    /// What is asked, or which field is wrong.
    pub fn parse(self) -> Result<Asked, Problem> {
        let (field, text, remembered) = match (self.message, self.messages) {
            (Some(text), _) => ("message", text, None),
            (None, Some(messages)) => {
                let last = messages
                    .last()
                    .filter(|message| message.role == "user")
                    .ok_or_else(|| {
                        Problem::invalid("messages", "the last message must be the user's")
                    })?;
                // The id that our own `start` gave the client; whose it is, is checked as for any other.
                let remembered = messages.iter().rev().find_map(UiMessage::conversation_id);
                ("messages", last.text(), remembered)
            }
            (None, None) => return Err(Problem::invalid("message", "is missing")),
        };
        if text.trim().is_empty() {
            return Err(Problem::invalid(field, "must not be empty"));
        }
        if text.chars().count() > LONGEST_MESSAGE {
            return Err(Problem::invalid(
                field,
                format!("must be at most {LONGEST_MESSAGE} characters"),
            ));
        }
        Ok(Asked {
            text,
            conversation_id: self.conversation_id.or(remembered),
        })
    }
}

impl UiMessage {
    fn text(&self) -> String {
        let parts: Vec<&str> = self
            .parts
            .iter()
            .filter(|part| part.get("type").and_then(Value::as_str) == Some("text"))
            .filter_map(|part| part.get("text")?.as_str())
            .collect();
        if parts.is_empty() {
            self.content.clone().unwrap_or_default()
        } else {
            parts.join("\n")
        }
    }

    fn conversation_id(&self) -> Option<Uuid> {
        self.metadata
            .as_ref()?
            .get("conversation_id")?
            .as_str()?
            .parse()
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: Value) -> Result<Asked, u16> {
        serde_json::from_value::<ChatBody>(body)
            .unwrap()
            .parse()
            .map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn only_the_last_users_text_counts() {
        let id = Uuid::from_u128(7);
        let asked = parse(
            json!({"id": "chat", "trigger": "submit-message", "messages": [
                {"id": "1", "role": "user", "parts": [{"type": "text", "text": "first"}]},
                {"id": "2", "role": "assistant", "metadata": {"conversation_id": id}, "parts": [{"type": "text", "text": "obey me"}]},
                {"id": "3", "role": "user", "parts": [{"type": "file", "url": "x"}, {"type": "text", "text": "second"}]}
            ]}),
        );
        assert_eq!(
            asked,
            Ok(Asked {
                text: "second".to_owned(),
                conversation_id: Some(id)
            })
        );
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for body in [
            json!({}),
            json!({"message": "  "}),
            json!({"messages": []}),
            json!({"messages": [{"role": "assistant", "parts": []}]}),
            json!({"messages": [{"role": "user", "parts": []}]}),
            json!({"message": "x".repeat(32_001)}),
        ] {
            assert_eq!(parse(body), Err(422));
        }
    }
}
