//! Taking everything along, and leaving nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read as _};

use paraplanner::account::{EXPORTED, LEFT_OUT};
use paraplanner::simulator::model::Turn;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::practice::{ANN, PORTAL, Practice};
use crate::world::{World, eventually};

const CANARY: &str = "zanzibar-kestrel";

impl Practice {
    /// Something of everything, with a word in it that nobody else writes.
    async fn lived_in() -> Self {
        let practice = Self::with_model().await.and_clients().await;
        let portal = practice.simulator.world().portal(PORTAL);
        let contact = portal
            .add_contact(&[
                ("email", "canary@example.com"),
                ("firstname", CANARY),
                ("lastname", "Person"),
            ])
            .unwrap();
        let note = format!("<p>{CANARY} keeps a boat.</p>");
        portal.add_note(contact, &note, practice.now()).unwrap();
        let start = practice.now() + chrono::TimeDelta::days(3);
        let event =
            json!({"summary": CANARY, "start": {"dateTime": start}, "end": {"dateTime": start}});
        let google = practice.simulator.world().google();
        google.add_event(ANN, &event).unwrap();
        practice
            .saved(
                &format!("when gmail.message.received then log \"{CANARY}\""),
                "inherit",
            )
            .await;
        practice.receive_from(
            "Sara <sara@example.com>",
            &format!("About {CANARY}"),
            &format!("The {CANARY} is for sale."),
        );
        practice.pass_a_minute().await;
        practice
            .until("the note is here", "hubspot_notes", |item| {
                item["done"] == 1
            })
            .await;
        practice
            .until("the meeting is here", "calendar", |item| item["done"] == 1)
            .await;
        practice.until_done("log", 1).await;
        let model = practice.simulator.world().model();
        model.script(Turn::call(
            "send_email",
            json!({"to": ["sara@example.com"], "subject": CANARY, "text": CANARY}),
        ));
        let question = format!("Write to Sara about {CANARY}");
        practice.chat(&question, None).await;
        practice.until_pending(1).await;
        practice
    }

    async fn exported(&self) -> BTreeMap<String, Vec<u8>> {
        let reply = self.in_person().await.get("/api/account/export").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("application/zip"));
        let mut zip = zip::ZipArchive::new(Cursor::new(reply.body.clone())).unwrap();
        (0..zip.len())
            .map(|place| {
                let mut file = zip.by_index(place).unwrap();
                let mut content = Vec::new();
                file.read_to_end(&mut content).unwrap();
                (file.name().unwrap().into_owned(), content)
            })
            .collect()
    }
}

/// Every table, with whether its rows name a user.
async fn tables(database: &mut PgConnection) -> Vec<(String, bool)> {
    sqlx::query_as(
        "select table_name::text, bool_or(column_name = 'user_id') from information_schema.columns
        join information_schema.tables using (table_schema, table_name)
        where table_schema = 'public' and table_type = 'BASE TABLE' group by 1 order by 1",
    )
    .fetch_all(database)
    .await
    .unwrap()
}

async fn count(database: &mut PgConnection, query: String) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_one(database)
        .await
        .unwrap()
}

#[tokio::test]
async fn every_table_with_rows_of_users_is_exported_or_left_out_for_a_reason() {
    let practice = Practice::open(&[]).await;
    let mut database = practice.database().await;
    let there: BTreeSet<String> = tables(&mut database)
        .await
        .into_iter()
        .filter_map(|(name, names_user)| names_user.then_some(name))
        .collect();
    let exported = EXPORTED.iter().map(|one| one.table);
    let left_out = LEFT_OUT.iter().map(|(table, _)| *table);
    let listed: BTreeSet<String> = exported.chain(left_out).map(str::to_owned).collect();
    assert_eq!(there, listed);
    assert_eq!(EXPORTED.len() + LEFT_OUT.len(), listed.len(), "each once");
}

#[tokio::test]
async fn an_export_holds_every_row_and_no_secret() {
    let practice = Practice::lived_in().await;
    let files = practice.exported().await;
    let mut database = practice.database().await;
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    for exported in EXPORTED {
        let name = format!("{}.jsonl", exported.table);
        let lines = String::from_utf8(files[&name].clone()).unwrap();
        let query = format!(
            "select count(*) from {} where user_id is not null",
            exported.table
        );
        let there = count(&mut database, query).await;
        let rows = lines.lines().count();
        // Sessions and tasks come and go; all else stands still.
        if !["sessions", "tasks", "ended_tasks", "task_steps", "sources"].contains(&exported.table)
        {
            assert_eq!(i64::try_from(rows).unwrap(), there, "{name}");
        }
        assert_eq!(manifest["files"][&name]["rows"], rows, "{name}");
        for line in lines.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            for secret in ["access_token", "refresh_token", "id_hash", "token_hash"] {
                assert!(row.get(secret).is_none(), "{name} has {secret}");
            }
        }
    }
    for name in [
        "emails",
        "contacts",
        "notes",
        "calendar_events",
        "rules",
        "messages",
        "approvals",
        "runs",
    ] {
        let text = String::from_utf8(files[&format!("{name}.jsonl")].clone()).unwrap();
        assert!(text.contains(CANARY), "{name}: {text}");
    }
    let mails: Vec<&Vec<u8>> = files
        .iter()
        .filter_map(|(name, content)| name.starts_with("mail/").then_some(content))
        .collect();
    assert_eq!(mails.len(), 1);
    let mail = mail_parser::MessageParser::default()
        .parse(mails[0])
        .unwrap();
    assert_eq!(mail.subject(), Some(format!("About {CANARY}").as_str()));
    assert!(files["README.txt"].len() > 100);
    let profile: Value = serde_json::from_slice(&files["profile.json"]).unwrap();
    assert_eq!(profile["email"], ANN);
    // That it was taken along is in the log.
    assert_eq!(practice.activity().await[0]["action"], "export");
    let verified = practice.in_person().await.get("/api/activity/verify").await;
    assert_eq!(verified.ok()["ok"], true);
}

