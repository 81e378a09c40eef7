//! The first import, and a second look at what is unchanged, against simulated providers without limits
//! on the same machine: `cargo bench --bench import -- mails 20000`, `… contacts 25000`. A third word
//! `embedding` leaves the built-in embedder on; otherwise embeddings go to a port where nobody answers.

mod support;

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use paraplanner::clock::Clock;
use paraplanner::simulator::Simulator;
use paraplanner::simulator::google::Delivery;
use reqwest::header::{COOKIE, ORIGIN};
use tokio::net::TcpListener;

use support::{ADVISOR, PORTAL, Program, WITHOUT_EMBEDDING, open_accounts};

/// Some of what advisors' mails are made of, so that texts differ and have an ordinary length.
const SENTENCES: [&str; 6] = [
    "Thank you for the call on Tuesday, it was good to hear how the house is coming along.",
    "Could you send me the statement of the second account once more?",
    "We have thought about the college fund and would like to put a little more into it each month.",
    "My brother asked whether the trust can hold the cabin as well.",
    "Please don't sell anything before we have spoken about the taxes.",
    "The children are back at school, so mornings are better for us than evenings.",
];

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
    open_accounts(&simulator);
    let data = tempfile::tempdir().expect("a folder");
    let mut program = Program::start_with(
        data.path(),
        &simulator,
        if embedding { &[] } else { &WITHOUT_EMBEDDING },
    );
    let (source, all) = match what {
        "contacts" => {
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
    let mut started = Instant::now();
    program.sign_in(&simulator).await;
    if what == "contacts" {
        program
            .until("gmail", |item| item["last_synced_at"].is_string())
            .await;
        started = Instant::now();
        program.connect_hubspot(&simulator).await;
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
