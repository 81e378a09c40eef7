//! What is another's stays another's. The sweeps walk the published contract, so that a new route
//! without a row here fails.

use paraplanner::app;
use reqwest::Method;
use reqwest::header::{COOKIE, ORIGIN};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::client::{Advisor, File, Reply};
use crate::files::{self, CALENDAR, CARDS, NOTE};
use crate::people::Records;
use crate::world::World;

/// Whoever asks, signed in or not.
const PUBLIC: [&str; 11] = [
    "GET /api/auth/google/callback",
    "GET /api/auth/google/start",
    "GET /api/auth/hubspot/callback",
    "GET /api/auth/options",
    "POST /api/auth/demo",
    "POST /api/auth/local",
    "POST /api/demo/clock",
    "GET /health",
    "GET /health/database",
    "GET /metrics",
    "GET /ready",
];

/// Tables that are read before anybody's scope is known; they hold no content.
const ROUTING: [&str; 7] = [
    "api_token_keys",
    "connection_routes",
    "index_routes",
    "oauth_states",
    "sessions",
    "sync_due",
    "watches",
];

/// Every operation of the contract: method and path.
pub fn operations() -> Vec<(Method, String)> {
    let contract = app::contract();
    let paths = contract["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().filter_map(|method| {
                Some((
                    Method::from_bytes(method.to_uppercase().as_bytes()).ok()?,
                    path.clone(),
                ))
            })
        })
        .collect()
}

/// One of everything that has an id.
struct Belongings(Vec<(&'static str, String)>);

impl Belongings {
    async fn of(world: &World, alex: &Advisor) -> Self {
        let task = alex
            .upload(&[
                File::new("baseball.eml", files::baseball()),
                File::new("Contacts.vcf", CARDS),
                File::new("Calendar.ics", CALENDAR),
                File::new("meeting.md", NOTE),
            ])
            .await;
        alex.ended(&task).await;
        alex.indexed().await;
        let conversation = alex
            .ask("Who plays baseball?")
            .await
            .conversation()
            .to_owned();
        let token = alex
            .post("/api/auth/tokens", &json!({"name": "script"}))
            .await
            .ok()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let rule = json!({"text": "when gmail.message.received then log"});
        let rule = alex.post("/api/rules", &rule).await.json();
        let rule = rule["id"].as_str().unwrap().to_owned();
        let mut all = vec![
            ("/api/rules/", rule),
            ("/api/tasks/", task),
            ("/api/conversations/", conversation),
            ("/api/auth/tokens/", token),
        ];
        for (kind, path, query) in [
            ("email", "/api/emails/", "baseball"),
            ("contact", "/api/contacts/", "Sara Smith"),
            ("event", "/api/calendar/", "annual review"),
            ("document", "/api/documents/", "AAPL shares"),
        ] {
            let hit = alex
                .search(query)
                .await
                .into_iter()
                .find(|hit| hit["kind"] == kind)
                .unwrap();
            all.push((path, hit["source_id"].as_str().unwrap().to_owned()));
        }
        let (note, deal) = Records::of(world, "alex").await.about_sara().await;
        all.push(("/api/notes/", note.to_string()));
        all.push(("/api/deals/", deal.to_string()));
        all.push(("/api/webhook-events/", delivery(world, alex).await));
        all.push(("/api/approvals/", approval(world, alex).await));
        all.push(("/api/activity/", entry(alex).await));
        Self(all)
    }

    fn id_for(&self, path: &str) -> &str {
        self.0
            .iter()
            .find(|(prefix, _)| path.starts_with(prefix))
            .map_or_else(|| panic!("a new route wants a row: {path}"), |(_, id)| id)
    }
}

/// As if a provider had told of something.
async fn delivery(world: &World, of: &Advisor) -> String {
    let id = Uuid::now_v7();
    let user = of.get("/api/auth/me").await.ok()["id"].clone();
    let mut admin = PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap();
    sqlx::query(
        "insert into webhook_events (id, user_id, provider, event_key, kind, object_kind, object_ids,
            verified_by, content, received_at, handled_at)
        values ($1, $2::uuid, 'hubspot', 'key', 'contact.creation', 'contact', '{51}', 'hubspot_v3',
            '{}', now(), now())",
    )
    .bind(id)
    .bind(user.as_str())
    .execute(&mut admin)
    .await
    .unwrap();
    id.to_string()
}

/// A change of the settings is written down.
async fn entry(of: &Advisor) -> String {
    let change = json!({"instructions": "Be brief."});
    of.send(Method::PUT, "/api/settings", Some(&change))
        .await
        .ok();
    let page = of.get("/api/activity").await.ok();
    page["items"][0]["id"].as_str().unwrap().to_owned()
}

/// As if the assistant wanted something.
async fn approval(world: &World, of: &Advisor) -> String {
    let id = Uuid::now_v7();
    let user = of.get("/api/auth/me").await.ok()["id"].clone();
    let mut admin = PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap();
    sqlx::query(
        r#"insert into approvals (user_id, id, action, input, digest, preview, reason, risk, sources,
            caused_by, bounds, state, automatic, policy_version, cause_key, created_at, expires_at)
        values ($2::uuid, $1, 'create_note', '{"contact": "51", "text": "Tea"}', 'd', '{}', '', '[]', '[]',
            '{}', '{}', 'pending', false, 1, 'key', now(), now() + interval '1 day')"#,
    )
    .bind(id)
    .bind(user.as_str())
    .execute(&mut admin)
    .await
    .unwrap();
    id.to_string()
}

