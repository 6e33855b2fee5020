//! What may stand on the command line, and the help that explains it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::names;

/// Seals files, streams and backups with AES-256-GCM, each under a data key of its own that your key wraps.
#[derive(Parser)]
#[command(name = "kuvert", version, max_term_width = 100, subcommand_required = true)]
#[command(arg_required_else_help = true, after_help = OVERVIEW)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Keygen(KeygenArguments),
    Seal(SealArguments),
    Open(OpenArguments),
    Verify(VerifyArguments),
    Inspect(InspectArguments),
}

/// Makes a new wrapping key and writes it to a key file.
#[derive(Args)]
#[command(after_help = KEYGEN_HELP)]
pub(crate) struct KeygenArguments {
    /// The key's public name, which stands in everything sealed with it [default: 16 random hex digits].
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The key file to write. One that is there is never replaced.
    #[arg(short, long, value_name = "KEYFILE")]
    pub(crate) output: PathBuf,
}

/// Seals a file, standard input, or what a command writes.
#[derive(Args)]
#[command(after_help = SEAL_HELP)]
pub(crate) struct SealArguments {
    #[command(flatten)]
    pub(crate) keys: KeyArguments,
    /// A pair of the encryption context that is bound to the data and stored in clear in the file; repeats.
    #[arg(short, long = "context", value_name = "NAME=VALUE")]
    pub(crate) context: Vec<OsString>,
    /// A pair that is bound to the data and not stored: whoever opens the file must know it; repeats.
    #[arg(short, long = "require", value_name = "NAME=VALUE")]
    pub(crate) require: Vec<OsString>,
    /// How the header is laid out. Detached: the header goes to OUT.kvh, the body to OUT.
    #[arg(long, value_enum, default_value_t = LayoutName::Rewrappable)]
    pub(crate) layout: LayoutName,
    /// Where to write [default: standard output].
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Replaces OUT if it is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// What to seal [default: standard input].
    #[arg(value_name = "IN", conflicts_with = "command")]
    pub(crate) input: Option<PathBuf>,
    /// Seals what this command writes to its standard output, and finishes only if it exits with 0.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Opens a sealed file or stream.
#[derive(Args)]
#[command(after_help = OPEN_HELP)]
pub(crate) struct OpenArguments {
    #[command(flatten)]
    pub(crate) keys: KeyArguments,
    #[command(flatten)]
    pub(crate) context: PresentedArguments,
    /// Opens only these bytes of the plaintext, END not included; IN must be a file.
    #[arg(long, value_name = "START..END")]
    pub(crate) range: Option<String>,
    /// The header's file, where it is detached; IN is then the body.
    #[arg(long, value_name = "FILE")]
    pub(crate) header: Option<PathBuf>,
    /// Writes while reading, without verifying the whole of a file first.
    #[arg(long)]
    pub(crate) stream: bool,
    /// Where to write [default: standard output].
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Replaces OUT if it is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// What to open [default: standard input].
    #[arg(value_name = "IN")]
    pub(crate) input: Option<PathBuf>,
}

/// Reads sealed files through and checks every byte of them. Writes nothing.
#[derive(Args)]
#[command(after_help = VERIFY_HELP)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) keys: KeyArguments,
    #[command(flatten)]
    pub(crate) context: PresentedArguments,
    /// Refuses files last written longer ago than this: a number and s, m, h, d or w, such as 26h.
    #[arg(long, value_name = "AGE")]
    pub(crate) newer_than: Option<String>,
    /// The header's file, where it is detached; there must be one FILE, which is the body.
    #[arg(long, value_name = "FILE")]
    pub(crate) header: Option<PathBuf>,
    /// Writes one JSON object a file, each on a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// What to verify.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Shows what files say about themselves. Needs no key; nothing of it is verified.
#[derive(Args)]
#[command(after_help = INSPECT_HELP)]
pub(crate) struct InspectArguments {
    /// Writes one JSON object a file, each on a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Counts which keys the files name, instead of showing each file.
    #[arg(long)]
    pub(crate) keys: bool,
    /// What to inspect: sealed files, or the .kvh files of detached headers.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct KeyArguments {
    /// A key file; repeats. The first seals, all of them open [default: KUVERT_KEYS, separated by blanks].
    #[arg(short, long = "key", value_name = "KEY")]
    pub(crate) key: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct PresentedArguments {
    /// A pair of the encryption context, stored or required: every one of them has to be presented; repeats.
    #[arg(short, long = "context", value_name = "NAME=VALUE")]
    pub(crate) context: Vec<OsString>,
    /// Takes the stored pairs from the file for right. Then any file of the same key opens in place of this one.
    #[arg(long)]
    pub(crate) accept_stored_context: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutName {
    /// One header slot: the shortest.
    Compact,
    /// Two header slots, so that the keys can be changed later without writing the file anew.
    Rewrappable,
    /// The header in a file of its own.
    Detached,
}

/// An argument too many that looks like a pair of the context: told without its value, which the parser would show.
// fmt: T-11
pub(crate) fn stray_pair(error: &clap::Error) -> Option<Failure> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let (name, _) = argument.split_once('=').filter(|(name, _)| !name.starts_with('-'))?;
    let name = names::shown(name);
    let advice = format!("a pair of the encryption context is given with -c {name}=...");
    Some(Failure::usage(format!("there is one argument too many: {name}=...")).advise(advice))
}

const OVERVIEW: &str = "\
First steps:
  kuvert keygen -o backup.key                          make a key, and copy it
  kuvert seal -k backup.key -o notes.kvt notes.txt     seal a file
  kuvert open -k backup.key -o notes.txt notes.kvt     open it again
  kuvert seal -k backup.key -o db.kvt -- pg_dump shop  seal a command's output

Exit status:
  0  done                                 4  truncated, or tampered with
  1  reading or writing failed            5  wrong encryption context
  2  wrong call, or a faulty key file     6  wrong key, or none that fits
  3  not a sealed file, or unsupported    7  refused by a rule

'kuvert COMMAND --help' has examples of each command.
Keep copies of the key file: if it is lost, so is everything sealed with it.";

const KEYGEN_HELP: &str = "\
Examples:
  kuvert keygen -o backup.key
  kuvert keygen --id backup-2027 -o /etc/kuvert/backup-2027.key

The file gets mode 0600; one line of it is the key. Keep copies apart from
the data: whoever has the line can open everything sealed with it, and
without it nobody can.

Exit status:
  0  written
  1  the file could not be written
  2  KEYFILE exists, or the id is impossible";

const SEAL_HELP: &str = "\
Examples:
  kuvert seal -k backup.key -o photos.kvt photos.tar
  tar -c photos | kuvert seal -k backup.key > photos.kvt
  kuvert seal -k backup.key -c db=shop -c date=2026-11-21 -o shop.kvt \\
      -- pg_dump --format=custom shop
  kuvert seal -k backup.key --layout detached -o shop.body shop.dump

After '--' kuvert starts the command itself, so that a dump that dies midway
never becomes a valid backup; in a pipe nobody would notice. OUT appears whole
or not at all. Pairs of -c are readable by everybody; those of -r are not in
the file, and must be known to open it.

Exit status:
  0  sealed
  1  reading, writing or the command failed
  2  wrong call or key file, OUT exists, or OUT is a terminal";

const OPEN_HELP: &str = "\
Examples:
  kuvert open -k backup.key -o photos.tar photos.kvt
  kuvert open -k backup.key -c db=shop -c date=2026-11-21 shop.kvt | pg_restore
  kuvert open -k backup.key --range 0..512 photos.kvt > first-block
  kuvert open -k backup.key --header shop.body.kvh -o shop.dump shop.body

A file is verified as a whole before the first byte is written, unless
--stream is given. From a pipe there is one pass only: what comes out is
authentic, and complete only if the exit status is 0. With -o, OUT appears
whole or not at all.

Exit status:
  0  opened                               4  truncated, or tampered with
  1  reading or writing failed            5  wrong encryption context
  2  wrong call, or a faulty key file     6  wrong key, or none that fits
  3  not a sealed file, or unsupported";

const VERIFY_HELP: &str = "\
Examples:
  kuvert verify -k backup.key -c db=shop -c date=2026-11-21 shop.kvt
  kuvert verify -k backup.key --accept-stored-context \\
      --newer-than 26h /srv/backup/*.kvt
  kuvert verify -k backup.key --header shop.body.kvh shop.body

--newer-than looks at when a file was last written, which the file itself
does not prove. The fields of --json are described in the operations manual.

Exit status, of several files that of the first failure:
  0  whole and untouched                  5  wrong encryption context
  1  reading failed                       6  wrong key, or none that fits
  2  wrong call, or a faulty key file     7  too old
  3  not a sealed file, or unsupported
  4  truncated, or tampered with";

const INSPECT_HELP: &str = "\
Examples:
  kuvert inspect shop.kvt
  kuvert inspect --json shop.kvt | jq .claimed.context
  kuvert inspect --keys /srv/backup/*.kvt

Everything shown is what the file claims; 'kuvert verify' and 'kuvert open'
tell whether it is true. --keys counts in how many files each key is named;
that a key is not among them does not show that nothing needs it. The fields
of --json are described in the operations manual.

Exit status, of several files that of the first failure:
  0  shown                                3  not a sealed file, or unsupported
  1  reading failed                       4  ends within its header
  2  wrong call";
