//! Reading what was connected: everything, once, whatever the provider does on the way.

use paraplanner::simulator::google::{Decision, Delivery};
use paraplanner::simulator::hubspot::Decision as Choice;
use paraplanner::simulator::{Fault, Misbehaviour, Simulator};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::browser::{Browser, error_of};
use crate::world::{World, eventually};

const ANN: &str = "ann@advisors.example";
const GOOGLE: &str = "/api/auth/google/start";
const HUBSPOT: &str = "/api/auth/hubspot/start";
const PORTAL: u64 = 4242;

/// Puts `count` mails into Ann's mailbox, the first of them worth asking for.
fn fill(simulator: &Simulator, count: usize) {
    let google = simulator.world().google();
    google.add_account(ANN, "Ann Advisor");
    let mails = (0..count).map(|place| {
        let text = if place == 0 {
            "Our son plays baseball on Saturdays, so no meeting then, please.".to_owned()
        } else {
            format!("The statement of account number {place} is attached.")
        };
        let raw = format!(
            "From: Client {place} <client{place}@example.com>\r\nTo: {ANN}\r\n\
             Subject: Letter {place}\r\nMessage-ID: <m{place}@example.com>\r\n\
             Date: Mon, 1 Jun 2026 10:{:02}:{:02} +0000\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
            place / 60 % 60,
            place % 60
        );
        (raw.into_bytes(), Delivery::default())
    });
    google.deliver_all(ANN, mails);
}

async fn sign_in(world: &World, simulator: &Simulator) -> Browser {
    let mut browser = Browser::new(world);
    again(&mut browser, simulator).await;
    browser
}

async fn again(browser: &mut Browser, simulator: &Simulator) {
    simulator.world().google().decide(Decision::Allow {
        email: ANN.to_owned(),
    });
    assert_eq!(error_of(&browser.sign_in(GOOGLE).await), None);
}

