//! Key files: the text, every fault with its line, and the file itself.

use std::path::PathBuf;

use super::*;

/// Key 00 01 .. 1f of the id "test".
fn line() -> String {
    let text = KeyFile { entries: vec![fixed("test")] }.expose_text().into_inner();
    text.lines().last().unwrap().to_owned()
}

fn fixed(id: &str) -> Entry {
    let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
    Entry::new(id.to_owned(), Secret::copy_from(&bytes))
}

fn fault(text: impl AsRef<[u8]>) -> (usize, LineFault) {
    match KeyFile::parse(text.as_ref()) {
        Err(KeyFileError::Line { path: None, line, fault }) => (line, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_line_is_as_the_format_says() {
    // Computed by another program from the definition in the format.
    assert_eq!(line(), "kuvert-key-v1:test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KP+W/");
}

#[test]
fn what_is_printed_is_read_back() {
    let file = KeyFile { entries: vec![fixed("a"), fixed("B.0_/@-z"), fixed(&"x".repeat(256))] };
    let text = file.expose_text();
    assert!(text.starts_with("# "));
    let back = KeyFile::parse(text.as_bytes()).unwrap();
    assert_eq!(back.ids().collect::<Vec<_>>(), file.ids().collect::<Vec<_>>());
    assert!(back.entries.iter().zip(&file.entries).all(|(a, b)| a.key() == b.key()));
}

#[test]
fn the_text_was_given_all_its_space_at_once() {
    let text = KeyFile { entries: vec![fixed("a"), fixed("b")] }.expose_text().into_inner();
    assert_eq!(text.capacity(), text.len());
}

#[test]
fn comments_blank_lines_and_crlf_are_read() {
    for text in [
        format!("# a comment\n\n{}\n", line()),
        format!("# a comment\r\n\r\n{}\r\n#\r\n", line()),
        line(),
        format!("\n\n#kuvert-key-v1:not:read\n{}", line()),
    ] {
        assert_eq!(KeyFile::parse(text.as_bytes()).unwrap().ids().collect::<Vec<_>>(), ["test"]);
    }
}

#[test]
fn every_fault_is_told_with_its_line() {
    let line = line();
    let key = &line["kuvert-key-v1:test:".len()..];
    let cases = [
        (format!("\u{feff}{line}"), 1, LineFault::ByteOrderMark),
        (format!("#\n{line}\n{line}\n"), 3, LineFault::DuplicateId),
        (format!(" {line}"), 1, LineFault::Blanks),
        (format!("#\r\n{line} \r\n"), 2, LineFault::Blanks),
        (format!("{line}\r\r\n"), 1, LineFault::CarriageReturn),
        (format!("{line}\r"), 1, LineFault::CarriageReturn),
        (format!("#\r{line}\n"), 1, LineFault::CarriageReturn),
        (format!("{line}\n\t\n"), 2, LineFault::Blanks),
        (format!("kuvert-key-v1: test:{key}"), 1, LineFault::Blanks),
        (" # a comment that does not begin the line".into(), 1, LineFault::NotAnEntry),
        ("-----BEGIN PRIVATE KEY-----".into(), 1, LineFault::NotAnEntry),
        ("kuvert-key-v1".into(), 1, LineFault::NotAnEntry),
        (format!("kuvert-key-v1:{key}"), 1, LineFault::NotAnEntry),
        (format!("kuvert-key-v2:test:{key}"), 1, LineFault::UnknownVersion),
        (format!("kuvert-key-v01:test:{key}"), 1, LineFault::UnknownVersion),
        (format!("kuvert-key-v1::{key}"), 1, LineFault::InvalidId),
        (format!("kuvert-key-v1:t+st:{key}"), 1, LineFault::InvalidId),
        (format!("kuvert-key-v1:{}:{key}", "x".repeat(257)), 1, LineFault::InvalidId),
        (format!("kuvert-key-v1:test:{}", &key[1..]), 1, LineFault::KeyLength { found: 47 }),
        (format!("{line}="), 1, LineFault::KeyLength { found: 49 }),
        (format!("{line}:"), 1, LineFault::KeyLength { found: 49 }),
        (format!("kuvert-key-v1:test:{}_", &key[..47]), 1, LineFault::KeyEncoding),
        (format!("kuvert-key-v1:test:{}==", &key[..46]), 1, LineFault::KeyEncoding),
        (format!("kuvert-key-v1:tesT:{key}"), 1, LineFault::CheckFailed),
    ];
    for (text, number, expected) in cases {
        assert_eq!(fault(&text), (number, expected), "{text:?}");
    }
    assert_eq!(fault(b"# fine\n\xff\n"), (2, LineFault::NotUtf8));
    assert_eq!(fault(b"\xff\xfek\0u\0"), (1, LineFault::NotUtf8));
}

#[test]
fn every_single_mistyped_character_is_told() {
    let line = line();
    for at in 0..line.len() {
        for wrong in "Aa0+/zB:- ".chars().filter(|wrong| !line[at..].starts_with(*wrong)) {
            let text = format!("{}{wrong}{}", &line[..at], &line[at + 1..]);
            assert_eq!(fault(text).0, 1, "character {at} as {wrong:?}");
        }
    }
}

#[test]
fn no_fault_shows_anything_of_the_line() {
    let line = line();
    let key = &line["kuvert-key-v1:test:".len()..];
    for text in
        [format!("{line}\n{line}"), format!("{line}x"), key.to_owned(), format!("kuvert-key-v1:{key}:{key}")]
    {
        let error = KeyFile::parse(text.as_bytes()).unwrap_err().with_path(Path::new("k"));
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!((0..key.len() - 8).all(|at| !shown.contains(&key[at..at + 8])), "{shown}");
        }
    }
    assert!(!format!("{:?}", KeyFile::parse(line.as_bytes()).unwrap()).contains(&key[..8]));
}

#[test]
fn a_file_without_a_key_is_refused() {
    for text in ["", "\n", "# only a comment", "\r\n#\r\n"] {
        assert!(
            matches!(KeyFile::parse(text.as_bytes()), Err(KeyFileError::NoKey { path: None })),
            "{text:?}"
        );
    }
}

#[test]
fn generated_keys_and_names_differ() {
    let files: Vec<KeyFile> = (0..8).map(|_| KeyFile::generate(None).unwrap()).collect();
    for (i, file) in files.iter().enumerate() {
        let id = file.ids().next().unwrap();
        assert!(
            id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)),
            "{id}"
        );
        assert!(
            files[..i]
                .iter()
                .all(|other| other.entries[0].key() != file.entries[0].key() && other.ids().ne([id]))
        );
    }
    for id in ["", "a b", "ä", "a:b", &"x".repeat(257)] {
        assert!(matches!(KeyFile::generate(Some(id)), Err(KeyFileError::InvalidId { .. })), "{id:?}");
    }
}

