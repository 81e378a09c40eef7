//! What HubSpot delivers: taken when it is genuine, stored before it is answered, acted upon once.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use hmac::{Hmac, KeyInit as _, Mac as _};
use paraplanner::identity;
use paraplanner::simulator::hubspot::{CLIENT_SECRET, Kind, Oddity, Pace};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::outage::Outage;
use crate::practice::{PORTAL, Practice};
use crate::world::eventually;

const DOOR: &str = "/api/webhooks/hubspot";
const V3: &str = "x-hubspot-signature-v3";
const AT: &str = "x-hubspot-request-timestamp";

/// As HubSpot would sign it now.
fn signature(uri: &str, body: &str, timestamp: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()).unwrap();
    for part in ["POST", uri, body, timestamp] {
        mac.update(part.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

fn timestamp() -> String {
    Utc::now().timestamp_millis().to_string()
}

fn creation(object: u64, event: u64) -> Value {
    json!({"eventId": event, "subscriptionId": 321, "portalId": PORTAL, "appId": 777,
        "occurredAt": Utc::now().timestamp_millis(), "subscriptionType": "contact.creation",
        "attemptNumber": 0, "objectId": object, "changeFlag": "NEW", "changeSource": "CRM_UI"})
}

impl Practice {
    /// Connected, with an empty account read.
    async fn connected(settings: &[(&str, &str)]) -> Self {
        let practice = Self::open(settings).await;
        practice.open_portal();
        practice.sign_in().await;
        practice.connect_hubspot().await;
        practice.until_fresh("hubspot_contacts").await;
        practice
    }

    fn subscribe(&self) {
        let target = format!("{}{DOOR}", self.world.origin());
        let hubspot = self.simulator.world().hubspot();
        hubspot.set_webhook_target(Some(&target));
        hubspot.set_retry_pace(Pace::Every(Duration::from_millis(50)));
    }

    /// What a delivery is answered, signed for `signed` and sent to `url`.
    async fn deliver_to(&self, url: &str, signed: &str, body: &str) -> u16 {
        let timestamp = timestamp();
        let reply = self.world.http.post(url).body(body.to_owned());
        let reply = reply
            .header(
                "x-hubspot-signature-v3",
                signature(signed, body, &timestamp),
            )
            .header("x-hubspot-request-timestamp", timestamp)
            .send()
            .await;
        reply.map_or(0, |reply| reply.status().as_u16())
    }

    async fn deliver(&self, body: &str) -> u16 {
        let url = format!("{}{DOOR}", self.world.url);
        let signed = format!("{}{DOOR}", self.world.origin());
        self.deliver_to(&url, &signed, body).await
    }

    async fn inbox(&self, query: &str) -> Vec<Value> {
        let path = format!("/api/webhook-events?limit=200&{query}");
        let page = self.ann.lock().await.get(&path).await.ok();
        page["items"].as_array().unwrap().clone()
    }

    async fn until_handled(&self, count: usize) -> Vec<Value> {
        eventually("all that came is acted upon", async || {
            let done = self.inbox("provider=hubspot&state=done").await;
            (done.len() == count).then_some(done)
        })
        .await
    }

    async fn rows(&self, table: &str) -> usize {
        let query = format!("select count(*) from {table}");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut self.database().await)
            .await
            .unwrap();
        usize::try_from(count).unwrap()
    }
}

/// The events that deliveries of a type came to.
fn events_of(inbox: &[Value], kind: &str) -> Vec<String> {
    inbox
        .iter()
        .filter(|delivery| delivery["type"] == kind)
        .flat_map(|delivery| delivery["caused"].as_array().unwrap())
        .filter(|caused| caused["kind"] == "event")
        .map(|caused| caused["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_hubspot_tells_is_known_at_once_and_is_what_it_says_when_asked() {
    let practice = Practice::connected(&[]).await;
    practice.subscribe();
    let portal = practice.simulator.world().portal(PORTAL);
    // The index of changes is far behind; a record that is named is asked for by its name.
    let hubspot = practice.simulator.world().hubspot();
    hubspot.set_search_lag(chrono::TimeDelta::hours(1));
    let id = portal
        .add_contact(&[("email", "zoe@example.com"), ("firstname", "Zoë")])
        .unwrap();
    practice
        .until("she is known", "hubspot_contacts", |item| item["done"] == 1)
        .await;
    let inbox = practice
        .until_handled(practice.rows("webhook_events").await)
        .await;
    assert_eq!(
        events_of(&inbox, "contact.creation"),
        ["hubspot.contact.creation"]
    );
    assert!(
        inbox
            .iter()
            .all(|one| one["verified"] == true && one["verified_by"] == "hubspot_v3")
    );

    portal
        .update(Kind::Contact, id, &[("jobtitle", "Potter")])
        .unwrap();
    let changed = eventually("the change is told", async || {
        let inbox = practice.inbox("provider=hubspot&state=done").await;
        inbox.into_iter().find(|one| {
            one["type"] == "contact.propertyChange" && one["content"]["propertyName"] == "jobtitle"
        })
    })
    .await;
    assert_eq!(
        events_of(std::slice::from_ref(&changed), "contact.propertyChange"),
        ["hubspot.contact.propertyChange"]
    );
    assert_eq!(practice.finds("Potter", "contact").await, ["Zoë"]);

    portal.archive(Kind::Contact, id).unwrap();
    practice
        .until("she is gone", "hubspot_contacts", |item| item["done"] == 0)
        .await;
    eventually("her going is an event", async || {
        let inbox = practice.inbox("provider=hubspot&state=done").await;
        (events_of(&inbox, "contact.deletion") == ["hubspot.contact.deletion"]).then_some(())
    })
    .await;

    // Acting upon it once more changes nothing.
    let (events, detail) = (
        practice.rows("events").await,
        changed["id"].as_str().unwrap(),
    );
    let path = format!("/api/webhook-events/{detail}");
    let mut ann = practice.ann.lock().await;
    assert_eq!(ann.get(&path).await.ok()["content"]["objectId"], json!(id));
    let reply = ann.post(&format!("{path}/replay"), &json!({})).await;
    assert_eq!(reply.status, 202);
    eventually("it was acted upon again", async || {
        (ann.get(&path).await.ok()["state"] == "done").then_some(())
    })
    .await;
    assert_eq!(practice.rows("events").await, events);
}

#[tokio::test]
async fn what_our_own_app_changed_is_told_from_what_others_changed() {
    let practice = Practice::connected(&[]).await;
    let portal = practice.simulator.world().portal(PORTAL);
    let id = portal.add_contact(&[("email", "zoe@example.com")]).unwrap();
    // As HubSpot names our app, somebody at the keyboard, another app, and nobody.
    let sources = [json!("777"), json!("userId:777"), json!("778"), json!(null)];
    for (event, source) in (0..).zip(&sources) {
        let mut told = creation(id, event);
        told["subscriptionType"] = json!("contact.propertyChange");
        told["propertyName"] = json!("jobtitle");
        told["sourceId"] = source.clone();
        assert_eq!(practice.deliver(&json!([told]).to_string()).await, 200);
    }
    practice.until_handled(sources.len()).await;
    let matches = async |own: &str| {
        let rule = format!("when hubspot.contact.propertyChange if own={own} then log");
        let said = practice.rehearse(&rule).await;
        said["matches"].as_array().unwrap().len()
    };
    assert_eq!((matches("yes").await, matches("no").await), (1, 3));
}

#[tokio::test]
async fn what_is_erased_by_law_leaves_nothing_of_what_was_told() {
    let practice = Practice::connected(&[]).await;
    practice.subscribe();
    let portal = practice.simulator.world().portal(PORTAL);
    let id = portal.add_contact(&[("email", "zoe@example.com")]).unwrap();
    let potter = [("jobtitle", "Potter")];
    portal.update(Kind::Contact, id, &potter).unwrap();
    let told = async |table: &str, column: &str| {
        let query = format!("select count(*) from {table} where {column}::text like '%Potter%'");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut practice.database().await)
            .await
            .unwrap();
        count
    };
    eventually("the change is an event", async || {
        (told("events", "data").await > 0).then_some(())
    })
    .await;
    assert!(told("webhook_events", "content").await > 0);
    portal.erase(id).unwrap();
    eventually("the erasure is an event", async || {
        let inbox = practice.inbox("provider=hubspot&state=done").await;
        let events = events_of(&inbox, "contact.privacyDeletion");
        (events == ["hubspot.contact.privacyDeletion"]).then_some(())
    })
    .await;
    assert_eq!(told("events", "data").await, 0);
    assert_eq!(told("webhook_events", "content").await, 0);
    assert_eq!(told("contacts", "to_jsonb(contacts)").await, 0);
    assert!(practice.finds("Potter", "contact").await.is_empty());
}

#[tokio::test]
async fn oddities_of_delivery_lose_and_double_nothing() {
    let practice = Practice::connected(&[]).await;
    practice.subscribe();
    let hubspot = practice.simulator.world().hubspot();
    let portal = practice.simulator.world().portal(PORTAL);
    hubspot.set_subscriptions(Some(&["contact.creation"]));
    for (n, oddity) in [
        Oddity::Double,
        Oddity::Reorder,
        Oddity::BadSignature,
        Oddity::StaleTimestamp,
    ]
    .into_iter()
    .enumerate()
    {
        hubspot.spoil_batch(oddity);
        hubspot.hold_events(true);
        for twin in 0..2 {
            let email = format!("client{n}{twin}@example.com");
            portal.add_contact(&[("email", &email)]).unwrap();
        }
        hubspot.hold_events(false);
        practice.simulator.world().send_events();
    }
    // What is signed wrongly is refused for ever; the ordinary look finds those contacts.
    practice.until_handled(4).await;
    assert_eq!(practice.rows("webhook_events").await, 4);
    practice.pass_a_minute().await;
    practice
        .until("all are known", "hubspot_contacts", |item| {
            item["done"] == 8
        })
        .await;
    let created: i64 =
        sqlx::query_scalar("select count(*) from events where name = 'hubspot.contact.creation'")
            .fetch_one(&mut practice.database().await)
            .await
            .unwrap();
    assert_eq!(created, 8, "each is created once, whoever found it");
}

#[tokio::test]
async fn forgeries_are_refused_and_leave_nothing() {
    let practice = Practice::connected(&[]).await;
    let (url, signed) = (
        format!("{}{DOOR}", practice.world.url),
        format!("{}{DOOR}", practice.world.origin()),
    );
    let body = json!([creation(51, 1)]).to_string();
    let now = timestamp();
    let good = signature(&signed, &body, &now);
    let old = (Utc::now() - chrono::TimeDelta::minutes(6))
        .timestamp_millis()
        .to_string();
    let ahead = (Utc::now() + chrono::TimeDelta::minutes(6))
        .timestamp_millis()
        .to_string();
    let bare = hex::encode(Sha256::digest(format!("{CLIENT_SECRET}{body}")));
    let forged: Vec<Vec<(&str, String)>> = vec![
        vec![],
        vec![(V3, good.clone())],
        vec![(AT, now.clone())],
        vec![(V3, String::new()), (AT, now.clone())],
        vec![(V3, good.to_lowercase()), (AT, now.clone())],
        vec![(V3, good[..20].to_owned()), (AT, now.clone())],
        vec![(V3, good.clone()), (V3, good.clone()), (AT, now.clone())],
        vec![(V3, good.clone()), (AT, now.clone()), (AT, now.clone())],
        vec![(V3, signature(&signed, &body, &old)), (AT, old)],
        vec![(V3, signature(&signed, &body, &ahead)), (AT, ahead)],
        vec![
            (V3, signature(&format!("{signed}/"), &body, &now)),
            (AT, now.clone()),
        ],
        vec![(V3, signature(&signed, "[]", &now)), (AT, now.clone())],
        vec![
            (V3, signature(&signed, &body, "nan")),
            (AT, "nan".to_owned()),
        ],
        // Without leave, older versions prove nothing.
        vec![
            ("x-hubspot-signature", bare.clone()),
            ("x-hubspot-signature-version", "v1".to_owned()),
        ],
        vec![
            ("x-hubspot-signature", bare),
            (V3, "AAAA".to_owned()),
            (AT, now),
        ],
    ];
    for headers in &forged {
        let mut request = practice.world.http.post(&url).body(body.clone());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let reply = practice.world.send(request).await;
        assert_eq!(reply.status, 401, "{headers:?}");
        assert_eq!(reply.problem()["detail"], Value::Null);
    }
    assert_eq!(practice.rows("webhook_events").await, 0);
}

#[tokio::test]
async fn genuine_deliveries_are_taken_however_odd_they_are() {
    let practice = Practice::connected(&[]).await;
    let (url, signed) = (
        format!("{}{DOOR}", practice.world.url),
        format!("{}{DOOR}", practice.world.origin()),
    );
    // The same instant for all, so that a repeat is one.
    let at = Utc::now().timestamp_millis();
    let one = |n| {
        let mut event = creation(900 + n, n);
        event["occurredAt"] = json!(at);
        event
    };
    let with = |n: u64, name: &str, value: Value| {
        let mut event = one(n);
        event[name] = value;
        event
    };
    let hundred: Vec<Value> = (100..200).map(|n| creation(n, n)).collect();
    let taken = [
        (json!([]), 0),
        (json!([one(1)]), 1),
        (json!([one(1)]), 0),
        (json!([with(1, "attemptNumber", json!(7))]), 0),
        (json!([with(2, "portalId", json!(PORTAL.to_string()))]), 1),
        (json!([with(3, "objectId", json!("903"))]), 1),
        (
            json!([with(
                4,
                "subscriptionType",
                json!("conversation.newMessage")
            )]),
            1,
        ),
        (
            json!([with(
                5,
                "propertyValue",
                json!("Zoë said “hi” €5 \u{1f600}")
            )]),
            1,
        ),
        (json!([with(6, "portalId", json!(999_999))]), 0),
        (json!(hundred), 100),
        (json!([with(7, "propertyValue", json!("a\0b"))]), 1),
        (json!([with(8, "portalId", json!(999_999)), one(9)]), 1),
    ];
    let mut stored = 0;
    for (body, more) in taken {
        let body = body.to_string();
        assert_eq!(practice.deliver(&body).await, 200, "{body}");
        stored += more;
        assert_eq!(practice.rows("webhook_events").await, stored, "{body}");
    }
    // A query with escapes is signed decoded; a proxy may have decoded it, too.
    let body = json!([one(20)]).to_string();
    let called = "?tag=a%3Ab%2Fc&who=x%40y.z&sp=a%20b";
    let decoded = "?tag=a:b/c&who=x@y.z&sp=a%20b";
    for query in [decoded, called] {
        let to = format!("{url}{called}");
        assert_eq!(
            practice
                .deliver_to(&to, &format!("{signed}{query}"), &body)
                .await,
            200
        );
    }
    for body in ["{}", "null", "nonsense", "[1]", "[{}]", "[[]]"] {
        assert_eq!(practice.deliver(body).await, 400, "{body}");
    }
    assert_eq!(
        practice
            .deliver(&format!("[{}]", " ".repeat(3 << 20)))
            .await,
        413
    );
    // Nobody knows these contacts, so nothing follows.
    eventually("all is acted upon", async || {
        (practice.inbox("state=pending").await.is_empty()).then_some(())
    })
    .await;
    assert_eq!(practice.rows("events").await, 0);
}

#[tokio::test]
async fn older_signatures_count_where_the_operator_says_so() {
    let practice = Practice::connected(&[("HUBSPOT_ALLOW_LEGACY_SIGNATURES", "true")]).await;
    let url = format!("{}{DOOR}", practice.world.url);
    let signed = format!("{}{DOOR}", practice.world.origin());
    let body = json!([creation(51, 1)]).to_string();
    let v1 = hex::encode(Sha256::digest(format!("{CLIENT_SECRET}{body}")));
    let v2 = hex::encode(Sha256::digest(format!("{CLIENT_SECRET}POST{signed}{body}")));
    for (version, signature, status) in [("v1", &v1, 200), ("v2", &v2, 200), ("v2", &v1, 401)] {
        let request = practice.world.http.post(&url).body(body.clone());
        let request = request
            .header("x-hubspot-signature", signature)
            .header("x-hubspot-signature-version", version);
        assert_eq!(practice.world.send(request).await.status, status);
    }
}

/// The doors of two instances.
async fn two_doors(practice: &mut Practice) -> [String; 2] {
    let origin = practice.world.origin();
    practice.world.another(&[("PUBLIC_URL", &origin)]).await;
    [
        format!("{}{DOOR}", practice.world.url),
        format!("{}{DOOR}", practice.world.other_url()),
    ]
}

/// `TWIN_ROUNDS` makes it longer.
#[tokio::test]
async fn the_same_delivery_a_hundred_times_at_once_is_one() {
    let mut practice = Practice::connected(&[]).await;
    let signed = format!("{}{DOOR}", practice.world.origin());
    let doors = two_doors(&mut practice).await;
    let portal = practice.simulator.world().portal(PORTAL);
    let rounds = std::env::var("TWIN_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    for round in 1..=rounds {
        let email = format!("client{round}@example.com");
        let id = portal.add_contact(&[("email", &email)]).unwrap();
        let body = json!([creation(id, round)]).to_string();
        let all = (0..100).map(|n| practice.deliver_to(&doors[n % 2], &signed, &body));
        let answers = futures::future::join_all(all).await;
        assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
        practice
            .until_handled(usize::try_from(round).unwrap())
            .await;
        assert_eq!(
            practice.rows("webhook_events").await,
            usize::try_from(round).unwrap()
        );
        assert_eq!(
            practice.rows("events").await,
            usize::try_from(round).unwrap()
        );
    }
}

#[tokio::test]
async fn large_deliveries_of_the_same_events_wait_for_each_other_and_all_are_taken() {
    let mut practice = Practice::connected(&[]).await;
    let signed = format!("{}{DOOR}", practice.world.origin());
    let doors = two_doors(&mut practice).await;
    let mut events: Vec<Value> = (0..300).map(|event| creation(51, event)).collect();
    let bodies: Vec<String> = (0..24)
        .map(|_| {
            // Another order, and another part of them, each time.
            events.rotate_left(71);
            json!(events[..200]).to_string()
        })
        .collect();
    let all = bodies.iter().enumerate().map(|(place, body)| {
        let door = &doors[place % 2];
        practice.deliver_to(door, &signed, body)
    });
    let answers = futures::future::join_all(all).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(practice.rows("webhook_events").await, 300);
}

#[tokio::test]
async fn what_was_answered_is_stored_although_the_database_crashed() {
    let mut outage = Outage::prepare().await;
    let url = outage.url();
    let practice = Practice::connected(&[("DATABASE_URL", url.as_str())]).await;
    practice.world.expect_failures();
    let taken = std::sync::Mutex::new(Vec::new());
    let count = || taken.lock().unwrap().len();
    let refused = std::sync::atomic::AtomicUsize::new(0);
    let over = tokio_util::sync::CancellationToken::new();
    let sending = async {
        for n in 0.. {
            if over.is_cancelled() {
                break;
            }
            // A contact that HubSpot doesn't have: only the inbox is looked at.
            let body = json!([creation(10_000 + n, n)]).to_string();
            let status = practice.deliver(&body).await;
            assert!([200, 503].contains(&status), "{status}");
            if status == 200 {
                taken.lock().unwrap().push((10_000 + n).to_string());
            } else {
                refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let more = async |than: usize| {
        eventually("more is taken", async || (count() > than).then_some(())).await;
    };
    let crashing = async {
        more(30).await;
        outage.crash().await;
        eventually("it is said that nothing can be stored", async || {
            (refused.load(std::sync::atomic::Ordering::Relaxed) > 0).then_some(())
        })
        .await;
        outage.come_back().await;
        more(count() + 30).await;
        over.cancel();
    };
    tokio::join!(sending, crashing);
    let taken = taken.into_inner().unwrap();
    let pool = sqlx::PgPool::connect(url.as_str()).await.unwrap();
    let missing: Vec<String> = sqlx::query_scalar(
        "select told from unnest($1::text[]) as told
        where not exists (select from webhook_events where object_ids = array[told])",
    )
    .bind(&taken)
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(missing, [] as [&str; 0]);
    pool.close().await;
    drop(practice);
    outage.end().await;
}

#[tokio::test]
async fn what_is_told_of_a_dead_connection_waits_for_a_new_one() {
    let practice = Practice::connected(&[]).await;
    let hubspot = practice.simulator.world().hubspot();
    hubspot.revoke(PORTAL);
    hubspot.expire_access_tokens();
    let portal = practice.simulator.world().portal(PORTAL);
    let id = portal.add_contact(&[("email", "zoe@example.com")]).unwrap();
    for n in 0..2 {
        let body = json!([creation(id, n)]).to_string();
        assert_eq!(practice.deliver(&body).await, 200);
        practice
            .until("it is known to be dead", "hubspot_contacts", |item| {
                item["state"] == "needs_reauth"
            })
            .await;
    }
    assert_eq!(practice.inbox("state=pending").await.len(), 2);
    practice.connect_hubspot().await;
    let inbox = practice.until_handled(2).await;
    assert_eq!(
        events_of(&inbox, "contact.creation"),
        ["hubspot.contact.creation", "hubspot.contact.creation"],
        "the same event for both"
    );
    assert_eq!(practice.rows("events").await, 1);
}

#[tokio::test]
async fn two_advisors_of_one_account_have_an_inbox_each() {
    let practice = Practice::connected(&[]).await;
    let google = practice.simulator.world().google();
    google.add_account("ben@advisors.example", "Ben Advisor");
    let body = json!([creation(51, 1)]).to_string();
    assert_eq!(practice.deliver(&body).await, 200);
    let anns = practice.inbox("").await;
    let ann_id = anns[0]["id"].as_str().unwrap().to_owned();
    // Ben signs in where Ann sat, and connects the same account.
    practice.sign_in_as("ben@advisors.example").await;
    practice.connect_hubspot().await;
    let path = format!("/api/webhook-events/{ann_id}");
    assert_eq!(practice.ann.lock().await.get(&path).await.status, 404);
    assert_eq!(practice.inbox("").await.len(), 0);
    let body = json!([creation(52, 2)]).to_string();
    assert_eq!(practice.deliver(&body).await, 200);
    assert_eq!(practice.inbox("").await.len(), 1);
    assert_eq!(practice.rows("webhook_events").await, 3);
    let replay = practice
        .ann
        .lock()
        .await
        .post(&format!("{path}/replay"), &json!({}))
        .await;
    assert_eq!(replay.status, 404);
}

#[tokio::test]
async fn forged_deliveries_are_limited_and_use_up_nothing_of_the_genuine_ones() {
    let practice = Practice::connected(&[("RATE_LIMIT_PER_USER", "10")]).await;
    let url = format!("{}{DOOR}", practice.world.url);
    let mut statuses = Vec::new();
    for _ in 0..60 {
        let forged = practice
            .world
            .http
            .post(&url)
            .header(V3, "forged")
            .body("[]");
        statuses.push(practice.world.send(forged).await.status);
    }
    assert!(
        statuses[..10].iter().all(|status| *status == 401),
        "{statuses:?}"
    );
    assert!(statuses.contains(&429), "{statuses:?}");
    for event in 0..20 {
        let genuine = json!([creation(51, event)]).to_string();
        assert_eq!(practice.deliver(&genuine).await, 200);
    }
}

#[tokio::test]
async fn too_many_genuine_deliveries_are_asked_to_come_again() {
    let practice = Practice::connected(&[("RATE_LIMIT_WEBHOOKS", "5")]).await;
    let mut statuses = Vec::new();
    for event in 0..60 {
        let genuine = json!([creation(51, event)]).to_string();
        statuses.push(practice.deliver(&genuine).await);
    }
    assert!(
        statuses[..5].iter().all(|status| *status == 200),
        "{statuses:?}"
    );
    assert!(statuses.contains(&503), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
    // Nothing else is kept from anybody.
    assert_eq!(practice.world.get("/api/auth/options").await.status, 200);
}

#[tokio::test]
async fn what_requests_and_tasks_hold_of_the_database_keeps_no_delivery_waiting() {
    let practice = Practice::connected(&[]).await;
    let app = practice.world.app();
    let scope = identity::demo_advisor(&app.pool, &app.clock, "held@example.com")
        .await
        .unwrap();
    let mut held = Vec::new();
    for share in [&app.pools.api, &app.pools.worker] {
        let most = Duration::from_millis(500);
        while let Ok(Ok(tx)) = tokio::time::timeout(most, scope.begin(share)).await {
            held.push(tx);
        }
    }
    assert_eq!(
        practice
            .deliver(&json!([creation(51, 1)]).to_string())
            .await,
        200
    );
    let kept_waiting = practice.ann.lock().await.get("/api/webhook-events").await;
    assert_eq!(kept_waiting.status, 503);
    assert!(kept_waiting.header("retry-after").is_some());
    drop(held);
    practice.until_handled(1).await;
}
