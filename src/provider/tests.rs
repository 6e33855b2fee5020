//! The memory provider, and the wrappers that must forward everything.

use std::sync::Mutex;

use super::*;
use crate::crypto::key_wrap;
use crate::executor::block_on;
use crate::format::stanza::RecipientType;

fn context() -> WrapContext {
    WrapContext::new([7; 12], [("table".to_owned(), "the-value".to_owned())])
}

fn wrapped(provider: &impl KeyProvider) -> GeneratedKey {
    block_on(provider.generate_data_key(&context())).unwrap().unwrap()
}

fn opened(provider: &impl KeyProvider, recipient: &Recipient) -> Result<Option<DataKey>, ProviderError> {
    block_on(provider.unwrap_data_key(recipient, &context())).unwrap()
}

fn key(byte: u8) -> [u8; 32] {
    [byte; 32]
}

#[test]
fn memory_wraps_as_the_standard_says() {
    let provider = MemoryProvider::from_keys([("k", key(1))]).unwrap();
    let made = wrapped(&provider);
    let [recipient] = &made.recipients[..] else { panic!("{made:?}") };
    assert_eq!(
        (recipient.recipient_type(), recipient.id(), recipient.params()),
        (RecipientType::AES_KWP, &b"k"[..], &b""[..])
    );
    assert_eq!(recipient.wrap(), key_wrap::wrap(&key(1), made.key.expose_bytes()));
    assert_eq!(opened(&provider, recipient).unwrap().unwrap().expose_bytes(), made.key.expose_bytes());
}

#[test]
fn the_first_key_seals_and_all_open() {
    let old = MemoryProvider::from_keys([("old", key(1))]).unwrap();
    let both = MemoryProvider::from_keys([("new", key(2)), ("old", key(1))]).unwrap();
    assert_eq!(wrapped(&both).recipients[0].id(), b"new");
    assert!(opened(&both, &wrapped(&old).recipients[0]).unwrap().is_some());
    assert!(opened(&old, &wrapped(&both).recipients[0]).unwrap().is_none());
}

#[test]
fn the_same_id_with_another_key_is_rejected_on_open_and_refused_on_load() {
    let mine = MemoryProvider::from_keys([("k", key(1))]).unwrap();
    let other = MemoryProvider::from_keys([("k", key(2))]).unwrap();
    let error = opened(&mine, &wrapped(&other).recipients[0]).unwrap_err();
    assert_eq!(
        (error.kind(), error.key_id(), error.provider()),
        (ProviderErrorKind::Rejected, Some("k"), "key-file")
    );
    let clash = MemoryProvider::from_keys([("k", key(1)), ("k", key(2))]).unwrap_err();
    assert!(matches!(&clash, KeyFileError::Conflict { id } if id == "k"));
    assert_eq!(clash.category(), crate::error::Category::Usage);
    let same = MemoryProvider::from_keys([("k", key(1)), ("k", key(1))]).unwrap();
    assert_eq!(same.describe().keys.len(), 1);
}

#[test]
fn another_type_is_not_mine_whatever_the_id() {
    let provider = MemoryProvider::from_keys([("k", key(1))]).unwrap();
    let made = wrapped(&provider);
    for kind in [0, 2, 0x10, 0x20, 0x40, 0x41, 0x8000, 0xffff] {
        let foreign = Recipient::new(RecipientType(kind), "k", Vec::new(), made.recipients[0].wrap());
        assert!(opened(&provider, &foreign).unwrap().is_none(), "{kind:#x}");
    }
}

#[test]
fn several_key_files_are_one_provider() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    for (path, id) in paths.iter().zip(["one", "two"]) {
        KeyFile::generate(Some(id)).unwrap().write_new(path).unwrap();
    }
    let all = MemoryProvider::from_key_files([&paths[1], &paths[0], &paths[1]]).unwrap();
    let keys: Vec<_> = all.describe().keys.into_iter().map(|key| (key.id, key.seals)).collect();
    assert_eq!(keys, [("two".to_owned(), true), ("one".to_owned(), false)]);
    let nothing: [&str; 0] = [];
    assert!(matches!(MemoryProvider::from_key_files(nothing), Err(KeyFileError::NoKey { path: None })));
    let third = dir.path().join("c");
    KeyFile::generate(Some("one")).unwrap().write_new(&third).unwrap();
    assert!(matches!(
        MemoryProvider::from_key_files([&paths[0], &third]),
        Err(KeyFileError::Conflict { .. })
    ));
}

