//! The types of objects, with the names and numbers that HubSpot has for them.

use serde::Deserialize;

/// A type of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Contact,
    Company,
    Deal,
    Note,
}

impl Kind {
    /// By any of the names that paths use.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "contact" | "contacts" | "0-1" => Self::Contact,
            "company" | "companies" | "0-2" => Self::Company,
            "deal" | "deals" | "0-3" => Self::Deal,
            "note" | "notes" | "0-46" => Self::Note,
            _ => return None,
        })
    }

    pub(super) const fn singular(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Company => "company",
            Self::Deal => "deal",
            Self::Note => "note",
        }
    }

    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Contact => "contacts",
            Self::Company => "companies",
            Self::Deal => "deals",
            Self::Note => "notes",
        }
    }

    pub(super) const fn type_id(self) -> &'static str {
        match self {
            Self::Contact => "0-1",
            Self::Company => "0-2",
            Self::Deal => "0-3",
            Self::Note => "0-46",
        }
    }

    /// The property with the time of the last change.
    pub(super) const fn modified(self) -> &'static str {
        match self {
            Self::Contact => "lastmodifieddate",
            _ => "hs_lastmodifieddate",
        }
    }

    pub(super) const fn created(self) -> &'static str {
        match self {
            Self::Note => "hs_createdate",
            _ => "createdate",
        }
    }

    /// What comes when nothing is asked for.
    pub(super) const fn defaults(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &["email", "firstname", "lastname"],
            Self::Company => &["name", "domain"],
            Self::Deal => &["amount", "closedate", "dealname", "dealstage", "pipeline"],
            Self::Note => &[],
        }
    }

    /// Further names that come as null when they have no value.
    pub(super) const fn known(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &[
                "phone",
                "company",
                "lifecyclestage",
                "hubspot_owner_id",
                "jobtitle",
            ],
            Self::Company => &["phone", "industry", "hubspot_owner_id"],
            Self::Deal => &["hubspot_owner_id", "description", "dealtype"],
            Self::Note => &[
                "hs_note_body",
                "hs_timestamp",
                "hubspot_owner_id",
                "hs_attachment_ids",
            ],
        }
    }

    /// The directed, unlabelled association to another type.
    pub(super) const fn association(self, to: Self) -> u32 {
        use Kind::{Company, Contact, Deal, Note};
        match (self, to) {
            (Contact, Contact) => 449,
            (Contact, Company) => 279,
            (Company, Contact) => 280,
            (Contact, Deal) => 4,
            (Deal, Contact) => 3,
            (Contact, Note) => 201,
            (Note, Contact) => 202,
            (Deal, Company) => 5,
            (Company, Deal) => 6,
            (Deal, Note) => 213,
            (Note, Deal) => 214,
            (Company, Note) => 189,
            (Note, Company) => 190,
            (Company, Company) => 450,
            (Deal, Deal) => 451,
            (Note, Note) => 452,
        }
    }
}
