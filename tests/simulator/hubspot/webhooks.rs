use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::TimeDelta;
use paraplanner::simulator::hubspot::{Kind, Oddity, Pace};

use super::*;

/// Our side of the webhooks: takes everything down, and refuses as often as it is told.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    batches: Vec<(HeaderMap, String)>,
    refusals: u32,
}

impl Receiver {
    async fn start(stage: &Stage) -> Self {
        let receiver = Self::default();
        let app = Router::new()
            .route("/hook", post(take))
            .with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio_util::task::TaskTracker::new().spawn(async move {
            axum::serve(listener, app).await.unwrap();
        });
        let hubspot = stage.world().hubspot();
        hubspot.set_webhook_target(Some(&url));
        hubspot.set_retry_pace(Pace::Every(Duration::from_millis(5)));
        receiver
    }

    fn refuse(&self, times: u32) {
        self.0.lock().unwrap().refusals = times;
    }

    /// Everything that came until nothing is under way.
    async fn batches(&self, stage: &Stage) -> Vec<(HeaderMap, Vec<Value>)> {
        for _ in 0..500 {
            if stage.world().hubspot().deliveries() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let batches = std::mem::take(&mut self.0.lock().unwrap().batches);
        let parsed =
            |(headers, body): (HeaderMap, String)| (headers, serde_json::from_str(&body).unwrap());
        batches.into_iter().map(parsed).collect()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let mut all = receiver.0.lock().unwrap();
    all.batches.push((headers, body));
    if all.refusals > 0 {
        all.refusals -= 1;
        return StatusCode::NOT_FOUND;
    }
    StatusCode::OK
}

fn types(events: &[Value]) -> Vec<&str> {
    let types = events
        .iter()
        .map(|event| event["subscriptionType"].as_str().unwrap());
    types.collect()
}

#[tokio::test]
async fn changes_arrive_in_both_forms_with_both_signatures() {
    let stage = stage().await;
    let receiver = Receiver::start(&stage).await;
    let desk = stage.world().portal(PORTAL);
    let id = desk.add_contact(&[("email", "ann@example.com")]).unwrap();
    let batches = receiver.batches(&stage).await;
    let (headers, events) = &batches[0];
    assert_eq!(
        types(events),
        ["contact.creation", "contact.propertyChange"]
    );
    assert_eq!(events[0]["objectId"], json!(id));
    assert_eq!(events[0]["changeSource"], json!("CRM_UI"));
    assert_eq!(events[1]["propertyValue"], json!("ann@example.com"));
    assert_ne!(events[0]["subscriptionId"], events[1]["subscriptionId"]);
    assert_eq!(headers["x-hubspot-signature-version"], "v1");
    assert_eq!(headers["x-hubspot-signature"].len(), 64);
    assert_eq!(headers["x-hubspot-signature-v3"].len(), 44);
    assert!(headers.contains_key("x-hubspot-request-timestamp"));

    stage.world().hubspot().set_generic_events(true);
    desk.update(Kind::Contact, id, &[("email", "a@example.com")])
        .unwrap();
    let batches = receiver.batches(&stage).await;
    assert_eq!(types(&batches[0].1), ["object.propertyChange"]);
    assert_eq!(batches[0].1[0]["objectTypeId"], json!("0-1"));

    stage.world().hubspot().set_generic_events(false);
    desk.add_note(id, "x", stage.world().clock().now()).unwrap();
    let batches = receiver.batches(&stage).await;
    let all: Vec<&Value> = batches.iter().flat_map(|(_, events)| events).collect();
    assert!(all.iter().all(|event| event["objectTypeId"] == "0-46"));
    desk.erase(id).unwrap();
    let batches = receiver.batches(&stage).await;
    let expected = ["contact.privacyDeletion", "contact.deletion"];
    assert_eq!(types(&batches[0].1), expected);
}

#[tokio::test]
async fn our_own_writes_come_back_as_ours() {
    let stage = stage().await;
    let receiver = Receiver::start(&stage).await;
    let client = Client::install(&stage).await;
    let body = json!({"properties": {"firstname": "Ann"}});
    client.post("/crm/v3/objects/contacts", body).await;
    let batches = receiver.batches(&stage).await;
    assert_eq!(batches[0].1[0]["changeSource"], json!("INTEGRATION"));
    assert_eq!(batches[0].1[0]["sourceId"], json!("777"));
}

#[tokio::test]
async fn a_refused_delivery_comes_again_and_counts() {
    let stage = stage().await;
    let receiver = Receiver::start(&stage).await;
    receiver.refuse(2);
    stage.world().portal(PORTAL).add_contact(&[]).unwrap();
    let batches = receiver.batches(&stage).await;
    let attempts: Vec<&Value> = batches
        .iter()
        .map(|(_, events)| &events[0]["attemptNumber"])
        .collect();
    assert_eq!(attempts, [&json!(0), &json!(1), &json!(2)]);
    assert_eq!(batches[0].1[0]["eventId"], batches[2].1[0]["eventId"]);
    receiver.refuse(100);
    stage.world().portal(PORTAL).add_contact(&[]).unwrap();
    assert_eq!(receiver.batches(&stage).await.len(), 11);
}

#[tokio::test]
async fn real_retries_wait_for_the_worlds_clock() {
    let stage = stage().await;
    let receiver = Receiver::start(&stage).await;
    stage.world().hubspot().set_retry_pace(Pace::Real);
    receiver.refuse(1);
    stage.world().portal(PORTAL).add_contact(&[]).unwrap();
    let came = || receiver.0.lock().unwrap().batches.len();
    while came() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(came(), 1);
    stage.world().clock().advance(TimeDelta::minutes(2));
    assert_eq!(receiver.batches(&stage).await.len(), 2);
}

#[tokio::test]
async fn batches_hold_a_hundred_and_may_mix_portals() {
    let stage = stage().await;
    let receiver = Receiver::start(&stage).await;
    let world = stage.world();
    for mixed in [false, true] {
        world.hubspot().set_mixed_batches(mixed);
        world.hubspot().hold_events(true);
        for place in 0..120 {
            world.portal(4242 + place % 2).add_contact(&[]).unwrap();
        }
        world.send_events();
        let batches = receiver.batches(&stage).await;
        let mut sizes: Vec<usize> = batches.iter().map(|(_, events)| events.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, if mixed { [20, 100] } else { [60, 60] });
    }
}

#[tokio::test]
async fn batches_are_spoilt_as_told() {
    let stage = stage().await;
    let receiver = Receiver::start(&stage).await;
    let world = stage.world();
    let desk = world.portal(PORTAL);
    for (oddity, expected) in [(Oddity::Drop, 0), (Oddity::Double, 2), (Oddity::Reorder, 1)] {
        world.hubspot().spoil_batch(oddity);
        desk.add_contact(&[("firstname", "Ann")]).unwrap();
        let batches = receiver.batches(&stage).await;
        assert_eq!(batches.len(), expected, "{oddity:?}");
        if oddity == Oddity::Reorder {
            assert_eq!(types(&batches[0].1)[1], "contact.creation");
        }
    }
    world.hubspot().spoil_batch(Oddity::StaleTimestamp);
    desk.add_contact(&[]).unwrap();
    let batches = receiver.batches(&stage).await;
    let at = batches[0].0["x-hubspot-request-timestamp"]
        .to_str()
        .unwrap();
    let age = world.clock().now().timestamp_millis() - at.parse::<i64>().unwrap();
    assert!(age > 300_000);
}

#[tokio::test]
async fn the_target_is_set_over_http_and_an_uninstalled_portal_is_silent() {
    let stage = stage().await;
    let receiver = Receiver::start(&stage).await;
    let client = Client::install(&stage).await;
    stage.world().hubspot().uninstall(PORTAL);
    stage.world().portal(PORTAL).add_contact(&[]).unwrap();
    assert!(receiver.batches(&stage).await.is_empty());
    let settings = json!({"targetUrl": "https://x.example/hook",
                          "throttling": {"maxConcurrentRequests": 10}});
    let (status, body) = client
        .call("PUT", "/webhooks/v3/777/settings", settings.clone())
        .await;
    assert_eq!((status, &body["targetUrl"]), (200, &settings["targetUrl"]));
    assert_eq!(
        client
            .call("PUT", "/webhooks/v3/1/settings", settings)
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn the_controls_do_what_the_methods_do() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let work = format!("/sim/hubspot/portals/{PORTAL}/work");
    let new = json!({"do": "create", "kind": "contact", "properties": {"firstname": "Ann"}});
    let (status, body) = client.post(&work, new).await;
    assert_eq!(status, 200);
    let note = json!({"do": "note", "contact": body["id"], "html": "hello"});
    assert_eq!(client.post(&work, note).await.0, 200);
    let (_, notes) = client
        .get(&format!("/sim/hubspot/portals/{PORTAL}/notes"))
        .await;
    assert_eq!(notes[0]["contacts"][0], body["id"]);
    let switches = json!({"search_lag_secs": 30, "limits": true, "retry_millis": 1});
    assert_eq!(client.post("/sim/hubspot/switches", switches).await.0, 204);
    let (_, body) = client
        .post("/crm/v3/objects/contacts/search", json!({}))
        .await;
    assert_eq!(body["total"], json!(0));
}
