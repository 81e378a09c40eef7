//! Calendars: one item per event.
//!
//! Events are cut out of the stream, each with a cap, and parsed one by one; the time zones that
//! a file defines are remembered for the events after them. A file that is read on from the
//! middle is scanned from its start, since the zones stand there. Names of zones may be IANA's,
//! Windows', or Outlook's; a time without zone is taken as UTC and says so by having none.
//! Missing ends come from the duration, a whole day, or are the start. Recurrence is kept as its
//! rule's text, not expanded. Tasks, alarms and free/busy are passed over.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::str::FromStr;

use calcard::common::{PartialDateTime, timezone::Tz};
use calcard::icalendar::{
    ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarParameterName,
    ICalendarProperty, ICalendarValue,
};
use calcard::{Entry, Parser};
use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use sha2::{Digest, Sha256};

use super::{
    Mailbox, charset, contact,
    item::{Item, Located, Position, Resume, Unit, quote, too_large},
    lines::Lines,
};

const MAX_EVENT: usize = 4 << 20;
const MAX_ZONES: usize = 500;
const MAX_ATTENDEES: usize = 2000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarEvent {
    /// As a contact's.
    pub key: Option<[u8; 32]>,
    /// Made from the content where the file has none.
    pub uid: String,
    /// Which occurrence of a series this replaces: its instant, or its date.
    pub recurrence_id: Option<String>,
    pub title: String,
    pub description: String,
    pub location: String,
    /// Of an all-day event, midnight UTC of its date.
    pub start: Option<DateTime<Utc>>,
    /// Exclusive.
    pub end: Option<DateTime<Utc>>,
    pub all_day: bool,
    pub start_date: Option<NaiveDate>,
    /// IANA's name of the zone in which the start is meant.
    pub time_zone: Option<String>,
    pub organiser: Option<Mailbox>,
    pub attendees: Vec<Attendee>,
    /// `confirmed`, `tentative`, `cancelled` or what the file says, in lower case.
    pub status: Option<String>,
    /// The text of `RRULE`.
    pub recurrence: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendee {
    pub mailbox: Mailbox,
    /// `accepted`, `declined`, `tentative`, `needs-action` …
    pub status: Option<String>,
}

pub(super) struct Events {
    lines: Lines,
    start: Resume,
    count: u64,
    zones: HashMap<String, Tz>,
}

/// What the stream is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Event,
    Zone,
}

impl Events {
    pub(super) fn new(reader: Box<dyn Read + Send>, start: Resume) -> Self {
        Self {
            lines: Lines::new(reader, 1 << 20),
            start,
            count: start.items,
            zones: HashMap::new(),
        }
    }

    /// The next event's offset and bytes; `None` in place of the bytes of one too large.
    fn next_raw(&mut self) -> io::Result<Option<(u64, Option<Vec<u8>>)>> {
        let (mut at, mut bytes, mut block) = (0, Vec::new(), Block::None);
        let mut oversized = false;
        loop {
            let (from, line_at) = (bytes.len(), self.lines.offset());
            if !self.lines.append_next(&mut bytes)? {
                return Ok((block == Block::Event).then_some((at, (!oversized).then_some(bytes))));
            }
            let line = bytes.get(from..).unwrap_or_default().trim_ascii();
            let begins = line
                .get(..6)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"BEGIN:"));
            let ends = line
                .get(..4)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"END:"));
            let name = line.get(if begins { 6 } else { 4 }..).unwrap_or_default();
            let (event, zone) = (
                name.eq_ignore_ascii_case(b"VEVENT"),
                name.eq_ignore_ascii_case(b"VTIMEZONE"),
            );
            match block {
                Block::None if begins && (event || zone) => {
                    block = if event { Block::Event } else { Block::Zone };
                    at = line_at;
                    bytes.drain(..from);
                }
                Block::None => bytes.clear(),
                Block::Zone if ends && zone => {
                    self.remember_zone(&bytes);
                    bytes.clear();
                    block = Block::None;
                }
                Block::Event if ends && event => {
                    return Ok(Some((at, (!oversized).then_some(bytes))));
                }
                Block::Event | Block::Zone if bytes.len() > MAX_EVENT => {
                    oversized = true;
                    bytes.truncate(1);
                }
                Block::Event | Block::Zone => {}
            }
        }
    }

    fn remember_zone(&mut self, bytes: &[u8]) {
        if self.zones.len() >= MAX_ZONES {
            return;
        }
        if let Some(zone) = component(&charset::decode(bytes), &ICalendarComponentType::VTimezone)
            .ok()
            .as_ref()
            .and_then(ICalendarComponent::timezone)
        {
            self.zones.insert(zone.0.to_owned(), zone.1);
        }
    }
}

