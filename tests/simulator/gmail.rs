//! The simulated Gmail.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use paraplanner::simulator::google::{Delivery, Mischief, PushSettings, Switches};
use serde_json::{Value, json};

use crate::google::{ADVISOR, ALL, Client, Ear, SECOND, reason};
use crate::world::Stage;

const ME: &str = "/gmail/v1/users/me";

fn mail(from: &str, subject: &str, id: &str, text: &str) -> Vec<u8> {
    format!(
        "From: {from}\r\nTo: {ADVISOR}\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

fn deliver(stage: &Stage, subject: &str, id: &str) -> String {
    let mail = mail("Ann Lee <ann@example.org>", subject, id, "Hello there");
    let google = stage.world().google();
    google.deliver(ADVISOR, &mail, Delivery::default()).unwrap()
}

fn raw(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

async fn found(client: &Client<'_>, q: &str) -> Vec<String> {
    let path = format!(
        "{ME}/messages?{}",
        serde_urlencoded::to_string([("q", q)]).unwrap()
    );
    let listed = client.get(&path).await;
    let entries = listed["messages"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_token_ends_and_a_scope_is_missed() {
    let stage = Stage::start().await;
    let client = Client::sign_in(
        &stage,
        ADVISOR,
        "https://www.googleapis.com/auth/gmail.readonly",
    )
    .await;
    client.get(&format!("{ME}/profile")).await;
    let send = json!({"raw": raw("To: a@example.org\r\n\r\nx")});
    let (status, body) = client
        .call("POST", &format!("{ME}/messages/send"), Some(send))
        .await;
    assert_eq!((status, reason(&body)), (403, "insufficientPermissions"));
    stage.world().clock().advance(TimeDelta::hours(2));
    let (status, body) = client.call("GET", &format!("{ME}/profile"), None).await;
    assert_eq!(status, 401);
    assert_eq!(
        body,
        json!({"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED",
            "errors": [{"domain": "global", "reason": "authError", "message": "Invalid Credentials",
                "locationType": "header", "location": "Authorization"}]}})
    );
}

#[tokio::test]
async fn a_search_finds_what_its_operators_say() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let google = stage.world().google();
    let first = deliver(&stage, "Pension plan", "p1@example.org");
    let spam = google
        .deliver(
            ADVISOR,
            &mail("x@example.net", "Pension", "s@example.net", "win"),
            Delivery {
                labels: vec!["SPAM".to_owned()],
                at: None,
            },
        )
        .unwrap();
    for q in [
        "from:ann@example.org",
        "subject:pension",
        "rfc822msgid:p1@example.org",
        "hello",
        "in:inbox",
        "to:advisor newer_than:2d",
        "{from:nobody subject:plan}",
        "nothing OR hello",
        "is:unread -in:drafts -in:chats",
        "after:2020/01/01",
    ] {
        assert_eq!(found(&client, q).await, [first.as_str()], "{q}");
    }
    for q in [
        "in:sent",
        "from:bob",
        "-hello",
        "before:2020/01/01",
        "pensio",
        "label:clients",
    ] {
        assert!(found(&client, q).await.is_empty(), "{q}");
    }
    assert_eq!(found(&client, "in:spam").await, [spam.as_str()]);
    assert_eq!(found(&client, "in:anywhere pension").await.len(), 2);
}

#[tokio::test]
async fn a_message_is_shown_as_a_tree() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let pdf = STANDARD.encode(vec![7; 900]);
    let text = format!(
        "From: ann@example.org\r\nX-oDD-Case: yes\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
         Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\
         Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n\
         Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         Gr=FC=DFe <you>\r\n--a\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--a--\r\n--m\r\n\
         Content-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment; filename=plan.pdf\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{pdf}\r\n--m--\r\n"
    );
    let google = stage.world().google();
    let id = google
        .deliver(ADVISOR, text.as_bytes(), Delivery::default())
        .unwrap();
    let full = client.get(&format!("{ME}/messages/{id}")).await;
    let payload = &full["payload"];
    let names: Vec<&str> = payload["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| header["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"X-oDD-Case"), "{names:?}");
    assert_eq!(payload["headers"][2]["value"], "Grüße");
    assert_eq!(payload["partId"], "");
    let plain = &payload["parts"][0]["parts"][0];
    assert_eq!(plain["partId"], "0.0");
    let data = plain["body"]["data"]
        .as_str()
        .unwrap()
        .trim_end_matches('=');
    let data = String::from_utf8(URL_SAFE_NO_PAD.decode(data).unwrap()).unwrap();
    assert_eq!(data.trim(), "Grüße <you>");
    assert!(
        full["snippet"]
            .as_str()
            .unwrap()
            .starts_with("Grüße &lt;you&gt;")
    );
    let attachment = payload["parts"][1]["body"]["attachmentId"]
        .as_str()
        .unwrap();
    let got = client
        .get(&format!("{ME}/messages/{id}/attachments/{attachment}"))
        .await;
    assert_eq!(got["size"], 900);
    let again = client.get(&format!("{ME}/messages/{id}")).await;
    assert_ne!(
        again["payload"]["parts"][1]["body"]["attachmentId"],
        attachment
    );
}

#[tokio::test]
async fn a_reply_stays_in_its_thread_only_with_all_three() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let first = deliver(&stage, "Plan", "p1@example.org");
    let thread = client.get(&format!("{ME}/messages/{first}")).await["threadId"].clone();
    let send = async |head: &str| {
        let raw = raw(&format!(
            "To: ann@example.org\r\nBcc: {SECOND}\r\n{head}\r\n\r\nYes"
        ));
        client
            .post(
                &format!("{ME}/messages/send"),
                json!({"raw": raw, "threadId": thread}),
            )
            .await
    };
    let inside = send("Subject: Re: Plan\r\nReferences: <p1@example.org>").await;
    assert_eq!(inside["threadId"], thread);
    assert_ne!(send("Subject: Re: Plan").await["threadId"], thread);
    assert_ne!(
        send("Subject: Else\r\nReferences: <p1@example.org>").await["threadId"],
        thread
    );
    let google = stage.world().google();
    let gone = google.sent(ADVISOR);
    assert_eq!(gone[0].recipients, ["ann@example.org", SECOND]);
    assert!(!String::from_utf8_lossy(&gone[0].raw).contains("Bcc"));
    let reply = google
        .deliver_reply(ADVISOR, &gone[0].id, "ann@example.org", "Fine")
        .unwrap();
    assert_eq!(
        client.get(&format!("{ME}/messages/{reply}")).await["threadId"],
        thread
    );
    let bad = json!({"raw": raw("To: nobody\r\n\r\nx")});
    let (status, body) = client
        .call("POST", &format!("{ME}/messages/send"), Some(bad))
        .await;
    assert_eq!(
        (status, body["error"]["message"].as_str()),
        (400, Some("Invalid To header"))
    );
    google.set_switches(Switches {
        replace_message_ids: true,
        ..Switches::default()
    });
    send("Subject: Id\r\nMessage-ID: <mine@example.com>").await;
    assert!(!String::from_utf8_lossy(&google.sent(ADVISOR)[3].raw).contains("mine@example.com"));
}

