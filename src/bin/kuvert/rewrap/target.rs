//! Which files one FILE stands for: a message, or a header and its body.

use std::path::{Path, PathBuf};

use kuvert::{MessageStart, OpenError};

use crate::detached::header_path;
use crate::failure::Failure;
use crate::names;
use crate::source::Source;

pub(super) enum Target {
    File(PathBuf),
    Detached { header: PathBuf, body: PathBuf },
}

impl Target {
    /// A detached header is told by its content, and its body by the header's name.
    // fmt: T-7
    pub(super) fn new(file: &Path, header: Option<&Path>) -> Result<Self, Failure> {
        if let Some(header) = header {
            return Ok(Self::Detached { header: header.to_owned(), body: file.to_owned() });
        }
        if file.as_os_str() == "-" {
            return Err(Failure::usage("what is rewrapped has to be a file, and not a stream"));
        }
        let is_detached =
            matches!(MessageStart::read(&mut Source::open(Some(file))?), Err(OpenError::Usage(_)));
        if !is_detached {
            return Ok(Self::File(file.to_owned()));
        }
        let body = file.with_extension("");
        if header_path(&body) == file && body.is_file() {
            return Ok(Self::Detached { header: file.to_owned(), body });
        }
        let name = names::path(file);
        Err(Failure::usage(format!("{name} is a detached header, and its body does not lie beside it"))
            .advise(format!("name both: kuvert rewrap ... --header {name} BODY")))
    }

    /// The file that has the header in it.
    pub(super) fn header_file(&self) -> &Path {
        match self {
            Self::File(file) => file,
            Self::Detached { header, .. } => header,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::File(file) => names::path(file),
            Self::Detached { header, body } => {
                format!("{} (with header {})", names::path(body), names::path(header))
            }
        }
    }

    /// The stored pairs' source, once more, for messages.
    pub(super) fn start(&self) -> Option<MessageStart> {
        let mut file = Source::open(Some(self.header_file())).ok()?;
        match self {
            Self::File(_) => MessageStart::read(&mut file).ok(),
            Self::Detached { body, .. } => {
                MessageStart::read_detached(&mut file, &mut Source::open(Some(body)).ok()?).ok()
            }
        }
    }
}
