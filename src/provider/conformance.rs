//! The contract as a suite: written next.
