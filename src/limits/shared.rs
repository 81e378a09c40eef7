//! How often, counted by all instances together in one Redis or Valkey.
//!
//! A request waits for it [`PATIENCE`] at most. When it is away each instance counts for itself, which is
//! said once in the log and shown by a metric; `keep` looks every second whether it is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use tokio_util::sync::CancellationToken;

use super::{Key, Limit, Refused};
use crate::config;
use crate::secret::Secret;
use crate::telemetry::Metrics;

/// Far above a round trip to a server nearby, far below what a user notices.
const PATIENCE: Duration = Duration::from_millis(50);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const MICROSECONDS_A_MINUTE: u32 = 60_000_000;

pub(super) struct Shared {
    connection: ConnectionManager,
    script: Script,
    /// For each limit that is on, a minute's worth.
    limits: Vec<(Limit, u32)>,
    is_there: AtomicBool,
    metrics: Metrics,
}

impl Shared {
    /// Connects when it is first asked.
    pub fn new(
        url: &Secret<String>,
        settings: &config::Limits,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let manager = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(BETWEEN_LOOKS))
            .set_response_timeout(Some(BETWEEN_LOOKS));
        let client = Client::open(url.expose().as_str())?;
        let limits = Limit::ALL
            .into_iter()
            .filter_map(|limit| Some((limit, limit.per_minute(settings)?.get())));
        // Until the first look says otherwise.
        metrics.shared_limits_away(true);
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, manager)?,
            script: Script::new(include_str!("shared.lua")),
            limits: limits.collect(),
            is_there: AtomicBool::new(false),
            metrics: metrics.clone(),
        })
    }

    /// What the server decides; none when it can't be asked.
    pub async fn take(&self, asked: &[(Limit, Key)]) -> Option<Result<(), Refused>> {
        if !self.is_there.load(Ordering::Relaxed) {
            return None;
        }
        let mut call = self.script.prepare_invoke();
        let mut called = Vec::with_capacity(asked.len());
        for (limit, key) in asked {
            let Some((_, per_minute)) = self.limits.iter().find(|(one, _)| one == limit) else {
                continue;
            };
            call.key(name(*limit, *key))
                .arg(MICROSECONDS_A_MINUTE / per_minute)
                .arg(*per_minute);
            called.push(*limit);
        }
        if called.is_empty() {
            return Some(Ok(()));
        }
        let mut connection = self.connection.clone();
        let asking = call.invoke_async::<(usize, u64)>(&mut connection);
        let (refuses, wait) = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(decided)) => decided,
            Ok(Err(error)) => {
                self.has_gone(error.category());
                return None;
            }
            Err(_) => {
                self.has_gone("no answer in time");
                return None;
            }
        };
        let refuses = refuses.checked_sub(1).and_then(|limit| called.get(limit));
        Some(refuses.map_or(Ok(()), |limit| {
            Err(Refused {
                limit: *limit,
                wait: Duration::from_micros(wait),
            })
        }))
    }

    /// Looks whether it is there, until the end.
    pub async fn keep(&self, stopping: &CancellationToken) {
        loop {
            if !self.is_there.load(Ordering::Relaxed) {
                self.look().await;
            }
            tokio::select! {
                () = tokio::time::sleep(BETWEEN_LOOKS) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    async fn look(&self) {
        let mut connection = self.connection.clone();
        let asked = redis::cmd("PING").query_async::<()>(&mut connection).await;
        match asked {
            Ok(()) => {
                if !self.is_there.swap(true, Ordering::Relaxed) {
                    self.metrics.shared_limits_away(false);
                    tracing::info!("limits are counted by all instances together");
                }
            }
            Err(error) => tracing::debug!(
                why = error.category(),
                "the server of the shared limits is still away"
            ),
        }
    }

    fn has_gone(&self, why: &str) {
        if self.is_there.swap(false, Ordering::Relaxed) {
            self.metrics.shared_limits_away(true);
            tracing::warn!(
                why,
                "the server of the shared limits is away: each instance counts for itself"
            );
        }
    }
}

/// In braces what a cluster places by, so that the limits of one request are asked in one place.
fn name(limit: Limit, key: Key) -> String {
    let limit = limit.label();
    match key {
        Key::All => format!("{{paraplanner:limits}}:{limit}"),
        Key::User(id) => format!("{{paraplanner:limits}}:{limit}:{id}"),
        Key::Network(network) => format!("{{paraplanner:limits}}:{limit}:{network}"),
        Key::Crowd(crowd) => format!("{{paraplanner:limits}}:{limit}:crowd:{crowd}"),
    }
}
