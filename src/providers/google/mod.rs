//! Google: sign-in and tokens, mail, calendars.
//!
//! [`oauth`] exchanges and revokes, [`identity`] checks what Google signed; [`gmail`] and
//! [`calendar`] call with a user's grant.

pub mod calendar;
mod error;
pub mod gmail;
pub mod identity;
pub mod oauth;

use crate::config;
use crate::telemetry::Metrics;

use super::caller::Pace;
use super::oauth::Server;

/// Our client at Google.
pub struct Google {
    pub settings: config::Google,
    pub oauth: Server,
    pub identity: identity::Verifier,
    pub gmail: gmail::Gmail,
    pub calendar: calendar::Calendar,
}

impl Google {
    pub fn new(http: &reqwest::Client, metrics: &Metrics, settings: &config::Google) -> Self {
        Self {
            oauth: Server::new(
                "google",
                http.clone(),
                metrics.clone(),
                &settings.client,
                settings.auth_url.clone(),
                settings.token_url.clone(),
            ),
            identity: identity::Verifier::new(
                http.clone(),
                metrics.clone(),
                settings.jwks_url.clone(),
            ),
            gmail: gmail::Gmail::new(
                http.clone(),
                metrics.clone(),
                settings.gmail_api.clone(),
                Pace::per_minute(settings.gmail_units_per_minute, 10),
            ),
            calendar: calendar::Calendar::new(
                http.clone(),
                metrics.clone(),
                settings.calendar_api.clone(),
                Pace::per_minute(settings.calendar_calls_per_minute, 10),
            ),
            settings: settings.clone(),
        }
    }
}
