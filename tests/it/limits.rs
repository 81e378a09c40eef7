//! Too often and too much at once: who is sent away, who isn't, and what all instances count together.

use std::process::{Child, Command, Stdio};

use reqwest::Method;
use reqwest::header::{COOKIE, ORIGIN};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::client::{Advisor, Reply};
use crate::isolation::operations;
use crate::model::{Model, Turn};
use crate::world::{World, eventually};

const FRONTEND: &str = "https://desk.example.com";

/// Everything of a metric's, added up.
async fn counted(world: &World, series: &str) -> f64 {
    let metrics = world.get("/metrics").await.text();
    let found = metrics.lines().filter_map(|line| line.strip_prefix(series));
    found
        .filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

/// A 429 as it must be.
#[track_caller]
fn assert_sent_away(reply: &Reply) {
    assert_eq!(reply.status, 429, "{}", reply.text());
    reply.problem();
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

/// Asks until it is sent away; how often it was served before.
async fn until_sent_away(ask: impl AsyncFn() -> Reply) -> usize {
    for served in 0..500 {
        let reply = ask().await;
        if reply.status == 429 {
            assert_sent_away(&reply);
            return served;
        }
    }
    panic!("never sent away");
}

async fn from(world: &World, forwarded: &str) -> u16 {
    let request = world.http.get(format!("{}/api/auth/me", world.url));
    let reply = world
        .send(request.header("x-forwarded-for", forwarded))
        .await;
    reply.status
}

#[tokio::test]
async fn a_user_who_asks_too_often_is_told_when_to_come_back_and_no_other_is_kept_waiting() {
    let world = World::with(&[("RATE_LIMIT_PER_USER", "10"), ("FRONTEND_URL", FRONTEND)]).await;
    let alex = world.advisor("alex").await;
    let sam = world.advisor("sam").await;
    let asked = async || {
        let request = alex.bare(Method::GET, "/api/tasks");
        Reply::read(request.header(ORIGIN, FRONTEND).send().await.unwrap()).await
    };
    assert!(until_sent_away(&asked).await >= 10);
    // The frontend can read it.
    let reply = asked().await;
    assert_eq!(reply.header("access-control-allow-origin"), Some(FRONTEND));
    assert!(
        reply
            .header("access-control-expose-headers")
            .unwrap()
            .contains("retry-after")
    );
    assert_eq!(sam.get("/api/tasks").await.status, 200);
    // What operators and browsers need first is nobody's request.
    for free in [
        "/health",
        "/ready",
        "/metrics",
        "/",
        "/docs",
        "/openapi.json",
    ] {
        let reply = Reply::read(alex.bare(Method::GET, free).send().await.unwrap()).await;
        assert_eq!(reply.status, 200, "{free}");
    }
    let refused = counted(&world, "paraplanner_limits_refused_total{limit=\"user\"}").await;
    assert!(refused >= 2.0, "{refused}");
}

#[tokio::test]
async fn every_operation_is_limited() {
    let world = World::with(&[("RATE_LIMIT_PER_USER", "1")]).await;
    let alex = world.advisor("alex").await;
    let mut limited = 0;
    for (method, path) in operations() {
        let open = ["/health", "/ready", "/metrics"]
            .iter()
            .any(|free| path.starts_with(free));
        if open || path.starts_with("/api/webhooks/") {
            continue;
        }
        until_sent_away(async || alex.get("/api/auth/me").await).await;
        let path = path.replace("{id}", &Uuid::now_v7().to_string());
        // From nowhere in particular: forging is no way around the limit either.
        let reply = Reply::read(alex.bare(method.clone(), &path).send().await.unwrap()).await;
        assert_eq!(reply.status, 429, "{method} {path}: {}", reply.text());
        assert_sent_away(&reply);
        limited += 1;
    }
    assert!(limited > 40, "{limited}");
}

#[tokio::test]
async fn a_stranger_cannot_choose_where_they_come_from() {
    let world = World::with(&[("RATE_LIMIT_PER_USER", "10")]).await;
    let mut served = 0;
    for number in 0..300 {
        let status = from(&world, &format!("198.51.{}.{}", number / 250, number % 250)).await;
        assert!([401, 429].contains(&status), "{status}");
        served += usize::from(status == 401);
    }
    // Ten at once, and one more every six seconds.
    assert!((10..=30).contains(&served), "{served}");
}

#[tokio::test]
async fn behind_a_proxy_of_ours_everybody_is_counted_for_themselves() {
    let world = World::with(&[
        ("RATE_LIMIT_PER_USER", "10"),
        ("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"),
    ])
    .await;
    for number in 0..100 {
        assert_eq!(
            from(&world, &format!("203.0.113.{number}, 10.1.1.1")).await,
            401
        );
    }
    let one = async |forged: usize| {
        let chain = format!("192.0.2.{forged}, 198.51.100.7");
        from(&world, &chain).await
    };
    let mut served = 0;
    for forged in 0..200 {
        served += usize::from(one(forged).await == 401);
    }
    assert!((10..=30).contains(&served), "{served}");
    // One household's network is one, however many addresses it has.
    let mut served = 0;
    for host in 0..200 {
        served += usize::from(from(&world, &format!("2001:db8:1:2::{host:x}")).await == 401);
    }
    assert!((10..=30).contains(&served), "{served}");
    assert_eq!(from(&world, "2001:db8:1:3::1").await, 401);
}

#[tokio::test]
async fn all_together_have_a_limit_too() {
    let world = World::with(&[("RATE_LIMIT_GLOBAL", "20")]).await;
    let alex = world.advisor("alex").await;
    let sam = world.advisor("sam").await;
    until_sent_away(async || alex.get("/api/auth/me").await).await;
    assert_sent_away(&sam.get("/api/auth/me").await);
    assert!(counted(&world, "paraplanner_limits_refused_total{limit=\"global\"}").await >= 2.0);
}

#[tokio::test]
async fn questions_beyond_the_models_limit_are_refused_before_anything_is_stored() {
    let model = Model::always(Turn::Say(&["Yes."])).await;
    let world = World::with(&[
        ("OPENAI_BASE_URL", &model.base_url),
        ("OPENAI_API_KEY", crate::model::KEY),
        ("OPENAI_CHAT_MODEL", crate::model::NAME),
        ("OPENAI_EMBEDDING_MODEL", "built-in"),
        ("RATE_LIMIT_LLM_PER_USER", "3"),
    ])
    .await;
    let alex = world.advisor("alex").await;
    let answered = until_sent_away(async || {
        alex.post("/api/chat/message", &json!({"message": "Is it so?"}))
            .await
    })
    .await;
    assert!(answered >= 3);
    let kept = alex.get("/api/conversations").await.ok();
    assert_eq!(kept["items"].as_array().unwrap().len(), answered);
    assert_eq!(model.requests().len(), answered);
    // A stream is refused as a whole, too.
    let reply = alex
        .post("/api/chat/stream", &json!({"message": "Is it so?"}))
        .await;
    assert_sent_away(&reply);
    // Nothing else is.
    assert_eq!(alex.get("/api/conversations").await.status, 200);
}

#[tokio::test]
async fn nobody_holds_streams_without_number() {
    let world = World::with(&[("RATE_LIMIT_PER_USER", "100000")]).await;
    let alex = world.advisor("alex").await;
    let sam = world.advisor("sam").await;
    let listen = async |who: &Advisor| {
        who.request(Method::GET, "/api/events")
            .send()
            .await
            .unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..16 {
        let stream = listen(&alex).await;
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    assert_sent_away(&Reply::read(listen(&alex).await).await);
    assert_eq!(listen(&sam).await.status(), 200);
    // Who closes one may open another.
    streams.pop();
    eventually("the place is free again", async || {
        (listen(&alex).await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_looks_like_an_injection_is_counted_and_served() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let text = "O'Brien'; DROP TABLE users; -- <script>alert(1)</script>";
    let reply = alex
        .post("/api/chat/message", &json!({"message": text}))
        .await;
    let conversation = reply.ok()["conversation_id"].as_str().unwrap().to_owned();
    assert_eq!(alex.messages(&conversation).await[0]["text"], text);
    assert_eq!(
        alex.get("/api/contacts?q=%27%20or%20%271%27=%271")
            .await
            .status,
        200
    );
    for (rule, count) in [("sql", 2.0), ("script", 1.0)] {
        let series = format!("paraplanner_input_screened_total{{rule=\"{rule}\"}}");
        let counted = counted(&world, &series).await;
        assert!(counted >= count, "{rule}: {counted}");
    }
    let before = counted(&world, "paraplanner_input_screened_total").await;
    alex.search("O'Brien and the table by the window").await;
    let after = counted(&world, "paraplanner_input_screened_total").await;
    assert!(
        (after - before).abs() < f64::EPSILON,
        "an apostrophe is ordinary"
    );
}

/// A Redis of the test's own.
struct Redis {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Redis {
    fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = TempDir::new().unwrap();
        Self {
            child: Self::spawn(port, &folder),
            folder,
            port,
        }
    }

    fn spawn(port: u16, folder: &TempDir) -> Child {
        Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = Self::spawn(self.port, &self.folder);
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn until_shared(world: &World, base: &str, shared: bool) {
    let expected = format!("paraplanner_shared_limits_away {}", u8::from(!shared));
    eventually(&expected, async || {
        let metrics = world.send(world.http.get(format!("{base}/metrics"))).await;
        metrics
            .text()
            .lines()
            .any(|line| line == expected)
            .then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs redis-server: scripts/shared-limits.sh"]
async fn instances_count_together_and_for_themselves_while_the_server_is_away() {
    let mut redis = Redis::start();
    let mut world =
        World::with(&[("RATE_LIMIT_PER_USER", "40"), ("REDIS_URL", &redis.url())]).await;
    world.another(&[]).await;
    let bases = [world.url.clone(), world.other_url()];
    for base in &bases {
        until_shared(&world, base, true).await;
    }
    let alex = world.advisor("alex").await;
    let cookie = alex.bare(Method::GET, "/").build().unwrap().headers()[COOKIE].clone();
    let at = async |base: &str| {
        let request = world.http.get(format!("{base}/api/auth/me"));
        world.send(request.header(COOKIE, &cookie)).await
    };
    // Half here and half there are the limit.
    for turn in 0..40 {
        assert_eq!(at(&bases[turn % 2]).await.status, 200, "{turn}");
    }
    let mut more = 0;
    for base in bases.iter().cycle().take(80) {
        let reply = at(base).await;
        if reply.status == 429 {
            assert_sent_away(&reply);
        }
        more += usize::from(reply.status == 200);
    }
    // What has come back meanwhile, at two in three seconds.
    assert!(more < 40, "{more} more");

    // Away: nobody is locked out, each instance counts for itself, and says so.
    redis.stop();
    for base in &bases {
        assert_eq!(at(base).await.status, 200);
        until_shared(&world, base, false).await;
        until_sent_away(async || at(base).await).await;
    }
    // Back: by itself.
    redis.start_again();
    for base in &bases {
        until_shared(&world, base, true).await;
        assert_eq!(
            at(base).await.status,
            200,
            "a new server has counted nothing"
        );
    }
}

#[tokio::test]
async fn a_server_of_shared_limits_that_is_not_there_keeps_nobody_out() {
    // Nobody listens there.
    let world = World::with(&[
        ("RATE_LIMIT_PER_USER", "10"),
        ("REDIS_URL", "redis://127.0.0.1:9"),
    ])
    .await;
    let alex = world.advisor("alex").await;
    assert!(until_sent_away(async || alex.get("/api/tasks").await).await >= 10);
    until_shared(&world, &world.url, false).await;
}
