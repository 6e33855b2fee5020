//! `kuvert man`: the manual pages, made from what the program itself knows about its arguments.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use kuvert::Category;

use crate::args::{Arguments, ManArguments};
use crate::failure::{Doing, Failure, FileFault};
use crate::help::Help;

pub(crate) fn run(arguments: &ManArguments) -> Result<(), Failure> {
    let commands = commands();
    if let Some(directory) = &arguments.output {
        fs::create_dir_all(directory).map_err(|error| FileFault::failure(Doing::Create, directory, error))?;
        return commands.into_iter().try_for_each(|command| write_into(directory, command));
    }
    let wanted = arguments.page.as_deref().unwrap_or_default();
    // The parser of arguments lets only names of commands pass.
    commands
        .into_iter()
        .filter(|command| own_name(command) == wanted)
        .try_for_each(|command| print(&page(command)?))
}

/// Text on standard output, whole.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text).and_then(|()| output.flush());
    written.map_err(|error| FileFault::failure(Doing::Write, Path::new("standard output"), error))
}

fn write_into(directory: &Path, command: clap::Command) -> Result<(), Failure> {
    let path = directory.join(Man::new(command.clone()).get_filename());
    fs::write(&path, page(command)?).map_err(|error| FileFault::failure(Doing::Write, &path, error))
}

/// The program, each of its commands, and what stands behind those, except for `help`.
fn commands() -> Vec<clap::Command> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    let mut commands = vec![program];
    let mut next = 0;
    while let Some(command) = commands.get(next) {
        let inner: Vec<clap::Command> = command.get_subcommands().cloned().collect();
        next += 1;
        commands.splice(next..next, inner);
    }
    commands
}

/// The name among [`Help`]'s texts.
fn own_name(command: &clap::Command) -> &str {
    let name = command.get_display_name().unwrap_or_default();
    name.strip_prefix("kuvert-").unwrap_or_default()
}

/// A page, as roff.
fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let name = own_name(&command).to_owned();
    let help = Help::of(&name);
    let man =
        Man::new(command.clone()).source(format!("kuvert {version}")).manual("Kuvert Manual").date(NO_DATE);
    let render = |page: &mut Vec<u8>| {
        man.render_title(page)?;
        man.render_name_section(page)?;
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        let mut roff = Roff::new();
        if let Some(help) = help {
            paragraphs(&mut roff, help.notes);
        }
        roff.to_writer(page)?;
        if command.has_subcommands() {
            man.render_subcommands_section(page)?;
        }
        man.render_options_section(page)?;
        let mut roff = Roff::new();
        if let Some(help) = help {
            sections(&mut roff, help);
        }
        roff.to_writer(page)
    };
    let mut rendered = Vec::new();
    render(&mut rendered).map_err(|error: io::Error| Failure::new(Category::Io, error.to_string()))?;
    Ok(rendered)
}

/// What the parser of arguments does not know.
fn sections(roff: &mut Roff, help: &Help) {
    roff.control("SH", ["EXIT STATUS"]);
    if help.takes_several_files {
        roff.text([roman("Of several files, that of the first one that failed.")]);
    }
    for (status, means) in help.statuses {
        roff.control("TP", []);
        roff.text([bold(status.to_string())]);
        roff.text([roman(*means)]);
    }
    let takes_keys = help.usage.contains("-k ") || help.command.is_empty();
    let (environment, key_file) = if takes_keys { (ENVIRONMENT, KEY_FILE) } else { NOTHING };
    let anchor = if help.usage.contains("--anchor") { ANCHOR } else { &[] };
    listed(roff, "ENVIRONMENT", environment.iter().chain(anchor));
    listed(roff, "FILES", key_file.iter().chain(help.files));
    roff.control("SH", ["EXAMPLES"]);
    roff.control("EX", []);
    for line in help.examples.lines() {
        roff.text([roman(line)]);
    }
    roff.control("EE", []);
    roff.control("SH", ["SEE ALSO"]);
    // Names are not to be broken.
    roff.control("nh", []);
    roff.text([roman(see_also(help.command))]);
}

/// A section of names and what they mean, if there is any.
fn listed(roff: &mut Roff, title: &str, items: impl Iterator<Item = &'static (&'static str, &'static str)>) {
    for (number, (name, means)) in items.enumerate() {
        if number == 0 {
            roff.control("SH", [title]);
        }
        roff.control("TP", []);
        roff.text([italic(*name)]);
        roff.text([roman(*means)]);
    }
}

fn see_also(command: &str) -> String {
    let others = Arguments::command();
    let others = others.get_subcommands().map(|other| format!("kuvert-{}(1)", other.get_name()));
    let own = format!("kuvert-{command}(1)");
    let program = (!command.is_empty()).then(|| "kuvert(1)".to_owned());
    program.into_iter().chain(others.filter(|other| *other != own)).collect::<Vec<_>>().join(", ")
}

fn paragraphs(roff: &mut Roff, text: &str) {
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        roff.control("PP", []);
        roff.text([roman(paragraph.replace('\n', " "))]);
    }
}

/// An empty argument would not be written, and move the others. The pages are the same whenever they are made.
const NO_DATE: &str = " ";

/// Names and what they mean.
type Named = &'static [(&'static str, &'static str)];

const ENVIRONMENT: Named = &[
    ("KUVERT_KEYS", "Keys as -k takes them, separated by blanks, for where no -k is given."),
    (
        "AWS_PROFILE, AWS_ACCESS_KEY_ID and others",
        "Credentials for keys in AWS KMS, as every AWS tool takes them. AWS_ENDPOINT_URL_KMS names another endpoint.",
    ),
];

const ANCHOR: Named = &[("KUVERT_ANCHOR", "The anchor's file, for where no --anchor is given.")];

const KEY_FILE: Named = &[(
    "KEY",
    "A key file of mode 0600, as kuvert-keygen(1) writes it. It may hold several keys; the first one seals.",
)];

const NOTHING: (Named, Named) = (&[], &[]);