impl Iterator for Events {
    type Item = io::Result<Located>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (offset, bytes) = match self.next_raw() {
                Ok(found) => found?,
                Err(error) => return Some(Err(error)),
            };
            if offset < self.start.offset {
                continue;
            }
            self.count += 1;
            let position = Position {
                unit: Unit::Event,
                ordinal: self.count,
                offset,
            };
            let item = match bytes {
                Some(bytes) => event(&bytes, &self.zones).map(|found| Item::Event(Box::new(found))),
                None => Err(too_large(MAX_EVENT)),
            };
            return Some(Ok(Located::new(position, self.lines.offset(), item)));
        }
    }
}

fn component(text: &str, kind: &ICalendarComponentType) -> Result<ICalendarComponent, String> {
    let mut parser = Parser::new(text);
    for _ in 0..10 {
        match parser.entry() {
            Entry::ICalendar(calendar) => {
                if let Some(found) = calendar
                    .components
                    .into_iter()
                    .find(|component| component.component_type == *kind)
                {
                    return Ok(found);
                }
            }
            Entry::UnterminatedComponent(_) => return Err("The event has no end.".to_owned()),
            Entry::TooManyComponents => return Err("The event has too many parts.".to_owned()),
            Entry::Eof => break,
            Entry::InvalidLine(line) => {
                return Err(format!("It isn't a calendar event: “{}”.", quote(&line)));
            }
            _ => {}
        }
    }
    Err("It isn't a calendar event.".to_owned())
}

fn event(bytes: &[u8], zones: &HashMap<String, Tz>) -> Result<CalendarEvent, String> {
    let found = component(&charset::decode(bytes), &ICalendarComponentType::VEvent)?;
    let text = |name: ICalendarProperty| {
        found
            .property(&name)
            .and_then(|entry| entry.values.first()?.as_text())
            .map(contact::tidy)
            .unwrap_or_default()
    };
    let start = found
        .property(&ICalendarProperty::Dtstart)
        .and_then(|entry| When::of(entry, zones));
    let title = contact::one_line(&text(ICalendarProperty::Summary));
    let location = contact::one_line(&text(ICalendarProperty::Location));
    let description = text(ICalendarProperty::Description);
    if start.is_none() && title.is_empty() && description.is_empty() {
        return Err("The event has neither a start nor a title.".to_owned());
    }
    let end = found
        .property(&ICalendarProperty::Dtend)
        .and_then(|entry| When::of(entry, zones));
    let duration = found
        .property(&ICalendarProperty::Duration)
        .and_then(|entry| match entry.values.first() {
            Some(ICalendarValue::Duration(duration)) => duration.to_time_delta(),
            _ => None,
        });
    let all_day = start
        .as_ref()
        .is_some_and(|start| start.zone.is_none() && start.date_only);
    let end = match (&start, end) {
        (Some(start), Some(end)) => Some(end.at.max(start.at)),
        (Some(start), None) => {
            let length = duration.unwrap_or(if all_day {
                TimeDelta::days(1)
            } else {
                TimeDelta::zero()
            });
            start
                .at
                .checked_add_signed(length)
                .map(|end| end.max(start.at))
        }
        (None, _) => None,
    };
    let recurrence_id = found
        .property(&ICalendarProperty::RecurrenceId)
        .and_then(|entry| When::of(entry, zones))
        .map(|when| {
            if when.date_only {
                when.date.to_string()
            } else {
                when.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            }
        });
    let mut uid = found.uid().map(contact::one_line).unwrap_or_default();
    if uid.is_empty() {
        uid = synthetic_uid(start.as_ref(), &title, &location, &description);
    }
    Ok(CalendarEvent {
        key: None,
        uid,
        recurrence_id,
        organiser: found
            .property(&ICalendarProperty::Organizer)
            .and_then(mailbox),
        attendees: attendees(&found),
        status: found
            .property(&ICalendarProperty::Status)
            .and_then(|entry| entry.values.first()?.as_text())
            .map(str::to_lowercase),
        recurrence: found
            .property(&ICalendarProperty::Rrule)
            .and_then(|entry| entry.values.first().cloned()?.into_text())
            .map(|rule| contact::one_line(&rule)),
        title,
        description,
        location,
        start: start.as_ref().map(|start| start.at),
        end,
        all_day,
        start_date: start.as_ref().map(|start| start.date),
        time_zone: start.and_then(|start| start.zone),
    })
}

