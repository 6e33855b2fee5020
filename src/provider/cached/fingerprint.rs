//! Where in the tables a wrap stands: a fast hash that nobody outside the process can aim at.
//!
//! It only has to spread: every find is compared in full before it counts. It is keyed at random all the same, because
//! the bytes come from headers that anybody may have written.

use super::{WrapContext, entry::Wanted};
use crate::crypto::random;

/// The key of the hash, drawn once for each cache and process.
pub(crate) struct Seed([u64; 4]);

impl Seed {
    /// From the operating system's random source; where that fails, from the addresses that `std` keys its own
    /// tables with.
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};

        let mut bytes = [0; 32];
        if random::fill(&mut bytes).is_err() {
            for (n, word) in bytes.chunks_exact_mut(8).enumerate() {
                word.copy_from_slice(&RandomState::new().hash_one(n).to_le_bytes());
            }
        }
        Self(std::array::from_fn(|n| word(&bytes[n * 8..n * 8 + 8])))
    }

    /// Of everything that the provider inside would see.
    #[inline]
    pub(super) fn of(&self, wanted: Wanted<'_>) -> u64 {
        let mut hash = self.start(wanted.limit as u64);
        for recipient in wanted.recipients {
            hash.state ^= u64::from(recipient.recipient_type().0) << 32;
            for part in [recipient.wrap(), recipient.id(), recipient.params()] {
                hash.add(part);
            }
        }
        self.with_context(hash, wanted.context)
    }

    /// Of parts, one after the other, with their borders.
    #[inline]
    pub(crate) fn of_parts(&self, parts: &[&[u8]]) -> u64 {
        let mut hash = self.start(parts.len() as u64);
        parts.iter().for_each(|part| hash.add(part));
        fold(hash.state ^ self.0[2], self.0[3])
    }

    /// Of a context alone.
    pub(super) fn of_context(&self, context: &WrapContext) -> u64 {
        self.with_context(self.start(1 << 32), context)
    }

    #[inline]
    fn with_context(&self, mut hash: Hash<'_>, context: &WrapContext) -> u64 {
        hash.add(context.core());
        for (name, value) in context.pairs() {
            hash.add(name.as_bytes());
            hash.add(value.as_bytes());
        }
        fold(hash.state ^ self.0[2], self.0[3])
    }

    #[inline]
    fn start(&self, first: u64) -> Hash<'_> {
        Hash { seed: self, state: self.0[0] ^ first }
    }

    /// A number that looks random, for every `n` another one. Not for secrets.
    pub(super) fn scatter(&self, n: u64) -> u64 {
        fold(self.0[1] ^ n, self.0[2] | 1)
    }
}

struct Hash<'s> {
    seed: &'s Seed,
    state: u64,
}

impl Hash<'_> {
    /// 16 bytes a multiplication; then the rest, which takes the length with it, so that parts cannot run together.
    #[inline]
    fn add(&mut self, part: &[u8]) {
        let [_, one, other, _] = self.seed.0;
        let mut chunks = part.chunks_exact(16);
        for chunk in &mut chunks {
            self.state = fold(self.state ^ word(&chunk[..8]) ^ one, word(&chunk[8..]) ^ other);
        }
        let rest = chunks.remainder();
        let (low, high) = match rest.len() {
            8.. => (word(&rest[..8]), word(&rest[rest.len() - 8..])),
            4..8 => (half(&rest[..4]), half(&rest[rest.len() - 4..])),
            1..4 => {
                (u64::from(rest[0]) | u64::from(rest[rest.len() / 2]) << 8, u64::from(rest[rest.len() - 1]))
            }
            _ => (0, 0),
        };
        self.state = fold(self.state ^ low ^ other, high ^ one ^ (part.len() as u64).rotate_left(32));
    }
}

/// Both halves of the product, which every bit of both factors reaches.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let high = u64::try_from(product >> 64).unwrap_or_default();
    // The low half is meant to be cut off.
    let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or_default();
    low ^ high
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline]
fn half(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::format::stanza::{Recipient, RecipientType};

    fn recipient(kind: u16, parts: [&[u8]; 3]) -> Recipient {
        Recipient::new(RecipientType(kind), parts[0], parts[1], parts[2])
    }

    fn context(pairs: &[(&str, &str)]) -> WrapContext {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        WrapContext::new([7; 12], pairs)
    }

    fn of(seed: &Seed, recipient: &Recipient, context: &WrapContext) -> u64 {
        seed.of(Wanted { recipients: &[recipient], limit: 1, context })
    }

    #[test]
    fn every_part_and_every_border_counts() {
        let seed = Seed::new();
        let (long, other) = ([7_u8; 40], [8_u8; 40]);
        let plain = context(&[("table", "users")]);
        let all = [
            of(&seed, &recipient(1, [b"id", b"", &long]), &plain),
            of(&seed, &recipient(2, [b"id", b"", &long]), &plain),
            of(&seed, &recipient(1, [b"ie", b"", &long]), &plain),
            of(&seed, &recipient(1, [b"i", b"d", &long]), &plain),
            of(&seed, &recipient(1, [b"", b"id", &long]), &plain),
            of(&seed, &recipient(1, [b"id", b"", &other]), &plain),
            of(&seed, &recipient(1, [b"id", b"", &long[..39]]), &plain),
            of(&seed, &recipient(1, [b"id", b"", &long]), &context(&[("table", "userz")])),
            of(&seed, &recipient(1, [b"id", b"", &long]), &context(&[("tabl", "eusers")])),
            of(&seed, &recipient(1, [b"id", b"", &long]), &context(&[("table", "users"), ("", "")])),
            of(&seed, &recipient(1, [b"id", b"", &long]), &WrapContext::new([8; 12], [])),
            of(&seed, &recipient(1, [b"id", b"", &long]), &context(&[])),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_ne!(of(&Seed::new(), &recipient(1, [b"id", b"", &long]), &plain), all[0], "keyed");
    }

    /// Wraps that differ in one bit, as an attacker would write them, fill a table of as many places evenly.
    #[test]
    fn it_spreads() {
        let seed = Seed::new();
        let plain = context(&[]);
        let mut places = vec![0_u32; 1024];
        for n in 0_u32..8192 {
            let mut wrap = [0; 40];
            wrap[..4].copy_from_slice(&n.to_le_bytes());
            let hash = of(&seed, &recipient(1, [b"id", b"", &wrap]), &plain);
            places[usize::try_from(hash >> 54).unwrap()] += 1;
        }
        let fullest = places.iter().max().unwrap();
        assert!(*fullest < 40, "{fullest} of 8192 in one of 1024 places");
    }
}
