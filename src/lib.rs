//! Paraplanner: the open-source AI paraplanner. ARCHITECTURE.md shows the map and the arrows.

// Foundation: knows no feature.
pub mod clock;
pub mod config;
pub mod db;
pub mod failpoint;
pub mod html;
pub mod http;
pub mod ids;
pub mod secret;
pub mod telemetry;

// The outside world: knows no database, no user.
pub mod providers;

// Engines: know users, but no feature.
pub mod activity;
pub mod limits;
pub mod live;
pub mod state;
pub mod tasks;

// Slices, lower to higher.
pub mod identity;
pub mod llm;

pub mod book;

pub mod demo_clock;
pub mod demo_letter;

pub mod effects;

pub mod events;

pub mod webhooks;

pub mod retrieval;

pub mod ingest;

pub mod rules;

pub mod agent;

pub mod chat;

pub mod account;

pub mod operations;

pub mod mcp;

pub mod page;

// Beside.
pub mod demo;
pub mod simulator;

// Wiring: knows everybody.
pub mod app;
pub mod commands;
