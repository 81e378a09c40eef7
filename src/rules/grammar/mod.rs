//! A rule's text, read into types, and rules held against events.
//!
//! ```text
//! when gmail.message.received if from=*@bigclient.com then create_task type=follow_up
//! ```
//!
//! Promises: [`parse()`] never panics, reads no more than a few thousand characters, and answers with a
//! rule that can run or with the place where the text stops making sense. `parse(rule.to_string()) ==
//! rule`. A rule is decided in time linear in what it looks at, and without allocation but for folding
//! a fact's case once. May not know: anything but these files; no clock, no database.
//!
//! Begin at `vocabulary.rs` (the words) and `parse` (how they are put together). A new field: a row in
//! `vocabulary.rs` and docs/rules.md. A new action: a variant in `action.rs`, its parameters in
//! `vocabulary.rs`, its reading in `parse/parameters.rs`.

mod action;
mod condition;
#[cfg(test)]
mod documented;
mod due;
mod error;
mod evaluate;
mod lexicon;
mod parse;
mod pattern;
#[cfg(test)]
mod properties;
mod template;
mod trigger;
mod vocabulary;

use std::fmt;

pub use action::Action;
pub use condition::{Comparison, Condition};
pub use due::Due;
pub use error::SyntaxError;
pub use evaluate::{Facts, Failure, Judged, Outcome, Value};
pub use parse::{MAX_ACTIONS, MAX_CHARS, MAX_COMPARISONS, MAX_NESTING, MAX_TRIGGERS, parse};
pub use pattern::Text;
pub use template::Template;
pub use trigger::Trigger;
pub use vocabulary::{ActionName, Event, Field, Kind, Op, Priority, TaskKind};

/// A standing order.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// At least one; any of them starts the rule.
    pub triggers: Vec<Trigger>,
    /// A rule without one acts always.
    pub condition: Option<Condition>,
    /// At least one, in the order in which they are to be done.
    pub actions: Vec<Action>,
}

impl Rule {
    pub fn waits_for(&self, event: &str) -> bool {
        self.triggers.iter().any(|trigger| trigger.matches(event))
    }

    /// Whether it acts on an event that it waits for.
    pub fn outcome<'a>(&'a self, facts: &'a dyn Facts, judged: &Judged<'_>) -> Outcome<'a> {
        match &self.condition {
            Some(condition) => condition.outcome(facts, judged),
            None => Outcome::Holds,
        }
    }
}

impl fmt::Display for Rule {
    /// The canonical text: equal rules have equal ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, trigger) in self.triggers.iter().enumerate() {
            write!(f, "{}{trigger}", if n == 0 { "when " } else { " or " })?;
        }
        if let Some(condition) = &self.condition {
            write!(f, " if {condition}")?;
        }
        for (n, action) in self.actions.iter().enumerate() {
            write!(f, "{}{action}", if n == 0 { " then " } else { " and " })?;
        }
        Ok(())
    }
}
