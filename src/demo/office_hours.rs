//! Times of day in the advisor's office, which is in New York.

use chrono::{DateTime, FixedOffset, NaiveDate, TimeZone};
use chrono_tz::America::New_York;
use rand_chacha::ChaCha8Rng;

use super::random::below;

/// An instant in office hours of that day, New York time.
pub fn office_hours(rng: &mut ChaCha8Rng, day: NaiveDate) -> DateTime<FixedOffset> {
    let minute = u32::try_from(below(rng, 9 * 60)).unwrap_or_default();
    at_clock(day, 8 + minute / 60, minute % 60)
}

/// That time of that day in New York.
pub fn at_clock(day: NaiveDate, hour: u32, minute: u32) -> DateTime<FixedOffset> {
    let naive = day.and_hms_opt(hour, minute, 0).unwrap_or_default();
    New_York
        .from_local_datetime(&naive)
        .earliest()
        .unwrap_or_else(|| New_York.from_utc_datetime(&naive))
        .fixed_offset()
}
