//! Streams: memory to sink, slice to slice, through `Read`, file to file.

mod support;

use std::{
    cell::RefCell,
    fs::{self, File},
    hint::black_box,
    io::{Read, Write},
    path::Path,
};

use kuvert::{
    EncryptionContext, Kuvert, MessageStart, OpenHandle, OpenOptions, Opener, SealHandle, SealOptions,
    blocking::block_on, provider::MemoryProvider,
};
use support::{
    Bench, Line, Sink,
    bare::{self, BareKey, GROUP, SEALED},
    data, fast_directory,
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
        let message = setting.seal(&plaintext);
        let bare_sealed = setting.seal_bare(&plaintext);
        let key = &setting.bare;
        let mut group = vec![0; GROUP * SEALED];
        bench.compare(
            Line::cpu(seal, len),
            || bare::seal_stream(key, &plaintext, &mut group, &mut Sink),
            || {
                let mut writer = setting.sealer().into_writer(Sink);
                writer.write_all(&plaintext).expect("the sink takes everything");
                writer.finish().map(drop).expect("nothing is in the way");
            },
        );
        bench.compare(
            Line::cpu(seal_read, len),
            || bare::seal_read(key, &mut plaintext.as_slice(), &mut group, &mut Sink),
            || {
                let mut writer = setting.sealer().into_writer(Sink);
                writer.copy_from(&mut plaintext.as_slice()).expect("the sink takes everything");
                writer.finish().map(drop).expect("nothing is in the way");
            },
        );
        bench.compare(
            Line::cpu(open, len),
            || bare::open_read(key, &mut bare_sealed.as_slice(), &mut group, &mut Sink),
            || {
                let (opener, chunks) = setting.opener(&message);
                let opened = opener.into_reader(chunks).copy_to(&mut Sink);
                assert_eq!(opened.expect("nobody changed it"), len as u64);
            },
        );
    }
}

/// The whole plaintext and the whole message in memory, no buffer in between; both sides use the same memory, since
/// where pages lie makes more of a difference than anything else here.
fn slice_to_slice(bench: &mut Bench, setting: &Setting) {
    for (len, seal, open) in
        [(LARGE, "slice-seal-256mib", "slice-open-256mib"), (1 << 20, "slice-seal-1mib", "slice-open-1mib")]
    {
        let plaintext = RefCell::new(data(len));
        let sealed = RefCell::new(setting.seal(&plaintext.borrow()));
        let head = sealed.borrow().len() - sealed_len(len) - 16;
        bench.compare(
            Line::cpu(seal, len),
            || bare::seal_slice(&setting.bare, &plaintext.borrow(), &mut sealed.borrow_mut()[head..]),
            || {
                let report = setting.sealer().seal_into(&plaintext.borrow(), &mut sealed.borrow_mut());
                report.map(drop).expect("the lengths are right");
            },
        );
        // Opening needs what was sealed under either key: the same length, and at the same place of a page.
        let message = setting.seal(&plaintext.borrow());
        let bare_sealed = sealed;
        bare::seal_slice(&setting.bare, &plaintext.borrow(), &mut bare_sealed.borrow_mut()[head..]);
        let bare_sealed = bare_sealed.into_inner();
        bench.compare(
            Line::cpu(open, len),
            || bare::open_slice(&setting.bare, &bare_sealed[head..], &mut plaintext.borrow_mut()),
            || {
                let (opener, chunks) = setting.opener(&message);
                let report = opener.open_into(chunks, &mut plaintext.borrow_mut());
                report.map(drop).expect("nobody changed it");
            },
        );
    }
}

/// `std::io::Read` with a caller's buffer of 64 KiB, which whole chunks are opened straight into.
fn through_read(bench: &mut Bench, setting: &Setting) {
    let plaintext = data(LARGE);
    let message = setting.seal(&plaintext);
    let bare_sealed = setting.seal_bare(&plaintext);
    drop(plaintext);
    let (mut group, mut out, mut own) = (vec![0; GROUP * SEALED], vec![0; 64 << 10], vec![0; 64 << 10]);
    bench.compare(
        Line::cpu("read-open-256mib", LARGE),
        || bare::open_read_to(&setting.bare, &mut bare_sealed.as_slice(), &mut group, &mut out),
        || {
            let (opener, chunks) = setting.opener(&message);
            let mut reader = opener.into_reader(chunks);
            while reader.read(&mut own).expect("nobody changed it") > 0 {
                black_box(&mut own);
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

/// One crate, one bare key, one context.
struct Setting {
    writer: SealHandle,
    reader: OpenHandle,
    context: EncryptionContext,
    bare: BareKey,
}

impl Setting {
    fn new() -> Self {
        let kuvert = Kuvert::new(MemoryProvider::generate("bench").expect("a key"))
            .with_seal_options(SealOptions::default().with_replace_existing(true))
            .with_open_options(replacing());
        Self {
            writer: kuvert.sealing().clone(),
            reader: kuvert.opening().clone(),
            context: EncryptionContext::new([("backup", "daily")]).expect("a short context"),
            bare: BareKey::new(&[7; 32]),
        }
    }

    fn sealer(&self) -> kuvert::Sealer {
        block_on(self.writer.sealer(&self.context)).expect("not nested").expect("the key is in memory")
    }

    fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let sealer = self.sealer();
        let mut message = vec![0; sealer.message_len(plaintext.len()).expect("it fits")];
        sealer.seal_into(plaintext, &mut message).map(drop).expect("the lengths are right");
        message
    }

    fn seal_bare(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = vec![0; sealed_len(plaintext.len())];
        bare::seal_slice(&self.bare, plaintext, &mut sealed);
        sealed
    }

    /// The opener of a message, and its chunks.
    fn opener<'a>(&self, message: &'a [u8]) -> (Opener, &'a [u8]) {
        let mut rest = message;
        let start = MessageStart::read(&mut rest).expect("nobody changed it");
        let opener = block_on(self.reader.opener(start, &self.context)).expect("not nested");
        (opener.expect("the key is in memory"), rest)
    }
}

/// Bytes that the bare loops make of so many: no header, no empty last chunk.
fn sealed_len(len: usize) -> usize {
    len + 16 * len.div_ceil(bare::CHUNK)
}

const LARGE: usize = 256 << 20;
