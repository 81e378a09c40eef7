//! What a user has set: what of the mailbox is never imported, and which addresses are the user's own.
//!
//! Promises: what is stored is in the form in which it is compared (lower case, domains in ASCII, each
//! once). May not know: who acts upon a setting; a change of the scope of import is a task for
//! whoever imports.

mod check;
pub mod routes;
mod store;

use serde::{Deserialize, Serialize};

use crate::tasks::{Payload, Priority};

pub use store::{find, own_addresses};

/// A user's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Settings {
    pub import_scope: ImportScope,
    /// Addresses of the user's own beside those that sign-in and connections tell.
    pub own_addresses: Vec<String>,
}

/// What of the mailbox is never imported. What is newly left out disappears from search and answers;
/// what is taken back is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ImportScope {
    /// Labels of the mailbox, by name.
    pub labels: Vec<String>,
    pub never_senders: Vec<String>,
    /// Of senders; what stands below a domain is left out with it.
    pub never_domains: Vec<String>,
}

/// "This user has changed what is imported."
#[derive(Debug, Serialize, Deserialize)]
pub struct ScopeChanged {}

impl Payload for ScopeChanged {
    const KIND: &'static str = "apply_import_scope";
    // Somebody looks whether it has disappeared.
    const PRIORITY: Priority = Priority::Interactive;
}
