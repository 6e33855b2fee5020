//! The machines against ten-line models, under every way of chopping input and output.

use proptest::prelude::*;

use super::{GROUP_CHUNKS, GROUP_LEN, chunk::ChunkCipher, open::OpenMachine, seal::SealMachine};
use crate::{
    error::{Category, OpenError, SealError},
    fork,
    format::{body::body_len, schedule::BodyKeys},
    limits::{BODY_START_LEN, CHUNK_LEN, MAX_CHUNKS, MAX_PLAINTEXT_LEN, SEALED_CHUNK_LEN, TAG_LEN},
    secret::Secret,
};

fn cipher() -> ChunkCipher {
    ChunkCipher::new(&BodyKeys { key: Secret::copy_from(&[7; 32]), base_nonce: [9; 12], commitment: [0; 32] })
}

fn machine(head: &[u8]) -> SealMachine {
    SealMachine::new(cipher(), head.to_vec(), fork::generation())
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i / 251 + i) % 251).unwrap()).collect()
}

/// The model: chunk after chunk, the last one short.
fn sealed_by_model(plaintext: &[u8]) -> Vec<u8> {
    let cipher = cipher();
    let mut sealed = Vec::new();
    for index in 0..=plaintext.len() / CHUNK_LEN {
        let chunk = &plaintext[index * CHUNK_LEN..plaintext.len().min((index + 1) * CHUNK_LEN)];
        let mut out = vec![0; chunk.len() + TAG_LEN];
        cipher.seal_to(index as u64, chunk, &mut out);
        sealed.extend(out);
    }
    sealed
}

/// Pushes in pieces of `input` bytes, takes in pieces of `output` bytes, flushes every `flush`-th time.
fn sealed_by_machine(head: &[u8], plaintext: &[u8], input: usize, output: usize, flush: usize) -> Vec<u8> {
    let mut machine = machine(head);
    let mut sealed = Vec::new();
    let mut rest = plaintext;
    let mut round = 0;
    while !machine.is_done() {
        while !machine.pending().is_empty() {
            assert_eq!(machine.push(b"not now").unwrap_or(0), 0, "input before output was drained");
            let n = machine.pending().len().min(output);
            sealed.extend_from_slice(&machine.pending()[..n]);
            machine.advance(n);
        }
        if !rest.is_empty() {
            let n = machine.push(&rest[..rest.len().min(input)]).unwrap();
            assert!(n > 0, "a machine without output must take input");
            rest = &rest[n..];
            round += 1;
            if round % flush == 0 {
                machine.flush();
            }
        } else if !machine.is_done() {
            machine.finish().unwrap();
        }
    }
    assert_eq!(machine.plaintext_len(), plaintext.len() as u64);
    sealed
}

fn opened_by_machine(
    sealed: &[u8],
    input: usize,
    output: usize,
    direct: bool,
) -> Result<Vec<u8>, (Vec<u8>, OpenError)> {
    let cipher = cipher();
    let mut machine = OpenMachine::starting_at(0);
    let mut plaintext = Vec::new();
    let mut rest = sealed;
    let mut out = vec![0; if direct { 3 * CHUNK_LEN + 5 } else { 0 }];
    loop {
        match machine.open_into(&cipher, &mut out) {
            Ok(n) => plaintext.extend_from_slice(&out[..n]),
            Err(error) => return Err((plaintext, error)),
        }
        // By one chunk, or by all that there are and across their borders.
        let opened = if input % 2 == 0 { machine.open_next(&cipher) } else { machine.open_all(&cipher) };
        if let Err(error) = opened {
            return Err((plaintext, error));
        }
        let pending = if output % 2 == 0 {
            machine.pending().to_vec()
        } else {
            machine.all_pending().collect::<Vec<_>>().concat()
        };
        let n = pending.len().min(output);
        plaintext.extend_from_slice(&pending[..n]);
        machine.advance(n);
        if machine.is_done() {
            return Ok(plaintext);
        }
        if machine.wants_input() {
            let space = machine.space();
            assert!(!space.is_empty(), "a machine that wants input must have room for it");
            let n = space.len().min(input).min(rest.len());
            space[..n].copy_from_slice(&rest[..n]);
            machine.filled(n);
            rest = &rest[n..];
        }
    }
}

