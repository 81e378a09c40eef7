//! Dates as mail programs write them, in RFC 5322's way and beside it.
//!
//! Without seconds, with the month first (asctime), as ISO 8601, with words for a zone, with the
//! wrong day of the week. The order of the parts is set right here, numbers and zones are read
//! by `chrono`. A zone that nobody knows counts as UTC, as RFC 5322 (4.3) has it. Never fails:
//! what is no date is none, and whether one is plausible is the caller's business.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc, Weekday};

/// A date and its comments are shorter.
const LONGEST: usize = 200;

/// Two digits of a year come first: `%Y` would take them for a year of antiquity.
const DATES: [&str; 7] = [
    "%d %B %y", "%d %B %Y", "%d-%B-%y", "%d-%B-%Y", "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y",
];
const TIMES: [&str; 4] = ["%I:%M:%S %p", "%I:%M %p", "%H:%M:%S%.f", "%H:%M"];

pub(super) fn read(written: &str) -> Option<DateTime<Utc>> {
    let written = written
        .get(..written.floor_char_boundary(LONGEST))
        .unwrap_or(written);
    let plain = without_comments(written);
    let mut words: Vec<&str> = plain
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
        .collect();
    // It may be wrong, and says nothing that the date doesn't.
    if words
        .first()
        .is_some_and(|word| word.parse::<Weekday>().is_ok())
    {
        words.remove(0);
    }
    day_first(&mut words);
    let text = words.join(" ");
    let (date, rest) = DATES.iter().find_map(|format| {
        let (date, rest) = NaiveDate::parse_and_remainder(&text, format).ok()?;
        Some((date, rest.strip_prefix([' ', 'T'])?))
    })?;
    let (time, zone) = TIMES
        .iter()
        .find_map(|format| NaiveTime::parse_and_remainder(rest, format).ok())?;
    // Programs that counted years from 1900 wrote 100 for 2000.
    let date = match date.year() {
        year @ 100..=199 => date.with_year(year + 1900)?,
        _ => date,
    };
    let local = date.and_time(time).format("%-d %b %Y %H:%M:%S");
    [offset(zone).as_str(), "+0000"]
        .iter()
        .find_map(|zone| DateTime::parse_from_rfc2822(&format!("{local} {zone}")).ok())
        .map(|date| date.to_utc())
}

/// Comments in brackets may hold others; one that never ends takes the rest.
fn without_comments(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|sign| {
            match sign {
                '(' => depth += 1,
                ')' if depth > 0 => {
                    depth -= 1;
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

/// `Feb 3 10:00:00 EST 1998` becomes `3 Feb 1998 10:00:00 EST`.
fn day_first(words: &mut Vec<&str>) {
    let named = |word: &&str| word.parse::<chrono::Month>().is_ok();
    if words.len() < 3 || !words.first().is_some_and(named) {
        return;
    }
    words.swap(0, 1);
    let year = words
        .iter()
        .skip(2)
        .position(|word| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(year) = year {
        let year = words.remove(year + 2);
        words.insert(2, year);
    }
}

/// The zone in the way of RFC 5322: `GMT+02:00` and `+02` become `+0200`, names stay.
fn offset(zone: &str) -> String {
    let word = zone.split_whitespace().next().unwrap_or_default();
    let signed = word.find(['+', '-']).and_then(|at| word.get(at..));
    let Some(signed) = signed else {
        return word.to_owned();
    };
    let mut signed = signed.replace(':', "");
    if signed.len() == 3 {
        signed.push_str("00");
    }
    signed
}
