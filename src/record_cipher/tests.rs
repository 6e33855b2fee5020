//! Which nonces and subkeys records are sealed with, at which count, at which time and in which process.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Mutex,
    thread,
};

use super::{nonces::Moment, *};
use crate::{
    format::record::{HalfNonce, Nonce, decode},
    limits::RECORD_OVERHEAD,
};

/// The system's bytes at a time and in a process of the test's choice.
struct At(Moment);

impl At {
    fn millis(millis: u64) -> Self {
        Self(Moment { millis, generation: 1 })
    }
}

impl Random for At {
    fn half(&mut self, now: Moment) -> io::Result<HalfNonce> {
        System.half(now)
    }

    fn now(&self) -> Moment {
        self.0
    }
}

fn cipher() -> RecordCipher {
    RecordCipher::new(&Secret::copy_from(&[7; 32]), 0x1234)
}

fn seal_with(cipher: &RecordCipher, random: &mut impl Random, plaintext: &[u8]) -> io::Result<Vec<u8>> {
    let mut record = vec![0; plaintext.len() + RECORD_OVERHEAD];
    match cipher.with_sealer(random, |sealer| sealer.seal(plaintext, &[b"t", b"c"], &mut record)) {
        Ok(()) => Ok(record),
        Err(RecordError::Random(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn open(cipher: &RecordCipher, record: &[u8]) -> Result<Vec<u8>, RecordError> {
    let frame = decode(record, 1 << 20)?;
    let mut plaintext = vec![0; record.len() - RECORD_OVERHEAD];
    cipher.open(&frame, &[b"t", b"c"], &mut plaintext)?;
    Ok(plaintext)
}

fn nonce(record: &[u8]) -> Nonce {
    decode(record, 1 << 20).unwrap().nonce
}

fn first_half(record: &[u8]) -> HalfNonce {
    nonce(record).first_half
}

/// What went wrong with the nonces of a set of records, if anything did.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Repeated,
    TooManyUnderOneSubkey,
}

/// The detector: no nonce twice, and no first half on more than 2^12 records.
fn fault(nonces: impl IntoIterator<Item = Nonce>) -> Option<Fault> {
    let mut seen = HashSet::new();
    let mut per_subkey = HashMap::<HalfNonce, u32>::new();
    for nonce in nonces {
        if !seen.insert(nonce) {
            return Some(Fault::Repeated);
        }
        let count = per_subkey.entry(nonce.first_half).or_default();
        *count += 1;
        if *count > 4096 {
            return Some(Fault::TooManyUnderOneSubkey);
        }
    }
    None
}

#[test]
fn a_million_records_from_two_threads_have_a_million_nonces() {
    let cipher = cipher();
    let nonces = Mutex::new(Vec::with_capacity(1 << 20));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut mine = Vec::with_capacity(1 << 19);
                for _ in 0..1 << 19 {
                    mine.push(nonce(&seal_with(&cipher, &mut ThreadPool, b"").unwrap()));
                }
                nonces.lock().unwrap().extend(mine);
            });
        }
    });
    let nonces = nonces.into_inner().unwrap();
    assert_eq!(nonces.len(), 1 << 20);
    assert_eq!(cipher.records_sealed(), 1 << 20);
    assert_eq!(fault(nonces), None);
}

#[test]
fn more_threads_than_places_share_nothing_either() {
    let cipher = cipher();
    let nonces = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for i in 0..200 {
                    // Every other thread by batches, which hold their place longer.
                    let record = match i % 2 {
                        0 => seal_with(&cipher, &mut System, b"text").unwrap(),
                        _ => seal_with(&cipher, &mut Batch::draw(1).unwrap(), b"text").unwrap(),
                    };
                    assert_eq!(open(&cipher, &record).unwrap(), b"text");
                    nonces.lock().unwrap().push(nonce(&record));
                }
            });
        }
    });
    assert_eq!(cipher.records_sealed(), 64 * 200);
    assert_eq!(fault(nonces.into_inner().unwrap()), None);
}

/// Sources with a fault planted in them: a generator that comes round again, and one that a copy took along.
#[test]
fn the_detector_finds_repeated_nonces_and_overused_subkeys() {
    struct ComesRound(u8);
    impl Random for ComesRound {
        fn half(&mut self, _: Moment) -> io::Result<HalfNonce> {
            self.0 = (self.0 + 1) % 100;
            Ok(HalfNonce::from_bytes([self.0; 12]))
        }
    }
    let cipher = cipher();
    let mut broken = ComesRound(0);
    let nonces = (0..200).map(|_| nonce(&seal_with(&cipher, &mut broken, b"").unwrap()));
    assert_eq!(fault(nonces), Some(Fault::Repeated));

    // Two ciphers of one key, as in a forked child that kept its parent's numbers.
    let (parent, child) = (self::cipher(), self::cipher());
    let (mut first, mut second) = (ComesRound(0), ComesRound(0));
    let nonces = [
        nonce(&seal_with(&parent, &mut first, b"").unwrap()),
        nonce(&seal_with(&child, &mut second, b"").unwrap()),
    ];
    assert_eq!(fault(nonces), Some(Fault::Repeated));

    let overused = (0..4097_u32).map(|i| {
        let mut second_half = [0; 12];
        second_half[8..].copy_from_slice(&i.to_be_bytes());
        Nonce { first_half: HalfNonce::default(), second_half: HalfNonce::from_bytes(second_half) }
    });
    assert_eq!(fault(overused), Some(Fault::TooManyUnderOneSubkey));
}