fn without_request_id(reply: &Reply) -> Value {
    let mut body = reply.problem();
    body.as_object_mut().unwrap().remove("request_id");
    body
}

#[tokio::test]
async fn anothers_id_is_answered_like_no_id_at_all() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let sam = world.advisor("sam").await;
    let belongings = Belongings::of(&world, &alex).await;
    let body = json!({"title": "mine now", "text": "when gmail.* then log"});
    let mut swept = 0;
    for (method, path) in operations()
        .into_iter()
        .filter(|(_, path)| path.contains("{id}"))
    {
        let id = belongings.id_for(&path);
        let sent = [Method::PATCH, Method::PUT]
            .contains(&method)
            .then_some(&body);
        let others = sam
            .send(method.clone(), &path.replace("{id}", id), sent)
            .await;
        let absent = sam
            .send(
                method.clone(),
                &path.replace("{id}", &Uuid::now_v7().to_string()),
                sent,
            )
            .await;
        assert_eq!(
            (others.status, absent.status),
            (404, 404),
            "{method} {path}"
        );
        assert_eq!(
            without_request_id(&others),
            without_request_id(&absent),
            "{method} {path}"
        );
        swept += 1;
    }
    assert!(swept >= 10, "{swept}");
    // Nothing of it did anything.
    let tokens = alex.get("/api/auth/tokens").await.ok();
    assert_eq!(tokens["items"].as_array().unwrap().len(), 1);
    for (path, id) in &belongings.0 {
        if ["/api/auth/tokens/", "/api/activity/"].contains(path) {
            continue;
        }
        assert_eq!(alex.get(&format!("{path}{id}")).await.status, 200, "{path}");
    }
    let conversation = belongings.id_for("/api/conversations/");
    for path in ["/api/chat/stream", "/api/chat/message"] {
        let reply = sam
            .post(
                path,
                &json!({"message": "What did I say?", "conversation_id": conversation}),
            )
            .await;
        assert_eq!(reply.status, 404);
    }
    let contact = belongings.id_for("/api/contacts/");
    let filtered = sam
        .post(
            "/api/embeddings/search",
            &json!({"query": "Sara", "contact_id": contact}),
        )
        .await;
    assert_eq!(filtered.status, 404);
}

