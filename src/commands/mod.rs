//! The command line's commands: each a file. Wiring, like `app.rs`.

pub mod bench_queue;
pub mod database;
pub mod demo;
pub mod eval;
pub mod eval_assistant;
pub mod import;
pub mod serve;
pub mod setup_check;
pub mod simulator;
