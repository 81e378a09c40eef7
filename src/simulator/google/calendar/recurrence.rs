//! The instances of a series, by its RRULE, RDATE and EXDATE lines.
//!
//! `calcard` expands the rules. It counts local times, so that a series keeps its hour when the clocks
//! change; UNTIL, which is in UTC, is turned into local time for it.

use std::fmt::Write as _;

use calcard::common::timezone::Tz as CardZone;
use calcard::icalendar::ICalendar;
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::times;

/// More instances of one series are never shown.
const LIMIT: usize = 20_000;

/// The starts up to `horizon`, in order.
fn starts(series: &Map<String, Value>, zone: Tz, horizon: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let Some(lines) = series.get("recurrence").and_then(Value::as_array) else {
        return Vec::new();
    };
    let start = &series["start"];
    let day = times::date(start);
    let zone = if day.is_some() {
        Tz::UTC
    } else {
        times::zone_of(start, zone)
    };
    let first = match day {
        Some(day) => day.and_hms_opt(0, 0, 0),
        None => times::instant(start, zone).map(|first| first.with_timezone(&zone).naive_local()),
    };
    let Some(first) = first else {
        return Vec::new();
    };
    let mut card = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:series\r\n");
    let _ = write!(card, "DTSTART:{}\r\n", first.format("%Y%m%dT%H%M%S"));
    let _ = write!(card, "DTEND:{}\r\n", first.format("%Y%m%dT%H%M%S"));
    let end = horizon.with_timezone(&zone).naive_local();
    for line in lines.iter().filter_map(Value::as_str) {
        match line.split_once(':') {
            Some((name, rule)) if name.eq_ignore_ascii_case("RRULE") => {
                let _ = write!(card, "RRULE:{}\r\n", bounded(rule, zone, end));
            }
            Some((name, dates)) if day.is_some() => {
                // Days, as the midnights that the series is counted in.
                let name = name.split(';').next().unwrap_or_default();
                let dates: Vec<String> = dates
                    .split(',')
                    .map(|date| {
                        if date.contains('T') {
                            date.to_owned()
                        } else {
                            format!("{date}T000000")
                        }
                    })
                    .collect();
                let _ = write!(card, "{name}:{}\r\n", dates.join(","));
            }
            Some(_) => {
                let _ = write!(card, "{line}\r\n");
            }
            None => {}
        }
    }
    card.push_str("END:VEVENT\r\nEND:VCALENDAR\r\n");
    let Ok(calendar) = ICalendar::parse(card.as_str()) else {
        return Vec::new();
    };
    let expanded = calendar.expand_dates(CardZone::Tz(zone), LIMIT);
    let mut starts: Vec<DateTime<Utc>> = expanded
        .events
        .iter()
        .map(|event| event.start.to_utc())
        .filter(|start| *start <= horizon)
        .collect();
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// A rule that ends at the horizon, with its own end in local time.
fn bounded(rule: &str, zone: Tz, horizon: NaiveDateTime) -> String {
    let mut until = None;
    let mut counted = false;
    let mut kept = Vec::new();
    for part in rule.split(';').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("UNTIL") => until = read(value, zone),
            other => {
                counted |= other.is_some_and(|(name, _)| name.eq_ignore_ascii_case("COUNT"));
                kept.push(part.to_owned());
            }
        }
    }
    let end = match until {
        Some(until) => Some(until.min(horizon)),
        None if counted => None,
        None => Some(horizon),
    };
    if let Some(end) = end {
        kept.push(format!("UNTIL={}", end.format("%Y%m%dT%H%M%S")));
    }
    kept.join(";")
}

fn read(until: &str, zone: Tz) -> Option<NaiveDateTime> {
    if let Some(utc) = until.strip_suffix('Z') {
        let utc = NaiveDateTime::parse_from_str(utc, "%Y%m%dT%H%M%S").ok()?;
        return Some(utc.and_utc().with_timezone(&zone).naive_local());
    }
    NaiveDateTime::parse_from_str(until, "%Y%m%dT%H%M%S")
        .ok()
        .or_else(|| {
            let day = NaiveDate::parse_from_str(until, "%Y%m%d").ok()?;
            day.and_hms_opt(23, 59, 59)
        })
}

