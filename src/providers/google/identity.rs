//! Tokens that Google signs: who signed in, and (by the same keys, for another audience) who pushes.
//!
//! The same keys and issuer sign both, so an audience is always asked for. Keys come from the
//! configured URL alone: whatever a token says of where its key could be had is ignored. They are
//! kept as long as Google says; an unknown key id asks for them once more, a few times a minute for
//! everybody together. Times are checked against the system's clock, not the demo's.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::header::CACHE_CONTROL;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::providers::{Error, Kind, http};
use crate::telemetry::Metrics;

const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// Seconds that Google's clock and ours may be apart.
const LEEWAY_SECS: u64 = 60;
/// Google's live for an hour.
const LONGEST_LIFE_SECS: i64 = 24 * 3600;
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
const KEYS_LIMIT: usize = 256 * 1024;
/// Look-ups in a minute for keys that nobody knew: whoever forges tokens makes us ask no oftener.
const UNKNOWN_A_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
const DEFAULT_AGE: Duration = Duration::from_secs(3600);
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// What a token says, once it is checked.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Claims {
    /// The account's key; never reused. The address can change.
    pub sub: String,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub email_verified: Option<bool>,
    #[serde(default)]
    pub azp: Option<String>,
    #[serde(default)]
    pub nonce: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub picture: Option<String>,
    iat: i64,
    exp: i64,
}

/// Why a token isn't taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Forged, expired, or for somebody else: which, for the log.
    #[error("the token is refused: {0}")]
    Invalid(&'static str),
    /// It can't be judged now.
    #[error("Google's keys can't be had")]
    NoKeys(#[source] Error),
}

#[derive(Default)]
struct Cached {
    keys: HashMap<String, DecodingKey>,
    /// Until then they are used without asking.
    good_until: Option<Instant>,
}

/// Checks tokens against the keys at one URL; cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    http: reqwest::Client,
    metrics: Metrics,
    keys_url: Url,
    cached: Arc<Mutex<Cached>>,
    unknown: Arc<DefaultDirectRateLimiter>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<PublicKey>,
}

/// Of kinds other than RSA, nothing is read but that they aren't.
#[derive(Deserialize)]
struct PublicKey {
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    kty: String,
    #[serde(default, rename = "use")]
    used_for: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
}

impl Verifier {
    pub fn new(http: reqwest::Client, metrics: Metrics, keys_url: Url) -> Self {
        Self {
            http,
            metrics,
            keys_url,
            cached: Arc::default(),
            unknown: Arc::new(RateLimiter::direct(Quota::per_minute(UNKNOWN_A_MINUTE))),
        }
    }

    /// Checks signature, issuer, audience and times. Nonce and address are the caller's to compare.
    pub async fn verify(&self, token: &str, audience: &str) -> Result<Claims, Refused> {
        let kid = key_id(token)?;
        let key = self.key(&kid).await?;
        judge(token, audience, &key)
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, Refused> {
        // Held over the call on purpose: all who need the keys wait for the one who fetches them.
        let mut cached = self.cached.lock().await;
        let now = Instant::now();
        let fresh = cached.good_until.is_some_and(|until| now < until);
        let known = cached.keys.get(kid).cloned();
        if let (true, Some(key)) = (fresh, &known) {
            return Ok(key.clone());
        }
        if !fresh || self.unknown.check().is_ok() {
            match self.fetch().await {
                Ok((keys, age)) => {
                    cached.keys = keys;
                    cached.good_until = Some(Instant::now() + age);
                }
                // Keys that were good a moment ago are better than none; an unknown one can't be judged.
                Err(error) => return known.ok_or(Refused::NoKeys(error)),
            }
        }
        cached
            .keys
            .get(kid)
            .cloned()
            .ok_or(Refused::Invalid("an unknown key"))
    }

    async fn fetch(&self) -> Result<(HashMap<String, DecodingKey>, Duration), Error> {
        let started = Instant::now();
        let result = tokio::time::timeout(FETCH_TIMEOUT, self.fetch_once())
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "no answer in time")));
        let outcome = result.as_ref().map_or_else(|e| e.kind.label(), |_| "ok");
        self.metrics
            .provider_request("google", "certs", outcome, started.elapsed());
        result
    }

    async fn fetch_once(&self) -> Result<(HashMap<String, DecodingKey>, Duration), Error> {
        let request = self.http.get(self.keys_url.clone());
        let response = request.send().await.map_err(http::transport)?;
        if !response.status().is_success() {
            return Err(Error::new(
                Kind::Unavailable,
                format!("status {}", response.status().as_u16()),
            ));
        }
        let age = response
            .headers()
            .get(CACHE_CONTROL)
            .and_then(|value| max_age(value.to_str().ok()?))
            .unwrap_or(DEFAULT_AGE)
            .min(LONGEST_AGE);
        let body = http::body_within(response, KEYS_LIMIT).await?;
        let set: KeySet = serde_json::from_slice(&body)
            .map_err(|_| Error::new(Kind::Nonsense, "the keys aren't a key set"))?;
        Ok((set.keys.into_iter().filter_map(usable).collect(), age))
    }
}

