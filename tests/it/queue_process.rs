//! The queue's promises with processes that are killed, frozen and outnumbered: the real binary,
//! `bench-queue`, and a server that counts.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use paraplanner::failpoint;
use rand::seq::IteratorRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use sqlx::Executor as _;

use crate::bench::{Bench, Drain, EffectServer, LOCK, Look, size};
use crate::server::TestDatabase;
use crate::world::eventually;

async fn bench() -> Bench {
    Bench {
        database: TestDatabase::create().await.url(),
    }
}

/// Processes that are alive during the storm; those with a fail point that must be reached are not
/// killed before they reach it, so there are always others.
const ALIVE: usize = 3;
const OWING: usize = 2;

/// Kills processes at random and at every fail point while they work.
struct Storm<'a> {
    bench: &'a Bench,
    server: &'a EffectServer,
    look: Look,
    random: ChaCha8Rng,
    alive: Vec<Victim>,
    /// Fail points at which nobody has died yet.
    owed: Vec<&'static str>,
    /// How many effects there shall be before each of the kills, the next one last.
    kills: Vec<usize>,
    loaded: usize,
    died_at_points: usize,
    overdue: Duration,
}

struct Victim {
    drain: Drain,
    point: Option<&'static str>,
}

impl Storm<'_> {
    async fn load(&mut self, count: usize) {
        self.bench
            .load(count, &["--effects", &self.server.url])
            .await;
        self.loaded += count;
    }

    async fn rage(&mut self) {
        let patience = Duration::from_secs(60) + Duration::from_millis(30 * self.loaded as u64);
        let began = Instant::now();
        while !(self.owed.is_empty() && self.kills.is_empty()) {
            assert!(began.elapsed() < patience, "the storm doesn't end");
            let drained = self.bury();
            if drained && self.server.total() >= self.loaded {
                // Fewer passings than some fail point wants: more of the same.
                self.load(200).await;
            }
            while self.alive.len() < ALIVE {
                self.start();
            }
            if self.kills.pop_if(|at| *at <= self.server.total()).is_some() {
                let pause = self.random.random_range(0..100);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                self.kill().await;
            }
            self.watch().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Takes note of who died at a fail point, and whether others ended because nothing is left.
    fn bury(&mut self) -> bool {
        let mut drained = false;
        let (owed, died) = (&mut self.owed, &mut self.died_at_points);
        self.alive.retain_mut(|victim| {
            let Some(ended) = victim.drain.ended() else {
                return true;
            };
            if ended.success() {
                drained = true;
            } else {
                assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()), "{ended}");
                let point = victim.point.unwrap();
                owed.retain(|name| *name != point);
                *died += 1;
            }
            false
        });
        drained
    }

    fn start(&mut self) {
        let owing = self.owing();
        let next = self.owed.iter().copied().find(|name| {
            let is_at_it = |victim: &Victim| victim.point == Some(*name);
            !self.alive.iter().any(is_at_it)
        });
        let point = if owing < OWING && next.is_some() {
            next
        } else if self.random.random_bool(0.3) {
            let paid = failpoint::QUEUE
                .iter()
                .copied()
                .filter(|name| !self.owed.contains(name));
            paid.choose(&mut self.random)
        } else {
            None
        };
        let at = point.map(|name| (name, self.random.random_range(1..=40)));
        let drain = self.bench.drain_until(self.loaded, at);
        self.alive.push(Victim { drain, point });
    }

    fn is_owing(&self, victim: &Victim) -> bool {
        victim.point.is_some_and(|name| self.owed.contains(&name))
    }

    fn owing(&self) -> usize {
        let owing = |victim: &&Victim| self.is_owing(victim);
        self.alive.iter().filter(owing).count()
    }

    async fn kill(&mut self) {
        let free: Vec<usize> = (0..self.alive.len())
            .filter(|at| !self.is_owing(&self.alive[*at]))
            .collect();
        let chosen = free.into_iter().choose(&mut self.random).unwrap();
        self.alive.swap_remove(chosen).drain.kill().await;
    }

    async fn watch(&mut self) {
        self.overdue = self.overdue.max(self.look.overdue().await);
    }
}

