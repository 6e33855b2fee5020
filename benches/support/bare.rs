//! The yardstick: AES-256-GCM of the library that the crate was built on, called directly, and nothing else.
//!
//! The loops over chunks are what somebody would write who wants nothing but speed: same chunk size, same group
//! buffer, same source and sink as the crate; no header, no order of chunks, no state that survives an error.

use std::io::{Read, Write};

/// Bytes of plaintext in a chunk.
pub(crate) const CHUNK: usize = 16 * 1024;
/// Bytes of a sealed chunk.
pub(crate) const SEALED: usize = CHUNK + TAG;
/// Chunks in the group buffer.
pub(crate) const GROUP: usize = 16;
const TAG: usize = 16;

/// The nonce of a chunk: its number.
pub(crate) fn nonce(index: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&index.to_be_bytes());
    nonce
}

/// A key and the nonces of the chunks under it.
pub(crate) struct Body {
    key: BareKey,
    base_nonce: [u8; 12],
}

impl Body {
    pub(crate) fn new(key: &[u8; 32], base_nonce: [u8; 12]) -> Self {
        Self { key: BareKey::new(key), base_nonce }
    }

    fn nonce(&self, index: u64) -> [u8; 12] {
        let mut nonce = self.base_nonce;
        nonce[4..].iter_mut().zip(index.to_be_bytes()).for_each(|(byte, of_index)| *byte ^= of_index);
        nonce
    }

    fn seal_to(&self, index: u64, plaintext: &[u8], sealed: &mut [u8]) {
        self.key.seal_to(&self.nonce(index), &[], plaintext, sealed);
    }

    fn seal_in_place(&self, index: u64, sealed: &mut [u8]) {
        self.key.seal_in_place(&self.nonce(index), &[], sealed);
    }

    fn open_to(&self, index: u64, sealed: &[u8], plaintext: &mut [u8]) {
        self.key.open_to(&self.nonce(index), &[], sealed, plaintext);
    }

    pub(crate) fn open_in_place(&self, index: u64, sealed: &mut [u8]) {
        self.key.open_in_place(&self.nonce(index), &[], sealed);
    }
}

/// From one slice into another, chunk by chunk; `sealed` has 16 bytes more for each, the last one included.
pub(crate) fn seal_slice(body: &Body, plaintext: &[u8], sealed: &mut [u8]) {
    let chunks = plaintext.chunks(CHUNK).zip(sealed.chunks_mut(SEALED));
    for (index, (chunk, room)) in (0..).zip(chunks) {
        body.seal_to(index, chunk, room);
    }
}

/// The reverse of [`seal_slice`].
pub(crate) fn open_slice(body: &Body, sealed: &[u8], plaintext: &mut [u8]) {
    let chunks = sealed.chunks(SEALED).zip(plaintext.chunks_mut(CHUNK));
    for (index, (chunk, room)) in (0..).zip(chunks) {
        body.open_to(index, chunk, room);
    }
}

/// From a slice through the group buffer into `sink`, without a copy.
pub(crate) fn seal_stream(body: &Body, plaintext: &[u8], group: &mut [u8], sink: &mut impl Write) {
    let mut index = 0;
    for chunks in plaintext.chunks(GROUP * CHUNK) {
        let mut filled = 0;
        for chunk in chunks.chunks(CHUNK) {
            let room = &mut group[filled..filled + chunk.len() + TAG];
            body.seal_to(index, chunk, room);
            filled += room.len();
            index += 1;
        }
        sink.write_all(&group[..filled]).expect("the sink takes everything");
    }
}

/// From a reader through the group buffer into `sink`: read, seal in place, write.
pub(crate) fn seal_read(body: &Body, source: &mut impl Read, group: &mut [u8], sink: &mut impl Write) {
    let mut index = 0;
    loop {
        let mut filled = 0;
        for room in group.chunks_exact_mut(SEALED) {
            let read = read_full(source, &mut room[..CHUNK]);
            if read == 0 {
                break;
            }
            body.seal_in_place(index, &mut room[..read + TAG]);
            filled += read + TAG;
            index += 1;
        }
        if filled == 0 {
            return;
        }
        sink.write_all(&group[..filled]).expect("the sink takes everything");
    }
}

/// From a reader through the group buffer into `sink`: read a group, open each chunk in place, write it.
pub(crate) fn open_read(body: &Body, source: &mut impl Read, group: &mut [u8], sink: &mut impl Write) {
    let mut index = 0;
    loop {
        let filled = read_full(source, group);
        if filled == 0 {
            return;
        }
        for chunk in group[..filled].chunks_mut(SEALED) {
            body.open_in_place(index, chunk);
            sink.write_all(&chunk[..chunk.len() - TAG]).expect("the sink takes everything");
            index += 1;
        }
    }
}

/// From a reader through the group buffer into `out`, over and over: read a group, open its chunks out of place.
pub(crate) fn open_read_to(body: &Body, source: &mut impl Read, group: &mut [u8], out: &mut [u8]) {
    let mut index = 0;
    loop {
        let filled = read_full(source, group);
        if filled == 0 {
            return;
        }
        for chunks in group[..filled].chunks(out.len() / CHUNK * SEALED) {
            for (chunk, room) in chunks.chunks(SEALED).zip(out.chunks_mut(CHUNK)) {
                body.open_to(index, chunk, &mut room[..chunk.len() - TAG]);
                index += 1;
            }
            std::hint::black_box(&mut *out);
        }
    }
}

fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]).expect("the source can be read") {
            0 => break,
            n => filled += n,
        }
    }
    filled
}

pub(crate) use backend::BareKey;

