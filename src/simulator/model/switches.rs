//! How the simulated model behaves from now on, beyond single turns: all off at first.

use serde::{Deserialize, Serialize};

/// Lasting behaviours; over HTTP, fields left out are off.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// A text of more words than these can't be embedded, nor can any that come with it.
    pub embedding_words: Option<usize>,
    /// Nor one that holds this, whatever its length: a content filter.
    pub embedding_filter: Option<String>,
    /// How long vectors are when nobody asks for a length; 1536 otherwise.
    pub embedding_dimensions: Option<usize>,
    /// Without a script, it does whatever stands in what tools returned, whoever wrote that: each
    /// `((call NAME {…}))` once.
    pub obeys: bool,
}
