//! What each source tells of itself, in one form: a page of everything, a page of what changed.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Source;
use super::calendar::Diary;
use super::gmail::Mailbox;
use super::hubspot::Records;
use crate::db::UserScope;
use crate::identity::connections::Grant;
use crate::ingest::files::Item;
use crate::providers::Error;
use crate::providers::hubspot::crm::Kinds;
use crate::state::App;

/// A source of a user's, as the reading of it needs it.
pub(super) enum Feed {
    Gmail(Box<Mailbox>),
    Calendar(Diary),
    HubSpot(Records),
}

impl Feed {
    /// None when this program isn't set up for the provider.
    pub fn of(app: &App, scope: UserScope, source: Source) -> Option<Self> {
        let google = || app.google.clone();
        let records = |kind| {
            let hubspot = app.hubspot.clone()?;
            Some(Self::HubSpot(Records::new(app, hubspot, scope, kind)))
        };
        match source {
            Source::Gmail => Some(Self::Gmail(Box::new(Mailbox::new(app, google()?, scope)))),
            Source::Calendar => Some(Self::Calendar(Diary::new(app, google()?, scope))),
            Source::HubspotContacts => records(Kinds::Contacts),
            Source::HubspotNotes => records(Kinds::Notes),
            Source::HubspotDeals => records(Kinds::Deals),
        }
    }

    pub const fn grant(&self) -> &Grant {
        match self {
            Self::Gmail(mailbox) => &mailbox.grant,
            Self::Calendar(diary) => &diary.grant,
            Self::HubSpot(records) => &records.grant,
        }
    }

    /// Asked before a walk begins, so that nothing is missed that changes while it is under way.
    pub async fn begin(&self) -> Result<Begun, Error> {
        match self {
            Self::Gmail(mailbox) => mailbox.begin().await,
            // The listing itself says at its end where changes go on.
            Self::Calendar(_) => Ok(Begun::default()),
            Self::HubSpot(records) => records.begin().await,
        }
    }

    /// A page of everything there is.
    pub async fn list(&self, walk: Walk, page: Option<&str>) -> Result<Page, Error> {
        match self {
            Self::Gmail(mailbox) => mailbox.list(walk, page).await,
            Self::Calendar(diary) => diary.list(walk, page).await,
            Self::HubSpot(records) => records.list(page).await,
        }
    }

    /// A page of what changed since a cursor. `Gone` when it is too old.
    pub async fn changed(&self, cursor: &str, page: Option<&str>) -> Result<Page, Error> {
        match self {
            Self::Gmail(mailbox) => mailbox.changed(cursor, page).await,
            Self::Calendar(diary) => diary.changed(cursor, page).await,
            Self::HubSpot(records) => records.changed(cursor, page).await,
        }
    }

    /// The items that pages only name. What can't be had now is [`What::Unreadable`]; when none of
    /// them can, it is an error.
    pub async fn fetch(&self, ids: &[String]) -> Result<Vec<Entry>, Error> {
        match self {
            Self::Gmail(mailbox) => mailbox.fetch(ids).await,
            Self::Calendar(_) | Self::HubSpot(_) => Ok(Vec::new()),
        }
    }
}

/// What is known before a walk.
#[derive(Default)]
pub(super) struct Begun {
    /// Where changes are listed from, where a walk's last page doesn't say so.
    pub cursor: Option<String>,
    /// An estimate of how many items there are.
    pub total: Option<i64>,
}

/// A walk through everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub why: Why,
    pub started_at: DateTime<Utc>,
}

/// Why there is a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing has been read yet.
    First,
    /// Changes could no longer be listed.
    Lost,
    /// What notifications and listings of changes lost is found.
    Daily,
}

impl Why {
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Lost => "lost",
            Self::Daily => "daily",
        }
    }

    pub fn named(name: &str) -> Self {
        match name {
            "lost" => Self::Lost,
            "daily" => Self::Daily,
            _ => Self::First,
        }
    }
}

/// A page of either listing.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub entries: Vec<Entry>,
    /// None after the last.
    pub next: Option<String>,
    /// Where changes are listed from the next time; on a last page.
    pub cursor: Option<String>,
    /// The user's time zone, where the source tells it.
    pub zone: Option<String>,
}

/// One item of a source.
#[derive(Debug)]
pub(super) struct Entry {
    /// The provider's name for it.
    pub id: String,
    /// When it arrived or was changed, by the provider's clock.
    pub at: Option<DateTime<Utc>>,
    /// What it is that it is there, where that may be news.
    pub birth: Option<Birth>,
    pub what: What,
}

/// How an item came to be.
#[derive(Clone, Debug)]
pub(super) struct Birth {
    /// The event that it is.
    pub event: &'static str,
    pub at: DateTime<Utc>,
    /// What the book doesn't keep of it.
    pub data: Value,
}

#[derive(Debug)]
pub(super) enum What {
    /// The thing itself.
    Item(Item),
    /// It is there, and fetched unless it is known.
    Named,
    /// It is no longer there, or never was what is imported.
    Gone,
    /// The user doesn't want it; which part of the scope says so.
    Excluded(String),
    /// It can't be read, and why; tried again with the next walk.
    Unreadable(String),
}

impl Entry {
    pub fn new(id: impl Into<String>, at: Option<DateTime<Utc>>, what: What) -> Self {
        Self {
            id: id.into(),
            at,
            birth: None,
            what,
        }
    }

    pub fn born(mut self, event: &'static str, at: Option<DateTime<Utc>>) -> Self {
        self.birth = at.map(|at| Birth {
            event,
            at,
            data: json!({}),
        });
        self
    }

    pub fn with_data(mut self, data: Value) -> Self {
        if let Some(birth) = &mut self.birth {
            birth.data = data;
        }
        self
    }

    pub fn unreadable(id: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(id, None, What::Unreadable(reason.into()))
    }
}
