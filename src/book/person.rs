//! One contact, on one page: who they are to the user, and what there was with them.
//!
//! Two contacts are never made one here: a household, or another spelling of a name, is told and
//! left to the reader. The user's own addresses are nobody's contact.

use std::collections::HashSet;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::keys::{address_key, address_keys, mail_key};
use super::store::{
    self, Contact, Extra, LatestMail, ListedDeal, ListedNote, Meeting, Somebody, find_contact,
};
use super::{Kind, Person};
use crate::db::Scoped;
use crate::http::{CurrentUser, Json, Path, Problem, ProblemBody};
use crate::identity::settings;
use crate::state::App;

const LATEST: i64 = 10;
const MOST_LISTED: i64 = 50;
/// Mails whose sender's name is looked at.
const MAILS_FOR_NAMES: i64 = 200;
const SNIPPET: usize = 200;

/// Domains that say nothing of who somebody works for.
const PUBLIC_DOMAINS: [&str; 16] = [
    "gmail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "msn.com",
    "yahoo.com",
    "ymail.com",
    "aol.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "proton.me",
    "protonmail.com",
    "gmx.com",
    "mail.com",
    "comcast.net",
];

/// A contact, and what there was with them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ContactPage {
    id: Uuid,
    /// The provider's own id, or the file's: `hubspot:51`.
    uid: Option<String>,
    name: String,
    emails: Vec<String>,
    phones: Vec<String>,
    organisation: Option<String>,
    title: Option<String>,
    addresses: Vec<String>,
    birthday: Option<String>,
    /// What the record itself says about them: `notes` of the list of contacts.
    remarks: String,
    #[schema(value_type = Vec<Extra>)]
    extra: Value,
    /// The record as lines of text: what citations quote.
    text: String,
    imported_at: DateTime<Utc>,
    relation: Relation,
    /// The latest mail, or meeting that has begun.
    last_contact: Option<LastContact>,
    next_meeting: Option<NextMeeting>,
    /// The latest ones.
    mails: Vec<ListedMail>,
    /// The latest ones written about them.
    notes: Vec<ListedNote>,
    deals: Vec<ListedDeal>,
    /// Others who share an address, a phone number or a home.
    household: Vec<Somebody>,
    /// Other names under which mails from their addresses came.
    also_known_as: Vec<String>,
}

/// Who somebody is to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Relation {
    /// One of the user's own addresses.
    #[serde(rename = "self")]
    Oneself,
    /// At the user's own domain, unless anybody can have an address there.
    Colleague,
    Contact,
}

