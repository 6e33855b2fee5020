//! `kuvert subjects` in a build that has no SQLite: told, with the build that has it.

use crate::args::SubjectsArguments;
use crate::failure::Failure;

pub(crate) fn run(_: &SubjectsArguments) -> Result<(), Failure> {
    Err(Failure::usage("this build of kuvert has no SQLite, in which key stores are")
        .advise("build it with: cargo install --path . --features cli,sqlite"))
}
