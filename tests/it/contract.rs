//! What is published at `/openapi.json`. Whether its examples and the program's replies are true to its schemas is
//! looked at in `tests/clients`, which has a validator.

use std::collections::{BTreeSet, HashMap};

use paraplanner::app;
use serde_json::Value;

use crate::client::File;
use crate::isolation::operations;
use crate::world::World;

const EXAMPLES: &str = include_str!("../../src/operations/examples.json");

fn operation(contract: &Value, method: &str, path: &str) -> Value {
    contract["paths"][path][method.to_lowercase()].clone()
}

#[test]
fn every_operation_has_an_id_of_its_own_and_says_what_it_does() {
    let contract = app::contract();
    let mut ids = BTreeSet::new();
    for (method, path) in operations() {
        let operation = operation(&contract, method.as_str(), &path);
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} twice");
        assert!(operation["summary"].is_string(), "{method} {path}");
    }
    assert!(ids.contains("get_rules_by_id"), "{ids:?}");
}

#[test]
fn every_body_and_every_reply_has_an_example() {
    let contract = app::contract();
    for (method, path) in operations() {
        let operation = operation(&contract, method.as_str(), &path);
        let replies = operation["responses"].as_object().unwrap().values();
        for with_content in replies.chain([&operation["requestBody"]]) {
            for (kind, content) in with_content["content"].as_object().into_iter().flatten() {
                // Nobody reads a zip in a document.
                let has = content.get("example").is_some() || kind == "application/zip";
                assert!(has, "{method} {path}: {kind} has no example");
            }
        }
    }
}

#[test]
fn every_example_belongs_to_an_operation() {
    let examples: HashMap<String, Value> = serde_json::from_str(EXAMPLES).unwrap();
    let known: BTreeSet<String> = operations()
        .iter()
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    for name in examples.keys() {
        assert!(known.contains(name), "{name} is no operation");
    }
}

#[test]
fn what_a_reply_always_has_is_required_and_what_a_request_may_leave_out_is_not() {
    let contract = app::contract();
    let required = |schema: &str, field: &str| {
        let fields = contract["components"]["schemas"][schema]["required"].as_array();
        fields.is_some_and(|fields| fields.iter().any(|one| one == field))
    };
    assert!(required("Approval", "outcome"));
    assert!(!required("ProblemBody", "errors"));
    assert!(!required("CreateToken", "expires_at"));
}

#[test]
fn errors_are_problems_and_say_when_to_come_again() {
    let contract = app::contract();
    let replies = &contract["paths"]["/api/rules"]["get"]["responses"];
    assert!(replies["401"]["content"]["application/problem+json"].is_object());
    assert!(replies["429"]["headers"]["Retry-After"].is_object());
}

#[tokio::test]
async fn what_is_served_says_once_what_it_is() {
    let world = World::start().await;
    for path in ["/", "/docs", "/openapi.json", "/metrics", "/health"] {
        let reply = world.get(path).await;
        let kinds = reply.headers.get_all("content-type").iter().count();
        assert_eq!(kinds, 1, "{path}");
    }
}

#[tokio::test]
async fn a_contact_has_no_field_twice_and_keeps_what_its_record_says() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Sara Smith\r\nEMAIL:sara@example.com\r\n\
        NOTE:Met at the regatta.\r\nEND:VCARD\r\n";
    alex.import(&[File::new("sara.vcf", card)]).await;
    let listed = alex.get("/api/contacts").await.ok();
    let contact = &listed["items"][0];
    assert_eq!(contact["notes"], "Met at the regatta.");
    let id = contact["id"].as_str().unwrap();
    let reply = alex.get(&format!("/api/contacts/{id}")).await;
    let text = String::from_utf8(reply.body.clone()).unwrap();
    let page = reply.ok();
    assert_eq!(page["remarks"], "Met at the regatta.");
    assert!(page["notes"].is_array());
    for field in page.as_object().unwrap().keys() {
        assert_eq!(text.matches(&format!("\"{field}\":")).count(), 1, "{field}");
    }
}