#[tokio::test]
async fn a_sent_draft_is_gone_and_arrives() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let second = Client::sign_in(&stage, SECOND, ALL).await;
    let raw = raw(&format!("To: {SECOND}\r\nSubject: Hi\r\n\r\nHello"));
    let draft = client
        .post(&format!("{ME}/drafts"), json!({"message": {"raw": raw}}))
        .await;
    let id = draft["id"].clone();
    let sent = client
        .post(&format!("{ME}/drafts/send"), json!({"id": id}))
        .await;
    assert_eq!(sent["labelIds"], json!(["SENT"]));
    let again = Some(json!({"id": id}));
    let (status, _) = client
        .call("POST", &format!("{ME}/drafts/send"), again)
        .await;
    assert_eq!(status, 404);
    assert!(found(&client, "in:drafts").await.is_empty());
    assert_eq!(found(&second, "in:inbox hello").await.len(), 1);
}

#[tokio::test]
async fn the_history_is_exclusive_typed_and_forgets() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let start = client.get(&format!("{ME}/profile")).await["historyId"]
        .as_str()
        .unwrap()
        .to_owned();
    let first = deliver(&stage, "Plan", "p1@example.org");
    let modify = json!({"removeLabelIds": ["UNREAD"]});
    client
        .post(&format!("{ME}/messages/{first}/modify"), modify)
        .await;
    let google = stage.world().google();
    assert!(google.delete_message(ADVISOR, &first));
    let all = client
        .get(&format!("{ME}/history?startHistoryId={start}"))
        .await;
    let records = all["history"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    assert_eq!(
        records[1]["labelsRemoved"][0]["labelIds"],
        json!(["UNREAD"])
    );
    let last = records[2]["id"].as_str().unwrap();
    let none = client
        .get(&format!("{ME}/history?startHistoryId={last}"))
        .await;
    assert_eq!(none.get("history"), None);
    assert_eq!(none["historyId"], all["historyId"]);
    let page = client
        .get(&format!(
            "{ME}/history?startHistoryId={start}&maxResults=1&historyTypes=messageDeleted"
        ))
        .await;
    assert_eq!(page["history"][0]["id"], last);
    assert_eq!(page.get("nextPageToken"), None);
    google.expire_history(ADVISOR);
    let (status, body) = client
        .call("GET", &format!("{ME}/history?startHistoryId={start}"), None)
        .await;
    assert_eq!((status, reason(&body)), (404, "notFound"));
    let now = client.get(&format!("{ME}/profile")).await["historyId"]
        .as_str()
        .unwrap()
        .to_owned();
    client
        .get(&format!("{ME}/history?startHistoryId={now}"))
        .await;
}

