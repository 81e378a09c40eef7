//! One person, many names: what a contact's page gathers, and who stays apart.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use paraplanner::book::{
    self, Kind, NewContact, NewDeal, NewEmail, NewNote, Origin, Person, Stored,
};
use paraplanner::db::{Scoped, UserScope};
use paraplanner::identity;
use paraplanner::ids;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::client::{Advisor, File};
use crate::files;
use crate::world::World;

/// What a provider alone brings, put into an advisor's book as its reader does.
pub struct Records {
    pool: PgPool,
    scope: UserScope,
}

impl Records {
    pub async fn of(world: &World, name: &str) -> Self {
        let app = world.app();
        let email = format!("{name}@example.com");
        let scope = identity::demo_advisor(&app.pool, &app.clock, &email)
            .await
            .unwrap();
        Self {
            pool: app.pool.clone(),
            scope,
        }
    }

    async fn begin(&self) -> Scoped {
        self.scope.begin(&self.pool).await.unwrap()
    }

    /// Sara of HubSpot, with a note and a deal.
    pub async fn about_sara(&self) -> (Uuid, Uuid) {
        let mut tx = self.begin().await;
        let sara = person("hubspot:51", "Sara Smith", &["sara@client.example"]);
        book::upsert_contacts(&mut tx, &[sara], Origin::Provider, Utc::now())
            .await
            .unwrap();
        let notes = book::upsert_notes(&mut tx, &[note("Sara sold the boat.")], Utc::now()).await;
        let deals = book::upsert_deals(&mut tx, &[deal()], Utc::now()).await;
        tx.commit().await.unwrap();
        (only(&notes.unwrap()), only(&deals.unwrap()))
    }

    async fn store(&self, contacts: &[NewContact], origin: Origin) -> Stored {
        let mut tx = self.begin().await;
        let stored = book::upsert_contacts(&mut tx, contacts, origin, Utc::now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        stored
    }

    async fn delete(&self, kind: Kind, id: Uuid) -> Vec<Uuid> {
        let mut tx = self.begin().await;
        let deleted = book::delete(&mut tx, kind, &[id]).await.unwrap();
        tx.commit().await.unwrap();
        deleted
    }
}

fn only(stored: &Stored) -> Uuid {
    assert_eq!(stored.changed.len(), 1, "{stored:?}");
    *stored.changed.values().next().unwrap()
}

fn person(uid: &str, name: &str, emails: &[&str]) -> NewContact {
    NewContact {
        id: ids::next(),
        key: None,
        uid: Some(uid.to_owned()),
        name: name.to_owned(),
        emails: emails.iter().map(|&email| email.to_owned()).collect(),
        phones: Vec::new(),
        organisation: None,
        title: None,
        addresses: Vec::new(),
        birthday: None,
        notes: String::new(),
        extra: Vec::new(),
    }
}

fn note(text: &str) -> NewNote {
    NewNote {
        id: ids::next(),
        uid: "hubspot:900".to_owned(),
        text: text.to_owned(),
        written_at: "2026-02-03T10:00:00Z".parse().ok(),
        about: vec!["hubspot:51".to_owned(), "hubspot:404".to_owned()],
        people: Vec::new(),
    }
}

fn deal() -> NewDeal {
    NewDeal {
        id: ids::next(),
        uid: "hubspot:700".to_owned(),
        name: "Retirement plan".to_owned(),
        amount: Some("25000".to_owned()),
        stage: Some("Proposal".to_owned()),
        pipeline: None,
        closes_on: NaiveDate::from_ymd_opt(2027, 3, 1),
        description: None,
        about: vec!["hubspot:51".to_owned()],
        people: Vec::new(),
    }
}

fn mail(from: &str, to: &str, at: DateTime<Utc>, subject: &str) -> File {
    let date = at.to_rfc2822();
    File::new(
        &format!("{subject}.eml"),
        format!(
            "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: {date}\r\n\
             Message-ID: <{subject}@example.com>\r\nContent-Type: text/plain\r\n\r\nWords on {subject}.\r\n"
        ),
    )
}

fn calendar(events: &[(&str, DateTime<Utc>, &str)]) -> File {
    let events: Vec<String> = events
        .iter()
        .map(|(title, at, guest)| {
            let at = at.format("%Y%m%dT%H%M%SZ");
            format!(
                "BEGIN:VEVENT\r\nUID:{title}\r\nDTSTAMP:20261101T090000Z\r\nDTSTART:{at}\r\nSUMMARY:{title}\r\n\
                 ORGANIZER:mailto:alex@example.com\r\nATTENDEE:mailto:{guest}\r\nEND:VEVENT\r\n"
            )
        })
        .collect();
    let events = events.concat();
    File::new(
        "Calendar.ics",
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//EN\r\n{events}END:VCALENDAR\r\n"
        ),
    )
}

