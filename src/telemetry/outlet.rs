//! The way out for reports and traces: over the program's one HTTP client, bounded in time and number.
//!
//! Whoever receives them may be away, slow or full: that costs a line in the log, once, and what
//! couldn't be sent. May not know: what is sent.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// From connecting to the reply's last byte.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Requests under way; beyond it nothing more is sent.
const AT_ONCE: u32 = 32;
/// When it asks for a pause and doesn't say how long, and the longest that it is believed.
const PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The way to one receiver; cheap to clone.
#[derive(Clone)]
pub struct Outlet(Arc<Inner>);

struct Inner {
    to: &'static str,
    http: reqwest::Client,
    runtime: Handle,
    room: Arc<Semaphore>,
    away: AtomicBool,
    quiet_until: Mutex<Option<Instant>>,
}

/// What became of a request; a receiver's words are of no use to us.
pub type Sent = Result<StatusCode, String>;

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outlet({})", self.0.to)
    }
}

impl Outlet {
    pub fn new(to: &'static str, http: reqwest::Client, runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            to,
            http,
            runtime,
            room: Arc::new(Semaphore::new(AT_ONCE as usize)),
            away: AtomicBool::new(false),
            quiet_until: Mutex::default(),
        }))
    }

    pub fn post(&self, url: &str, body: impl Into<Bytes>) -> RequestBuilder {
        self.0.http.post(url).body(body.into())
    }

    /// Sends from any thread, or gives up at once where too much is under way or the receiver asked for
    /// a pause.
    pub fn send(&self, request: RequestBuilder) -> Option<JoinHandle<Sent>> {
        let quiet = *self.quiet_until();
        if quiet.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let place = Arc::clone(&self.0.room).try_acquire_owned().ok()?;
        let outlet = self.clone();
        Some(self.0.runtime.spawn(async move {
            let sent = outlet.exchange(request).await;
            outlet.note(&sent);
            drop(place);
            sent
        }))
    }

    async fn exchange(&self, request: RequestBuilder) -> Sent {
        let reply = async {
            let mut response = request.timeout(TIME_LIMIT).send().await?;
            let status = response.status();
            if status == StatusCode::TOO_MANY_REQUESTS {
                let asked = response.headers().get(RETRY_AFTER);
                let seconds = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let pause = seconds
                    .map_or(PAUSE, Duration::from_secs)
                    .min(LONGEST_PAUSE);
                *self.quiet_until() = Some(Instant::now() + pause);
            }
            // Read to its end, so that the connection is used again.
            while response.chunk().await?.is_some() {}
            Ok::<_, reqwest::Error>(status)
        };
        reply.await.map_err(|error| {
            if error.is_timeout() {
                "no answer in time".to_owned()
            } else {
                error.without_url().to_string()
            }
        })
    }

    /// Says when it goes away and when it is back, and nothing in between.
    fn note(&self, sent: &Sent) {
        let problem = match sent {
            Ok(status) if status.is_success() => None,
            Ok(status) => Some(format!("status {}", status.as_u16())),
            Err(error) => Some(error.clone()),
        };
        let was_away = self.0.away.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(error) if !was_away => {
                tracing::warn!(
                    to = self.0.to,
                    error,
                    "can't be delivered; it is dropped, and nothing else is affected"
                );
            }
            None if was_away => tracing::info!(to = self.0.to, "is delivered again"),
            _ => {}
        }
    }

    fn quiet_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing is under way; never on a thread of the runtime.
    pub fn drained(&self, limit: Duration) -> bool {
        let room = Arc::clone(&self.0.room);
        self.0
            .runtime
            .block_on(async { tokio::time::timeout(limit, room.acquire_many(AT_ONCE)).await })
            .is_ok()
    }
}
