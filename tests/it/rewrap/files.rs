//! Files: in place, by copy, side copies, and everything a disk or an operator may have in store.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use kuvert::{Category, Layout, RewrapError, RewrapMethod, RewrapOptions, RewrapOutcome, SealOptions};

use super::stage::{holder, keys, opens, parts, sealed};
use crate::support::anatomy::Anatomy;
use crate::support::cancel::wait;
use crate::support::fixture::{context, text};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn side(path: &Path) -> PathBuf {
    let mut side = path.as_os_str().to_owned();
    side.push(".kuvert-header");
    side.into()
}

#[test]
fn in_place_and_by_copy() {
    for (layout, method) in
        [(Layout::Rewrappable, RewrapMethod::InPlace), (Layout::Compact, RewrapMethod::Copy)]
    {
        let folder = Folder::new();
        let message = sealed(layout, "a", &text(3_000_000));
        let path = folder.write("backup", &message);
        let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
        let report = wait(rewrap.file(&path, &context())).unwrap();
        assert_eq!((report.outcome, report.method, report.generation), (RewrapOutcome::Rewrapped, method, 2));
        let after = fs::read(&path).unwrap();
        assert!(parts(&after).1 == parts(&message).1, "{layout:?}: the body");
        assert_eq!(opens("b", &after).as_deref(), Ok(&text(3_000_000)[..]));
        assert_eq!(opens("a", &after), Err(Category::KeyUnavailable));
        assert_eq!(folder.names(), ["backup"]);
        let report = wait(rewrap.file(&path, &context())).unwrap();
        assert_eq!((report.outcome, report.method), (RewrapOutcome::Unchanged, RewrapMethod::InPlace));
        assert!(fs::read(&path).unwrap() == after);
    }
}

