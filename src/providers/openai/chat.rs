//! Streamed chat completions.

use std::pin::Pin;
use std::time::Duration;

use async_openai::types::chat::{
    ChatCompletionMessageToolCall, ChatCompletionMessageToolCalls,
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestAssistantMessageContent,
    ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage,
    ChatCompletionRequestToolMessage, ChatCompletionRequestUserMessage,
    ChatCompletionStreamOptions, ChatCompletionTool, ChatCompletionTools,
    CreateChatCompletionRequest, FunctionCall, FunctionObject,
};
use eventsource_stream::{EventStreamError, Eventsource as _};
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Client, Error, ErrorDetail, Kind, http};
use crate::ids;

/// Silence on an open stream that is taken for its end.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// One turn asked of a model.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub model: String,
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
}

/// What was said so far. Its form in JSON is what is stored of the assistant's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    System(String),
    User(String),
    Assistant {
        text: String,
        tool_calls: Vec<ToolCall>,
    },
    ToolResult {
        call_id: String,
        content: String,
    },
}

/// A function that the model may ask for.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: &'static str,
    pub description: &'static str,
    /// JSON Schema in the strict subset: every property required, none additional.
    pub parameters: Value,
}

/// A function that the model asks for. `arguments` is whatever it wrote: perhaps not even JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

/// Tokens, as the server counted them.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Usage {
    #[serde(default)]
    pub prompt_tokens: u64,
    #[serde(default)]
    pub completion_tokens: u64,
}

impl Usage {
    /// Tokens, read and written.
    pub const fn total(self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// What a stream yields. Tool calls come whole, at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatPiece {
    Text(String),
    ToolCalls(Vec<ToolCall>),
    Usage(Usage),
    /// The server ended the text early: its length limit, or its content filter.
    Cut(Cut),
}

/// Why a text ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Length,
    Filter,
}

/// The pieces of one turn. Dropping it closes the connection.
pub type ChatStream = Pin<Box<dyn Stream<Item = Result<ChatPiece, Error>> + Send>>;

impl Client {
    /// Starts a turn; returns when the server has begun to answer.
    pub async fn chat(&self, request: ChatRequest) -> Result<ChatStream, Error> {
        let response = self.post(&self.chat_url, &wire(request)).await?;
        let is_stream = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !is_stream {
            return Err(Error::new(
                Kind::Nonsense,
                "the server answered without a stream",
            ));
        }
        let events = response.bytes_stream().eventsource();
        Ok(Box::pin(pieces(events)))
    }
}

fn wire(request: ChatRequest) -> CreateChatCompletionRequest {
    let tools: Vec<_> = request
        .tools
        .into_iter()
        .map(|tool| {
            ChatCompletionTools::Function(ChatCompletionTool {
                function: FunctionObject {
                    name: tool.name.to_owned(),
                    description: Some(tool.description.to_owned()),
                    parameters: Some(tool.parameters),
                    strict: Some(true),
                },
            })
        })
        .collect();
    CreateChatCompletionRequest {
        model: request.model,
        messages: request.messages.into_iter().map(wire_message).collect(),
        // An empty list is refused by the vendor.
        tools: (!tools.is_empty()).then_some(tools),
        stream: Some(true),
        stream_options: Some(ChatCompletionStreamOptions {
            include_usage: Some(true),
            include_obfuscation: None,
        }),
        ..Default::default()
    }
}

fn wire_message(message: Message) -> ChatCompletionRequestMessage {
    match message {
        Message::System(text) => ChatCompletionRequestSystemMessage {
            content: text.into(),
            ..Default::default()
        }
        .into(),
        Message::User(text) => ChatCompletionRequestUserMessage {
            content: text.into(),
            ..Default::default()
        }
        .into(),
        Message::Assistant { text, tool_calls } => {
            let calls: Vec<_> = tool_calls
                .into_iter()
                .map(|call| {
                    ChatCompletionMessageToolCalls::Function(ChatCompletionMessageToolCall {
                        id: call.id,
                        function: FunctionCall {
                            name: call.name,
                            arguments: call.arguments,
                        },
                    })
                })
                .collect();
            ChatCompletionRequestAssistantMessage {
                content: (!text.is_empty() || calls.is_empty())
                    .then_some(ChatCompletionRequestAssistantMessageContent::Text(text)),
                tool_calls: (!calls.is_empty()).then_some(calls),
                ..Default::default()
            }
            .into()
        }
        Message::ToolResult { call_id, content } => ChatCompletionRequestToolMessage {
            content: content.into(),
            tool_call_id: call_id,
        }
        .into(),
    }
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default, deserialize_with = "null_as_default")]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<ErrorDetail>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default, deserialize_with = "null_as_default")]
    delta: Delta,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    tool_calls: Vec<CallPiece>,
}

#[derive(Deserialize)]
struct CallPiece {
    #[serde(default)]
    index: Option<usize>,
    #[serde(default, deserialize_with = "null_as_default")]
    id: String,
    #[serde(default, deserialize_with = "null_as_default")]
    function: FunctionPiece,
}

