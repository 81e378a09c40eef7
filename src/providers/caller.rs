//! What every call to Google and HubSpot goes through: the user's token, their quota, one time limit,
//! retries where repeating is safe, and a metric.
//!
//! A provider's module builds a [`Call`] and reads the [`Reply`]; how the provider words its errors it
//! tells by a function. Where the token comes from is the business of whoever implements
//! [`Credentials`]: nothing here knows a user or a database.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};
use futures::future::BoxFuture;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use rand::Rng as _;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

use super::{Error, Kind, http};
use crate::secret::Secret;
use crate::telemetry::{Metrics, spans};

/// One attempt, from connecting to the reply's last byte.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Tries of a call that may be repeated.
const TRIES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Asked to wait longer, we give the slot back and say until when.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// A mail of Gmail's largest size in base64, with room.
const BODY_LIMIT: usize = 64 << 20;

/// An access token as the header that carries it, and whose quota it uses.
#[derive(Clone)]
pub struct Bearer {
    header: HeaderValue,
    account: Arc<str>,
}

impl Bearer {
    /// `account` is a stable key of who shares a quota: a mailbox, a portal.
    pub fn new(token: &Secret<String>, account: &str) -> Result<Self, Error> {
        let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| Error::new(Kind::Nonsense, "the access token is no header value"))?;
        header.set_sensitive(true);
        Ok(Self {
            header,
            account: account.into(),
        })
    }

    /// Whether two are the same token.
    pub fn is(&self, other: &Self) -> bool {
        self.header == other.header
    }
}

/// Where a user's access token comes from.
pub trait Credentials: Send + Sync {
    /// A token to call with. `refused` is one that the provider has just answered with 401: another
    /// one, or `Unauthorized` when there is none to be had without the user.
    fn bearer<'a>(&'a self, refused: Option<&'a Bearer>) -> BoxFuture<'a, Result<Bearer, Error>>;

    /// A token that was just made is refused like the one before it: only the user can help.
    fn dead<'a>(&'a self, token: &'a Bearer) -> BoxFuture<'a, Result<(), Error>>;
}

/// Units of quota that an account may use up, kept in this process.
#[derive(Clone)]
pub struct Pace(Option<Limit>);

#[derive(Clone)]
struct Limit {
    limiter: Arc<DefaultKeyedRateLimiter<String>>,
    burst: NonZeroU32,
}

impl Pace {
    /// So many units a minute, of which the `parts`-th part at once; none means no limit.
    pub fn per_minute(units: Option<NonZeroU32>, parts: u32) -> Self {
        Self(units.map(|units| {
            let burst = NonZeroU32::new(units.get() / parts).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::per_minute(units).allow_burst(burst);
            Limit {
                limiter: Arc::new(RateLimiter::keyed(quota)),
                burst,
            }
        }))
    }

    /// A call that costs more than may be had at once takes it in several helpings.
    async fn wait(&self, account: &str, mut units: u32) {
        let Some(Limit { limiter, burst }) = &self.0 else {
            return;
        };
        let key = account.to_owned();
        while let Some(wanted) = NonZeroU32::new(units) {
            let helping = wanted.min(*burst);
            // It can't be more than the burst, which is all that is refused.
            let _ = limiter.until_key_n_ready(&key, helping).await;
            units -= helping.get();
        }
    }
}

/// Whether a call may be sent again when nobody knows what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Twice does no more than once.
    Safe,
    /// It acts: whoever calls asks the provider before trying again.
    Never,
}

/// A call to be made.
pub struct Call {
    /// For the metric: the provider's name for the method, such as `messages.list`.
    pub operation: &'static str,
    pub repeat: Repeat,
    /// In the provider's units of quota.
    pub cost: u32,
    /// Statuses beside 2xx that the caller reads itself.
    pub also: &'static [u16],
    pub request: RequestBuilder,
}

impl Call {
    /// A call that reads.
    pub const fn read(operation: &'static str, cost: u32, request: RequestBuilder) -> Self {
        Self {
            operation,
            repeat: Repeat::Safe,
            cost,
            also: &[],
            request,
        }
    }

