//! The list of hostile inputs, line by line, as far as a vector cannot express it: what needs a provider that
//! misbehaves, counts or returns a known key, a source that lies, or two messages under one key.
//!
//! Each test is named by its line. Each asserts the category and, with it, the exit status.

#[path = "hostile/forge.rs"]
pub(crate) mod forge;