/// The source's status once it is this.
async fn status(browser: &mut Browser, source: &str, state: &str) -> Value {
    let what = format!("{source} becomes {state}");
    let browser = tokio::sync::Mutex::new(browser);
    eventually(&what, async || {
        let status = browser.lock().await.get("/api/ingest/status").await.ok();
        let items = status["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["source"] == source)?.clone();
        let begun = item["last_synced_at"].is_string() || state != "idle";
        (item["state"] == state && begun).then_some(item)
    })
    .await
}

async fn task(browser: &mut Browser, kind: &str, state: &str) -> Value {
    let what = format!("a task {kind} is {state}");
    let browser = tokio::sync::Mutex::new(browser);
    eventually(&what, async || {
        let path = format!("/api/tasks?type={kind}");
        let tasks = browser.lock().await.get(&path).await.ok();
        let items = tasks["items"].as_array().unwrap().clone();
        items.into_iter().find(|task| task["state"] == state)
    })
    .await
}

#[tokio::test]
async fn mail_meetings_and_contacts_are_read_after_connecting() {
    let (world, simulator) = World::with_providers().await;
    fill(&simulator, 120);
    let google = simulator.world().google();
    google
        .add_event(
            ANN,
            &json!({
                "summary": "Review with the Ashgroves", "description": "<b>Bring the trust deed</b>",
                "start": {"dateTime": "2026-10-05T10:00:00+02:00"},
                "end": {"dateTime": "2026-10-05T11:00:00+02:00"},
                "attendees": [{"email": "ashgrove@example.com"}],
            }),
        )
        .unwrap();
    let hubspot = simulator.world().hubspot();
    hubspot.add_portal(PORTAL, "firm.example");
    hubspot.add_user(PORTAL, 9001, ANN);
    let portal = simulator.world().portal(PORTAL);
    for (first, last) in [("Sara", "Smith"), ("Hana", "Marsh")] {
        let email = format!("{first}.{last}@example.com").to_lowercase();
        portal
            .add_contact(&[("firstname", first), ("lastname", last), ("email", &email)])
            .unwrap();
    }
    portal.add_contact(&[("company", "Nobody & Co")]).unwrap();
    let mut ann = sign_in(&world, &simulator).await;
    hubspot.decide(Choice::Allow {
        portal: PORTAL,
        user: 9001,
    });
    assert_eq!(error_of(&ann.sign_in(HUBSPOT).await), None);

    let mail = status(&mut ann, "gmail", "idle").await;
    assert_eq!((&mail["done"], &mail["total"]), (&json!(120), &json!(120)));
    assert_eq!(status(&mut ann, "calendar", "idle").await["done"], 1);
    let contacts = status(&mut ann, "hubspot_contacts", "idle").await;
    assert_eq!(contacts["done"], 3, "also who has no name");
    let read = task(&mut ann, "sync_hubspot_contacts", "done").await;
    assert_eq!(
        (&read["result"]["read"], &read["result"]["unreadable"]),
        (&json!(3), &json!(0))
    );

    let found = ann
        .post(
            "/api/embeddings/search",
            &json!({"query": "whose son plays baseball", "kinds": ["email"]}),
        )
        .await
        .ok();
    assert_eq!(found["items"][0]["title"], "Letter 0", "{found}");
    let found = ann
        .post(
            "/api/embeddings/search",
            &json!({"query": "Ashgroves trust deed", "kinds": ["event"]}),
        )
        .await
        .ok();
    let snippet = found["items"][0]["snippet"].as_str().unwrap_or_default();
    assert!(
        snippet.contains("Bring the trust deed") && !snippet.contains("<b>"),
        "{found}"
    );
    let people = ann.get("/api/contacts").await.ok();
    assert_eq!(people["items"].as_array().unwrap().len(), 3, "{people}");

    // Reading it all again changes nothing.
    let reply = ann.send(Method::POST, "/api/ingest/emails").await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    let id = reply.json()["task_id"].as_str().unwrap().to_owned();
    let waiting = tokio::sync::Mutex::new(&mut ann);
    eventually("the second reading ends", async || {
        let task = waiting
            .lock()
            .await
            .get(&format!("/api/tasks/{id}"))
            .await
            .ok();
        (task["state"] == "done").then_some(())
    })
    .await;
    assert_eq!(status(&mut ann, "gmail", "idle").await["done"], 120);
}

#[tokio::test]
async fn a_dead_grant_makes_tasks_wait_and_a_new_one_wakes_them() {
    let (world, simulator) = World::with_providers().await;
    fill(&simulator, 3);
    let mut ann = sign_in(&world, &simulator).await;
    status(&mut ann, "gmail", "idle").await;
    status(&mut ann, "calendar", "idle").await;
    simulator.world().google().revoke(ANN);
    let reply = ann.send(Method::POST, "/api/ingest/emails").await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    let waiting = task(&mut ann, "sync_gmail", "waiting").await;
    assert_eq!(waiting["attempts"], 0, "{waiting}");
    assert_eq!(waiting["waiting_on"]["connection"], "google", "{waiting}");
    let stale = status(&mut ann, "gmail", "needs_reauth").await;
    assert!(
        stale["error"].as_str().unwrap().contains("connect again"),
        "{stale}"
    );
    // What can't work isn't queued.
    assert_eq!(
        ann.send(Method::POST, "/api/ingest/emails").await.status,
        409
    );

    again(&mut ann, &simulator).await;
    let id = waiting["id"].as_str().unwrap();
    let browser = tokio::sync::Mutex::new(&mut ann);
    let done = eventually("the task goes on", async || {
        let task = browser
            .lock()
            .await
            .get(&format!("/api/tasks/{id}"))
            .await
            .ok();
        (task["state"] == "done").then_some(task)
    })
    .await;
    assert_eq!(done["result"]["unreadable"], 0, "{done}");
    status(&mut ann, "gmail", "idle").await;
}

#[tokio::test]
async fn a_task_that_waits_for_a_grant_ends_when_it_is_taken_back() {
    let (world, simulator) = World::with_providers().await;
    fill(&simulator, 1);
    let mut ann = sign_in(&world, &simulator).await;
    status(&mut ann, "gmail", "idle").await;
    status(&mut ann, "calendar", "idle").await;
    simulator.world().google().revoke(ANN);
    ann.send(Method::POST, "/api/ingest/emails").await;
    task(&mut ann, "sync_gmail", "waiting").await;
    assert_eq!(
        ann.send(Method::DELETE, "/api/auth/google").await.status,
        204
    );
    let browser = tokio::sync::Mutex::new(&mut ann);
    eventually("it ends", async || {
        let tasks = browser
            .lock()
            .await
            .get("/api/tasks?type=sync_gmail")
            .await
            .ok();
        let items = tasks["items"].as_array().unwrap().clone();
        items
            .iter()
            .any(|task| task["result"]["stopped"].is_string())
            .then_some(())
    })
    .await;
    let sources = ann.get("/api/ingest/status").await.ok();
    assert_eq!(sources["items"].as_array().unwrap().len(), 1, "{sources}");
}

#[tokio::test]
async fn whatever_google_does_on_the_way_every_mail_arrives_once() {
    let (world, simulator) = World::with_providers().await;
    fill(&simulator, 130);
    let faults = simulator.world().faults();
    let refuse = |status, reason: &str| Misbehaviour::Refuse {
        status,
        reason: Some(reason.to_owned()),
        retry_after_secs: None,
    };
    let answer = |status, body: &str| Misbehaviour::Answer {
        status,
        body: body.to_owned(),
        content_type: Some("text/html".to_owned()),
    };
    for (path, after, then) in [
        ("/gmail/v1/users/me/profile", 0, refuse(401, "authError")),
        (
            "/gmail/v1/users/me/messages",
            0,
            refuse(403, "userRateLimitExceeded"),
        ),
        (
            "/gmail/v1/users/me/messages",
            1,
            refuse(500, "backendError"),
        ),
        ("/batch/gmail/v1", 0, Misbehaviour::CutAfter),
        ("/batch/gmail/v1", 1, Misbehaviour::CutBefore),
        (
            "/batch/gmail/v1",
            2,
            answer(200, "<html>not a batch</html>"),
        ),
        ("/calendar/v3/*", 0, answer(503, "<html>")),
        ("/calendar/v3/*", 1, refuse(429, "rateLimitExceeded")),
    ] {
        faults.add(Fault {
            after,
            ..Fault::next(path, 1, then)
        });
    }
    let mut ann = sign_in(&world, &simulator).await;
    let mail = status(&mut ann, "gmail", "idle").await;
    assert_eq!(mail["done"], 130, "{mail}");
    status(&mut ann, "calendar", "idle").await;
    let read = task(&mut ann, "sync_gmail", "done").await;
    assert_eq!(read["result"]["read"], 130, "{read}");
    assert_eq!(read["result"]["unreadable"], 0, "{read}");
}

#[tokio::test]
async fn a_place_that_is_no_longer_known_begins_anew() {
    let (world, simulator) = World::with_providers().await;
    fill(&simulator, 5);
    let mut ann = sign_in(&world, &simulator).await;
    status(&mut ann, "gmail", "idle").await;
    let mut database = PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap();
    sqlx::query(
        "update sources
        set walk = 'first', walk_started_at = now(), page = 'of last year', done = 3
        where source = 'gmail'",
    )
    .execute(&mut database)
    .await
    .unwrap();
    let reply = ann.send(Method::POST, "/api/ingest/emails").await;
    let id = reply.json()["task_id"].as_str().unwrap().to_owned();
    let browser = tokio::sync::Mutex::new(&mut ann);
    let done = eventually("it is read from the beginning", async || {
        let task = browser
            .lock()
            .await
            .get(&format!("/api/tasks/{id}"))
            .await
            .ok();
        (task["state"] == "done").then_some(task)
    })
    .await;
    assert_eq!(done["result"]["read"], 5, "{done}");
}

#[tokio::test]
async fn one_mail_that_cannot_be_had_stops_no_other() {
    let (world, simulator) = World::with_providers().await;
    fill(&simulator, 4);
    let bad = simulator
        .world()
        .google()
        .deliver(ANN, b"Subject: locked\r\n\r\nText\r\n", Delivery::default())
        .unwrap();
    let faults = simulator.world().faults();
    for path in [
        "/batch/*".to_owned(),
        format!("/gmail/v1/users/me/messages/{bad}"),
    ] {
        let status = if path.starts_with("/batch") { 404 } else { 500 };
        faults.add(Fault {
            times: None,
            ..Fault::next(
                &path,
                1,
                Misbehaviour::Refuse {
                    status,
                    reason: None,
                    retry_after_secs: None,
                },
            )
        });
    }
    let mut ann = sign_in(&world, &simulator).await;
    let read = task(&mut ann, "sync_gmail", "done").await;
    assert_eq!(read["result"]["read"], 5, "{read}");
    assert_eq!(read["result"]["unreadable"], 1, "{read}");
    let mail = status(&mut ann, "gmail", "idle").await;
    assert_eq!((&mail["done"], &mail["total"]), (&json!(4), &json!(5)));
    assert_eq!(mail["unreadable_items"][0]["id"], bad.as_str(), "{mail}");
}

#[tokio::test]
async fn a_listing_that_goes_round_in_circles_is_left() {
    let (world, simulator) = World::with_providers().await;
    world.expect_failures();
    fill(&simulator, 1);
    simulator.world().faults().add(Fault {
        times: None,
        ..Fault::next(
            "/gmail/v1/users/me/messages",
            1,
            Misbehaviour::Answer {
                status: 200,
                body: r#"{"messages": null, "nextPageToken": "again"}"#.to_owned(),
                content_type: Some("application/json".to_owned()),
            },
        )
    });
    let mut ann = sign_in(&world, &simulator).await;
    let failed = task(&mut ann, "sync_gmail", "failed").await;
    assert!(
        failed["last_error"].as_str().unwrap().contains("circles"),
        "{failed}"
    );
    status(&mut ann, "calendar", "idle").await;
}

#[tokio::test]
async fn without_batches_messages_are_read_one_by_one() {
    let (world, simulator) = World::with_providers().await;
    fill(&simulator, 70);
    simulator.world().faults().add(Fault {
        times: None,
        ..Fault::next(
            "/batch/*",
            1,
            Misbehaviour::Refuse {
                status: 404,
                reason: Some("notFound".to_owned()),
                retry_after_secs: None,
            },
        )
    });
    let mut ann = sign_in(&world, &simulator).await;
    assert_eq!(status(&mut ann, "gmail", "idle").await["done"], 70);
    let read = task(&mut ann, "sync_gmail", "done").await;
    assert_eq!(read["result"]["read"], 70, "{read}");
    assert_eq!(read["result"]["unreadable"], 0, "{read}");
}

#[tokio::test]
async fn what_was_not_granted_is_not_read_and_says_so() {
    let (world, simulator) = World::with_providers().await;
    fill(&simulator, 2);
    let mut ann = Browser::new(&world);
    simulator.world().google().decide(Decision::AllowOnly {
        email: ANN.to_owned(),
        scopes: [
            "openid",
            "email",
            "https://www.googleapis.com/auth/gmail.modify",
        ]
        .map(str::to_owned)
        .to_vec(),
    });
    assert_eq!(error_of(&ann.sign_in(GOOGLE).await), None);
    assert_eq!(status(&mut ann, "gmail", "idle").await["done"], 2);
    let reply = ann.send(Method::POST, "/api/ingest/calendar").await;
    assert_eq!(reply.status, 409);
    assert!(
        reply.problem()["detail"]
            .as_str()
            .unwrap()
            .contains("not granted")
    );
    let reply = ann.send(Method::POST, "/api/ingest/contacts").await;
    assert_eq!(reply.status, 409, "HubSpot isn't connected at all");
    assert_eq!(simulator.world().journal().count("GET", "/calendar/"), 0);
}
