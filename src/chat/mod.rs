//! Conversations: kept by the server, answered as a stream.
//!
//! Promises: of what a client sends, only the text of the last user message is taken; what was said
//! before the client left is kept. May not know: how an answer is found (`agent`). Begin with
//! `routes.rs`; `wire.rs` is the AI SDK UI message stream protocol.

mod answering;
mod body;
mod later;
pub mod routes;
mod store;
mod wire;

pub use body::{Asked, ChatBody};
