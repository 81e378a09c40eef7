//! How often, counted in this process: the generic cell rate algorithm, a minute's worth at once at most.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{Key, Limit, Refused};
use crate::config;

/// Remembered for each limit, at some 100 bytes each.
const MOST_KEYS: usize = 100_000;
/// Of those who come when so many are remembered.
const CROWDS: u64 = 1024;
/// Forgetting looks at every key.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// The limits of this process alone.
pub(super) struct Local(Vec<(Limit, Bucket)>);

struct Bucket {
    limiter: DefaultKeyedRateLimiter<Key>,
    swept: Mutex<Option<Instant>>,
    most_keys: usize,
    hasher: RandomState,
}

impl Local {
    pub fn new(settings: &config::Limits) -> Self {
        let limits = Limit::ALL.into_iter().filter_map(|limit| {
            let quota = Quota::per_minute(limit.per_minute(settings)?);
            Some((limit, Bucket::new(quota, MOST_KEYS)))
        });
        Self(limits.collect())
    }

    pub fn take(&self, asked: &[(Limit, Key)]) -> Result<(), Refused> {
        for (limit, key) in asked {
            let Some((_, bucket)) = self.0.iter().find(|(one, _)| one == limit) else {
                continue;
            };
            bucket.take(*key).map_err(|wait| Refused {
                limit: *limit,
                wait,
            })?;
        }
        Ok(())
    }
}

impl Bucket {
    fn new(quota: Quota, most_keys: usize) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota),
            swept: Mutex::new(None),
            most_keys,
            hasher: RandomState::new(),
        }
    }

    fn take(&self, key: Key) -> Result<(), Duration> {
        let taken = self.limiter.check_key(&self.bounded(key));
        taken.map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// The key itself while there is room, else the one of the crowd that it belongs to. Users are as many
    /// as there are; who has many networks mustn't fill our memory.
    fn bounded(&self, key: Key) -> Key {
        let Key::Network(network) = key else {
            return key;
        };
        if self.limiter.len() < self.most_keys {
            return key;
        }
        self.sweep();
        if self.limiter.len() < self.most_keys {
            return key;
        }
        // Neighbours share one, so that who has many addresses near each other crowds themselves out.
        let near = match network {
            IpAddr::V4(address) => u128::from(address.to_bits() >> 8),
            IpAddr::V6(address) => address.to_bits() >> 80,
        };
        let crowd = self.hasher.hash_one(near) % CROWDS;
        Key::Crowd(u16::try_from(crowd).unwrap_or_default())
    }

    /// Forgets those who have been away for so long that they are like new.
    fn sweep(&self) {
        // Somebody else is at it.
        let Ok(mut swept) = self.swept.try_lock() else {
            return;
        };
        if swept.is_some_and(|at| at.elapsed() < BETWEEN_SWEEPS) {
            return;
        }
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        *swept = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::num::NonZeroU32;

    use super::*;

    fn network(number: u32) -> Key {
        Key::Network(Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn memory_is_bounded_and_the_limit_holds_for_the_crowd() {
        let quota = Quota::per_minute(NonZeroU32::new(5).unwrap());
        let bucket = Bucket::new(quota, 1000);
        let taken = |key| bucket.take(key).is_ok();
        for stranger in 0..1000 {
            assert!(taken(network(stranger << 8)));
        }
        // Ten thousand more, from new networks each: at most five for each of the crowds.
        let more = (1000..11_000).filter(|stranger| taken(network(stranger << 8)));
        assert!(more.count() <= 5 * 1024);
        assert!(bucket.limiter.len() <= 1000 + 1024);
        // Who is signed in isn't in the crowd.
        let user = Key::User(uuid::Uuid::from_u128(7));
        assert_eq!((0..10).filter(|_| taken(user)).count(), 5);
    }

    #[test]
    fn who_is_refused_is_told_when_to_come_back() {
        let quota = Quota::per_minute(NonZeroU32::new(2).unwrap());
        let bucket = Bucket::new(quota, 10);
        assert!(bucket.take(network(1)).is_ok() && bucket.take(network(1)).is_ok());
        let wait = bucket.take(network(1)).unwrap_err();
        assert!(wait > Duration::from_secs(25) && wait <= Duration::from_secs(30));
        assert!(bucket.take(network(2)).is_ok());
    }
}
