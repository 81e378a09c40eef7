//! What is done outside: proposed, allowed by the user alone, done once, and written down.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::practice::{ANN, PORTAL, Practice};
use crate::world::eventually;

impl Practice {
    /// Signed in, with HubSpot, and with Sara and Tom as clients.
    pub async fn with_clients() -> Self {
        Self::open(&[]).await.and_clients().await
    }

    pub async fn and_clients(self) -> Self {
        let practice = self;
        practice.open_portal();
        practice.sign_in().await;
        practice.connect_hubspot().await;
        let portal = practice.simulator.world().portal(PORTAL);
        for (first, last, email) in [
            ("Sara", "Smith", "sara@example.com"),
            ("Tom", "Jones", "tom@firm.example"),
        ] {
            portal
                .add_contact(&[("email", email), ("firstname", first), ("lastname", last)])
                .unwrap();
        }
        practice.pass_a_minute().await;
        practice
            .until("the clients are here", "hubspot_contacts", |item| {
                item["done"] == 2
            })
            .await;
        practice.until_fresh("gmail").await;
        practice
    }

    pub async fn saved(&self, text: &str, autonomy: &str) -> String {
        let body = json!({"text": text, "autonomy": autonomy});
        let reply = self.in_person().await.post("/api/rules", &body).await;
        assert_eq!(reply.status, 201, "{text}: {}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// In person.
    pub async fn settle_on(&self, settings: &Value) {
        self.in_person()
            .await
            .put("/api/settings", settings)
            .await
            .ok();
    }

    pub async fn approvals(&self, state: &str) -> Vec<Value> {
        let path = format!("/api/approvals?state={state}&limit=200");
        let page = self.in_person().await.get(&path).await.ok();
        page["items"].as_array().unwrap().clone()
    }

    pub async fn until_pending(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} pending approvals"), async || {
            let pending = self.approvals("pending").await;
            (pending.len() == count).then_some(pending)
        })
        .await
    }

    /// In person: the status, and the body.
    pub async fn decide(&self, id: &Value, how: &str, body: &Value) -> (u16, Value) {
        let path = format!("/api/approvals/{}/{how}", id.as_str().unwrap());
        let reply = self.in_person().await.post(&path, body).await;
        (reply.status, reply.json())
    }

    /// With a token that may do everything but decide.
    pub async fn script(&self) -> crate::browser::Browser {
        let token = json!({"name": "script", "scopes": ["read", "write"]});
        let mut ann = self.ann.lock().await.twin();
        ann.set_bearer("");
        let token = ann.post("/api/auth/tokens", &token).await.ok();
        ann.set_bearer(token["token"].as_str().unwrap());
        ann
    }

    pub async fn activity(&self) -> Vec<Value> {
        let page = self
            .in_person()
            .await
            .get("/api/activity?limit=200")
            .await
            .ok();
        page["items"].as_array().unwrap().clone()
    }

    pub async fn until_done(&self, action: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} of {action} in the diary"), async || {
            let done: Vec<Value> = self
                .activity()
                .await
                .into_iter()
                .filter(|entry| entry["action"] == action && entry["result"]["state"] == "done")
                .collect();
            (done.len() >= count).then_some(done)
        })
        .await
    }

    pub fn sent(&self) -> Vec<paraplanner::simulator::google::Sent> {
        self.simulator.world().google().sent(ANN)
    }

    /// A client writes.
    pub fn receive_from(&self, from: &str, subject: &str, text: &str) -> String {
        let raw = crate::practice::letter(subject, from, text, self.now());
        let google = self.simulator.world().google();
        google
            .deliver(
                ANN,
                &raw,
                paraplanner::simulator::google::Delivery::default(),
            )
            .unwrap()
    }
}

const THANK: &str = "when gmail.message.received if sender_in_crm=yes then \
    send_email template=custom subject=\"Re: {subject}\" text=\"Thank you.\"";

