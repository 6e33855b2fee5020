//! Two arbitrary contexts: what seals under one opens under exactly that one.
//!
//! The stored pairs stand in the header as the model serialises them; the order in which pairs are presented, and
//! whether as stored or as required ones, makes no difference; any other difference is refused, with the category
//! that the model gives.

use std::collections::{BTreeMap, BTreeSet};

use kuvert::{
    Category, EncryptionContext, Kuvert, MessageStart, OpenError, OpenOptions, SealError, SealHandle,
};

use super::{
    fixtures::{self, Keys, block_on},
    input::Input,
    model,
};

pub fn run(data: &[u8]) {
    check(data, &Crate::default());
}

/// What is tested.
pub trait Sealing {
    fn seal(&self, context: &EncryptionContext) -> Result<Vec<u8>, SealError>;
    fn open(&self, message: &[u8], context: &EncryptionContext, accept_stored: bool)
    -> Result<(), OpenError>;
    fn seal_envelope(&self, context: &EncryptionContext) -> Result<Vec<u8>, SealError>;
    fn open_envelope(&self, envelope: &[u8], context: &EncryptionContext) -> Result<(), OpenError>;
}

/// The crate itself.
#[derive(Debug)]
pub struct Crate {
    seal: SealHandle,
    keys: Keys,
}

impl Default for Crate {
    fn default() -> Self {
        Self { seal: Kuvert::seal_only(fixtures::provider()), keys: Keys::new() }
    }
}

impl Sealing for Crate {
    fn seal(&self, context: &EncryptionContext) -> Result<Vec<u8>, SealError> {
        block_on(self.seal.seal(b"text", context))
    }

    fn open(
        &self,
        message: &[u8],
        context: &EncryptionContext,
        accept_stored: bool,
    ) -> Result<(), OpenError> {
        let options = OpenOptions::default().with_accept_stored_context(accept_stored);
        let opened = block_on(self.keys.handle(options).open(message, context));
        opened.map(|plaintext| assert_eq!(plaintext.as_slice(), b"text"))
    }

    fn seal_envelope(&self, context: &EncryptionContext) -> Result<Vec<u8>, SealError> {
        block_on(self.seal.new_record_key(context)).map(|(_, envelope)| envelope)
    }

    fn open_envelope(&self, envelope: &[u8], context: &EncryptionContext) -> Result<(), OpenError> {
        block_on(self.keys.handle(OpenOptions::default()).load_record_key(envelope, context)).map(drop)
    }
}

/// A pair as a caller gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    name: String,
    value: String,
    stored: bool,
}

type Set<'a> = BTreeMap<&'a str, &'a str>;

pub fn check(data: &[u8], sealing: &impl Sealing) {
    let mut input = Input::new(data);
    let mut pairs = take_pairs(&mut input);
    let Some(context) = build(&pairs) else {
        // Most of it is sound: go on with what can be a context.
        pairs.truncate(8);
        pairs.iter_mut().for_each(|pair| pair.value = pair.value.chars().take(64).collect());
        if let Some(context) = build(&pairs) {
            check_pairs(&pairs, &context, &mut input, sealing);
        }
        return;
    };
    check_pairs(&pairs, &context, &mut input, sealing);
}

