//! Why the keys of a file could not be changed, and what to do about it.

use std::io;

use kuvert::{OpenError, RewrapError, SealError};

use super::Opening;
use super::target::Target;
use crate::args::PresentedArguments;
use crate::context::{self, Stored};
use crate::detached::header_path;
use crate::failure::Failure;
use crate::{names, remedy, side_copy};

pub(super) fn of(
    error: &RewrapError,
    target: &Target,
    given: &PresentedArguments,
    keys: &Opening<'_>,
) -> Failure {
    let name = target.name();
    match error {
        RewrapError::Open(error) => {
            side_copy::name_the_file(opening(error, target, given, keys), target.header_file())
        }
        RewrapError::Io(error) => io_failed(error, &name),
        RewrapError::Seal(SealError::Provider(inner)) => {
            let told = names::shown(&error.to_string());
            remedy::advise(Failure::new(inner.category(), format!("{name}: {told}")), [inner])
        }
        RewrapError::NoRoom { needed, available } => {
            Failure::new(error.category(), no_room(&name, *needed, *available))
                .advise(without_in_place(target))
        }
        RewrapError::Busy => Failure::new(error.category(), format!("{name}: {error}"))
            .advise("run this again when the other one has ended: what is done then is left as it is"),
        RewrapError::Changed(_) => Failure::new(error.category(), format!("{name}: {error}"))
            .advise("find out who writes to it; then run this again"),
        _ => Failure::new(error.category(), format!("{name}: {}", names::shown(&error.to_string()))),
    }
}

fn opening(error: &OpenError, target: &Target, given: &PresentedArguments, keys: &Opening<'_>) -> Failure {
    let header = header_path(target.header_file());
    if matches!((error, target), (OpenError::Malformed(_), Target::File(_))) && header.is_file() {
        let header = names::path(&header);
        return Failure::new(error.category(), format!("{}: {error}", target.name()))
            .advise(format!("a detached header lies beside it: name that one, {header}"));
    }
    let mut failure = Failure::opening(error, &target.name());
    if let Some(start) = target.start() {
        let stored = Stored::of(start.header());
        failure = context::explain(failure, error, &stored, given);
        let manner = keys.keys.manner();
        failure = crate::keys::explain(failure, error, &stored.recipients, &keys.own, manner);
    }
    if let OpenError::KeyUnavailable(_) = error {
        failure = failure.advise(format!("keys given: {}", keys.key_ids));
    }
    failure
}

/// What forbidding it would have cost.
fn without_in_place(target: &Target) -> String {
    let len = target.header_file().metadata().map_or(0, |metadata| metadata.len());
    format!(
        "without --in-place the file is written anew, {len} bytes beside the old one, and then takes its place"
    )
}

fn no_room(name: &str, needed: usize, available: usize) -> String {
    if available == 0 {
        return format!("{name}: its header has one slot only, and cannot be changed in place");
    }
    format!("{name}: its header has no room: the keys need {needed} bytes, and there are {available}")
}

fn io_failed(error: &io::Error, name: &str) -> Failure {
    // It may name a file beside this one.
    let failure = Failure::new(kuvert::Category::Io, format!("{name}: {}", names::shown(&error.to_string())));
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            failure.advise("the file, and the directory it is in, have to be writable for whoever runs this")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            failure.advise("copy it elsewhere, or mount the disk for writing")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.advise(
            "make room there, and run this again; the file opens with its old keys or with the new ones",
        ),
        _ => failure,
    }
}
