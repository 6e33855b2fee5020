//! What may stand on the command line, and the help that explains it.

mod subjects;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use kuvert::Threads;

use crate::failure::Failure;
use crate::keys::Manner;
use crate::{help, names};

pub(crate) use self::subjects::SubjectsArguments;
#[cfg(feature = "sqlite")]
pub(crate) use self::subjects::{
    BackupArguments, CheckBackupArguments, EraseArguments, FileArguments, HoldArguments, InitArguments,
    PeopleArguments, ReasonName, ReceiptsArguments, ReleaseArguments, RestoreArguments, RollArguments,
    StatusArguments, StoreArguments, StoreKeyArguments, SubjectsAction,
};

/// Seals files, streams and backups with AES-256-GCM, each under a data key of its own that your key wraps.
#[derive(Parser)]
#[command(name = "kuvert", version, max_term_width = 100, subcommand_required = true)]
#[command(arg_required_else_help = true, override_usage = help::OVERVIEW.usage, after_help = help::OVERVIEW.after_help())]
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
    Rewrap(RewrapArguments),
    Repair(RepairArguments),
    Doctor(DoctorArguments),
    Hsm(HsmArguments),
    Subjects(SubjectsArguments),
    Completions(CompletionsArguments),
    Man(ManArguments),
}

