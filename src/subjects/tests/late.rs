//! Whoever asked before an erasure and goes on after it: in every gap of every call, nothing of hers opens any more.

use std::{pin::pin, sync::Arc, task::Poll};

use async_trait::async_trait;

use super::stage::{Play, cell, poll, ready, text};
use crate::{
    error::{KeyStoreErrorKind, RecordError, SubjectError},
    format::context::EncryptionContext,
    keystore::JointEnds,
    subjects::{
        AccessRequest, Authorizer, Denied, Scope, Sealed, Subject,
        testing::{Crashing, House, pause},
    },
};

/// Takes its time, and says yes.
#[derive(Debug)]
struct Slow;

#[async_trait]
impl Authorizer for Slow {
    async fn authorize(&self, _: &AccessRequest<'_>) -> Result<(), Denied> {
        pause().await;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Open,
    OpenAsHers,
    OpenMany,
    OpenMessage,
    Seal,
    SealMany,
    SealFirst,
    SealMessage,
    Rotate,
}

/// A person with a record and a message, and another handle over her store, whose calls wait.
struct Scene {
    scope: Scope,
    name: &'static str,
    sealed: Sealed<String>,
    message: Vec<u8>,
}

impl Scene {
    fn new(call: Call, is_watched: bool, room: usize) -> Self {
        let house = House::new();
        let (scope, context) = (house.scope(), EncryptionContext::empty());
        let sealed = ready(scope.subject("anna").seal("x", cell(1))).unwrap();
        let message = ready(scope.subject("anna").seal_message(b"x", &context)).unwrap();
        // Without room, a key that was looked up is on no list of what has to be revoked.
        let mut options = house.options().with_max_entries(room);
        if is_watched {
            options = options.with_authorizer(Arc::new(Slow));
        }
        let slow = house.open_with(Crashing::new(&house.store), options);
        let name = if call == Call::SealFirst { "new" } else { "anna" };
        Self { scope: slow.scope("tenant-7"), name, sealed, message }
    }

    fn her(&self) -> Subject<'_> {
        self.scope.subject(self.name)
    }

    async fn go(&self, call: Call) -> Result<(), RecordError> {
        let (scope, her, sealed, context) =
            (&self.scope, self.her(), &self.sealed, EncryptionContext::empty());
        match call {
            Call::Open => scope.open(sealed, cell(1)).await.map(drop),
            Call::OpenAsHers => her.open(sealed, cell(1)).await.map(drop),
            Call::OpenMany => scope.open_many([(sealed, cell(1))]).await?.remove(0).map(drop),
            Call::OpenMessage => key_error(scope.open_message(&self.message, &context).await.map(drop)),
            Call::Seal | Call::SealFirst => her.seal("y", cell(1)).await.map(drop),
            Call::SealMany => her.seal_many([("y", cell(1))]).await?.remove(0).map(drop),
            Call::SealMessage => key_error(her.seal_message(b"y", &context).await.map(drop)),
            Call::Rotate => her.rotate().await.map(drop),
        }
    }

    /// Lets the call wait so often, and erases her. Gives what the call gave, if it was over before.
    fn erased_at(&self, gap: usize, call: Call) -> Option<Result<(), RecordError>> {
        let mut going = pin!(self.go(call));
        for _ in 0..gap {
            if let Poll::Ready(result) = poll(going.as_mut()) {
                return Some(result);
            }
        }
        ready(self.scope.erase(&self.her(), "r")).unwrap();
        match ready(going) {
            // The new version was there before the erasure, and is ended by it.
            Ok(()) => assert_eq!(call, Call::Rotate, "it went on after the erasure, at {gap}"),
            Err(RecordError::Erased { .. } | RecordError::NameErased) => {}
            Err(error) => panic!("{call:?} at {gap}: {error}"),
        }
        None
    }
}

