//! The task engine with handlers of the tests' own: waits, steps, retries, limits, schedules, fairness.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use paraplanner::app;
use paraplanner::config::{Config, Source};
use paraplanner::db::{Database, UserScope};
use paraplanner::state::App;
use paraplanner::tasks::{
    Context, Enqueue, Failure, Handler, Payload, Priority, Registry, Routine, RoutineContext,
    Woken, Worker,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::Advisor;
use crate::world::{World, eventually};

/// A program without a worker, and the workers that a test starts over its database.
pub struct Workshop {
    pub world: World,
    pub database: Database,
    pub alex: Advisor,
    pub scope: UserScope,
    pub log: Log,
}

/// What handlers did, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|there| *there == line).count()
    }
}

/// A running worker; dropped without [`Working::stop`], it is as dead as after `kill -9`.
struct Working {
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl Working {
    async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.handle).await.unwrap();
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

#[derive(Clone)]
struct Given {
    app: App,
    log: Log,
}

impl Workshop {
    pub async fn open() -> Self {
        let world = World::with(&[("WORKER_ENABLED", "false")]).await;
        let source = Source::of([
            ("DATABASE_URL".to_owned(), world.database_url().to_string()),
            ("DATABASE_MAX_CONNECTIONS".to_owned(), "4".to_owned()),
        ]);
        let settings = Config::read(&source).unwrap().database;
        let database = Database::open(&settings).await.unwrap();
        let alex = world.advisor("alex").await;
        let scope = scope_of(&database.pools.worker, "alex@example.com").await;
        Self {
            world,
            database,
            alex,
            scope,
            log: Log::default(),
        }
    }

    fn worker(&self) -> Working {
        self.worker_of(10, Duration::from_secs(2))
    }

    fn worker_of(&self, max_concurrent: u16, lock_timeout: Duration) -> Working {
        let app = self.world.app().clone();
        let given = Given {
            app: app.clone(),
            log: self.log.clone(),
        };
        let mut settings = app::worker_settings(&app, &self.database);
        settings.settings.max_concurrent = max_concurrent;
        settings.settings.lock_timeout = lock_timeout;
        // Nothing here may depend on polling.
        settings.settings.poll_interval = Duration::from_secs(60);
        let stop = CancellationToken::new();
        let work =
            Worker::new(settings, registry(), given).run(stop.clone(), Duration::from_secs(5));
        Working {
            stop,
            handle: tokio::spawn(work),
        }
    }

    async fn enqueue<P: Payload>(&self, payload: &P) -> Uuid {
        self.enqueue_with(payload, Enqueue::default()).await
    }

    async fn enqueue_with<P: Payload>(&self, payload: &P, how: Enqueue) -> Uuid {
        let tasks = &self.world.app().tasks;
        let mut tx = self.scope.begin(&self.database.pools.worker).await.unwrap();
        let id = tasks.enqueue(&mut tx, payload, how).await.unwrap();
        tx.commit().await.unwrap();
        tasks.wake();
        id
    }

    async fn emit(&self, key: &str, value: &Value) -> bool {
        let tasks = &self.world.app().tasks;
        let mut tx = self.scope.begin(&self.database.pools.worker).await.unwrap();
        let first = tasks.emit(&mut tx, key, value).await.unwrap();
        tx.commit().await.unwrap();
        tasks.wake();
        first
    }

    async fn task(&self, id: Uuid) -> Value {
        self.alex.get(&format!("/api/tasks/{id}")).await.ok()
    }

