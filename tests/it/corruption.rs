//! P1, P2, P4: every single-bit flip, every truncation and every edit of chunks, through every way to open.
//!
//! A changed message is an error of the right category, and whatever came out before the error is a true prefix; the
//! one exception is a spare header slot, whose damage is reported as *degraded*. [`Trial`] is the detector, and at the
//! end it is shown openers that do not verify, which it must find.

mod records;

use std::collections::BTreeMap;
use std::ops::Range;

use kuvert::{Category, EncryptionContext, Kuvert, Layout};

use crate::support::anatomy::{Anatomy, CHUNK, SEALED_CHUNK};
use crate::support::cancel::wait;
use crate::support::fixture::{KEY_ID, context, kuvert, message, provider, text};
use crate::support::providers::FixedKey;
use crate::support::rng::Rng;
use crate::support::ways::{Outcome, Way, open};

/// Whether the long variants were asked for.
fn long() -> bool {
    std::env::var_os("KUVERT_TEST_LONG").is_some()
}

/// A message, its truth, and a count of what its mutations ended in.
struct Trial {
    kuvert: Kuvert,
    context: EncryptionContext,
    message: Vec<u8>,
    plaintext: Vec<u8>,
    anatomy: Anatomy,
    seen: BTreeMap<&'static str, usize>,
}

impl Trial {
    fn new(message: Vec<u8>, plaintext: Vec<u8>) -> Self {
        let anatomy = Anatomy::of(&message);
        Self { kuvert: kuvert(), context: context(), message, plaintext, anatomy, seen: BTreeMap::new() }
    }

    fn sealed(layout: Layout, len: usize) -> Self {
        let plaintext = text(len);
        Self::new(message(layout, &plaintext), plaintext)
    }

    /// Opens a changed message and says what is wrong with the answer, if anything is.
    fn judge(&mut self, way: Way, changed: &[u8]) -> Result<Outcome, String> {
        let outcome = open(&self.kuvert, way, changed, &self.context);
        self.verdict(changed, outcome)
    }

    /// The detector itself.
    fn verdict(&mut self, changed: &[u8], outcome: Outcome) -> Result<Outcome, String> {
        assert_ne!(changed, self.message, "the mutation changed nothing");
        let Some(category) = outcome.category() else {
            *self.seen.entry("opened").or_default() += 1;
            return if outcome.released != self.plaintext {
                Err(format!("opened to {} bytes of something else", outcome.released.len()))
            } else if !self.may_open(changed) {
                Err("opened, although it was changed".to_owned())
            } else {
                Ok(outcome)
            };
        };
        *self.seen.entry(category.name()).or_default() += 1;
        if !self.plaintext.starts_with(&outcome.released) {
            return Err(format!(
                "{} bytes were released that are not the plaintext's",
                outcome.released.len()
            ));
        }
        match category {
            Category::Io | Category::Refused => Err(format!("an odd category: {:?}", outcome.result)),
            _ => Ok(outcome),
        }
    }

    /// Only the spare slot of a rewrappable message may change without the message being lost.
    fn may_open(&self, changed: &[u8]) -> bool {
        let Some(spare) = self.anatomy.slots.get(1) else { return false };
        let mut restored = changed.to_vec();
        restored.len() == self.message.len() && {
            restored[spare.clone()].copy_from_slice(&self.message[spare.clone()]);
            restored == self.message
        }
    }

    /// Flips every bit of `bytes`.
    fn flip_all(&mut self, way: Way, bytes: impl IntoIterator<Item = usize>) {
        let mut changed = self.message.clone();
        for at in bytes {
            for bit in 0..8 {
                changed[at] ^= 1 << bit;
                let outcome = self.judge(way, &changed).unwrap_or_else(|fault| {
                    panic!("bit {bit} of byte {at} ({}) by {way:?}: {fault}", self.place(at));
                });
                self.check_place(at, bit, &outcome);
                changed[at] ^= 1 << bit;
            }
        }
    }

