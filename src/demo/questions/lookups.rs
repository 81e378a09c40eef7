//! Questions that turn on a name, a date, a card or a calendar event.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};

use super::about_facts::ask;
use super::{Candidate, MOST_RELEVANT, Subject, Truth};
use crate::demo::book::{SourceKey, Telling};
use crate::demo::facts::{Fact, Kind};
use crate::demo::people;
use crate::demo::wording;

fn candidate(text: String, relevant: Vec<SourceKey>, span: Option<&str>) -> Candidate {
    Candidate {
        text,
        relevant,
        span: span.map(str::to_owned),
        subject: None,
        markers: Vec::new(),
    }
}

/// About people whose names resemble another's, and about professionals by name.
pub(super) fn names(truth: &Truth<'_>) -> Vec<Candidate> {
    let book = truth.book;
    let mut candidates = Vec::new();
    for fact in &book.facts {
        if fact.household < people::lookalikes() {
            candidates.extend(ask(truth, fact, wording::of(fact.kind).plain));
        }
    }
    for (index, professional) in book.professionals.iter().enumerate() {
        let name = professional.person.full_name();
        let facts: Vec<&Fact> = (book.facts.iter())
            .filter(|fact| fact.kind.names_a_professional() && fact.value == name)
            .collect();
        let relevant = truth.sources(facts);
        if (1..=MOST_RELEVANT).contains(&relevant.len()) {
            let text = format!("Which of my clients mentioned {name}?");
            candidates.push(candidate(text, relevant, Some(&name)));
        }
        let card = &book.contacts[book.contacts.len() - book.professionals.len() + index];
        candidates.push(candidate(
            format!("Under which number do I reach {name}?"),
            vec![SourceKey::Contact(card.uid.clone())],
            Some(&card.phone),
        ));
    }
    candidates
}

/// Answered by a card or an event (and by the mail that confirmed the event).
pub(super) fn contacts_and_events(truth: &Truth<'_>) -> Vec<Candidate> {
    let book = truth.book;
    let mut candidates = Vec::new();
    for (index, household) in book.households.iter().enumerate() {
        for (adult, person) in household.adults.iter().enumerate() {
            let name = person.full_name();
            let uid = format!("client-{index}-{adult}@morgan-advisory.example");
            let birthday = format!("birthday-{uid}");
            let card = vec![SourceKey::Contact(uid)];
            let since = format!("Client since {}", household.client_since);
            candidates.push(candidate(
                format!("What is the phone number of {name}?"),
                card.clone(),
                Some(&person.phone),
            ));
            candidates.push(candidate(
                format!("Since which year has {name} been a client?"),
                card.clone(),
                Some(&since),
            ));
            candidates.push(candidate(
                format!("When is {name}'s birthday?"),
                [card.clone(), vec![SourceKey::Event(birthday)]].concat(),
                None,
            ));
            if truth.facts_of(index, Kind::Move).next().is_none() {
                candidates.push(candidate(
                    format!("In which town does {name} live?"),
                    card,
                    Some(&household.town),
                ));
            }
        }
    }
    for meeting in &book.meetings {
        if meeting.starts_at.date_naive() < book.today {
            continue;
        }
        let name = book.households[meeting.household].adults[meeting.adult].full_name();
        let event = SourceKey::Event(meeting.event.clone());
        let confirmation = meeting.confirmation.clone().map(SourceKey::Mail);
        let both: Vec<_> = [event.clone()].into_iter().chain(confirmation).collect();
        candidates.push(candidate(
            format!("Where does my next meeting with {name} take place?"),
            both.clone(),
            Some(&meeting.place),
        ));
        candidates.push(candidate(
            format!("When do I meet {name} next?"),
            both,
            None,
        ));
        candidates.push(candidate(
            format!("What is on the agenda when I next meet {name}?"),
            vec![event],
            Some(&meeting.agenda),
        ));
    }
    candidates
}

/// Kinds whose values read well after "brought up".
const NAMEABLE: [Kind; 9] = [
    Kind::ChildSport,
    Kind::ChildArts,
    Kind::Hobby,
    Kind::Travel,
    Kind::Charity,
    Kind::Renovation,
    Kind::Illness,
    Kind::Job,
    Kind::Business,
];