#[tokio::test]
async fn a_storm_of_kills_neither_loses_nor_doubles_an_effect() {
    let (tasks, kills) = (size("QUEUE_TASKS", 800), size("QUEUE_KILLS", 10));
    let seed = size("QUEUE_SEED", 7);
    println!("QUEUE_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
    let (bench, server) = (bench().await, EffectServer::start().await);
    let mut at: Vec<usize> = (0..kills)
        .map(|_| random.random_range(0..tasks * 9 / 10))
        .collect();
    at.sort_unstable_by(|one, other| other.cmp(one));
    let mut storm = Storm {
        look: bench.look().await,
        bench: &bench,
        server: &server,
        random,
        alive: Vec::new(),
        owed: failpoint::QUEUE.to_vec(),
        kills: at,
        loaded: 0,
        died_at_points: 0,
        overdue: Duration::ZERO,
    };
    let began = Instant::now();
    storm.load(tasks).await;
    storm.rage().await;
    for victim in std::mem::take(&mut storm.alive) {
        victim.drain.kill().await;
    }

    let calm = Instant::now();
    let mut last = bench.drain(storm.loaded);
    let ended = loop {
        storm.watch().await;
        if let Some(ended) = last.ended() {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(ended.success(), "{ended}");
    let Storm {
        mut look,
        loaded,
        died_at_points,
        overdue,
        ..
    } = storm;
    println!(
        "{loaded} tasks, {kills} kills and {died_at_points} at fail points in {:?}, the last drain {:?}; \
         {} attempts repeated, {} effects found done, overdue at most {overdue:?}",
        began.elapsed(),
        calm.elapsed(),
        look.repeated().await,
        server.found(),
    );
    server.each_once(loaded);
    look.all_done(loaded).await;
    look.all_effects_done(loaded).await;
    // A lease ends at the latest one lock timeout after the kill, and here the rest of the two is counted.
    assert!(
        overdue <= LOCK,
        "a task was stuck: {overdue:?} after its lease"
    );
}

#[tokio::test]
async fn a_worker_frozen_past_its_lease_repeats_nothing_when_it_thaws() {
    const TASKS: usize = 60;
    let (bench, server) = (bench().await, EffectServer::start().await);
    bench.load(TASKS, &["--effects", &server.url]).await;
    server.hold(true);
    let frozen = bench.drain(TASKS);
    let mut look = bench.look().await;
    // All that it has claimed waits for an answer, so that none is on its way when it freezes.
    eventually("effects are on their way", async || {
        let running = look
            .count("select count(*) from tasks where state = 2")
            .await;
        (running > 0 && server.total() == usize::try_from(running).unwrap()).then_some(())
    })
    .await;
    let begun = server.total();
    frozen.signal(Signal::STOP);
    server.hold(false);
    assert_eq!(bench.drain(TASKS).ran().await, TASKS as u64);
    assert!(look.instances().await == 0, "the frozen one has no lease");
    assert_eq!(server.found(), begun);

    frozen.signal(Signal::CONT);
    assert_eq!(frozen.ran().await, 0);
    server.each_once(TASKS);
    look.all_done(TASKS).await;
    look.all_effects_done(TASKS).await;
    assert_eq!(usize::try_from(look.repeated().await).unwrap(), begun);
}

#[tokio::test]
async fn a_worker_frozen_in_a_transaction_does_not_keep_its_tasks() {
    const TASKS: usize = 60;
    let (bench, server) = (bench().await, EffectServer::start().await);
    bench.load(TASKS, &["--effects", &server.url]).await;
    // Holds it in the transaction that plans an effect, which has locked the task's row.
    let mut gate = bench.look().await;
    gate.connection
        .execute("begin; lock table effects in exclusive mode")
        .await
        .unwrap();
    let frozen = bench.drain(TASKS);
    let mut look = bench.look().await;
    eventually("it plans an effect", async || {
        let waiting = look
            .count(
                "select count(*) from pg_locks where not granted and relation = 'effects'::regclass",
            )
            .await;
        (waiting > 0).then_some(())
    })
    .await;
    frozen.signal(Signal::STOP);
    gate.connection.execute("commit").await.unwrap();

    let mut other = bench.drain(TASKS);
    let mut overdue = Duration::ZERO;
    eventually("the others go on without it", async || {
        overdue = overdue.max(look.overdue().await);
        other.ended()
    })
    .await;
    assert!(
        overdue <= LOCK,
        "a task was stuck: {overdue:?} after its lease"
    );

    frozen.signal(Signal::CONT);
    assert_eq!(frozen.ran().await, 0);
    server.each_once(TASKS);
    look.all_done(TASKS).await;
    look.all_effects_done(TASKS).await;
}

#[tokio::test]
async fn a_task_five_times_as_long_as_the_lock_timeout_runs_once() {
    let bench = bench().await;
    bench.load(1, &["--millis", "15000"]).await;
    let (one, other) = (bench.drain(1), bench.drain(1));
    let (one, other) = tokio::join!(one.ran(), other.ran());
    assert_eq!(one + other, 1);
    let mut look = bench.look().await;
    look.all_done(1).await;
    assert_eq!(look.repeated().await, 0);
}

#[tokio::test]
async fn three_instances_share_evenly_and_run_each_task_once() {
    let count = size("QUEUE_SHARED_TASKS", 6000);
    let bench = bench().await;
    // So long that nine slots each are the limit, not the machine's processors, which others use too.
    bench.load(count, &["--millis", "25"]).await;
    // The starting gun: nobody sees a task until all three have joined.
    let mut gun = bench.look().await;
    gun.connection
        .execute("begin; lock table tasks")
        .await
        .unwrap();
    let mut look = bench.look().await;
    let three = [(); 3].map(|()| bench.drain(count));
    eventually("three instances", async || {
        (look.instances().await == 3).then_some(())
    })
    .await;
    gun.connection.execute("commit").await.unwrap();

    let began = Instant::now();
    let mut shares = Vec::new();
    for drain in three {
        shares.push(usize::try_from(drain.ran().await).unwrap());
    }
    println!("{count} tasks in {:?}: {shares:?}", began.elapsed());
    assert_eq!(shares.iter().sum::<usize>(), count);
    for share in &shares {
        assert!(share.abs_diff(count / 3) * 5 <= count / 3, "{shares:?}");
    }
    look.all_done(count).await;
    assert_eq!(look.repeated().await, 0);
}
