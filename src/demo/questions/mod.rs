//! The advisor set: questions about a book, with every source that answers them.
//!
//! Candidates of each [`Group`] are made from the facts (`about_facts`), from time and calendar
//! (`lookups`) and from what was never said (`unanswerable`); here they are drawn to size.
//!
//! Promises: a third of the questions share under 30 % of their content words with any right
//! source (measured, not hoped); a fifth has no answer; a source is relevant exactly when it states
//! the fact itself, and a quoted copy never is; no text twice; half is frozen, by a hash of the
//! id, so that adding a question moves no other to the other half.

mod about_facts;
mod lookups;
mod unanswerable;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::book::{Book, SourceKey, Telling};
use super::facts::{Fact, Kind};
use super::overlap;

/// What a question tries. Each is reported alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Shares at least half of its words with a source.
    Lexical,
    /// Shares fewer than 30 % with any.
    Paraphrase,
    /// Turns on a name: look-alikes, professionals.
    NameLookup,
    /// Has several right people.
    Who,
    /// Bounded by a month or year.
    Time,
    /// The answer is in a reply; the next message quotes it.
    Thread,
    /// The same person also told something near to it.
    SamePersonOtherTopic,
    /// Somebody with the same first name, or the same detail, told the same kind of thing.
    SameTopicOtherPerson,
    /// Answered by a card or a calendar event.
    ContactEvent,
    /// About something that stands nowhere in the book.
    AbsentTopic,
    /// About a client who never told it, though others did.
    NeverSaid,
}

impl Group {
    pub const ALL: [Group; 11] = [
        Group::Lexical,
        Group::Paraphrase,
        Group::NameLookup,
        Group::Who,
        Group::Time,
        Group::Thread,
        Group::SamePersonOtherTopic,
        Group::SameTopicOtherPerson,
        Group::ContactEvent,
        Group::AbsentTopic,
        Group::NeverSaid,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Group::Lexical => "lexical",
            Group::Paraphrase => "paraphrase",
            Group::NameLookup => "name lookup",
            Group::Who => "who",
            Group::Time => "time",
            Group::Thread => "thread",
            Group::SamePersonOtherTopic => "same person, other topic",
            Group::SameTopicOtherPerson => "same topic, other person",
            Group::ContactEvent => "contact or event",
            Group::AbsentTopic => "absent topic",
            Group::NeverSaid => "never said",
        }
    }
}

/// The household and kind that a question is about, for reading results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    pub household: usize,
    pub kind: Kind,
}

/// One question of the test set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// Hash of group and text: stays when others come and go.
    pub id: String,
    pub group: Group,
    pub text: String,
    pub answerable: bool,
    /// Sorted; empty when there is no answer.
    pub relevant: Vec<SourceKey>,
    /// Words that stand in a relevant source.
    pub answer_span: Option<String>,
    /// Belongs to the half that nothing is tuned on.
    pub frozen: bool,
    pub subject: Option<Subject>,
    /// For an absent topic: beginnings of words that stand nowhere in the book.
    pub markers: Vec<String>,
}

/// Answerable questions wanted per group, the choosiest first; a small book yields fewer.
const WANTED: [(Group, usize); 9] = [
    (Group::ContactEvent, 32),
    (Group::NameLookup, 32),
    (Group::Who, 36),
    (Group::Time, 36),
    (Group::Thread, 36),
    (Group::SamePersonOtherTopic, 28),
    (Group::SameTopicOtherPerson, 28),
    (Group::Lexical, 60),
    (Group::Paraphrase, 206),
];

/// Above this many sources a list of eight can't show what it should.
const MOST_RELEVANT: usize = 8;

/// A question before it is chosen.
struct Candidate {
    text: String,
    relevant: Vec<SourceKey>,
    span: Option<String>,
    subject: Option<Subject>,
    markers: Vec<String>,
}

