//! What can be done to the outside world, as it is stored, shown, and allowed. An action's input is all
//! that it depends on: what isn't in it can't be changed between the user's word and the deed.

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::book::address_key;
use crate::identity::connections::Provider;
use crate::identity::settings::{self, Autonomy, Leave};

/// Nobody reads a mail to more.
const MOST_RECIPIENTS: usize = 50;
const LONGEST_TEXT: usize = 20_000;
const LONGEST_LINE: usize = 500;

/// A mail. Plain text; in the thread of the mail that it answers, where it answers one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendEmail {
    pub to: Vec<String>,
    #[serde(default)]
    pub cc: Vec<String>,
    #[serde(default)]
    pub bcc: Vec<String>,
    pub subject: String,
    pub text: String,
    /// The Message-ID of the mail that it answers.
    #[serde(default)]
    pub in_reply_to: Option<String>,
    #[serde(default)]
    pub references: Vec<String>,
    /// Times that it offers: none of them may be taken when it goes out.
    #[serde(default)]
    pub offers: Vec<Span>,
    /// A rule sends it and nobody has read it before: it says so (RFC 3834), so that no machine answers it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
}

/// From and until.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

/// An appointment in the user's calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateEvent {
    pub title: String,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// Addresses of those who are invited.
    #[serde(default)]
    pub attendees: Vec<String>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub location: Option<String>,
    /// The time zone it is shown in.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// It is made only if nothing else is there at that time.
    #[serde(default = "yes")]
    pub only_if_free: bool,
}

const fn yes() -> bool {
    true
}

/// Another time or title for an appointment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateEvent {
    /// Google's id.
    pub event_id: String,
    /// As it was when the change was thought of: one that was changed since is left alone.
    pub etag: String,
    /// As it is called now.
    #[serde(default)]
    pub called: String,
    /// Who will hear of it.
    #[serde(default)]
    pub attendees: Vec<String>,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub start: Option<DateTime<Utc>>,
    #[serde(default)]
    pub end: Option<DateTime<Utc>>,
    #[serde(default)]
    pub description: Option<String>,
}

/// An appointment that doesn't take place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelEvent {
    /// Google's id.
    pub event_id: String,
    pub title: String,
    /// Who will hear of it.
    #[serde(default)]
    pub attendees: Vec<String>,
}

/// A contact in HubSpot, unless there is one with this address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateContact {
    pub email: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub phone: Option<String>,
    #[serde(default)]
    pub company: Option<String>,
    /// Written on the contact as its first note.
    #[serde(default)]
    pub note: Option<String>,
}

/// Properties of a contact in HubSpot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateContact {
    /// HubSpot's id.
    pub contact_id: String,
    pub name: String,
    /// By which it is known whose record it is.
    #[serde(default)]
    pub address: Option<String>,
    pub changes: Vec<Change>,
}

/// One property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// By HubSpot's name for it.
    pub property: String,
    /// As it was when the change was thought of.
    #[serde(default)]
    pub from: Option<String>,
    pub to: String,
}

/// A note on a contact in HubSpot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateNote {
    /// The address or HubSpot id of the contact.
    pub contact: String,
    pub text: String,
}

/// One of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    SendEmail(SendEmail),
    CreateEvent(CreateEvent),
    UpdateEvent(UpdateEvent),
    CancelEvent(CancelEvent),
    CreateContact(CreateContact),
    UpdateContact(UpdateContact),
    CreateNote(CreateNote),
}

/// What is wrong with an input, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Wrong {
    pub field: String,
    pub message: String,
}

fn wrong(field: impl Into<String>, message: impl Into<String>) -> Wrong {
    Wrong {
        field: field.into(),
        message: message.into(),
    }
}

fn read<T: DeserializeOwned>(input: &Value) -> Result<T, Wrong> {
    serde_path_to_error::deserialize(input)
        .map_err(|error| wrong(error.path().to_string(), error.inner().to_string()))
}

impl Action {
    /// An action by its name, from what was stored or what a user has changed it to.
    pub fn of(name: &str, input: &Value) -> Result<Self, Wrong> {
        let mut action = match name {
            "send_email" => Self::SendEmail(read(input)?),
            "create_event" => Self::CreateEvent(read(input)?),
            "update_event" => Self::UpdateEvent(read(input)?),
            "cancel_event" => Self::CancelEvent(read(input)?),
            "create_contact" => Self::CreateContact(read(input)?),
            "update_contact" => Self::UpdateContact(read(input)?),
            "create_note" => Self::CreateNote(read(input)?),
            _ => return Err(wrong("action", "there is no such action")),
        };
        action.tidy()?;
        Ok(action)
    }

