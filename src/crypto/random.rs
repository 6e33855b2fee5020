//! Random bytes, from the operating system each time.
//!
//! No generator of our own stands in between, so none can be copied by a fork or a machine snapshot. Floor 1; the one
//! pool there is, which a caller has to ask for by name, is the record cipher's.

use std::io;

/// Fills `bytes` from the operating system's source.
pub(crate) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    // fmt: N-4
    getrandom::fill(bytes).map_err(|error| match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    })
}
