//! What providers tell us: taken from whom it comes, and from nobody else.

use chrono::TimeDelta;
use paraplanner::simulator::Entry;
use paraplanner::simulator::google::{Delivery, Mischief, PushSettings};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::practice::{ANN, Practice, letter};
use crate::world::eventually;

const TOPIC: &str = "projects/practice/topics/gmail";
const AUDIENCE: &str = "https://practice.example/push";
const SERVICE_ACCOUNT: &str = "push@practice.iam.gserviceaccount.com";
const PUSH: [(&str, &str); 3] = [
    ("GMAIL_PUBSUB_TOPIC", TOPIC),
    ("GMAIL_PUSH_AUDIENCE", AUDIENCE),
    ("GMAIL_PUSH_SERVICE_ACCOUNT", SERVICE_ACCOUNT),
];

impl Practice {
    async fn open_with_push() -> Self {
        let practice = Self::open(&PUSH).await;
        let endpoint = Url::parse(&format!("{}/api/webhooks/gmail", practice.world.url)).unwrap();
        practice.simulator.world().google().push_to(PushSettings {
            topic: Some(TOPIC.to_owned()),
            audience: Some(AUDIENCE.to_owned()),
            service_account: SERVICE_ACCOUNT.to_owned(),
            ..PushSettings::to(endpoint)
        });
        practice
    }

    async fn until_watched(&self) {
        for source in ["gmail", "calendar"] {
            self.until("it is watched", source, |item| {
                item["watch_expires_at"].is_string() && item["last_synced_at"].is_string()
            })
            .await;
        }
    }

    /// Deliveries so far, by what came of them.
    async fn deliveries(&self, source: &str, outcome: &str) -> u64 {
        let metrics = self.world.get("/metrics").await.text();
        let line =
            format!("paraplanner_webhooks_total{{outcome=\"{outcome}\",source=\"{source}\"}} ");
        let count = metrics.lines().find_map(|text| text.strip_prefix(&line));
        count.map_or(0, |count| count.parse().unwrap())
    }

