//! `/mcp`: the door for other assistants, in the Model Context Protocol over streamable HTTP.
//!
//! Promises: an API token opens it and nothing else does; what a tool may is what the token's scopes say; the
//! tools are the assistant's own (`agent::lent`), so nothing here sends, approves, changes a setting or switches
//! a rule on; what others wrote comes in the same envelope as to our own model. No session is kept: each message
//! stands for itself, whichever instance it meets and however often that was started anew. May not know: how a
//! tool does what it does, or how the protocol is spoken, which is the SDK's.
//!
//! Begin with `routes.rs`, the HTTP of it; then `server.rs`. docs/mcp.md tells advisors how to connect.

mod resources;
mod routes;
mod server;
mod tools;

pub use routes::router;
