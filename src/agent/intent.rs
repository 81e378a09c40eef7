//! Whom the user's own words name. Decided by code from what the user typed and the address book alone, so
//! that no text from outside can add anybody.

use std::collections::{BTreeMap, BTreeSet};

use crate::book::{Acquaintance, address_key};

/// What the user's words say of people.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Keys of addresses that were typed, and of contacts that exactly one name fits.
    pub keys: BTreeSet<String>,
    /// Names that fit several contacts, with these: nobody knows who is meant.
    pub unclear: BTreeMap<String, Vec<usize>>,
}

struct Word {
    lower: String,
    is_capital: bool,
}

fn words(text: &str) -> Vec<Word> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| Word {
            lower: word.to_lowercase(),
            is_capital: word.starts_with(char::is_uppercase),
        })
        .collect()
}

/// Addresses in a text.
fn typed(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| c.is_whitespace() || "<>()[]\"',;:".contains(c))
        .map(|word| word.trim_matches(['.', '!', '?']))
        .filter(|word| {
            word.split_once('@')
                .is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'))
        })
        .map(address_key)
}

/// Reads the user's words. A whole name is meant before a part of one; a part counts where it is written
/// like a name, or where nothing in the text is.
pub(super) fn named(text: &str, people: &[Acquaintance]) -> Named {
    let mut found = Named {
        keys: typed(text).collect(),
        ..Named::default()
    };
    let said = words(text);
    let writes_small = !said.iter().any(|word| word.is_capital);
    let in_book: Vec<Vec<String>> = people
        .iter()
        .map(|one| words(&one.name).into_iter().map(|w| w.lower).collect())
        .collect();
    let mut covered = vec![false; said.len()];
    let mut whole: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, name) in in_book.iter().enumerate() {
        if name.len() < 2 {
            continue;
        }
        for start in 0..said.len().saturating_sub(name.len() - 1) {
            let window = said.get(start..start + name.len()).unwrap_or_default();
            if window.iter().map(|word| &word.lower).eq(name) {
                covered
                    .iter_mut()
                    .skip(start)
                    .take(name.len())
                    .for_each(|one| *one = true);
                let fitting = whole.entry(name.join(" ")).or_default();
                if !fitting.contains(&place) {
                    fitting.push(place);
                }
            }
        }
    }
    let parts = said
        .iter()
        .zip(covered)
        .filter(|(word, covered)| !covered && (word.is_capital || writes_small))
        .map(|(word, _)| word.lower.clone())
        .filter(|word| word.chars().count() > 1);
    for part in parts.collect::<BTreeSet<_>>() {
        let fitting: Vec<usize> = (0..people.len())
            .filter(|place| in_book.get(*place).is_some_and(|name| name.contains(&part)))
            .collect();
        if !fitting.is_empty() {
            whole.insert(part, fitting);
        }
    }
    for (name, fitting) in whole {
        match fitting.as_slice() {
            [only] => found.keys.extend(
                people
                    .get(*only)
                    .into_iter()
                    .flat_map(|one| one.keys.clone()),
            ),
            _ => drop(found.unclear.insert(name, fitting)),
        }
    }
    found
}

/// Whether it is unclear that somebody of these is meant: the words that fit several, and them.
pub(super) fn doubt<'a>(
    named: &'a Named,
    people: &'a [Acquaintance],
    keys: &[String],
) -> Option<(&'a str, Vec<&'a Acquaintance>)> {
    let doubtful = |key: &String| {
        if named.keys.contains(key) {
            return None;
        }
        named.unclear.iter().find(|(_, fitting)| {
            fitting
                .iter()
                .filter_map(|place| people.get(*place))
                .any(|one| one.keys.contains(key))
        })
    };
    let (name, fitting) = keys.iter().find_map(doubtful)?;
    let fitting = fitting.iter().filter_map(|place| people.get(*place));
    Some((name, fitting.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> Vec<Acquaintance> {
        [
            ("Sara Smith", "sara@example.com"),
            ("Sarah Smythe", "sarah@example.com"),
            ("Tom Jones", "tom@firm.example"),
            ("Tom Baker", "baker@example.com"),
            ("Will Young", "will@example.com"),
        ]
        .into_iter()
        .map(|(name, address)| Acquaintance {
            name: name.to_owned(),
            keys: vec![address.to_owned()],
        })
        .collect()
    }

    fn keys(text: &str) -> Vec<String> {
        named(text, &people()).keys.into_iter().collect()
    }

    #[test]
    fn who_is_named_is_known_and_nobody_else() {
        assert_eq!(
            keys("Schedule an appointment with Sara"),
            ["sara@example.com"]
        );
        assert_eq!(
            keys("schedule an appointment with sarah"),
            ["sarah@example.com"]
        );
        assert_eq!(keys("Write to Tom Jones, please."), ["tom@firm.example"]);
        assert_eq!(keys("Write to eve@evil.example."), ["eve@evil.example"]);
        // A word that is also a name.
        assert!(keys("It will rain, Anna").is_empty());
        assert_eq!(keys("Ask Will"), ["will@example.com"]);
        assert!(keys("").is_empty());
    }

    #[test]
    fn a_name_that_fits_several_names_nobody() {
        let people = people();
        let named = named("Write to Tom", &people);
        assert!(named.keys.is_empty());
        let (name, fitting) = doubt(&named, &people, &["tom@firm.example".to_owned()]).unwrap();
        assert_eq!((name, fitting.len()), ("tom", 2));
        assert!(doubt(&named, &people, &["sara@example.com".to_owned()]).is_none());
        // The address says it.
        let clear = super::named("Write to Tom, tom@firm.example", &people);
        assert!(doubt(&clear, &people, &["tom@firm.example".to_owned()]).is_none());
    }
}
