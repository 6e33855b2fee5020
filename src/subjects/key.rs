//! One version of one data subject's key, as it is kept while it may be used.
//!
//! Floor 6. Holds what is derived from the key, not the key itself, and until when and how often it may be used.
//! Section "Key store and subjects" of the [format](crate::manual::format).

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    format::subject::{SubjectKey, SubjectPlace},
    keystore::Pseudonym,
    secret::Secret,
};

/// A key that was loaded or made. Wiped when the last user lets go of it.
pub(crate) struct Key {
    place: SubjectPlace,
    /// K_record, then K_child.
    derived: Secret<64>,
    /// In milliseconds of the cache's time.
    good_until: u64,
    uses_left: AtomicU64,
    is_revoked: AtomicBool,
}

impl Key {
    pub(super) fn new(place: SubjectPlace, key: &SubjectKey, good_until: u64, uses: u64) -> Self {
        let mut derived = Secret::zeroed();
        let (record, child) = derived.expose_mut().split_at_mut(32);
        record.copy_from_slice(key.record_key(place.reference).expose());
        child.copy_from_slice(key.child_key(place.reference).expose());
        Self {
            place,
            derived,
            good_until,
            uses_left: AtomicU64::new(uses),
            is_revoked: AtomicBool::new(false),
        }
    }

    pub(crate) const fn reference(&self) -> u64 {
        self.place.reference
    }

    pub(crate) const fn version(&self) -> u32 {
        self.place.version
    }

    pub(crate) const fn pseudonym(&self) -> &Pseudonym {
        &self.place.pseudonym
    }

    pub(super) const fn scope(&self) -> &[u8; 16] {
        &self.place.scope
    }

    pub(super) fn record_key(&self) -> &[u8; 32] {
        self.derived.expose().first_chunk().expect("64 bytes begin with 32")
    }

    pub(super) fn child_key(&self) -> Secret<32> {
        Secret::copy_from(self.derived.expose().last_chunk().expect("64 bytes end with 32"))
    }

    /// Whether it may still be used without asking the store again.
    pub(super) fn is_good(&self, now: u64) -> bool {
        now < self.good_until && !self.is_revoked()
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.is_revoked.load(Ordering::Relaxed)
    }

    /// Nobody begins to use it any more.
    pub(super) fn revoke(&self) {
        self.is_revoked.store(true, Ordering::Relaxed);
    }

    /// Begins one use, if it was neither revoked nor used up since it was looked up.
    pub(super) fn begin_use(&self) -> bool {
        !self.is_revoked() && self.take_uses(1) == 1
    }

    /// Takes some of the uses that are left, at most `wanted`. Zero: it is used up.
    pub(super) fn take_uses(&self, wanted: u64) -> u64 {
        let mut taken = 0;
        let take = |left: u64| {
            taken = left.min(wanted);
            (taken > 0).then(|| left - taken)
        };
        match self.uses_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => taken,
            Err(_) => 0,
        }
    }

    /// Whether no use is left.
    pub(super) fn is_spent(&self) -> bool {
        self.uses_left.load(Ordering::Relaxed) == 0
    }

    /// How many uses a thread should take at once: few when few are left, so that they are not hoarded.
    pub(super) fn lease(&self) -> u64 {
        (self.uses_left.load(Ordering::Relaxed) / 64).clamp(1, 1 << 20)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("reference", &format_args!("{:016x}", self.reference()))
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uses: u64) -> Key {
        let place = SubjectPlace { scope: [1; 16], pseudonym: [2; 32], reference: 3, version: 4 };
        Key::new(place, &SubjectKey::new(Secret::copy_from(&[5; 32])), 100, uses)
    }

    #[test]
    fn it_holds_what_is_derived() {
        let (key, subject) = (key(1), SubjectKey::new(Secret::copy_from(&[5; 32])));
        assert_eq!(key.record_key(), subject.record_key(3).expose());
        assert_eq!(key.child_key().expose(), subject.child_key(3).expose());
        assert_ne!(key.record_key(), key.child_key().expose());
        assert_eq!(format!("{key:?}"), r#"Key { reference: 0000000000000003, version: 4, .. }"#);
    }

    #[test]
    fn it_ends_by_age_by_word_and_by_use() {
        let key = key(130);
        assert!(key.is_good(99) && !key.is_good(100));
        assert_eq!(key.lease(), 2);
        assert_eq!(
            [key.take_uses(2), key.take_uses(127), key.take_uses(2), key.take_uses(1)],
            [2, 127, 1, 0]
        );
        assert_eq!(key.lease(), 1);
        key.revoke();
        assert!(!key.is_good(0));
    }
}
