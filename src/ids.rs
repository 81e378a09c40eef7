//! What the next id is: UUIDv7, so that ids sort by the time they were made and b-trees stay dense.
//!
//! Ids name rows; they are never secrets. What must not be guessed comes from [`token`].
//! May not know: what an id is for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A new row id.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that makes row ids"
)]
pub fn next() -> Uuid {
    Uuid::now_v7()
}

/// The least id that a row of this instant, by the system's clock, can have.
pub fn first_of(at: DateTime<Utc>) -> Uuid {
    let millis = at.timestamp_millis().max(0).unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// 256 random bits as URL-safe text, for what must not be guessed (session ids, API tokens).
///
/// # Panics
/// When the operating system has no randomness to give: nothing safe can be done then.
pub fn token() -> String {
    let mut bytes = [0_u8; 32];
    OsRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system's random source answers");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A stable id for a natural key: the first half of the SHA-256 over its length-prefixed parts.
///
/// Used where two imports of the same thing must meet without a look-up (threads, documents).
pub fn derived(parts: &[&str]) -> Uuid {
    let digest = digest(parts);
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// SHA-256 over length-prefixed parts, so that `["ab", "c"]` and `["a", "bc"]` differ.
pub fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_time_stand_before_those_of_later_ones() {
        let id = next();
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let at = DateTime::from_timestamp(seconds.cast_signed(), nanos).unwrap();
        assert!(first_of(at) <= id);
        assert!(first_of(at + chrono::TimeDelta::milliseconds(1)) > id);
    }

    #[test]
    fn part_borders_matter() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(derived(&["x"]), derived(&["x"]));
    }

    #[test]
    fn tokens_do_not_repeat() {
        assert_ne!(token(), token());
        assert_eq!(token().len(), 43);
    }
}
