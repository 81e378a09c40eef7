//! From the book to an answer's material: clean, chunk, embed, search, cite.
//!
//! Promises: what is searched is what its author wrote there (quoted replies and signatures are
//! not); a search is one round trip, within one user's rows; a quote is shown only when it stands in
//! the stored source, letter for letter, runs of white space aside. May not know: who asks, or what
//! becomes of the answer. Reads `emails`, `contacts`, `calendar_events`, `documents` through
//! `book::source_text`. Begin with [`search`] and [`cite::Source`].

pub mod chunk;
pub mod cite;
pub mod clean;
mod dates;
mod embed;
mod index;
mod question;
mod refusals;
pub mod routes;
mod search;
mod serving;
mod store;
mod vectors;

pub use embed::Embed;
pub use index::{Passage, Searchable, forget, passages, store_passages};
pub use question::topic_of;
pub use search::{Hit, SearchError, SearchRequest, search};
pub use serving::{TendIndexes, embed_at_start, serving_model};
pub use store::{IndexStatus, index_status};
