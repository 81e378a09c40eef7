//! The settings of Google, HubSpot and the keys that seal their tokens.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;
use zeroize::Zeroizing;

use super::read::{Reader, is_local};
use super::{Environment, GmailPush, Google, HubSpot, OAuthClient};
use crate::secret::{Key, Secret};

impl Reader<'_> {
    /// Both or neither; one alone is named.
    fn client(&mut self, id: &'static str, secret: &'static str) -> Option<OAuthClient> {
        match (self.string(id), self.secret(secret)) {
            (Some(client_id), Some(client_secret)) => Some(OAuthClient {
                client_id,
                client_secret,
            }),
            (Some(_), None) => {
                self.refuse(secret, format!("is missing beside {id}"));
                None
            }
            (None, Some(_)) => {
                self.refuse(id, format!("is missing beside {secret}"));
                None
            }
            (None, None) => None,
        }
    }

    /// A provider's address: the real one unless it is set; never in the clear over a network.
    fn address(&mut self, name: &'static str, real: &str, environment: Environment) -> Url {
        let url = self.http_url(name);
        if environment == Environment::Production
            && url.as_ref().is_some_and(|url| {
                url.scheme() == "http" && !url.host().is_some_and(|host| is_local(&host))
            })
        {
            self.refuse(name, "must be https in production");
        }
        url.unwrap_or_else(|| Url::parse(real).expect("a literal URL"))
    }

    /// What may be had in a minute; `0` is no limit.
    pub(super) fn pace(&mut self, name: &'static str, default: u64) -> Option<NonZeroU32> {
        let units = self.number(name, default, (0, 10_000_000));
        u32::try_from(units).ok().and_then(NonZeroU32::new)
    }

    /// All three or none; what is missing is named.
    fn gmail_push(&mut self) -> Option<GmailPush> {
        let topic = self.string("GMAIL_PUBSUB_TOPIC");
        let audience = self.string("GMAIL_PUSH_AUDIENCE");
        let service_account = self.string("GMAIL_PUSH_SERVICE_ACCOUNT");
        let missing = [
            ("GMAIL_PUBSUB_TOPIC", topic.is_none()),
            ("GMAIL_PUSH_AUDIENCE", audience.is_none()),
            ("GMAIL_PUSH_SERVICE_ACCOUNT", service_account.is_none()),
        ];
        if missing.iter().any(|(_, missing)| !missing) {
            for (name, _) in missing.iter().filter(|(_, missing)| *missing) {
                self.refuse(name, "is missing beside the other settings of Gmail's push");
            }
        }
        Some(GmailPush {
            topic: topic?,
            audience: audience?,
            service_account: service_account?,
        })
    }

    pub(super) fn google(&mut self, environment: Environment) -> Option<Google> {
        let client = self.client("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET");
        // Google's own limits for a user are 6,000 units and 600 calls; the rest is for what users do.
        let gmail_units_per_minute = self.pace("GMAIL_UNITS_PER_MINUTE", 4_500);
        let calendar_calls_per_minute = self.pace("CALENDAR_CALLS_PER_MINUTE", 450);
        let push = self.gmail_push();
        let mut address = |name, real| self.address(name, real, environment);
        let google = Google {
            push,
            gmail_units_per_minute,
            calendar_calls_per_minute,
            auth_url: address(
                "GOOGLE_AUTH_URL",
                "https://accounts.google.com/o/oauth2/v2/auth",
            ),
            token_url: address("GOOGLE_TOKEN_URL", "https://oauth2.googleapis.com/token"),
            revoke_url: address("GOOGLE_REVOKE_URL", "https://oauth2.googleapis.com/revoke"),
            jwks_url: address(
                "GOOGLE_JWKS_URL",
                "https://www.googleapis.com/oauth2/v3/certs",
            ),
            gmail_api: address("GMAIL_API_URL", "https://gmail.googleapis.com"),
            calendar_api: address("CALENDAR_API_URL", "https://www.googleapis.com"),
            client: client?,
        };
        Some(google)
    }

    pub(super) fn hubspot(&mut self, environment: Environment) -> Option<HubSpot> {
        let client = self.client("HUBSPOT_CLIENT_ID", "HUBSPOT_CLIENT_SECRET");
        let app_id = self.parsed("HUBSPOT_APP_ID", |text| {
            text.parse()
                .map_err(|_| "must be the number that HubSpot gave to the app".to_owned())
        });
        // HubSpot's are 110 calls in ten seconds, and five searches a second.
        let calls_per_minute = self.pace("HUBSPOT_CALLS_PER_MINUTE", 540);
        let searches_per_minute = self.pace("HUBSPOT_SEARCHES_PER_MINUTE", 240);
        let allow_legacy_signatures = self
            .flag("HUBSPOT_ALLOW_LEGACY_SIGNATURES")
            .unwrap_or(false);
        let mut address = |name, real| self.address(name, real, environment);
        let hubspot = HubSpot {
            app_id,
            calls_per_minute,
            searches_per_minute,
            allow_legacy_signatures,
            auth_url: address(
                "HUBSPOT_AUTH_URL",
                "https://app.hubspot.com/oauth/authorize",
            ),
            api: address("HUBSPOT_API_URL", "https://api.hubapi.com"),
            client: client?,
        };
        Some(hubspot)
    }

    pub(super) fn token_keys(&mut self) -> Vec<(String, Key)> {
        self.parsed("TOKEN_ENCRYPTION_KEYS", |text| {
            text.split(',')
                .map(|pair| named_key(pair.trim()))
                .collect::<Option<Vec<_>>>()
                .filter(|keys| {
                    let ids = keys.iter().map(|(id, _)| id);
                    ids.collect::<std::collections::BTreeSet<_>>().len() == keys.len()
                })
                .ok_or_else(|| {
                    "must be id:base64 pairs of 32-byte keys with different ids, parted by commas"
                        .to_owned()
                })
        })
        .unwrap_or_default()
    }
}

fn named_key(text: &str) -> Option<(String, Key)> {
    let (id, key) = text.split_once(':')?;
    let key = Zeroizing::new(STANDARD.decode(key).ok()?);
    let key: [u8; 32] = key.as_slice().try_into().ok()?;
    (!id.is_empty() && id.len() <= 32).then(|| (id.to_owned(), Secret::new(key)))
}
