//! Reading a source: what changed since the cursor; and a walk through everything when there is no
//! cursor, when it was lost, and once a day to find what was missed.
//!
//! A walk is many pages over many attempts. Each page's items and the place of the next one are one
//! transaction, so a crash repeats at most a page. While a walk is under way changes are followed too,
//! so that this minute's mail isn't behind years of old ones. What the walk hasn't met by its end is
//! gone at the provider, and removed. No transaction is open while a provider is asked.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::feed::{Entry, Feed, Page, Walk, What, Why};
use super::keep::{self, Also, Kept};
use super::look;
use super::news::{self, News};
use super::store::{self, Place, Rhythm, Step};
use super::{Source, items};
use crate::identity::connections::NotConnected;
use crate::identity::settings;
use crate::ingest::batch::Outcome;
use crate::live::Topic;
use crate::providers::{Error, Kind};
use crate::state::App;
use crate::tasks::{Context, Failure, OrFailure as _};
use crate::webhooks;

/// After so long an attempt gives its slot back, and what changed meanwhile is looked at.
const SLICE: Duration = Duration::from_secs(20);
/// Pages in a row that may be empty: a calendar's can be.
const MOST_EMPTY: u32 = 100;
/// Items fetched and stored at once: few enough that a mailbox of large mails fits into memory.
const PORTION: usize = 100;
/// Items removed in one transaction.
const REMOVED_AT_ONCE: i64 = 1000;
/// Of HubSpot's deliveries.
const TOLD_AT_ONCE: i64 = 100;
/// How often everything is compared.
const RECONCILED_EVERY: TimeDelta = TimeDelta::hours(24);
/// How often we look ourselves. While notifications come, looking is for what they lost.
pub(super) const RHYTHM: Rhythm = Rhythm {
    unwatched_secs: 60.0,
    watched_secs: 900.0,
};

/// Reads a source as far as it goes: the task's whole work.
pub(super) async fn read(context: &Context<App>, source: Source) -> Result<Value, Failure> {
    let feed = Feed::of(&context.app, context.scope, source)
        .ok_or_else(|| anyhow::anyhow!("{} isn't configured", source.provider()))
        .or_fail()?;
    let mut reading = Reading::open(context, source, &feed).await?;
    let outcome = reading.run().await;
    match outcome {
        // The user didn't grant it: the connection says so, and nobody looks any more.
        Err(Failure::Fail(error)) if is_scope_missing(&error) => {
            let mut tx = context.begin().await?;
            store::forget_due(&mut tx, source.name()).await.or_retry()?;
            tx.commit().await.or_retry()?;
            Ok(json!({"stopped": format!("{error:#}")}))
        }
        Err(Failure::Retry(ref error) | Failure::Fail(ref error)) => {
            reading.trouble(&format!("{error:#}")).await?;
            outcome
        }
        outcome => outcome,
    }
}

fn is_scope_missing(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Error>()
        .is_some_and(|error| error.kind == Kind::ScopeMissing)
}

/// Whether everything is to be compared again.
pub(super) fn is_reconciliation_due(place: &Place, now: DateTime<Utc>) -> bool {
    place
        .last_reconciled_at
        .is_none_or(|at| at + RECONCILED_EVERY <= now)
}

struct Reading<'c> {
    context: &'c Context<App>,
    feed: &'c Feed,
    source: Source,
    place: Place,
    started: Instant,
    /// The places of the present listing, and how many of its last pages were empty.
    passed: HashSet<String>,
    empty: u32,
    all: Kept,
    read: i64,
}

/// A page that is ready to be stored.
struct Prepared {
    /// In portions; what the page only named is fetched.
    portions: Vec<Vec<Entry>>,
    met: Vec<String>,
    next: Option<String>,
    cursor: Option<String>,
}