fn synthetic_uid(start: Option<&When>, title: &str, location: &str, description: &str) -> String {
    let mut hash = Sha256::new();
    let at = start.map(|start| start.at.to_rfc3339()).unwrap_or_default();
    for part in [&at, title, location, description] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let mut uid = String::from("synthetic-");
    for byte in hash.finalize().iter().take(16) {
        // Writing to a string can't fail.
        let _ = write!(uid, "{byte:02x}");
    }
    uid
}

/// A point in time as calendars write it.
struct When {
    at: DateTime<Utc>,
    /// The date where it is meant.
    date: NaiveDate,
    date_only: bool,
    zone: Option<String>,
}

impl When {
    fn of(entry: &ICalendarEntry, zones: &HashMap<String, Tz>) -> Option<When> {
        let written: &PartialDateTime = entry.values.first()?.as_partial_date_time()?;
        let parsed = written.to_date_time()?;
        let date = parsed.date_time.date();
        if !written.has_time() {
            let at = date.and_time(chrono::NaiveTime::MIN).and_utc();
            return Some(When {
                at,
                date,
                date_only: true,
                zone: None,
            });
        }
        let zone = entry
            .parameters(&ICalendarParameterName::Tzid)
            .find_map(|value| value.as_text())
            .and_then(|name| zone(name, zones));
        let (at, zone) = match (parsed.offset, zone) {
            (Some(offset), _) => (
                offset
                    .from_local_datetime(&parsed.date_time)
                    .single()?
                    .to_utc(),
                Some("Etc/UTC".to_owned()).filter(|_| offset.local_minus_utc() == 0),
            ),
            (None, Some(zone)) => {
                // In the hour that is skipped in spring the clock is put on; in the one that
                // comes twice the first is meant.
                let at = zone
                    .from_local_datetime(&parsed.date_time)
                    .earliest()
                    .or_else(|| {
                        zone.from_local_datetime(&(parsed.date_time + TimeDelta::hours(1)))
                            .earliest()
                    })?;
                (at.to_utc(), zone.name().map(std::borrow::Cow::into_owned))
            }
            (None, None) => (parsed.date_time.and_utc(), None),
        };
        Some(When {
            at,
            date,
            date_only: false,
            zone,
        })
    }
}

fn zone(name: &str, zones: &HashMap<String, Tz>) -> Option<Tz> {
    zones
        .get(name)
        .copied()
        .or_else(|| Tz::from_str(name).ok())
        // `/example.com/20240101_1/Europe/Berlin`
        .or_else(|| {
            let mut parts = name.rsplitn(3, '/');
            let (place, region) = (parts.next()?, parts.next()?);
            Tz::from_str(&format!("{region}/{place}")).ok()
        })
        .filter(|zone| !zone.is_floating())
}

fn mailbox(entry: &ICalendarEntry) -> Option<Mailbox> {
    let name = entry
        .parameters(&ICalendarParameterName::Cn)
        .find_map(|value| value.as_text());
    Mailbox::new(name, entry.calendar_address()?).or_else(|| {
        entry
            .parameters(&ICalendarParameterName::Email)
            .find_map(|value| value.as_text())
            .and_then(|address| Mailbox::new(name, address))
    })
}

fn attendees(event: &ICalendarComponent) -> Vec<Attendee> {
    event
        .properties(&ICalendarProperty::Attendee)
        .take(MAX_ATTENDEES)
        .filter_map(|entry| {
            Some(Attendee {
                mailbox: mailbox(entry)?,
                status: entry
                    .parameters(&ICalendarParameterName::Partstat)
                    .find_map(|value| value.as_text())
                    .map(str::to_lowercase),
            })
        })
        .collect()
}