#[tokio::test]
async fn after_a_deletion_nothing_is_left_and_nobody_else_lacks_anything() {
    let practice = Practice::lived_in().await;
    let sam = practice.world.advisor("sam").await;
    sam.import(&[crate::client::File::new("plan.txt", "Sam has a plan.")])
        .await;
    let mut database = practice.database().await;
    let me = practice.in_person().await.get("/api/auth/me").await.ok();
    let id = me["id"].as_str().unwrap().to_owned();
    let of_others = |table: &str| format!("select count(*) from {table} where user_id <> '{id}'");
    let mut before = BTreeMap::new();
    for (table, names_user) in tables(&mut database).await {
        if names_user {
            let rows = count(&mut database, of_others(&table)).await;
            before.insert(table, rows);
        }
    }

    // A token doesn't.
    let refused = practice
        .in_person()
        .await
        .send(Method::DELETE, "/api/account")
        .await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let mut ann = practice.ann.lock().await.twin();
    ann.set_bearer("");
    let reply = ann.send(Method::DELETE, "/api/account").await;
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(
        practice.in_person().await.get("/api/auth/me").await.status,
        401
    );

    let journal = practice.simulator.world().journal();
    assert_eq!(
        journal.count("POST", "/revoke"),
        1,
        "the grant is given back"
    );
    eventually("what is left of running work is gone", async || {
        let mut database = practice.database().await;
        let tasks = format!("select count(*) from tasks where user_id = '{id}'");
        (count(&mut database, tasks).await == 0).then_some(())
    })
    .await;
    for (table, names_user) in tables(&mut database).await {
        for trace in [id.as_str(), ANN, CANARY] {
            let query =
                format!("select count(*) from {table} as one where one::text ilike '%{trace}%'");
            assert_eq!(count(&mut database, query).await, 0, "{trace} in {table}");
        }
        if names_user && !["sessions", "sync_due", "tasks", "ended_tasks"].contains(&table.as_str())
        {
            let rows = count(&mut database, of_others(&table)).await;
            assert_eq!(rows, before[&table], "others' rows of {table}");
        }
    }
    assert_eq!(sam.get("/api/auth/me").await.status, 200);

    // Who comes again is somebody new.
    practice.sign_in().await;
    let again = practice.in_person().await.get("/api/auth/me").await.ok();
    assert_ne!(again["id"], json!(id));
}

#[tokio::test]
async fn the_log_goes_with_its_account_alone() {
    let practice = Practice::open(&[]).await;
    practice.sign_in().await;
    let mut database = PgConnection::connect(practice.world.database_url().as_str())
        .await
        .unwrap();
    for statement in [
        "delete from users",
        "delete from activity",
        "update activity set target = 'x'",
        "truncate activity",
    ] {
        sqlx::raw_sql("set role paraplanner_app")
            .execute(&mut database)
            .await
            .unwrap();
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(&mut database)
            .await;
        let error = done.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{statement}: {error}");
    }
    // Without a scope it deletes nobody.
    let gone: i64 = sqlx::query_scalar("select delete_account()")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(gone, 0);
}

#[tokio::test]
async fn a_retention_hold_keeps_accounts_and_conversations_and_says_so() {
    let world = World::with(&[("RETENTION_HOLD", "true")]).await;
    let alex = world.advisor("alex").await;
    let conversation = alex
        .ask("Who sells shares?")
        .await
        .conversation()
        .to_owned();
    for path in [
        "/api/account".to_owned(),
        format!("/api/conversations/{conversation}"),
    ] {
        let refused = alex.send(Method::DELETE, &path, None).await;
        assert_eq!(refused.status, 409, "{path}");
        assert_eq!(refused.problem()["title"], "a retention hold is set");
    }
    assert_eq!(alex.messages(&conversation).await.len(), 2);
    assert_eq!(alex.get("/api/account/export").await.status, 200);
}
