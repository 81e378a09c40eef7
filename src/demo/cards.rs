//! The book's address cards, calendar events and call notes, and the files that hold them.
//!
//! vCard 4.0 and iCalendar are written by `calcard`, so escaping and folding are its business.
//! Each type has a `text()`: its words as somebody reads them, which the questions are checked
//! against. Knows no facts.

use std::fmt::Write as _;

use calcard::common::PartialDateTime;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarProperty,
    ICalendarValue,
};
use calcard::vcard::{VCard, VCardEntry, VCardProperty, VCardValue, VCardVersion};
use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

use super::mail::Mailbox;

/// One card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub uid: String,
    pub name: String,
    pub first: String,
    pub last: String,
    pub organization: Option<String>,
    pub email: String,
    pub phone: String,
    pub town: Option<String>,
    pub born_on: Option<NaiveDate>,
    pub note: String,
}

impl Contact {
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.name, self.email, self.phone);
        for line in [&self.organization, &self.town].into_iter().flatten() {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&self.note);
        text
    }

    fn card(&self) -> VCard {
        let mut entries = vec![
            entry(VCardProperty::Uid, self.uid.as_str()),
            entry(VCardProperty::Fn, self.name.as_str()),
            VCardEntry::new(VCardProperty::N).with_values(
                [self.last.as_str(), self.first.as_str(), "", "", ""]
                    .map(|part| VCardValue::Text(part.to_owned()))
                    .to_vec(),
            ),
            entry(VCardProperty::Email, self.email.as_str()),
            entry(VCardProperty::Tel, self.phone.as_str()),
            entry(VCardProperty::Note, self.note.as_str()),
        ];
        if let Some(organization) = &self.organization {
            entries.push(entry(VCardProperty::Org, organization.as_str()));
        }
        if let Some(town) = &self.town {
            entries.push(
                VCardEntry::new(VCardProperty::Adr).with_values(
                    ["", "", "", town.as_str(), "", "", ""]
                        .map(|part| VCardValue::Text(part.to_owned()))
                        .to_vec(),
                ),
            );
        }
        if let Some(born_on) = self.born_on {
            entries.push(
                VCardEntry::new(VCardProperty::Bday)
                    .with_value(VCardValue::PartialDateTime(date(born_on))),
            );
        }
        VCard { entries }
    }
}

fn entry(property: VCardProperty, value: &str) -> VCardEntry {
    VCardEntry::new(property).with_value(VCardValue::Text(value.to_owned()))
}

/// Cards, one below the other.
pub fn vcards(contacts: &[Contact]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    for contact in contacts {
        contact.card().write_to(&mut out, VCardVersion::V4_0)?;
    }
    Ok(out)
}

/// When a calendar event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At {
        starts_at: DateTime<Utc>,
        minutes: u32,
    },
    /// A birthday: the whole day.
    On(NaiveDate),
}

/// One calendar event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub uid: String,
    pub summary: String,
    pub when: When,
    pub location: Option<String>,
    pub description: String,
    pub attendees: Vec<Mailbox>,
}

impl Event {
    pub fn text(&self) -> String {
        let location = self.location.as_deref().unwrap_or_default();
        format!("{}\n{location}\n{}", self.summary, self.description)
    }

    fn component(&self, stamp: DateTime<Utc>) -> ICalendarComponent {
        let mut component = ICalendarComponent::new(ICalendarComponentType::VEvent);
        let mut add = |property, value: ICalendarValue| {
            component
                .entries
                .push(ICalendarEntry::new(property).with_value(value));
        };
        add(ICalendarProperty::Uid, self.uid.as_str().into());
        add(ICalendarProperty::Dtstamp, instant(stamp).into());
        add(ICalendarProperty::Summary, self.summary.as_str().into());
        if !self.description.is_empty() {
            add(
                ICalendarProperty::Description,
                self.description.as_str().into(),
            );
        }
        if let Some(location) = &self.location {
            add(ICalendarProperty::Location, location.as_str().into());
        }
        for attendee in &self.attendees {
            add(
                ICalendarProperty::Attendee,
                format!("mailto:{}", attendee.email).into(),
            );
        }
        match self.when {
            When::At { starts_at, minutes } => {
                let ends_at = starts_at + chrono::TimeDelta::minutes(minutes.into());
                add(ICalendarProperty::Dtstart, instant(starts_at).into());
                add(ICalendarProperty::Dtend, instant(ends_at).into());
            }
            When::On(day) => {
                let next = day.succ_opt().unwrap_or(day);
                add(ICalendarProperty::Dtstart, date(day).into());
                add(ICalendarProperty::Dtend, date(next).into());
            }
        }
        component
    }
}

/// One `VCALENDAR` with all events.
pub fn calendar(events: &[Event], stamp: DateTime<Utc>) -> Result<String, std::fmt::Error> {
    let mut root = ICalendarComponent::new(ICalendarComponentType::VCalendar);
    root.entries = vec![
        ICalendarEntry::new(ICalendarProperty::Version).with_value("2.0"),
        ICalendarEntry::new(ICalendarProperty::Prodid).with_value("-//Paraplanner//Demo//EN"),
    ];
    root.component_ids = (1..).take(events.len()).collect();
    let mut calendar = ICalendar {
        components: vec![root],
    };
    calendar
        .components
        .extend(events.iter().map(|event| event.component(stamp)));
    let mut out = String::new();
    write!(out, "{calendar}")?;
    Ok(out)
}

fn date(day: NaiveDate) -> PartialDateTime {
    PartialDateTime {
        year: u16::try_from(day.year()).ok(),
        month: u8::try_from(day.month()).ok(),
        day: u8::try_from(day.day()).ok(),
        ..PartialDateTime::default()
    }
}

fn instant(at: DateTime<Utc>) -> PartialDateTime {
    PartialDateTime {
        hour: u8::try_from(at.hour()).ok(),
        minute: u8::try_from(at.minute()).ok(),
        second: u8::try_from(at.second()).ok(),
        tz_hour: Some(0),
        tz_minute: Some(0),
        ..date(at.date_naive())
    }
}

/// The advisor's note of a call or meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file's name, which is also its key.
    pub file: String,
    pub on: NaiveDate,
    pub title: String,
    /// Below the title.
    pub text: String,
}

impl Note {
    /// The file's content: Markdown for `.md`, plain text otherwise.
    pub fn content(&self) -> String {
        let markdown = std::path::Path::new(&self.file)
            .extension()
            .is_some_and(|extension| extension == "md");
        let mark = if markdown { "# " } else { "" };
        format!("{mark}{}\n\n{}\n\n{}\n", self.title, self.on, self.text)
    }
}
