//! The queue's statements against a model: random claims, renewals, crashes, rescues, cancellations
//! and endings by several instances, some of them by workers that have been replaced. The seed is
//! printed; `QUEUE_SEED` repeats a run.

use std::collections::HashMap;
use std::time::Duration;

use paraplanner::clock::Clock;
use paraplanner::tasks::{
    Claimed, Ended, Ending, Enqueue, Keep, Lease, Payload, Queue, Room, Wait,
};
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::queue::Workshop;

const STEPS: usize = 600;
const LOCK: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Thing {}

impl Payload for Thing {
    const KIND: &'static str = "thing";
    const MAX_ATTEMPTS: i32 = 1000;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model {
    /// Ready, scheduled or waiting: nobody's.
    Idle,
    Held(Lease),
    Ended,
}

struct Run {
    shop: Workshop,
    queue: Queue,
    random: ChaCha8Rng,
    instances: Vec<i32>,
    tasks: HashMap<Uuid, Model>,
    /// Every lease ever given, for writes by workers that were replaced.
    leases: Vec<(Uuid, Lease)>,
    /// The highest fence seen of each task.
    fences: HashMap<Uuid, i32>,
    events: usize,
}

#[tokio::test]
async fn no_sequence_of_claims_crashes_and_endings_loses_or_doubles_a_task() {
    let seed = std::env::var("QUEUE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("QUEUE_SEED={seed}");
    let shop = Workshop::open().await;
    let keep = Keep {
        done_days: 7,
        failed_days: 30,
    };
    let queue = Queue::new(shop.database.queue.clone(), Clock::default(), keep);
    let mut run = Run {
        shop,
        queue,
        random: ChaCha8Rng::seed_from_u64(seed),
        instances: Vec::new(),
        tasks: HashMap::new(),
        leases: Vec::new(),
        fences: HashMap::new(),
        events: 0,
    };
    for _ in 0..3 {
        run.join().await;
    }
    for _ in 0..STEPS {
        match run.random.random_range(0..100) {
            0..20 => run.enqueue().await,
            20..50 => run.claim().await,
            50..75 => run.finish(true).await,
            75..82 => run.finish(false).await,
            82..86 => run.renew().await,
            86..90 => run.crash().await,
            90..94 => run.rescue().await,
            94..97 => run.cancel().await,
            _ => run.emit().await,
        }
    }
    run.drain().await;
}

impl Run {
    async fn join(&mut self) {
        let instance = self.queue.join(LOCK).await.unwrap();
        self.instances.push(instance);
    }

    async fn enqueue(&mut self) {
        let tasks = &self.shop.world.app().tasks;
        let mut tx = self
            .shop
            .scope
            .begin(&self.shop.database.pools.worker)
            .await
            .unwrap();
        let id = tasks
            .enqueue(&mut tx, &Thing {}, Enqueue::default())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert!(self.tasks.insert(id, Model::Idle).is_none());
    }

    async fn claim(&mut self) {
        let instance = *self.instances.choose(&mut self.random).unwrap();
        let limit = self.random.random_range(1..5);
        let kinds = [Thing::KIND.to_owned()];
        let claimed = self
            .queue
            .claim(instance, &kinds, Room::of(limit), [0; 3])
            .await
            .unwrap();
        assert!(claimed.len() <= usize::try_from(limit).unwrap());
        for task in claimed {
            self.note(&task);
        }
    }

    fn note(&mut self, task: &Claimed) {
        let model = self.tasks.get_mut(&task.public_id).unwrap();
        assert_eq!(*model, Model::Idle, "a held or ended task was claimed");
        *model = Model::Held(task.lease());
        let highest = self.fences.entry(task.public_id).or_default();
        assert!(task.fence > *highest, "a fence was used twice");
        *highest = task.fence;
        self.leases.push((task.public_id, task.lease()));
    }

    /// By the holder, or by whoever held some task some time.
    async fn finish(&mut self, by_holder: bool) {
        let held: Vec<(Uuid, Lease)> = if by_holder {
            self.tasks
                .iter()
                .filter_map(|(id, model)| match model {
                    Model::Held(lease) => Some((*id, *lease)),
                    _ => None,
                })
                .collect()
        } else {
            self.leases.clone()
        };
        let count = self.random.random_range(1..4);
        let chosen: HashMap<Uuid, Lease> = held
            .choose_multiple(&mut self.random, count)
            .copied()
            .collect();
        let mut ended = Vec::new();
        let mut ids = Vec::new();
        for (id, lease) in chosen {
            let (ending, then) = match self.random.random_range(0..4) {
                0 => (
                    Ending::Again {
                        pause: Duration::ZERO,
                        error: Some("again".to_owned()),
                        spent: true,
                    },
                    Model::Idle,
                ),
                1 => (Ending::Wait(Box::new(self.wait(id))), Model::Idle),
                _ => (Ending::Done(json!("done")), Model::Ended),
            };
            ended.push(Ended { lease, ending });
            ids.push((id, lease, then));
        }
        let written = self.queue.finish(&ended).await.unwrap().ids;
        for (id, lease, then) in ids {
            let holds = self.tasks[&id] == Model::Held(lease);
            assert_eq!(written.contains(&lease.id), holds, "the fence decides");
            if holds {
                self.tasks.insert(id, then);
            }
        }
        // Again, as after a lost reply: nothing more happens.
        let repeated = self.queue.finish(&ended).await.unwrap().ids;
        assert!(repeated.is_empty());
    }

    fn wait(&self, id: Uuid) -> Wait {
        let app = self.shop.world.app();
        Wait {
            user_id: self.shop.scope.user_id(),
            name: format!("wait {id} {}", self.leases.len()),
            on: vec![format!("event {}", self.events)],
            until: app.clock.now() + chrono::TimeDelta::days(1),
            shown: None,
        }
    }

    async fn emit(&mut self) {
        let key = format!("event {}", self.events);
        self.events += 1;
        let tasks = &self.shop.world.app().tasks;
        let mut tx = self
            .shop
            .scope
            .begin(&self.shop.database.pools.worker)
            .await
            .unwrap();
        tasks.emit(&mut tx, &key, &Value::Null).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn renew(&mut self) {
        let instance = *self.instances.choose(&mut self.random).unwrap();
        assert!(self.queue.renew(instance, LOCK).await.unwrap());
    }

    /// An instance dies, and a new one joins.
    async fn crash(&mut self) {
        let place = self.random.random_range(0..self.instances.len());
        let instance = self.instances.swap_remove(place);
        sqlx::query("update instances set lease_until = now() - interval '1 second' where id = $1")
            .bind(instance)
            .execute(&self.shop.database.queue)
            .await
            .unwrap();
        assert!(!self.queue.renew(instance, LOCK).await.unwrap());
        self.join().await;
    }

    async fn rescue(&mut self) {
        self.queue.rescue().await.unwrap();
        // What is still running has a living instance; everything else is nobody's again.
        let running: Vec<(Uuid, i32)> =
            sqlx::query_as("select public_id, instance_id from tasks where state = 2")
                .fetch_all(&self.shop.database.queue)
                .await
                .unwrap();
        assert!(running.iter().all(|(_, by)| self.instances.contains(by)));
        let running: Vec<Uuid> = running.into_iter().map(|(id, _)| id).collect();
        for (id, model) in &mut self.tasks {
            if matches!(model, Model::Held(_)) && !running.contains(id) {
                *model = Model::Idle;
            }
        }
    }

    async fn cancel(&mut self) {
        let mut ids: Vec<Uuid> = self.tasks.keys().copied().collect();
        ids.sort_unstable();
        let Some(id) = ids.choose(&mut self.random) else {
            return;
        };
        let reply = self
            .shop
            .alex
            .post(&format!("/api/tasks/{id}/cancel"), &json!({}))
            .await;
        let expected = if self.tasks[id] == Model::Ended {
            409
        } else {
            202
        };
        assert_eq!(reply.status, expected);
        self.tasks.insert(*id, Model::Ended);
    }

    /// In the end everything that was begun ends, once.
    async fn drain(&mut self) {
        while !self.queue.is_drained().await.unwrap() {
            self.emit().await;
            self.crash().await;
            self.rescue().await;
            // What a second crash put off.
            sqlx::query("update tasks set run_at = now() where state = 0")
                .execute(&self.shop.database.queue)
                .await
                .unwrap();
            self.queue.move_due().await.unwrap();
            let kinds = [Thing::KIND.to_owned()];
            let claimed = self
                .queue
                .claim(self.instances[0], &kinds, Room::of(500), [0; 3])
                .await
                .unwrap();
            let ended: Vec<Ended> = claimed
                .iter()
                .map(|task| Ended {
                    lease: task.lease(),
                    ending: Ending::Done(Value::Null),
                })
                .collect();
            for task in &claimed {
                self.note(task);
            }
            let written = self.queue.finish(&ended).await.unwrap();
            assert_eq!(written.ids.len(), ended.len());
            for task in claimed {
                self.tasks.insert(task.public_id, Model::Ended);
            }
        }
        assert!(self.tasks.values().all(|model| *model == Model::Ended));
        let ended: i64 = sqlx::query_scalar("select count(*) from ended_tasks")
            .fetch_one(&self.shop.database.queue)
            .await
            .unwrap();
        assert_eq!(usize::try_from(ended).unwrap(), self.tasks.len());
    }
}
