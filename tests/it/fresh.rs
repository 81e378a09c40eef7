//! What was read stays as the provider has it: by small steps, by notifications, by looking, and by
//! comparing everything once a day.

use chrono::{DateTime, TimeDelta, Utc};
use paraplanner::simulator::google::{Decision, Delivery};
use paraplanner::simulator::hubspot::{Decision as Choice, Kind};
use paraplanner::simulator::{Fault, Misbehaviour};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::practice::{ANN, PORTAL, Practice, letter};

const BEN: &str = "ben@advisors.example";

#[tokio::test]
async fn what_happens_in_the_mailbox_happens_here() {
    let practice = Practice::open(&[]).await;
    let google = practice.simulator.world().google();
    let old = practice.receive("Old news", "The fence around the orchard needs paint.");
    let kept = practice.receive("To be moved", "The lighthouse keeper retires.");
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    assert_eq!(
        practice.finds("orchard fence", "email").await[0],
        "Old news"
    );

    let new = practice.receive("Fresh news", "Our daughter begins to play the harpsichord.");
    assert!(google.delete_message(ANN, &old));
    assert!(google.relabel(ANN, &kept, &["TRASH"], &["INBOX"]));
    let raw = letter(
        "My answer",
        ANN,
        "The zeppelin lands on Tuesday.",
        practice.now(),
    );
    let sent = Delivery {
        labels: vec!["SENT".to_owned()],
        at: None,
    };
    google.deliver(ANN, &raw, sent).unwrap();
    let draft = Delivery {
        labels: vec!["DRAFT".to_owned()],
        at: None,
    };
    let raw = letter(
        "Half a thought",
        ANN,
        "Perhaps the submarine.",
        practice.now(),
    );
    google.deliver(ANN, &raw, draft).unwrap();
    let before = practice.source("gmail").await;
    practice.pass_a_minute().await;
    let stale = practice.source("gmail").await;
    assert!(
        stale["lag_seconds"].as_i64() >= Some(60)
            || stale["state"] == "running"
            || stale["done"] != before["done"],
        "{stale}"
    );
    let fresh = practice.until_fresh("gmail").await;
    assert_eq!((&fresh["done"], &fresh["total"]), (&json!(2), &json!(2)));
    assert!(fresh["lag_seconds"].as_i64().unwrap() < 60, "{fresh}");
    assert_eq!(
        practice.finds("harpsichord", "email").await[0],
        "Fresh news"
    );
    assert_eq!(practice.finds("zeppelin", "email").await[0], "My answer");
    for gone in ["orchard fence", "lighthouse keeper", "submarine"] {
        let found = practice.finds(gone, "email").await;
        assert!(
            !found.iter().any(
                |title| ["Old news", "To be moved", "Half a thought"].contains(&title.as_str())
            ),
            "{gone}: {found:?}"
        );
    }
    practice.assert_mail_is_equal().await;

    // Taken out of the trash again.
    assert!(google.relabel(ANN, &kept, &["INBOX"], &["TRASH"]));
    practice.pass_a_minute().await;
    practice
        .until("it is back", "gmail", |item| item["done"] == 3)
        .await;
    practice.assert_mail_is_equal().await;
    assert!(google.relabel(ANN, &new, &["SPAM"], &[]));
    practice.pass_a_minute().await;
    practice
        .until("it is spam", "gmail", |item| item["done"] == 2)
        .await;
}