/// Stops one call at every place where it waits, erases her there by the same handle, and lets it go on.
fn erased_in_every_gap_of(call: Call, is_watched: bool, room: usize) {
    for gap in 0.. {
        let scene = Scene::new(call, is_watched, room);
        if let Some(result) = scene.erased_at(gap, call) {
            result.unwrap();
            assert!(gap > 2, "{call:?}: {gap}");
            return;
        }
        // And what it had in hand is at hand for nobody.
        let refused = ready(scene.her().seal("z", cell(1))).map(drop);
        assert!(matches!(refused, Err(RecordError::NameErased)), "{call:?} at {gap}: {refused:?}");
        if call != Call::SealFirst {
            let opened = text(ready(scene.scope.open(&scene.sealed, cell(1))));
            assert!(matches!(opened, Err(RecordError::Erased { .. })), "{call:?} at {gap}: {opened:?}");
        }
    }
}

fn key_error(result: Result<(), SubjectError>) -> Result<(), RecordError> {
    match result {
        Err(SubjectError::Key(error)) => Err(error),
        other => {
            other.unwrap();
            Ok(())
        }
    }
}

#[test]
fn an_answer_from_before_an_erasure_opens_nothing_after_it() {
    for call in [Call::Open, Call::OpenAsHers, Call::OpenMany, Call::OpenMessage] {
        for (is_watched, room) in [(false, 100), (true, 100), (false, 0), (true, 0)] {
            erased_in_every_gap_of(call, is_watched, room);
        }
    }
}

#[test]
fn an_answer_from_before_an_erasure_seals_nothing_after_it() {
    for call in [Call::Seal, Call::SealMany, Call::SealFirst, Call::SealMessage, Call::Rotate] {
        for (is_watched, room) in [(false, 100), (true, 100), (false, 0), (true, 0)] {
            erased_in_every_gap_of(call, is_watched, room);
        }
    }
}

#[test]
fn whoever_erases_somebody_that_others_have_erased_forgets_her_too() {
    let house = House::new();
    let (here, there) = (house.scope(), house.again().scope("tenant-7"));
    let hers: Sealed<String> = ready(here.subject("anna").seal("x", cell(1))).unwrap();
    let joint = here.joint(["anna", "bo"], JointEnds::WithTheFirst);
    let both: Sealed<String> = ready(joint.seal("x", cell(1))).unwrap();
    for sealed in [&hers, &both] {
        text(ready(there.open(sealed, cell(1)))).unwrap();
    }
    ready(here.erase(&here.subject("anna"), "r")).unwrap();
    let receipt = ready(there.erase(&there.subject("anna"), "r")).unwrap();
    assert!(receipt.was_erased_before);
    for sealed in [&hers, &both] {
        let opened = text(ready(there.open(sealed, cell(1))));
        assert!(matches!(opened, Err(RecordError::Erased { .. })), "{opened:?}");
    }
}

#[test]
fn a_batch_uses_each_of_its_keys_once() {
    let house = House::new();
    let sealed: Sealed<String> = ready(house.scope().subject("anna").seal("x", cell(1))).unwrap();
    let options = house.options().with_max_uses(2);
    let subjects = house.open_with(Crashing::new(&house.store), options);
    let scope = subjects.scope("tenant-7");
    for misses in [1, 1, 2, 2, 3] {
        let page = ready(scope.open_many([(&sealed, cell(1)), (&sealed, cell(1))])).unwrap();
        assert!(page.into_iter().all(|opened| text(opened).unwrap() == "x"));
        assert_eq!(subjects.cache_stats().misses, misses);
    }
}

/// What a reader kept from being wiped has no row any more, and is not forgotten all the same.
#[test]
fn an_erasure_is_over_when_the_bytes_are_gone_and_not_before() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    ready(scope.subject("anna").seal("x", cell(1))).unwrap();
    play.stage.keep_bytes(3);
    for attempt in 0..3 {
        let erased = ready(scope.erase(&scope.subject("anna"), "r")).map(drop);
        let is_busy = |error: &SubjectError| matches!(error, SubjectError::Store(store) if store.kind == KeyStoreErrorKind::Busy);
        assert!(erased.as_ref().is_err_and(is_busy), "{attempt}: {erased:?}");
        assert_eq!(ready(play.subjects.verify_receipts()).unwrap().unusable, 0, "{attempt}");
    }
    let receipt = ready(scope.erase(&scope.subject("anna"), "r")).unwrap();
    assert!(receipt.unusable.is_some() && receipt.keys.len() == 1);
}