    async fn until(&self, id: Uuid, state: &str) -> Value {
        eventually(&format!("the task is {state}"), async || {
            Some(self.task(id).await).filter(|task| task["state"] == state)
        })
        .await
    }
}

pub async fn scope_of(pool: &PgPool, email: &str) -> UserScope {
    let id = sqlx::query_scalar("select id from users where email = $1")
        .bind(email)
        .fetch_one(pool)
        .await
        .unwrap();
    UserScope::checked(id)
}

fn registry() -> Registry<Given> {
    Registry::default()
        .with::<Say>()
        .with::<Hold>()
        .with::<Appointment>()
        .with::<Clumsy>()
        .with::<Endless>()
        .with::<Resting>()
        .routine::<Nightly>()
}

/// Says something, after a while.
#[derive(Serialize, Deserialize)]
struct Say {
    what: String,
    millis: u64,
}

impl Payload for Say {
    const KIND: &'static str = "say";
}

impl Handler<Given> for Say {
    async fn run(self, context: Context<Given>) -> Result<Value, Failure> {
        context.app.log.add(&self.what);
        tokio::time::sleep(Duration::from_millis(self.millis)).await;
        Ok(json!(self.what))
    }
}

/// Bulk that takes its time, and says when it is asked to end.
#[derive(Serialize, Deserialize)]
struct Hold {}

impl Payload for Hold {
    const KIND: &'static str = "hold";
    const PRIORITY: Priority = Priority::Bulk;
}

impl Handler<Given> for Hold {
    async fn run(self, context: Context<Given>) -> Result<Value, Failure> {
        context.app.log.add("held");
        context.stop.cancelled().await;
        Err(Failure::LeaseLost)
    }
}

/// Proposes, waits for the answer or the end, confirms.
#[derive(Serialize, Deserialize)]
struct Appointment {
    key: String,
    wait_millis: i64,
}

impl Payload for Appointment {
    const KIND: &'static str = "appointment";
    const PRIORITY: Priority = Priority::Interactive;
}

impl Handler<Given> for Appointment {
    async fn run(self, context: Context<Given>) -> Result<Value, Failure> {
        let log = context.app.log.clone();
        let proposed: u32 = context
            .step("propose", async {
                log.add(format!("proposed {}", self.key));
                Ok(7)
            })
            .await?;
        let until = context.app.app.clock.now() + TimeDelta::milliseconds(self.wait_millis);
        let woken = context
            .wait(
                "answer",
                vec![self.key.clone(), "the-advisor-calls-it-off".to_owned()],
                until,
                Some(json!({"message_id": self.key})),
            )
            .await?;
        log.add(format!("went on {}", self.key));
        Ok(match woken {
            Woken::Event { key, value } => {
                json!({"proposed": proposed, "key": key, "value": value})
            }
            Woken::TimedOut => json!({"proposed": proposed, "timed_out": true}),
        })
    }
}

/// Panics, before or after its first step, until it has been tried often enough.
#[derive(Serialize, Deserialize)]
struct Clumsy {
    falls: usize,
}

impl Payload for Clumsy {
    const KIND: &'static str = "clumsy";
}

impl Handler<Given> for Clumsy {
    async fn run(self, context: Context<Given>) -> Result<Value, Failure> {
        let log = context.app.log.clone();
        context
            .step("first", async {
                log.add("first step");
                Ok(())
            })
            .await?;
        log.add("try");
        assert!(log.count("try") > self.falls, "the clumsy one falls");
        Ok(Value::Null)
    }
}

#[derive(Serialize, Deserialize)]
struct Endless {}

impl Payload for Endless {
    const KIND: &'static str = "endless";
    const MAX_ATTEMPTS: i32 = 1;
    const TIME_LIMIT: Duration = Duration::from_millis(200);
}

impl Handler<Given> for Endless {
    fn run(self, _: Context<Given>) -> impl Future<Output = Result<Value, Failure>> + Send {
        std::future::pending()
    }
}

/// Isn't ready the first two times.
#[derive(Serialize, Deserialize)]
struct Resting {}

impl Payload for Resting {
    const KIND: &'static str = "resting";
    const MAX_ATTEMPTS: i32 = 1;
}

impl Handler<Given> for Resting {
    async fn run(self, context: Context<Given>) -> Result<Value, Failure> {
        context.app.log.add("asked");
        if context.app.log.count("asked") < 3 {
            return Err(Failure::Again(Duration::from_millis(100)));
        }
        Ok(Value::Null)
    }
}

struct Nightly;

impl Routine<Given> for Nightly {
    const NAME: &'static str = "nightly";
    const CRON: &'static str = "0 3 * * *";

