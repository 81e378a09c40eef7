//! What the demo promises, held against two whole books: the demo's own and the evaluation's.

mod files;
mod questions;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use super::book::{Book, Meeting, SourceKey, generate};
use super::facts::Kind;
use super::questions::{Question, questions as questions_of};

const SEED: u64 = 7;

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 17).unwrap()
}

static DEMO: LazyLock<Book> = LazyLock::new(|| generate(SEED, 40, today()));

static LARGE: LazyLock<Book> = LazyLock::new(|| generate(SEED, 200, today()));

static QUESTIONS: LazyLock<Vec<Question>> = LazyLock::new(|| questions_of(&LARGE, SEED));

/// Every source's own words, looked up once.
static TEXTS: LazyLock<HashMap<SourceKey, String>> = LazyLock::new(|| LARGE.sources().collect());

fn hash_of(clients: usize) -> String {
    let book = generate(SEED, clients, today());
    let mut bytes = Vec::new();
    book.write_mbox(&mut bytes).unwrap();
    book.write_vcf(&mut bytes).unwrap();
    book.write_ics(&mut bytes).unwrap();
    for note in &book.notes {
        bytes.extend(note.file.as_bytes());
        bytes.extend(note.content().as_bytes());
    }
    bytes.extend(serde_json::to_vec(&questions_of(&book, SEED)).unwrap());
    let mut hex = String::new();
    for byte in Sha256::digest(&bytes).iter().take(8) {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

/// Changes whenever a word of the demo changes: then figures measured before are of another set.
#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert_eq!(hash_of(40), "e08667b4f571fea7");
    assert_eq!(hash_of(200), "f34bdb159060e4c5");
    assert_ne!(
        generate(SEED + 1, 12, today()).mails,
        generate(SEED, 12, today()).mails
    );
}

#[test]
fn books_have_the_size_that_was_asked_for() {
    assert!(
        (600..=900).contains(&DEMO.mails.len()),
        "{}",
        DEMO.mails.len()
    );
    assert!(LARGE.mails.len() >= 4000, "{}", LARGE.mails.len());
    assert_eq!(LARGE.households.len(), 200);
}

#[test]
fn nothing_was_written_today_and_the_book_is_alive() {
    for book in [&*DEMO, &*LARGE] {
        assert!(
            book.mails
                .iter()
                .all(|mail| mail.at.date_naive() < book.today)
        );
        assert!(book.notes.iter().all(|note| note.on < book.today));
        assert!(book.mails.is_sorted_by_key(|mail| mail.at));
        let week = book.today - chrono::Days::new(7);
        assert!(
            book.mails
                .iter()
                .filter(|mail| mail.at.date_naive() >= week)
                .count()
                > 10
        );
        let to_come = |meeting: &&Meeting| meeting.starts_at.date_naive() >= book.today;
        assert!(book.meetings.iter().filter(to_come).count() > 15);
    }
}

#[test]
fn no_slot_is_left_open() {
    for (source, text) in LARGE.sources() {
        assert!(!text.contains(['{', '}']), "{source:?}: {text}");
    }
    for question in &*QUESTIONS {
        assert!(!question.text.contains(['{', '}']), "{}", question.text);
    }
}

#[test]
fn a_fact_is_stated_exactly_where_the_record_says() {
    assert_recorded(&LARGE);
    for seed in 1..=3 {
        assert_recorded(&generate(seed, 60, today()));
    }
}

/// All values, and the tickers among the details, stand where a telling was recorded and nowhere
/// else, circulars and the subjects of replies apart.
fn assert_recorded(book: &Book) {
    let texts: HashMap<SourceKey, String> = book.sources().collect();
    let mut told: BTreeMap<&str, BTreeSet<&SourceKey>> = BTreeMap::new();
    for telling in &book.tellings {
        let fact = &book.facts[telling.fact];
        let text = &texts[&telling.source];
        assert!(
            text.contains(&fact.value) && text.contains(&fact.detail),
            "{fact:?}: {text}"
        );
        for words in [&fact.value, &fact.detail] {
            told.entry(words).or_default().insert(&telling.source);
        }
    }
    let innocent: HashSet<&String> = (book.mails.iter())
        .filter(|mail| mail.list_id.is_some())
        .map(|mail| &mail.message_id)
        .collect();
    // Ages are numbers like any other; "F" is also a letter.
    let kinds = Kind::all().filter(|kind| *kind != Kind::SocialSecurity);
    let tickers = Kind::SellStock
        .details()
        .iter()
        .filter(|ticker| ticker.len() > 2);
    let watched: Vec<&str> = kinds
        .flat_map(Kind::values)
        .chain(tickers)
        .copied()
        .collect();
    for (source, text) in &texts {
        if matches!(source, SourceKey::Mail(id) if innocent.contains(id)) {
            continue;
        }
        let text = match text
            .strip_prefix("Re: ")
            .and_then(|reply| reply.split_once('\n'))
        {
            Some((_, body)) => body,
            None => text,
        };
        for &words in &watched {
            if holds_word(text, words) {
                let known = told
                    .get(words)
                    .is_some_and(|sources| sources.contains(source));
                assert!(known, "{words} stands unrecorded in {source:?}: {text}");
            }
        }
    }
}

fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[test]
fn a_household_has_each_kind_once() {
    let mut seen = HashSet::new();
    for fact in LARGE.facts.iter().filter(|fact| fact.kind != Kind::Travel) {
        assert!(seen.insert((fact.household, fact.kind)), "{fact:?}");
    }
    let surnames: HashSet<_> = LARGE
        .households
        .iter()
        .map(|household| &household.last)
        .collect();
    assert_eq!(surnames.len(), LARGE.households.len());
}

#[test]
fn the_demo_answers_its_signature_questions() {
    for seed in [SEED, 1, 2, 3] {
        let book = generate(seed, 40, today());
        let lately = today() - chrono::Days::new(30);
        let wrote = |from: &str, word: &str| {
            (book.mails.iter()).any(|mail| {
                mail.from.name == from && mail.at.date_naive() >= lately && mail.text.contains(word)
            })
        };
        assert!(wrote("Brian Brightwater", "baseball"));
        assert!(
            wrote("Greg Larkspur", "AAPL") && wrote("Greg Larkspur", "buy a cabin by the lake")
        );
        let saras = book
            .contacts
            .iter()
            .filter(|contact| contact.first.starts_with("Sara"));
        assert!(saras.count() >= 2);
    }
}

#[test]
fn any_size_works() {
    for clients in [0, 1, 9, 420] {
        let book = generate(SEED, clients, today());
        assert_eq!(book.households.len(), clients);
        let surnames: HashSet<_> = book
            .households
            .iter()
            .map(|household| &household.last)
            .collect();
        assert_eq!(surnames.len(), clients);
        let asked = questions_of(&book, SEED);
        assert!(
            asked
                .iter()
                .all(|question| question.answerable != question.relevant.is_empty())
        );
    }
}

#[test]
fn the_advisor_is_never_in_two_meetings() {
    for book in [&*DEMO, &*LARGE] {
        let mut hours = HashSet::new();
        for meeting in &book.meetings {
            let hour = meeting.starts_at.format("%F %H").to_string();
            assert!(hours.insert(hour), "{meeting:?}");
        }
    }
}
