//! Whether a condition holds, and if not, which clause failed and on what.
//!
//! Logic has three values here, since a question to be judged may have no answer yet. What can be
//! decided without it is: a question is asked only if the whole hangs on it. Nothing is allocated
//! unless somebody wants to read why a rule failed, because most rules fail on most events.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::condition::Condition;
use super::pattern::Text;
use super::vocabulary::Field;

/// What an event has in a field.
#[derive(Clone, Debug)]
pub enum Value {
    Text(Text),
    List(Vec<Text>),
    Flag(bool),
    Number(f64),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text::from(text))
    }

    pub fn list<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Text::from).collect())
    }
}

impl fmt::Display for Value {
    /// For a person, and for placeholders.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text.as_str()),
            Self::List(texts) => {
                let texts: Vec<&str> = texts.iter().map(Text::as_str).collect();
                f.write_str(&texts.join(", "))
            }
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// What is known of one event. `Sync`, so that an outcome may be kept while something is awaited.
pub trait Facts: Sync {
    /// Nothing where the event has no such field, or no value in it.
    fn value(&self, field: Field) -> Option<&Value>;
}

impl Facts for BTreeMap<Field, Value> {
    fn value(&self, field: Field) -> Option<&Value> {
        self.get(&field)
    }
}

/// What became of a condition.
#[derive(Debug)]
pub enum Outcome<'a> {
    Holds,
    Fails(Failure<'a>),
    /// All that can be decided mechanically has passed; it hangs on these questions, each once, in
    /// the order of the rule.
    Asks(Vec<&'a str>),
}

/// The clause on which a condition failed.
pub struct Failure<'a> {
    clause: &'a Condition,
    facts: &'a dyn Facts,
}

/// Longer values are cut when a failure is told.
const MAX_SHOWN: usize = 80;

impl Failure<'_> {
    /// Its canonical text.
    pub fn clause(&self) -> String {
        self.clause.to_string()
    }

    /// What the event had in each field that the clause asks about, shortened.
    pub fn values(&self) -> BTreeMap<Field, Option<String>> {
        let fields: BTreeSet<Field> = self.clause.fields().into_iter().collect();
        let value = |field| self.facts.value(field).map(shortened);
        fields
            .into_iter()
            .map(|field| (field, value(field)))
            .collect()
    }
}

fn shortened(value: &Value) -> String {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for Failure<'_> {
    /// `from=*@bigclient.com (from was "ann@example.com")`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clause.fmt(f)?;
        for (n, (field, value)) in self.values().iter().enumerate() {
            f.write_str(if n == 0 { " (" } else { ", " })?;
            match value {
                Some(value) => write!(f, "{field} was \"{value}\"")?,
                None => write!(f, "{field} had no value")?,
            }
        }
        f.write_str(if self.clause.fields().is_empty() {
            ""
        } else {
            ")"
        })
    }
}

impl fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({self})")
    }
}

/// The answers to questions that were judged already.
pub type Judged<'a> = dyn Fn(&str) -> Option<bool> + 'a;

enum Verdict<'a> {
    True,
    False(&'a Condition),
    Open,
}

