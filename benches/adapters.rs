//! Tokio's adapters against the blocking ones: memory to sink, through `read`, as a stream, file to file.
//!
//! The bare side of each line is the blocking adapter of this crate, over the same bytes.

mod support;

use std::{
    cell::RefCell,
    fs,
    hint::black_box,
    io::{self, Read, Write},
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use kuvert::{EncryptionContext, Kuvert, MessageStart, Opener, Sealer, provider::MemoryProvider};
use support::{Bench, Line, Sink, data, fast_directory};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    runtime::Runtime,
};

fn main() {
    let mut bench = Bench::from_args();
    let setting = Setting::new();
    memory_to_sink(&mut bench, &setting);
    through_read(&mut bench, &setting);
    as_a_stream(&mut bench, &setting);
    file_to_file(&mut bench, &setting);
    bench.finish();
}

fn memory_to_sink(bench: &mut Bench, setting: &Setting) {
    for (len, seal, open) in [
        (LARGE, "tokio-seal-256mib", "tokio-open-256mib"),
        (64 << 10, "tokio-seal-64kib", "tokio-open-64kib"),
    ] {
        let plaintext = data(len);
        let message = setting.seal(&plaintext);
        bench.compare(
            Line::cpu(seal, len),
            || {
                let mut writer = setting.sealer().into_writer(Sink);
                writer.write_all(&plaintext).expect("the sink takes everything");
                writer.finish().map(drop).expect("nothing is in the way");
            },
            || {
                setting.wait(async {
                    let mut writer = setting.sealer().into_async_writer(Drain);
                    writer.write_all(&plaintext).await.expect("the sink takes everything");
                    writer.finish().await.map(drop).expect("nothing is in the way");
                });
            },
        );
        bench.compare(
            Line::cpu(open, len),
            || {
                let (opener, chunks) = setting.opener(&message);
                let opened = opener.into_reader(chunks).copy_to(&mut Sink);
                assert_eq!(opened.expect("nobody changed it"), len as u64);
            },
            || {
                let (opener, chunks) = setting.opener(&message);
                let opened =
                    setting.wait(async { opener.into_async_reader(chunks).copy_to(&mut Drain).await });
                assert_eq!(opened.expect("nobody changed it"), len as u64);
            },
        );
    }
}

fn through_read(bench: &mut Bench, setting: &Setting) {
    let message = setting.seal(&data(LARGE));
    let out = RefCell::new(vec![0; 64 << 10]);
    bench.compare(
        Line::cpu("tokio-read-256mib", LARGE),
        || {
            let (opener, chunks) = setting.opener(&message);
            let mut reader = opener.into_reader(chunks);
            while reader.read(&mut out.borrow_mut()).expect("nobody changed it") > 0 {
                black_box(&out);
            }
        },
        || {
            let (opener, chunks) = setting.opener(&message);
            let mut out = out.borrow_mut();
            setting.wait(async {
                let mut reader = opener.into_async_reader(chunks);
                while reader.read(&mut out).await.expect("nobody changed it") > 0 {
                    black_box(&out);
                }
            });
        },
    );
}

/// Pieces of 256 KiB in, pieces of 256 KiB out, each in memory of its own.
fn as_a_stream(bench: &mut Bench, setting: &Setting) {
    let plaintext = Bytes::from(data(LARGE));
    let message = Bytes::from(setting.seal(&plaintext));
    bench.compare(
        Line::cpu("tokio-stream-seal-256mib", LARGE),
        || {
            let mut writer = setting.sealer().into_writer(Sink);
            writer.write_all(&plaintext).expect("the sink takes everything");
            writer.finish().map(drop).expect("nothing is in the way");
        },
        || setting.drain(setting.sealer().into_stream(Pieces(plaintext.clone()))),
    );
    bench.compare(
        Line::cpu("tokio-stream-open-256mib", LARGE),
        || {
            let (opener, chunks) = setting.opener(&message);
            opener.into_reader(chunks).copy_to(&mut Sink).map(drop).expect("nobody changed it");
        },
        || {
            let (opener, chunks) = setting.opener(&message);
            setting.drain(opener.into_stream(Pieces(message.slice_ref(chunks))));
        },
    );
}

