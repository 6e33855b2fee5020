//! What may stand behind `kuvert subjects`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use crate::help;

/// Keeps the keys of data subjects in a file, and erases people for good.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS.usage, after_help = help::SUBJECTS.after_help())]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct SubjectsArguments {
    #[command(subcommand)]
    pub(crate) action: SubjectsAction,
}

#[derive(Subcommand)]
pub(crate) enum SubjectsAction {
    Init(InitArguments),
    Status(StatusArguments),
    Erase(EraseArguments),
    Hold(HoldArguments),
    Release(ReleaseArguments),
    Roll(RollArguments),
    Receipts(ReceiptsArguments),
    Backup(BackupArguments),
    Restore(RestoreArguments),
    CheckBackup(CheckBackupArguments),
}

/// Makes a key store in a new file.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_INIT.usage, after_help = help::SUBJECTS_INIT.after_help())]
pub(crate) struct InitArguments {
    #[command(flatten)]
    pub(crate) store: FileArguments,
    /// The key that wraps the store's root and is never destroyed; repeats, and then each of them opens it.
    #[arg(long, value_name = "KEY", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) root: Vec<OsString>,
    /// The key that wraps the first epoch, to be destroyed after a roll; repeats.
    #[arg(long, value_name = "KEY", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) epoch: Vec<OsString>,
    /// The key that wraps the first epoch of credentials; repeats [default: that of --epoch].
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(crate) credentials: Vec<OsString>,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
}

/// Shows what is in a key store. Needs no key.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_STATUS.usage, after_help = help::SUBJECTS_STATUS.after_help())]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) store: FileArguments,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
}

/// Erases data subjects: nothing that was sealed for them opens from then on.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_ERASE.usage, after_help = help::SUBJECTS_ERASE.after_help())]
pub(crate) struct EraseArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) people: PeopleArguments,
    /// The reference of the request, by which the receipt is found again. Only its hash is kept.
    #[arg(long, value_name = "REF")]
    pub(crate) request: String,
    /// Why.
    #[arg(long, value_enum, value_name = "REASON", default_value_t = ReasonName::Request)]
    pub(crate) reason: ReasonName,
    /// Also names for which nothing was ever sealed: they are refused from then on.
    #[arg(long)]
    pub(crate) even_unknown: bool,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
}

/// Puts data subjects on hold for a case: they are not erased before it is released.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_HOLD.usage, after_help = help::SUBJECTS_HOLD.after_help())]
pub(crate) struct HoldArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) people: PeopleArguments,
    /// The reference of the case. Only its hash is kept.
    #[arg(long, value_name = "REF")]
    pub(crate) case: String,
    /// Also names for which nothing was sealed yet.
    #[arg(long)]
    pub(crate) even_unknown: bool,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
}

/// Ends the hold of a case.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_RELEASE.usage, after_help = help::SUBJECTS_RELEASE.after_help())]
pub(crate) struct ReleaseArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) people: PeopleArguments,
    /// The reference of the case, as it was given to 'hold'.
    #[arg(long, value_name = "REF")]
    pub(crate) case: String,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
}

/// Moves every key under a new wrapping key, or destroys the wrapping key that is not needed any more.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_ROLL.usage, after_help = help::SUBJECTS_ROLL.after_help())]
pub(crate) struct RollArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The key that wraps the new epoch; repeats, and then each of them opens it.
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath, required_unless_present = "destroy")]
    pub(crate) to: Vec<OsString>,
    /// Rolls the epoch of credentials.
    #[arg(long, conflicts_with = "destroy")]
    pub(crate) credentials: bool,
    /// Has this wrapping key of a retired epoch destroyed, which cannot be undone; repeats.
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath, conflicts_with = "to", requires = "backup")]
    pub(crate) destroy: Vec<OsString>,
    /// A backup that was made after the roll; it is checked before anything is destroyed.
    #[arg(long, value_name = "FILE", requires = "destroy")]
    pub(crate) backup: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
}

