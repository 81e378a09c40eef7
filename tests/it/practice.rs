//! An advisor's practice: the program, the providers, and the time of both.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use paraplanner::simulator::Simulator;
use paraplanner::simulator::google::{Decision, Delivery};
use paraplanner::simulator::hubspot::Decision as Choice;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::browser::{Browser, error_of};
use crate::world::{World, eventually, simulator};

pub const ANN: &str = "ann@advisors.example";
pub const PORTAL: u64 = 4242;

/// An advisor's day: the program, the providers, and the time of both.
pub struct Practice {
    pub world: World,
    pub simulator: Simulator,
    pub ann: tokio::sync::Mutex<Browser>,
    /// A token that may decide, for when the session has ended.
    pub boss: std::sync::Mutex<String>,
}

pub fn letter(subject: &str, from: &str, text: &str, at: DateTime<Utc>) -> Vec<u8> {
    format!(
        "From: {from}\r\nTo: {ANN}\r\nSubject: {subject}\r\nMessage-ID: <{}@example.com>\r\n\
         Date: {}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
        subject.replace(' ', "-"),
        at.to_rfc2822(),
    )
    .into_bytes()
}

impl Practice {
    pub async fn open(settings: &[(&str, &str)]) -> Self {
        Self::around(simulator().await, settings).await
    }

    /// With the simulated model as the assistant's.
    pub async fn with_model() -> Self {
        let simulator = simulator().await;
        let url = format!("{}v1", simulator.world().url());
        let settings = [
            ("OPENAI_BASE_URL", url.as_str()),
            ("OPENAI_API_KEY", "any"),
            (
                "OPENAI_CHAT_MODEL",
                paraplanner::simulator::model::CHAT_MODEL,
            ),
        ];
        Self::around(simulator, &settings).await
    }

    async fn around(simulator: Simulator, settings: &[(&str, &str)]) -> Self {
        let settings = [settings, &[("DEMO_CONTROLS", "true")]].concat();
        let world = World::with_simulator(&simulator, &settings).await;
        simulator.world().google().add_account(ANN, "Ann Advisor");
        let ann = tokio::sync::Mutex::new(Browser::new(&world));
        Self {
            world,
            simulator,
            ann,
            boss: std::sync::Mutex::default(),
        }
    }

    pub async fn sign_in(&self) {
        self.sign_in_as(ANN).await;
    }

    pub async fn sign_in_as(&self, email: &str) {
        self.simulator.world().google().decide(Decision::Allow {
            email: email.to_owned(),
        });
        // In person.
        let mut ann = self.ann.lock().await;
        ann.set_bearer("");
        assert_eq!(error_of(&ann.sign_in("/api/auth/google/start").await), None);
        // Sessions end sooner than some of these stories.
        let token = json!({"name": "story", "scopes": ["read", "write"], "expires_at": "2036-01-01T00:00:00Z"});
        let token = ann.post("/api/auth/tokens", &token).await.ok();
        let boss = json!({"name": "boss", "scopes": ["read", "write", "approve"], "expires_at": "2036-01-01T00:00:00Z"});
        let boss = ann.post("/api/auth/tokens", &boss).await.ok();
        boss["token"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.boss.lock().unwrap());
        ann.set_bearer(token["token"].as_str().unwrap());
    }

    /// The advisor with leave to decide.
    pub async fn in_person(&self) -> Browser {
        let mut twin = self.ann.lock().await.twin();
        twin.set_bearer(&self.boss.lock().unwrap());
        twin
    }

    pub async fn connect_hubspot(&self) {
        let hubspot = self.simulator.world().hubspot();
        hubspot.decide(Choice::Allow {
            portal: PORTAL,
            user: 9001,
        });
        // In person.
        let mut ann = self.ann.lock().await;
        ann.set_bearer("");
        assert_eq!(
            error_of(&ann.sign_in("/api/auth/hubspot/start").await),
            None
        );
    }

    pub fn open_portal(&self) {
        let hubspot = self.simulator.world().hubspot();
        hubspot.add_portal(PORTAL, "firm.example");
        hubspot.add_user(PORTAL, 9001, ANN);
    }

    /// Time passes for everybody.
    pub async fn pass(&self, iso: &str, time: TimeDelta) {
        self.simulator.world().clock().advance(time);
        let url = format!("{}/api/demo/clock", self.world.url);
        let request = self.world.http.post(url).json(&json!({"advance": iso}));
        assert_eq!(self.world.send(request).await.status, 200);
    }

