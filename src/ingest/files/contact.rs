//! A person, as contact cards and spreadsheets tell of one.
//!
//! Both readers fill the same struct, so that what comes after can't tell them apart. Values
//! are trimmed, said once, and kept as written otherwise: a telephone number isn't judged here.

use chrono::NaiveDate;

/// So many values of one kind and so much text are kept of one contact.
const MAX_VALUES: usize = 50;
const MAX_TEXT: usize = 64 << 10;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// The key under which the book has it, where that isn't what follows from its content: a
    /// provider's record keeps its row when its address changes. No file knows one.
    pub key: Option<[u8; 32]>,
    pub uid: Option<String>,
    pub name: String,
    /// Domains in lower case.
    pub emails: Vec<String>,
    pub phones: Vec<String>,
    pub organisation: Option<String>,
    pub title: Option<String>,
    /// Each in one line.
    pub addresses: Vec<String>,
    /// `2000-12-31`, `December 31` of an unknown year, else as written.
    pub birthday: Option<String>,
    pub notes: String,
    /// What has no field of its own, by the file's own names.
    pub extra: Vec<(String, String)>,
}

impl Contact {
    /// The reason why this is nobody, or the contact; a contact without a name goes by its
    /// address.
    pub(super) fn checked(mut self) -> Result<Self, String> {
        if self.name.is_empty() && self.emails.is_empty() && self.phones.is_empty() {
            return Err("There is no name, no e-mail address and no telephone number.".to_owned());
        }
        if self.name.is_empty() {
            self.name = self
                .organisation
                .as_ref()
                .or_else(|| self.emails.first())
                .or_else(|| self.phones.first())
                .cloned()
                .unwrap_or_default();
        }
        Ok(self)
    }

    /// False if some of it is no address: the caller knows where to keep that as written.
    pub(super) fn add_email(&mut self, written: &str) -> bool {
        let mut understood = true;
        for one in written.split([',', ';']).map(str::trim) {
            if self.emails.len() >= MAX_VALUES {
                break;
            }
            let (name, address) = match one.rsplit_once('<') {
                Some((name, address)) => (Some(name.trim()), address),
                None => (None, one),
            };
            if let Some(found) = super::Mailbox::new(name, address) {
                add(&mut self.emails, &found.address);
                if self.name.is_empty()
                    && let Some(name) = found.name
                {
                    self.name = name;
                }
            } else {
                understood &= one.is_empty();
            }
        }
        understood
    }

    pub(super) fn add_phone(&mut self, written: &str) {
        let number = written.strip_prefix("tel:").unwrap_or(written);
        if self.phones.len() < MAX_VALUES && number.chars().any(|c| c.is_ascii_digit()) {
            add(&mut self.phones, number);
        }
    }

    pub(super) fn add_address(&mut self, written: &str) {
        add(&mut self.addresses, &one_line(written));
    }

    pub(super) fn add_note(&mut self, written: &str) {
        let written = tidy(written);
        if written.is_empty()
            || (!self.notes.is_empty() && self.notes.len() + written.len() > MAX_TEXT)
            || memchr::memmem::find(self.notes.as_bytes(), written.as_bytes()).is_some()
        {
            return;
        }
        if !self.notes.is_empty() {
            self.notes.push_str("\n\n");
        }
        self.notes.push_str(&written);
    }

    pub(super) fn add_extra(&mut self, name: &str, value: &str) {
        let (name, value) = (one_line(name), tidy(value));
        if !value.is_empty() && self.extra.len() < MAX_VALUES {
            self.extra.push((name, value));
        }
    }
}

fn add(list: &mut Vec<String>, value: &str) {
    let value = tidy(value);
    if !value.is_empty()
        && list.len() < MAX_VALUES
        && !list.iter().any(|one| one.eq_ignore_ascii_case(&value))
    {
        list.push(value);
    }
}

/// Trimmed, LF only, no NUL, of bearable length.
pub(super) fn tidy(value: &str) -> String {
    let value = value.trim();
    let value = value
        .get(..value.floor_char_boundary(MAX_TEXT))
        .unwrap_or(value);
    value.replace("\r\n", "\n").replace(['\0', '\r'], "")
}

pub(super) fn one_line(value: &str) -> String {
    let parts: Vec<&str> = value
        .split(['\n', '\r'])
        .map(|part| part.trim().trim_end_matches(','))
        .filter(|part| !part.is_empty())
        .collect();
    tidy(&parts.join(", "))
}

/// `19801231` and `1980-12-31T…` as `1980-12-31`, `--1231` and `1604-12-31` as `December 31`;
/// anything else as written.
pub(super) fn birthday(written: &str) -> Option<String> {
    let written = one_line(written);
    let date = written
        .split_once('T')
        .map_or(written.as_str(), |(date, _)| date);
    let digits = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    let date = if digits {
        format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..])
    } else {
        date.to_owned()
    };
    if let Some(day) = day_of_any_year(&date) {
        return Some(day);
    }
    (!date.is_empty() && date != "0000-00-00").then_some(date)
}

/// The day of a date without a year. 1604 is what Apple writes for none: a leap year before
/// anybody's birth.
fn day_of_any_year(date: &str) -> Option<String> {
    let rest = date
        .strip_prefix("--")
        .or_else(|| date.strip_prefix("1604-"))?;
    let digits: String = rest.chars().filter(|c| *c != '-').collect();
    let day = NaiveDate::parse_from_str(&format!("1604{digits}"), "%Y%m%d").ok()?;
    Some(day.format("%B %-d").to_string())
}