#[derive(Default, Deserialize)]
struct FunctionPiece {
    #[serde(default, deserialize_with = "null_as_default")]
    name: String,
    /// Text, but some servers send the object itself.
    #[serde(default)]
    arguments: Option<Value>,
}

/// Joins the pieces of tool calls: by index, and where servers give every call index 0, by id.
#[derive(Default)]
struct Calls {
    calls: Vec<ToolCall>,
    /// Index in the stream to place in `calls`.
    places: Vec<(usize, usize)>,
}

impl Calls {
    fn add(&mut self, piece: CallPiece) {
        let open = match piece.index {
            Some(index) => self
                .places
                .iter()
                .rev()
                .find(|(at, _)| *at == index)
                .map(|(_, place)| *place),
            // Without an index: a name begins a call, anything else continues the last.
            None if piece.function.name.is_empty() => self.calls.len().checked_sub(1),
            None => self
                .calls
                .iter()
                .position(|call| !piece.id.is_empty() && call.id == piece.id),
        };
        let open = open.filter(|place| {
            piece.id.is_empty()
                || self
                    .calls
                    .get(*place)
                    .is_some_and(|call| call.id == piece.id)
        });
        let place = open.unwrap_or_else(|| {
            let place = self.calls.len();
            let id = if piece.id.is_empty() {
                // Unique over the steps of a run too: the ids are told back to the server.
                format!("call_{place}_{}", ids::next().simple())
            } else {
                piece.id
            };
            self.calls.push(ToolCall {
                id,
                name: String::new(),
                arguments: String::new(),
            });
            self.places.push((piece.index.unwrap_or(place), place));
            place
        });
        let Some(call) = self.calls.get_mut(place) else {
            return;
        };
        if call.name.is_empty() {
            call.name = piece.function.name;
        }
        match piece.function.arguments {
            Some(Value::String(text)) => call.arguments.push_str(&text),
            Some(Value::Null) | None => {}
            Some(other) => call.arguments = other.to_string(),
        }
    }
}

type Event = Result<eventsource_stream::Event, EventStreamError<reqwest::Error>>;

/// Reads events until `[DONE]`; an end without it is a cut, said as an error after what came.
fn pieces(
    events: impl Stream<Item = Event> + Send + 'static,
) -> impl Stream<Item = Result<ChatPiece, Error>> + Send {
    struct State<S> {
        events: Pin<Box<S>>,
        turn: Turn,
        finished: bool,
    }
    let state = State {
        events: Box::pin(events),
        turn: Turn::default(),
        finished: false,
    };
    futures::stream::unfold(state, |mut state| async move {
        if state.finished {
            return None;
        }
        let item = loop {
            let next = tokio::time::timeout(IDLE_TIMEOUT, state.events.next()).await;
            match read_event(next, &mut state.turn) {
                Read::Nothing => {}
                Read::Piece(piece) => break Some(Ok(piece)),
                Read::End => {
                    state.finished = true;
                    let calls = std::mem::take(&mut state.turn.calls.calls);
                    break (!calls.is_empty()).then_some(Ok(ChatPiece::ToolCalls(calls)));
                }
                Read::Failed(error) => {
                    state.finished = true;
                    break Some(Err(error));
                }
            }
        };
        item.map(|item| (item, state))
    })
}

/// What a turn has come to so far.
#[derive(Default)]
struct Turn {
    calls: Calls,
    /// The server has said why it stops: an end without `[DONE]` is then no cut.
    reason_given: bool,
}

enum Read {
    Nothing,
    Piece(ChatPiece),
    End,
    Failed(Error),
}

