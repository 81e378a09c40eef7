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
        "prefix" | "name prefix" | "salutation" | "courtesy title" | "anrede" => Column::Prefix,
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
        | "role"
        | "funktion"
        | "berufsbezeichnung" => Column::Title,
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

/// The meanings of all columns, where one depends on the others: Outlook's "Title" is "Dr.", for
/// it has a "Job Title" too.
pub(super) fn columns(names: impl Iterator<Item = String>) -> Vec<(Column, String)> {
    let mut columns: Vec<(Column, String)> = names.map(|name| (column(&name), name)).collect();
    let bare = |name: &str| name.trim().eq_ignore_ascii_case("title");
    if columns
        .iter()
        .any(|(column, name)| *column == Column::Title && !bare(name))
    {
        for (column, _) in columns.iter_mut().filter(|(_, name)| bare(name)) {
            *column = Column::Prefix;
        }
    }
    columns
}

/// Exports have dozens of columns on how mail went; only addresses are wanted.
fn mail_column(name: &str) -> Column {
    const ADDRESS: [&str; 19] = [
        "email",
        "e mail",
        "mail",
        "adresse",
        "geschäftlich",
        "privat",
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

/// Puts a value where there is none yet; false if another one stands there.
fn says(place: &mut Option<String>, value: &str) -> bool {
    let value = contact::one_line(value);
    value.is_empty() || *place.get_or_insert_with(|| value.clone()) == value
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
            Column::Email => {
                let rest = value.split(":::").filter(|one| !found.add_email(one));
                if rest.count() > 0 {
                    found.add_extra(title, value);
                }
            }
            Column::Phone => value
                .split(":::")
                .for_each(|one| found.add_phone(one.trim())),
            Column::Organisation => {
                if !says(&mut found.organisation, value) {
                    found.add_extra(title, value);
                }
            }
            Column::Title => {
                if !says(&mut found.title, value) {
                    found.add_extra(title, value);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cells: &[(&str, &str)]) -> Contact {
        let names = cells.iter().map(|(name, _)| (*name).to_owned());
        let values: Vec<String> = cells.iter().map(|(_, value)| (*value).to_owned()).collect();
        contact(&columns(names), &values)
    }

    #[test]
    fn a_title_beside_a_job_title_is_that_of_the_name() {
        let outlook = [
            ("Title", "Dr."),
            ("First Name", "Sara"),
            ("Last Name", "Smith"),
            ("Job Title", "Surgeon"),
        ];
        let found = read(&outlook);
        assert_eq!(found.title.as_deref(), Some("Surgeon"));
        assert_eq!(found.name, "Dr. Sara Smith");
        let found = read(&[("Name", "Sara Smith"), ("Title", "Surgeon")]);
        assert_eq!(found.title.as_deref(), Some("Surgeon"));
    }

    #[test]
    fn a_second_company_neither_replaces_the_first_nor_is_lost() {
        let found = read(&[
            ("Name", "Sara"),
            ("Company", "Acme"),
            ("Associated Company", ""),
            ("Employer", "Other & Sons"),
            ("Firma", "Acme"),
        ]);
        assert_eq!(found.organisation.as_deref(), Some("Acme"));
        assert_eq!(
            found.extra,
            [("Employer".to_owned(), "Other & Sons".to_owned())]
        );
        let found = read(&[("Name", "Sara"), ("Company", ","), ("Employer", "Acme")]);
        assert_eq!(found.organisation.as_deref(), Some("Acme"));
    }

    #[test]
    fn columns_in_german() {
        for (name, meaning) in [
            ("Anrede", Column::Prefix),
            ("Vorname", Column::First),
            ("Nachname", Column::Last),
            ("E-Mail-Adresse", Column::Email),
            ("E-Mail", Column::Email),
            ("E-Mail 2: Adresse", Column::Email),
            ("E-Mail (geschäftlich)", Column::Email),
            ("Firma", Column::Organisation),
            ("Telefon", Column::Phone),
            ("Telefon geschäftlich", Column::Phone),
            ("Telefonnummer", Column::Phone),
            ("Mobiltelefon", Column::Phone),
            ("Position", Column::Title),
            ("Funktion", Column::Title),
            ("Notizen", Column::Notes),
            ("Geburtstag", Column::Birthday),
        ] {
            assert_eq!(column(name), meaning, "{name}");
        }
    }

    #[test]
    fn what_is_no_address_is_kept_as_written() {
        let found = read(&[
            ("Name", "Sara"),
            ("E-mail", "sara(at)example.com"),
            ("E-mail 2", "s@example.com; n/a"),
            ("E-mail 3", "a@example.com ::: "),
        ]);
        assert_eq!(found.emails, ["s@example.com", "a@example.com"]);
        assert_eq!(
            found.extra,
            [
                ("E-mail".to_owned(), "sara(at)example.com".to_owned()),
                ("E-mail 2".to_owned(), "s@example.com; n/a".to_owned()),
            ]
        );
    }
}
