//! The few draws that the generator makes, each on a 32-bit or 64-bit word of fixed width.
//!
//! `rand` promises the same values for the same seed only within a version, and not for `usize`
//! across platforms in every method; so everything goes through these. Knows nothing of the book.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// A number under `bound` (at least 1).
pub fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    let bound = u32::try_from(bound.max(1)).unwrap_or(u32::MAX);
    rng.random_range(0..bound) as usize
}

/// One of several; the pools are constants and never empty.
pub fn pick<T: Copy>(rng: &mut ChaCha8Rng, pool: &[T]) -> T {
    pool[below(rng, pool.len())]
}

/// True in `percent` of the draws.
pub fn chance(rng: &mut ChaCha8Rng, percent: usize) -> bool {
    below(rng, 100) < percent
}
