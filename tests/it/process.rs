//! The real binary with a data directory of its own: starting, refusing to, being killed, stopping.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use paraplanner::simulator::google::{Decision, Delivery};
use paraplanner::simulator::model::{CHAT_MODEL, Turn};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::browser::{Browser, error_of};
use crate::client::{Advisor, File};
use crate::files::{self, SARA};
use crate::server::TestDatabase;
use crate::world::{eventually, http};

/// The program in a folder of its own, as on a new machine.
pub fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paraplanner"));
    command
        .current_dir(data_dir)
        .env("DATA_DIR", data_dir.join("data"))
        .env("PORT", "0")
        .env("DEMO_MODE", "true")
        .env("LOG_FORMAT", "json")
        .env("RATE_LIMIT_PER_USER", "0")
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null());
    command
}

/// Until it ends by itself.
pub fn output(command: &mut Command) -> Output {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running server; killed when dropped.
pub struct Program {
    child: Child,
    pub url: String,
}

impl Program {
    fn start(data_dir: &Path) -> Self {
        Self::of(&mut command(data_dir))
    }

    pub fn of(command: &mut Command) -> Self {
        Self::logging(command, Stdio::null())
    }

    /// Where its log goes.
    pub fn logging(command: &mut Command, log: impl Into<Stdio>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("the first line: {line}{:?}", child.try_wait()))
            .to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        Self { child, url }
    }

    pub async fn advisor(&self) -> Advisor {
        Advisor::sign_in(
            &self.url,
            &self.url.replace("127.0.0.1", "localhost"),
            &http(),
            "alex@example.com",
        )
        .await
    }

    async fn is_healthy(&self) -> bool {
        http()
            .get(format!("{}/health", self.url))
            .send()
            .await
            .is_ok_and(|reply| reply.status().is_success())
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub async fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        eventually("the process ends", async || self.child.try_wait().unwrap())
            .await
            .code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_bad_setting_ends_the_start_with_one_line_that_names_it() {
    for (name, value) in [
        ("PORT", "eighty"),
        ("APP_ENV", "staging"),
        ("PUBLIC_URL", "somewhere"),
        ("DATABASE_URL", "mysql://x"),
        ("DATABASE_MAX_CONNECTIONS", "few"),
        ("WORKER_POLL_INTERVAL", "soon"),
        ("OPENAI_BASE_URL", "ftp://models.example.com"),
        ("DEMO_MODE", "maybe"),
        ("UPLOAD_MAX_BYTES", "lots"),
        ("FAIL_POINTS", "nowhere=1"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("REDIS_URL", "http://cache.example"),
        ("RATE_LIMIT_LLM_GLOBAL", "-1"),
    ] {
        let folder = TempDir::new().unwrap();
        let ended = output(command(folder.path()).env(name, value));
        assert_eq!(ended.status.code(), Some(2), "{name}");
        let said = text(&ended.stderr);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with(&format!("{name}: ")) && !said.contains(value),
            "{said}"
        );
        assert!(ended.stdout.is_empty());
        assert!(
            !folder.path().join("data").exists(),
            "{name}: nothing was made"
        );
    }
}

#[test]
fn production_refuses_what_only_development_may() {
    let folder = TempDir::new().unwrap();
    let ended = output(command(folder.path()).env("APP_ENV", "production"));
    assert_eq!(ended.status.code(), Some(2));
    let said = text(&ended.stderr);
    for name in ["SECRET_KEY", "DATABASE_URL", "DEMO_MODE"] {
        assert!(
            said.lines()
                .any(|line| line.starts_with(&format!("{name}: "))),
            "{name}: {said}"
        );
    }
}

#[tokio::test]
async fn an_import_goes_on_after_a_kill_and_loses_nothing() {
    const MAILS: usize = 1500;
    let folder = TempDir::new().unwrap();
    let mails: Vec<String> = (0..MAILS)
        .map(|number| {
            files::mail(
                &format!("m{number}"),
                SARA,
                &format!("Letter {number}"),
                &format!("This is letter {number} about the pension."),
            )
        })
        .collect();
    let mailbox = files::mbox(&mails);

    let first = Program::start(folder.path());
    let alex = first.advisor().await;
    let task = alex
        .upload(&[File::new("Mail.mbox", mailbox.clone())])
        .await;
    eventually("a part is stored", async || {
        let state = alex.get(&format!("/api/tasks/{task}")).await.ok();
        (state["progress"]["done"].as_i64() > Some(0)).then_some(())
    })
    .await;
    first.kill();

    let second = Program::start(folder.path());
    let alex = second.advisor().await;
    let ended = alex.ended(&task).await;
    assert_eq!(ended["state"], "done", "{ended}");
    let report = &ended["result"]["files"][0];
    assert_eq!(report["imported"], MAILS, "{report}");
    assert_eq!(report["unreadable_count"], 0);
    let again = alex.import(&[File::new("Mail.mbox", mailbox)]).await;
    assert_eq!(
        (&again[0]["imported"], &again[0]["unchanged"]),
        (&0.into(), &MAILS.into())
    );
    assert_eq!(second.terminate().await, Some(0));
}

#[tokio::test]
async fn the_reading_of_a_mailbox_goes_on_after_a_kill_and_repeats_nothing() {
    const MAILS: usize = 900;
    const ANN: &str = "ann@advisors.example";
    let simulator = crate::world::simulator().await;
    let google = simulator.world().google();
    google.add_account(ANN, "Ann Advisor");
    let mails = (0..MAILS).map(|number| {
        let (subject, text) = (
            format!("Letter {number}"),
            format!("Letter {number} on the pension."),
        );
        let raw = files::mail(&format!("m{number}"), SARA, &subject, &text);
        (raw.into_bytes(), Delivery::default())
    });
    google.deliver_all(ANN, mails);
    google.decide(Decision::Allow {
        email: ANN.to_owned(),
    });
    let folder = TempDir::new().unwrap();
    let start = || Program::of(command(folder.path()).envs(simulator.settings()));
    let browser = |program: &Program| {
        let origin = program.url.replace("127.0.0.1", "localhost");
        Browser::at(&program.url, &origin, &http())
    };
    let gmail = async |browser: &mut Browser| {
        let status = browser.get("/api/ingest/status").await.ok();
        let items = status["items"].as_array().unwrap().clone();
        items.into_iter().find(|item| item["source"] == "gmail")
    };

    let mut program = start();
    let mut ann = browser(&program);
    assert_eq!(error_of(&ann.sign_in("/api/auth/google/start").await), None);
    let mut kills = 0;
    let done = loop {
        let wanted = 97 * (kills + 1);
        let seen = loop {
            let item = gmail(&mut ann).await;
            let done = item
                .as_ref()
                .map_or(0, |item| item["done"].as_i64().unwrap());
            let ended = item
                .as_ref()
                .is_some_and(|item| item["last_synced_at"].is_string());
            if ended || done >= wanted {
                break item.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        if seen["last_synced_at"].is_string() {
            break seen;
        }
        program.kill();
        kills += 1;
        program = start();
        let cookie = ann.cookie("session").unwrap().to_owned();
        ann = browser(&program);
        ann.set_cookie("session", &cookie);
    };
    assert!(
        kills >= 1,
        "the reading was over before it could be interrupted"
    );
    assert_eq!(done["done"], MAILS, "{done}");
    // What is stored isn't fetched again: each kill costs a page, and the one that was fetched ahead.
    let entries = simulator.world().journal().entries();
    let fetched: usize = entries
        .iter()
        .filter(|entry| entry.path == "/batch/gmail/v1")
        .map(|entry| entry.body.matches("/users/me/messages/").count())
        .sum();
    let kills = usize::try_from(kills).unwrap();
    assert!(
        fetched <= MAILS + kills * 200,
        "{fetched} after {kills} kills"
    );
    let listed = entries
        .iter()
        .filter(|entry| entry.path == "/gmail/v1/users/me/messages")
        .count();
    assert!(
        listed <= MAILS / 100 + 1 + kills * 2,
        "{listed} after {kills} kills"
    );
    let found = ann
        .post(
            "/api/embeddings/search",
            &json!({"query": "pension", "top_k": 50, "kinds": ["email"]}),
        )
        .await
        .ok();
    let ids: std::collections::BTreeSet<String> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["title"].to_string())
        .collect();
    assert_eq!(
        ids.len(),
        found["items"].as_array().unwrap().len(),
        "each letter once"
    );
    assert_eq!(program.terminate().await, Some(0));
}

#[tokio::test]
async fn a_data_directory_has_one_owner_and_import_works_beside_it_and_alone() {
    let folder = TempDir::new().unwrap();
    let program = Program::start(folder.path());

    let refused = output(&mut command(folder.path()));
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    let last = said.lines().last().unwrap_or_default();
    assert!(
        last.contains("another paraplanner runs on the data directory"),
        "{said}"
    );
    assert!(refused.stdout.is_empty());
    assert!(program.is_healthy().await);

    let import = |name: &str, content: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        let ended = output(
            command(folder.path())
                .args(["import", "--user", "alex@example.com"])
                .arg(&file),
        );
        assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
        text(&ended.stdout)
    };
    let said = import("beside.md", "The bakery in Dover was sold.");
    assert!(
        said.starts_with("beside.md: 1 imported, 0 unchanged, 0 unreadable"),
        "{said}"
    );
    let alex = program.advisor().await;
    let hits = alex.search("bakery in Dover").await;
    assert_eq!(hits[0]["title"], "beside", "{hits:?}");

    assert_eq!(program.terminate().await, Some(0));
    let said = import("alone.md", "The boat was sold in May.");
    assert!(
        said.starts_with("alone.md: 1 imported, 0 unchanged, 0 unreadable"),
        "{said}"
    );
    assert!(said.contains("2 passages can be searched"), "{said}");
    let said = import("alone.md", "The boat was sold in May.");
    assert!(
        said.starts_with("alone.md: 0 imported, 1 unchanged"),
        "{said}"
    );

    let missing = output(command(folder.path()).args(["import", "no-such-file.md"]));
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("no-such-file.md"));
}

#[tokio::test]
async fn while_it_stops_it_says_that_it_is_not_ready() {
    let folder = TempDir::new().unwrap();
    let program = Program::start(folder.path());
    let ready = async |url: &str| {
        let reply = http().get(format!("{url}/ready")).send().await.ok()?;
        Some((reply.status().as_u16(), reply.text().await.ok()?))
    };
    eventually("it is ready", async || {
        (ready(&program.url).await?.0 == 200).then_some(())
    })
    .await;
    let url = program.url.clone();
    let pid = Pid::from_raw(i32::try_from(program.child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    // New connections are still answered for a moment, so that a balancer hears it.
    let body = eventually("it says that it stops", async || {
        ready(&url).await.filter(|(status, _)| *status == 503)
    })
    .await;
    assert!(body.1.contains("stopping"), "{}", body.1);
    let mut program = program;
    let ended = eventually("the process ends", async || {
        program.child.try_wait().unwrap()
    })
    .await;
    assert_eq!(ended.code(), Some(0));
    tokio::time::timeout(Duration::from_secs(1), async {
        assert!(!program.is_healthy().await);
    })
    .await
    .unwrap();
    let mut rest = String::new();
    if let Some(out) = program.child.stdout.as_mut() {
        out.read_to_string(&mut rest).unwrap();
    }
    assert!(
        rest.is_empty(),
        "standard output is for the address alone: {rest}"
    );
}

#[tokio::test]
async fn a_process_that_only_works_does_the_work_and_answers_operators_alone() {
    let database = TestDatabase::create().await;
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let server = Program::of(
        command(folders[0].path())
            .env("DATABASE_URL", database.url().as_str())
            .env("WORKER_ENABLED", "false"),
    );
    let worker = Program::of(
        command(folders[1].path())
            .arg("worker")
            .env("DATABASE_URL", database.url().as_str()),
    );
    let alex = server.advisor().await;
    let note = File::new("note.md", "The trust deed lies in the safe.");
    alex.import(&[note]).await;
    let at_worker = async |path: &str| {
        let url = format!("{}{path}", worker.url);
        http().get(url).send().await.unwrap()
    };
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(at_worker(path).await.status(), 200, "{path}");
    }
    let metrics = at_worker("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("kind=\"import_documents\",outcome=\"done\"} 1"));
    for path in ["/", "/api/tasks", "/docs"] {
        assert_eq!(at_worker(path).await.status(), 404, "{path}");
    }
    assert_eq!(worker.terminate().await, Some(0));
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn setup_check_tells_what_to_enter_and_what_is_wrong() {
    let simulator = crate::world::simulator().await;
    let check = async |changed: &[(&str, &str)]| {
        let folder = TempDir::new().unwrap();
        let mut command = command(folder.path());
        command
            .arg("setup-check")
            .env("PUBLIC_URL", simulator.world().url().as_str())
            // No database answers there: what needs one is passed over.
            .env("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none")
            .envs(simulator.settings())
            .envs(changed.iter().copied());
        let ended = tokio::task::spawn_blocking(move || output(&mut command))
            .await
            .unwrap();
        (ended.status.code(), text(&ended.stdout))
    };
    let failures = |said: &str| {
        said.lines()
            .filter(|line| line.starts_with("FAIL"))
            .map(|line| {
                line.split(':').next().unwrap()["FAIL ".len()..]
                    .trim()
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    // The simulator has no /health: of the rest nothing is wrong.
    let (code, said) = check(&[]).await;
    assert_eq!(
        (code, failures(&said)),
        (Some(1), vec!["PUBLIC_URL http".to_owned()]),
        "{said}"
    );
    for value in [
        "/api/auth/google/callback",
        "/api/auth/hubspot/callback",
        "https://www.googleapis.com/auth/gmail.modify",
        "crm.objects.contacts.write",
    ] {
        assert!(said.contains(value), "{said}");
    }
    let (_, said) = check(&[
        ("GOOGLE_CLIENT_SECRET", "another"),
        ("HUBSPOT_CLIENT_ID", "another"),
    ])
    .await;
    let wrong = failures(&said);
    assert!(
        wrong.contains(&"Google, client id and secret".to_owned()),
        "{said}"
    );
    assert!(
        wrong.contains(&"HubSpot, client id and secret".to_owned()),
        "{said}"
    );
    let (_, said) = check(&[("GOOGLE_JWKS_URL", "http://127.0.0.1:9/certs")]).await;
    assert!(
        failures(&said).contains(&"Google, keys".to_owned()),
        "{said}"
    );
    assert!(!said.contains("simulated-google-client-secret"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_of_the_assistants_work_sends_once_and_asks_once() {
    const ANN: &str = "ann@advisors.example";
    let simulator = crate::world::simulator().await;
    let google = simulator.world().google();
    google.add_account(ANN, "Ann Advisor");
    google.decide(Decision::Allow {
        email: ANN.to_owned(),
    });
    let folder = TempDir::new().unwrap();
    let model = format!("{}v1", simulator.world().url());
    let start = |point: Option<&str>| {
        let mut command = command(folder.path());
        command
            .envs(simulator.settings())
            .env("OPENAI_BASE_URL", &model)
            .env("OPENAI_API_KEY", "any")
            .env("OPENAI_CHAT_MODEL", CHAT_MODEL)
            .env("WORKER_LOCK_TIMEOUT", "3");
        if let Some(point) = point {
            command.env("FAIL_POINTS", point);
        }
        Program::of(&mut command)
    };
    let browser = |program: &Program, cookie: Option<&str>| {
        let origin = program.url.replace("127.0.0.1", "localhost");
        let mut browser = Browser::at(&program.url, &origin, &http());
        if let Some(cookie) = cookie {
            browser.set_cookie("session", cookie);
        }
        browser
    };
    let mut cookie: Option<String> = None;
    for point in [
        "effects.planned=1",
        "effects.sending=1",
        "effects.drafted=1",
        "effects.sent=1",
        "effects.ended=1",
        "agent.recorded=1",
        "agent.recorded=2",
    ] {
        let mut program = start(Some(point));
        let mut ann = browser(&program, cookie.as_deref());
        if cookie.is_none() {
            assert_eq!(error_of(&ann.sign_in("/api/auth/google/start").await), None);
            cookie = ann.cookie("session").map(str::to_owned);
        }
        let mail = json!({"to": "sara@example.com", "subject": point, "text": "Shall we meet?"});
        simulator
            .world()
            .model()
            .script(Turn::call("send_email", mail));
        simulator
            .world()
            .model()
            .script(Turn::say(&format!("Done: {point}")));
        let question = json!({"message": format!("Write to sara@example.com: {point}")});
        let answer = ann.post("/api/chat/message", &question).await.ok();
        let approval = answer["approvals"][0]["id"].as_str().unwrap();
        let path = format!("/api/approvals/{approval}/approve");
        ann.post(&path, &json!({})).await.ok();
        eventually(&format!("it dies at {point}"), async || {
            program.child.try_wait().unwrap()
        })
        .await;
        drop(program);
        let program = start(None);
        let mut ann = browser(&program, cookie.as_deref());
        let path = format!(
            "/api/conversations/{}",
            answer["conversation_id"].as_str().unwrap()
        );
        eventually(&format!("the end after {point}"), async || {
            let whole = ann.get(&path).await.ok();
            let last = whole["messages"].as_array()?.last()?["text"].clone();
            (last == format!("Done: {point}")).then_some(())
        })
        .await;
        let sent = google.sent(ANN);
        let of_this = sent.iter().filter(|mail| mail.subject == point).count();
        assert_eq!(of_this, 1, "{point}");
        assert_eq!(simulator.world().model().turns_left(), 0, "{point}");
        program.kill();
    }
}
