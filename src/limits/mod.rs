//! Who may ask how often, and how much happens at once.
//!
//! *How often* (`rate`): requests by user, or by peer where nobody is signed in, and all together;
//! deliveries of providers; calls of the chat model. Counted in this process, or by all instances together
//! where `REDIS_URL` is set (`shared`). *How much at once* (`crowd`): each class of requests has its own
//! room, so that answers which take long can't take the place of deliveries that take none.
//!
//! Promises: memory is bounded whatever strangers send; whoever is refused is told when to come back; what
//! fails verification never uses up what verified deliveries may. May not know: what a request is about,
//! beyond its path's class.

mod crowd;
mod layer;
mod rate;
mod shared;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config;
use crate::db::UserId;
use crate::http::Problem;
use crate::http::peer::Peer;
use crate::telemetry::Metrics;

pub use crowd::{Class, Permit};
pub use layer::admit;

use crowd::Crowd;
use rate::Local;
use shared::Shared;

/// One look at a limit that others may free meanwhile.
const LONGEST_NAP: Duration = Duration::from_secs(5);

/// What is limited; its label in the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    User,
    Peer,
    Global,
    Webhooks,
    /// Deliveries that fail verification.
    Unverified,
    ModelUser,
    ModelGlobal,
}

impl Limit {
    const ALL: [Self; 7] = [
        Self::User,
        Self::Peer,
        Self::Global,
        Self::Webhooks,
        Self::Unverified,
        Self::ModelUser,
        Self::ModelGlobal,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Peer => "peer",
            Self::Global => "global",
            Self::Webhooks => "webhooks",
            Self::Unverified => "unverified",
            Self::ModelUser => "model_user",
            Self::ModelGlobal => "model_global",
        }
    }

    /// A minute's; none means no limit.
    const fn per_minute(self, settings: &config::Limits) -> Option<NonZeroU32> {
        match self {
            Self::User | Self::Peer | Self::Unverified => settings.per_user,
            Self::Global => settings.global,
            Self::Webhooks => settings.webhooks,
            Self::ModelUser => settings.model_per_user,
            Self::ModelGlobal => settings.model_global,
        }
    }
}

/// Whom something is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    All,
    User(Uuid),
    Network(IpAddr),
    /// One of few that newcomers share when there are too many to remember.
    Crowd(u16),
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    User(UserId),
    Peer(Peer),
}

impl Who {
    fn key(self) -> Key {
        match self {
            Self::User(user_id) => Key::User(user_id.0),
            Self::Peer(peer) => Key::Network(peer.network()),
        }
    }

    const fn limit(self) -> Limit {
        match self {
            Self::User(_) => Limit::User,
            Self::Peer(_) => Limit::Peer,
        }
    }
}

/// Too often: which limit, and how long until there is room again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    limit: Limit,
    wait: Duration,
}

/// All limits of an instance; cheap to clone.
#[derive(Clone)]
pub struct Limits(Arc<Parts>);

struct Parts {
    local: Local,
    shared: Option<Shared>,
    crowd: Crowd,
    metrics: Metrics,
}

impl Limits {
    pub fn new(settings: &config::Limits, metrics: &Metrics) -> anyhow::Result<Self> {
        let shared = settings
            .redis_url
            .as_ref()
            .map(|url| Shared::new(url, settings, metrics))
            .transpose()?;
        for label in Limit::ALL
            .map(Limit::label)
            .into_iter()
            .chain(crowd::labels())
        {
            metrics.limit_exists(label);
        }
        Ok(Self(Arc::new(Parts {
            local: Local::new(settings),
            shared,
            // Whoever switches off how often one may come means how many at once, too.
            crowd: Crowd::new(settings.per_user.is_some()),
            metrics: metrics.clone(),
        })))
    }

    /// Keeps in touch with the server that the instances share, where there is one, until the end.
    pub async fn keep_shared(self, stopping: CancellationToken) {
        if let Some(shared) = &self.0.shared {
            shared.keep(&stopping).await;
        }
    }

    /// One request of somebody's.
    pub async fn request(&self, who: Who) -> Result<(), Problem> {
        let asked = [(who.limit(), who.key()), (Limit::Global, Key::All)];
        let taken = self.take(&asked).await;
        taken.map_err(|refused| Problem::too_many("too many requests", refused.wait))
    }

