//! When events are: the two forms of a time, read, checked and shown.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::super::access::Failure;

pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

pub fn date(time: &Value) -> Option<NaiveDate> {
    time["date"].as_str()?.parse().ok()
}

/// The zone that a time names, or the calendar's.
pub fn zone_of(time: &Value, calendar: Tz) -> Tz {
    time["timeZone"].as_str().and_then(zone).unwrap_or(calendar)
}

/// When it is; a day begins at midnight of the calendar's zone.
pub fn instant(time: &Value, calendar: Tz) -> Option<DateTime<Utc>> {
    if let Some(text) = time["dateTime"].as_str() {
        return DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|instant| instant.to_utc());
    }
    midnight(date(time)?, calendar)
}

pub fn midnight(date: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    local(date.and_hms_opt(0, 0, 0)?, zone)
}

/// A local time; one that a change of the clocks skips is an hour later.
pub fn local(time: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    zone.from_local_datetime(&time)
        .earliest()
        .or_else(|| {
            let later = time + chrono::TimeDelta::hours(1);
            zone.from_local_datetime(&later).earliest()
        })
        .map(|instant| instant.to_utc())
}

pub fn rfc3339(instant: DateTime<Utc>, zone: Tz) -> String {
    instant
        .with_timezone(&zone)
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A parameter that must be a time with an offset.
pub fn parameter(name: &str, text: &str) -> Result<DateTime<Utc>, Failure> {
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.to_utc())
        .map_err(|_| Failure::parameter(name, "badRequest", "Bad Request"))
}

/// `start` and `end` as they are kept; refuses what isn't a time.
pub fn checked(event: &mut Map<String, Value>, calendar: Tz) -> Result<(), Failure> {
    let recurs = event.contains_key("recurrence");
    let invalid = |reason: &str, words: &str| Err(Failure::new(400, reason, words));
    for name in ["start", "end"] {
        let Some(time) = event.get(name).filter(|time| time.is_object()) else {
            return invalid("required", &format!("Missing {name} time."));
        };
        let kept = match (time["dateTime"].as_str(), time["date"].as_str()) {
            (Some(_), Some(_)) | (None, None) => {
                return invalid(
                    "invalid",
                    "Start and end times must either both be date or both be dateTime.",
                );
            }
            (None, Some(text)) => match text.parse::<NaiveDate>() {
                Ok(date) => json!({"date": date}),
                Err(_) => return invalid("invalid", &format!("Invalid value for: {text}")),
            },
            (Some(text), None) => {
                let named = match time["timeZone"].as_str() {
                    None => None,
                    Some(name) => match zone(name) {
                        Some(zone) => Some(zone),
                        None => return invalid("invalid", "Invalid time zone definition."),
                    },
                };
                let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok();
                let instant = match (DateTime::parse_from_rfc3339(text), naive, named) {
                    (Ok(instant), _, _) => Some(instant.to_utc()),
                    (Err(_), Some(naive), Some(zone)) => local(naive, zone),
                    (Err(_), Some(_), None) => {
                        let words = format!("Missing time zone definition for {name} time.");
                        return invalid("required", &words);
                    }
                    _ => None,
                };
                let Some(instant) = instant else {
                    return invalid("invalid", &format!("Invalid value for: {text}"));
                };
                if recurs && named.is_none() {
                    let words = format!("Missing time zone definition for {name} time.");
                    return invalid("required", &words);
                }
                let zone = named.unwrap_or(calendar);
                json!({"dateTime": rfc3339(instant, zone), "timeZone": zone.name()})
            }
        };
        event.insert(name.to_owned(), kept);
    }
    let (start, end) = (&event["start"], &event["end"]);
    if start["date"].is_string() != end["date"].is_string() {
        return invalid(
            "invalid",
            "Start and end times must either both be date or both be dateTime.",
        );
    }
    if instant(start, calendar) > instant(end, calendar)
        || (start["date"].is_string() && date(start) >= date(end))
    {
        return invalid("timeRangeEmpty", "The specified time range is empty.");
    }
    Ok(())
}

/// The times of an event in the zone that the reader asks for.
pub fn in_zone(event: &mut Map<String, Value>, zone: Tz) {
    for name in ["start", "end", "originalStartTime"] {
        if let Some(time) = event.get_mut(name)
            && let Some(text) = time["dateTime"].as_str()
            && let Ok(instant) = DateTime::parse_from_rfc3339(text)
        {
            time["dateTime"] = json!(rfc3339(instant.to_utc(), zone));
        }
    }
}