/// Contacts as `name,e-mail,phone,street`.
fn sheet(rows: &[&str]) -> File {
    let rows = rows.join("\r\n");
    File::new(
        "people.csv",
        format!("Name,E-mail,Phone,Address\r\n{rows}\r\n"),
    )
}

async fn page_of(alex: &Advisor, name: &str) -> Value {
    let contacts = alex.get("/api/contacts?limit=200").await.ok();
    let contact = contacts["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|contact| contact["name"] == name)
        .unwrap_or_else(|| panic!("{name} isn't in {contacts}"));
    let id = contact["id"].as_str().unwrap();
    alex.get(&format!("/api/contacts/{id}")).await.ok()
}

fn names(list: &Value, field: &str) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_contacts_page_gathers_what_came_under_all_spellings_of_an_address() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let now = Utc::now();
    let days = TimeDelta::days;
    alex.import(&[
        sheet(&["Sara Smith,Sara@Client.example; s.a.ra@googlemail.com,,"]),
        mail(
            "Sara Smith <sara@client.example>",
            "alex@example.com",
            now - days(40),
            "First",
        ),
        mail(
            "Alex <alex@example.com>",
            "sara+bank@client.example",
            now - days(20),
            "Second",
        ),
        mail(
            "S. Smith <SARA@gmail.com>",
            "alex@example.com",
            now - days(10),
            "Third",
        ),
        mail(
            "sam@client.example",
            "alex@example.com",
            now - days(1),
            "Another",
        ),
        calendar(&[
            ("Coffee", now - days(5), "sara+work@client.example"),
            ("Review", now + days(5), "sara@client.example"),
            ("Later", now + days(9), "sara@client.example"),
        ]),
    ])
    .await;

    let page = page_of(&alex, "Sara Smith").await;
    assert_eq!(page["relation"], "contact");
    assert_eq!(
        names(&page["mails"], "subject"),
        ["Third", "Second", "First"]
    );
    assert_eq!(names(&page["mails"], "direction"), ["in", "out", "in"]);
    assert_eq!(page["mails"][0]["snippet"], "Words on Third.");
    assert_eq!(page["last_contact"]["title"], "Coffee");
    assert_eq!(page["last_contact"]["kind"], "event");
    assert_eq!(page["last_contact"]["direction"], "out");
    assert_eq!(page["next_meeting"]["title"], "Review");
    assert_eq!(page["also_known_as"], json!(["S. Smith"]));
    assert_eq!(page["household"], json!([]));
    assert_eq!(page["notes"], json!([]));

    // Moved, it is found where it is now.
    alex.import(&[calendar(&[(
        "Review",
        now - days(2),
        "sara@client.example",
    )])])
    .await;
    let page = page_of(&alex, "Sara Smith").await;
    assert_eq!(page["last_contact"]["title"], "Review");
    assert_eq!(page["next_meeting"]["title"], "Later");
}

#[tokio::test]
async fn what_somebody_took_part_in_is_found_under_every_spelling() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let now = Utc::now();
    alex.import(&[
        sheet(&["Sara Smith,sara@client.example,,"]),
        mail(
            "Sara+Private@Client.example",
            "alex@example.com",
            now,
            "Boat",
        ),
        mail("sam@client.example", "alex@example.com", now, "Boat house"),
    ])
    .await;
    let sara = page_of(&alex, "Sara Smith").await;
    let query = json!({"query": "boat", "contact_id": sara["id"], "kinds": ["email"]});
    let found = alex.post("/api/embeddings/search", &query).await.ok();
    assert_eq!(names(&found["items"], "title"), ["Boat"]);
}

