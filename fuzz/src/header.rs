//! Arbitrary bytes as a message, as a detached header with its body, and as a key envelope.
//!
//! The answer must be that of [`model::first_steps`], fault for fault, on every way in; no key may be asked before
//! those steps are done; and whatever a parsed header claims must encode to the very bytes it was parsed from.

use kuvert::{
    Category, ClaimedSlot, EncryptionContext, Header, Layout, MessageStart, OpenError, OpenOptions, Recipient,
};

use super::{
    fixtures::{Keys, block_on},
    model::{self, BodyPlace, Geometry, Kind, Pairs},
};

pub fn run(data: &[u8]) {
    check(data, &Crate);
}

/// What is tested: a way from bytes to claims.
pub trait Parser {
    /// The whole input is in memory.
    fn whole(&self, data: &[u8]) -> Result<Claims, OpenError>;
    /// The input's end is not known.
    fn streamed(&self, data: &[u8]) -> Result<Claims, OpenError>;
    /// A header in an input of its own; whether the body's end is known.
    fn detached(&self, header: &[u8], body: &[u8], known: bool) -> Result<Claims, OpenError>;
    /// Loads a record key, accepting what is stored.
    fn envelope(&self, data: &[u8], keys: &Keys) -> Result<(), OpenError>;
}

/// What a header claims, taken out of it by its public accessors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub layout: Layout,
    pub header_len: usize,
    pub context: Pairs,
    pub slots: Vec<Slot>,
    pub chunks_offset: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    Empty,
    Bad,
    Filled(u32, Vec<Recipient>),
}

/// The crate itself.
#[derive(Debug)]
pub struct Crate;

impl Parser for Crate {
    fn whole(&self, data: &[u8]) -> Result<Claims, OpenError> {
        MessageStart::parse(data).map(|start| claims(&start))
    }

    fn streamed(&self, mut data: &[u8]) -> Result<Claims, OpenError> {
        let start = MessageStart::read(&mut data)?;
        Ok(claims(&start))
    }

    fn detached(&self, mut header: &[u8], body: &[u8], known: bool) -> Result<Claims, OpenError> {
        let mut body = std::io::Cursor::new(body);
        let start = if known {
            MessageStart::read_detached_seekable(&mut header, &mut body)
        } else {
            MessageStart::read_detached(&mut header, &mut body)
        };
        start.map(|start| claims(&start))
    }

    fn envelope(&self, data: &[u8], keys: &Keys) -> Result<(), OpenError> {
        let options = OpenOptions::default().with_accept_stored_context(true);
        block_on(keys.handle(options).load_record_key(data, &EncryptionContext::empty())).map(drop)
    }
}

pub fn check(data: &[u8], parser: &impl Parser) {
    agrees(data, BodyPlace::Behind, parser.whole(data));
    agrees(data, BodyPlace::Streamed, parser.streamed(data));

    // Cut where the header says that it ends, so that a detached one is met with its body.
    let cut = model::geometry(data, Kind::Message).map_or(0, |geometry| geometry.header_len());
    let (header, body) = data.split_at(cut.min(data.len()));
    agrees(header, BodyPlace::Beside(body.len()), parser.detached(header, body, true));
    let streamed = parser.detached(header, body, false);
    if body.len() >= model::BODY_START {
        // Nothing but its length was ever judged of the body.
        agrees(header, BodyPlace::Beside(model::BODY_START + 16), streamed);
    } else {
        agrees(header, BodyPlace::Beside(body.len()), streamed);
    }
    // Its input must end where it ends.
    agrees(data, BodyPlace::Beside(data.len()), parser.detached(data, data, true));
    check_envelope(data, parser);
}

/// Compares an answer with the model's, and a header that parses with its own bytes.
fn agrees(data: &[u8], place: BodyPlace, answer: Result<Claims, OpenError>) {
    let expected = model::first_steps(data, Kind::Message, place);
    let found = answer.as_ref().map_err(OpenError::category);
    assert_eq!(found.err(), expected.as_ref().err().copied(), "{place:?}: {answer:?}");
    let (Ok(claims), Ok((geometry, pairs))) = (answer, expected) else { return };
    assert_eq!(claims.context, pairs, "{place:?}: the stored context");
    assert_eq!(claims.header_len, geometry.header_len());
    let behind = if geometry.detached { 0 } else { geometry.header_len() };
    assert_eq!(claims.chunks_offset, (behind + model::BODY_START) as u64);
    let layout = match geometry {
        Geometry { detached: true, .. } => Layout::Detached,
        Geometry { slot_count: 1, .. } => Layout::Compact,
        _ => Layout::Rewrappable,
    };
    assert_eq!(claims.layout, layout);
    encodes_back(data, &geometry, &claims);
}

