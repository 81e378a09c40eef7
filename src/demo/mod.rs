//! The demo: a fictional book of an advisor's clients, and the questions to measure search with.
//!
//! From one seed come households, what is true about them ([`facts`]), the mails, cards, events
//! and notes that tell it ([`wording`], [`book`]), and, since the truth is known, questions with
//! all their right sources ([`questions()`]) and the arithmetic of how well they were found
//! ([`score()`]).
//!
//! Promises: the same seed, size and day give the same bytes on every platform; every name is made
//! up and every address reserved (RFC 2606). Knows the formats of files (mbox, vCard, iCalendar,
//! Markdown) and nothing of the database, of users or of how search works.
//!
//! Begin with [`book::generate`]. A new topic: a variant and pools in `facts`, words in `wording`.

pub mod book;
pub mod cards;
pub mod facts;
pub mod mail;
mod office_hours;
pub mod overlap;
pub mod people;
mod pools;
pub mod questions;
mod random;
pub mod score;
mod threads;
mod truth;
pub mod wording;

pub use book::{Book, SourceKey, generate};
pub use questions::{Group, Question, questions};
pub use score::{Answer, Report, score};

#[cfg(test)]
mod tests;
