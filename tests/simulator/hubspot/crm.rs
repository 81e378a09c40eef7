use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use paraplanner::simulator::hubspot::Kind;
use paraplanner::simulator::{Fault, Misbehaviour};

use super::*;

fn ann() -> Value {
    json!({"properties": {"email": "Ann@Example.com", "firstname": "Ann", "lastname": "Lee"}})
}

const CONTACTS: &str = "/crm/v3/objects/contacts";

#[tokio::test]
async fn an_object_has_its_usual_properties_and_only_those() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let (status, body) = client.post(CONTACTS, ann()).await;
    assert_eq!(status, 201, "{body}");
    let id = body["id"].as_str().unwrap();
    let paths = [
        format!("/crm/v3/objects/contacts/{id}"),
        format!("/crm/objects/2026-03/contacts/{id}"),
        format!("/crm/objects/2026-09/0-1/{id}"),
        "/crm/v3/objects/contacts/ann@example.com?idProperty=email".to_owned(),
    ];
    for path in paths {
        let (status, body) = client.get(&path).await;
        assert_eq!(status, 200, "{path}");
        let properties = body["properties"].as_object().unwrap();
        let names: Vec<&String> = properties.keys().collect();
        let usual = [
            "createdate",
            "email",
            "firstname",
            "hs_object_id",
            "lastmodifieddate",
            "lastname",
        ];
        assert_eq!(names, usual);
        assert_eq!(properties["email"], json!("ann@example.com"));
        assert!(properties.values().all(Value::is_string));
        assert!(body["url"].as_str().unwrap().contains("/4242/record/0-1/"));
    }
    let (_, body) = client
        .get(&format!("{CONTACTS}/{id}?properties=phone,nonsense"))
        .await;
    assert_eq!(body["properties"]["phone"], Value::Null);
    assert!(body["properties"].get("nonsense").is_none());
    assert!(body["properties"].get("email").is_none());
    for path in [
        "/crm/v3/objects/contacts/999",
        "/crm/2026-03/objects/contacts",
    ] {
        assert_eq!(client.get(path).await.0, 404);
    }
}

#[tokio::test]
async fn the_same_address_conflicts_and_the_id_is_in_the_text() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let (_, first) = client.post(CONTACTS, ann()).await;
    let (status, body) = client.post(CONTACTS, ann()).await;
    assert_eq!((status, &body["category"]), (409, &json!("CONFLICT")));
    let expected = format!(
        "Contact already exists. Existing ID: {}",
        first["id"].as_str().unwrap()
    );
    assert_eq!(body["message"], json!(expected));
    // One conflict fails a whole batch, and nothing stays of it.
    let fresh = json!({"properties": {"email": "new@example.com"}});
    let batch = json!({"inputs": [fresh, ann()]});
    let (status, _) = client
        .post(&format!("{CONTACTS}/batch/create"), batch)
        .await;
    assert_eq!(status, 409);
    assert_eq!(stage.world().portal(PORTAL).all(Kind::Contact).len(), 1);
}

