//! The machines for several threads against those for one: the same bytes, the same errors, under every chopping.
//!
//! Jobs are tiny here, so that there are many borders between them; the pool by itself is in `pool/tests`.

use std::task::Poll;

use proptest::prelude::*;

use super::{ParallelOpenMachine, ParallelSealMachine, Plan};
use crate::{
    error::{Category, OpenError, SealError},
    fork,
    format::schedule::BodyKeys,
    limits::{CHUNK_LEN, SEALED_CHUNK_LEN},
    secret::Secret,
    stream::{chunk::ChunkCipher, open::OpenMachine, seal::SealMachine},
};

fn cipher() -> ChunkCipher {
    ChunkCipher::new(&BodyKeys { key: Secret::copy_from(&[7; 32]), base_nonce: [9; 12], commitment: [0; 32] })
}

fn one(head: &[u8]) -> SealMachine {
    SealMachine::new(cipher(), head.to_vec(), fork::generation())
}

fn several(head: &[u8], plan: Plan) -> ParallelSealMachine {
    ParallelSealMachine::new(one(head), cipher(), plan)
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i / 251 + i) % 251).unwrap()).collect()
}

/// By the machine for one thread, which has tests of its own.
fn sealed_by_one(head: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut machine = one(head);
    let (mut rest, mut sealed) = (plaintext, Vec::new());
    while !machine.is_done() {
        sealed.extend_from_slice(machine.pending());
        machine.advance(machine.pending().len());
        match rest {
            [] => machine.finish().unwrap(),
            _ => rest = &rest[machine.push(rest).unwrap()..],
        }
    }
    sealed
}

/// What a writer does that takes at most `output` bytes at a time.
fn drain(machine: &mut ParallelSealMachine, output: usize, sealed: &mut Vec<u8>) -> Result<(), SealError> {
    loop {
        now(machine.poll_ready(None))?;
        let n = machine.pending().len().min(output);
        if n == 0 {
            return Ok(());
        }
        sealed.extend_from_slice(&machine.pending()[..n]);
        machine.advance(n);
    }
}

/// Without a context nothing is ever pending.
fn now<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a machine without a context waits by itself"),
    }
}

/// Pushes or reads in pieces of `input` bytes, takes in pieces of `output` bytes, flushes every `flush`-th time.
fn sealed_by_several(
    machine: &mut ParallelSealMachine,
    plaintext: &[u8],
    (input, output, flush): (usize, usize, usize),
) -> Result<Vec<u8>, SealError> {
    let mut sealed = Vec::new();
    let mut rest = plaintext;
    let mut round = 0;
    while !rest.is_empty() {
        drain(machine, output, &mut sealed)?;
        round += 1;
        let n = if round % 3 == 0 {
            let mut n = 0;
            for space in machine.spaces()? {
                let now = space.len().min(input - n).min(rest.len() - n);
                space[..now].copy_from_slice(&rest[n..n + now]);
                n += now;
            }
            machine.filled(n)?;
            n
        } else {
            machine.push(&rest[..rest.len().min(input)])?
        };
        assert!(n > 0, "a machine without output must take input");
        rest = &rest[n..];
        if round % flush == 0 {
            machine.flush()?;
        }
    }
    machine.finish()?;
    drain(machine, output, &mut sealed)?;
    assert!(machine.is_done());
    assert_eq!(machine.plaintext_len(), plaintext.len() as u64);
    Ok(sealed)
}

/// What came out, and how it ended.
type Opened = (Vec<u8>, Result<(), OpenError>);

fn opened_by_one(sealed: &[u8]) -> Opened {
    let (cipher, mut machine) = (cipher(), OpenMachine::starting_at(0));
    let (mut rest, mut opened) = (sealed, Vec::new());
    loop {
        if let Err(error) = machine.open_all(&cipher) {
            return (opened, Err(error));
        }
        let pending = machine.all_pending().collect::<Vec<_>>().concat();
        machine.advance(pending.len());
        opened.extend(pending);
        if machine.is_done() {
            return (opened, Ok(()));
        }
        if machine.wants_input() {
            let space = machine.space();
            let n = space.len().min(rest.len());
            space[..n].copy_from_slice(&rest[..n]);
            machine.filled(n);
            rest = &rest[n..];
        }
    }
}