    pub const fn name(&self) -> &'static str {
        match self {
            Self::SendEmail(_) => "send_email",
            Self::CreateEvent(_) => "create_event",
            Self::UpdateEvent(_) => "update_event",
            Self::CancelEvent(_) => "cancel_event",
            Self::CreateContact(_) => "create_contact",
            Self::UpdateContact(_) => "update_contact",
            Self::CreateNote(_) => "create_note",
        }
    }

    /// As it is stored.
    pub fn input(&self) -> Value {
        match self {
            Self::SendEmail(input) => json!(input),
            Self::CreateEvent(input) => json!(input),
            Self::UpdateEvent(input) => json!(input),
            Self::CancelEvent(input) => json!(input),
            Self::CreateContact(input) => json!(input),
            Self::UpdateContact(input) => json!(input),
            Self::CreateNote(input) => json!(input),
        }
    }

    pub const fn provider(&self) -> Provider {
        match self {
            Self::SendEmail(_)
            | Self::CreateEvent(_)
            | Self::UpdateEvent(_)
            | Self::CancelEvent(_) => Provider::Google,
            Self::CreateContact(_) | Self::UpdateContact(_) | Self::CreateNote(_) => {
                Provider::HubSpot
            }
        }
    }

    /// What the user's settings say of its kind.
    pub const fn leave(&self, autonomy: Autonomy) -> Leave {
        match self {
            Self::SendEmail(_) => autonomy.send_email,
            Self::CreateEvent(_) | Self::UpdateEvent(_) | Self::CancelEvent(_) => {
                autonomy.create_event
            }
            Self::CreateContact(_) | Self::UpdateContact(_) | Self::CreateNote(_) => {
                autonomy.write_crm
            }
        }
    }

    /// Everybody who will hear of it.
    pub fn recipients(&self) -> Vec<&str> {
        match self {
            Self::SendEmail(mail) => [&mail.to, &mail.cc, &mail.bcc]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect(),
            Self::CreateEvent(event) => event.attendees.iter().map(String::as_str).collect(),
            Self::UpdateEvent(event) => event.attendees.iter().map(String::as_str).collect(),
            Self::CancelEvent(event) => event.attendees.iter().map(String::as_str).collect(),
            Self::CreateContact(_) | Self::UpdateContact(_) | Self::CreateNote(_) => Vec::new(),
        }
    }

    /// Whose record it changes, where nobody hears of it.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::CreateContact(contact) => Some(&contact.email),
            Self::CreateNote(note) => Some(&note.contact),
            Self::UpdateContact(contact) => {
                Some(contact.address.as_deref().unwrap_or(&contact.contact_id))
            }
            _ => None,
        }
    }

    /// What the appointment that it changes is called, where it changes one.
    pub fn appointment(&self) -> Option<&str> {
        match self {
            Self::UpdateEvent(event) => Some(&event.called),
            Self::CancelEvent(event) => Some(&event.title),
            _ => None,
        }
    }

    /// Whether it changes by what somebody is reached.
    pub fn changes_contact_details(&self) -> bool {
        let Self::UpdateContact(contact) = self else {
            return false;
        };
        contact.changes.iter().any(|change| {
            ["email", "phone", "fax"]
                .iter()
                .any(|word| change.property.contains(word))
        })
    }

    /// All that others will read.
    pub fn words(&self) -> String {
        let join = |parts: &[&str]| parts.join("\n");
        match self {
            Self::SendEmail(mail) => join(&[&mail.subject, &mail.text]),
            Self::CreateEvent(event) => join(&[
                &event.title,
                &event.description,
                event.location.as_deref().unwrap_or_default(),
            ]),
            Self::UpdateEvent(event) => join(&[
                event.title.as_deref().unwrap_or_default(),
                event.description.as_deref().unwrap_or_default(),
            ]),
            Self::CancelEvent(_) => String::new(),
            Self::CreateContact(contact) => join(&[
                contact.name.as_deref().unwrap_or_default(),
                contact.company.as_deref().unwrap_or_default(),
                contact.note.as_deref().unwrap_or_default(),
            ]),
            Self::UpdateContact(contact) => contact
                .changes
                .iter()
                .map(|change| change.to.as_str())
                .collect::<Vec<_>>()
                .join("\n"),
            Self::CreateNote(note) => note.text.clone(),
        }
    }

    /// Whom or what it concerns, for people.
    pub fn target(&self) -> String {
        match self {
            Self::SendEmail(mail) => mail.to.join(", "),
            Self::CreateEvent(event) => event.title.clone(),
            Self::UpdateEvent(event) if event.called.is_empty() => "an event".to_owned(),
            Self::UpdateEvent(event) => event.called.clone(),
            Self::CancelEvent(event) => event.title.clone(),
            Self::CreateContact(contact) => contact.email.clone(),
            Self::UpdateContact(contact) => contact.name.clone(),
            Self::CreateNote(note) => note.contact.clone(),
        }
    }

    /// One sentence, for a card.
    pub fn summary(&self) -> String {
        match self {
            Self::SendEmail(mail) => {
                let kind = if mail.in_reply_to.is_some() {
                    "Reply to"
                } else {
                    "Send a mail to"
                };
                format!("{kind} {}: {}", mail.to.join(", "), mail.subject)
            }
            Self::CreateEvent(event) => format!("Book “{}”", event.title),
            Self::UpdateEvent(_) => "Change an appointment".to_owned(),
            Self::CancelEvent(event) => format!("Cancel “{}”", event.title),
            Self::CreateContact(contact) => {
                let name = contact.name.as_deref().unwrap_or(&contact.email);
                format!("Create the contact {name} in HubSpot")
            }
            Self::UpdateContact(contact) => format!("Change {} in HubSpot", contact.name),
            Self::CreateNote(note) => format!("Write a note on {} into HubSpot", note.contact),
        }
    }

    /// After which there is no sense in it.
    pub fn useful_until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::CreateEvent(event) => Some(event.start),
            Self::SendEmail(mail) => mail.offers.iter().map(|span| span.start).max(),
            _ => None,
        }
    }

    /// Brings it into the one form in which it is stored, or says what is wrong with it.
    fn tidy(&mut self) -> Result<(), Wrong> {
        match self {
            Self::SendEmail(mail) => {
                addresses("to", &mut mail.to)?;
                addresses("cc", &mut mail.cc)?;
                addresses("bcc", &mut mail.bcc)?;
                if mail.to.is_empty() {
                    return Err(wrong("to", "must name somebody"));
                }
                if mail.to.len() + mail.cc.len() + mail.bcc.len() > MOST_RECIPIENTS {
                    let words = format!("at most {MOST_RECIPIENTS} recipients");
                    return Err(wrong("to", words));
                }
                line("subject", &mut mail.subject, true)?;
                text("text", &mut mail.text, true)?;
                for id in mail.in_reply_to.iter_mut().chain(&mut mail.references) {
                    message_id(id)?;
                }
                for (place, span) in mail.offers.iter().enumerate() {
                    span_is_sane(&format!("offers[{place}]"), span.start, span.end)?;
                }
            }
            Self::CreateEvent(event) => {
                line("title", &mut event.title, true)?;
                text("description", &mut event.description, false)?;
                if let Some(place) = &mut event.location {
                    line("location", place, false)?;
                }
                if let Some(zone) = &event.time_zone
                    && zone.parse::<chrono_tz::Tz>().is_err()
                {
                    return Err(wrong("time_zone", "must be a name such as Europe/Berlin"));
                }
                addresses("attendees", &mut event.attendees)?;
                span_is_sane("end", event.start, event.end)?;
            }
            Self::UpdateEvent(event) => {
                if let Some(title) = &mut event.title {
                    line("title", title, true)?;
                }
                if let Some(words) = &mut event.description {
                    text("description", words, false)?;
                }
                addresses("attendees", &mut event.attendees)?;
                if let (Some(start), Some(end)) = (event.start, event.end) {
                    span_is_sane("end", start, end)?;
                } else if event.start.is_some() != event.end.is_some() {
                    return Err(wrong("end", "start and end go together"));
                }
            }
            Self::CancelEvent(event) => {
                line("title", &mut event.title, false)?;
                addresses("attendees", &mut event.attendees)?;
            }
            Self::CreateContact(contact) => {
                contact.email = settings::mail_address(&contact.email)
                    .map_err(|words| wrong("email", words))?;
                for (field, value) in [
                    ("name", &mut contact.name),
                    ("phone", &mut contact.phone),
                    ("company", &mut contact.company),
                ] {
                    if let Some(value) = value {
                        line(field, value, false)?;
                    }
                }
                if let Some(note) = &mut contact.note {
                    text("note", note, false)?;
                }
            }
            Self::UpdateContact(contact) => {
                if contact.changes.is_empty() {
                    return Err(wrong("changes", "must name a property"));
                }
                for (place, change) in contact.changes.iter_mut().enumerate() {
                    let is_name = !change.property.is_empty()
                        && change.property.len() <= 100
                        && change
                            .property
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
                    if !is_name {
                        let field = format!("changes[{place}].property");
                        return Err(wrong(field, "must be the name of a property"));
                    }
                    text(&format!("changes[{place}].to"), &mut change.to, false)?;
                }
            }
            Self::CreateNote(note) => {
                line("contact", &mut note.contact, true)?;
                text("text", &mut note.text, true)?;
            }
        }
        Ok(())
    }

    /// The keys of [`Action::recipients`].
    pub fn recipient_keys(&self) -> Vec<String> {
        self.recipients().into_iter().map(address_key).collect()
    }
}