fn read_event(next: Result<Option<Event>, tokio::time::error::Elapsed>, turn: &mut Turn) -> Read {
    let event = match next {
        Ok(Some(Ok(event))) => event,
        Ok(Some(Err(EventStreamError::Transport(error)))) => {
            return Read::Failed(http::transport(error));
        }
        Ok(Some(Err(_))) => {
            return Read::Failed(Error::new(Kind::Nonsense, "the stream is malformed"));
        }
        Ok(None) if turn.reason_given => return Read::End,
        Ok(None) => return Read::Failed(Error::new(Kind::Ambiguous, "the stream was cut off")),
        Err(_) => return Read::Failed(Error::new(Kind::Ambiguous, "the stream fell silent")),
    };
    if event.data.trim() == "[DONE]" {
        return Read::End;
    }
    let Ok(chunk) = serde_json::from_str::<Chunk>(&event.data) else {
        return Read::Failed(Error::new(
            Kind::Nonsense,
            "the stream holds something else than chunks",
        ));
    };
    if chunk.error.is_some() {
        return Read::Failed(Error::new(
            Kind::Unavailable,
            "the server reported an error midway",
        ));
    }
    let mut text = String::new();
    let mut cut = None;
    for choice in chunk.choices {
        if let Some(reason) = choice.finish_reason {
            turn.reason_given = true;
            cut = match reason.as_str() {
                "length" => Some(Cut::Length),
                "content_filter" => Some(Cut::Filter),
                _ => None,
            };
        }
        text.extend(choice.delta.content);
        text.extend(choice.delta.refusal);
        choice
            .delta
            .tool_calls
            .into_iter()
            .for_each(|piece| turn.calls.add(piece));
    }
    if !text.is_empty() {
        return Read::Piece(ChatPiece::Text(text));
    }
    if let Some(cut) = cut {
        return Read::Piece(ChatPiece::Cut(cut));
    }
    chunk
        .usage
        .map_or(Read::Nothing, |usage| Read::Piece(ChatPiece::Usage(usage)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(lines: &[&str]) -> Vec<Result<ChatPiece, Kind>> {
        let events: Vec<Event> = lines
            .iter()
            .map(|data| {
                Ok(eventsource_stream::Event {
                    data: (*data).to_owned(),
                    ..Default::default()
                })
            })
            .collect();
        pieces(futures::stream::iter(events))
            .map(|piece| piece.map_err(|error| error.kind))
            .collect()
            .await
    }

    fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
        ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        }
    }

    #[tokio::test]
    async fn text_usage_and_the_end() {
        let read = read(&[
            r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":"lo"}}]}"#,
            r#"{"choices":null,"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            "[DONE]",
        ])
        .await;
        assert_eq!(
            read,
            [
                Ok(ChatPiece::Text("Hel".into())),
                Ok(ChatPiece::Text("lo".into())),
                Ok(ChatPiece::Usage(Usage {
                    prompt_tokens: 3,
                    completion_tokens: 2
                })),
            ]
        );
    }

    #[tokio::test]
    async fn tool_calls_in_every_shape_that_servers_send() {
        let split = [
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"search","arguments":""}},{"index":1,"id":"b","function":{"name":"get","arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"q\":"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"","function":{"arguments":"1}"}}]}}]}"#,
            "[DONE]",
        ];
        let expected = vec![call("a", "search", "{\"q\":1}"), call("b", "get", "{}")];
        assert_eq!(read(&split).await, [Ok(ChatPiece::ToolCalls(expected))]);

        let all_zero = [
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"search","arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"get","arguments":{"id":1}}}]}}]}"#,
            "[DONE]",
        ];
        let expected = vec![call("a", "search", "{}"), call("b", "get", "{\"id\":1}")];
        assert_eq!(read(&all_zero).await, [Ok(ChatPiece::ToolCalls(expected))]);

        let bare = [
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"search","arguments":"{"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"}"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"search","arguments":"{}"}}]}}]}"#,
            "[DONE]",
        ];
        let read = read(&bare).await;
        let [Ok(ChatPiece::ToolCalls(calls))] = &read[..] else {
            panic!("{read:?}");
        };
        let [first, second] = &calls[..] else {
            panic!("{calls:?}");
        };
        assert_eq!((&*first.name, &*first.arguments), ("search", "{}"));
        assert_eq!((&*second.name, &*second.arguments), ("search", "{}"));
        assert_ne!(first.id, second.id);
    }

    #[tokio::test]
    async fn what_goes_wrong_keeps_what_came() {
        let hello = r#"{"choices":[{"delta":{"content":"Hello"}}]}"#;
        for (end, kind) in [
            (r#"{"error":{"message":"overloaded"}}"#, Kind::Unavailable),
            ("<html>", Kind::Nonsense),
        ] {
            assert_eq!(
                read(&[hello, end]).await,
                [Ok(ChatPiece::Text("Hello".into())), Err(kind)]
            );
        }
        assert_eq!(
            read(&[hello]).await,
            [Ok(ChatPiece::Text("Hello".into())), Err(Kind::Ambiguous)]
        );
    }

    #[test]
    fn the_request_is_what_the_vendor_documents() {
        let wire = wire(ChatRequest {
            model: "m".into(),
            messages: vec![
                Message::System("s".into()),
                Message::User("u".into()),
                Message::Assistant {
                    text: String::new(),
                    tool_calls: vec![call("a", "search", "{}")],
                },
                Message::ToolResult {
                    call_id: "a".into(),
                    content: "r".into(),
                },
            ],
            tools: vec![Tool {
                name: "search",
                description: "d",
                parameters: serde_json::json!({"type": "object"}),
            }],
        });
        assert_eq!(
            serde_json::to_value(wire).unwrap(),
            serde_json::json!({
                "model": "m",
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "u"},
                    {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "search", "arguments": "{}"}}]},
                    {"role": "tool", "tool_call_id": "a", "content": "r"},
                ],
                "tools": [{"type": "function", "function": {"name": "search", "description": "d", "parameters": {"type": "object"}, "strict": true}}],
                "stream": true,
                "stream_options": {"include_usage": true},
            })
        );
    }
}