/// Whatever was parsed must encode to the very bytes it came from: no two headers mean the same.
fn encodes_back(data: &[u8], geometry: &Geometry, claims: &Claims) {
    let context = &data[model::PREFIX..geometry.slot_at(0)];
    assert_eq!(model::serialise(&claims.context), context, "the context in other bytes");
    assert_eq!(claims.slots.len(), geometry.slot_count);
    for (index, slot) in claims.slots.iter().enumerate() {
        let bytes = &data[geometry.slot_at(index)..][..geometry.slot_len];
        let empty = bytes.iter().all(|&byte| byte == 0);
        assert_eq!(*slot == Slot::Empty, empty, "slot {index} is empty exactly if it is zero");
        if let Slot::Filled(generation, recipients) = slot {
            let mut encoded = encode_slot(*generation, recipients);
            encoded.resize(geometry.slot_len - 32, 0);
            assert_eq!(encoded, bytes[..geometry.slot_len - 32], "slot {index} in other bytes");
            assert!(*generation > 0 && (1..=32).contains(&recipients.len()));
        }
    }
}

pub fn encode_slot(generation: u32, recipients: &[Recipient]) -> Vec<u8> {
    let mut stanzas = Vec::new();
    for recipient in recipients {
        let parts = [recipient.id(), recipient.params(), recipient.wrap()];
        let [id, params, wrap] = parts.map(|part| u16::try_from(part.len()).unwrap());
        let fields = [recipient.recipient_type().0, 0, id, params, wrap, 0];
        stanzas.extend(fields.iter().flat_map(|field| field.to_be_bytes()));
        parts.iter().for_each(|part| stanzas.extend_from_slice(part));
    }
    let count = u16::try_from(recipients.len()).unwrap();
    let mut slot = generation.to_be_bytes().to_vec();
    slot.extend_from_slice(&count.to_be_bytes());
    slot.extend_from_slice(&[0; 2]);
    slot.extend_from_slice(&u32::try_from(stanzas.len()).unwrap().to_be_bytes());
    slot.extend_from_slice(&stanzas);
    slot
}

fn check_envelope(data: &[u8], parser: &impl Parser) {
    let keys = Keys::new();
    let found = parser.envelope(data, &keys).map_err(|error| error.category());
    let calls = keys.take_calls();
    let slots = match model::first_steps(data, Kind::Envelope, BodyPlace::Behind) {
        Err(category) => {
            assert_eq!(found.err(), Some(category), "an envelope's first fault");
            assert_eq!(calls, 0, "a key was asked before the header was judged");
            return;
        }
        Ok((geometry, pairs)) => {
            if !pairs.contains(&("kuvert:role".to_owned(), "record".to_owned())) {
                assert_eq!((found.err(), calls), (Some(Category::WrongContext), 0));
                return;
            }
            geometry.slot_count
        }
    };
    assert!(calls <= 4 * slots, "{calls} calls for {slots} slots");
    match found {
        Ok(()) | Err(Category::WrongContext | Category::WrongKey | Category::Tampered) => assert!(calls > 0),
        Err(Category::Malformed | Category::LimitExceeded | Category::KeyUnavailable) => assert_eq!(calls, 0),
        Err(other) => panic!("an envelope cannot be refused as {other:?} here"),
    }
}

fn claims(start: &MessageStart) -> Claims {
    let header: &Header = start.header();
    // Whatever a hostile header holds, it can be shown.
    assert!(!format!("{start:?}").is_empty());
    let slots = header.claimed_slots().map(|slot| match slot {
        ClaimedSlot::Empty => Slot::Empty,
        ClaimedSlot::Bad { reason } => {
            assert!(!reason.is_empty());
            Slot::Bad
        }
        ClaimedSlot::Filled { generation, recipients } => {
            recipients.iter().for_each(|recipient| drop((recipient.id_lossy(), recipient.pending_for())));
            Slot::Filled(generation, recipients.to_vec())
        }
        other => panic!("a slot that this target does not know: {other:?}"),
    });
    assert_eq!((header.claimed_version(), header.claimed_suite()), (1, 1));
    assert_eq!(header.claimed_kind(), kuvert::Kind::Message);
    Claims {
        layout: header.claimed_layout(),
        header_len: header.claimed_header_len(),
        context: header.claimed_context().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        slots: slots.collect(),
        chunks_offset: start.chunks_offset(),
    }
}