impl Condition {
    /// A comparison fails where the field has no value, also with `!=`; `not` of it then holds.
    pub fn outcome<'a>(&'a self, facts: &'a dyn Facts, judged: &Judged<'_>) -> Outcome<'a> {
        match self.verdict(facts, judged) {
            Verdict::True => Outcome::Holds,
            Verdict::False(clause) => Outcome::Fails(Failure { clause, facts }),
            Verdict::Open => {
                let mut questions = Vec::new();
                self.open_questions(facts, judged, &mut questions);
                Outcome::Asks(questions)
            }
        }
    }

    fn verdict(&self, facts: &dyn Facts, judged: &Judged<'_>) -> Verdict<'_> {
        let holds = match self {
            Self::All(parts) => {
                let mut open = false;
                for part in parts {
                    match part.verdict(facts, judged) {
                        Verdict::True => {}
                        Verdict::False(clause) => return Verdict::False(clause),
                        Verdict::Open => open = true,
                    }
                }
                if open {
                    return Verdict::Open;
                }
                true
            }
            Self::Any(parts) => {
                let mut open = false;
                for part in parts {
                    match part.verdict(facts, judged) {
                        Verdict::True => return Verdict::True,
                        Verdict::False(_) => {}
                        Verdict::Open => open = true,
                    }
                }
                if open {
                    return Verdict::Open;
                }
                false
            }
            Self::Not(inner) => match inner.verdict(facts, judged) {
                Verdict::True => false,
                Verdict::False(_) => true,
                Verdict::Open => return Verdict::Open,
            },
            Self::Compare(comparison) => facts
                .value(comparison.field())
                .is_some_and(|value| comparison.holds(value)),
            Self::Judge(question) => match judged(question) {
                Some(answer) => answer,
                None => return Verdict::Open,
            },
        };
        if holds {
            Verdict::True
        } else {
            Verdict::False(self)
        }
    }

    /// The questions on which it hangs. What is decided already hangs on none.
    fn open_questions<'a>(
        &'a self,
        facts: &dyn Facts,
        judged: &Judged<'_>,
        questions: &mut Vec<&'a str>,
    ) {
        if !matches!(self.verdict(facts, judged), Verdict::Open) {
            return;
        }
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.open_questions(facts, judged, questions);
                }
            }
            Self::Not(inner) => inner.open_questions(facts, judged, questions),
            Self::Judge(question) if !questions.contains(&question.as_str()) => {
                questions.push(question);
            }
            Self::Judge(_) | Self::Compare(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn mail() -> BTreeMap<Field, Value> {
        BTreeMap::from([
            (Field::From, Value::text("Ann@BigClient.com")),
            (Field::To, Value::list(["me@firm.com", "bob@firm.com"])),
            (Field::Cc, Value::list::<&str>([])),
            (Field::Subject, Value::text("Quarterly review")),
            (Field::SenderInCrm, Value::Flag(false)),
            (Field::Size, Value::Number(1500.0)),
        ])
    }

    /// What becomes of a condition, given the answers to some questions.
    fn told(condition: &str, answers: &[(&str, bool)]) -> String {
        let text = format!("when * if {condition} then log");
        let rule = parse(&text).unwrap_or_else(|error| panic!("{condition}: {error}"));
        let judged = |question: &str| {
            let mut answers = answers.iter();
            answers
                .find(|(asked, _)| *asked == question)
                .map(|(_, answer)| *answer)
        };
        match rule.outcome(&mail(), &judged) {
            Outcome::Holds => "holds".to_owned(),
            Outcome::Fails(failure) => failure.to_string(),
            Outcome::Asks(questions) => format!("asks {}", questions.join(" ")),
        }
    }

    #[test]
    fn comparisons_do_as_they_say() {
        for condition in [
            "from=*@bigclient.com",
            "from!=*@other.com",
            "from!=(a, b)",
            "subject~QUARTER",
            "subject!~annual",
            "to=bob@firm.com",
            "to=(x, *@firm.com)",
            "to!=ann@firm.com",
            "to~bob",
            "to!~carl",
            "cc!=x",
            "not cc=*",
            "sender_in_crm=no",
            "sender_in_crm!=yes",
            "size>=1500 and size<=1500 and size=1500.0 and size!=(1, 2)",
            "size>1499.5 and size<1500.5",
            "size=(1, 1500)",
        ] {
            assert_eq!(told(condition, &[]), "holds", "{condition}");
            let not = told(&format!("not ({condition})"), &[]);
            assert!(not.starts_with("not"), "{not}");
        }
    }

    #[test]
    fn a_failure_says_its_clause_and_what_was_there() {
        for (condition, says) in [
            (
                "sender_in_crm=no and from=*@x.com",
                "from=*@x.com (from was \"Ann@BigClient.com\")",
            ),
            (
                "to!=me@firm.com",
                "to!=me@firm.com (to was \"me@firm.com, bob@firm.com\")",
            ),
            ("size<1500", "size<1500 (size was \"1500\")"),
            (
                "sender_in_crm=yes",
                "sender_in_crm=yes (sender_in_crm was \"no\")",
            ),
            (
                "size=1 or body~x and size>5",
                "size=1 or body~x and size>5 (body had no value, size was \"1500\")",
            ),
            ("not size>5", "not size>5 (size was \"1500\")"),
        ] {
            assert_eq!(told(condition, &[]), says);
        }
    }

    #[test]
    fn what_is_absent_fails_and_its_denial_holds() {
        for condition in [
            "body=x",
            "body!=x",
            "body~x",
            "body!~x",
            "amount<5",
            "is_reply!=yes",
        ] {
            assert!(told(condition, &[]).contains("had no value"), "{condition}");
            assert_eq!(told(&format!("not {condition}"), &[]), "holds");
        }
    }

    #[test]
    fn values_of_another_kind_fail() {
        let facts = BTreeMap::from([
            (Field::Size, Value::text("5")),
            (Field::Subject, Value::Number(f64::NAN)),
            (Field::Amount, Value::Number(f64::NAN)),
        ]);
        for condition in ["size!=6", "subject!=x", "amount!=6", "amount<6"] {
            let rule = parse(&format!("when * if {condition} then log")).expect(condition);
            let outcome = rule.outcome(&facts, &|_| None);
            assert!(matches!(outcome, Outcome::Fails(_)), "{condition}");
        }
    }

    #[test]
    fn questions_are_asked_only_if_all_hangs_on_them() {
        for (condition, answers, says) in [
            ("judge 'a'", &[][..], "asks a"),
            ("judge 'a'", &[("a", true)], "holds"),
            ("judge 'a'", &[("a", false)], "judge \"a\""),
            ("judge 'a' and size>5", &[], "asks a"),
            ("judge 'a' and size<5", &[], "size<5 (size was \"1500\")"),
            ("judge 'a' or size>5", &[], "holds"),
            ("judge 'a' or size<5", &[], "asks a"),
            (
                "(judge 'a' or judge 'b') and not judge 'c' and judge 'a'",
                &[],
                "asks a b c",
            ),
            (
                "(judge 'a' or judge 'b') and judge 'c'",
                &[("a", true)],
                "asks c",
            ),
            (
                "(judge 'a' and size<5 or judge 'b') and size>5",
                &[],
                "asks b",
            ),
            ("not judge 'a'", &[("a", true)], "not judge \"a\""),
        ] {
            assert_eq!(told(condition, answers), says, "{condition}");
        }
    }

    #[test]
    fn long_values_are_cut_when_told() {
        let facts = BTreeMap::from([(Field::Body, Value::text("é".repeat(500)))]);
        let rule = parse("when * if body=x then log").expect("a rule");
        let Outcome::Fails(failure) = rule.outcome(&facts, &|_| None) else {
            panic!("it fails");
        };
        assert_eq!(failure.clause(), "body=x");
        let values = failure.values();
        let shown = values[&Field::Body].as_deref().unwrap_or_default();
        assert_eq!(shown.chars().count(), 81);
    }
}
