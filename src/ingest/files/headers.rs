//! A mail's headers in our own types: addresses, ids, dates, labels.
//!
//! Works on what the parser made of them and, where the parser can't know better (mailing-list
//! archives that write "user at example.com"), on the raw text. Never fails: what can't be
//! understood is absent. Knows nothing of bodies.

use std::sync::LazyLock;

use chrono::{DateTime, Datelike, Utc};
use mail_parser::{Address, HeaderName, HeaderValue, Message};
use regex::Regex;

use super::dates;
use super::mail::Mailbox;

/// A list may be long, but a thread of thousands is an attack or a loop.
const MAX_ADDRESSES: usize = 2000;
const MAX_IDS: usize = 200;

/// `alice at example.com (Alice Smith)`, also `alice at example dot com`.
static OBFUSCATED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)^\s*(?:"?([^"<>@]*?)"?\s*<)?\s*([a-z0-9._%+=-]+)\s+(?:at|\(at\)|\[at\])\s+([a-z0-9-]+(?:(?:\.|\s+dot\s+)[a-z0-9-]+)+)\s*>?\s*(?:\((.*?)\))?\s*$"#,
    )
    .expect("a valid pattern")
});
static DOT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\s+dot\s+").expect("a valid pattern"));

impl Mailbox {
    /// `None` for what isn't an address. The domain is lower-cased, the local part is the
    /// business of the domain alone.
    pub(super) fn new(name: Option<&str>, address: &str) -> Option<Self> {
        let address = address
            .trim()
            .trim_start_matches(['<', '\''])
            .trim_end_matches(['>', '\'', ',', ';']);
        let address = address
            .get(..7)
            .filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"))
            .and_then(|scheme| address.get(scheme.len()..))
            .unwrap_or(address);
        let (local, domain) = address.rsplit_once('@')?;
        if local.is_empty()
            || domain.is_empty()
            || address.len() > 320
            || address.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return None;
        }
        Some(Self {
            name: name.and_then(clean_name),
            address: format!("{local}@{}", domain.to_lowercase()),
        })
    }
}

/// A name without quotes and line ends; `None` when it is empty.
fn clean_name(name: &str) -> Option<String> {
    let name: String = name
        .chars()
        .filter(|c| *c != '\0')
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let name = name.trim().trim_matches(['"', '\'']).trim();
    (!name.is_empty()).then(|| name.to_owned())
}

pub(super) fn mailboxes(message: &Message<'_>, header: &HeaderName<'static>) -> Vec<Mailbox> {
    let mut found: Vec<Mailbox> = Vec::new();
    for value in message.header_values(header.clone()) {
        if let HeaderValue::Address(list) = value {
            found.extend(
                addresses(list)
                    .take(MAX_ADDRESSES.saturating_sub(found.len()))
                    .collect::<Vec<_>>(),
            );
        }
    }
    if found.is_empty() {
        found = message
            .header_raw(header.clone())
            .filter(|raw| raw.len() < 2000)
            .map(obfuscated)
            .unwrap_or_default();
    }
    found
}

fn addresses<'a>(list: &'a Address<'_>) -> impl Iterator<Item = Mailbox> + 'a {
    list.iter().filter_map(|one| {
        let name = one.name.as_deref();
        match one.address.as_deref() {
            Some(address) => Mailbox::new(name, address),
            // `alice@example.com` alone in quotes is taken for a name.
            None => Mailbox::new(None, name?),
        }
    })
}

fn obfuscated(raw: &str) -> Vec<Mailbox> {
    listed(raw)
        .into_iter()
        .filter_map(|one| {
            let found = OBFUSCATED.captures(one)?;
            let domain = DOT.replace_all(found.get(3)?.as_str(), ".");
            let name = found
                .get(4)
                .or_else(|| found.get(1))
                .map(|m| decoded(m.as_str()));
            Mailbox::new(
                name.as_deref(),
                &format!("{}@{domain}", found.get(2)?.as_str()),
            )
        })
        .collect()
}

