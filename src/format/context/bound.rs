//! A context as one seal or open uses it: every pair together, and the bytes they are bound by.

use std::fmt;

use super::{EncryptionContext, Names, Pair, REFERENCE_NAME, ROLE_NAME, Role, wire};
use crate::error::{OpenError, SealError};

/// All pairs of one message or key envelope, stored and required, sorted, with both serialisations.
///
/// Made once when sealing from what the caller gives, once when opening from what is stored and presented.
pub(crate) struct BoundContext {
    pairs: Vec<(String, String)>,
    all: Vec<u8>,
    stored: Vec<u8>,
}

impl BoundContext {
    /// The context of a message to be sealed.
    pub(crate) fn for_sealing(context: &EncryptionContext) -> Result<Self, SealError> {
        Ok(Self::new(context))
    }

    /// The context of a key envelope to be sealed: the caller's pairs and our own two, all within the limits.
    pub(crate) fn for_envelope(
        context: &EncryptionContext,
        role: Role,
        reference: u64,
    ) -> Result<Self, SealError> {
        if reference == 0 {
            return Err(SealError::Usage("a key reference is not zero"));
        }
        // fmt: E-3, C-3: our own pairs count like the caller's.
        let mut context = context.clone();
        for (name, value) in
            [(ROLE_NAME, role.name().to_owned()), (REFERENCE_NAME, format!("{reference:016x}"))]
        {
            context.insert(name.to_owned(), Pair { value, stored: true }, Names::Ours)?;
        }
        Ok(Self::new(&context))
    }

    /// The context of something to be opened: every stored pair, and every presented one.
    ///
    /// A stored pair that is presented with another value, or not at all, is another context; only
    /// `need_not_be_presented` lets a pair by its name stay away. A pair that is presented and not stored is a
    /// required one: whether it belongs here, the commitment tells.
    pub(crate) fn for_opening(
        stored: &[(String, String)],
        presented: &EncryptionContext,
        need_not_be_presented: impl Fn(&str) -> bool,
    ) -> Result<Self, OpenError> {
        // fmt: C-8, C-10
        for (name, value) in stored {
            match presented.pairs.get(name) {
                Some(pair) if pair.value == *value => {}
                Some(_) => {
                    return Err(OpenError::WrongContext("a stored pair has another value than presented"));
                }
                None if need_not_be_presented(name) => {}
                None => return Err(OpenError::WrongContext("a stored pair was not presented")),
            }
        }
        // fmt: C-9, C-11: the limits hold for the union, which is longer than either part when pairs may stay away.
        let mut union = EncryptionContext::empty();
        for (name, value) in stored {
            union.insert(name.clone(), Pair { value: value.clone(), stored: true }, Names::Ours)?;
        }
        for (name, pair) in &presented.pairs {
            if !union.pairs.contains_key(name) {
                union.insert(
                    name.clone(),
                    Pair { value: pair.value.clone(), stored: false },
                    Names::Callers,
                )?;
            }
        }
        Ok(Self::new(&union))
    }

    /// S of the stored pairs, as it stands in the header.
    pub(crate) fn stored_bytes(&self) -> &[u8] {
        &self.stored
    }

    /// S of all pairs, which every derived key depends on.
    // fmt: C-7
    pub(crate) fn all_bytes(&self) -> &[u8] {
        &self.all
    }

    /// All pairs in ascending order of their names.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    fn new(context: &EncryptionContext) -> Self {
        let pairs: Vec<_> =
            context.pairs.iter().map(|(name, pair)| (name.clone(), pair.value.clone())).collect();
        let stored: Vec<_> = context
            .pairs
            .iter()
            .filter(|(_, pair)| pair.stored)
            .map(|(name, pair)| (&**name, &*pair.value))
            .collect();
        let (mut all_bytes, mut stored_bytes) = (Vec::new(), Vec::new());
        wire::encode(pairs.iter().map(|(name, value)| (&**name, &**value)), &mut all_bytes);
        wire::encode(stored.into_iter(), &mut stored_bytes);
        Self { pairs, all: all_bytes, stored: stored_bytes }
    }
}

impl fmt::Debug for BoundContext {
    /// Names only: values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}
