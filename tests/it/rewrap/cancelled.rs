//! Every rewrapping call is dropped at every poll: nothing is lost, left behind or locked.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use kuvert::provider::KeyProvider;
use kuvert::{Kuvert, Layout, Rewrap, RewrapOutcome, RewrapReport, SealOptions};

use super::stage::{holder, keys, opens, sealed};
use crate::support::cancel::{cancel_at_every_poll, wait};
use crate::support::fixture::{context, text};
use crate::support::providers::Scripted;

fn slow(id: &str) -> Arc<dyn KeyProvider> {
    Arc::new(Scripted::new(keys(&[id])).yielding(2))
}

fn rewrap() -> Rewrap {
    Kuvert::from_arc(slow("a")).rewrap_to_arc(slow("b"))
}

struct Stage {
    folder: tempfile::TempDir,
    message: Vec<u8>,
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Stage {
    fn new(layout: Layout) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let message = sealed(layout, "a", &text(100));
        fs::write(folder.path().join("backup"), &message).unwrap();
        let sealing = holder(&["a"]).with_seal_options(SealOptions::default().with_layout(Layout::Detached));
        let sealer = wait(sealing.sealer(&context())).unwrap();
        let header = sealer.header().to_vec();
        let (body, _) = sealer.into_writer(Vec::new()).finish().unwrap();
        fs::write(folder.path().join("header"), &header).unwrap();
        fs::write(folder.path().join("body"), &body).unwrap();
        Self { folder, message, header, body }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn assert_untouched(&self, k: usize) {
        let read = |name: &str| fs::read(self.path(name)).unwrap();
        assert!(read("backup") == self.message && read("header") == self.header, "after {k} polls");
        assert!(read("body") == self.body);
        assert_eq!(
            fs::read_dir(self.folder.path()).unwrap().count(),
            3,
            "after {k} polls: something is left"
        );
    }
}

fn done(polls: usize, report: &RewrapReport) {
    assert!(polls > 10, "only {polls} polls: the providers did not yield");
    assert_eq!((report.outcome, report.generation), (RewrapOutcome::Rewrapped, 2));
}

#[test]
fn every_call_at_every_poll() {
    for layout in [Layout::Rewrappable, Layout::Compact] {
        let context = context();
        let (stage, rewrap) = (Stage::new(layout), rewrap());
        let (polls, result) = cancel_at_every_poll(
            || Box::pin(rewrap.file(stage.path("backup"), &context)),
            |k| {
                stage.assert_untouched(k);
                // The lock went with the future: another one gets in, and sees the keys it needs first.
                let probe = holder(&["a"]).rewrap_to(keys(&["a"]));
                let report = wait(probe.file(stage.path("backup"), &context)).expect("not locked");
                assert_eq!(report.outcome, RewrapOutcome::Unchanged);
            },
        );
        done(polls, &result.unwrap());
        assert!(opens("b", &fs::read(stage.path("backup")).unwrap()).is_ok());

        let stage = Stage::new(layout);
        let (polls, result) = cancel_at_every_poll(
            || Box::pin(rewrap.file_to(stage.path("backup"), stage.path("new"), &context)),
            |k| stage.assert_untouched(k),
        );
        done(polls, &result.unwrap());

        let stage = Stage::new(layout);
        let (polls, result) = cancel_at_every_poll(
            || Box::pin(rewrap.detached_file(stage.path("header"), stage.path("body"), &context)),
            |k| stage.assert_untouched(k),
        );
        done(polls, &result.unwrap());

        let start = stage.body[..56].try_into().unwrap();
        for (polls, result) in [
            cancel_at_every_poll(|| Box::pin(rewrap.message(&stage.message, &context)), |_| {}),
            cancel_at_every_poll(|| Box::pin(rewrap.detached(&stage.header, start, &context)), |_| {}),
        ] {
            done(polls, &result.unwrap().1);
        }
    }
    let (_, envelope) = wait(holder(&["a"]).new_record_key(&context())).unwrap();
    let (rewrap, context) = (rewrap(), context());
    let (polls, result) = cancel_at_every_poll(|| Box::pin(rewrap.envelope(&envelope, &context)), |_| {});
    done(polls, &result.unwrap().1);
}

/// Dropped in the middle of a list: what is done is done, and the rest is untouched.
#[test]
fn many_files_at_every_poll() {
    let context = context();
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..3).map(|n| folder.path().join(format!("{n}"))).collect();
    let message = sealed(Layout::Rewrappable, "a", &text(100));
    let reset = || paths.iter().for_each(|path| fs::write(path, &message).unwrap());
    reset();
    let rewrap = rewrap();
    let mut numbers = std::collections::BTreeSet::new();
    let (_, summary) = cancel_at_every_poll(
        || Box::pin(rewrap.files(&paths, &context, |_, _| std::ops::ControlFlow::Continue(()))),
        |k| {
            let done = paths.iter().take_while(|path| opens("b", &fs::read(path).unwrap()).is_ok()).count();
            assert!(paths[done..].iter().all(|path| fs::read(path).unwrap() == message), "after {k} polls");
            numbers.insert(done);
            reset();
        },
    );
    assert_eq!((summary.rewrapped, summary.failed), (3, 0));
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
}

/// Send, so that a multi-threaded runtime takes them.
#[test]
fn the_futures_are_send() {
    fn send<T: Send>(_: &T) {}
    let (rewrap, context) = (rewrap(), context());
    send(&rewrap.file("nowhere", &context));
    send(&rewrap.file_to("nowhere", "there", &context));
    send(&rewrap.detached_file("nowhere", "there", &context));
    send(&rewrap.message(b"", &context));
    send(&rewrap.envelope(b"", &context));
    send(&rewrap.files(["nowhere"], &context, |_, _| std::ops::ControlFlow::Continue(())));
}
