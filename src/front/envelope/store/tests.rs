//! The vectors of key stores, from an independent writer; and envelopes of our own.

use async_trait::async_trait;

use super::*;
use crate::{
    crypto::kdf::sha256,
    error::{Category, ProviderError},
    executor::block_on,
    format::{
        stanza::{Recipient, RecipientType},
        subject::{SubjectName, SubjectPlace, check_scope},
        testing::{
            hex,
            vectors::{Vector, unhex},
        },
        tombstone::LINK_LEN,
    },
    front::OpenHandle,
    provider::{
        MemoryProvider,
        parent_key::{ChildKeys, ParentKey, ParentKeys},
    },
    secret::{DataKey, Secret},
};

fn ready<T>(future: impl Future<Output = T>) -> T {
    block_on(future).unwrap()
}

fn provider(vector: &Vector) -> MemoryProvider {
    MemoryProvider::from_key_file_text(vector.text("key")).expect("a key line")
}

fn root(vector: &Vector) -> RootKeys {
    ready(open_root(&provider(vector), &unhex(vector.text("root")), None)).expect("the root opens")
}

const STORE: u64 = 0x1111_2222_3333_4444;
const EPOCH: u64 = 0x5555_6666_7777_8888;

#[test]
fn envelopes_of_roles_root_and_epoch() {
    let mut ran = 0;
    for vector in Vector::of_kind("envelope") {
        let context: Vec<_> = vector.all("context").collect();
        let known = vector.one("reference").map(|hex| u64::from_str_radix(hex, 16).expect("hex"));
        let keys = provider(&vector);
        let store = format!("store={STORE:016x}");
        let found = match (vector.text("role"), &context[..]) {
            ("root", []) => ready(open_root(&keys, &vector.input, known)).map(|root| root.reference()),
            ("epoch", [first, second]) if *first == store => {
                let class = second.strip_prefix("class=").expect("a class");
                let class = if class == "subjects" { "subjects" } else { "credentials" };
                let known = known.unwrap_or(EPOCH);
                ready(open_epoch(&keys, &vector.input, known, STORE, class)).map(|epoch| epoch.reference)
            }
            _ => continue,
        };
        ran += 1;
        match (vector.text("expect"), found) {
            ("ok", Ok(reference)) => {
                assert_eq!(format!("{reference:016x}"), vector.text("claimed-reference"));
            }
            (expect, Err(error)) => assert_eq!(error.category().name(), expect, "{}: {error}", vector.name),
            (expect, Ok(_)) => panic!("{}: it opens, and is not {expect}", vector.name),
        }
    }
    assert!(ran >= 12, "{ran}");
}

#[test]
fn names() {
    let vectors = Vector::of_kind("names");
    assert!(vectors.len() >= 20, "{}", vectors.len());
    for vector in &vectors {
        let (root, scope) = (root(vector), vector.text("scope"));
        let members: Vec<[u8; 32]> =
            vector.all("joint-member").map(|hex| unhex(hex).try_into().expect("32 bytes")).collect();
        let name = None
            .or(vector.one("person").map(SubjectName::Person))
            .or(vector.one("retention-class").map(SubjectName::Class))
            .or(vector.one("credentials").map(SubjectName::Credentials))
            .or(vector
                .one("joint")
                .map(|ends| SubjectName::Joint { ends: ends.parse().expect("a byte"), members: &members }));
        let checked = check_scope(scope).and_then(|()| name.map_or(Ok(()), |name| name.check()));
        assert_eq!(checked.is_ok(), vector.text("expect") == "ok", "{}", vector.name);
        if checked.is_err() {
            continue;
        }
        let mut compared = 0;
        let mut compare = |field: &str, found: &[u8]| {
            if let Some(stated) = vector.one(field) {
                assert_eq!(hex(found), stated, "{}: {field}", vector.name);
                compared += 1;
            }
        };
        compare("scope-tag", &root.scope_tag(scope));
        if let Some(name) = name {
            compare("pseudonym", &root.pseudonym(scope, &name));
        }
        if let Some(request) = vector.one("request") {
            compare("request-hash", &root.request_hash(scope, request));
        }
        if let Some(index) = vector.one("index") {
            let value = vector.text("index-value");
            compare("blind-index", &root.blind_index(index).of(scope, value.as_bytes()));
        }
        assert!(compared > 0, "{}: nothing was compared", vector.name);
    }
}

#[test]
fn sealed_keys() {
    let vectors = Vector::of_kind("sealed-key");
    assert!(vectors.len() >= 28, "{}", vectors.len());
    for vector in &vectors {
        let envelope = unhex(vector.text("epoch"));
        let epoch = ready(open_epoch(&provider(vector), &envelope, EPOCH, STORE, "subjects"))
            .expect("the epoch opens");
        let place = SubjectPlace {
            scope: vector.bytes("scope-tag"),
            pseudonym: vector.bytes("pseudonym"),
            reference: u64::from_be_bytes(vector.bytes("key-reference")),
            version: vector.text("key-version").parse().expect("a version"),
        };
        match (vector.text("expect"), epoch.cipher.open(&place, &vector.input)) {
            ("ok", Ok(key)) => {
                let hash = |bytes: &[u8; 32]| hex(&sha256(&[bytes]));
                assert_eq!(hash(key.expose()), vector.text("subject-key-sha256"));
                assert_eq!(hash(key.record_key(place.reference).expose()), vector.text("record-key-sha256"));
                assert_eq!(hash(key.child_key(place.reference).expose()), vector.text("child-key-sha256"));
            }
            (expect, Err(fault)) => assert_eq!(fault.category().name(), expect, "{}", vector.name),
            (expect, Ok(_)) => panic!("{}: it opens, and is not {expect}", vector.name),
        }
    }
}