/// The members of a list: commas in comments and quoted names part nothing.
fn listed(raw: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let (mut from, mut depth, mut quoted) = (0, 0_u32, false);
    for (at, sign) in raw.char_indices() {
        match sign {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                members.push(&raw[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    members.push(&raw[from..]);
    members
}

/// Encoded words in a piece of raw header: the parser's own decoder, by way of a subject.
fn decoded(raw: &str) -> String {
    if !raw.contains("=?") {
        return raw.to_owned();
    }
    let header = format!("Subject: {raw}\n\n");
    super::mail::PARSER
        .parse_headers(header.as_bytes())
        .and_then(|message| message.subject().map(str::to_owned))
        .unwrap_or_else(|| raw.to_owned())
}

pub(super) fn message_id(message: &Message<'_>) -> Option<String> {
    message
        .message_id()
        .map(trimmed_id)
        .filter(|id| !id.is_empty())
}

/// Ids without angle brackets, blanks and NUL.
fn trimmed_id(id: &str) -> String {
    id.chars()
        .filter(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>'))
        .take(998)
        .collect()
}

pub(super) fn ids(value: &HeaderValue<'_>) -> Vec<String> {
    let mut ids: Vec<String> = match value {
        HeaderValue::Text(id) => vec![trimmed_id(id)],
        HeaderValue::TextList(ids) => ids.iter().take(MAX_IDS).map(|id| trimmed_id(id)).collect(),
        _ => Vec::new(),
    };
    ids.retain(|id| !id.is_empty());
    ids
}

/// The date it was written; else the date it was received. The parser's own reading comes second:
/// it takes what isn't in RFC 5322's order for some other date, or for none.
pub(super) fn date(message: &Message<'_>) -> Option<DateTime<Utc>> {
    let plausible = |date: &DateTime<Utc>| (1971..=2199).contains(&date.year());
    let parsed = |date: &mail_parser::DateTime| {
        DateTime::from_timestamp(date.is_valid().then(|| date.to_timestamp())?, 0).filter(plausible)
    };
    message
        .header_raw(HeaderName::Date)
        .and_then(dates::read)
        .filter(plausible)
        .or_else(|| message.date().and_then(parsed))
        .or_else(|| {
            message
                .received_all()
                .find_map(|received| received.date().as_ref().and_then(parsed))
        })
}

/// The id between the angle brackets of `List-Id`.
pub(super) fn list_id(message: &Message<'_>) -> Option<String> {
    let raw = message.header_raw(HeaderName::ListId)?;
    let id = raw
        .rsplit_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or(raw, |(id, _)| id);
    let id = trimmed_id(id).to_lowercase();
    (!id.is_empty()).then_some(id)
}

/// Written by a machine: answering it could start a loop.
pub(super) fn auto_submitted(message: &Message<'_>) -> bool {
    let is = |name: &'static str, yes: fn(&str) -> bool| {
        message
            .header_raw(name)
            .is_some_and(|value| yes(value.trim().to_ascii_lowercase().as_str()))
    };
    is("Auto-Submitted", |value| {
        !value.is_empty() && !value.starts_with("no")
    }) || is("X-Autoreply", |value| value != "no")
        || is("Precedence", |value| value == "auto_reply")
        || is("Return-Path", |value| value == "<>")
}

/// What the server that took it in says of its sender. It writes above all that came with the mail: a
/// later one of these headers is the sender's own word.
pub(super) fn fails_dmarc(message: &Message<'_>) -> bool {
    let results = message
        .headers_raw()
        .find(|(name, _)| name.eq_ignore_ascii_case("Authentication-Results"))
        .map_or_else(String::new, |(_, value)| value.to_ascii_lowercase());
    results
        .split(';')
        .skip(1)
        .any(|result| result.trim_start().starts_with("dmarc=fail"))
}

/// Gmail's labels, as Takeout writes them.
pub(super) fn labels(message: &Message<'_>) -> Vec<String> {
    message
        .header_raw("X-Gmail-Labels")
        .map(|labels| {
            decoded(&labels.replace(['\r', '\n', '\0'], ""))
                .split(',')
                .map(|label| label.trim().trim_matches('"').to_owned())
                .filter(|label| !label.is_empty())
                .take(100)
                .collect()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_of_lists_write_at() {
        let found = obfuscated("alice at example.com (Alice Smith)");
        assert_eq!(
            found,
            [Mailbox {
                name: Some("Alice Smith".into()),
                address: "alice@example.com".into()
            }]
        );
        assert_eq!(
            obfuscated("bob at Example dot org")[0].address,
            "bob@example.org"
        );
        let found =
            obfuscated("other.person at mail.example.org (Other, Person), a at example.com");
        assert_eq!(found[0].name.as_deref(), Some("Other, Person"));
        assert_eq!(found[1].address, "a@example.com");
        assert_eq!(obfuscated("Let us meet at noon"), []);
    }

    #[test]
    fn dates_of_all_writers() {
        let read = |written: &str| {
            let mail = format!("From: a@example.com\r\nDate: {written}\r\n\r\n");
            let mail = super::super::mail::PARSER.parse(mail.as_bytes())?;
            Some(date(&mail)?.to_rfc3339())
        };
        for (written, utc) in [
            ("Tue, 3 Feb 1998 10:00:00 +0100", "1998-02-03T09:00:00"),
            ("Tue, 3 Feb 1998 10:00 EST", "1998-02-03T15:00:00"),
            ("3 Feb 98 10:00 EST", "1998-02-03T15:00:00"),
            ("Thu, 3 Feb 100 10:00:00 GMT", "2000-02-03T10:00:00"),
            ("Tue Feb  3 10:00:00 1998", "1998-02-03T10:00:00"),
            ("Tue Feb  3 10:00:00 PST 1998", "1998-02-03T18:00:00"),
            ("Tue Feb  3 10:00:00 1998 -0500", "1998-02-03T15:00:00"),
            ("February 3, 1998 10:00 PM", "1998-02-03T22:00:00"),
            ("Tuesday, 03-Feb-98 10:00:00 GMT", "1998-02-03T10:00:00"),
            ("2003-05-06 10:11:12 +0200", "2003-05-06T08:11:12"),
            ("2003-05-06T10:11:12.5+02:00", "2003-05-06T08:11:12"),
            ("2003-05-06T10:11Z", "2003-05-06T10:11:00"),
            ("Tue, 3 Feb 1998 10:00 +0100 (CET)", "1998-02-03T09:00:00"),
            ("Tue, 3 Feb 1998 10:00 (CET (odd))", "1998-02-03T10:00:00"),
            ("Tue, 3 Feb 1998\r\n\t10:00 +0100", "1998-02-03T09:00:00"),
            ("Tue, 3 Feb 1998 10:00:00 GMT+0200", "1998-02-03T08:00:00"),
            (
                "Tue, 3 Feb 1998 10:00 Somewhere Time",
                "1998-02-03T10:00:00",
            ),
            // The day of the week may be wrong: the date is what was meant.
            ("Mon, 3 Feb 1998 10:00 +9999", "1998-02-03T10:00:00"),
        ] {
            assert_eq!(read(written), Some(format!("{utc}+00:00")), "{written}");
        }
        for odd in [
            "",
            "never",
            "(",
            ")",
            "Tue",
            "Feb 3",
            "Tue, 31 Feb 1998",
            "3 Feb 9999 10:00",
            "é 3",
            "3 Feb 0 99:99",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_is_no_address_is_absent() {
        assert_eq!(Mailbox::new(None, "undisclosed-recipients"), None);
        assert_eq!(Mailbox::new(None, "a b@example.com"), None);
        assert_eq!(
            Mailbox::new(Some("\"A\""), "mailto:A.b@EXAMPLE.com"),
            Some(Mailbox {
                name: Some("A".into()),
                address: "A.b@example.com".into()
            })
        );
    }
}
