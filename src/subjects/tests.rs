//! Data subjects over a store in memory that counts, waits and lies when it is told to, on a clock of the test's.

mod batches;
mod bounds;
mod cancelled;
mod epochs;
mod late;
mod messages;
mod owners;
mod races;
mod secrets;
mod stage;
mod watched;
