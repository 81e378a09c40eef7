//! Reading what a connection gives: mail, calendar, contacts.
//!
//! Each source is a walk through the provider's listing, page by page; a page's items and the place
//! of the next one are stored in one transaction, so a crash repeats at most a page, and a page
//! repeated changes nothing. No transaction is open while a provider is asked. A dead grant makes the
//! walk wait for its user; a large book is read in slices, so that no attempt runs for hours.
//! Begin with [`Walk`]; a new source is a variant of [`Source`] and a file beside this one.

mod calendar;
mod gmail;
mod hubspot;
pub(super) mod routes;
mod store;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::batch::Batch;
use super::files::Item;
use crate::db::Scoped;
use crate::identity::connections::{self, Connected, Connection, NotConnected, Provider};
use crate::live::Topic;
use crate::providers::{Error, Kind};
use crate::retrieval::Embed;
use crate::state::App;
use crate::tasks::{Context, Enqueue, Failure, Handler, OrFailure as _, Payload};

pub use calendar::SyncCalendar;
pub use gmail::SyncGmail;
pub use hubspot::SyncContacts;

/// After so long an attempt gives its slot back; the walk goes on in the next one.
const SLICE: Duration = Duration::from_secs(240);

/// Pages in a row that may be empty: a calendar's can be.
const MOST_EMPTY: u32 = 100;

/// What a connection gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    Gmail,
    Calendar,
    HubspotContacts,
}

impl Source {
    pub const ALL: [Self; 3] = [Self::Gmail, Self::Calendar, Self::HubspotContacts];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Gmail => "gmail",
            Self::Calendar => "calendar",
            Self::HubspotContacts => "hubspot_contacts",
        }
    }

    pub const fn provider(self) -> Provider {
        match self {
            Self::Gmail | Self::Calendar => Provider::Google,
            Self::HubspotContacts => Provider::HubSpot,
        }
    }

    /// The feature of the connection that it needs.
    const fn feature(self) -> &'static str {
        match self {
            Self::Gmail => "mail",
            Self::Calendar => "calendar",
            Self::HubspotContacts => "contacts",
        }
    }

    pub const fn kind(self) -> &'static str {
        match self {
            Self::Gmail => SyncGmail::KIND,
            Self::Calendar => SyncCalendar::KIND,
            Self::HubspotContacts => SyncContacts::KIND,
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

    /// Queues a walk, unless one is under way.
    async fn queue(self, app: &App, tx: &mut Scoped, how: Enqueue) -> anyhow::Result<uuid::Uuid> {
        let once = Enqueue {
            unique_key: Some(self.name().to_owned()),
            ..how
        };
        match self {
            Self::Gmail => app.tasks.enqueue(tx, &SyncGmail {}, once).await,
            Self::Calendar => app.tasks.enqueue(tx, &SyncCalendar {}, once).await,
            Self::HubspotContacts => app.tasks.enqueue(tx, &SyncContacts {}, once).await,
        }
    }
}

/// A new connection is read at once.
impl Handler<App> for Connected {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let connection = connections::find(app, &context.scope, self.provider)
            .await
            .or_retry()?;
        let Some(connection) = connection else {
            return Ok(json!({"sources": []}));
        };
        let given: Vec<Source> = Source::ALL
            .into_iter()
            .filter(|source| source.provider() == self.provider)
            .filter(|source| source.off(&connection).is_none())
            .collect();
        let mut tx = context.begin().await?;
        for source in &given {
            let how = Enqueue {
                request_id: context.request_id.clone(),
                caused_by: Some(json!({"kind": "task", "id": context.task_id})),
                ..Enqueue::default()
            };
            source.queue(app, &mut tx, how).await.or_retry()?;
        }
        tx.commit().await.or_retry()?;
        app.tasks.wake();
        Ok(json!({"sources": given}))
    }
}

/// A walk whose connection was taken back has ended, and hasn't failed.
fn ended(outcome: Result<Value, Failure>) -> Result<Value, Failure> {
    match outcome {
        Err(Failure::Fail(error)) if error.is::<NotConnected>() => {
            Ok(json!({"stopped": error.to_string()}))
        }
        other => other,
    }
}

/// A walk through a source's listing.
struct Walk<'c> {
    context: &'c Context<App>,
    source: Source,
    /// Where to go on; none at the beginning.
    page: Option<String>,
    done: i64,
    total: Option<i64>,
    unreadable: i64,
    /// Whether the place is one that an earlier attempt left.
    resumed: bool,
    /// The places of this attempt, and how many of its last pages were empty.
    passed: HashSet<String>,
    empty: u32,
    started: Instant,
}