#[tokio::test]
async fn the_users_own_addresses_are_nobodys_contact() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let now = Utc::now();
    alex.import(&[
        sheet(&[
            "Myself,alex+me@example.com,,",
            "Sam Field,sam@example.com,,",
            "Sara Smith,sara@gmail.com,,",
        ]),
        mail("alex@example.com", "sara@gmail.com", now, "Hello"),
    ])
    .await;
    let own = page_of(&alex, "Myself").await;
    assert_eq!(own["relation"], "self");
    assert_eq!(own["mails"], json!([]));
    assert_eq!(own["last_contact"], Value::Null);
    assert_eq!(page_of(&alex, "Sam Field").await["relation"], "colleague");
    assert_eq!(page_of(&alex, "Sara Smith").await["relation"], "contact");
}

#[tokio::test]
async fn a_household_is_told_and_an_office_is_none() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let office: Vec<String> = (0..9)
        .map(|i| format!("Clerk {i},clerk{i}@bank.example,+1 555 999 0000,"))
        .collect();
    let mut rows = vec![
        "Sara Smith,sara@client.example,+1 (555) 010-0001,",
        "Tom Smith,tom@client.example,555 010 0001,\"12 High Street, Dover 19901\"",
        "Ann Smith,ann@client.example,,12 High Street Dover 19901",
        "Greg Hill,greg@client.example,555 010 0002,\"Dover, Delaware\"",
    ];
    rows.extend(office.iter().map(String::as_str));
    alex.import(&[sheet(&rows)]).await;

    for (name, others) in [
        ("Sara Smith", &["Tom Smith"][..]),
        ("Tom Smith", &["Ann Smith", "Sara Smith"]),
        ("Greg Hill", &[]),
        ("Clerk 1", &[]),
    ] {
        let page = page_of(&alex, name).await;
        assert_eq!(names(&page["household"], "name"), others, "{name}");
    }
}

#[tokio::test]
async fn notes_and_deals_stand_on_the_page_of_whom_they_are_about() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let records = Records::of(&world, "alex").await;
    let (note_id, deal_id) = records.about_sara().await;

    let page = page_of(&alex, "Sara Smith").await;
    assert_eq!(names(&page["notes"], "text"), ["Sara sold the boat."]);
    assert_eq!(names(&page["deals"], "name"), ["Retirement plan"]);
    assert_eq!(page["deals"][0]["closes_on"], "2027-03-01");

    let shown = alex.source("note", &note_id.to_string()).await;
    assert_eq!(shown["text"], "Sara sold the boat.");
    assert_eq!(
        shown["contacts"],
        json!([{"id": page["id"], "name": "Sara Smith"}])
    );
    let deal = alex.source("deal", &deal_id.to_string()).await;
    assert_eq!(deal["amount"], "25000");
    assert!(
        deal["text"]
            .as_str()
            .unwrap()
            .contains("Closes: Monday 1 March 2027"),
        "{deal}"
    );

    // A provider's record keeps its row, and its place on the page.
    let mut tx = records.begin().await;
    let changed = book::upsert_notes(&mut tx, &[note("She kept it.")], Utc::now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(only(&changed), note_id);
    assert!(changed.updated.contains(&note_id));
    let page = page_of(&alex, "Sara Smith").await;
    assert_eq!(names(&page["notes"], "text"), ["She kept it."]);

    assert_eq!(records.delete(Kind::Note, note_id).await, [note_id]);
    assert_eq!(records.delete(Kind::Deal, deal_id).await, [deal_id]);
    let page = page_of(&alex, "Sara Smith").await;
    assert_eq!((&page["notes"], &page["deals"]), (&json!([]), &json!([])));
    let gone = alex.get(&format!("/api/notes/{note_id}")).await;
    assert_eq!(gone.problem()["status"], 404);
}

