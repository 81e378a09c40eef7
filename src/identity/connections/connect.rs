//! Storing a grant that a user has just given, and taking one back.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disconnect::tell;
use super::{Provider, account_hash, store, watches};
use crate::db::UserScope;
use crate::ids;
use crate::providers::oauth;
use crate::secret::{Keyring, Place, Secret};
use crate::state::App;
use crate::tasks::{Enqueue, Payload, Priority};

/// "This user has connected this provider": what follows from it is `ingest`'s business.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connected {
    pub provider: Provider,
}

impl Payload for Connected {
    const KIND: &'static str = "connected";
    const PRIORITY: Priority = Priority::Ordinary;
}

/// A grant as it came from the provider.
pub struct NewConnection {
    pub provider: Provider,
    pub account: String,
    /// Google's subject; HubSpot's portal and user.
    pub account_id: String,
    /// What notifications name: the mailbox, the portal.
    pub realm: String,
    /// In the short form.
    pub scopes: Vec<String>,
    pub grant: oauth::Grant,
}

/// What came of storing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Stored,
    /// The account is another user's.
    InUse,
    /// None came, and none is stored.
    NoRefreshToken,
}

/// How long a token of this life is used: it is renewed a minute before its end, or sooner when it
/// lives shortly, so that none expires on the way and none is renewed at every call.
pub(super) fn used_for(life: Duration) -> TimeDelta {
    let used = life.saturating_sub((life / 4).min(Duration::from_secs(60)));
    TimeDelta::from_std(used).unwrap_or(TimeDelta::minutes(5))
}

/// The event that tasks wait for which need this grant.
pub(super) fn replaced(id: Uuid) -> String {
    format!("connection_replaced:{id}")
}

fn seal(
    keys: &Keyring,
    scope: &UserScope,
    provider: Provider,
    column: &str,
    token: &Secret<String>,
) -> Vec<u8> {
    let place = Place {
        table: "connections",
        column,
        owner: scope.user_id().0,
        provider: provider.name(),
    };
    keys.seal(place, token)
}

/// Stores the grant, wakes what waited for it, and queues what follows, in one transaction.
pub async fn connect(app: &App, scope: &UserScope, new: NewConnection) -> anyhow::Result<Outcome> {
    let (provider, keys, now) = (new.provider, &app.keys, app.clock.now());
    let mut tx = scope.begin(&app.pool).await?;
    let earlier = store::find(&mut tx, provider).await?;
    let refresh_token = match (&new.grant.refresh_token, &earlier) {
        (Some(token), _) => seal(keys, scope, provider, "refresh_token", token),
        // Not given again: the stored one lives on, of the same account at least.
        (None, Some(earlier)) if earlier.account == new.account => earlier.refresh_token.clone(),
        (None, _) => return Ok(Outcome::NoRefreshToken),
    };
    let access_token = seal(
        keys,
        scope,
        provider,
        "access_token",
        &new.grant.access_token,
    );
    let stored = store::put(
        &mut tx,
        &store::New {
            provider,
            id: ids::next(),
            account: &new.account,
            account_id: &new.account_id,
            realm: &new.realm,
            scopes: &new.scopes,
            access_token: &access_token,
            access_expires_at: now + used_for(new.grant.expires_in),
            refresh_token: &refresh_token,
            sealed_with: keys.current(),
            now,
        },
    )
    .await;
    match stored {
        Ok(()) => {}
        Err(sqlx::Error::Database(error))
            if error.constraint() == Some("connection_routes_account_key") =>
        {
            return Ok(Outcome::InUse);
        }
        Err(error) => return Err(error.into()),
    }
    // What is still owed from an earlier end would end this grant too: it is the same account's.
    let account = account_hash(app, provider, &new.account_id);
    store::forgive_revocations(&mut tx, &account).await?;
    if let Some(earlier) = earlier {
        // Another account's notifications aren't this one's.
        if provider == Provider::Google && earlier.account != new.account {
            watches::take(&mut tx).await?;
        }
        app.tasks
            .emit(&mut tx, &replaced(earlier.id), &"connected")
            .await?;
    }
    let once = Enqueue {
        unique_key: Some(provider.name().to_owned()),
        ..Enqueue::default()
    };
    app.tasks
        .enqueue(&mut tx, &Connected { provider }, once)
        .await?;
    tx.commit().await?;
    app.tasks.wake();
    tell(app, scope, provider, "connected");
    Ok(Outcome::Stored)
}
