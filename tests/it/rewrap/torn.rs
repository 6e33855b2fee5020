//! Hostile input 86: every torn write of a slot, and of a slot's zeroing, opens with the old key or the new one, and the
//! next rewrap mends it.
//!
//! Prefixes, suffixes, and subsets of the 512-byte sectors of the file. Two planted bugs: an order of writes, and a
//! place, that are not safe.

use std::collections::BTreeSet;

use kuvert::{Kuvert, Layout, MessageStart, Recipient, RecipientType, RewrapOutcome, SealOptions};

use super::stage::{With, holder, keys, opens};
use crate::support::anatomy::Anatomy;
use crate::support::cancel::wait;
use crate::support::fixture::{context, text};

const SECTOR: usize = 512;

/// One write of a rewrap: bytes at an offset.
#[derive(Debug, Clone)]
struct Write {
    at: usize,
    bytes: Vec<u8>,
}

/// The two writes that lead from one header to the next, in their order.
fn writes(before: &[u8], after: &[u8]) -> [Write; 2] {
    let slots = Anatomy::of(before).slots;
    let new = slots.iter().position(|slot| after[slot.clone()].iter().any(|byte| *byte != 0)).expect("one");
    let at = |slot: usize| Write { at: slots[slot].start, bytes: after[slots[slot].clone()].to_vec() };
    [at(new), at(1 - new)]
}

/// The message with only some of the write's bytes written: those of which `chosen` says so, by their offsets.
fn with(message: &[u8], write: &Write, chosen: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut torn = message.to_vec();
    for (at, byte) in (write.at..).zip(&write.bytes) {
        if chosen(at) {
            torn[at] = *byte;
        }
    }
    torn
}

/// Every subset of the sectors that a write touches, whole write and none included.
fn sector_subsets(message: &[u8], write: &Write) -> Vec<Vec<u8>> {
    let first = write.at / SECTOR;
    let sectors = (write.at + write.bytes.len()).div_ceil(SECTOR) - first;
    (0_u32..1 << sectors)
        .map(|set| with(message, write, |at| set & 1 << (at / SECTOR - first) != 0))
        .collect()
}

/// Every prefix and every suffix as well.
fn torn(message: &[u8], write: &Write) -> BTreeSet<Vec<u8>> {
    let mut images: BTreeSet<_> = sector_subsets(message, write).into_iter().collect();
    for cut in write.at..=write.at + write.bytes.len() {
        images.insert(with(message, write, |at| at < cut));
        images.insert(with(message, write, |at| at >= cut));
    }
    images
}

/// What is wrong with an image, if anything: it must open with the old key or the new one, and be mended by the next
/// rewrap, whoever of the two does it.
fn judge(image: &[u8], plaintext: &[u8], [old, new]: [&str; 2]) -> Result<(), String> {
    let opened = [old, new].map(|id| opens(id, image));
    if !opened.iter().any(Result::is_ok) {
        return Err(format!("opens with neither key: {opened:?}"));
    }
    if opened.iter().flatten().any(|found| found != plaintext) {
        return Err("opens to something else".into());
    }
    let (mended, _) = wait(holder(&[old]).rewrap_to(keys(&[new])).message(image, &context()))
        .map_err(|error| format!("the next rewrap fails: {error}"))?;
    let body = Anatomy::of(image).header_len();
    if mended[body..] != image[body..] || mended.len() != image.len() {
        return Err("the body changed".into());
    }
    let start = MessageStart::parse(&mended).map_err(|error| error.to_string())?;
    let opener =
        wait(holder(&[new]).opener(start, &context())).map_err(|error| format!("not mended: {error}"))?;
    let report = opener.report();
    if report.degraded || report.unfinished_rewrap || opens(old, &mended).is_ok() {
        return Err(format!("not mended: {report:?}"));
    }
    Ok(())
}

/// A message under `a`, then under `b`, then under `c`: written into each of the slots once. With a crowd of other
/// recipients the slots are full, and each of their bytes matters.
fn three(crowd: u8) -> [Vec<u8>; 3] {
    let crowded = |id: &str| {
        let stranger = |n: u8| Recipient::new(RecipientType(0x8000), [b'a' + n], [], vec![n ^ 0x5a; 130]);
        With(keys(&[id]), (0..crowd).map(stranger).collect())
    };
    let sealing =
        Kuvert::new(crowded("a")).with_seal_options(SealOptions::default().with_layout(Layout::Rewrappable));
    let first = wait(sealing.seal(&text(100), &context())).expect("in memory");
    let next = |from: &str, to: &str, message: &[u8]| {
        let rewrap = holder(&[from]).rewrap_to(crowded(to));
        let (after, report) = wait(rewrap.message(message, &context())).expect("a good message");
        assert_eq!(report.outcome, RewrapOutcome::Rewrapped);
        after
    };
    let second = next("a", "b", &first);
    let third = next("b", "c", &second);
    assert_eq!(Anatomy::of(&first).slots.len(), 2);
    [first, second, third]
}

