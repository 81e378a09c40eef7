//! Google's sign-in and tokens.

use url::Url;

use crate::providers::{Error, http};
use crate::secret::Secret;

/// What is asked for at sign-in.
pub const SCOPES: [&str; 6] = [
    "openid",
    "email",
    "profile",
    GMAIL_MODIFY,
    CALENDAR_EVENTS,
    CALENDAR_FREEBUSY,
];
/// Reading, drafting and sending mail.
pub const GMAIL_MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
/// Reading and changing events.
pub const CALENDAR_EVENTS: &str = "https://www.googleapis.com/auth/calendar.events";
/// Seeing when somebody is busy, which `CALENDAR_EVENTS` doesn't give.
pub const CALENDAR_FREEBUSY: &str = "https://www.googleapis.com/auth/calendar.freebusy";

/// A scope in the short form that was asked for, where Google's reply has the long one.
pub fn short(scope: &str) -> &str {
    match scope {
        "https://www.googleapis.com/auth/userinfo.email" => "email",
        "https://www.googleapis.com/auth/userinfo.profile" => "profile",
        other => other,
    }
}

/// Ends the whole grant that a token belongs to. A token that is dead already is fine.
pub async fn revoke(
    http: &reqwest::Client,
    revoke_url: &Url,
    token: &Secret<String>,
) -> Result<(), Error> {
    let request = http
        .post(revoke_url.clone())
        .timeout(std::time::Duration::from_secs(10))
        .form(&[("token", token.expose())]);
    let response = request.send().await.map_err(http::transport)?;
    match response.status().as_u16() {
        200..=299 | 400 => Ok(()),
        _ => Err(http::refused(&response)),
    }
}

/// What is known of a redirect that came back: the issuer, where it is sent (RFC 9207).
pub fn is_issuer(issuer: &str, authorize_url: &Url) -> bool {
    issuer == "https://accounts.google.com"
        || issuer.trim_end_matches('/') == authorize_url.origin().ascii_serialization()
}
