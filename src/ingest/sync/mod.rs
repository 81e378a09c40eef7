//! Reading what a connection gives: mail, calendar, contacts, notes, deals; all of it once, and then
//! what changes.
//!
//! `reading.rs` is the way in which every source is read; a source is a variant of [`Source`] and of
//! `feed::Feed`, and a file beside this one that speaks with its provider. `keep.rs` brings the book
//! to what a source says. Readings are queued by a new connection, by notifications, by `look.rs`
//! when it finds something, and by the user. `upcoming.rs` notes what is about to happen. Only one of a source and user is under way at a time.

mod calendar;
mod feed;
mod gmail;
mod hubspot;
mod items;
mod keep;
mod look;
mod news;
mod reading;
pub(super) mod routes;
mod scope;
mod store;
mod upcoming;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::book::Kind;
use crate::db::Scoped;
use crate::identity::connections::{
    self, Connected, Connection, KeepWatches, NotConnected, Provider,
};
use crate::identity::settings::ScopeChanged;
use crate::state::App;
use crate::tasks::{Context, Enqueue, Failure, Handler, OrFailure as _, Payload};
use crate::webhooks::{self, Delivered};

pub use items::{Unreadable, external_id};
pub use look::LookForChanges;
pub use upcoming::NoteUpcoming;

/// What a connection gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    Gmail,
    Calendar,
    HubspotContacts,
    HubspotNotes,
    HubspotDeals,
}

impl Source {
    pub const ALL: [Self; 5] = [
        Self::Gmail,
        Self::Calendar,
        Self::HubspotContacts,
        Self::HubspotNotes,
        Self::HubspotDeals,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Gmail => "gmail",
            Self::Calendar => "calendar",
            Self::HubspotContacts => "hubspot_contacts",
            Self::HubspotNotes => "hubspot_notes",
            Self::HubspotDeals => "hubspot_deals",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }

    pub const fn provider(self) -> Provider {
        match self {
            Self::Gmail | Self::Calendar => Provider::Google,
            Self::HubspotContacts | Self::HubspotNotes | Self::HubspotDeals => Provider::HubSpot,
        }
    }

    /// What its items are in the book.
    pub const fn item_kind(self) -> Kind {
        match self {
            Self::Gmail => Kind::Email,
            Self::Calendar => Kind::Event,
            Self::HubspotContacts => Kind::Contact,
            Self::HubspotNotes => Kind::Note,
            Self::HubspotDeals => Kind::Deal,
        }
    }

    /// What HubSpot's notifications call its items.
    const fn object_kind(self) -> Option<&'static str> {
        match self {
            Self::HubspotContacts => Some("contact"),
            Self::HubspotNotes => Some("note"),
            Self::HubspotDeals => Some("deal"),
            Self::Gmail | Self::Calendar => None,
        }
    }

    /// The feature of the connection that it needs.
    const fn feature(self) -> &'static str {
        match self {
            Self::Gmail => "mail",
            Self::Calendar => "calendar",
            Self::HubspotContacts | Self::HubspotNotes => "contacts",
            Self::HubspotDeals => "deals",
        }
    }

    pub const fn kind(self) -> &'static str {
        match self {
            Self::Gmail => SyncGmail::KIND,
            Self::Calendar => SyncCalendar::KIND,
            Self::HubspotContacts => SyncContacts::KIND,
            Self::HubspotNotes => SyncNotes::KIND,
            Self::HubspotDeals => SyncDeals::KIND,
        }
    }

    /// Why the connection doesn't give it, as a code.
    pub fn off(self, connection: &Connection) -> Option<&'static str> {
        connection
            .features
            .iter()
            .find(|feature| feature.name == self.feature())
            .and_then(|feature| feature.why)
    }

    /// Queues a reading, unless one is under way.
    async fn queue(self, app: &App, tx: &mut Scoped, how: Enqueue) -> anyhow::Result<uuid::Uuid> {
        let once = Enqueue {
            unique_key: Some(self.name().to_owned()),
            ..how
        };
        match self {
            Self::Gmail => app.tasks.enqueue(tx, &SyncGmail {}, once).await,
            Self::Calendar => app.tasks.enqueue(tx, &SyncCalendar {}, once).await,
            Self::HubspotContacts => app.tasks.enqueue(tx, &SyncContacts {}, once).await,
            Self::HubspotNotes => app.tasks.enqueue(tx, &SyncNotes {}, once).await,
            Self::HubspotDeals => app.tasks.enqueue(tx, &SyncDeals {}, once).await,
        }
    }
}

