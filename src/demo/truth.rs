//! Draws what is true: which household has which facts, and how long ago each was told.
//!
//! The look-alikes who open every book have fixed facts, so that the demo's own questions ("Who
//! mentioned their kid plays baseball?", "Why did Greg want to sell AAPL?") always have a recent
//! answer and a tempting wrong one. All else is drawn. Knows no wording.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};
use rand_chacha::ChaCha8Rng;

use super::facts::{Fact, Kind};
use super::people::{Household, Professional};
use super::random::{below, chance, pick};

/// How far back the book reaches.
pub const DAYS: usize = 540;

/// A fact and the day on which it is first told, counted back from today (1 is yesterday).
pub struct Told {
    pub fact: Fact,
    pub days_ago: usize,
    /// One of the demo's own, to be told in a mail and nowhere else.
    pub fixed: bool,
}

/// Household (a look-alike's place), adult, kind, value, detail, days ago.
type Fixed = (usize, usize, Kind, &'static str, &'static str, usize);

const FIXED: &[Fixed] = &[
    (0, 0, Kind::ChildArts, "ballet", "Thursdays", 20),
    (0, 0, Kind::Pet, "beagle", "Waffles", 45),
    (0, 0, Kind::Roth, "$40,000", "the old rollover IRA", 9),
    (1, 0, Kind::ChildSport, "baseball", "the Comets", 90),
    (1, 0, Kind::Pet, "border collie", "Pepper", 60),
    (2, 0, Kind::SellStock, "buy a cabin by the lake", "AAPL", 12),
    (
        3,
        0,
        Kind::SellStock,
        "settle last year's tax bill",
        "TSLA",
        40,
    ),
    (
        5,
        0,
        Kind::SellStock,
        "repay an old family loan",
        "AAPL",
        200,
    ),
    (6, 0, Kind::ChildSport, "baseball", "the Otters", 6),
    (7, 0, Kind::ChildSport, "soccer", "the Thunder", 15),
];

/// All facts of the book, in the order of households; a fact's id is its place.
pub fn draw(
    rng: &mut ChaCha8Rng,
    households: &[Household],
    professionals: &[Professional],
    today: NaiveDate,
) -> Vec<Told> {
    let mut told = Vec::new();
    for (index, household) in households.iter().enumerate() {
        let mut kinds = BTreeSet::new();
        for &(place, adult, kind, value, detail, days_ago) in FIXED {
            if place == index {
                kinds.insert(kind);
                let fact = Fact {
                    id: told.len(),
                    household: index,
                    adult,
                    kind,
                    value: value.to_owned(),
                    detail: detail.to_owned(),
                    child: child(rng, household, kind),
                };
                told.push(Told {
                    fact,
                    days_ago,
                    fixed: true,
                });
            }
        }
        let wanted = 6 + below(rng, 3);
        while kinds.len() < wanted {
            let (one, other) = pick(rng, &Kind::PAIRS);
            let (first, second) = if chance(rng, 50) {
                (one, other)
            } else {
                (other, one)
            };
            let with_sibling = chance(rng, 45);
            for kind in [Some(first), with_sibling.then_some(second)]
                .into_iter()
                .flatten()
            {
                if fits(kind, household) && kinds.insert(kind) {
                    draw_kind(rng, &mut told, index, household, kind, professionals, today);
                }
            }
        }
    }
    told
}

fn fits(kind: Kind, household: &Household) -> bool {
    (!kind.needs_child() || !household.children.is_empty())
        && (!kind.needs_age() || household.children.is_empty())
        && (!kind.needs_couple() || household.adults.len() > 1)
}

fn draw_kind(
    rng: &mut ChaCha8Rng,
    told: &mut Vec<Told>,
    index: usize,
    household: &Household,
    kind: Kind,
    professionals: &[Professional],
    today: NaiveDate,
) {
    let mut add = |rng: &mut ChaCha8Rng, not: Option<&Fact>, days_ago: usize| -> Fact {
        let (value, detail) = loop {
            let value = if kind.names_a_professional() {
                professionals[below(rng, professionals.len())]
                    .person
                    .full_name()
            } else {
                year_filled(pick(rng, kind.values()), today)
            };
            let detail = pick(rng, kind.details()).to_owned();
            if not.is_none_or(|fact| fact.value != value && fact.detail != detail) {
                break (value, detail);
            }
        };
        let fact = Fact {
            id: told.len(),
            household: index,
            adult: below(rng, household.adults.len()),
            kind,
            value,
            detail,
            child: child(rng, household, kind),
        };
        told.push(Told {
            fact: fact.clone(),
            days_ago,
            fixed: false,
        });
        fact
    };
    if kind == Kind::Travel && chance(rng, 40) {
        // Two journeys, told far apart: only the time tells them apart.
        let (long_ago, lately) = (250 + below(rng, DAYS - 250), 1 + below(rng, 180));
        let first = add(rng, None, long_ago);
        add(rng, Some(&first), lately);
    } else {
        let days_ago = some_day(rng);
        add(rng, None, days_ago);
    }
}

/// Days before today; a quarter of all falls into the last two months, so that the book is alive.
pub fn some_day(rng: &mut ChaCha8Rng) -> usize {
    let span = if chance(rng, 25) { 60 } else { DAYS };
    1 + below(rng, span)
}

fn child(rng: &mut ChaCha8Rng, household: &Household, kind: Kind) -> Option<String> {
    kind.needs_child()
        .then(|| household.children[below(rng, household.children.len())].clone())
}

/// Fills `{y+3}` with the year in three years.
fn year_filled(value: &str, today: NaiveDate) -> String {
    (1..10).fold(value.to_owned(), |text, ahead| {
        text.replace(
            &format!("{{y+{ahead}}}"),
            &(today.year() + ahead).to_string(),
        )
    })
}