    /// A call that acts.
    pub const fn act(operation: &'static str, cost: u32, request: RequestBuilder) -> Self {
        Self {
            operation,
            repeat: Repeat::Never,
            cost,
            also: &[],
            request,
        }
    }

    /// An acting call that does no more when it is made twice (an upsert, a replacement, a deletion).
    #[must_use]
    pub const fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Safe;
        self
    }

    /// Statuses that aren't errors to this caller.
    #[must_use]
    pub const fn also(mut self, statuses: &'static [u16]) -> Self {
        self.also = statuses;
        self
    }
}

/// A reply that the caller asked to see.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // The line and column tell enough; the text may hold a client's words.
            Error::new(
                Kind::Nonsense,
                format!(
                    "the reply isn't what was expected (line {}, column {})",
                    error.line(),
                    error.column()
                ),
            )
        })
    }
}

/// Reads a provider's error reply.
pub type ReadError = fn(StatusCode, &HeaderMap, &[u8]) -> Error;

/// The way to one provider; cheap to clone.
#[derive(Clone)]
pub struct Caller {
    pub http: reqwest::Client,
    metrics: Metrics,
    provider: &'static str,
    read_error: ReadError,
    pace: Pace,
}

impl Caller {
    pub const fn new(
        http: reqwest::Client,
        metrics: Metrics,
        provider: &'static str,
        pace: Pace,
        read_error: ReadError,
    ) -> Self {
        Self {
            http,
            metrics,
            provider,
            read_error,
            pace,
        }
    }

    /// Makes the call: with the user's token, a fresh one if the first is refused, again after a pause
    /// where that is safe.
    pub async fn send(&self, credentials: &dyn Credentials, call: Call) -> Result<Reply, Error> {
        if call.repeat == Repeat::Never {
            return self.authorized(credentials, &call).await;
        }
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_factor(2.0)
            .with_max_times(TRIES - 1);
        (|| self.authorized(credentials, &call))
            .retry(pauses)
            .when(|error: &Error| error.kind.is_passing())
            .adjust(|error: &Error, pause| {
                pause.and_then(|pause| match error.kind {
                    Kind::RateLimited {
                        retry_after: Some(asked),
                    } => (asked <= LONGEST_PAUSE)
                        .then(|| asked.max(pause.mul_f64(rand::rng().random_range(0.5..1.0)))),
                    // Full jitter: those who failed together don't come back together.
                    _ => Some(pause.mul_f64(rand::rng().random_range(0.0..1.0))),
                })
            })
            .await
    }

    async fn authorized(&self, credentials: &dyn Credentials, call: &Call) -> Result<Reply, Error> {
        let bearer = credentials.bearer(None).await?;
        self.pace.wait(&bearer.account, call.cost).await;
        match self.once(call, &bearer).await {
            Err(error) if error.kind == Kind::Unauthorized => {
                let fresh = credentials.bearer(Some(&bearer)).await?;
                let again = self.once(call, &fresh).await;
                if matches!(&again, Err(error) if error.kind == Kind::Unauthorized) {
                    credentials.dead(&fresh).await?;
                }
                again
            }
            other => other,
        }
    }

    async fn once(&self, call: &Call, bearer: &Bearer) -> Result<Reply, Error> {
        let started = Instant::now();
        let span = spans::call(self.provider, call.operation);
        let result = tokio::time::timeout(TIME_LIMIT, self.exchange(call, bearer))
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Ambiguous, "no answer in time")));
        let outcome = result.as_ref().map_or_else(|e| e.kind.label(), |_| "ok");
        self.metrics
            .provider_request(self.provider, call.operation, outcome, started.elapsed());
        spans::ended(&span, outcome);
        result
    }

    async fn exchange(&self, call: &Call, bearer: &Bearer) -> Result<Reply, Error> {
        let request = call
            .request
            .try_clone()
            .ok_or_else(|| Error::new(Kind::Invalid, "the request can't be sent twice"))?
            .header(AUTHORIZATION, bearer.header.clone());
        let response = request.send().await.map_err(http::transport)?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = http::body_within(response, BODY_LIMIT).await?;
        if status.is_success() || call.also.contains(&status.as_u16()) {
            return Ok(Reply {
                status,
                headers,
                body,
            });
        }
        Err((self.read_error)(status, &headers, &body))
    }
}
