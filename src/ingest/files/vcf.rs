//! Contact cards: vCard 2.1, 3.0 and 4.0, many to a file.
//!
//! Cards are cut out of the stream line by line, each with a cap, and parsed one by one, so a
//! broken card costs only itself: a new `BEGIN` ends a card that has no end. Pictures and keys
//! are dropped. Knows cards, not what a contact is used for.

use std::io::{self, Read};
use std::sync::LazyLock;

use calcard::vcard::{VCard, VCardEntry, VCardParameterName, VCardProperty, VCardValue};
use calcard::{Entry, Parser};
use regex::Regex;

use super::{
    charset,
    contact::{self, Contact},
    item::{Item, Located, Position, Resume, Unit, quote, too_large},
    lines::Lines,
};

const MAX_CARD: usize = 4 << 20;

/// Where a card begins and where the next one may; its bytes unless there were too many.
type RawCard = (u64, u64, Option<Vec<u8>>);

pub(super) struct Cards {
    lines: Lines,
    start: Resume,
    count: u64,
    opened: bool,
    /// The `BEGIN` line that ended an unfinished card.
    begun: Option<(u64, Vec<u8>)>,
}

impl Cards {
    pub(super) fn new(reader: Box<dyn Read + Send>, start: Resume) -> Self {
        Self {
            lines: Lines::new(reader, 1 << 20),
            start,
            count: start.items,
            opened: false,
            begun: None,
        }
    }

    fn next_raw(&mut self) -> io::Result<Option<RawCard>> {
        if !self.opened {
            self.opened = true;
            self.lines.skip_to(self.start.offset)?;
        }
        let (mut at, mut card) = self.begun.take().unwrap_or_default();
        let mut oversized = false;
        loop {
            let (from, line_at) = (card.len(), self.lines.offset());
            if !self.lines.append_next(&mut card)? {
                return Ok((!card.is_empty()).then_some((at, line_at, Some(card))));
            }
            let line = card.get(from..).unwrap_or_default();
            if is(line, b"BEGIN:VCARD") {
                if from > 0 {
                    let line = card.split_off(from);
                    self.begun = Some((line_at, line));
                    return Ok(Some((at, line_at, (!oversized).then_some(card))));
                }
                at = line_at;
            } else if is(line, b"END:VCARD") && from > 0 {
                return Ok(Some((
                    at,
                    self.lines.offset(),
                    (!oversized).then_some(card),
                )));
            } else if from == 0 {
                // Between cards.
                card.clear();
            } else if card.len() > MAX_CARD {
                oversized = true;
                card.truncate(1);
            }
        }
    }
}

fn is(line: &[u8], mark: &[u8]) -> bool {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    line.trim_ascii().eq_ignore_ascii_case(mark)
}

impl Iterator for Cards {
    type Item = io::Result<Located>;

    fn next(&mut self) -> Option<Self::Item> {
        let (offset, next, card) = match self.next_raw() {
            Ok(found) => found?,
            Err(error) => return Some(Err(error)),
        };
        self.count += 1;
        let position = Position {
            unit: Unit::Card,
            ordinal: self.count,
            offset,
        };
        let item = match card {
            Some(card) => {
                parse(&charset::decode(&card)).map(|found| Item::Contact(Box::new(found)))
            }
            None => Err(too_large(MAX_CARD)),
        };
        Some(Ok(Located::new(position, next, item)))
    }
}

/// As Android and Google write a birthday without a year; the parser knows `--0506` alone.
static DASHED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?im)^((?:[\w-]+\.)?BDAY(?:;[^:\r\n]*)?:--\d\d)-(\d\d)").expect("a valid pattern")
});

fn parse(text: &str) -> Result<Contact, String> {
    let text = DASHED.replace(text.trim_start_matches('\u{feff}'), "$1$2");
    let mut parser = Parser::new(&text);
    let mut invalid = None;
    // A few lines of rubbish may stand before the card.
    for _ in 0..10 {
        match parser.entry() {
            Entry::VCard(card) if is_group(&card) => {
                return Err("It is a group of contacts, not a person.".to_owned());
            }
            Entry::VCard(card) => return contact(card).checked(),
            Entry::InvalidLine(line) => invalid = invalid.or(Some(line)),
            Entry::Eof => break,
            _ => {}
        }
    }
    Err(match invalid {
        Some(line) => format!("It isn't a contact card: “{}”.", quote(&line)),
        None => "The contact card has no end.".to_owned(),
    })
}

/// Apple has a name of its own for it in vCard 3.0.
fn is_group(card: &VCard) -> bool {
    card.entries.iter().any(|entry| {
        let names_kind = entry.name == VCardProperty::Kind
            || entry
                .name
                .as_str()
                .eq_ignore_ascii_case("X-ADDRESSBOOKSERVER-KIND");
        names_kind
            && entry
                .values
                .iter()
                .cloned()
                .filter_map(text)
                .any(|kind| kind.trim().eq_ignore_ascii_case("group"))
    })
}

