//! A vector file taken apart: section 17 of the manual.

use std::fs;
use std::path::{Path, PathBuf};

use kuvert::{ContextError, EncryptionContext, OpenOptions};

/// One vector: what it states, and its input.
#[derive(Debug, Clone)]
pub struct Vector {
    pub name: String,
    fields: Vec<(String, String)>,
    pub input: Vec<u8>,
}

impl Vector {
    /// Reads a vector; panics on a file that is none, since somebody has to look at it.
    pub fn load(path: &Path) -> Self {
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let bytes = fs::read(path).expect("a vector can be read");
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").expect("an empty line ends the text");
        let text = std::str::from_utf8(&bytes[..end]).expect("the text is UTF-8");
        let split = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{path:?}: line {line:?}"));
            assert!(
                FIELDS.contains(&name),
                "{path:?}: a runner that skips {name:?} would test less than it says"
            );
            (name.to_owned(), value.to_owned())
        };
        let fields: Vec<_> = text.lines().map(split).collect();
        assert_eq!(fields[0], ("kuvert-vector".to_owned(), "1".to_owned()), "{path:?}");
        Self { name, fields, input: bytes[end + 2..].to_vec() }
    }

    pub fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.fields.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn one(&self, name: &'static str) -> Option<&str> {
        let mut found = self.all(name);
        let first = found.next();
        assert!(found.next().is_none(), "{}: {name} is there twice", self.name);
        first
    }

    pub fn text(&self, name: &'static str) -> &str {
        self.one(name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    pub fn flag(&self, name: &'static str) -> bool {
        self.one(name) == Some("true")
    }

    pub fn number(&self, name: &'static str) -> Option<u64> {
        self.one(name).map(|value| value.parse().expect("a number"))
    }

    pub fn len(&self, name: &'static str) -> Option<usize> {
        self.number(name).map(|number| usize::try_from(number).expect("a length"))
    }

    /// The same vector with another value: for showing that the runner would notice.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(found, _)| found != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What is presented. When opening, stored and required pairs are the same: both are used.
    pub fn context(&self) -> Result<EncryptionContext, ContextError> {
        let pairs = self.pairs();
        pairs.into_iter().enumerate().try_fold(EncryptionContext::empty(), |context, (i, (name, value))| {
            if i % 2 == 0 { context.with_stored(name, value) } else { context.with_required(name, value) }
        })
    }

    pub fn pairs(&self) -> Vec<(String, String)> {
        let pair = |(field, text): &(String, String)| {
            let (name, value) = text.split_once('=').expect("NAME=VALUE");
            match field.as_str() {
                "context" => Some((name.to_owned(), value.to_owned())),
                "context-hex" => Some((utf8(hex(name)), utf8(hex(value)))),
                _ => None,
            }
        };
        self.fields.iter().filter(|(field, _)| field.starts_with("context")).filter_map(pair).collect()
    }

    /// The parts of a record's context.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let part = |(field, text): &(String, String)| match field.as_str() {
            "part" => Some(text.clone().into_bytes()),
            "part-hex" => Some(hex(text)),
            _ => None,
        };
        self.fields.iter().filter_map(part).collect()
    }

    pub fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::default().with_accept_stored_context(self.flag("accept-stored"));
        if let Some(generation) = self.number("min-generation") {
            options = options.with_min_generation(u32::try_from(generation).expect("a generation"));
        }
        if let Some(len) = self.len("max-header-len") {
            options = options.with_max_header_len(len);
        }
        options
    }
}

/// Every vector there is, in order of the names. Discovered, never listed.
pub fn discover() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let entries = fs::read_dir(&folder).expect("the vectors are part of the repository");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "kvv"))
        .collect();
    paths.sort();
    paths
}

pub fn hex(text: &str) -> Vec<u8> {
    assert!(text.len() % 2 == 0, "hexadecimal digits come in pairs");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the public API takes text only")
}

/// Every name of section 17. A name that is not here is a vector of a later version.
const FIELDS: [&str; 59] = [
    "kuvert-vector",
    "comment",
    "kind",
    "expect",
    "expect-stream",
    "before-key",
    "calls",
    "key",
    "member",
    "context",
    "context-hex",
    "accept-stored",
    "min-generation",
    "max-header-len",
    "detached-header",
    "released-at-most",
    "degraded",
    "unfinished",
    "generation",
    "opened-by",
    "plaintext-len",
    "plaintext-sha256",
    "role",
    "reference",
    "claimed-reference",
    "record-key-sha256",
    "envelope",
    "part",
    "part-hex",
    "max-record-len",
    "key-id",
    "rewrap",
    "rewrap-key",
    "rewrap-expect",
    "rewrapped-sha256",
    "root",
    "epoch",
    "scope",
    "person",
    "retention-class",
    "credentials",
    "joint",
    "joint-member",
    "request",
    "index",
    "index-value",
    "scope-tag",
    "pseudonym",
    "request-hash",
    "blind-index",
    "key-reference",
    "key-version",
    "subject-key-sha256",
    "child-key-sha256",
    "chain",
    "first-bad",
    "counts",
    "change",
    "parent-key",
];