#[tokio::test]
async fn a_look_that_finds_nothing_is_one_call_and_leaves_no_task() {
    let practice = Practice::open(&[]).await;
    practice.receive("A letter", "The fence around the orchard needs paint.");
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    practice.until_relied_upon("calendar").await;
    practice.until_fresh("gmail").await;
    let mut database = practice.database().await;
    let tasks = "select count(*) from ended_tasks where user_id is not null and kind <> 'embed'";
    let before: i64 = sqlx::query_scalar(tasks)
        .fetch_one(&mut database)
        .await
        .unwrap();
    practice.simulator.world().journal().clear();
    practice.pass_a_minute().await;
    practice.until_fresh("gmail").await;
    let journal = practice.simulator.world().journal();
    assert_eq!(journal.count("GET", "/gmail/v1/users/me/history"), 1);
    assert_eq!(journal.count("GET", "/gmail/"), 1);
    assert_eq!(journal.count("GET", "/calendar/"), 0, "it would tell");
    let after: i64 = sqlx::query_scalar(tasks)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_cursor_that_is_too_old_costs_a_comparison_and_nothing_else() {
    let practice = Practice::open(&[]).await;
    let google = practice.simulator.world().google();
    let mut ids = Vec::new();
    for n in 0..130 {
        ids.push(practice.receive(&format!("Letter {n}"), "Nothing in particular."));
    }
    for n in 0..3 {
        let day = practice.now() + TimeDelta::days(n);
        google.add_event(ANN, &json!({"summary": format!("Meeting {n}"),
            "start": {"dateTime": day.to_rfc3339()}, "end": {"dateTime": (day + TimeDelta::hours(1)).to_rfc3339()}})).unwrap();
    }
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    practice.until_fresh("calendar").await;

    for id in &ids[..7] {
        assert!(google.delete_message(ANN, id));
    }
    assert!(google.relabel(ANN, &ids[8], &["TRASH"], &[]));
    practice.receive("In the gap", "What happened meanwhile.");
    let meeting = google.events(ANN)[0]["id"].as_str().unwrap().to_owned();
    assert!(google.delete_event(ANN, &meeting));
    google.expire_history(ANN);
    google.expire_sync_tokens(ANN);
    practice.simulator.world().journal().clear();
    practice.pass_a_minute().await;
    let mail = practice
        .until("all is compared", "gmail", |item| item["done"] == 123)
        .await;
    let mail = if mail["state"] == "idle" {
        mail
    } else {
        practice.until_fresh("gmail").await
    };
    assert_eq!(
        (&mail["total"], &mail["gaps_repaired"]),
        (&json!(123), &json!(9)),
        "{mail}"
    );
    practice.assert_mail_is_equal().await;
    practice
        .until("the meeting is gone", "calendar", |item| item["done"] == 2)
        .await;
    // Only what was new is fetched.
    let batches = practice
        .simulator
        .world()
        .journal()
        .count("POST", "/batch/gmail/v1");
    assert!(batches <= 2, "{batches}");
}

#[tokio::test]
async fn a_month_of_a_mailbox_ends_as_the_provider_has_it() {
    let practice = Practice::open(&[]).await;
    let google = practice.simulator.world().google();
    for n in 0..40 {
        practice.receive(&format!("Before {n}"), "Long ago.");
    }
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    let mut random = 7_u64;
    let mut dice = |sides: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % sides
    };
    for day in 0..30 {
        for n in 0..dice(6) {
            let id = practice.receive(&format!("Day {day} letter {n}"), "Something happened.");
            if dice(4) == 0 {
                google
                    .deliver_reply(ANN, &id, "client@example.com", "One more thing.")
                    .unwrap();
            }
        }
        let there = google.messages(ANN);
        for _ in 0..dice(3) {
            let (id, _) = &there[usize::try_from(dice(there.len() as u64)).unwrap()];
            match dice(4) {
                0 => drop(google.delete_message(ANN, id)),
                1 => drop(google.relabel(ANN, id, &["TRASH"], &["INBOX"])),
                2 => drop(google.relabel(ANN, id, &["INBOX"], &["TRASH", "SPAM"])),
                _ => drop(google.relabel(ANN, id, &["STARRED"], &["UNREAD"])),
            }
        }
        if day == 17 {
            google.expire_history(ANN);
        }
        practice.pass_a_day().await;
        practice.until_fresh("gmail").await;
    }
    practice.assert_mail_is_equal().await;
    let mail = practice.source("gmail").await;
    assert_eq!(mail["done"], mail["total"], "{mail}");
    assert!(mail["last_reconciled_at"].is_string(), "{mail}");
}

