//! (owner: proof)
