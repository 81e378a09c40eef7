//! Lists: `?limit=` and `?cursor=` in, `{"items", "next_cursor"}` out.
//!
//! A cursor is the sort key of the last item seen: an instant and an id. It is opaque to clients
//! but holds no secret, and a forged one can only move within the caller's own rows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Problem;

/// The years 1 to 9999, in microseconds since 1970. Nothing was ever earlier or later, and the database
/// knows no times far beyond: a cursor of somebody's making begins at an end of the list.
const EARLIEST: i64 = -62_135_596_800_000_000;
const LATEST: i64 = 253_402_300_799_000_000;

/// What a list route takes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items a page, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{32}$")]
    cursor: Option<String>,
}

/// Where a list goes on: after the item with this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub at: DateTime<Utc>,
    pub id: Uuid,
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give this as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl PageQuery {
    /// The limit and cursor, judged.
    pub fn parse(&self) -> Result<(i64, Option<Cursor>), Problem> {
        let limit = self.limit.unwrap_or(50);
        if !(1..=200).contains(&limit) {
            return Err(Problem::invalid("limit", "must be from 1 to 200"));
        }
        let cursor = self
            .cursor
            .as_deref()
            .map(|text| {
                Cursor::decode(text).ok_or_else(|| Problem::invalid("cursor", "is not one of ours"))
            })
            .transpose()?;
        Ok((limit, cursor))
    }
}

impl Cursor {
    fn encode(self) -> String {
        let mut bytes = [0_u8; 24];
        bytes[..8].copy_from_slice(&self.at.timestamp_micros().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (micros, id) = bytes.split_at(8);
        let micros = i64::from_be_bytes(micros.try_into().ok()?).clamp(EARLIEST, LATEST);
        Some(Self {
            at: DateTime::from_timestamp_micros(micros)?,
            id: Uuid::from_slice(id).ok()?,
        })
    }
}

impl<T> Page<T> {
    /// A page out of `limit + 1` rows: the one too many only tells that there are more.
    pub fn of(mut rows: Vec<T>, limit: i64, key: impl Fn(&T) -> Cursor) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|last| key(last).encode());
        Self {
            items: rows,
            next_cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back(micros in EARLIEST..LATEST, id: u128) {
            let cursor = Cursor { at: DateTime::from_timestamp_micros(micros).unwrap(), id: Uuid::from_u128(id) };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn what_has_the_form_of_a_cursor_is_one_that_the_database_knows(text in "[A-Za-z0-9_-]{32}") {
            let at = Cursor::decode(&text).map(|cursor| cursor.at.timestamp_micros());
            prop_assert!(at.is_some_and(|at| (EARLIEST..=LATEST).contains(&at)));
        }

        #[test]
        fn any_text_is_refused_or_a_cursor(text in ".*") {
            let _ = Cursor::decode(&text);
        }
    }
}
