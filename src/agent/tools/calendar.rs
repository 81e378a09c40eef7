//! The calendar: what stands in it, and when there is room.

use chrono::{DateTime, Datelike as _, Duration, NaiveDate, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToolError, id, instant, tool, wrong};
use crate::agent::sources::Seen;
use crate::agent::work::Work;
use crate::book::{self, Kind};
use crate::db::UserScope;
use crate::effects::Span;
use crate::effects::calendar::busy;
use crate::identity::settings::{Day, WorkingHours};
use crate::llm::visible;
use crate::providers::openai::Tool;
use crate::state::App;

const MOST_EVENTS: i64 = 50;
const MOST_SLOTS: usize = 12;
const SLOTS_A_DAY: usize = 3;
/// Appointments begin at these minutes of the hour.
const GRID: u32 = 30;
/// Nobody is asked to come at once.
const NOTICE: TimeDelta = TimeDelta::hours(1);
const LONGEST_SEARCH: TimeDelta = TimeDelta::days(60);

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListEvents {
    /// From this day or time on, like 2026-03-01; null for now.
    #[serde(default, alias = "after", alias = "start")]
    from: Option<String>,
    /// Before this day or time; null for two weeks later.
    #[serde(default, alias = "before", alias = "end")]
    until: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct GetEvent {
    /// The event's id, from an earlier result.
    #[serde(alias = "event_id")]
    id: String,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct FindFreeSlots {
    /// How long the appointment takes; null for 30 minutes.
    #[serde(alias = "duration", alias = "minutes")]
    duration_minutes: Option<u32>,
    /// From this day or time on; null for now.
    #[serde(alias = "after", alias = "start")]
    from: Option<String>,
    /// Before this day or time; null for two weeks later.
    #[serde(alias = "before", alias = "end")]
    until: Option<String>,
    /// Minutes to keep free before and after; null for 15.
    #[serde(alias = "buffer")]
    buffer_minutes: Option<u32>,
    /// How many; null for 6.
    #[serde(alias = "limit", alias = "max")]
    count: Option<u32>,
    /// The other side's time zone as an IANA name, where it is another; null otherwise.
    #[serde(alias = "time_zone", alias = "timezone")]
    other_time_zone: Option<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        tool::<ListEvents>(
            "list_events",
            "Lists what is in the advisor's calendar, earliest first.",
        ),
        tool::<GetEvent>("get_event", "Reads one event of the calendar."),
        tool::<FindFreeSlots>(
            "find_free_slots",
            "Finds times at which the advisor is free, within their working hours. Offer only such times.",
        ),
    ]
}

pub(super) async fn list_events(
    app: &App,
    scope: &UserScope,
    asked: ListEvents,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let (from, until) = window(asked.from, asked.until, app.clock.now(), work.zone)?;
    let mut tx = scope.begin(&app.pool).await?;
    let events = book::events_between(&mut tx, from, until, MOST_EVENTS).await?;
    let within: Vec<_> = events
        .into_iter()
        .filter(|event| work.may_read_of(&event.people()))
        .collect();
    Ok(within.into_iter().map(|event| show(&event, work)).collect())
}

pub(super) async fn get_event(
    app: &App,
    scope: &UserScope,
    asked: GetEvent,
    work: &mut Work,
) -> Result<Vec<Value>, ToolError> {
    let mut tx = scope.begin(&app.pool).await?;
    let event = book::find_event(&mut tx, id(&asked.id)?)
        .await?
        .filter(|event| work.may_read_of(&event.people()))
        .ok_or_else(|| wrong("there is no event with this id"))?;
    let mut shown = show(&event, work);
    shown["description"] = visible(&event.description).into();
    Ok(vec![shown])
}

fn show(event: &book::Event, work: &mut Work) -> Value {
    let number = work.sources.number(Seen {
        kind: Kind::Event,
        source_id: event.id,
        title: event.title.clone(),
        occurred_at: event.start,
        shown: event.text.clone(),
    });
    let local = |at: Option<DateTime<Utc>>| at.map(|at| at.with_timezone(&work.zone).to_rfc3339());
    json!({
        "ref": number,
        "kind": Kind::Event,
        "id": event.id,
        "title": visible(&event.title),
        "start": local(event.start),
        "end": local(event.end),
        "all_day": event.all_day,
        "location": event.location.as_deref().map(visible),
        "attendees": event.people(),
        "status": event.status,
    })
}

fn window(
    from: Option<String>,
    until: Option<String>,
    now: DateTime<Utc>,
    zone: Tz,
) -> Result<(DateTime<Utc>, DateTime<Utc>), ToolError> {
    let from = from
        .map(|from| instant(&from, zone))
        .transpose()?
        .unwrap_or(now);
    let until = match until {
        // A day as the end is meant to the day's end.
        Some(day) if day.trim().parse::<NaiveDate>().is_ok() => {
            instant(&day, zone)? + TimeDelta::days(1)
        }
        Some(until) => instant(&until, zone)?,
        None => from + TimeDelta::days(14),
    };
    if until <= from {
        return Err(wrong("until: must be after from"));
    }
    Ok((from, until.min(from + LONGEST_SEARCH)))
}

pub(super) async fn find_free_slots(
    app: &App,
    scope: &UserScope,
    asked: FindFreeSlots,
    work: &mut Work,
) -> Result<Value, ToolError> {
    let now = app.clock.now();
    let (from, until) = window(asked.from, asked.until, now, work.zone)?;
    let theirs: Option<Tz> = asked
        .other_time_zone
        .filter(|name| !name.trim().is_empty())
        .map(|name| name.parse())
        .transpose()
        .map_err(|_| wrong("other_time_zone: must be a name such as America/New_York"))?
        .filter(|zone| *zone != work.zone);
    let wanted = Wanted {
        long: TimeDelta::minutes(asked.duration_minutes.unwrap_or(30).clamp(5, 600).into()),
        buffer: TimeDelta::minutes(asked.buffer_minutes.unwrap_or(15).min(240).into()),
        from: from.max(now + NOTICE),
        until,
        zone: work.zone,
        count: asked
            .count
            .map_or(6, |count| count as usize)
            .clamp(1, MOST_SLOTS),
    };
    let busy = busy(
        app,
        *scope,
        wanted.from - wanted.buffer,
        until + wanted.buffer,
    )
    .await
    .map_err(|error| {
        tracing::info!(%error, "free times can't be told");
        wrong("The calendar can't be read right now, so nobody knows when there is time. Offer no times.")
    })?;
    let slots = wanted.slots(&work.hours, &busy);
    work.slots.extend(&slots);
    let shown: Vec<Value> = slots
        .iter()
        .map(|slot| {
            json!({
                "start": slot.start.with_timezone(&work.zone).to_rfc3339(),
                "end": slot.end.with_timezone(&work.zone).to_rfc3339(),
                "words": in_words(slot, work.zone),
                "words_for_them": theirs.map(|zone| in_words(slot, zone)),
            })
        })
        .collect();
    Ok(json!({"time_zone": work.zone.name(), "slots": shown}))
}

/// For a reader who doesn't know in which zone it was written.
fn in_words(slot: &Span, zone: Tz) -> String {
    let (start, end) = (
        slot.start.with_timezone(&zone),
        slot.end.with_timezone(&zone),
    );
    format!(
        "{} – {} ({})",
        start.format("%A, %-d %B %Y, %H:%M"),
        end.format("%H:%M"),
        zone.name()
    )
}

/// What is looked for.
struct Wanted {
    long: TimeDelta,
    buffer: TimeDelta,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    zone: Tz,
    count: usize,
}

impl Wanted {
    /// The first times that fit, not too many of one day.
    fn slots(&self, hours: &WorkingHours, busy: &[(DateTime<Utc>, DateTime<Utc>)]) -> Vec<Span> {
        let mut slots = Vec::new();
        let mut day = self.from.with_timezone(&self.zone).date_naive();
        let last = self.until.with_timezone(&self.zone).date_naive();
        while day <= last && slots.len() < self.count {
            if hours.days.contains(&Day::from(day.weekday())) {
                slots.extend(self.of_day(day, hours, busy).into_iter().take(SLOTS_A_DAY));
            }
            let Some(next) = day.succ_opt() else { break };
            day = next;
        }
        slots.truncate(self.count);
        slots
    }

    fn of_day(
        &self,
        day: NaiveDate,
        hours: &WorkingHours,
        busy: &[(DateTime<Utc>, DateTime<Utc>)],
    ) -> Vec<Span> {
        let mut found: Vec<Span> = Vec::new();
        let mut minute = 0;
        while minute < 24 * 60 {
            let local = day
                .and_hms_opt(0, 0, 0)
                .and_then(|midnight| midnight.checked_add_signed(Duration::minutes(minute)));
            minute += i64::from(GRID);
            // An hour that doesn't exist that day, or comes twice, is offered to nobody.
            let Some(start) =
                local.and_then(|local| self.zone.from_local_datetime(&local).single())
            else {
                continue;
            };
            let end = start + self.long;
            let fits = start.time() >= hours.start
                && end.date_naive() == day
                && end.time() <= hours.end
                && end.time() > hours.start;
            let slot = Span {
                start: start.to_utc(),
                end: end.to_utc(),
            };
            let is_free = busy.iter().all(|(from, until)| {
                *until + self.buffer <= slot.start || slot.end + self.buffer <= *from
            });
            let is_apart = found
                .last()
                .is_none_or(|last| slot.start >= last.end + self.buffer);
            if fits && is_free && is_apart && slot.start >= self.from && slot.end <= self.until {
                found.push(slot);
            }
        }
        // Of a free day the morning, the middle and the afternoon.
        if found.len() > SLOTS_A_DAY {
            let step = found.len() / SLOTS_A_DAY;
            found = found.into_iter().step_by(step).take(SLOTS_A_DAY).collect();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        instant(text, Tz::Europe__Berlin).unwrap()
    }

    fn wanted(from: &str, until: &str) -> Wanted {
        Wanted {
            long: TimeDelta::minutes(60),
            buffer: TimeDelta::minutes(15),
            from: at(from),
            until: at(until),
            zone: Tz::Europe__Berlin,
            count: 12,
        }
    }

    #[test]
    fn only_free_times_of_working_days_are_offered() {
        // A Friday, the weekend, a Monday.
        let busy = [
            (at("2026-11-27T09:00"), at("2026-11-27T15:30")),
            (at("2026-11-30T10:00"), at("2026-11-30T16:00")),
        ];
        let found =
            wanted("2026-11-27T08:00", "2026-11-30T23:00").slots(&WorkingHours::default(), &busy);
        let starts: Vec<String> = found
            .iter()
            .map(|slot| {
                let start = slot.start.with_timezone(&Tz::Europe__Berlin);
                start.format("%a %H:%M").to_string()
            })
            .collect();
        // 9:00 on Monday would end 10:00 with the next one at once.
        assert_eq!(starts, ["Fri 16:00"]);
    }

    #[test]
    fn the_clock_on_the_wall_counts_on_both_sides_of_a_change() {
        let hours = WorkingHours {
            days: vec![Day::Sat, Day::Sun, Day::Mon],
            ..WorkingHours::default()
        };
        let found = wanted("2026-03-28T00:00", "2026-03-30T23:00").slots(&hours, &[]);
        assert_eq!(found.len(), 9);
        for slot in found {
            let start = slot.start.with_timezone(&Tz::Europe__Berlin);
            assert!((hours.start..hours.end).contains(&start.time()), "{start}");
            assert_eq!(slot.end - slot.start, TimeDelta::minutes(60));
        }
    }

    #[test]
    fn an_end_that_is_a_day_means_the_whole_day() {
        let now = at("2026-11-24T10:00");
        let (_, until) = window(None, Some("2026-11-26".into()), now, Tz::Europe__Berlin).unwrap();
        assert_eq!(until, at("2026-11-27T00:00"));
        assert!(
            window(
                Some("2026-11-26".into()),
                Some("2026-11-25".into()),
                now,
                Tz::UTC
            )
            .is_err()
        );
    }
}
