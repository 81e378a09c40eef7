//! Personal API tokens: made in person, shown once, and no mightier than their scopes.

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, COOKIE, ORIGIN};
use serde_json::{Value, json};

use crate::client::{Advisor, Reply};
use crate::world::World;

async fn with_token(world: &World, token: &str, method: Method, path: &str, body: &Value) -> Reply {
    let mut request = world
        .http
        .request(method.clone(), format!("{}{path}", world.url))
        .header(AUTHORIZATION, format!("Bearer {token}"));
    if method != Method::GET {
        request = request.json(body);
    }
    world.send(request).await
}

async fn make(alex: &Advisor, body: &Value) -> Value {
    let reply = alex.post("/api/auth/tokens", body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

#[tokio::test]
async fn a_token_reads_and_writes_as_its_scopes_say() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let reads = make(&alex, &json!({"name": "dashboard"})).await;
    assert_eq!(reads["scopes"], json!(["read"]), "the default");
    let writes = make(&alex, &json!({"name": "loader", "scopes": ["write"]})).await;
    let call = async |token: &Value, method, path: &str, body: Value| {
        with_token(
            &world,
            token["token"].as_str().unwrap(),
            method,
            path,
            &body,
        )
        .await
        .status
    };
    let me = with_token(
        &world,
        reads["token"].as_str().unwrap(),
        Method::GET,
        "/api/auth/me",
        &Value::Null,
    )
    .await
    .ok();
    assert_eq!(me["email"], alex.get("/api/auth/me").await.ok()["email"]);
    let search = json!({"query": "baseball"});
    assert_eq!(
        call(&reads, Method::POST, "/api/embeddings/search", search).await,
        200
    );
    let question = json!({"message": "Who plays baseball?"});
    let chat = "/api/chat/message";
    assert_eq!(
        call(&reads, Method::POST, chat, question.clone()).await,
        403
    );
    // Without an Origin: a token isn't sent by a browser by itself, so there is nothing to forge.
    assert_eq!(call(&writes, Method::POST, chat, question).await, 200);
    assert_eq!(
        call(&writes, Method::GET, "/api/tasks", Value::Null).await,
        403
    );
}

#[tokio::test]
async fn a_token_cannot_make_see_or_end_tokens() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let all = json!({"name": "all", "scopes": ["read", "write", "approve"]});
    let made = make(&alex, &all).await;
    let token = made["token"].as_str().unwrap();
    let path = format!("/api/auth/tokens/{}", made["id"].as_str().unwrap());
    for (method, path) in [
        (Method::GET, "/api/auth/tokens"),
        (Method::POST, "/api/auth/tokens"),
        (Method::DELETE, &path),
    ] {
        let reply = with_token(&world, token, method, path, &all).await;
        assert_eq!(reply.status, 403, "{}", reply.text());
    }
    // Not by adding a forged session either, nor with the session of somebody else beside it.
    let request = world
        .http
        .post(format!("{}/api/auth/tokens", world.url))
        .header(AUTHORIZATION, format!("bearer {token}"))
        .header(COOKIE, "session=forged")
        .header(ORIGIN, world.origin())
        .json(&all);
    assert_eq!(world.send(request).await.status, 403);
    let request = alex
        .request(Method::POST, "/api/auth/tokens")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .json(&all);
    assert_eq!(world.send(request).await.status, 403);
}

#[tokio::test]
async fn a_token_is_shown_once_and_ends_at_once() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let sam = world.advisor("sam").await;
    let soon = Utc::now() + TimeDelta::hours(1);
    let body =
        json!({"name": "  nightly  ", "scopes": ["write", "read", "read"], "expires_at": soon});
    let made = make(&alex, &body).await;
    let (id, token) = (
        made["id"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    assert_eq!(made["name"], "nightly");
    assert_eq!(made["scopes"], json!(["read", "write"]));
    let status = async || {
        with_token(&world, token, Method::GET, "/api/tasks", &Value::Null)
            .await
            .status
    };
    assert_eq!(status().await, 200);
    let listed = alex.get("/api/auth/tokens").await;
    assert!(!listed.text().contains(token), "shown once");
    let listed = listed.ok();
    assert_eq!(listed["items"][0]["id"], id);
    assert!(listed["items"][0]["last_used_at"].is_string(), "{listed}");
    assert_eq!(
        sam.get("/api/auth/tokens").await.ok()["items"],
        json!([]),
        "another's list"
    );
    let path = format!("/api/auth/tokens/{id}");
    assert_eq!(sam.send(Method::DELETE, &path, None).await.status, 404);
    assert_eq!(status().await, 200);
    assert_eq!(alex.send(Method::DELETE, &path, None).await.status, 204);
    assert_eq!(alex.send(Method::DELETE, &path, None).await.status, 404);
    assert_eq!(status().await, 401);
    // And by itself, when its time has come.
    let brief = make(&alex, &json!({"name": "brief", "expires_at": soon})).await;
    let brief = brief["token"].as_str().unwrap();
    let status = async || {
        with_token(&world, brief, Method::GET, "/api/tasks", &Value::Null)
            .await
            .status
    };
    assert_eq!(status().await, 200);
    world.app().clock.advance(TimeDelta::hours(2));
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn what_makes_no_token_is_refused_by_field() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": "  "}), "name"),
        (json!({"name": "x".repeat(101)}), "name"),
        (json!({"name": "a", "scopes": []}), "scopes"),
        (json!({"name": "a", "scopes": ["admin"]}), "scopes"),
        (
            json!({"name": "a", "expires_at": "2001-01-01T00:00:00Z"}),
            "expires_at",
        ),
        (json!({"name": "a", "expires_at": "tomorrow"}), "expires_at"),
    ] {
        let reply = alex.post("/api/auth/tokens", &body).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
        let problem = reply.problem();
        let named = problem["errors"][0]["field"].as_str().unwrap();
        // A missing field is told by the message, since there is no place to point at.
        assert!(
            named.starts_with(field) || problem.to_string().contains(field),
            "{problem}"
        );
    }
    for token in ["ppt_forged", "ppt_", ""] {
        let reply = with_token(&world, token, Method::GET, "/api/tasks", &Value::Null).await;
        assert_eq!(reply.status, 401);
    }
}
