//! Small things: what a message costs to begin and to open, and a range of a large file once that is open.

mod support;

use std::{cell::Cell, fs::File, hint::black_box, io::Write, os::unix::fs::FileExt, sync::Arc};

use kuvert::{
    EncryptionContext, Kuvert, Layout, MessageStart, SealOptions, blocking::block_on, io::RangeReader,
    provider::MemoryProvider,
};
use support::{
    Bench, Line,
    bare::{self, SEALED},
    data, fast_directory,
    known_key::KnownKey,
};

fn main() {
    let mut bench = Bench::from_args();
    bench.yardstick();
    whole_messages(&mut bench);
    headers(&mut bench);
    ranges(&mut bench);
    bench.finish();
}

/// The fixed cost: data key, wrap, derivations, header, one short chunk; and the reverse.
fn whole_messages(bench: &mut Bench) {
    let kuvert = Kuvert::new(MemoryProvider::generate("bench").expect("a key"));
    let context = context();
    let seal = |plaintext: &[u8]| {
        block_on(kuvert.seal(plaintext, &context)).expect("not nested").expect("the key is in memory")
    };
    let open = |message: &[u8]| {
        let opened = block_on(kuvert.open(message, &context)).expect("not nested");
        drop(black_box(opened.expect("nobody changed it")));
    };
    for (len, sealing, opening) in
        [(64, "message-seal-64b", "message-open-64b"), (16_384, "message-seal-16kib", "message-open-16kib")]
    {
        let plaintext = data(len);
        let message = seal(&plaintext);
        bench.alone(Line::cpu(sealing, 0), || drop(black_box(seal(&plaintext))));
        bench.alone(Line::cpu(opening, 0), || open(&message));
    }
}

/// A header with two slots, as streams and files have it: made, and parsed and verified.
fn headers(bench: &mut Bench) {
    let kuvert = Kuvert::new(MemoryProvider::generate("bench").expect("a key"))
        .with_seal_options(SealOptions::default().with_layout(Layout::Rewrappable));
    let context = context();
    let begin = || block_on(kuvert.sealer(&context)).expect("not nested").expect("the key is in memory");
    bench.alone(Line::cpu("header-make-two-slots", 0), || drop(black_box(begin())));
    let message = block_on(kuvert.seal(b"", &context)).expect("not nested").expect("the key is in memory");
    bench.alone(Line::cpu("header-verify-two-slots", 0), || {
        let start = MessageStart::parse(&message).expect("nobody changed it");
        let opener = block_on(kuvert.opener(start, &context)).expect("not nested");
        drop(black_box(opener.expect("nobody changed it")));
    });
}

/// 1 KiB anywhere in a file of 1 GiB that is open, against reading and opening the one chunk that most of them are in.
fn ranges(bench: &mut Bench) {
    let directory = tempfile::tempdir_in(fast_directory()).expect("a directory of our own");
    let sealed = directory.path().join("sealed");
    let provider = Arc::new(KnownKey::new());
    let kuvert = Kuvert::from_arc(provider.clone());
    let context = context();
    let piece = data(PIECE);
    let sealer = block_on(kuvert.sealer(&context)).expect("not nested").expect("the key is in memory");
    let mut writer = sealer.into_writer(File::create(&sealed).expect("the directory is ours"));
    for _ in 0..FILE / PIECE {
        writer.write_all(&piece).expect("room for it");
    }
    writer.finish().map(drop).expect("room for it");

    let mut file = File::open(&sealed).expect("it is there");
    let start = MessageStart::read_seekable(&mut file).expect("nobody changed it");
    let chunks_at = start.chunks_offset();
    let mut head = vec![0; usize::try_from(chunks_at).expect("a header is short")];
    file.read_exact_at(&mut head, 0).expect("it is there");
    let body = provider.body_of(&head);
    let bare_file = File::open(&sealed).expect("it is there");
    let opener = block_on(kuvert.opener(start, &context)).expect("not nested");
    let reader: RangeReader<File> =
        opener.and_then(|opener| opener.into_ranges(file)).expect("nobody changed it");
    let (mut chunk, mut out, mut bare_out) = (vec![0; SEALED], vec![0; 1024], vec![0; 1024]);
    let (bare_walk, walk) = (Walk::default(), Walk::default());
    bench.compare(
        Line::file("range-1kib-of-1gib", 1024),
        || {
            let index = bare_walk.next() / bare::CHUNK as u64;
            bare_file.read_exact_at(&mut chunk, chunks_at + index * SEALED as u64).expect("it is there");
            body.open_in_place(index, &mut chunk);
            bare_out.copy_from_slice(&chunk[1000..2024]);
        },
        || reader.read_exact_at(&mut out, walk.next()).expect("nobody changed it"),
    );
}

/// Offsets all over the file, with a stride that visits every chunk, and every place in a chunk, before it comes round.
#[derive(Default)]
struct Walk(Cell<u64>);

impl Walk {
    fn next(&self) -> u64 {
        self.0.set((self.0.get() + 611_953_711) % (FILE as u64 - 1024));
        self.0.get()
    }
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("table", "users"), ("id", "42")]).expect("a short context")
}

const FILE: usize = 1 << 30;
const PIECE: usize = 4 << 20;