fn contact(card: VCard) -> Contact {
    let mut found = Contact::default();
    let mut parts = None;
    let mut nickname = None;
    for entry in card.entries {
        let labels = labels(&entry);
        let values: Vec<String> = entry.values.into_iter().filter_map(text).collect();
        let Some(first) = values.first().map(|value| contact::tidy(value)) else {
            continue;
        };
        let joined = || values.join("\n");
        match entry.name {
            VCardProperty::Fn if found.name.is_empty() => found.name = contact::one_line(&first),
            VCardProperty::N => parts = Some(values),
            VCardProperty::Nickname => nickname = Some(first),
            VCardProperty::Email => {
                for value in &values {
                    if !found.add_email(value) {
                        found.add_extra(entry.name.as_str(), value);
                    }
                }
            }
            VCardProperty::Tel => values.iter().for_each(|value| found.add_phone(value)),
            VCardProperty::Org if found.organisation.is_none() => {
                let org = contact::one_line(&joined());
                found.organisation = (!org.is_empty()).then_some(org);
            }
            VCardProperty::Title | VCardProperty::Role if found.title.is_none() => {
                found.title = (!first.is_empty()).then_some(first);
            }
            VCardProperty::Adr => found.add_address(&joined()),
            VCardProperty::Bday => found.birthday = contact::birthday(&first),
            VCardProperty::Note => found.add_note(&joined()),
            VCardProperty::Uid => {
                found.uid = Some(first).filter(|uid| !uid.is_empty());
            }
            VCardProperty::Fn
            | VCardProperty::Begin
            | VCardProperty::End
            | VCardProperty::Version
            | VCardProperty::Prodid
            | VCardProperty::Rev
            | VCardProperty::Photo
            | VCardProperty::Logo
            | VCardProperty::Sound
            | VCardProperty::Key
            | VCardProperty::Xml
            | VCardProperty::Clientpidmap => {}
            other => {
                let name = labels.unwrap_or_else(|| other.as_str().to_owned());
                found.add_extra(&name, &joined());
            }
        }
    }
    if found.name.is_empty() {
        found.name = parts.map(|parts| full_name(&parts)).unwrap_or_default();
    }
    match nickname {
        Some(nickname) if found.name.is_empty() => found.name = nickname,
        Some(nickname) => found.add_extra("NICKNAME", &nickname),
        None => {}
    }
    found
}

/// `X-ABLABEL` groups aren't resolved; the group's name still tells more than nothing.
fn labels(entry: &VCardEntry) -> Option<String> {
    matches!(
        entry.name,
        VCardProperty::Related | VCardProperty::Anniversary
    )
    .then(|| {
        let kinds: Vec<&str> = entry
            .params
            .iter()
            .filter(|param| param.name == VCardParameterName::Type)
            .filter_map(|param| param.value.as_text())
            .collect();
        [vec![entry.name.as_str()], kinds].concat().join(" ")
    })
}

fn text(value: VCardValue) -> Option<String> {
    Some(match value {
        VCardValue::Component(parts) => parts.join(", "),
        VCardValue::PartialDateTime(date) => match (date.year, date.month, date.day) {
            (Some(year), Some(month), Some(day)) => format!("{year:04}-{month:02}-{day:02}"),
            (None, Some(month), Some(day)) => format!("--{month:02}-{day:02}"),
            (Some(year), Some(month), None) => format!("{year:04}-{month:02}"),
            (Some(year), None, None) => format!("{year:04}"),
            _ => return None,
        },
        VCardValue::Integer(number) => number.to_string(),
        VCardValue::Float(number) => number.to_string(),
        VCardValue::Boolean(_) | VCardValue::Binary(_) => return None,
        other => other.into_text()?.into_owned(),
    })
}

/// `N` is family, given, additional, prefixes, suffixes.
fn full_name(parts: &[String]) -> String {
    let part = |at: usize| parts.get(at).map_or("", |part| part.trim());
    [part(3), part(1), part(2), part(0), part(4)]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<Contact, String> {
        parse(&format!("BEGIN:VCARD\r\n{lines}\r\nEND:VCARD\r\n"))
    }

    #[test]
    fn a_birthday_without_a_year_has_none() {
        for written in [
            "VERSION:3.0\r\nFN:Sara\r\nBDAY;X-APPLE-OMIT-YEAR=1604:1604-05-06",
            "VERSION:3.0\r\nFN:Sara\r\nBDAY;value=date:1604-05-06",
            "VERSION:3.0\r\nFN:Sara\r\nBDAY:16040506",
            "VERSION:4.0\r\nFN:Sara\r\nBDAY:--0506",
            "VERSION:3.0\r\nFN:Sara\r\nBDAY:--05-06",
        ] {
            let found = read(written).expect("a contact");
            assert_eq!(found.birthday.as_deref(), Some("May 6"), "{written}");
        }
        let leap = read("VERSION:4.0\r\nFN:Sara\r\nBDAY:--0229").expect("a contact");
        assert_eq!(leap.birthday.as_deref(), Some("February 29"));
        let whole = read("VERSION:4.0\r\nFN:Sara\r\nBDAY:19800506").expect("a contact");
        assert_eq!(whole.birthday.as_deref(), Some("1980-05-06"));
    }

    #[test]
    fn a_group_is_nobody() {
        for kind in ["KIND:group", "KIND:GROUP", "X-ADDRESSBOOKSERVER-KIND:group"] {
            let reason = read(&format!(
                "VERSION:4.0\r\n{kind}\r\nFN:Golf friends\r\nMEMBER:urn:uuid:1"
            ))
            .expect_err(kind);
            assert!(reason.contains("group"), "{reason}");
        }
        assert!(read("VERSION:4.0\r\nKIND:individual\r\nFN:Sara").is_ok());
    }

    #[test]
    fn what_is_no_address_is_kept_as_written() {
        let found = read("VERSION:3.0\r\nFN:Sara\r\nEMAIL:sara(at)example.com").expect("a contact");
        assert_eq!(found.emails, [""; 0]);
        assert_eq!(
            found.extra,
            [("EMAIL".to_owned(), "sara(at)example.com".to_owned())]
        );
    }
}