#[tokio::test]
async fn a_push_is_repeated_until_it_is_acknowledged() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let ear = Ear::listen(&[500, 203]).await;
    let google = stage.world().google();
    google.push_to(PushSettings::to(ear.url.clone()));
    google.twist_push(Mischief::None);
    google.twist_push(Mischief::Drop);
    google.twist_push(Mischief::BadAudience);
    client
        .post(
            &format!("{ME}/watch"),
            json!({"topicName": "projects/sim/topics/gmail"}),
        )
        .await;
    let heard = ear.hear(3).await;
    let body = |request: &str| -> Value {
        serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let ids: Vec<Value> = heard
        .iter()
        .map(|request| body(request)["message"]["messageId"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    deliver(&stage, "Lost", "l@example.org");
    deliver(&stage, "Told", "t@example.org");
    let heard = ear.hear(4).await;
    let told = body(&heard[3]);
    assert_ne!(told["message"]["messageId"], ids[0]);
    let data = STANDARD
        .decode(told["message"]["data"].as_str().unwrap())
        .unwrap();
    let data: Value = serde_json::from_slice(&data).unwrap();
    assert_eq!(data["emailAddress"], ADVISOR);
    assert!(data["historyId"].is_u64());
    let token = heard[3]
        .split("Bearer ")
        .nth(1)
        .unwrap()
        .split('.')
        .nth(1)
        .unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
    assert_eq!(claims["aud"], "https://another.example.com/push");
    let other = Some(json!({"topicName": "projects/sim/topics/other"}));
    let (status, _) = client.call("POST", &format!("{ME}/watch"), other).await;
    assert_eq!(status, 400);
    stage.world().clock().advance(TimeDelta::minutes(50));
}

#[tokio::test]
async fn a_batch_answers_each_call_by_itself() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let first = deliver(&stage, "Plan", "p1@example.org");
    let part = |id: &str, call: &str| {
        format!("--b\r\nContent-Type: application/http\r\nContent-ID: <{id}>\r\n\r\n{call}\r\n\r\n")
    };
    let body = part("x1", &format!("GET {ME}/messages/{first}?format=minimal"))
        + &part("x2", &format!("GET {ME}/messages/18f0"))
        + "--b--\r\n";
    let response = stage
        .http
        .post(stage.at("/batch/gmail/v1"))
        .bearer_auth(&client.token)
        .header("Content-Type", "multipart/mixed; boundary=b")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    let second = text.find("<response-x2>").unwrap();
    assert!(text[..second].contains("HTTP/1.1 200"));
    assert!(text[second..].contains("HTTP/1.1 404"));
}

#[tokio::test]
async fn the_quota_is_enforced_when_switched_on() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let first = deliver(&stage, "Plan", "p1@example.org");
    stage.world().google().set_switches(Switches {
        enforce_quota: true,
        ..Switches::default()
    });
    let mut refused = Vec::new();
    for _ in 0..302 {
        let (status, _) = client
            .call(
                "GET",
                &format!("{ME}/messages/{first}?format=minimal"),
                None,
            )
            .await;
        if status != 200 {
            refused.push(status);
        }
    }
    assert_eq!(refused, [403, 429]);
    stage.world().clock().advance(TimeDelta::minutes(1));
    client.get(&format!("{ME}/profile")).await;
}

#[tokio::test]
async fn a_large_mailbox_is_loaded_and_paged_quickly() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let begun = Instant::now();
    let mails = (0..100_000).map(|number| {
        let mail = mail(
            "ann@example.org",
            "Plan",
            &format!("{number}@example.org"),
            "Hello",
        );
        (mail, Delivery::default())
    });
    assert_eq!(
        stage.world().google().deliver_all(ADVISOR, mails).len(),
        100_000
    );
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    let page = client.get(&format!("{ME}/messages?maxResults=500")).await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 500);
    let token = page["nextPageToken"].as_str().unwrap();
    let next = client
        .get(&format!("{ME}/messages?maxResults=500&pageToken={token}"))
        .await;
    assert_ne!(page["messages"][499], next["messages"][0]);
}
