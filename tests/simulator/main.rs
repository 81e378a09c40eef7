//! The simulated providers, as their clients meet them: over HTTP, without the program and its database.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unforeseen happens"
)]

mod calendar;
mod gmail;
mod google;
mod hubspot;
mod model;
mod world;
