//! What a customer system holds beside people. No file brings either; they travel as items, so that
//! everything goes into the book by one way.

use chrono::{DateTime, NaiveDate, Utc};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// The provider's own id: `hubspot:900`.
    pub uid: String,
    /// Plain, without markup.
    pub text: String,
    pub at: Option<DateTime<Utc>>,
    /// The uids of the contacts that it is about: `hubspot:51`.
    pub about: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deal {
    pub uid: String,
    pub name: String,
    /// As the provider writes it.
    pub amount: Option<String>,
    pub stage: Option<String>,
    pub pipeline: Option<String>,
    pub closes_on: Option<NaiveDate>,
    pub description: Option<String>,
    pub about: Vec<String>,
}
