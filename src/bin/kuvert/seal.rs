//! `kuvert seal`.

use std::io::{self, Read, Write as _};
use std::sync::Arc;

use kuvert::blocking::Kuvert;
use kuvert::io::SealReport;
use kuvert::provider::KeyProvider;
use kuvert::{EncryptionContext, Layout, SealOptions, Sealer, Threads};

use crate::args::{LayoutName, SealArguments, SealingKeyArguments};
use crate::command::Running;
use crate::detached::HeaderFile;
use crate::failure::Failure;
use crate::keys::{self, Manner, Missing};
use crate::output::{Output, Target};
use crate::progress::Progress;
use crate::source::Source;
use crate::{context, names};

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
    let missing = Arc::new(Missing::default());
    let provider = provider(&arguments.keys, &context, &missing)?;
    let kuvert = Kuvert::from_arc(provider).with_seal_options(options);
    let sealer = kuvert.sealer(&context).map_err(|error| Failure::sealing(&error))?;
    let header = header_file.map(|file| file.write(sealer.header())).transpose()?;
    let output = target.create()?;
    // Last, so that no command is started for nothing.
    let (output, report) = seal(sealer, Input::open(arguments)?, output, arguments.threads.threads)?;
    match header {
        Some(header) => header.commit_with(output),
        None => output.commit(),
    }?;
    // fmt: T-15
    missing.warn_of(&report, &arguments.output.as_deref().map_or("standard output".into(), names::path));
    Ok(())
}

fn provider(
    arguments: &SealingKeyArguments,
    context: &EncryptionContext,
    missing: &Arc<Missing>,
) -> Result<Arc<dyn KeyProvider>, Failure> {
    // fmt: T-17
    if let Some(name) = arguments.kms_context.iter().find(|name| !context.names().any(|own| own == *name)) {
        let name = names::shown(name);
        return Err(Failure::usage(format!("--kms-context names the pair {name}, which is not given"))
            .advise(format!("give it: -c {name}=...")));
    }
    let manner = Manner { all_of: arguments.all_of, kms_context: &arguments.kms_context };
    keys::sealing(&keys::given(&arguments.key)?, manner, arguments.min, missing)
}

/// Everything of the input and the end of the message, in an output that nobody sees yet.
fn seal(
    sealer: Sealer,
    mut input: Input,
    output: Output,
    threads: Threads,
) -> Result<(Output, SealReport), Failure> {
    let mut writer = sealer.into_parallel_writer(output, threads);
    writer.copy_from(&mut input).map_err(|error| Failure::sealing(&error.into()))?;
    // fmt: T-6
    input.end()?;
    let (mut output, report) = writer.finish().map_err(|error| Failure::sealing(&error))?;
    output.flush().map_err(|error| Failure::sealing(&error.into()))?;
    Ok((output, report))
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
