//! What the errors say, frozen: every variant of every error type, its category, its exit status, and that none of
//! them can show a secret.
//!
//! The texts are part of what users see and scripts match: change one here only when it is meant to change.

#[path = "errors/key_files.rs"]
mod key_files;
#[path = "errors/subjects.rs"]
mod subjects;

use std::{collections::BTreeSet, error::Error, fs, io, path::Path, time::SystemTime};

use kuvert::{
    Category, ContextError, OpenError, ProviderError, ProviderErrorKind, RecipientAttempt, RecordError,
    SealError, UnavailableKeys,
};

use Category::{
    Io, KeyUnavailable, LimitExceeded, Malformed, Refused, Tampered, Truncated, Unsupported, Usage,
    WrongContext, WrongKey,
};

/// A variant's name, its category, and its text.
type Row = (&'static str, Category, String, &'static str);

fn row(name: &'static str, category: Category, error: &dyn Error, text: &'static str) -> Row {
    (name, category, error.to_string(), text)
}

fn provider() -> ProviderError {
    ProviderError::new(ProviderErrorKind::AccessDenied, "aws-kms").with_key_id("arn:1")
}

fn keys() -> UnavailableKeys {
    UnavailableKeys(vec![
        RecipientAttempt::new(1, "2026-11".to_owned(), None),
        RecipientAttempt::new(0x10, "arn:1".to_owned(), Some(provider())),
    ])
}

fn other() -> io::Error {
    io::Error::other("disk on fire")
}

fn context_rows() -> Vec<Row> {
    let of = |name, category, error: ContextError, text| {
        assert_eq!(error.category(), category, "{name}");
        row(name, category, &error, text)
    };
    vec![
        of("EmptyName", Usage, ContextError::EmptyName, "a context pair has an empty name"),
        of(
            "Duplicate",
            Usage,
            ContextError::Duplicate("a\"b".to_owned()),
            "context pair \"a\\\"b\" is given twice",
        ),
        of(
            "Reserved",
            Usage,
            ContextError::Reserved("kuvert:x".to_owned()),
            "context pair \"kuvert:x\": names that begin with \"kuvert:\" or \"aws-crypto-\" are reserved",
        ),
        of(
            "TooLong",
            LimitExceeded,
            ContextError::TooLong { what: "number of pairs", limit: 64 },
            "context: number of pairs is above the limit of 64",
        ),
    ]
}

fn seal_rows() -> Vec<Row> {
    let of = |name, category, error: SealError, text| {
        assert_eq!(error.category(), category, "{name}");
        row(name, category, &error, text)
    };
    vec![
        of(
            "Provider",
            KeyUnavailable,
            SealError::Provider(provider()),
            "no data key to seal with: aws-kms: access denied (key \"arn:1\")",
        ),
        of("Context", Usage, SealError::Context(ContextError::EmptyName), "a context pair has an empty name"),
        of(
            "LimitExceeded",
            LimitExceeded,
            SealError::LimitExceeded { what: "number of recipients", limit: 32 },
            "number of recipients is above the limit of 32",
        ),
        of("Usage", Usage, SealError::Usage("do it otherwise"), "do it otherwise"),
        of("Refused", Refused, SealError::Refused("by rule"), "refused: by rule"),
        of(
            "Forked",
            Io,
            SealError::Forked,
            "the process forked while sealing: begin a new message in the child",
        ),
        of("Poisoned", Usage, SealError::Poisoned, "an earlier error ended this message; begin a new one"),
        of("Random", Io, SealError::Random(other()), "the system's random source failed: disk on fire"),
        of("Io", Io, SealError::Io(other()), "disk on fire"),
    ]
}

