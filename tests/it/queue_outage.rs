//! The queue while Postgres is killed under it.

use std::time::{Duration, Instant};

use crate::bench::{Bench, EffectServer, size};
use crate::outage::Outage;
use crate::world::eventually;

/// After which the worker must be back.
const BACK: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_database_that_crashes_under_load_and_returns_loses_nothing() {
    let tasks = size("QUEUE_OUTAGE_TASKS", 600);
    let away = Duration::from_secs(size("QUEUE_OUTAGE_SECS", 4) as u64);
    let mut outage = Outage::prepare().await;
    let database = outage.url();
    let (bench, server) = (Bench { database }, EffectServer::start().await);
    bench.load(tasks, &["--effects", &server.url]).await;
    let drain = bench.drain(tasks);
    eventually("it is at work", async || {
        (server.total() > tasks / 4).then_some(())
    })
    .await;

    outage.crash().await;
    let before = server.total();
    assert!(before < tasks, "it was done before the crash");
    tokio::time::sleep(away).await;
    outage.come_back().await;
    let back = Instant::now();
    // What was on its way may have arrived since; only the database lets a new one begin.
    let during = server.total();
    eventually("it goes on", async || {
        (server.total() > during).then_some(())
    })
    .await;
    let resumed = back.elapsed();

    drain.ran().await;
    println!(
        "{tasks} tasks, {before} before the crash, {during} when it was back after {away:?}; \
         resumed after {resumed:?}, ended after {:?}; {} effects found done",
        back.elapsed(),
        server.found(),
    );
    assert!(resumed <= BACK, "{resumed:?}");
    server.each_once(tasks);
    let mut look = bench.look().await;
    look.all_done(tasks).await;
    look.all_effects_done(tasks).await;
    drop(look);
    outage.end().await;
}