/// Makes a new wrapping key and writes it to a key file.
#[derive(Args)]
#[command(override_usage = help::KEYGEN.usage, after_help = help::KEYGEN.after_help())]
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
#[command(override_usage = help::SEAL.usage, after_help = help::SEAL.after_help())]
pub(crate) struct SealArguments {
    #[command(flatten)]
    pub(crate) keys: SealingKeyArguments,
    /// A pair of the encryption context that is bound to the data and stored in clear in the file; repeats.
    #[arg(short, long = "context", value_name = "NAME=VALUE")]
    pub(crate) context: Vec<OsString>,
    /// A pair that is bound to the data and not stored: whoever opens the file must know it; repeats.
    #[arg(short, long = "require", value_name = "NAME=VALUE")]
    pub(crate) require: Vec<OsString>,
    /// How the header is laid out. Detached: the header goes to OUT.kvh, the body to OUT.
    #[arg(long, value_enum, default_value_t = LayoutName::Rewrappable)]
    pub(crate) layout: LayoutName,
    #[command(flatten)]
    pub(crate) threads: ThreadsArguments,
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
#[command(override_usage = help::OPEN.usage, after_help = help::OPEN.after_help())]
pub(crate) struct OpenArguments {
    #[command(flatten)]
    pub(crate) keys: OpeningKeyArguments,
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
    #[command(flatten)]
    pub(crate) threads: ThreadsArguments,
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
#[command(override_usage = help::VERIFY.usage, after_help = help::VERIFY.after_help())]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) keys: OpeningKeyArguments,
    #[command(flatten)]
    pub(crate) context: PresentedArguments,
    /// Refuses files last written longer ago than this: a number and s, m, h, d or w, such as 26h.
    #[arg(long, value_name = "AGE")]
    pub(crate) newer_than: Option<String>,
    /// The header's file, where it is detached; there must be one FILE, which is the body.
    #[arg(long, value_name = "FILE")]
    pub(crate) header: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) threads: ThreadsArguments,
    /// Writes one JSON object a file, each on a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// What to verify.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Shows what files say about themselves. Needs no key; nothing of it is verified.
#[derive(Args)]
#[command(override_usage = help::INSPECT.usage, after_help = help::INSPECT.after_help())]
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

/// Replaces the keys that can open sealed files. The sealed data itself is neither read nor written.
#[derive(Args)]
#[command(override_usage = help::REWRAP.usage, after_help = help::REWRAP.after_help())]
pub(crate) struct RewrapArguments {
    #[command(flatten)]
    pub(crate) keys: OpeningKeyArguments,
    /// The new key, of a key file its first one; repeats, and then each of them can open the files.
    #[arg(long, value_name = "NEW", value_hint = ValueHint::FilePath, required_unless_present = "remove")]
    pub(crate) to: Vec<OsString>,
    /// Makes the keys of --to the shares of one recipient: all of them are needed to open.
    #[arg(long, requires = "to", conflicts_with = "remove")]
    pub(crate) to_all_of: bool,
    /// Adds the new keys and keeps those that can open the files already.
    #[arg(long, requires = "to", conflicts_with = "remove")]
    pub(crate) add: bool,
    /// Takes away the key with this id and keeps the others; repeats.
    #[arg(long, value_name = "ID", conflicts_with = "to")]
    pub(crate) remove: Vec<String>,
    #[command(flatten)]
    pub(crate) change: ChangeArguments,
}

/// Adds the keys that were wanted when files were sealed and could not be reached then.
#[derive(Args)]
#[command(override_usage = help::REPAIR.usage, after_help = help::REPAIR.after_help())]
pub(crate) struct RepairArguments {
    #[command(flatten)]
    pub(crate) keys: OpeningKeyArguments,
    /// The key that was wanted; repeats [default: the keys of -k].
    #[arg(long, value_name = "NEW", value_hint = ValueHint::FilePath)]
    pub(crate) to: Vec<OsString>,
    #[command(flatten)]
    pub(crate) change: ChangeArguments,
}

/// What `rewrap` and `repair` share.
#[derive(Args)]
pub(crate) struct ChangeArguments {
    #[command(flatten)]
    pub(crate) context: PresentedArguments,
    /// The header's file, where it is detached; there must be one FILE, which is the body.
    #[arg(long, value_name = "FILE")]
    pub(crate) header: Option<PathBuf>,
    /// Refuses a file that would have to be written anew because its header has no room, or only one slot.
    #[arg(long)]
    pub(crate) in_place: bool,
    /// Writes one JSON object a file, each on a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Says what was done to each file, where there are several.
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub(crate) verbose: bool,
    /// What to change: sealed files, or the .kvh files of detached headers whose bodies lie beside them.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Tells whether a file can be opened here and now, and which key, right or region is missing. Changes nothing.
#[derive(Args)]
#[command(override_usage = help::DOCTOR.usage, after_help = help::DOCTOR.after_help())]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) keys: OpeningKeyArguments,
    #[command(flatten)]
    pub(crate) context: PresentedArguments,
    /// The header's file, where it is detached; FILE is then the body.
    #[arg(long, value_name = "HEADER", requires = "file")]
    pub(crate) header: Option<PathBuf>,
    /// Writes one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The file in question [default: none, only the keys are looked at].
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Lists the keys of a PKCS#11 token, makes one, or tries one.
#[derive(Args)]
#[command(override_usage = help::HSM.usage, after_help = help::HSM.after_help())]
pub(crate) struct HsmArguments {
    /// What to do.
    #[arg(value_enum, value_name = "ACTION")]
    pub(crate) action: HsmAction,
    /// Makes an RSA key of 3072 bits, to which messages are sealed without asking the token.
    #[arg(long)]
    pub(crate) rsa: bool,
    /// The file in which the PIN is, of mode 0600 [default: the URI's pin-source, or else the terminal].
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: Option<PathBuf>,
    /// Writes one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The key's pkcs11: URI; with list, also the file of a module alone.
    #[arg(value_name = "URI")]
    pub(crate) target: OsString,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HsmAction {
    /// Shows the tokens of a module, and the keys of the one that the URI names.
    List,
    /// Makes a wrapping key that cannot leave the token, and prints the URI to use it by.
    Keygen,
    /// Wraps a test key and unwraps it.
    Check,
}

/// Prints the completions of this program for a shell.
#[derive(Args)]
#[command(override_usage = help::COMPLETIONS.usage, after_help = help::COMPLETIONS.after_help())]
pub(crate) struct CompletionsArguments {
    /// The shell.
    pub(crate) shell: Shell,
}

/// Prints the manual page of this program or of one of its commands.
#[derive(Args)]
#[command(override_usage = help::MAN.usage, after_help = help::MAN.after_help())]
pub(crate) struct ManArguments {
    /// Writes all pages into this directory, in place of those that are there, as kuvert.1, kuvert-seal.1 and so on.
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "page")]
    pub(crate) output: Option<PathBuf>,
    /// The command to describe [default: the program as a whole].
    #[arg(value_name = "COMMAND", value_parser = PossibleValuesParser::new(help::commands()))]
    pub(crate) page: Option<String>,
}

#[derive(Args)]
pub(crate) struct OpeningKeyArguments {
    /// A key file, aws-kms:ARN, a pkcs11: URI or config:FILE.toml; repeats: each file is opened with the key that
    /// fits [default: KUVERT_KEYS, separated by blanks].
    #[arg(short, long = "key", value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(crate) key: Vec<OsString>,
    /// Takes the keys of -k for the shares of one recipient, which opens with all of them.
    #[arg(long)]
    pub(crate) all_of: bool,
    /// Lets AWS KMS be told the context pair of this name, which it writes to CloudTrail; repeats.
    #[arg(long, value_name = "NAME")]
    pub(crate) kms_context: Vec<String>,
}

#[derive(Args)]
pub(crate) struct SealingKeyArguments {
    /// A key file, of which the first key seals, aws-kms:ARN, a pkcs11: URI or config:FILE.toml; repeats, and then
    /// each of them can open [default: KUVERT_KEYS, separated by blanks].
    #[arg(short, long = "key", value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(crate) key: Vec<OsString>,
    /// Seals if N of the keys can be asked; 'kuvert repair' adds the others later [default: all].
    #[arg(long, value_name = "N", conflicts_with = "all_of")]
    pub(crate) min: Option<NonZeroUsize>,
    /// Makes the keys the shares of one recipient: all of them are needed to open.
    #[arg(long)]
    pub(crate) all_of: bool,
    /// Has AWS KMS check the context pair of this name, too, and write it to CloudTrail; repeats.
    #[arg(long, value_name = "NAME")]
    pub(crate) kms_context: Vec<String>,
}

impl OpeningKeyArguments {
    pub(crate) fn manner(&self) -> Manner<'_> {
        Manner { all_of: self.all_of, kms_context: &self.kms_context }
    }
}

