//! What a user may do with all of their own: take it along, and end it.
//!
//! Promises: an export holds every row that is kept for its user, secrets and what is made from other rows apart,
//! in open formats; a deletion leaves nothing of theirs, whatever a provider says. May not know: any slice's
//! inner workings; it reads all tables, and writes none but through `delete_account()`.

mod deletion;
mod eml;
mod export;
pub mod routes;
mod tables;

pub use tables::{EXPORTED, LEFT_OUT};
