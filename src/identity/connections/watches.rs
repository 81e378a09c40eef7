//! Promises of notifications that go with a Google grant: made, renewed well before they end, stopped
//! when the grant is taken back.
//!
//! A calendar's channel is a row before Google hears of it, because its first notification may arrive
//! before Google's answer; a new one is live before the old one is stopped. Without a promise a source
//! is polled, so what can't be made is said and is no failure.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Connection, Grant, NotConnected, Provider, find};
use crate::db::{Scoped, UserId, UserScope};
use crate::ids;
use crate::providers::google::Google;
use crate::providers::google::calendar::{NewChannel, PRIMARY};
use crate::providers::{Error, Kind};
use crate::state::App;
use crate::tasks::{
    Context, Enqueue, Failure, Handler, OrFailure as _, Payload, Routine, RoutineContext,
};

/// Both live for a week; what ends sooner than this is renewed.
const RENEWED_BEFORE: TimeDelta = TimeDelta::days(3);
/// "Call watch once a day", says Gmail.
const GMAIL_RENEWED_EVERY: TimeDelta = TimeDelta::hours(24);
/// A channel that Google hasn't confirmed after so long never was.
const UNCONFIRMED: TimeDelta = TimeDelta::hours(1);
const BATCH: i64 = 200;
const GOOGLES_OWN: &str = "www.googleapis.com";

/// "See that this user's mailbox and calendar are watched."
#[derive(Debug, Serialize, Deserialize)]
pub struct KeepWatches {}

impl Payload for KeepWatches {
    const KIND: &'static str = "keep_watches";
}

/// What the provider has promised.
#[derive(Clone, Debug)]
pub struct Watch {
    /// `gmail` or `calendar`.
    pub what: String,
    pub expires_at: DateTime<Utc>,
}

/// A channel to be stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Channel {
    pub what: String,
    pub id: String,
    pub resource_id: Option<String>,
}

/// What the user's providers have promised, until when.
pub async fn list(tx: &mut Scoped, now: DateTime<Utc>) -> Result<Vec<Watch>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Watch,
        r#"
        select what, max(expires_at) as "expires_at!" from watches
        where user_id = $1 and resource_id is not null and expires_at > $2
        group by what
        "#,
        user_id,
        now,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Forgets the user's channels; they come back, to be stopped.
pub(super) async fn take(tx: &mut Scoped) -> Result<Vec<Channel>, sqlx::Error> {
    let user_id = tx.user_id();
    sqlx::query_as!(
        Channel,
        "delete from watches where user_id = $1 returning what, channel_id as id, resource_id",
        user_id,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Whose channel a notification is about, when everything about it fits: the hash of its token, the
/// resource once that is known, and the time.
pub async fn user_of_channel(
    pool: &PgPool,
    channel_id: &str,
    resource_id: &str,
    token_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<UserId>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select user_id as "user_id: UserId", token_hash, resource_id from watches
        where channel_id = $1 and what = 'calendar' and expires_at > $2
        "#,
        channel_id,
        now,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.and_then(|row| {
        let token_fits = subtle::ConstantTimeEq::ct_eq(
            row.token_hash.unwrap_or_default().as_slice(),
            token_hash.as_slice(),
        );
        let resource_fits = row.resource_id.is_none_or(|known| known == resource_id);
        (bool::from(token_fits) && resource_fits).then_some(row.user_id)
    }))
}

/// What a channel's token is kept as.
pub fn token_hash(token: &str) -> [u8; 32] {
    ids::digest(&["calendar channel", token])
}

/// Whether Google would notify us at all.
fn gmail_topic(google: &Google) -> Option<&str> {
    google
        .settings
        .push
        .as_ref()
        .map(|push| push.topic.as_str())
}

/// Google calls https alone; a stand-in for it may call anything.
fn calendar_can_be_watched(app: &App, google: &Google) -> bool {
    app.is_https() || google.settings.calendar_api.host_str() != Some(GOOGLES_OWN)
}

impl Handler<App> for KeepWatches {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let connection = find(app, &context.scope, Provider::Google)
            .await
            .or_retry()?;
        let (Some(google), Some(connection)) = (&app.google, connection) else {
            return Ok(json!({}));
        };
        let keeper = Keeper {
            context: &context,
            google,
            grant: Grant::new(app, context.scope, Provider::Google),
            connected_at: connection.connected_at,
        };
        match keeper.keep(&connection).await {
            // Taken back meanwhile: nothing is left to be watched.
            Err(Failure::Fail(error)) if error.is::<NotConnected>() => {
                Ok(json!({"stopped": error.to_string()}))
            }
            outcome => outcome,
        }
    }
}

fn is_on(connection: &Connection, feature: &str) -> bool {
    connection
        .features
        .iter()
        .any(|known| known.name == feature && known.on)
}

struct Keeper<'c> {
    context: &'c Context<App>,
    google: &'c Google,
    grant: Grant,
    /// Promises to an earlier grant may have ended with it.
    connected_at: DateTime<Utc>,
}