/// Reads in pieces of `input` bytes, takes in pieces of `output` bytes, has all delivered every `deliver`-th time.
fn opened_by_several(
    machine: &mut ParallelOpenMachine,
    sealed: &[u8],
    (input, output, deliver): (usize, usize, usize),
) -> Opened {
    let (mut rest, mut opened, mut round) = (sealed, Vec::new(), 0);
    let result = (|| {
        loop {
            let open = if input % 2 == 0 { OpenMachine::open_next } else { OpenMachine::open_all };
            now(machine.poll_open(open, None))?;
            let pending = if output % 2 == 0 {
                machine.pending().to_vec()
            } else {
                machine.all_pending().collect::<Vec<_>>().concat()
            };
            let n = pending.len().min(output);
            opened.extend_from_slice(&pending[..n]);
            machine.advance(n);
            if machine.is_done() {
                return Ok(());
            }
            if n == 0 && machine.wants_input() {
                let space = machine.space();
                assert!(!space.is_empty(), "a machine that wants input must have room for it");
                let n = space.len().min(input).min(rest.len());
                space[..n].copy_from_slice(&rest[..n]);
                machine.filled(n);
                rest = &rest[n..];
                round += 1;
                if round % deliver == 0 {
                    machine.deliver();
                }
            }
        }
    })();
    (opened, result)
}

fn opener(plan: Plan) -> ParallelOpenMachine {
    ParallelOpenMachine::new(cipher(), plan)
}

/// What an error says; there is no other way to compare two.
fn told(result: &Result<(), OpenError>) -> String {
    result.as_ref().map_or_else(ToString::to_string, |()| "whole".to_owned())
}

#[test]
fn every_size_around_jobs_gives_the_bytes_of_one_thread() {
    let job = 2 * CHUNK_LEN;
    let around = |n: usize| [n.saturating_sub(1), n, n + 1];
    let sizes = [0, 1, 2, 3, 4, 5, 9, 16].into_iter().flat_map(|jobs| around(jobs * job)).chain([CHUNK_LEN]);
    for size in sizes {
        let text = plaintext(size);
        let expected = sealed_by_one(b"head", &text);
        for threads in [1, 2, 3, 7] {
            for pieces in
                [(usize::MAX, usize::MAX, 99), (1000, 70_000, 7), (CHUNK_LEN, 16_400, 1), (50_001, 9, 99)]
            {
                if pieces.1 < 100 && size > 3 * job {
                    continue;
                }
                let what = format!("{size} bytes on {threads} threads in pieces of {pieces:?}");
                let sealed = sealed_by_several(&mut several(b"head", Plan::eager(threads)), &text, pieces);
                assert!(sealed.unwrap() == expected, "{what}");
                let (opened, result) =
                    opened_by_several(&mut opener(Plan::eager(threads)), &expected[4..], pieces);
                result.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(opened == text, "{what}");
            }
        }
    }
}

/// With jobs of the real size: begins on one thread, goes on with several, and ends anywhere.
#[test]
fn a_long_message_changes_hands_where_it_pays() {
    let plan = Plan { start_after: 8 << 20, ..Plan::new(2) };
    let pays = usize::try_from(plan.start_after).unwrap();
    for (size, starts) in [(pays - 1, false), (11_000_001, true)] {
        let text = plaintext(size);
        let expected = sealed_by_one(b"", &text);
        for pieces in [(usize::MAX, usize::MAX, usize::MAX), (100_000, 300_001, 50)] {
            let mut machine = several(b"", plan);
            assert!(sealed_by_several(&mut machine, &text, pieces).unwrap() == expected, "{size}");
            assert_eq!(machine.pool_for_test().is_some(), starts);
            let mut machine = opener(plan);
            let (opened, result) = opened_by_several(&mut machine, &expected, pieces);
            result.unwrap();
            assert!(opened == text, "{size}");
            assert_eq!(machine.plaintext_len(), size as u64);
            assert_eq!(machine.pool_for_test().is_some(), starts);
        }
    }
}

