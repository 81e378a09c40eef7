//! The simulated Google Calendar.

use chrono::TimeDelta;
use paraplanner::simulator::google::{Mischief, Switches};
use serde_json::{Value, json};

use crate::google::{ADVISOR, ALL, Client, Ear, SECOND, reason};
use crate::world::Stage;

const EVENTS: &str = "/calendar/v3/calendars/primary/events";

fn meeting(day: &str, hour: u8) -> Value {
    let at = |hour: u8| json!({"dateTime": format!("{day}T{hour:02}:00:00"), "timeZone": "Europe/Zurich"});
    json!({"summary": "Call", "start": at(hour), "end": at(hour + 1)})
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_id_of_ones_own_is_used_once() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let mut event = meeting("2026-02-03", 10);
    event["id"] = json!("advisor01");
    let made = client.post(EVENTS, event.clone()).await;
    assert_eq!(made["start"]["dateTime"], "2026-02-03T10:00:00+01:00");
    let (status, body) = client.call("POST", EVENTS, Some(event.clone())).await;
    assert_eq!((status, reason(&body)), (409, "duplicate"));
    let one = format!("{EVENTS}/advisor01");
    assert_eq!(client.call("DELETE", &one, None).await.0, 204);
    let (status, body) = client.call("DELETE", &one, None).await;
    assert_eq!((status, reason(&body)), (410, "deleted"));
    assert_eq!(client.get(&one).await["status"], "cancelled");
    assert_eq!(
        client.call("POST", EVENTS, Some(event.clone())).await.0,
        409
    );
    event["id"] = json!("UPPER-case");
    assert_eq!(client.call("POST", EVENTS, Some(event)).await.0, 400);
    let (status, body) = client
        .call("POST", EVENTS, Some(json!({"summary": "x"})))
        .await;
    assert_eq!((status, reason(&body)), (400, "required"));
}

#[tokio::test]
async fn a_series_is_expanded_with_its_exceptions() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let mut event = meeting("2026-03-17", 10);
    event["id"] = json!("series1");
    event["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=4"]);
    client.post(EVENTS, event).await;
    let sync = client
        .get(&format!(
            "{EVENTS}?singleEvents=true&timeMax=2027-01-01T00:00:00Z"
        ))
        .await;
    assert_eq!(
        ids(&sync),
        [
            "series1_20260317T090000Z",
            "series1_20260324T090000Z",
            "series1_20260331T080000Z",
            "series1_20260407T080000Z"
        ]
    );
    let second = format!("{EVENTS}/series1_20260324T090000Z");
    let (status, moved) = client
        .call("PATCH", &second, Some(json!({"summary": "Moved"})))
        .await;
    assert_eq!(status, 200, "{moved}");
    let third = format!("{EVENTS}/series1_20260331T080000Z");
    assert_eq!(client.call("DELETE", &third, None).await.0, 204);
    let window = "singleEvents=true&orderBy=startTime&timeMin=2026-03-17T10:00:00Z&timeMax=2026-04-07T08:00:00Z";
    let list = client.get(&format!("{EVENTS}?{window}")).await;
    // Bounds are exclusive: the first has just ended, the last only begins.
    assert_eq!(ids(&list), ["series1_20260324T090000Z"]);
    assert_eq!(list["items"][0]["summary"], "Moved");
    let masters = client.get(EVENTS).await;
    let gone = &masters["items"][2];
    assert_eq!(gone["status"], "cancelled");
    assert_eq!(gone["recurringEventId"], "series1");
    assert!(gone["originalStartTime"].is_object());
    let token = sync["nextSyncToken"].as_str().unwrap();
    let changed = client
        .get(&format!("{EVENTS}?singleEvents=true&syncToken={token}"))
        .await;
    assert_eq!(
        ids(&changed),
        ["series1_20260324T090000Z", "series1_20260331T080000Z"]
    );
}

#[tokio::test]
async fn a_sync_token_tells_of_changes_and_dies() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let google = stage.world().google();
    let made = google
        .add_event(ADVISOR, &meeting("2026-02-03", 10))
        .unwrap();
    google
        .add_event(ADVISOR, &meeting("2026-02-04", 10))
        .unwrap();
    google.set_switches(Switches {
        empty_pages: true,
        ..Switches::default()
    });
    let page = client.get(&format!("{EVENTS}?maxResults=1")).await;
    assert!(ids(&page).is_empty());
    let token = page["nextPageToken"].as_str().unwrap();
    let page = client
        .get(&format!("{EVENTS}?maxResults=1&pageToken={token}"))
        .await;
    assert_eq!(page.get("nextSyncToken"), None);
    let token = page["nextPageToken"].as_str().unwrap();
    let page = client
        .get(&format!("{EVENTS}?maxResults=1&pageToken={token}"))
        .await;
    google.set_switches(Switches::default());
    let token = page["nextSyncToken"].as_str().unwrap();
    let id = made["id"].as_str().unwrap();
    assert!(google.delete_event(ADVISOR, id));
    let changed = client.get(&format!("{EVENTS}?syncToken={token}")).await;
    assert_eq!(ids(&changed), [id]);
    assert_eq!(changed["items"][0].get("summary"), None);
    for wrong in [
        "q=x",
        "timeMin=2026-01-01T00:00:00Z",
        "orderBy=updated",
        "showDeleted=false",
    ] {
        let path = format!("{EVENTS}?syncToken={token}&{wrong}");
        assert_eq!(client.call("GET", &path, None).await.0, 400, "{wrong}");
    }
    google.expire_sync_tokens(ADVISOR);
    let (status, body) = client
        .call("GET", &format!("{EVENTS}?syncToken={token}"), None)
        .await;
    assert_eq!((status, reason(&body)), (410, "fullSyncRequired"));
    let old = format!("{EVENTS}?updatedMin=2020-01-01T00:00:00Z");
    let (status, body) = client.call("GET", &old, None).await;
    assert_eq!((status, reason(&body)), (410, "updatedMinTooLongAgo"));
    let (status, body) = client
        .call("GET", &format!("{EVENTS}?orderBy=startTime"), None)
        .await;
    assert_eq!((status, reason(&body)), (400, "badRequest"));
    let empty = format!("{EVENTS}?timeMin=2026-01-02T00:00:00Z&timeMax=2026-01-01T00:00:00Z");
    let (_, body) = client.call("GET", &empty, None).await;
    assert_eq!(reason(&body), "timeRangeEmpty");
}

