//! The program `kuvert`: seals streams and files under keys of yours, and opens, verifies and inspects them.
//!
//! Floor 7: stands on the crate's public face only, and has no crypto and no file format of its own. Section 16 of
//! the format says what every command promises; the operations manual says how to use them.

mod args;
mod command;
mod completions;
mod context;
mod detached;
mod doctor;
mod failure;
mod help;
#[cfg(feature = "pkcs11")]
mod hsm;
#[cfg(not(feature = "pkcs11"))]
#[path = "no_hsm.rs"]
mod hsm;
mod inspect;
mod interrupt;
mod keygen;
mod keys;
mod man;
mod names;
mod open;
mod output;
#[cfg(feature = "pkcs11")]
mod pin;
mod progress;
mod remedy;
mod rewrap;
mod seal;
mod side_copy;
mod source;
#[cfg(feature = "sqlite")]
mod subjects;
#[cfg(not(feature = "sqlite"))]
#[path = "no_subjects.rs"]
mod subjects;
mod terminal;
mod times;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => match args::stray(&error) {
            Some(failure) => return failure.end(),
            // Ends with 0 after `--help`, with 2 for a call that is not understood.
            None => error.exit(),
        },
    };
    interrupt::watch();
    let done = match arguments.command {
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Seal(arguments) => seal::run(&arguments),
        Command::Open(arguments) => open::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Rewrap(arguments) => rewrap::run(&arguments),
        Command::Repair(arguments) => rewrap::repair(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Hsm(arguments) => hsm::run(&arguments),
        Command::Subjects(arguments) => subjects::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(),
    }
}
