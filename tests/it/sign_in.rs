//! Signing in with Google: who gets in, with what, and that nothing forged, late or broken does.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use paraplanner::simulator::Simulator;
use paraplanner::simulator::google::{Decision, Google, Twist};
use paraplanner::simulator::{Fault, Misbehaviour};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::browser::{Browser, error_of};
use crate::world::World;

const START: &str = "/api/auth/google/start";
const ANN: &str = "ann@advisors.example";
const CODES: [&str; 8] = [
    "access_denied",
    "state_invalid",
    "state_expired",
    "exchange_failed",
    "id_token_invalid",
    "scope_missing",
    "account_in_use",
    "provider_unavailable",
];

async fn stage() -> (World, Simulator) {
    let (world, simulator) = World::with_providers().await;
    google(&simulator).add_account(ANN, "Ann Advisor");
    (world, simulator)
}

fn google(simulator: &Simulator) -> &Google {
    simulator.world().google()
}

fn allow(simulator: &Simulator, email: &str) {
    google(simulator).decide(Decision::Allow {
        email: email.to_owned(),
    });
}

fn query(url: &Url, name: &str) -> Option<String> {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

async fn me(browser: &mut Browser) -> Value {
    browser.get("/api/auth/me").await.ok()
}

fn connection<'a>(me: &'a Value, provider: &str) -> &'a Value {
    me["connections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|connection| connection["provider"] == provider)
        .unwrap_or_else(|| panic!("no {provider} in {me}"))
}

#[tokio::test]
async fn an_advisor_signs_in_and_is_connected() {
    let (world, simulator) = stage().await;
    let mut ann = Browser::new(&world);
    let asked = ann
        .start(&format!("{START}?return_to=/clients%3Ftab=2"))
        .await;
    assert_eq!(query(&asked, "code_challenge_method").unwrap(), "S256");
    assert_eq!(query(&asked, "access_type").unwrap(), "offline");
    assert_eq!(query(&asked, "prompt").unwrap(), "consent");
    assert!(query(&asked, "nonce").is_some() && query(&asked, "state").unwrap().len() >= 43);
    let scopes = query(&asked, "scope").unwrap();
    for scope in [
        "openid",
        "email",
        "profile",
        "gmail.modify",
        "calendar.events",
        "calendar.freebusy",
    ] {
        assert!(
            scopes.split(' ').any(|asked| asked.ends_with(scope)),
            "{scopes}"
        );
    }
    allow(&simulator, ANN);
    let callback = ann.consent(asked).await;
    let landed = ann.arrive(&callback).await;
    assert_eq!(
        landed.as_str(),
        format!("{}/clients?tab=2", world.origin()),
        "where they wanted to go"
    );
    let me = me(&mut ann).await;
    assert_eq!(
        (&me["email"], &me["name"]),
        (&json!(ANN), &json!("Ann Advisor"))
    );
    let google = connection(&me, "google");
    assert_eq!(google["status"], "connected");
    assert_eq!(google["account"], ANN);
    assert_eq!(google["scopes"].as_array().unwrap().len(), 6);
    // A callback that comes again, with the browser's reload button, opens nothing more.
    let mut again = ann.twin();
    assert_eq!(
        error_of(&again.arrive(&callback).await).as_deref(),
        Some("state_invalid")
    );
}

#[tokio::test]
async fn the_account_is_the_subject_and_every_sign_in_a_new_session() {
    let (world, simulator) = stage().await;
    let mut ann = Browser::new(&world);
    allow(&simulator, ANN);
    ann.sign_in(START).await;
    let first = me(&mut ann).await;
    let mut old = ann.twin();
    // The stored grant is whole: consent isn't forced again, and the account is proposed.
    let asked = ann.start(START).await;
    assert_eq!(query(&asked, "prompt"), None);
    assert_eq!(query(&asked, "login_hint").as_deref(), Some(ANN));
    google(&simulator).rename_account(ANN, "ann@married.example");
    google(&simulator).add_account(ANN, "Somebody Else");
    allow(&simulator, "ann@married.example");
    let callback = ann.consent(asked).await;
    ann.arrive(&callback).await;
    let second = me(&mut ann).await;
    assert_eq!(first["id"], second["id"]);
    assert_eq!(second["email"], "ann@married.example");
    assert_eq!(
        old.get("/api/auth/me").await.status,
        401,
        "the old session is dead"
    );
    // Whoever has the address now is somebody else.
    let mut other = Browser::new(&world);
    allow(&simulator, ANN);
    other.sign_in(START).await;
    assert_ne!(me(&mut other).await["id"], first["id"]);
}