    async fn run(context: RoutineContext<Given>) -> Result<Value, Failure> {
        context.app.log.add("nightly");
        Ok(Value::Null)
    }
}

fn appointment(key: &str, wait_millis: i64) -> Appointment {
    Appointment {
        key: key.to_owned(),
        wait_millis,
    }
}

const DAY_MILLIS: i64 = 86_400_000;

#[tokio::test]
async fn a_task_sleeps_until_its_event_and_goes_on_where_it_was() {
    let shop = Workshop::open().await;
    let worker = shop.worker();
    let id = shop.enqueue(&appointment("reply-1", 3 * DAY_MILLIS)).await;
    let waiting = shop.until(id, "waiting").await;
    assert_eq!(waiting["waiting_on"]["message_id"], "reply-1");
    // A deploy later.
    worker.stop().await;
    let _worker = shop.worker();
    assert!(shop.emit("reply-1", &json!({"when": "Tuesday"})).await);
    assert!(!shop.emit("reply-1", &json!({"when": "Friday"})).await);
    let done = shop.until(id, "done").await;
    assert_eq!(
        done["result"],
        json!({"proposed": 7, "key": "reply-1", "value": {"when": "Tuesday"}})
    );
    assert_eq!(done["waiting_on"], Value::Null);
    assert_eq!(shop.log.lines(), ["proposed reply-1", "went on reply-1"]);
}

#[tokio::test]
async fn a_wait_that_nobody_answers_ends_when_the_clock_says_so() {
    let shop = Workshop::open().await;
    let _worker = shop.worker();
    let id = shop.enqueue(&appointment("reply-2", 3 * DAY_MILLIS)).await;
    shop.until(id, "waiting").await;
    let app = shop.world.app();
    app.clock.advance(TimeDelta::days(3));
    app.tasks.clock_moved();
    let done = shop.until(id, "done").await;
    assert_eq!(done["result"], json!({"proposed": 7, "timed_out": true}));
    // Too late to wake anybody.
    shop.emit("reply-2", &Value::Null).await;
    assert_eq!(shop.log.count("went on reply-2"), 1);
}

#[tokio::test]
async fn what_happened_before_the_wait_ends_it_at_once() {
    let shop = Workshop::open().await;
    shop.emit("the-advisor-calls-it-off", &json!(true)).await;
    let _worker = shop.worker();
    let id = shop.enqueue(&appointment("reply-3", DAY_MILLIS)).await;
    let done = shop.until(id, "done").await;
    assert_eq!(done["result"]["key"], "the-advisor-calls-it-off");
}

#[tokio::test]
async fn of_128_races_between_waiting_and_telling_none_is_lost() {
    let shop = Workshop::open().await;
    let _workers = [shop.worker(), shop.worker()];
    let keys: Vec<String> = (0..128).map(|number| format!("race-{number}")).collect();
    let mut ids = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        // Some of them time out just when they are told.
        let wait = if number % 4 == 0 { 300 } else { DAY_MILLIS };
        ids.push(shop.enqueue(&appointment(key, wait)).await);
        if number >= 8 {
            shop.emit(&keys[number - 8], &json!(number)).await;
        }
    }
    for key in &keys[120..] {
        shop.emit(key, &Value::Null).await;
    }
    for id in ids {
        shop.until(id, "done").await;
    }
    for key in keys {
        assert_eq!(shop.log.count(&format!("proposed {key}")), 1);
        assert_eq!(shop.log.count(&format!("went on {key}")), 1);
    }
}

#[tokio::test]
async fn a_panic_is_tried_again_without_its_recorded_steps() {
    let shop = Workshop::open().await;
    let _worker = shop.worker();
    let clumsy = shop.enqueue(&Clumsy { falls: 1 }).await;
    let say = |what: &str| Say {
        what: what.to_owned(),
        millis: 0,
    };
    let other = shop.enqueue(&say("undisturbed")).await;
    shop.until(other, "done").await;
    let done = shop.until(clumsy, "done").await;
    assert_eq!(done["attempts"], 2);
    assert_eq!(shop.log.count("first step"), 1);
    assert_eq!(shop.log.count("try"), 2);
}

#[tokio::test]
async fn what_can_not_be_done_fails_visibly_and_can_be_retried() {
    let shop = Workshop::open().await;
    shop.world.expect_failures();
    let _worker = shop.worker_of(10, Duration::from_secs(1));
    let endless = shop.enqueue(&Endless {}).await;
    // As an older version might have written it, and a newer one.
    let mut tx = shop.scope.begin(&shop.database.pools.worker).await.unwrap();
    for (number, kind) in [(1, "say"), (2, "telepathy")] {
        sqlx::query(
            "insert into tasks (public_id, user_id, kind, payload, state, priority, turn, run_at,
                max_attempts, created_at)
            values ($1, $2, $3, '{\"words\": 3}', 1, 10, 1, now(), 5, now())",
        )
        .bind(Uuid::from_u128(number))
        .bind(tx.user_id())
        .bind(kind)
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    shop.world.app().tasks.wake();
    for (id, says) in [
        (endless, "time limit"),
        (Uuid::from_u128(1), "payload"),
        (Uuid::from_u128(2), "no running program knows"),
    ] {
        let failed = shop.until(id, "failed").await;
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains(says), "{error}");
        let again = shop
            .alex
            .post(&format!("/api/tasks/{id}/retry"), &json!({}))
            .await;
        assert_eq!(again.status, 202);
    }
    // They live on.
    let say = Say {
        what: "alive".to_owned(),
        millis: 0,
    };
    let alive = shop.enqueue(&say).await;
    shop.until(alive, "done").await;
}