#[tokio::test]
async fn a_guest_gets_a_copy_a_mail_and_answers() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let guest = Client::sign_in(&stage, SECOND, ALL).await;
    let mut event = meeting("2026-02-03", 10);
    event["attendees"] = json!([{"email": SECOND}]);
    event["conferenceData"] = json!({"createRequest": {"requestId": "r"}});
    let made = client
        .post(
            &format!("{EVENTS}?sendUpdates=all&conferenceDataVersion=1"),
            event,
        )
        .await;
    assert_eq!(
        made["conferenceData"]["createRequest"]["status"]["statusCode"],
        "pending"
    );
    let id = made["id"].as_str().unwrap();
    let one = format!("{EVENTS}/{id}");
    let ready = client.get(&one).await;
    assert!(ready["hangoutLink"].is_string());
    let (status, _) = guest
        .call("PATCH", &one, Some(json!({"summary": "Mine"})))
        .await;
    assert_eq!(status, 403);
    let answer =
        json!({"attendees": [{"email": SECOND, "self": true, "responseStatus": "declined"}]});
    assert_eq!(guest.call("PATCH", &one, Some(answer)).await.0, 200);
    assert_eq!(
        client.get(&one).await["attendees"][0]["responseStatus"],
        "declined"
    );
    let inbox = guest
        .get("/gmail/v1/users/me/messages?q=subject:invitation")
        .await;
    assert_eq!(inbox["messages"].as_array().unwrap().len(), 1);
    let response = stage
        .http
        .patch(stage.at(&one))
        .bearer_auth(&client.token)
        .header("If-Match", made["etag"].as_str().unwrap())
        .json(&json!({"summary": "Late"}))
        .send()
        .await;
    assert_eq!(response.unwrap().status(), 412);
}

#[tokio::test]
async fn free_busy_has_errors_in_a_good_reply() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let google = stage.world().google();
    google
        .add_event(ADVISOR, &meeting("2026-02-03", 10))
        .unwrap();
    google
        .add_event(ADVISOR, &meeting("2026-02-03", 11))
        .unwrap();
    let mut free = meeting("2026-02-03", 15);
    free["transparency"] = json!("transparent");
    google.add_event(ADVISOR, &free).unwrap();
    let asked = json!({"timeMin": "2026-02-03T00:00:00Z", "timeMax": "2026-02-04T00:00:00Z",
        "timeZone": "Europe/Zurich", "items": [{"id": "primary"}, {"id": "ann@example.org"}]});
    let found = client.post("/calendar/v3/freeBusy", asked).await;
    assert_eq!(
        found["calendars"]["primary"]["busy"],
        json!([{"start": "2026-02-03T10:00:00+01:00", "end": "2026-02-03T12:00:00+01:00"}])
    );
    assert_eq!(
        found["calendars"]["ann@example.org"]["errors"][0]["reason"],
        "notFound"
    );
    let narrow = Client::sign_in(
        &stage,
        ADVISOR,
        "https://www.googleapis.com/auth/calendar.events",
    )
    .await;
    let (status, _) = narrow
        .call("POST", "/calendar/v3/freeBusy", Some(json!({})))
        .await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_channel_tells_until_it_ends() {
    let stage = Stage::start().await;
    let client = Client::sign_in(&stage, ADVISOR, ALL).await;
    let google = stage.world().google();
    google.set_switches(Switches {
        sync_before_reply: true,
        ..Switches::default()
    });
    let ear = Ear::listen(&[]).await;
    let body = json!({"id": "c1", "type": "web_hook", "address": ear.url, "token": "secret",
        "params": {"ttl": "600"}});
    let made = client.post(&format!("{EVENTS}/watch"), body.clone()).await;
    // It came before the reply.
    let sync = ear.hear(1).await[0].to_lowercase();
    assert!(
        sync.contains("x-goog-resource-state: sync") && sync.contains("x-goog-message-number: 1")
    );
    let (status, body) = client
        .call("POST", &format!("{EVENTS}/watch"), Some(body))
        .await;
    assert_eq!((status, reason(&body)), (400, "channelIdNotUnique"));
    google.twist_channel(Mischief::Drop);
    google.twist_channel(Mischief::Double);
    google
        .add_event(ADVISOR, &meeting("2026-02-03", 10))
        .unwrap();
    google
        .add_event(ADVISOR, &meeting("2026-02-04", 10))
        .unwrap();
    let heard = ear.hear(3).await;
    assert!(
        heard[1]
            .to_lowercase()
            .contains("x-goog-resource-state: exists")
    );
    assert!(heard[1].contains("secret"));
    stage.world().clock().advance(TimeDelta::minutes(11));
    google
        .add_event(ADVISOR, &meeting("2026-02-05", 10))
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(ear.hear(3).await.len(), 3);
    let stop = json!({"id": "c1", "resourceId": made["resourceId"]});
    let (status, _) = client
        .call("POST", "/calendar/v3/channels/stop", Some(stop))
        .await;
    assert_eq!(status, 404);
}