#[test]
fn a_subkey_seals_4096_records_and_not_one_more() {
    let cipher = cipher();
    let halves: Vec<_> =
        (0..3 * 4096).map(|_| first_half(&seal_with(&cipher, &mut At::millis(0), b"").unwrap())).collect();
    for (index, of_one_subkey) in halves.chunks(4096).enumerate() {
        assert!(of_one_subkey.iter().all(|half| *half == of_one_subkey[0]), "{index}");
    }
    assert!(halves[0] != halves[4096] && halves[4096] != halves[8192]);
}

#[test]
fn a_subkey_serves_a_minute_and_not_longer() {
    let cipher = cipher();
    let at = |millis| first_half(&seal_with(&cipher, &mut At::millis(millis), b"").unwrap());
    let start = at(1_000_000);
    assert_eq!(start, at(1_000_000));
    assert_eq!(start, at(1_059_979));
    // The coarse clock may be ten milliseconds behind at either end: at 60 000 by it, it could be more.
    let next = at(1_059_980);
    assert_ne!(start, next);
    // Counted from when it was made, not from when it was last used.
    assert_eq!(next, at(1_100_000));
    assert_ne!(next, at(1_119_970));
}

#[test]
fn a_subkey_stays_in_its_process() {
    let cipher = cipher();
    let within = |generation| {
        let record = seal_with(&cipher, &mut At(Moment { millis: 5, generation }), b"").unwrap();
        first_half(&record)
    };
    let (parent, child, again) = (within(1), within(2), within(2));
    assert_ne!(parent, child);
    assert_eq!(child, again);
    assert_ne!(within(1), parent, "what was given up never comes back");
}

#[test]
fn without_random_bytes_nothing_is_sealed_and_nothing_is_lost() {
    struct Fails(u32);
    impl Random for Fails {
        fn half(&mut self, now: Moment) -> io::Result<HalfNonce> {
            self.0 += 1;
            // The first record takes two halves.
            if self.0 == 3 { Err(io::ErrorKind::Other.into()) } else { System.half(now) }
        }
    }
    let cipher = cipher();
    let mut source = Fails(0);
    let before = seal_with(&cipher, &mut source, b"").unwrap();
    assert!(seal_with(&cipher, &mut source, b"").is_err());
    let after = seal_with(&cipher, &mut source, b"").unwrap();
    assert_eq!(first_half(&before), first_half(&after));
    assert_eq!(fault([nonce(&before), nonce(&after)]), None);
    assert_eq!(cipher.records_sealed(), 2);
}

#[test]
fn an_opener_keeps_the_subkeys_it_met_last() {
    let sealed: Vec<Vec<u8>> = (0..20).map(|_| seal_with(&cipher(), &mut System, b"text").unwrap()).collect();
    let opener = cipher();
    let derived = |record: &[u8]| {
        let before = opener.opening.total();
        assert_eq!(open(&opener, record).unwrap(), b"text");
        opener.opening.total() - before
    };
    assert_eq!(derived(&sealed[0]), 1);
    assert_eq!(derived(&sealed[0]), 0);
    for record in &sealed[1..8] {
        assert_eq!(derived(record), 1);
    }
    assert_eq!(sealed[..8].iter().map(|record| derived(record)).sum::<u64>(), 0, "eight are kept");
    assert_eq!(derived(&sealed[0]), 0);
    assert_eq!(derived(&sealed[8]), 1);
    assert_eq!(derived(&sealed[0]), 0, "used lately");
    assert_eq!(derived(&sealed[1]), 1, "used longest ago, and displaced by the ninth");
}

#[test]
fn forged_records_displace_nothing() {
    let opener = cipher();
    let good = seal_with(&cipher(), &mut System, b"text").unwrap();
    open(&opener, &good).unwrap();
    for i in 0..100 {
        let mut forged = good.clone();
        forged[9 + i % 12] ^= 1 + u8::try_from(i).unwrap();
        assert!(matches!(open(&opener, &forged), Err(RecordError::Tampered)));
    }
    let before = opener.opening.total();
    open(&opener, &good).unwrap();
    assert_eq!(opener.opening.total(), before);
}

#[test]
fn an_opener_keeps_nothing_across_a_fork() {
    let opener = cipher();
    let record = seal_with(&cipher(), &mut System, b"text").unwrap();
    let frame = decode(&record, 100).unwrap();
    let mut aad = RecordAad::empty();
    aad.write(0x1234, &[b"t", b"c"]).unwrap();
    let mut derived = Vec::new();
    for generation in [1, 1, 2, 2, 1] {
        opener.opening.with(|opening, tally| {
            let mut plaintext = [0; 4];
            opening.open(&opener.key, generation, &frame, aad.as_bytes(), &mut plaintext, tally).unwrap();
            assert_eq!(&plaintext, b"text");
        });
        derived.push(opener.opening.total());
    }
    assert_eq!(derived, [1, 1, 2, 2, 3]);
}

#[test]
fn another_reference_is_refused_before_the_key() {
    let mut record = seal_with(&cipher(), &mut System, b"text").unwrap();
    record[8] ^= 1;
    let opener = cipher();
    let refused = open(&opener, &record);
    assert!(matches!(refused, Err(RecordError::KeyUnavailable { reference: 0x1235 })));
    assert_eq!(opener.opening.total(), 0);
}
