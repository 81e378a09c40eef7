//! Answers without a model, the form of the stream, and the conversations that are kept.

use reqwest::Method;
use serde_json::json;

use crate::client::{Advisor, File, squeezed};
use crate::files::{self, BASEBALL, CALENDAR, CARDS, NOTE};
use crate::world::World;

async fn alex_with_a_book(world: &World) -> Advisor {
    let alex = world.advisor("alex").await;
    alex.import(&[
        File::new("baseball.eml", files::baseball()),
        File::new("Contacts.vcf", CARDS),
        File::new("Calendar.ics", CALENDAR),
        File::new("meeting.md", NOTE),
    ])
    .await;
    alex.indexed().await;
    alex
}

#[tokio::test]
async fn an_answers_quotes_stand_in_their_sources() {
    let world = World::start().await;
    let alex = alex_with_a_book(&world).await;
    for question in ["Who plays baseball?", "Who wants to sell AAPL shares?"] {
        let answer = alex.ask(question).await;
        let citations = answer.citations();
        assert!(!citations.is_empty(), "{question}: {}", answer.text());
        for (place, citation) in citations.iter().enumerate() {
            assert_eq!(citation["index"], place + 1);
            assert!(
                answer.text().contains(&format!("[{}]", place + 1)),
                "{}",
                answer.text()
            );
            let kind = citation["kind"].as_str().unwrap();
            let source = alex
                .source(kind, citation["source_id"].as_str().unwrap())
                .await;
            let stored = source.get("text").map_or_else(
                || source.to_string(),
                |text| text.as_str().unwrap().to_owned(),
            );
            let quote = squeezed(citation["quote"].as_str().unwrap());
            assert!(
                kind == "event" || kind == "contact" || squeezed(&stored).contains(&quote),
                "{quote} not in {stored}"
            );
            assert_eq!(
                citation["url"],
                format!(
                    "/#/sources/{kind}/{}",
                    citation["source_id"].as_str().unwrap()
                )
            );
        }
    }
}

#[tokio::test]
async fn what_changes_is_streamed_past_caches_and_buffers() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let reply = alex
        .request(Method::GET, "/api/events")
        .send()
        .await
        .unwrap();
    let header = |name: &str| reply.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("text/event-stream"));
    assert_eq!(header("x-accel-buffering"), "no");
    assert_eq!(header("cache-control"), "no-cache, no-store");
}

#[tokio::test]
async fn the_stream_is_that_of_the_protocol() {
    let world = World::start().await;
    let alex = alex_with_a_book(&world).await;
    let answer = alex.ask("Who plays baseball?").await;
    let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("text/event-stream"));
    assert_eq!(header("x-vercel-ai-ui-message-stream"), "v1");
    assert_eq!(header("x-accel-buffering"), "no");
    assert_eq!(header("cache-control"), "no-cache, no-store");

    let types = answer.types();
    assert_eq!(types[..3], ["start", "start-step", "text-start"]);
    assert_eq!(
        types[types.len() - 3..],
        ["text-end", "finish-step", "finish"]
    );
    assert!(answer.done, "the last event is [DONE]");
    assert_eq!(
        answer.of_type("source-document").len(),
        answer.citations().len()
    );
    assert_eq!(
        answer.of_type("text-start").len(),
        answer.of_type("text-end").len()
    );
    assert!(answer.text().contains(BASEBALL));

    let kept = alex.messages(answer.conversation()).await;
    assert_eq!(kept[1]["id"], answer.chunks[0]["messageId"]);
}

#[tokio::test]
async fn what_is_not_in_the_book_is_cited_by_nothing() {
    let world = World::start().await;
    let alex = alex_with_a_book(&world).await;
    let answer = alex
        .ask("What is the boiling point of tungsten hexafluoride?")
        .await;
    assert!(answer.citations().is_empty(), "{}", answer.text());
    assert!(
        answer.text().contains("no passage in your book"),
        "{}",
        answer.text()
    );

    let empty = world.advisor("empty").await;
    assert!(
        empty
            .ask("Who plays baseball?")
            .await
            .citations()
            .is_empty()
    );
}

#[tokio::test]
async fn a_request_to_act_is_refused_with_the_reason() {
    let world = World::start().await;
    let alex = alex_with_a_book(&world).await;
    let answer = alex.ask("Schedule a meeting with Sara next week").await;
    assert!(answer.citations().is_empty());
    assert!(
        answer.text().contains("can't act on requests"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_conversation_is_kept_renamed_and_deleted() {
    let world = World::start().await;
    let alex = alex_with_a_book(&world).await;
    let first = alex.ask("Who plays baseball?").await;
    let conversation = first.conversation().to_owned();
    let second = alex
        .chat(&json!({"message": "And who sells shares?", "conversation_id": conversation}))
        .await;
    assert_eq!(second.conversation(), conversation);

    let kept = alex.messages(&conversation).await;
    let said: Vec<_> = kept
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["user", "assistant", "user", "assistant"]);
    assert_eq!(kept[0]["text"], "Who plays baseball?");
    assert_eq!(kept[1]["text"], first.text());
    assert_eq!(
        kept[1]["citations"].as_array().unwrap().len(),
        first.citations().len()
    );
    assert_eq!(kept[1]["complete"], true);

    let path = format!("/api/conversations/{conversation}");
    let renamed = alex
        .send(Method::PATCH, &path, Some(&json!({"title": " Hawks "})))
        .await
        .ok();
    assert_eq!(renamed["title"], "Hawks");
    let listed = alex.get("/api/conversations").await.ok();
    assert_eq!(listed["items"][0]["title"], "Hawks");
    for title in ["", "  ", &"x".repeat(201)] {
        assert_eq!(
            alex.send(Method::PATCH, &path, Some(&json!({"title": title})))
                .await
                .status,
            422
        );
    }
    assert_eq!(alex.send(Method::DELETE, &path, None).await.status, 204);
    assert_eq!(alex.send(Method::DELETE, &path, None).await.status, 404);
    assert_eq!(alex.get(&path).await.status, 404);
    let gone = alex
        .post(
            "/api/chat/stream",
            &json!({"message": "Still there?", "conversation_id": conversation}),
        )
        .await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn use_chats_own_body_is_taken_too() {
    let world = World::start().await;
    let alex = alex_with_a_book(&world).await;
    let first = alex
        .chat(&json!({"id": "x", "trigger": "submit-message", "messages": [
            {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Who plays baseball?"}]}]}))
        .await;
    assert!(first.text().contains(BASEBALL));
    let second = alex
        .chat(&json!({"id": "x", "messages": [
            {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Who plays baseball?"}]},
            {"id": "2", "role": "assistant", "metadata": {"conversation_id": first.conversation()}, "parts": []},
            {"id": "3", "role": "user", "parts": [{"type": "text", "text": "Who sells shares?"}]}]}))
        .await;
    assert_eq!(second.conversation(), first.conversation());
}

#[tokio::test]
async fn without_streaming_the_answer_is_the_same() {
    let world = World::start().await;
    let alex = alex_with_a_book(&world).await;
    let streamed = alex.ask("Who plays baseball?").await;
    let whole = alex
        .post(
            "/api/chat/message",
            &json!({"message": "Who plays baseball?"}),
        )
        .await
        .ok();
    assert_eq!(whole["text"], streamed.text());
    assert_eq!(
        whole["citations"].as_array().unwrap().len(),
        streamed.citations().len()
    );
    assert_eq!(whole["mode"], "extractive");
    assert_eq!(whole["approvals"], json!([]));
}
