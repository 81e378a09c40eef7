//! Taking a grant back: forgotten at once, ended at the provider as soon as that answers.

use std::time::Duration;

use chrono::TimeDelta;
use futures::future::{BoxFuture, join_all};
use serde::Deserialize as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::connect::replaced;
use super::watches::{self, Channel};
use super::{Provider, account_hash, store};
use crate::db::UserScope;
use crate::ids;
use crate::live::Topic;
use crate::providers::caller::{Bearer, Credentials};
use crate::providers::{Error, Kind, google, hubspot};
use crate::secret::{Place, Secret};
use crate::state::App;
use crate::tasks::{Failure, OrFailure as _, Routine, RoutineContext};

/// A request waits so long for the provider; then the routine goes on.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Of which so much may go into stopping notifications.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);
/// A token that can't be revoked in this time is thrown away.
const OWED_FOR: TimeDelta = TimeDelta::hours(24);
const BATCH: i64 = 100;

const fn place(id: Uuid, provider: Provider) -> Place<'static> {
    Place {
        table: "revocations",
        column: "token",
        owner: id,
        provider: provider.name(),
    }
}

/// Forgets the user's grant: its tokens are gone from here when this returns, whatever the provider
/// says, and tasks that waited for it go on and find it gone. False when there was none.
pub async fn disconnect(app: &App, scope: &UserScope, provider: Provider) -> anyhow::Result<bool> {
    let mut tx = scope.begin(&app.pool).await?;
    let Some(forgotten) = store::forget(&mut tx, provider).await? else {
        return Ok(false);
    };
    let sealed_as = Place {
        table: "connections",
        column: "refresh_token",
        owner: scope.user_id().0,
        provider: provider.name(),
    };
    let channels = match provider {
        Provider::Google => watches::take(&mut tx).await?,
        Provider::HubSpot => Vec::new(),
    };
    // One that doesn't open can't be revoked by anybody.
    let token = app.keys.open(sealed_as, &forgotten.refresh_token).ok();
    let id = ids::next();
    if let Some(token) = &token {
        let sealed = app.keys.seal(place(id, provider), token);
        let account = account_hash(app, provider, &forgotten.account_id);
        let owed = (sealed.as_slice(), &serde_json::to_value(&channels)?);
        store::owe_revocation(&mut tx, id, provider, &account, owed, app.clock.now()).await?;
    }
    app.tasks
        .emit(&mut tx, &replaced(forgotten.id), &"disconnected")
        .await?;
    tx.commit().await?;
    app.tasks.wake();
    tell(app, scope, provider, "disconnected");
    if let Some(token) = token
        && let Ok(Ok(())) =
            tokio::time::timeout(AT_ONCE, end(app, provider, &token, &channels)).await
    {
        store::end_revocation(&app.pool, id).await?;
    }
    Ok(true)
}

pub(super) fn tell(app: &App, scope: &UserScope, provider: Provider, status: &str) {
    let data = json!({"connection": provider.name(), "status": status});
    app.live.tell(scope.user_id(), Topic::Ingest, data);
}

/// Stops what notifies through a grant, and then ends the grant. What can't be stopped doesn't keep it
/// alive: it ends by itself within a week.
async fn end(
    app: &App,
    provider: Provider,
    token: &Secret<String>,
    channels: &[Channel],
) -> Result<(), Error> {
    if !channels.is_empty() {
        match tokio::time::timeout(STOPPED_WITHIN, stop(app, token, channels)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(%error, "notifications could not be stopped"),
            Err(_) => tracing::info!("notifications could not be stopped in time"),
        }
    }
    revoke(app, provider, token).await
}

/// A token that is used for this and forgotten.
struct Last(Bearer);

impl Credentials for Last {
    fn bearer<'a>(&'a self, refused: Option<&'a Bearer>) -> BoxFuture<'a, Result<Bearer, Error>> {
        let dead = || Error::new(Kind::Unauthorized, "the grant has ended");
        let bearer = refused.map_or_else(|| Ok(self.0.clone()), |_| Err(dead()));
        Box::pin(std::future::ready(bearer))
    }

    fn dead<'a>(&'a self, _: &'a Bearer) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

async fn stop(app: &App, token: &Secret<String>, channels: &[Channel]) -> Result<(), Error> {
    let Some(google) = &app.google else {
        return Ok(());
    };
    let grant = google.oauth.refresh(token).await?;
    let last = Last(Bearer::new(&grant.access_token, "revoked")?);
    let stops = channels.iter().map(async |channel| {
        match (channel.what.as_str(), &channel.resource_id) {
            ("gmail", _) => google.gmail.stop(&last).await,
            (_, Some(resource_id)) => {
                let calendar = &google.calendar;
                calendar.stop(&last, &channel.id, resource_id).await
            }
            // Google never confirmed it.
            (_, None) => Ok(()),
        }
    });
    // Each for itself: one that fails keeps no other from being stopped.
    join_all(stops).await.into_iter().collect()
}

async fn revoke(app: &App, provider: Provider, token: &Secret<String>) -> Result<(), Error> {
    match provider {
        Provider::Google => match &app.google {
            Some(ours) => google::oauth::revoke(&app.http, &ours.settings.revoke_url, token).await,
            None => Ok(()),
        },
        Provider::HubSpot => match &app.hubspot {
            Some(ours) => {
                let settings = &ours.settings;
                hubspot::oauth::revoke(&app.http, &settings.api, &settings.client, token).await
            }
            None => Ok(()),
        },
    }
}

/// Revocations that a provider didn't take at once: tried every five minutes for a day.
pub struct RevokeOwed;

impl Routine<App> for RevokeOwed {
    const NAME: &'static str = "revoke_owed";
    const CRON: &'static str = "*/5 * * * *";

    async fn run(context: RoutineContext<App>) -> Result<Value, Failure> {
        let app = &context.app;
        let now = app.clock.now();
        let (mut revoked, mut given_up) = (0, 0);
        for owed in store::owed_revocations(&app.pool, BATCH).await.or_retry()? {
            let opened = Provider::named(&owed.provider).and_then(|provider| {
                let token = app.keys.open(place(owed.id, provider), &owed.token).ok()?;
                Some((provider, token))
            });
            let outcome = match &opened {
                Some((provider, token)) => {
                    let channels = Vec::deserialize(&owed.channels).unwrap_or_default();
                    end(app, *provider, token, &channels).await.map_err(Some)
                }
                None => Err(None),
            };
            match outcome {
                Ok(()) => revoked += 1,
                Err(Some(error)) if owed.created_at + OWED_FOR > now => {
                    tracing::info!(%error, provider = owed.provider, "a revocation is still owed");
                    continue;
                }
                Err(_) => {
                    given_up += 1;
                    tracing::warn!(provider = owed.provider, "a grant could not be revoked");
                }
            }
            store::end_revocation(&app.pool, owed.id).await.or_retry()?;
        }
        Ok(json!({"revoked": revoked, "given_up": given_up}))
    }
}