/// Verifies the register of erasures and shows what became of them.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_RECEIPTS.usage, after_help = help::SUBJECTS_RECEIPTS.after_help())]
pub(crate) struct ReceiptsArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Shows the totals only.
    #[arg(long)]
    pub(crate) verify: bool,
    /// The scope of --request.
    #[arg(long, value_name = "SCOPE", requires = "request")]
    pub(crate) scope: Option<String>,
    /// Shows the receipt of the request of this reference only.
    #[arg(long, value_name = "REF", requires = "scope", conflicts_with = "verify")]
    pub(crate) request: Option<String>,
    /// Asks first whether this wrapping key of a retired epoch is gone, and writes the receipts that follow; repeats.
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(crate) confirm: Vec<OsString>,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
}

/// Writes a sealed backup of a key store, and checks it.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_BACKUP.usage, after_help = help::SUBJECTS_BACKUP.after_help())]
pub(crate) struct BackupArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The key that the backup is sealed for, one that outlives the epochs; repeats, and then each of them opens it.
    #[arg(long, value_name = "KEY", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) to: Vec<OsString>,
    /// Where to write [default: standard output, and then nothing is checked].
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Replaces OUT if it is there.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
}

/// Makes a key store in a new file from a backup.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_RESTORE.usage, after_help = help::SUBJECTS_RESTORE.after_help())]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
    /// The backup [default: standard input].
    #[arg(value_name = "IN")]
    pub(crate) input: Option<PathBuf>,
}

/// Checks a backup: that it is whole, and that everything in it opens.
#[derive(Args)]
#[command(override_usage = help::SUBJECTS_CHECK.usage, after_help = help::SUBJECTS_CHECK.after_help())]
pub(crate) struct CheckBackupArguments {
    #[command(flatten)]
    pub(crate) keys: StoreKeyArguments,
    /// The key store that it should be of: says how far the backup is behind it.
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonArguments,
    /// The backup [default: standard input].
    #[arg(value_name = "IN")]
    pub(crate) input: Option<PathBuf>,
}

/// A store and its anchor.
#[derive(Args)]
pub(crate) struct FileArguments {
    /// The file of the key store.
    #[arg(long = "store", value_name = "FILE")]
    pub(crate) path: PathBuf,
    /// The file of its anchor, on another disk than the store [default: KUVERT_ANCHOR, or none].
    #[arg(long, value_name = "FILE")]
    pub(crate) anchor: Option<PathBuf>,
}

/// A store that is opened.
#[derive(Args)]
pub(crate) struct StoreArguments {
    #[command(flatten)]
    pub(crate) keys: StoreKeyArguments,
    #[command(flatten)]
    pub(crate) file: FileArguments,
    /// The longest time for which any service keeps a key of this store: a number and s, m, h, d or w.
    #[arg(long, value_name = "AGE", default_value = "60s")]
    pub(crate) max_age: String,
}

#[derive(Args)]
pub(crate) struct StoreKeyArguments {
    /// A key file, aws-kms:ARN, a pkcs11: URI or config:FILE.toml that opens the root and the epochs; repeats
    /// [default: KUVERT_KEYS, separated by blanks].
    #[arg(short, long = "key", value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(crate) key: Vec<OsString>,
}

/// Whom it is about.
#[derive(Args)]
pub(crate) struct PeopleArguments {
    /// The scope of the names, such as a tenant.
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: String,
    /// The file with the names of persons, one on a line; - is standard input [default: standard input].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["subject", "class"])]
    pub(crate) from: Option<PathBuf>,
    /// One person. Other users of this machine may see it while this runs, and the shell may keep it.
    #[arg(long, value_name = "NAME", conflicts_with = "class")]
    pub(crate) subject: Option<String>,
    /// A retention class.
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
}

#[derive(Args)]
pub(crate) struct JsonArguments {
    /// Writes one JSON object; of several names or requests one each, on a line.
    #[arg(long = "json")]
    pub(crate) wanted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReasonName {
    /// The person asked for it.
    Request,
    /// The time to keep the data is over.
    Expiry,
    /// Consent was withdrawn.
    ConsentWithdrawn,
    /// The person objected.
    Objection,
    /// Another reason.
    Other,
}
