//! Moving time in a demonstration.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::ORIGIN;
use serde_json::json;

use crate::client::Reply;
use crate::world::{World, eventually};

async fn advance(world: &World, by: &str) -> Reply {
    let request = world
        .http
        .post(format!("{}/api/demo/clock", world.url))
        .json(&json!({"advance": by}));
    world.send(request).await
}

#[tokio::test]
async fn time_moves_for_all_instances_and_stays_moved() {
    let mut world = World::with(&[("DEMO_CONTROLS", "true")]).await;
    let other = world.another(&[]).await;
    let alex = world.advisor("alex").await;
    let token = json!({"name": "soon over", "expires_at": Utc::now() + TimeDelta::days(2)});
    let token = alex.post("/api/auth/tokens", &token).await.ok()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let with_token = async || {
        let me = world.http.get(format!("{}/api/auth/me", world.url));
        world.send(me.bearer_auth(&token)).await.status
    };
    assert_eq!(with_token().await, 200);

    let moved = advance(&world, "P3D").await.ok();
    let now: DateTime<Utc> = moved["now"].as_str().unwrap().parse().unwrap();
    let ahead = now - Utc::now();
    assert!(
        (ahead - TimeDelta::days(3)).abs() < TimeDelta::minutes(1),
        "{ahead}"
    );
    assert_eq!(with_token().await, 401, "what ends, has ended");
    let later = advance(&world, "PT36H").await;
    assert_eq!(later.status, 200);
    eventually("the other instance follows", async || {
        (other.clock.ahead() >= Duration::from_secs(4 * 86_400)).then_some(())
    })
    .await;
    let new = world.another(&[]).await;
    assert!(
        new.clock.ahead() >= Duration::from_secs(4 * 86_400),
        "also after a restart"
    );
}

#[tokio::test]
async fn time_is_moved_forward_by_those_who_may() {
    let world = World::with(&[("DEMO_CONTROLS", "true")]).await;
    for nonsense in ["", "3 days", "-P1D", "P1M", "P99999D"] {
        let refused = advance(&world, nonsense).await;
        assert_eq!(refused.status, 422, "{nonsense}");
        assert_eq!(refused.problem()["errors"][0]["field"], "advance");
    }
    let foreign = world
        .http
        .post(format!("{}/api/demo/clock", world.url))
        .header(ORIGIN, "https://evil.example")
        .json(&json!({"advance": "P1D"}));
    assert_eq!(world.send(foreign).await.status, 403);
    assert_eq!(world.app().clock.ahead(), Duration::ZERO);
    let ordinary = World::start().await;
    assert_eq!(advance(&ordinary, "P1D").await.status, 404);
}
