//! How well questions were answered: pure arithmetic over rankings and refusals.
//!
//! Given the questions and an [`Answer`] to each, [`score`] yields per group nDCG@10, recall@8 and
//! mean reciprocal rank, and how often was refused what had an answer and what had none. A source
//! named twice counts where it stands first. Recall@8 is measured against at most eight sources,
//! as no list of eight holds more. Knows nothing of how the ranking came about.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::book::SourceKey;
use super::questions::{Group, Question};

/// What a search made of one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question's id.
    pub question: String,
    /// Sources, best first.
    pub ranked: Vec<SourceKey>,
    /// It said that nothing was found.
    pub refused: bool,
}

/// Figures over some questions; the means are over the answerable ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub answerable: usize,
    pub ndcg_at_10: f64,
    pub recall_at_8: f64,
    pub mrr: f64,
    /// Share of the answerable that were refused: wrong.
    pub answerable_refused: f64,
    pub unanswerable: usize,
    /// Share of the unanswerable that were refused: right.
    pub unanswerable_refused: f64,
}

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub all: Figures,
    /// The half that nothing was tuned on.
    pub frozen: Figures,
    pub tuned: Figures,
    /// Both halves.
    pub groups: BTreeMap<Group, Figures>,
    /// Questions without an answer in the input; they count as found nothing, refused nothing.
    pub missing: usize,
}

/// Judges the answers. Answers to unknown questions are ignored.
pub fn score(questions: &[Question], answers: &[Answer]) -> Report {
    let answers: HashMap<&str, &Answer> = answers
        .iter()
        .map(|answer| (answer.question.as_str(), answer))
        .collect();
    let (mut all, mut frozen, mut tuned) = (Sum::default(), Sum::default(), Sum::default());
    let mut groups: BTreeMap<Group, Sum> = BTreeMap::new();
    let mut missing = 0;
    for question in questions {
        let answer = answers.get(question.id.as_str()).copied();
        missing += usize::from(answer.is_none());
        let outcome = Outcome::of(question, answer);
        let half = if question.frozen {
            &mut frozen
        } else {
            &mut tuned
        };
        for sum in [&mut all, half, groups.entry(question.group).or_default()] {
            sum.add(&outcome);
        }
    }
    Report {
        all: all.figures(),
        frozen: frozen.figures(),
        tuned: tuned.figures(),
        groups: groups
            .into_iter()
            .map(|(group, sum)| (group, sum.figures()))
            .collect(),
        missing,
    }
}

struct Outcome {
    answerable: bool,
    refused: bool,
    ndcg: f64,
    recall: f64,
    reciprocal_rank: f64,
}

impl Outcome {
    fn of(question: &Question, answer: Option<&Answer>) -> Self {
        let ranked = answer.map_or(&[][..], |answer| &answer.ranked);
        let relevant: HashSet<&SourceKey> = question.relevant.iter().collect();
        let mut seen = HashSet::new();
        let hits: Vec<bool> = ranked
            .iter()
            .filter(|source| seen.insert(*source))
            .map(|source| relevant.contains(source))
            .collect();
        Self {
            answerable: question.answerable,
            refused: answer.is_some_and(|answer| answer.refused),
            ndcg: ndcg(&hits, relevant.len(), 10),
            recall: recall(&hits, relevant.len(), 8),
            reciprocal_rank: hits
                .iter()
                .position(|hit| *hit)
                .map_or(0.0, |index| 1.0 / count(index + 1)),
        }
    }
}

/// Normalised discounted cumulative gain of the first `k`, all relevant sources being equal.
fn ndcg(hits: &[bool], relevant: usize, k: usize) -> f64 {
    let gain = |index: usize| 1.0 / count(index + 2).log2();
    let ideal: f64 = (0..relevant.min(k)).map(gain).sum();
    if ideal == 0.0 {
        return 0.0;
    }
    let found: f64 = hits
        .iter()
        .take(k)
        .enumerate()
        .filter(|(_, hit)| **hit)
        .map(|(index, _)| gain(index))
        .sum();
    found / ideal
}

/// Share of the relevant sources, at most `k` of them, within the first `k`.
fn recall(hits: &[bool], relevant: usize, k: usize) -> f64 {
    let found = hits.iter().take(k).filter(|hit| **hit).count();
    ratio(count(found), relevant.min(k))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of questions and ranks are small"
)]
fn count(number: usize) -> f64 {
    number as f64
}

fn ratio(sum: f64, number: usize) -> f64 {
    if number == 0 {
        0.0
    } else {
        sum / count(number)
    }
}

