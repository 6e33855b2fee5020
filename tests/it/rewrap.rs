//! New recipients for what is sealed: what each change gives, in every layout, in memory and in files.
//!
//! Torn writes and power cuts are built image by image in `src/front/rewrap/tests`; real processes are in
//! `rewrap::races`, cancelled futures in `rewrap::cancelled`, a model of many changes in `rewrap::model`.

mod cancelled;
mod changes;
mod files;
mod model;
mod races;
mod stage;
mod torn;
