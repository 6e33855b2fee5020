//! A writer of headers that keeps to no rule but its caller's, from the manual and SHA-512 alone.
//!
//! The crate seals a message under a data key that the test knows; from then on every header for its body can be
//! made, with MACs that verify.

use kuvert::{
    DataKey, EncryptionContext, Kuvert, Layout, ProviderError, ProviderErrorKind, Recipient, RecipientType,
    SealOptions, async_trait,
    blocking::block_on,
    provider::{Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext},
};
use sha2::{Digest, Sha512};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The data key of everything that a [`Scripted`] provider seals.
pub(crate) const DEK: [u8; 32] = [0x42; 32];
/// The wrap that stands for it.
pub(crate) const WRAP: [u8; 40] = [0x77; 40];

type Answer = dyn Fn(&Recipient, &WrapContext) -> Result<Option<DataKey>, ProviderError> + Send + Sync;

/// A provider that wraps [`DEK`] for the recipients it was given, and unwraps as its script says.
#[derive(Clone)]
pub(crate) struct Scripted {
    recipients: Vec<Recipient>,
    answer: Arc<Answer>,
    asked: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Scripted {
    /// Knows one key of type 0x0001 called `k1`, which always unwraps to [`DEK`].
    pub(crate) fn new() -> Self {
        Self::answering(|recipient, _| Ok((recipient.id() == b"k1").then(|| DataKey::copy_from(&DEK))))
    }

    /// Seals for `k1`, and opens as `answer` says.
    pub(crate) fn answering<F>(answer: F) -> Self
    where
        F: Fn(&Recipient, &WrapContext) -> Result<Option<DataKey>, ProviderError> + Send + Sync + 'static,
    {
        let (asked, calls) = (Arc::default(), Arc::default());
        Self { recipients: vec![kwp("k1")], answer: Arc::new(answer), asked, calls }
    }

    pub(crate) fn with_recipients(mut self, recipients: Vec<Recipient>) -> Self {
        self.recipients = recipients;
        self
    }

    /// How often it was asked to unwrap anything, its own or not.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// How often it was asked about a key of its own: each would have been a call to a key service.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn kuvert(&self) -> Kuvert {
        Kuvert::new(self.clone())
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl KeyProvider for Scripted {
    async fn wrap_data_key(&self, _: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        Ok(self.recipients.clone())
    }

    async fn generate_data_key(
        &self,
        _: &WrapContext,
    ) -> Result<kuvert::provider::GeneratedKey, ProviderError> {
        let recipients = self.recipients.clone();
        Ok(kuvert::provider::GeneratedKey { key: DataKey::copy_from(&DEK), recipients })
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = (self.answer)(recipient, context);
        if !matches!(answer, Ok(None)) {
            self.calls.fetch_add(1, Ordering::SeqCst);
        }
        answer
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Ok(Health::default())
    }

    fn describe(&self) -> ProviderInfo {
        ProviderInfo::new("scripted")
    }
}

/// The error of a scripted provider.
pub(crate) fn fails(kind: ProviderErrorKind) -> ProviderError {
    ProviderError::new(kind, "scripted").with_key_id("k1")
}

/// A recipient of type 0x0001.
pub(crate) fn kwp(id: &str) -> Recipient {
    Recipient::new(RecipientType::AES_KWP, id, [], WRAP)
}

/// The context of the messages forged here: one stored pair.
pub(crate) fn context() -> EncryptionContext {
    EncryptionContext::new(STORED).unwrap()
}

pub(crate) const STORED: [(&str, &str); 1] = [("table", "pl4nted-value")];

/// A kuvert over one key in memory, whose bytes the tests know.
pub(crate) fn memory() -> Kuvert {
    Kuvert::new(MemoryProvider::from_keys([("k1", [0x11; 32])]).unwrap())
}

/// Seals in memory under [`DEK`] and splits header and body.
pub(crate) fn sealed(plaintext: &[u8], layout: Layout) -> (Vec<u8>, Vec<u8>) {
    let kuvert = Scripted::new().kuvert().with_seal_options(SealOptions::default().with_layout(layout));
    let sealer = block_on(kuvert.sealer(&context())).unwrap().unwrap();
    let header = sealer.header().to_vec();
    let mut message = vec![0; sealer.message_len(plaintext.len()).unwrap()];
    sealer.seal_into(plaintext, &mut message).unwrap();
    let body = if layout == Layout::Detached { message } else { message[header.len()..].to_vec() };
    (header, body)
}

/// A header made by hand. Every field is written as it stands; MACs are made for what is written.
#[derive(Clone)]
pub(crate) struct Forged {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) pad_len: u8,
    /// The stored pairs.
    pub(crate) stored: Vec<(&'static str, &'static str)>,
    /// All pairs that the keys are derived from.
    pub(crate) all: Vec<(&'static str, &'static str)>,
    /// Slots of equal length, their MACs zero.
    pub(crate) slots: Vec<Vec<u8>>,
}

impl Forged {
    /// One slot of generation 1 with these recipients.
    pub(crate) fn with(recipients: &[Recipient]) -> Self {
        Self::of(vec![slot(1, recipients, 2048)])
    }

