//! How many tasks of which priority may run and may be in hand, in this process.
//!
//! Long bulk work must not fill every slot: one slot is kept for what somebody waits for, a quarter
//! for what isn't bulk. Beyond the running ones a few tasks are held ready while tasks are short, so
//! that no slot idles for a round trip; while they are long, none, so that other instances get them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{Priority, Room};

/// Tasks shorter than this are held ready.
const SHORT: Duration = Duration::from_millis(50);
/// At most this many in one claim.
const LARGEST_CLAIM: usize = 500;

/// The classes that a priority counts in, from the widest: all, all but interactive, bulk.
const fn classes(priority: Priority) -> usize {
    match priority {
        Priority::Interactive => 1,
        Priority::Ordinary => 2,
        Priority::Bulk => 3,
    }
}

/// How many may run of all, of all but interactive, and of bulk.
fn limits(concurrent: usize) -> [usize; 3] {
    let but_interactive = if concurrent < 3 {
        concurrent
    } else {
        concurrent - 1
    };
    let bulk = (concurrent * 3 / 4)
        .min(concurrent.saturating_sub(2))
        .max(1);
    [concurrent, but_interactive, bulk]
}

pub(super) struct Slots {
    limits: [usize; 3],
    running: [Arc<Semaphore>; 3],
    in_hand: [AtomicUsize; 3],
    average_micros: AtomicU64,
    /// A task has ended.
    pub freed: Notify,
}

impl Slots {
    pub fn new(concurrent: usize) -> Arc<Self> {
        let limits = limits(concurrent);
        Arc::new(Self {
            limits,
            running: limits.map(|limit| Arc::new(Semaphore::new(limit))),
            in_hand: Default::default(),
            // Unknown counts as long.
            average_micros: AtomicU64::new(u64::MAX),
            freed: Notify::new(),
        })
    }

    /// How many more may be claimed now.
    pub fn room(&self) -> Room {
        let short = self.tasks_are_short();
        let [all, but_interactive, bulk] = std::array::from_fn(|class| {
            let limit = self.limits[class] * if short { 2 } else { 1 };
            let left = limit.saturating_sub(self.in_hand[class].load(Ordering::Relaxed));
            i64::try_from(left.min(LARGEST_CLAIM)).unwrap_or(i64::MAX)
        });
        Room {
            all,
            but_interactive,
            bulk,
        }
    }

    /// How much room is worth a claim while there is a backlog: half, as long as tasks are short.
    pub fn worth_a_claim(&self) -> i64 {
        if self.tasks_are_short() {
            i64::try_from(self.limits[0].min(LARGEST_CLAIM)).unwrap_or(i64::MAX)
        } else {
            1
        }
    }

    fn tasks_are_short(&self) -> bool {
        u128::from(self.average_micros.load(Ordering::Relaxed)) < SHORT.as_micros()
    }

    /// Counts a claimed task until the answer is dropped.
    pub fn take(self: &Arc<Self>, priority: Priority) -> InHand {
        let classes = classes(priority);
        for class in &self.in_hand[..classes] {
            class.fetch_add(1, Ordering::Relaxed);
        }
        InHand {
            slots: Arc::clone(self),
            classes,
        }
    }

    fn ran(&self, elapsed: Duration) {
        let new = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let old = self.average_micros.load(Ordering::Relaxed);
        let average = if old == u64::MAX {
            new
        } else {
            old - old / 8 + new / 8
        };
        self.average_micros.store(average, Ordering::Relaxed);
    }
}

/// A task in hand. Dropped, it makes room for another.
pub(super) struct InHand {
    slots: Arc<Slots>,
    classes: usize,
}

impl InHand {
    /// Waits for a slot of every class that the task counts in, narrowest first.
    pub async fn slot(&self) -> Vec<OwnedSemaphorePermit> {
        let mut permits = Vec::with_capacity(self.classes);
        for semaphore in self.slots.running[..self.classes].iter().rev() {
            // Never closed.
            permits.extend(Arc::clone(semaphore).acquire_owned().await);
        }
        permits
    }

    pub fn ran(&self, elapsed: Duration) {
        self.slots.ran(elapsed);
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        for class in &self.slots.in_hand[..self.classes] {
            class.fetch_sub(1, Ordering::Relaxed);
        }
        self.slots.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_leaves_room_for_the_rest_and_all_for_interactive() {
        let slots = Slots::new(8);
        let _bulk: Vec<_> = (0..6).map(|_| slots.take(Priority::Bulk)).collect();
        let room = slots.room();
        assert_eq!((room.all, room.but_interactive, room.bulk), (2, 1, 0));
        let _ordinary = slots.take(Priority::Ordinary);
        assert_eq!(slots.room().but_interactive, 0);
        let _interactive = slots.take(Priority::Interactive);
        assert_eq!(slots.room().all, 0);
    }

    #[test]
    fn few_slots_are_shared_out_too() {
        assert_eq!(limits(1), [1, 1, 1]);
        assert_eq!(limits(2), [2, 2, 1]);
        assert_eq!(limits(3), [3, 2, 1]);
        assert_eq!(limits(4), [4, 3, 2]);
        assert_eq!(limits(10), [10, 9, 7]);
    }

    #[test]
    fn short_tasks_are_held_ready_and_long_ones_are_not() {
        let slots = Slots::new(10);
        assert_eq!(slots.room().all, 10);
        slots.ran(Duration::from_millis(1));
        assert_eq!(slots.room().all, 20);
        for _ in 0..20 {
            slots.ran(Duration::from_secs(60));
        }
        assert_eq!(slots.room().all, 10);
    }
}
