//! The book itself: everything that an advisor's mailbox, address book and calendar would hold.
//!
//! [`generate`] draws households and facts (`truth`), has them told (`threads`),
//! adds meetings, cards and circulars, and keeps the record of which source states which fact: the
//! ground truth of the questions. The `write_` methods yield files as other programs write them.
//!
//! Promises: sources are in order of time; nothing but meetings lies in the future.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::cards::{self, Contact, Event, Note, When};
use super::facts::{Fact, Kind};
use super::mail::{self, Mail};
use super::office_hours::at_clock;
use super::people::{self, Household, Person, Professional};
use super::random::{below, chance, pick};
use super::threads::Correspondence;
use super::truth;
use super::wording::filler;

/// What names a source, whatever stores it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKey {
    /// Message-ID without angle brackets.
    Mail(String),
    /// UID of a calendar event.
    Event(String),
    /// UID of a card.
    Contact(String),
    /// File name of a note.
    Note(String),
}

/// This source states that fact, in its own words and not in a quoted copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Place in [`Book::facts`].
    pub fact: usize,
    pub source: SourceKey,
    pub on: NaiveDate,
}

/// A meeting with a client: its event, and the mail that confirmed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    pub household: usize,
    pub adult: usize,
    pub event: String,
    pub confirmation: Option<String>,
    pub starts_at: DateTime<FixedOffset>,
    pub place: String,
    pub agenda: String,
}

/// A fictional advisor's book of clients.
#[derive(Debug)]
pub struct Book {
    pub advisor: Person,
    pub today: NaiveDate,
    pub households: Vec<Household>,
    pub professionals: Vec<Professional>,
    pub mails: Vec<Mail>,
    pub contacts: Vec<Contact>,
    pub events: Vec<Event>,
    pub notes: Vec<Note>,
    /// What is true, by id.
    pub facts: Vec<Fact>,
    /// Who states it.
    pub tellings: Vec<Telling>,
    pub meetings: Vec<Meeting>,
}

/// A book of `clients` households as it stands on the morning of `today`.
pub fn generate(seed: u64, clients: usize, today: NaiveDate) -> Book {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let advisor = people::advisor();
    let professionals = people::professionals(&mut rng, clients);
    let households = people::households(&mut rng, clients, today);
    let told = truth::draw(&mut rng, &households, &professionals, today);

    let mut letters = Correspondence {
        rng,
        today,
        advisor: &advisor,
        mails: Vec::new(),
        notes: Vec::new(),
        tellings: Vec::new(),
    };
    for (place, item) in told.iter().enumerate() {
        // A long mail touches on the same client's next topic as well.
        let also = told.get(place + 1).map(|next| &next.fact).filter(|next| {
            (next.household, next.adult) == (item.fact.household, item.fact.adult)
                && next.kind != Kind::Travel
        });
        let household = &households[item.fact.household];
        if item.fixed {
            letters.tell_in_mail(&item.fact, household, item.days_ago);
        } else {
            letters.tell(&item.fact, also, household, item.days_ago);
        }
    }
    for household in &households {
        for _ in 0..=below(&mut letters.rng, 3) {
            let client = below(&mut letters.rng, household.adults.len());
            let days_ago = truth::some_day(&mut letters.rng);
            letters.idle_talk(&household.adults[client], days_ago);
        }
    }
    let mut days_ago = 3;
    for (subject, text) in filler::CIRCULARS.iter().cycle().take(36) {
        letters.circular(subject, text, days_ago);
        days_ago += truth::DAYS / 36;
    }
    let (mut events, meetings) = hold_meetings(&mut letters, &households);
    let contacts = contacts(&mut letters.rng, &households, &professionals);
    events.extend(
        contacts
            .iter()
            .filter_map(|contact| birthday(contact, today)),
    );

    let Correspondence {
        mut mails,
        mut notes,
        tellings,
        ..
    } = letters;
    mails.sort_by_key(|mail| mail.at);
    notes.sort_by(|a, b| (a.on, &a.file).cmp(&(b.on, &b.file)));
    Book {
        advisor,
        today,
        households,
        professionals,
        mails,
        contacts,
        events,
        notes,
        facts: told.into_iter().map(|item| item.fact).collect(),
        tellings,
        meetings,
    }
}

/// One or two meetings in the past and, for two households in three, one to come.
fn hold_meetings<'a>(
    letters: &mut Correspondence<'a>,
    households: &'a [Household],
) -> (Vec<Event>, Vec<Meeting>) {
    let mut events = Vec::new();
    let mut meetings = Vec::new();
    let mut taken = BTreeSet::new();
    for (index, household) in households.iter().enumerate() {
        let past = 1 + below(&mut letters.rng, 2);
        let to_come = usize::from(chance(&mut letters.rng, 66));
        for count in 0..past + to_come {
            let rng = &mut letters.rng;
            let ahead = count >= past;
            let day = if ahead {
                letters.today + Days::new(below(rng, 41) as u64)
            } else {
                letters.today - Days::new(20 + below(rng, 400) as u64)
            };
            let hour = 9 + u32::try_from(below(rng, 8)).unwrap_or_default();
            let (day, hour) = free_hour(&mut taken, workday(day), hour);
            // Half past for half an hour, so that no two meetings of the day overlap.
            let half = chance(rng, 30);
            let starts_at = at_clock(day, hour, if half { 30 } else { 0 });
            let adult = below(rng, household.adults.len());
            let what = pick(rng, filler::REVIEWS);
            let place = pick(rng, filler::PLACES);
            let agenda = pick(rng, filler::AGENDAS);
            let client = &household.adults[adult];
            let event = format!("meeting-{index}-{count}@morgan-advisory.example");
            let confirmed = chance(&mut letters.rng, if ahead { 65 } else { 35 });
            let confirmation = confirmed.then(|| {
                // A meeting to come was confirmed lately, a past one in the week before it.
                let rng = &mut letters.rng;
                let days_ago = if ahead {
                    1 + below(rng, 14)
                } else {
                    let passed = (letters.today - day).num_days();
                    usize::try_from(passed).unwrap_or_default() + 1 + below(rng, 7)
                };
                letters.confirm(client, what, starts_at, place, days_ago)
            });
            events.push(Event {
                uid: event.clone(),
                summary: format!("{what}: {}", client.full_name()),
                when: When::At {
                    starts_at: starts_at.to_utc(),
                    minutes: if half { 30 } else { 60 },
                },
                location: Some(place.to_owned()),
                description: format!("On the agenda: {agenda}."),
                attendees: vec![letters.advisor.into(), client.into()],
            });
            meetings.push(Meeting {
                household: index,
                adult,
                event,
                confirmation: confirmation.flatten(),
                starts_at,
                place: place.to_owned(),
                agenda: agenda.to_owned(),
            });
        }
    }
    (events, meetings)
}