    async fn until_deliveries(&self, source: &str, outcome: &str, count: u64) {
        let what = format!("{count} deliveries of {source} are {outcome}");
        eventually(&what, async || {
            (self.deliveries(source, outcome).await >= count).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn new_mail_and_meetings_are_known_as_soon_as_google_tells() {
    let practice = Practice::open_with_push().await;
    practice.sign_in().await;
    practice.until_watched().await;
    let google = practice.simulator.world().google();

    let begun = std::time::Instant::now();
    practice.receive("Fresh news", "Our daughter plays the harpsichord.");
    practice
        .until("the mail is known", "gmail", |item| item["done"] == 1)
        .await;
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert_eq!(practice.finds("harpsichord", "email").await, ["Fresh news"]);
    let event = google
        .add_event(ANN, &json!({"summary": "Harpsichord concert",
            "start": {"dateTime": "2026-12-05T10:00:00Z"}, "end": {"dateTime": "2026-12-05T11:00:00Z"}}))
        .unwrap();
    practice
        .until("the meeting is known", "calendar", |item| item["done"] == 1)
        .await;
    assert!(google.delete_event(ANN, event["id"].as_str().unwrap()));
    practice
        .until("the meeting is gone", "calendar", |item| item["done"] == 0)
        .await;

    // Told twice, late, or with an old history id is told.
    for (n, mischief) in [Mischief::Double, Mischief::StaleHistoryId]
        .into_iter()
        .enumerate()
    {
        practice.pass("PT2S", TimeDelta::seconds(2)).await;
        google.twist_push(mischief);
        practice.receive(&format!("Letter {n}"), "Something happened.");
        practice
            .until("the mail is known", "gmail", |item| item["done"] == n + 2)
            .await;
    }
    practice.assert_mail_is_equal().await;
}

impl Practice {
    /// The events that Google's notifications brought about so far.
    async fn happened(&self) -> Vec<String> {
        let inbox = self
            .ann
            .lock()
            .await
            .get("/api/webhook-events?limit=200")
            .await
            .ok();
        let items = inbox["items"].as_array().unwrap();
        assert!(
            items.iter().all(|item| item["verified"] == true),
            "{items:?}"
        );
        let mut names: Vec<String> = items
            .iter()
            .flat_map(|item| item["caused"].as_array().unwrap())
            .filter_map(|caused| Some(format!("{} {}", caused["id"], caused["name"].as_str()?)))
            .collect();
        names.sort();
        names.dedup();
        let name = |text: &String| text.split_once(' ').unwrap().1.to_owned();
        names.iter().map(name).collect()
    }

    async fn until_happened(&self, expected: &[&str]) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        eventually(&format!("{expected:?} happened"), async || {
            let mut names = self.happened().await;
            names.sort();
            (names == expected).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_happens_is_an_event_and_what_lay_there_before_is_none() {
    let practice = Practice::open_with_push().await;
    practice.receive("Old news", "Before anybody signed in.");
    practice.pass_a_minute().await;
    practice.sign_in().await;
    practice.until_watched().await;
    let google = practice.simulator.world().google();
    let mut expected = vec!["gmail.message.received"];
    let id = practice.receive("Fresh news", "Our daughter plays the harpsichord.");
    practice.until_happened(&expected).await;

    let mine = letter("Mine", ANN, "I wrote this.", practice.now());
    let sent = Delivery {
        labels: vec!["SENT".to_owned()],
        ..Delivery::default()
    };
    google.deliver(ANN, &mine, sent).unwrap();
    expected.push("gmail.message.sent");
    practice.until_happened(&expected).await;

    let event = google
        .add_event(ANN, &json!({"summary": "Concert",
            "start": {"dateTime": "2026-12-05T10:00:00Z"}, "end": {"dateTime": "2026-12-05T11:00:00Z"}}))
        .unwrap();
    let event = event["id"].as_str().unwrap();
    expected.push("calendar.event.created");
    practice.until_happened(&expected).await;
    google
        .patch_event(ANN, event, &json!({"summary": "Opera"}))
        .unwrap();
    expected.push("calendar.event.updated");
    practice.until_happened(&expected).await;
    assert!(google.delete_event(ANN, event));
    expected.push("calendar.event.cancelled");
    practice.until_happened(&expected).await;
    assert!(google.delete_message(ANN, &id));
    expected.push("gmail.message.deleted");
    practice.until_happened(&expected).await;
}

#[tokio::test]
async fn what_a_lost_notification_told_is_found_by_looking() {
    let practice = Practice::open_with_push().await;
    practice.sign_in().await;
    practice.until_watched().await;
    let google = practice.simulator.world().google();
    google.twist_push(Mischief::Drop);
    practice.receive("Unheard of", "Nobody told.");
    google.twist_channel(Mischief::Drop);
    google
        .add_event(ANN, &json!({"summary": "Unheard of",
            "start": {"dateTime": "2026-12-05T10:00:00Z"}, "end": {"dateTime": "2026-12-05T11:00:00Z"}}))
        .unwrap();
    practice.pass("PT16M", TimeDelta::minutes(16)).await;
    practice.pass_a_minute().await;
    practice
        .until("the mail is found", "gmail", |item| item["done"] == 1)
        .await;
    practice
        .until("the meeting is found", "calendar", |item| item["done"] == 1)
        .await;
}

#[tokio::test]
async fn no_forged_push_is_taken() {
    let practice = Practice::open_with_push().await;
    practice.sign_in().await;
    for source in ["gmail", "calendar"] {
        practice.until_relied_upon(source).await;
    }
    let google = practice.simulator.world().google();
    let forged = [
        Mischief::BadAudience,
        Mischief::WrongEmail,
        Mischief::Unverified,
        Mischief::Expired,
        Mischief::WrongKey,
        Mischief::SignInToken,
        Mischief::NoToken,
    ];
    for (n, mischief) in forged.into_iter().enumerate() {
        // Gmail tells at most once a second.
        practice.pass("PT2S", TimeDelta::seconds(2)).await;
        google.twist_push(mischief);
        let refused = practice.deliveries("gmail", "refused").await;
        practice.receive(&format!("Forged {n}"), "Nobody should hear of it.");
        practice
            .until_deliveries("gmail", "refused", refused + 1)
            .await;
    }
    let channels = [Mischief::WrongToken, Mischief::NoToken];
    for (n, mischief) in (0..).zip(channels) {
        google.twist_channel(mischief);
        google
            .add_event(ANN, &json!({"summary": "Forged",
                "start": {"dateTime": "2026-12-05T10:00:00Z"}, "end": {"dateTime": "2026-12-05T11:00:00Z"}}))
            .unwrap();
        practice
            .until_deliveries("calendar", "refused", n + 1)
            .await;
    }
    // Nothing was looked at because of them.
    assert_eq!(practice.source("gmail").await["done"], 0);
    assert_eq!(practice.source("calendar").await["done"], 0);
    // By hand: no headers, an unknown channel, and too much.
    let world = &practice.world;
    let post = |path: &str| world.http.post(format!("{}{path}", world.url));
    assert_eq!(
        world
            .send(post("/api/webhooks/gmail").body("{}"))
            .await
            .status,
        401
    );
    assert_eq!(world.send(post("/api/webhooks/calendar")).await.status, 401);
    let unknown = post("/api/webhooks/calendar")
        .header("X-Goog-Channel-ID", "nobody's")
        .header("X-Goog-Channel-Token", "a guess")
        .header("X-Goog-Resource-ID", "r")
        .header("X-Goog-Resource-State", "exists");
    assert_eq!(world.send(unknown).await.status, 401);
    let large = post("/api/webhooks/gmail").body(vec![b'x'; 70_000]);
    assert_eq!(world.send(large).await.status, 413);
    let wrong = world.http.get(format!("{}/api/webhooks/gmail", world.url));
    assert_eq!(world.send(wrong).await.status, 405);
}

#[tokio::test]
async fn without_its_settings_no_push_is_verified() {
    let practice = Practice::open(&[]).await;
    let world = &practice.world;
    let post = world.http.post(format!("{}/api/webhooks/gmail", world.url));
    assert_eq!(world.send(post.body("{}")).await.status, 401);
}

#[tokio::test]
async fn watches_are_renewed_before_they_end_and_stopped_on_disconnect() {
    let practice = Practice::open_with_push().await;
    practice.sign_in().await;
    practice.until_watched().await;
    let first = practice.source("calendar").await["watch_expires_at"].clone();
    let journal = practice.simulator.world().journal();
    let watches = |what: &str| journal.count("POST", what);
    let (gmail, calendar) = (
        watches("/gmail/v1/users/me/watch"),
        watches("/calendar/v3/calendars/primary/events/watch"),
    );
    assert_eq!((gmail, calendar), (1, 1));
    for _ in 0..5 {
        // At once: a token that was renewed between two steps of time would have ended when it is used, which looks
        // like the end of the access.
        practice.pass("PT25H", TimeDelta::hours(25)).await;
        let now = practice.now();
        practice
            .until("the watch of the mailbox is renewed", "gmail", |item| {
                let until: chrono::DateTime<chrono::Utc> =
                    item["watch_expires_at"].as_str().unwrap().parse().unwrap();
                until > now + TimeDelta::days(6)
            })
            .await;
    }
    practice
        .until("the channel is another", "calendar", |item| {
            item["watch_expires_at"] != first
        })
        .await;
    // A token that expires on the way costs a call that is refused.
    let stopped = |path: &str| {
        let entries = journal.entries();
        let done = |entry: &&Entry| entry.path == path && entry.status == 204;
        entries.iter().filter(done).count()
    };
    eventually("the old channel is stopped", async || {
        (stopped("/calendar/v3/channels/stop") == 1).then_some(())
    })
    .await;
    // It still tells.
    practice.receive("After a week", "Something happened.");
    practice
        .until("the mail is known", "gmail", |item| item["done"] == 1)
        .await;

    // Who takes it back is there in person, and a new grant is promised anew.
    practice.sign_in().await;
    eventually("the new grant's watches are kept", async || {
        let live: i64 = sqlx::query_scalar(
            "select count(*) from tasks where kind in ('connected', 'keep_watches')",
        )
        .fetch_one(&mut practice.database().await)
        .await
        .unwrap();
        (live == 0).then_some(())
    })
    .await;
    let before = stopped("/calendar/v3/channels/stop");
    let mut ann = practice.ann.lock().await;
    ann.set_bearer("");
    assert_eq!(
        ann.send(Method::DELETE, "/api/auth/google").await.status,
        204
    );
    assert_eq!(stopped("/gmail/v1/users/me/stop"), 1);
    assert_eq!(stopped("/calendar/v3/channels/stop"), before + 1);
    assert_eq!(journal.count("POST", "/revoke"), 1);
}

#[tokio::test]
async fn settings_are_kept_in_one_form_and_refused_with_their_place() {
    let practice = Practice::open(&[]).await;
    practice.sign_in().await;
    let mut ann = practice.in_person().await;
    let settings = ann.get("/api/settings").await.ok();
    assert_eq!(settings["import_scope"]["labels"], json!([]));
    assert_eq!(settings["known_addresses"], json!([ANN]));
    let asked = json!({"own_addresses": ["Ann.Private@Example.COM"], "time_zone": "Europe/Berlin",
        "unknown": "ignored",
        "import_scope": {"never_domains": ["@Gossip.Example", "gossip.example"]}});
    let reply = ann.put("/api/settings", &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let settings = ann.get("/api/settings").await.ok();
    assert_eq!(
        settings["own_addresses"],
        json!(["ann.private@example.com"])
    );
    assert_eq!(
        settings["import_scope"]["never_domains"],
        json!(["gossip.example"])
    );
    assert_eq!(
        settings["known_addresses"],
        json!(["ann.private@example.com", ANN])
    );
    let only = json!({"import_scope": {"labels": ["Private"]}});
    assert_eq!(ann.put("/api/settings", &only).await.status, 200);
    let settings = ann.get("/api/settings").await.ok();
    assert_eq!(
        settings["import_scope"]["never_domains"],
        json!(["gossip.example"])
    );
    assert_eq!(settings["import_scope"]["labels"], json!(["Private"]));
    for (body, field) in [
        (json!({"own_addresses": ["nobody"]}), "own_addresses[0]"),
        (
            json!({"import_scope": {"never_domains": ["ok.example", "a b"]}}),
            "import_scope.never_domains[1]",
        ),
        (
            json!({"import_scope": {"labels": [""]}}),
            "import_scope.labels[0]",
        ),
        (json!({"time_zone": "Mars/Olympus"}), "time_zone"),
        (
            json!({"autonomy": {"send_email": "always"}}),
            "autonomy.send_email",
        ),
        (
            json!({"working_hours": {"days": ["mon"], "start": "17:00", "end": "09:00"}}),
            "working_hours.end",
        ),
        (
            json!({"import_scope": {"never_senders": 7}}),
            "import_scope.never_senders",
        ),
    ] {
        let reply = ann.put("/api/settings", &body).await;
        assert_eq!(reply.status, 422, "{body}");
        assert_eq!(reply.problem()["errors"][0]["field"], field, "{body}");
    }
    let nobody: Value = practice.world.get("/api/settings").await.problem();
    assert_eq!(nobody["status"], 401);
}
