//! A header in a file of its own, beside its body: two files that must not be mixed with those of another time.
//!
//! No file system renames two files at once. The header that is replaced is kept until the body is in place, so
//! that whatever body there is after a crash has its header beside it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io::Write as _};

use crate::failure::{Doing, Failure, FileFault};
use crate::names;
use crate::output::{Output, Target, check_free};

/// The suffix of a detached header's file.
const SUFFIX: &str = ".kvh";
/// The suffix of the header that is being replaced.
const OLD_SUFFIX: &str = ".kvh.old";

/// Where the header goes.
pub(crate) struct HeaderFile {
    path: PathBuf,
    old: PathBuf,
    replace: bool,
}

/// The path of the header that belongs to a body, by its name.
pub(crate) fn header_path(body: &Path) -> PathBuf {
    with_suffix(body, SUFFIX)
}

impl HeaderFile {
    /// Beside the body, which has to be a file.
    pub(crate) fn beside(body: &Target, replace: bool) -> Result<Self, Failure> {
        let Some(body) = body.path() else {
            return Err(Failure::usage("a detached header needs a file for the body: name it with -o OUT"));
        };
        let file = Self { path: header_path(body), old: with_suffix(body, OLD_SUFFIX), replace };
        check_free(&file.path, replace)?;
        if file.old.symlink_metadata().is_ok() {
            let (old, body) = (names::path(&file.old), names::path(body));
            return Err(Failure::usage(format!("{old} is left from an earlier run that was interrupted"))
                .advise(format!(
                    "it is the header of {body}, or of nothing: verify with --header {old}, then move it away"
                )));
        }
        Ok(file)
    }

    /// Writes the header, which nobody sees yet.
    pub(crate) fn write(self, header: &[u8]) -> Result<WrittenHeader, Failure> {
        let mut output = Output::file(&self.path, self.replace)?;
        output.write_all(header).map_err(|error| FileFault::failure(Doing::Write, &self.path, error))?;
        Ok(WrittenHeader { file: self, output })
    }
}

/// A header that waits for its body.
pub(crate) struct WrittenHeader {
    file: HeaderFile,
    output: Output,
}

impl WrittenHeader {
    /// Lets header and body appear: both or, unless the machine dies in between, neither.
    pub(crate) fn commit_with(self, body: Output) -> Result<(), Failure> {
        let HeaderFile { path, old, replace } = self.file;
        let failed = |error| FileFault::failure(Doing::Write, &path, error);
        let is_replaced = replace && path.symlink_metadata().is_ok();
        if is_replaced {
            fs::rename(&path, &old).map_err(failed)?;
        }
        let committed =
            self.output.commit().and_then(|()| body.commit().inspect_err(|_| drop(fs::remove_file(&path))));
        if is_replaced {
            let restored = if committed.is_ok() { fs::remove_file(&old) } else { fs::rename(&old, &path) };
            // The failure that comes first is the one to tell.
            return committed.and(restored.map_err(failed));
        }
        committed
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
