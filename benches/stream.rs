//! Streams: memory to sink, slice to slice, through `Read`, file to file.

mod support;

use std::{
    cell::RefCell,
    fs::{self, File},
    hint::black_box,
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

use kuvert::{
    EncryptionContext, Kuvert, MessageStart, OpenHandle, OpenOptions, Opener, SealHandle, SealOptions,
    blocking::block_on,
};
use support::{
    Bench, Line, Sink,
    bare::{self, Body, GROUP, SEALED},
    data, fast_directory,
    known_key::KnownKey,
};

fn main() {
    let mut bench = Bench::from_args();
    let setting = Setting::new();
    memory_to_sink(&mut bench, &setting);
    slice_to_slice(&mut bench, &setting);
    through_read(&mut bench, &setting);
    file_to_file(&mut bench, &setting);
    bench.finish();
}

/// Memory to sink: writing slices, copying from a reader, opening; and the same with what a message costs to begin.
fn memory_to_sink(bench: &mut Bench, setting: &Setting) {
    let sizes = [
        (LARGE, "stream-seal-256mib", "stream-seal-read-256mib", "stream-open-256mib"),
        (1 << 20, "stream-seal-1mib", "stream-seal-read-1mib", "stream-open-1mib"),
        (64 << 10, "stream-seal-64kib", "stream-seal-read-64kib", "stream-open-64kib"),
    ];
    for (len, seal, seal_read, open) in sizes {
        let plaintext = data(len);
        let (message, body) = setting.seal(&plaintext);
        let mut group = vec![0; GROUP * SEALED];
        bench.compare(
            Line::cpu(seal, len),
            || bare::seal_stream(&body, &plaintext, &mut group, &mut Sink),
            || {
                let mut writer = setting.sealer().into_writer(Sink);
                writer.write_all(&plaintext).expect("the sink takes everything");
                writer.finish().map(drop).expect("nothing is in the way");
            },
        );
        bench.compare(
            Line::cpu(seal_read, len),
            || bare::seal_read(&body, &mut plaintext.as_slice(), &mut group, &mut Sink),
            || {
                let mut writer = setting.sealer().into_writer(Sink);
                writer.copy_from(&mut plaintext.as_slice()).expect("the sink takes everything");
                writer.finish().map(drop).expect("nothing is in the way");
            },
        );
        bench.compare(
            Line::cpu(open, len),
            || bare::open_read(&body, &mut chunks_of(&message), &mut group, &mut Sink),
            || {
                let (opener, chunks) = setting.opener(&message);
                let opened = opener.into_reader(chunks).copy_to(&mut Sink);
                assert_eq!(opened.expect("nobody changed it"), len as u64);
            },
        );
    }
}

/// The whole plaintext and the whole message in memory, no buffer in between. Both sides use the same memory: where
/// pages lie makes more of a difference than anything else here.
fn slice_to_slice(bench: &mut Bench, setting: &Setting) {
    for (len, seal, open) in
        [(LARGE, "slice-seal-256mib", "slice-open-256mib"), (1 << 20, "slice-seal-1mib", "slice-open-1mib")]
    {
        let plaintext = RefCell::new(data(len));
        let (mut message, body) = setting.seal(&plaintext.borrow());
        bench.compare(
            Line::cpu(open, len),
            || bare::open_slice(&body, chunks_of(&message), &mut plaintext.borrow_mut()),
            || {
                let (opener, chunks) = setting.opener(&message);
                let report = opener.open_into(chunks, &mut plaintext.borrow_mut());
                report.map(drop).expect("nobody changed it");
            },
        );
        let chunks_at = message.len() - chunks_of(&message).len();
        let message = RefCell::new(&mut message);
        bench.compare(
            Line::cpu(seal, len),
            || bare::seal_slice(&body, &plaintext.borrow(), &mut message.borrow_mut()[chunks_at..]),
            || {
                let report = setting.sealer().seal_into(&plaintext.borrow(), &mut message.borrow_mut());
                report.map(drop).expect("the lengths are right");
            },
        );
    }
}

/// `std::io::Read` with a caller's buffer of 64 KiB, which whole chunks are opened straight into.
fn through_read(bench: &mut Bench, setting: &Setting) {
    let (message, body) = setting.seal(&data(LARGE));
    let (mut group, out) = (vec![0; GROUP * SEALED], RefCell::new(vec![0; 64 << 10]));
    bench.compare(
        Line::cpu("read-open-256mib", LARGE),
        || bare::open_read_to(&body, &mut chunks_of(&message), &mut group, &mut out.borrow_mut()),
        || {
            let (opener, chunks) = setting.opener(&message);
            let mut reader = opener.into_reader(chunks);
            while reader.read(&mut out.borrow_mut()).expect("nobody changed it") > 0 {
                black_box(&out);
            }
        },
    );
}

/// Files, synced: against `std::fs::copy`, and against a loop that reads and writes.
fn file_to_file(bench: &mut Bench, setting: &Setting) {
    let directory = tempfile::tempdir_in(fast_directory()).expect("a directory of our own");
    let [plain, sealed, opened, copy] =
        ["plain", "sealed", "opened", "copy"].map(|name| directory.path().join(name));
    fs::write(&plain, data(LARGE)).expect("room for it");
    let seal = || {
        let report = block_on(setting.writer.seal_file(&plain, &sealed, &setting.context));
        report.expect("not nested").map(drop).expect("the files are ours");
    };
    let open = |reader: &OpenHandle| {
        let report = block_on(reader.open_file(&sealed, &opened, &setting.context));
        report.expect("not nested").map(drop).expect("the files are ours");
    };
    let std_copy = || {
        fs::copy(&plain, &copy).expect("the files are ours");
        File::open(&copy).and_then(|file| file.sync_all()).expect("it is there");
    };
    seal();
    bench.compare(Line::file("file-seal-std-copy", LARGE), std_copy, seal);
    bench.compare(Line::file("file-seal-loop", LARGE), || copy_loop(&plain, &copy), seal);
    bench.compare(Line::file("file-open-std-copy", LARGE), std_copy, || open(&setting.reader));
    bench.compare(Line::file("file-open-loop", LARGE), || copy_loop(&plain, &copy), || open(&setting.reader));
    let verifying = setting.reader.clone().with_options(replacing().with_verify_first(true));
    bench.compare(
        Line::file("file-verify-open-loop", LARGE),
        || copy_loop(&plain, &copy),
        || open(&verifying),
    );
}

/// What `cp` does: read and write by a large buffer, then sync.
fn copy_loop(from: &Path, to: &Path) {
    let mut buffer = vec![0; GROUP * SEALED];
    let mut source = File::open(from).expect("it is there");
    let mut target = File::create(to).expect("the directory is ours");
    loop {
        match source.read(&mut buffer).expect("the file is ours") {
            0 => break,
            n => target.write_all(&buffer[..n]).expect("room for it"),
        }
    }
    target.sync_all().expect("the file is ours");
}

fn replacing() -> OpenOptions {
    OpenOptions::default().with_verify_first(false).with_replace_existing(true)
}

/// One crate, one context, and the keys of what it seals.
struct Setting {
    provider: Arc<KnownKey>,
    writer: SealHandle,
    reader: OpenHandle,
    context: EncryptionContext,
}

impl Setting {
    fn new() -> Self {
        let provider = Arc::new(KnownKey::new());
        let kuvert = Kuvert::from_arc(provider.clone())
            .with_seal_options(SealOptions::default().with_replace_existing(true))
            .with_open_options(replacing());
        Self {
            provider,
            writer: kuvert.sealing().clone(),
            reader: kuvert.opening().clone(),
            context: EncryptionContext::new([("backup", "daily")]).expect("a short context"),
        }
    }

    fn sealer(&self) -> kuvert::Sealer {
        block_on(self.writer.sealer(&self.context)).expect("not nested").expect("the key is in memory")
    }

    /// A message, and what opens its body.
    fn seal(&self, plaintext: &[u8]) -> (Vec<u8>, Body) {
        let sealer = self.sealer();
        let mut message = vec![0; sealer.message_len(plaintext.len()).expect("it fits")];
        sealer.seal_into(plaintext, &mut message).map(drop).expect("the lengths are right");
        let body = self.provider.body_of(&message);
        (message, body)
    }

    /// The opener of a message, and its chunks.
    fn opener<'a>(&self, message: &'a [u8]) -> (Opener, &'a [u8]) {
        let mut rest = message;
        let start = MessageStart::read(&mut rest).expect("nobody changed it");
        let opener = block_on(self.reader.opener(start, &self.context)).expect("not nested");
        (opener.expect("the key is in memory"), rest)
    }
}

/// What the bare side reads of a message.
fn chunks_of(message: &[u8]) -> &[u8] {
    let start = MessageStart::parse(message).expect("nobody changed it");
    &message[usize::try_from(start.chunks_offset()).expect("a header is short")..]
}

const LARGE: usize = 256 << 20;