    /// What a flipped bit must be called, where the format leaves no choice.
    fn check_place(&self, at: usize, bit: u8, outcome: &Outcome) {
        let slot = &self.anatomy.slots[0];
        let expected = match self.place(at) {
            "magic" | "reserved" | "padding" => Category::Malformed,
            "version" | "kind" | "suite" => Category::Unsupported,
            "flags" => {
                if bit == 0 {
                    Category::Usage
                } else {
                    Category::Unsupported
                }
            }
            "salt" | "commitment" => Category::WrongContext,
            "chunk" => Category::Tampered,
            // In a message of one slot there is nothing to fall back on.
            "slot mac" => Category::Tampered,
            "spare slot" => {
                assert!(outcome.category().is_none(), "byte {at}: {outcome:?}");
                assert!(
                    matches!(outcome.result, Ok(None)) || outcome.is_degraded(),
                    "byte {at}: {outcome:?}"
                );
                return;
            }
            "wrap" => Category::WrongKey,
            "id" => Category::KeyUnavailable,
            _ => return,
        };
        assert_eq!(
            outcome.category(),
            Some(expected),
            "byte {at} ({}), {slot:?}: {outcome:?}",
            self.place(at)
        );
    }

    /// The name of the field that byte `at` belongs to, as far as its category is certain.
    fn place(&self, at: usize) -> &'static str {
        let Anatomy { slots, padding, salt, commitment, context, .. } = &self.anatomy;
        let slot = &slots[0];
        let id = slot.start + 24..slot.start + 24 + KEY_ID.len();
        let places: [(&'static str, Range<usize>); 14] = [
            ("magic", 0..8),
            ("version", 8..9),
            ("kind", 9..10),
            ("suite", 10..12),
            ("flags", 21..22),
            ("reserved", 23..32),
            ("context", context.clone()),
            ("id", id.clone()),
            ("wrap", id.end..id.end + 40),
            ("slot mac", slot.end - 32..slot.end),
            ("spare slot", slots.get(1).cloned().unwrap_or_default()),
            ("padding", padding.clone()),
            ("salt", salt.clone()),
            ("commitment", commitment.clone()),
        ];
        let found = places.into_iter().find(|(_, range)| range.contains(&at)).map(|(name, _)| name);
        found.unwrap_or(if at >= commitment.end { "chunk" } else { "other" })
    }

    fn truncate_all(&mut self, way: Way, lengths: impl IntoIterator<Item = usize>) {
        for len in lengths {
            let changed = self.message[..len].to_vec();
            let outcome =
                self.judge(way, &changed).unwrap_or_else(|f| panic!("cut to {len} by {way:?}: {f}"));
            let category = outcome.category();
            assert!(
                matches!(category, Some(Category::Truncated | Category::Tampered)),
                "cut to {len} by {way:?}: {outcome:?}",
            );
        }
    }

    fn try_edit(&mut self, what: &str, changed: &[u8]) {
        for way in Way::ALL {
            let outcome =
                self.judge(way, changed).unwrap_or_else(|fault| panic!("{what} by {way:?}: {fault}"));
            assert!(
                matches!(outcome.category(), Some(Category::Truncated | Category::Tampered)),
                "{what} by {way:?}: {outcome:?}",
            );
        }
    }
}

/// Lengths of plaintext: none, one byte, a block, a few hundred.
const SMALL: [usize; 6] = [0, 1, 15, 16, 57, 300];

#[test]
fn every_bit_of_a_compact_message() {
    let mut total = BTreeMap::new();
    for len in SMALL {
        let mut trial = Trial::sealed(Layout::Compact, len);
        for way in Way::ALL {
            trial.flip_all(way, 0..trial.message.len());
        }
        assert!(!trial.seen.contains_key("opened"), "{:?}", trial.seen);
        trial.seen.into_iter().for_each(|(name, count)| *total.entry(name).or_insert(0) += count);
    }
    println!("{} flips: {total:?}", total.values().sum::<usize>());
}

