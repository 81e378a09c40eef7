//! HubSpot: connecting an account, its tokens, and its records.

pub mod crm;
mod error;
pub mod oauth;
pub mod signature;

use crate::config;
use crate::telemetry::Metrics;

use super::caller::Pace;
use super::oauth::Server;

/// The dated version of HubSpot's API that we speak; it is supported for 18 months.
pub const VERSION: &str = "2026-03";

/// Our client at HubSpot.
pub struct HubSpot {
    pub settings: config::HubSpot,
    pub oauth: Server,
    pub crm: crm::Crm,
}

impl HubSpot {
    pub fn new(http: &reqwest::Client, metrics: &Metrics, settings: &config::HubSpot) -> Self {
        Self {
            oauth: Server::new(
                "hubspot",
                http.clone(),
                metrics.clone(),
                &settings.client,
                settings.auth_url.clone(),
                oauth::token_url(&settings.api),
            ),
            crm: crm::Crm::new(
                http.clone(),
                metrics.clone(),
                settings.api.clone(),
                // HubSpot counts in windows of ten seconds.
                Pace::per_minute(settings.calls_per_minute, 6),
                // Five a second over all of an account's apps.
                Pace::per_minute(settings.searches_per_minute, 60),
            ),
            settings: settings.clone(),
        }
    }
}
