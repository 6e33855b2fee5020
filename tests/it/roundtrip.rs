//! What is sealed opens again: all sizes around every border, through every way in and out.
//!
//! Also the formula for the length, both ways, and the same with random sizes and contexts.

use std::io::Write;

use kuvert::{Category, EncryptionContext, Kuvert, Layout, MessageStart, SealOptions};
use proptest::prelude::*;

use crate::support::anatomy::{Anatomy, CHUNK, SEALED_CHUNK};
use crate::support::cancel::wait;
use crate::support::fixture::{SIZES, chunks_len, context, kuvert, message, text};
use crate::support::ways::{Way, open};

#[test]
fn every_size_in_both_layouts_by_every_way() {
    for len in SIZES {
        let plaintext = text(len);
        for layout in [Layout::Compact, Layout::Rewrappable] {
            let message = message(layout, &plaintext);
            let anatomy = Anatomy::of(&message);
            assert_eq!(message.len(), anatomy.commitment.end + chunks_len(len), "{layout:?} {len}");
            if layout == Layout::Rewrappable {
                assert_eq!(anatomy.header_len() % 4096, 0, "the header fills whole pages");
                assert_eq!(anatomy.slots.len(), 2);
            }
            for way in Way::ALL {
                let outcome = open(&kuvert(), way, &message, &context());
                let report =
                    outcome.result.unwrap_or_else(|error| panic!("{layout:?} {len} by {way:?}: {error}"));
                assert!(outcome.released == plaintext, "{layout:?} {len} by {way:?}");
                if let Some(report) = report {
                    assert_eq!(report.plaintext_len, len as u64, "{layout:?} {len} by {way:?}");
                    assert_eq!(
                        (report.generation, report.degraded, report.unfinished_rewrap),
                        (1, false, false)
                    );
                }
            }
        }
    }
}

/// Header and body apart: the body is sealed and opened as ever, and neither opens without the other.
#[test]
fn every_size_detached() {
    let kuvert = kuvert().with_seal_options(SealOptions::default().with_layout(Layout::Detached));
    for len in SIZES {
        let plaintext = text(len);
        let sealer = wait(kuvert.sealer(&context())).expect("a key in memory");
        let header = sealer.header().to_vec();
        let mut writer = sealer.into_writer(Vec::new());
        writer.write_all(&plaintext).expect("writing to memory");
        let (body, report) = writer.finish().expect("writing to memory");
        assert_eq!(body.len(), 56 + chunks_len(len));
        assert_eq!(report.sealed_len, (header.len() + body.len()) as u64);
        let mut source = body.as_slice();
        let start = MessageStart::read_detached(&mut header.as_slice(), &mut source).expect("a pair");
        let mut opened = Vec::new();
        let opener = wait(kuvert.opener(start, &context())).expect("a pair");
        opener.into_reader(source).copy_to(&mut opened).expect("a pair");
        assert!(opened == plaintext, "{len}");
        let joined = [header, body].concat();
        let refused =
            wait(kuvert.open(&joined, &context())).expect_err("a detached header, and a body behind it");
        assert_eq!(refused.category(), Category::Usage);
    }
}

/// The three ways to seal give messages of one length, each of which opens.
#[test]
fn every_way_to_seal() {
    let kuvert = kuvert().with_seal_options(SealOptions::default().with_layout(Layout::Compact));
    for len in SIZES {
        let plaintext = text(len);
        let whole = wait(kuvert.seal(&plaintext, &context())).expect("sealing in memory");

        let sealer = wait(kuvert.sealer(&context())).expect("a key in memory");
        assert_eq!(sealer.message_len(len).expect("a small message"), whole.len());
        let mut into = vec![0xee; whole.len()];
        let report = sealer.seal_into(&plaintext, &mut into).expect("of the right length");
        assert_eq!((report.plaintext_len, report.sealed_len), (len as u64, whole.len() as u64));

        let mut writer = wait(kuvert.sealer(&context())).expect("a key in memory").into_writer(Vec::new());
        writer.write_all(&plaintext).expect("writing to memory");
        let (written, report) = writer.finish().expect("writing to memory");
        assert_eq!((report.plaintext_len, report.sealed_len), (len as u64, whole.len() as u64));

        let mut writer = wait(kuvert.sealer(&context())).expect("a key in memory").into_writer(Vec::new());
        let copied = writer.copy_from(&mut plaintext.as_slice()).expect("writing to memory");
        let (copied_to, _) = writer.finish().expect("writing to memory");
        assert_eq!(copied, len as u64);

        for message in [&into, &written, &copied_to] {
            assert_eq!(message.len(), whole.len(), "{len}");
            let opened = wait(kuvert.open(message, &context())).expect("just sealed");
            assert!(*opened == plaintext, "{len}");
        }
    }
}

