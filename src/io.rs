//! Readers and writers over the machines of [`Sealer`](crate::Sealer) and [`Opener`](crate::Opener).
//!
//! | you have | you want | use |
//! |---|---|---|
//! | something to write to | seal into it | [`SealWriter`] |
//! | something to read from | plaintext in order | [`OpenReader`] |
//! | either, a lot of it, and several cores | the same, faster | [`ParallelSealWriter`], [`ParallelOpenReader`] |
//! | a source that seeks | plaintext anywhere, by one reader | [`SeekReader`] |
//! | a source that reads at offsets | ranges, from many threads | [`RangeReader`] |
//! | a file to write whole or not at all | an old or a new file, never a half | [`AtomicFile`] |
//!
//! With feature `tokio`, over the same machines and hence with the same bytes:
//!
//! | you have | you want | use |
//! |---|---|---|
//! | an `AsyncWrite` | seal into it | `AsyncSealWriter` |
//! | an `AsyncRead` | plaintext in order | `AsyncOpenReader` |
//! | an `AsyncRead` that seeks | plaintext anywhere | `AsyncSeekReader` |
//! | a `Stream` of `Bytes` | a stream of the message's bytes | `SealStream` |
//! | a `Stream` of a message's bytes | a stream of plaintext | `OpenStream` |
//!
//! Each poll of these seals or opens at most 256 KiB (half a MiB with several threads), which takes about 0.1 ms with AES
//! instructions: they need no `spawn_blocking`, and other tasks run in between.
//! [`seal_file`](crate::SealHandle::seal_file) and [`open_file`](crate::OpenHandle::open_file) do block: use them in
//! `spawn_blocking` with [`blocking::block_on`](crate::blocking::block_on), or these adapters over `tokio::fs::File`.
//!
//! Floor 4: nothing in here knows a key provider. What `finish`, `flush` and dropping mean is told on each type:
//! only `finish` ends a message, so that a crash or a panic half way never leaves something that opens.

mod atomic_file;
mod blocking;
#[cfg(feature = "tokio")]
mod bytes_stream;
mod header_file;
mod parallel;
mod random_access;
mod source;
mod threads;
#[cfg(feature = "tokio")]
mod tokio;

pub use self::{
    atomic_file::AtomicFile,
    blocking::{OpenReader, SealWriter},
    parallel::{ParallelOpenReader, ParallelSealWriter},
    random_access::{RangeReader, SeekReader},
    source::ReadAt,
    threads::Threads,
};
#[cfg(feature = "tokio")]
pub use self::{
    bytes_stream::{OpenStream, SealStream, StreamRest},
    tokio::{AsyncOpenReader, AsyncSealWriter, AsyncSeekReader},
};

#[cfg(test)]
pub(crate) use self::atomic_file::{crash_tests::images, disk::Disk};
pub(crate) use self::atomic_file::{disk::RealDisk, sync_parent};
pub(crate) use self::blocking::{unwrap_open_error, unwrap_seal_error};
pub(crate) use self::header_file::lock::{Opened, open_exclusively as lock_exclusively};
pub(crate) use self::header_file::{Access, HeaderFile, disk::HeaderDisk};
#[cfg(feature = "tokio")]
pub(crate) use self::tokio::{poll_read_into, seek_async};
use crate::format::stanza::RecipientType;

/// What a finished message consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealReport {
    /// Bytes of plaintext sealed.
    pub plaintext_len: u64,
    /// Bytes of the whole message: header and body, wherever the header was written to.
    pub sealed_len: u64,
    /// The recipients in the header, in order: any one of them opens the message.
    pub recipients: Vec<RecipientName>,
    /// Recipients that were asked for and could not be reached; they stand in the header by name only.
    pub pending: Vec<RecipientName>,
}

/// A wrapping key by its public name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecipientName {
    /// The stanza type.
    pub recipient_type: RecipientType,
    /// The provider's id of the wrapping key; bytes that are not UTF-8 are replaced.
    pub id: String,
}

impl RecipientName {
    pub(crate) fn new(recipient_type: RecipientType, id: String) -> Self {
        Self { recipient_type, id }
    }
}

/// What opening a message established, besides its plaintext. All of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// Bytes of plaintext.
    pub plaintext_len: u64,
    /// The wrapping key that opened the message. By a public-key type, anybody could have sealed it.
    pub opened_by: RecipientName,
    /// The header's generation: 1 when sealed, one more for each rewrap.
    pub generation: u32,
    /// One of two header slots is damaged: the message opens, and has lost its spare. Rewrap it.
    pub degraded: bool,
    /// Two header slots are valid: a rewrap stopped half way. Rewrap again to finish it.
    pub unfinished_rewrap: bool,
}
