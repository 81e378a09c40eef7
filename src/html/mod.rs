//! HTML that others wrote: its readable text, and a form that is safe to show.
//!
//! Promises: linear time and bounded depth whatever comes in; hidden text (which readers don't see,
//! but a model would) is dropped; what [`sanitise`] returns loads, runs and posts nothing. May not
//! know: where the HTML came from.

mod page;
mod sanitise;
mod style;
mod tags;
mod text;

pub use page::entities;
pub use sanitise::sanitise;
pub use text::html_to_text;
