//! The side that uses the keys: one scenario a process, with scans in between.
//!
//! It never learns a secret in clear but through the crate, and wipes what the crate handed over.

use std::io::{BufRead, Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use kuvert::io::SealWriter;
use kuvert::provider::{GeneratedKey, Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext};
use kuvert::{
    Cell, DataKey, EncryptionContext, Kuvert, MessageStart, OpenOptions, ProviderError, ProviderErrorKind,
    Recipient, SealOptions,
};

use crate::cached;
use crate::planted;
use crate::support::cancel::{PATIENCE, Polled, poll_at_most, wait};
use crate::support::io::{Fault, FaultIo, Script, catching_scripted, hush_scripted_panics};
use crate::support::memscan::to_hex;
use crate::support::providers::{Answer, Scripted};

/// Which scenario to run; without it the child is no test at all.
pub(crate) const SCENARIO: &str = "KUVERT_TEST_MEMORY_SCENARIO";
/// Where the parent put the key file and the messages.
pub(crate) const DIRECTORY: &str = "KUVERT_TEST_MEMORY_DIRECTORY";
/// What the child XORs on a data key before it tells it.
pub(crate) const MASK: [u8; 32] = *b"\xa5\x96\x3cnot-the-key-itself-but-masked";
/// The id of the key in the key file.
pub(crate) const KEY_ID: &str = "memory-test";

type Scenario = (&'static str, fn(&Stage));

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("key_file", key_file),
    ("seal", seal),
    ("open", open),
    ("records", records),
    ("errors", errors),
    ("panics", panics),
    ("cancelled", cancelled),
    ("files", files),
    ("threads", threads),
    ("many", many),
    ("parallel", crate::parallel::parallel),
    #[cfg(feature = "tokio")]
    ("tokio", crate::adapters::tokio),
    ("cached", cached::cached),
    ("planted", planted::planted),
    ("planted_freed", planted::planted_freed),
];

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext::new([("table", "users"), ("purpose", "memory")]).unwrap()
}

fn cell() -> Cell<'static> {
    Cell::new("table", "column", "row")
}

#[test]
fn child() {
    let Ok(name) = std::env::var(SCENARIO) else { return };
    hush_scripted_panics();
    let (_, scenario) = SCENARIOS.iter().find(|(known, _)| *known == name).expect("a known scenario");
    println!();
    scenario(&Stage {
        directory: std::env::var_os(DIRECTORY).expect("set by the parent").into(),
        keys: Arc::default(),
    });
}

pub(crate) struct Stage {
    directory: PathBuf,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// A plaintext to seal, wiped when it is dropped: it is the caller's.
    pub(crate) fn text(&self, name: &str) -> Wiped {
        let path = self.path(&format!("{name}.plain"));
        let len = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
        // Into a buffer of the right length, so that nothing grows and leaves a copy.
        let mut text = Wiped(vec![0; len]);
        std::fs::File::open(path).unwrap().read_exact(&mut text.0).unwrap();
        text
    }

    /// The provider of the key file, which notes every data key that passes (masked).
    pub(crate) fn provider(&self) -> Witness {
        Witness {
            inner: MemoryProvider::from_key_file(self.path("key")).unwrap(),
            keys: Arc::clone(&self.keys),
        }
    }

    pub(crate) fn kuvert(&self) -> Kuvert {
        Kuvert::new(self.provider())
    }

    pub(crate) fn tell(&self, what: &str, bytes: &[u8]) {
        println!("@{what} {}", to_hex(bytes));
    }

    /// Has the parent search for all that it knows by now, and waits. What the label means is in `parent::judge`.
    pub(crate) fn scan(&self, label: &str) {
        self.keys.lock().unwrap().drain(..).for_each(|key| println!("@key {key}"));
        println!("@scan {:x} {label}", std::ptr::from_ref(&label) as usize);
        assert_eq!(std::io::stdin().lock().read_line(&mut String::new()).unwrap(), 1, "the parent answers");
    }

    pub(crate) fn sealing(&self, kuvert: &Kuvert, text: &[u8]) -> SealWriter<Vec<u8>> {
        let mut writer = wait(kuvert.sealer(&context())).unwrap().into_writer(Vec::new());
        writer.write_all(text).unwrap();
        writer
    }
}

/// Bytes that are wiped on drop.
pub(crate) struct Wiped(pub(crate) Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&mut self.0);
    }
}

