//! Fifty canaries in every secret and personal field, requests that go wrong in every way that we can bring
//! about, and a look for them where nobody may find one: the log, the metrics, the traces, the reports, the
//! bodies of errors. `LEAK_REQUESTS` makes it longer.

use std::fs::File as LogFile;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use paraplanner::simulator::google::{Decision, Delivery};
use paraplanner::simulator::hubspot::{self, Decision as Choice};
use paraplanner::simulator::model::{CHAT_MODEL, Turn};
use paraplanner::simulator::{Fault, Misbehaviour, Simulator};
use rand::Rng as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, ORIGIN, REFERER, USER_AGENT};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tempfile::TempDir;

use crate::bench::size;
use crate::browser::{Browser, error_of};
use crate::client::{File, Reply, form, form_type};
use crate::practice::{ANN, PORTAL};
use crate::process::{Program, command};
use crate::server::TestDatabase;
use crate::telemetry::Receiver;
use crate::world::{eventually, http};

/// Whoever writes a rule is told where it stops making sense, in their own words.
const SAID_BACK: [&str; 2] = ["a broken rule", "a rule in plain words"];

/// Words that stand nowhere else, each for one field.
#[derive(Default)]
struct Canaries(Vec<(&'static str, String)>);

impl Canaries {
    /// A canary of letters, which may stand in an address, a header or a name as well.
    fn of(&mut self, field: &'static str) -> String {
        let mut random = rand::rng();
        let random: String = (0..10).map(|_| random.random_range('a'..='z')).collect();
        let word = format!("Kanari{random}");
        self.is(field, &word);
        word
    }

    /// A secret that somebody else made.
    fn is(&mut self, field: &'static str, secret: &str) {
        assert!(secret.len() >= 12, "{field} is too short to be looked for");
        self.0.push((field, secret.to_owned()));
    }

    /// Which of them stand in a text, in any case of letters.
    fn in_text(&self, text: &[u8]) -> Vec<&'static str> {
        let text = String::from_utf8_lossy(text).to_lowercase();
        let found = |word: &str| text.contains(&word.to_lowercase());
        self.0
            .iter()
            .filter(|(_, word)| found(word))
            .map(|(field, _)| *field)
            .collect()
    }
}

/// What stands at Google and HubSpot.
fn fill(simulator: &Simulator, canaries: &mut Canaries) {
    let google = simulator.world().google();
    google.add_account(ANN, &canaries.of("the advisor's name"));
    let mut of = |field| canaries.of(field);
    let mail = format!(
        "From: {} <{}@{}.example>\r\nTo: {} <{ANN}>\r\nCc: {}@example.com\r\nSubject: {}\r\n\
         Message-ID: <{}@example.com>\r\nDate: {}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n\
         <p>{}</p><a href=\"https://{}.example/\">x</a>\r\n--b\r\nContent-Type: text/plain\r\n\
         Content-Disposition: attachment; filename={}.txt\r\n\r\n{}\r\n--b--\r\n",
        of("a sender's name"),
        of("a sender's address"),
        of("a sender's domain"),
        of("a recipient's name"),
        of("a copy's address"),
        of("a subject"),
        of("a message id"),
        Utc::now().to_rfc2822(),
        of("a mail's text"),
        of("a link"),
        of("an attachment's name"),
        of("an attachment's text"),
    );
    google
        .deliver(ANN, mail.as_bytes(), Delivery::default())
        .unwrap();
    let tomorrow = Utc::now() + TimeDelta::days(1);
    let event = json!({
        "summary": of("an appointment's title"),
        "description": of("an appointment's description"),
        "location": of("an appointment's place"),
        "start": {"dateTime": tomorrow.to_rfc3339()},
        "end": {"dateTime": (tomorrow + TimeDelta::hours(1)).to_rfc3339()},
        "attendees": [{"email": format!("{}@example.com", of("a guest's address")),
            "displayName": of("a guest's name")}],
    });
    google.add_event(ANN, &event).unwrap();

    let hubspot = simulator.world().hubspot();
    hubspot.add_portal(PORTAL, "firm.example");
    hubspot.add_user(PORTAL, 9001, ANN);
    let portal = simulator.world().portal(PORTAL);
    let email = format!("{}@example.com", of("a contact's address"));
    let contact = [
        ("firstname", of("a contact's first name")),
        ("lastname", of("a contact's last name")),
        ("email", email),
        ("company", of("a contact's company")),
        ("city", of("a contact's town")),
        ("jobtitle", of("a contact's job")),
    ];
    let contact: Vec<(&str, &str)> = contact
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let id = portal.add_contact(&contact).unwrap();
    let now = simulator.world().clock().now();
    portal.add_note(id, &of("a note"), now).unwrap();
    portal.add_deal(id, &[("dealname", &of("a deal"))]).unwrap();
}

/// The program over one database and log, started as often as need be.
struct Desk<'a> {
    folder: &'a Path,
    settings: Vec<(&'static str, String)>,
}

impl Desk<'_> {
    fn start(&self, more: &[(&str, &str)]) -> Program {
        let log = LogFile::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        let mut command: Command = command(self.folder);
        command
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .envs(more.iter().copied())
            .env("LOG_LEVEL", "paraplanner=debug,info");
        Program::logging(&mut command, log)
    }

    fn browser(program: &Program) -> Browser {
        let origin = program.url.replace("127.0.0.1", "localhost");
        Browser::at(&program.url, &origin, &http())
    }
}

