//! The test set: its shares, and that truth and text agree.

use std::collections::{BTreeSet, HashSet};

use super::{LARGE, QUESTIONS, TEXTS};
use crate::demo::book::SourceKey;
use crate::demo::overlap;
use crate::demo::questions::Group;

#[test]
fn the_set_has_the_size_and_the_shares_that_are_asked_for() {
    let of = |group| {
        QUESTIONS
            .iter()
            .filter(move |question| question.group == group)
    };
    let all = QUESTIONS.len();
    assert!(all >= 400, "{all}");
    let texts: HashSet<_> = QUESTIONS.iter().map(|question| &question.text).collect();
    let ids: HashSet<_> = QUESTIONS.iter().map(|question| &question.id).collect();
    assert!(texts.len() == all && ids.len() == all);
    assert!(of(Group::Paraphrase).count() * 3 >= all);
    let unanswerable = QUESTIONS
        .iter()
        .filter(|question| !question.answerable)
        .count();
    assert!(
        unanswerable * 5 >= all - 5 && unanswerable * 5 <= all + 5,
        "{unanswerable}"
    );
    for group in Group::ALL {
        assert!(of(group).count() >= 25, "{group:?}");
        let frozen = of(group).filter(|question| question.frozen).count();
        assert!(
            frozen * 5 >= of(group).count(),
            "{group:?}: {frozen} frozen"
        );
    }
    let frozen = QUESTIONS.iter().filter(|question| question.frozen).count();
    assert!(
        (all * 45 / 100..=all * 55 / 100).contains(&frozen),
        "{frozen} frozen"
    );
}

#[test]
fn every_answer_stands_word_for_word_in_a_right_source() {
    for question in QUESTIONS.iter().filter(|question| question.answerable) {
        assert!(!question.relevant.is_empty() && question.relevant.len() <= 8);
        for source in &question.relevant {
            assert!(TEXTS.contains_key(source), "{source:?}");
        }
        if let Some(span) = &question.answer_span {
            let stands = question
                .relevant
                .iter()
                .any(|source| TEXTS[source].contains(span));
            assert!(stands, "{} — {span}", question.text);
        }
    }
}

#[test]
fn who_questions_name_all_that_is_right() {
    let mut several = 0;
    for question in QUESTIONS
        .iter()
        .filter(|question| question.group == Group::Who)
    {
        let span = question.answer_span.as_ref().unwrap();
        for source in &question.relevant {
            assert!(
                TEXTS[source].contains(span),
                "{} — {source:?}",
                question.text
            );
        }
        several += usize::from(question.relevant.len() > 2);
    }
    assert!(several > 10);
}

#[test]
fn paraphrases_share_few_words_and_lexical_questions_many() {
    for question in &*QUESTIONS {
        let words = overlap::stems(&question.text);
        let most = (question.relevant.iter())
            .map(|source| overlap::share(&words, &overlap::stems(&TEXTS[source])))
            .fold(0.0, f64::max);
        match question.group {
            Group::Paraphrase => assert!(most < 0.3, "{}: {most}", question.text),
            Group::Lexical => assert!(most >= 0.5, "{}: {most}", question.text),
            _ => {}
        }
    }
}

#[test]
fn what_has_no_answer_stands_nowhere() {
    // Quotes and circulars included: an absent topic is absent altogether.
    let all: Vec<String> = (LARGE.mails.iter())
        .map(|mail| format!("{}\n{}", mail.subject, mail.full_text()))
        .chain(TEXTS.values().cloned())
        .map(|text| text.to_lowercase())
        .collect();
    let mut sought = BTreeSet::new();
    for question in QUESTIONS.iter().filter(|question| !question.answerable) {
        assert!(question.relevant.is_empty() && question.answer_span.is_none());
        match (question.group, question.subject) {
            (Group::AbsentTopic, None) => sought.extend(&question.markers),
            (Group::NeverSaid, Some(subject)) => {
                let told = (LARGE.facts.iter())
                    .any(|fact| (fact.household, fact.kind) == (subject.household, subject.kind));
                assert!(!told, "{}", question.text);
            }
            other => panic!("{other:?}: {}", question.text),
        }
    }
    for marker in sought {
        for text in &all {
            let found = (text.match_indices(marker.as_str()))
                .any(|(start, _)| !text[..start].ends_with(char::is_alphanumeric));
            assert!(!found, "{marker} stands in {text}");
        }
    }
}

#[test]
fn thread_questions_are_answered_in_a_reply_that_is_quoted_again() {
    for question in QUESTIONS
        .iter()
        .filter(|question| question.group == Group::Thread)
    {
        let span = question.answer_span.as_ref().unwrap();
        let is_right = |id: &String| question.relevant.contains(&SourceKey::Mail(id.clone()));
        let copy =
            (LARGE.mails.iter()).find(|mail| mail.in_reply_to.as_ref().is_some_and(is_right));
        let copy = copy.unwrap();
        assert!(copy.full_text().contains(span) && !copy.fresh().contains(span));
        assert!(!is_right(&copy.message_id));
    }
}