#[tokio::test]
async fn wrong_values_are_named() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let notes = "/crm/v3/objects/notes";
    let long = "x".repeat(65_537);
    for (path, properties, code) in [
        (CONTACTS, json!({"email": "nobody"}), "INVALID_EMAIL"),
        (CONTACTS, json!({"createdate": "1"}), "READ_ONLY_VALUE"),
        (
            notes,
            json!({"hs_note_body": "x"}),
            "MISSING_REQUIRED_PROPERTY",
        ),
        (notes, json!({"hs_timestamp": "soon"}), "INVALID_DATE"),
        (
            notes,
            json!({"hs_timestamp": "1", "hs_note_body": long}),
            "INVALID_LENGTH",
        ),
    ] {
        let (status, body) = client.post(path, json!({"properties": properties})).await;
        assert_eq!(
            (status, &body["category"]),
            (400, &json!("VALIDATION_ERROR"))
        );
        assert_eq!(body["errors"][0]["code"], json!(code));
    }
    let path = stage.at(CONTACTS);
    let request = stage.http.post(path).bearer_auth(&client.token).body("{}");
    assert_eq!(request.send().await.unwrap().status(), 415);
    stage
        .world()
        .portal(PORTAL)
        .require(Kind::Contact, "phone")
        .unwrap();
    let (status, _) = client.post(CONTACTS, ann()).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_note_hangs_on_its_contact_and_shows_its_text_when_asked() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let (_, contact) = client.post(CONTACTS, ann()).await;
    let contact = contact["id"].as_str().unwrap();
    let note = json!({
        "properties": {"hs_timestamp": "1767225600000", "hs_note_body": "Asked about <b>AAPL</b>"},
        "associations": [{"to": {"id": contact}, "types": [
            {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]}],
    });
    let (status, note) = client.post("/crm/objects/2026-03/notes", note).await;
    assert_eq!(status, 201);
    let id = note["id"].as_str().unwrap();
    let (_, plain) = client.get(&format!("/crm/v3/objects/notes/{id}")).await;
    assert_eq!(plain["properties"].as_object().unwrap().len(), 3);
    let asked = "properties=hs_note_body,hs_timestamp&associations=contacts";
    let (_, full) = client
        .get(&format!("/crm/v3/objects/0-46/{id}?{asked}"))
        .await;
    assert_eq!(
        full["properties"]["hs_timestamp"],
        json!("2026-01-01T00:00:00.000Z")
    );
    let inline = json!([{"id": contact, "type": "note_to_contact"}]);
    assert_eq!(full["associations"]["contacts"]["results"], inline);

    let path = format!("/crm/v4/objects/contacts/{contact}/associations/notes");
    let (_, list) = client.get(&path).await;
    assert_eq!(list["results"][0]["toObjectId"], json!(id));
    assert_eq!(
        list["results"][0]["associationTypes"][0]["typeId"],
        json!(201)
    );
    let dated = format!("/crm/objects/2026-03/contacts/{contact}/associations/notes");
    assert_eq!(client.get(&dated).await.1, list);
    let batch = json!({"inputs": [{"id": contact}, {"id": "999"}]});
    let (status, body) = client
        .post("/crm/v4/associations/contacts/notes/batch/read", batch)
        .await;
    assert_eq!((status, &body["numErrors"]), (207, &json!(1)));
    assert_eq!(body["results"][0]["to"][0]["toObjectId"], json!(id));

    let response = client.send("DELETE", &format!("{path}/{id}"), None).await;
    assert_eq!(response.status(), 204);
    assert_eq!(client.get(&path).await.1["results"], json!([]));
    let put = format!("/crm/v4/objects/notes/{id}/associations/default/contacts/{contact}");
    assert_eq!(client.send("PUT", &put, None).await.status(), 200);
    assert_eq!(
        client.get(&path).await.1["results"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(stage.world().portal(PORTAL).all_notes().len(), 1);
}

#[tokio::test]
async fn lists_go_page_by_page_and_the_bin_stands_apart() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let desk = stage.world().portal(PORTAL);
    for place in 0..25 {
        desk.add_contact(&[("firstname", &format!("n{place}"))])
            .unwrap();
    }
    let mut seen = Vec::new();
    let mut path = CONTACTS.to_owned();
    loop {
        let (_, body) = client.get(&path).await;
        let results = body["results"].as_array().unwrap();
        seen.extend(results.iter().map(|object| object["id"].clone()));
        let Some(after) = body["paging"]["next"]["after"].as_str() else {
            break;
        };
        assert_eq!(results.len(), 10);
        path = format!("{CONTACTS}?after={after}");
    }
    assert_eq!(seen.len(), 25);
    let (_, body) = client.get(&format!("{CONTACTS}?limit=5&after=60")).await;
    let link = body["paging"]["next"]["link"].as_str().unwrap();
    assert!(link.contains("limit=5") && !link.contains("after=60"));
    let gone = format!("{CONTACTS}/{}", seen[0].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(client.send("DELETE", &gone, None).await.status(), 204);
    }
    assert_eq!(client.get(&gone).await.0, 404);
    assert_eq!(client.get(&format!("{gone}?archived=true")).await.0, 200);
    let (_, bin) = client.get(&format!("{CONTACTS}?archived=true")).await;
    assert_eq!(bin["results"][0]["id"], seen[0]);
    assert_eq!(client.get(&format!("{CONTACTS}?limit=101")).await.0, 400);
}

#[tokio::test]
async fn batches_tell_what_failed() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let (_, ann) = client.post(CONTACTS, ann()).await;
    let inputs = json!({"inputs": [{"id": ann["id"]}, {"id": "999"}], "properties": ["email"]});
    let (status, body) = client.post(&format!("{CONTACTS}/batch/read"), inputs).await;
    assert_eq!((status, &body["numErrors"]), (207, &json!(1)));
    assert_eq!(body["errors"][0]["context"]["ids"], json!(["999"]));
    let inputs = json!({"inputs": [
        {"objectWriteTraceId": "a", "properties": {"email": "b@example.com"}},
        {"objectWriteTraceId": "b", "properties": {"email": "wrong"}},
    ]});
    let (status, body) = client
        .post(&format!("{CONTACTS}/batch/create"), inputs)
        .await;
    assert_eq!(status, 207);
    assert_eq!(
        body["errors"][0]["context"]["objectWriteTraceId"],
        json!(["b"])
    );
    let inputs = json!({"inputs": [
        {"id": "b@example.com", "idProperty": "email", "properties": {"firstname": "Bea"}},
        {"id": "c@example.com", "idProperty": "email", "properties": {"firstname": "Cy"}},
    ]});
    let (status, body) = client
        .post(&format!("{CONTACTS}/batch/upsert"), inputs)
        .await;
    assert_eq!(status, 200, "{body}");
    let new: Vec<&Value> = body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["new"])
        .collect();
    assert_eq!(new, [&json!(false), &json!(true)]);
    let inputs = json!({"inputs": vec![json!({"id": "1"}); 101]});
    let (status, _) = client.post(&format!("{CONTACTS}/batch/read"), inputs).await;
    assert_eq!(status, 400);
}