#[tokio::test]
async fn a_gap_is_shown_while_it_lasts() {
    let practice = Practice::open(&[]).await;
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    practice.simulator.world().faults().add(Fault {
        times: None,
        ..Fault::next(
            "/gmail/v1/users/me/history",
            1,
            Misbehaviour::Refuse {
                status: 503,
                reason: None,
                retry_after_secs: Some(0),
            },
        )
    });
    practice.receive("Unheard of", "Nobody knows.");
    practice.pass("PT2H", TimeDelta::hours(2)).await;
    let away = practice
        .until("the trouble is shown", "gmail", |item| {
            item["state"] == "failing"
        })
        .await;
    assert!(away["lag_seconds"].as_i64().unwrap() >= 7200, "{away}");
    assert!(
        away["error"].as_str().unwrap().contains("unavailable"),
        "{away}"
    );
    practice.simulator.world().faults().clear();
    practice.pass("PT6M", TimeDelta::minutes(6)).await;
    let back = practice.until_fresh("gmail").await;
    assert_eq!(back["done"], 1, "{back}");
    assert_eq!(back["error"], Value::Null, "{back}");
}

#[tokio::test]
async fn a_calendar_with_series_and_exceptions_is_as_the_provider_expands_it() {
    let practice = Practice::open(&[]).await;
    let google = practice.simulator.world().google();
    google.set_time_zone(ANN, "Europe/Zurich");
    let weekly = google
        .add_event(
            ANN,
            &json!({
                "summary": "Weekly review", "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=30"],
                "start": {"dateTime": "2026-10-05T09:00:00", "timeZone": "Europe/Zurich"},
                "end": {"dateTime": "2026-10-05T10:00:00", "timeZone": "Europe/Zurich"},
            }),
        )
        .unwrap();
    google.add_event(ANN, &json!({"summary": "Trade fair", "start": {"date": "2026-12-01"}, "end": {"date": "2026-12-04"}})).unwrap();
    practice.sign_in().await;
    let calendar = practice.until_fresh("calendar").await;
    assert_eq!(calendar["done"], 31, "{calendar}");
    // Who hasn't said where they are is where their calendar is.
    let zone = async || {
        let settings = practice.in_person().await.get("/api/settings").await.ok();
        settings["time_zone"].as_str().unwrap().to_owned()
    };
    assert_eq!(zone().await, "Europe/Zurich");
    practice
        .settle_on(&json!({"time_zone": "America/New_York"}))
        .await;
    let mut boss = practice.in_person().await;
    boss.post("/api/ingest/calendar", &json!({})).await;
    assert_eq!(zone().await, "America/New_York");
    // Across the end of summer time: 09:00 in Zurich is another hour in UTC.
    let mut database = practice.database().await;
    let starts: Vec<DateTime<Utc>> = sqlx::query_scalar(
        "select starts_at from calendar_events where title = 'Weekly review' order by starts_at limit 5",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let hours: Vec<String> = starts
        .iter()
        .map(|at| at.format("%d %H").to_string())
        .collect();
    assert_eq!(hours, ["05 07", "12 07", "19 07", "26 08", "02 08"]);

    // One instance is moved, one doesn't take place, and the rest is renamed.
    let id = weekly["id"].as_str().unwrap();
    google.patch_event(ANN, &format!("{id}_20261012T070000Z"), &json!({
        "summary": "Moved review",
        "start": {"dateTime": "2026-10-13T15:00:00+02:00"}, "end": {"dateTime": "2026-10-13T16:00:00+02:00"},
    })).unwrap();
    assert!(google.delete_event(ANN, &format!("{id}_20261019T070000Z")));
    practice.pass_a_minute().await;
    practice
        .until("the exception is known", "calendar", |item| {
            item["done"] == 30
        })
        .await;
    let moved: DateTime<Utc> =
        sqlx::query_scalar("select starts_at from calendar_events where title = 'Moved review'")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!(moved.to_rfc3339(), "2026-10-13T13:00:00+00:00");
    assert_eq!(practice.finds("Trade fair", "event").await[0], "Trade fair");
    // The series ends.
    assert!(google.delete_event(ANN, id));
    practice.pass_a_minute().await;
    practice
        .until("the series is gone", "calendar", |item| item["done"] == 1)
        .await;
}

