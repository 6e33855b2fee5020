//! Two threads against one, over the same bytes: slices, streams, files; from what is too short to what is long.
//!
//! The bare side of each line is this crate on one thread. Measured by the time that passes: the machine has to be quiet.

mod support;

use std::{cell::RefCell, fs, num::NonZeroUsize};

use kuvert::{
    EncryptionContext, MessageStart, OpenOptions, SealOptions, Threads, blocking::Kuvert,
    provider::MemoryProvider,
};
use support::{Bench, Line, Sink, data, fast_directory};

fn main() {
    let mut bench = Bench::from_args();
    let [one, two] = [Threads::ONE, Threads::exactly(NonZeroUsize::new(2).expect("two"))].map(Setting::new);
    for (len, seal, open, write, read) in [
        (64 << 10, "two-seal-64kib", "two-open-64kib", "two-write-64kib", "two-read-64kib"),
        (1 << 20, "two-seal-1mib", "two-open-1mib", "two-write-1mib", "two-read-1mib"),
        (9 << 20, "two-seal-9mib", "two-open-9mib", "two-write-9mib", "two-read-9mib"),
        (64 << 20, "two-seal-64mib", "two-open-64mib", "two-write-64mib", "two-read-64mib"),
        // Just behind where a stream starts its second thread, which is where that can only cost.
        (66 << 20, "two-seal-66mib", "two-open-66mib", "two-write-66mib", "two-read-66mib"),
        (256 << 20, "two-seal-256mib", "two-open-256mib", "two-write-256mib", "two-read-256mib"),
    ] {
        let plaintext = RefCell::new(data(len));
        let message = RefCell::new(one.message_of(&plaintext.borrow()));
        let opening = |setting: &Setting| setting.open_slice(&message.borrow(), &mut plaintext.borrow_mut());
        bench.compare(Line::wall(open, len), || opening(&one), || opening(&two));
        let reading = |setting: &Setting| setting.read(&message.borrow());
        bench.compare(Line::wall(read, len), || reading(&one), || reading(&two));
        let writing = |setting: &Setting| setting.write(&plaintext.borrow());
        bench.compare(Line::wall(write, len), || writing(&one), || writing(&two));
        let sealing = |setting: &Setting| setting.seal_slice(&plaintext.borrow(), &mut message.borrow_mut());
        bench.compare(Line::wall(seal, len), || sealing(&one), || sealing(&two));
    }
    file_to_file(&mut bench, &one, &two);
    bench.finish();
}

fn file_to_file(bench: &mut Bench, one: &Setting, two: &Setting) {
    let directory = tempfile::tempdir_in(fast_directory()).expect("a directory of our own");
    let [plain, sealed, opened] = ["plain", "sealed", "opened"].map(|name| directory.path().join(name));
    fs::write(&plain, data(LARGE)).expect("room for it");
    let seal = |setting: &Setting| {
        setting.kuvert.seal_file(&plain, &sealed, &setting.context).map(drop).expect("the files are ours");
    };
    let open = |setting: &Setting| {
        setting.kuvert.open_file(&sealed, &opened, &setting.context).map(drop).expect("the files are ours");
    };
    bench.compare(Line::wall("two-file-seal", LARGE), || seal(one), || seal(two));
    // Both seal under a key of their own.
    bench.compare(
        Line::wall("two-file-seal-open", LARGE),
        || {
            seal(one);
            open(one);
        },
        || {
            seal(two);
            open(two);
        },
    );
}

/// The crate with so many threads. One key, since either opens what the other sealed.
struct Setting {
    kuvert: Kuvert,
    context: EncryptionContext,
    threads: Threads,
}

impl Setting {
    fn new(threads: Threads) -> Self {
        let provider = MemoryProvider::from_keys([("bench", [7; 32])]).expect("a well-named key");
        let kuvert = Kuvert::new(provider)
            .with_seal_options(SealOptions::default().with_threads(threads).with_replace_existing(true))
            .with_open_options(OpenOptions::default().with_threads(threads).with_replace_existing(true));
        Self { kuvert, context: EncryptionContext::new([("backup", "daily")]).expect("short"), threads }
    }

    fn message_of(&self, plaintext: &[u8]) -> Vec<u8> {
        let sealer = self.kuvert.sealer(&self.context).expect("the key is in memory");
        let mut message = vec![0; sealer.message_len(plaintext.len()).expect("it fits")];
        sealer.seal_into(plaintext, &mut message).map(drop).expect("the lengths are right");
        message
    }

    fn seal_slice(&self, plaintext: &[u8], message: &mut [u8]) {
        let sealer = self.kuvert.sealer(&self.context).expect("the key is in memory");
        sealer.seal_into(plaintext, message).map(drop).expect("the lengths are right");
    }

    fn open_slice(&self, mut message: &[u8], plaintext: &mut [u8]) {
        let start = MessageStart::read(&mut message).expect("nobody changed it");
        let opener = self.kuvert.opener(start, &self.context).expect("the key is in memory");
        opener.open_into(message, plaintext).map(drop).expect("nobody changed it");
    }

    fn write(&self, mut plaintext: &[u8]) {
        let sealer = self.kuvert.sealer(&self.context).expect("the key is in memory");
        let mut writer = sealer.into_parallel_writer(Sink, self.threads);
        writer.copy_from(&mut plaintext).expect("the sink takes everything");
        writer.finish().map(drop).expect("nothing is in the way");
    }

    fn read(&self, mut message: &[u8]) {
        let start = MessageStart::read(&mut message).expect("nobody changed it");
        let opener = self.kuvert.opener(start, &self.context).expect("the key is in memory");
        opener.into_parallel_reader(message, self.threads).copy_to(&mut Sink).expect("nobody changed it");
    }
}

const LARGE: usize = 256 << 20;
