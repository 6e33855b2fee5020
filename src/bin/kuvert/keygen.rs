//! `kuvert keygen`.

use kuvert::provider::KeyFile;

use crate::args::KeygenArguments;
use crate::failure::{Failure, say};
use crate::names;

pub(crate) fn run(arguments: &KeygenArguments) -> Result<(), Failure> {
    let file = KeyFile::generate(arguments.id.as_deref())?;
    // fmt: T-12
    file.write_new(&arguments.output)?;
    let ids: Vec<&str> = file.ids().collect();
    say(&format!("{}: key \"{}\"", names::path(&arguments.output), ids.join(", ")))
}