#[cfg(unix)]
#[test]
fn a_copy_keeps_permissions_and_links_are_followed() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    for layout in [Layout::Rewrappable, Layout::Compact] {
        let folder = Folder::new();
        let path = folder.write("backup", &sealed(layout, "a", b"x"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("backup", folder.path("latest")).unwrap();
        let before = fs::metadata(&path).unwrap();
        wait(holder(&["a"]).rewrap_to(keys(&["b"])).file(folder.path("latest"), &context())).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(
            (after.mode(), after.uid(), after.gid()),
            (before.mode(), before.uid(), before.gid()),
            "{layout:?}"
        );
        assert!(fs::symlink_metadata(folder.path("latest")).unwrap().is_symlink());
        assert!(opens("b", &fs::read(&path).unwrap()).is_ok());
        assert_eq!(folder.names(), ["backup", "latest"]);
    }
}

#[cfg(unix)]
#[test]
fn a_read_only_file_is_left_alone_also_by_root() {
    use std::os::unix::fs::PermissionsExt;
    for layout in [Layout::Rewrappable, Layout::Compact] {
        let folder = Folder::new();
        let path = folder.write("backup", &sealed(layout, "a", b"x"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        let before = fs::read(&path).unwrap();
        let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
        let RewrapError::Io(error) = wait(rewrap.file(&path, &context())).unwrap_err() else { panic!() };
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("read-only") && error.to_string().contains("chmod"), "{error}");
        assert_eq!((fs::read(&path).unwrap(), folder.names()), (before, vec!["backup".to_owned()]));
        // Into another file it can be rewrapped.
        wait(rewrap.file_to(&path, folder.path("new"), &context())).unwrap();
        assert!(opens("b", &fs::read(folder.path("new")).unwrap()).is_ok());
    }
}

#[test]
fn into_another_file() {
    let folder = Folder::new();
    let path = folder.write("from", &sealed(Layout::Rewrappable, "a", &text(100_000)));
    let before = fs::read(&path).unwrap();
    let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
    let report = wait(rewrap.file_to(&path, folder.path("to"), &context())).unwrap();
    assert_eq!((report.method, report.generation), (RewrapMethod::Copy, 2));
    let after = fs::read(folder.path("to")).unwrap();
    assert_eq!(opens("b", &after).as_deref(), Ok(&text(100_000)[..]));
    assert_eq!(opens("a", &after), Err(Category::KeyUnavailable));
    assert!(fs::read(&path).unwrap() == before);

    let error = wait(rewrap.file_to(&path, folder.path("to"), &context())).unwrap_err();
    assert!(matches!(&error, RewrapError::Io(error) if error.kind() == ErrorKind::AlreadyExists), "{error}");
    let replacing = rewrap.clone().with_options(RewrapOptions::default().with_replace_existing(true));
    assert!(wait(replacing.file_to(&path, folder.path("to"), &context())).is_ok());
    let error = wait(replacing.file_to(&path, &path, &context())).unwrap_err();
    assert_eq!(error.category(), Category::Usage);
    // What is under the new key already gets there all the same.
    let report = wait(rewrap.file_to(folder.path("to"), folder.path("third"), &context())).unwrap();
    assert_eq!(report.outcome, RewrapOutcome::Unchanged);
    assert!(opens("b", &fs::read(folder.path("third")).unwrap()).is_ok());
    assert_eq!(folder.names(), ["from", "third", "to"]);
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn detached_files() {
    let folder = Folder::new();
    let sealing = holder(&["a"]).with_seal_options(SealOptions::default().with_layout(Layout::Detached));
    let sealer = wait(sealing.sealer(&context())).unwrap();
    let header = folder.write("backup.kvh", sealer.header());
    let mut writer = sealer.into_writer(File::create(folder.path("backup")).unwrap());
    writer.write_all(&text(50_000)).unwrap();
    writer.finish().unwrap();
    let body = folder.path("backup");
    let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
    let strict = rewrap.clone().with_options(RewrapOptions::default().with_in_place_only(true));
    let report = wait(strict.detached_file(&header, &body, &context())).unwrap();
    assert_eq!((report.method, report.generation), (RewrapMethod::Copy, 2));
    let opened = |id: &str| {
        let (mut header, mut body) = (File::open(&header).unwrap(), File::open(&body).unwrap());
        let start = kuvert::MessageStart::read_detached_seekable(&mut header, &mut body).unwrap();
        let opener = wait(holder(&[id]).opener(start, &context())).map_err(|error| error.category())?;
        let mut out = Vec::new();
        opener.into_reader(body).copy_to(&mut out).unwrap();
        Ok(out)
    };
    assert_eq!(opened("b").as_deref(), Ok(&text(50_000)[..]));
    assert_eq!(opened("a"), Err(Category::KeyUnavailable));
    let before = fs::read(&header).unwrap();
    let report = wait(rewrap.detached_file(&header, &body, &context())).unwrap();
    assert_eq!(report.outcome, RewrapOutcome::Unchanged);
    assert!(fs::read(&header).unwrap() == before);
    // Taken for an ordinary file, in both ways.
    for path in [&header, &body] {
        assert!(wait(rewrap.file(path, &context())).is_err());
    }
    assert_eq!(folder.names(), ["backup", "backup.kvh"]);
}

/// The header of a file that a rewrap is writing to, lost; the copy beside it genuine, or not.
#[test]
fn a_lost_header_is_put_back_from_a_genuine_side_copy_only() {
    let folder = Folder::new();
    let message = sealed(Layout::Rewrappable, "a", &text(1000));
    let anatomy = Anatomy::of(&message);
    let header = &message[..anatomy.header_len()];
    let mut lost = message.clone();
    anatomy.slots.iter().for_each(|slot| lost[slot.clone()].fill(0));
    let mut noise = message.clone();
    anatomy.slots.iter().for_each(|slot| noise[slot.clone()].fill(0xee));
    let mut unmaced = message.clone();
    unmaced[anatomy.slots[0].end - 1] ^= 1;
    let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
    for damaged in [&lost, &noise, &unmaced] {
        let path = folder.write("backup", damaged);
        assert!(wait(rewrap.file(&path, &context())).is_err());
        folder.write("backup.kuvert-header", header);
        let report = wait(rewrap.file(&path, &context())).unwrap();
        assert_eq!((report.outcome, report.restored, report.generation), (RewrapOutcome::Rewrapped, true, 2));
        let after = fs::read(&path).unwrap();
        assert_eq!(opens("b", &after).as_deref(), Ok(&text(1000)[..]));
        assert!(opens("a", &after).is_err() && after[header.len()..] == message[header.len()..]);
        assert_eq!(folder.names(), ["backup"]);

        // To the recipients it had: put back, and that is all.
        folder.write("backup", damaged);
        folder.write("backup.kuvert-header", header);
        let same = holder(&["a"]).rewrap_to(keys(&["a"]));
        let report = wait(same.file(&path, &context())).unwrap();
        assert_eq!((report.outcome, report.restored, report.generation), (RewrapOutcome::Mended, true, 1));
        assert!(fs::read(&path).unwrap() == message);
        assert_eq!(folder.names(), ["backup"]);
    }
    // Of another message, cut short, not a header at all, damaged itself, of keys that nobody has.
    let other = sealed(Layout::Rewrappable, "a", &text(1000));
    let foreign = sealed(Layout::Rewrappable, "z", &text(1000));
    let cases: [&[u8]; 6] =
        [&other[..header.len()], &header[..4095], &lost[..header.len()], b"", &message, &foreign[..4096]];
    for copy in cases {
        let path = folder.write("backup", &lost);
        folder.write("backup.kuvert-header", copy);
        let error = wait(rewrap.file(&path, &context())).unwrap_err();
        let RewrapError::SideCopy { path: named, .. } = &error else { panic!("{error:?}") };
        assert_eq!(named.file_name().unwrap(), "backup.kuvert-header");
        assert!(error.to_string().contains("backup.kuvert-header"), "{error}");
        assert_eq!(error.category(), Category::Malformed);
        assert!(fs::read(&path).unwrap() == lost && fs::read(side(&path)).unwrap() == copy);
    }
    // The very beginning is gone: not even the length is sure. Told, and left to people.
    let mut headless = lost.clone();
    headless[..32].fill(0);
    let path = folder.write("backup", &headless);
    folder.write("backup.kuvert-header", header);
    assert!(matches!(wait(rewrap.file(&path, &context())), Err(RewrapError::SideCopy { .. })));
    assert!(fs::read(&path).unwrap() == headless);
}

/// A side copy that a crash left must not give old keys their right again.
#[test]
fn a_stale_side_copy_is_no_way_back() {
    let folder = Folder::new();
    let message = sealed(Layout::Rewrappable, "a", b"x");
    let path = folder.write("backup", &message);
    wait(holder(&["a"]).rewrap_to(keys(&["b"])).file(&path, &context())).unwrap();
    let after = fs::read(&path).unwrap();
    folder.write("backup.kuvert-header", &message[..4096]);
    // The old key, which the side copy would open for.
    let error = wait(holder(&["a"]).rewrap_to(keys(&["a"])).file(&path, &context())).unwrap_err();
    assert_eq!(error.category(), Category::KeyUnavailable);
    assert!(fs::read(&path).unwrap() == after);
    assert!(fs::read(side(&path)).unwrap() == message[..4096]);
    // Whoever may open the file removes it, also if there is nothing else to do.
    let report = wait(holder(&["a"]).rewrap_to(keys(&["b"])).file(&path, &context())).unwrap();
    assert_eq!((report.outcome, report.restored), (RewrapOutcome::Unchanged, false));
    assert!(fs::read(&path).unwrap() == after);
    assert_eq!(folder.names(), ["backup"]);
}

#[test]
fn many_files_and_one_that_fails_in_the_middle() {
    let folder = Folder::new();
    let paths: Vec<_> = (0..7)
        .map(|n| {
            let id = if n == 3 { "somebody else's" } else { "a" };
            folder.write(
                &format!("{n}"),
                &sealed(Layout::Rewrappable, if n == 3 { "z" } else { "a" }, id.as_bytes()),
            )
        })
        .collect();
    let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
    let mut seen = Vec::new();
    let stopped = wait(rewrap.files(&paths, &context(), |path, result| {
        seen.push((path.to_owned(), result.is_ok()));
        if seen.len() == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    assert_eq!((stopped.rewrapped, stopped.unchanged, stopped.failed), (4, 0, 1));
    assert_eq!(seen.iter().map(|(_, ok)| *ok).collect::<Vec<_>>(), [true, true, true, false, true]);
    assert!(seen.iter().map(|(path, _)| path).eq(&paths[..5]));
    // Again: what is done is done.
    let rest = wait(rewrap.files(&paths, &context(), |_, _| ControlFlow::Continue(())));
    assert_eq!((rest.rewrapped, rest.unchanged, rest.failed), (2, 4, 1));
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(opens("b", &fs::read(path).unwrap()).is_ok(), n != 3);
    }
}

/// 10 GiB that take no room: the header is rewritten, and the body is not even looked at.
#[test]
fn ten_sparse_gigabytes() {
    let folder = Folder::new();
    let path = folder.write("huge", &sealed(Layout::Rewrappable, "a", b""));
    let len = 10 << 30;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(len).unwrap();
    let report = wait(holder(&["a"]).rewrap_to(keys(&["b"])).file(&path, &context())).unwrap();
    assert_eq!((report.method, report.outcome), (RewrapMethod::InPlace, RewrapOutcome::Rewrapped));
    assert_eq!(fs::metadata(&path).unwrap().len(), len);
    #[cfg(unix)]
    {
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap());
        assert!(blocks * 512 < 1 << 20, "{blocks} blocks: the body was written");
    }
    let start = kuvert::MessageStart::read_seekable(&mut File::open(&path).unwrap()).unwrap();
    assert!(wait(holder(&["b"]).opener(start, &context())).is_ok());
}

#[test]
fn what_is_no_message_is_told_and_left_alone() {
    let folder = Folder::new();
    let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
    let good = sealed(Layout::Rewrappable, "a", &text(20_000));
    for (bytes, category) in [
        (&b""[..], Category::Truncated),
        (b"PK\x03\x04", Category::Malformed),
        (&good[..4000], Category::Truncated),
        (&good[..4096 + 56], Category::Truncated),
        // An impossible length: cut at the end of a chunk.
        (&good[..4096 + 56 + 16_400], Category::Truncated),
    ] {
        let path = folder.write("file", bytes);
        assert_eq!(wait(rewrap.file(&path, &context())).unwrap_err().category(), category);
        assert_eq!((fs::read(&path).unwrap(), folder.names().len()), (bytes.to_vec(), 1));
    }
    for (path, kind) in
        [(folder.path("nowhere"), ErrorKind::NotFound), (folder.0.path().to_owned(), ErrorKind::IsADirectory)]
    {
        let error = wait(rewrap.file(&path, &context())).unwrap_err();
        assert!(matches!(&error, RewrapError::Io(error) if error.kind() == kind), "{error:?}");
    }
}

/// A provider that does something to the file while it is asked to wrap.
#[derive(Debug)]
struct Meddling(PathBuf, fn(&Path));

#[kuvert::async_trait]
impl kuvert::provider::KeyProvider for Meddling {
    async fn wrap_data_key(
        &self,
        key: &kuvert::DataKey,
        context: &kuvert::provider::WrapContext,
    ) -> Result<Vec<kuvert::Recipient>, kuvert::ProviderError> {
        (self.1)(&self.0);
        keys(&["b"]).wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &kuvert::Recipient,
        context: &kuvert::provider::WrapContext,
    ) -> Result<Option<kuvert::DataKey>, kuvert::ProviderError> {
        keys(&["b"]).unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<kuvert::provider::Health, kuvert::ProviderError> {
        Ok(kuvert::provider::Health::good())
    }

    fn describe(&self) -> kuvert::provider::ProviderInfo {
        keys(&["b"]).describe()
    }
}

#[test]
fn a_file_that_changes_meanwhile_is_left_alone() {
    let meddlers: [fn(&Path); 4] = [
        |path| {
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"more").unwrap();
        },
        |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        },
        |path| {
            let mut file = OpenOptions::new().write(true).open(path).unwrap();
            file.seek(SeekFrom::Start(60)).unwrap();
            file.write_all(b"!").unwrap();
        },
        |path| OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap(),
    ];
    for layout in [Layout::Rewrappable, Layout::Compact] {
        for meddle in meddlers {
            let folder = Folder::new();
            let message = sealed(layout, "a", &text(100_000));
            let path = folder.write("backup", &message);
            let meddling = Meddling(path.clone(), meddle);
            let error = wait(holder(&["a"]).rewrap_to(meddling).file(&path, &context())).unwrap_err();
            assert!(matches!(error, RewrapError::Changed(_)), "{error:?}");
            let expected = folder.write("expected", &message);
            meddle(&expected);
            assert!(fs::read(&path).unwrap() == fs::read(&expected).unwrap(), "nothing else was written");
            assert_eq!(folder.names(), ["backup", "expected"]);
        }
    }
}