/// Bounded by when it was told.
pub(super) fn times(truth: &Truth<'_>) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for kind in Kind::all() {
        topics_by_month(truth, kind, &mut candidates);
    }
    for kind in NAMEABLE {
        values_by_year(truth, kind, &mut candidates);
    }
    journeys_by_month(truth, &mut candidates);
    candidates
}

fn tellings_of<'t>(
    truth: &'t Truth<'_>,
    is: impl Fn(&Fact) -> bool + 't,
) -> impl Iterator<Item = &'t Telling> {
    (truth.book.tellings.iter()).filter(move |telling| is(&truth.book.facts[telling.fact]))
}

fn sources(tellings: &[&Telling]) -> Vec<SourceKey> {
    tellings
        .iter()
        .map(|telling| telling.source.clone())
        .collect()
}

fn topics_by_month(truth: &Truth<'_>, kind: Kind, candidates: &mut Vec<Candidate>) {
    let today = truth.book.today;
    let mut months: BTreeMap<(i32, u32), Vec<&Telling>> = BTreeMap::new();
    for telling in tellings_of(truth, |fact| fact.kind == kind) {
        let month = (telling.on.year(), telling.on.month());
        months.entry(month).or_default().push(telling);
    }
    let topic = wording::of(kind).topic;
    for (&(year, month), tellings) in &months {
        if tellings.len() > MOST_RELEVANT || (year, month) == (today.year(), today.month()) {
            continue;
        }
        let name = month_name(year, month);
        // Without a year the latest such month is meant; safe where there was no earlier one.
        let recent = months.keys().filter(|(_, m)| *m == month).count() == 1
            && (today.year() * 12 + today.month0().cast_signed())
                - (year * 12 + month.cast_signed() - 1)
                < 12;
        let value = match tellings[..] {
            [only] => Some(truth.book.facts[only.fact].value.as_str()),
            _ => None,
        };
        let when = if recent {
            format!("in {name}")
        } else {
            format!("in {name} {year}")
        };
        let relevant = sources(tellings);
        candidates.push(candidate(
            format!("Which clients brought up {topic} {when}?"),
            relevant,
            value,
        ));
    }
}

fn values_by_year(truth: &Truth<'_>, kind: Kind, candidates: &mut Vec<Candidate>) {
    let this_year = truth.book.today.year();
    for value in kind.values() {
        let all: Vec<&Telling> =
            tellings_of(truth, |fact| fact.kind == kind && fact.value == *value).collect();
        for (year, words) in [(this_year, "this year"), (this_year - 1, "last year")] {
            let within: Vec<&Telling> = all
                .iter()
                .copied()
                .filter(|telling| telling.on.year() == year)
                .collect();
            // Only where somebody told it in another year: else the time decides nothing.
            if (1..=MOST_RELEVANT).contains(&within.len()) && within.len() < all.len() {
                candidates.push(candidate(
                    format!("Which clients brought up {value} {words}?"),
                    sources(&within),
                    Some(value),
                ));
            }
        }
    }
}

fn journeys_by_month(truth: &Truth<'_>, candidates: &mut Vec<Candidate>) {
    let book = truth.book;
    for fact in book.facts.iter().filter(|fact| fact.kind == Kind::Travel) {
        if truth.facts_of(fact.household, Kind::Travel).count() < 2 {
            continue;
        }
        let Some(first) = truth.tellings[fact.id].first() else {
            continue;
        };
        let month = (first.on.year(), first.on.month());
        let within: Vec<&Telling> = (truth.tellings[fact.id].iter().copied())
            .filter(|telling| (telling.on.year(), telling.on.month()) == month)
            .collect();
        let name = book.households[fact.household].adults[fact.adult].full_name();
        candidates.push(Candidate {
            subject: Some(Subject {
                household: fact.household,
                kind: fact.kind,
            }),
            ..candidate(
                format!(
                    "Which trip did {name} bring up in {} {}?",
                    month_name(month.0, month.1),
                    month.0
                ),
                sources(&within),
                Some(&fact.value),
            )
        });
    }
}

fn month_name(year: i32, month: u32) -> String {
    NaiveDate::from_ymd_opt(year, month, 1)
        .unwrap_or_default()
        .format("%B")
        .to_string()
}
