//! (tests of the machines)