#[tokio::test]
async fn lists_and_searches_show_nothing_of_another() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let sam = world.advisor("sam").await;
    Belongings::of(&world, &alex).await;
    for path in ["/api/tasks", "/api/contacts", "/api/conversations"] {
        assert!(
            !alex.get(path).await.ok()["items"]
                .as_array()
                .unwrap()
                .is_empty(),
            "{path}"
        );
        assert_eq!(sam.get(path).await.ok()["items"], json!([]), "{path}");
    }
    assert_eq!(sam.search("baseball").await, Vec::<Value>::new());
    assert_eq!(
        sam.get("/api/ingest/status").await.ok()["items"][0]["total"],
        0
    );
    assert!(sam.ask("Who plays baseball?").await.citations().is_empty());
    // The same file is imported for its new owner, not taken for known.
    let reports = sam.import(&[File::new("meeting.md", NOTE)]).await;
    assert_eq!(reports[0]["imported"], 1);
}

#[tokio::test]
async fn without_a_session_every_operation_that_is_not_public_is_refused() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    assert_eq!(alex.get("/api/auth/me").await.status, 200);
    for (method, path) in operations() {
        let operation = format!("{method} {path}");
        let url = format!(
            "{}{}",
            world.url,
            path.replace("{id}", &Uuid::now_v7().to_string())
        );
        for cookie in [
            "",
            "session=forged",
            "__Host-session=x; session=; session=\"a\"",
        ] {
            let request = world
                .http
                .request(method.clone(), &url)
                .header(ORIGIN, world.origin())
                .header(COOKIE, cookie);
            let reply = world.send(request).await;
            if PUBLIC.contains(&operation.as_str()) {
                assert_ne!(reply.status, 401, "{operation}");
            } else {
                assert_eq!(reply.status, 401, "{operation}: {}", reply.text());
                assert_eq!(reply.problem()["title"], "not signed in");
                assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            }
        }
    }
    assert_eq!(
        alex.send(Method::POST, "/api/auth/logout", None)
            .await
            .status,
        204
    );
    assert_eq!(alex.get("/api/auth/me").await.status, 401);
}

#[tokio::test]
async fn what_has_expired_or_was_ended_opens_nothing() {
    let world = World::with(&[("DEMO_CONTROLS", "true")]).await;
    let alex = world.advisor("alex").await;
    let make = async |name: &str, expires_at: Value| {
        let all =
            json!({"name": name, "scopes": ["read", "write", "approve"], "expires_at": expires_at});
        alex.post("/api/auth/tokens", &all).await.ok()
    };
    let brief = make(
        "brief",
        json!(chrono::Utc::now() + chrono::TimeDelta::days(1)),
    )
    .await;
    let revoked = make("revoked", Value::Null).await;
    let path = format!("/api/auth/tokens/{}", revoked["id"].as_str().unwrap());
    assert_eq!(alex.send(Method::DELETE, &path, None).await.status, 204);
    let ended = world.advisor("alex").await;
    assert_eq!(
        ended
            .send(Method::POST, "/api/auth/logout", None)
            .await
            .status,
        204
    );
    let clock = world.http.post(format!("{}/api/demo/clock", world.url));
    let later = clock.json(&json!({"advance": "P31D"}));
    assert_eq!(world.send(later).await.status, 200);
    let mut swept = 0;
    for (method, path) in operations() {
        if PUBLIC.contains(&format!("{method} {path}").as_str()) {
            continue;
        }
        let path = path.replace("{id}", &Uuid::now_v7().to_string());
        let url = format!("{}{path}", world.url);
        let by_token = |token: &Value| {
            let token = token["token"].as_str().unwrap().to_owned();
            world.http.request(method.clone(), &url).bearer_auth(token)
        };
        for (what, request) in [
            ("an expired session", alex.request(method.clone(), &path)),
            (
                "a session that was ended",
                ended.request(method.clone(), &path),
            ),
            ("an expired token", by_token(&brief)),
            ("a revoked token", by_token(&revoked)),
        ] {
            let reply = world.send(request).await;
            assert_eq!(reply.status, 401, "{method} {path} with {what}");
            reply.problem();
        }
        swept += 1;
    }
    assert!(swept > 40, "{swept}");
}