fn dir_with(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a key's file");
    fs::write(&path, text).unwrap();
    set_mode(&path, 0o600);
    (dir, path)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}

#[test]
fn a_written_file_is_private_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.key");
    let file = KeyFile::generate(Some("first")).unwrap();
    file.write_new(&path).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    let before = fs::read(&path).unwrap();
    let error = KeyFile::generate(Some("second")).unwrap().write_new(&path).unwrap_err();
    assert!(
        matches!(error, KeyFileError::Exists { .. }) && error.category() == crate::error::Category::Usage
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(KeyFile::load(&path).unwrap().ids().collect::<Vec<_>>(), ["first"]);
    let nowhere = file.write_new(&dir.path().join("no/such/dir")).unwrap_err();
    assert!(
        matches!(nowhere, KeyFileError::Write { .. }) && nowhere.category() == crate::error::Category::Io
    );
}

#[cfg(unix)]
#[test]
fn loose_modes_are_refused_with_the_command_to_run() {
    let (_dir, path) = dir_with(line().as_bytes());
    for mode in [0o640, 0o604, 0o620, 0o601, 0o610, 0o666, 0o777] {
        set_mode(&path, mode);
        let error = KeyFile::load(&path).unwrap_err();
        assert!(
            matches!(error, KeyFileError::LooseMode { mode: found, .. } if found == mode),
            "{mode:o}: {error:?}"
        );
        let advice = format!("run: chmod 600 '{}'", path.display().to_string().replace('\'', r"'\''"));
        assert!(error.to_string().ends_with(&advice), "{error}");
    }
    for mode in [0o600, 0o400, 0o700] {
        set_mode(&path, mode);
        assert!(KeyFile::load(&path).is_ok(), "{mode:o}");
    }
}