impl<'c> Reading<'c> {
    async fn open(
        context: &'c Context<App>,
        source: Source,
        feed: &'c Feed,
    ) -> Result<Self, Failure> {
        let app = &context.app;
        let mut tx = context.scope.begin(&app.pool).await.or_retry()?;
        let now = app.clock.now();
        let place = store::open(&mut tx, source.name(), source.provider().name(), now)
            .await
            .or_retry()?
            .ok_or(NotConnected(source.provider()))
            .or_fail()?;
        drop(tx);
        let mut reading = Self {
            context,
            feed,
            source,
            place,
            started: Instant::now(),
            passed: HashSet::new(),
            empty: 0,
            all: Kept::default(),
            read: 0,
        };
        if reading.place.walk.is_some() {
            reading.read = reading.place.done;
            reading.all.unreadable = reading.place.unreadable;
        }
        if reading.place.stored_account.as_ref() != Some(&reading.place.account) {
            reading.begin_account().await?;
        }
        Ok(reading)
    }

    /// What another account brought isn't this one's: it goes, and all begins anew.
    async fn begin_account(&mut self) -> Result<(), Failure> {
        let name = self.source.name();
        if self.place.stored_account.is_some() {
            loop {
                let mut tx = self.context.begin().await?;
                let ids = items::some(&mut tx, name, REMOVED_AT_ONCE)
                    .await
                    .or_retry()?;
                keep::remove(&mut tx, self.source, &ids, true)
                    .await
                    .or_retry()?;
                tx.commit().await.or_retry()?;
                if ids.is_empty() {
                    break;
                }
            }
        }
        let mut tx = self.context.begin().await?;
        let now = self.context.app.clock.now();
        store::begin(&mut tx, name, &self.place.account, now)
            .await
            .or_retry()?;
        // Should this attempt and all that follow it fail, it is looked at again.
        let later = now + TimeDelta::minutes(5);
        store::due_at(&mut tx, name, later).await.or_retry()?;
        self.reload(tx).await
    }

    async fn reload(&mut self, mut tx: crate::db::Scoped) -> Result<(), Failure> {
        let (source, now) = (self.source, self.context.app.clock.now());
        self.place = store::open(&mut tx, source.name(), source.provider().name(), now)
            .await
            .or_retry()?
            .ok_or(NotConnected(source.provider()))
            .or_fail()?;
        tx.commit().await.or_retry()
    }

    async fn run(&mut self) -> Result<Value, Failure> {
        if self.place.scope_changed {
            super::scope::apply(self.context, Some(self.feed.grant())).await?;
            let mut tx = self.context.begin().await?;
            store::scope_changed(&mut tx, self.source.name(), false)
                .await
                .or_retry()?;
            self.reload(tx).await?;
        }
        loop {
            self.ask_told().await?;
            if let Some(cursor) = self.place.cursor.clone() {
                self.follow(&cursor).await?;
            }
            if self.place.walk.is_none() {
                let Some(why) = self.why_walk() else {
                    break;
                };
                self.begin_walk(why).await?;
            }
            self.walk().await?;
        }
        Ok(json!({
            "read": self.read, "stored": self.all.stored, "removed": self.all.removed,
            "unreadable": self.all.unreadable,
        }))
    }

    /// Fetches the records that HubSpot told of, as they are now, and brings the book to them. One
    /// record takes one call, whenever the index of changes learns of it.
    async fn ask_told(&mut self) -> Result<(), Failure> {
        let Feed::HubSpot(records) = self.feed else {
            return Ok(());
        };
        let mut at_once = TOLD_AT_ONCE;
        loop {
            let mut tx = self
                .context
                .scope
                .begin(&self.context.app.pool)
                .await
                .or_retry()?;
            let kind = self.source.object_kind().unwrap_or_default();
            let pending = webhooks::pending(&mut tx, "hubspot", kind, at_once)
                .await
                .or_retry()?;
            drop(tx);
            if pending.is_empty() {
                return Ok(());
            }
            let (ids, properties) = news::asked_for(&pending);
            let asked = records.ask(&ids, &properties).await;
            // HubSpot makes nothing of one of them: each for itself, and that one is set aside.
            if let Err(error) = &asked
                && matches!(error.kind, Kind::Invalid | Kind::NotFound)
            {
                if let [one] = pending.as_slice() {
                    tracing::warn!(delivery = %one.id, %error, "a delivery leads nowhere");
                    self.set_aside(one.id).await?;
                }
                at_once = 1;
                continue;
            }
            let asked = self.feed.grant().or_wait(self.context, asked).await?;
            let there = asked.there();
            let also = Also {
                walked: if self.place.walk.is_some() {
                    &there
                } else {
                    &[]
                },
                news: Some(self.news().told(&pending, &asked.values)),
                ..Also::default()
            };
            let kept = keep::keep(self.context, self.source, asked.entries, also).await?;
            self.read += kept.repairs();
            self.count(kept);
            self.tell(kept);
        }
    }