#[tokio::test]
async fn what_happens_in_hubspot_happens_here() {
    let practice = Practice::open(&[]).await;
    practice.open_portal();
    let portal = practice.simulator.world().portal(PORTAL);
    let sara = portal
        .add_contact(&[
            ("firstname", "Sara"),
            ("lastname", "Smith"),
            ("email", "sara@example.com"),
        ])
        .unwrap();
    let other = portal
        .add_contact(&[
            ("firstname", "Sarah"),
            ("lastname", "Smith"),
            ("email", "sarah@example.com"),
        ])
        .unwrap();
    portal
        .add_note(
            sara,
            "<p>Wants to sell her <b>AAPL</b> shares for the boathouse.</p>",
            practice.now(),
        )
        .unwrap();
    portal
        .add_deal(
            sara,
            &[("dealname", "Boathouse loan"), ("amount", "250000")],
        )
        .unwrap();
    practice.sign_in().await;
    practice.connect_hubspot().await;
    for (source, done) in [
        ("hubspot_contacts", 2),
        ("hubspot_notes", 1),
        ("hubspot_deals", 1),
    ] {
        let item = practice.until_fresh(source).await;
        assert_eq!(item["done"], done, "{item}");
    }
    assert!(
        !practice
            .finds("why sell AAPL shares", "note")
            .await
            .is_empty()
    );
    assert_eq!(
        practice.finds("boathouse loan", "deal").await,
        ["Boathouse loan"]
    );

    // A changed address keeps the person one; the note stays hers.
    portal
        .update(
            Kind::Contact,
            sara,
            &[
                ("email", "sara.smith@example.com"),
                ("phone", "+41 44 000 00 00"),
            ],
        )
        .unwrap();
    portal
        .add_note(
            sara,
            "Prefers telephone calls on the harmonium.",
            practice.now(),
        )
        .unwrap();
    practice.pass("PT2M", TimeDelta::minutes(2)).await;
    practice
        .until("the new note is known", "hubspot_notes", |item| {
            item["done"] == 2
        })
        .await;
    practice.until_fresh("hubspot_contacts").await;
    let people = practice.ann.lock().await.get("/api/contacts").await.ok();
    let items = people["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{people}");
    let found = items
        .iter()
        .find(|item| item["name"] == "Sara Smith")
        .unwrap();
    assert_eq!(
        found["emails"],
        json!(["sara.smith@example.com"]),
        "{found}"
    );
    let body = json!({"query": "harmonium", "contact_id": found["id"], "kinds": ["note"]});
    let notes = practice
        .ann
        .lock()
        .await
        .post("/api/embeddings/search", &body)
        .await
        .ok();
    let first = notes["items"][0]["snippet"].as_str().unwrap();
    assert!(first.contains("harmonium"), "{notes}");

    // What is archived is gone with the next comparison.
    portal.archive(Kind::Contact, other).unwrap();
    practice.pass_a_day().await;
    let contacts = practice
        .until("the comparison finds it", "hubspot_contacts", |item| {
            item["done"] == 1
        })
        .await;
    let contacts = if contacts["state"] == "idle" {
        contacts
    } else {
        practice.until_fresh("hubspot_contacts").await
    };
    assert_eq!(contacts["gaps_repaired"], 1, "{contacts}");
}

#[tokio::test]
async fn more_changes_than_a_search_can_show_all_arrive() {
    let practice = Practice::open(&[
        ("HUBSPOT_CALLS_PER_MINUTE", "0"),
        ("HUBSPOT_SEARCHES_PER_MINUTE", "0"),
    ])
    .await;
    practice.open_portal();
    let hubspot = practice.simulator.world().hubspot();
    hubspot.set_limits(false, false);
    practice.sign_in().await;
    practice.connect_hubspot().await;
    practice.until_fresh("hubspot_contacts").await;
    practice.until_fresh("hubspot_deals").await;
    let portal = practice.simulator.world().portal(PORTAL);
    let many = (0..10_450).map(|n| {
        let properties = [
            ("firstname", "Client".to_owned()),
            ("lastname", format!("Number{n}")),
            ("email", format!("client{n}@example.com")),
        ];
        let properties = properties
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        (properties.collect(), None)
    });
    portal.load_contacts(many).unwrap();
    practice.pass_a_minute().await;
    practice
        .until("all are known", "hubspot_contacts", |item| {
            item["done"] == 10_450
        })
        .await;
}

