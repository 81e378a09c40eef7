//! Questions made from facts: one fact each, or (who) one value that several people share.

use std::collections::BTreeMap;

use super::{Candidate, Group, MOST_RELEVANT, Subject, Truth};
use crate::demo::book::SourceKey;
use crate::demo::facts::{Fact, Kind};
use crate::demo::wording;

const LEXICAL_AT_LEAST: f64 = 0.5;
/// The bound that the test set is judged by.
pub(super) const PARAPHRASE_BELOW: f64 = 0.3;

pub(super) fn candidates(truth: &Truth<'_>, group: Group) -> Vec<Candidate> {
    if group == Group::Who {
        return who(truth);
    }
    let mut candidates = Vec::new();
    for fact in &truth.book.facts {
        let wording = wording::of(fact.kind);
        match group {
            Group::Lexical => candidates.extend(
                ask(truth, fact, wording.plain)
                    .filter(|c| truth.overlap(&c.text, &c.relevant) >= LEXICAL_AT_LEAST),
            ),
            Group::Paraphrase => candidates.extend(
                ask(truth, fact, wording.oblique)
                    .filter(|c| truth.overlap(&c.text, &c.relevant) < PARAPHRASE_BELOW),
            ),
            Group::Thread if is_answer_with_copies(truth, fact) => {
                candidates.extend(ask(truth, fact, wording.plain));
                let text = format!(
                    "When I asked {{name}} about {}, what was the answer?",
                    wording.topic
                );
                candidates.extend(ask(truth, fact, &[text.as_str()]));
            }
            Group::SamePersonOtherTopic if has_neighbor(truth, fact) => {
                candidates.extend(ask(truth, fact, wording.plain));
            }
            Group::SameTopicOtherPerson if has_double(truth, fact) => {
                candidates.extend(ask(truth, fact, wording.plain));
            }
            _ => {}
        }
    }
    candidates
}

/// Questions for one fact from these templates, where the answer is the only one.
pub(super) fn ask<'a>(
    truth: &'a Truth<'_>,
    fact: &'a Fact,
    templates: &'a [&str],
) -> impl Iterator<Item = Candidate> + 'a {
    let alone = truth.facts_of(fact.household, fact.kind).count() == 1;
    templates
        .iter()
        // Of two journeys only the month tells which is meant.
        .filter(move |template| alone || template.contains("{d}"))
        .map(move |template| Candidate {
            text: wording::tell(template, fact, &truth.book.households[fact.household]),
            relevant: truth.sources([fact]),
            span: Some(fact.value.clone()),
            subject: Some(Subject {
                household: fact.household,
                kind: fact.kind,
            }),
            markers: Vec::new(),
        })
}

/// Told in a reply that a later message quotes.
fn is_answer_with_copies(truth: &Truth<'_>, fact: &Fact) -> bool {
    truth.tellings[fact.id].iter().any(|telling| {
        let SourceKey::Mail(id) = &telling.source else {
            return false;
        };
        let mails = &truth.book.mails;
        mails
            .iter()
            .any(|mail| mail.message_id == *id && mail.in_reply_to.is_some())
            && mails
                .iter()
                .any(|mail| mail.in_reply_to.as_ref() == Some(id))
    })
}

fn has_neighbor(truth: &Truth<'_>, fact: &Fact) -> bool {
    truth
        .facts_of(fact.household, fact.kind.sibling())
        .next()
        .is_some()
}

fn has_double(truth: &Truth<'_>, fact: &Fact) -> bool {
    let first = |fact: &Fact| &truth.book.households[fact.household].adults[fact.adult].first;
    truth.book.facts.iter().any(|other| {
        other.household != fact.household
            && other.kind == fact.kind
            && other.value != fact.value
            && (other.detail == fact.detail || first(other) == first(fact))
    })
}

/// "Who mentioned their kid plays baseball?": all facts of a kind that share the slot asked by.
fn who(truth: &Truth<'_>) -> Vec<Candidate> {
    let mut groups: BTreeMap<(Kind, bool, &str), Vec<&Fact>> = BTreeMap::new();
    for fact in &truth.book.facts {
        groups
            .entry((fact.kind, false, &fact.value))
            .or_default()
            .push(fact);
        groups
            .entry((fact.kind, true, &fact.detail))
            .or_default()
            .push(fact);
    }
    let mut candidates = Vec::new();
    for ((kind, by_detail, shared), facts) in groups {
        let relevant = truth.sources(facts.iter().copied());
        if facts.len() < 2 || relevant.len() > MOST_RELEVANT {
            continue;
        }
        for template in wording::of(kind).who {
            if template.contains("{d}") == by_detail {
                let household = &truth.book.households[facts[0].household];
                candidates.push(Candidate {
                    text: wording::tell(template, facts[0], household),
                    relevant: relevant.clone(),
                    span: Some(shared.to_owned()),
                    subject: None,
                    markers: Vec::new(),
                });
            }
        }
    }
    candidates
}
