//! What time it is.
//!
//! Everything that a user would call "now", "today", "due" or "expired" asks this clock and hands
//! the answer to SQL as a parameter, so that a test or a demo can move time. Leases and fences
//! don't: they use the database's own `now()`, because several machines must agree on them.
//! May not know: anything but the system's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The program's clock: the system's, plus an offset that only a test or the demo sets.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_millis: Arc<AtomicI64>,
}

impl Clock {
    /// The present instant, in UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's clock"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.offset_millis.load(Ordering::Relaxed))
    }

    /// The system's time, wherever this clock has been moved: what others sign is dated by theirs.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's clock"
    )]
    pub fn system(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// How far it has been moved ahead of the system's. What is due is looked for at the database's
    /// time plus this, so that a machine whose own clock jumps neither hurries nor delays anything.
    pub fn ahead(&self) -> Duration {
        let millis = self.offset_millis.load(Ordering::Relaxed);
        Duration::from_millis(millis.max(0).unsigned_abs())
    }

    /// Moves the clock to so many milliseconds ahead of the system's, unless it is further already.
    pub fn set_ahead(&self, millis: i64) {
        self.offset_millis.fetch_max(millis, Ordering::Relaxed);
    }

    /// Moves the clock forward; every copy of it follows.
    pub fn advance(&self, by: TimeDelta) {
        self.offset_millis
            .fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}