#[derive(Default)]
struct Sum {
    answerable: usize,
    ndcg: f64,
    recall: f64,
    reciprocal_rank: f64,
    answerable_refused: usize,
    unanswerable: usize,
    unanswerable_refused: usize,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        if outcome.answerable {
            self.answerable += 1;
            self.ndcg += outcome.ndcg;
            self.recall += outcome.recall;
            self.reciprocal_rank += outcome.reciprocal_rank;
            self.answerable_refused += usize::from(outcome.refused);
        } else {
            self.unanswerable += 1;
            self.unanswerable_refused += usize::from(outcome.refused);
        }
    }

    fn figures(&self) -> Figures {
        Figures {
            answerable: self.answerable,
            ndcg_at_10: ratio(self.ndcg, self.answerable),
            recall_at_8: ratio(self.recall, self.answerable),
            mrr: ratio(self.reciprocal_rank, self.answerable),
            answerable_refused: ratio(count(self.answerable_refused), self.answerable),
            unanswerable: self.unanswerable,
            unanswerable_refused: ratio(count(self.unanswerable_refused), self.unanswerable),
        }
    }
}

impl Report {
    /// A table for the terminal. A dash stands where a group has no such question.
    pub fn table(&self) -> String {
        let mut table = format!(
            "{:<28}{:>6}{:>10}{:>10}{:>8}{:>10}{:>6}{:>10}\n",
            "group", "answ.", "nDCG@10", "recall@8", "MRR", "refused", "none", "refused"
        );
        for (group, figures) in &self.groups {
            push_row(&mut table, group.name(), figures);
        }
        push_row(&mut table, "tuned half", &self.tuned);
        push_row(&mut table, "frozen half", &self.frozen);
        push_row(&mut table, "all", &self.all);
        table
    }
}

fn push_row(table: &mut String, name: &str, figures: &Figures) {
    let cell = |number: usize, value: f64| {
        if number == 0 {
            "-".to_owned()
        } else {
            format!("{value:.3}")
        }
    };
    let found = |value| cell(figures.answerable, value);
    let _ = writeln!(
        table,
        "{name:<28}{:>6}{:>10}{:>10}{:>8}{:>10}{:>6}{:>10}",
        figures.answerable,
        found(figures.ndcg_at_10),
        found(figures.recall_at_8),
        found(figures.mrr),
        found(figures.answerable_refused),
        figures.unanswerable,
        cell(figures.unanswerable, figures.unanswerable_refused),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SourceKey {
        SourceKey::Mail(name.to_owned())
    }

    fn question(id: &str, relevant: &[&str]) -> Question {
        Question {
            id: id.to_owned(),
            group: if relevant.is_empty() {
                Group::AbsentTopic
            } else {
                Group::Lexical
            },
            text: String::new(),
            answerable: !relevant.is_empty(),
            relevant: relevant.iter().map(|name| key(name)).collect(),
            answer_span: None,
            frozen: id == "a",
            subject: None,
            markers: Vec::new(),
        }
    }

    fn answer(id: &str, ranked: &[&str], refused: bool) -> Answer {
        Answer {
            question: id.to_owned(),
            ranked: ranked.iter().map(|name| key(name)).collect(),
            refused,
        }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn figures_match_those_worked_out_by_hand() {
        let questions = [
            question("a", &["1", "2"]),
            question("b", &["3"]),
            question("c", &[]),
            question("d", &[]),
        ];
        let answers = [
            // Second and fourth: (1/log2 3 + 1/log2 5) / (1 + 1/log2 3).
            answer("a", &["x", "1", "y", "2"], false),
            answer("b", &[], true),
            answer("c", &["x"], true),
            answer("d", &["x"], false),
        ];
        let report = score(&questions, &answers);
        let ndcg = (1.0 / 3f64.log2() + 1.0 / 5f64.log2()) / (1.0 + 1.0 / 3f64.log2());
        close(report.frozen.ndcg_at_10, ndcg);
        close(report.frozen.recall_at_8, 1.0);
        close(report.frozen.mrr, 0.5);
        close(report.all.recall_at_8, 0.5);
        close(report.all.answerable_refused, 0.5);
        close(report.all.unanswerable_refused, 0.5);
        assert_eq!(report.missing, 0);
        assert_eq!(report.all.answerable, 2);
    }

    #[test]
    fn a_source_named_twice_gains_nothing_and_a_missing_answer_is_counted() {
        let questions = [question("a", &["1", "2"]), question("b", &["3"])];
        let report = score(&questions, &[answer("a", &["1", "1", "1"], false)]);
        close(report.frozen.recall_at_8, 0.5);
        assert_eq!(report.missing, 1);
        close(report.tuned.mrr, 0.0);
    }

    #[test]
    fn ninth_place_is_too_late_for_recall_but_not_for_ndcg() {
        let mut ranked = vec!["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"];
        ranked.push("1");
        let report = score(&[question("a", &["1"])], &[answer("a", &ranked, false)]);
        close(report.all.recall_at_8, 0.0);
        close(report.all.ndcg_at_10, 1.0 / 10f64.log2());
    }

    #[test]
    fn the_table_and_the_json_can_be_read() {
        let report = score(&[question("a", &["1"])], &[answer("a", &["1"], false)]);
        assert!(report.table().contains("lexical"));
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