/// The first hour from then on in which the advisor meets nobody yet.
fn free_hour(
    taken: &mut BTreeSet<(NaiveDate, u32)>,
    mut day: NaiveDate,
    mut hour: u32,
) -> (NaiveDate, u32) {
    while !taken.insert((day, hour)) {
        hour += 1;
        if hour > 16 {
            hour = 9;
            day = workday(day + Days::new(1));
        }
    }
    (day, hour)
}

fn workday(day: NaiveDate) -> NaiveDate {
    match day.weekday() {
        chrono::Weekday::Sat => day + Days::new(2),
        chrono::Weekday::Sun => day + Days::new(1),
        _ => day,
    }
}

fn contacts(
    rng: &mut ChaCha8Rng,
    households: &[Household],
    professionals: &[Professional],
) -> Vec<Contact> {
    let clients = households
        .iter()
        .enumerate()
        .flat_map(|(index, household)| {
            household
                .adults
                .iter()
                .enumerate()
                .map(move |(adult, person)| (format!("client-{index}-{adult}"), person, household))
        });
    let mut contacts: Vec<Contact> = clients
        .map(|(key, person, household)| {
            let hour = pick(
                rng,
                &["in the morning", "after four", "around noon", "on Fridays"],
            );
            Contact {
                town: Some(household.town.clone()),
                born_on: Some(person.born_on),
                note: format!("Client since {}. Call {hour}.", household.client_since),
                ..card(&key, person)
            }
        })
        .collect();
    contacts.extend(
        professionals
            .iter()
            .enumerate()
            .map(|(index, professional)| Contact {
                organization: Some(professional.firm.clone()),
                note: "Works with several clients.".to_owned(),
                ..card(&format!("professional-{index}"), &professional.person)
            }),
    );
    contacts
}

fn card(key: &str, person: &Person) -> Contact {
    Contact {
        uid: format!("{key}@morgan-advisory.example"),
        name: person.full_name(),
        first: person.first.clone(),
        last: person.last.clone(),
        organization: None,
        email: person.email.clone(),
        phone: person.phone.clone(),
        town: None,
        born_on: None,
        note: String::new(),
    }
}

/// The next birthday of a client, in the calendar.
fn birthday(contact: &Contact, today: NaiveDate) -> Option<Event> {
    let born_on = contact.born_on?;
    let this_year = born_on.with_year(today.year());
    let day = match this_year {
        Some(day) if day >= today => day,
        // The 29th of February has no birthday in most years; it is kept on the 28th.
        _ => born_on
            .with_year(today.year() + 1)
            .or_else(|| NaiveDate::from_ymd_opt(today.year() + 1, 2, 28))?,
    };
    Some(Event {
        uid: format!("birthday-{}", contact.uid),
        summary: format!("Birthday: {}", contact.name),
        when: When::On(day),
        location: None,
        description: String::new(),
        attendees: Vec::new(),
    })
}

impl Book {
    /// All mails as one mbox file.
    pub fn write_mbox(&self, out: impl Write) -> io::Result<()> {
        mail::write_mbox(&self.mails, out)
    }

    /// All cards as one vCard file.
    pub fn write_vcf(&self, mut out: impl Write) -> io::Result<()> {
        let text = cards::vcards(&self.contacts).map_err(io::Error::other)?;
        out.write_all(text.as_bytes())
    }

    /// All events as one iCalendar file.
    pub fn write_ics(&self, mut out: impl Write) -> io::Result<()> {
        let stamp = at_clock(self.today, 0, 0).to_utc();
        let text = cards::calendar(&self.events, stamp).map_err(io::Error::other)?;
        out.write_all(text.as_bytes())
    }

    /// The notes, a file each, into a folder that exists.
    pub fn write_notes(&self, folder: &Path) -> io::Result<()> {
        for note in &self.notes {
            std::fs::write(folder.join(&note.file), note.content())?;
        }
        Ok(())
    }

    /// Everything that can be found, each source with its own words: subject and fresh text of a
    /// mail, the readable text of the others.
    pub fn sources(&self) -> impl Iterator<Item = (SourceKey, String)> {
        let mails = self.mails.iter().map(|mail| {
            let text = format!("{}\n\n{}", mail.subject, mail.fresh());
            (SourceKey::Mail(mail.message_id.clone()), text)
        });
        let events = (self.events.iter()).map(|e| (SourceKey::Event(e.uid.clone()), e.text()));
        let cards = (self.contacts.iter()).map(|c| (SourceKey::Contact(c.uid.clone()), c.text()));
        let notes = (self.notes.iter()).map(|n| (SourceKey::Note(n.file.clone()), n.content()));
        mails.chain(events).chain(cards).chain(notes)
    }
}