    async fn set_aside(&self, delivery: uuid::Uuid) -> Result<(), Failure> {
        let now = self.context.app.clock.now();
        let mut tx = self.context.begin().await?;
        webhooks::settle(
            &mut tx,
            &[(delivery, Vec::new())],
            self.context.task_id,
            now,
        )
        .await
        .or_retry()?;
        tx.commit().await.or_retry()
    }

    fn news(&self) -> News<'_> {
        let now = self.context.app.clock.now();
        News::new(self.source, &self.place.account, self.place.began_at, now)
    }

    fn why_walk(&self) -> Option<Why> {
        let now = self.context.app.clock.now();
        if self.place.last_reconciled_at.is_none() {
            Some(Why::First)
        } else if self.place.cursor.is_none() {
            Some(Why::Lost)
        } else {
            is_reconciliation_due(&self.place, now).then_some(Why::Daily)
        }
    }

    /// Stores what changed since the cursor, page by page.
    async fn follow(&mut self, cursor: &str) -> Result<(), Failure> {
        let name = self.source.name();
        let checked_at = self.context.app.clock.now();
        self.passed.clear();
        let mut page = self.place.changes_page.take();
        let mut resumed = page.is_some();
        loop {
            let changed = self.feed.changed(cursor, page.as_deref()).await;
            if let Err(error) = &changed {
                let lost = error.kind == Kind::Gone
                    || (resumed && matches!(error.kind, Kind::Invalid | Kind::NotFound));
                if lost {
                    return self.lose_cursor(resumed, error).await;
                }
            }
            resumed = false;
            let changed = self.feed.grant().or_wait(self.context, changed).await?;
            self.judge(changed.entries.len(), changed.next.as_deref())
                .await?;
            let next = changed.next.clone();
            let after = changed.cursor.clone();
            let walks = self.place.walk.is_some();
            let prepared = self.prepare(changed, true).await?;
            for portion in prepared.portions {
                let ids: Vec<String> = portion.iter().map(|entry| entry.id.clone()).collect();
                let also = Also {
                    walked: if walks { &ids } else { &[] },
                    news: Some(self.news()),
                    ..Also::default()
                };
                let kept = keep::keep(self.context, self.source, portion, also).await?;
                self.read += kept.repairs();
                self.count(kept);
                self.tell(kept);
            }
            let mut tx = self.context.begin().await?;
            if next.is_some() {
                store::changes_page(&mut tx, name, next.as_deref())
                    .await
                    .or_retry()?;
                tx.commit().await.or_retry()?;
                page = next;
                continue;
            }
            let after = after.unwrap_or_else(|| cursor.to_owned());
            let settled = store::settle(&mut tx, name, (cursor, &after), checked_at, RHYTHM)
                .await
                .or_retry()?;
            if settled {
                look::up_to_date(&self.context.app, self.source, &self.place, checked_at);
            }
            return self.reload(tx).await;
        }
    }

    /// A page of changes that is no longer known is only asked for anew; a cursor that is too old means
    /// that everything is compared.
    async fn lose_cursor(&mut self, resumed: bool, error: &Error) -> Result<(), Failure> {
        let name = self.source.name();
        let mut tx = self.context.begin().await?;
        if resumed {
            store::changes_page(&mut tx, name, None).await.or_retry()?;
            tx.commit().await.or_retry()?;
            return Err(Failure::Again(Duration::ZERO));
        }
        tracing::info!(source = name, %error, "changes can't be listed any more; all is compared");
        store::lose_cursor(&mut tx, name).await.or_retry()?;
        self.reload(tx).await
    }

    async fn begin_walk(&mut self, why: Why) -> Result<(), Failure> {
        let begun = self.feed.begin().await;
        let begun = self.feed.grant().or_wait(self.context, begun).await?;
        let mut tx = self.context.begin().await?;
        let name = self.source.name();
        items::forget_walked(&mut tx, name).await.or_retry()?;
        let now = self.context.app.clock.now();
        store::begin_walk(
            &mut tx,
            name,
            why.name(),
            now,
            (begun.cursor.as_deref(), begun.total),
        )
        .await
        .or_retry()?;
        self.reload(tx).await
    }

    /// Goes on with the walk, to its end or to the end of the slice. The next page is fetched while
    /// one is stored.
    async fn walk(&mut self) -> Result<(), Failure> {
        let walk = Walk {
            why: self.place.walk.as_deref().map_or(Why::First, Why::named),
            started_at: self
                .place
                .walk_started_at
                .unwrap_or_else(|| self.context.app.clock.now()),
        };
        self.passed.clear();
        if !self.place.walk_listed {
            let first = self.place.page.clone();
            let mut page = Some(
                self.page_of(walk, first.as_deref(), first.is_some())
                    .await?,
            );
            while let Some(ready) = page.take() {
                self.judge(ready.met.len(), ready.next.as_deref()).await?;
                let over = self.is_over();
                let next = ready.next.clone().filter(|_| !over);
                let ended = ready.next.is_none();
                let ahead = async {
                    match &next {
                        Some(next) => Some(self.page_of(walk, Some(next), false).await),
                        None => None,
                    }
                };
                let (stored, ahead) = tokio::join!(self.store_page(ready), ahead);
                let (kept, read) = stored?;
                self.count(kept);
                self.read += read;
                self.place.done += read;
                self.place.unreadable += kept.unreadable;
                self.progress().await?;
                if over && !ended {
                    return Err(Failure::Again(Duration::ZERO));
                }
                page = ahead.transpose()?;
            }
        }
        self.end_walk(walk).await
    }

    fn is_over(&self) -> bool {
        self.started.elapsed() > SLICE || self.context.stop.is_cancelled()
    }

    /// A page of the walk with what it names.
    async fn page_of(
        &self,
        walk: Walk,
        page: Option<&str>,
        resumed: bool,
    ) -> Result<Prepared, Failure> {
        let listed = self.feed.list(walk, page).await;
        // A place that was left too long ago is no longer known: the walk begins anew. One that the
        // provider has only just named is another matter.
        if let Err(error) = &listed
            && resumed
            && matches!(error.kind, Kind::Invalid | Kind::Gone | Kind::NotFound)
        {
            self.restart().await?;
            return Err(Failure::Again(Duration::ZERO));
        }
        let listed = self.feed.grant().or_wait(self.context, listed).await?;
        if let Some(zone) = &listed.zone {
            let mut tx = self.context.begin().await?;
            settings::adopt_time_zone(&mut tx, zone).await.or_retry()?;
            tx.commit().await.or_retry()?;
        }
        self.prepare(listed, false).await
    }

    /// Fetches what a page names and isn't known, in portions of which each is stored for itself.
    async fn prepare(&self, page: Page, excluded_too: bool) -> Result<Prepared, Failure> {
        let unknown = keep::unknown(self.context, self.source, &page.entries, excluded_too).await?;
        let met = page
            .entries
            .iter()
            .filter(|entry| !matches!(entry.what, What::Gone))
            .map(|entry| entry.id.clone())
            .collect();
        let mut portions: Vec<Vec<Entry>> = Vec::new();
        let mut whole = page
            .entries
            .into_iter()
            .filter(|entry| !matches!(entry.what, What::Named))
            .peekable();
        while whole.peek().is_some() {
            portions.push(whole.by_ref().take(PORTION).collect());
        }
        for some in unknown.chunks(PORTION) {
            let fetched = self.feed.fetch(some).await;
            portions.push(self.feed.grant().or_wait(self.context, fetched).await?);
        }
        Ok(Prepared {
            portions,
            met,
            next: page.next,
            cursor: page.cursor,
        })
    }

    /// The last portion's transaction moves the walk on.
    async fn store_page(&self, page: Prepared) -> Result<(Kept, i64), Failure> {
        let read = i64::try_from(page.met.len()).or_fail()?;
        let mut all = Kept::default();
        let mut portions = page.portions;
        let last = portions.pop().unwrap_or_default();
        for portion in portions {
            let also = Also {
                is_walk: true,
                news: Some(self.news()),
                ..Also::default()
            };
            all = all.and(keep::keep(self.context, self.source, portion, also).await?);
        }
        let also = Also {
            walked: &page.met,
            step: page.next.map_or(Step::End, Step::To),
            cursor: page.cursor,
            is_walk: true,
            news: Some(self.news()),
        };
        let kept = keep::keep(self.context, self.source, last, also).await?;
        Ok((all.and(kept), read))
    }

    /// What the walk hasn't met is gone.
    async fn end_walk(&mut self, walk: Walk) -> Result<(), Failure> {
        let name = self.source.name();
        let window =
            (self.source == Source::Calendar).then(|| super::calendar::window(walk.started_at));
        let mut removed = 0;
        loop {
            let mut tx = self.context.begin().await?;
            let gone = items::not_walked(&mut tx, name, window, REMOVED_AT_ONCE)
                .await
                .or_retry()?;
            if gone.is_empty() {
                break;
            }
            let rows = keep::remove(&mut tx, self.source, &gone, true)
                .await
                .or_retry()?;
            removed += i64::try_from(rows.len()).or_fail()?;
            let (app, task_id) = (&self.context.app, self.context.task_id);
            self.news()
                .record(app, &mut tx, (&[], &Outcome::default()), &rows, task_id)
                .await
                .or_retry()?;
            tx.commit().await.or_retry()?;
        }
        self.all.removed += removed;
        let is_repair = walk.why != Why::First;
        let mut tx = self.context.begin().await?;
        items::forget_walked(&mut tx, name).await.or_retry()?;
        store::end_walk(&mut tx, name, removed, is_repair)
            .await
            .or_retry()?;
        if walk.why == Why::First {
            super::queue_after(self.context, &mut tx, self.source)
                .await
                .or_retry()?;
        }
        self.reload(tx).await?;
        self.context.app.tasks.wake();
        self.tell(Kept {
            removed,
            ..Kept::default()
        });
        Ok(())
    }

    /// A listing that names a place twice, or goes on and on with nothing, would never end.
    async fn judge(&mut self, count: usize, next: Option<&str>) -> Result<(), Failure> {
        self.empty = if count == 0 { self.empty + 1 } else { 0 };
        let again = next.is_some_and(|next| !self.passed.insert(next.to_owned()));
        if !again && self.empty <= MOST_EMPTY {
            return Ok(());
        }
        self.restart().await?;
        Err(Failure::Fail(anyhow::anyhow!(
            "the provider's listing goes round in circles"
        )))
    }

    async fn restart(&self) -> Result<(), Failure> {
        let mut tx = self.context.begin().await?;
        let name = self.source.name();
        items::forget_walked(&mut tx, name).await.or_retry()?;
        store::restart(&mut tx, name).await.or_retry()?;
        tx.commit().await.or_retry()
    }

    async fn trouble(&self, problem: &str) -> Result<(), Failure> {
        let app = &self.context.app;
        let mut tx = self.context.scope.begin(&app.pool).await.or_retry()?;
        store::trouble(&mut tx, self.source.name(), problem)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        self.tell(Kept {
            unreadable: 1,
            ..Kept::default()
        });
        Ok(())
    }

    const fn count(&mut self, kept: Kept) {
        self.all = self.all.and(kept);
    }

    async fn progress(&self) -> Result<(), Failure> {
        let (done, total) = (self.place.done, self.place.total.unwrap_or(0));
        let total = total.max(done);
        self.context.progress(done, total).await?;
        self.context.app.live.tell(
            self.context.scope.user_id(),
            Topic::Ingest,
            json!({"source": self.source, "done": done, "total": total}),
        );
        Ok(())
    }

    /// That something changed; how much, the status says.
    fn tell(&self, kept: Kept) {
        if kept.repairs() + kept.unreadable > 0 {
            self.context.app.live.tell(
                self.context.scope.user_id(),
                Topic::Ingest,
                json!({"source": self.source}),
            );
        }
    }
}