/// Whether lines can be a recurrence.
pub fn is_valid(series: &Map<String, Value>) -> bool {
    let lines = series.get("recurrence").and_then(Value::as_array);
    let Some(lines) = lines.filter(|lines| !lines.is_empty()) else {
        return false;
    };
    lines.iter().all(|line| {
        line.as_str().is_some_and(|line| {
            let name = line.split([':', ';']).next().unwrap_or_default();
            ["RRULE", "RDATE", "EXDATE", "EXRULE"].contains(&name)
                && (name != "RRULE" || line.contains("FREQ="))
        })
    })
}

/// The instances of a series that start no later than the horizon, as events of their own.
pub fn instances(
    series: &Map<String, Value>,
    zone: Tz,
    horizon: DateTime<Utc>,
) -> Vec<Map<String, Value>> {
    let id = series["id"].as_str().unwrap_or_default();
    let start = &series["start"];
    let all_day = start["date"].is_string();
    let length = match (
        times::instant(start, Tz::UTC),
        times::instant(&series["end"], Tz::UTC),
    ) {
        (Some(start), Some(end)) => end - start,
        _ => TimeDelta::zero(),
    };
    let named = times::zone_of(start, zone);
    let time = |instant: DateTime<Utc>| {
        if all_day {
            json!({"date": instant.date_naive()})
        } else {
            json!({"dateTime": times::rfc3339(instant, named), "timeZone": named.name()})
        }
    };
    starts(series, zone, horizon)
        .into_iter()
        .map(|start| {
            let mut instance = series.clone();
            instance.remove("recurrence");
            let stamp = if all_day {
                start.format("%Y%m%d").to_string()
            } else {
                start.format("%Y%m%dT%H%M%SZ").to_string()
            };
            instance.insert("id".to_owned(), json!(format!("{id}_{stamp}")));
            instance.insert("recurringEventId".to_owned(), json!(id));
            instance.insert("originalStartTime".to_owned(), time(start));
            instance.insert("start".to_owned(), time(start));
            instance.insert("end".to_owned(), time(start + length));
            instance
        })
        .collect()
}

/// The instance that this id names.
pub fn instance(series: &Map<String, Value>, zone: Tz, id: &str) -> Option<Map<String, Value>> {
    let (_, stamp) = id.rsplit_once('_')?;
    let day = NaiveDate::parse_from_str(stamp.get(..8)?, "%Y%m%d").ok()?;
    let horizon = times::midnight(day, Tz::UTC)? + TimeDelta::days(2);
    instances(series, zone, horizon)
        .into_iter()
        .find(|instance| instance["id"] == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(event: &Value, horizon: &str) -> Vec<String> {
        let horizon: DateTime<Utc> = horizon.parse().unwrap();
        instances(event.as_object().unwrap(), Tz::Europe__Zurich, horizon)
            .iter()
            .map(|instance| instance["id"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_series_keeps_its_hour_and_ends_where_it_says() {
        let event = json!({
            "id": "s", "recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20260407T080000Z", "EXDATE;TZID=Europe/Zurich:20260324T100000"],
            "start": {"dateTime": "2026-03-17T10:00:00+01:00", "timeZone": "Europe/Zurich"},
            "end": {"dateTime": "2026-03-17T11:00:00+01:00", "timeZone": "Europe/Zurich"},
        });
        let all = ids(&event, "2027-01-01T00:00:00Z");
        assert_eq!(
            all,
            [
                "s_20260317T090000Z",
                "s_20260331T080000Z",
                "s_20260407T080000Z"
            ]
        );
        assert_eq!(ids(&event, "2026-03-20T00:00:00Z").len(), 1);
    }

    #[test]
    fn days_are_counted_as_days() {
        let event = json!({
            "id": "s", "recurrence": ["RRULE:FREQ=DAILY;COUNT=3", "EXDATE;VALUE=DATE:20260202"],
            "start": {"date": "2026-02-01"}, "end": {"date": "2026-02-02"},
        });
        assert_eq!(
            ids(&event, "2027-01-01T00:00:00Z"),
            ["s_20260201", "s_20260203"]
        );
    }
}
