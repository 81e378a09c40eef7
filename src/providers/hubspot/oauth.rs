//! HubSpot's tokens: which account one is for, and its end.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::VERSION;
use crate::config::OAuthClient;
use crate::providers::{Error, Kind, http};
use crate::secret::Secret;

/// Must be exactly the app's required ones. Notes use those of contacts.
pub const SCOPES: [&str; 3] = ["oauth", CONTACTS_READ, CONTACTS_WRITE];
pub const CONTACTS_READ: &str = "crm.objects.contacts.read";
pub const CONTACTS_WRITE: &str = "crm.objects.contacts.write";
/// Asked for as optional: dropped silently where the account's plan lacks it.
pub const DEALS_READ: &str = "crm.objects.deals.read";

const TIME_LIMIT: Duration = Duration::from_secs(10);
const REPLY_LIMIT: usize = 256 * 1024;

/// Where codes and refresh tokens are exchanged.
pub fn token_url(api: &Url) -> Url {
    at(api, "token")
}

fn at(api: &Url, what: &str) -> Url {
    let mut url = api.clone();
    url.set_path(&format!("oauth/{VERSION}/{what}"));
    url
}

/// Which account a token is for.
#[derive(Debug, Default, Deserialize)]
pub struct Account {
    #[serde(default)]
    pub hub_id: Option<serde_json::Number>,
    #[serde(default)]
    pub hub_domain: Option<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// Asks which account an access token is for: replies to exchanges needn't say.
pub async fn introspect(
    client: &reqwest::Client,
    api: &Url,
    ours: &OAuthClient,
    token: &Secret<String>,
) -> Result<Account, Error> {
    let response = post(
        client,
        at(api, "token/introspect"),
        ours,
        token,
        "access_token",
    )
    .await?;
    if !response.status().is_success() {
        return Err(http::refused(&response));
    }
    let body = http::body_within(response, REPLY_LIMIT).await?;
    serde_json::from_slice(&body)
        .map_err(|_| Error::new(Kind::Nonsense, "the reply tells no account"))
}

/// Ends a refresh token. One that is dead already is fine.
pub async fn revoke(
    client: &reqwest::Client,
    api: &Url,
    ours: &OAuthClient,
    token: &Secret<String>,
) -> Result<(), Error> {
    let response = post(
        client,
        at(api, "token/revoke"),
        ours,
        token,
        "refresh_token",
    )
    .await?;
    match response.status().as_u16() {
        200..=299 | 400 | 404 => Ok(()),
        _ => Err(http::refused(&response)),
    }
}

async fn post(
    client: &reqwest::Client,
    url: Url,
    ours: &OAuthClient,
    token: &Secret<String>,
    kind: &str,
) -> Result<reqwest::Response, Error> {
    let form = [
        ("client_id", ours.client_id.as_str()),
        ("client_secret", ours.client_secret.expose()),
        ("token", token.expose()),
        ("token_type_hint", kind),
    ];
    let request = client.post(url).timeout(TIME_LIMIT).form(&form);
    request.send().await.map_err(http::transport)
}