fn filter(name: &str, operator: &str, value: &str) -> Value {
    json!({"propertyName": name, "operator": operator, "value": value})
}

/// The first names that a search with these filters finds, in order of ids.
async fn found(client: &Client<'_>, filters: Value) -> Vec<String> {
    let body = json!({"filterGroups": [{"filters": filters}]});
    let (status, body) = client.post(&format!("{CONTACTS}/search"), body).await;
    assert_eq!(status, 200, "{body}");
    let names = body["results"].as_array().unwrap().iter();
    names
        .map(|object| {
            object["properties"]["firstname"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn search_knows_all_operators() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let desk = stage.world().portal(PORTAL);
    let ann = [
        ("firstname", "Ann"),
        ("email", "ann@example.com"),
        ("age", "9"),
    ];
    desk.add_contact(&ann).unwrap();
    desk.add_contact(&[("firstname", "Bea"), ("age", "10")])
        .unwrap();
    let values = |operator: &str| json!([{"propertyName": "firstname", "operator": operator, "values": ["ann", "x"]}]);
    let between = json!([{"propertyName": "age", "operator": "BETWEEN", "value": "9.5",
                          "highValue": "10"}]);
    for (filters, expected) in [
        (json!([filter("firstname", "EQ", "ann")]), vec!["Ann"]),
        (json!([filter("firstname", "NEQ", "ann")]), vec!["Bea"]),
        (json!([filter("age", "GT", "9")]), vec!["Bea"]),
        (json!([filter("age", "GTE", "9")]), vec!["Ann", "Bea"]),
        (json!([filter("age", "LT", "10")]), vec!["Ann"]),
        (json!([filter("age", "LTE", "8")]), vec![]),
        (between, vec!["Bea"]),
        (values("IN"), vec!["Ann"]),
        (values("NOT_IN"), vec!["Bea"]),
        (
            json!([{"propertyName": "email", "operator": "HAS_PROPERTY"}]),
            vec!["Ann"],
        ),
        (
            json!([{"propertyName": "email", "operator": "NOT_HAS_PROPERTY"}]),
            vec!["Bea"],
        ),
        (
            json!([filter("email", "CONTAINS_TOKEN", "*@example.com")]),
            vec!["Ann"],
        ),
        (json!([filter("email", "CONTAINS_TOKEN", "exam")]), vec![]),
        (
            json!([filter("email", "NOT_CONTAINS_TOKEN", "example")]),
            vec!["Bea"],
        ),
        (
            json!([filter("age", "GT", "1"), filter("firstname", "EQ", "bea")]),
            vec!["Bea"],
        ),
    ] {
        assert_eq!(found(&client, filters.clone()).await, expected, "{filters}");
    }
}

#[tokio::test]
async fn search_has_its_limits() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let one = filter("email", "EQ", "a");
    let group = |filters: usize| json!({"filters": vec![one.clone(); filters]});
    for body in [
        json!({"limit": 201}),
        json!({"limit": 200, "after": "9900"}),
        json!({"filterGroups": vec![group(1); 6]}),
        json!({"filterGroups": [group(7)]}),
        json!({"filterGroups": vec![group(4); 5]}),
        json!({"filterGroups": [{"filters": [filter("email", "LIKE", "a")]}]}),
        json!({"query": "x".repeat(3000)}),
        json!({"sorts": ["email", "firstname"]}),
    ] {
        let (status, reply) = client
            .post(&format!("{CONTACTS}/search"), body.clone())
            .await;
        assert_eq!(status, 400, "{body}: {reply}");
    }
}

#[tokio::test]
async fn the_index_lags_by_the_worlds_clock() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let world = stage.world();
    let desk = world.portal(PORTAL);
    let id = desk.add_contact(&[("firstname", "Ann")]).unwrap();
    world.clock().advance(TimeDelta::seconds(60));
    world.hubspot().set_search_lag(TimeDelta::seconds(30));
    desk.update(Kind::Contact, id, &[("firstname", "Anna")])
        .unwrap();
    desk.add_contact(&[("firstname", "Bea")]).unwrap();
    assert_eq!(found(&client, json!([])).await, ["Ann"]);
    world.clock().advance(TimeDelta::seconds(31));
    assert_eq!(found(&client, json!([])).await, ["Anna", "Bea"]);
}

#[tokio::test]
async fn a_merge_has_a_new_id_and_the_old_ones_lead_there() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let desk = stage.world().portal(PORTAL);
    let first = desk.add_contact(&[("firstname", "Ann")]).unwrap();
    let second = desk.add_contact(&[("email", "ann@example.com")]).unwrap();
    desk.add_note(second, "hello", stage.world().clock().now())
        .unwrap();
    let ids = json!({"primaryObjectId": first.to_string(), "objectIdToMerge": second.to_string()});
    let (status, body) = client.post(&format!("{CONTACTS}/merge"), ids).await;
    assert_eq!(status, 200);
    let new = body["id"].as_str().unwrap();
    assert!(new != first.to_string() && new != second.to_string());
    for old in [first, second] {
        let (_, body) = client
            .get(&format!("{CONTACTS}/{old}?associations=notes"))
            .await;
        assert_eq!(body["id"], json!(new));
        assert_eq!(body["properties"]["email"], json!("ann@example.com"));
        assert_eq!(
            body["associations"]["notes"]["results"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }
    let body = json!({"objectId": "ann@example.com", "idProperty": "email"});
    assert_eq!(
        client
            .post(&format!("{CONTACTS}/gdpr-delete"), body)
            .await
            .0,
        204
    );
    assert_eq!(
        client
            .get(&format!("{CONTACTS}/{new}?archived=true"))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn tokens_and_scopes_are_looked_at() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let (_, body) = client.get("/account-info/2026-03/details").await;
    assert_eq!(body["portalId"], json!(PORTAL));
    let (status, body) = client.get("/crm/v3/owners").await;
    assert_eq!((status, &body["category"]), (403, &json!("MISSING_SCOPES")));
    let scope = &body["errors"][0]["context"]["requiredGranularScopes"][0];
    assert_eq!(scope, &json!("crm.objects.owners.read"));
    stage.world().hubspot().expire_access_tokens();
    let (status, body) = client.get(CONTACTS).await;
    assert_eq!(
        (status, &body["category"]),
        (401, &json!("EXPIRED_AUTHENTICATION"))
    );
    stage.world().hubspot().uninstall(PORTAL);
    let (status, body) = client.get(CONTACTS).await;
    assert_eq!(
        (status, &body["category"]),
        (401, &json!("INVALID_AUTHENTICATION"))
    );
}

#[tokio::test]
async fn the_limits_are_two_and_say_which() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let response = client.send("GET", CONTACTS, None).await;
    assert_eq!(response.headers()["x-hubspot-ratelimit-max"], "110");
    assert_eq!(response.headers()["x-hubspot-ratelimit-remaining"], "109");
    stage.world().hubspot().set_limits(true, false);
    for _ in 0..109 {
        assert_eq!(client.get(CONTACTS).await.0, 200);
    }
    let response = client.send("GET", CONTACTS, None).await;
    assert_eq!(response.status(), 429);
    assert!(!response.headers().contains_key("retry-after"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["policyName"], json!("TEN_SECONDLY_ROLLING"));
    stage.world().clock().advance(TimeDelta::seconds(10));
    assert_eq!(client.get(CONTACTS).await.0, 200);

    stage.world().hubspot().set_limits(true, true);
    let search = format!("{CONTACTS}/search");
    for _ in 0..5 {
        let response = client.send("POST", &search, Some(&json!({}))).await;
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("x-hubspot-ratelimit-max"));
    }
    let response = client.send("POST", &search, Some(&json!({}))).await;
    assert_eq!(response.headers()["retry-after"], "1");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["policyName"], json!("SECONDLY"));
}

#[tokio::test]
async fn faults_have_the_providers_form() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    for (status, reason, field, expected) in [
        (423, None, "category", "LOCKED"),
        (403, None, "category", "MISSING_SCOPES"),
        (429, Some("DAILY"), "policyName", "DAILY"),
        (
            401,
            Some("EXPIRED_AUTHENTICATION"),
            "category",
            "EXPIRED_AUTHENTICATION",
        ),
        (477, None, "status", "error"),
        (400, Some("BAD_REFRESH_TOKEN"), "error", "invalid_grant"),
    ] {
        let refuse = Misbehaviour::Refuse {
            status,
            reason: reason.map(ToOwned::to_owned),
            retry_after_secs: Some(7),
        };
        stage.world().faults().add(Fault::next("/crm/*", 1, refuse));
        let response = client.send("GET", CONTACTS, None).await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["retry-after"], "7");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body[field], json!(expected));
    }
}