fn check_pairs(pairs: &[Pair], context: &EncryptionContext, input: &mut Input<'_>, sealing: &impl Sealing) {
    let stored: Vec<(&str, &str)> =
        pairs.iter().filter(|pair| pair.stored).map(|pair| (&*pair.name, &*pair.value)).collect();
    let message = sealing.seal(context).expect("a context that could be made can be sealed");
    header_holds(&message, &stored);

    // The same set presented in every other way.
    let mut same = pairs.to_vec();
    same.reverse();
    same.iter_mut().for_each(|pair| pair.stored ^= input.flag());
    sealing.open(&message, &build(&same).unwrap(), false).expect("order and sort do not matter");
    let required: Vec<Pair> = pairs.iter().filter(|pair| !pair.stored).cloned().collect();
    sealing.open(&message, &build(&required).unwrap(), true).expect("what is stored is accepted");

    let other = edited(pairs, input);
    let Some(presented) = build(&other) else { return };
    for accept_stored in [false, true] {
        let expected = verdict(&set(pairs), &stored, &set(&other), accept_stored);
        let found = sealing.open(&message, &presented, accept_stored).map_err(|error| error.category());
        assert_eq!(found, expected, "{other:?} presented for {pairs:?}");
    }
    let differ = set(&other) != set(pairs);
    assert_eq!(model::serialise(&list(&other)) != model::serialise(&list(pairs)), differ, "not injective");
    check_envelope(pairs, context, &other, &presented, sealing);
}

/// A key envelope under the same context: our own two pairs count towards the limits.
fn check_envelope(
    pairs: &[Pair],
    context: &EncryptionContext,
    other: &[Pair],
    presented: &EncryptionContext,
    sealing: &impl Sealing,
) {
    const OURS: [(&str, &str); 2] = [("kuvert:role", "record"), ("kuvert:reference", "0123456789abcdef")];
    let all = [&list(pairs)[..], &OURS].concat();
    let fits = all.len() <= 64 && model::serialised_len(all.iter().copied()) <= 16_384;
    let envelope = match sealing.seal_envelope(context) {
        Ok(envelope) if fits => envelope,
        Err(error) if !fits && error.category() == Category::LimitExceeded => return,
        other => panic!("{} pairs in an envelope: {other:?}", all.len()),
    };
    sealing.open_envelope(&envelope, context).expect("it opens under its own context");
    let stored: Vec<(&str, &str)> = pairs.iter().filter(|pair| pair.stored).map(Pair::parts).collect();
    // Our own pairs are always accepted, and count.
    let stored = [&stored[..], &OURS].concat();
    let mut expected = set(other);
    expected.extend(OURS);
    let expected = verdict(&all.iter().copied().collect(), &stored, &expected, false);
    let found = sealing.open_envelope(&envelope, presented).map_err(|error| error.category());
    assert_eq!(found, expected, "{other:?} presented for an envelope of {pairs:?}");
}

/// Section 2: what a reader answers.
fn verdict(
    sealed: &Set<'_>,
    stored: &[(&str, &str)],
    presented: &Set<'_>,
    accept: bool,
) -> Result<(), Category> {
    let fits = |&(name, value): &(&str, &str)| presented.get(name).map_or(accept, |found| *found == value);
    if !stored.iter().all(fits) {
        return Err(Category::WrongContext);
    }
    let mut union = presented.clone();
    union.extend(stored.iter().copied());
    if union.len() > 64 || model::serialised_len(union.iter().map(|(n, v)| (*n, *v))) > 16_384 {
        return Err(Category::LimitExceeded);
    }
    if union == *sealed { Ok(()) } else { Err(Category::WrongContext) }
}

fn header_holds(message: &[u8], stored: &[(&str, &str)]) {
    let geometry = model::geometry(message, model::Kind::Message).unwrap();
    let bytes = &message[model::PREFIX..geometry.slot_at(0)];
    assert_eq!(bytes, model::serialise(stored), "the stored context's bytes");
    let start = MessageStart::parse(message).unwrap();
    let mut sorted = stored.to_vec();
    sorted.sort_unstable();
    assert!(start.header().claimed_context().eq(sorted), "the stored context as claimed");
}

