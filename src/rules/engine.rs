//! Which rules act on which events: the same for the live run and for a rehearsal.
//!
//! A rule deals with an event once. What we did ourselves, and mail that a machine sent, starts no rule
//! that doesn't ask for it in so many words. What would be written to somebody is limited: by thread, by
//! recipient, and each rule by the hour, counted over what all rules did before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::facts::Known;
use super::grammar::{Action, Condition, Field, Judged, Outcome, Rule, TaskKind, Template, parse};
use super::store::{Enabled, Mark};

/// A rule acts at most so often.
const MOST_AN_HOUR: usize = 60;
/// To one recipient, over all rules.
const MOST_TO_ONE_A_DAY: usize = 3;

/// How far back limits look.
pub(super) const REMEMBERED: TimeDelta = TimeDelta::hours(24);

/// A rule that is on, or is being rehearsed.
pub(super) struct Standing {
    pub id: Uuid,
    pub rule: Arc<Rule>,
    /// As the user wrote it.
    pub text: String,
    /// What it does outside needs no approval.
    pub is_auto: bool,
}

/// Rules as they were read before, by their text: an event that comes alone would otherwise cost the
/// reading of them all.
#[derive(Default)]
pub(super) struct Read(Mutex<HashMap<String, Arc<Rule>>>);

/// Texts that are kept; beyond that it begins anew.
const MOST_READ: usize = 20_000;

impl Read {
    pub fn forget(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// None for a text that a later version can no longer read.
    fn rule(&self, id: Uuid, text: &str) -> Option<Arc<Rule>> {
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rule) = kept().get(text) {
            return Some(Arc::clone(rule));
        }
        let rule = parse(text)
            .inspect_err(|error| tracing::warn!(rule = %id, %error, "a stored rule can't be read"))
            .ok()?;
        let rule = Arc::new(rule);
        let mut kept = kept();
        if kept.len() >= MOST_READ {
            kept.clear();
        }
        kept.insert(text.to_owned(), Arc::clone(&rule));
        Some(rule)
    }
}

impl Standing {
    pub fn read(read: &Read, stored: Enabled) -> Option<Self> {
        Some(Self {
            id: stored.id,
            rule: read.rule(stored.id, &stored.text)?,
            is_auto: stored.autonomy == "auto",
            text: stored.text,
        })
    }

    fn asks_about(&self, field: Field) -> bool {
        let condition = self.rule.condition.as_ref();
        condition.is_some_and(|condition| condition.fields().contains(&field))
    }

    /// Whether it would write to somebody.
    pub fn writes(&self) -> bool {
        let writes = |action: &Action| {
            matches!(
                action,
                Action::DraftReply { .. }
                    | Action::SendEmail { .. }
                    | Action::CreateTask {
                        kind: TaskKind::WelcomeEmail,
                        ..
                    }
            )
        };
        self.rule.actions.iter().any(writes)
    }
}

/// What a rule makes of an event.
pub(super) enum Decision {
    /// It waits for other events.
    Unconcerned,
    /// Which clause failed, and why.
    Missed(String),
    /// It fits, and a limit holds it back: its code, and the limit in words.
    Held(&'static str, String),
    /// All else holds; it hangs on what a model says to these questions.
    Asks(Vec<String>),
    Acts,
}

/// What rules did lately.
#[derive(Default)]
pub(super) struct Ledger {
    marks: Vec<Mark>,
    /// Those that were switched off meanwhile.
    off: HashSet<Uuid>,
}

impl Ledger {
    pub fn of(marks: Vec<Mark>) -> Self {
        Self {
            marks,
            off: HashSet::new(),
        }
    }

    pub fn switch_off(&mut self, rule: Uuid) {
        self.off.insert(rule);
    }

    pub fn is_off(&self, rule: Uuid) -> bool {
        self.off.contains(&rule)
    }

    pub fn note(&mut self, standing: &Standing, known: &Known, at: DateTime<Utc>) {
        let writes = standing.writes();
        self.marks.push(Mark {
            rule_id: standing.id,
            thread_id: known.thread_id.filter(|_| writes),
            recipient: known.address.clone().filter(|_| writes),
            at,
        });
    }

