//! What the program adds to the model's own time: `cargo bench --bench assistant -- steps [turns]`, the overhead of
//! a run's step; `… -- streams [streams] [seconds]`, the time between a token's leaving the model and its arrival
//! at the reader, over so many chats at once; `… -- waiting [runs]`, how soon a reply wakes its run among so many
//! that wait. The model is a server of the bench's own, in the same process as the readers.

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use futures::StreamExt as _;
use paraplanner::clock::Clock;
use paraplanner::simulator::Simulator;
use paraplanner::simulator::google::Delivery;
use reqwest::header::{COOKIE, ORIGIN};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use support::{ADVISOR, Program, open_accounts};

/// Tokens that each stream says in a second.
const PACE: Duration = Duration::from_millis(100);

/// How the model answers, and when it was asked and had answered.
struct Model {
    started: Instant,
    /// Of a run: how many turns call something before one says something.
    turns: AtomicUsize,
    /// Tokens of a stream.
    tokens: usize,
    asked: Mutex<Vec<(Duration, Duration)>>,
    /// When a text first stood in what was asked.
    seen: Mutex<HashMap<String, Instant>>,
}

fn chunk(delta: &Value, end: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": end});
    let body = json!({"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]});
    format!("data: {body}\n\n")
}

fn call(name: &str, arguments: &Value) -> String {
    let function = json!({"name": name, "arguments": arguments.to_string()});
    let id = format!("call_{}", rand::random::<u32>());
    let delta =
        json!({"tool_calls": [{"index": 0, "id": id, "type": "function", "function": function}]});
    chunk(&delta, None) + &chunk(&json!({}), Some("tool_calls")) + "data: [DONE]\n\n"
}

async fn answer(State(model): State<Arc<Model>>, body: Bytes) -> Response {
    let asked_at = model.started.elapsed();
    let text = String::from_utf8_lossy(&body).into_owned();
    if let Some(place) = text.rfind("MARK-") {
        let mark: String = text[place..].chars().take(13).collect();
        let mut seen = model.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(mark).or_insert_with(Instant::now);
    }
    let reply = |text: String| {
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(Body::from(text))
            .expect("a reply")
    };
    if text.contains("STREAM") {
        return Response::builder()
            .header("content-type", "text/event-stream")
            .body(Body::from_stream(spoken(Arc::clone(&model))))
            .expect("a reply");
    }
    let said = if text.contains("WAIT") {
        match text.matches("\"role\":\"tool\"").count() {
            0 => {
                let number = text
                    .split("WAIT-")
                    .nth(1)
                    .map_or("0", |rest| rest.split('@').next().unwrap_or("0"));
                let to = format!("c{number}@example.com");
                call(
                    "send_email",
                    &json!({"to": [to], "subject": format!("Letter {number}"), "text": "Shall we meet?"}),
                )
            }
            1 => call("wait_for_reply", &json!({})),
            _ => chunk(&json!({"content": "Done."}), Some("stop")) + "data: [DONE]\n\n",
        }
    } else if text.matches("\"role\":\"tool\"").count() == 0 {
        call(
            "send_email",
            &json!({"to": ["c0@example.com"], "subject": "Letter", "text": "Shall we meet?"}),
        )
    } else if model.turns.fetch_sub(1, Ordering::Relaxed) > 1 {
        call("list_rules", &json!({}))
    } else {
        chunk(&json!({"content": "Done."}), Some("stop")) + "data: [DONE]\n\n"
    };
    let reply = reply(said);
    let mut asked = model.asked.lock().unwrap_or_else(PoisonError::into_inner);
    asked.push((asked_at, model.started.elapsed()));
    reply
}

/// Tokens that say when they left, in microseconds.
fn spoken(model: Arc<Model>) -> impl futures::Stream<Item = Result<Bytes, Infallible>> {
    let tokens = model.tokens;
    // Not all at the same moment.
    let offset = PACE.mul_f64(rand::random::<f64>());
    futures::stream::unfold(0_usize, move |said| {
        let model = Arc::clone(&model);
        async move {
            if said > tokens {
                return None;
            }
            tokio::time::sleep(if said == 0 { offset } else { PACE }).await;
            let piece = if said == tokens {
                chunk(&json!({}), Some("stop")) + "data: [DONE]\n\n"
            } else {
                chunk(
                    &json!({"content": format!("t{} ", model.started.elapsed().as_micros())}),
                    None,
                )
            };
            Some((Ok(Bytes::from(piece)), said + 1))
        }
    })
}

fn percentile(times: &mut [f64], share: usize) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[(times.len() - 1) * share / 100]
}

struct Bench {
    simulator: Simulator,
    model: Arc<Model>,
    program: Program,
    _data: tempfile::TempDir,
    _server: tokio::task::JoinSet<std::io::Result<()>>,
}

impl Bench {
    async fn open(turns: usize, tokens: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let simulator = Simulator::start(listener, Clock::default()).expect("a simulator");
        open_accounts(&simulator);
        let model = Arc::new(Model {
            started: Instant::now(),
            turns: AtomicUsize::new(turns),
            tokens,
            asked: Mutex::default(),
            seen: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let router = Router::new()
            .route("/v1/chat/completions", post(answer))
            .with_state(Arc::clone(&model));
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await });
        let data = tempfile::tempdir().expect("a folder");
        let mut program = Program::start_with(
            data.path(),
            &simulator,
            &[
                ("OPENAI_BASE_URL", &url),
                ("OPENAI_CHAT_MODEL", "m"),
                ("OPENAI_EMBEDDING_MODEL", "built-in"),
                ("RATE_LIMIT_LLM_PER_USER", "0"),
                ("RATE_LIMIT_LLM_GLOBAL", "0"),
                ("RATE_LIMIT_GLOBAL", "0"),
            ],
        );
        program.sign_in(&simulator).await;
        let bench = Self {
            simulator,
            model,
            program,
            _data: data,
            _server: server,
        };
        let settings = json!({"daily_token_budget": 1_000_000_000,
            "autonomy": {"send_email": "auto", "create_event": "ask", "write_crm": "ask"}});
        bench.send("PUT", "/api/settings", &settings).await;
        bench
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> reqwest::Response {
        let method = method.parse().expect("a method");
        let reply = self
            .program
            .http
            .request(method, format!("{}{path}", self.program.url))
            .header(COOKIE, &self.program.cookie)
            .header(ORIGIN, &self.program.url)
            .json(body)
            .send()
            .await
            .expect("an answer");
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
        reply
    }

    /// Asks for something, and allows what it takes.
    async fn asks(&self, message: &str) {
        let reply = self
            .send("POST", "/api/chat/message", &json!({"message": message}))
            .await;
        let answer: Value = reply.json().await.expect("JSON");
        for approval in answer["approvals"].as_array().into_iter().flatten() {
            let id = approval["id"].as_str().expect("an id");
            self.send("POST", &format!("/api/approvals/{id}/approve"), &json!({}))
                .await;
        }
    }

    async fn runs(&self, state: &str) -> usize {
        let mut count = 0;
        let mut cursor = String::new();
        loop {
            let url = format!(
                "{}/api/tasks?type=assistant_run&state={state}&limit=200{cursor}",
                self.program.url
            );
            let reply = self
                .program
                .http
                .get(url)
                .header(COOKIE, &self.program.cookie)
                .send();
            let page: Value = reply.await.expect("an answer").json().await.expect("JSON");
            count += page["items"].as_array().map_or(0, Vec::len);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return count,
            }
        }
    }

    async fn until_runs(&self, state: &str, count: usize) {
        while self.runs(state).await < count {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// From the model's answer to its next question, within a run.
async fn steps(turns: usize) {
    let bench = Bench::open(turns, 0).await;
    bench.asks("Write to c0@example.com: shall we meet?").await;
    bench.until_runs("done", 1).await;
    let asked = bench
        .model
        .asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    // The first is the conversation's, and the second follows the sending of a mail.
    let mut between: Vec<f64> = asked
        .windows(2)
        .skip(2)
        .map(|two| two[1].0.saturating_sub(two[0].1).as_secs_f64() * 1000.0)
        .collect();
    println!(
        "{} steps: from the model's answer to its next question p50 {:.1} ms, p95 {:.1} ms",
        between.len(),
        percentile(&mut between, 50),
        percentile(&mut between, 95)
    );
}

/// What a reader gets of a stream, and how late it is, in milliseconds.
async fn listen(bench: &Bench) -> Vec<f64> {
    let reply = bench
        .send("POST", "/api/chat/stream", &json!({"message": "STREAM"}))
        .await;
    let mut body = reply.bytes_stream();
    let (mut late, mut rest) = (Vec::new(), String::new());
    while let Some(piece) = body.next().await {
        rest.push_str(&String::from_utf8_lossy(&piece.expect("a piece")));
        let now = bench.model.started.elapsed();
        while let Some(end) = rest.find("\n\n") {
            let event: String = rest.drain(..end + 2).collect();
            let Some(data) = event.trim().strip_prefix("data: ") else {
                continue;
            };
            let part: Value = serde_json::from_str(data).unwrap_or_default();
            for token in part["delta"]
                .as_str()
                .unwrap_or_default()
                .split_whitespace()
            {
                if let Some(left) = token.strip_prefix('t').and_then(|left| left.parse().ok()) {
                    late.push(
                        now.saturating_sub(Duration::from_micros(left))
                            .as_secs_f64()
                            * 1000.0,
                    );
                }
            }
        }
    }
    late
}

async fn streams(count: usize, seconds: usize) {
    let tokens = seconds * 1000 / usize::try_from(PACE.as_millis()).expect("a pace");
    let bench = Bench::open(0, tokens).await;
    listen(&bench).await;
    let all = futures::future::join_all((0..count).map(|_| listen(&bench))).await;
    let mut late: Vec<f64> = all.into_iter().flatten().collect();
    println!(
        "{count} streams, {} tokens: from the model to the reader p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms",
        late.len(),
        percentile(&mut late, 50),
        percentile(&mut late, 99),
        percentile(&mut late, 100)
    );
    println!("memory at most {} MB", bench.program.memory().unwrap_or(0));
}

async fn waiting(count: usize) {
    let bench = Bench::open(0, 0).await;
    for number in 0..count {
        bench
            .asks(&format!(
                "Write to c{number}@example.com and wait. WAIT-{number}@"
            ))
            .await;
    }
    bench.until_runs("waiting", count).await;
    println!(
        "{count} runs wait; memory at most {} MB",
        bench.program.memory().unwrap_or(0)
    );
    let google = bench.simulator.world().google();
    let mut woken = Vec::new();
    for number in (0..count).step_by((count / 20).max(1)) {
        let subject = format!("Letter {number}");
        let sent = google.sent(ADVISOR);
        let ours = sent
            .iter()
            .find(|mail| mail.subject == subject)
            .expect("a letter");
        let raw = String::from_utf8_lossy(&ours.raw).into_owned();
        let id = raw
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: "))
            .expect("its name");
        let reply = format!(
            "From: c{number}@example.com\r\nTo: {ADVISOR}\r\nSubject: Re: {subject}\r\nMessage-ID: <r{number}@example.com>\r\n\
             In-Reply-To: {id}\r\nDate: {}\r\n\r\nYes. MARK-{number:08}\r\n",
            bench.simulator.world().clock().now().to_rfc2822()
        );
        google
            .deliver(ADVISOR, reply.as_bytes(), Delivery::default())
            .expect("a mailbox");
        let mark = format!("MARK-{number:08}");
        bench.send("POST", "/api/ingest/emails", &json!({})).await;
        let asked = Instant::now();
        let seen = loop {
            let seen = bench
                .model
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&mark)
                .copied();
            if let Some(seen) = seen {
                break seen;
            }
            assert!(asked.elapsed() < Duration::from_secs(30), "nobody woke");
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        woken.push(seen.saturating_duration_since(asked).as_secs_f64() * 1000.0);
    }
    println!(
        "{} replies, each from the look for it to the model's next question, fetching and storing included: \
         p50 {:.0} ms, at most {:.0} ms",
        woken.len(),
        percentile(&mut woken, 50),
        percentile(&mut woken, 100)
    );
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let number = |place: usize, usual| {
        words
            .get(place)
            .and_then(|word| word.parse().ok())
            .unwrap_or(usual)
    };
    match words.first().map_or("steps", String::as_str) {
        "streams" => streams(number(1, 200), number(2, 20)).await,
        "waiting" => waiting(number(1, 1000)).await,
        _ => steps(number(1, 30)).await,
    }
}