#[test]
fn a_key_file_text_is_read_from_anywhere() {
    let file = KeyFile::generate(Some("env")).unwrap();
    let provider = MemoryProvider::from_key_file_text(&file.expose_text()).unwrap();
    assert_eq!(provider.describe().keys[0].id, "env");
    assert!(MemoryProvider::from_key_file_text("nonsense").is_err());
}

#[test]
fn rotation_changes_what_seals_and_nothing_else() {
    let provider = MemoryProvider::generate("2026").unwrap();
    let before = wrapped(&provider);
    provider.add_generated("2027").unwrap();
    assert_eq!(wrapped(&provider).recipients[0].id(), b"2026");
    provider.rotate_to("2027").unwrap();
    assert_eq!(wrapped(&provider).recipients[0].id(), b"2027");
    assert!(opened(&provider, &before.recipients[0]).unwrap().is_some());
    assert!(matches!(provider.rotate_to("2028"), Err(KeyFileError::UnknownId { .. })));
    assert!(matches!(provider.add_generated("2026"), Err(KeyFileError::Conflict { .. })));
    assert!(matches!(provider.add_generated("20 28"), Err(KeyFileError::InvalidId { .. })));
    assert_eq!(wrapped(&provider).recipients[0].id(), b"2027");
}

#[test]
fn a_key_file_is_added_whole_or_not_at_all() {
    let provider = MemoryProvider::from_keys([("a", key(1))]).unwrap();
    let other = KeyFile::generate(Some("a")).unwrap();
    let text = format!(
        "{}{}",
        KeyFile::generate(Some("b")).unwrap().expose_text().as_str(),
        other.expose_text().as_str()
    );
    let clash = provider.add_key_file(KeyFile::parse(text.as_bytes()).unwrap());
    assert!(matches!(clash, Err(KeyFileError::Conflict { .. })));
    assert_eq!(provider.describe().keys.len(), 1);
    provider.add_key_file(KeyFile::generate(Some("c")).unwrap()).unwrap();
    assert_eq!(provider.describe().keys.len(), 2);
}

#[test]
fn a_destroyed_key_opens_and_seals_nothing_and_no_other_takes_over() {
    let provider = MemoryProvider::generate("live").unwrap();
    let sealed = wrapped(&provider);
    let second = block_on(provider.create_wrapping_key("second")).unwrap().unwrap();
    let gone = block_on(provider.schedule_destruction("live")).unwrap().unwrap();
    assert!(gone <= SystemTime::now());
    assert!(opened(&provider, &sealed.recipients[0]).unwrap().is_none());
    let error = block_on(provider.generate_data_key(&context())).unwrap().unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::NotFound);
    let health = block_on(provider.check()).unwrap().unwrap();
    assert!(!health.is_good() && health.problems().len() == 1);
    provider.rotate_to(&second).unwrap();
    assert!(block_on(provider.check()).unwrap().unwrap().is_good());
    assert_eq!(wrapped(&provider).recipients[0].id(), b"second");
    let again = block_on(provider.schedule_destruction("live")).unwrap().unwrap_err();
    assert_eq!(again.kind(), ProviderErrorKind::NotFound);
    block_on(provider.schedule_destruction("second")).unwrap().unwrap();
    assert_eq!(block_on(provider.check()).unwrap().unwrap_err().kind(), ProviderErrorKind::NotFound);
}

#[test]
fn a_taken_or_impossible_name_is_misconfigured() {
    let provider = MemoryProvider::generate("taken").unwrap();
    for name in ["taken", "", "no blanks"] {
        let error = block_on(provider.create_wrapping_key(name)).unwrap().unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Misconfigured, "{name:?}");
    }
}

