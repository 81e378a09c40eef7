//! What a user has connected: kept unreadable, refreshed once, given up only when it is dead.

use chrono::TimeDelta;
use futures::future::join_all;
use paraplanner::db::{UserId, UserScope};
use paraplanner::identity::connections::{Grant, Provider};
use paraplanner::providers::Kind;
use paraplanner::providers::caller::Credentials as _;
use paraplanner::simulator::google::Decision;
use paraplanner::simulator::hubspot::Decision as Choice;
use paraplanner::simulator::{Fault, Misbehaviour, Simulator};
use paraplanner::state::App;
use reqwest::Method;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use crate::browser::{Browser, error_of};
use crate::world::{World, eventually};

const GOOGLE: &str = "/api/auth/google/start";
const HUBSPOT: &str = "/api/auth/hubspot/start?return_to=/settings";
const PORTAL: u64 = 4242;

/// Signed in with Google.
async fn advisor(world: &World, simulator: &Simulator, name: &str) -> Browser {
    let email = format!("{name}@advisors.example");
    let google = simulator.world().google();
    google.add_account(&email, name);
    google.decide(Decision::Allow { email });
    let mut browser = Browser::new(world);
    let landed = browser.sign_in(GOOGLE).await;
    assert_eq!(error_of(&landed), None);
    quiet(world).await;
    browser
}

/// Waits until what was just connected has been read: it uses tokens as well.
async fn quiet(world: &World) {
    let mut database = PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap();
    eventually("nothing is under way", async || {
        let live: i64 = sqlx::query_scalar("select count(*) from tasks where state in (1, 2)")
            .fetch_one(&mut database)
            .await
            .unwrap();
        (live == 0).then_some(())
    })
    .await;
}

async fn connect_hubspot(
    browser: &mut Browser,
    simulator: &Simulator,
    user: u64,
) -> Option<String> {
    let hubspot = simulator.world().hubspot();
    hubspot.add_user(PORTAL, user, "member@portal.example");
    hubspot.decide(Choice::Allow {
        portal: PORTAL,
        user,
    });
    error_of(&browser.sign_in(HUBSPOT).await)
}

async fn connection(browser: &mut Browser, provider: &str) -> Value {
    let me = browser.get("/api/auth/me").await.ok();
    let all = me["connections"].as_array().unwrap().clone();
    all.into_iter()
        .find(|connection| connection["provider"] == provider)
        .unwrap_or(Value::Null)
}

async fn scope(browser: &mut Browser) -> UserScope {
    let me = browser.get("/api/auth/me").await.ok();
    UserScope::checked(UserId(me["id"].as_str().unwrap().parse().unwrap()))
}

fn refuse(status: u16) -> Misbehaviour {
    Misbehaviour::Refuse {
        status,
        reason: None,
        retry_after_secs: None,
    }
}

fn refreshes(simulator: &Simulator) -> usize {
    let calls = simulator.world().journal().entries();
    calls
        .iter()
        .filter(|call| call.path == "/token" && call.body.contains("grant_type=refresh_token"))
        .count()
}

#[tokio::test]
async fn several_advisors_share_a_portal() {
    let (world, simulator) = World::with_providers().await;
    simulator
        .world()
        .hubspot()
        .add_portal(PORTAL, "firm.example");
    let mut ann = advisor(&world, &simulator, "ann").await;
    let mut ben = advisor(&world, &simulator, "ben").await;
    assert_eq!(connect_hubspot(&mut ann, &simulator, 9001).await, None);
    assert_eq!(connect_hubspot(&mut ben, &simulator, 9002).await, None);
    for browser in [&mut ann, &mut ben] {
        let hubspot = connection(browser, "hubspot").await;
        assert_eq!(hubspot["status"], "connected", "{hubspot}");
        assert_eq!(hubspot["account"], "firm.example");
    }
    // And a firm's one login to it.
    let mut eve = advisor(&world, &simulator, "eve").await;
    assert_eq!(connect_hubspot(&mut eve, &simulator, 9001).await, None);
    for browser in [&mut ann, &mut ben, &mut eve] {
        let grant = Grant::new(world.app(), scope(browser).await, Provider::HubSpot);
        grant.bearer(None).await.unwrap();
    }
}