/// The test set of a book. Same book and seed, same questions in the same order.
pub fn questions(book: &Book, seed: u64) -> Vec<Question> {
    let rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5175_6573_7469_6f6e);
    let mut draw = Draw {
        truth: Truth::of(book),
        rng,
        seen: HashSet::new(),
        questions: Vec::new(),
    };
    for (group, wanted) in WANTED {
        let candidates = match group {
            Group::ContactEvent => lookups::contacts_and_events(&draw.truth),
            Group::NameLookup => lookups::names(&draw.truth),
            Group::Time => lookups::times(&draw.truth),
            _ => about_facts::candidates(&draw.truth, group),
        };
        draw.take(group, candidates, wanted);
    }
    // Four answerable ones to one without, the two sorts in equal parts.
    let without = draw.questions.len() / 4;
    let absent = unanswerable::absent_topics(&draw.truth, &mut draw.rng);
    draw.take(Group::AbsentTopic, absent, without / 2);
    let never = unanswerable::never_said(&draw.truth, &mut draw.rng);
    draw.take(Group::NeverSaid, never, without - without / 2);
    draw.questions
}

struct Draw<'a> {
    truth: Truth<'a>,
    rng: ChaCha8Rng,
    seen: HashSet<String>,
    questions: Vec<Question>,
}

impl Draw<'_> {
    fn take(&mut self, group: Group, mut candidates: Vec<Candidate>, wanted: usize) {
        candidates.shuffle(&mut self.rng);
        // In turns over the kinds, so that those told most often don't crowd out the others.
        let mut turns: BTreeMap<Option<Kind>, usize> = BTreeMap::new();
        candidates.sort_by_cached_key(|candidate| {
            let turn = turns
                .entry(candidate.subject.map(|subject| subject.kind))
                .or_default();
            *turn += 1;
            *turn
        });
        let mut taken = 0;
        for candidate in candidates {
            if taken == wanted {
                return;
            }
            if self.seen.insert(candidate.text.clone()) {
                self.questions.push(question(group, candidate));
                taken += 1;
            }
        }
    }
}

fn question(group: Group, candidate: Candidate) -> Question {
    let id = hash(&format!("{}|{}", group.name(), candidate.text));
    let mut relevant = candidate.relevant;
    relevant.sort();
    relevant.dedup();
    Question {
        frozen: hash(&format!("frozen|{id}")).as_bytes()[0].is_multiple_of(2),
        id,
        group,
        text: candidate.text,
        answerable: !relevant.is_empty(),
        relevant,
        answer_span: candidate.span,
        subject: candidate.subject,
        markers: candidate.markers,
    }
}

/// Twelve hexadecimal digits.
fn hash(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .take(6)
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// A book, looked at from its facts.
struct Truth<'a> {
    book: &'a Book,
    /// By fact.
    tellings: Vec<Vec<&'a Telling>>,
    stems: BTreeMap<SourceKey, BTreeSet<String>>,
}

impl<'a> Truth<'a> {
    fn of(book: &'a Book) -> Self {
        let mut tellings = vec![Vec::new(); book.facts.len()];
        for telling in &book.tellings {
            tellings[telling.fact].push(telling);
        }
        let stems = book
            .sources()
            .map(|(source, text)| (source, overlap::stems(&text)))
            .collect();
        Self {
            book,
            tellings,
            stems,
        }
    }

    /// All sources that state one of these facts.
    fn sources<'f>(&self, facts: impl IntoIterator<Item = &'f Fact>) -> Vec<SourceKey> {
        facts
            .into_iter()
            .flat_map(|fact| &self.tellings[fact.id])
            .map(|telling| telling.source.clone())
            .collect()
    }

    /// The greatest share of the question's words that one of these sources holds.
    fn overlap(&self, text: &str, sources: &[SourceKey]) -> f64 {
        let question = overlap::stems(text);
        sources
            .iter()
            .filter_map(|source| self.stems.get(source))
            .map(|stems| overlap::share(&question, stems))
            .fold(0.0, f64::max)
    }

    fn facts_of(&self, household: usize, kind: Kind) -> impl Iterator<Item = &'a Fact> {
        self.book
            .facts
            .iter()
            .filter(move |fact| fact.household == household && fact.kind == kind)
    }
}
