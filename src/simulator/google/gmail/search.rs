//! Gmail's search language, as far as programs use it.
//!
//! Terms that are cheap to judge come before those that need the text, so that a search through a large
//! mailbox reads few mails.

use std::cell::OnceCell;

use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone as _, Utc};
use chrono_tz::America::Los_Angeles;

use super::mailbox::{Mailbox, Message};
use super::mime;

/// A condition on a message.
enum Term {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Label(String),
    Anywhere,
    After(i64),
    Before(i64),
    MessageId(String),
    Header(&'static [&'static str], String),
    Attachment,
    Words(String),
    Nothing,
}

/// A search, ready to judge messages.
pub struct Search {
    term: Term,
    /// Whether spam and trash are looked through too.
    everywhere: bool,
}

impl Search {
    pub fn read(q: &str, mailbox: &Mailbox, now: DateTime<Utc>) -> Self {
        let tokens = tokens(q);
        let (mut place, mut everywhere) = (0, false);
        let term = all(&tokens, &mut place, mailbox, now, &mut everywhere);
        Self { term, everywhere }
    }

    pub fn fits(&self, message: &Message, spam_and_trash: bool) -> bool {
        let hidden = message.labels.contains("SPAM") || message.labels.contains("TRASH");
        if hidden && !spam_and_trash && !self.everywhere {
            return false;
        }
        self.term.holds(&Seen {
            message,
            headers: OnceCell::new(),
        })
    }
}

/// A message and what was already read of it.
struct Seen<'m> {
    message: &'m Message,
    headers: OnceCell<Vec<(String, String)>>,
}

impl Seen<'_> {
    fn headers(&self) -> &[(String, String)] {
        self.headers
            .get_or_init(|| mime::headers(&self.message.raw))
    }
}

impl Term {
    fn cost(&self) -> u8 {
        match self {
            Self::Words(_) | Self::Attachment => 3,
            Self::Header(..) | Self::MessageId(_) => 2,
            Self::All(terms) | Self::Any(terms) => terms.iter().map(Self::cost).max().unwrap_or(0),
            Self::Not(term) => term.cost(),
            _ => 1,
        }
    }

    fn holds(&self, seen: &Seen<'_>) -> bool {
        let message = seen.message;
        match self {
            Self::All(terms) => terms.iter().all(|term| term.holds(seen)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(seen)),
            Self::Not(term) => !term.holds(seen),
            Self::Label(label) => message.labels.contains(label),
            Self::Anywhere => true,
            Self::After(millis) => message.date >= *millis,
            Self::Before(millis) => message.date < *millis,
            Self::MessageId(id) => mime::header(seen.headers(), "Message-ID")
                .is_some_and(|value| value.trim_matches(['<', '>', ' ']) == id),
            Self::Header(names, wanted) => seen
                .headers()
                .iter()
                .filter(|(name, _)| names.iter().any(|other| name.eq_ignore_ascii_case(other)))
                .any(|(_, value)| holds_words(&mime::decoded(value), wanted)),
            Self::Attachment => {
                mime::parse(&message.raw).is_some_and(|parsed| parsed.attachment_count() > 0)
            }
            Self::Words(words) => {
                let shown = ["From", "To", "Cc", "Subject"];
                let in_headers = seen
                    .headers()
                    .iter()
                    .filter(|(name, _)| shown.iter().any(|other| name.eq_ignore_ascii_case(other)))
                    .any(|(_, value)| holds_words(&mime::decoded(value), words));
                in_headers
                    || mime::parse(&message.raw)
                        .is_some_and(|parsed| holds_words(&mime::text(&parsed), words))
            }
            Self::Nothing => false,
        }
    }
}