/// `in` is to the user, `out` is from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Direction {
    In,
    Out,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LastContact {
    at: DateTime<Utc>,
    kind: Kind,
    id: Uuid,
    title: String,
    direction: Direction,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct NextMeeting {
    id: Uuid,
    title: String,
    start: DateTime<Utc>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ListedMail {
    id: Uuid,
    subject: String,
    date: Option<DateTime<Utc>>,
    direction: Direction,
    snippet: String,
}

/// One contact, and what there was with them.
#[utoipa::path(get, path = "/api/contacts/{id}", tag = "sources", params(("id" = Uuid, Path)), responses(
    (status = 200, body = ContactPage), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn get_contact(
    State(app): State<App>,
    CurrentUser(scope): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Json<ContactPage>, Problem> {
    let mut tx = scope.begin(&app.pool).await?;
    let page = find_contact_page(&mut tx, id, app.clock.now()).await?;
    page.map(Json).ok_or_else(Problem::not_found)
}

/// A contact by id, with what there was with them until now.
pub async fn find_contact_page(
    tx: &mut Scoped,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<ContactPage>, sqlx::Error> {
    match find_contact(tx, id).await? {
        Some(contact) => page(tx, contact, now).await.map(Some),
        None => Ok(None),
    }
}

async fn page(
    tx: &mut Scoped,
    contact: Contact,
    now: DateTime<Utc>,
) -> Result<ContactPage, sqlx::Error> {
    let own = address_keys(&settings::own_addresses(tx).await?);
    let all = address_keys(&contact.emails);
    let relation = relation(&all, &own);
    let keys: Vec<String> = all.into_iter().filter(|key| !own.contains(key)).collect();

    let mails = store::latest_mails(tx, &keys, LATEST).await?;
    let meetings = store::nearest_meetings(tx, &keys, now).await?;
    let (notes, deals) = match &contact.uid {
        Some(uid) => (
            store::latest_notes(tx, uid, LATEST).await?,
            store::deals_about(tx, uid, MOST_LISTED).await?,
        ),
        None => (Vec::new(), Vec::new()),
    };
    let own_mail: Vec<String> = own.iter().map(|key| mail_key(key)).collect();
    let household = store::household(tx, contact.id, &own_mail, MOST_LISTED).await?;
    let names = store::names_used(tx, &keys, MAILS_FOR_NAMES).await?;
    Ok(ContactPage {
        relation,
        last_contact: last_contact(&mails, &meetings, &own, now),
        next_meeting: meetings
            .into_iter()
            .find(|meeting| meeting.start >= now)
            .map(|meeting| NextMeeting {
                id: meeting.id,
                title: meeting.title,
                start: meeting.start,
            }),
        mails: mails
            .into_iter()
            .map(|mail| ListedMail {
                direction: direction(mail.sender.as_ref(), &own),
                snippet: snippet(&mail.beginning),
                id: mail.id,
                subject: mail.subject,
                date: mail.sent_at,
            })
            .collect(),
        notes,
        deals,
        household,
        also_known_as: other_names(&contact.name, &contact.emails, names),
        id: contact.id,
        uid: contact.uid,
        name: contact.name,
        emails: contact.emails,
        phones: contact.phones,
        organisation: contact.organisation,
        title: contact.title,
        addresses: contact.addresses,
        birthday: contact.birthday,
        remarks: contact.notes,
        extra: contact.extra,
        text: contact.text,
        imported_at: contact.imported_at,
    })
}

fn relation(keys: &[String], own: &[String]) -> Relation {
    let domain = |key: &str| key.rsplit_once('@').map(|(_, domain)| domain.to_owned());
    if keys.iter().any(|key| own.contains(key)) {
        return Relation::Oneself;
    }
    let ours: HashSet<String> = own
        .iter()
        .filter_map(|key| domain(key))
        .filter(|domain| !PUBLIC_DOMAINS.contains(&domain.as_str()))
        .collect();
    if keys
        .iter()
        .filter_map(|key| domain(key))
        .any(|domain| ours.contains(&domain))
    {
        Relation::Colleague
    } else {
        Relation::Contact
    }
}

/// Whose mail or meeting it is: the user's own, or another's.
fn direction(from: Option<&Value>, own: &[String]) -> Direction {
    let person: Option<Person> =
        from.and_then(|person| serde_json::from_value(person.clone()).ok());
    match person {
        Some(person) if own.contains(&address_key(&person.address)) => Direction::Out,
        _ => Direction::In,
    }
}

/// A date in the future is a wrong clock's, not a contact.
fn last_contact(
    mails: &[LatestMail],
    meetings: &[Meeting],
    own: &[String],
    now: DateTime<Utc>,
) -> Option<LastContact> {
    let mails = mails.iter().filter_map(|mail| {
        Some(LastContact {
            at: mail.sent_at?,
            kind: Kind::Email,
            id: mail.id,
            title: mail.subject.clone(),
            direction: direction(mail.sender.as_ref(), own),
        })
    });
    let meetings = meetings.iter().map(|meeting| LastContact {
        at: meeting.start,
        kind: Kind::Event,
        id: meeting.id,
        title: meeting.title.clone(),
        direction: direction(meeting.organiser.as_ref(), own),
    });
    mails
        .chain(meetings)
        .filter(|contact| contact.at < now)
        .max_by_key(|contact| contact.at)
}

fn snippet(beginning: &str) -> String {
    let line: Vec<&str> = beginning.split_whitespace().collect();
    line.join(" ").chars().take(SNIPPET).collect()
}

/// Each spelling once; an address in the name's place is none.
fn other_names(name: &str, emails: &[String], used: Vec<String>) -> Vec<String> {
    let plain = |name: &str| {
        let words: Vec<_> = name.split_whitespace().map(str::to_lowercase).collect();
        words.join(" ")
    };
    let mut known: HashSet<String> = emails.iter().map(|email| plain(email)).collect();
    known.insert(plain(name));
    used.into_iter()
        .filter(|other| !other.trim().is_empty() && known.insert(plain(other)))
        .take(usize::try_from(LATEST).unwrap_or(usize::MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(addresses: &[&str]) -> Vec<String> {
        addresses
            .iter()
            .map(|&address| address_key(address))
            .collect()
    }

    #[test]
    fn colleagues_share_a_domain_that_not_everybody_can_have() {
        let own = keys(&["Alex@morgan.example", "alex.morgan@gmail.com"]);
        for (address, expected) in [
            ("sam@morgan.example", Relation::Colleague),
            ("sara@gmail.com", Relation::Contact),
            ("sara@example.com", Relation::Contact),
            ("alexmorgan+lists@googlemail.com", Relation::Oneself),
        ] {
            assert_eq!(relation(&keys(&[address]), &own), expected, "{address}");
        }
        assert_eq!(relation(&[], &own), Relation::Contact);
    }

    #[test]
    fn a_name_is_told_once_however_it_is_spaced() {
        let used = [
            "S. Smith",
            "sara  smith",
            "s. smith",
            "sara@example.com",
            " ",
        ];
        let others = other_names(
            "Sara Smith",
            &["sara@example.com".to_owned()],
            used.map(str::to_owned).to_vec(),
        );
        assert_eq!(others, ["S. Smith"]);
    }
}
