//! Looking whether there is something new, of ourselves: what isn't notified, and what notifications
//! lost.
//!
//! A look that finds nothing leaves no task behind: one statement to read where the source stands, one
//! call, one statement to say that it is as fresh as now. One that finds something queues the reading.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::feed::Feed;
use super::reading::{RHYTHM, is_reconciliation_due};
use super::store::Place;
use super::{Source, store};
use crate::db::{UserId, UserScope};
use crate::providers::{Error, Kind};
use crate::state::App;
use crate::tasks::{Enqueue, Failure, OrFailure as _, Routine, RoutineContext};

const BATCH: i64 = 100;
/// Looks under way: few, because the pool has to serve everybody.
const AT_ONCE: usize = 8;
/// Nobody else looks at a source for so long, whatever becomes of this look.
const TAKEN_FOR: TimeDelta = TimeDelta::minutes(5);
/// The next run goes on.
const ENOUGH: Duration = Duration::from_secs(240);

/// Looks at every source that is due.
pub struct LookForChanges;

impl Routine<App> for LookForChanges {
    const NAME: &'static str = "look_for_changes";
    const CRON: &'static str = "* * * * *";

    async fn run(context: RoutineContext<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let started = Instant::now();
        let (mut looked, mut queued) = (0, 0);
        while started.elapsed() < ENOUGH && !context.stop.is_cancelled() {
            let now = app.clock.now();
            let due = store::take_due(&app.pool, now, now + TAKEN_FOR, BATCH)
                .await
                .or_retry()?;
            if due.is_empty() {
                break;
            }
            looked += due.len();
            let found = futures::stream::iter(due)
                .map(|(user_id, source)| look_at(app, user_id, source))
                .buffer_unordered(AT_ONCE);
            queued += found
                .filter(|found| std::future::ready(*found))
                .count()
                .await;
        }
        Ok(json!({"looked": looked, "queued": queued}))
    }
}

/// Counts for how long a source hadn't been found up to date until now.
pub(super) fn up_to_date(app: &App, source: Source, place: &Place, checked_at: DateTime<Utc>) {
    if let Some(before) = place.last_synced_at {
        let lag = (checked_at - before).to_std().unwrap_or_default();
        app.metrics.sync_lag(source.name(), lag);
    }
}

/// Whether a reading was queued. One source's trouble is no other's.
async fn look_at(app: &App, user_id: UserId, source: String) -> bool {
    let scope = UserScope::checked(user_id);
    let Some(source) = Source::named(&source) else {
        return false;
    };
    match look(app, scope, source).await {
        Ok(queued) => queued,
        Err(error) => {
            tracing::warn!(source = source.name(), user_id = %user_id.0, %error, "a look failed");
            false
        }
    }
}

async fn look(app: &App, scope: UserScope, source: Source) -> anyhow::Result<bool> {
    let checked_at = app.clock.now();
    let mut tx = scope.begin(&app.pool).await?;
    let name = source.name();
    let Some(place) = store::open(&mut tx, name, source.provider().name(), app.clock.now()).await?
    else {
        store::forget_due(&mut tx, name).await?;
        tx.commit().await?;
        return Ok(false);
    };
    drop(tx);
    let same_account = place.stored_account.as_ref() == Some(&place.account);
    let Some(cursor) = place.cursor.as_deref().filter(|_| {
        same_account
            && place.walk.is_none()
            && !place.scope_changed
            && place.changes_page.is_none()
            && !is_reconciliation_due(&place, checked_at)
    }) else {
        return queue(app, scope, source).await;
    };
    let Some(feed) = Feed::of(app, scope, source) else {
        return Ok(false);
    };
    match feed.changed(cursor, None).await {
        Ok(page) if page.entries.is_empty() && page.next.is_none() => {
            let after = page.cursor.as_deref().unwrap_or(cursor);
            let mut tx = scope.begin(&app.pool).await?;
            let settled = store::settle(&mut tx, name, (cursor, after), checked_at, RHYTHM).await?;
            tx.commit().await?;
            if settled {
                up_to_date(app, source, &place, checked_at);
            }
            Ok(false)
        }
        // The user has to connect again: nothing is to be done until then, and then it is done.
        Err(Error {
            kind: Kind::Unauthorized,
            ..
        }) => {
            let mut tx = scope.begin(&app.pool).await?;
            store::forget_due(&mut tx, name).await?;
            tx.commit().await?;
            Ok(false)
        }
        Err(error) if error.kind.is_passing() => {
            let mut tx = scope.begin(&app.pool).await?;
            store::trouble(&mut tx, name, &error.to_string()).await?;
            tx.commit().await?;
            Err(error.into())
        }
        // What is new, and what only the reading can decide.
        Ok(_) | Err(_) => queue(app, scope, source).await,
    }
}

async fn queue(app: &App, scope: UserScope, source: Source) -> anyhow::Result<bool> {
    let mut tx = scope.begin(&app.pool).await?;
    source.queue(app, &mut tx, Enqueue::default()).await?;
    tx.commit().await?;
    app.tasks.wake();
    Ok(true)
}
