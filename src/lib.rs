//! Envelope encryption: records, files and backups sealed with AES-256-GCM, each message under a fresh data key that
//! a wrapping key of yours wraps.
//!
//! ```
//! use kuvert::{EncryptionContext, Kuvert, provider::MemoryProvider};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # kuvert::blocking::block_on(async {
//! let kuvert = Kuvert::new(MemoryProvider::generate("2026")?); // or `MemoryProvider::from_key_file(path)`
//! let context = EncryptionContext::new([("table", "users"), ("id", "42")])?;
//! let sealed = kuvert.seal(b"anna@example.se", &context).await?;
//! assert_eq!(kuvert.open(&sealed, &context).await?.as_slice(), b"anna@example.se");
//! # Ok(()) })? }
//! ```
//!
//! # The way of the bytes
//!
//! ```text
//!                     KeyProvider
//!                          | a data key, and the same wrapped     one awaited step
//!                          v
//! plaintext ---> Sealer, SealWriter: chunks of 16 KiB ---> message = header | Cobblestone-256 body
//!
//! message -----> MessageStart: the header, nothing of it verified yet
//!                          |
//!                     KeyProvider                                 one awaited step
//!                          | the data key; commitment and header verified
//!                          v
//!                Opener, OpenReader, SeekReader, RangeReader ---> plaintext, no chunk before it is verified
//! ```
//!
//! Keys are asked for in one `await`; bytes are ordinary [`std::io`], or tokio's, from then on. Nothing here needs a particular
//! async runtime, and programs without one call [`blocking`].
//!
//! # Which call when
//!
//! | for | use |
//! |---|---|
//! | one value in memory | [`Kuvert::seal`], [`Kuvert::open`] |
//! | many small values: fields, rows, events | [`Kuvert::new_record_key`] and [`Kuvert::load_record_key`], then [`RecordKey`] |
//! | the data of persons who may have to be erased | [`Subjects`], over a [`keystore`] |
//! | a stream of any length | [`Kuvert::sealer`] and [`Sealer::into_writer`]; [`MessageStart`], [`Kuvert::opener`] and [`Opener::into_reader`] |
//! | the same on several cores | [`Sealer::into_parallel_writer`], [`Opener::into_parallel_reader`]; [`Threads`] in the options of the others |
//! | the same with tokio, or as a `Stream` of `Bytes` | `Sealer::into_async_writer` and `into_stream`, `MessageStart::read_async`, `Opener::into_async_reader` and `into_stream` (feature `tokio`) |
//! | parts of a sealed file | [`Opener::into_seekable`], or [`Opener::into_ranges`] for many threads |
//! | files, whole or not at all | [`SealHandle::seal_file`], [`OpenHandle::open_file`] |
//! | a service that only writes, or only reads | [`Kuvert::seal_only`], [`Kuvert::open_only`] |
//! | other recipients for what is sealed already | [`OpenHandle::rewrap_to`] and [`Rewrap`] |
//! | what a message says about itself, without a key | [`MessageStart::header`] |
//! | keys in a service of your own | [`provider::KeyProvider`] |
//! | providers and policies in a configuration file | `config::Config` (feature `serde`) |
//!
//! Every failure has a [`Category`], which says what to do about it.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|:--:|---|
//! | `aws-lc` | yes | the crypto backend aws-lc-rs |
//! | `ring`, `portable` | | other crypto backends, for where that one does not build; the bytes are the same. With several on, aws-lc is used, then ring |
//! | `serde` | | `config`: key providers from a configuration file; options that such a file can hold |
//! | `tokio` | | readers, writers and streams for tokio: `AsyncSealWriter`, `AsyncOpenReader`, `AsyncSeekReader`, `SealStream`, `OpenStream` in [`io`]. Traits only, no runtime |
//! | `conformance` | | `provider::conformance` and `keystore::conformance`: the contracts of [`provider::KeyProvider`] and [`keystore::KeyStore`] as suites |
//! | `cli` | | the program `kuvert`; with `https` also for keys in AWS KMS, with `pkcs11` for keys in tokens |
//! | `tracing` | | [`observe`]'s events as `tracing` events |
//! | `aws-kms` | | `provider::aws_kms`: wrapping keys in AWS KMS |
//! | `https` | | a ready client for it |
//! | `pkcs11` | | `provider::pkcs11`: wrapping keys in hardware security modules and other PKCS#11 tokens |
//! | `sqlite` | | `keystore::SqliteKeyStore`: the keys of data subjects in an SQLite file, on the engine that comes with it |
//!
//! A feature adds something and never changes what existing code does.
//!
//! # Compatibility
//!
//! What a released version has sealed, every later one opens; test vectors of each release are kept and never edited.
//! The [format](manual::format) of this release is final for what it covers. The Rust interface may change until 1.0,
//! and so may what feature `conformance` checks.
//!
//! # The manual
//!
//! [Format](manual::format) · [threat model](manual::threats) · [design](manual::design) ·
//! [operations](manual::operations) · [configuration](manual::configuration) · [erasure](manual::erasure) · [promises](manual::promises) ·
//! [performance](manual::performance)
//!
//! # Words
//!
//! | word | means |
//! |---|---|
//! | data key | the random 256-bit key of one message or one key envelope |
//! | wrapping key | the key in a key file, KMS or HSM that wraps data keys |
//! | wrap, unwrap | done to keys |
//! | seal, open | done to data |
//! | key provider | what generates, wraps and unwraps data keys |
//! | recipient | one wrapped copy of a data key (on the wire: a stanza) |
//! | encryption context | the caller's name-value pairs that are bound to the data |
//! | message | header and body |
//! | chunk | 16 KiB of a body's plaintext, sealed as one |
//! | record | one sealed field or row, under a record key |
//! | key envelope | a message without content that keeps one data key |
//! | rewrap | new recipients for the same data key, body untouched |
//! | re-seal | a new data key, and the data sealed again |

mod cache_slot;
mod crypto;
#[cfg(feature = "serde")]
mod duration_text;
mod error;
mod executor;
mod fork;
mod format;
mod front;
mod join;
mod record_cipher;
mod secret;
mod stream;
mod sync;
mod thread_number;
#[cfg(feature = "sqlite")]
mod worker;

pub mod blocking;
pub mod clock;
#[cfg(feature = "serde")]
pub mod config;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod io;
pub mod keystore;
pub mod limits;
pub mod manual;
pub mod observe;
pub mod provider;
pub mod subjects;

pub use async_trait::async_trait;

pub use self::error::{
    AnchorError, Category, ContextError, KeyStoreError, KeyStoreErrorKind, OpenError, ProviderError,
    ProviderErrorKind, RecipientAttempt, RecordError, RewrapError, SealError, SubjectError, UnavailableKeys,
};
pub use self::format::{
    Kind, Layout,
    context::EncryptionContext,
    header::{ClaimedSlot, Header},
    stanza::{Recipient, RecipientType},
};
pub use self::front::{
    Cell, Kuvert, MessageStart, OpenHandle, OpenOptions, Opener, RecordKey, RecordOptions, Rewrap,
    RewrapMethod, RewrapOptions, RewrapOutcome, RewrapReport, RewrapSummary, RowKey, SealHandle, SealOptions,
    Sealer, StartReader,
};
pub use self::io::Threads;
pub use self::secret::{DataKey, Opened};
pub use self::subjects::{Scope, Sealed, Subject, Subjects, SubjectsOptions};

/// What the fuzz targets reach beside the public tree. Exists under `cargo fuzz` only.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz_api {
    pub use crate::crypto::differential::differential;
}

/// The README's code compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}
