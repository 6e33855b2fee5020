//! Shares that fit, that do not, that are missing, and who may hold them.

use std::sync::Mutex;

use super::*;
use crate::{
    crypto::kdf::hkdf_expand,
    executor::block_on,
    provider::{GeneratedKey, MemoryProvider, conformance::Conformance},
};

const CORE: [u8; 12] = *b"\x89KUV\r\n\x1a\n\x01\x01\x00\x01";

fn context() -> WrapContext {
    WrapContext::new(CORE, [("table".to_owned(), "the-value".to_owned())])
}

fn memory(id: &str, byte: u8) -> Arc<MemoryProvider> {
    Arc::new(MemoryProvider::from_keys([(id, [byte; 32])]).unwrap())
}

fn all_of(keys: &[(&str, u8)]) -> AllOf {
    AllOf::new(keys.iter().map(|(id, byte)| memory(id, *byte) as _)).unwrap()
}

fn generated(provider: &impl KeyProvider) -> GeneratedKey {
    block_on(provider.generate_data_key(&context())).unwrap().unwrap()
}

fn opened(provider: &impl KeyProvider, recipient: &Recipient) -> Result<Option<DataKey>, ProviderError> {
    block_on(provider.unwrap_data_key(recipient, &context())).unwrap()
}

fn shares_of(recipient: &Recipient) -> AllOfWrap {
    all_of::parse(recipient.wrap()).unwrap()
}

/// What was put together again from other shares or another wrapped key.
fn rebuilt(shares: &[Recipient], wrapped: &[u8; 40]) -> Recipient {
    all_of::join(shares, wrapped)
}

/// A member that gives what a test says, and counts how often it is asked to unwrap.
#[derive(Debug)]
struct Scripted {
    wraps: Vec<Recipient>,
    fails: Option<ProviderErrorKind>,
    keys: Vec<KeyInfo>,
    asked: Mutex<usize>,
}

impl Scripted {
    fn new(id: &str) -> Self {
        let share = Recipient::new(RecipientType(0x8001), id, [], [1]);
        let keys = vec![KeyInfo::new(RecipientType(0x8001), id)];
        Self { wraps: vec![share], fails: None, keys, asked: Mutex::new(0) }
    }
}

#[async_trait]
impl KeyProvider for Scripted {
    async fn wrap_data_key(&self, _: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        self.fails.map_or(Ok(self.wraps.clone()), |kind| Err(ProviderError::new(kind, "scripted")))
    }

    async fn unwrap_data_key(
        &self,
        _: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        *self.asked.lock().unwrap() += 1;
        self.fails.map_or(Ok(None), |kind| Err(ProviderError::new(kind, "scripted")))
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        let problem = |kind| Health::good().with_problem(ProviderError::new(kind, "scripted"));
        Ok(self.fails.map_or_else(Health::good, problem))
    }

    fn describe(&self) -> ProviderInfo {
        self.keys.iter().cloned().fold(ProviderInfo::new("scripted"), ProviderInfo::with_key)
    }
}

#[test]
fn the_wrap_is_what_the_format_says() {
    let provider = all_of(&[("a", 1), ("b", 2), ("c", 3)]);
    let made = generated(&provider);
    let [recipient] = &made.recipients[..] else { panic!("{made:?}") };
    assert_eq!(
        (recipient.recipient_type(), recipient.id(), recipient.params(), recipient.wrap()[0]),
        (RecipientType::ALL_OF, &b""[..], &b""[..], 3)
    );
    // By hand, from section 15: every share under its own key, and all together under their sum.
    let AllOfWrap { shares, wrapped } = shares_of(recipient);
    let mut sum = [0; 32];
    for (share, byte) in shares.iter().zip([1, 2, 3]) {
        let share = key_wrap::unwrap(&[byte; 32], share.wrap()).unwrap();
        sum.iter_mut().zip(share.expose_bytes()).for_each(|(sum, byte)| *sum ^= byte);
    }
    let mut kek = [0; 32];
    hkdf_expand(&sum, &[b"kuvert/v1/all-of\0", &[3], &CORE], &mut kek);
    assert_eq!(key_wrap::unwrap(&kek, &wrapped).unwrap().expose_bytes(), made.key.expose_bytes());
    assert_eq!(opened(&provider, recipient).unwrap().unwrap().expose_bytes(), made.key.expose_bytes());
}

