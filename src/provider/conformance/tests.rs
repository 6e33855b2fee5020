//! The suite over the built-in provider, and over one with every fault a clause is there to find.

use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::SystemTime;

use async_trait::async_trait;

use super::*;
use crate::clock::Clock as _;
use crate::crypto::kdf;
use crate::error::ProviderError;
use crate::executor::block_on;
use crate::format::stanza::RecipientType;
use crate::provider::answers::{UnwrapAnswer, UnwrapAnswers, one_by_one};
use crate::provider::{GeneratedKey, Health, KeyCustodian, KeyInfo, MemoryProvider, ProviderInfo};
use crate::secret::DataKey;

/// AES-KWP, made by another program, of 31 and of 33 bytes 5a under the key of 32 bytes 01.
const KWP_OF_31: &str = "6a3fe1bb46294945db47fdcc9c4d176837af030e836dd61849670b9bb44b27c3b16d78bbfe0e120f";
const KWP_OF_33: &str =
    "2d77af6e16464da8854bd37f5002bad80a24a563435d39e7e5c3769ecf718f43047937b749899bc5c7192b1db71db94c";
const TYPE: RecipientType = RecipientType(0x8001);
const DEADLINE: Duration = Duration::from_secs(5);

fn from_hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn memory(id: &str, byte: u8) -> MemoryProvider {
    MemoryProvider::from_keys([(id, [byte; 32])]).unwrap()
}

fn clauses(report: &Report) -> Vec<Clause> {
    report.failures().iter().map(Failure::clause).collect()
}

#[test]
fn the_memory_provider_keeps_the_contract() {
    let provider = memory("k", 1);
    let (stranger, impostor) = (memory("other", 1), memory("k", 2));
    let mut suite = Conformance::new(&provider)
        .with_stranger(&stranger)
        .with_impostor(&impostor)
        .with_custodian(&provider, "created")
        .with_secret([1; 32])
        .with_threads(4);
    for wrap in [KWP_OF_31, KWP_OF_33] {
        suite = suite.with_wrong_length(Recipient::new(RecipientType::AES_KWP, "k", [], from_hex(wrap)));
    }
    let report = block_on(suite.run()).unwrap().into_result().unwrap();
    let skipped: Vec<_> = report.skipped().iter().map(|(clause, _)| *clause).collect();
    assert_eq!(skipped, [Clause::Context, Clause::Failing, Clause::Slow, Clause::Hung]);
    assert_eq!(report.passed().len() + skipped.len(), Clause::ALL.len());
}

#[test]
fn pointers_keep_the_contract_of_what_they_point_to() {
    let (shared, boxed) = (std::sync::Arc::new(memory("k", 1)), Box::new(memory("k", 1)));
    for provider in [&shared as &dyn KeyProvider, &boxed] {
        let report = block_on(Conformance::new(provider).with_callers(10).run()).unwrap();
        assert!(report.is_conformant(), "{report}");
    }
}

/// What is wrong with a [`Sample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    SealsWithNothing,
    DescribesAnew,
    SaysIllHealth,
    FailsCheck,
    GeneratesTheSameKey,
    GeneratesAnotherKeyThanItWraps,
    WrapsForNobody,
    WrapsForAnUnknownKey,
    WrapsTooLong,
    UnwrapsAnotherKey,
    DeniesItsOwn,
    StripsZeros,
    ClaimsEverything,
    ComparesIdsByTheirStart,
    IgnoresTheType,
    UnwrapsUnderAnyKey,
    CallsAWrongKeyNotMine,
    CallsDamageDenied,
    IgnoresTheLastByte,
    IgnoresWhatFollows,
    IgnoresTheContext,
    PadsShortKeys,
    StaysLockedWhenDropped,
    FailsWhenDropped,
    MixesCallersUp,
    ShowsItsKeyInDebug,
    ShowsTheDataKeyInErrors,
    ShowsTheContextInErrors,
    CannotUnwrapButSaysItCan,
    TriesTooMany,
    AnswersTwice,
    AnswersAboutNothing,
    StopsAtDamage,
    FindsNothing,
}

/// A provider that binds its context and awaits something in every call, with one bug.
struct Sample {
    inner: MemoryProvider,
    bug: Bug,
    busy: AtomicBool,
    calls: AtomicUsize,
    last: Mutex<Option<DataKey>>,
}

