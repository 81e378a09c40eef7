//! The first import, and a second look at what is unchanged, against simulated providers without limits
//! on the same machine: `cargo bench --bench import -- mails 20000`, `… contacts 25000`. A third word
//! `embedding` leaves the built-in embedder on; otherwise embeddings go to a port where nobody answers.
//! `DATABASE_URL` is used when it is set; the program's own Postgres otherwise.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use paraplanner::clock::Clock;
use paraplanner::simulator::Simulator;
use paraplanner::simulator::google::{Decision, Delivery};
use paraplanner::simulator::hubspot;
use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use serde_json::Value;
use tokio::net::TcpListener;

const ADVISOR: &str = "advisor@firm.example";
const PORTAL: u64 = 4242;
/// Some of what advisors' mails are made of, so that texts differ and have an ordinary length.
const SENTENCES: [&str; 6] = [
    "Thank you for the call on Tuesday, it was good to hear how the house is coming along.",
    "Could you send me the statement of the second account once more?",
    "We have thought about the college fund and would like to put a little more into it each month.",
    "My brother asked whether the trust can hold the cabin as well.",
    "Please don't sell anything before we have spoken about the taxes.",
    "The children are back at school, so mornings are better for us than evenings.",
];

struct Program {
    child: Child,
    url: String,
    cookie: String,
    http: reqwest::Client,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(data: &std::path::Path, simulator: &Simulator, embedding: bool) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paraplanner"));
        command
            .current_dir(data)
            .env("DATA_DIR", data.join("data"))
            .env("PORT", "0")
            .env("LOG_LEVEL", "warn")
            .env("GMAIL_UNITS_PER_MINUTE", "0")
            .env("CALENDAR_CALLS_PER_MINUTE", "0")
            .env("HUBSPOT_CALLS_PER_MINUTE", "0")
            .env("HUBSPOT_SEARCHES_PER_MINUTE", "0")
            .env("RATE_LIMIT_PER_USER", "0")
            .envs(simulator.settings())
            .stdout(Stdio::piped())
            .stdin(Stdio::null());
        if !embedding {
            command
                .env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
                .env("OPENAI_EMBEDDING_MODEL", "nobody");
        }
        let mut child = command.spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("its first line");
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .expect("its address");
        Self {
            url: url.replace("127.0.0.1", "localhost"),
            child,
            cookie: String::new(),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
        }
    }

    /// Follows redirects, and keeps our cookies.
    async fn follow(&mut self, path: &str) {
        let mut at = format!("{}{path}", self.url);
        loop {
            let mut request = self.http.get(&at);
            if at.starts_with(&self.url) {
                request = request.header(COOKIE, &self.cookie);
            }
            let reply = request.send().await.expect("an answer");
            for set in reply.headers().get_all(SET_COOKIE) {
                let pair = set
                    .to_str()
                    .expect("text")
                    .split(';')
                    .next()
                    .expect("a pair");
                if !self.cookie.is_empty() {
                    self.cookie.push_str("; ");
                }
                self.cookie.push_str(pair);
            }
            match reply.headers().get(LOCATION) {
                Some(location) => location.to_str().expect("text").clone_into(&mut at),
                None => return,
            }
        }
    }

    async fn source(&self, name: &str) -> Value {
        let url = format!("{}/api/ingest/status", self.url);
        let reply = self.http.get(url).header(COOKIE, &self.cookie).send();
        let status: Value = reply.await.expect("an answer").json().await.expect("JSON");
        let items = status["items"].as_array().expect("sources");
        items
            .iter()
            .find(|item| item["source"] == name)
            .cloned()
            .unwrap_or_default()
    }

    /// How long until all is there.
    async fn until(&self, source: &str, is: impl Fn(&Value) -> bool) -> Duration {
        let started = Instant::now();
        loop {
            let item = self.source(source).await;
            if is(&item) {
                return started.elapsed();
            }
            assert!(started.elapsed() < Duration::from_secs(3600), "{item}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Megabytes, at most so far.
    fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes / 1024)
    }
}