#[tokio::test]
async fn hubspot_is_connected_by_whoever_began_it_and_nobody_else() {
    let (world, simulator) = World::with_providers().await;
    let hubspot = simulator.world().hubspot();
    hubspot.add_portal(PORTAL, "firm.example");
    hubspot.add_user(PORTAL, 9001, "member@portal.example");
    let allow = || {
        hubspot.decide(Choice::Allow {
            portal: PORTAL,
            user: 9001,
        });
    };
    assert_eq!(Browser::new(&world).get(HUBSPOT).await.status, 401);
    let mut ann = advisor(&world, &simulator, "ann").await;
    let mut ben = advisor(&world, &simulator, "ben").await;
    // Ben is lured into finishing what Ann began: her HubSpot would become his.
    allow();
    let asked = ann.start(HUBSPOT).await;
    let callback = ann.consent(asked).await;
    let landed = ben.arrive(&callback).await;
    assert_eq!(error_of(&landed).as_deref(), Some("state_invalid"));
    // The browser changes hands in between: its cookie is right, its session another's.
    allow();
    let asked = ann.start(HUBSPOT).await;
    let callback = ann.consent(asked).await;
    let session = ben.cookie("session").unwrap().to_owned();
    ann.set_cookie("session", &session);
    let landed = ann.arrive(&callback).await;
    assert_eq!(error_of(&landed).as_deref(), Some("state_invalid"));
    assert_eq!(simulator.world().journal().count("POST", "/oauth/"), 0);
    assert_eq!(connection(&mut ben, "hubspot").await, Value::Null);
    // Too few rights, a refusal, a provider that is down.
    for (decision, expected) in [
        (
            Choice::AllowOnly {
                portal: PORTAL,
                user: 9001,
                scopes: vec!["oauth".to_owned()],
            },
            "scope_missing",
        ),
        (
            Choice::Refuse {
                error: "access_denied".to_owned(),
            },
            "access_denied",
        ),
    ] {
        hubspot.decide(decision);
        let landed = ben.sign_in(HUBSPOT).await;
        assert_eq!(error_of(&landed).as_deref(), Some(expected));
        assert_eq!(landed.path(), "/settings");
    }
    allow();
    simulator
        .world()
        .faults()
        .add(Fault::next("/oauth/*", 1, refuse(503)));
    // The authorize page is below /oauth too: it is asked for first.
    let reply = ben.get(HUBSPOT).await;
    assert_eq!(reply.status, 302);
}

#[tokio::test]
async fn two_processes_and_fifty_requests_ask_for_one_new_token() {
    let (mut world, simulator) = World::with_providers().await;
    let other = world.another(&[]).await;
    let mut ann = advisor(&world, &simulator, "ann").await;
    let scope = scope(&mut ann).await;
    let both = [world.app().clone(), other];
    let all = async |refused: Option<_>| {
        let calls = (0..50).map(|place| {
            let app: &App = &both[place % 2];
            let refused = refused.clone();
            async move {
                let grant = Grant::new(app, scope, Provider::Google);
                grant.bearer(refused.as_ref()).await.unwrap()
            }
        });
        let tokens = join_all(calls).await;
        assert!(tokens.iter().all(|token| token.is(&tokens[0])));
        tokens[0].clone()
    };
    let first = all(None).await;
    assert_eq!(
        refreshes(&simulator),
        0,
        "the first one is good for an hour"
    );
    for app in &both {
        app.clock.advance(TimeDelta::minutes(61));
    }
    let second = all(None).await;
    assert!(!second.is(&first));
    assert_eq!(refreshes(&simulator), 1);
    // Refused before its time, as after a change of password elsewhere.
    let third = all(Some(second.clone())).await;
    assert!(!third.is(&second));
    assert_eq!(refreshes(&simulator), 2);
}

