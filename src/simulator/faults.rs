//! Misbehaviour on demand: which calls, how many of them, and what becomes of them.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

/// A misbehaviour and the calls that meet it. Each call meets the first fault that fits.
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    /// Any when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The path; with a `*` at its end, any path that begins so.
    pub path: String,
    /// Calls that go well first.
    #[serde(default)]
    pub after: u32,
    /// Calls that go wrong; then the fault is gone. Forever when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// Of the calls that it fits, so many in a hundred, at random. All when absent.
    #[serde(default)]
    pub percent: Option<u32>,
    #[serde(flatten)]
    pub then: Misbehaviour,
}

/// What goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Misbehaviour {
    /// An error reply in the provider's own form, instead of the effect.
    Refuse {
        status: u16,
        /// The provider's word for it, such as `userRateLimitExceeded`.
        #[serde(default)]
        reason: Option<String>,
        #[serde(default)]
        retry_after_secs: Option<u64>,
    },
    /// This very reply, instead of the effect.
    Answer {
        status: u16,
        body: String,
        #[serde(default)]
        content_type: Option<String>,
    },
    /// The reply comes late.
    Slow { millis: u64 },
    /// The connection breaks and nothing has happened.
    CutBefore,
    /// The connection breaks after it has happened.
    CutAfter,
}

impl Fault {
    /// The next `times` calls of this path misbehave so.
    pub fn next(path: &str, times: u32, then: Misbehaviour) -> Self {
        Self {
            method: None,
            path: path.to_owned(),
            after: 0,
            times: Some(times),
            percent: None,
            then,
        }
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self
                .path
                .strip_suffix('*')
                .map_or(self.path == path, |start| path.starts_with(start))
            && self
                .percent
                .is_none_or(|percent| rand::random_range(0..100) < percent)
    }
}

/// The faults to come; cheap to clone.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    pub fn add(&self, fault: Fault) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// What becomes of this call.
    pub(super) fn take(&self, method: &str, path: &str) -> Option<Misbehaviour> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = faults.iter().position(|fault| fault.fits(method, path))?;
        let fault = &mut faults[place];
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let then = fault.then.clone();
        if let Some(times) = &mut fault.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                faults.remove(place);
            }
        }
        Some(then)
    }
}