    pub(crate) fn of(slots: Vec<Vec<u8>>) -> Self {
        Self { kind: 1, flags: 0, pad_len: 0, stored: STORED.to_vec(), all: STORED.to_vec(), slots }
    }

    /// The header for `body`, under [`DEK`].
    pub(crate) fn header(&self, body: &[u8]) -> Vec<u8> {
        let slot_len = u32::try_from(self.slots[0].len()).unwrap();
        let stored = serialise(&self.stored);
        let mut bytes = core(self.kind).to_vec();
        bytes.extend_from_slice(&u32::try_from(stored.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&slot_len.to_be_bytes());
        bytes.extend_from_slice(&[u8::try_from(self.slots.len()).unwrap(), self.flags, self.pad_len]);
        bytes.resize(32, 0);
        bytes.extend_from_slice(&stored);
        let before_slots = bytes.clone();
        let start = &body[..body.len().min(56)];
        let mac_key = mac_key(self.kind, &self.all, &body[..24.min(body.len())]);
        for slot in &self.slots {
            let mut slot = slot.clone();
            let covered = slot.len() - 32;
            if slot.iter().any(|&byte| byte != 0) {
                let mac = hmac(&mac_key, &[b"kuvert/v1/slot\0", &before_slots, &slot[..covered], start]);
                slot[covered..].copy_from_slice(&mac[..32]);
            }
            bytes.extend_from_slice(&slot);
        }
        bytes.resize(bytes.len() + usize::from(self.pad_len), 0);
        bytes
    }

    /// Header and body.
    pub(crate) fn message(&self, body: &[u8]) -> Vec<u8> {
        [&self.header(body)[..], body].concat()
    }
}

/// A slot with a zero MAC.
pub(crate) fn slot(generation: u32, recipients: &[Recipient], slot_len: usize) -> Vec<u8> {
    let stanzas: Vec<u8> = recipients.iter().flat_map(stanza).collect();
    let mut slot = generation.to_be_bytes().to_vec();
    slot.extend_from_slice(&u16::try_from(recipients.len()).unwrap().to_be_bytes());
    slot.extend_from_slice(&[0, 0]);
    slot.extend_from_slice(&u32::try_from(stanzas.len()).unwrap().to_be_bytes());
    slot.extend_from_slice(&stanzas);
    assert!(slot.len() + 32 <= slot_len);
    slot.resize(slot_len, 0);
    slot
}

pub(crate) fn stanza(recipient: &Recipient) -> Vec<u8> {
    let parts = [recipient.id(), recipient.params(), recipient.wrap()];
    let mut bytes = recipient.recipient_type().0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0, 0]);
    parts.iter().for_each(|part| bytes.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes()));
    bytes.extend_from_slice(&[0, 0]);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// S of these pairs, which are sorted.
pub(crate) fn serialise(pairs: &[(&str, &str)]) -> Vec<u8> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut bytes = u16::try_from(pairs.len()).unwrap().to_be_bytes().to_vec();
    for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

fn core(kind: u8) -> [u8; 12] {
    let mut core = *b"\x89KUV\r\n\x1a\n\x01\x00\x00\x01";
    core[9] = kind;
    core
}

fn mac_key(kind: u8, pairs: &[(&str, &str)], salt: &[u8]) -> [u8; 64] {
    let all = serialise(pairs);
    let len = u32::try_from(all.len()).unwrap().to_be_bytes();
    // One block of HKDF-Expand.
    hmac(&DEK, &[b"kuvert/v1/header-mac\0", salt, &core(kind), &len, &all, &[1]])
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    let pad = |with: u8| -> Vec<u8> { (0..128).map(|i| key.get(i).copied().unwrap_or(0) ^ with).collect() };
    let mut inner = Sha512::new();
    inner.update(pad(0x36));
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = Sha512::new();
    outer.update(pad(0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}