/// A stored channel.
struct Row {
    channel_id: String,
    resource_id: Option<String>,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl Keeper<'_> {
    fn now(&self) -> DateTime<Utc> {
        self.context.app.clock.now()
    }

    async fn keep(&self, connection: &Connection) -> Result<Value, Failure> {
        let gmail = if is_on(connection, "mail") {
            self.gmail().await
        } else {
            Ok("off")
        };
        // Trouble with the one is none of the other's.
        let can_be = calendar_can_be_watched(&self.context.app, self.google);
        let calendar = if is_on(connection, "calendar") && can_be {
            self.calendar().await
        } else {
            Ok("off")
        };
        Ok(json!({"gmail": gmail?, "calendar": calendar?}))
    }

    async fn rows(&self, what: &str) -> Result<Vec<Row>, Failure> {
        let mut tx = self
            .context
            .scope
            .begin(&self.context.app.pool)
            .await
            .or_retry()?;
        let user_id = tx.user_id();
        sqlx::query_as!(
            Row,
            "
            select channel_id, resource_id, expires_at, created_at from watches
            where user_id = $1 and what = $2
            ",
            user_id,
            what,
        )
        .fetch_all(&mut *tx)
        .await
        .or_retry()
    }

    /// What became of a watch. What would only be refused again is told, and the source is polled.
    async fn made<T>(&self, what: &str, outcome: Result<T, Error>) -> Result<Option<T>, Failure> {
        match outcome {
            Err(error)
                if !error.kind.is_passing()
                    && !matches!(error.kind, Kind::Unauthorized | Kind::Nonsense) =>
            {
                tracing::warn!(what, %error, "no notifications; the source is polled");
                Ok(None)
            }
            other => self.grant.or_wait(self.context, other).await.map(Some),
        }
    }

    /// Calling it again renews, so there is never more than one.
    async fn gmail(&self) -> Result<&'static str, Failure> {
        let Some(topic) = gmail_topic(self.google) else {
            return Ok("off");
        };
        let now = self.now();
        let rows = self.rows("gmail").await?;
        let is_fresh = |row: &Row| {
            row.resource_id.as_deref() == Some(topic)
                && row.expires_at > now + RENEWED_BEFORE
                && row.created_at > (now - GMAIL_RENEWED_EVERY).max(self.connected_at)
        };
        if rows.iter().any(is_fresh) {
            return Ok("kept");
        }
        let gmail = &self.google.gmail;
        let mut outcome = gmail.watch(&self.grant, topic).await;
        // Another topic is watched already: only one can be.
        if matches!(&outcome, Err(error) if error.kind == Kind::Invalid) {
            let stopped = gmail.stop(&self.grant).await;
            if self.made("gmail", stopped).await?.is_none() {
                return Ok("refused");
            }
            outcome = gmail.watch(&self.grant, topic).await;
        }
        let Some(watch) = self.made("gmail", outcome).await? else {
            return Ok("refused");
        };
        let mut tx = self.context.begin().await?;
        let user_id = tx.user_id();
        // The lock lets a disconnect come before this or after it, when it takes the row along.
        let kept = sqlx::query!(
            "
            with granted as (
                select from connections
                where user_id = $2 and provider = 'google' and connected_at = $6
                for share
            )
            insert into watches (channel_id, user_id, what, resource_id, expires_at, created_at)
            select $1, $2, 'gmail', $3, $4, $5 from granted
            on conflict (channel_id) do update set
                resource_id = excluded.resource_id, expires_at = excluded.expires_at,
                created_at = excluded.created_at
            ",
            format!("gmail:{user_id}"),
            user_id,
            topic,
            watch.expires_at,
            now,
            self.connected_at,
        )
        .execute(&mut *tx)
        .await
        .or_retry()?;
        tx.commit().await.or_retry()?;
        if kept.rows_affected() == 0 {
            return Ok("too late");
        }
        Ok("made")
    }

    async fn calendar(&self) -> Result<&'static str, Failure> {
        let now = self.now();
        let rows = self.rows("calendar").await?;
        let fresh = rows.iter().find(|row| {
            row.resource_id.is_some()
                && row.expires_at > now + RENEWED_BEFORE
                && row.created_at > self.connected_at
        });
        let (live, outcome) = match fresh {
            Some(row) => (row.channel_id.clone(), "kept"),
            None => match self.open_channel().await? {
                Some(channel_id) => (channel_id, "made"),
                None => return Ok("refused"),
            },
        };
        // What it takes the place of; also what a crash left so.
        for row in rows.iter().filter(|row| row.channel_id != live) {
            if let Some(resource_id) = &row.resource_id {
                let calendar = &self.google.calendar;
                let stopped = calendar
                    .stop(&self.grant, &row.channel_id, resource_id)
                    .await;
                // It ends by itself; until then its notifications are refused.
                if let Err(error) = stopped {
                    tracing::info!(%error, "an old channel could not be stopped");
                }
            }
            self.forget(&row.channel_id).await?;
        }
        Ok(outcome)
    }

    /// The id of a new channel; none when Google refuses one.
    async fn open_channel(&self) -> Result<Option<String>, Failure> {
        let (channel_id, token) = (ids::next().to_string(), ids::token());
        self.put(&channel_id, &token).await?;
        let address = self
            .context
            .app
            .public_url
            .join("/api/webhooks/calendar")
            .or_fail()?;
        let channel = NewChannel {
            id: &channel_id,
            address: &address,
            token: &token,
        };
        let calendar = &self.google.calendar;
        let outcome = calendar.watch(&self.grant, PRIMARY, &channel).await;
        let Some(promised) = self.made("calendar", outcome).await? else {
            self.forget(&channel_id).await?;
            return Ok(None);
        };
        self.confirm(&channel_id, &promised.resource_id, promised.expires_at)
            .await?;
        Ok(Some(channel_id))
    }

    async fn put(&self, channel_id: &str, token: &str) -> Result<(), Failure> {
        let now = self.now();
        let mut tx = self.context.begin().await?;
        let user_id = tx.user_id();
        sqlx::query!(
            "
            insert into watches (channel_id, user_id, what, token_hash, expires_at, created_at)
            values ($1, $2, 'calendar', $3, $4, $5)
            ",
            channel_id,
            user_id,
            &token_hash(token),
            now + UNCONFIRMED,
            now,
        )
        .execute(&mut *tx)
        .await
        .or_retry()?;
        tx.commit().await.or_retry()
    }

    async fn confirm(
        &self,
        channel_id: &str,
        resource_id: &str,
        expires_at: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let mut tx = self.context.begin().await?;
        let user_id = tx.user_id();
        sqlx::query!(
            "
            update watches set resource_id = $3, expires_at = $4
            where user_id = $1 and channel_id = $2
            ",
            user_id,
            channel_id,
            resource_id,
            expires_at,
        )
        .execute(&mut *tx)
        .await
        .or_retry()?;
        tx.commit().await.or_retry()
    }

    async fn forget(&self, channel_id: &str) -> Result<(), Failure> {
        let mut tx = self.context.begin().await?;
        let user_id = tx.user_id();
        sqlx::query!(
            "delete from watches where user_id = $1 and channel_id = $2",
            user_id,
            channel_id,
        )
        .execute(&mut *tx)
        .await
        .or_retry()?;
        tx.commit().await.or_retry()
    }
}

