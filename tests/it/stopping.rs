//! SIGTERM under load, again and again: whoever asked before `/ready` said no is answered in full, and the
//! process ends with 0 within its grace. `STOP_LOOPS` says how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use rand::Rng as _;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::bench::size;
use crate::client::{Advisor, File, form, form_type};
use crate::files::NOTE;
use crate::process::{Program, command};
use crate::server::TestDatabase;
use crate::world::{eventually, http};

/// Who asks at once.
const CLIENTS: usize = 12;
const LONGEST: Duration = Duration::from_secs(30);

/// What clients saw.
#[derive(Default)]
struct Seen {
    /// A balancer has heard that the process stops.
    away: AtomicBool,
    answered: AtomicUsize,
    /// A machine that is busy with other things may be short of something: a whole answer, too.
    turned_away: AtomicUsize,
    broken: std::sync::Mutex<Vec<String>>,
}

/// One request after the other until the balancer sends nobody here any more.
async fn ask(number: usize, alex: Arc<Advisor>, seen: Arc<Seen>) {
    let mut round = number;
    while !seen.away.load(Ordering::Acquire) {
        let request = match round % 5 {
            0 => alex
                .request(Method::POST, "/api/chat/stream")
                .json(&json!({"message": "Who sells AAPL shares?"})),
            1 => alex
                .request(Method::POST, "/api/embeddings/search")
                .json(&json!({"query": "shares"})),
            2 => alex
                .request(Method::POST, "/api/ingest/documents")
                .header("content-type", form_type())
                .body(form(&[File::new(&format!("n{round}.md"), NOTE)])),
            3 => alex.request(Method::GET, "/api/tasks?limit=5"),
            _ => alex
                .request(Method::POST, "/api/webhooks/hubspot")
                .body("[]"),
        };
        // A connection for each, as a balancer may open one.
        let answered = async {
            let reply = request.header("connection", "close").send().await?;
            let status = reply.status().as_u16();
            reply.bytes().await?;
            Ok::<_, reqwest::Error>(status)
        };
        match answered.await {
            Ok(200..=299 | 401) => {
                seen.answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(503) => {
                seen.turned_away.fetch_add(1, Ordering::Relaxed);
            }
            Ok(status) => seen
                .broken
                .lock()
                .unwrap()
                .push(format!("{} of {}", status, round % 5)),
            Err(error) => seen
                .broken
                .lock()
                .unwrap()
                .push(format!("{error:?} of {}", round % 5)),
        }
        round += 1;
    }
}

/// An event stream that is open all the time ends in order.
async fn listen(alex: Arc<Advisor>, seen: Arc<Seen>) {
    let stream = alex
        .request(Method::GET, "/api/events")
        .send()
        .await
        .unwrap();
    let mut pieces = stream.bytes_stream();
    while let Some(piece) = pieces.next().await {
        if let Err(error) = piece {
            seen.broken
                .lock()
                .unwrap()
                .push(format!("events: {error:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_let_in_is_answered_however_often_the_process_stops() {
    let loops = size("STOP_LOOPS", 3);
    let database = TestDatabase::create().await;
    let folder = TempDir::new().unwrap();
    let mut longest = Duration::ZERO;
    let (mut answered, mut turned_away) = (0, 0);
    for turn in 0..loops {
        let program =
            Program::of(command(folder.path()).env("DATABASE_URL", database.url().as_str()));
        let alex = Arc::new(program.advisor().await);
        let seen = Arc::<Seen>::default();
        let listening = tokio::spawn(listen(Arc::clone(&alex), Arc::clone(&seen)));
        let asking: Vec<_> = (0..CLIENTS)
            .map(|number| tokio::spawn(ask(number, Arc::clone(&alex), Arc::clone(&seen))))
            .collect();
        eventually("they are at it", async || {
            (seen.answered.load(Ordering::Relaxed) >= CLIENTS).then_some(())
        })
        .await;
        let pause = rand::rng().random_range(0..300);
        tokio::time::sleep(Duration::from_millis(pause)).await;

        let url = program.url.clone();
        let stopped = Instant::now();
        // A balancer looks now and then.
        let balancer = eventually("it says that it stops", async || {
            let ready = http().get(format!("{url}/ready")).send().await;
            let away = ready.is_ok_and(|reply| reply.status() == 503);
            away.then(|| seen.away.store(true, Ordering::Release))
        });
        let (code, ()) = tokio::join!(program.terminate(), balancer);
        assert_eq!(code, Some(0), "turn {turn}");
        let took = stopped.elapsed();
        assert!(took < LONGEST, "turn {turn}: {took:?}");
        longest = longest.max(took);
        for one in asking {
            one.await.unwrap();
        }
        listening.await.unwrap();
        let broken = seen.broken.lock().unwrap();
        assert!(broken.is_empty(), "turn {turn}: {broken:#?}");
        answered += seen.answered.load(Ordering::Relaxed);
        turned_away += seen.turned_away.load(Ordering::Relaxed);
    }
    assert!(
        turned_away * 4 <= answered,
        "{turned_away} of {answered} turned away"
    );
    eprintln!(
        "{loops} stops, {answered} requests answered, {turned_away} turned away, none broken, the longest stop {longest:?}"
    );
}