#[test]
fn a_buffer_of_another_length_is_refused() {
    let kuvert = kuvert();
    for (wrong, len) in [(-1, 100), (1, 100), (-1, 0), (16, CHUNK)] {
        let sealer = wait(kuvert.sealer(&context())).expect("a key in memory");
        let right = isize::try_from(sealer.message_len(len).expect("small")).expect("small");
        let mut into = vec![0; usize::try_from(right + wrong).expect("positive")];
        let refused = sealer.seal_into(&text(len), &mut into).expect_err("another length");
        assert_eq!(refused.category(), Category::Usage);
        assert!(into.iter().all(|byte| *byte == 0), "nothing was written");
    }
}

/// Two messages of the same plaintext have nothing in common behind the header.
#[test]
fn no_two_messages_are_alike() {
    let plaintext = vec![0; 64];
    let messages: Vec<_> = (0..50).map(|_| message(Layout::Compact, &plaintext)).collect();
    for (i, one) in messages.iter().enumerate() {
        let salt = Anatomy::of(one).salt.start;
        for other in &messages[..i] {
            let equal = one[salt..].iter().zip(&other[salt..]).filter(|(a, b)| a == b).count();
            // 152 random bytes agree in 10 places once in 10^9 pairs.
            assert!(equal < 10, "{equal} equal bytes");
        }
    }
}

/// A context of arbitrary pairs: names unique, everything within the limits.
fn contexts() -> impl Strategy<Value = (EncryptionContext, EncryptionContext)> {
    let name = "[a-zA-Z0-9/_ åß漢]{1,20}";
    let pairs = proptest::collection::btree_map(name, (any::<String>(), any::<bool>()), 0..6);
    let pairs = pairs
        .prop_filter("reserved names", |pairs| pairs.keys().all(|name| !name.starts_with("aws-crypto-")));
    pairs.prop_map(|pairs| {
        let mut context = EncryptionContext::empty();
        let mut other = EncryptionContext::empty().with_required("one more", "").expect("a good pair");
        for (name, (value, stored)) in pairs {
            if name == "one more" {
                continue;
            }
            let add = |context: EncryptionContext| {
                if stored { context.with_stored(&name, &value) } else { context.with_required(&name, &value) }
            };
            context = add(context).expect("a good pair");
            other = add(other).expect("a good pair");
        }
        (context, other)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if long() { 5_000 } else { 120 }, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sealed_opens(
        len in prop_oneof![0..300_usize, 0..5 * CHUNK, (1..5_usize).prop_map(|n| n * CHUNK)],
        (context, other) in contexts(),
        layout in prop_oneof![Just(Layout::Compact), Just(Layout::Rewrappable)],
        way in 0..Way::ALL.len(),
    ) {
        let plaintext = text(len);
        let kuvert = kuvert().with_seal_options(SealOptions::default().with_layout(layout));
        let message = wait(kuvert.seal(&plaintext, &context)).expect("sealing in memory");
        let outcome = open(&kuvert, Way::ALL[way], &message, &context);
        prop_assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        prop_assert!(outcome.released == plaintext);
        // One pair too many is another context.
        let refused = open(&kuvert, Way::ALL[way], &message, &other);
        prop_assert_eq!(refused.category(), Some(Category::WrongContext));
        prop_assert_eq!(refused.released, b"");
    }

    /// The length formula and its inverse: each length of chunks belongs to one length of plaintext, or to none.
    #[test]
    fn lengths_and_back(len in 0..300_000_usize) {
        let sealed = chunks_len(len);
        let (full, rest) = (sealed / SEALED_CHUNK, sealed % SEALED_CHUNK);
        prop_assert!(rest >= 16, "a last chunk has its tag");
        prop_assert_eq!(full * CHUNK + rest - 16, len);
        let sealer = wait(kuvert().sealer(&context())).expect("a key in memory");
        let head = sealer.header().len() + 56;
        prop_assert_eq!(sealer.message_len(len).expect("small"), head + sealed);
    }

    /// A body of an impossible length is refused before any key is asked for.
    #[test]
    fn impossible_lengths_are_told_first(chunks in 0..3_usize, rest in 0..16_usize) {
        let asked = Kuvert::new(crate::support::providers::Scripted::new(
            kuvert::provider::MemoryProvider::generate("another-key").expect("a random key"),
        ).always(crate::support::providers::Answer::Panic));
        let mut bytes = message(Layout::Compact, &[]);
        bytes.truncate(Anatomy::of(&bytes).commitment.end);
        bytes.resize(bytes.len() + chunks * SEALED_CHUNK + rest, 0);
        let refused = wait(asked.open(&bytes, &context())).expect_err("an impossible length");
        prop_assert_eq!(refused.category(), Category::Truncated);
    }
}

fn long() -> bool {
    std::env::var_os("KUVERT_TEST_LONG").is_some()
}
