//! The errors of key files: frozen, too, and none with a line in it.

use std::path::PathBuf;

use kuvert::provider::{KeyFileError, LineFault};

use super::{Category, Row, assert_whole, other, row};

fn path() -> PathBuf {
    PathBuf::from("/keys/a b")
}

fn rows() -> Vec<Row> {
    let of = |name, category, error: KeyFileError, text| {
        assert_eq!(error.category(), category, "{name}");
        row(name, category, &error, text)
    };
    let id = || "k\n1".to_owned();
    use Category::{Io, Usage};
    vec![
        of(
            "Read",
            Usage,
            KeyFileError::Read { path: path(), source: other() },
            "key file \"/keys/a b\" cannot be read: disk on fire",
        ),
        of(
            "NotAFile",
            Usage,
            KeyFileError::NotAFile { path: path() },
            "key file \"/keys/a b\" is not a regular file",
        ),
        of(
            "LooseMode",
            Usage,
            KeyFileError::LooseMode { path: path(), mode: 0o644 },
            "key file \"/keys/a b\" has mode 0644: its group or others may use the key; run: chmod 600 '/keys/a b'",
        ),
        of(
            "TooLarge",
            Usage,
            KeyFileError::TooLarge { path: path(), limit: 65_536 },
            "key file \"/keys/a b\" is longer than 65536 bytes: it is not a key file",
        ),
        of(
            "Line",
            Usage,
            KeyFileError::Line { path: None, line: 7, fault: LineFault::Blanks },
            "key file, line 7: white space before, in or after the entry; remove it",
        ),
        of(
            "NoKey",
            Usage,
            KeyFileError::NoKey { path: Some(path()) },
            "key file \"/keys/a b\" holds no key: it needs a line made by \"kuvert keygen\"",
        ),
        of(
            "Conflict",
            Usage,
            KeyFileError::Conflict { id: "k1".to_owned() },
            "two different keys have the id \"k1\": leave one of the key files out",
        ),
        of(
            "InvalidId",
            Usage,
            KeyFileError::InvalidId { id: id() },
            "\"k\\n1\" cannot be a key's id: 1 to 256 of the characters A-Z a-z 0-9 . _ / @ -",
        ),
        of("UnknownId", Usage, KeyFileError::UnknownId { id: id() }, "there is no key of the id \"k\\n1\""),
        of(
            "Exists",
            Usage,
            KeyFileError::Exists { path: path() },
            "\"/keys/a b\" already exists and was left as it is: choose another name for the new key file",
        ),
        of(
            "Write",
            Io,
            KeyFileError::Write { path: path(), source: other() },
            "key file \"/keys/a b\" cannot be written: disk on fire",
        ),
        of("Random", Io, KeyFileError::Random(other()), "the system's random source failed: disk on fire"),
    ]
}

fn fault_rows() -> Vec<Row> {
    let of = |name, fault: LineFault, text| row(name, Category::Usage, &fault, text);
    vec![
        of("NotUtf8", LineFault::NotUtf8, "not UTF-8 text; is this a key file?"),
        of(
            "ByteOrderMark",
            LineFault::ByteOrderMark,
            "the file begins with a byte-order mark; save it as UTF-8 without one",
        ),
        of(
            "CarriageReturn",
            LineFault::CarriageReturn,
            "a carriage return that does not end the line; save the file with LF or CR LF line ends",
        ),
        of(
            "NotAnEntry",
            LineFault::NotAnEntry,
            "not an entry: expected \"kuvert-key-v1:<id>:<48 base64 characters>\", a line that begins with #, or an \
             empty line",
        ),
        of(
            "UnknownVersion",
            LineFault::UnknownVersion,
            "a key of a version unknown here; a newer release of kuvert may read it",
        ),
        of("Blanks", LineFault::Blanks, "white space before, in or after the entry; remove it"),
        of(
            "InvalidId",
            LineFault::InvalidId,
            "the id must have 1 to 256 of the characters A-Z a-z 0-9 . _ / @ -",
        ),
        of(
            "KeyLength",
            LineFault::KeyLength { found: 47 },
            "the key has 47 characters instead of 48; copy the whole line again",
        ),
        of(
            "KeyEncoding",
            LineFault::KeyEncoding,
            "the key is not standard base64; copy the whole line again",
        ),
        of(
            "CheckFailed",
            LineFault::CheckFailed,
            "the check at the line's end does not fit: a character of the id or the key is mistyped; copy the whole \
             line again",
        ),
        of("DuplicateId", LineFault::DuplicateId, "the id stands in an earlier line too; remove one of them"),
    ]
}

#[test]
fn every_fault_of_a_key_file_has_its_text() {
    assert_whole("provider/key_file/error.rs", "KeyFileError", &rows());
    assert_whole("provider/key_file/error.rs", "LineFault", &fault_rows());
}