#[test]
fn one_thread_never_starts_another() {
    let text = plaintext(10 << 20);
    let mut machine = several(b"", Plan::new(1));
    let sealed = sealed_by_several(&mut machine, &text, (usize::MAX, usize::MAX, usize::MAX)).unwrap();
    assert!(machine.pool_for_test().is_none());
    let mut machine = opener(Plan::new(0));
    opened_by_several(&mut machine, &sealed, (usize::MAX, usize::MAX, usize::MAX)).1.unwrap();
    assert!(machine.pool_for_test().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn chopping_changes_nothing(
        size in 0..20 * CHUNK_LEN,
        input in 1..90_000_usize,
        output in 1..90_000_usize,
        often in 1..8_usize,
        threads in 1..5_usize,
        head in 0..600_usize,
    ) {
        let (text, head) = (plaintext(size), vec![0x11; head]);
        let expected = sealed_by_one(&head, &text);
        let pieces = (input.max(size / 50), output.max(size / 50), often);
        let sealed = sealed_by_several(&mut several(&head, Plan::eager(threads)), &text, pieces);
        prop_assert!(sealed.unwrap() == expected);
        let (opened, result) =
            opened_by_several(&mut opener(Plan::eager(threads)), &expected[head.len()..], pieces);
        prop_assert!(result.is_ok() && opened == text);
    }

    #[test]
    fn damage_is_told_as_by_one_thread_and_nothing_more_comes_out(
        size in 0..12 * CHUNK_LEN,
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        cut in any::<bool>(),
        grown in any::<bool>(),
        threads in 1..5_usize,
    ) {
        let mut sealed = sealed_by_one(b"", &plaintext(size));
        let at = at.index(sealed.len());
        if cut { sealed.truncate(at) } else { sealed[at] ^= 1 << bit }
        if grown { sealed.extend_from_slice(&[7; SEALED_CHUNK_LEN + 3]) }
        let (expected, verdict) = opened_by_one(&sealed);
        for pieces in [(usize::MAX, usize::MAX, 99), (5000, 5001, 2), (70_001, 20_000, 99)] {
            let mut machine = opener(Plan::eager(threads));
            let (opened, result) = opened_by_several(&mut machine, &sealed, pieces);
            prop_assert!(opened == expected, "{} bytes, not {}", opened.len(), expected.len());
            prop_assert_eq!(told(&result), told(&verdict));
            prop_assert!(result.is_ok() || !machine.wants_input());
            // The verdict stays.
            for _ in 0..2 {
                let again = now(machine.poll_open(OpenMachine::open_next, None));
                prop_assert_eq!(told(&again), told(&verdict));
                prop_assert!(machine.pending().is_empty());
            }
        }
    }
}

#[test]
fn a_panic_in_a_thread_ends_the_message_with_an_error() {
    let text = plaintext(3 * CHUNK_LEN);
    for threads in [2, 3] {
        for damaged in 0..6 {
            let mut machine = several(b"", Plan::eager(threads));
            let (mut sealed, mut rest, mut jobs) = (Vec::new(), [&text[..]; 6].concat(), 0);
            let error = loop {
                if let Err(error) = drain(&mut machine, usize::MAX, &mut sealed) {
                    break error;
                }
                if rest.is_empty() {
                    match machine.finish() {
                        Ok(()) => continue,
                        Err(error) => break error,
                    }
                }
                let n = machine.push(&rest[..rest.len().min(CHUNK_LEN)]).unwrap();
                rest.drain(..n);
                if jobs == damaged {
                    machine.plant_panic();
                }
                jobs += 1;
            };
            assert!(matches!(error, SealError::Io(_)), "{error:?}");
            assert!(error.to_string().contains("panicked"));
            assert!(machine.pending().is_empty());
            assert!(matches!(machine.push(b"more"), Err(SealError::Poisoned)));
            assert!(matches!(machine.finish(), Err(SealError::Poisoned)));
            assert!(sealed_by_one(b"", &[&text[..]; 6].concat()).starts_with(&sealed));
        }
    }
}

#[test]
fn a_panic_in_a_thread_ends_the_opening_with_an_error_that_stays() {
    let text = plaintext(16 * CHUNK_LEN + 5);
    let sealed = sealed_by_one(b"", &text);
    let mut machine = opener(Plan::eager(3));
    let n = 5 * SEALED_CHUNK_LEN;
    for piece in sealed[..n].chunks(SEALED_CHUNK_LEN) {
        machine.space()[..piece.len()].copy_from_slice(piece);
        machine.filled(piece.len());
    }
    machine.plant_panic();
    let (opened, result) = opened_by_several(&mut machine, &sealed[n..], (usize::MAX, usize::MAX, 99));
    assert!(opened == text[..4 * CHUNK_LEN], "what was in order before it, and nothing else");
    assert!(told(&result).contains("panicked"), "{result:?}");
    let again = now(machine.poll_open(OpenMachine::open_next, None)).unwrap_err();
    assert!(matches!(again, OpenError::Io(_)));
    assert!(machine.pending().is_empty() && !machine.wants_input() && !machine.is_done());
}

/// What the comparisons above would miss if they looked at lengths alone.
#[test]
fn planted_jobs_that_come_out_of_order_are_found() {
    let text = plaintext(200 * CHUNK_LEN);
    let expected = sealed_by_one(b"", &text);
    let found = (0..200).any(|_| {
        let mut machine = several(b"", Plan::eager(3));
        assert_eq!(machine.push(&[]).unwrap(), 0);
        machine.pool_for_test().unwrap().plant_disorder();
        let sealed = sealed_by_several(&mut machine, &text, (usize::MAX, usize::MAX, usize::MAX));
        sealed.unwrap() != expected
    });
    assert!(found, "no two of 20000 jobs ended in another order than they began");
}

#[test]
fn another_process_cannot_go_on() {
    let one = SealMachine::new(cipher(), Vec::new(), fork::generation().wrapping_add(1));
    let mut machine = ParallelSealMachine::new(one, cipher(), Plan::eager(2));
    assert!(matches!(machine.push(b"x"), Err(SealError::Forked)));
    assert!(matches!(machine.finish(), Err(SealError::Poisoned)), "and what there was is gone");
}

#[test]
fn aborting_and_finishing_are_final() {
    let mut machine = several(b"", Plan::eager(2));
    machine.push(&plaintext(100_000)).unwrap();
    machine.abort();
    assert!(machine.pending().is_empty() && machine.pool_for_test().is_none());
    assert!(matches!(machine.push(b"x"), Err(SealError::Poisoned)));
    assert!(matches!(machine.finish(), Err(SealError::Poisoned)));

    let mut machine = several(b"", Plan::eager(2));
    machine.push(b"abc").unwrap();
    machine.finish().unwrap();
    machine.finish().unwrap();
    assert!(matches!(machine.push(b"more"), Err(SealError::Usage(_))));
    assert!(matches!(machine.spaces().map(Iterator::count), Err(SealError::Usage(_))));
    let mut sealed = Vec::new();
    drain(&mut machine, 3, &mut sealed).unwrap();
    assert_eq!(sealed, sealed_by_one(b"", b"abc"));
}

#[test]
fn the_limits_are_the_formats() {
    use crate::limits::{MAX_CHUNKS, MAX_PLAINTEXT_LEN};
    let mut machine = several(b"", Plan::eager(2));
    machine.push(b"x").unwrap();
    machine.set_plaintext_len_for_test(MAX_PLAINTEXT_LEN - 3);
    assert_eq!(machine.push(b"abc").unwrap(), 3);
    assert!(matches!(machine.push(b"d"), Err(SealError::LimitExceeded { limit: MAX_PLAINTEXT_LEN, .. })));
    assert!(matches!(machine.finish(), Err(SealError::Poisoned)));

    let mut machine = opener(Plan::eager(2));
    machine.set_index_for_test(MAX_CHUNKS);
    let (opened, result) =
        opened_by_several(&mut machine, &[0; 5 * SEALED_CHUNK_LEN], (usize::MAX, usize::MAX, 99));
    assert!(opened.is_empty());
    assert_eq!(result.unwrap_err().category(), Category::LimitExceeded);
}
