//! The way to an access token.

use std::time::Duration;

use anyhow::anyhow;
use chrono::TimeDelta;
use futures::future::BoxFuture;
use serde_json::json;
use uuid::Uuid;

use super::connect::{replaced, used_for};
use super::disconnect::tell;
use super::{NotConnected, Provider, store};
use crate::db::UserScope;
use crate::providers::caller::{Bearer, Credentials};
use crate::providers::{Error, Kind, oauth};
use crate::secret::{Place, Secret};
use crate::state::App;
use crate::tasks::{Context, Failure, OrFailure as _};

/// How long one may take to ask the provider, before another asks: above the client's own limit.
const LEASE_SECS: f64 = 15.0;
/// How long we wait for somebody else's asking.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Who is asked to slow down, after several tries, does.
const RESPITE: Duration = Duration::from_secs(30);
/// How long a task waits for its user to connect again.
const WAIT: TimeDelta = TimeDelta::days(90);

/// A user's grant at a provider: the [`Credentials`] of that user's calls there.
pub struct Grant {
    app: App,
    scope: UserScope,
    provider: Provider,
}

impl Grant {
    pub fn new(app: &App, scope: UserScope, provider: Provider) -> Self {
        Self {
            app: app.clone(),
            scope,
            provider,
        }
    }

