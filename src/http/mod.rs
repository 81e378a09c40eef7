//! What all routes share: errors as problem+json, extractors, middleware, pages of results, the
//! server loop and the OpenAPI document.
//!
//! Promises: every reply has a request id; every error is a [`Problem`]; no body is read beyond its
//! limit; a panic is a 500 and the process lives. May not know: any feature, how one signs in, or
//! the database's tables. Begin with `problem.rs`; a new shared rule for all requests goes into
//! `middleware.rs`.

pub mod contract;
pub mod extract;
pub mod middleware;
mod page;
pub mod peer;
mod problem;
mod screen;
pub mod server;
mod streaming;

pub use extract::{CurrentUser, Json, Path, Query};
pub use page::{Cursor, Page, PageQuery};
pub use problem::{FieldError, Problem, ProblemBody};
pub use streaming::STREAMING;
