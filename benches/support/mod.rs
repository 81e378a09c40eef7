//! The program as a process of its own, beside simulated providers without limits, for benchmarks.
//! `DATABASE_URL` is used when it is set; the program's own Postgres otherwise.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use paraplanner::simulator::Simulator;
use paraplanner::simulator::google::Decision;
use paraplanner::simulator::hubspot;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::Value;

pub const ADVISOR: &str = "advisor@firm.example";
pub const PORTAL: u64 = 4242;

/// Embeddings are asked for where nobody answers.
pub const WITHOUT_EMBEDDING: [(&str, &str); 2] = [
    ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
    ("OPENAI_EMBEDDING_MODEL", "nobody"),
];

pub struct Program {
    child: Child,
    pub url: String,
    pub cookie: String,
    pub http: reqwest::Client,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    pub fn start_with(
        data: &std::path::Path,
        simulator: &Simulator,
        settings: &[(&str, &str)],
    ) -> Self {
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
            .env("RATE_LIMIT_GLOBAL", "0")
            .env("RATE_LIMIT_WEBHOOKS", "0")
            .env("RATE_LIMIT_LLM_PER_USER", "0")
            .envs(simulator.settings())
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stdin(Stdio::null());
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
    pub async fn follow(&mut self, path: &str) {
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

    pub async fn source(&self, name: &str) -> Value {
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
    pub async fn until(&self, source: &str, is: impl Fn(&Value) -> bool) -> Duration {
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
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes / 1024)
    }
}

/// An account at each provider.
pub fn open_accounts(simulator: &Simulator) {
    simulator.world().google().add_account(ADVISOR, "Advisor");
    let hubspot = simulator.world().hubspot();
    hubspot.add_portal(PORTAL, "firm.example");
    hubspot.add_user(PORTAL, 9001, ADVISOR);
    hubspot.set_limits(false, false);
}

impl Program {
    pub async fn sign_in(&mut self, simulator: &Simulator) {
        simulator.world().google().decide(Decision::Allow {
            email: ADVISOR.to_owned(),
        });
        self.follow("/api/auth/google/start").await;
    }

    pub async fn connect_hubspot(&mut self, simulator: &Simulator) {
        let decision = hubspot::Decision::Allow {
            portal: PORTAL,
            user: 9001,
        };
        simulator.world().hubspot().decide(decision);
        self.follow("/api/auth/hubspot/start").await;
    }
}
