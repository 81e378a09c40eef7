//! An advisor's browser: session cookie, Origin, and the API in typed words.

use std::fmt::Write as _;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};

use crate::world::eventually;

/// A whole reply.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub async fn read(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The JSON of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.text()
        );
        self.json()
    }

    /// The body of an error, whose form is held against RFC 9457 and our contract.
    #[track_caller]
    pub fn problem(&self) -> Value {
        let at = format!("{}: {}", self.status, self.text());
        assert!((400..600).contains(&self.status), "{at}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{at}"
        );
        let body = self.json();
        assert_eq!(body["status"], self.status, "{at}");
        assert!(
            body["type"].is_string() && body["title"].is_string(),
            "{at}"
        );
        assert_eq!(
            body["request_id"].as_str(),
            self.header("x-request-id"),
            "{at}"
        );
        body
    }
}

/// A file of an upload.
pub struct File {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl File {
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            bytes: bytes.into(),
        }
    }
}

pub const BOUNDARY: &str = "paraplanner-boundary-7d1";

/// A form as browsers send it.
pub fn form(files: &[File]) -> Vec<u8> {
    let mut body = Vec::new();
    for file in files {
        let name = file.name.replace('"', "%22").replace(['\r', '\n'], "");
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&file.bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

pub fn form_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// A streamed answer, read to its end.
pub struct Answer {
    pub headers: HeaderMap,
    pub chunks: Vec<Value>,
    /// The last event was `[DONE]`.
    pub done: bool,
}

impl Answer {
    pub fn of(headers: HeaderMap, events: &str) -> Self {
        let mut data: Vec<&str> = events
            .split("\n\n")
            .filter_map(|event| event.trim_start().strip_prefix("data: "))
            .collect();
        let done = data.pop_if(|last| last.trim() == "[DONE]").is_some();
        Self {
            headers,
            chunks: data
                .iter()
                .map(|text| serde_json::from_str(text).unwrap())
                .collect(),
            done,
        }
    }

    pub fn types(&self) -> Vec<&str> {
        self.chunks
            .iter()
            .filter_map(|chunk| chunk["type"].as_str())
            .collect()
    }

    pub fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.chunks
            .iter()
            .filter(|chunk| chunk["type"] == kind)
            .collect()
    }

    pub fn text(&self) -> String {
        self.of_type("text-delta")
            .iter()
            .filter_map(|chunk| chunk["delta"].as_str())
            .collect()
    }

    pub fn citations(&self) -> Vec<&Value> {
        self.of_type("data-citation")
            .into_iter()
            .map(|chunk| &chunk["data"])
            .collect()
    }

    pub fn warnings(&self) -> Vec<&str> {
        self.of_type("data-warning")
            .iter()
            .filter_map(|chunk| chunk["data"]["code"].as_str())
            .collect()
    }

    pub fn error(&self) -> Option<&str> {
        self.of_type("error").first()?["errorText"].as_str()
    }

    pub fn conversation(&self) -> &str {
        self.chunks[0]["messageMetadata"]["conversation_id"]
            .as_str()
            .unwrap()
    }
}

/// Somebody signed in.
pub struct Advisor {
    base: String,
    origin: String,
    http: reqwest::Client,
    cookie: String,
}

impl Advisor {
    pub async fn sign_in(base: &str, origin: &str, http: &reqwest::Client, email: &str) -> Self {
        let response = http
            .post(format!("{base}/api/auth/demo"))
            .header(ORIGIN, origin)
            .json(&json!({"email": email}))
            .send()
            .await
            .unwrap();
        let reply = Reply::read(response).await;
        assert_eq!(reply.ok()["email"], email);
        let set = reply.header(SET_COOKIE.as_str()).unwrap();
        assert!(
            set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Path=/"),
            "{set}"
        );
        Self {
            base: base.to_owned(),
            origin: origin.to_owned(),
            http: http.clone(),
            cookie: set.split(';').next().unwrap().to_owned(),
        }
    }

    /// With the session, from nowhere in particular.
    pub fn bare(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .header(COOKIE, &self.cookie)
    }

    /// As our own page sends it.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.bare(method, path).header(ORIGIN, &self.origin)
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        Reply::read(request.send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Uploads and returns the task's id.
    pub async fn upload(&self, files: &[File]) -> String {
        let request = self
            .request(Method::POST, "/api/ingest/documents")
            .header(CONTENT_TYPE, form_type())
            .body(form(files));
        let reply = Reply::read(request.send().await.unwrap()).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        reply.json()["task_id"].as_str().unwrap().to_owned()
    }

    /// The task when it has ended.
    pub async fn ended(&self, task_id: &str) -> Value {
        eventually("the task ends", async || {
            let task = self.get(&format!("/api/tasks/{task_id}")).await.ok();
            matches!(
                task["state"].as_str(),
                Some("done" | "failed" | "cancelled")
            )
            .then_some(task)
        })
        .await
    }

    /// Uploads, waits, and returns the report of each file.
    pub async fn import(&self, files: &[File]) -> Vec<Value> {
        let task = self.ended(&self.upload(files).await).await;
        assert_eq!(task["state"], "done", "{task}");
        task["result"]["files"].as_array().unwrap().clone()
    }

    /// Waits until everything imported can be found by meaning too.
    pub async fn indexed(&self) {
        eventually("everything is embedded", async || {
            let status = self.get("/api/ingest/status").await.ok();
            let documents = &status["items"][0];
            (documents["state"] == "idle" && documents["done"] == documents["total"]).then_some(())
        })
        .await;
    }

    pub async fn search(&self, query: &str) -> Vec<Value> {
        let found = self
            .post("/api/embeddings/search", &json!({"query": query}))
            .await
            .ok();
        found["items"].as_array().unwrap().clone()
    }

    /// Asks in a new conversation.
    pub async fn ask(&self, question: &str) -> Answer {
        self.chat(&json!({"message": question})).await
    }

    pub async fn chat(&self, body: &Value) -> Answer {
        let response = self
            .request(Method::POST, "/api/chat/stream")
            .json(body)
            .send()
            .await
            .unwrap();
        let reply = Reply::read(response).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        Answer::of(reply.headers.clone(), &reply.text())
    }

    pub async fn messages(&self, conversation: &str) -> Vec<Value> {
        let body = self
            .get(&format!("/api/conversations/{conversation}"))
            .await
            .ok();
        body["messages"].as_array().unwrap().clone()
    }

    /// The stored source behind a citation or a hit.
    pub async fn source(&self, kind: &str, id: &str) -> Value {
        let path = match kind {
            "email" => "emails",
            "contact" => "contacts",
            "event" => "calendar",
            "note" => "notes",
            "deal" => "deals",
            _ => "documents",
        };
        self.get(&format!("/api/{path}/{id}")).await.ok()
    }
}

/// For comparing quotes: runs of white space are one blank.
pub fn squeezed(text: &str) -> String {
    text.split_whitespace()
        .fold(String::new(), |mut all, word| {
            let _ = write!(all, "{word} ");
            all
        })
}
