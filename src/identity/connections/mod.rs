//! A user's grants at Google and HubSpot: kept sealed, refreshed once at a time, given up only when
//! the provider says that they are dead.
//!
//! Promises: a token is readable only while it is used; of all who find an access token expired, in
//! this process or another, one asks for a new one; a network error never costs a token; a stored
//! refresh token is replaced by another and never by nothing; a dead grant is `needs_reauth`, which
//! the user sees, and tasks that need it wait without spending attempts ([`Grant::or_wait`]). Begin with
//! [`Grant`], which is what provider clients call with.

mod connect;
mod disconnect;
mod features;
mod grant;
mod reseal;
pub mod routes;
mod store;
pub mod watches;

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sqlx::PgPool;

use crate::db::{Scoped, UserId, UserScope};
use crate::secret::derive;
use crate::state::App;

pub use connect::{Connected, NewConnection, Outcome, connect};
pub use disconnect::{RevokeOwed, disconnect};
pub use features::Feature;
pub use grant::Grant;
pub use reseal::{Reseal, reseal_at_start};
pub use watches::{KeepWatches, RenewWatches};

/// Whose grant it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Google,
    #[serde(rename = "hubspot")]
    HubSpot,
}

impl Provider {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::HubSpot => "hubspot",
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "google" => Some(Self::Google),
            "hubspot" => Some(Self::HubSpot),
            _ => None,
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a user sees of a grant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Connection {
    #[schema(value_type = Provider)]
    pub provider: String,
    /// The mailbox, or the HubSpot account.
    pub account: String,
    /// What was granted; what is missing here was unticked, and what needs it is off.
    pub scopes: Vec<String>,
    #[schema(value_type = ConnectionStatus)]
    pub status: String,
    /// Why it needs the user, as a code.
    pub problem: Option<String>,
    /// What works through it, and what doesn't and why.
    pub features: Vec<Feature>,
    pub connected_at: DateTime<Utc>,
}

/// Whether a connection works.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ConnectionStatus {
    Connected,
    NeedsReauth,
}

impl Connection {
    fn of(row: store::Listed) -> Self {
        let features = Provider::named(&row.provider)
            .map(|provider| features::of(provider, &row.scopes, row.status == "connected"));
        Self {
            provider: row.provider,
            account: row.account,
            scopes: row.scopes,
            status: row.status,
            problem: row.problem,
            features: features.unwrap_or_default(),
            connected_at: row.connected_at,
        }
    }

    pub fn is_connected(&self) -> bool {
        self.status == "connected"
    }

    pub fn grants(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// There is no grant: the user has never given one, or has taken it back.
#[derive(Debug, thiserror::Error)]
#[error("{0} isn't connected")]
pub struct NotConnected(pub Provider);

/// All of a user's.
pub async fn list(app: &App, scope: &UserScope) -> Result<Vec<Connection>, sqlx::Error> {
    let mut tx = scope.begin(&app.pool).await?;
    let connections = list_within(&mut tx).await?;
    tx.commit().await?;
    Ok(connections)
}

/// All of a user's, within the caller's transaction.
pub async fn list_within(tx: &mut Scoped) -> Result<Vec<Connection>, sqlx::Error> {
    let rows = store::list(tx).await?;
    Ok(rows.into_iter().map(Connection::of).collect())
}

/// One of a user's.
pub async fn find(
    app: &App,
    scope: &UserScope,
    provider: Provider,
) -> Result<Option<Connection>, sqlx::Error> {
    let all = list(app, scope).await?;
    Ok(all
        .into_iter()
        .find(|connection| connection.provider == provider.name()))
}

/// Names an account where nobody should read it.
fn account_hash(app: &App, provider: Provider, account_id: &str) -> Vec<u8> {
    let key = derive(&app.secret_key, "accounts to be revoked");
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("any length is a key");
    mac.update(provider.name().as_bytes());
    mac.update(b":");
    mac.update(account_id.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whose mailboxes or portals notifications are about, by mailbox or portal, before anybody's scope is
/// known.
pub async fn users_of_realms(
    pool: &PgPool,
    provider: Provider,
    realms: &[String],
) -> Result<HashMap<String, Vec<UserId>>, sqlx::Error> {
    let mut by_realm: HashMap<String, Vec<UserId>> = HashMap::new();
    for (realm, user_id) in store::users_of_realms(pool, provider, realms).await? {
        by_realm.entry(realm).or_default().push(user_id);
    }
    Ok(by_realm)
}

/// A few of those who have connected something, for whoever operates the program.
pub async fn some_users(pool: &PgPool) -> Result<Vec<UserId>, sqlx::Error> {
    store::some_users(pool).await
}

/// Whose account this is, before anybody's scope is known.
pub async fn user_of(
    pool: &PgPool,
    provider: Provider,
    account_id: &str,
) -> Result<Option<UserId>, sqlx::Error> {
    store::user_of(pool, provider, account_id).await
}