/// A task that reads a source.
macro_rules! reads {
    ($($(#[$meta:meta])* $name:ident = $kind:literal, $source:expr;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Serialize, Deserialize)]
        pub struct $name {}

        impl Payload for $name {
            const KIND: &'static str = $kind;
        }

        impl Handler<App> for $name {
            async fn run(self, context: Context<App>) -> Result<Value, Failure> {
                ended(reading::read(&context, $source).await)
            }
        }
    )*};
}

reads! {
    /// "Read this user's mailbox."
    SyncGmail = "sync_gmail", Source::Gmail;
    /// "Read this user's calendar."
    SyncCalendar = "sync_calendar", Source::Calendar;
    /// "Read the contacts of this user's HubSpot."
    SyncContacts = "sync_hubspot_contacts", Source::HubspotContacts;
    /// "Read the notes of this user's HubSpot."
    SyncNotes = "sync_hubspot_notes", Source::HubspotNotes;
    /// "Read the deals of this user's HubSpot."
    SyncDeals = "sync_hubspot_deals", Source::HubspotDeals;
}

/// A reading whose connection was taken back has ended, and hasn't failed.
fn ended(outcome: Result<Value, Failure>) -> Result<Value, Failure> {
    match outcome {
        Err(Failure::Fail(error)) if error.is::<NotConnected>() => {
            Ok(json!({"stopped": error.to_string()}))
        }
        other => other,
    }
}

/// A new connection is read at once. What is written about contacts waits until these are known: their
/// names stand in front of its passages.
impl Handler<App> for Connected {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let connection = connections::find(app, &context.scope, self.provider)
            .await
            .or_retry()?;
        let Some(connection) = connection else {
            return Ok(json!({"sources": []}));
        };
        let mut tx = context.begin().await?;
        let known = store::list(&mut tx).await.or_retry()?;
        let contacts_known = known.iter().any(|state| {
            state.source == Source::HubspotContacts.name() && state.last_synced_at.is_some()
        });
        let given: Vec<Source> = Source::ALL
            .into_iter()
            .filter(|source| source.provider() == self.provider)
            .filter(|source| source.off(&connection).is_none())
            .filter(|source| {
                contacts_known || !matches!(source, Source::HubspotNotes | Source::HubspotDeals)
            })
            .collect();
        for source in &given {
            source
                .queue(app, &mut tx, caused_by(&context))
                .await
                .or_retry()?;
        }
        if self.provider == Provider::Google {
            let once = Enqueue {
                unique_key: Some("watches".to_owned()),
                ..caused_by(&context)
            };
            app.tasks
                .enqueue(&mut tx, &KeepWatches {}, once)
                .await
                .or_retry()?;
        }
        tx.commit().await.or_retry()?;
        app.tasks.wake();
        Ok(json!({"sources": given}))
    }
}

fn caused_by(context: &Context<App>) -> Enqueue {
    Enqueue {
        request_id: context.request_id.clone(),
        caused_by: Some(json!({"kind": "task", "id": context.task_id})),
        ..Enqueue::default()
    }
}

/// What can be read once a source has been.
async fn queue_after(
    context: &Context<App>,
    tx: &mut Scoped,
    source: Source,
) -> anyhow::Result<()> {
    if source != Source::HubspotContacts {
        return Ok(());
    }
    let connections = connections::list_within(tx).await?;
    let provider = source.provider().name();
    let connection = connections
        .iter()
        .find(|connection| connection.provider == provider);
    for next in [Source::HubspotNotes, Source::HubspotDeals] {
        if connection.is_some_and(|connection| next.off(connection).is_none()) {
            next.queue(&context.app, tx, caused_by(context)).await?;
        }
    }
    Ok(())
}

/// A provider said that something changed: its source is read. What HubSpot tells names the records,
/// and waits in the inbox until the reading of their source asks for them.
impl Handler<App> for Delivered {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let (app, now) = (&context.app, context.app.clock.now());
        let mut tx = context.begin().await?;
        webhooks::tidy(&mut tx, app.clock.system())
            .await
            .or_retry()?;
        let given: Vec<Source> = connections::list_within(&mut tx)
            .await
            .or_retry()?
            .iter()
            .flat_map(|connection| {
                // What waits for the user to connect again waits in the inbox, too.
                let is_given = |source: &Source| {
                    source.provider().name() == connection.provider
                        && matches!(source.off(connection), None | Some("needs_reauth"))
                };
                Source::ALL.into_iter().filter(is_given)
            })
            .collect();
        let mut read = Vec::new();
        for kind in webhooks::pending_kinds(&mut tx, &self.provider)
            .await
            .or_retry()?
        {
            let names_items = !kind.is_empty();
            let source = given.iter().copied().find(|source| {
                if names_items {
                    source.object_kind() == Some(kind.as_str())
                } else {
                    source.name() == self.provider
                }
            });
            let mut by = context.task_id;
            if let Some(source) = source {
                by = source
                    .queue(app, &mut tx, caused_by(&context))
                    .await
                    .or_retry()?;
                read.push(source);
            }
            if source.is_none() || !names_items {
                webhooks::settle_all(&mut tx, &self.provider, &kind, by, now)
                    .await
                    .or_retry()?;
            }
        }
        tx.commit().await.or_retry()?;
        app.tasks.wake();
        Ok(json!({"sources": read}))
    }
}

/// The user changed what is imported of the mailbox. What is stored is brought to it at once, also
/// when nobody is connected any more; the mailbox's part follows with the next reading.
impl Handler<App> for ScopeChanged {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let mut tx = context.begin().await?;
        store::scope_changed(&mut tx, Source::Gmail.name(), true)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        scope::apply(&context, None).await?;
        let connection = connections::find(app, &context.scope, Provider::Google)
            .await
            .or_retry()?;
        let readable =
            connection.is_some_and(|connection| Source::Gmail.off(&connection).is_none());
        if readable {
            let mut tx = context.begin().await?;
            Source::Gmail
                .queue(app, &mut tx, caused_by(&context))
                .await
                .or_retry()?;
            tx.commit().await.or_retry()?;
            app.tasks.wake();
        }
        Ok(json!({"reads": readable}))
    }
}
