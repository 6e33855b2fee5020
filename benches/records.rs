//! Records: sealing and opening fields and rows with a key that is loaded, one by one, in batches, on two threads.

mod support;

use std::{cell::RefCell, hint::black_box, thread};

use kuvert::{
    Cell, EncryptionContext, Kuvert, RecordKey, RecordOptions, blocking::block_on, provider::MemoryProvider,
};
use support::{
    Bench, Line,
    bare::{self, BareKey},
    data,
};

fn main() {
    let mut bench = Bench::from_args();
    let setting = Setting::new();
    sealing(&mut bench, &setting);
    sealing_from_a_pool(&mut bench, &setting);
    opening(&mut bench, &setting);
    many(&mut bench, &setting);
    two_threads(&mut bench, &setting);
    bench.finish();
}

/// Into a buffer that is there, against the bare AEAD with a nonce from the operating system: without associated data,
/// which is less than a record does, and with as much as a record has.
fn sealing(bench: &mut Bench, setting: &Setting) {
    let lines = [
        (64, "record-seal-64b", "record-seal-64b-aad"),
        (1 << 10, "record-seal-1kib", "record-seal-1kib-aad"),
        (16 << 10, "record-seal-16kib", "record-seal-16kib-aad"),
    ];
    for (len, line, line_with_aad) in lines {
        let plaintext = data(len);
        let (mut sealed, mut record) = (vec![0; len + 16], Vec::new());
        for (line, aad) in [(line, &[][..]), (line_with_aad, &AAD)] {
            bench.compare(
                Line::cpu(line, len),
                || setting.bare.seal_to(&system_nonce(), aad, &plaintext, &mut sealed),
                || setting.key.seal_into(&plaintext, &cell(), &mut record).expect("within the limit"),
            );
        }
    }
}

/// With nonces from a pool of the thread, against the same by the simplest means.
fn sealing_from_a_pool(bench: &mut Bench, setting: &Setting) {
    let plaintext = data(1 << 10);
    let (mut sealed, mut record) = (vec![0; plaintext.len() + 16], Vec::new());
    let pooled = RecordOptions::default().with_snapshot_unsafe_nonce_pool(true);
    let key = setting.key.clone().with_options(pooled);
    for (line, aad) in [("record-seal-pooled-1kib", &[][..]), ("record-seal-pooled-1kib-aad", &AAD)] {
        bench.compare(
            Line::cpu(line, plaintext.len()),
            || setting.bare.seal_to(&pooled_nonce(), aad, &plaintext, &mut sealed),
            || key.seal_into(&plaintext, &cell(), &mut record).expect("within the limit"),
        );
    }
}

/// Into a buffer that is there: records of one batch, whose subkey is kept, and records that all need another one.
fn opening(bench: &mut Bench, setting: &Setting) {
    let lines = [
        (64, &[][..], "record-open-64b", "record-open-new-64b"),
        (64, &AAD, "record-open-64b-aad", "record-open-new-64b-aad"),
        (1 << 10, &[], "record-open-1kib", "record-open-new-1kib"),
        (1 << 10, &AAD, "record-open-1kib-aad", "record-open-new-1kib-aad"),
    ];
    for (len, aad, kept, fresh) in lines {
        let plaintext = data(len);
        let (mut opened, mut out) = (vec![0; len], Vec::new());
        let mut sealed = vec![0; len + 16];
        setting.bare.seal_to(&bare::nonce(7), aad, &plaintext, &mut sealed);
        let record = setting.key.seal(&plaintext, &cell()).expect("within the limit");
        bench.compare(
            Line::cpu(kept, len),
            || setting.bare.open_to(&bare::nonce(7), aad, &sealed, &mut opened),
            || setting.key.open_into(&record, &cell(), &mut out).expect("nobody changed it"),
        );
        // Every load of the key seals with a subkey of its own.
        let records: Vec<_> = (0..64).map(|_| setting.load().seal(&plaintext, &cell())).collect();
        let mut records = records.iter().flatten().cycle();
        bench.compare(
            Line::cpu(fresh, len),
            || setting.bare.open_to(&bare::nonce(7), aad, &sealed, &mut opened),
            || {
                let record = records.next().expect("round and round");
                setting.key.open_into(record, &cell(), &mut out).expect("nobody changed it");
            },
        );
    }
}

