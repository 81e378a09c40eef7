//! Promises of notifications when something goes wrong on the way: with Google, with us, with time.

use chrono::{DateTime, TimeDelta, Utc};
use paraplanner::db::{UserId, UserScope};
use paraplanner::identity::connections::watches::token_hash;
use paraplanner::simulator::google::{PushSettings, Switches};
use paraplanner::simulator::{Fault, Misbehaviour};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::practice::{ANN, Practice};
use crate::world::eventually;

const TOPIC: &str = "projects/practice/topics/gmail";
const AUDIENCE: &str = "https://practice.example/push";
const SERVICE_ACCOUNT: &str = "push@practice.iam.gserviceaccount.com";
const PUSH: [(&str, &str); 3] = [
    ("GMAIL_PUBSUB_TOPIC", TOPIC),
    ("GMAIL_PUSH_AUDIENCE", AUDIENCE),
    ("GMAIL_PUSH_SERVICE_ACCOUNT", SERVICE_ACCOUNT),
];
const WATCH_MAIL: &str = "/gmail/v1/users/me/watch";
const STOP_MAIL: &str = "/gmail/v1/users/me/stop";
const WATCH_CALENDAR: &str = "/calendar/v3/calendars/primary/events/watch";
const STOP_CALENDAR: &str = "/calendar/v3/channels/stop";

/// Google tells of mail, too.
async fn with_push() -> Practice {
    let practice = Practice::open(&PUSH).await;
    let endpoint = Url::parse(&format!("{}/api/webhooks/gmail", practice.world.url)).unwrap();
    practice.simulator.world().google().push_to(PushSettings {
        topic: Some(TOPIC.to_owned()),
        audience: Some(AUDIENCE.to_owned()),
        service_account: SERVICE_ACCOUNT.to_owned(),
        ..PushSettings::to(endpoint)
    });
    practice
}

const fn refused(status: u16) -> Misbehaviour {
    Misbehaviour::Refuse {
        status,
        reason: None,
        retry_after_secs: None,
    }
}

impl Practice {
    async fn until_promised(&self, source: &str) {
        self.until("it is watched", source, |item| {
            item["watch_expires_at"].is_string() && item["last_synced_at"].is_string()
        })
        .await;
    }

    /// What the tasks that keep watches came to, the oldest first.
    async fn kept(&self) -> Vec<Value> {
        sqlx::query_scalar(
            "select result from ended_tasks where kind = 'keep_watches' and result is not null
            order by finished_at",
        )
        .fetch_all(&mut self.database().await)
        .await
        .unwrap()
    }

    async fn user(&self) -> Uuid {
        let me = self.ann.lock().await.get("/api/auth/me").await.ok();
        me["id"].as_str().unwrap().parse().unwrap()
    }