#[test]
fn two_wraps_of_one_key_share_nothing() {
    let provider = all_of(&[("a", 1), ("b", 2)]);
    let key = DataKey::copy_from(&[9; 32]);
    let wraps: Vec<_> = (0..2)
        .map(|_| block_on(provider.wrap_data_key(&key, &context())).unwrap().unwrap().remove(0))
        .map(|recipient| shares_of(&recipient))
        .collect();
    assert_ne!(wraps[0].wrapped, wraps[1].wrapped);
    assert!(wraps[0].shares.iter().all(|share| !wraps[1].shares.contains(share)));
}

#[test]
fn order_is_free_and_the_set_is_not() {
    let made = generated(&all_of(&[("a", 1), ("b", 2)]));
    let recipient = &made.recipients[0];
    let AllOfWrap { mut shares, wrapped } = shares_of(recipient);
    shares.reverse();
    for provider in [all_of(&[("a", 1), ("b", 2)]), all_of(&[("b", 2), ("a", 1)])] {
        for recipient in [recipient.clone(), rebuilt(&shares, &wrapped)] {
            let key = opened(&provider, &recipient).unwrap().unwrap();
            assert_eq!(key.expose_bytes(), made.key.expose_bytes());
        }
    }
    for other in [
        all_of(&[("a", 1), ("c", 2)]),
        all_of(&[("a", 1), ("b", 2), ("c", 3)]),
        all_of(&[("c", 1), ("d", 2)]),
    ] {
        assert!(opened(&other, recipient).unwrap().is_none());
    }
    // A key that is a member opens nothing alone.
    assert!(opened(&memory("a", 1), recipient).unwrap().is_none());
    assert!(opened(&memory("a", 1), &shares[0]).unwrap().is_none() || shares[0].id() == b"a");
}

#[test]
fn a_member_may_hold_older_keys() {
    let old = generated(&all_of(&[("a1", 1), ("b", 2)]));
    let rotated = MemoryProvider::from_keys([("a2", [7; 32]), ("a1", [1; 32])]).unwrap();
    let provider = AllOf::new([Arc::new(rotated) as _, memory("b", 2) as _]).unwrap();
    assert!(opened(&provider, &old.recipients[0]).unwrap().is_some());
    let new = generated(&provider);
    let ids: Vec<_> = shares_of(&new.recipients[0]).shares.iter().map(Recipient::id_lossy).collect();
    assert_eq!(ids, ["a2", "b"]);

    // Both shares under keys of one member: that is one custodian, and no match.
    let own = generated(&all_of(&[("a1", 1), ("a2", 7)]));
    assert!(opened(&provider, &own.recipients[0]).unwrap().is_none());
}

#[test]
fn a_share_of_another_message_is_rejected() {
    let provider = all_of(&[("a", 1), ("b", 2)]);
    let (one, other) = (generated(&provider), generated(&provider));
    let (one, other) = (shares_of(&one.recipients[0]), shares_of(&other.recipients[0]));
    let spliced = rebuilt(&[one.shares[0].clone(), other.shares[1].clone()], &one.wrapped);
    assert_eq!(opened(&provider, &spliced).unwrap_err().kind(), ProviderErrorKind::Rejected);
    let spliced = rebuilt(&one.shares, &other.wrapped);
    let error = opened(&provider, &spliced).unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ProviderErrorKind::Rejected, "all-of"));
}

