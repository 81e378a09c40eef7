//! The program over real HTTP against a real database: each module is a part of the API, each test a
//! sentence about behaviour. Begin with `world.rs`; `model.rs` is the other end of the model's wire.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unforeseen happens, and stands outside of the program's one clock and client"
)]

mod account;
mod agent;
mod approvals;
mod assistant;
mod bad_input;
mod bench;
mod browser;
mod chat;
mod client;
mod connections;
mod contract;
mod deliveries;
mod demo_clock;
mod embedding;
mod files;
mod fresh;
mod import;
mod injection;
mod isolation;
mod leaks;
mod limits;
mod mcp;
mod model;
mod operations;
mod outage;
mod people;
mod practice;
mod process;
mod production;
mod queue;
mod queue_model;
mod queue_outage;
mod queue_process;
mod rules;
mod server;
mod sign_in;
mod standing;
mod stopping;
mod stories;
mod storm;
mod sync;
mod telemetry;
mod tokens;
mod watches;
mod webhooks;
mod world;
