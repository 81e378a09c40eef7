//! An advisor's week: what clients write back, and what others write in their name.

use chrono::{DateTime, TimeDelta, Utc};
use paraplanner::simulator::google::Delivery;
use paraplanner::simulator::model::Turn;
use serde_json::{Value, json};

use crate::practice::{ANN, PORTAL, Practice};
use crate::world::eventually;

const SARA: &str = "Sara Smith <sara@example.com>";

impl Practice {
    fn model_will(&self, turns: impl IntoIterator<Item = Turn>) {
        let model = self.simulator.world().model();
        turns.into_iter().for_each(|turn| model.script(turn));
    }

    /// A mail that names ours, with more headers.
    fn answers(&self, from: &str, text: &str, headers: &str) {
        let sent = self.sent();
        let raw = String::from_utf8(sent[0].raw.clone()).unwrap();
        let ours = raw
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: "))
            .unwrap()
            .trim();
        let subject = &sent[0].subject;
        let mail = format!(
            "From: {from}\r\nTo: {ANN}\r\nSubject: Re: {subject}\r\nMessage-ID: <{}@example.com>\r\nIn-Reply-To: {ours}\r\n\
             References: {ours}\r\nDate: {}\r\n{headers}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
            uuid_like(text),
            self.now().to_rfc2822(),
        );
        let google = self.simulator.world().google();
        google
            .deliver(ANN, mail.as_bytes(), Delivery::default())
            .unwrap();
    }

    async fn until_waiting_for_round(&self, round: u64) -> Value {
        eventually(&format!("it waits in round {round}"), async || {
            let path = "/api/tasks?type=assistant_run&state=waiting";
            let page = self.in_person().await.get(path).await.ok();
            let task = page["items"].get(0).cloned()?;
            (task["waiting_on"]["round"] == round).then_some(task)
        })
        .await
    }

    async fn until_over(&self) -> Value {
        eventually("the run is over", async || {
            let page = self
                .in_person()
                .await
                .get("/api/tasks?type=assistant_run")
                .await
                .ok();
            let task = page["items"].get(0).cloned()?;
            (!task["finished_at"].is_null()).then_some(task)
        })
        .await
    }

    /// Until the model has said all that it was to say.
    async fn until_all_is_said(&self) {
        eventually("all is said", async || {
            let left = self.simulator.world().model().turns_left();
            (left == 0).then_some(())
        })
        .await;
    }