#[tokio::test]
async fn again_at_spends_no_attempt() {
    let shop = Workshop::open().await;
    let _worker = shop.worker();
    let id = shop.enqueue(&Resting {}).await;
    let done = shop.until(id, "done").await;
    assert_eq!(
        (done["attempts"].as_i64(), shop.log.count("asked")),
        (Some(1), 3)
    );
}

#[tokio::test]
async fn the_same_work_is_queued_once_and_runs_again_when_asked_for_meanwhile() {
    let shop = Workshop::open().await;
    let once = || Enqueue {
        unique_key: Some("x".to_owned()),
        ..Enqueue::default()
    };
    let say = Say {
        what: "looked".to_owned(),
        millis: 300,
    };
    let first = shop.enqueue_with(&say, once()).await;
    assert_eq!(shop.enqueue_with(&say, once()).await, first);
    let _worker = shop.worker();
    eventually("it runs", async || {
        (shop.log.count("looked") == 1).then_some(())
    })
    .await;
    assert_eq!(shop.enqueue_with(&say, once()).await, first);
    shop.until(first, "done").await;
    assert_eq!(shop.log.count("looked"), 2);
    assert_ne!(shop.enqueue_with(&say, once()).await, first);
}

#[tokio::test]
async fn scheduled_work_waits_for_its_time() {
    let shop = Workshop::open().await;
    let _worker = shop.worker();
    let app = shop.world.app();
    let tomorrow = Enqueue {
        run_at: Some(app.clock.now() + TimeDelta::days(1)),
        ..Enqueue::default()
    };
    let say = |what: &str| Say {
        what: what.to_owned(),
        millis: 0,
    };
    let later = shop.enqueue_with(&say("later"), tomorrow).await;
    let soon = Enqueue {
        run_at: Some(app.clock.now() + TimeDelta::milliseconds(400)),
        ..Enqueue::default()
    };
    let soon = shop.enqueue_with(&say("soon"), soon).await;
    shop.until(soon, "done").await;
    assert_eq!(shop.task(later).await["state"], "pending");
    app.clock.advance(TimeDelta::days(1));
    app.tasks.clock_moved();
    shop.until(later, "done").await;
    assert_eq!((shop.log.count("soon"), shop.log.count("later")), (1, 1));
}

#[tokio::test]
async fn recurring_work_runs_once_a_due_time_over_all_instances() {
    let shop = Workshop::open().await;
    let app = shop.world.app();
    // Clear of the due time, whatever the time of day.
    let workers = [shop.worker(), shop.worker(), shop.worker()];
    let seen = async || {
        sqlx::query_scalar::<_, i64>("select count(*) from task_schedules where name = 'nightly'")
            .fetch_one(&shop.database.pools.worker)
            .await
            .unwrap()
    };
    eventually("the schedule is known", async || {
        (seen().await == 1).then_some(())
    })
    .await;
    assert_eq!(shop.log.count("nightly"), 0);
    for night in 1..=3 {
        app.clock.advance(TimeDelta::days(1));
        // Each of them looks.
        for _ in &workers {
            app.tasks.clock_moved();
            tokio::task::yield_now().await;
        }
        eventually("the night's run", async || {
            (shop.log.count("nightly") >= night).then_some(())
        })
        .await;
    }
    // Nights in which nothing ran are made up for by one.
    for worker in workers {
        worker.stop().await;
    }
    app.clock.advance(TimeDelta::days(5));
    let _worker = shop.worker();
    eventually("the missed run", async || {
        (shop.log.count("nightly") >= 4).then_some(())
    })
    .await;
    let say = Say {
        what: "after".to_owned(),
        millis: 0,
    };
    shop.enqueue(&say).await;
    eventually("what came after", async || {
        (shop.log.count("after") == 1).then_some(())
    })
    .await;
    assert_eq!(shop.log.count("nightly"), 4);
}

