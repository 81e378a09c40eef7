//! What operators see, and what every reply carries.

use std::collections::BTreeSet;

use paraplanner::simulator::model::Turn;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use reqwest::Method;
use reqwest::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN};
use serde_json::json;

use crate::bench::size;
use crate::client::File;
use crate::files::NOTE;
use crate::isolation::operations;
use crate::practice::Practice;
use crate::world::{World, eventually};

#[tokio::test]
async fn metrics_have_closed_labels_whatever_strangers_ask() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    alex.import(&[File::new("meeting.md", NOTE)]).await;
    alex.indexed().await;
    alex.ask("Who sells AAPL shares?").await;
    for path in [
        "/secret-path",
        "/api/emails/sara-at-example",
        "/api/tasks/x?state=y",
        "/.env",
    ] {
        alex.get(path).await;
    }
    let odd = Method::from_bytes(b"BREW").unwrap();
    world
        .send(world.http.request(odd, format!("{}/health", world.url)))
        .await;

    let text = world.get("/metrics").await.text();
    for family in [
        "http_requests_total",
        "http_request_duration_seconds",
        "http_requests_in_progress",
        "panics_total",
        "search_duration_seconds",
        "citations_total",
        "tasks_finished_total",
        "task_duration_seconds",
        "tasks_running",
        "task_leases_lost_total",
        "imported_items_total",
        "chunks_embedded_total",
        "chunks_refused_total",
    ] {
        assert!(
            text.contains(&format!("# TYPE paraplanner_{family} ")),
            "{family}"
        );
    }
    for leaked in ["secret-path", "sara", ".env", "BREW", "alex@", "AAPL"] {
        assert!(!text.contains(leaked), "{leaked}");
    }
    let mut known: BTreeSet<String> = operations().into_iter().map(|(_, path)| path).collect();
    known.extend(
        [
            "unmatched",
            "/openapi.json",
            "/docs",
            "/docs/",
            "/docs/{file}",
            "/",
        ]
        .map(str::to_owned),
    );
    for line in text
        .lines()
        .filter(|line| line.starts_with("paraplanner_http_requests_total{"))
    {
        let label = |name: &str| {
            line.split(&format!("{name}=\""))
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
        };
        assert!(known.contains(label("route")), "{line}");
        assert!(
            ["GET", "POST", "other"].contains(&label("method")),
            "{line}"
        );
    }
    assert!(
        text.contains(
            "paraplanner_http_requests_total{method=\"other\",route=\"unmatched\",status=\"404\"} 2"
        ),
        "{text}"
    );
    assert!(text.contains("method=\"other\""));
}

#[tokio::test]
async fn metrics_ask_for_their_token() {
    let world = World::with(&[("METRICS_TOKEN", "let-me-see")]).await;
    let ask = |token: &str| {
        world
            .http
            .get(format!("{}/metrics", world.url))
            .header(AUTHORIZATION, token.to_owned())
    };
    assert_eq!(world.get("/metrics").await.status, 401);
    for wrong in [
        "let-me-see",
        "Bearer let-me-se",
        "Bearer let-me-see ",
        "Bearer let-me-see2",
        "Basic let-me-see",
        "Bearer",
    ] {
        let reply = world.send(ask(wrong)).await;
        // Blanks around a header's value are not part of it.
        let expected = if wrong.trim_end() == "Bearer let-me-see" {
            200
        } else {
            401
        };
        assert_eq!(reply.status, expected, "{wrong}");
    }
    assert_eq!(world.send(ask("Bearer let-me-see")).await.status, 200);
}

