//! Tokio's adapters: after success, after an error, and dropped half way, with a future dropped in the middle.
//!
//! The plaintext of an `OpenStream` is given away as `Bytes`, which nobody wipes: of that nothing is promised.

use std::io::{Cursor, SeekFrom};

use kuvert::MessageStart;
use kuvert::io::AsyncOpenReader;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::child::{Stage, Wiped, context};
use crate::support::async_io::Slow;
use crate::support::cancel::{PATIENCE, poll_at_most, wait};

pub(crate) fn tokio(stage: &Stage) {
    sealing(stage);
    for name in ["small", "large"] {
        opening(stage, name);
        seeking(stage, name);
    }
    stage.scan("dropped");
}

fn sealing(stage: &Stage) {
    let kuvert = stage.kuvert();
    let writer = || {
        let sealer = wait(kuvert.sealer(&context())).unwrap();
        sealer.into_async_writer(Slow::new(Vec::new(), 1))
    };
    for name in ["small", "large"] {
        let text = stage.text(name);
        let mut finished = writer();
        wait(finished.write_all(&text.0)).unwrap();
        let (message, _) = wait(finished.finish()).unwrap();
        stage.tell("message", message.get_ref());
        let mut shut_down = writer();
        wait(shut_down.write_all(&text.0)).unwrap();
        wait(shut_down.shutdown()).unwrap();
        stage.tell("message", shut_down.inner().get_ref());
        let mut aborted = writer();
        wait(aborted.write_all(&text.0)).unwrap();
        wait(aborted.flush()).unwrap();
        stage.tell("message", aborted.abort().get_ref());
        drop(shut_down);
        drop(text);
        stage.scan("idle kek");
    }
    // Dropped with plaintext in the buffer, and with a future that is under way.
    let text = stage.text("small");
    let mut dropped = writer();
    wait(dropped.write_all(&text.0)).unwrap();
    wait(dropped.flush()).unwrap();
    stage.tell("message", dropped.inner().get_ref());
    drop(text);
    stage.scan("using kek,body,text-small");
    drop(poll_at_most(dropped.shutdown(), 2, PATIENCE));
    drop(dropped);
    stage.scan("idle kek");
    let text = stage.text("large");
    let mut dropped = writer();
    wait(dropped.flush()).unwrap();
    stage.tell("message", dropped.inner().get_ref());
    drop(poll_at_most(dropped.write_all(&text.0), 3, PATIENCE));
    drop((dropped, text));
    stage.scan("idle kek");
}

fn reader<'a>(stage: &Stage, message: &'a [u8]) -> AsyncOpenReader<Slow<&'a [u8]>> {
    let mut source = Slow::new(message, 1);
    let start = wait(MessageStart::read_async(&mut source)).unwrap();
    wait(stage.kuvert().opener(start, &context())).unwrap().into_async_reader(source)
}

fn opening(stage: &Stage, name: &str) {
    let message = stage.read(&format!("{name}.sealed"));
    let mut buffer = Wiped(vec![0; 60]);
    // To the end.
    wait(reader(stage, &message).verify()).unwrap();
    stage.scan("idle");
    let mut sink = Wiped(Vec::with_capacity(1 << 20));
    wait(reader(stage, &message).copy_to(&mut sink.0)).unwrap();
    drop(sink);
    stage.scan("idle");
    // Dropped half way, with plaintext in the buffer, by `read` and by `fill_buf`.
    let mut half = reader(stage, &message);
    wait(half.read_exact(&mut buffer.0)).unwrap();
    stage.scan(&format!("using body,text-{name}"));
    drop(half);
    buffer.0.fill(0);
    stage.scan("idle");
    let mut half = reader(stage, &message);
    assert!(!wait(half.fill_buf()).unwrap().is_empty());
    drop(half);
    stage.scan("idle");
    // A future dropped in the middle of a copy, and much into the caller's buffer.
    let mut half = reader(stage, &message);
    let mut sink = Wiped(Vec::with_capacity(1 << 20));
    drop(poll_at_most(half.copy_to(&mut sink.0), 3, PATIENCE));
    drop((half, sink));
    let mut large = Wiped(vec![0; 300_000]);
    assert!(wait(reader(stage, &message).read(&mut large.0)).unwrap() > 0);
    drop(large);
    stage.scan("idle");
    // Refused behind good chunks.
    let tampered = stage.read(&format!("{name}.tampered"));
    let mut refused = reader(stage, &tampered);
    wait(refused.verify()).unwrap_err();
    stage.scan("idle body");
    drop(refused);
    stage.scan("idle");
}

fn seeking(stage: &Stage, name: &str) {
    let message = stage.read(&format!("{name}.sealed"));
    let mut source = Slow::new(Cursor::new(&message), 1);
    let start = wait(MessageStart::read_seekable_async(&mut source)).unwrap();
    let opener = wait(stage.kuvert().opener(start, &context())).unwrap();
    let mut reader = wait(opener.into_async_seekable(source)).unwrap();
    let mut buffer = Wiped(vec![0; 20]);
    for target in [SeekFrom::Start(33), SeekFrom::End(-25), SeekFrom::Start(0)] {
        wait(reader.seek(target)).unwrap();
        wait(reader.read_exact(&mut buffer.0)).unwrap();
    }
    let mut large = Wiped(vec![0; 300_000.min(message.len() / 5)]);
    wait(reader.seek(SeekFrom::Start(1))).unwrap();
    wait(reader.read_exact(&mut large.0)).unwrap();
    wait(reader.seek(SeekFrom::Start(50))).unwrap();
    drop(poll_at_most(reader.read_exact(&mut buffer.0), 3, PATIENCE));
    drop((reader, large, buffer));
    stage.scan("idle");
}
