//! What a connection is good for: each feature needs a scope, which the user may have unticked.

use serde::Serialize;

use super::Provider;
use crate::providers::{google, hubspot};

/// Something that works through a connection, or doesn't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Feature {
    /// Notes go with contacts.
    #[schema(value_type = FeatureName)]
    pub name: &'static str,
    pub on: bool,
    /// Why it is off: with `scope_missing`, connect again and leave it ticked.
    #[schema(value_type = Option<WhyOff>)]
    pub why: Option<&'static str>,
    /// The scope that it needs.
    pub scope: &'static str,
}

/// What works through a connection.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
pub enum FeatureName {
    Mail,
    Calendar,
    FreeBusy,
    Contacts,
    WriteContacts,
    Deals,
}

/// Why something doesn't work.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the contract")]
pub enum WhyOff {
    ScopeMissing,
    NeedsReauth,
}

/// Each feature of a provider with the scope that it needs.
const fn needs(provider: Provider) -> &'static [(&'static str, &'static str)] {
    match provider {
        Provider::Google => &[
            ("mail", google::oauth::GMAIL_MODIFY),
            ("calendar", google::oauth::CALENDAR_EVENTS),
            ("free_busy", google::oauth::CALENDAR_FREEBUSY),
        ],
        Provider::HubSpot => &[
            ("contacts", hubspot::oauth::CONTACTS_READ),
            ("write_contacts", hubspot::oauth::CONTACTS_WRITE),
            ("deals", hubspot::oauth::DEALS_READ),
        ],
    }
}

/// What these scopes are good for.
pub(super) fn of(provider: Provider, scopes: &[String], is_connected: bool) -> Vec<Feature> {
    needs(provider)
        .iter()
        .map(|&(name, scope)| {
            let granted = scopes.iter().any(|granted| granted == scope);
            let why = match (granted, is_connected) {
                (true, true) => None,
                (false, _) => Some("scope_missing"),
                (true, false) => Some("needs_reauth"),
            };
            Feature {
                name,
                on: why.is_none(),
                why,
                scope,
            }
        })
        .collect()
}