#[tokio::test]
async fn a_write_from_another_site_is_refused() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let ours = world.origin();
    let foreign = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        format!("{ours}.evil.example"),
        format!("{ours}0"),
        ours.replace("http:", "https:"),
        ours.replace("localhost", "localhost."),
        String::new(),
    ];
    for (method, path) in operations()
        .into_iter()
        .filter(|(method, _)| *method != Method::GET)
    {
        let path = path.replace("{id}", &Uuid::now_v7().to_string());
        for origin in &foreign {
            let reply = Reply::read(
                alex.bare(method.clone(), &path)
                    .header(ORIGIN, origin)
                    .send()
                    .await
                    .unwrap(),
            )
            .await;
            assert_eq!(reply.status, 403, "{method} {path} from {origin:?}");
            reply.problem();
        }
        let unsaid = Reply::read(alex.bare(method.clone(), &path).send().await.unwrap()).await;
        assert_eq!(unsaid.status, 403, "{method} {path} from nowhere");
        let twice = alex
            .bare(method.clone(), &path)
            .header(ORIGIN, &ours)
            .header(ORIGIN, "https://evil.example");
        assert_eq!(
            Reply::read(twice.send().await.unwrap()).await.status,
            403,
            "{method} {path} from two"
        );
    }
    let same = alex
        .bare(Method::POST, "/api/chat/message")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(Reply::read(same.send().await.unwrap()).await.status, 415);
    let stranger = world
        .http
        .post(format!("{}/api/auth/demo", world.url))
        .header(ORIGIN, "https://evil.example");
    assert_eq!(world.send(stranger).await.status, 403);
    assert_eq!(alex.get("/api/auth/me").await.status, 200);
}

#[tokio::test]
async fn the_database_itself_shows_nothing_without_a_user() {
    let world = World::start().await;
    let alex = world.advisor("alex").await;
    let sam = world.advisor("sam").await;
    Belongings::of(&world, &alex).await;
    let mut admin = PgConnection::connect(world.database_url().as_str())
        .await
        .unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.columns
        where table_schema = 'public' and column_name = 'user_id' order by 1",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let unguarded: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
        where relname = any($1) and relname <> all($2) and relkind = 'r'
            and not (relrowsecurity and relforcerowsecurity
                and exists (select from pg_policy where polrelid = pg_class.oid))",
    )
    .bind(&tables)
    .bind(&ROUTING[..])
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(
        unguarded.is_empty(),
        "without row-level security: {unguarded:?}"
    );
    let sams: Uuid = sam.get("/api/auth/me").await.ok()["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let pool = &world.app().pool;
    let mut filled = 0;
    for table in tables
        .iter()
        .filter(|table| !ROUTING.contains(&table.as_str()))
    {
        let rows = format!("select count(*) from {table}");
        let count = |sql: &str| sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql.to_owned()));
        filled += i64::from(count(&rows).fetch_one(&mut admin).await.unwrap() > 0);
        assert_eq!(
            count(&rows).fetch_one(pool).await.unwrap(),
            0,
            "{table} without a user"
        );
        let set = format!("begin; select set_config('app.user_id', '{sams}', true)");
        let mut scoped = pool.begin_with(sqlx::AssertSqlSafe(set)).await.unwrap();
        assert_eq!(
            count(&rows).fetch_one(&mut *scoped).await.unwrap(),
            0,
            "{table} as another user"
        );
        let given = sqlx::query(sqlx::AssertSqlSafe(format!(
            "update {table} set user_id = $1"
        )))
        .bind(sams)
        .execute(&mut *scoped)
        .await;
        assert!(
            given.is_err() || given.unwrap().rows_affected() == 0,
            "{table} was given away"
        );
    }
    assert!(filled >= 8, "only {filled} tables had rows to hide");
    let role: String = sqlx::query_scalar("select current_user::text")
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(role, "paraplanner_app");
}