#[test]
fn every_torn_write_opens_and_is_mended() {
    let [first, second, third] = three(12);
    let mut images = 0;
    for (before, after, who) in [(&first, &second, ["a", "b"]), (&second, &third, ["b", "c"])] {
        let [write, zero] = writes(before, after);
        let between = with(before, &write, |_| true);
        assert_eq!(&with(&between, &zero, |_| true), after, "these two writes are the whole change");
        for image in torn(before, &write).into_iter().chain(torn(&between, &zero)) {
            judge(&image, &text(100), who).unwrap_or_else(|fault| panic!("image {images}: {fault}"));
            images += 1;
        }
    }
    assert!(images > 10_000, "only {images}");
    println!("{images} images");
}

/// A rewrap of what an earlier one left torn, torn as well.
#[test]
fn torn_writes_over_torn_writes() {
    let [first, second, _] = three(0);
    let [write, zero] = writes(&first, &second);
    let between = with(&first, &write, |_| true);
    let mut images = 0;
    for image in sector_subsets(&first, &write).into_iter().chain(sector_subsets(&between, &zero)) {
        // By somebody who is to rewrap to a third key, and has the second.
        let rewrap = holder(&["a", "b"]).rewrap_to(keys(&["c"]));
        let (after, _) = wait(rewrap.message(&image, &context())).expect("judged by the other test");
        let [write, zero] = writes(&image, &after);
        let between = with(&image, &write, |_| true);
        for image in sector_subsets(&image, &write).into_iter().chain(sector_subsets(&between, &zero)) {
            let opened = ["a", "b", "c"].map(|id| opens(id, &image));
            assert!(opened.iter().any(Result::is_ok), "{opened:?}");
            let (mended, _) = wait(rewrap.message(&image, &context())).expect("one of the keys opens it");
            assert_eq!(opens("c", &mended).as_deref(), Ok(&text(100)[..]));
            assert!(opens("a", &mended).is_err() && opens("b", &mended).is_err());
            images += 1;
        }
    }
    println!("{images} images");
    assert!(images > 1000, "only {images}");
}

/// What is found must be told: degraded, or unfinished, or nothing.
#[test]
fn the_states_in_between_are_reported() {
    let [first, second, _] = three(0);
    let [write, _] = writes(&first, &second);
    let state = |image: &[u8]| {
        let start = MessageStart::parse(image).expect("a header");
        let report = wait(holder(&["a", "b"]).opener(start, &context())).expect("a valid slot").report();
        (report.generation, report.degraded, report.unfinished_rewrap)
    };
    let half = with(&first, &write, |at| at < write.at + 100);
    let between = with(&first, &write, |_| true);
    assert_eq!(
        [state(&first), state(&half), state(&between), state(&second)],
        [(1, false, false), (1, true, false), (2, false, true), (2, false, false)]
    );
    let outcome = |image: &[u8]| {
        let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
        let report = wait(rewrap.message(image, &context())).expect("opens").1;
        (report.outcome, report.generation)
    };
    assert_eq!(
        [outcome(&half), outcome(&between), outcome(&second)],
        [(RewrapOutcome::Rewrapped, 2), (RewrapOutcome::Mended, 2), (RewrapOutcome::Unchanged, 2)]
    );
}

/// The judge must find these, or it proves nothing.
#[test]
fn planted_orders_and_places_are_found() {
    let [first, second, _] = three(0);
    let [write, zero] = writes(&first, &second);
    let found = |images: &mut dyn Iterator<Item = Vec<u8>>| {
        images.filter(|image| judge(image, &text(100), ["a", "b"]).is_err()).count()
    };
    // The old slot is zeroed before the new one is there.
    let early = with(&first, &zero, |_| true);
    assert!(found(&mut torn(&early, &write).into_iter()) > 0);
    // The new slot is written over the only valid one.
    let over = Write { at: zero.at, bytes: write.bytes };
    assert!(found(&mut torn(&first, &over).into_iter()) > 0);
}