    /// A channel whose secret we know.
    async fn open_channel(&self, id: &str, token: &str, resource: Option<&str>) {
        sqlx::query(
            "insert into watches (channel_id, user_id, what, token_hash, resource_id, expires_at, created_at)
            values ($1, $2, 'calendar', $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(self.user().await)
        .bind(token_hash(token).as_slice())
        .bind(resource)
        .bind(self.now() + TimeDelta::days(1))
        .bind(self.now())
        .execute(&mut self.database().await)
        .await
        .unwrap();
    }

    fn notification(&self, [id, token, resource, state]: [&str; 4]) -> RequestBuilder {
        let url = format!("{}/api/webhooks/calendar", self.world.url);
        let request = self.world.http.post(url);
        [
            ("X-Goog-Channel-ID", id),
            ("X-Goog-Channel-Token", token),
            ("X-Goog-Resource-ID", resource),
            ("X-Goog-Resource-State", state),
        ]
        .into_iter()
        .fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    async fn notify(&self, about: [&str; 4]) -> u16 {
        self.world.send(self.notification(about)).await.status
    }

    /// How often a source was looked at because somebody told.
    async fn told(&self) -> i64 {
        sqlx::query_scalar("select count(*) from webhook_events")
            .fetch_one(&mut self.database().await)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_channel_is_believed_as_far_as_it_was_promised() {
    let practice = Practice::open(&[]).await;
    practice.sign_in().await;
    practice.until_promised("calendar").await;
    practice.open_channel("ours", "secret", Some("r")).await;
    practice.open_channel("asked", "secret", None).await;
    let told = practice.told().await;
    for about in [
        ["ours", "secreT", "r", "exists"],
        ["ours", "secret ", "r2", "exists"],
        ["ours", "", "r", "exists"],
        ["ours", "secret", "another", "exists"],
        ["ours", "secret", "another", "sync"],
        ["theirs", "secret", "r", "exists"],
        ["asked", "guess", "r", "sync"],
    ] {
        assert_eq!(practice.notify(about).await, 401, "{about:?}");
    }
    for name in [
        "X-Goog-Channel-ID",
        "X-Goog-Channel-Token",
        "X-Goog-Resource-ID",
        "X-Goog-Resource-State",
    ] {
        let about = ["ours", "secret", "r", "exists"];
        let twice = practice.notification(about).header(name, "another");
        assert_eq!(practice.world.send(twice).await.status, 401, "{name}");
    }
    // No forger learns which channels there are.
    let mut bodies = Vec::new();
    for channel in ["ours", "theirs"] {
        let forged = practice.notification([channel, "guess", "r", "exists"]);
        let mut body = practice.world.send(forged).await.problem();
        body["request_id"].take();
        bodies.push(body);
    }
    assert_eq!(bodies[0], bodies[1]);
    // Before Google's answer the resource isn't known yet.
    assert_eq!(practice.notify(["asked", "secret", "r", "sync"]).await, 204);
    assert_eq!(practice.notify(["ours", "secret", "r", "sync"]).await, 204);
    assert_eq!(practice.told().await, told, "nothing has changed");

    let real = ["ours", "secret", "r", "exists"];
    assert_eq!(practice.notify(real).await, 204);
    assert_eq!(practice.told().await, told + 1);
    // A browser's cookie neither helps nor harms.
    let foreign = practice
        .notification(real)
        .header("Origin", "https://elsewhere.example")
        .header("Cookie", "session=anything");
    assert_eq!(practice.world.send(foreign).await.status, 204);
    practice.pass("PT25H", TimeDelta::hours(25)).await;
    assert_eq!(practice.notify(real).await, 401, "its time is over");
}

#[tokio::test]
async fn what_cannot_be_judged_now_is_to_be_sent_again() {
    let practice = with_push().await;
    practice.sign_in().await;
    practice.until_promised("calendar").await;
    practice.open_channel("ours", "secret", Some("r")).await;
    let world = &practice.world;
    // An unknown key, and Google's can't be had.
    let faults = practice.simulator.world().faults();
    faults.add(Fault::next("/oauth2/v3/certs", 1, refused(500)));
    // {"alg":"RS256","kid":"unknown"}, without claims or a signature.
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6InVua25vd24ifQ.e30.AAAA";
    let push = || {
        let url = format!("{}/api/webhooks/gmail", world.url);
        world.http.post(url).bearer_auth(token).body("{}")
    };
    let reply = world.send(push()).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.header("retry-after").is_some());
    assert_eq!(world.send(push()).await.status, 401, "now it can");

    // The database has nothing to spare.
    let app = world.app();
    let scope = UserScope::checked(UserId(practice.user().await));
    let mut held = Vec::new();
    while let Ok(tx) = scope.begin(&app.pools.deliveries).await {
        held.push(tx);
    }
    let real = ["ours", "secret", "r", "exists"];
    let reply = world.send(practice.notification(real)).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.header("retry-after").is_some());
    drop(held);
    eventually("it is taken again", async || {
        (practice.notify(real).await == 204).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_watch_that_google_refuses_is_no_failure_and_asked_for_again() {
    let practice = with_push().await;
    let google = practice.simulator.world().google();
    google.set_switches(Switches {
        topic_forbidden: true,
        ..Switches::default()
    });
    practice.receive("Polled", "A zeppelin.");
    practice.sign_in().await;
    practice.until_promised("calendar").await;
    let mail = practice
        .until("the mail is read", "gmail", |item| item["done"] == 1)
        .await;
    assert!(mail["watch_expires_at"].is_null(), "{mail}");
    assert_eq!(
        practice.kept().await,
        [json!({"gmail": "refused", "calendar": "made"})]
    );
    google.set_switches(Switches::default());
    practice.pass("PT1H", TimeDelta::hours(1)).await;
    practice.until_promised("gmail").await;
    assert_eq!(
        practice.kept().await.last(),
        Some(&json!({"gmail": "made", "calendar": "kept"}))
    );
}

#[tokio::test]
async fn a_channel_whose_promise_was_lost_is_replaced() {
    let practice = Practice::open(&[]).await;
    let faults = practice.simulator.world().faults();
    faults.add(Fault::next(WATCH_CALENDAR, 1, Misbehaviour::CutAfter));
    practice.sign_in().await;
    let journal = practice.simulator.world().journal();
    eventually("the first is lost", async || {
        (journal.count("POST", WATCH_CALENDAR) >= 1).then_some(())
    })
    .await;
    practice.pass_a_minute().await;
    practice.until_promised("calendar").await;
    assert_eq!(journal.count("POST", WATCH_CALENDAR), 2);
    eventually("one is left", async || {
        let channels: Vec<bool> = sqlx::query_scalar(
            "select resource_id is not null from watches where what = 'calendar'",
        )
        .fetch_all(&mut practice.database().await)
        .await
        .unwrap();
        (channels == [true]).then_some(())
    })
    .await;
    // Of the two channels that Google has, the one that we know is believed.
    let google = practice.simulator.world().google();
    google
        .add_event(ANN, &json!({"summary": "Concert",
            "start": {"dateTime": "2026-12-05T10:00:00Z"}, "end": {"dateTime": "2026-12-05T11:00:00Z"}}))
        .unwrap();
    practice
        .until("the meeting is known", "calendar", |item| item["done"] == 1)
        .await;
}

#[tokio::test]
async fn a_new_grant_is_promised_anew() {
    let practice = with_push().await;
    practice.sign_in().await;
    practice.until_promised("gmail").await;
    practice.until_promised("calendar").await;
    // What was promised to a grant may end with it.
    practice.simulator.world().google().revoke(ANN);
    practice.pass("PT1H", TimeDelta::hours(1)).await;
    practice.sign_in().await;
    let journal = practice.simulator.world().journal();
    eventually("both are asked for again", async || {
        let both =
            journal.count("POST", WATCH_MAIL) == 2 && journal.count("POST", WATCH_CALENDAR) == 2;
        both.then_some(())
    })
    .await;
    practice.receive("After it", "A zeppelin.");
    practice
        .until("the mail is known", "gmail", |item| item["done"] == 1)
        .await;
}

#[tokio::test]
async fn a_grant_ends_with_its_watches_also_when_google_is_in_trouble() {
    let practice = with_push().await;
    practice.sign_in().await;
    practice.until_promised("gmail").await;
    practice.until_promised("calendar").await;
    let journal = practice.simulator.world().journal();
    let count = |path: &str| journal.count("POST", path);
    let faults = practice.simulator.world().faults();
    faults.add(Fault::next(
        STOP_MAIL,
        1,
        Misbehaviour::Slow { millis: 20_000 },
    ));
    faults.add(Fault::next("/revoke", 1, refused(503)));
    let mut ann = practice.ann.lock().await;
    ann.set_bearer("");
    let gone = ann.send(Method::DELETE, "/api/auth/google").await;
    assert_eq!(gone.status, 204);
    drop(ann);
    // What hangs keeps neither the other watch nor the grant alive.
    assert_eq!([STOP_MAIL, STOP_CALENDAR, "/revoke"].map(count), [0, 1, 1]);
    let left: i64 = sqlx::query_scalar("select count(*) from watches")
        .fetch_one(&mut practice.database().await)
        .await
        .unwrap();
    assert_eq!(left, 0, "nobody is believed any more");
    practice.pass("PT6M", TimeDelta::minutes(6)).await;
    eventually("what was owed is done", async || {
        let owed: i64 = sqlx::query_scalar("select count(*) from revocations")
            .fetch_one(&mut practice.database().await)
            .await
            .unwrap();
        (owed == 0).then_some(())
    })
    .await;
    assert_eq!([STOP_MAIL, "/revoke"].map(count), [1, 2]);
}

#[tokio::test]
async fn a_promise_that_comes_after_the_grant_has_gone_is_not_kept() {
    let practice = with_push().await;
    let faults = practice.simulator.world().faults();
    faults.add(Fault::next(
        WATCH_MAIL,
        1,
        Misbehaviour::Slow { millis: 1500 },
    ));
    // So that Google's answer still comes.
    faults.add(Fault::next("/revoke", 1, refused(503)));
    practice.sign_in().await;
    let since: DateTime<Utc> = Utc::now();
    eventually("it is asked for", async || {
        let asks: bool = sqlx::query_scalar(
            "select exists (select from tasks where kind = 'keep_watches' and state = 2)",
        )
        .fetch_one(&mut practice.database().await)
        .await
        .unwrap();
        asks.then_some(())
    })
    .await;
    let mut ann = practice.ann.lock().await;
    ann.set_bearer("");
    let gone = ann.send(Method::DELETE, "/api/auth/google").await;
    assert_eq!(gone.status, 204);
    drop(ann);
    assert!(
        Utc::now() - since < TimeDelta::milliseconds(1500),
        "too slow to tell"
    );
    eventually("the task ends", async || {
        let kept = practice.kept().await;
        (!kept.is_empty()).then_some(())
    })
    .await;
    let promised: i64 = sqlx::query_scalar("select count(*) from watches where what = 'gmail'")
        .fetch_one(&mut practice.database().await)
        .await
        .unwrap();
    assert_eq!(promised, 0);
    assert!(practice.kept().await[0]["stopped"].is_string());
}
