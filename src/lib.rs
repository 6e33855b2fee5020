//! Envelope encryption for other people's data.
//!
//! (The crate's documentation and its hand-written public tree stand here; no logic.)

mod crypto;
mod error;
mod executor;
mod fork;
mod format;
mod front;
mod record_cipher;
mod secret;
mod stream;

pub mod blocking;
pub mod clock;
pub mod io;
pub mod limits;
pub mod manual;
pub mod provider;

pub use async_trait::async_trait;

pub use self::error::{
    Category, ContextError, OpenError, ProviderError, ProviderErrorKind, RecipientAttempt, RecordError,
    SealError, UnavailableKeys,
};
pub use self::format::{
    Kind, Layout,
    context::EncryptionContext,
    header::{ClaimedSlot, Header},
    stanza::{Recipient, RecipientType},
};
pub use self::front::{
    Cell, Kuvert, MessageStart, OpenHandle, OpenOptions, Opener, RecordKey, RowKey, SealHandle, SealOptions,
    Sealer,
};
pub use self::secret::{DataKey, Opened};

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
