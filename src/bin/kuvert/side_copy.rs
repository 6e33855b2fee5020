//! The copy of a header that a rewrap keeps beside the file while it changes it, and leaves when it is interrupted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, warn};
use crate::names;

/// The copy that lies beside a file, if there is one.
pub(crate) fn beside(file: &Path) -> Option<PathBuf> {
    // Beside the file itself, and not beside a link to it.
    let real = if file.is_symlink() { file.canonicalize().ok()? } else { file.to_owned() };
    let mut copy: OsString = real.into_os_string();
    copy.push(SUFFIX);
    let copy = PathBuf::from(copy);
    copy.symlink_metadata().is_ok().then_some(copy)
}

/// Of a file that opens all the same.
pub(crate) fn warn_of(file: &Path) {
    if let Some(copy) = beside(file) {
        let (file, copy) = (names::path(file), names::path(&copy));
        warn(&format!("{file}: {copy} is left of a rewrap that was interrupted, if none is running; {END}"));
    }
}

/// Of a file that does not open, and may be such a copy itself.
pub(crate) fn name_the_file(failure: Failure, file: &Path) -> Failure {
    if is_of_file(&failure) && file.as_os_str().to_string_lossy().ends_with(SUFFIX) {
        return failure
            .advise("by its name it is the copy of a header that a rewrap has left: name the file itself");
    }
    failure
}

/// Of a file that does not open, whose header may be what is wrong.
pub(crate) fn point_to(failure: Failure, file: &Path) -> Failure {
    let failure = name_the_file(failure, file);
    match beside(file).filter(|_| is_of_file(&failure)) {
        Some(copy) => failure.advise(format!(
            "a rewrap of it was interrupted and left a copy of its header, {}: {END}",
            names::path(&copy)
        )),
        None => failure,
    }
}

/// Whether the file is at fault, and not the machine or the call.
fn is_of_file(failure: &Failure) -> bool {
    matches!(failure.exit_status(), 3..=6)
}

const SUFFIX: &str = ".kuvert-header";
const END: &str = "the same 'kuvert rewrap' again mends the file and removes the copy";
