//! The day until which an automatic answer says that its sender is away.
//!
//! It is read by code and fills one slot, a date: whatever else such a mail says has no effect. A date that is
//! read wrongly makes a reminder late, and nothing else.

use std::sync::LazyLock;

use chrono::{Datelike as _, Days, NaiveDate, Weekday};
use regex::{Captures, Regex};

/// Nobody is waited for longer than this because of an automatic answer.
const LONGEST: Days = Days::new(60);
const MOST_READ: usize = 4_000;

const MONTH: &str = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|\
                     sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?";

/// The forms of a date, each with the groups `y`, `m` and `d` that it has.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let forms = [
        r"\b(?<y>\d{4})-(?<m>\d{1,2})-(?<d>\d{1,2})\b".to_owned(),
        format!(
            r"\b(?<d>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?(?<m>{MONTH})\b\.?(?:,?\s+(?<y>\d{{4}}))?"
        ),
        format!(r"\b(?<m>{MONTH})\.?\s+(?<d>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(?<y>\d{{4}}))?"),
        r"\b(?<d>\d{1,2})\.\s?(?<m>\d{1,2})\.(?:\s?(?<y>\d{4}))?".to_owned(),
        r"\b(?<m>\d{1,2})/(?<d>\d{1,2})(?:/(?<y>\d{4}|\d{2}))?\b".to_owned(),
        // Elsewhere the day stands first; what is no date that way round was none above.
        r"\b(?<d>\d{1,2})/(?<m>\d{1,2})(?:/(?<y>\d{4}|\d{2}))?\b".to_owned(),
    ];
    forms
        .iter()
        .filter_map(|form| Regex::new(&format!("(?i){form}")).ok())
        .collect()
});

static WEEKDAY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:back|until|till|returns?|returning)\b[^.\n]{0,30}?\b(?<day>monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b",
    )
    .ok()
});

/// The last day that a text names within the next weeks; `written` is the day on which it was written.
pub(super) fn until(text: &str, written: NaiveDate) -> Option<NaiveDate> {
    let text: String = text.chars().take(MOST_READ).collect();
    let last = written.checked_add_days(LONGEST)?;
    let named = FORMS.iter().find_map(|form| {
        form.captures_iter(&text)
            .filter_map(|found| date(&found, written))
            .filter(|day| (written..=last).contains(day))
            .max()
    });
    named.or_else(|| {
        let found = WEEKDAY.as_ref()?.captures(&text)?;
        let day: Weekday = found.name("day")?.as_str().parse().ok()?;
        written
            .succ_opt()?
            .iter_days()
            .take(7)
            .find(|next| next.weekday() == day)
    })
}

/// Without a year, the next such day.
fn date(found: &Captures<'_>, written: NaiveDate) -> Option<NaiveDate> {
    let number = |name: &str| found.name(name)?.as_str().parse::<u32>().ok();
    let day = number("d")?;
    let month = match number("m") {
        Some(month) => month,
        None => month(found.name("m")?.as_str())?,
    };
    match found.name("y") {
        Some(year) => {
            let year: i32 = year.as_str().parse().ok()?;
            let century = if year < 100 { 2000 } else { 0 };
            NaiveDate::from_ymd_opt(century + year, month, day)
        }
        None => [written.year(), written.year() + 1]
            .into_iter()
            .filter_map(|year| NaiveDate::from_ymd_opt(year, month, day))
            .find(|day| *day >= written),
    }
}

fn month(name: &str) -> Option<u32> {
    let month: chrono::Month = name.get(..3)?.parse().ok()?;
    Some(month.number_from_month())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_day_of_return_is_read_in_whatever_form_it_comes() {
        // A Monday.
        let written = NaiveDate::from_ymd_opt(2026, 11, 30).unwrap();
        for (text, is) in [
            (
                "I am out of the office until December 12th.",
                Some((2026, 12, 12)),
            ),
            (
                "Away from 1 Dec to 9 Dec, back on 10 December 2026",
                Some((2026, 12, 10)),
            ),
            (
                "I'm on leave through 2026-12-18 with no access to mail.",
                Some((2026, 12, 18)),
            ),
            ("Back 12/14.", Some((2026, 12, 14))),
            ("Back 14/12/2026.", Some((2026, 12, 14))),
            (
                "Ich bin bis 11.12.2026 nicht im Haus.",
                Some((2026, 12, 11)),
            ),
            ("I will be back on the 2nd of January.", Some((2027, 1, 2))),
            (
                "I'll be back in the office on Thursday.",
                Some((2026, 12, 3)),
            ),
            ("Out today, returning Monday", Some((2026, 12, 7))),
            // Nothing to wait for: long ago, far ahead, no date, no such day.
            ("On leave since 3 March 2025.", None),
            ("Our offices move on 1 June 2027.", None),
            ("Thank you for your mail. I will answer soon.", None),
            ("Back on 31/31/2026 or 99.99.", None),
            ("", None),
        ] {
            let is = is.and_then(|(year, month, day)| NaiveDate::from_ymd_opt(year, month, day));
            assert_eq!(until(text, written), is, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_leads_beyond_the_longest(text in ".{0,200}|[0-9 ./a-z-]{0,80}") {
            let written = NaiveDate::from_ymd_opt(2026, 2, 28).unwrap();
            if let Some(day) = until(&text, written) {
                prop_assert!(day >= written && day <= written + LONGEST);
            }
        }
    }
}