#[tokio::test]
async fn what_is_left_out_disappears_and_comes_back() {
    let practice = Practice::open(&[]).await;
    let google = practice.simulator.world().google();
    practice.receive("About the boathouse", "The boathouse needs a new roof.");
    let raw = letter(
        "Gossip",
        "Aunt <aunt@gossip.example>",
        "The boathouse is haunted.",
        practice.now(),
    );
    google.deliver(ANN, &raw, Delivery::default()).unwrap();
    let starred = practice.receive("Private", "My boathouse dream.");
    google.relabel(ANN, &starred, &["STARRED"], &[]);
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    assert_eq!(practice.finds("boathouse", "email").await.len(), 3);

    let leave_out = async |scope: Value| {
        let mut ann = practice.ann.lock().await;
        let body = json!({"import_scope": scope});
        let reply = ann.put("/api/settings", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    leave_out(
        json!({"labels": ["Starred"], "never_senders": [], "never_domains": ["gossip.example"]}),
    )
    .await;
    practice
        .until("two are gone", "gmail", |item| {
            item["done"] == 1 && item["state"] == "idle"
        })
        .await;
    assert_eq!(
        practice.finds("boathouse", "email").await,
        ["About the boathouse"]
    );
    let raw = letter(
        "More gossip",
        "Aunt <aunt@gossip.example>",
        "The boathouse burns.",
        practice.now(),
    );
    google.deliver(ANN, &raw, Delivery::default()).unwrap();
    practice.pass_a_minute().await;
    let mail = practice.until_fresh("gmail").await;
    assert_eq!(mail["done"], 1, "{mail}");
    // Another label on a mail that is stored.
    leave_out(json!({"labels": [], "never_senders": ["aunt@gossip.example"], "never_domains": []}))
        .await;
    practice
        .until("the private one is back", "gmail", |item| {
            item["done"] == 2 && item["state"] == "idle"
        })
        .await;
    leave_out(json!({"labels": [], "never_senders": [], "never_domains": []})).await;
    practice
        .until("all are back", "gmail", |item| {
            item["done"] == 4 && item["state"] == "idle"
        })
        .await;
    assert_eq!(practice.finds("boathouse", "email").await.len(), 4);
}

#[tokio::test]
async fn two_advisors_of_one_portal_share_nothing_here() {
    let practice = Practice::open(&[]).await;
    practice.open_portal();
    let google = practice.simulator.world().google();
    let hubspot = practice.simulator.world().hubspot();
    google.add_account(BEN, "Ben Advisor");
    hubspot.add_user(PORTAL, 9002, BEN);
    let portal = practice.simulator.world().portal(PORTAL);
    let sara = portal
        .add_contact(&[("firstname", "Sara"), ("email", "sara@example.com")])
        .unwrap();
    portal
        .add_note(sara, "Keeps a zeppelin in the barn.", practice.now())
        .unwrap();
    practice.receive("For Ann", "The zeppelin is for sale.");
    let raw = letter(
        "For Ben",
        "Client <client@example.com>",
        "The zeppelin is sold.",
        practice.now(),
    );
    google.deliver(BEN, &raw, Delivery::default()).unwrap();
    practice.sign_in().await;
    practice.connect_hubspot().await;
    let mut ben = Browser::new(&practice.world);
    google.decide(Decision::Allow {
        email: BEN.to_owned(),
    });
    ben.sign_in("/api/auth/google/start").await;
    hubspot.decide(Choice::Allow {
        portal: PORTAL,
        user: 9002,
    });
    ben.sign_in("/api/auth/hubspot/start").await;
    let bens = Practice {
        ann: tokio::sync::Mutex::new(ben),
        world: practice.world,
        simulator: practice.simulator,
        boss: std::sync::Mutex::default(),
    };
    bens.until("Ben's notes are read", "hubspot_notes", |item| {
        item["done"] == 1
    })
    .await;
    bens.until("Ben's mail is read", "gmail", |item| item["done"] == 1)
        .await;
    let mut database = bens.database().await;
    let shared: i64 = sqlx::query_scalar(
        "select count(*) from provider_items as one join provider_items as other using (item_id)
        where one.user_id <> other.user_id",
    )
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert_eq!(shared, 0);
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select source, count(distinct user_id) from provider_items group by source order by source",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let of_both =
        ["gmail", "hubspot_contacts", "hubspot_notes"].map(|source| (source.to_owned(), 2));
    assert_eq!(rows, of_both);
    assert_eq!(bens.finds("zeppelin", "email").await, ["For Ben"]);
    assert_eq!(bens.finds("zeppelin barn", "note").await.len(), 1);
    let people = bens.ann.lock().await.get("/api/contacts").await.ok();
    assert_eq!(people["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn another_mailbox_takes_the_place_of_the_first() {
    let practice = Practice::open(&[]).await;
    let google = practice.simulator.world().google();
    practice.receive("Of the old mailbox", "A zeppelin.");
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    // The account's address changed: to us it is another mailbox.
    let id = google.messages(ANN)[0].0.clone();
    google.delete_message(ANN, &id);
    google.rename_account(ANN, "ann@elsewhere.example");
    practice.sign_in_as("ann@elsewhere.example").await;
    practice
        .until("the old mail is gone", "gmail", |item| {
            item["done"] == 0 && item["state"] == "idle" && item["last_synced_at"].is_string()
        })
        .await;
    assert!(practice.finds("zeppelin", "email").await.is_empty());
}

#[tokio::test]
async fn what_is_unreadable_is_counted_listed_and_tried_again() {
    let practice = Practice::open(&[]).await;
    practice.open_portal();
    let google = practice.simulator.world().google();
    google.add_event(ANN, &json!({"start": {"dateTime": "2026-12-05T10:00:00Z"}, "end": {"dateTime": "2026-12-05T10:00:00Z"}})).unwrap();
    for raw in [
        &b"\xff\xfe\x00garbage without any header"[..],
        b"",
        b"From: \r\nTo: nobody\r\nDate: yesterday\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
        b"Subject: =?utf-8?B?!!!?=\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%",
    ] {
        google.deliver(ANN, raw, Delivery::default()).unwrap();
    }
    let locked = practice.receive("Locked", "A zeppelin.");
    practice
        .simulator
        .world()
        .portal(PORTAL)
        .add_contact(&[("city", "Zurich")])
        .unwrap();
    let faults = practice.simulator.world().faults();
    for path in [
        "/batch/*".to_owned(),
        format!("/gmail/v1/users/me/messages/{locked}"),
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
    practice.sign_in().await;
    practice.connect_hubspot().await;
    let mail = practice
        .until("all others are read", "gmail", |item| {
            item["last_synced_at"].is_string()
        })
        .await;
    let listed = mail["unreadable_items"].as_array().unwrap();
    assert_eq!(mail["unreadable"], listed.len(), "{mail}");
    assert!(
        listed.iter().any(|item| item["id"] == locked.as_str()),
        "{mail}"
    );
    assert_eq!(
        mail["done"].as_i64().unwrap() + mail["unreadable"].as_i64().unwrap(),
        5,
        "{mail}"
    );
    practice
        .until("an event without a title is one", "calendar", |item| {
            item["done"] == 1
        })
        .await;
    practice
        .until(
            "a contact without a name is one",
            "hubspot_contacts",
            |item| item["done"] == 1,
        )
        .await;
    faults.clear();
    practice.pass_a_day().await;
    practice
        .until("it is tried again", "gmail", |item| {
            item["unreadable"].as_u64() < mail["unreadable"].as_u64()
        })
        .await;
    assert_eq!(practice.finds("zeppelin", "email").await[0], "Locked");
}
