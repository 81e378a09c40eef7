//! What becomes of vectors: when content changes, when the model does, and when its server is difficult.

use paraplanner::simulator::model::{EMBEDDING_MODEL, Switches};
use paraplanner::simulator::{Fault, Misbehaviour, Simulator};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use crate::client::{Advisor, File};
use crate::files::{self, BASEBALL, SARA};
use crate::world::{World, eventually, simulator};

const EMBEDDINGS: &str = "/v1/embeddings";
/// Shares no word with what answers it: only the built-in model's vectors find it.
const BY_MEANING: &str = "which kid is into sports";

fn model_settings(simulator: &Simulator) -> Vec<(&'static str, String)> {
    let base_url = format!(
        "{}/v1",
        simulator.world().url().as_str().trim_end_matches('/')
    );
    vec![
        ("OPENAI_BASE_URL", base_url),
        ("OPENAI_API_KEY", "any".to_owned()),
        ("OPENAI_EMBEDDING_MODEL", EMBEDDING_MODEL.to_owned()),
    ]
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

/// A world whose passages are embedded by the simulated server.
async fn with_server() -> (World, Simulator) {
    let simulator = simulator().await;
    let settings = model_settings(&simulator);
    (World::with(&borrowed(&settings)).await, simulator)
}

fn letters() -> File {
    let mails = [
        files::baseball(),
        files::mail(
            "mortgage",
            SARA,
            "Mortgage",
            "We refinanced the mortgage at five percent.",
        ),
        files::mail("boat", SARA, "Boat", "I sold the boat in May."),
    ];
    File::new("Mail.mbox", files::mbox(&mails))
}

/// A text of this many words, none of them twice.
fn long(words: usize, stem: &str) -> String {
    (0..words)
        .map(|place| format!("{stem}{place}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// How many passages were given a vector so far, and how many never will.
fn counted(world: &World) -> (u64, u64) {
    let text = world.app().metrics.text().unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    (
        value("paraplanner_chunks_embedded_total"),
        value("paraplanner_chunks_refused_total"),
    )
}

async fn database(world: &World) -> PgConnection {
    PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap()
}

/// Models, by the first part of their name and their length, with how many vectors there are of each.
async fn vectors(world: &World) -> Vec<(String, i32, i64)> {
    sqlx::query_as(
        "select split_part(name, '/', 1), dimensions, count(*)
        from chunk_embeddings join embedding_models on id = model_id
        group by 1, 2 order by 1, 2",
    )
    .fetch_all(&mut database(world).await)
    .await
    .unwrap()
}

/// The model that serves the only advisor.
async fn serving(world: &World) -> Option<(String, i32)> {
    sqlx::query_as(
        "select split_part(name, '/', 1), dimensions
        from index_routes join embedding_models on id = serving",
    )
    .fetch_optional(&mut database(world).await)
    .await
    .unwrap()
}

fn snippets(hits: &[Value]) -> Vec<&str> {
    hits.iter()
        .filter_map(|hit| hit["snippet"].as_str())
        .collect()
}

#[tokio::test]
async fn a_text_that_is_too_long_stops_no_other() {
    let (world, simulator) = with_server().await;
    simulator.world().model().switch(Switches {
        embedding_words: Some(40),
        embedding_filter: Some("Zanzibar".to_owned()),
        ..Switches::default()
    });
    let alex = world.advisor("alex").await;
    let files = [
        letters(),
        File::new("long.txt", long(150, "harbour")),
        File::new(
            "filtered.eml",
            files::mail("filtered", SARA, "Zanzibar", "The cloves were splendid."),
        ),
    ];
    alex.import(&files).await;
    alex.indexed().await;

    assert_eq!(
        counted(&world),
        (3 + 2, 1),
        "the long one's two are shortened, one is given up"
    );
    let found = alex.search("splendid cloves").await;
    assert!(
        snippets(&found)[0].contains("cloves"),
        "by its words: {found:?}"
    );
    let tasks = alex.get("/api/tasks?kind=embed").await.ok();
    let tasks = tasks["items"].as_array().unwrap();
    assert!(
        tasks.iter().all(|task| task["state"] == "done"),
        "{tasks:?}"
    );
}

#[tokio::test]
async fn a_server_that_refuses_everything_gets_nothing_given_up() {
    let (world, simulator) = with_server().await;
    world.expect_failures();
    simulator.world().model().switch(Switches {
        embedding_words: Some(0),
        ..Switches::default()
    });
    let alex = world.advisor("alex").await;
    alex.import(&[letters()]).await;
    eventually("the task fails", async || {
        let tasks = alex.get("/api/tasks?kind=embed&state=failed").await.ok();
        (!tasks["items"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    assert_eq!(counted(&world), (0, 0));

    simulator.world().model().switch(Switches::default());
    let mut world = world;
    world.another(&[]).await;
    eventually("the next start tries again", async || {
        (vectors(&world).await.first()?.2 == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_did_not_change_is_not_embedded_again() {
    let (world, simulator) = with_server().await;
    let alex = world.advisor("alex").await;
    let card = |phone: &str, note: &str| {
        let note = format!("{note} {}", long(600, "garden"));
        let card = format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:sara\r\nFN:Sara Smith\r\nEMAIL:sara@example.com\r\n\
             TEL:{phone}\r\nNOTE:{note}\r\nEND:VCARD\r\n"
        );
        File::new("card.vcf", card)
    };
    let first = [letters(), card("+1 555 0100", "Prefers mornings.")];
    alex.import(&first).await;
    alex.indexed().await;
    let asked = || simulator.world().journal().count("POST", EMBEDDINGS);
    let (all, _) = counted(&world);
    assert!(all >= 3 + 3, "the card is several passages: {all}");

    let before = asked();
    alex.import(&first).await;
    alex.indexed().await;
    assert_eq!(asked(), before, "nothing was asked");

    alex.import(&[card("+1 555 0199", "Prefers mornings.")])
        .await;
    alex.indexed().await;
    assert_eq!(
        counted(&world).0,
        all + 1,
        "only the passage with the phone"
    );
    let found = alex.search("0199").await;
    assert!(snippets(&found)[0].contains("0199"), "{found:?}");
    assert!(
        alex.search("0100")
            .await
            .iter()
            .all(|hit| !hit["snippet"].as_str().unwrap().contains("0100")),
        "what is no longer so is gone"
    );
    let held: i64 = sqlx::query_scalar("select count(*) from chunk_embeddings")
        .fetch_one(&mut database(&world).await)
        .await
        .unwrap();
    assert_eq!(held, i64::try_from(all).unwrap(), "each has one vector");
}

/// Signs in at the other instance.
async fn at(world: &World, app: &paraplanner::state::App) -> Advisor {
    let origin = app.public_url.origin().ascii_serialization();
    Advisor::sign_in(&origin, &origin, &world.http, "alex@example.com").await
}

#[tokio::test]
async fn search_goes_on_by_meaning_while_the_model_changes() {
    let mut world = World::with(&[("DEMO_CONTROLS", "true")]).await;
    let alex = world.advisor("alex").await;
    alex.import(&[letters()]).await;
    alex.indexed().await;
    let best = async |who: &Advisor| {
        let found = who.search(BY_MEANING).await;
        snippets(&found).first().map(|text| text.contains(BASEBALL))
    };
    assert_eq!(best(&alex).await, Some(true));
    let built_in = serving(&world).await.unwrap();

    let simulator = simulator().await;
    simulator.world().faults().add(Fault {
        method: None,
        path: EMBEDDINGS.to_owned(),
        after: 0,
        times: None,
        percent: None,
        then: Misbehaviour::Refuse {
            status: 503,
            reason: None,
            retry_after_secs: None,
        },
    });
    // As after a restart with other settings.
    world.app().stopping.cancel();
    let settings = model_settings(&simulator);
    let changed = world.another(&borrowed(&settings)).await;
    let alex = at(&world, &changed).await;
    eventually("the new model is asked", async || {
        (simulator.world().journal().count("POST", EMBEDDINGS) > 0).then_some(())
    })
    .await;
    assert_eq!(serving(&world).await.as_ref(), Some(&built_in));
    assert_eq!(best(&alex).await, Some(true), "by the vectors from before");

    simulator.world().faults().clear();
    let new = eventually("the new model serves", async || {
        serving(&world).await.filter(|model| *model != built_in)
    })
    .await;
    assert_eq!(new, (EMBEDDING_MODEL.to_owned(), 1536));
    let asked = simulator.world().journal().count("POST", EMBEDDINGS);
    let found = alex.search("who refinanced a mortgage").await;
    assert!(snippets(&found)[0].contains("mortgage"), "{found:?}");
    assert_eq!(
        simulator.world().journal().count("POST", EMBEDDINGS),
        asked + 1,
        "the question is embedded by the new model"
    );
    assert_eq!(vectors(&world).await.len(), 2, "going back would be free");

    changed.clock.advance(chrono::TimeDelta::hours(26));
    changed.tasks.clock_moved();
    eventually("what no longer serves is removed", async || {
        (vectors(&world).await == [(EMBEDDING_MODEL.to_owned(), 1536, 3)]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn vectors_of_another_length_are_never_compared() {
    let (world, simulator) = with_server().await;
    let alex = world.advisor("alex").await;
    alex.import(&[letters()]).await;
    alex.indexed().await;
    let model = simulator.world().model();
    model.switch(Switches {
        embedding_dimensions: Some(768),
        ..Switches::default()
    });

    let found = alex.search("the mortgage").await;
    assert!(
        snippets(&found)[0].contains("mortgage"),
        "by words: {found:?}"
    );
    let more = files::mail("trip", SARA, "Trip", "We travel to Norway in June.");
    alex.import(&[File::new("trip.eml", more)]).await;
    let name = EMBEDDING_MODEL.to_owned();
    eventually("all get vectors of the new length", async || {
        (serving(&world).await == Some((name.clone(), 768))).then_some(())
    })
    .await;
    assert_eq!(
        vectors(&world).await,
        [(name.clone(), 768, 4), (name, 1536, 3)]
    );
    let found = alex.search("a journey to Norway").await;
    assert!(snippets(&found)[0].contains("Norway"), "{found:?}");
    let tasks = alex.get("/api/tasks?kind=embed").await.ok();
    let tasks = tasks["items"].as_array().unwrap();
    assert!(
        tasks.iter().all(|task| task["state"] == "done"),
        "{tasks:?}"
    );
}
