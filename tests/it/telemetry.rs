//! What leaves for Sentry and for a collector of traces: the real binary, and somebody who receives over
//! real HTTP.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::client::File;
use crate::files::NOTE;
use crate::process::{Program, command};
use crate::world::{eventually, http};

/// What was sent to whoever receives reports and traces.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Takes reports and traces, and keeps them.
pub struct Receiver {
    address: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        Self::answering(StatusCode::OK).await
    }

    pub async fn answering(status: StatusCode) -> Self {
        let arrived = Arc::<Mutex<Vec<Arrived>>>::default();
        let keep = async move |State(kept): State<Arc<Mutex<Vec<Arrived>>>>,
                               uri: Uri,
                               headers: HeaderMap,
                               body: Bytes| {
            kept.lock().unwrap().push(Arrived {
                path: uri.path().to_owned(),
                headers,
                body: body.to_vec(),
            });
            status
        };
        let router = Router::new()
            .fallback(keep)
            .with_state(Arc::clone(&arrived));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            arrived,
            server,
        }
    }

    /// The program sends its reports and traces here.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        let at = &self.address;
        [
            ("SENTRY_DSN", format!("http://publickey@{at}/42")),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{at}")),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-vendor-key=k1".to_owned()),
        ]
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// The events of all reports.
    fn events(&self) -> Vec<Value> {
        let arrived = self.arrived();
        let envelopes = arrived
            .iter()
            .filter(|arrived| arrived.path == "/api/42/envelope/");
        envelopes
            .flat_map(|arrived| {
                assert!(
                    arrived.headers["x-sentry-auth"]
                        .to_str()
                        .unwrap()
                        .contains("sentry_key=publickey")
                );
                let text = String::from_utf8(arrived.body.clone()).unwrap();
                text.lines()
                    .map(|line| serde_json::from_str::<Value>(line).unwrap())
                    .filter(|item| item.get("tags").is_some())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// All traces as they lie on the wire, where texts stand as they are.
    fn traces(&self) -> Vec<u8> {
        let arrived = self.arrived();
        let traces = arrived
            .iter()
            .filter(|arrived| arrived.path == "/v1/traces");
        traces
            .flat_map(|arrived| {
                assert_eq!(arrived.headers["content-type"], "application/x-protobuf");
                assert_eq!(arrived.headers["x-vendor-key"], "k1");
                arrived.body.clone()
            })
            .collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// How often a text stands in bytes.
fn count(bytes: &[u8], text: &str) -> usize {
    bytes
        .windows(text.len())
        .filter(|window| *window == text.as_bytes())
        .count()
}

fn program(folder: &Path, settings: &[(&'static str, String)]) -> (Program, std::path::PathBuf) {
    let log = folder.join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut command: Command = command(folder);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    (Program::logging(&mut command, file), log)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_reported_by_its_request_and_place_and_no_word_of_it() {
    let receiver = Receiver::start().await;
    let folder = TempDir::new().unwrap();
    let mut settings = receiver.settings().to_vec();
    settings.push(("FAIL_POINTS", "http.request=1".to_owned()));
    let (program, log) = program(folder.path(), &settings);
    let request = http()
        .get(format!(
            "{}/api/tasks/canary-path?q=canary-query",
            program.url
        ))
        .header("x-request-id", "rq-17")
        .header("user-agent", "canary-agent");
    assert_eq!(request.send().await.unwrap().status(), 500);
    assert_eq!(program.terminate().await, Some(0));

    let events = receiver.events();
    assert_eq!(events.len(), 2, "{events:?}");
    for event in &events {
        // The protocol's default is an error.
        assert_eq!(event["level"], Value::Null);
        assert_eq!(event["tags"]["request_id"], "rq-17", "{event}");
        assert_eq!(event["environment"], "development");
        assert!(
            event["release"]
                .as_str()
                .unwrap()
                .starts_with("paraplanner@")
        );
        for absent in ["user", "request", "breadcrumbs", "server_name"] {
            let value = &event[absent];
            assert!(
                value.is_null() || value.as_array().is_some_and(Vec::is_empty),
                "{event}"
            );
        }
    }
    let place = events
        .iter()
        .find_map(|event| event["tags"]["place"].as_str())
        .unwrap();
    assert!(place.contains("src/failpoint.rs:"), "{place}");
    // They are sent side by side.
    let failed = events.iter().find(|event| event["exception"].is_object());
    let cause = &failed.unwrap()["exception"]["values"][0];
    assert_eq!(
        (&cause["type"], &cause["value"]),
        (&"a request failed".into(), &"a handler panicked".into()),
        "{events:?}"
    );
    let told = [
        std::fs::read(log).unwrap(),
        receiver
            .arrived()
            .into_iter()
            .flat_map(|arrived| arrived.body)
            .collect(),
    ]
    .concat();
    assert_eq!(count(&told, "canary"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_follows_a_request_into_its_task_and_holds_no_content() {
    let receiver = Receiver::start().await;
    let folder = TempDir::new().unwrap();
    let (program, log) = program(folder.path(), &receiver.settings());
    let alex = program.advisor().await;
    let form = crate::client::form(&[File::new("canary-name.md", NOTE)]);
    let upload = alex
        .request(Method::POST, "/api/ingest/documents")
        .header("content-type", crate::client::form_type())
        .header("x-request-id", "rq-upload-1")
        .body(form);
    let reply = upload.send().await.unwrap();
    let task: Value = reply.json().await.unwrap();
    alex.ended(task["task_id"].as_str().unwrap()).await;
    alex.indexed().await;
    alex.search("Who sells AAPL shares?").await;
    alex.ask("Who sells AAPL shares?").await;
    assert_eq!(program.terminate().await, Some(0));

    let traces = receiver.traces();
    // The request, the import that it caused, and what the import caused.
    assert!(
        count(&traces, "rq-upload-1") >= 2,
        "{}",
        count(&traces, "rq-upload-1")
    );
    for said in [
        "service.name",
        "POST /api/ingest/documents",
        "import_documents",
        "embed",
        "search",
        "POST /api/chat/stream",
        "http.response.status_code",
        task["task_id"].as_str().unwrap(),
    ] {
        assert!(count(&traces, said) >= 1, "{said}");
    }
    for unsaid in ["canary", "AAPL", "alex@", "select ", "insert "] {
        assert_eq!(count(&traces, unsaid), 0, "{unsaid}");
    }
    // Lines of the log look as they do without traces.
    let log = std::fs::read_to_string(log).unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("rq-upload-1"))
        .expect("the request's line");
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["span"]["request_id"], "rq-upload-1", "{line}");
    assert_eq!(line["span"].as_object().unwrap().len(), 2, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_are_away_or_full_cost_a_line_each_and_nothing_else() {
    let full = Receiver::answering(StatusCode::TOO_MANY_REQUESTS).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = nobody.local_addr().unwrap();
    drop(nobody);
    for at in [gone.to_string(), full.address.clone()] {
        let folder = TempDir::new().unwrap();
        let settings = [
            ("SENTRY_DSN", format!("http://key@{at}/1")),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{at}")),
            ("FAIL_POINTS", "http.request=2".to_owned()),
        ];
        let (program, log) = program(folder.path(), &settings);
        for _ in 0..50 {
            let url = format!("{}/api/auth/options", program.url);
            http().get(url).send().await.unwrap();
        }
        assert_eq!(program.terminate().await, Some(0));
        let log = std::fs::read_to_string(log).unwrap();
        for to in ["SENTRY_DSN", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
            let lines = log
                .lines()
                .filter(|line| line.contains(&format!("\"to\":\"{to}\"")));
            assert_eq!(lines.count(), 1, "{to}: {log}");
        }
    }
    // One report was refused, and then it was let alone.
    let refused = full.arrived();
    let reports = refused
        .iter()
        .filter(|arrived| arrived.path.contains("envelope"));
    assert!(reports.count() <= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_nothing_is_no_trace() {
    let receiver = Receiver::start().await;
    let folder = TempDir::new().unwrap();
    let mut settings = receiver.settings().to_vec();
    settings.push(("OTEL_TRACES_SAMPLER_ARG", "0".to_owned()));
    let (program, _) = program(folder.path(), &settings);
    eventually("it answers", async || {
        let url = format!("{}/ready", program.url);
        (http().get(url).send().await.ok()?.status() == 200).then_some(())
    })
    .await;
    assert_eq!(program.terminate().await, Some(0));
    assert!(receiver.arrived().is_empty());
}
