//! Named places at which a test makes the process die, so that every gap between two writes is tried.
//!
//! `FAIL_POINTS=effects.sent=3,tasks.claimed=1` ends the process at the third passing of one place and
//! at the first of the other, as `kill -9` would. Only development honours it (`config` says so).
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

/// Those that any task with an effect passes, in this order.
pub const QUEUE: &[&str] = NAMES.split_at(2).1;

/// Which places end the process, and after how many passings.
#[derive(Clone, Debug, Default)]
pub struct FailPoints(Arc<HashMap<&'static str, AtomicU32>>);

impl FailPoints {
    /// None when a name is unknown or a count isn't a number above zero.
    pub fn parse(text: &str) -> Option<Self> {
        let points = text.split(',').map(|point| {
            let (name, count) = point.split_once('=')?;
            let name = NAMES.into_iter().find(|known| *known == name.trim())?;
            let count = count.trim().parse().ok().filter(|count| *count > 0)?;
            Some((name, AtomicU32::new(count)))
        });
        points
            .collect::<Option<_>>()
            .map(|points| Self(Arc::new(points)))
    }

    /// Passes a place, or ends the process there.
    pub fn hit(&self, name: &str) {
        if let Some(left) = self.0.get(name)
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            // No destructor, no flush: as abrupt as we can be from within.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_places_and_counts() {
        assert!(FailPoints::parse("effects.sent=3, tasks.claimed=1").is_some());
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