#[test]
fn chains() {
    let vectors = Vector::of_kind("chain");
    assert!(vectors.len() >= 28, "{}", vectors.len());
    for vector in &vectors {
        let root = root(vector);
        let key = if vector.text("chain") == "receipts" { root.receipts() } else { root.tombstones() };
        let (mut walk, mut bad) = (key.walk(), None);
        let (mut again, mut before) = (Vec::new(), [0; 32]);
        for bytes in vector.input.chunks_exact(LINK_LEN) {
            match walk.next(bytes.try_into().expect("114 bytes")) {
                Ok(link) => {
                    again.extend_from_slice(&key.append(&before, &link));
                    before = walk.head();
                }
                Err(found) => {
                    bad = Some(found.number.to_string());
                    break;
                }
            }
        }
        assert_eq!(bad.as_deref(), vector.one("first-bad"), "{}", vector.name);
        assert_eq!(bad.is_none(), vector.text("expect") == "ok", "{}", vector.name);
        assert!(bad.is_some() || again == vector.input, "{}: written otherwise", vector.name);
    }
}

/// The child key that a vector states.
#[derive(Debug)]
struct Stated(u64, Secret<32>);

#[async_trait]
impl ChildKeys for Stated {
    async fn child_key(&self, reference: u64) -> Result<Option<Secret<32>>, ProviderError> {
        Ok((reference == self.0).then(|| Secret::copy_from(self.1.expose())))
    }
}

#[test]
fn messages_of_a_subject() {
    let mut ran = 0;
    for vector in Vector::of_kind("message") {
        let Some((reference, key)) = vector.one("parent-key").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        let key = Secret::copy_from(&unhex(key).try_into().expect("32 bytes"));
        let stated = Stated(u64::from_str_radix(reference, 16).expect("hex"), key);
        let handle = OpenHandle::from_arc(std::sync::Arc::new(ParentKeys(stated)));
        let pairs = vector.all("context").map(|pair| pair.split_once('=').expect("NAME=VALUE"));
        let context = EncryptionContext::new(pairs).expect("pairs");
        match (vector.text("expect"), ready(handle.open(&vector.input, &context))) {
            ("ok", Ok(plaintext)) => {
                assert_eq!(hex(&sha256(&[&plaintext])), vector.text("plaintext-sha256"));
            }
            (expect, Err(error)) => assert_eq!(error.category().name(), expect, "{}: {error}", vector.name),
            (expect, Ok(_)) => panic!("{}: it opens, and is not {expect}", vector.name),
        }
        ran += 1;
    }
    assert!(ran >= 9, "{ran}");
}

#[test]
fn what_a_subject_seals_opens_with_its_child_key_only() {
    let context = EncryptionContext::new([("kind", "photo")]).expect("a pair");
    let parent = ParentKey::new(7, Secret::copy_from(&[1; 32]));
    let sealing = crate::front::SealHandle::from_arc(std::sync::Arc::new(parent));
    let message = ready(sealing.seal(b"a photo", &context)).expect("it seals");
    let open = |reference, key: [u8; 32]| {
        let stated = Stated(reference, Secret::copy_from(&key));
        let handle = OpenHandle::from_arc(std::sync::Arc::new(ParentKeys(stated)));
        ready(handle.open(&message, &context)).map(|plain| plain.to_vec()).map_err(|error| error.category())
    };
    assert_eq!(open(7, [1; 32]), Ok(b"a photo".to_vec()));
    assert_eq!(open(7, [2; 32]), Err(Category::WrongKey));
    assert_eq!(open(8, [1; 32]), Err(Category::KeyUnavailable));
}

#[test]
fn envelopes_of_our_own_open_as_what_they_are() {
    let keys = MemoryProvider::generate("k").expect("an id");
    let (root, root_envelope) = ready(new_root(&keys)).expect("a root");
    let store = root.reference();
    let (epoch, envelope) = ready(new_epoch(&keys, store, "subjects")).expect("an epoch");
    let again = ready(open_root(&keys, &root_envelope, Some(store))).expect("it opens");
    assert_eq!(again.scope_tag("t"), root.scope_tag("t"));
    assert!(ready(open_epoch(&keys, &envelope, epoch.reference, store, "subjects")).is_ok());
    for (reference, store, class) in [
        (epoch.reference ^ 1, store, "subjects"),
        (epoch.reference, store ^ 1, "subjects"),
        (epoch.reference, store, "credentials"),
    ] {
        let refused = ready(open_epoch(&keys, &envelope, reference, store, class)).expect_err("another one");
        assert_eq!(refused.category(), Category::WrongContext);
    }
    let swapped = ready(open_root(&keys, &envelope, None)).expect_err("an epoch");
    assert_eq!(swapped.category(), Category::WrongContext);
}

/// Whoever has the public key could plant a root or an epoch of their own.
#[test]
fn a_provider_of_public_keys_only_is_refused() {
    #[derive(Debug)]
    struct Public;

    #[async_trait]
    impl KeyProvider for Public {
        async fn wrap_data_key(
            &self,
            _: &DataKey,
            _: &crate::provider::WrapContext,
        ) -> Result<Vec<Recipient>, ProviderError> {
            Ok(vec![Recipient::new(RecipientType::RSA_OAEP_SHA256, "hsm/01", [], vec![0; 256])])
        }

        async fn check(&self) -> Result<crate::provider::Health, ProviderError> {
            Ok(crate::provider::Health::default())
        }

        fn describe(&self) -> crate::provider::ProviderInfo {
            crate::provider::ProviderInfo::new("public")
        }
    }
    assert_eq!(ready(new_root(&Public)).expect_err("refused").category(), Category::Refused);
    assert_eq!(ready(new_epoch(&Public, 1, "subjects")).expect_err("refused").category(), Category::Refused);
}
