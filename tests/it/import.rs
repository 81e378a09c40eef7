//! `POST /api/ingest/documents` and what follows from it.

use serde_json::json;

use crate::client::File;
use crate::files::{self, BASEBALL, CALENDAR, CARDS, NOTE, PAGE, SARA, SHEET};
use crate::world::World;

fn every_kind() -> Vec<File> {
    let mails = [
        files::baseball(),
        files::mail(
            "mortgage",
            SARA,
            "Mortgage",
            "We refinanced the mortgage at five percent.",
        ),
    ];
    vec![
        File::new("Mail.mbox", files::mbox(&mails)),
        File::new(
            "one.eml",
            files::mail(
                "one",
                "Greg Hill <greg@example.com>",
                "Boat",
                "I sold the boat in May.",
            ),
        ),
        File::new("Contacts.vcf", CARDS),
        File::new("Calendar.ics", CALENDAR),
        File::new("people.csv", SHEET),
        File::new("meeting.md", NOTE),
        File::new("letter.html", PAGE),
    ]
}

#[tokio::test]
async fn every_kind_of_file_comes_into_the_book_once() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;

    let reports = alex.import(&every_kind()).await;
    let counts: Vec<_> = reports
        .iter()
        .map(|file| {
            (
                file["name"].as_str().unwrap(),
                file["imported"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        counts,
        [
            ("Mail.mbox", 2),
            ("one.eml", 1),
            ("Contacts.vcf", 2),
            ("Calendar.ics", 1),
            ("people.csv", 2),
            ("meeting.md", 1),
            ("letter.html", 1)
        ]
    );
    assert!(
        reports.iter().all(|file| file["unreadable_count"] == 0),
        "{reports:?}"
    );

    let again = alex.import(&every_kind()).await;
    for (first, second) in reports.iter().zip(&again) {
        assert_eq!(second["imported"], 0, "{second}");
        assert_eq!(second["unchanged"], first["imported"], "{second}");
    }
    let contacts = alex.get("/api/contacts").await.ok();
    assert_eq!(contacts["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn what_was_imported_is_found_and_can_be_read() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    alex.import(&every_kind()).await;
    alex.indexed().await;

    for (question, kind, words) in [
        ("whose child plays baseball", "email", BASEBALL),
        ("Greg's boat", "email", "I sold the boat in May."),
        (
            "when does Sara like to be called",
            "contact",
            "Prefers to be called in the morning.",
        ),
        (
            "annual review with Greg",
            "event",
            "Bring the pension statements.",
        ),
        ("bakery in Dover", "contact", "Owns a bakery in Dover"),
        (
            "selling AAPL shares",
            "document",
            "Greg wants to sell his AAPL shares",
        ),
        (
            "yield of municipal bonds",
            "document",
            "Municipal bonds yield four percent",
        ),
    ] {
        // Among the first, not the first: ranking is measured elsewhere.
        let hits = alex.search(question).await;
        let hit = hits
            .iter()
            .take(3)
            .find(|hit| hit["kind"] == kind && hit["snippet"].as_str().unwrap().contains(words))
            .unwrap_or_else(|| panic!("{question}: {hits:?}"));
        let source = alex.source(kind, hit["source_id"].as_str().unwrap()).await;
        assert_eq!(source["id"], hit["source_id"]);
        assert!(source.to_string().contains(words), "{question}: {source}");
    }
    let letter = alex.search("market letter bonds").await;
    assert!(!letter[0]["snippet"].as_str().unwrap().contains("alert"));
}

#[tokio::test]
async fn unreadable_items_are_listed_and_the_rest_is_kept() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let broken_card = format!("{CARDS}BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n");
    let reports = alex
        .import(&[
            File::new("cards.vcf", broken_card),
            File::new("report.pdf", "this is no PDF"),
            File::new("empty.txt", ""),
            File::new(
                "old.doc",
                b"\xd0\xcf\x11\xe0 an old Office document".as_slice(),
            ),
            File::new("good.md", NOTE),
        ])
        .await;
    let imported: Vec<_> = reports
        .iter()
        .map(|file| file["imported"].as_u64().unwrap())
        .collect();
    assert_eq!(imported, [2, 0, 0, 0, 1]);
    for report in &reports[..4] {
        assert_eq!(report["unreadable_count"], 1, "{report}");
        let item = &report["unreadable"][0];
        assert!(!item["position"].as_str().unwrap().is_empty(), "{report}");
        assert!(item["reason"].as_str().unwrap().ends_with('.'), "{report}");
    }
    assert_eq!(
        reports[0]["unreadable"][0]["position"],
        "contact 3 at byte 231"
    );
}

#[tokio::test]
async fn tasks_are_listed_newest_first_and_page_by_page() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let mut uploaded = Vec::new();
    for number in 0..3 {
        let note = File::new(
            "note.md",
            format!("Note number {number} about the pension."),
        );
        uploaded.push(alex.upload(&[note]).await);
    }
    for task in &uploaded {
        assert_eq!(alex.ended(task).await["state"], "done");
    }
    uploaded.reverse();

    let mut listed = Vec::new();
    let mut path = "/api/tasks?type=import_documents&limit=2".to_owned();
    loop {
        let page = alex.get(&path).await.ok();
        listed.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|task| task["id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/tasks?type=import_documents&limit=2&cursor={cursor}");
    }
    assert_eq!(listed, uploaded);

    let ended = alex.get(&format!("/api/tasks/{}", uploaded[0])).await.ok();
    assert_eq!(ended["progress"]["done"], ended["progress"]["total"]);
    for action in ["cancel", "retry"] {
        let refused = alex
            .post(&format!("/api/tasks/{}/{action}", uploaded[0]), &json!({}))
            .await;
        assert_eq!(refused.status, 409);
        refused.problem();
    }
}