    /// One verified delivery of a provider's, who is told to come back: it mustn't take it for refused.
    pub async fn delivery(&self) -> Result<(), Problem> {
        let taken = self.take(&[(Limit::Webhooks, Key::All)]).await;
        taken.map_err(|refused| {
            Problem::unavailable("too many deliveries").retry_after(refused.wait)
        })
    }

    /// There was no room for verified deliveries.
    pub fn deliveries_full(&self) -> Problem {
        let full = crowd::Full::Room;
        self.0.metrics.limit_refused(full.label(Class::Webhooks));
        full.into()
    }

    /// One delivery that isn't from whom it says that it is.
    async fn forgery(&self, peer: Peer) -> Result<(), Problem> {
        let asked = [(Limit::Unverified, Who::Peer(peer).key())];
        let taken = self.take(&asked).await;
        taken.map_err(|refused| Problem::too_many("too many requests", refused.wait))
    }

    /// One call of the chat model, for somebody who would rather hear no than wait.
    pub async fn model_call(&self, user_id: UserId) -> Result<(), Problem> {
        let taken = self.take(&calls_of(user_id)).await;
        taken.map_err(|refused| Problem::too_many("the assistant is asked too often", refused.wait))
    }

    /// One call of the chat model for work that can wait, but no longer than `patience`; else how long it
    /// would have had to.
    pub async fn model_turn(&self, user_id: UserId, patience: Duration) -> Result<(), Duration> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let Err(refused) = self.take_quietly(&calls_of(user_id)).await else {
                return Ok(());
            };
            // Those who wait for the same don't all come at once.
            let jitter = rand::rng().random_range(0..=50);
            let nap = refused.wait.min(LONGEST_NAP) + Duration::from_millis(jitter);
            if tokio::time::Instant::now() + nap > deadline {
                self.0.metrics.limit_refused(refused.limit.label());
                return Err(refused.wait);
            }
            tokio::time::sleep(nap).await;
        }
    }

    /// A place among those that are served at once.
    pub async fn enter(&self, class: Class, who: Option<Who>) -> Result<Permit, Problem> {
        let entered = self.0.crowd.enter(class, who.map(Who::key)).await;
        entered.map_err(|full| {
            self.0.metrics.limit_refused(full.label(class));
            full.into()
        })
    }

    async fn take(&self, asked: &[(Limit, Key)]) -> Result<(), Refused> {
        let taken = self.take_quietly(asked).await;
        if let Err(refused) = &taken {
            self.0.metrics.limit_refused(refused.limit.label());
        }
        taken
    }

    /// All of them or, mostly, none: what is asked for first is what is refused first.
    async fn take_quietly(&self, asked: &[(Limit, Key)]) -> Result<(), Refused> {
        if let Some(shared) = &self.0.shared
            && let Some(decided) = shared.take(asked).await
        {
            return decided;
        }
        self.0.local.take(asked)
    }
}

const fn calls_of(user_id: UserId) -> [(Limit, Key); 2] {
    [
        (Limit::ModelUser, Key::User(user_id.0)),
        (Limit::ModelGlobal, Key::All),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(model_per_user: u32) -> Limits {
        let settings = config::Limits {
            per_user: None,
            global: None,
            webhooks: None,
            model_per_user: NonZeroU32::new(model_per_user),
            model_global: None,
            trusted_proxies: Vec::new(),
            redis_url: None,
        };
        Limits::new(&settings, &Metrics::new()).unwrap()
    }

    #[tokio::test]
    async fn work_that_can_wait_waits_for_its_turn_and_no_longer_than_it_has_patience() {
        let user = UserId(Uuid::from_u128(1));
        // One in three milliseconds.
        let limits = limits(20_000);
        while limits.model_call(user).await.is_ok() {}
        let patient = Duration::from_secs(60);
        for _ in 0..5 {
            limits.model_turn(user, patient).await.unwrap();
        }
        let slow = self::limits(1);
        slow.model_call(user).await.unwrap();
        let wait = slow.model_turn(user, Duration::ZERO).await.unwrap_err();
        assert!(wait > Duration::from_secs(1));
        // Another's turn is another's.
        let other = UserId(Uuid::from_u128(2));
        slow.model_turn(other, Duration::ZERO).await.unwrap();
    }

    #[tokio::test]
    async fn without_limits_nothing_is_refused() {
        let limits = limits(0);
        let user = UserId(Uuid::from_u128(1));
        for _ in 0..10_000 {
            limits.request(Who::User(user)).await.unwrap();
            limits.delivery().await.unwrap();
            limits.model_call(user).await.unwrap();
        }
    }
}
