//! What becomes of strangers' files and texts: every kind, the broken ones, and properties that
//! hold for any bytes.

mod kinds;
mod nasty;
mod properties;
mod text;