#[test]
fn every_bit_of_a_rewrappable_message() {
    let mut trial = Trial::sealed(Layout::Rewrappable, 100);
    trial.flip_all(Way::Whole, 0..trial.message.len());
    assert!(trial.seen["opened"] == trial.anatomy.slots[1].len() * 8, "{:?}", trial.seen);
    // The other ways share the header's code: the structure of slot and body densely, the zeros between thinly.
    let dense = dense_places(&trial.anatomy, trial.message.len());
    for way in Way::ALL {
        let step = if long() { 1 } else { 3 };
        trial.flip_all(way, dense.iter().copied().step_by(step));
    }
    println!("{:?}", trial.seen);
}

/// Where the fields are, and every 61st byte elsewhere.
fn dense_places(anatomy: &Anatomy, len: usize) -> Vec<usize> {
    let fields =
        anatomy.slots.iter().flat_map(|slot| [slot.start..slot.start + 120, slot.end - 40..slot.end]);
    let dense: Vec<Range<usize>> =
        fields.chain([0..anatomy.slots[0].start, anatomy.padding.clone(), anatomy.salt.start..len]).collect();
    (0..len).filter(|at| at % 61 == 0 || dense.iter().any(|range| range.contains(at))).collect()
}

#[test]
fn every_truncation_of_small_messages() {
    for len in SMALL {
        let mut trial = Trial::sealed(Layout::Compact, len);
        for way in Way::ALL {
            trial.truncate_all(way, 0..trial.message.len());
        }
    }
    let mut trial = Trial::sealed(Layout::Rewrappable, 57);
    for way in Way::ALL {
        let step = if way == Way::Whole || long() { 1 } else { 3 };
        trial.truncate_all(way, (0..trial.message.len()).step_by(step));
    }
}

/// A message of two chunks: flips where the structure is and here and there between, cuts around every border.
#[test]
fn two_chunks() {
    let mut trial = Trial::sealed(Layout::Compact, CHUNK + 90);
    let len = trial.message.len();
    let chunks = trial.anatomy.chunks.clone();
    assert_eq!(chunks.len(), 2);
    let near =
        |at: &usize| chunks.iter().any(|chunk| at.abs_diff(chunk.start) < 20 || at.abs_diff(chunk.end) < 20);
    let sampled: Vec<usize> =
        (chunks[0].start..len).filter(|at| long() || near(at) || at % 101 == 0).collect();
    for way in Way::ALL {
        trial.flip_all(way, sampled.iter().copied());
        let cuts = (0..len).filter(|at| long() || near(at) || at % 101 == 0);
        trial.truncate_all(way, cuts.collect::<Vec<_>>());
    }
    // The same where the last chunk is empty and there is nothing but its tag.
    let mut empty_end = Trial::sealed(Layout::Compact, CHUNK);
    let tag = empty_end.anatomy.chunks[1].clone();
    for way in Way::ALL {
        empty_end.flip_all(way, tag.clone());
        empty_end.truncate_all(way, tag.start - 20..tag.end);
    }
    // A flip in the second chunk lets exactly the first one out, to those who read in order.
    let mut changed = trial.message.clone();
    changed[len - 1] ^= 1;
    for way in [Way::Read, Way::ReadLarge, Way::Buffered, Way::Copy, Way::SeekLazy] {
        let outcome = trial.judge(way, &changed).expect("an error and a true prefix");
        assert_eq!(outcome.released, trial.plaintext[..CHUNK], "{way:?}");
    }
    // Who verifies the length first, or wants all or nothing, gets nothing at all.
    for way in [Way::Whole, Way::Into, Way::Seek, Way::Ranges] {
        let outcome = trial.judge(way, &changed).expect("an error and a true prefix");
        assert_eq!(outcome.released, b"", "{way:?}");
    }
}