    pub async fn pass_a_minute(&self) {
        self.pass("PT61S", TimeDelta::seconds(61)).await;
    }

    pub async fn pass_a_day(&self) {
        self.pass("P1D", TimeDelta::days(1)).await;
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.simulator.world().clock().now()
    }

    pub fn receive(&self, subject: &str, text: &str) -> String {
        let raw = letter(subject, "Client <client@example.com>", text, self.now());
        let google = self.simulator.world().google();
        google.deliver(ANN, &raw, Delivery::default()).unwrap()
    }

    pub async fn source(&self, source: &str) -> Value {
        let status = self.ann.lock().await.get("/api/ingest/status").await.ok();
        let items = status["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["source"] == source);
        item.cloned().unwrap_or_default()
    }

    /// Until the source is as this.
    pub async fn until(&self, what: &str, source: &str, is: impl Fn(&Value) -> bool) -> Value {
        let seen = std::sync::Mutex::new(Value::Null);
        let waiting = eventually(what, async || {
            let item = self.source(source).await;
            *seen.lock().unwrap() = item.clone();
            is(&item).then_some(item)
        });
        tokio::select! {
            item = waiting => item,
            () = tokio::time::sleep(Duration::from_secs(50)) =>
                panic!("{what}: {}", seen.lock().unwrap()),
        }
    }

    /// Until what the provider has now is known here.
    pub async fn until_fresh(&self, source: &str) -> Value {
        let since = self.now() - TimeDelta::seconds(50);
        self.until("it is fresh", source, |item| {
            let synced = item["last_synced_at"]
                .as_str()
                .map(str::parse::<DateTime<Utc>>);
            item["state"] == "idle" && synced.is_some_and(|at| at.unwrap() >= since)
        })
        .await
    }

    /// Until the provider's word is relied upon: what came between the reading and the watch has been looked
    /// for, a minute after the reading at the latest.
    pub async fn until_relied_upon(&self, source: &str) {
        let mut database = self.database().await;
        for _ in 0..50 {
            let due: Option<DateTime<Utc>> =
                sqlx::query_scalar("select max(due_at) from sync_due where source = $1")
                    .bind(source)
                    .fetch_one(&mut database)
                    .await
                    .unwrap();
            match due.map(|due| due - self.now()) {
                Some(left) if left > TimeDelta::minutes(10) => return,
                Some(left) if left < TimeDelta::seconds(61) => self.pass_a_minute().await,
                Some(_) | None => {}
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("{source} is looked at as often as ever");
    }

    pub async fn finds(&self, query: &str, kind: &str) -> Vec<String> {
        let body = json!({"query": query, "kinds": [kind], "top_k": 50});
        let mut ann = self.ann.lock().await;
        let found = ann.post("/api/embeddings/search", &body).await.ok();
        let items = found["items"].as_array().unwrap().iter();
        items
            .map(|item| item["title"].as_str().unwrap().to_owned())
            .collect()
    }

    pub async fn database(&self) -> PgConnection {
        PgConnection::connect(self.world.database_url().as_str())
            .await
            .unwrap()
    }

    /// What of a source is stored, by the provider's ids; each has its row, and each row its passages.
    pub async fn stored(&self, source: &str, table: &str) -> BTreeSet<String> {
        let mut database = self.database().await;
        let query = format!(
            "select external_id from provider_items as item join {table} as stored on stored.id = item.item_id
            where source = $1 and exists (select from chunks where source_id = stored.id)"
        );
        let ids: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(source)
            .fetch_all(&mut database)
            .await
            .unwrap();
        let orphans: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select count(*) from {table} where id not in
                (select item_id from provider_items where item_id is not null)"
        )))
        .fetch_one(&mut database)
        .await
        .unwrap();
        assert_eq!(orphans, 0, "rows of {table} that nothing stands for");
        ids.into_iter().collect()
    }

    pub async fn assert_mail_is_equal(&self) {
        let never = ["DRAFT", "SPAM", "TRASH", "CHAT"];
        let google = self.simulator.world().google();
        let there: BTreeSet<String> = google
            .messages(ANN)
            .into_iter()
            .filter(|(_, labels)| !labels.iter().any(|label| never.contains(&label.as_str())))
            .map(|(id, _)| id)
            .collect();
        assert_eq!(self.stored("gmail", "emails").await, there);
    }
}