    async fn approve_one(&self, action: &str) -> Value {
        let pending = self.until_pending(1).await;
        assert_eq!(pending[0]["action"], action, "{pending:?}");
        let (status, body) = self.decide(&pending[0]["id"], "approve", &json!({})).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    fn morning(&self, days: i64) -> DateTime<Utc> {
        let day = self.now().date_naive() + TimeDelta::days(days);
        day.and_hms_opt(10, 0, 0).unwrap().and_utc()
    }
}

fn uuid_like(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(40)
        .collect()
}

fn offer(text: &str, at: DateTime<Utc>) -> Value {
    json!({"to": ["sara@example.com"], "subject": "Appointment", "text": text,
        "offers": [{"start": at, "end": at + TimeDelta::minutes(30)}]})
}

#[tokio::test]
async fn when_none_of_the_times_suits_others_are_offered() {
    let practice = Practice::with_model().await.and_clients().await;
    let (first, second) = (practice.morning(21), practice.morning(28));
    practice.model_will([
        Turn::call("send_email", offer("At ten?", first)).and_call("wait_for_reply", json!({})),
        Turn::call("find_free_slots", json!({"duration_minutes": 30})).when("None of them"),
        Turn::call(
            "reply_in_thread",
            json!({"text": "A week later, then?",
                "offers": [{"start": second, "end": second + TimeDelta::minutes(30)}]}),
        )
        .and_call("wait_for_reply", json!({})),
        Turn::call(
            "create_event",
            json!({"title": "Sara Smith", "start": second, "duration_minutes": 30,
                "attendees": ["sara@example.com"]}),
        )
        .when("That is fine"),
        Turn::say("It is booked."),
    ]);
    practice
        .chat("Schedule an appointment with Sara Smith", None)
        .await;
    practice.approve_one("send_email").await;
    practice.until_waiting_for_round(1).await;
    practice.answers(SARA, "None of them, sorry.", "");
    practice.pass_a_minute().await;
    practice.approve_one("send_email").await;
    practice.until_waiting_for_round(2).await;
    let sent = practice.sent();
    assert_eq!(sent[1].thread_id, sent[0].thread_id);
    let google = practice.simulator.world().google();
    google
        .deliver_reply(ANN, &sent[1].id, SARA, "That is fine.")
        .unwrap();
    practice.pass_a_minute().await;
    practice.approve_one("create_event").await;
    let over = practice.until_over().await;
    assert_eq!(over["state"], "done", "{over}");
    let events = google.events(ANN);
    let start: DateTime<Utc> = events[0]["start"]["dateTime"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!((events.len(), start), (1, second), "{events:?}");
}

#[tokio::test]
async fn nobody_but_her_wakes_what_waits_for_her() {
    let practice = Practice::with_model().await.and_clients().await;
    practice.model_will([
        Turn::call("send_email", offer("At ten?", practice.morning(21)))
            .and_call("wait_for_reply", json!({})),
        Turn::say("She comes.").when("It is really me"),
    ]);
    practice
        .chat("Schedule an appointment with Sara Smith", None)
        .await;
    practice.approve_one("send_email").await;
    let waiting = practice.until_waiting_for_round(1).await;
    // In her name, as her sender's own rules tell; alike; from her firm; by the subject alone.
    practice.answers(
        SARA,
        "Pay first, please.",
        "Authentication-Results: mx.google.com; dkim=none; spf=fail; dmarc=fail header.from=example.com\r\n",
    );
    practice.answers("Sara Smith <sara@examp1e.com>", "From my new address.", "");
    practice.answers("Tom Smith <tom.smith@example.com>", "I answer for her.", "");
    practice.receive_from(SARA, "Appointment", "Another matter.");
    practice.pass_a_minute().await;
    practice
        .until("all four are read", "gmail", |item| item["done"] == 5)
        .await;
    let still = practice.until_waiting_for_round(1).await;
    assert_eq!(still["id"], waiting["id"]);
    assert_eq!(
        practice.simulator.world().model().turns_left(),
        1,
        "nobody asked the model"
    );
    practice.answers(SARA, "It is really me.", "");
    practice.pass_a_minute().await;
    let over = practice.until_over().await;
    assert_eq!(over["result"]["text"], "She comes.", "{over}");
}

#[tokio::test]
async fn what_cannot_be_delivered_ends_with_a_question() {
    let practice = Practice::with_model().await.and_clients().await;
    practice.model_will([
        Turn::call("send_email", offer("At ten?", practice.morning(21)))
            .and_call("wait_for_reply", json!({})),
    ]);
    let answer = practice
        .chat("Schedule an appointment with Sara Smith", None)
        .await;
    practice.approve_one("send_email").await;
    practice.until_waiting_for_round(1).await;
    let raw = String::from_utf8(practice.sent()[0].raw.clone()).unwrap();
    let ours = raw
        .lines()
        .find_map(|line| line.strip_prefix("Message-ID: "))
        .unwrap()
        .trim();
    let bounce = format!(
        "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\r\nTo: {ANN}\r\nSubject: Delivery Status \
         Notification (Failure)\r\nMessage-ID: <bounce@mx.google.com>\r\nIn-Reply-To: {ours}\r\nReferences: {ours}\r\n\
         Auto-Submitted: auto-replied\r\nX-Failed-Recipients: sara@example.com\r\nDate: {}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: \
         text/plain\r\n\r\nAddress not found: sara@example.com\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; googlemail.com\r\n\r\nFinal-Recipient: rfc822; sara@example.com\r\nAction: failed\r\n\
         Status: 5.1.1\r\n\r\n--b--\r\n",
        practice.now().to_rfc2822()
    );
    let google = practice.simulator.world().google();
    google
        .deliver(ANN, bounce.as_bytes(), Delivery::default())
        .unwrap();
    practice.pass_a_minute().await;
    let over = practice.until_over().await;
    assert_eq!(over["reason"], "undeliverable", "{over}");
    let path = format!(
        "/api/conversations/{}",
        answer["conversation_id"].as_str().unwrap()
    );
    eventually("it is said", async || {
        let whole = practice.in_person().await.get(&path).await.ok();
        let last = whole["messages"].as_array().unwrap().last().cloned()?;
        last["text"]
            .as_str()?
            .contains("could not be delivered")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_client_is_thanked_in_the_advisors_own_words() {
    let practice = Practice::with_clients().await;
    practice
        .saved(
            "when hubspot.contact.creation then send_email template=thank_you",
            "inherit",
        )
        .await;
    let portal = practice.simulator.world().portal(PORTAL);
    portal
        .add_contact(&[("email", "zoe@example.com"), ("firstname", "Zoe")])
        .unwrap();
    practice.pass_a_minute().await;
    let wanted = practice.until_pending(1).await.remove(0);
    assert_eq!(
        wanted["input"]["to"],
        json!(["zoe@example.com"]),
        "{wanted}"
    );
    let mut input = wanted["input"].clone();
    input["text"] = json!("Dear Zoe,\n\nwelcome aboard!\n\nAnn");
    let body = json!({"expected_digest": wanted["digest"], "input": input});
    let (status, decided) = practice.decide(&wanted["id"], "approve", &body).await;
    assert_eq!(status, 200, "{decided}");
    let done = practice.until_done("send_email", 1).await;
    let sent = practice.sent();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].text.contains("welcome aboard"), "{}", sent[0].text);
    assert_ne!(done[0]["proposed"]["text"], done[0]["final"]["text"]);
    assert_eq!(done[0]["final"]["text"], input["text"]);
}

#[tokio::test]
async fn a_stranger_who_writes_twice_becomes_one_contact() {
    let practice = Practice::with_clients().await;
    practice
        .saved(
            "when gmail.message.received if sender_in_crm=no then create_contact note=\"Wrote about {subject}\"",
            "inherit",
        )
        .await;
    for subject in ["Pensions", "And one more thing"] {
        practice.receive_from(
            "Max New <max@newcomer.example>",
            subject,
            "Can you help me?",
        );
    }
    practice.pass_a_minute().await;
    for wanted in practice.until_pending(2).await {
        let (status, body) = practice.decide(&wanted["id"], "approve", &json!({})).await;
        assert_eq!(status, 200, "{body}");
    }
    practice.until_done("create_contact", 2).await;
    let portal = practice.simulator.world().portal(PORTAL);
    let contacts = portal.all(paraplanner::simulator::hubspot::Kind::Contact);
    let new = contacts
        .iter()
        .filter(|one| one["properties"]["email"] == "max@newcomer.example")
        .count();
    assert_eq!((new, contacts.len()), (1, 3));
    assert_eq!(portal.all_notes().len(), 2, "each says what it was about");
}

#[tokio::test]
async fn ten_oclock_is_ten_oclock_on_both_sides_of_the_change_of_clocks() {
    let practice = Practice::with_model().await.and_clients().await;
    practice
        .settle_on(&json!({"time_zone": "Europe/Berlin",
            "autonomy": {"send_email": "ask", "create_event": "auto", "write_crm": "ask"}}))
        .await;
    let google = practice.simulator.world().google();
    for (day, utc) in [("2027-03-27", "09:00"), ("2027-03-29", "08:00")] {
        practice.model_will([
            Turn::call(
                "create_event",
                json!({"title": format!("Review {day}"), "start": format!("{day}T10:00"), "duration_minutes": 60}),
            ),
            Turn::say("Booked."),
        ]);
        practice
            .chat(&format!("Book Review {day} at ten"), None)
            .await;
        let event = eventually("it is booked", async || {
            let events = google.events(ANN);
            events
                .into_iter()
                .find(|event| event["summary"] == format!("Review {day}"))
        })
        .await;
        let start: DateTime<Utc> = event["start"]["dateTime"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(
            start.to_rfc3339(),
            format!("{day}T{utc}:00+00:00"),
            "{event}"
        );
        practice.until_all_is_said().await;
    }
    // The hour that is skipped is refused in words, not booked at another.
    practice.model_will([
        Turn::call(
            "create_event",
            json!({"title": "Never", "start": "2027-03-28T02:30", "duration_minutes": 30}),
        ),
        Turn::say("There is no such time that day.").when("error"),
    ]);
    let answer = practice
        .chat("Book Never at half past two that night", None)
        .await;
    assert_eq!(
        answer["text"], "There is no such time that day.",
        "{answer}"
    );
    assert_eq!(google.events(ANN).len(), 2);
}

#[tokio::test]
async fn what_was_done_today_is_answered_from_the_log() {
    let practice = Practice::with_model().await.and_clients().await;
    practice.model_will([
        Turn::call(
            "create_note",
            json!({"contact": "sara@example.com", "text": "Likes boats."}),
        ),
        Turn::say("Written."),
    ]);
    practice
        .chat("Note for Sara Smith: likes boats", None)
        .await;
    practice.approve_one("create_note").await;
    practice.until_done("create_note", 1).await;
    practice.until_all_is_said().await;
    practice.model_will([
        Turn::call("list_activity", json!({})).when("What did you do today"),
        Turn::say("I wrote a note on Sara Smith."),
    ]);
    let answer = practice.chat("What did you do today?", None).await;
    assert_eq!(answer["text"], "I wrote a note on Sara Smith.");
    let shown = answer["tool_calls"][0]["output"].to_string();
    assert!(
        shown.contains("create_note") && shown.contains("sara@example.com"),
        "{shown}"
    );
}

#[tokio::test]
async fn while_she_is_away_nobody_reminds_her() {
    let practice = Practice::with_model().await.and_clients().await;
    practice.model_will([
        Turn::call("send_email", offer("At ten?", practice.morning(60)))
            .and_call("wait_for_reply", json!({})),
        Turn::say("She comes.").when("I am back"),
    ]);
    practice
        .chat("Schedule an appointment with Sara Smith", None)
        .await;
    practice.approve_one("send_email").await;
    let waiting = practice.until_waiting_for_round(1).await;
    let planned: DateTime<Utc> =
        serde_json::from_value(waiting["waiting_on"]["nudge_at"].clone()).unwrap();
    let back = practice.now().date_naive() + TimeDelta::days(21);
    practice.answers(
        SARA,
        &format!(
            "I am out of the office until {back} and will answer then.\n\nOn Monday Ann Advisor <{ANN}> wrote:\n\
             > Does {} suit you?",
            back + TimeDelta::days(20)
        ),
        "Auto-Submitted: auto-replied\r\n",
    );
    practice.pass_a_minute().await;
    let waiting = eventually("it knows until when", async || {
        let task = practice.until_waiting_for_round(1).await;
        (!task["waiting_on"]["away_until"].is_null()).then_some(task)
    })
    .await;
    assert_eq!(waiting["waiting_on"]["away_until"], json!(back));
    let nudge: DateTime<Utc> =
        serde_json::from_value(waiting["waiting_on"]["nudge_at"].clone()).unwrap();
    assert!(nudge > planned && nudge.date_naive() > back, "{nudge}");
    // Days pass in which she would have been reminded.
    practice.pass("P10D", TimeDelta::days(10)).await;
    practice.until_waiting_for_round(1).await;
    assert_eq!(practice.sent().len(), 1);
    assert_eq!(practice.simulator.world().model().turns_left(), 1);
    practice.answers(SARA, "I am back, and ten is fine.", "");
    practice.pass_a_minute().await;
    let over = practice.until_over().await;
    assert_eq!(over["result"]["text"], "She comes.", "{over}");
}

#[tokio::test]
async fn before_a_meeting_there_is_a_brief_that_cites_and_does_nothing() {
    let practice = Practice::with_model().await.and_clients().await;
    practice.receive_from(
        SARA,
        "The boat",
        "We want to sell the boat before the summer.",
    );
    practice.receive_from(
        "Tom Jones <tom@firm.example>",
        "A secret",
        "The surprise party for the divorce is on Friday.",
    );
    practice.pass_a_minute().await;
    practice
        .until("both are read", "gmail", |item| item["done"] == 2)
        .await;
    practice
        .saved(
            "when calendar.meeting.upcoming if attendee_in_crm=yes then create_task type=meeting_brief",
            "auto",
        )
        .await;
    let found = practice
        .in_person()
        .await
        .get("/api/contacts?q=Sara%20Smith")
        .await
        .ok();
    let sara = found["items"][0]["id"].as_str().unwrap().to_owned();
    let found = practice
        .in_person()
        .await
        .get("/api/contacts?q=Tom%20Jones")
        .await
        .ok();
    let tom = found["items"][0]["id"].as_str().unwrap().to_owned();
    practice.model_will([
        Turn::call("search", json!({"query": "boat", "contact_id": sara})),
        // Neither all that there is, nor another client, nor anybody outside.
        Turn::call("search", json!({"query": "divorce"}))
            .and_call("search", json!({"query": "divorce", "contact_id": tom}))
            .and_call("get_contact", json!({"id": tom}))
            .and_call(
                "send_email",
                json!({"to": ["sara@example.com"], "subject": "Brief", "text": "Here it is."}),
            ),
        Turn::say(
            "She wants to sell the boat [2: \"We want to sell the boat before the summer.\"].",
        ),
    ]);
    let start = practice.now() + TimeDelta::hours(20);
    let google = practice.simulator.world().google();
    google
        .add_event(
            ANN,
            &json!({"summary": "Annual review", "start": {"dateTime": start.to_rfc3339()},
                "end": {"dateTime": (start + TimeDelta::hours(1)).to_rfc3339()},
                "attendees": [{"email": "sara@example.com"}]}),
        )
        .unwrap();
    practice.pass_a_minute().await;
    practice
        .until("the meeting is read", "calendar", |item| item["done"] == 1)
        .await;
    practice.pass("PT5M", TimeDelta::minutes(5)).await;
    let brief = eventually("a brief", async || {
        let page = practice
            .in_person()
            .await
            .get("/api/tasks?type=meeting_brief")
            .await
            .ok();
        let task = page["items"].get(0).cloned()?;
        (task["state"] == "done").then_some(task)
    })
    .await;
    let result = &brief["result"];
    assert_eq!(
        result["text"], "She wants to sell the boat [1].",
        "{result}"
    );
    assert_eq!(
        result["citations"][0]["quote"],
        "We want to sell the boat before the summer."
    );
    assert!(practice.sent().is_empty());
    assert!(practice.approvals("pending").await.is_empty());
    let asked = practice.simulator.world().model().requests();
    let all = serde_json::to_string(&asked).unwrap();
    assert!(!all.contains("surprise party"), "another client's words");
    // Once for this meeting.
    practice.pass("PT10M", TimeDelta::minutes(10)).await;
    practice.receive_from(SARA, "The boat again", "It is called Wanda.");
    practice.pass_a_minute().await;
    practice
        .until("the third is read", "gmail", |item| item["done"] == 3)
        .await;
    let page = practice
        .in_person()
        .await
        .get("/api/tasks?type=meeting_brief")
        .await
        .ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_run_that_takes_too_much_of_the_model_is_ended() {
    let practice = Practice::with_model().await.and_clients().await;
    practice
        .settle_on(&json!({"daily_token_budget": 10_000_000,
            "autonomy": {"send_email": "auto", "create_event": "ask", "write_crm": "ask"}}))
        .await;
    let dear = |turn: Turn| Turn {
        usage: Some(paraplanner::simulator::model::Usage {
            prompt_tokens: 300_000,
            completion_tokens: 1,
        }),
        ..turn
    };
    practice.model_will([
        Turn::call("send_email", offer("At ten?", practice.morning(21))),
        dear(Turn::call("find_contacts", json!({"name": "Sara"}))),
        dear(Turn::call("find_contacts", json!({"name": "Tom"}))),
        Turn::say("This is never asked for."),
    ]);
    practice
        .chat("Write to Sara Smith and ask whether ten suits her", None)
        .await;
    let over = practice.until_over().await;
    assert_eq!(over["reason"], "too_expensive", "{over}");
    assert_eq!(practice.simulator.world().model().turns_left(), 1);
}