fn open_rows() -> Vec<Row> {
    let of = |name, category, error: OpenError, text| {
        assert_eq!(error.category(), category, "{name}");
        row(name, category, &error, text)
    };
    const LISTED: &str = "type 0x0001 id \"2026-11\" (not configured here); type 0x0010 id \"arn:1\" (aws-kms: access denied (key \
         \"arn:1\"))";
    assert_eq!(keys().to_string(), LISTED);
    vec![
        of(
            "Malformed",
            Malformed,
            OpenError::Malformed("a rule"),
            "not a well-formed kuvert message: a rule",
        ),
        of(
            "Unsupported",
            Unsupported,
            OpenError::Unsupported { what: "suite", found: 7 },
            "unsupported suite 7: a newer release of kuvert may open this",
        ),
        of(
            "LimitExceeded",
            LimitExceeded,
            OpenError::LimitExceeded { what: "a slot's length", limit: 131_072 },
            "a slot's length is above the limit of 131072",
        ),
        of(
            "Truncated",
            Truncated,
            OpenError::Truncated("the end is missing"),
            "truncated: the end is missing",
        ),
        of("Tampered", Tampered, OpenError::Tampered("a chunk"), "tampered with or damaged: a chunk"),
        of(
            "WrongContext",
            WrongContext,
            OpenError::WrongContext("a pair"),
            "wrong encryption context: a pair",
        ),
        of(
            "WrongKey",
            WrongKey,
            OpenError::WrongKey(UnavailableKeys(vec![RecipientAttempt::new(1, "k".to_owned(), None)])),
            "wrong key: a key of that name was tried and does not fit: type 0x0001 id \"k\" (not configured here)",
        ),
        of(
            "KeyUnavailable",
            KeyUnavailable,
            OpenError::KeyUnavailable(keys()),
            "no usable key: type 0x0001 id \"2026-11\" (not configured here); type 0x0010 id \"arn:1\" (aws-kms: \
             access denied (key \"arn:1\"))",
        ),
        of("Usage", Usage, OpenError::Usage("do it otherwise"), "do it otherwise"),
        of("Refused", Refused, OpenError::Refused("by rule"), "refused: by rule"),
        of("Context", Usage, OpenError::Context(ContextError::EmptyName), "a context pair has an empty name"),
        of("Io", Io, OpenError::Io(other()), "disk on fire"),
    ]
}

fn record_rows() -> Vec<Row> {
    let of = |name, category, error: RecordError, text| {
        assert_eq!(error.category(), category, "{name}");
        row(name, category, &error, text)
    };
    vec![
        of(
            "NotSealed",
            Malformed,
            RecordError::NotSealed { first_byte: 0x61 },
            "not sealed: the first byte is 0x61, a sealed record begins with 0xf8",
        ),
        of(
            "Unsupported",
            Unsupported,
            RecordError::Unsupported { first_byte: 0xf9 },
            "unsupported record version 0xf9: a newer release of kuvert may open this",
        ),
        of(
            "Truncated",
            Truncated,
            RecordError::Truncated { minimum: 49, found: 12 },
            "truncated: a record has at least 49 bytes, this has 12",
        ),
        of(
            "Tampered",
            Tampered,
            RecordError::Tampered,
            "tampered with, damaged, or sealed for another cell (table, column or row)",
        ),
        of(
            "KeyUnavailable",
            KeyUnavailable,
            RecordError::KeyUnavailable { reference: 0xab },
            "no key of reference 00000000000000ab is loaded",
        ),
        of(
            "Erased",
            Refused,
            RecordError::Erased { reference: 0xab, since: Some(SystemTime::UNIX_EPOCH) },
            "erased: the key of reference 00000000000000ab was destroyed",
        ),
        of(
            "LimitExceeded",
            LimitExceeded,
            RecordError::LimitExceeded { what: "record plaintext", limit: 1_048_576 },
            "record plaintext is above the limit of 1048576",
        ),
        of("Usage", Usage, RecordError::Usage("do it otherwise"), "do it otherwise"),
        of("Random", Io, RecordError::Random(other()), "the system's random source failed: disk on fire"),
    ]
    .into_iter()
    .chain(subjects::record_rows())
    .collect()
}

/// Kind, category, text, retryable.
const PROVIDER_KINDS: [(ProviderErrorKind, &str, Category, &str, bool); 12] = [
    (ProviderErrorKind::NotFound, "NotFound", KeyUnavailable, "key not found", false),
    (ProviderErrorKind::Disabled, "Disabled", KeyUnavailable, "key is disabled", false),
    (ProviderErrorKind::PendingDeletion, "PendingDeletion", KeyUnavailable, "key is pending deletion", false),
    (ProviderErrorKind::AccessDenied, "AccessDenied", KeyUnavailable, "access denied", false),
    (ProviderErrorKind::Credentials, "Credentials", KeyUnavailable, "no valid credentials", false),
    (ProviderErrorKind::Rejected, "Rejected", WrongKey, "wrapped key rejected", false),
    (ProviderErrorKind::Throttled, "Throttled", KeyUnavailable, "throttled", true),
    (ProviderErrorKind::Unavailable, "Unavailable", KeyUnavailable, "key service unavailable", true),
    (ProviderErrorKind::Timeout, "Timeout", KeyUnavailable, "timed out", true),
    (ProviderErrorKind::Misconfigured, "Misconfigured", Usage, "provider is misconfigured", false),
    (ProviderErrorKind::Refused, "Refused", Refused, "refused by policy", false),
    (ProviderErrorKind::Other, "Other", Io, "provider error", false),
];