fn mails(count: u32, now: DateTime<Utc>) -> impl Iterator<Item = (Vec<u8>, Delivery)> {
    let first = now - TimeDelta::days(700);
    (0..count).map(move |n| {
        let at = first + TimeDelta::minutes(i64::from(n));
        let body: Vec<&str> = (0..6 + n % 7)
            .map(|k| SENTENCES[(n * 5 + k * (1 + n % 3)) as usize % SENTENCES.len()])
            .collect();
        let raw = format!(
            "From: Client {n} <client{}@example.com>\r\nTo: {ADVISOR}\r\nSubject: Letter {n}\r\n\
             Message-ID: <bench{n}@example.com>\r\nDate: {}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n",
            n % 400,
            at.to_rfc2822(),
            body.join(" ")
        );
        (
            raw.into_bytes(),
            Delivery {
                labels: Vec::new(),
                at: Some(at),
            },
        )
    })
}

fn report(what: &str, count: u32, took: Duration, memory: Option<u64>) {
    let rate = f64::from(count) / took.as_secs_f64();
    let memory = memory.map_or_else(|| "?".to_owned(), |memory| memory.to_string());
    println!(
        "{what}: {count} in {:.1} s, {rate:.0} a second; memory at most {memory} MB",
        took.as_secs_f64()
    );
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let what = words.first().map_or("mails", String::as_str);
    let count = words
        .get(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(5_000);
    let embedding = words.get(2).is_some_and(|word| word == "embedding");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let simulator = Simulator::start(listener, Clock::default()).expect("a simulator");
    let google = simulator.world().google();
    let now = simulator.world().clock().now();
    google.add_account(ADVISOR, "Advisor");
    let data = tempfile::tempdir().expect("a folder");
    let mut program = Program::start(data.path(), &simulator, embedding);
    let (source, all) = match what {
        "contacts" => {
            let hubspot = simulator.world().hubspot();
            hubspot.add_portal(PORTAL, "firm.example");
            hubspot.add_user(PORTAL, 9001, ADVISOR);
            hubspot.set_limits(false, false);
            let contacts = (0..count).map(|n| {
                let properties = [
                    ("firstname", format!("First{n}")),
                    ("lastname", format!("Last{n}")),
                    ("email", format!("client{n}@example.com")),
                    ("phone", format!("+41 44 {n:07}")),
                ];
                let properties = properties
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                (
                    properties.collect(),
                    Some(now - TimeDelta::days(30) + TimeDelta::seconds(i64::from(n))),
                )
            });
            simulator
                .world()
                .portal(PORTAL)
                .load_contacts(contacts)
                .expect("contacts");
            ("hubspot_contacts", count)
        }
        _ => {
            google.deliver_all(ADVISOR, mails(count, now));
            ("gmail", count)
        }
    };
    google.decide(Decision::Allow {
        email: ADVISOR.to_owned(),
    });
    let mut started = Instant::now();
    program.follow("/api/auth/google/start").await;
    if what == "contacts" {
        program
            .until("gmail", |item| item["last_synced_at"].is_string())
            .await;
        simulator
            .world()
            .hubspot()
            .decide(hubspot::Decision::Allow {
                portal: PORTAL,
                user: 9001,
            });
        started = Instant::now();
        program.follow("/api/auth/hubspot/start").await;
    }
    program
        .until(source, |item| item["done"].as_u64() >= Some(u64::from(all)))
        .await;
    report(what, all, started.elapsed(), program.memory());
    program.until(source, |item| item["state"] == "idle").await;
    if embedding {
        program
            .until("documents", |item| {
                item["state"] == "idle" && item["done"] == item["total"]
            })
            .await;
        let passages = program.source("documents").await["total"]
            .as_u64()
            .unwrap_or(0);
        report(
            "embedded passages",
            u32::try_from(passages).unwrap_or(0),
            started.elapsed(),
            program.memory(),
        );
    }
    let path = if what == "contacts" {
        "contacts"
    } else {
        "emails"
    };
    let begun = Instant::now();
    let origin = program.url.clone();
    let reply = program
        .http
        .post(format!("{}/api/ingest/{path}", program.url))
        .header(COOKIE, &program.cookie)
        .header(ORIGIN, origin)
        .send()
        .await
        .expect("an answer");
    assert_eq!(reply.status(), 202);
    program.until(source, |item| item["state"] == "idle").await;
    println!(
        "a sync of nothing new: {:.3} s until it is seen",
        begun.elapsed().as_secs_f64()
    );
}
