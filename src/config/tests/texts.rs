//! Texts that nobody would write, and trees of any shape.
