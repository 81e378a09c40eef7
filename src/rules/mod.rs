//! The advisor's standing instructions: `when` something happens, `if` this holds, `then` do that.
//!
//! Promises: a text either becomes a [`grammar::Rule`] or an error that says at which column it stops
//! making sense; only its user makes a rule; a rule deals with an event once; a rehearsal decides by the
//! same code as the live run (`engine`). May not know: conversations, pages, how the assistant works on
//! what it is asked. Reads `book`'s tables for what conditions ask about (`facts`).
//!
//! Begin in [`grammar`], which is pure: no database, no clock, no network. docs/rules.md tells advisors
//! what they may write. A new action: a variant of [`grammar::Action`], what it comes to in `engine`, its
//! task in `act`.

mod act;
mod apply;
mod engine;
mod facts;
mod failing;
pub mod grammar;
mod judge;
mod plain;
mod proposing;
mod rehearsal;
pub mod routes;
mod store;
mod templates;

pub use act::{
    AskAssistant, CreateContact, CreateNote, DraftReply, Errand, FollowUp, Generic, MeetingBrief,
    ProcessEmail, SendEmail, WelcomeEmail,
};
pub use judge::{Judge, VERSION as JUDGE_VERSION};
pub use plain::VERSION as PLAIN_VERSION;

/// Forgets the texts of rules that this process has in mind.
pub fn forget_read(app: &crate::state::App) {
    app.memory.of::<engine::Read>().forget();
}

pub use proposing::{propose, texts};
pub use rehearsal::{Rehearsal, rehearse};