/// Category, its variant, its name, its exit status.
const CATEGORIES: [(Category, &str, &str, u8); 11] = [
    (Io, "Io", "io", 1),
    (Usage, "Usage", "usage", 2),
    (Malformed, "Malformed", "malformed", 3),
    (Unsupported, "Unsupported", "unsupported", 3),
    (LimitExceeded, "LimitExceeded", "limit-exceeded", 3),
    (Truncated, "Truncated", "truncated", 4),
    (Tampered, "Tampered", "tampered", 4),
    (WrongContext, "WrongContext", "wrong-context", 5),
    (WrongKey, "WrongKey", "wrong-key", 6),
    (KeyUnavailable, "KeyUnavailable", "key-unavailable", 6),
    (Refused, "Refused", "refused", 7),
];

/// The variants of `pub enum name` in a file of `src/`, so that no new one goes without a line here.
fn variants(file: &str, name: &str) -> BTreeSet<String> {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let is_variant = |line: &&str| line.starts_with("    ") && line.as_bytes()[4].is_ascii_uppercase();
    let word = |line: &str| line.trim().chars().take_while(|c| c.is_alphanumeric()).collect();
    let found: BTreeSet<String> =
        body.lines().filter(|line| line.len() > 4).filter(is_variant).map(word).collect();
    assert!(found.len() > 3, "{name}: {found:?}");
    found
}