#[tokio::test]
async fn what_a_file_brought_stays_when_the_provider_forgets_it() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let records = Records::of(&world, "alex").await;
    let sara = person("hubspot:51", "Sara Smith", &["sara@client.example"]);
    let greg = person("hubspot:52", "Greg Hill", &["greg@client.example"]);
    let stored = records
        .store(&[sara.clone(), greg.clone()], Origin::Provider)
        .await;
    let (sara_id, greg_id) = (stored.changed[&sara.id], stored.changed[&greg.id]);
    // The same from a file changes nothing but that.
    let again = records
        .store(std::slice::from_ref(&sara), Origin::File)
        .await;
    assert!(again.changed.is_empty(), "{again:?}");
    let again = records.store(&[sara], Origin::File).await;
    assert!(again.changed.is_empty(), "{again:?}");

    assert!(records.delete(Kind::Contact, sara_id).await.is_empty());
    assert_eq!(records.delete(Kind::Contact, greg_id).await, [greg_id]);
    // Only of the kind that was said.
    assert!(records.delete(Kind::Email, sara_id).await.is_empty());

    let mut tx = records.begin().await;
    let email = NewEmail {
        id: ids::next(),
        message_id: "baseball@example.com".to_owned(),
        thread_key: "baseball@example.com".to_owned(),
        subject: "Saturday".to_owned(),
        sender: Some(Person {
            name: Some("Sara Smith".to_owned()),
            address: "sara@example.com".to_owned(),
        }),
        to: Vec::new(),
        cc: Vec::new(),
        sent_at: "2026-11-02T09:30:00Z".parse().ok(),
        text: files::BASEBALL.to_owned(),
        html: None,
        attachments: json!([]),
    };
    book::upsert_emails(
        &mut tx,
        std::slice::from_ref(&email),
        Origin::Provider,
        Utc::now(),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let report = alex
        .import(&[File::new("baseball.eml", files::baseball())])
        .await;
    assert_eq!(report[0]["unchanged"], 1, "{report:?}");
    assert!(records.delete(Kind::Email, email.id).await.is_empty());
}

#[tokio::test]
async fn a_contact_keeps_its_row_when_its_address_changes() {
    let world = World::start().await;
    let records = Records::of(&world, "alex").await;
    let first = person("hubspot:51", "Sara Smith", &["sara@client.example"]);
    let id = only(&records.store(&[first], Origin::Provider).await);
    let mut tx = records.begin().await;
    let known = book::find_people(&mut tx, &["hubspot:51".to_owned(), "hubspot:9".to_owned()])
        .await
        .unwrap();
    drop(tx);
    assert_eq!(known.len(), 1);
    let mut moved = person("hubspot:51", "Sara Smith", &["sara@new.example"]);
    moved.key = Some(known["hubspot:51"].key);
    assert_eq!(only(&records.store(&[moved], Origin::Provider).await), id);
}

#[tokio::test]
async fn two_people_with_nearly_the_same_name_stay_two() {
    let world = World::start().await;
    let records = Records::of(&world, "alex").await;
    let stored = records
        .store(
            &[
                person("hubspot:1", "Sarah Smyth", &["sarah@client.example"]),
                person("hubspot:2", "Sara Smith", &["sara@client.example"]),
                person("hubspot:3", "Sara Smith", &[]),
                person("hubspot:4", "", &[]),
            ],
            Origin::Provider,
        )
        .await;
    assert_eq!(stored.changed.len(), 4);
    let mut tx = records.begin().await;
    let found = book::find_contacts(&mut tx, "Sara Smith", 10)
        .await
        .unwrap();
    let found: Vec<_> = found.iter().map(|contact| contact.name.as_str()).collect();
    assert_eq!(found, ["Sara Smith", "Sara Smith", "Sarah Smyth"]);
    let found = book::find_contacts(&mut tx, "Sarah Smyth", 10)
        .await
        .unwrap();
    assert_eq!(found[0].name, "Sarah Smyth");
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn the_calendar_is_listed_by_its_beginnings() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let day = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    alex.import(&[calendar(&[
        ("Third", day("2026-03-03T09:00:00Z"), "sara@client.example"),
        ("First", day("2026-03-01T09:00:00Z"), "sara@client.example"),
        ("Second", day("2026-03-02T09:00:00Z"), "sara@client.example"),
    ])])
    .await;
    let all = alex.get("/api/calendar").await.ok();
    assert_eq!(names(&all["items"], "title"), ["First", "Second", "Third"]);
    let window = "/api/calendar?after=2026-03-01T09:00:00Z&before=2026-03-03T09:00:00Z&limit=1";
    let first = alex.get(window).await.ok();
    assert_eq!(names(&first["items"], "title"), ["First"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = alex.get(&format!("{window}&cursor={cursor}")).await.ok();
    assert_eq!(names(&second["items"], "title"), ["Second"]);
    assert_eq!(second["next_cursor"], Value::Null);
    let wrong = alex.get("/api/calendar?after=yesterday").await;
    assert!((400..500).contains(&wrong.status), "{}", wrong.text());
    wrong.problem();
}
