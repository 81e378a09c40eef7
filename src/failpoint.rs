//! Named places at which a test makes the process die, so that every gap between two writes is tried, or
//! makes code panic.
//!
//! `FAIL_POINTS=effects.sent=3,tasks.claimed=1` ends the process at the third passing of one place and
//! at the first of the other, as `kill -9` would; `http.request=20` panics at every twentieth passing.
//! Only development honours it (`config` says so).
//! May not know: what happens at a place.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// All places.
pub const NAMES: [&str; 9] = [
    "agent.recorded",
    "effects.drafted",
    "tasks.claimed",
    "effects.planned",
    "effects.sending",
    "effects.sent",
    "effects.ended",
    "tasks.ended",
    "tasks.written",
];

/// Places that panic, each time so many passings have been counted.
pub const PANICS: [&str; 2] = ["http.request", "tasks.attempt"];

/// Those that any task with an effect passes, in this order.
pub const QUEUE: &[&str] = NAMES.split_at(2).1;

/// Which places end the process, and after how many passings.
#[derive(Clone, Debug, Default)]
pub struct FailPoints(Arc<HashMap<&'static str, Point>>);

#[derive(Debug)]
struct Point {
    every: u32,
    left: AtomicU32,
}

impl Point {
    const fn after(count: u32) -> Self {
        Self {
            every: count,
            left: AtomicU32::new(count),
        }
    }
}

impl FailPoints {
    /// None when a name is unknown or a count isn't a number above zero.
    pub fn parse(text: &str) -> Option<Self> {
        let points = text.split(',').map(|point| {
            let (name, count) = point.split_once('=')?;
            let known = NAMES.into_iter().chain(PANICS);
            let name = known.into_iter().find(|known| *known == name.trim())?;
            let count: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
            Some((name, Point::after(count)))
        });
        points
            .collect::<Option<_>>()
            .map(|points| Self(Arc::new(points)))
    }

    /// Passes a place, or ends the process there.
    pub fn hit(&self, name: &str) {
        if let Some(point) = self.0.get(name)
            && point.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            // No destructor, no flush: as abrupt as we can be from within.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    }

    /// Passes a place, or panics there with these words.
    pub fn panic_at(&self, name: &str, words: &str) {
        if let Some(point) = self.0.get(name)
            && point.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            point.left.store(point.every, Ordering::Relaxed);
            panic!("a test wants it: {words}");
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_places_and_counts() {
        assert!(FailPoints::parse("effects.sent=3, tasks.claimed=1, http.request=20").is_some());
        for text in [
            "",
            "effects.sent",
            "effects.sent=0",
            "effects.sent=x",
            "elsewhere=1",
        ] {
            assert!(FailPoints::parse(text).is_none(), "{text}");
        }
    }
}