fn addresses(field: &str, list: &mut Vec<String>) -> Result<(), Wrong> {
    let mut kept: Vec<String> = Vec::with_capacity(list.len());
    for (place, given) in list.iter().enumerate() {
        let address = settings::mail_address(given)
            .map_err(|words| wrong(format!("{field}[{place}]"), words))?;
        if !kept.contains(&address) {
            kept.push(address);
        }
    }
    *list = kept;
    Ok(())
}

/// One line of a header or a field.
fn line(field: &str, given: &mut String, needed: bool) -> Result<(), Wrong> {
    if given.contains(char::is_control) {
        return Err(wrong(field, "must be one line without control characters"));
    }
    let trimmed = given.trim().to_owned();
    if trimmed.chars().count() > LONGEST_LINE {
        return Err(wrong(field, format!("at most {LONGEST_LINE} characters")));
    }
    if needed && trimmed.is_empty() {
        return Err(wrong(field, "must not be empty"));
    }
    *given = trimmed;
    Ok(())
}

fn text(field: &str, given: &mut String, needed: bool) -> Result<(), Wrong> {
    let unified = given.replace("\r\n", "\n").replace('\r', "\n");
    if unified.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(wrong(field, "must not hold control characters"));
    }
    if unified.chars().count() > LONGEST_TEXT {
        return Err(wrong(field, format!("at most {LONGEST_TEXT} characters")));
    }
    if needed && unified.trim().is_empty() {
        return Err(wrong(field, "must not be empty"));
    }
    unified.trim_end().clone_into(given);
    Ok(())
}