    fn hold(&self, standing: &Standing, known: &Known, at: DateTime<Utc>) -> Option<Decision> {
        let lately = |mark: &&Mark| at - mark.at < TimeDelta::hours(1);
        let own = self.marks.iter().filter(lately);
        if own.filter(|mark| mark.rule_id == standing.id).count() >= MOST_AN_HOUR {
            let words = format!("it acted {MOST_AN_HOUR} times within an hour");
            return Some(Decision::Held("too_many", words));
        }
        if !standing.writes() {
            return None;
        }
        let today = || self.marks.iter().filter(|mark| at - mark.at < REMEMBERED);
        if known.thread_id.is_some() && today().any(|mark| mark.thread_id == known.thread_id) {
            let words = "a rule wrote within this conversation in the last 24 hours".to_owned();
            return Some(Decision::Held("thread", words));
        }
        let to_them =
            today().filter(|mark| mark.recipient.is_some() && mark.recipient == known.address);
        if to_them.count() >= MOST_TO_ONE_A_DAY {
            let words =
                format!("rules wrote to them {MOST_TO_ONE_A_DAY} times in the last 24 hours");
            return Some(Decision::Held("recipient", words));
        }
        None
    }
}

/// Decides at a time for one rule and one event, with the answers that are known to its questions.
pub(super) fn decide(
    standing: &Standing,
    known: &Known,
    ledger: &Ledger,
    at: DateTime<Utc>,
    judged: &Judged<'_>,
) -> Decision {
    if !standing.rule.waits_for(&known.event.name) {
        return Decision::Unconcerned;
    }
    for (field, why) in [
        (
            Field::Own,
            "own: we did this ourselves, and the rule doesn't say own=yes",
        ),
        (
            Field::Automatic,
            "automatic: a machine sent this, and the rule doesn't say automatic=yes",
        ),
    ] {
        if known.is(field) && !standing.asks_about(field) {
            return Decision::Missed(why.to_owned());
        }
    }
    match standing.rule.outcome(&known.facts, judged) {
        Outcome::Holds => ledger.hold(standing, known, at).unwrap_or(Decision::Acts),
        Outcome::Fails(failure) => Decision::Missed(failure.to_string()),
        // What a limit holds back anyway costs no question.
        Outcome::Asks(questions) => ledger
            .hold(standing, known, at)
            .unwrap_or_else(|| Decision::Asks(questions.into_iter().map(str::to_owned).collect())),
    }
}

/// Nothing is judged yet.
pub(super) fn unjudged(_: &str) -> Option<bool> {
    None
}

/// Whether a condition asks for judgement.
pub(super) fn asks(condition: &Condition) -> bool {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().any(asks),
        Condition::Not(inner) => asks(inner),
        Condition::Compare(_) => false,
        Condition::Judge(_) => true,
    }
}

/// What an action comes to for an event: its name, and its texts with their places filled in. What the
/// rule leaves open is filled from the event where that is what it is for.
pub(super) fn filled(action: &Action, known: &Known) -> Json {
    let fill = |template: &Template| template.render(|field| known.text(field));
    let some = |template: &Option<Template>| template.as_ref().map(fill);
    let name = || {
        known
            .text(Field::Name)
            .or_else(|| known.text(Field::FromName))
    };
    let email = || known.address.clone();
    let mut inputs: BTreeMap<&str, Option<String>> = BTreeMap::new();
    match action {
        Action::Log { text } => {
            inputs.insert("text", some(text).or_else(|| Some(known.title.clone())));
        }
        Action::CreateTask {
            kind,
            priority,
            title,
            due,
        } => {
            inputs.insert("type", Some(kind.to_string()));
            inputs.insert("priority", Some(priority.to_string()));
            inputs.insert("title", some(title).or_else(|| Some(known.title.clone())));
            inputs.insert("due", due.map(|due| due.to_string()));
            if *kind == TaskKind::WelcomeEmail {
                inputs.insert("to", email());
            }
        }
        Action::CreateContact {
            name: given,
            email: address,
            note,
        } => {
            inputs.insert("name", some(given).or_else(name));
            inputs.insert("email", some(address).or_else(email));
            inputs.insert("note", some(note));
        }
        Action::CreateNote { text, contact } => {
            inputs.insert("text", some(text).or_else(|| Some(known.title.clone())));
            inputs.insert("contact", some(contact).or_else(email));
        }
        Action::DraftReply { instructions } => {
            inputs.insert("to", email());
            inputs.insert("instructions", some(instructions));
        }
        Action::SendEmail {
            template,
            to,
            subject,
            text,
        } => {
            inputs.insert("template", Some(template.clone()));
            inputs.insert("to", some(to).or_else(email));
            inputs.insert("subject", some(subject));
            inputs.insert("text", some(text));
        }
        Action::AskAssistant { text } => {
            inputs.insert("text", Some(fill(text)));
        }
    }
    inputs.retain(|_, value| value.is_some());
    json!({"action": action.name().name(), "parameters": inputs})
}
