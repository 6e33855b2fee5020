//! Messages under a subject's key: they open by the reference in their header, and end with the subject.

use std::io::{Read, Write};

use super::stage::{Play, ready};
use crate::{
    error::{Category, OpenError, RecordError, SubjectError},
    format::context::EncryptionContext,
    front::{Kuvert, MessageStart},
};

fn context() -> EncryptionContext {
    EncryptionContext::new([("document", "cv")]).unwrap()
}

#[test]
fn a_message_opens_in_its_scope_and_nowhere_else() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let message = ready(scope.subject("anna").seal_message(b"her cv", &context())).unwrap();
    for subjects in [&play.subjects, &play.another()] {
        let scope = subjects.scope("tenant");
        assert_eq!(ready(scope.open_message(&message, &context())).unwrap().as_slice(), b"her cv");
        let refused = ready(subjects.scope("other").open_message(&message, &context())).unwrap_err();
        assert!(matches!(refused, SubjectError::Key(RecordError::OtherOwner { .. })));
        let wrong = ready(scope.open_message(&message, &EncryptionContext::empty())).unwrap_err();
        assert_eq!(wrong.category(), Category::WrongContext);
    }
    let mut changed = message.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert_eq!(ready(scope.open_message(&changed, &context())).unwrap_err().category(), Category::Tampered);
    let cut = ready(scope.open_message(&message[..40], &context())).unwrap_err();
    assert!(matches!(cut, SubjectError::Open(OpenError::Truncated(_))));
}

#[test]
fn a_stream_of_any_length() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let mut writer = ready(scope.subject("anna").sealer(&context())).unwrap().into_writer(Vec::new());
    writer.write_all(&[7; 100_000]).unwrap();
    let (message, _) = writer.finish().unwrap();
    let mut source = message.as_slice();
    let start = MessageStart::read(&mut source).unwrap();
    let mut plaintext = Vec::new();
    let mut reader = ready(scope.opener(start, &context())).unwrap().into_reader(source);
    reader.read_to_end(&mut plaintext).unwrap();
    assert_eq!(plaintext, [7; 100_000]);
}

#[test]
fn an_erasure_is_told_as_one() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let message = ready(scope.subject("anna").seal_message(b"her cv", &context())).unwrap();
    play.bury(&scope.subject("anna"));
    let process = play.another();
    let scope = process.scope("tenant");
    let refused = ready(scope.open_message(&message, &context())).unwrap_err();
    assert!(matches!(refused, SubjectError::Key(RecordError::Erased { since: Some(_), .. })));
    let refused = ready(scope.subject("anna").seal_message(b"x", &context())).unwrap_err();
    assert!(matches!(refused, SubjectError::Key(RecordError::NameErased)));
}

#[test]
fn other_messages_and_unknown_keys_are_not_to_be_had() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let calls = play.stage.all_calls();
    let plain = ready(Kuvert::from_arc(play.keys.clone()).seal(b"x", &context())).unwrap();
    let refused = ready(scope.open_message(&plain, &context())).unwrap_err();
    assert!(matches!(refused, SubjectError::Open(OpenError::KeyUnavailable(_))));
    assert_eq!(play.stage.all_calls(), calls);
    let other = Play::new();
    let message =
        ready(other.subjects.scope("tenant").subject("anna").seal_message(b"x", &context())).unwrap();
    let refused = ready(scope.open_message(&message, &context())).unwrap_err();
    assert!(matches!(refused, SubjectError::Key(RecordError::KeyUnavailable { .. })));
    assert_eq!(refused.category().exit_status(), 6);
}

#[test]
fn versions_and_names_that_cannot_be_ones() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let old = ready(scope.subject("anna").seal_message(b"old", &context())).unwrap();
    ready(scope.subject("anna").rotate()).unwrap();
    let new = ready(scope.subject("anna").seal_message(b"new", &context())).unwrap();
    for (message, expected) in [(&old, b"old"), (&new, b"new")] {
        assert_eq!(ready(scope.open_message(message, &context())).unwrap().as_slice(), expected);
    }
    let refused = ready(scope.subject("").seal_message(b"x", &context())).unwrap_err();
    assert_eq!(refused.category(), Category::Usage);
}