#[tokio::test]
async fn what_was_unticked_is_missing_and_said() {
    let (world, simulator) = stage().await;
    let mut ann = Browser::new(&world);
    google(&simulator).decide(Decision::AllowOnly {
        email: ANN.to_owned(),
        scopes: [
            "openid",
            "email",
            "https://www.googleapis.com/auth/gmail.modify",
        ]
        .map(str::to_owned)
        .to_vec(),
    });
    let landed = ann.sign_in(START).await;
    assert_eq!(error_of(&landed), None);
    let body = me(&mut ann).await;
    let missing: BTreeSet<&str> = connection(&body, "google")["features"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|feature| feature["on"] == false)
        .map(|feature| feature["name"].as_str().unwrap())
        .collect();
    assert_eq!(missing, BTreeSet::from(["calendar", "free_busy"]));
    // The next time they are asked again.
    let asked = ann.start(START).await;
    assert_eq!(query(&asked, "prompt").as_deref(), Some("consent"));
}

/// Each with the code that the frontend is told.
#[tokio::test]
async fn thirty_hostile_callbacks_open_nothing() {
    let (world, simulator) = stage().await;
    let mut outcomes: Vec<(String, String)> = Vec::new();
    let mut tried = 0;
    let mut check = async |what: &str, browser: &mut Browser, callback: &str, expected: &str| {
        let landed = browser.arrive(callback).await;
        assert_eq!(
            landed.origin().ascii_serialization(),
            world.origin(),
            "{what}: {landed}"
        );
        let code = error_of(&landed).unwrap_or_else(|| panic!("{what} got in: {landed}"));
        assert!(CODES.contains(&code.as_str()), "{what}: {landed}");
        if code != expected {
            outcomes.push((format!("{what}: {code}"), expected.to_owned()));
        }
        assert!(!browser.has_session(), "{what}");
        assert_eq!(browser.get("/api/auth/me").await.status, 401, "{what}");
        tried += 1;
    };
    let exchanges = || simulator.world().journal().count("POST", "/token");

    // What is wrong with state or browser never reaches Google's token endpoint.
    for (what, tail) in [
        ("nothing at all", ""),
        ("no state", "?code=4%2F0x"),
        ("an empty state", "?code=4%2F0x&state="),
        (
            "an unknown state",
            "?code=4%2F0x&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
        (
            "a state of bytes",
            "?code=x&state=%00%ff%0d%0aLocation:%20https://evil.example",
        ),
        (
            "an error without state",
            "?error=access_denied&error_description=%3Cscript%3E",
        ),
        (
            "another's words",
            "?error=%3Cscript%3Ealert(1)%3C/script%3E&state=x",
        ),
    ] {
        let callback = format!("/api/auth/google/callback{tail}");
        check(what, &mut Browser::new(&world), &callback, "state_invalid").await;
    }
    let fresh = async || {
        let mut browser = Browser::new(&world);
        allow(&simulator, ANN);
        let asked = browser.start(START).await;
        let callback = browser.consent(asked).await;
        (browser, callback)
    };
    let (browser, callback) = fresh().await;
    let mut stranger = Browser::new(&world);
    check("another browser", &mut stranger, &callback, "state_invalid").await;
    let mut owner = browser.twin();
    check("after the stranger", &mut owner, &callback, "state_invalid").await;
    let (mut browser, callback) = fresh().await;
    browser.set_cookie("sign-in", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    check("a forged cookie", &mut browser, &callback, "state_invalid").await;
    let (mut browser, callback) = fresh().await;
    let elsewhere = callback.replace("/google/", "/hubspot/");
    check(
        "at the other provider",
        &mut browser,
        &elsewhere,
        "state_invalid",
    )
    .await;
    let (mut browser, callback) = fresh().await;
    let twice = format!("{callback}&state=another");
    check("two states", &mut browser, &twice, "state_invalid").await;
    let twice = format!("{callback}&code=another");
    check("two codes", &mut browser, &twice, "state_invalid").await;
    let (mut browser, callback) = fresh().await;
    let mixed = format!("{callback}&iss=https%3A%2F%2Fevil.example");
    check(
        "another issuer's answer",
        &mut browser,
        &mixed,
        "state_invalid",
    )
    .await;
    let (mut browser, callback) = fresh().await;
    world.app().clock.advance(TimeDelta::minutes(11));
    check("too late", &mut browser, &callback, "state_expired").await;
    assert_eq!(exchanges(), 0, "nobody was asked for tokens so far");

    // What the user or Google says.
    for (error, expected) in [
        ("access_denied", "access_denied"),
        ("admin_policy_enforced", "access_denied"),
        ("server_error", "provider_unavailable"),
        ("https://evil.example/?x=", "exchange_failed"),
    ] {
        let mut browser = Browser::new(&world);
        google(&simulator).decide(Decision::Refuse {
            error: error.to_owned(),
        });
        let asked = browser.start(START).await;
        let callback = browser.consent(asked).await;
        check(error, &mut browser, &callback, expected).await;
    }
    assert_eq!(exchanges(), 0);
    let (mut browser, callback) = fresh().await;
    let state = query(
        &Url::parse(&world.url).unwrap().join(&callback).unwrap(),
        "state",
    )
    .unwrap();
    let bare = format!("/api/auth/google/callback?state={state}");
    check(
        "neither code nor error",
        &mut browser,
        &bare,
        "exchange_failed",
    )
    .await;

    // Codes that aren't this sign-in's.
    let (mut browser, callback) = fresh().await;
    let code = query(
        &Url::parse(&world.url).unwrap().join(&callback).unwrap(),
        "code",
    )
    .unwrap();
    let invented = callback.replace(&code.replace('/', "%2F"), "4%2F0invented");
    assert_ne!(invented, callback);
    check(
        "an invented code",
        &mut browser,
        &invented,
        "exchange_failed",
    )
    .await;
    let (_, others) = fresh().await;
    let others = query(
        &Url::parse(&world.url).unwrap().join(&others).unwrap(),
        "code",
    )
    .unwrap();
    let (mut browser, callback) = fresh().await;
    let own = query(
        &Url::parse(&world.url).unwrap().join(&callback).unwrap(),
        "code",
    )
    .unwrap();
    let injected = callback.replace(&own.replace('/', "%2F"), &others.replace('/', "%2F"));
    check(
        "an injected code",
        &mut browser,
        &injected,
        "exchange_failed",
    )
    .await;

    // Tokens that prove nothing.
    for twist in [
        Twist::Missing,
        Twist::WrongNonce,
        Twist::WrongAudience,
        Twist::WrongAuthorizedParty,
        Twist::WrongIssuer,
        Twist::Expired,
        Twist::FromTheFuture,
        Twist::Unverified,
        Twist::NoSignature,
        Twist::ForeignKey,
        Twist::UnknownKey,
        Twist::Tampered,
        Twist::SymmetricKey,
    ] {
        let (mut browser, callback) = fresh().await;
        google(&simulator).twist(twist);
        let what = format!("{twist:?}");
        check(&what, &mut browser, &callback, "id_token_invalid").await;
    }
    for kept in [vec!["openid"], vec!["email"], vec![]] {
        let mut browser = Browser::new(&world);
        google(&simulator).decide(Decision::AllowOnly {
            email: ANN.to_owned(),
            scopes: kept.iter().map(|scope| (*scope).to_owned()).collect(),
        });
        let asked = browser.start(START).await;
        let callback = browser.consent(asked).await;
        check(
            "without an identity",
            &mut browser,
            &callback,
            "scope_missing",
        )
        .await;
    }

    // Google is broken.
    let answer = |status, body: &str, kind: &str| Misbehaviour::Answer {
        status,
        body: body.to_owned(),
        content_type: Some(kind.to_owned()),
    };
    let refuse = |status| Misbehaviour::Refuse {
        status,
        reason: None,
        retry_after_secs: None,
    };
    for (what, fault, expected) in [
        ("down", refuse(503), "provider_unavailable"),
        ("too many", refuse(429), "provider_unavailable"),
        ("cut", Misbehaviour::CutAfter, "provider_unavailable"),
        (
            "a page",
            answer(200, "<html>", "text/html"),
            "exchange_failed",
        ),
        (
            "an error page",
            answer(502, "<html>", "text/html"),
            "provider_unavailable",
        ),
        (
            "no token",
            answer(200, "{}", "application/json"),
            "exchange_failed",
        ),
        (
            "words of theirs",
            answer(
                400,
                r#"{"error":"invalid_client","error_description":"<b>SECRET</b>"}"#,
                "application/json",
            ),
            "exchange_failed",
        ),
    ] {
        let (mut browser, callback) = fresh().await;
        simulator
            .world()
            .faults()
            .add(Fault::next("/token", 1, fault));
        check(what, &mut browser, &callback, expected).await;
    }
    assert_eq!(outcomes, [], "code, and what it should have been");
    assert!(tried >= 40, "{tried}");

    // After all of that, who is right gets in.
    let (mut browser, callback) = fresh().await;
    assert_eq!(error_of(&browser.arrive(&callback).await), None);
    assert!(browser.has_session());
}

#[tokio::test]
async fn keys_rotate_and_both_spellings_of_the_issuer_are_googles() {
    let (world, simulator) = stage().await;
    for dead in [false, true, true] {
        let mut ann = Browser::new(&world);
        allow(&simulator, ANN);
        google(&simulator).twist(Twist::ShortIssuer);
        assert_eq!(error_of(&ann.sign_in(START).await), None);
        google(&simulator).rotate_keys(dead).unwrap();
    }
    // Without the keys nobody is judged, and nobody is told that they lie.
    let mut ann = Browser::new(&world);
    allow(&simulator, ANN);
    simulator.world().faults().add(Fault::next(
        "/oauth2/v3/certs",
        1,
        Misbehaviour::Refuse {
            status: 500,
            reason: None,
            retry_after_secs: None,
        },
    ));
    let landed = ann.sign_in(START).await;
    assert_eq!(error_of(&landed).as_deref(), Some("provider_unavailable"));
}

#[tokio::test]
async fn return_to_stays_on_the_frontend() {
    let (world, _simulator) = stage().await;
    let mut browser = Browser::new(&world);
    for elsewhere in [
        "//evil.example",
        "/%5Cevil.example",
        "https://evil.example",
        "evil",
        "%2F%2Fevil.example",
        "/%0D%0Ax",
    ] {
        let reply = browser.get(&format!("{START}?return_to={elsewhere}")).await;
        assert_eq!(reply.status, 422, "{elsewhere}");
        assert_eq!(reply.problem()["errors"][0]["field"], "return_to");
    }
}

#[tokio::test]
async fn an_account_belongs_to_one_advisor() {
    let (world, simulator) = stage().await;
    let mut ann = Browser::new(&world);
    allow(&simulator, ANN);
    ann.sign_in(START).await;
    // Somebody signed in without Google would take it over.
    let mut sam = Browser::new(&world);
    assert_eq!(sam.send(Method::POST, "/api/auth/demo").await.status, 200);
    let sams = me(&mut sam).await["id"].clone();
    allow(&simulator, ANN);
    let landed = sam.sign_in(START).await;
    assert_eq!(error_of(&landed).as_deref(), Some("account_in_use"));
    assert_eq!(me(&mut sam).await["id"], sams);
    // One of their own they connect.
    google(&simulator).add_account("sam@advisors.example", "Sam");
    allow(&simulator, "sam@advisors.example");
    assert_eq!(error_of(&sam.sign_in(START).await), None);
    let body = me(&mut sam).await;
    assert_eq!(body["id"], sams);
    assert_eq!(
        connection(&body, "google")["account"],
        "sam@advisors.example"
    );
}

#[tokio::test]
async fn an_api_token_does_not_grow_into_a_session() {
    let (world, simulator) = stage().await;
    let sam = world.advisor("sam").await;
    let token = sam
        .post("/api/auth/tokens", &json!({"name": "script"}))
        .await
        .ok()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let sams = sam.get("/api/auth/me").await.ok()["id"].clone();
    // Whoever has the token begins with it, and ends the sign-in with an account of their own.
    let mut thief = Browser::new(&world);
    thief.set_bearer(&token);
    allow(&simulator, ANN);
    let asked = thief.start(START).await;
    let callback = thief.consent(asked).await;
    thief.arrive(&callback).await;
    thief.set_bearer("");
    assert_ne!(me(&mut thief).await["id"], sams);
    assert_eq!(
        sam.get("/api/auth/me").await.ok()["connections"],
        json!([]),
        "nothing was attached"
    );
}