#[tokio::test]
async fn one_users_thousand_do_not_delay_anothers_one() {
    let shop = Workshop::open().await;
    let app = shop.world.app();
    let payloads: Vec<_> = (0..1000)
        .map(|_| Say {
            what: "bob".to_owned(),
            millis: 2,
        })
        .collect();
    let mut tx = shop.scope.begin(&shop.database.pools.worker).await.unwrap();
    app.tasks.enqueue_all(&mut tx, &payloads).await.unwrap();
    tx.commit().await.unwrap();
    let _worker = shop.worker_of(5, Duration::from_secs(5));
    eventually("half of them ran", async || {
        (shop.log.count("bob") > 300).then_some(())
    })
    .await;

    shop.world.advisor("alice").await;
    let alice = scope_of(&shop.database.pools.worker, "alice@example.com").await;
    let mut tx = alice.begin(&shop.database.pools.worker).await.unwrap();
    let say = Say {
        what: "alice".to_owned(),
        millis: 0,
    };
    app.tasks
        .enqueue(&mut tx, &say, Enqueue::default())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let before = shop.log.lines().len();
    app.tasks.wake();
    eventually("hers ran", async || {
        (shop.log.count("alice") == 1).then_some(())
    })
    .await;
    let at = shop
        .log
        .lines()
        .iter()
        .position(|line| line == "alice")
        .unwrap();
    // What was running or in hand when she came, and what was claimed while her claim was under way.
    assert!(
        at - before <= 2 * 2 * 5,
        "{} of bob's went before hers",
        at - before
    );
}

#[tokio::test]
async fn long_bulk_work_leaves_slots_for_what_somebody_waits_for() {
    let shop = Workshop::open().await;
    let worker = shop.worker_of(4, Duration::from_secs(5));
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(shop.enqueue(&Hold {}).await);
    }
    eventually("bulk runs", async || {
        (shop.log.count("held") == 2).then_some(())
    })
    .await;
    let say = Say {
        what: "ordinary".to_owned(),
        millis: 0,
    };
    let id = shop.enqueue(&say).await;
    shop.until(id, "done").await;
    assert_eq!(shop.log.count("held"), 2);

    // A stop in order gives everything back at once, and no attempt is spent.
    worker.stop().await;
    for id in held {
        let task = shop.task(id).await;
        assert_eq!(
            (&task["state"], &task["attempts"]),
            (&json!("pending"), &json!(0))
        );
    }
}

#[tokio::test]
async fn what_ends_while_the_worker_stops_is_done_and_not_done_again() {
    let shop = Workshop::open().await;
    for round in 1..=20 {
        let worker = shop.worker();
        let say = Say {
            what: "once".to_owned(),
            millis: 20,
        };
        let id = shop.enqueue(&say).await;
        eventually("it runs", async || {
            (shop.log.count("once") == round).then_some(())
        })
        .await;
        worker.stop().await;
        assert_eq!(shop.task(id).await["state"], "done");
    }
    assert_eq!(shop.log.count("once"), 20);
}

#[tokio::test]
async fn a_dead_workers_task_is_taken_over_when_its_lease_ends() {
    let shop = Workshop::open().await;
    let worker = shop.worker_of(4, Duration::from_secs(1));
    let id = shop.enqueue(&Hold {}).await;
    eventually("it runs", async || {
        (shop.log.count("held") == 1).then_some(())
    })
    .await;
    drop(worker);
    let began = Utc::now();
    let _worker = shop.worker_of(4, Duration::from_secs(1));
    eventually("another runs it", async || {
        (shop.log.count("held") == 2).then_some(())
    })
    .await;
    assert!(Utc::now() - began < TimeDelta::seconds(10));
    assert_eq!(shop.task(id).await["attempts"], 2);
    let cancelled = shop
        .alex
        .post(&format!("/api/tasks/{id}/cancel"), &json!({}))
        .await;
    assert_eq!(cancelled.status, 202);
    shop.until(id, "cancelled").await;
}

#[tokio::test]
async fn events_of_one_user_do_not_wake_anothers_tasks() {
    let shop = Workshop::open().await;
    let _worker = shop.worker();
    let id = shop.enqueue(&appointment("shared-name", DAY_MILLIS)).await;
    shop.until(id, "waiting").await;
    shop.world.advisor("mallory").await;
    let mallory = scope_of(&shop.database.pools.worker, "mallory@example.com").await;
    let app = shop.world.app();
    let mut tx = mallory.begin(&shop.database.pools.worker).await.unwrap();
    assert!(
        app.tasks
            .emit(&mut tx, "shared-name", &json!("evil"))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    app.tasks.wake();
    shop.emit("shared-name", &json!("good")).await;
    let done = shop.until(id, "done").await;
    assert_eq!(done["result"]["value"], "good");
}
