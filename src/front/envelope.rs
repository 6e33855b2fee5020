//! Key envelopes: one data key each, kept wrapped beside the table whose records it seals, or in a key store.
//!
//! Floor 5. Here are the envelopes of role `record`; those of key stores are in `envelope/store.rs`. Section "Key
//! envelope" of the [format](crate::manual::format).

mod store;

pub(crate) use self::store::{EpochKey, new_epoch, new_root, open_epoch, open_root};
use super::{
    OpenHandle, OpenOptions, RecordKey, SealHandle,
    opener::{parse_envelope, unwrap},
    sealer::NewMessage,
};
use crate::{
    crypto::random,
    error::{OpenError, SealError},
    format::{
        Kind, Layout,
        context::{BoundContext, EncryptionContext, Role},
        header::Header,
        schedule::{Salt, Schedule},
    },
    limits::{BODY_START_LEN, MAX_HEADER_LEN, TAG_LEN},
    provider::KeyProvider,
};

impl SealHandle {
    /// Makes a key for millions of records, and the envelope that keeps it wrapped.
    ///
    /// Store the envelope (about 320 bytes) where the records are, for example in a table of its own: without it
    /// none of them opens. `context` says what the key is for (tenant, purpose) and is needed to load it again.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal); [`SealError::Refused`] for a provider that wraps by public keys only, since anybody
    /// could then put an envelope of their own in place of this one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn new_record_key(
        &self,
        context: &EncryptionContext,
    ) -> Result<(RecordKey, Vec<u8>), SealError> {
        let derive = |schedule: &Schedule<'_>, salt: &_, reference| {
            RecordKey::new(&schedule.record_key(salt), reference)
        };
        seal(&*self.provider, Role::Record, context, derive).await
    }
}

impl OpenHandle {
    /// Loads a record key from its envelope: one provider call, and none for any record after that.
    ///
    /// Takes whatever key the envelope keeps. Where several envelopes have one context, say which is meant with
    /// [`load_record_key_of`](Self::load_record_key_of).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`OpenError::WrongContext`] also for an envelope of another role.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn load_record_key(
        &self,
        envelope: &[u8],
        context: &EncryptionContext,
    ) -> Result<RecordKey, OpenError> {
        self.load(envelope, None, context).await
    }

    /// Loads the record key with this [reference](RecordKey::reference), and no other: an envelope that was put in
    /// place of the one you mean is refused before the provider is asked.
    ///
    /// # Errors
    ///
    /// As [`load_record_key`](Self::load_record_key); [`OpenError::WrongContext`] also for an envelope of another
    /// reference.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use kuvert::{EncryptionContext, OpenError, blocking::Kuvert, provider::MemoryProvider};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
    /// let context = EncryptionContext::new([("tenant", "7")])?;
    /// let (key, envelope) = kuvert.new_record_key(&context)?;
    /// let (_, another) = kuvert.new_record_key(&context)?;
    ///
    /// kuvert.load_record_key_of(&envelope, key.reference(), &context)?;
    /// let refused = kuvert.load_record_key_of(&another, key.reference(), &context).unwrap_err();
    /// assert!(matches!(refused, OpenError::WrongContext(_)));
    /// # Ok(()) }
    /// ```
    pub async fn load_record_key_of(
        &self,
        envelope: &[u8],
        reference: u64,
        context: &EncryptionContext,
    ) -> Result<RecordKey, OpenError> {
        self.load(envelope, Some(reference), context).await
    }

    async fn load(
        &self,
        envelope: &[u8],
        reference: Option<u64>,
        context: &EncryptionContext,
    ) -> Result<RecordKey, OpenError> {
        let derive = |schedule: &Schedule<'_>, salt: &_, reference| {
            RecordKey::new(&schedule.record_key(salt), reference)
        };
        let expected = Expected { role: Role::Record, reference };
        open(&*self.provider, &self.options, envelope, expected, context, derive).await
    }
}

/// Makes a key envelope of a fresh data key, and what `derive` makes of that key, its salt and its reference.
async fn seal<T>(
    provider: &dyn KeyProvider,
    role: Role,
    context: &EncryptionContext,
    derive: impl FnOnce(&Schedule<'_>, &Salt, u64) -> T,
) -> Result<(T, Vec<u8>), SealError> {
    let reference = random_reference()?;
    let bound = BoundContext::for_envelope(context, role, reference)?;
    let new = NewMessage::generate(provider, Kind::KeyEnvelope, &bound).await?;
    let schedule = new.schedule(&bound);
    let (mut envelope, start, cipher) = new.seal_header(&schedule, Layout::Compact, &bound)?;
    envelope.reserve_exact(BODY_START_LEN + TAG_LEN);
    envelope.extend_from_slice(&start);
    let mut empty_chunk = [0; TAG_LEN];
    cipher.seal_to(0, &[], &mut empty_chunk);
    envelope.extend_from_slice(&empty_chunk);
    Ok((derive(&schedule, &new.salt, reference), envelope))
}

/// What an opener knows of an envelope beforehand.
#[derive(Clone, Copy)]
struct Expected {
    role: Role,
    reference: Option<u64>,
}

/// Opens a key envelope: one provider call, and what `derive` makes of its data key.
async fn open<T>(
    provider: &dyn KeyProvider,
    options: &OpenOptions,
    envelope: &[u8],
    expected: Expected,
    context: &EncryptionContext,
    derive: impl FnOnce(&Schedule<'_>, &Salt, u64) -> T,
) -> Result<T, OpenError> {
    let (header, body_start, tag) = parse_envelope(envelope, options.max_header_len)?;
    let accept = options.accept_stored_context;
    let (bound, reference) = header.bind_envelope(context, expected.role, expected.reference, accept)?;
    let unwrapped = unwrap(&[provider], &header, &bound, &body_start, options).await?;
    // fmt: E-7
    unwrapped.verify_empty_body(tag)?;
    // fmt: E-8: the data key goes no further than this.
    let schedule = Schedule::new(&unwrapped.key, header.core(), &bound);
    let salt = body_start.first_chunk().expect("56 bytes begin with 24");
    Ok(derive(&schedule, salt, reference))
}

/// Inventories of key envelopes.
impl Header {
    /// What a key envelope claims, without any key: for example which wrapping keys the envelopes of a table name.
    ///
    /// `envelope` is the whole value that [`new_record_key`](crate::SealHandle::new_record_key) gave.
    ///
    /// # Errors
    ///
    /// [`OpenError::Malformed`], [`OpenError::Unsupported`], [`OpenError::LimitExceeded`] or
    /// [`OpenError::Truncated`] for what is no key envelope.
    ///
    /// # Examples
    ///
    /// ```
    /// use kuvert::{EncryptionContext, Header, Kind, blocking::Kuvert, provider::MemoryProvider};
    ///
    /// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
    /// let (_, envelope) = kuvert.new_record_key(&EncryptionContext::empty())?;
    /// assert_eq!(Header::of_envelope(&envelope)?.claimed_kind(), Kind::KeyEnvelope);
    /// assert!(Header::of_envelope(&envelope[1..]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_envelope(envelope: &[u8]) -> Result<Self, OpenError> {
        parse_envelope(envelope, MAX_HEADER_LEN).map(|(header, _, _)| header)
    }
}

/// 64 random bits, never zero, which would mean that there is no reference.
pub(crate) fn random_reference() -> Result<u64, SealError> {
    loop {
        let mut bytes = [0; 8];
        random::fill(&mut bytes).map_err(SealError::Random)?;
        let reference = u64::from_be_bytes(bytes);
        if reference != 0 {
            return Ok(reference);
        }
    }
}