/// Files in both, synced: by `std::fs` on one thread, by `tokio::fs` on its pool.
fn file_to_file(bench: &mut Bench, setting: &Setting) {
    let directory = tempfile::tempdir_in(fast_directory()).expect("a directory of our own");
    let [plain, sealed, opened] = ["plain", "sealed", "opened"].map(|name| directory.path().join(name));
    fs::write(&plain, data(LARGE)).expect("room for it");
    let seal = || {
        let mut source = fs::File::open(&plain).expect("it is there");
        let mut writer = setting.sealer().into_writer(fs::File::create(&sealed).expect("ours"));
        writer.copy_from(&mut source).expect("room for it");
        writer.finish().expect("room for it").0.sync_all().expect("ours");
    };
    seal();
    bench.compare(Line::wall("tokio-file-seal", LARGE), seal, || {
        setting.wait(async { seal_file(setting, &plain, &sealed).await.expect("the files are ours") });
    });
    let open = || {
        let mut source = fs::File::open(&sealed).expect("it is there");
        let start = MessageStart::read(&mut source).expect("nobody changed it");
        let mut target = fs::File::create(&opened).expect("ours");
        let mut reader = setting.opener_of(start).into_reader(source);
        reader.copy_to(&mut target).expect("room for it");
        target.sync_all().expect("ours");
    };
    bench.compare(Line::wall("tokio-file-open", LARGE), open, || {
        setting.wait(async { open_file(setting, &sealed, &opened).await.expect("the files are ours") });
    });
}

async fn seal_file(setting: &Setting, from: &Path, to: &Path) -> io::Result<()> {
    let mut source = BufReader::with_capacity(256 << 10, tokio::fs::File::open(from).await?);
    let mut writer = setting.sealer().into_async_writer(tokio::fs::File::create(to).await?);
    tokio::io::copy_buf(&mut source, &mut writer).await?;
    let (file, _) = writer.finish().await?;
    file.sync_all().await
}

async fn open_file(setting: &Setting, from: &Path, to: &Path) -> io::Result<()> {
    let mut source = tokio::fs::File::open(from).await?;
    let start = MessageStart::read_async(&mut source).await?;
    let mut target = tokio::fs::File::create(to).await?;
    setting.opener_of(start).into_async_reader(source).copy_to(&mut target).await?;
    target.sync_all().await
}

struct Setting {
    kuvert: Kuvert,
    context: EncryptionContext,
    runtime: Runtime,
}

impl Setting {
    fn new() -> Self {
        Self {
            kuvert: Kuvert::new(MemoryProvider::generate("bench").expect("a well-named key")),
            context: EncryptionContext::new([("backup", "daily")]).expect("a short context"),
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a thread"),
        }
    }

    fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    fn sealer(&self) -> Sealer {
        let sealer = kuvert::blocking::block_on(self.kuvert.sealer(&self.context)).expect("not nested");
        sealer.expect("the key is in memory")
    }

    fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut writer = self.sealer().into_writer(Vec::new());
        writer.write_all(plaintext).expect("room for it");
        writer.finish().expect("nothing is in the way").0
    }

    fn opener<'a>(&self, message: &'a [u8]) -> (Opener, &'a [u8]) {
        let mut rest = message;
        let start = MessageStart::read(&mut rest).expect("nobody changed it");
        (self.opener_of(start), rest)
    }

    fn opener_of(&self, start: MessageStart) -> Opener {
        let opener =
            kuvert::blocking::block_on(self.kuvert.opener(start, &self.context)).expect("not nested");
        opener.expect("the key is in memory")
    }

    fn drain(&self, mut stream: impl Stream<Item = io::Result<Bytes>> + Unpin) {
        self.wait(async {
            while let Some(piece) = std::future::poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
                black_box(piece.expect("nothing is in the way").as_ptr());
            }
        });
    }
}

/// A stream of pieces of one piece of memory.
struct Pieces(Bytes);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let len = self.0.len().min(256 << 10);
        Poll::Ready((len > 0).then(|| Ok(self.0.split_to(len))))
    }
}

/// The sink of the other side, for tokio.
struct Drain;

impl AsyncWrite for Drain {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Sink.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const LARGE: usize = 256 << 20;