/// Which key a token says that it is signed with, if it is one that may be.
pub fn key_id(token: &str) -> Result<String, Refused> {
    let header = decode_header(token).map_err(|_| Refused::Invalid("not a token"))?;
    if header.alg != Algorithm::RS256 {
        return Err(Refused::Invalid("another algorithm"));
    }
    // RFC 7515, 4.1.11: what must be understood and isn't is refused.
    if demands_more(token) {
        return Err(Refused::Invalid("a demand that nobody knows"));
    }
    header.kid.ok_or(Refused::Invalid("no key id"))
}

fn usable(key: PublicKey) -> Option<(String, DecodingKey)> {
    if key.kty != "RSA" || key.used_for.is_some_and(|used_for| used_for != "sig") {
        return None;
    }
    let decoding = DecodingKey::from_rsa_components(&key.n?, &key.e?).ok()?;
    Some((key.kid?, decoding))
}

/// Whether the header has extensions that must be understood.
fn demands_more(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    URL_SAFE_NO_PAD
        .decode(header)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .is_none_or(|header| header.get("crit").is_some())
}

fn max_age(header: &str) -> Option<Duration> {
    header
        .split(',')
        .find_map(|part| part.trim().strip_prefix("max-age="))?
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// Whether a token is signed with this key, for this audience, and good now.
pub fn judge(token: &str, audience: &str, key: &DecodingKey) -> Result<Claims, Refused> {
    use jsonwebtoken::errors::ErrorKind;
    let mut rules = Validation::new(Algorithm::RS256);
    rules.leeway = LEEWAY_SECS;
    rules.set_issuer(&ISSUERS);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = decode::<Claims>(token, key, &rules)
        .map_err(|error| {
            Refused::Invalid(match error.kind() {
                ErrorKind::InvalidSignature => "a wrong signature",
                ErrorKind::ExpiredSignature => "expired",
                ErrorKind::InvalidIssuer => "another issuer",
                ErrorKind::InvalidAudience => "another audience",
                _ => "claims are missing or malformed",
            })
        })?
        .claims;
    let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap_or(i64::MAX);
    let leeway = i64::try_from(LEEWAY_SECS).unwrap_or(0);
    if claims.iat > now.saturating_add(leeway) {
        return Err(Refused::Invalid("from the future"));
    }
    if claims.exp <= claims.iat {
        return Err(Refused::Invalid("it ends before it begins"));
    }
    if claims.exp.saturating_sub(claims.iat) > LONGEST_LIFE_SECS {
        return Err(Refused::Invalid("it lives too long"));
    }
    if claims.sub.is_empty() || claims.sub.len() > 255 {
        return Err(Refused::Invalid("no subject"));
    }
    Ok(claims)
}