#[tokio::test]
async fn what_is_allowed_fifty_times_is_done_once_and_written_down() {
    let practice = Practice::with_clients().await;
    practice.saved(THANK, "inherit").await;
    practice.receive_from("Sara Smith <sara@example.com>", "The boat", "We bought it.");
    practice.receive_from("Nobody <nobody@example.net>", "Offer", "Buy!");
    practice.pass_a_minute().await;
    let pending = practice.until_pending(1).await;
    let approval = &pending[0];
    assert_eq!(approval["action"], "send_email");
    assert_eq!(approval["input"]["to"], json!(["sara@example.com"]));
    assert_eq!(approval["input"]["text"], "Thank you.");
    assert_eq!(
        approval["preview"]["recipients"][0]["ascii"],
        "sara@example.com"
    );
    assert_eq!(approval["caused_by"]["kind"], "rule");
    assert_eq!(approval["sources"][0]["title"], "The boat");
    assert_eq!(approval["risk"], json!([]));
    assert!(practice.sent().is_empty(), "nothing leaves unasked");

    let path = format!(
        "/api/approvals/{}/approve",
        approval["id"].as_str().unwrap()
    );
    {
        // A script's token can't decide.
        let mut ann = practice.script().await;
        assert_eq!(ann.post(&path, &json!({})).await.status, 403);
    }
    let other = json!({"expected_digest": "0".repeat(64)});
    assert_eq!(
        practice.decide(&approval["id"], "approve", &other).await.0,
        409
    );

    let clicks = join_all((0..50).map(async |_| {
        let mut ann = practice.in_person().await;
        ann.post(&path, &json!({})).await.status
    }))
    .await;
    let allowed = clicks.iter().filter(|status| **status == 200).count();
    let late = clicks.iter().filter(|status| **status == 409).count();
    assert_eq!((allowed, late), (1, 49));

    let done = practice.until_done("send_email", 1).await;
    assert_eq!(done[0]["actor"], "rule");
    assert_eq!(done[0]["target"], "sara@example.com");
    assert_eq!(done[0]["final"]["text"], "Thank you.");
    assert_eq!(done[0]["undo"], Value::Null);
    let sent = practice.sent();
    assert_eq!(sent.len(), 1);
    let raw = String::from_utf8_lossy(&sent[0].raw).into_owned();
    assert!(raw.contains("X-Paraplanner-Effect: "), "{raw}");

    let whole = practice
        .ann
        .lock()
        .await
        .get("/api/activity/verify")
        .await
        .ok();
    assert_eq!(whole["ok"], true, "{whole}");
    // Changed by hand, as nobody but the database's owner can.
    let mut database = practice.database().await;
    sqlx::query("update activity set target = 'tom@firm.example' where id = $1::uuid")
        .bind(done[0]["id"].as_str().unwrap())
        .execute(&mut database)
        .await
        .unwrap();
    let broken = practice
        .ann
        .lock()
        .await
        .get("/api/activity/verify")
        .await
        .ok();
    assert_eq!(broken["ok"], false);
    assert_eq!(broken["first_bad_id"], done[0]["id"]);
}

#[tokio::test]
async fn an_edit_is_checked_again_and_kept_beside_what_was_wanted() {
    let practice = Practice::with_clients().await;
    practice.saved(THANK, "inherit").await;
    practice.receive_from("Sara Smith <sara@example.com>", "The boat", "We bought it.");
    practice.pass_a_minute().await;
    let pending = practice.until_pending(1).await;
    let id = &pending[0]["id"];
    let mut input = pending[0]["input"].clone();
    input["subject"] = json!("Hi\r\nBcc: eve@example.com");
    let (status, problem) = practice
        .decide(id, "approve", &json!({"input": input}))
        .await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (422, &json!("input.subject"))
    );
    input["subject"] = json!("Your boat");
    input["text"] = json!("Congratulations!\nAnn");
    let body = json!({"input": input, "expected_digest": pending[0]["digest"]});
    let (status, approved) = practice.decide(id, "approve", &body).await;
    assert_eq!(status, 200, "{approved}");
    assert_ne!(approved["digest"], pending[0]["digest"]);
    assert_eq!(approved["proposed"]["text"], "Thank you.");
    let done = practice.until_done("send_email", 1).await;
    assert_eq!(done[0]["proposed"]["text"], "Thank you.");
    assert_eq!(done[0]["final"]["text"], "Congratulations!\nAnn");
    let raw = String::from_utf8_lossy(&practice.sent()[0].raw).into_owned();
    assert!(raw.contains("Subject: Your boat"), "{raw}");
}