impl Sample {
    fn new(id: &str, byte: u8, bug: Bug) -> Self {
        let (busy, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { inner: memory(id, byte), bug, busy, calls, last: Mutex::new(None) }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    /// Yields twice, as a call over a network would, and breaks what a dropped future may break.
    async fn travel(&self) -> Result<(), ProviderError> {
        let breaks = self.has(Bug::StaysLockedWhenDropped) || self.has(Bug::FailsWhenDropped);
        if breaks && self.busy.swap(true, Ordering::SeqCst) {
            if self.has(Bug::FailsWhenDropped) {
                return Err(error(ProviderErrorKind::Unavailable));
            }
            std::future::pending::<()>().await;
        }
        yields(2).await;
        self.busy.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn rejected(&self, context: &WrapContext) -> ProviderError {
        let rejected = error(ProviderErrorKind::Rejected);
        match self.bug {
            Bug::CallsDamageDenied => error(ProviderErrorKind::AccessDenied),
            Bug::ShowsTheDataKeyInErrors => {
                let key = DataKey::copy_from(&clauses::KEY);
                let numbers: Vec<u8> = key.expose_bytes().to_vec();
                rejected.with_source(std::io::Error::other(format!("key {numbers:?}")))
            }
            Bug::ShowsTheContextInErrors => {
                rejected.with_source(format!("context {:?}", context.value("tenant").unwrap()))
            }
            _ => rejected,
        }
    }
}

fn error(kind: ProviderErrorKind) -> ProviderError {
    ProviderError::new(kind, "sample")
}

async fn yields(times: usize) {
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn binding(context: &WrapContext) -> [u8; 32] {
    let values: Vec<&[u8]> = context.names().map(|name| context.value(name).unwrap().as_bytes()).collect();
    kdf::sha256(&values)
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.has(Bug::ShowsItsKeyInDebug) { &[1; 32][..] } else { &[] };
        f.debug_struct("Sample").field("key", &key).finish()
    }
}

#[async_trait]
impl KeyProvider for Sample {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.travel().await?;
        if self.has(Bug::WrapsForNobody) {
            return Ok(Vec::new());
        }
        let mut wrapped = self.inner.wrap_data_key(key, context).await?;
        let own = wrapped.remove(0);
        if self.has(Bug::WrapsTooLong) {
            let wrap = vec![0; crate::limits::MAX_WRAP_LEN + 1];
            return Ok(vec![Recipient::new(TYPE, own.id(), own.params(), wrap)]);
        }
        let id = if self.has(Bug::WrapsForAnUnknownKey) { b"unknown" } else { own.id() };
        Ok(vec![Recipient::new(TYPE, id, own.params(), [own.wrap(), &binding(context)].concat())])
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        let mut key = DataKey::try_filled_by(|bytes| crate::crypto::random::fill(bytes)).unwrap();
        if self.has(Bug::GeneratesTheSameKey) {
            key = DataKey::copy_from(&[9; 32]);
        }
        if self.has(Bug::MixesCallersUp) {
            *self.last.lock().unwrap() = Some(DataKey::copy_from(key.expose_bytes()));
        }
        let recipients = self.wrap_data_key(&key, context).await?;
        if let Some(last) = self.last.lock().unwrap().as_ref() {
            key = DataKey::copy_from(last.expose_bytes());
        }
        if self.has(Bug::GeneratesAnotherKeyThanItWraps) {
            key = DataKey::try_filled_by(|bytes| crate::crypto::random::fill(bytes)).unwrap();
        }
        Ok(GeneratedKey { key, recipients })
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let id = self.inner.describe().keys[0].id.clone();
        let is_mine = match self.bug {
            Bug::ClaimsEverything => true,
            Bug::ComparesIdsByTheirStart => {
                recipient.recipient_type() == TYPE && recipient.id().starts_with(id.as_bytes())
            }
            Bug::IgnoresTheType => recipient.id() == id.as_bytes(),
            Bug::DeniesItsOwn | Bug::CannotUnwrapButSaysItCan => false,
            _ => recipient.recipient_type() == TYPE && recipient.id() == id.as_bytes(),
        };
        if !is_mine {
            return Ok(None);
        }
        self.travel().await?;
        let wrap = match (self.bug, recipient.wrap().len()) {
            (Bug::IgnoresWhatFollows, 72..) => &recipient.wrap()[..72],
            (_, 72) => recipient.wrap(),
            _ => return Err(self.rejected(context)),
        };
        let (wrap, bound) = wrap.split_at(40);
        let checked = if self.has(Bug::IgnoresTheLastByte) { 31 } else { 32 };
        if !self.has(Bug::IgnoresTheContext) && bound[..checked] != binding(context)[..checked] {
            return Err(self.rejected(context));
        }
        if self.has(Bug::PadsShortKeys) && wrap == from_hex(KWP_OF_31) {
            return Ok(Some(DataKey::copy_from(&[0x5a; 32])));
        }
        let inside = Recipient::new(RecipientType::AES_KWP, id, Vec::new(), wrap);
        match self.inner.unwrap_data_key(&inside, context).await {
            Ok(Some(_)) if self.has(Bug::UnwrapsAnotherKey) => Ok(Some(DataKey::copy_from(&[3; 32]))),
            Ok(Some(key)) if self.has(Bug::StripsZeros) && key.expose_bytes()[31] == 0 => {
                Ok(Some(DataKey::copy_from(&[3; 32])))
            }
            Err(_) if self.has(Bug::UnwrapsUnderAnyKey) => Ok(Some(DataKey::copy_from(&[3; 32]))),
            Err(_) if self.has(Bug::CallsAWrongKeyNotMine) => Ok(None),
            Err(_) => Err(self.rejected(context)),
            unwrapped => unwrapped,
        }
    }

    async fn unwrap_any(
        &self,
        recipients: &[&Recipient],
        limit: usize,
        context: &WrapContext,
    ) -> UnwrapAnswers {
        let limit = if self.has(Bug::TriesTooMany) { usize::MAX } else { limit };
        let mut answers = one_by_one(self, recipients, limit, context).await;
        match self.bug {
            Bug::AnswersTwice if !recipients.is_empty() => answers.push(0, Ok(None)),
            Bug::AnswersAboutNothing => answers.push(recipients.len(), Ok(None)),
            Bug::StopsAtDamage if answers.iter().any(|(_, a)| matches!(a, UnwrapAnswer::Failed(_))) => {
                let (place, failed) = answers.into_answers().remove(0);
                answers = UnwrapAnswers::new();
                answers.push(place, failed);
                answers.set_final();
            }
            Bug::FindsNothing => answers = UnwrapAnswers::new(),
            _ => {}
        }
        answers
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        match self.bug {
            Bug::SaysIllHealth => Ok(Health::good().with_problem(error(ProviderErrorKind::Throttled))),
            Bug::FailsCheck => Err(error(ProviderErrorKind::Other)),
            _ => Ok(Health::good()),
        }
    }

    fn describe(&self) -> ProviderInfo {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        let id = self.inner.describe().keys[0].id.clone();
        let mut info = ProviderInfo::new("sample").with_context_bound(true);
        if self.has(Bug::DescribesAnew) {
            info = info.with_key(KeyInfo::new(TYPE, format!("key {calls}")));
        }
        info.with_key(KeyInfo::new(TYPE, id).with_sealing(!self.has(Bug::SealsWithNothing)))
    }
}

fn report(bug: Bug) -> Report {
    let provider = Sample::new("k", 1, bug);
    let (stranger, impostor) = (Sample::new("other", 1, Bug::None), Sample::new("k", 2, Bug::None));
    let mut suite = Conformance::new(&provider)
        .with_stranger(&stranger)
        .with_impostor(&impostor)
        .with_secret([1; 32])
        .with_callers(50);
    if bug == Bug::StaysLockedWhenDropped {
        suite = suite.with_patience(Duration::from_millis(100));
    }
    for wrap in [KWP_OF_31, KWP_OF_33] {
        let wrap = [from_hex(wrap), binding(&suite.context).to_vec()].concat();
        suite = suite.with_wrong_length(Recipient::new(TYPE, "k", [], wrap));
    }
    block_on(suite.run()).unwrap()
}

#[test]
fn a_sound_sample_keeps_the_contract() {
    let report = report(Bug::None);
    assert!(report.is_conformant(), "{report}");
    assert_eq!(report.passed().len(), Clause::ALL.len() - 4);
}

#[test]
fn every_bug_is_found_by_the_clause_that_is_there_for_it() {
    use Clause as C;
    let planted = [
        (Bug::SealsWithNothing, C::Describe),
        (Bug::DescribesAnew, C::Describe),
        (Bug::SaysIllHealth, C::Check),
        (Bug::FailsCheck, C::Check),
        (Bug::GeneratesTheSameKey, C::Generate),
        (Bug::GeneratesAnotherKeyThanItWraps, C::Generate),
        (Bug::WrapsForNobody, C::Wrap),
        (Bug::WrapsForAnUnknownKey, C::Wrap),
        (Bug::WrapsTooLong, C::Wrap),
        (Bug::UnwrapsAnotherKey, C::Unwrap),
        (Bug::DeniesItsOwn, C::Unwrap),
        (Bug::CannotUnwrapButSaysItCan, C::Unwrap),
        (Bug::StripsZeros, C::Unwrap),
        (Bug::TriesTooMany, C::UnwrapAny),
        (Bug::AnswersTwice, C::UnwrapAny),
        (Bug::AnswersAboutNothing, C::UnwrapAny),
        (Bug::StopsAtDamage, C::UnwrapAny),
        (Bug::FindsNothing, C::UnwrapAny),
        (Bug::UnwrapsAnotherKey, C::UnwrapAny),
        (Bug::ClaimsEverything, C::UnwrapAny),
        (Bug::ClaimsEverything, C::NotMine),
        (Bug::ComparesIdsByTheirStart, C::NotMine),
        (Bug::IgnoresTheType, C::NotMine),
        (Bug::UnwrapsUnderAnyKey, C::WrongKey),
        (Bug::CallsAWrongKeyNotMine, C::WrongKey),
        (Bug::CallsDamageDenied, C::DamagedWrap),
        (Bug::IgnoresTheLastByte, C::DamagedWrap),
        (Bug::IgnoresWhatFollows, C::DamagedWrap),
        (Bug::IgnoresTheContext, C::Context),
        (Bug::PadsShortKeys, C::WrongLength),
        (Bug::StaysLockedWhenDropped, C::Cancelled),
        (Bug::FailsWhenDropped, C::Cancelled),
        (Bug::MixesCallersUp, C::Concurrent),
        (Bug::ShowsItsKeyInDebug, C::Secrets),
        (Bug::ShowsTheDataKeyInErrors, C::Secrets),
        (Bug::ShowsTheContextInErrors, C::Secrets),
    ];
    for (bug, clause) in planted {
        let report = report(bug);
        assert!(clauses(&report).contains(&clause), "{bug:?} was not found: {report}");
        assert!(report.clone().into_result().is_err() && report.to_string().contains(&format!("{clause:?}")));
    }
}

#[test]
fn a_report_shows_no_secret_of_what_it_tests() {
    for bug in [Bug::ShowsItsKeyInDebug, Bug::ShowsTheDataKeyInErrors, Bug::ShowsTheContextInErrors] {
        let report = report(bug);
        let text = format!("{report} {report:?}");
        assert!(
            !leaks::holds(&text, &[1; 32]) && !leaks::holds(&text, &clauses::KEY) && !text.contains("93ac"),
            "{text}"
        );
    }
}

/// A provider whose backend is late, hangs or fails.
#[derive(Debug)]
struct Backend {
    inner: MemoryProvider,
    clock: TestClock,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    AnswersAfter(Duration),
    GivesUpAfter(Duration, ProviderErrorKind),
    Hangs,
    Fails(ProviderErrorKind),
    FailsUnnoticedByCheck(ProviderErrorKind),
}

impl Backend {
    fn new(fate: Fate) -> Self {
        Self { inner: memory("k", 1), clock: TestClock::new(), fate }
    }

    async fn travel(&self) -> Result<(), ProviderError> {
        match self.fate {
            Fate::AnswersAfter(delay) => self.clock.sleep(delay).await,
            Fate::GivesUpAfter(delay, kind) => {
                self.clock.sleep(delay).await;
                return Err(error(kind));
            }
            Fate::Hangs => std::future::pending().await,
            Fate::Fails(kind) | Fate::FailsUnnoticedByCheck(kind) => return Err(error(kind)),
        }
        Ok(())
    }
}

#[async_trait]
impl KeyProvider for Backend {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.travel().await?;
        self.inner.wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.travel().await?;
        self.inner.unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        if !matches!(self.fate, Fate::FailsUnnoticedByCheck(_)) {
            self.travel().await?;
        }
        self.inner.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

fn with_backend(fate: Fate) -> Vec<Clause> {
    let (provider, backend) = (memory("k", 1), Backend::new(fate));
    let suite = Conformance::new(&provider).with_callers(1);
    let suite = match fate {
        Fate::AnswersAfter(_) => suite.with_slow(&backend, backend.clock.clone()),
        Fate::Hangs | Fate::GivesUpAfter(..) => suite.with_hung(&backend, backend.clock.clone(), DEADLINE),
        Fate::Fails(_) | Fate::FailsUnnoticedByCheck(_) => {
            suite.with_failing(&backend, ProviderErrorKind::Disabled)
        }
    };
    clauses(&block_on(suite.run()).unwrap())
}

/// A custodian that does not do what it says.
#[derive(Debug)]
struct Careless(MemoryProvider, &'static str);

#[async_trait]
impl KeyCustodian for Careless {
    async fn create_wrapping_key(&self, name: &str) -> Result<String, ProviderError> {
        match self.1 {
            "gives no id" => Ok(String::new()),
            "cannot create" => Err(error(ProviderErrorKind::AccessDenied)),
            _ => self.0.create_wrapping_key(name).await,
        }
    }

    async fn schedule_destruction(&self, id: &str) -> Result<SystemTime, ProviderError> {
        match self.1 {
            "keeps all keys" => Ok(SystemTime::now()),
            "keeps the key that seals" if id == "k" => Ok(SystemTime::now()),
            "says another kind" if id.ends_with("never-was") => Err(error(ProviderErrorKind::Other)),
            "destroys what never was" if id.ends_with("never-was") => Ok(SystemTime::now()),
            "cannot destroy" => Err(error(ProviderErrorKind::AccessDenied)),
            _ => self.0.schedule_destruction(id).await,
        }
    }
}

#[test]
fn custodians_that_destroy_nothing_are_found() {
    let run = |bug| {
        let custodian = Careless(memory("k", 1), bug);
        let suite = Conformance::new(&custodian.0).with_callers(1).with_custodian(&custodian, "new");
        clauses(&block_on(suite.run()).unwrap())
    };
    assert_eq!(run("nothing"), []);
    for bug in [
        "gives no id",
        "cannot create",
        "keeps all keys",
        "keeps the key that seals",
        "says another kind",
        "destroys what never was",
        "cannot destroy",
    ] {
        assert_eq!(run(bug), [Clause::Custody], "{bug}");
    }
}

#[test]
fn backends_that_fail_dawdle_or_hang_as_they_should() {
    for fate in [
        Fate::AnswersAfter(Duration::from_secs(3600)),
        Fate::GivesUpAfter(DEADLINE, ProviderErrorKind::Timeout),
        Fate::Fails(ProviderErrorKind::Disabled),
    ] {
        assert_eq!(with_backend(fate), [], "{fate:?}");
    }
}

#[test]
fn backends_that_fail_dawdle_or_hang_as_they_should_not() {
    for (fate, clause) in [
        (Fate::AnswersAfter(Duration::ZERO), Clause::Slow),
        (Fate::AnswersAfter(Duration::from_secs(100 * 3600)), Clause::Slow),
        (Fate::Hangs, Clause::Hung),
        (Fate::GivesUpAfter(DEADLINE + Duration::from_nanos(1), ProviderErrorKind::Timeout), Clause::Hung),
        (Fate::GivesUpAfter(DEADLINE, ProviderErrorKind::Unavailable), Clause::Hung),
        (Fate::Fails(ProviderErrorKind::AccessDenied), Clause::Failing),
        (Fate::FailsUnnoticedByCheck(ProviderErrorKind::Disabled), Clause::Failing),
    ] {
        assert_eq!(with_backend(fate), [clause], "{fate:?}");
    }
}

#[test]
fn a_provider_that_never_answers_does_not_stop_the_suite() {
    let backend = Backend::new(Fate::Hangs);
    let suite = Conformance::new(&backend).with_callers(3).with_patience(Duration::from_millis(5));
    let failed = clauses(&block_on(suite.run()).unwrap());
    for clause in [Clause::Check, Clause::Generate, Clause::Wrap, Clause::Unwrap, Clause::Concurrent] {
        assert!(failed.contains(&clause), "{clause:?}");
    }
}
