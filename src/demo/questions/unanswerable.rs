//! Questions without an answer: topics that stand nowhere, and clients who never told it.

use rand_chacha::ChaCha8Rng;

use super::{Candidate, Subject, Truth};
use crate::demo::facts::Kind;
use crate::demo::random::{below, chance, pick};
use crate::demo::wording;

/// A question, and beginnings of words that must not stand in the book for it to be absent.
type Absent = (&'static str, &'static [&'static str]);

const ABOUT_ANYBODY: &[Absent] = &[
    ("Which client keeps bees?", &["beekeep", "bees", "hive "]),
    ("Who mentioned their kid plays cricket?", &["cricket"]),
    ("Whose child takes harp lessons?", &["harp"]),
    ("Who has a ferret?", &["ferret"]),
    ("Who is traveling to Antarctica?", &["antarctic"]),
    ("Which clients hold bitcoin?", &["bitcoin", "crypto"]),
    ("Who bought a vineyard?", &["vineyard", "winery"]),
    ("Which client filed for bankruptcy?", &["bankrupt"]),
    ("Who asked about a reverse mortgage?", &["reverse mortgage"]),
    ("Which clients own a timeshare?", &["timeshare"]),
    ("Who wants to buy gold bars?", &["gold bar", "bullion"]),
    ("Who is being audited by the IRS?", &["audit"]),
    ("Which client won the lottery?", &["lottery", "jackpot"]),
    ("Who is training for a marathon?", &["marathon"]),
    ("Who wants to sell their GME shares?", &["gme"]),
    ("Which clients asked about annuities?", &["annuit"]),
    (
        "Who serves in the military?",
        &["military", "deployment", "army"],
    ),
    ("Whose house was flooded?", &["flood"]),
    ("Which client is writing a novel?", &["novel", "manuscript"]),
    ("Who became a foster parent?", &["foster"]),
    (
        "Which client was a victim of identity theft?",
        &["identity theft"],
    ),
    ("Who is learning to fly a helicopter?", &["helicopter"]),
    ("Whose kid got a scholarship?", &["scholarship"]),
    (
        "Which client asked about a prenuptial agreement?",
        &["prenup"],
    ),
    ("Who rents out a room to tourists?", &["tourist", "airbnb"]),
    (
        "Who wants to emigrate to New Zealand?",
        &["new zealand", "emigrat"],
    ),
];

const ABOUT_SOMEBODY: &[Absent] = &[
    ("How much bitcoin does {name} own?", &["bitcoin", "crypto"]),
    (
        "Which horse does {name} keep at the stables?",
        &["horse", "stable"],
    ),
    ("What did {name} say about the audit?", &["audit"]),
    ("When does {name} run the marathon?", &["marathon"]),
    ("Where is {name}'s timeshare?", &["timeshare"]),
    ("Which annuity did {name} ask about?", &["annuit"]),
    ("How high is the alimony that {name} pays?", &["alimony"]),
    (
        "What is the title of {name}'s novel?",
        &["novel", "manuscript"],
    ),
    ("Which lawsuit is {name} involved in?", &["lawsuit"]),
    (
        "What damage did the flood do at {name}'s house?",
        &["flood"],
    ),
    (
        "Which scholarship did the kid of {name} win?",
        &["scholarship"],
    ),
    (
        "How did {name} vote on the shareholder proposal?",
        &["shareholder proposal"],
    ),
    (
        "What color did {name} paint the swimming pool?",
        &["swimming pool"],
    ),
    (
        "Which helicopter license does {name} hold?",
        &["helicopter"],
    ),
    (
        "What did {name} pay for the vineyard?",
        &["vineyard", "winery"],
    ),
    (
        "Who is the godchild that {name} adopted from abroad?",
        &["godchild", "from abroad"],
    ),
];

/// The topic stands nowhere.
pub(super) fn absent_topics(truth: &Truth<'_>, rng: &mut ChaCha8Rng) -> Vec<Candidate> {
    let make = |text: String, markers: &[&str]| Candidate {
        text,
        relevant: Vec::new(),
        span: None,
        subject: None,
        markers: markers.iter().map(|&marker| marker.to_owned()).collect(),
    };
    let mut candidates: Vec<Candidate> = ABOUT_ANYBODY
        .iter()
        .map(|(text, markers)| make((*text).to_owned(), markers))
        .collect();
    if truth.book.households.is_empty() {
        return candidates;
    }
    for (template, markers) in ABOUT_SOMEBODY {
        for _ in 0..3 {
            let household = &truth.book.households[below(rng, truth.book.households.len())];
            let adult = below(rng, household.adults.len());
            candidates.push(make(wording::address(template, household, adult), markers));
        }
    }
    candidates
}

/// Others told it, this client never did: asked plainly and obliquely, like what has an answer.
pub(super) fn never_said(truth: &Truth<'_>, rng: &mut ChaCha8Rng) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (index, household) in truth.book.households.iter().enumerate() {
        for kind in Kind::all() {
            if truth.facts_of(index, kind).next().is_some() {
                continue;
            }
            let wording = wording::of(kind);
            let templates = if chance(rng, 50) {
                wording.plain
            } else {
                wording.oblique
            };
            let template = pick(rng, templates);
            let detail = pick(rng, kind.details());
            let adult = below(rng, household.adults.len());
            let text = wording::address(template, household, adult).replace("{d}", detail);
            let text = match household.children.first() {
                Some(child) => text.replace("{child}", child),
                None if text.contains("{child}") => continue,
                None => text,
            };
            candidates.push(Candidate {
                text,
                relevant: Vec::new(),
                span: None,
                subject: Some(Subject {
                    household: index,
                    kind,
                }),
                markers: Vec::new(),
            });
        }
    }
    candidates
}