/// Finds, every hour, whose watches are missing or end soon.
pub struct RenewWatches;

impl Routine<App> for RenewWatches {
    const NAME: &'static str = "renew_watches";
    const CRON: &'static str = "41 * * * *";

    async fn run(context: RoutineContext<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let Some(google) = &app.google else {
            return Ok(json!({"queued": 0}));
        };
        let promised = (gmail_topic(google), calendar_can_be_watched(app, google));
        let now = app.clock.now();
        forget_ended(&app.pool, now).await.or_retry()?;
        let (mut queued, mut after) = (0_usize, None);
        loop {
            let users = to_renew(&app.pool, promised, now, after).await.or_retry()?;
            let Some(last) = users.last() else { break };
            after = Some(last.0);
            for user_id in &users {
                let mut tx = UserScope::checked(*user_id)
                    .begin(&app.pool)
                    .await
                    .or_retry()?;
                let once = Enqueue {
                    unique_key: Some("watches".to_owned()),
                    ..Enqueue::default()
                };
                app.tasks
                    .enqueue(&mut tx, &KeepWatches {}, once)
                    .await
                    .or_retry()?;
                tx.commit().await.or_retry()?;
            }
            queued += users.len();
            app.tasks.wake();
        }
        Ok(json!({"queued": queued}))
    }
}

async fn to_renew(
    pool: &PgPool,
    (topic, calendar): (Option<&str>, bool),
    now: DateTime<Utc>,
    after: Option<Uuid>,
) -> Result<Vec<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select user_id as "user_id: UserId" from connection_routes as route
        where provider = 'google' and ($5::uuid is null or user_id > $5)
            and (
                ($1::text is not null and not exists (
                    select from watches
                    where watches.user_id = route.user_id and what = 'gmail' and resource_id = $1
                        and expires_at > $3 and created_at > $4
                ))
                or ($2 and not exists (
                    select from watches
                    where watches.user_id = route.user_id and what = 'calendar'
                        and resource_id is not null and expires_at > $3
                ))
            )
        order by user_id
        limit $6
        "#,
        topic,
        calendar,
        now + RENEWED_BEFORE,
        now - GMAIL_RENEWED_EVERY,
        after,
        BATCH,
    )
    .fetch_all(pool)
    .await
}

async fn forget_ended(pool: &PgPool, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from watches where expires_at < $1",
        now - TimeDelta::days(1)
    )
    .execute(pool)
    .await
    .map(drop)
}
