//! What the model shall say.

use serde::Deserialize;
use serde_json::Value;

/// One reply.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// Only for a request whose last message holds this.
    pub when: Option<String>,
    pub text: Option<String>,
    pub tool_calls: Vec<ToolCall>,
    /// Counted when absent.
    pub usage: Option<Usage>,
    /// By content when absent.
    pub finish_reason: Option<String>,
    pub oddities: Vec<Oddity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct ToolCall {
    pub name: String,
    /// An object, or a text that goes out as it is, valid or not.
    #[serde(default)]
    pub arguments: Value,
    /// Made when absent; `""` goes out as such.
    #[serde(default)]
    pub id: Option<String>,
}

impl ToolCall {
    pub(super) fn text(&self) -> String {
        match &self.arguments {
            Value::String(text) => text.clone(),
            Value::Null => "{}".to_owned(),
            other => other.to_string(),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// What is unusual about a reply. Those on streams do nothing without one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oddity {
    /// Arguments come in small pieces.
    SplitArguments,
    /// Every call of a stream says that its index is 0.
    IndexZero,
    /// Pieces of calls have no index at all.
    NoIndex,
    /// Each call comes in one chunk, as from some local servers.
    WholeCalls,
    /// Neither a chunk with usage, nor usage in the reply.
    NoUsage,
    /// The last chunk has `choices: null`.
    NullChoices,
    /// The stream ends halfway, without `[DONE]`.
    Cut,
    /// The stream ends halfway with an error.
    ErrorInside,
    /// Comments stand between the events.
    KeepAlive,
    /// Milliseconds between chunks, or before the reply.
    Slow(u64),
    /// Arguments lose their last character.
    InvalidArguments,
    /// No reply, but 429 `rate_limit_exceeded`.
    RateLimited,
    /// No reply, but 429 `insufficient_quota`.
    OutOfMoney,
    /// No reply, but this status.
    Refused(u16),
}

impl Turn {
    pub fn say(text: &str) -> Self {
        Self {
            text: Some(text.to_owned()),
            ..Self::default()
        }
    }

    pub fn call(name: &str, arguments: Value) -> Self {
        Self::default().and_call(name, arguments)
    }

    /// One more call in the same turn.
    #[must_use]
    pub fn and_call(mut self, name: &str, arguments: Value) -> Self {
        self.tool_calls.push(ToolCall {
            name: name.to_owned(),
            arguments,
            id: None,
        });
        self
    }

    /// Only for a request whose last message holds this.
    #[must_use]
    pub fn when(mut self, text: &str) -> Self {
        self.when = Some(text.to_owned());
        self
    }

    #[must_use]
    pub fn with(mut self, oddity: Oddity) -> Self {
        self.oddities.push(oddity);
        self
    }

    pub(super) fn is(&self, oddity: &Oddity) -> bool {
        self.oddities.contains(oddity)
    }

    pub(super) fn pause(&self) -> Option<u64> {
        self.oddities.iter().find_map(|oddity| match oddity {
            Oddity::Slow(millis) => Some(*millis),
            _ => None,
        })
    }
}