#[tokio::test]
async fn what_is_refused_or_forgotten_is_not_done_and_is_in_the_diary() {
    let practice = Practice::with_clients().await;
    practice.saved(THANK, "inherit").await;
    practice.receive_from("Sara Smith <sara@example.com>", "The boat", "We bought it.");
    practice.receive_from("Tom Jones <tom@firm.example>", "The plane", "We bought it.");
    practice.pass_a_minute().await;
    let pending = practice.until_pending(2).await;
    let body = json!({"reason": "I call her"});
    let (status, rejected) = practice.decide(&pending[0]["id"], "reject", &body).await;
    assert_eq!((status, &rejected["state"]), (200, &json!("rejected")));
    assert_eq!(rejected["decision"], "I call her");
    assert_eq!(
        practice
            .decide(&pending[0]["id"], "approve", &json!({}))
            .await
            .0,
        409
    );
    practice.pass("P8D", TimeDelta::days(8)).await;
    assert_eq!(
        practice
            .decide(&pending[1]["id"], "approve", &json!({}))
            .await
            .0,
        409
    );
    assert_eq!(practice.approvals("expired").await.len(), 1);
    let ends = eventually("both refusals are written down", async || {
        let ends: Vec<Value> = practice
            .activity()
            .await
            .iter()
            .filter(|entry| entry["action"] == "send_email")
            .map(|entry| entry["result"]["state"].clone())
            .collect();
        (ends.len() == 2).then_some(ends)
    })
    .await;
    assert_eq!(ends, [json!("expired"), json!("rejected")]);
    assert!(practice.sent().is_empty());
}

#[tokio::test]
async fn a_pause_stops_everything_until_it_is_over() {
    let practice = Practice::with_clients().await;
    practice.saved(THANK, "auto").await;
    {
        // To stop everything needs no more than a script; to let it go on does.
        let mut ann = practice.script().await;
        ann.put("/api/settings", &json!({"paused": true}))
            .await
            .ok();
        let reply = ann.put("/api/settings", &json!({"paused": false})).await;
        assert_eq!(reply.status, 403);
    }
    practice.receive_from("Sara Smith <sara@example.com>", "The boat", "We bought it.");
    practice.pass_a_minute().await;
    let waiting = eventually("the task waits for the end of the pause", async || {
        let page = practice
            .ann
            .lock()
            .await
            .get("/api/tasks?type=send_email&state=waiting")
            .await
            .ok();
        page["items"].get(0).cloned()
    })
    .await;
    assert!(
        waiting["waiting_on"]["paused_since"].is_string(),
        "{waiting}"
    );
    assert!(practice.sent().is_empty());
    practice.settle_on(&json!({"paused": false})).await;
    practice.until_done("send_email", 1).await;
    assert_eq!(practice.sent().len(), 1);
}

#[tokio::test]
async fn a_rule_with_leave_still_asks_when_something_speaks_against_it() {
    let practice = Practice::with_clients().await;
    let rule = "when gmail.message.received then \
        send_email template=custom subject=\"Re: {subject}\" text=\"Thank you.\"";
    practice.saved(rule, "auto").await;
    practice.receive_from("Sara Smith <sara@example.com>", "The boat", "We bought it.");
    practice.receive_from("Sara Smith <sara@examp1e.com>", "The bank", "Quick!");
    practice.pass_a_minute().await;
    practice.until_done("send_email", 1).await;
    let pending = practice.until_pending(1).await;
    assert_eq!(pending[0]["input"]["to"], json!(["sara@examp1e.com"]));
    let codes: Vec<&str> = pending[0]["risk"]
        .as_array()
        .unwrap()
        .iter()
        .map(|risk| risk["code"].as_str().unwrap())
        .collect();
    assert!(codes.contains(&"lookalike"), "{codes:?}");
    assert_eq!(practice.sent().len(), 1);
}

#[tokio::test]
async fn a_stranger_becomes_one_contact_with_a_note() {
    let practice = Practice::with_clients().await;
    practice
        .saved(
            "when gmail.message.received if sender_in_crm=no then create_contact note=\"Wrote about {subject}\"",
            "auto",
        )
        .await;
    practice
        .saved(
            "when hubspot.contact.creation then create_task type=generic",
            "inherit",
        )
        .await;
    practice.receive_from("Zoë Zander <zoe@example.com>", "A question", "How are you?");
    practice.receive_from("Sara Smith <sara@example.com>", "The boat", "We bought it.");
    practice.pass_a_minute().await;
    let pending = practice.until_pending(0).await;
    assert!(pending.is_empty());
    practice.until_done("create_contact", 1).await;
    let portal = practice.simulator.world().portal(PORTAL);
    let contacts = portal.all(paraplanner::simulator::hubspot::Kind::Contact);
    assert_eq!(contacts.len(), 3);
    let notes = portal.all_notes();
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].to_string().contains("Wrote about A question"),
        "{}",
        notes[0]
    );
    // What we made ourselves starts nothing.
    practice.pass_a_minute().await;
    practice
        .until("the new contact is here", "hubspot_contacts", |item| {
            item["done"] == 3
        })
        .await;
    let page = practice
        .ann
        .lock()
        .await
        .get("/api/tasks?type=generic")
        .await
        .ok();
    assert_eq!(page["items"], json!([]));
}
