//! `kuvert completions`.

use clap::CommandFactory as _;

use crate::args::{Arguments, CompletionsArguments};
use crate::failure::Failure;
use crate::man;

pub(crate) fn run(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "kuvert", &mut script);
    man::print(&script)
}
