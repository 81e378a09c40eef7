//! How the book is filled: from files, and from what users connect.
//!
//! Promises: an item is stored with its passages in one transaction, so that it is either found or
//! absent; importing the same thing twice adds nothing; one bad item never stops a file; memory is
//! bounded whatever the file's size; a crash goes on at the last stored item. May not know: rules,
//! the assistant, how answers are made. Begin with `batch.rs` (what every import does with items);
//! `documents.rs` is the task behind `POST /api/ingest/documents`, `sync` reads Google and HubSpot.

mod batch;
mod demo_book;
mod documents;
pub mod files;
mod local;
pub mod routes;
mod store;
mod sync;

pub use demo_book::{FillDemoBook, demo_book, fill_demo_book, import_book};
pub use documents::{ImportDocuments, SweepUploads};
pub use local::{FileReport, import_file};
pub use sync::{
    LookForChanges, NoteUpcoming, SyncCalendar, SyncContacts, SyncDeals, SyncGmail, SyncNotes,
    external_id,
};
