//! Every number that bounds something, with its unit and its reason.
//!
//! Floor 0. The normative list is section 6 of the [format](crate::manual::format).

/// Bytes of plaintext in a full chunk (format §3). The last chunk is always shorter.
pub const CHUNK_LEN: usize = 16 * 1024;
/// Bytes of an AES-GCM tag.
pub const TAG_LEN: usize = 16;
/// Bytes of a full sealed chunk.
pub const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;
/// Bytes before the first chunk of a body: salt 24 and commitment 32.
pub const BODY_START_LEN: usize = 56;
/// Chunks in one body: 2^38, so that the counter stays below the AES wear-out bound.
pub const MAX_CHUNKS: u64 = 1 << 38;
/// Bytes of plaintext in one message: one less than 4 PiB, because the last chunk must be short.
pub const MAX_PLAINTEXT_LEN: u64 = MAX_CHUNKS * CHUNK_LEN as u64 - 1;
/// Bytes of the fixed start of a header, which states every other length.
pub const PREFIX_LEN: usize = 32;
/// Bytes of the longest possible header.
pub const MAX_HEADER_LEN: usize = PREFIX_LEN + MAX_CONTEXT_LEN + 2 * MAX_SLOT_LEN + MAX_PAD_LEN;
/// Bytes of a serialised encryption context, stored and required pairs together.
pub const MAX_CONTEXT_LEN: usize = 16_384;
/// Pairs in an encryption context.
pub const MAX_CONTEXT_PAIRS: usize = 64;
/// Bytes of a context pair's name (at least 1).
pub const MAX_CONTEXT_NAME_LEN: usize = 255;
/// Bytes of a context pair's value.
pub const MAX_CONTEXT_VALUE_LEN: usize = 4096;
/// Bytes of the shortest slot; lengths are multiples of [`SLOT_LEN_UNIT`].
pub const MIN_SLOT_LEN: usize = 128;
/// Bytes of the longest slot.
pub const MAX_SLOT_LEN: usize = 131_072;
/// Bytes that a slot's length is a multiple of.
pub const SLOT_LEN_UNIT: usize = 16;
/// Bytes of zero padding after the slots.
pub const MAX_PAD_LEN: usize = 31;
/// Stanzas in one slot.
pub const MAX_STANZAS: usize = 32;
/// Stanzas of configured keys that are tried in one slot: bounds the calls a hostile header can cause.
pub const MAX_STANZAS_TRIED: usize = 4;
/// Bytes of a stanza's id.
pub const MAX_ID_LEN: usize = 2048;
/// Bytes of a stanza's parameters.
pub const MAX_PARAMS_LEN: usize = 1024;
/// Bytes of a stanza's wrapped key (at least 1).
pub const MAX_WRAP_LEN: usize = 6144;
/// Shares of an all-of: one would be no split, and more than eight custodians meet nowhere.
pub const MIN_SHARES: usize = 2;
/// Shares of an all-of, at most.
pub const MAX_SHARES: usize = 8;
/// Bytes that a record adds to its plaintext: 1 + 8 + 24 + 16.
pub const RECORD_OVERHEAD: usize = 49;
/// Bytes of plaintext in a record, by format.
pub const MAX_RECORD_LEN: usize = 64 * 1024 * 1024;
/// Bytes of plaintext in a record unless the caller raises it; larger values belong in a message.
pub const DEFAULT_RECORD_LEN: usize = 1024 * 1024;
/// Records after which a record key should be replaced: the chance of a repeated nonce is then 2^-49.
pub const RECORDS_PER_KEY: u64 = 1 << 36;
/// Bytes of a scope's name (it may be empty).
pub const MAX_SCOPE_LEN: usize = 255;
/// Bytes of a data subject's name (at least 1).
pub const MAX_SUBJECT_NAME_LEN: usize = 1024;
/// Persons who share one key (at least 2).
pub const MAX_JOINT_MEMBERS: usize = 64;
/// Bytes of a blind index's name (at least 1).
pub const MAX_INDEX_NAME_LEN: usize = 255;