/// Faults at the other ends, whose words may not be passed on either.
fn trouble(simulator: &Simulator, theirs: &str) {
    // One word could be a code of theirs, which the log may name.
    let words = format!("about {theirs} nothing is known");
    let answer = |status| Misbehaviour::Answer {
        status,
        body: json!({"error": {"message": words, "code": words, "status": words}, "message": words,
            "error_description": words})
        .to_string(),
        content_type: Some("application/json".to_owned()),
    };
    for (path, then) in [
        ("/v1/chat/completions", answer(400)),
        ("/gmail/v1/*", answer(404)),
        ("/calendar/v3/*", answer(400)),
        ("/crm/*", answer(400)),
        ("/v1/chat/completions", answer(200)),
        ("/gmail/v1/*", answer(200)),
        ("/crm/*", Misbehaviour::CutBefore),
    ] {
        simulator.world().faults().add(Fault::next(path, 1, then));
    }
}

/// What is asked of the program while things go wrong.
struct Mischief {
    base: String,
    origin: String,
    session: String,
    words: [String; 14],
}

impl Mischief {
    fn request(&self, number: usize) -> RequestBuilder {
        let [
            path,
            query,
            question,
            broken,
            rule,
            plain,
            zone,
            forged,
            key,
            name,
            cookie,
            header,
            title,
            code,
        ] = &self.words;
        let at = |method: Method, path: &str| {
            http()
                .request(method, format!("{}{path}", self.base))
                .header(USER_AGENT, header)
                .header(REFERER, format!("https://{header}.example/"))
        };
        let ours = |method: Method, path: &str| {
            at(method, path)
                .header(COOKIE, &self.session)
                .header(ORIGIN, &self.origin)
        };
        let post = |path: &str, body: serde_json::Value| ours(Method::POST, path).json(&body);
        match number % 24 {
            0 => ours(Method::GET, &format!("/api/emails/{path}")),
            1 => ours(Method::GET, &format!("/{path}?q={query}&limit=0")),
            2 => ours(Method::GET, &format!("/api/contacts?q={query}&limit=0")),
            3 => post("/api/chat/message", json!({"message": question})),
            4 => ours(Method::POST, "/api/chat/message")
                .header(CONTENT_TYPE, "application/json")
                .body(format!("{{\"message\": \"{broken}\",")),
            5 => post(
                "/api/rules",
                json!({"text": format!("when gmail.* {rule} then")}),
            ),
            6 => post(
                "/api/rules/preview",
                json!({"text": format!("Whenever {plain} calls, be happy")}),
            ),
            7 => ours(Method::PUT, "/api/settings").json(&json!({"time_zone": zone})),
            8 => at(Method::POST, "/api/webhooks/hubspot")
                .header("x-hubspot-signature-v3", forged)
                .header("x-hubspot-request-timestamp", "1752613922216")
                .body(format!("[{{\"subscriptionType\": \"{forged}\"}}]")),
            9 => at(Method::POST, "/api/webhooks/gmail")
                .header(AUTHORIZATION, format!("Bearer {key}.{key}.{key}"))
                .json(&json!({"message": {"data": broken}})),
            10 => ours(Method::POST, "/api/ingest/documents")
                .header(CONTENT_TYPE, form_type())
                .body(form(&[File::new(
                    &format!("{name}.pdf"),
                    format!("%PDF-1.4 {broken}"),
                )])),
            11 => at(Method::GET, "/api/tasks").header(COOKIE, format!("session={cookie}")),
            12 => at(Method::GET, "/api/tasks").header(AUTHORIZATION, format!("Bearer ppt_{key}")),
            13 => at(
                Method::GET,
                &format!("/api/auth/google/callback?code={code}&state={code}&error={code}"),
            ),
            14 => ours(
                Method::PATCH,
                "/api/conversations/0198c0f2-5a6b-7c1d-8e2f-3a4b5c6d7e8f",
            )
            .json(&json!({"title": title})),
            15 => post("/api/ingest/emails", json!({})),
            16 => post("/api/ingest/contacts", json!({})),
            17 => post("/api/ingest/calendar", json!({})),
            18 => at(Method::POST, "/api/webhooks/calendar")
                .header("x-goog-channel-id", cookie)
                .header("x-goog-channel-token", key),
            19 => at(Method::POST, "/api/chat/message")
                .header(COOKIE, &self.session)
                .header(ORIGIN, format!("https://{header}.example"))
                .json(&json!({"message": question})),
            20 => post(
                "/api/approvals/0198c0f2-5a6b-7c1d-8e2f-3a4b5c6d7e8f/reject",
                json!({"reason": title}),
            ),
            21 => post(
                "/api/embeddings/search",
                json!({"query": question, "kinds": [zone]}),
            ),
            22 => post(
                "/api/auth/demo",
                json!({"email": format!("{name} <{name}@")}),
            ),
            _ => ours(
                Method::GET,
                &format!("/api/auth/hubspot/start?return_to=//{path}.example"),
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_found_where_operators_look() {
    let requests = size("LEAK_REQUESTS", 300);
    let mut canaries = Canaries::default();
    let simulator = crate::world::simulator().await;
    fill(&simulator, &mut canaries);
    simulator.world().google().decide(Decision::Allow {
        email: ANN.to_owned(),
    });
    simulator.world().hubspot().decide(Choice::Allow {
        portal: PORTAL,
        user: 9001,
    });
    let receiver = Receiver::start().await;
    let folder = TempDir::new().unwrap();
    let database = TestDatabase::create().await.url();
    canaries.is("the database's password", database.password().unwrap());
    let mut settings: Vec<(&'static str, String)> = simulator.settings();
    settings.extend(receiver.settings());
    settings.extend([
        ("DATABASE_URL", database.to_string()),
        ("DEMO_CONTROLS", "true".to_owned()),
        ("SECRET_KEY", canaries.of("SECRET_KEY").repeat(2)),
        ("METRICS_TOKEN", canaries.of("METRICS_TOKEN")),
        ("OPENAI_API_KEY", canaries.of("OPENAI_API_KEY")),
        ("OPENAI_BASE_URL", format!("{}v1", simulator.world().url())),
        ("OPENAI_CHAT_MODEL", CHAT_MODEL.to_owned()),
    ]);
    for (field, secret) in [
        (
            "GOOGLE_CLIENT_SECRET",
            paraplanner::simulator::google::CLIENT_SECRET,
        ),
        ("HUBSPOT_CLIENT_SECRET", hubspot::CLIENT_SECRET),
    ] {
        canaries.is(field, secret);
    }
    let desk = Desk {
        folder: folder.path(),
        settings,
    };

    // An ordinary morning: everything is connected, read, searched, asked about and set.
    let program = desk.start(&[]);
    let mut ann = Desk::browser(&program);
    assert_eq!(error_of(&ann.sign_in("/api/auth/google/start").await), None);
    assert_eq!(
        error_of(&ann.sign_in("/api/auth/hubspot/start").await),
        None
    );
    let token = json!({"name": canaries.of("a token's name"), "scopes": ["read"]});
    let token = ann.post("/api/auth/tokens", &token).await.ok();
    canaries.is("an API token", token["token"].as_str().unwrap());
    eventually("everything is read", async || {
        let status = ann.get("/api/ingest/status").await.ok();
        let items = status["items"].as_array()?.clone();
        let read = items
            .iter()
            .filter(|item| item["last_synced_at"].is_string());
        (read.count() >= 3).then_some(())
    })
    .await;
    let own = format!("{}@example.com", canaries.of("an address of one's own"));
    let changed = json!({
        "instructions": canaries.of("instructions"),
        "own_addresses": [own],
        "import_scope": {"never_domains": [format!("{}.example", canaries.of("a domain that is left out"))]},
    });
    ann.put("/api/settings", &changed).await.ok();
    let rule = format!(
        "when gmail.message.received then log \"{}\"",
        canaries.of("a rule")
    );
    assert_eq!(
        ann.post("/api/rules", &json!({"text": rule})).await.status,
        201
    );
    let model = simulator.world().model();
    model.script(Turn::call(
        "create_note",
        json!({"contact": format!("{}@example.com", canaries.of("whom the model names")),
            "text": canaries.of("what the model wants")}),
    ));
    model.script(Turn::say(&canaries.of("what the model says")));
    let question = json!({"message": canaries.of("a question")});
    ann.post("/api/chat/message", &question).await.ok();
    let session = ann.cookie("session").unwrap().to_owned();
    canaries.is("a session", &session);
    let metrics_token = canaries
        .0
        .iter()
        .find(|(field, _)| *field == "METRICS_TOKEN");
    let metrics_token = metrics_token.unwrap().1.clone();
    assert_eq!(program.terminate().await, Some(0));

    // A bad day: panics, faults at every other end, and strangers.
    let program = desk.start(&[("FAIL_POINTS", "http.request=23,tasks.attempt=4")]);
    let mischief = Mischief {
        base: program.url.clone(),
        origin: program.url.replace("127.0.0.1", "localhost"),
        session: format!("session={session}"),
        words: [
            canaries.of("a path"),
            canaries.of("a query"),
            canaries.of("another question"),
            canaries.of("broken input"),
            canaries.of("a broken rule"),
            canaries.of("a rule in plain words"),
            canaries.of("a time zone"),
            canaries.of("a forged signature"),
            canaries.of("a forged key"),
            canaries.of("a file's name"),
            canaries.of("a forged session"),
            canaries.of("a header"),
            canaries.of("a title"),
            canaries.of("a provider's code"),
        ],
    };
    assert!(canaries.0.len() >= 50, "{}", canaries.0.len());
    let theirs = canaries.of("a provider's words");
    let (mut panics, mut errors) = (0, Vec::new());
    for number in 0..requests {
        if number % 7 == 0 {
            trouble(&simulator, &theirs);
        }
        let request = mischief.request(number).timeout(Duration::from_secs(60));
        let reply = Reply::read(request.send().await.unwrap()).await;
        if reply.status >= 400 {
            panics += usize::from(reply.status == 500);
            errors.push(reply);
        }
    }
    // It may panic like any other.
    let metrics = eventually("the metrics", async || {
        let request = http()
            .get(format!("{}/metrics", program.url))
            .bearer_auth(&metrics_token);
        let reply = Reply::read(request.send().await.unwrap()).await;
        (reply.status == 200).then_some(reply)
    })
    .await;
    assert_eq!(program.terminate().await, Some(0));

    assert!(panics >= requests / 30, "{panics} panics");
    for error in &errors {
        let mut told = canaries.in_text(&error.body);
        told.retain(|field| !SAID_BACK.contains(field));
        assert!(told.is_empty(), "{told:?} in {}", error.text());
    }
    let log = std::fs::read(folder.path().join("log")).unwrap();
    let text = String::from_utf8_lossy(&log);
    for line in text.lines() {
        let told = canaries.in_text(line.as_bytes());
        assert!(told.is_empty(), "{told:?} in {line}");
    }
    assert!(text.lines().count() >= requests, "it did log");
    assert_eq!(canaries.in_text(&metrics.body), Vec::<&str>::new());
    assert!(metrics.text().contains("paraplanner_panics_total"));
    let arrived = receiver.arrived();
    let of = |part: &str| arrived.iter().filter(|one| one.path.contains(part)).count();
    assert!(
        of("envelope") >= 5 && of("traces") >= 1,
        "{}",
        arrived.len()
    );
    for one in &arrived {
        let told = canaries.in_text(&one.body);
        assert!(told.is_empty(), "{told:?} in {}", one.path);
    }
    eprintln!(
        "{} canaries, {requests} requests, {} errors, {panics} panics, {} lines, {} deliveries: none found",
        canaries.0.len(),
        errors.len(),
        text.lines().count(),
        arrived.len(),
    );
}