fn message_id(id: &mut String) -> Result<(), Wrong> {
    let bare = id.trim().trim_matches(['<', '>']).to_owned();
    let is_sane = !bare.is_empty()
        && bare.len() <= 900
        && !bare.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>'));
    if !is_sane {
        return Err(wrong("in_reply_to", "must be a Message-ID"));
    }
    *id = bare;
    Ok(())
}

fn span_is_sane(field: &str, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<(), Wrong> {
    if end <= start {
        return Err(wrong(field, "must be after the start"));
    }
    if end - start > TimeDelta::days(31) {
        return Err(wrong(field, "must be within 31 days"));
    }
    Ok(())
}

/// The name of an effect that belongs to an approval: what makes it once.
pub fn step_of(approval_id: Uuid) -> String {
    format!("act:{approval_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Value {
        json!({"to": ["Sara@Example.COM"], "subject": " Tea ", "text": "Hello\r\nSara\n"})
    }

    #[test]
    fn an_input_has_one_form() {
        let action = Action::of("send_email", &mail()).unwrap();
        let input = action.input();
        assert_eq!(input["to"], json!(["sara@example.com"]));
        assert_eq!(input["subject"], "Tea");
        assert_eq!(input["text"], "Hello\nSara");
        assert_eq!(Action::of("send_email", &input).unwrap(), action);
    }

    #[test]
    fn what_could_forge_a_header_is_refused() {
        for (field, value) in [
            ("subject", json!("Tea\r\nBcc: eve@example.com")),
            ("to", json!(["a@example.com\nBcc: eve@example.com"])),
            ("to", json!(["a@example.com, eve@example.com"])),
            ("cc", json!(["Eve <eve@example.com>"])),
            ("to", json!([])),
            ("in_reply_to", json!("a@b>\r\nBcc: <eve@example.com")),
            ("headers", json!({"Bcc": "eve@example.com"})),
            ("text", json!("a\u{0}b")),
        ] {
            let mut input = mail();
            input[field] = value;
            assert!(Action::of("send_email", &input).is_err(), "{input}");
        }
        assert!(Action::of("forward_all", &mail()).is_err());
    }
}
