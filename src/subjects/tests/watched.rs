//! Who is asked before something is done, and who is told of it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::stage::{Play, cell, poll_some, ready, seal, text};
use crate::{
    error::{Category, RecordError, SubjectError},
    format::context::EncryptionContext,
    keystore::Pseudonym,
    observe::{CacheState, Event, Observer, Operation, Outcome},
    subjects::{AccessRequest, Authorizer, Denied, SubjectsOptions},
};

/// The operation, the caller, and whether a subject and a reference were known.
type Asked = (Operation, Option<String>, bool, bool);

/// Denies by purpose or by subject, and writes down what it was asked.
#[derive(Debug, Default)]
struct Guard {
    denied: Mutex<Vec<Pseudonym>>,
    asked: Mutex<Vec<Asked>>,
}

#[async_trait]
impl Authorizer for Guard {
    async fn authorize(&self, request: &AccessRequest<'_>) -> Result<(), Denied> {
        assert_eq!(request.scope, "tenant");
        let (subject, reference) = (request.subject.is_some(), request.reference.is_some());
        let caller = request.caller.map(str::to_owned);
        self.asked.lock().unwrap().push((request.operation, caller, subject, reference));
        if request.purpose == Some("curiosity") {
            return Err(Denied::new("no purpose"));
        }
        match request.subject {
            Some(subject) if self.denied.lock().unwrap().contains(&subject) => {
                Err(Denied::new("not this one"))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
struct Log(Mutex<Vec<Told>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    operation: Operation,
    outcome: Outcome,
    cache: CacheState,
    subject: Option<String>,
    purpose: Option<String>,
    key: Option<String>,
}

impl Observer for Log {
    fn event(&self, event: &Event<'_>) {
        assert_eq!(event.provider, "stage");
        self.0.lock().unwrap().push(Told {
            operation: event.operation,
            outcome: event.outcome,
            cache: event.cache,
            subject: event.subject.map(str::to_owned),
            purpose: event.purpose.map(str::to_owned),
            key: event.key_id.map(str::to_owned),
        });
    }
}

impl Log {
    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn a_denial_costs_no_call() {
    let guard = Arc::new(Guard::default());
    let play = Play::with(SubjectsOptions::default().with_authorizer(guard.clone()));
    let scope = play.subjects.scope("tenant").with_caller("billing").with_purpose("invoicing");
    let sealed = seal(&scope.subject("anna"), "x");
    let message = ready(scope.subject("anna").seal_message(b"x", &EncryptionContext::empty())).unwrap();
    play.subjects.clear_cache();
    let calls = play.stage.all_calls();
    let scope = scope.with_purpose("curiosity");
    let (anna, context) = (scope.subject("anna"), EncryptionContext::empty());
    let denied: Vec<RecordError> = vec![
        text(ready(scope.open(&sealed, cell(1)))).unwrap_err(),
        text(ready(anna.open(&sealed, cell(1)))).unwrap_err(),
        ready(anna.seal("x", cell(1))).unwrap_err(),
        ready(anna.rotate()).unwrap_err(),
        ready(scope.open_many([(&sealed, cell(1))])).unwrap().remove(0).map(drop).unwrap_err(),
        ready(anna.seal_many([("x", cell(1))])).unwrap().remove(0).map(drop).unwrap_err(),
        record_error(ready(scope.open_message(&message, &context)).map(drop)),
        record_error(ready(anna.seal_message(b"x", &context)).map(drop)),
    ];
    for error in denied {
        assert!(matches!(error, RecordError::Denied("no purpose")), "{error}");
        assert_eq!(error.category(), Category::Refused);
    }
    assert_eq!(play.stage.all_calls(), calls);
    let asked = guard.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|(_, caller, ..)| caller.as_deref() == Some("billing")));
    // By name the subject is known at once; by reference the reference.
    assert!(asked.iter().all(|(operation, _, subject, reference)| match operation {
        Operation::SealRecord | Operation::SealMessage | Operation::Rotate => *subject && !reference,
        _ => *reference,
    }));
}

fn record_error(result: Result<(), SubjectError>) -> RecordError {
    match result {
        Err(SubjectError::Key(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_who_is_denied_by_subject_is_asked_again_when_it_is_known() {
    let guard = Arc::new(Guard::default());
    let play = Play::with(SubjectsOptions::default().with_authorizer(guard.clone()));
    let scope = play.subjects.scope("tenant");
    let [anna, bo] = ["anna", "bo"].map(|name| seal(&scope.subject(name), name));
    guard.denied.lock().unwrap().push(scope.subject("anna").pseudonym().unwrap());
    for _ in 0..2 {
        let denied = text(ready(scope.open(&anna, cell(1))));
        assert!(matches!(denied, Err(RecordError::Denied("not this one"))));
        assert_eq!(text(ready(scope.open(&bo, cell(1)))).unwrap(), "bo");
        let page = ready(scope.open_many([(&anna, cell(1)), (&bo, cell(1))])).unwrap();
        assert_eq!(page.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
        play.subjects.clear_cache();
    }
    let calls = play.stage.all_calls();
    let denied = text(ready(scope.subject("anna").open(&anna, cell(1))));
    assert!(matches!(denied, Err(RecordError::Denied(_))));
    assert_eq!(play.stage.all_calls(), calls, "known by name: no call");
}

#[test]
fn everything_is_told_once() {
    let log = Arc::new(Log::default());
    let play = Play::with(SubjectsOptions::default().with_observer(log.clone()));
    let scope = play.subjects.scope("tenant").with_purpose("support");
    let sealed = seal(&scope.subject("anna"), "x");
    let pseudonym = scope.subject("anna").pseudonym().unwrap();
    let anna: String = pseudonym.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("{:016x}", sealed.claimed_reference().unwrap());
    let told = |operation, outcome, cache| Told {
        operation,
        outcome,
        cache,
        subject: Some(anna.clone()),
        purpose: Some("support".to_owned()),
        key: Some(key.clone()),
    };
    assert_eq!(log.take(), [told(Operation::SealRecord, Outcome::Ok, CacheState::Miss)]);
    seal(&scope.subject("anna"), "x");
    assert_eq!(log.take(), [told(Operation::SealRecord, Outcome::Ok, CacheState::Hit)]);
    text(ready(scope.open(&sealed, cell(1)))).unwrap();
    text(ready(scope.open(&sealed, cell(2)))).unwrap_err();
    let tampered = Outcome::Refused(Category::Tampered);
    assert_eq!(
        log.take(),
        [
            told(Operation::OpenRecord, Outcome::Ok, CacheState::Hit),
            told(Operation::OpenRecord, tampered, CacheState::Hit)
        ]
    );
    let plain = crate::subjects::Sealed::<String>::from_bytes(b"plain".to_vec());
    ready(scope.open(&plain, cell(1))).unwrap_err();
    let [none] = log.take().try_into().unwrap();
    assert_eq!((none.outcome, none.subject, none.key), (Outcome::Refused(Category::Malformed), None, None));
    play.subjects.clear_cache();
    ready(scope.open_many([(&sealed, cell(1)), (&sealed, cell(2))])).unwrap();
    assert_eq!(
        log.take(),
        [
            told(Operation::OpenRecord, Outcome::Ok, CacheState::Miss),
            told(Operation::OpenRecord, tampered, CacheState::Miss)
        ]
    );
}

#[test]
fn messages_and_rotations_are_told() {
    let log = Arc::new(Log::default());
    let play = Play::with(SubjectsOptions::default().with_observer(log.clone()));
    let scope = play.subjects.scope("tenant");
    let context = EncryptionContext::empty();
    let message = ready(scope.subject("anna").seal_message(b"x", &context)).unwrap();
    ready(scope.open_message(&message, &context)).unwrap();
    let [sealing, opening] = log.take().try_into().unwrap();
    assert_eq!((sealing.operation, sealing.outcome), (Operation::SealMessage, Outcome::Ok));
    assert_eq!((opening.operation, opening.outcome), (Operation::OpenMessage, Outcome::Ok));
    assert_eq!((sealing.cache, opening.cache), (CacheState::Miss, CacheState::Hit));
    assert_eq!((&sealing.subject, &sealing.key), (&opening.subject, &opening.key));
    assert!(sealing.subject.is_some() && sealing.key.is_some());
    ready(scope.subject("anna").rotate()).unwrap();
    assert_eq!(log.take()[0].operation, Operation::Rotate);
}

#[test]
fn whoever_does_not_wait_is_told_of_too() {
    let log = Arc::new(Log::default());
    let play = Play::with(SubjectsOptions::default().with_observer(log.clone()));
    let scope = play.subjects.scope("tenant");
    play.stage.wait(3);
    assert!(poll_some(scope.subject("anna").seal("x", cell(1)), 2).is_none());
    let told = log.take();
    assert_eq!(told.iter().map(|told| told.outcome).collect::<Vec<_>>(), [Outcome::Abandoned]);
}

/// What is told of an erasure is how it ended, not that it was allowed.
#[test]
fn an_erasure_that_was_not_done_is_not_told_as_done() {
    let log = Arc::new(Log::default());
    let play = Play::with(SubjectsOptions::default().with_observer(log.clone()));
    let scope = play.subjects.scope("tenant");
    let anna = scope.subject("anna");
    seal(&anna, "x");
    ready(scope.hold(&anna, "case")).unwrap();
    let outcomes =
        |log: &Log| log.take().into_iter().map(|told| (told.operation, told.outcome)).collect::<Vec<_>>();
    outcomes(&log);
    ready(scope.erase(&anna, "r")).unwrap_err();
    assert_eq!(outcomes(&log), [(Operation::Erase, Outcome::Refused(Category::Refused))]);
    ready(scope.release(&anna, "case")).unwrap();
    play.stage.fail(Some(crate::error::KeyStoreErrorKind::Unavailable));
    ready(scope.erase(&anna, "r")).unwrap_err();
    play.stage.fail(None);
    ready(scope.erase(&anna, "r")).unwrap();
    let expected = [
        (Operation::Release, Outcome::Ok),
        (Operation::Erase, Outcome::Refused(Category::Io)),
        (Operation::Erase, Outcome::Ok),
    ];
    assert_eq!(outcomes(&log), expected);
}