/// Chunks dropped, repeated, swapped, moved, replaced and added, for bodies that end in a short and in an empty chunk.
#[test]
fn every_edit_of_whole_chunks() {
    for len in [4 * CHUNK + 90, 3 * CHUNK] {
        let mut trial = Trial::sealed(Layout::Compact, len);
        let (head, chunks) = cut(&trial);
        let n = chunks.len();
        let join = |list: &[&[u8]]| [&[head.as_slice()], list].concat().concat();
        let list: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        for i in 0..n {
            let mut without = list.clone();
            without.remove(i);
            trial.try_edit(&format!("chunk {i} dropped"), &join(&without));
            for j in 0..=n {
                let mut more = list.clone();
                more.insert(j, list[i]);
                trial.try_edit(&format!("chunk {i} repeated before {j}"), &join(&more));
            }
            for j in 0..i {
                let mut swapped = list.clone();
                swapped.swap(i, j);
                trial.try_edit(&format!("chunks {i} and {j} swapped"), &join(&swapped));
            }
            for j in (0..n).filter(|j| *j != i) {
                let mut copied = list.clone();
                copied[i] = list[j];
                trial.try_edit(&format!("chunk {j} in the place of {i}"), &join(&copied));
            }
            // The last chunk earlier, and everything behind it gone.
            let cut: Vec<&[u8]> = list[..i].iter().copied().chain([list[n - 1]]).collect();
            if i < n - 1 {
                trial.try_edit(&format!("the last chunk after {i}"), &join(&cut));
            }
        }
        let mut reversed = list.clone();
        reversed.reverse();
        trial.try_edit("all reversed", &join(&reversed));
        trial.try_edit("twice", &join(&[list.as_slice(), list.as_slice()].concat()));
    }
}

/// What was sealed under the same data key, and is still another message.
#[test]
fn splices_from_a_message_of_the_same_data_key() {
    let same_key = Kuvert::new(FixedKey { inner: provider(), key: [0x5d; 32] });
    let plaintext = text(2 * CHUNK + 90);
    let seal = |text: &[u8]| wait(same_key.seal(text, &context())).expect("sealing in memory");
    let mut trial = Trial::new(seal(&plaintext), plaintext.clone());
    let other = Trial::new(seal(&plaintext.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()), Vec::new());
    let ((head, chunks), (other_head, other_chunks)) = (cut(&trial), cut(&other));
    for i in 0..chunks.len() {
        let mut spliced = chunks.clone();
        spliced[i].clone_from(&other_chunks[i]);
        trial.try_edit(&format!("the other's chunk {i}"), &[head.clone(), spliced.concat()].concat());
    }
    trial.try_edit("the other's chunks", &[head.clone(), other_chunks.concat()].concat());
    // The other's salt and commitment in this body, and this header before the other's body: the header's MAC
    // covers both, and the commitment fits, since the data key is the same.
    let cut_head = head.len() - 56;
    let foreign_start = [&head[..cut_head], &other_head[cut_head..], &chunks.concat()].concat();
    trial.try_edit("the other's body start", &foreign_start);
    let foreign_body = [&head[..cut_head], &other.message[cut_head..]].concat();
    trial.try_edit("this header before the other's body", &foreign_body);
}

/// The same key and plaintext, another data key: nothing of one message fits into another.
#[test]
fn splices_from_a_message_of_another_data_key() {
    let mut trial = Trial::sealed(Layout::Compact, CHUNK + 90);
    let other = Trial::sealed(Layout::Compact, CHUNK + 90);
    let body = trial.anatomy.salt.start;
    assert_eq!(body, other.anatomy.salt.start);
    for (what, at, expected) in [
        ("header", body, Category::WrongContext),
        ("header and salt", body + 24, Category::WrongContext),
        ("header, salt and commitment", body + 56, Category::Tampered),
    ] {
        let changed = [&trial.message[..at], &other.message[at..]].concat();
        for way in Way::ALL {
            let outcome =
                trial.judge(way, &changed).unwrap_or_else(|fault| panic!("{what} by {way:?}: {fault}"));
            assert_eq!(outcome.category(), Some(expected), "{what} by {way:?}");
            assert_eq!(outcome.released, b"", "{what} by {way:?}");
        }
    }
}