#[derive(Args)]
pub(crate) struct ThreadsArguments {
    /// How many threads to work with: a number, or auto for as many as there are cores.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = parse_threads)]
    pub(crate) threads: Threads,
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

fn parse_threads(text: &str) -> Result<Threads, &'static str> {
    match text.parse() {
        _ if text == "auto" => Ok(Threads::auto()),
        Ok(count) => Ok(Threads::exactly(count)),
        Err(_) => Err("write a number from 1 on, or auto"),
    }
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

/// An argument too many that looks like a pair of the context, or that may be somebody's name: told without what the
/// parser would show.
// fmt: T-11, T-25
pub(crate) fn stray(error: &clap::Error) -> Option<Failure> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_about_subjects = std::env::args_os().nth(1).is_some_and(|command| command == "subjects");
    let is_known = argument.starts_with('-') || error.kind() != clap::error::ErrorKind::UnknownArgument;
    if is_about_subjects && !is_known {
        return Some(
            Failure::usage("there is one argument too many")
                .advise("names of data subjects are lines of a file, --from FILE, or of standard input"),
        );
    }
    let (name, _) = argument.split_once('=').filter(|(name, _)| !name.starts_with('-'))?;
    let name = names::shown(name);
    let advice = format!("a pair of the encryption context is given with -c {name}=...");
    Some(Failure::usage(format!("there is one argument too many: {name}=...")).advise(advice))
}