#[cfg(feature = "aws-lc")]
mod backend {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    /// An AES-256-GCM key of the library itself.
    pub(crate) struct BareKey(LessSafeKey);

    impl BareKey {
        pub(crate) fn new(key: &[u8; 32]) -> Self {
            Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes")))
        }

        pub(crate) fn seal_to(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], sealed: &mut [u8]) {
            let (text, tag) = sealed.split_at_mut(plaintext.len());
            self.0
                .seal_out_of_place_scatter(Nonce::from(nonce), Aad::from(aad), plaintext, text, &[], tag)
                .expect("the lengths are right");
        }

        pub(crate) fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], sealed: &mut [u8]) {
            let (text, tag) = sealed.split_last_chunk_mut::<16>().expect("room for the tag");
            self.0
                .seal_in_place_scatter(Nonce::from(nonce), Aad::from(aad), text, &[], tag)
                .expect("the lengths are right");
        }

        pub(crate) fn open_to(&self, nonce: &[u8; 12], aad: &[u8], sealed: &[u8], plaintext: &mut [u8]) {
            let (text, tag) = sealed.split_at(plaintext.len());
            self.0
                .open_separate_gather(Nonce::from(nonce), Aad::from(aad), text, tag, plaintext)
                .expect("nobody changed it");
        }

        pub(crate) fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], sealed: &mut [u8]) {
            let (text, tag) = sealed.split_last_chunk_mut::<16>().expect("it ends in a tag");
            self.0
                .open_in_place_separate_tag(Nonce::from(nonce), Aad::from(aad), tag, text)
                .map(drop)
                .expect("nobody changed it");
        }
    }
}

#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
mod backend {
    use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};

    /// An AES-256-GCM key of the library itself.
    pub(crate) struct BareKey(LessSafeKey);

    impl BareKey {
        pub(crate) fn new(key: &[u8; 32]) -> Self {
            Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes")))
        }

        /// A copy and in place: the library has nothing else.
        pub(crate) fn seal_to(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], sealed: &mut [u8]) {
            sealed[..plaintext.len()].copy_from_slice(plaintext);
            self.seal_in_place(nonce, aad, sealed);
        }

        pub(crate) fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], sealed: &mut [u8]) {
            let (text, tag) = sealed.split_last_chunk_mut::<16>().expect("room for the tag");
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let made = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), text);
            tag.copy_from_slice(made.expect("the lengths are right").as_ref());
        }

        /// A copy and in place, for the same reason.
        pub(crate) fn open_to(&self, nonce: &[u8; 12], aad: &[u8], sealed: &[u8], plaintext: &mut [u8]) {
            let (text, tag) = sealed.split_at(plaintext.len());
            plaintext.copy_from_slice(text);
            self.open_split(nonce, aad, plaintext, tag);
        }

        pub(crate) fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], sealed: &mut [u8]) {
            let (text, tag) = sealed.split_last_chunk_mut::<16>().expect("it ends in a tag");
            self.open_split(nonce, aad, text, tag);
        }

        fn open_split(&self, nonce: &[u8; 12], aad: &[u8], text: &mut [u8], tag: &[u8]) {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let tag = Tag::try_from(tag).expect("16 bytes");
            self.0
                .open_in_place_separate_tag(nonce, Aad::from(aad), tag, text, 0..)
                .map(drop)
                .expect("nobody changed it");
        }
    }
}

#[cfg(all(feature = "portable", not(any(feature = "aws-lc", feature = "ring"))))]
mod backend {
    use aes_gcm::aead::{AeadInOut, inout::InOutBuf};
    use aes_gcm::{Aes256Gcm, KeyInit};

    /// An AES-256-GCM key of the library itself.
    pub(crate) struct BareKey(Box<Aes256Gcm>);

    impl BareKey {
        pub(crate) fn new(key: &[u8; 32]) -> Self {
            Self(Box::new(Aes256Gcm::new(&(*key).into())))
        }

        pub(crate) fn seal_to(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], sealed: &mut [u8]) {
            let (text, tag) = sealed.split_at_mut(plaintext.len());
            self.seal_buffers(nonce, aad, InOutBuf::new(plaintext, text).expect("equal lengths"), tag);
        }

        pub(crate) fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], sealed: &mut [u8]) {
            let (text, tag) = sealed.split_last_chunk_mut::<16>().expect("room for the tag");
            self.seal_buffers(nonce, aad, text.into(), tag);
        }

        pub(crate) fn open_to(&self, nonce: &[u8; 12], aad: &[u8], sealed: &[u8], plaintext: &mut [u8]) {
            let (text, tag) = sealed.split_at(plaintext.len());
            let tag = tag.try_into().expect("16 bytes");
            self.open_buffers(nonce, aad, InOutBuf::new(text, plaintext).expect("equal lengths"), tag);
        }

        pub(crate) fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], sealed: &mut [u8]) {
            let (text, tag) = sealed.split_last_chunk_mut::<16>().expect("it ends in a tag");
            self.open_buffers(nonce, aad, text.into(), tag);
        }

        fn seal_buffers(&self, nonce: &[u8; 12], aad: &[u8], text: InOutBuf<'_, '_, u8>, tag: &mut [u8]) {
            let made = self.0.encrypt_inout_detached(&(*nonce).into(), aad, text);
            tag.copy_from_slice(&made.expect("the lengths are right"));
        }

        fn open_buffers(&self, nonce: &[u8; 12], aad: &[u8], text: InOutBuf<'_, '_, u8>, tag: &[u8; 16]) {
            self.0
                .decrypt_inout_detached(&(*nonce).into(), aad, text, &(*tag).into())
                .expect("nobody changed it");
        }
    }
}