/// As short a life as would be over before the margin.
#[tokio::test]
async fn a_token_of_a_short_life_is_fetched_once_for_all_who_wait() {
    let (world, simulator) = World::with_providers().await;
    let mut ann = advisor(&world, &simulator, "ann").await;
    let scope = scope(&mut ann).await;
    world.app().clock.advance(TimeDelta::minutes(61));
    simulator.world().faults().add(Fault {
        after: 0,
        ..Fault::next(
            "/token",
            1,
            Misbehaviour::Answer {
                status: 200,
                body: r#"{"access_token":"ya29.short","expires_in":30,"token_type":"Bearer"}"#
                    .to_owned(),
                content_type: Some("application/json".to_owned()),
            },
        )
    });
    let calls = (0..20).map(|_| async {
        let grant = Grant::new(world.app(), scope, Provider::Google);
        grant.bearer(None).await.unwrap()
    });
    join_all(calls).await;
    let calls = simulator.world().journal().entries();
    let asked = calls
        .iter()
        .filter(|call| call.path == "/token" && call.body.contains("grant_type=refresh_token"));
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn only_a_dead_grant_needs_its_user() {
    let (world, simulator) = World::with_providers().await;
    let mut ann = advisor(&world, &simulator, "ann").await;
    let app = world.app();
    let grant = Grant::new(app, scope(&mut ann).await, Provider::Google);
    let faults = simulator.world().faults();
    for trouble in [
        refuse(503),
        refuse(429),
        Misbehaviour::CutBefore,
        Misbehaviour::CutAfter,
        Misbehaviour::Answer {
            status: 200,
            body: "<html>".to_owned(),
            content_type: None,
        },
        Misbehaviour::Answer {
            status: 401,
            body: r#"{"error":"invalid_client"}"#.to_owned(),
            content_type: None,
        },
    ] {
        app.clock.advance(TimeDelta::minutes(61));
        let what = format!("{trouble:?}");
        faults.add(Fault::next("/token", 1, trouble));
        assert!(grant.bearer(None).await.is_err(), "{what}");
        assert_eq!(
            connection(&mut ann, "google").await["status"],
            "connected",
            "{what}"
        );
        // The reply names no refresh token: the stored one lives on.
        grant.bearer(None).await.unwrap();
    }
    simulator.world().google().revoke("ann@advisors.example");
    app.clock.advance(TimeDelta::minutes(61));
    let Err(error) = grant.bearer(None).await else {
        panic!("a dead grant gave a token")
    };
    assert_eq!(error.kind, Kind::Unauthorized);
    let google = connection(&mut ann, "google").await;
    assert_eq!(
        (&google["status"], &google["problem"]),
        (&"needs_reauth".into(), &"revoked".into())
    );
    assert!(
        google["features"]
            .as_array()
            .unwrap()
            .iter()
            .all(|feature| feature["why"] == "needs_reauth"),
        "{google}"
    );
    let asked = refreshes(&simulator);
    assert!(grant.bearer(None).await.is_err());
    assert_eq!(
        refreshes(&simulator),
        asked,
        "nobody asks with a dead token again"
    );
    let reply = ann.send(Method::POST, "/api/ingest/emails").await;
    assert_eq!(reply.status, 409, "{}", reply.text());
}

#[tokio::test]
async fn a_dump_of_the_database_opens_nothing() {
    let (world, simulator) = World::with_providers().await;
    simulator
        .world()
        .hubspot()
        .add_portal(PORTAL, "firm.example");
    let mut ann = advisor(&world, &simulator, "ann").await;
    assert_eq!(connect_hubspot(&mut ann, &simulator, 9001).await, None);
    ann.start(GOOGLE).await;
    let mut secrets = vec![
        crate::world::SECRET_KEY.to_owned(),
        ann.cookie("session").unwrap().to_owned(),
        ann.cookie("sign-in").unwrap().to_owned(),
    ];
    let state = ann.start(GOOGLE).await;
    let state = state
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    secrets.push(state);
    let scope = scope(&mut ann).await;
    for provider in [Provider::Google, Provider::HubSpot] {
        Grant::new(world.app(), scope, provider)
            .bearer(None)
            .await
            .unwrap();
    }
    // What the simulated providers' tokens begin with.
    secrets.extend(["ya29.", "1//0", "na1-"].map(str::to_owned));
    let mut connection = PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables
        where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(tables.len() > 15, "{tables:?}");
    for table in &tables {
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select row_to_json(t)::text from \"{table}\" as t"
        )))
        .fetch_all(&mut connection)
        .await
        .unwrap();
        for row in rows {
            for secret in &secrets {
                assert!(!row.contains(secret.as_str()), "{table} holds {secret}");
                assert!(
                    !row.contains(&hex::encode(secret)),
                    "{table} holds {secret} as bytes"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_sealed_token_that_was_moved_or_changed_is_refused() {
    let (world, simulator) = World::with_providers().await;
    let mut ann = advisor(&world, &simulator, "ann").await;
    let mut ben = advisor(&world, &simulator, "ben").await;
    let (anns, bens) = (scope(&mut ann).await, scope(&mut ben).await);
    let mut connection_ = PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap();
    // Ben's row gets Ann's tokens.
    sqlx::query(
        "update connections set access_token = other.access_token, refresh_token = other.refresh_token
        from connections as other where connections.user_id = $1 and other.user_id = $2",
    )
    .bind(bens.user_id().0)
    .bind(anns.user_id().0)
    .execute(&mut connection_)
    .await
    .unwrap();
    // One bit of Ann's changes.
    sqlx::query("update connections set access_token = set_bit(access_token, 300, 1 - get_bit(access_token, 300)) where user_id = $1")
        .bind(anns.user_id().0)
        .execute(&mut connection_)
        .await
        .unwrap();
    for (browser, scope) in [(&mut ann, anns), (&mut ben, bens)] {
        let grant = Grant::new(world.app(), scope, Provider::Google);
        let Err(error) = grant.bearer(None).await else {
            panic!("it opened")
        };
        assert_eq!(error.kind, Kind::Unauthorized);
        let google = connection(browser, "google").await;
        assert_eq!(google["status"], "needs_reauth");
        assert_eq!(google["problem"], "token_unreadable");
    }
    assert_eq!(refreshes(&simulator), 0);
}

#[tokio::test]
async fn what_an_old_key_sealed_is_sealed_anew() {
    let (mut world, simulator) = World::with_providers().await;
    let mut ann = advisor(&world, &simulator, "ann").await;
    let scope = scope(&mut ann).await;
    let key = "2026:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let before = Grant::new(world.app(), scope, Provider::Google)
        .bearer(None)
        .await
        .unwrap();
    let newer = world.another(&[("TOKEN_ENCRYPTION_KEYS", key)]).await;
    assert!(
        Grant::new(&newer, scope, Provider::Google)
            .bearer(None)
            .await
            .unwrap()
            .is(&before)
    );
    let mut connection = PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap();
    // The older instance must not be the one whose turn it is.
    world.app().stopping.cancel();
    newer.clock.advance(TimeDelta::minutes(11));
    newer.tasks.clock_moved();
    eventually("the tokens are sealed under the new key", async || {
        let sealed: Vec<u8> = sqlx::query_scalar("select refresh_token from connections")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        sealed[2..].starts_with(b"2026").then_some(())
    })
    .await;
    assert!(
        Grant::new(&newer, scope, Provider::Google)
            .bearer(None)
            .await
            .unwrap()
            .is(&before)
    );
}

#[tokio::test]
async fn disconnecting_ends_the_grant_here_at_once_and_there_when_it_answers() {
    let (world, simulator) = World::with_providers().await;
    simulator
        .world()
        .hubspot()
        .add_portal(PORTAL, "firm.example");
    let mut ann = advisor(&world, &simulator, "ann").await;
    assert_eq!(connect_hubspot(&mut ann, &simulator, 9001).await, None);
    let journal = simulator.world().journal();
    for (path, revoked) in [
        ("/api/auth/hubspot", "/oauth/2026-03/token/revoke"),
        ("/api/auth/google", "/revoke"),
    ] {
        assert_eq!(ann.send(Method::DELETE, path).await.status, 204);
        assert_eq!(journal.count("POST", revoked), 1, "{revoked}");
        assert_eq!(
            ann.send(Method::DELETE, path).await.status,
            204,
            "again is fine"
        );
        assert_eq!(journal.count("POST", revoked), 1, "{revoked}");
    }
    let me = ann.get("/api/auth/me").await.ok();
    assert_eq!(
        me["connections"],
        serde_json::json!([]),
        "the session goes on"
    );

    // Google is down: forgotten here all the same, and revoked when it is back.
    let mut ben = advisor(&world, &simulator, "ben").await;
    let faults = simulator.world().faults();
    faults.add(Fault::next("/revoke", 2, refuse(503)));
    assert_eq!(
        ben.send(Method::DELETE, "/api/auth/google").await.status,
        204
    );
    assert_eq!(connection(&mut ben, "google").await, Value::Null);
    let later = async |times: usize| {
        world.app().clock.advance(TimeDelta::minutes(6));
        world.app().tasks.clock_moved();
        eventually("it is tried again", async || {
            (journal.count("POST", "/revoke") >= times).then_some(())
        })
        .await;
    };
    later(3).await;
    later(4).await;
    let mut connection = PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap();
    eventually("nothing is owed", async || {
        let owed: i64 = sqlx::query_scalar("select count(*) from revocations")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        (owed == 0).then_some(())
    })
    .await;
}