#[test]
fn every_flipped_bit_of_a_wrap_is_rejected() {
    let provider = all_of(&[("a", 1), ("b", 2)]);
    let made = generated(&provider);
    let AllOfWrap { shares, wrapped } = shares_of(&made.recipients[0]);
    for bit in 0..320 {
        let mut damaged = wrapped;
        damaged[bit / 8] ^= 1 << (bit % 8);
        let refused = opened(&provider, &rebuilt(&shares, &damaged)).unwrap_err();
        assert_eq!(refused.kind(), ProviderErrorKind::Rejected, "bit {bit} of the data key's wrap");
        let mut wrap = shares[1].wrap().to_vec();
        wrap[bit / 8] ^= 1 << (bit % 8);
        let damaged = Recipient::new(shares[1].recipient_type(), shares[1].id(), [], wrap);
        let refused = opened(&provider, &rebuilt(&[shares[0].clone(), damaged], &wrapped)).unwrap_err();
        let found = (refused.kind(), refused.key_id());
        assert_eq!(found, (ProviderErrorKind::Rejected, Some("b")), "bit {bit} of a share");
    }
    // Another version, kind or suite is another key.
    let other = WrapContext::new([7; 12], []);
    let refused = block_on(provider.unwrap_data_key(&made.recipients[0], &other)).unwrap();
    assert_eq!(refused.unwrap_err().kind(), ProviderErrorKind::Rejected);
}

#[test]
fn a_missing_share_is_named_and_told_before_one_that_does_not_fit() {
    let share = |id: &str| Recipient::new(RecipientType(0x8001), id, [], [1]);
    let recipient = rebuilt(&[share("a"), share("b")], &[0; 40]);
    let member = |id: &str, fails| Arc::new(Scripted { fails, ..Scripted::new(id) });
    for kind in [
        ProviderErrorKind::Unavailable,
        ProviderErrorKind::Timeout,
        ProviderErrorKind::AccessDenied,
        ProviderErrorKind::Disabled,
        ProviderErrorKind::Throttled,
    ] {
        let (rejecting, down) = (member("a", Some(ProviderErrorKind::Rejected)), member("b", Some(kind)));
        for members in [[rejecting.clone(), down.clone()], [down.clone(), rejecting.clone()]] {
            let provider = AllOf::new(members.map(|member| member as _)).unwrap();
            let error = opened(&provider, &recipient).unwrap_err();
            assert_eq!((error.kind(), error.key_id()), (kind, Some("b")));
            assert!(error.to_string().contains("scripted"), "{error}");
        }
        assert_eq!((*rejecting.asked.lock().unwrap(), *down.asked.lock().unwrap()), (2, 2));
    }
    // A member that takes its own key for somebody else's makes the whole somebody else's.
    let provider = AllOf::new([member("a", None) as _, member("b", None) as _]).unwrap();
    assert!(opened(&provider, &recipient).unwrap().is_none());
}

#[test]
fn nobody_is_asked_about_another_set_of_keys() {
    let (a, b) = (Arc::new(Scripted::new("a")), Arc::new(Scripted::new("b")));
    let provider = AllOf::new([a.clone() as _, b.clone() as _]).unwrap();
    let share = |number: u16, id: &str| Recipient::new(RecipientType(number), id, [], [1]);
    let sets = [
        vec![share(0x8001, "a"), share(0x8001, "c")],
        vec![share(0x8001, "a"), share(0x8002, "b")],
        vec![share(0x8001, "a"), share(0x8001, "b"), share(0x8001, "c")],
        vec![share(0x8001, "a"), share(0x9000, "unknown")],
        vec![share(0x8001, "c"), share(0x8001, "d")],
    ];
    for set in &sets {
        assert!(opened(&provider, &rebuilt(set, &[0; 40])).unwrap().is_none(), "{set:?}");
    }
    let whole = rebuilt(&[share(0x8001, "a"), share(0x8001, "b")], &[0; 40]);
    for named in [
        Recipient::new(RecipientType::ALL_OF, "x", [], whole.wrap()),
        Recipient::new(RecipientType::ALL_OF, [], [1], whole.wrap()),
        Recipient::new(RecipientType::ALL_OF, [], [], &whole.wrap()[1..]),
        Recipient::new(RecipientType::AES_KWP, [], [], whole.wrap()),
    ] {
        assert!(opened(&provider, &named).unwrap().is_none(), "{named:?}");
    }
    assert_eq!((*a.asked.lock().unwrap(), *b.asked.lock().unwrap()), (0, 0));
}

