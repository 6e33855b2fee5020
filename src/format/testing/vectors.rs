//! The vectors that a unit test runs: those of what has no public face.

use std::{fs, path::Path};

/// One vector: what it states, and its input.
pub(crate) struct Vector {
    pub(crate) name: String,
    fields: Vec<(String, String)>,
    pub(crate) input: Vec<u8>,
}

impl Vector {
    /// All vectors of this kind, in order of their names.
    pub(crate) fn of_kind(kind: &str) -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
        let entries = fs::read_dir(folder).expect("the vectors are part of the repository");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
        paths.sort();
        let line = format!("\nkind: {kind}\n");
        let of_kind = |path: &std::path::PathBuf| {
            let bytes = fs::read(path).expect("a vector can be read");
            let end = bytes.windows(2).position(|pair| pair == b"\n\n").expect("an empty line ends the text");
            let text = std::str::from_utf8(&bytes[..end]).expect("the text is UTF-8");
            let split = |line: &str| {
                let (name, value) = line.split_once(": ").expect("name: value");
                (name.to_owned(), value.to_owned())
            };
            text.contains(&line).then(|| Self {
                name: path.file_stem().expect("a file has a name").to_string_lossy().into_owned(),
                fields: text.lines().map(split).collect(),
                input: bytes[end + 2..].to_vec(),
            })
        };
        paths.iter().filter_map(of_kind).collect()
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub(crate) fn text<'a>(&'a self, name: &'a str) -> &'a str {
        self.one(name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    /// The bytes of a field in hexadecimal.
    pub(crate) fn bytes<const N: usize>(&self, name: &str) -> [u8; N] {
        unhex(self.text(name)).try_into().unwrap_or_else(|_| panic!("{}: {name}", self.name))
    }
}

/// Hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}