#[tokio::test]
async fn every_reply_has_its_security_headers_and_request_id() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    for path in [
        "/health",
        "/ready",
        "/api/auth/me",
        "/api/tasks/x",
        "/nowhere",
        "/openapi.json",
        "/api/tasks?limit=0",
    ] {
        let reply = alex.get(path).await;
        assert_eq!(
            reply.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            reply.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(
            reply.header("content-security-policy"),
            Some("default-src 'none'; frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(reply.header("strict-transport-security"), None);
        assert!(!reply.header("x-request-id").unwrap().is_empty());
    }
    for path in ["/", "/docs"] {
        let page = world.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_is_replaced() {
    let world = World::start().await;
    let ask = async |id: &str| {
        let request = world
            .http
            .get(format!("{}/nowhere", world.url))
            .header("x-request-id", id);
        let reply = world.send(request).await;
        reply.problem();
        reply.header("x-request-id").unwrap().to_owned()
    };
    let longest = "x".repeat(128);
    for kept in ["abc", "a/b:c=d\"<>", &longest] {
        assert_eq!(ask(kept).await, kept);
    }
    let too_long = "x".repeat(129);
    for replaced in ["", "a b", "a\tb", &too_long] {
        let given = ask(replaced).await;
        assert_ne!(given, replaced);
        assert_eq!(given.len(), 36, "{given}");
    }
    assert_ne!(ask("").await, ask("").await);
}

#[tokio::test]
async fn only_the_frontend_may_read_and_it_may_read_errors_too() {
    let world = World::with(&[
        ("PUBLIC_URL", "https://planner.example.com"),
        ("FRONTEND_URL", "https://app.example.com"),
    ])
    .await;
    let from = |origin: &str, path: &str| {
        world
            .http
            .get(format!("{}{path}", world.url))
            .header(ORIGIN, origin.to_owned())
    };
    for path in ["/health", "/api/auth/me", "/nowhere", "/api/tasks?limit=0"] {
        let reply = world.send(from("https://app.example.com", path)).await;
        assert_eq!(
            reply.header("access-control-allow-origin"),
            Some("https://app.example.com"),
            "{path}"
        );
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            Some("true"),
            "{path}"
        );
        assert!(
            reply
                .header("vary")
                .is_some_and(|vary| vary.to_lowercase().contains("origin")),
            "{path}"
        );
        let stranger = world.send(from("https://evil.example", path)).await;
        assert_ne!(
            stranger.header("access-control-allow-origin"),
            Some("https://evil.example"),
            "{path}"
        );
        assert_ne!(
            stranger.header("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
    }
    let preflight = world
        .http
        .request(Method::OPTIONS, format!("{}/api/chat/stream", world.url))
        .header(ORIGIN, "https://app.example.com")
        .header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let reply = world.send(preflight).await;
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .header("access-control-allow-methods")
            .unwrap()
            .contains("POST")
    );

    let sign_in = world
        .http
        .post(format!("{}/api/auth/demo", world.url))
        .header(ORIGIN, "https://app.example.com")
        .json(&json!({}));
    let reply = world.send(sign_in).await;
    let cookie = reply.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-session=")
            && cookie.contains("; Secure")
            && !cookie.contains("Domain"),
        "{cookie}"
    );
    assert!(reply.header("strict-transport-security").is_some());
}

/// The names of our metrics in a text, without what a histogram's series add to them.
fn metrics_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("paraplanner_"))
        .map(|word| {
            let parts = ["_bucket", "_sum", "_count"];
            let base = parts.iter().find_map(|part| word.strip_suffix(part));
            base.unwrap_or(word).to_owned()
        })
        .collect()
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_is_exported() {
    let practice = Practice::with_model().await.and_clients().await;
    practice.simulator.world().model().script(Turn::call(
        "create_note",
        json!({"contact": "sara@example.com", "text": "Likes boats."}),
    ));
    practice
        .chat("Note for Sara Smith: likes boats", None)
        .await;
    let wanted = practice.until_pending(1).await;
    practice
        .decide(&wanted[0]["id"], "approve", &json!({}))
        .await;
    practice.until_done("create_note", 1).await;
    // Tasks are counted every half a minute: one stays, so that there is something to count.
    let more = json!({"contact": "tom@firm.example", "text": "Likes planes."});
    let model = practice.simulator.world().model();
    model.script(Turn::call("create_note", more));
    practice
        .chat("Note for Tom Jones: likes planes", None)
        .await;
    practice.until_pending(1).await;
    practice.receive("Hello", "How are you?");
    practice.pass_a_minute().await;
    practice
        .until("it is read", "gmail", |item| item["done"] == 1)
        .await;
    // A forged delivery is counted, too.
    let forged = format!("{}/api/webhooks/hubspot", practice.world.url);
    practice
        .world
        .http
        .post(forged)
        .body("[]")
        .send()
        .await
        .unwrap();
    eventually("all of them", async || {
        let exported = metrics_in(&practice.world.get("/metrics").await.text());
        let files = [
            include_str!("../../deploy/grafana/paraplanner.json"),
            include_str!("../../deploy/prometheus/alerts.yml"),
        ];
        let named = metrics_in(&files.join(" "));
        assert!(named.len() > 20, "{named:?}");
        named.is_subset(&exported).then_some(())
    })
    .await;
}

/// The series that `/metrics` has, one a line.
fn series(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_paths_and_headers_make_no_series() {
    let requests = size("SERIES_REQUESTS", 2000);
    let world = World::start().await;
    let mut random = ChaCha8Rng::seed_from_u64(41);
    let mut noise = move || -> String {
        let length = random.random_range(1..12);
        (0..length)
            .map(|_| random.random_range('!'..='~'))
            .collect()
    };
    let mut ask = async || {
        let path: String = noise()
            .chars()
            .map(|c| if "#?%\\ ".contains(c) { '/' } else { c })
            .collect();
        let methods = ["GET", "HEAD", "PURGE", "BREW"];
        let method = Method::from_bytes(methods[path.len() % 4].as_bytes()).unwrap();
        let request = world
            .http
            .request(
                method,
                format!("{}/{}", world.url, path.trim_start_matches('/')),
            )
            .header("x-request-id", noise())
            .header("user-agent", noise())
            .header(ORIGIN, noise())
            .header("x-forwarded-for", noise())
            .header("cookie", format!("session={}", noise()));
        world.send(request).await
    };
    // Those of unmatched paths and of the page, by method and status.
    for _ in 0..100 {
        ask().await;
    }
    for method in [Method::GET, Method::HEAD] {
        world.send(world.http.request(method, &world.url)).await;
    }
    for method in ["PURGE", "BREW"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        world.send(world.http.request(method, &world.url)).await;
    }
    world.get("/metrics").await;
    let before = world.get("/metrics").await.text();
    for _ in 0..requests {
        ask().await;
    }
    let after = world.get("/metrics").await.text();
    let (before, after) = (series(&before), series(&after));
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.len() <= 10, "{new:#?}");
    assert!(after.len() < 500, "{}", after.len());
}
