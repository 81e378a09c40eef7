//! Periods that a question names in words: "in March", "last year", "yesterday", "since 2024".
//!
//! A guess that narrows a search, never one that decides it: only the plainest forms are read.

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, Utc};

/// From (inclusive) until (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Words that make a month's name, or a number, a date ("may" and "march" are verbs too).
const BEFORE_DATE: [&str; 8] = [
    "in", "during", "of", "last", "since", "from", "until", "before",
];

impl Period {
    fn days(from: NaiveDate, until: NaiveDate) -> Option<Self> {
        let start = |day: NaiveDate| day.and_hms_opt(0, 0, 0).map(|at| at.and_utc());
        Some(Self {
            from: start(from)?,
            until: start(until)?,
        })
    }

    fn month(year: i32, month: u32) -> Option<Self> {
        let first = NaiveDate::from_ymd_opt(year, month, 1)?;
        Self::days(first, first.checked_add_months(Months::new(1))?)
    }

    fn year(year: i32) -> Option<Self> {
        Self::days(
            NaiveDate::from_ymd_opt(year, 1, 1)?,
            NaiveDate::from_ymd_opt(year + 1, 1, 1)?,
        )
    }

    /// The period that the question names, if it names one.
    pub fn named_in(question: &str, now: DateTime<Utc>) -> Option<Self> {
        let lower = question.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let named =
            Self::relative(&words, now.date_naive()).or_else(|| Self::absolute(&words, now));
        named.map(|(period, lead)| period.led_by(lead, now))
    }

    /// "since" opens the end, "before" and "until" the beginning.
    fn led_by(self, lead: Option<&str>, now: DateTime<Utc>) -> Self {
        match lead {
            Some("since" | "from") => Self {
                from: self.from,
                until: now + Days::new(3650),
            },
            Some("before" | "until") => Self {
                from: DateTime::UNIX_EPOCH,
                until: self.from,
            },
            _ => self,
        }
    }

    fn relative<'a>(words: &[&'a str], today: NaiveDate) -> Option<(Self, Option<&'a str>)> {
        let day = |days: u64| today.checked_sub_days(Days::new(days));
        if words.contains(&"yesterday") {
            return Some((Self::days(day(1)?, today)?, None));
        }
        words.windows(2).enumerate().find_map(|(place, pair)| {
            let lead = place
                .checked_sub(1)
                .and_then(|before| words.get(before))
                .copied();
            let monday = u64::from(today.weekday().num_days_from_monday());
            let period = match pair {
                ["last", "week"] => Self::days(day(monday + 7)?, day(monday)?),
                ["this", "week"] => {
                    Self::days(day(monday)?, today.checked_add_days(Days::new(7 - monday))?)
                }
                ["last", "month"] => {
                    let before = today.checked_sub_months(Months::new(1))?;
                    Self::month(before.year(), before.month())
                }
                ["this", "month"] => Self::month(today.year(), today.month()),
                ["last", "year"] => Self::year(today.year() - 1),
                ["this", "year"] => Self::year(today.year()),
                _ => None,
            }?;
            Some((period, lead))
        })
    }

    fn absolute<'a>(words: &[&'a str], now: DateTime<Utc>) -> Option<(Self, Option<&'a str>)> {
        words.iter().enumerate().find_map(|(place, word)| {
            let before = place.checked_sub(1).and_then(|at| words.get(at)).copied();
            let after = words.get(place + 1).copied();
            let year_after = after.and_then(as_year);
            let led = before.is_some_and(|before| BEFORE_DATE.contains(&before));
            if let Some(month) = MONTHS.iter().position(|name| name == word) {
                let month = u32::try_from(month).ok()? + 1;
                if !led && year_after.is_none() {
                    return None;
                }
                // Without a year it is the latest that has begun.
                let year = year_after.unwrap_or_else(|| {
                    if month <= now.month() {
                        now.year()
                    } else {
                        now.year() - 1
                    }
                });
                return Some((Self::month(year, month)?, before));
            }
            let year = as_year(word).filter(|_| led)?;
            Some((Self::year(year)?, before))
        })
    }
}

/// Whether a word, in any case, is a month's full name.
pub(super) fn is_month(word: &str) -> bool {
    MONTHS.iter().any(|month| month.eq_ignore_ascii_case(word))
}

fn as_year(word: &str) -> Option<i32> {
    word.parse().ok().filter(|year| (1990..2100).contains(year))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(question: &str) -> Option<(String, String)> {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        Period::named_in(question, now).map(|period| {
            (
                period.from.date_naive().to_string(),
                period.until.date_naive().to_string(),
            )
        })
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the shape of what it is compared with"
    )]
    fn period(from: &str, until: &str) -> Option<(String, String)> {
        Some((from.to_owned(), until.to_owned()))
    }

    #[test]
    fn plain_periods_are_read() {
        assert_eq!(
            named("What did Sara ask in March?"),
            period("2026-03-01", "2026-04-01")
        );
        assert_eq!(
            named("What happened in December?"),
            period("2025-12-01", "2026-01-01")
        );
        assert_eq!(
            named("mails of March 2024"),
            period("2024-03-01", "2024-04-01")
        );
        assert_eq!(
            named("Who wrote yesterday"),
            period("2026-11-22", "2026-11-23")
        );
        assert_eq!(
            named("Who wrote last week?"),
            period("2026-11-16", "2026-11-23")
        );
        assert_eq!(named("trips last year"), period("2025-01-01", "2026-01-01"));
        assert_eq!(
            named("who moved in 2024"),
            period("2024-01-01", "2025-01-01")
        );
        assert_eq!(
            named("anything before 2024?"),
            period("1970-01-01", "2024-01-01")
        );
    }

    #[test]
    fn verbs_and_numbers_are_not_dates() {
        for question in [
            "May I see the plan?",
            "Do they march on?",
            "What is 2024 worth?",
            "Who mentioned baseball?",
        ] {
            assert_eq!(named(question), None, "{question}");
        }
    }
}