/// Makes a context the way callers do, and holds its verdict to the rules of section 2.
fn build(pairs: &[Pair]) -> Option<EncryptionContext> {
    let mut context = EncryptionContext::empty();
    let (mut names, mut len) = (BTreeSet::new(), 2);
    for (before, pair) in pairs.iter().enumerate() {
        let Pair { name, value, stored } = pair;
        len += 4 + name.len() + value.len();
        let faults = faults(pair, before, !names.insert(name.as_str()), len);
        let longer =
            if *stored { context.with_stored(name, value) } else { context.with_required(name, value) };
        match longer {
            Ok(longer) => {
                assert!(faults.is_empty(), "{pair:?} was taken in spite of {faults:?}");
                context = longer;
            }
            Err(error) => {
                assert!(faults.contains(&error.category()), "{pair:?} was refused: {error}, not {faults:?}");
                return None;
            }
        }
    }
    assert_eq!(context.len(), pairs.len());
    assert!(context.names().eq(names), "names come in ascending order");
    Some(context)
}

/// What is wrong with a pair that comes behind `before` others, the serialisation with it being `len` bytes.
fn faults(pair: &Pair, before: usize, twice: bool, len: usize) -> Vec<Category> {
    let Pair { name, value, .. } = pair;
    let lengths_fit = name.len() <= 255 && value.len() <= 4096;
    let limit = before >= 64 || !lengths_fit || len > 16_384;
    let usage = twice || name.is_empty() || model::is_reserved(name);
    let found = [limit.then_some(Category::LimitExceeded), usage.then_some(Category::Usage)];
    found.into_iter().flatten().collect()
}

impl Pair {
    fn parts(&self) -> (&str, &str) {
        (&self.name, &self.value)
    }
}

fn list(pairs: &[Pair]) -> Vec<(&str, &str)> {
    pairs.iter().map(Pair::parts).collect()
}

fn set(pairs: &[Pair]) -> Set<'_> {
    pairs.iter().map(Pair::parts).collect()
}

fn take_pairs(input: &mut Input<'_>) -> Vec<Pair> {
    // Few, mostly: the limit of 64 is the place to look at among the many.
    let count = match usize::from(input.u8()) {
        few @ 0..=223 => few % 6,
        many => many - 188,
    };
    (0..count).map(|index| take_pair(index, input)).collect()
}

fn take_pair(index: usize, input: &mut Input<'_>) -> Pair {
    let how = input.u8();
    let name = match how & 7 {
        0 | 1 => format!("n{index}"),
        2 => text(input.short_bytes()),
        3 => text(input.bytes(2)),
        4 => "n".repeat(usize::from(how >> 3) + 230),
        5 => format!("é{}", index ^ usize::from(how >> 5)),
        6 => ["kuvert:role", "kuvert:x", "aws-crypto-public-key", "kuvert", "Kuvert:"][input.below(5)]
            .to_owned(),
        _ => char::from(how >> 3).to_string(),
    };
    let value = match how >> 4 & 3 {
        0 => text(input.short_bytes()),
        1 => String::new(),
        2 => "v".repeat(input.below(400)),
        _ => "v".repeat(4000 + input.below(100)),
    };
    Pair { name, value, stored: how & 0x40 > 0 }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The same pairs with a few differences, possibly none.
fn edited(pairs: &[Pair], input: &mut Input<'_>) -> Vec<Pair> {
    let mut pairs = pairs.to_vec();
    for _ in 0..input.u8() % 4 {
        let what = input.u8();
        let at = input.below(pairs.len().max(1));
        if pairs.is_empty() || what % 8 == 0 {
            pairs.insert(at, take_pair(usize::from(what), input));
            continue;
        }
        match what % 8 {
            1 => drop(pairs.remove(at)),
            2 => pairs[at].value.push(char::from(input.u8())),
            3 => pairs[at].name.push(char::from(input.u8())),
            4 => pairs[at].value = text(input.short_bytes()),
            5 => pairs[at].stored ^= true,
            6 => {
                // The same bytes with the border between name and value elsewhere.
                let Pair { name, value, .. } = &mut pairs[at];
                if let Some(moved) = name.pop() {
                    value.insert(0, moved);
                }
            }
            _ => {
                let with = input.below(pairs.len());
                let value = pairs[at].value.clone();
                pairs[at].value = std::mem::replace(&mut pairs[with].value, value);
            }
        }
    }
    pairs
}
