//! Which events a rule waits for.

use std::fmt;

use super::error;
use super::vocabulary::{Event, Field};

/// An event's name, in which a `*` stands for one part between dots, or at the end for one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Any,
    Named(String),
}

impl Trigger {
    /// Nothing if no event of the catalogue fits: such a rule would never run.
    pub(super) fn new(written: &str) -> Option<Self> {
        let part = |part: &str| match part {
            "*" => Part::Any,
            name => Part::Named(name.to_owned()),
        };
        let mut trigger = Self {
            parts: written.split('.').map(part).collect(),
        };
        let event = Event::ALL
            .iter()
            .find(|event| trigger.matches(event.name()))?;
        // The case is the catalogue's from here on, so that equal triggers are written alike.
        for (part, name) in trigger.parts.iter_mut().zip(event.name().split('.')) {
            if let Part::Named(written) = part {
                name.clone_into(written);
            }
        }
        Some(trigger)
    }

    /// Whether the rule waits for the event of this name.
    pub fn matches(&self, event: &str) -> bool {
        let mut names = event.split('.');
        let each = self.parts.iter().all(|part| match (part, names.next()) {
            (Part::Any, Some(name)) => !name.is_empty(),
            (Part::Named(known), Some(name)) => known.eq_ignore_ascii_case(name),
            (_, None) => false,
        });
        each && (names.next().is_none() || self.parts.last() == Some(&Part::Any))
    }

    /// What one may have meant by a trigger that fits nothing: an event, all of a kind
    /// (`hubspot.contact.*`), or one thing that happens to any kind (`*.*.deletion`).
    pub(super) fn nearest(written: &str) -> Option<String> {
        let mut candidates = Vec::new();
        for event in Event::ALL {
            candidates.push(event.name().to_owned());
            if let [source, kind, what] = *event.name().split('.').collect::<Vec<_>>() {
                candidates.push(format!("{source}.{kind}.*"));
                candidates.push(format!("{source}.*"));
                candidates.push(format!("*.*.{what}"));
            }
        }
        error::nearest(written, &candidates)
    }
}

/// The fields that some event has for which one of these waits.
pub(super) fn fields(triggers: &[Trigger]) -> Vec<Field> {
    let awaited = |event: &&Event| triggers.iter().any(|one| one.matches(event.name()));
    let events: Vec<&Event> = Event::ALL.iter().filter(awaited).collect();
    let known = |field: &Field| events.iter().any(|event| event.has(*field));
    Field::ALL.iter().copied().filter(known).collect()
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, part) in self.parts.iter().enumerate() {
            if n > 0 {
                f.write_str(".")?;
            }
            f.write_str(match part {
                Part::Any => "*",
                Part::Named(name) => name,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(written: &str) -> Trigger {
        Trigger::new(written).expect("a trigger")
    }

    #[test]
    fn a_star_stands_for_one_part_and_at_the_end_for_more() {
        let contact = "hubspot.contact.creation";
        for written in [
            "*",
            "hubspot.*",
            "*.contact.*",
            "*.*.creation",
            "HubSpot.Contact.Creation",
        ] {
            assert!(trigger(written).matches(contact), "{written}");
        }
        for written in ["gmail.*", "hubspot.deal.*", "*.*.deletion"] {
            assert!(!trigger(written).matches(contact), "{written}");
        }
        assert!(!trigger("hubspot.*").matches("hubspot"));
        assert!(!trigger("*").matches(""));
    }

    #[test]
    fn what_fits_nothing_is_no_trigger() {
        for (written, meant) in [
            ("hubspot", "hubspot.*"),
            ("*.deletion", "*.*.deletion"),
            ("gmail.message.recieved", "gmail.message.received"),
            ("hubspot.contacts.*", "hubspot.contact.*"),
            ("mail.received", "gmail.message.received"),
        ] {
            assert_eq!(Trigger::new(written), None);
            assert_eq!(Trigger::nearest(written).as_deref(), Some(meant));
        }
        assert_eq!(Trigger::new(""), None);
        assert_eq!(Trigger::new("hubspot.*.*.*"), None);
    }

    #[test]
    fn the_catalogue_decides_the_case() {
        let written = trigger("HUBSPOT.*.propertychange").to_string();
        assert_eq!(written, "hubspot.*.propertyChange");
    }
}