#[test]
fn every_size_around_chunks_and_groups_is_what_the_model_says() {
    let group = GROUP_CHUNKS * CHUNK_LEN;
    let around = |n: usize| [n.saturating_sub(1), n, n + 1];
    let sizes =
        [0, CHUNK_LEN, 2 * CHUNK_LEN, group, group + CHUNK_LEN, 2 * group].into_iter().flat_map(around);
    for size in sizes {
        let text = plaintext(size);
        let model = sealed_by_model(&text);
        assert_eq!(model.len() as u64 + BODY_START_LEN as u64, body_len(size as u64));
        for (input, output, flush) in [(usize::MAX, usize::MAX, 9), (1000, 70_000, 3), (CHUNK_LEN, 16_400, 1)]
        {
            let sealed = sealed_by_machine(b"head", &text, input, output, flush);
            assert_eq!(&sealed[..4], b"head");
            assert!(sealed[4..] == model, "size {size}, pieces of {input} and {output}");
            assert!(opened_by_machine(&model, input, output, input % 2 == 0).unwrap() == text, "size {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn chopping_changes_nothing(
        size in 0..3 * CHUNK_LEN + 40,
        input in 1..40_000_usize,
        output in 1..40_000_usize,
        flush in 1..8_usize,
        head in 0..600_usize,
    ) {
        let text = plaintext(size);
        let head = vec![0x11; head];
        let sealed = sealed_by_machine(&head, &text, input, output, flush);
        prop_assert!(sealed[head.len()..] == sealed_by_model(&text));
        prop_assert!(opened_by_machine(&sealed[head.len()..], output, input, size % 2 == 0).unwrap() == text);
    }

    #[test]
    fn a_damaged_body_gives_a_true_prefix_and_an_error(
        size in 0..3 * CHUNK_LEN,
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        cut in any::<bool>(),
    ) {
        let text = plaintext(size);
        let mut sealed = sealed_by_model(&text);
        let at = at.index(sealed.len());
        if cut { sealed.truncate(at) } else { sealed[at] ^= 1 << bit }
        // In pieces within a chunk, and so that several chunks are opened at once.
        let (input, output) = [(5000, 5000), (70_001, 20_001)][at / 2 % 2];
        let (prefix, error) = opened_by_machine(&sealed, input, output, at % 2 == 0).unwrap_err();
        prop_assert!(text.starts_with(&prefix));
        prop_assert_eq!(prefix.len() % CHUNK_LEN, 0, "nothing of a chunk leaves before it is verified");
        prop_assert!(matches!(error.category(), Category::Truncated | Category::Tampered));
    }
}

#[test]
fn space_and_push_can_be_mixed() {
    let text = plaintext(GROUP_LEN + 100);
    let mut machine = machine(b"");
    let (mut rest, mut sealed) = (text.as_slice(), Vec::new());
    while !rest.is_empty() {
        sealed.extend_from_slice(machine.pending());
        machine.advance(machine.pending().len());
        let n = machine.push(&rest[..rest.len().min(777)]).unwrap();
        rest = &rest[n..];
        let mut n = 0;
        for space in machine.spaces().unwrap() {
            // Never more than a chunk and a bit, so that chunks end within a call and between two.
            let now = space.len().min(rest.len()).min(CHUNK_LEN + 1001 - n);
            space[..now].copy_from_slice(&rest[..now]);
            (n, rest) = (n + now, &rest[now..]);
        }
        machine.filled(n).unwrap();
    }
    machine.finish().unwrap();
    while !machine.is_done() {
        sealed.extend_from_slice(machine.pending());
        machine.advance(machine.pending().len());
    }
    assert!(sealed == sealed_by_model(&text));
}

#[test]
fn finishing_ends_it_once() {
    let mut machine = machine(b"");
    machine.push(b"abc").unwrap();
    machine.finish().unwrap();
    machine.finish().unwrap();
    let pending = machine.pending().to_vec();
    assert_eq!(pending, sealed_by_model(b"abc"));
    assert!(matches!(machine.push(b"more"), Err(SealError::Usage(_))));
    assert!(matches!(machine.spaces().map(Iterator::count), Err(SealError::Usage(_))));
    machine.advance(pending.len());
    machine.finish().unwrap();
    assert!(machine.is_done() && machine.pending().is_empty());
}

#[test]
fn an_aborted_machine_stays_aborted() {
    let mut machine = machine(b"head");
    machine.push(b"").unwrap();
    machine.abort();
    assert!(machine.pending().is_empty());
    assert!(matches!(machine.push(b"x"), Err(SealError::Poisoned)));
    assert!(matches!(machine.finish(), Err(SealError::Poisoned)));
}

#[test]
fn another_process_cannot_go_on() {
    let mut machine = SealMachine::new(cipher(), Vec::new(), fork::generation().wrapping_add(1));
    assert!(matches!(machine.push(b"x"), Err(SealError::Forked)));
    assert!(matches!(machine.finish(), Err(SealError::Poisoned)), "and what there was is gone");
}

#[test]
fn the_longest_plaintext_is_the_formats() {
    let mut machine = machine(b"");
    machine.set_plaintext_len_for_test(MAX_PLAINTEXT_LEN - 3);
    assert_eq!(machine.push(b"abc").unwrap(), 3);
    assert!(matches!(machine.push(b"d"), Err(SealError::LimitExceeded { limit: MAX_PLAINTEXT_LEN, .. })));
    assert!(matches!(machine.finish(), Err(SealError::Poisoned)));

    let mut machine = OpenMachine::starting_at(MAX_CHUNKS);
    machine.space()[..TAG_LEN].fill(0);
    machine.filled(TAG_LEN);
    machine.filled(0);
    assert_eq!(machine.open_next(&cipher()).unwrap_err().category(), Category::LimitExceeded);
}

#[test]
fn failures_are_final_and_leave_no_plaintext() {
    let text = plaintext(CHUNK_LEN * 2);
    let mut sealed = sealed_by_model(&text);
    sealed[SEALED_CHUNK_LEN + 1] ^= 1;
    let cipher = cipher();
    let mut machine = OpenMachine::starting_at(0);
    machine.space()[..SEALED_CHUNK_LEN].copy_from_slice(&sealed[..SEALED_CHUNK_LEN]);
    machine.filled(SEALED_CHUNK_LEN);
    machine.open_next(&cipher).unwrap();
    assert!(machine.pending() == &text[..CHUNK_LEN]);
    machine.advance(CHUNK_LEN);
    let rest = &sealed[SEALED_CHUNK_LEN..];
    machine.space()[..rest.len()].copy_from_slice(rest);
    machine.filled(rest.len());
    for _ in 0..3 {
        assert!(matches!(machine.open_next(&cipher), Err(OpenError::Tampered(_))));
        assert!(matches!(machine.open_into(&cipher, &mut [0; CHUNK_LEN]), Err(OpenError::Tampered(_))));
        assert!(machine.pending().is_empty() && machine.space().is_empty() && !machine.wants_input());
    }
    assert!(machine.buffer_for_test().iter().all(|&byte| byte == 0));
}

#[test]
fn what_was_opened_before_a_failure_is_given_out_and_wiped() {
    let text = plaintext(CHUNK_LEN * 5);
    let mut sealed = sealed_by_model(&text);
    sealed[SEALED_CHUNK_LEN * 3 + 1] ^= 1;
    let cipher = cipher();
    let mut machine = OpenMachine::starting_at(0);
    let mut opened = Vec::new();
    let mut rest = sealed.as_slice();
    while opened.len() < CHUNK_LEN * 3 {
        let space = machine.space();
        let n = space.len().min(rest.len());
        space[..n].copy_from_slice(&rest[..n]);
        machine.filled(n);
        rest = &rest[n..];
        machine.open_all(&cipher).unwrap();
        let pending = machine.all_pending().collect::<Vec<_>>().concat();
        opened.extend_from_slice(&pending);
        // The failure is known by now, and what is good stays until it is taken.
        machine.advance(100);
        machine.open_all(&cipher).unwrap();
        assert!(machine.all_pending().collect::<Vec<_>>().concat() == pending[100..]);
        machine.advance(pending.len() - 100);
    }
    assert!(opened == text[..CHUNK_LEN * 3]);
    assert!(matches!(machine.open_all(&cipher), Err(OpenError::Tampered(_))));
    assert!(machine.buffer_for_test().iter().all(|&byte| byte == 0));
}

#[test]
fn what_a_reader_left_behind_uncounted_is_wiped() {
    let mut machine = machine(b"");
    let space = machine.spaces().unwrap().next().unwrap();
    space[..1000].fill(0xaa);
    machine.filled(10).unwrap();
    assert!(machine.buffer_for_test().iter().filter(|&&byte| byte == 0xaa).count() == 1000);
    machine.abort();
    assert!(machine.buffer_for_test().iter().all(|&byte| byte == 0));
}