#[test]
fn anything_appended() {
    for len in [0, 57, CHUNK - 1, CHUNK, CHUNK + 90] {
        let mut trial = Trial::sealed(Layout::Compact, len);
        let mut rng = Rng::new("anything_appended");
        for more in [1, 2, 15, 16, 17, 32, SEALED_CHUNK - 1, SEALED_CHUNK, SEALED_CHUNK + 1, 2 * SEALED_CHUNK]
        {
            let changed = [trial.message.clone(), rng.bytes(more)].concat();
            trial.try_edit(&format!("{more} random bytes behind {len}"), &changed);
            let changed = [trial.message.clone(), vec![0; more]].concat();
            trial.try_edit(&format!("{more} zeros behind {len}"), &changed);
        }
        let twice = [trial.message.clone(), trial.message.clone()].concat();
        trial.try_edit("itself", &twice);
    }
}

#[test]
fn random_edits() {
    let mut rng = Rng::new("random_edits");
    let rounds = if long() { 1_000_000 } else { 20_000 };
    let mut trials = [Trial::sealed(Layout::Compact, 333), Trial::sealed(Layout::Compact, CHUNK + 5)];
    for round in 0..rounds {
        let trial = &mut trials[round % 2];
        let mut changed = trial.message.clone();
        for _ in 0..rng.between(1..=4) {
            let at = rng.below(changed.len());
            match rng.below(4) {
                0 => changed[at] = changed[at].wrapping_add(1),
                1 => drop(changed.remove(at)),
                2 => changed.insert(at, rng.bytes(1)[0]),
                _ => {
                    let end = (at + rng.between(1..=64)).min(changed.len());
                    rng.fill(&mut changed[at..end]);
                }
            }
        }
        if changed != trial.message {
            let way = Way::ALL[rng.below(Way::ALL.len())];
            trial.judge(way, &changed).unwrap_or_else(|fault| panic!("round {round} by {way:?}: {fault}"));
        }
    }
}

/// The head (header, salt, commitment) and the chunks.
fn cut(trial: &Trial) -> (Vec<u8>, Vec<Vec<u8>>) {
    let head = trial.message[..trial.anatomy.commitment.end].to_vec();
    (head, trial.anatomy.chunks.iter().map(|chunk| trial.message[chunk.clone()].to_vec()).collect())
}

/// The detector must find these openers, or it proves nothing.
#[test]
fn planted_bugs_are_found() {
    let mut trial = Trial::sealed(Layout::Compact, 300);
    let chunk = trial.anatomy.chunks[0].clone();
    let original = trial.message.clone();

    // An opener that ignores the tag: a counter mode, where a flipped bit of ciphertext is one of plaintext.
    let text_of = |message: &[u8], truth: &[u8]| -> Vec<u8> {
        let (old, new) = (&original[chunk.clone()], &message[chunk.clone()]);
        truth.iter().zip(old.iter().zip(new)).map(|(byte, (old, new))| byte ^ old ^ new).collect()
    };
    for at in chunk.clone() {
        let mut changed = original.clone();
        changed[at] ^= 4;
        let released = text_of(&changed, &trial.plaintext);
        let fake = Outcome { released, result: Ok(None) };
        trial.verdict(&changed, fake).expect_err("an opener that ignores the tag");
    }

    // One that reports the error, after it let the chunk out.
    let mut changed = original.clone();
    changed[chunk.start] ^= 1;
    let refused = open(&trial.kuvert, Way::Whole, &changed, &trial.context).result;
    let fake = Outcome { released: text_of(&changed, &trial.plaintext), result: refused };
    trial.verdict(&changed, fake).expect_err("an opener that releases before it verifies");

    // One that takes an early end for the end.
    let cut = original[..original.len() - 1].to_vec();
    let fake = Outcome { released: trial.plaintext[..200].to_vec(), result: Ok(None) };
    trial.verdict(&cut, fake).expect_err("an opener that answers short");

    // One that does not look at part of the header.
    let mut changed = original.clone();
    changed[31] ^= 1;
    let fake = Outcome { released: trial.plaintext.clone(), result: Ok(None) };
    trial.verdict(&changed, fake).expect_err("an opener that ignores a reserved byte");
}
