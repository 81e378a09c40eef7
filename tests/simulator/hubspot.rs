//! The simulated HubSpot, as a client meets it.

mod crm;
mod oauth;
mod webhooks;

use paraplanner::simulator::hubspot::{CLIENT_ID, CLIENT_SECRET, Decision};
use reqwest::header::LOCATION;
use serde_json::{Value, json};
use url::Url;

use crate::world::Stage;

pub const PORTAL: u64 = 4242;
pub const USER: u64 = 9001;
const CALLBACK: &str = "https://advisor.example.com/api/auth/hubspot/callback";
const SCOPES: &str = "oauth crm.objects.contacts.read crm.objects.contacts.write";

/// A simulator with one portal and one user.
async fn stage() -> Stage {
    let stage = Stage::start().await;
    let hubspot = stage.world().hubspot();
    hubspot.add_portal(PORTAL, "advisor.example.com");
    hubspot.add_user(PORTAL, USER, "advisor@example.com");
    stage
}

/// Where an authorization with these parameters, laid over the usual ones, leads.
async fn authorize(stage: &Stage, more: &[(&str, &str)]) -> reqwest::Response {
    let mut url = Url::parse(&stage.at("/oauth/authorize")).unwrap();
    let usual = [
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("scope", SCOPES),
        ("state", "s&=1"),
    ];
    for (name, value) in usual {
        if !more.iter().any(|(other, _)| *other == name) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    url.query_pairs_mut().extend_pairs(more);
    stage.http.get(url).send().await.unwrap()
}

/// A query parameter of the address that a reply leads back to.
fn returned(response: &reqwest::Response, name: &str) -> Option<String> {
    let url = Url::parse(response.headers()[LOCATION].to_str().unwrap()).unwrap();
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

async fn form(stage: &Stage, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let mut fields = fields.to_vec();
    for (name, value) in [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)] {
        if !fields.iter().any(|(other, _)| *other == name) {
            fields.push((name, value));
        }
    }
    let request = stage.http.post(stage.at(path)).form(&fields);
    let response = request.send().await.unwrap();
    assert!(response.headers().contains_key("x-hubspot-correlation-id"));
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

/// The token reply to an authorization that the user allows.
async fn install(stage: &Stage, optional: &str) -> Value {
    let (portal, user) = (PORTAL, USER);
    let hubspot = stage.world().hubspot();
    hubspot.decide(Decision::Allow { portal, user });
    let back = authorize(stage, &[("optional_scope", optional)]).await;
    let code = returned(&back, "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", CALLBACK),
        ("code", &code),
    ];
    let (status, body) = form(stage, "/oauth/2026-03/token", &fields).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// Calls of the CRM with a token.
struct Client<'a> {
    stage: &'a Stage,
    token: String,
}

impl<'a> Client<'a> {
    async fn install(stage: &'a Stage) -> Self {
        let tokens = install(stage, "crm.objects.deals.read crm.objects.deals.write").await;
        Self {
            stage,
            token: tokens["access_token"].as_str().unwrap().to_owned(),
        }
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> reqwest::Response {
        let method = method.parse().unwrap();
        let request = self.stage.http.request(method, self.stage.at(path));
        let request = request.bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.send("GET", path, None).await;
        (
            response.status().as_u16(),
            response.json().await.unwrap_or(Value::Null),
        )
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let response = self.send(method, path, Some(&body)).await;
        (
            response.status().as_u16(),
            response.json().await.unwrap_or(Value::Null),
        )
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("POST", path, body).await
    }
}
