//! How messages are sealed, and what is accepted when they are opened: defaults and their reasons.

use crate::{
    format::Layout,
    io::Threads,
    limits::{MAX_HEADER_LEN, MAX_PLAINTEXT_LEN, MAX_STANZAS, MAX_STANZAS_TRIED},
};

/// How messages are sealed. The default is right for almost everybody.
///
/// # Examples
///
/// ```
/// use kuvert::{Layout, SealOptions};
///
/// let options = SealOptions::default().with_layout(Layout::Detached);
/// assert_eq!(options.layout, Some(Layout::Detached));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct SealOptions {
    /// The header's layout. `None` (default): compact for one-shot messages, which are small, and rewrappable for
    /// streams and files, whose recipients can then be replaced in place.
    pub layout: Option<Layout>,
    /// Whether [`seal_file`](crate::SealHandle::seal_file) may replace a file that is there. Default: no.
    pub replace_existing: bool,
    /// How many threads seal what is in memory or in a file, where it is long enough to pay. Default: one. Streams are
    /// given theirs by [`into_parallel_writer`](crate::Sealer::into_parallel_writer).
    pub threads: Threads,
}

impl SealOptions {
    /// Fixes the header's layout.
    #[must_use]
    pub const fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Lets an existing output file be replaced.
    #[must_use]
    pub const fn with_replace_existing(mut self, replace: bool) -> Self {
        self.replace_existing = replace;
        self
    }

    /// Lets several threads work on what is long enough.
    #[must_use]
    pub const fn with_threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }
}

/// What is accepted when a message is opened. The defaults are strict.
///
/// # Examples
///
/// ```
/// use kuvert::OpenOptions;
///
/// let options = OpenOptions::default().with_accept_stored_context(true).with_min_generation(2);
/// assert!(options.accept_stored_context);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Takes the pairs that are stored in the header for right, without the caller presenting them. Required pairs
    /// must be presented all the same, and so must the role of a key envelope. Default: no.
    ///
    /// # Security
    ///
    /// Then the context no longer shows that this is the message you asked for: another one under the same key,
    /// put in its place, opens as well.
    pub accept_stored_context: bool,
    /// Refuses headers of a lower generation, as an older header that was put back has. Default: 0, any.
    pub min_generation: u32,
    /// The longest header accepted, in bytes. Default and maximum: 278 591, the format's. Kept before the header is
    /// read by calls that read it themselves; of a start that you read it is too late for that, so read it with
    /// [`MessageStart::within`](crate::MessageStart::within) the same limit.
    pub max_header_len: usize,
    /// Stanzas of configured keys that are tried in one header slot: bounds the provider calls that a hostile header
    /// can cause. Default 4, maximum 32, the format's.
    pub max_stanzas_tried: usize,
    /// The longest plaintext accepted by one-shot calls and [`open_file`](crate::OpenHandle::open_file), in bytes.
    /// Default and maximum: one less than 4 PiB, the format's.
    pub max_plaintext_len: u64,
    /// Readers that seek verify the message's length only when they first need it, not when they are made: one read
    /// less to begin with. Default: no.
    pub lazy_length: bool,
    /// [`open_file`](crate::OpenHandle::open_file) reads the whole message through once before it writes the first
    /// byte, so that a damaged backup is told before the disk is filled. Default: yes.
    pub verify_first: bool,
    /// Whether [`open_file`](crate::OpenHandle::open_file) may replace a file that is there. Default: no.
    pub replace_existing: bool,
    /// How many threads open what is in memory or in a file, where it is long enough to pay. Default: one. Streams are
    /// given theirs by [`into_parallel_reader`](crate::Opener::into_parallel_reader).
    pub threads: Threads,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            accept_stored_context: false,
            min_generation: 0,
            max_header_len: MAX_HEADER_LEN,
            max_stanzas_tried: MAX_STANZAS_TRIED,
            max_plaintext_len: MAX_PLAINTEXT_LEN,
            lazy_length: false,
            verify_first: true,
            replace_existing: false,
            threads: Threads::ONE,
        }
    }
}

impl OpenOptions {
    /// Takes stored pairs for right without presenting them; see [`accept_stored_context`](Self#structfield.accept_stored_context).
    #[must_use]
    pub const fn with_accept_stored_context(mut self, accept: bool) -> Self {
        self.accept_stored_context = accept;
        self
    }

    /// Refuses headers of a lower generation.
    #[must_use]
    pub const fn with_min_generation(mut self, generation: u32) -> Self {
        self.min_generation = generation;
        self
    }

    /// Refuses longer headers, in bytes. More than the format's maximum has no effect.
    #[must_use]
    pub const fn with_max_header_len(mut self, len: usize) -> Self {
        self.max_header_len = if len < MAX_HEADER_LEN { len } else { MAX_HEADER_LEN };
        self
    }

    /// Tries at most so many stanzas of configured keys in a slot. More than the format's maximum has no effect.
    #[must_use]
    pub const fn with_max_stanzas_tried(mut self, stanzas: usize) -> Self {
        self.max_stanzas_tried = if stanzas < MAX_STANZAS { stanzas } else { MAX_STANZAS };
        self
    }

    /// Refuses longer plaintexts, in bytes. More than the format's maximum has no effect.
    #[must_use]
    pub const fn with_max_plaintext_len(mut self, len: u64) -> Self {
        self.max_plaintext_len = if len < MAX_PLAINTEXT_LEN { len } else { MAX_PLAINTEXT_LEN };
        self
    }

    /// Verifies the length of seekable messages only when it is first needed.
    #[must_use]
    pub const fn with_lazy_length(mut self, lazy: bool) -> Self {
        self.lazy_length = lazy;
        self
    }

    /// Whether files are verified whole before anything is written.
    #[must_use]
    pub const fn with_verify_first(mut self, verify: bool) -> Self {
        self.verify_first = verify;
        self
    }

    /// Lets an existing output file be replaced.
    #[must_use]
    pub const fn with_replace_existing(mut self, replace: bool) -> Self {
        self.replace_existing = replace;
        self
    }

    /// Lets several threads work on what is long enough.
    #[must_use]
    pub const fn with_threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }
}
