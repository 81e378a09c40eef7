//! How many calls a portal takes: a rolling window of ten seconds, and one of a second for searches.

use std::collections::{HashMap, VecDeque};

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use chrono::{DateTime, Utc};

use super::access;

const CALLS: usize = 110;
const SEARCHES: usize = 5;

#[derive(Default)]
pub(super) struct Limits {
    /// Whether too many calls are refused at all.
    pub enforced: bool,
    /// Whether a refusal says when to come back, which HubSpot doesn't promise.
    pub tells_when: bool,
    /// Milliseconds of the calls in the window, by portal and whether they are searches.
    seen: HashMap<(u64, bool), VecDeque<i64>>,
}

impl Limits {
    /// Counts a call: how many are left, or the policy that refuses it.
    pub fn take(
        &mut self,
        portal: u64,
        searches: bool,
        now: DateTime<Utc>,
    ) -> Result<usize, &'static str> {
        let (most, window, policy) = if searches {
            (SEARCHES, 1000, "SECONDLY")
        } else {
            (CALLS, 10_000, "TEN_SECONDLY_ROLLING")
        };
        let now = now.timestamp_millis();
        let seen = self.seen.entry((portal, searches)).or_default();
        while seen.front().is_some_and(|&at| at + window <= now) {
            seen.pop_front();
        }
        if seen.len() >= most && self.enforced {
            return Err(policy);
        }
        seen.push_back(now);
        Ok(most.saturating_sub(seen.len()))
    }
}

pub(super) fn refused(policy: &str, tells_when: bool) -> Response {
    let mut response = access::limited(policy);
    if tells_when {
        let seconds = if policy == "SECONDLY" { "1" } else { "10" };
        response.headers_mut().insert(
            axum::http::header::RETRY_AFTER,
            HeaderValue::from_static(seconds),
        );
    }
    response
}

/// The headers of every reply but those of searches.
pub(super) fn tell(response: &mut Response, left: usize) {
    for (name, value) in [
        ("x-hubspot-ratelimit-max", CALLS),
        ("x-hubspot-ratelimit-remaining", left),
        ("x-hubspot-ratelimit-interval-milliseconds", 10_000),
    ] {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}
