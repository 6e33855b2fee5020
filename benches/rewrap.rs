//! Rewrapping: a file of 10 GiB in place, and a message in memory.

mod support;

use std::{fs::OpenOptions, hint::black_box, io::Write, sync::Arc};

use kuvert::{
    EncryptionContext, Kuvert, Layout, RewrapMethod, RewrapOptions, RewrapReport, SealOptions,
    blocking::block_on,
    provider::{KeyProvider, MemoryProvider},
};
use support::{Bench, Line};

fn main() {
    let mut bench = Bench::from_args();
    a_large_file(&mut bench);
    in_memory(&mut bench);
    bench.finish();
}

/// With all its syncs, on whatever the temporary directory lies on: that is what one waits for. The file has a valid
/// head and no more; the body is never looked at.
fn a_large_file(bench: &mut Bench) {
    let directory = tempfile::tempdir().expect("a directory of our own");
    let path = directory.path().join("backup");
    let context = context();
    let sealer = block_on(kuvert().sealer(&context)).expect("not nested").expect("the key is in memory");
    let (head, _) = sealer.into_writer(Vec::new()).finish().expect("in memory");
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).expect("ours");
    file.write_all(&head).and_then(|()| file.set_len(10 << 30)).expect("a sparse file takes no room");
    drop(file);
    let rewrap = kuvert().rewrap_to_arc(provider()).with_options(always());
    bench.alone(Line::wall("rewrap-file-10gib", 0), || {
        let report: RewrapReport =
            block_on(rewrap.file(&path, &context)).expect("not nested").expect("nobody changed it");
        assert_eq!(report.method, RewrapMethod::InPlace);
    });
}

/// Unwrap, wrap, check, two headers: what the keys and MACs cost without a disk.
fn in_memory(bench: &mut Bench) {
    let context = context();
    for (layout, name) in
        [(Layout::Compact, "rewrap-message-compact"), (Layout::Rewrappable, "rewrap-message-two-slots")]
    {
        let sealing = kuvert().with_seal_options(SealOptions::default().with_layout(layout));
        let message = block_on(sealing.seal(b"", &context)).expect("not nested").expect("in memory");
        let rewrap = kuvert().rewrap_to_arc(provider()).with_options(always());
        bench.alone(Line::cpu(name, 0), || {
            let result = block_on(rewrap.message(&message, &context)).expect("not nested");
            drop(black_box(result.expect("nobody changed it")));
        });
    }
}

/// The same key again and again: each time there are new wraps, a new slot and a new generation.
fn always() -> RewrapOptions {
    RewrapOptions::default().with_even_if_unchanged(true)
}

fn provider() -> Arc<dyn KeyProvider> {
    Arc::new(MemoryProvider::from_keys([("bench", [7; 32])]).expect("a key"))
}

fn kuvert() -> Kuvert {
    Kuvert::from_arc(provider())
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("backup", "daily"), ("host", "db1")]).expect("a short context")
}