/// What a page brought.
#[derive(Default)]
struct Read {
    items: Vec<Item>,
    unreadable: usize,
    /// None after the last page.
    next: Option<String>,
}

impl<'c> Walk<'c> {
    /// Goes on with the walk that is under way, or begins one. `total` is the provider's estimate.
    async fn begin(
        context: &'c Context<App>,
        source: Source,
        total: Option<i64>,
    ) -> Result<Self, Failure> {
        let app = &context.app;
        let connection = connections::find(app, &context.scope, source.provider())
            .await
            .or_retry()?
            .ok_or(NotConnected(source.provider()))
            .or_fail()?;
        let mut tx = context.begin().await?;
        let place = store::begin(&mut tx, source.name(), &connection.account, total)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        Ok(Self {
            context,
            source,
            resumed: place.page.is_some(),
            passed: HashSet::new(),
            empty: 0,
            page: place.page,
            done: place.done,
            total,
            unreadable: place.unreadable,
            started: Instant::now(),
        })
    }

    /// A place that was left too long ago is no longer known: the walk begins anew. One that the
    /// provider has only just named is another matter.
    async fn or_restart<T>(&self, result: Result<T, Error>) -> Result<Result<T, Error>, Failure> {
        match result {
            Err(error)
                if self.resumed
                    && matches!(error.kind, Kind::Invalid | Kind::Gone | Kind::NotFound) =>
            {
                let mut tx = self.context.begin().await?;
                store::restart(&mut tx, self.source.name())
                    .await
                    .or_retry()?;
                tx.commit().await.or_retry()?;
                Err(Failure::Again(Duration::ZERO))
            }
            other => Ok(other),
        }
    }

    /// Stores a page. False when it was the last.
    async fn store(&mut self, read: Read) -> Result<bool, Failure> {
        let app = &self.context.app;
        let (count, preparing) = (read.items.len() + read.unreadable, app.clone());
        self.judge(count, read.next.as_deref()).await?;
        let name = self.source.name();
        let batch =
            tokio::task::spawn_blocking(move || Batch::prepare(read.items, name, &preparing))
                .await
                .or_retry()?;
        let mut tx = self.context.begin().await?;
        let counts = batch.store(&mut tx, app).await.or_retry()?;
        let unreadable = i64::try_from(read.unreadable).or_fail()?;
        let progress = store::Progress {
            next: read.next.as_deref(),
            done: i64::try_from(count).or_fail()?,
            unreadable,
            now: app.clock.now(),
        };
        store::advance(&mut tx, name, &progress).await.or_retry()?;
        if counts.imported > 0 {
            let once = Enqueue {
                unique_key: Some("embed".to_owned()),
                request_id: self.context.request_id.clone(),
                caused_by: Some(json!({"kind": "task", "id": self.context.task_id})),
                run_at: None,
            };
            app.tasks
                .enqueue(&mut tx, &Embed {}, once)
                .await
                .or_retry()?;
        }
        tx.commit().await.or_retry()?;
        app.tasks.wake();
        app.metrics
            .imported(counts.imported, counts.unchanged, read.unreadable as u64);
        self.done += progress.done;
        self.unreadable += unreadable;
        self.tell().await?;
        self.page = read.next;
        self.resumed = false;
        if self.page.is_some()
            && (self.started.elapsed() > SLICE || self.context.stop.is_cancelled())
        {
            return Err(Failure::Again(Duration::ZERO));
        }
        Ok(self.page.is_some())
    }

    /// A listing that names a place twice, or goes on and on with nothing, would never end.
    async fn judge(&mut self, count: usize, next: Option<&str>) -> Result<(), Failure> {
        self.empty = if count == 0 { self.empty + 1 } else { 0 };
        let again = next.is_some_and(|next| !self.passed.insert(next.to_owned()));
        if !again && self.empty <= MOST_EMPTY {
            return Ok(());
        }
        let mut tx = self.context.begin().await?;
        store::restart(&mut tx, self.source.name())
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        Err(Failure::Fail(anyhow::anyhow!(
            "the provider's listing goes round in circles"
        )))
    }

    async fn tell(&self) -> Result<(), Failure> {
        let total = self.total.unwrap_or(0).max(self.done);
        self.context.progress(self.done, total).await?;
        self.context.app.live.tell(
            self.context.scope.user_id(),
            Topic::Ingest,
            json!({"source": self.source, "done": self.done, "total": total}),
        );
        Ok(())
    }

    fn result(&self) -> Value {
        json!({"read": self.done, "unreadable": self.unreadable})
    }
}