#[test]
fn debug_shows_ids_and_names_only() {
    let provider = MemoryProvider::from_keys([("the-id", key(0xab))]).unwrap();
    let made = wrapped(&provider);
    let shown = format!("{provider:?} {:?} {made:?} {:?}", context(), provider.describe());
    assert!(shown.contains("the-id") && shown.contains("table"));
    assert!(!shown.contains("171") && !shown.contains("abab") && !shown.contains("the-value"), "{shown}");
}

#[test]
fn a_context_gives_values_by_name() {
    let context = context();
    assert_eq!(
        (context.core(), context.value("table"), context.value("Table")),
        (&[7; 12], Some("the-value"), None)
    );
    assert_eq!(context.names().collect::<Vec<_>>(), ["table"]);
}

/// Answers every method as no default does, and keeps a list of what was called.
#[derive(Debug, Default)]
struct Tells(Mutex<Vec<&'static str>>);

impl Tells {
    fn tell(&self, name: &'static str) {
        self.0.lock().unwrap().push(name);
    }
}

#[async_trait]
impl KeyProvider for Tells {
    async fn wrap_data_key(&self, _: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        self.tell("wrap_data_key");
        Ok(Vec::new())
    }

    async fn generate_data_key(&self, _: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        self.tell("generate_data_key");
        Ok(GeneratedKey { key: DataKey::copy_from(&key(1)), recipients: Vec::new() })
    }

    async fn unwrap_data_key(
        &self,
        _: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.tell("unwrap_data_key");
        Ok(None)
    }

    async fn unwrap_any(&self, _: &[&Recipient], _: usize, _: &WrapContext) -> UnwrapAnswers {
        self.tell("unwrap_any");
        UnwrapAnswers::new()
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.tell("check");
        Ok(Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        self.tell("describe");
        ProviderInfo::new("tells")
    }
}

/// The names of the trait's methods, as they stand in its source.
fn trait_methods() -> Vec<String> {
    let source = include_str!("../provider.rs");
    let body = source.split_once("pub trait KeyProvider").unwrap().1.split_once("\n}\n").unwrap().0;
    methods(body)
}

fn methods(body: &str) -> Vec<String> {
    let starts = body.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))
    });
    starts.map(|line| line.split(['(', '<']).next().unwrap().to_owned()).collect()
}

#[test]
fn a_pointer_to_a_provider_forwards_every_method() {
    async fn call_all(provider: impl KeyProvider) {
        let recipient = Recipient::new(RecipientType::AES_KWP, "x", Vec::new(), [1]);
        provider.wrap_data_key(&DataKey::copy_from(&key(2)), &context()).await.unwrap();
        provider.generate_data_key(&context()).await.unwrap();
        provider.unwrap_data_key(&recipient, &context()).await.unwrap();
        provider.unwrap_any(&[&recipient], 1, &context()).await;
        provider.check().await.unwrap();
        provider.describe();
    }
    let shared = Arc::new(Tells::default());
    block_on(call_all(Arc::clone(&shared))).unwrap();
    block_on(call_all(Arc::clone(&shared) as Arc<dyn KeyProvider>)).unwrap();
    block_on(call_all(Box::new(Arc::clone(&shared)))).unwrap();
    block_on(call_all(Box::new(Arc::clone(&shared)) as Box<dyn KeyProvider>)).unwrap();
    // If this fails because the trait has a new method, `Tells` and `call_all` need it as well.
    assert_eq!(*shared.0.lock().unwrap(), vec![trait_methods(); 4].concat());
}

/// Every `impl<P…> KeyProvider for` below `src/provider` is a wrapper, and a wrapper writes out every method: a
/// default would quietly take the place of what it wraps.
#[test]
fn no_wrapper_forgets_a_method() {
    let mut wrappers = 0;
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for after in source.split("impl<P").skip(1) {
                let Some((_, body)) =
                    after.split_once(" KeyProvider for ").filter(|(head, _)| !head.contains('{'))
                else {
                    continue;
                };
                wrappers += 1;
                // Up to the closing brace that stands as far left as the `impl`.
                let end = ["\n}\n", "\n        }\n"].iter().filter_map(|end| body.find(end)).max().unwrap();
                assert_eq!(methods(&body[..end]), trait_methods(), "{}", path.display());
            }
        }
    }
    assert!(wrappers > 0, "the search finds no wrapper any more");
}
