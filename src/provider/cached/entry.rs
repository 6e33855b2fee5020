//! What is kept: an unwrapped data key, and what it was unwrapped from.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{UnwrapAnswer, UnwrapAnswers, WrapContext};
use crate::{
    cache_slot::Slot,
    error::ProviderError,
    format::stanza::{Recipient, RecipientType, all_of},
    secret::DataKey,
};

/// What was asked for: the key of any of these recipients, in this context.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) recipients: &'a [&'a Recipient],
    /// How many of them may be tried.
    pub(super) limit: usize,
    pub(super) context: &'a WrapContext,
}

/// Why there is no key, for everybody who wanted it: what became of each recipient, by place.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// `None` for a recipient that is not the provider's.
    pub(super) by_place: Vec<(usize, Option<Arc<ProviderError>>)>,
    pub(super) is_final: bool,
}

impl Faults {
    pub(super) fn failures(&self) -> impl Iterator<Item = (usize, &Arc<ProviderError>)> {
        self.by_place.iter().filter_map(|(place, fault)| Some((*place, fault.as_ref()?)))
    }

    /// For one of several who get them.
    pub(super) fn to_answers(&self) -> UnwrapAnswers {
        let by_place = self.by_place.iter().map(|(place, fault)| (*place, fault.as_ref().map(share)));
        answers(by_place, self.is_final)
    }

    /// For the last one who gets them: the errors themselves, unless somebody else has them too.
    pub(super) fn into_answers(self) -> UnwrapAnswers {
        let unshared =
            |fault: Arc<ProviderError>| Arc::try_unwrap(fault).unwrap_or_else(|shared| share(&shared));
        let by_place = self.by_place.into_iter().map(|(place, fault)| (place, fault.map(unshared)));
        answers(by_place, self.is_final)
    }
}

fn answers(by_place: impl Iterator<Item = (usize, Option<ProviderError>)>, is_final: bool) -> UnwrapAnswers {
    let mut answers = UnwrapAnswers::new();
    for (place, fault) in by_place {
        answers.push(place, fault.map_or(UnwrapAnswer::NotMine, UnwrapAnswer::Failed));
    }
    if is_final {
        answers.set_final();
    }
    answers
}

/// An error that somebody else was given, for another caller.
pub(super) fn share(fault: &Arc<ProviderError>) -> ProviderError {
    let error = ProviderError::new(fault.kind(), fault.provider()).with_source(Shared(Arc::clone(fault)));
    match fault.key_id() {
        Some(id) => error.with_key_id(id),
        None => error,
    }
}

#[derive(Debug)]
struct Shared(Arc<ProviderError>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as another call was answered just now")?;
        self.0.source().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// One wanted key, and the machine that says who may use it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) print: u64,
    recipients: Box<[Recipient]>,
    limit: usize,
    context: WrapContext,
    pub(super) slot: Arc<Slot<Arc<Kept>, Arc<Faults>>>,
    /// Bytes of memory.
    pub(super) bytes: usize,
}

impl Entry {
    pub(super) fn new(print: u64, wanted: Wanted<'_>) -> Self {
        let parts = |recipient: &&Recipient| {
            [recipient.id(), recipient.params(), recipient.wrap()]
                .iter()
                .map(|part| part.len())
                .sum::<usize>()
        };
        let recipients = wanted.recipients.iter().map(|recipient| RECIPIENT_BYTES + parts(recipient));
        let pairs = wanted.context.pairs().iter().map(|(name, value)| name.len() + value.len() + PAIR_BYTES);
        let bytes = ENTRY_BYTES + recipients.sum::<usize>() + pairs.sum::<usize>();
        let recipients = wanted.recipients.iter().map(|recipient| (*recipient).clone()).collect();
        let (limit, context) = (wanted.limit, wanted.context.clone());
        Self { print, recipients, limit, context, slot: Arc::new(Slot::new()), bytes }
    }

    /// Whether it is of exactly these wraps in this context. The hash only says where to look.
    #[inline]
    pub(super) fn is(&self, wanted: Wanted<'_>) -> bool {
        self.recipients.len() == wanted.recipients.len()
            && self.recipients.iter().zip(wanted.recipients).all(|(own, other)| is_same(own, other))
            && self.limit == wanted.limit
            && self.context == *wanted.context
    }

    /// Whether the key that is kept was unwrapped by the wrapping key with this id.
    pub(super) fn is_by(&self, id: &[u8]) -> bool {
        let by = self.slot.peek().and_then(|kept| self.recipients.get(kept.place));
        by.is_some_and(|recipient| names(recipient, id))
    }

    /// Whether it was, or may be about to be.
    pub(super) fn may_be_by(&self, id: &[u8]) -> bool {
        match self.slot.peek() {
            Some(_) => self.is_by(id),
            None => self.recipients.iter().any(|recipient| names(recipient, id)),
        }
    }
}

fn is_same(one: &Recipient, other: &Recipient) -> bool {
    one.recipient_type() == other.recipient_type()
        && is_equal(one.wrap(), other.wrap())
        && is_equal(one.id(), other.id())
        && is_equal(one.params(), other.params())
}

/// An empty vector points at no memory, and newer processors take 100 ns to compare none of it: do not let them.
#[inline]
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}

/// Whether this recipient needs the wrapping key with this id, alone or among others.
pub(super) fn names(recipient: &Recipient, id: &[u8]) -> bool {
    if recipient.recipient_type() != RecipientType::ALL_OF {
        return recipient.id() == id;
    }
    all_of::parse(recipient.wrap()).is_ok_and(|parsed| parsed.shares.iter().any(|share| names(share, id)))
}

/// An unwrapped data key. Wiped when the last who holds it lets go.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) key: DataKey,
    /// The recipient whose wrap it was.
    pub(super) place: usize,
    /// Until when it may be used without asking the slot; 0 once it must not be used at all.
    fresh_until: AtomicU64,
    /// Set by use, cleared by whoever looks for the key that was not used for longest.
    was_used: AtomicBool,
}

impl Kept {
    pub(super) const fn new(key: DataKey, place: usize, fresh_until: u64) -> Self {
        Self { key, place, fresh_until: AtomicU64::new(fresh_until), was_used: AtomicBool::new(false) }
    }

    #[inline]
    pub(super) fn is_fresh(&self, now: u64) -> bool {
        now < self.fresh_until.load(Ordering::Acquire)
    }

    /// Threads of all lanes read this: it is written only where it changes.
    #[inline]
    pub(super) fn note_use(&self) {
        if !self.was_used.load(Ordering::Relaxed) {
            self.was_used.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn forget_use(&self) -> bool {
        self.was_used.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.fresh_until.load(Ordering::Acquire) == 0
    }

    pub(super) fn revoke(&self) {
        self.fresh_until.store(0, Ordering::Release);
    }

    /// Lets the lanes use it for longer. Never after [`revoke`](Self::revoke): the table's lock is held for both.
    pub(super) fn extend(&self, fresh_until: u64) {
        if !self.is_revoked() {
            self.fresh_until.store(fresh_until, Ordering::Release);
        }
    }

    pub(super) fn copy(&self) -> DataKey {
        DataKey::copy_from(self.key.expose_bytes())
    }
}

/// What an entry takes beside its names: itself, its slot, the key, its places in the tables, and what an allocator
/// adds to each.
const ENTRY_BYTES: usize = 640;
/// Three vectors, beside their bytes.
const RECIPIENT_BYTES: usize = 128;
/// Two strings, beside their characters.
const PAIR_BYTES: usize = 80;
