//! What the columns of a spreadsheet of contacts mean.
//!
//! Goes by the columns' names as Google, Outlook, `HubSpot` and people write them, in any case
//! and with any punctuation, in English and some in German and French. A column without a
//! meaning is kept under its name. A further maker's names go into `column`, with a test.

use super::contact::{self, Contact};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Uid,
    Name,
    Prefix,
    First,
    Middle,
    Last,
    Suffix,
    Email,
    Phone,
    Organisation,
    Title,
    /// A whole address.
    Address,
    /// A part of one; parts of one group are joined.
    AddressPart(u8),
    Birthday,
    Notes,
    Other,
    /// Labels of the column beside it.
    Ignored,
}

/// A column's meaning by its name, written in any case and with any punctuation.
pub(super) fn column(name: &str) -> Column {
    let name: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    match name.as_str() {
        "id" | "uid" | "record id" | "contact id" | "hs object id" | "vid" => Column::Uid,
        "name"
        | "full name"
        | "fullname"
        | "display name"
        | "contact"
        | "contact name"
        | "client"
        | "client name"
        | "file as"
        | "vollständiger name"
        | "nom complet" => Column::Name,
        "prefix" | "name prefix" | "salutation" | "courtesy title" => Column::Prefix,
        "first name" | "given name" | "firstname" | "first" | "forename" | "vorname" | "prénom" => {
            Column::First
        }
        "middle name" | "additional name" | "middle" => Column::Middle,
        "last name" | "family name" | "lastname" | "last" | "surname" | "nachname" | "nom" => {
            Column::Last
        }
        "suffix" | "name suffix" => Column::Suffix,
        "organization"
        | "organisation"
        | "company"
        | "company name"
        | "organization name"
        | "organization 1 name"
        | "associated company"
        | "employer"
        | "firma"
        | "account name"
        | "primary company" => Column::Organisation,
        "job title"
        | "jobtitle"
        | "title"
        | "organization title"
        | "organization 1 title"
        | "position"
        | "role" => Column::Title,
        "birthday" | "date of birth" | "birth date" | "dob" | "birthdate" | "geburtstag" => {
            Column::Birthday
        }
        "notes" | "note" | "comments" | "description" | "notizen" | "remarks" => Column::Notes,
        "address" | "full address" | "mailing address" | "postal address" | "home address"
        | "business address" | "other address" => Column::Address,
        _ if name.ends_with("type") || name.ends_with("label") => Column::Ignored,
        _ if name.contains("mail") && !name.contains("name") && !name.contains("mailing") => {
            mail_column(&name)
        }
        _ if (name.contains("phone") || name.contains("mobile") || name.contains("telefon"))
            && !name.contains("name")
            || matches!(name.as_str(), "tel" | "cell" | "telephone" | "mobil") =>
        {
            Column::Phone
        }
        _ if name.starts_with("address") && name.ends_with("formatted") => Column::Address,
        _ => address_part(&name),
    }
}

/// Exports have dozens of columns on how mail went; only addresses are wanted.
fn mail_column(name: &str) -> Column {
    const ADDRESS: [&str; 16] = [
        "email",
        "e mail",
        "mail",
        "address",
        "value",
        "work",
        "home",
        "primary",
        "personal",
        "business",
        "other",
        "secondary",
        "additional",
        "contact",
        "your",
        "addresses",
    ];
    let only = name.split(' ').all(|word| {
        ADDRESS.contains(&word)
            || word == "e"
            || word.parse::<u8>().is_ok()
            || word.starts_with("email")
    });
    if only { Column::Email } else { Column::Other }
}

const ADDRESS_PARTS: [&str; 14] = [
    "street",
    "city",
    "state",
    "region",
    "postal code",
    "zip",
    "zip code",
    "country",
    "state region",
    "country region",
    "province",
    "town",
    "postcode",
    "address line",
];

fn address_part(name: &str) -> Column {
    let group = if name.starts_with("home") {
        1
    } else if name.starts_with("business") || name.starts_with("work") {
        2
    } else if name.starts_with("other") {
        3
    } else {
        match name
            .strip_prefix("address ")
            .and_then(|rest| rest.bytes().next())
        {
            Some(digit @ b'1'..=b'9') => digit - b'0' + 3,
            _ => 0,
        }
    };
    let tail = ADDRESS_PARTS
        .iter()
        .any(|part| name == *part || name.ends_with(&format!(" {part}")));
    let line = name.contains("street") && name.split(' ').count() < 4;
    if tail || line {
        Column::AddressPart(group)
    } else {
        Column::Other
    }
}

/// The contact that a row tells of.
pub(super) fn contact(columns: &[(Column, String)], fields: &[String]) -> Contact {
    let mut found = Contact::default();
    let mut parts: [&str; 5] = [""; 5];
    let mut address: Vec<(u8, Vec<&str>)> = Vec::new();
    let mut name = "";
    for ((column, title), value) in columns.iter().zip(fields) {
        if value.is_empty() {
            continue;
        }
        match column {
            Column::Uid => found.uid = Some(contact::one_line(value)),
            Column::Name => name = value,
            Column::Prefix => parts[0] = value,
            Column::First => parts[1] = value,
            Column::Middle => parts[2] = value,
            Column::Last => parts[3] = value,
            Column::Suffix => parts[4] = value,
            // Google puts several into one cell.
            Column::Email => value.split(":::").for_each(|one| found.add_email(one)),
            Column::Phone => value
                .split(":::")
                .for_each(|one| found.add_phone(one.trim())),
            Column::Organisation => {
                found
                    .organisation
                    .get_or_insert_with(|| contact::one_line(value));
            }
            Column::Title => {
                found.title.get_or_insert_with(|| contact::one_line(value));
            }
            Column::Address => found.add_address(value),
            Column::AddressPart(group) => match address.iter_mut().find(|(of, _)| of == group) {
                Some((_, parts)) => parts.push(value),
                None => address.push((*group, vec![value])),
            },
            Column::Birthday => found.birthday = contact::birthday(value),
            Column::Notes => found.add_note(value),
            Column::Other => found.add_extra(title, value),
            Column::Ignored => {}
        }
    }
    for (_, parts) in address {
        // Where the address stands as a whole, its parts say nothing new.
        if !found
            .addresses
            .iter()
            .any(|whole| parts.iter().all(|part| whole.contains(part)))
        {
            found.add_address(&parts.join(", "));
        }
    }
    let joined = parts
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    let whole = contact::one_line(if name.is_empty() { &joined } else { name });
    if !whole.is_empty() {
        found.name = whole;
    }
    found
}
