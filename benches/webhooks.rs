//! How many deliveries of HubSpot's are stored and answered in a second: `cargo bench --bench webhooks --
//! [events per request] [seconds] [connections]`. First as many as go, then half of that rate, for the
//! times that a sender sees. The worker acts upon them meanwhile, unless a fourth word `door` is there.
//! `webhooks.sql` is the same transaction for pgbench.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use paraplanner::clock::Clock;
use paraplanner::simulator::Simulator;
use paraplanner::simulator::hubspot::CLIENT_SECRET;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

use support::{PORTAL, Program, WITHOUT_EMBEDDING, open_accounts};

struct Sender {
    http: reqwest::Client,
    url: String,
    events: u64,
    next: AtomicU64,
    clock: Clock,
}

impl Sender {
    /// Never one that was sent before.
    async fn send(&self) -> Duration {
        let first = self.next.fetch_add(self.events, Ordering::Relaxed);
        let at = self.clock.now().timestamp_millis();
        let body: Vec<Value> = (first..first + self.events)
            .map(|id| {
                json!({"eventId": id, "subscriptionId": 321, "portalId": PORTAL, "appId": 777,
                    "occurredAt": at, "subscriptionType": "contact.creation", "attemptNumber": 0,
                    "objectId": id, "changeFlag": "NEW", "changeSource": "CRM_UI"})
            })
            .collect();
        let (body, timestamp) = (Value::Array(body).to_string(), at.to_string());
        let mut mac = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()).expect("a key");
        for part in ["POST", &self.url, &body, &timestamp] {
            mac.update(part.as_bytes());
        }
        let request = self
            .http
            .post(&self.url)
            .header(
                "x-hubspot-signature-v3",
                STANDARD.encode(mac.finalize().into_bytes()),
            )
            .header("x-hubspot-request-timestamp", timestamp)
            .body(body);
        let started = Instant::now();
        let reply = request.send().await.expect("an answer");
        assert_eq!(reply.status(), 200);
        started.elapsed()
    }
}

/// As many as go, over so many connections; requests a second.
async fn peak(sender: &Arc<Sender>, connections: usize, time: Duration) -> f64 {
    let started = Instant::now();
    let all = (0..connections).map(|_| {
        let sender = Arc::clone(sender);
        async move {
            let mut sent = 0_u32;
            while started.elapsed() < time {
                sender.send().await;
                sent += 1;
            }
            sent
        }
    });
    let sent: u32 = futures::future::join_all(all).await.into_iter().sum();
    f64::from(sent) / started.elapsed().as_secs_f64()
}

/// At this rate whatever the answers take; the times that they took, sorted.
async fn steady(sender: &Arc<Sender>, rate: f64, time: Duration) -> Vec<Duration> {
    let mut due = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let started = Instant::now();
    let mut sent = tokio::task::JoinSet::new();
    while started.elapsed() < time {
        due.tick().await;
        let sender = Arc::clone(sender);
        sent.spawn(async move { sender.send().await });
    }
    let mut times = sent.join_all().await;
    times.sort_unstable();
    times
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
    let (events, seconds, connections) = (number(0, 1), number(1, 10), number(2, 32));
    let simulator = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Simulator::start(listener, Clock::default()).expect("a simulator")
    };
    open_accounts(&simulator);
    let data = tempfile::tempdir().expect("a folder");
    let mut program = Program::start_with(data.path(), &simulator, &WITHOUT_EMBEDDING);
    program.sign_in(&simulator).await;
    program.connect_hubspot(&simulator).await;
    program
        .until("hubspot_contacts", |item| {
            item["last_synced_at"].is_string()
        })
        .await;
    if words.get(3).is_some_and(|word| word == "door") {
        drop(program);
        program = Program::start_with(data.path(), &simulator, &[("WORKER_ENABLED", "false")]);
    }
    let sender = Arc::new(Sender {
        http: program.http.clone(),
        url: format!("{}/api/webhooks/hubspot", program.url),
        events,
        next: AtomicU64::new(1),
        clock: Clock::default(),
    });
    let time = Duration::from_secs(seconds);
    let connections = usize::try_from(connections).expect("a number of connections");
    let rate = peak(&sender, connections, time).await;
    println!("{rate:.0} requests a second of {events} events, {connections} connections");
    let times = steady(&sender, rate / 2.0, time).await;
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    println!(
        "at {:.0} a second: p50 {:.1} ms, p99 {:.1} ms",
        rate / 2.0,
        at(50),
        at(99)
    );
    println!("memory at most {} MB", program.memory().unwrap_or(0));
}
