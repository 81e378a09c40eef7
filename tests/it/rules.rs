//! Standing orders: what starts them, what they do, and what a rehearsal says of them.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use paraplanner::simulator::google::Delivery;

use crate::practice::{ANN, PORTAL, Practice, letter};
use crate::world::eventually;

impl Practice {
    async fn rule(&self, text: &str) -> String {
        let mut ann = self.ann.lock().await;
        let reply = ann.post("/api/rules", &json!({"text": text})).await;
        assert_eq!(reply.status, 201, "{text}: {}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// What a rule would do with what happened since yesterday.
    pub async fn rehearse(&self, text: &str) -> Value {
        let since = (self.now() - TimeDelta::days(1)).to_rfc3339();
        let body = json!({"text": text, "since": since});
        self.ann
            .lock()
            .await
            .post("/api/rules/preview", &body)
            .await
            .ok()
    }

    async fn tasks_of(&self, kind: &str) -> Vec<Value> {
        let path = format!("/api/tasks?type={kind}&limit=200");
        let page = self.ann.lock().await.get(&path).await.ok();
        page["items"].as_array().unwrap().clone()
    }

    async fn until_tasks(&self, kind: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} tasks of type {kind}"), async || {
            let tasks = self.tasks_of(kind).await;
            let done = tasks.iter().filter(|task| task["state"] == "done").count();
            (done == count && tasks.len() == count).then_some(tasks)
        })
        .await
    }

    async fn matched(&self, id: &str) -> i64 {
        let rule = self
            .ann
            .lock()
            .await
            .get(&format!("/api/rules/{id}"))
            .await
            .ok();
        rule["match_count"].as_i64().unwrap()
    }

    async fn until_matched(&self, id: &str, count: i64) {
        eventually(&format!("{count} matches"), async || {
            (self.matched(id).await == count).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_examples_of_the_documentation_work_as_they_stand() {
    let practice = Practice::open(&[]).await;
    practice.open_portal();
    practice.sign_in().await;
    practice.connect_hubspot().await;
    practice.until_fresh("hubspot_contacts").await;
    practice.until_fresh("gmail").await;
    let welcome = practice
        .rule("when hubspot.contact.creation then create_task type=welcome_email priority=high")
        .await;
    let log = practice.rule("when gmail.message.received then log").await;

    let portal = practice.simulator.world().portal(PORTAL);
    portal
        .add_contact(&[("email", "zoe@example.com"), ("firstname", "Zoë")])
        .unwrap();
    practice.receive("Hello", "How are you?");
    practice.pass_a_minute().await;
    let wanted = practice.until_pending(1).await;
    assert_eq!(wanted[0]["action"], "send_email", "{wanted:?}");
    assert_eq!(wanted[0]["input"]["to"], json!(["zoe@example.com"]));
    let (status, body) = practice
        .decide(&wanted[0]["id"], "approve", &json!({}))
        .await;
    assert_eq!(status, 200, "{body}");
    let tasks = practice.until_tasks("welcome_email", 1).await;
    assert_eq!(tasks[0]["caused_by"]["id"], json!(welcome));
    assert_eq!(tasks[0]["priority"], 0, "high goes first");
    assert_eq!(tasks[0]["result"]["item"]["title"], "Zoë");
    assert_eq!(practice.sent().len(), 1);
    practice.until_matched(&log, 1).await;
    practice.until_matched(&welcome, 1).await;
    let lines = practice.until_done("log", 1).await;
    assert_eq!(lines[0]["actor"], "rule", "{lines:?}");
    assert_eq!(lines[0]["target"], "Hello");
    assert_eq!(lines[0]["why"]["rule_id"], json!(log));

    let shown = practice
        .ann
        .lock()
        .await
        .get(&format!("/api/rules/{welcome}"))
        .await
        .ok();
    assert_eq!(shown["trigger"], "hubspot.contact.creation");
    assert_eq!(shown["condition"], Value::Null);
    assert_eq!(shown["action"], "create_task");
    assert_eq!(
        shown["parameters"],
        json!({"type": "welcome_email", "priority": "high"})
    );
    assert!(shown["last_matched_at"].is_string());
}

#[tokio::test]
async fn a_rehearsal_says_what_then_happens() {
    let practice = Practice::open(&[]).await;
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    let text = "when gmail.message.received if subject~\"quarterly\" and sender_in_crm=no \
        then create_contact note=\"Wrote about {subject}\" and draft_reply \"Be kind\"";
    // Nobody acts yet; what happens is remembered.
    for subject in ["Quarterly figures", "Lunch", "The quarterly letter"] {
        practice.receive(subject, "See above.");
    }
    practice.pass_a_minute().await;
    practice
        .until("all is read", "gmail", |item| item["done"] == 3)
        .await;
    let said = eventually("all is remembered", async || {
        let said = practice.rehearse(text).await;
        let all = said["matches"].as_array()?.len() + said["misses"].as_array()?.len();
        (all == 3).then_some(said)
    })
    .await;
    let titles = |list: &Value| -> Vec<String> {
        let items = list.as_array().unwrap().iter();
        let mut titles: Vec<String> = items
            .map(|item| item["event"]["title"].as_str().unwrap().to_owned())
            .collect();
        titles.sort();
        titles
    };
    // All three are from one client: rules write to one person three times a day at most.
    assert_eq!(
        titles(&said["matches"]),
        ["Quarterly figures", "The quarterly letter"]
    );
    assert_eq!(titles(&said["misses"]), ["Lunch"]);
    let failed = said["misses"][0]["failed"].as_str().unwrap();
    assert!(
        failed.contains("subject") && failed.contains("Lunch"),
        "{failed}"
    );
    assert_eq!(said["matches"][0]["would_do"][1]["action"], "draft_reply");
    assert_eq!(
        practice.tasks_of("create_contact").await.len(),
        0,
        "nothing is done"
    );

    let id = practice.rule(text).await;
    for subject in [
        "Quarterly figures, again",
        "Lunch, again",
        "The next quarterly letter",
    ] {
        practice.receive(subject, "See above.");
    }
    practice.pass_a_minute().await;
    let made = practice.until_tasks("create_contact", 2).await;
    let mut notes: Vec<&str> = made
        .iter()
        .map(|task| {
            task["result"]["draft"]["parameters"]["note"]
                .as_str()
                .unwrap()
        })
        .collect();
    notes.sort_unstable();
    assert_eq!(
        notes,
        [
            "Wrote about Quarterly figures, again",
            "Wrote about The next quarterly letter"
        ]
    );
    practice.until_tasks("draft_reply", 2).await;
    practice.until_matched(&id, 2).await;
}

#[tokio::test]
async fn a_rule_is_rehearsed_on_the_first_day_and_does_not_act_on_what_was_before() {
    let practice = Practice::open(&[]).await;
    practice.open_portal();
    let google = practice.simulator.world().google();
    for (subject, days) in [("Old figures", 200), ("Figures of May", 40), ("Figures", 3)] {
        let at = practice.now() - TimeDelta::days(days);
        let raw = letter(subject, "Client <client@example.com>", "See above.", at);
        let delivery = Delivery {
            at: Some(at),
            ..Delivery::default()
        };
        google.deliver(ANN, &raw, delivery).unwrap();
    }
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    let rule = practice.rule("when gmail.message.received then log").await;
    let text = "when gmail.message.received if subject~figures and is_reply=no then log";
    let rehearsed = async |days: i64| {
        let since = (practice.now() - TimeDelta::days(days)).to_rfc3339();
        let body = json!({"text": text, "since": since});
        let mut ann = practice.ann.lock().await;
        let said = ann.post("/api/rules/preview", &body).await.ok();
        let matches = said["matches"].as_array().unwrap().iter();
        matches
            .map(|one| one["event"]["title"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(rehearsed(90).await, ["Figures of May", "Figures"]);
    assert_eq!(rehearsed(7).await, ["Figures"]);
    // What comes now is acted upon, and it alone.
    practice.receive("Figures of today", "See above.");
    practice.pass_a_minute().await;
    practice.until_matched(&rule, 1).await;
    let lines = practice.until_done("log", 1).await;
    assert_eq!(lines[0]["target"], "Figures of today");
    assert_eq!(rehearsed(90).await.len(), 3);
}

#[tokio::test]
async fn a_label_is_called_what_its_user_calls_it() {
    let practice = Practice::open(&[]).await;
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    let rule = practice
        .rule("when gmail.message.received if label=\"Top clients\" then log")
        .await;
    let google = practice.simulator.world().google();
    for (subject, labels) in [
        ("To me", vec![]),
        ("To her", vec!["Top clients".to_owned()]),
    ] {
        let raw = letter(
            subject,
            "Client <client@example.com>",
            "Hello.",
            practice.now(),
        );
        let delivery = Delivery {
            labels,
            ..Delivery::default()
        };
        google.deliver(ANN, &raw, delivery).unwrap();
    }
    practice.pass_a_minute().await;
    practice.until_matched(&rule, 1).await;
    let lines = practice.until_done("log", 1).await;
    assert_eq!(lines[0]["target"], "To her");
}

#[tokio::test]
async fn what_hubspot_refuses_is_said_and_not_tried_for_ever() {
    let practice = Practice::with_clients().await;
    practice
        .saved(
            "when gmail.message.received if sender_in_crm=no then create_contact",
            "auto",
        )
        .await;
    practice
        .simulator
        .world()
        .faults()
        .add(paraplanner::simulator::Fault {
            method: Some("POST".to_owned()),
            times: None,
            ..paraplanner::simulator::Fault::next(
                "/crm/objects/2026-03/contacts",
                1,
                paraplanner::simulator::Misbehaviour::Refuse {
                    status: 400,
                    reason: Some("VALIDATION_ERROR".to_owned()),
                    retry_after_secs: None,
                },
            )
        });
    practice.receive_from(
        "Max New <max@newcomer.example>",
        "Pensions",
        "Can you help me?",
    );
    practice.pass_a_minute().await;
    let tasks = practice.until_tasks("create_contact", 1).await;
    let outcome = &tasks[0]["result"]["outcome"];
    assert_eq!(outcome["state"], "failed", "{}", tasks[0]);
    let said = practice.activity().await;
    let refused = said
        .iter()
        .find(|entry| entry["action"] == "create_contact");
    assert_eq!(refused.unwrap()["result"]["state"], "failed", "{said:?}");
}

#[tokio::test]
async fn what_a_machine_sent_starts_nothing_unless_the_rule_says_so() {
    let practice = Practice::open(&[]).await;
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    let any = practice.rule("when gmail.message.received then log").await;
    let machines = practice
        .rule("when gmail.message.received if automatic=yes then log")
        .await;
    let raw = format!(
        "From: Robot <robot@example.com>\r\nTo: {ANN}\r\nSubject: Out of office\r\n\
         Message-ID: <robot@example.com>\r\nAuto-Submitted: auto-replied\r\nDate: {}\r\n\r\nAway.\r\n",
        practice.now().to_rfc2822()
    );
    let google = practice.simulator.world().google();
    google.deliver(
        ANN,
        raw.as_bytes(),
        paraplanner::simulator::google::Delivery::default(),
    );
    practice.pass_a_minute().await;
    practice.until_matched(&machines, 1).await;
    assert_eq!(practice.matched(&any).await, 0);
}

#[tokio::test]
async fn rules_write_in_a_conversation_once_a_day() {
    let practice = Practice::open(&[]).await;
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    let id = practice
        .rule("when gmail.message.received then draft_reply \"Thank them\"")
        .await;
    for n in 0..5 {
        let raw = format!(
            "From: Client <client{n}@example.com>\r\nTo: {ANN}\r\nSubject: Re: The boat\r\n\
             Message-ID: <m{n}@example.com>\r\nReferences: <boat@example.com>\r\nDate: {}\r\n\r\nHello {n}\r\n",
            practice.now().to_rfc2822()
        );
        let google = practice.simulator.world().google();
        google.deliver(
            ANN,
            raw.as_bytes(),
            paraplanner::simulator::google::Delivery::default(),
        );
    }
    practice.pass_a_minute().await;
    practice
        .until("all is read", "gmail", |item| item["done"] == 5)
        .await;
    practice.until_tasks("draft_reply", 1).await;
    assert_eq!(practice.matched(&id).await, 1);
}

#[tokio::test]
async fn a_rule_is_written_read_switched_off_and_ended_by_its_user() {
    let practice = Practice::open(&[]).await;
    practice.sign_in().await;
    practice.until_fresh("gmail").await;
    let id = practice.rule("when gmail.message.received then log").await;
    let path = format!("/api/rules/{id}");
    {
        let mut ann = practice.ann.lock().await;
        for (text, says) in [
            ("", "column 1"),
            ("when gmail.message.received then reply_al", "column 34"),
            (
                "when gmail.message.received if colour=red then log",
                "column 32",
            ),
            ("whenever", "column 1"),
        ] {
            let reply = ann.post("/api/rules", &json!({"text": text})).await;
            assert_eq!(reply.status, 422, "{text}");
            let error = &reply.problem()["errors"][0];
            assert_eq!(error["field"], "text");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(says), "{text}: {message}");
        }
        let off = json!({"text": "when gmail.* then log", "enabled": false, "autonomy": "auto"});
        let refused = ann.put(&path, &off).await;
        assert_eq!(refused.status, 403, "this token can't approve");
        let token = ann.set_bearer("");
        let changed = ann.put(&path, &off).await.ok();
        ann.set_bearer(&token);
        assert_eq!(changed["trigger"], "gmail.*");
        assert_eq!(changed["autonomy"], "auto");
        assert_eq!(changed["enabled"], false);
        let odd = json!({"text": "when gmail.* then log", "autonomy": "always"});
        assert_eq!(ann.put(&path, &odd).await.status, 422);
        let listed = ann.get("/api/rules").await.ok();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    }
    practice.receive("Hello", "How are you?");
    practice.pass_a_minute().await;
    practice
        .until("it is read", "gmail", |item| item["done"] == 1)
        .await;
    eventually("rules have looked", async || {
        let tasks = practice.tasks_of("apply_rules").await;
        tasks
            .iter()
            .any(|task| task["state"] == "done")
            .then_some(())
    })
    .await;
    assert_eq!(practice.matched(&id).await, 0, "it is off");
    let mut ann = practice.ann.lock().await;
    assert_eq!(ann.send(Method::DELETE, &path).await.status, 204);
    assert_eq!(ann.get(&path).await.status, 404);
    assert_eq!(ann.send(Method::DELETE, &path).await.status, 404);
}