/// Forwards to the provider inside, and notes the data keys.
#[derive(Debug)]
pub(crate) struct Witness {
    inner: MemoryProvider,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Witness {
    /// Notes a key so that the parent can read it and a search of this process cannot find it.
    fn note(&self, key: &DataKey) {
        let mut keys = self.keys.lock().unwrap();
        let bytes = key.expose_bytes().iter();
        keys.push(bytes.enumerate().map(|(n, byte)| format!("{:02x}", byte ^ MASK[n])).collect());
    }
}

#[kuvert::async_trait]
impl KeyProvider for Witness {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.inner.wrap_data_key(key, context).await
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        let generated = self.inner.generate_data_key(context).await?;
        self.note(&generated.key);
        Ok(generated)
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let key = self.inner.unwrap_data_key(recipient, context).await?;
        key.iter().for_each(|key| self.note(key));
        Ok(key)
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.inner.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

fn key_file(stage: &Stage) {
    let provider = stage.provider();
    stage.scan("using kek");
    let file = kuvert::provider::KeyFile::load(&stage.path("key")).unwrap();
    drop(file.expose_text());
    drop(file);
    drop(format!("{provider:?}"));
    drop(provider);
    stage.scan("dropped");
}

fn seal(stage: &Stage) {
    let kuvert = stage.kuvert();
    for name in ["small", "large"] {
        let text = stage.text(name);
        stage.tell("message", &wait(kuvert.seal(&text.0, &context())).unwrap());
        let sealer = wait(kuvert.sealer(&context())).unwrap();
        let mut into = vec![0; sealer.message_len(text.0.len()).unwrap()];
        sealer.seal_into(&text.0, &mut into).unwrap();
        stage.tell("message", &into);
        drop(text);
        stage.scan("idle kek");
    }
    // Finished, aborted and dropped, with plaintext in the buffer.
    let text = stage.text("small");
    let mut writer = stage.sealing(&kuvert, &text.0);
    writer.flush().unwrap();
    stage.tell("message", writer.inner());
    drop(text);
    // The plaintext lies in the writer's buffer until its chunk is full.
    stage.scan("using body,kek,text-small");
    writer.finish().unwrap();
    drop(stage.sealing(&kuvert, &stage.text("small").0));
    stage.scan("idle kek");
    drop(stage.sealing(&kuvert, &stage.text("large").0));
    stage.scan("idle kek");
    stage.sealing(&kuvert, &stage.text("small").0).abort();
    stage.scan("idle kek");
    let mut writer = stage.sealing(&kuvert, &[]);
    writer.copy_from(&mut std::fs::File::open(stage.path("large.plain")).unwrap()).unwrap();
    writer.finish().unwrap();
    stage.scan("idle kek");
    drop(wait(kuvert.sealer(&context())).unwrap());
    drop(kuvert);
    stage.scan("dropped");
}

fn open(stage: &Stage) {
    let kuvert = stage.kuvert();
    for name in ["small", "large"] {
        let message = stage.read(&format!("{name}.sealed"));
        let opened = wait(kuvert.open(&message, &context())).unwrap();
        stage.scan(&format!("using kek,text-{name}"));
        drop(opened);
        stage.scan("idle kek");
        let opener = |message: &[u8], lazy: bool| {
            let kuvert = kuvert.clone().with_open_options(OpenOptions::default().with_lazy_length(lazy));
            wait(kuvert.opener(MessageStart::parse(message).unwrap(), &context())).unwrap()
        };
        let chunks = usize::try_from(MessageStart::parse(&message).unwrap().chunks_offset()).unwrap();
        // In order: to the end, and dropped half way with plaintext in the buffer.
        opener(&message, false).into_reader(&message[chunks..]).copy_to(&mut std::io::sink()).unwrap();
        stage.scan("idle kek");
        let mut reader = opener(&message, false).into_reader(&message[chunks..]);
        let mut buffer = Wiped(vec![0; 60]);
        reader.read_exact(&mut buffer.0).unwrap();
        // The rest of the chunk lies in the reader.
        stage.scan(&format!("using kek,body,text-{name}"));
        drop(reader);
        // Anywhere.
        for lazy in [false, true] {
            let mut source = Cursor::new(&message);
            source.set_position(chunks as u64);
            let mut reader = opener(&message, lazy).into_seekable(source).unwrap();
            for at in [70, 0, 33] {
                std::io::Seek::seek(&mut reader, std::io::SeekFrom::Start(at)).unwrap();
                reader.read_exact(&mut buffer.0[..20]).unwrap();
            }
            // Much, and then less by the same buffer.
            let mut large = Wiped(vec![0; 300_000.min(message.len() / 5)]);
            std::io::Seek::seek(&mut reader, std::io::SeekFrom::Start(0)).unwrap();
            reader.read_exact(&mut large.0).unwrap();
            std::io::Seek::seek(&mut reader, std::io::SeekFrom::End(-20)).unwrap();
            reader.read_exact(&mut buffer.0[..20]).unwrap();
            drop((reader, large));
            buffer.0.fill(0);
            stage.scan("idle kek");
            let reader = opener(&message, lazy).into_ranges(message.as_slice()).unwrap();
            reader.read_exact_at(&mut buffer.0, 30).unwrap();
            let mut large = Wiped(vec![0; 300_000]);
            reader.read_at(&mut large.0, 1).unwrap();
            drop((reader, large));
            buffer.0.fill(0);
            stage.scan("idle kek");
        }
        drop(opener(&message, false));
    }
    drop(kuvert);
    stage.scan("dropped");
}

fn records(stage: &Stage) {
    let kuvert = stage.kuvert();
    let text = stage.text("small");
    let (key, envelope) = wait(kuvert.new_record_key(&context())).unwrap();
    stage.tell("message", &envelope);
    let record = key.seal(&text.0, &cell()).unwrap();
    stage.tell("record", &record);
    stage.scan("using kek,record,subkey,text-small");
    let mut out = Vec::new();
    key.seal_into(&text.0, &cell(), &mut out).unwrap();
    stage.tell("record", &out);
    drop(key.open(&record, &cell()).unwrap());
    let mut opened = Wiped(Vec::with_capacity(1000));
    key.open_into(&record, &cell(), &mut opened.0).unwrap();
    drop(opened);
    let copy = key.clone();
    drop(key);
    drop(text);
    stage.scan("using kek,record,subkey");
    let loaded = wait(kuvert.load_record_key(&envelope, &context())).unwrap();
    drop(loaded.open(&record, &cell()).unwrap());
    drop(loaded);
    // Another process's record, by another subkey than the sealer keeps.
    let other = wait(kuvert.load_record_key(&stage.read("envelope"), &context())).unwrap();
    let opened = other.open(&stage.read("record"), &cell()).unwrap();
    stage.scan("using kek,record,subkey,text-small");
    drop(opened);
    other.open(&stage.read("record"), &Cell::new("table", "column", "another row")).unwrap_err();
    stage.scan("using kek,record,subkey");
    drop((other, copy, kuvert));
    stage.scan("dropped");
}

fn errors(stage: &Stage) {
    let kuvert = stage.kuvert();
    let other = EncryptionContext::new([("table", "orders")]).unwrap();
    let accepting = kuvert.clone().with_open_options(OpenOptions::default().with_min_generation(9));
    for name in ["small", "large"] {
        let message = stage.read(&format!("{name}.sealed"));
        wait(kuvert.open(&message, &other)).unwrap_err();
        stage.scan("idle kek");
        wait(accepting.open(&message, &context())).unwrap_err();
        // The data key unwraps, the commitment does not fit; the MAC does not; a chunk does not.
        let mut salt = message.clone();
        let chunks = usize::try_from(MessageStart::parse(&message).unwrap().chunks_offset()).unwrap();
        salt[chunks - 50] ^= 1;
        for bad in [salt, stage.read(&format!("{name}.bad-mac")), stage.read(&format!("{name}.tampered"))] {
            wait(kuvert.open(&bad, &context())).unwrap_err();
            stage.scan("idle kek");
        }
        // Read until the bad chunk: the good ones were in the buffer.
        let tampered = stage.read(&format!("{name}.tampered"));
        let opener = || wait(kuvert.opener(MessageStart::parse(&tampered).unwrap(), &context())).unwrap();
        let mut reader = opener().into_reader(&tampered[chunks..]);
        reader.copy_to(&mut std::io::sink()).unwrap_err();
        stage.scan("idle kek,body");
        drop(reader);
        drop(opener().into_ranges(tampered.as_slice()).unwrap_err());
        stage.scan("idle kek");
        // The source and the sink fail.
        for at in [0, 1, 2, 5] {
            let source = FaultIo::new(&message[chunks..], &Script::from(at, Fault::EIO));
            let opener = wait(kuvert.opener(MessageStart::parse(&message).unwrap(), &context())).unwrap();
            drop(opener.into_reader(source).copy_to(&mut std::io::sink()));
            let sink = FaultIo::new(Vec::new(), &Script::from(at, Fault::ENOSPC));
            let mut writer = wait(kuvert.sealer(&context())).unwrap().into_writer(sink);
            let text = stage.text(name);
            drop(writer.write_all(&text.0));
            drop(writer.try_finish());
        }
        stage.scan("idle kek");
    }
    for answer in [Answer::NoRecipient, Answer::Fail(ProviderErrorKind::Throttled), Answer::Key([7; 32])] {
        let kuvert = Kuvert::new(Scripted::new(stage.provider()).always(answer));
        let text = stage.text("small");
        drop(wait(kuvert.seal(&text.0, &context())));
        drop(wait(kuvert.new_record_key(&context())));
        drop(wait(kuvert.open(&stage.read("small.sealed"), &context())));
    }
    stage.scan("idle kek");
    // A buffer of the wrong length, a damaged envelope and record.
    let text = stage.text("small");
    wait(kuvert.sealer(&context())).unwrap().seal_into(&text.0, &mut [0; 5]).unwrap_err();
    drop(text);
    stage.scan("idle kek");
    let mut envelope = stage.read("envelope");
    let key = wait(kuvert.load_record_key(&envelope, &context())).unwrap();
    *envelope.last_mut().unwrap() ^= 1;
    wait(kuvert.load_record_key(&envelope, &context())).unwrap_err();
    stage.scan("idle kek,record,subkey");
    let mut record = stage.read("record");
    *record.last_mut().unwrap() ^= 1;
    key.open(&record, &cell()).unwrap_err();
    key.open_into(&record, &cell(), &mut Vec::new()).unwrap_err();
    stage.scan("idle kek,record,subkey");
    bad_key_files(stage);
    stage.scan("idle kek,record,subkey");
    drop((key, kuvert, accepting));
    stage.scan("dropped");
}

/// Key files that are refused after their key was read.
fn bad_key_files(stage: &Stage) {
    let mut text = Wiped(stage.read("key"));
    let path = stage.path("bad key");
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(true), 0o600);
    // Twice the same id with another case of faults behind it, a broken check, an unknown line after a good one.
    for (at, byte) in [(text.0.len() - 3, b'A'), (text.0.len() - 20, b'_')] {
        let before = text.0[at];
        text.0[at] = byte;
        options.open(&path).unwrap().write_all(&text.0).unwrap();
        MemoryProvider::from_key_file(&path).unwrap_err();
        text.0[at] = before;
    }
    let mut file = options.open(&path).unwrap();
    file.write_all(&text.0).unwrap();
    file.write_all(b"and what is this\n").unwrap();
    MemoryProvider::from_key_file(&path).unwrap_err();
}

fn panics(stage: &Stage) {
    let kuvert = stage.kuvert();
    for name in ["small", "large"] {
        let message = stage.read(&format!("{name}.sealed"));
        let chunks = usize::try_from(MessageStart::parse(&message).unwrap().chunks_offset()).unwrap();
        for at in [0, 1, 2] {
            let caught = catching_scripted(|| {
                let sink = FaultIo::new(Vec::new(), &Script::from(at, Fault::Panic));
                let mut writer = wait(kuvert.sealer(&context())).unwrap().into_writer(sink);
                let text = stage.text(name);
                writer.write_all(&text.0).unwrap();
                writer.flush().unwrap();
                writer.try_finish().unwrap();
            });
            assert!(at > 1 || caught.is_none());
            let caught = catching_scripted(|| {
                let source = FaultIo::new(&message[chunks..], &Script::from(at, Fault::Panic));
                let opener = wait(kuvert.opener(MessageStart::parse(&message).unwrap(), &context())).unwrap();
                opener.into_reader(source).copy_to(&mut std::io::sink()).unwrap();
            });
            assert!(at > 0 || caught.is_none());
            stage.scan("idle kek");
        }
    }
    let panicking = Kuvert::new(Scripted::new(stage.provider()).always(Answer::Panic));
    let text = stage.text("small");
    assert!(catching_scripted(|| wait(panicking.seal(&text.0, &context()))).is_none());
    assert!(catching_scripted(|| wait(panicking.open(&stage.read("small.sealed"), &context()))).is_none());
    assert!(catching_scripted(|| wait(panicking.new_record_key(&context()))).is_none());
    assert!(
        catching_scripted(|| wait(panicking.load_record_key(&stage.read("envelope"), &context()))).is_none()
    );
    drop((text, panicking, kuvert));
    stage.scan("dropped");
}

fn cancelled(stage: &Stage) {
    let kuvert = Kuvert::new(Scripted::new(stage.provider()).yielding(2));
    let text = stage.text("small");
    let (message, envelope) = (stage.read("small.sealed"), stage.read("envelope"));
    for polls in 0..5 {
        let dropped = [
            matches!(poll_at_most(kuvert.seal(&text.0, &context()), polls, PATIENCE), Polled::Dropped),
            matches!(poll_at_most(kuvert.open(&message, &context()), polls, PATIENCE), Polled::Dropped),
            matches!(poll_at_most(kuvert.sealer(&context()), polls, PATIENCE), Polled::Dropped),
            matches!(poll_at_most(kuvert.new_record_key(&context()), polls, PATIENCE), Polled::Dropped),
            matches!(
                poll_at_most(kuvert.load_record_key(&envelope, &context()), polls, PATIENCE),
                Polled::Dropped
            ),
        ];
        assert_eq!(dropped, [true; 5], "after {polls} polls");
        stage.scan("idle kek,text-small");
    }
    // Dropped on another thread than the one that polled.
    let context = context();
    let mut future = Box::pin(kuvert.seal(&text.0, &context));
    assert!(matches!(poll_at_most(future.as_mut(), 4, PATIENCE), Polled::Dropped));
    std::thread::scope(|scope| drop(scope.spawn(move || drop(future)).join()));
    drop((text, kuvert));
    stage.scan("dropped");
}

fn files(stage: &Stage) {
    let kuvert = stage
        .kuvert()
        .with_seal_options(SealOptions::default().with_replace_existing(true))
        .with_open_options(OpenOptions::default().with_replace_existing(true));
    let lazy = kuvert.clone().with_open_options(
        OpenOptions::default().with_replace_existing(true).with_verify_first(false).with_lazy_length(true),
    );
    for name in ["small", "large"] {
        let (plain, sealed) = (stage.path(&format!("{name}.plain")), stage.path("sealed"));
        wait(kuvert.seal_file(&plain, &sealed, &context())).unwrap();
        stage.scan("idle kek");
        wait(kuvert.open_file(&sealed, stage.path("opened"), &context())).unwrap();
        stage.scan("idle kek");
        wait(lazy.open_file(&sealed, stage.path("opened"), &context())).unwrap();
        stage.scan("idle kek");
        let tampered = stage.path(&format!("{name}.tampered"));
        wait(kuvert.open_file(tampered, stage.path("opened"), &context())).unwrap_err();
        stage.scan("idle kek");
        wait(kuvert.seal_file(&plain, stage.path("no such directory/x"), &context())).unwrap_err();
        wait(kuvert.open_file(&sealed, stage.path("no such directory/x"), &context())).unwrap_err();
        stage.scan("idle kek");
    }
    drop((kuvert, lazy));
    stage.scan("dropped");
}

/// The stacks of threads that ended are kept by the C library, and part of the search.
fn threads(stage: &Stage) {
    let kuvert = stage.kuvert();
    let text = stage.text("large");
    let (key, envelope) = wait(kuvert.new_record_key(&context())).unwrap();
    stage.tell("message", &envelope);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let sealed = wait(kuvert.seal(&text.0, &context())).unwrap();
                drop(wait(kuvert.open(&sealed, &context())).unwrap());
                let record = key.seal(&text.0[..100], &cell()).unwrap();
                drop(key.open(&record, &cell()).unwrap());
                let key = key.clone();
                drop(wait(kuvert.load_record_key(&envelope, &context())).unwrap());
                drop(key);
            });
        }
    });
    drop((text, key, kuvert));
    stage.scan("dropped");
}

fn many(stage: &Stage) {
    let kuvert = stage.kuvert();
    let text = stage.text("small");
    let sessions = if std::env::var_os("KUVERT_TEST_LONG").is_some() { 10_000 } else { 1_500 };
    for n in 0..sessions {
        let sealed = wait(kuvert.seal(&text.0, &context())).unwrap();
        match n % 5 {
            0 => drop(wait(kuvert.open(&sealed, &context())).unwrap()),
            1 => drop(wait(kuvert.open(&sealed[..sealed.len() - 1], &context())).unwrap_err()),
            2 => drop(stage.sealing(&kuvert, &text.0)),
            3 => drop(poll_at_most(kuvert.open(&sealed, &context()), 0, PATIENCE)),
            _ => {
                let (key, _) = wait(kuvert.new_record_key(&context())).unwrap();
                let record = key.seal(&text.0, &cell()).unwrap();
                drop(key.open(&record, &cell()).unwrap());
            }
        }
    }
    drop((text, kuvert));
    stage.scan("dropped");
}
