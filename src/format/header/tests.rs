//! The header as a whole: one module for each thing that can go right or wrong.

mod order;
mod presented;
mod properties;
mod rewrapped;
mod slots;
mod written;
