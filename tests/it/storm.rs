//! Many mails at once, through a provider whose answers get lost and a program that is killed: each goes out
//! once, or somebody is asked.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use paraplanner::simulator::google::{Decision, Switches};
use paraplanner::simulator::model::{CHAT_MODEL, Turn};
use paraplanner::simulator::{Fault, Misbehaviour, Simulator};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::size;
use crate::browser::{Browser, error_of};
use crate::practice::ANN;
use crate::process::{Program, command};
use crate::server::TestDatabase;
use crate::world::http;

/// Of a hundred answers of Gmail's, so many are lost after the deed.
const LOST: u32 = 30;

/// One database, and one program after another over it.
struct Office<'a> {
    simulator: &'a Simulator,
    folder: TempDir,
    database: TestDatabase,
    program: Option<Program>,
    token: String,
}

impl Office<'_> {
    fn open(&mut self) {
        let mut command = command(self.folder.path());
        command
            .envs(self.simulator.settings())
            .env("DATABASE_URL", self.database.url().as_str())
            .env(
                "OPENAI_BASE_URL",
                format!("{}v1", self.simulator.world().url()),
            )
            .env("OPENAI_API_KEY", "any")
            .env("OPENAI_CHAT_MODEL", CHAT_MODEL)
            .env("OPENAI_EMBEDDING_MODEL", "built-in")
            .env("GMAIL_UNITS_PER_MINUTE", "0")
            .env("RATE_LIMIT_PER_USER", "0")
            .env("RATE_LIMIT_LLM_PER_USER", "0")
            .env("RATE_LIMIT_LLM_GLOBAL", "0")
            .env("WORKER_LOCK_TIMEOUT", "3");
        self.program = Some(Program::of(&mut command));
    }

    fn url(&self) -> &str {
        &self.program.as_ref().unwrap().url
    }

    fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// Signs in, and keeps a token that may decide: it is of use to every program after this one.
    async fn sign_in(&mut self) {
        let origin = self.url().replace("127.0.0.1", "localhost");
        let mut ann = Browser::at(self.url(), &origin, &http());
        assert_eq!(error_of(&ann.sign_in("/api/auth/google/start").await), None);
        let budget = json!({"daily_token_budget": 1_000_000_000});
        ann.put("/api/settings", &budget).await.ok();
        let scopes = json!({"name": "storm", "scopes": ["read", "write", "approve"]});
        let token = ann.post("/api/auth/tokens", &scopes).await.ok();
        token["token"].as_str().unwrap().clone_into(&mut self.token);
    }

    /// None when the program went away meanwhile.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
        let reply = request.bearer_auth(&self.token).send().await.ok()?;
        let status = reply.status().as_u16();
        let body = reply.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = self
            .ask(http().get(format!("{}{path}", self.url())))
            .await?;
        assert_eq!(status, 200, "{path}: {body}");
        Some(body)
    }

    async fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = http().post(format!("{}{path}", self.url())).json(body);
        self.ask(request).await
    }

    /// All of a list, page by page.
    async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .get(&format!("{path}&limit=200{cursor}"))
                .await
                .unwrap();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Asks the assistant for a mail; the approval that it waits for.
    async fn propose(&self, number: usize) -> String {
        let to = format!("client{number}@example.com");
        let mail =
            json!({"to": to, "subject": format!("Letter {number}"), "text": "Shall we meet?"});
        let model = self.simulator.world().model();
        model.script(Turn::call("send_email", mail));
        let message = json!({"message": format!("Write to {to}: shall we meet?")});
        let (status, answer) = self.post("/api/chat/message", &message).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let id = answer["approvals"][0]["id"].as_str();
        id.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_go_out_once_through_lost_answers_and_kills() {
    let (sends, kills) = (size("STORM_SENDS", 30), size("STORM_KILLS", 3));
    let seed = size("STORM_SEED", 11);
    println!("STORM_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
    let simulator = crate::world::simulator().await;
    let google = simulator.world().google();
    google.add_account(ANN, "Ann Advisor");
    google.decide(Decision::Allow {
        email: ANN.to_owned(),
    });
    google.set_switches(Switches {
        replace_message_ids: true,
        ..Switches::default()
    });
    let mut office = Office {
        simulator: &simulator,
        folder: TempDir::new().unwrap(),
        database: TestDatabase::create().await,
        program: None,
        token: String::new(),
    };
    office.open();
    office.sign_in().await;
    let mut left = VecDeque::new();
    for number in 0..sends {
        left.push_back(office.propose(number).await);
    }

    for path in ["/gmail/v1/users/me/*", "/batch/gmail/v1"] {
        simulator.world().faults().add(Fault {
            times: None,
            percent: Some(LOST),
            ..Fault::next(path, 0, Misbehaviour::CutAfter)
        });
    }
    let began = Instant::now();
    let patience =
        Duration::from_secs(120) + Duration::from_secs(2) * u32::try_from(sends).unwrap();
    let mut killed = 0;
    // Until all is allowed and everybody was killed who shall be; then until all has ended.
    loop {
        assert!(began.elapsed() < patience, "it doesn't end");
        let calm = Duration::from_millis(random.random_range(100..1500));
        let until = Instant::now() + calm;
        while Instant::now() < until
            && let Some(id) = left.pop_front()
        {
            let path = format!("/api/approvals/{id}/approve");
            match office.post(&path, &json!({})).await {
                // Allowed before, when the answer didn't come through.
                Some((200 | 409, _)) => {}
                Some((status, body)) => panic!("{status}: {body}"),
                None => left.push_back(id),
            }
        }
        if killed < kills {
            tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
            office.kill();
            killed += 1;
            office.open();
            continue;
        }
        if left.is_empty() && google.sent(ANN).len() >= sends {
            break;
        }
        let asked = office.all("/api/approvals?state=pending").await.len();
        if left.is_empty() && live(&office).await.len() <= asked {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // What has gone out is still to be told.
    let asked = loop {
        let asked = office.all("/api/approvals?state=pending").await.len();
        let live = live(&office).await;
        assert!(began.elapsed() < patience, "it isn't told: {live:?}");
        if live.len() <= asked {
            break asked;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for mail in google.sent(ANN) {
        *times.entry(mail.subject).or_default() += 1;
    }
    let doubled: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    let failed = office.all("/api/tasks?state=failed").await;
    let is_draft =
        |(_, labels): &(String, Vec<String>)| labels.iter().any(|label| label == "DRAFT");
    println!(
        "{sends} sends, {killed} kills, {LOST} % of the answers lost: {} sent, {} twice, {asked} asked about, \
         {} failed, {} drafts left, {:?}",
        times.len(),
        doubled.len(),
        failed.len(),
        google
            .messages(ANN)
            .iter()
            .filter(|one| is_draft(one))
            .count(),
        began.elapsed(),
    );
    assert!(doubled.is_empty(), "{doubled:?}");
    assert!(failed.is_empty(), "{failed:?}");
    assert!(times.len() + asked >= sends);
    assert!(asked * 100 <= sends, "{asked} asked about");
}

/// Runs that haven't ended.
async fn live(office: &Office<'_>) -> Vec<Value> {
    let mut live = Vec::new();
    for state in ["pending", "in_progress", "waiting"] {
        let path = format!("/api/tasks?type=assistant_run&state={state}");
        live.extend(office.all(&path).await);
    }
    live
}
