//! Several threads: after success, an error, a panic of the inner side, and dropped with jobs under way.
//!
//! What counts is that nothing is left the moment the call returned: no thread still has a key or a piece of plaintext.

use std::io::{BufRead, Read, Write};

use kuvert::MessageStart;
use kuvert::io::{ParallelOpenReader, ParallelSealWriter};

use crate::child::{Stage, Wiped, context};
use crate::support::cancel::wait;
use crate::support::io::{Fault, FaultIo, Script, catching_scripted};
use crate::support::ways::several_threads;

pub(crate) fn parallel(stage: &Stage) {
    sealing(stage);
    opening(stage);
    stage.scan("dropped");
}

fn writer<W: Write>(stage: &Stage, inner: W) -> ParallelSealWriter<W> {
    wait(stage.kuvert().sealer(&context())).unwrap().into_parallel_writer(inner, several_threads())
}

fn sealing(stage: &Stage) {
    for name in ["small", "large"] {
        let text = stage.text(name);
        let mut finished = writer(stage, Vec::new());
        finished.write_all(&text.0).unwrap();
        stage.tell("message", &finished.finish().unwrap().0);
        let mut copied = writer(stage, Vec::new());
        copied.copy_from(&mut &text.0[..]).unwrap();
        stage.tell("message", &copied.finish().unwrap().0);
        drop(text);
        stage.scan("idle");
        // Aborted and dropped, with jobs under way, and by a panic of the inner writer.
        let text = stage.text(name);
        for round in 0..20 {
            let mut aborted = writer(stage, Vec::new());
            aborted.write_all(&text.0[..text.0.len() - round]).unwrap();
            if round % 2 == 0 { drop(aborted.abort()) } else { drop(aborted) }
        }
        for at in 0..3 {
            let sink = FaultIo::new(Vec::new(), &Script::from(at, Fault::Panic));
            let mut panics = writer(stage, sink);
            let caught = catching_scripted(|| {
                panics.write_all(&text.0).unwrap();
                panics.try_finish().unwrap();
            });
            assert!(caught.is_none() || at > 1);
            drop(panics);
        }
        drop(text);
        stage.scan("idle");
    }
}

fn reader<'a>(stage: &Stage, message: &'a [u8]) -> ParallelOpenReader<&'a [u8]> {
    let mut source = message;
    let start = MessageStart::read(&mut source).unwrap();
    let opener = wait(stage.kuvert().opener(start, &context())).unwrap();
    opener.into_parallel_reader(source, several_threads())
}

fn opening(stage: &Stage) {
    for name in ["small", "large"] {
        let message = stage.read(&format!("{name}.sealed"));
        reader(stage, &message).verify().unwrap();
        let mut sink = Wiped(Vec::with_capacity(1 << 20));
        reader(stage, &message).copy_to(&mut sink.0).unwrap();
        drop(sink);
        stage.scan("idle");
        // Half way, by `read` and by `fill_buf`, with opened chunks in threads and buffers.
        let mut half = reader(stage, &message);
        let mut buffer = Wiped(vec![0; 60]);
        half.read_exact(&mut buffer.0).unwrap();
        stage.scan(&format!("using body,text-{name}"));
        drop((half, buffer));
        let mut half = reader(stage, &message);
        assert!(!half.fill_buf().unwrap().is_empty());
        drop(half);
        stage.scan("idle");
        let tampered = stage.read(&format!("{name}.tampered"));
        let mut refused = reader(stage, &tampered);
        refused.copy_to(&mut std::io::sink()).unwrap_err();
        stage.scan("idle body");
        drop(refused);
        stage.scan("idle");
    }
}
