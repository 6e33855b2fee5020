//! `kuvert seal`.

use std::io::{self, Read, Write as _};

use kuvert::blocking::Kuvert;
use kuvert::{Layout, SealOptions, Sealer, Threads};

use crate::args::{LayoutName, SealArguments};
use crate::command::Running;
use crate::detached::HeaderFile;
use crate::failure::Failure;
use crate::output::{Output, Target};
use crate::progress::Progress;
use crate::source::Source;
use crate::{context, keys};

pub(crate) fn run(arguments: &SealArguments) -> Result<(), Failure> {
    let target = Target::new(arguments.output.as_deref(), arguments.force)?;
    // fmt: T-5
    if target.is_terminal() {
        return Err(Failure::usage("sealed data is binary, and is not written to a terminal")
            .advise("name a file with -o OUT, or send standard output somewhere else"));
    }
    // fmt: T-7
    let header_file = match arguments.layout {
        LayoutName::Detached => Some(HeaderFile::beside(&target, arguments.force)?),
        LayoutName::Compact | LayoutName::Rewrappable => None,
    };
    // fmt: T-3
    let context = context::stored_and_required(&arguments.context, &arguments.require)?;
    let options = SealOptions::default().with_layout(layout(arguments.layout));
    let kuvert = Kuvert::new(keys::load(&arguments.keys.key)?).with_seal_options(options);
    let sealer = kuvert.sealer(&context).map_err(|error| Failure::sealing(&error))?;
    let header = header_file.map(|file| file.write(sealer.header())).transpose()?;
    let output = target.create()?;
    // Last, so that no command is started for nothing.
    let output = seal(sealer, Input::open(arguments)?, output, arguments.threads.threads)?;
    match header {
        Some(header) => header.commit_with(output),
        None => output.commit(),
    }
}

/// Everything of the input and the end of the message, in an output that nobody sees yet.
fn seal(sealer: Sealer, mut input: Input, output: Output, threads: Threads) -> Result<Output, Failure> {
    let mut writer = sealer.into_parallel_writer(output, threads);
    writer.copy_from(&mut input).map_err(|error| Failure::sealing(&error.into()))?;
    // fmt: T-6
    input.end()?;
    let (mut output, _) = writer.finish().map_err(|error| Failure::sealing(&error))?;
    output.flush().map_err(|error| Failure::sealing(&error.into()))?;
    Ok(output)
}

const fn layout(name: LayoutName) -> Layout {
    match name {
        LayoutName::Compact => Layout::Compact,
        LayoutName::Rewrappable => Layout::Rewrappable,
        LayoutName::Detached => Layout::Detached,
    }
}

/// What is sealed.
enum Input {
    Source(Source, Progress),
    Command(Running),
}

impl Input {
    fn open(arguments: &SealArguments) -> Result<Self, Failure> {
        if !arguments.command.is_empty() {
            return Ok(Self::Command(Running::start(&arguments.command)?));
        }
        let mut source = Source::open(arguments.input.as_deref())?;
        let progress = Progress::new("sealing", source.len());
        source.show_progress(progress.clone());
        Ok(Self::Source(source, progress))
    }

    /// After the last byte: whether there was to be nothing more.
    fn end(self) -> Result<(), Failure> {
        match self {
            Self::Source(_, progress) => {
                progress.clear();
                Ok(())
            }
            Self::Command(running) => running.end(),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Source(source, _) => source.read(buffer),
            Self::Command(running) => running.read(buffer),
        }
    }
}
