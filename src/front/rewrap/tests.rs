//! Every power cut and every failing file call of a rewrap, over a disk in memory.
//!
//! What the changes of recipients themselves do is in `tests/it/rewrap`.

mod crash;
mod disk;
mod faults;
mod stage;