#[track_caller]
fn assert_whole(file: &str, name: &str, rows: &[Row]) {
    let listed: BTreeSet<String> = rows.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(variants(file, name), listed, "the variants of {name} and the lines of this test");
    for (name, _, found, expected) in rows {
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn every_variant_has_its_text_and_category() {
    assert_whole("error/message.rs", "ContextError", &context_rows());
    assert_whole("error/message.rs", "SealError", &seal_rows());
    assert_whole("error/message.rs", "OpenError", &open_rows());
    assert_whole("error/record.rs", "RecordError", &record_rows());
    assert_whole("error/subject.rs", "SubjectError", &subjects::subject_rows());
}

#[test]
fn a_nested_call_is_the_caller_s_mistake() {
    let nested =
        kuvert::blocking::block_on(async { kuvert::blocking::block_on(async {}) }).unwrap().unwrap_err();
    assert_eq!((nested.category(), nested.category().exit_status()), (Usage, 2));
    assert_eq!(
        nested.to_string(),
        "a blocking call inside another one on the same thread: await it instead, or move it to a thread of its own"
    );
}

#[test]
fn every_category_has_its_name_and_exit_status() {
    let listed: BTreeSet<String> = CATEGORIES.iter().map(|(_, variant, ..)| (*variant).to_owned()).collect();
    assert_eq!(variants("error.rs", "Category"), listed);
    for (category, variant, name, status) in CATEGORIES {
        assert_eq!((category.name(), category.exit_status()), (name, status));
        assert_eq!(format!("{category:?}"), variant);
    }
    let manual =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/format.md")).unwrap();
    for (_, _, name, status) in CATEGORIES {
        let documented = manual.lines().any(|line| {
            line.starts_with(&format!("| `{name}` |")) && line.ends_with(&format!("| {status} |"))
        });
        assert!(documented, "{name} with status {status} in the manual's table");
    }
}

#[test]
fn every_provider_failure_has_its_kind() {
    let listed: BTreeSet<String> =
        PROVIDER_KINDS.iter().map(|(_, variant, ..)| (*variant).to_owned()).collect();
    assert_eq!(variants("error/provider.rs", "ProviderErrorKind"), listed);
    for (kind, _, category, text, retryable) in PROVIDER_KINDS {
        let error = ProviderError::new(kind, "test");
        assert_eq!((error.kind(), error.category(), error.is_retryable()), (kind, category, retryable));
        assert_eq!(error.to_string(), format!("test: {text}"));
        let full = error.with_key_id("k\n1").with_source(other());
        assert_eq!(full.to_string(), format!("test: {text} (key \"k\\n1\"): disk on fire"));
        assert_eq!((full.provider(), full.key_id()), ("test", Some("k\n1")));
        assert_eq!(full.source().unwrap().to_string(), "disk on fire");
        assert_eq!(SealError::from(full).category(), category);
    }
}

#[test]
fn a_hostile_header_cannot_flood_or_forge_a_message() {
    assert_eq!(UnavailableKeys::default().to_string(), "the header names no recipient");
    let hostile = "\u{1b}[2J\r\n\u{202e}".to_owned() + &"x".repeat(2048);
    let attempts =
        |n| UnavailableKeys((0..n).map(|_| RecipientAttempt::new(1, hostile.clone(), None)).collect());
    let text = OpenError::KeyUnavailable(attempts(64)).to_string();
    assert!(text.len() < 3000 && text.ends_with("; and 56 more"), "{} bytes: {text}", text.len());
    assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text}");
    let provider = ProviderError::new(ProviderErrorKind::NotFound, "p").with_key_id("\u{1b}[2J\"");
    assert!(provider.to_string().chars().all(|c| !c.is_control()), "{provider}");
}

#[test]
fn through_io_an_error_keeps_its_kind_and_category() {
    let through = |error: OpenError| {
        let category = error.category();
        let io = io::Error::from(error);
        let kind = io.kind();
        assert_eq!(OpenError::from(io).category(), category);
        kind
    };
    for (error, kind) in [
        (OpenError::Malformed("x"), io::ErrorKind::InvalidData),
        (OpenError::Truncated("x"), io::ErrorKind::InvalidData),
        (OpenError::Tampered("x"), io::ErrorKind::InvalidData),
        (OpenError::WrongContext("x"), io::ErrorKind::InvalidData),
        (OpenError::WrongKey(keys()), io::ErrorKind::InvalidData),
        (OpenError::Unsupported { what: "suite", found: 2 }, io::ErrorKind::Unsupported),
        (OpenError::LimitExceeded { what: "x", limit: 1 }, io::ErrorKind::InvalidInput),
        (OpenError::Usage("x"), io::ErrorKind::InvalidInput),
        (OpenError::Context(ContextError::EmptyName), io::ErrorKind::InvalidInput),
        (OpenError::KeyUnavailable(keys()), io::ErrorKind::PermissionDenied),
        (OpenError::Refused("x"), io::ErrorKind::PermissionDenied),
        (OpenError::Io(io::ErrorKind::StorageFull.into()), io::ErrorKind::StorageFull),
    ] {
        assert_eq!(through(error), kind);
    }
    for (error, kind) in [
        (SealError::Usage("x"), io::ErrorKind::InvalidInput),
        (SealError::LimitExceeded { what: "x", limit: 1 }, io::ErrorKind::InvalidInput),
        (SealError::Context(ContextError::EmptyName), io::ErrorKind::InvalidInput),
        (SealError::Poisoned, io::ErrorKind::Other),
        (SealError::Forked, io::ErrorKind::Other),
        (SealError::Refused("x"), io::ErrorKind::Other),
        (SealError::Provider(provider()), io::ErrorKind::Other),
        (SealError::Random(other()), io::ErrorKind::Other),
        (SealError::Io(io::ErrorKind::BrokenPipe.into()), io::ErrorKind::BrokenPipe),
    ] {
        let category = error.category();
        let io = io::Error::from(error);
        assert_eq!(io.kind(), kind);
        assert_eq!(SealError::from(io).category(), category);
    }
}

#[test]
fn errors_can_be_sent_and_chained() {
    fn is_an_error<T: Error + Send + Sync + 'static>(_: &T) {}
    is_an_error(&ContextError::EmptyName);
    is_an_error(&SealError::Forked);
    is_an_error(&OpenError::Usage("x"));
    is_an_error(&RecordError::Tampered);
    is_an_error(&provider());
    assert!(SealError::Provider(provider()).source().unwrap().is::<ProviderError>());
    assert!(SealError::Random(other()).source().is_some());
    assert!(OpenError::Io(other()).source().is_some());
    assert!(RecordError::Random(other()).source().is_some());
}