/// Whole words, whatever their case.
fn holds_words(text: &str, words: &str) -> bool {
    let text = text.to_lowercase();
    text.match_indices(words).any(|(place, found)| {
        let before = text[..place].chars().next_back();
        let after = text[place + found.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Words, quoted or not, and the signs that group them.
fn tokens(q: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for letter in q.chars() {
        match letter {
            '"' => quoted = !quoted,
            '(' | ')' | '{' | '}' if !quoted => {
                // `subject:(a b)`: the name stays with its group.
                if !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
                found.push(letter.to_string());
            }
            _ if letter.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(letter),
        }
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

/// The terms up to a closing sign; `OR` binds two neighbours.
fn all(
    tokens: &[String],
    place: &mut usize,
    mailbox: &Mailbox,
    now: DateTime<Utc>,
    everywhere: &mut bool,
) -> Term {
    let mut terms: Vec<Term> = Vec::new();
    let mut or = false;
    while let Some(token) = tokens.get(*place) {
        *place += 1;
        let term = match token.as_str() {
            ")" | "}" => break,
            "OR" | "|" => {
                or = true;
                continue;
            }
            "AND" => continue,
            "(" => all(tokens, place, mailbox, now, everywhere),
            "-" => Term::Not(Box::new(next_group(
                tokens, place, mailbox, now, everywhere,
            ))),
            "{" => any(all(tokens, place, mailbox, now, everywhere)),
            word if word.ends_with(':') => {
                // A field before a group holds for each word in it.
                let mut each = Vec::new();
                if tokens.get(*place).is_some_and(|next| next == "(") {
                    *place += 1;
                    while let Some(inner) = tokens.get(*place) {
                        *place += 1;
                        if inner == ")" {
                            break;
                        }
                        let joined = format!("{word}{inner}");
                        each.push(single(&joined, mailbox, now, everywhere));
                    }
                }
                Term::All(each)
            }
            word => single(word, mailbox, now, everywhere),
        };
        if or && let Some(before) = terms.pop() {
            terms.push(match before {
                Term::Any(mut either) => {
                    either.push(term);
                    Term::Any(either)
                }
                before => Term::Any(vec![before, term]),
            });
            or = false;
        } else {
            terms.push(term);
        }
    }
    terms.sort_by_key(Term::cost);
    Term::All(terms)
}

fn any(term: Term) -> Term {
    match term {
        Term::All(terms) => Term::Any(terms),
        other => other,
    }
}

fn next_group(
    tokens: &[String],
    place: &mut usize,
    mailbox: &Mailbox,
    now: DateTime<Utc>,
    everywhere: &mut bool,
) -> Term {
    let opening = tokens.get(*place).cloned().unwrap_or_default();
    *place += 1;
    match opening.as_str() {
        "(" => all(tokens, place, mailbox, now, everywhere),
        "{" => any(all(tokens, place, mailbox, now, everywhere)),
        _ => Term::Anywhere,
    }
}

fn single(word: &str, mailbox: &Mailbox, now: DateTime<Utc>, everywhere: &mut bool) -> Term {
    if let Some(rest) = word.strip_prefix('-')
        && !rest.is_empty()
    {
        // What is excluded doesn't open spam and trash.
        return Term::Not(Box::new(single(rest, mailbox, now, &mut false)));
    }
    let Some((field, value)) = word.split_once(':') else {
        return Term::Words(word.to_lowercase());
    };
    let lower = value.to_lowercase();
    match field.to_ascii_lowercase().as_str() {
        "in" | "is" | "label" => place_term(&lower, mailbox, everywhere),
        "after" | "newer" => instant(value).map_or(Term::Nothing, Term::After),
        "before" | "older" => instant(value).map_or(Term::Nothing, Term::Before),
        "newer_than" => age(value, now).map_or(Term::Nothing, Term::After),
        "older_than" => age(value, now).map_or(Term::Nothing, Term::Before),
        "from" => Term::Header(&["From"], lower),
        "to" => Term::Header(&["To", "Cc", "Bcc"], lower),
        "cc" => Term::Header(&["Cc"], lower),
        "bcc" => Term::Header(&["Bcc"], lower),
        "subject" => Term::Header(&["Subject"], lower),
        "list" => Term::Header(&["List-Id"], lower),
        "rfc822msgid" => Term::MessageId(value.trim_matches(['<', '>']).to_owned()),
        "has" if lower == "attachment" => Term::Attachment,
        _ => Term::Words(word.to_lowercase()),
    }
}

fn place_term(name: &str, mailbox: &Mailbox, everywhere: &mut bool) -> Term {
    let label = |id: &str| Term::Label(id.to_owned());
    match name {
        "anywhere" => {
            *everywhere = true;
            Term::Anywhere
        }
        "spam" | "trash" => {
            *everywhere = true;
            label(&name.to_uppercase())
        }
        "draft" | "drafts" => label("DRAFT"),
        "chat" | "chats" => label("CHAT"),
        "read" => Term::Not(Box::new(label("UNREAD"))),
        "inbox" | "sent" | "unread" | "starred" | "important" => label(&name.to_uppercase()),
        other => mailbox
            .labels
            .iter()
            .find(|label| {
                let dashed = label.name.to_lowercase().replace([' ', '/'], "-");
                dashed == other || label.name.to_lowercase() == other
            })
            .map_or_else(
                || label(&other.to_uppercase()),
                |found| label(&found.id.clone()),
            ),
    }
}

/// Seconds since the epoch, or a day in Pacific time; as milliseconds.
fn instant(value: &str) -> Option<i64> {
    if value.len() > 8
        && let Ok(seconds) = value.parse::<i64>()
    {
        return Some(seconds * 1000);
    }
    let day = NaiveDate::parse_from_str(&value.replace('-', "/"), "%Y/%m/%d").ok()?;
    let midnight = Los_Angeles
        .from_local_datetime(&day.and_hms_opt(0, 0, 0)?)
        .earliest()?;
    Some(midnight.timestamp_millis())
}

fn age(value: &str, now: DateTime<Utc>) -> Option<i64> {
    let (count, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let count: i64 = count.parse().ok()?;
    let days = match unit {
        "h" => return Some((now - TimeDelta::try_hours(count)?).timestamp_millis()),
        "d" => count,
        "m" => count * 30,
        "y" => count * 365,
        _ => return None,
    };
    Some((now - TimeDelta::try_days(days)?).timestamp_millis())
}