#[test]
fn members_that_make_no_split_are_refused() {
    let kind = |members: Vec<Arc<dyn KeyProvider>>| AllOf::new(members).unwrap_err().kind();
    assert_eq!(kind(vec![]), ProviderErrorKind::Misconfigured);
    assert_eq!(kind(vec![memory("a", 1)]), ProviderErrorKind::Misconfigured);
    let nine = (0..9).map(|i| memory(&i.to_string(), i) as _).collect();
    assert_eq!(kind(nine), ProviderErrorKind::Misconfigured);
    assert!(AllOf::new((0..8).map(|i| memory(&i.to_string(), i) as _)).is_ok());
    let two = Arc::new(MemoryProvider::from_keys([("b", [2; 32]), ("a", [1; 32])]).unwrap());
    let error = AllOf::new([memory("a", 1) as _, two as _]).unwrap_err();
    assert_eq!((error.kind(), error.key_id()), (ProviderErrorKind::Misconfigured, Some("a")));
}

#[test]
fn wraps_that_cannot_be_shares_are_refused_when_sealing() {
    let wrap = |wraps: Vec<Recipient>| {
        let odd = Scripted { wraps, ..Scripted::new("odd") };
        let provider = AllOf::new([memory("a", 1) as _, Arc::new(odd) as _]).unwrap();
        block_on(provider.wrap_data_key(&DataKey::copy_from(&[5; 32]), &context())).unwrap()
    };
    let share =
        |number: u16, id: Vec<u8>, wrap_len| Recipient::new(RecipientType(number), id, [], vec![1; wrap_len]);
    assert!(wrap(vec![share(0x8001, b"odd".to_vec(), 1)]).is_ok());
    let pending = Recipient::new(RecipientType::PENDING, "k", [0, 1], [0]);
    for (what, wraps) in [
        ("none", vec![]),
        ("two", vec![share(0x8001, b"x".to_vec(), 1), share(0x8001, b"y".to_vec(), 1)]),
        ("the other member's key", vec![share(1, b"a".to_vec(), 40)]),
        ("an all-of", generated(&all_of(&[("c", 1), ("d", 2)])).recipients),
        ("a pending one", vec![pending]),
        ("an impossible wrap", vec![share(1, b"k".to_vec(), 39)]),
        ("an id too long", vec![share(0x8001, vec![b'x'; 2049], 1)]),
        ("a wrap that fits no recipient", vec![share(0x8001, b"x".to_vec(), 6145)]),
        ("a wrap that does not fit beside the other", vec![share(0x8001, b"x".to_vec(), 6140)]),
    ] {
        let error = wrap(wraps).unwrap_err();
        assert_eq!((error.kind(), error.provider()), (ProviderErrorKind::Misconfigured, "all-of"), "{what}");
    }
}

#[test]
fn a_member_that_fails_fails_the_whole_by_its_own_kind() {
    for kind in [ProviderErrorKind::Throttled, ProviderErrorKind::AccessDenied] {
        let down = Arc::new(Scripted { fails: Some(kind), ..Scripted::new("s") });
        let provider = AllOf::new([memory("a", 1) as _, down as _]).unwrap();
        let error = block_on(provider.generate_data_key(&context())).unwrap().unwrap_err();
        assert_eq!((error.kind(), error.provider()), (kind, "all-of"));
        assert!(error.to_string().contains("scripted"), "{error}");
        assert!(!block_on(provider.check()).unwrap().unwrap().is_good());
    }
}

#[test]
fn it_keeps_the_contract() {
    let provider = all_of(&[("a", 1), ("b", 2)]);
    let stranger = all_of(&[("c", 1), ("d", 2)]);
    let impostor = all_of(&[("a", 1), ("b", 3)]);
    let down = Arc::new(Scripted { fails: Some(ProviderErrorKind::Unavailable), ..Scripted::new("s") });
    let failing = AllOf::new([memory("a", 1) as _, down as _]).unwrap();
    let suite = Conformance::new(&provider)
        .with_stranger(&stranger)
        .with_impostor(&impostor)
        .with_secret([1; 32])
        .with_secret([2; 32])
        .with_callers(100)
        .with_threads(4);
    let report = block_on(suite.run()).unwrap();
    assert!(report.is_conformant(), "{report}");
    let report = block_on(
        Conformance::new(&provider).with_callers(1).with_failing(&failing, ProviderErrorKind::Disabled).run(),
    );
    assert!(!report.unwrap().is_conformant(), "the member's own kind must come through");
}
