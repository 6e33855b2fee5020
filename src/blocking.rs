//! Everything without `async`: a parking executor, and the front as plain calls.
//!
//! For programs that own no async runtime. Floor 6: stands on the front and adds no behaviour of its own. What may
//! block for how long is in the [operations manual](crate::manual::operations).

pub use crate::executor::{NestedError, block_on};