#[tokio::test]
async fn a_large_portal_stays_quick() {
    let stage = stage().await;
    let client = Client::install(&stage).await;
    let desk = stage.world().portal(PORTAL);
    let now = stage.world().clock().now();
    let started = Instant::now();
    let contacts = (0..100_000_i64).map(|place| {
        let email = ("email".to_owned(), format!("c{place}@example.com"));
        let at = now - TimeDelta::seconds(100_000 - place);
        (BTreeMap::from([email]), Some(at))
    });
    assert_eq!(desk.load_contacts(contacts).unwrap().len(), 100_000);
    assert!(started.elapsed() < Duration::from_secs(20));

    let started = Instant::now();
    let since = (now - TimeDelta::seconds(100))
        .timestamp_millis()
        .to_string();
    let body = json!({
        "filterGroups": [{"filters": [filter("lastmodifieddate", "GTE", &since)]}],
        "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}], "limit": 200,
    });
    for _ in 0..20 {
        let (_, body) = client
            .post(&format!("{CONTACTS}/search"), body.clone())
            .await;
        assert_eq!(body["total"], json!(100));
        let (_, body) = client
            .get(&format!("{CONTACTS}?limit=100&after=90000"))
            .await;
        assert_eq!(body["results"].as_array().unwrap().len(), 100);
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}