#[test]
fn the_chmod_to_run_is_one_word_whatever_the_name() {
    let advice = |name: &str| {
        let error = KeyFileError::LooseMode { path: name.into(), mode: 0o644 };
        error.to_string().split_once("run: ").unwrap().1.to_owned()
    };
    assert_eq!(advice("/etc/kuvert/a.key"), "chmod 600 /etc/kuvert/a.key");
    assert_eq!(advice("-rf"), "chmod 600 -- -rf");
    assert_eq!(advice("a b"), "chmod 600 'a b'");
    assert_eq!(advice("a;'$(x)"), r"chmod 600 'a;'\''$(x)'");
    assert_eq!(advice("\u{1b}[2J"), "chmod 600 '?[2J'");
}

#[test]
fn what_is_no_readable_file_is_refused_with_its_path() {
    let (dir, path) = dir_with(&vec![b'#'; MAX_FILE_LEN + 1]);
    assert!(matches!(KeyFile::load(&path), Err(KeyFileError::TooLarge { .. })));
    fs::write(&path, vec![b'#'; MAX_FILE_LEN]).unwrap();
    assert!(matches!(KeyFile::load(&path), Err(KeyFileError::NoKey { path: Some(_) })));
    fs::write(&path, format!("{}\n?", line())).unwrap();
    let error = KeyFile::load(&path).unwrap_err();
    assert!(error.to_string().contains("a key\\'s file\", line 2: not an entry"), "{error}");
    let error = KeyFile::load(&dir.path().join("absent")).unwrap_err();
    assert!(matches!(error, KeyFileError::Read { .. }) && error.to_string().contains("absent"), "{error}");
    #[cfg(unix)]
    {
        assert!(matches!(KeyFile::load(dir.path()), Err(KeyFileError::NotAFile { .. })));
        assert!(matches!(KeyFile::load(Path::new("/dev/null")), Err(KeyFileError::NotAFile { .. })));
    }
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_refused_without_waiting_for_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap();
    assert!(made.success());
    assert!(matches!(KeyFile::load(&path), Err(KeyFileError::NotAFile { .. })));
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the bytes are, they are read or refused, and eight of their characters in a row are never shown.
        #[test]
        fn is_read_or_refused_without_being_shown(text in "(#|kuvert-key-v[12]:|[A-Za-z0-9:]{8}|[\\PC]{1,9}|\r|\n|\u{feff}){0,12}") {
            if let Err(error) = KeyFile::parse(text.as_bytes()) {
                let shown = format!("{error} {error:?}");
                let pieces = text.split(['\n', '\r', ':']).filter(|piece| !shown_anyway(piece));
                for piece in pieces {
                    prop_assert!(!shown.contains(piece), "{piece:?} in {shown}");
                }
            }
        }

        #[test]
        fn of_any_bytes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(KeyFile::parse(&bytes));
        }

        /// One byte changed anywhere in a file is told, or the file means the same: it was in a comment or a line end.
        #[test]
        fn with_one_byte_changed_never_holds_another_key(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let file = KeyFile { entries: vec![fixed("one"), fixed("two")] };
            let mut text = file.expose_text().as_bytes().to_vec();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(read) = KeyFile::parse(&text) {
                prop_assert!(read.entries.iter().all(|entry| entry.key() == fixed("x").key()));
                // A line can become a comment, and no line another entry.
                prop_assert!(read.ids().all(|id| ["one", "two"].contains(&id)));
            }
        }
    }

    /// Too short to be a secret, or words of our own, which name the beginning of an entry in quotation marks.
    fn shown_anyway(piece: &str) -> bool {
        let own = KeyFile::parse(b"?").unwrap_err();
        piece.chars().count() < 8
            || piece.starts_with("kuvert-key-v")
            || format!("{own} {own:?}").contains(piece)
    }

    #[test]
    fn words_of_our_own_are_told_from_what_is_in_a_file() {
        assert!(shown_anyway("\"kuvert-key-v1") && shown_anyway("secret!"));
        assert!(!shown_anyway("a secret") && !shown_anyway("akuvert-key-v1"));
    }
}
