//! A service that takes an upload as a stream and stores it sealed, in a file by tokio; later somebody downloads it, and
//! a copy that was cut off is refused.
//!
//! `cargo run --example stream_tokio --features tokio`

use std::{
    error::Error,
    future::poll_fn,
    io,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use kuvert::{EncryptionContext, Kuvert, MessageStart, provider::MemoryProvider};
use tokio::{
    fs::File,
    io::{AsyncWriteExt, BufReader},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let kuvert = Kuvert::new(MemoryProvider::generate("uploads-2026")?);
    let context = EncryptionContext::new([("tenant", "7"), ("upload", "42")])?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("upload-42.kvt");

    // A stream in, a stream out: what an HTTP body is. Here it goes to a file; it could be the body of another request.
    let mut sealed = kuvert.sealer(&context).await?.into_stream(Upload { left: 1_000 });
    let mut file = File::create(&path).await?;
    while let Some(piece) = next(&mut sealed).await {
        file.write_all(&piece?).await?;
    }
    file.sync_all().await?;
    let report = sealed.report().ok_or("the stream has ended, so the message is complete")?;
    println!("sealed {} bytes into {}", report.plaintext_len, report.sealed_len);

    // Downloaded through a connection: opened straight into it.
    let (mut client, mut server) = tokio::io::duplex(64 << 10);
    let downloaded = tokio::spawn(async move { tokio::io::copy(&mut client, &mut tokio::io::sink()).await });
    let opened = open(&kuvert, &path, &context, &mut server).await?;
    drop(server);
    assert_eq!((opened, downloaded.await??), (report.plaintext_len, report.plaintext_len));
    println!("opened {opened} bytes, and the message is complete");

    // The same as reader and writer: seal what comes from anywhere into a file.
    let source = BufReader::with_capacity(256 << 10, File::open(&path).await?);
    let mut out = kuvert.sealer(&context).await?.into_async_writer(Vec::new());
    tokio::io::copy_buf(&mut { source }, &mut out).await?;
    let (twice, report) = out.finish().await?;
    assert_eq!(twice.len() as u64, report.sealed_len);

    // A copy that was cut off: what was whole comes out, and then an error, never an end.
    let cut = directory.path().join("cut.kvt");
    tokio::fs::write(&cut, &tokio::fs::read(&path).await?[..300_000]).await?;
    match open(&kuvert, &cut, &context, &mut tokio::io::sink()).await {
        Ok(_) => Err("a message that was cut off was taken for a whole one".into()),
        Err(error) => {
            println!("refused, as it must be: {error}");
            Ok(())
        }
    }
}

/// Opens a sealed file into a writer: `Ok` means that all of it came out.
async fn open<W>(
    kuvert: &Kuvert,
    path: &Path,
    context: &EncryptionContext,
    writer: &mut W,
) -> Result<u64, Box<dyn Error>>
where
    W: tokio::io::AsyncWrite + Unpin,
{
    let mut file = File::open(path).await?;
    let start = MessageStart::read_async(&mut file).await?;
    let mut reader = kuvert.opener(start, context).await?.into_async_reader(file);
    Ok(reader.copy_to(writer).await?)
}

/// What a web framework hands over: pieces of any length.
struct Upload {
    left: usize,
}

impl Stream for Upload {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = (self.left > 0).then(|| Ok(Bytes::from(vec![self.left.to_le_bytes()[0]; 1_460])));
        self.left = self.left.saturating_sub(1);
        Poll::Ready(piece)
    }
}

/// `StreamExt::next` of the crate `futures`.
async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}