/// A hundred at once, against a hundred bare ones with nonces from one draw: as vectors, and in one buffer.
fn many(bench: &mut Bench, setting: &Setting) {
    let plaintext = data(1 << 10);
    let hundred = || (0..100).map(|_| (&plaintext, cell()));
    bench.compare(
        Line::cpu("record-many-1kib", 100 << 10),
        || {
            let sealed = nonces().map(|nonce| {
                let mut sealed = vec![0; plaintext.len() + 16];
                setting.bare.seal_to(&nonce, &[], &plaintext, &mut sealed);
                sealed
            });
            black_box(sealed);
        },
        || assert_eq!(setting.key.seal_many(hundred()).expect("within the limit").len(), 100),
    );
    let mut sealed = vec![0; (plaintext.len() + 16) * 100];
    let (mut buffer, mut ends) = (Vec::new(), Vec::new());
    bench.compare(
        Line::cpu("record-many-into-1kib", 100 << 10),
        || {
            for (nonce, sealed) in nonces().iter().zip(sealed.chunks_mut(plaintext.len() + 16)) {
                setting.bare.seal_to(nonce, &[], &plaintext, sealed);
            }
        },
        || {
            buffer.clear();
            ends.clear();
            setting.key.seal_many_into(hundred(), &mut buffer, &mut ends).expect("within the limit");
        },
    );
}

fn nonces() -> [[u8; 12]; 100] {
    let mut nonces = [[0; 12]; 100];
    getrandom::fill(nonces.as_flattened_mut()).expect("there is a source");
    nonces
}

/// The same number of records on each of two threads, against one thread alone with that number: 1.0 is twice the speed.
fn two_threads(bench: &mut Bench, setting: &Setting) {
    let plaintext = data(1 << 10);
    let record = setting.key.seal(&plaintext, &cell()).expect("within the limit");
    let pooled = RecordOptions::default().with_snapshot_unsafe_nonce_pool(true);
    let pooled = setting.key.clone().with_options(pooled);
    let seal = |key: &RecordKey| {
        let mut record = Vec::new();
        for _ in 0..RECORDS_A_THREAD {
            key.seal_into(&plaintext, &cell(), &mut record).expect("within the limit");
        }
    };
    let open = || {
        let mut plaintext = Vec::new();
        for _ in 0..RECORDS_A_THREAD {
            setting.key.open_into(&record, &cell(), &mut plaintext).expect("nobody changed it");
        }
    };
    let bytes = RECORDS_A_THREAD << 10;
    let system = || seal(&setting.key);
    bench.compare(
        Line::wall("record-seal-threads", bytes),
        || on_threads(1, system),
        || on_threads(2, system),
    );
    let pool = || seal(&pooled);
    bench.compare(Line::wall("record-pooled-threads", bytes), || on_threads(1, pool), || on_threads(2, pool));
    bench.compare(Line::wall("record-open-threads", bytes), || on_threads(1, open), || on_threads(2, open));
}

fn on_threads(count: usize, work: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(&work);
        }
    });
}

fn cell() -> Cell<'static> {
    Cell::new("customers", "email", 42)
}

fn system_nonce() -> [u8; 12] {
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).expect("there is a source");
    nonce
}

/// From 4 KiB of the system's bytes that this thread keeps until they are used up, and does not wipe.
fn pooled_nonce() -> [u8; 12] {
    thread_local! {
        static POOL: RefCell<(Vec<u8>, usize)> = RefCell::new((vec![0; 4096], 0));
    }
    POOL.with_borrow_mut(|(pool, left)| {
        if *left < 12 {
            getrandom::fill(pool).expect("there is a source");
            *left = pool.len();
        }
        *left -= 12;
        *pool[*left..].first_chunk().expect("12 are left")
    })
}

/// One crate, one record key and its envelope, one bare key.
struct Setting {
    kuvert: Kuvert,
    context: EncryptionContext,
    envelope: Vec<u8>,
    key: RecordKey,
    bare: BareKey,
}

impl Setting {
    fn new() -> Self {
        let kuvert = Kuvert::new(MemoryProvider::generate("bench").expect("a key"));
        let context = EncryptionContext::new([("table", "customers")]).expect("a short context");
        let made = block_on(kuvert.new_record_key(&context)).expect("not nested");
        let (key, envelope) = made.expect("the key is in memory");
        Self { kuvert, context, envelope, key, bare: BareKey::new(&[7; 32]) }
    }

    fn load(&self) -> RecordKey {
        let loaded = block_on(self.kuvert.load_record_key(&self.envelope, &self.context));
        loaded.expect("not nested").expect("the key is in memory")
    }
}

/// As long as the associated data of a record of [`cell`].
const AAD: [u8; 62] = [0x55; 62];
/// So many that starting threads does not show.
const RECORDS_A_THREAD: usize = 20_000;
