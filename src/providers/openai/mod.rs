//! Any OpenAI-compatible server: chat completions (streamed) and embeddings.
//!
//! Requests are built from `async-openai`'s types, so they are what the vendor's own clients send.
//! Replies are read by tolerant types of our own, because local servers leave out what the
//! vendor's types require (`choices: null`, no index, no id). Transport is ours too: dropping
//! [`ChatStream`] closes the connection at once, which is what stops a generation.

mod chat;
mod embeddings;

use std::time::Duration;

use rand::Rng as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Error, Kind, http};
use crate::config::ModelServer;

pub use chat::{ChatPiece, ChatRequest, ChatStream, Cut, Message, Tool, ToolCall, Usage};
pub use embeddings::EmbeddingRequest;

/// Attempts of a call that may be repeated: nothing was generated yet, or generating again is harmless.
const ATTEMPTS: u32 = 3;
/// Beyond this we'd rather say so than let the user wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Until the first byte of a reply; a large local model reads its prompt meanwhile.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// A configured server; cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    chat_url: Url,
    embeddings_url: Url,
    authorization: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorDetail {
    Full {
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        code: Option<serde_json::Value>,
        #[serde(default, rename = "type")]
        kind: Option<String>,
    },
    // Ollama says no more than a sentence.
    Text(String),
}

impl Client {
    pub fn new(http: reqwest::Client, server: &ModelServer) -> Result<Self, Error> {
        let join = |path: &str| {
            let base = server.base_url.as_str().trim_end_matches('/');
            Url::parse(&format!("{base}/{path}"))
                .map_err(|_| Error::new(Kind::Invalid, "OPENAI_BASE_URL can't be extended"))
        };
        let authorization = server
            .api_key
            .as_ref()
            .map(|key| {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                    .map_err(|_| {
                        Error::new(Kind::Invalid, "OPENAI_API_KEY is not a header value")
                    })?;
                value.set_sensitive(true);
                Ok::<_, Error>(value)
            })
            .transpose()?;
        Ok(Self {
            http,
            chat_url: join("chat/completions")?,
            embeddings_url: join("embeddings")?,
            authorization,
        })
    }

    /// Posts until a reply begins, an error is final, or the attempts are used up.
    async fn post(&self, url: &Url, body: &impl Serialize) -> Result<Response, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.post_once(url, body.clone()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let pause = match error.kind {
                Kind::RateLimited {
                    retry_after: Some(pause),
                } => pause,
                // Generating twice costs money but does nothing to the world.
                Kind::Unavailable | Kind::Ambiguous => {
                    Duration::from_millis(500) * 2_u32.pow(attempt - 1)
                }
                _ => return Err(error),
            };
            if attempt >= ATTEMPTS || pause > LONGEST_WAIT {
                return Err(error);
            }
            let jittered = pause.mul_f64(rand::rng().random_range(1.0..1.25));
            tracing::debug!(%error, "the model server is asked again");
            tokio::time::sleep(jittered).await;
        }
    }

    async fn post_once(&self, url: &Url, body: Vec<u8>) -> Result<Response, Error> {
        let mut request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = tokio::time::timeout(HEAD_TIMEOUT, request.send())
            .await
            .map_err(|_| Error::new(Kind::Ambiguous, "no answer in time"))?
            .map_err(http::transport)?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(read_error(response).await)
    }
}

async fn read_error(response: Response) -> Error {
    let status = response.status();
    let wait = http::retry_after(response.headers());
    let body = http::body_within(response, ERROR_BODY_LIMIT)
        .await
        .unwrap_or_default();
    judge(status, wait, &body)
}

/// Which kind of failure an error reply is. The server's own words may quote the prompt, so only
/// its codes reach the log.
fn judge(status: StatusCode, wait: Option<Duration>, body: &[u8]) -> Error {
    let mut kind = http::kind_of(status, wait);
    let mut words = format!("status {}", status.as_u16());
    if let Ok(ErrorBody { error }) = serde_json::from_slice(body) {
        let (message, code, class) = match error {
            ErrorDetail::Full {
                message,
                code,
                kind,
            } => (message, code, kind),
            ErrorDetail::Text(text) => (Some(text), None, None),
        };
        let code = code
            .as_ref()
            .and_then(|code| code.as_str())
            .map(ToOwned::to_owned)
            .or(class);
        if let Some(code) = code.filter(|code| is_code(code)) {
            if code == "insufficient_quota" {
                kind = Kind::RateLimited { retry_after: None };
            }
            words = format!("{words}, {code}");
        }
        if message
            .is_some_and(|text| text.contains("context length") || text.contains("context window"))
        {
            words = format!("{words}, context_length_exceeded");
        }
    }
    Error::new(kind, words)
}

fn is_code(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_money_is_not_worth_a_retry() {
        let body = br#"{"error":{"message":"You exceeded ...","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        let error = judge(StatusCode::TOO_MANY_REQUESTS, None, body);
        assert!(!error.kind.is_passing());
        let limited = judge(StatusCode::TOO_MANY_REQUESTS, None, b"{}");
        assert!(limited.kind.is_passing());
    }

    #[test]
    fn a_servers_words_do_not_reach_the_log() {
        let body = br#"{"error":{"message":"bad prompt: my secret","type":"invalid_request_error","code":null}}"#;
        let error = judge(StatusCode::BAD_REQUEST, None, body);
        assert_eq!(
            error.to_string(),
            "invalid: status 400, invalid_request_error"
        );
        assert_eq!(
            judge(StatusCode::BAD_GATEWAY, None, b"<html>").kind,
            Kind::Unavailable
        );
        assert_eq!(
            judge(
                StatusCode::NOT_FOUND,
                None,
                br#"{"error":"model not found"}"#
            )
            .kind,
            Kind::NotFound
        );
    }
}