    fn place(&self, column: &'static str) -> Place<'static> {
        Place {
            table: "connections",
            column,
            owner: self.scope.user_id().0,
            provider: self.provider.name(),
        }
    }

    /// A live access token other than the refused one: the stored one while it is good, or a new one.
    async fn token(&self, refused: Option<&Bearer>) -> Result<Bearer, Error> {
        let started = tokio::time::Instant::now();
        loop {
            let row = self.row().await?;
            if let Some(bearer) = self.stored(&row).await?
                && refused.is_none_or(|refused| !refused.is(&bearer))
            {
                return Ok(bearer);
            }
            if self.begin(row.id).await? {
                return self.refresh(&row).await;
            }
            // Somebody else asks: their answer is ours.
            if started.elapsed() > PATIENCE {
                return Err(Error::new(Kind::Unavailable, "a new token takes too long"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What follows for a task from a call that failed: a dead grant makes it wait for the user
    /// without spending an attempt, and a passing trouble is waited out.
    pub async fn or_wait<S: Send + Sync, T>(
        &self,
        context: &Context<S>,
        result: Result<T, Error>,
    ) -> Result<T, Failure> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match error.kind {
            Kind::Unauthorized => Err(self.wait(context).await?),
            Kind::RateLimited {
                retry_after: Some(pause),
            } => Err(Failure::Again(pause.max(RESPITE))),
            // A reply that makes no sense is somebody's error page, mostly.
            kind if kind.is_passing() || kind == Kind::Nonsense => {
                Err(Failure::Retry(error.into()))
            }
            _ => Err(Failure::Fail(error.into())),
        }
    }

    async fn wait<S: Send + Sync>(&self, context: &Context<S>) -> Result<Failure, Failure> {
        let mut tx = self.scope.begin(&self.app.pool).await.or_retry()?;
        let row = store::find(&mut tx, self.provider).await.or_retry()?;
        tx.commit().await.or_retry()?;
        let name = self.provider.name();
        let Some(row) = row else {
            return Ok(Failure::Fail(NotConnected(self.provider).into()));
        };
        if row.status == "connected" {
            // Connected anew since the call.
            return Ok(Failure::Again(Duration::from_secs(1)));
        }
        let until = self.app.clock.now() + WAIT;
        let shown = json!({"connection": name, "until": until});
        context
            .wait(
                &format!("grant:{}", row.id),
                vec![replaced(row.id)],
                until,
                Some(shown),
            )
            .await?;
        // Awake, and it is still the same dead grant: nobody came.
        Ok(Failure::Fail(anyhow!("{name} was not connected again")))
    }

    async fn row(&self) -> Result<store::Row, Error> {
        let mut tx = self
            .scope
            .begin(&self.app.pool)
            .await
            .map_err(|error| database(&error))?;
        let row = store::find(&mut tx, self.provider)
            .await
            .map_err(|error| database(&error))?;
        tx.commit().await.map_err(|error| database(&error))?;
        row.filter(|row| row.status == "connected")
            .ok_or_else(|| Error::new(Kind::Unauthorized, "not connected"))
    }

    async fn stored(&self, row: &store::Row) -> Result<Option<Bearer>, Error> {
        let (Some(sealed), Some(expires_at)) = (&row.access_token, row.access_expires_at) else {
            return Ok(None);
        };
        if expires_at <= self.app.clock.now() {
            return Ok(None);
        }
        let token = self.open(row.id, "access_token", sealed).await?;
        Bearer::new(&token, &row.account).map(Some)
    }

    async fn open(
        &self,
        id: Uuid,
        column: &'static str,
        sealed: &[u8],
    ) -> Result<Secret<String>, Error> {
        match self.app.keys.open(self.place(column), sealed) {
            Ok(token) => Ok(token),
            Err(_) => {
                self.lost(id, "token_unreadable").await?;
                Err(Error::new(
                    Kind::Unauthorized,
                    "the stored token can't be opened",
                ))
            }
        }
    }

    async fn begin(&self, id: Uuid) -> Result<bool, Error> {
        let mut tx = self
            .scope
            .begin(&self.app.pool)
            .await
            .map_err(|error| database(&error))?;
        let begun = store::begin_refresh(&mut tx, id, LEASE_SECS)
            .await
            .map_err(|error| database(&error))?;
        tx.commit().await.map_err(|error| database(&error))?;
        Ok(begun)
    }

    /// Asks the provider. The row may have changed between reading and leasing it, so it is read again.
    async fn refresh(&self, before: &store::Row) -> Result<Bearer, Error> {
        let row = self.row().await?;
        if row.access_token != before.access_token
            && let Some(bearer) = self.stored(&row).await?
        {
            self.give_up(row.id).await?;
            return Ok(bearer);
        }
        let refresh_token = self
            .open(row.id, "refresh_token", &row.refresh_token)
            .await?;
        let server = match self.provider {
            Provider::Google => self.app.google.as_ref().map(|google| &google.oauth),
            Provider::HubSpot => self.app.hubspot.as_ref().map(|hubspot| &hubspot.oauth),
        };
        let Some(server) = server else {
            self.give_up(row.id).await?;
            return Err(Error::new(Kind::Unavailable, "no client is configured"));
        };
        match server.refresh(&refresh_token).await {
            Ok(grant) => self.keep(&row, grant).await,
            Err(error) if error.kind == Kind::Unauthorized => {
                self.lost(row.id, "revoked").await?;
                Err(error)
            }
            Err(error) => {
                self.give_up(row.id).await?;
                Err(error)
            }
        }
    }

    /// Stored before it is used: a refresh token that was replaced at the provider must not be lost.
    async fn keep(&self, row: &store::Row, grant: oauth::Grant) -> Result<Bearer, Error> {
        let bearer = Bearer::new(&grant.access_token, &row.account)?;
        let keys = &self.app.keys;
        let access = keys.seal(self.place("access_token"), &grant.access_token);
        let refresh = grant
            .refresh_token
            .as_ref()
            .map(|token| keys.seal(self.place("refresh_token"), token));
        let mut tx = self
            .scope
            .begin(&self.app.pool)
            .await
            .map_err(|error| database(&error))?;
        let expires_at = self.app.clock.now() + used_for(grant.expires_in);
        let sealed_with = keys.current();
        store::end_refresh(
            &mut tx,
            row.id,
            &access,
            expires_at,
            refresh.as_deref(),
            sealed_with,
        )
        .await
        .map_err(|error| database(&error))?;
        tx.commit().await.map_err(|error| database(&error))?;
        Ok(bearer)
    }

    async fn give_up(&self, id: Uuid) -> Result<(), Error> {
        let mut tx = self
            .scope
            .begin(&self.app.pool)
            .await
            .map_err(|error| database(&error))?;
        store::give_up_refresh(&mut tx, id)
            .await
            .map_err(|error| database(&error))?;
        tx.commit().await.map_err(|error| database(&error))
    }

    async fn lost(&self, id: Uuid, problem: &'static str) -> Result<(), Error> {
        let mut tx = self
            .scope
            .begin(&self.app.pool)
            .await
            .map_err(|error| database(&error))?;
        let changed = store::needs_reauth(&mut tx, id, problem)
            .await
            .map_err(|error| database(&error))?;
        tx.commit().await.map_err(|error| database(&error))?;
        if changed {
            tell(&self.app, &self.scope, self.provider, "needs_reauth");
            tracing::warn!(
                provider = self.provider.name(),
                user_id = %self.scope.user_id().0,
                problem,
                "a connection needs its user"
            );
        }
        Ok(())
    }
}

impl Credentials for Grant {
    fn bearer<'a>(&'a self, refused: Option<&'a Bearer>) -> BoxFuture<'a, Result<Bearer, Error>> {
        Box::pin(self.token(refused))
    }

    fn dead<'a>(&'a self, token: &'a Bearer) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let row = self.row().await?;
            // Another may have been stored meanwhile: by another process, or by the user.
            match self.stored(&row).await? {
                Some(stored) if stored.is(token) => self.lost(row.id, "refused").await,
                _ => Ok(()),
            }
        })
    }
}

fn database(error: &sqlx::Error) -> Error {
    Error::new(Kind::Unavailable, format!("the database: {error}"))
}
