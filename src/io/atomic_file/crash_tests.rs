//! Every power cut and every failing file call of an atomic write.
//!
//! [`LogDisk`] is a directory in memory that logs each call and fails at a chosen one; from its log `images` builds
//! every state that a crash may leave. Each must have the old file or the whole new one at the target.

pub(crate) mod images;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    rc::Rc,
};

use self::images::{Directory, Op, for_each_image};
use super::{Atomic, disk::Disk};

const TARGET: &str = "target";

/// How a run deviates from a good disk, and from good code.
#[derive(Debug, Clone, Copy, Default)]
struct Setup {
    /// The file that is there before, if any, is to be replaced.
    replace: bool,
    /// A file system without hard links.
    no_links: bool,
    /// This call fails with this error number.
    fail: Option<(usize, i32)>,
    /// The call that fails also does its work first.
    fail_late: bool,
    bug: Option<Bug>,
}

/// What the code would do wrong; each must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    NoFileSync,
    NoDirectorySync,
    /// The file is put in place, and synced after.
    RenameFirst,
    /// Writes straight into the target.
    InPlace,
}

#[derive(Debug, Default)]
struct State {
    setup: Setup,
    before: Directory,
    names: BTreeMap<String, usize>,
    contents: BTreeMap<usize, Vec<u8>>,
    log: Vec<Op>,
    calls: usize,
    /// The file that [`Bug::RenameFirst`] will sync too late.
    late_sync: Option<usize>,
}

#[derive(Debug, Clone, Default)]
struct LogDisk(Rc<RefCell<State>>);

#[derive(Debug)]
struct LogFile {
    disk: LogDisk,
    number: usize,
}

impl LogDisk {
    fn new(before: &Directory, setup: Setup) -> Self {
        let mut state = State { setup, before: before.clone(), ..State::default() };
        for (i, (name, bytes)) in before.iter().enumerate() {
            state.names.insert(name.clone(), usize::MAX - i);
            state.contents.insert(usize::MAX - i, bytes.clone());
        }
        Self(Rc::new(RefCell::new(state)))
    }

    /// One call: fails if it is its turn, otherwise is done and logged.
    fn call(&self, ops: Vec<Op>) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let n = state.calls;
        state.calls += 1;
        let failure = state.setup.fail.filter(|(at, _)| *at == n).map(|(_, number)| number);
        if failure.is_none() || state.setup.fail_late {
            ops.into_iter().for_each(|op| state.apply(op));
        }
        failure.map_or(Ok(()), |number| Err(io::Error::from_raw_os_error(number)))
    }

    fn live(&self) -> Directory {
        let state = self.0.borrow();
        state.names.iter().map(|(name, number)| (name.clone(), state.contents[number].clone())).collect()
    }

    fn has_bug(&self, bug: Bug) -> bool {
        self.0.borrow().setup.bug == Some(bug)
    }
}

impl State {
    fn apply(&mut self, op: Op) {
        match &op {
            Op::Create { file, name } => {
                self.names.insert(name.clone(), *file);
                self.contents.insert(*file, Vec::new());
            }
            Op::Write { file, at, bytes } => {
                let content = self.contents.get_mut(file).expect("created");
                assert_eq!(content.len(), *at, "only appends here");
                content.extend_from_slice(bytes);
            }
            Op::Rename { from, to } => {
                let number = self.names.remove(from).expect("renamed what is there");
                self.names.insert(to.clone(), number);
            }
            Op::Link { from, to } => {
                self.names.insert(to.clone(), self.names[from]);
            }
            Op::Remove { name } => {
                self.names.remove(name).expect("removed what is there");
            }
            Op::SyncFile { .. } | Op::SyncDir => {}
        }
        self.log.push(op);
    }
}

fn name(path: &Path) -> String {
    path.file_name().expect("all paths here are files").to_str().expect("ASCII").to_owned()
}

impl Disk for LogDisk {
    type File = LogFile;

    fn check_target(&self, target: &Path, replace: bool) -> io::Result<()> {
        let there = self.0.borrow().names.contains_key(&name(target));
        if there && !replace { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    fn create_new(&self, path: &Path) -> io::Result<LogFile> {
        let number = self.0.borrow().contents.len();
        let name = if self.has_bug(Bug::InPlace) { TARGET.to_owned() } else { name(path) };
        self.call(vec![Op::Create { file: number, name }])?;
        Ok(LogFile { disk: self.clone(), number })
    }

    fn sync_file(&self, file: &LogFile) -> io::Result<()> {
        if self.has_bug(Bug::NoFileSync) {
            return Ok(());
        }
        if self.has_bug(Bug::RenameFirst) {
            self.0.borrow_mut().late_sync = Some(file.number);
            return Ok(());
        }
        self.call(vec![Op::SyncFile { file: file.number }])
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.has_bug(Bug::InPlace) {
            return Ok(());
        }
        self.call(vec![Op::Rename { from: name(from), to: name(to) }])?;
        let late = self.0.borrow_mut().late_sync.take();
        late.map_or(Ok(()), |file| self.call(vec![Op::SyncFile { file }]))
    }

    /// As the real disk does it: a link and a removal whose failure does not matter, or a rename.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.0.borrow().names.contains_key(&name(to)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.0.borrow().setup.no_links {
            return self.rename(from, to);
        }
        self.call(vec![Op::Link { from: name(from), to: name(to) }])?;
        drop(self.call(vec![Op::Remove { name: name(from) }]));
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        if self.has_bug(Bug::NoDirectorySync) {
            return Ok(());
        }
        self.call(vec![Op::SyncDir])
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.0.borrow().names.contains_key(&name(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.call(vec![Op::Remove { name: name(path) }])
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.disk.0.borrow().contents[&self.number].len();
        self.disk.call(vec![Op::Write { file: self.number, at, bytes: bytes.to_vec() }])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The content to write, in the pieces it is written in.
type Pieces = &'static [usize];

fn content(pieces: Pieces) -> Vec<u8> {
    // No byte is zero, so that a sector that never reached the disk cannot pass for one that did.
    (0..pieces.iter().sum()).map(|i: usize| u8::try_from(i % 251 + 1).expect("below 256")).collect()
}

fn write(disk: &LogDisk, setup: Setup, pieces: Pieces) -> io::Result<()> {
    let mut file = Atomic::create(disk.clone(), Path::new(TARGET), setup.replace)?;
    let content = content(pieces);
    let mut rest = content.as_slice();
    for len in pieces {
        let (piece, behind) = rest.split_at(*len);
        file.file_mut().write_all(piece)?;
        rest = behind;
    }
    file.commit()
}

/// Small and large, one write and several, at sector borders and across them; an empty file too.
const PATTERNS: [Pieces; 8] = [
    &[],
    &[1],
    &[511],
    &[512],
    &[513],
    &[300, 56, 900, 1],
    &[4096, 72, 700],
    &[4096, 56, 16_400, 16_400, 16],
];

fn before(setup: Setup) -> Directory {
    let mut before = Directory::from([("bystander".to_owned(), b"stays".to_vec())]);
    if setup.replace {
        before.insert(TARGET.to_owned(), vec![0xee; 1700]);
    }
    before
}

/// Runs and checks all images. The first one that is neither old nor new is the error; otherwise their number.
fn check(setup: Setup, pieces: Pieces) -> Result<usize, String> {
    let before = before(setup);
    let disk = LogDisk::new(&before, setup);
    let outcome = write(&disk, setup, pieces);
    let state = disk.0.borrow();
    assert_eq!(state.before, before);
    let (old, new) = (before.get(TARGET), content(pieces));
    let mut fault = None;
    let images = for_each_image(&before, &state.log, |done, image| {
        let found = image.get(TARGET);
        let is_new = found == Some(&new);
        let promised = done == state.log.len() && outcome.is_ok();
        if image.get("bystander") != before.get("bystander") {
            fault.get_or_insert(format!("another file changed after {done} calls"));
        }
        if !(is_new || found == old) {
            let len = found.map(Vec::len);
            fault.get_or_insert(format!(
                "neither old nor new ({len:?} bytes) after {done} calls of {:?}",
                state.log
            ));
        }
        if promised && !is_new {
            fault.get_or_insert("success was reported, and the new file is not durable".to_owned());
        }
    });
    fault.map_or(Ok(images), Err)
}

fn setups() -> impl Iterator<Item = Setup> {
    [(true, false), (false, false), (false, true)].into_iter().map(|(replace, no_links)| Setup {
        replace,
        no_links,
        ..Setup::default()
    })
}

#[test]
fn every_power_cut_leaves_the_old_file_or_the_whole_new_one() {
    let mut images = 0;
    for setup in setups() {
        for pieces in PATTERNS {
            images += check(setup, pieces).unwrap_or_else(|fault| panic!("{setup:?} {pieces:?}: {fault}"));
        }
    }
    println!("{images} disk images");
    assert!(images > 10_000, "only {images} images: the enumeration has lost something");
}

#[test]
fn every_failing_call_leaves_the_old_file_and_no_litter() {
    const ERRORS: [i32; 4] = [libc::ENOSPC, libc::EIO, libc::EDQUOT, libc::EPERM];
    let mut runs = 0;
    for (base, pieces) in setups().flat_map(|setup| PATTERNS.map(|pieces| (setup, pieces))) {
        let clean = LogDisk::new(&before(base), base);
        write(&clean, base, pieces).expect("nothing fails");
        let calls = clean.0.borrow().calls;
        for (at, number, fail_late) in (0..calls)
            .flat_map(|at| ERRORS.map(|number| (at, number)))
            .flat_map(|(at, n)| [(at, n, false), (at, n, true)])
        {
            let setup = Setup { fail: Some((at, number)), fail_late, ..base };
            one_failing_call(setup, pieces);
            // Which error it was makes no difference to the disk, and the largest file has the most images.
            if number == ERRORS[0] && content(pieces).len() < 10_000 {
                check(setup, pieces).unwrap_or_else(|fault| panic!("{setup:?} {pieces:?}: {fault}"));
            }
            runs += 1;
        }
    }
    assert!(runs > 500, "only {runs} runs");
}

fn one_failing_call(setup: Setup, pieces: Pieces) {
    let (at, number) = setup.fail.expect("one call fails");
    let before = before(setup);
    let disk = LogDisk::new(&before, setup);
    let outcome = write(&disk, setup, pieces);
    let live = disk.live();
    let state = disk.0.borrow();
    let committed =
        state.log.iter().any(|op| matches!(op, Op::Rename { to, .. } | Op::Link { to, .. } if to == TARGET));
    let what = format!("call {at} failing with {number} in {setup:?} {pieces:?}: {:?}", state.log);
    match outcome {
        // The one failure that is none: the temporary name could not be removed after the link.
        Ok(()) => assert_eq!(live.get(TARGET), Some(&content(pieces)), "{what}"),
        Err(error) => {
            assert_eq!(error.raw_os_error(), Some(number), "the first error is the one reported: {what}");
            if committed {
                // Put in place and then told an error: whole, in any case.
                assert_eq!(live.get(TARGET), Some(&content(pieces)), "{what}");
            } else {
                assert_eq!(live.get(TARGET), before.get(TARGET), "{what}");
            }
        }
    }
    let litter: Vec<_> = live.keys().filter(|name| name.starts_with(".kuvert-")).collect();
    // A name stays only where creating it was reported as failed, or removing it.
    let may_stay =
        (setup.fail_late && at == 0) || !matches!(state.log.last(), Some(Op::Remove { .. })) && committed;
    assert!(litter.is_empty() || may_stay, "{litter:?} left behind: {what}");
}

#[test]
fn a_file_that_is_not_committed_never_appears() {
    for setup in setups() {
        let before = before(setup);
        let disk = LogDisk::new(&before, setup);
        let mut file = Atomic::create(disk.clone(), Path::new(TARGET), setup.replace).expect("nothing fails");
        file.file_mut().write_all(&content(&[700])).expect("nothing fails");
        drop(file);
        assert_eq!(disk.live(), before);
        for_each_image(&before, &disk.0.borrow().log, |_, image| {
            assert_eq!(image.get(TARGET), before.get(TARGET));
        });
    }
}

#[test]
fn somebody_elses_file_is_not_replaced() {
    for no_links in [false, true] {
        let setup = Setup { no_links, ..Setup::default() };
        let disk = LogDisk::new(&before(setup), setup);
        let file = Atomic::create(disk.clone(), Path::new(TARGET), false).expect("nothing is there yet");
        disk.call(vec![Op::Create { file: 99, name: TARGET.to_owned() }]).expect("nothing fails");
        assert_eq!(file.commit().map_err(|error| error.kind()), Err(io::ErrorKind::AlreadyExists));
        assert_eq!(disk.live().get(TARGET), Some(&Vec::new()), "the other file is untouched");
        assert!(!disk.live().keys().any(|name| name.starts_with(".kuvert-")), "no litter");
    }
}

/// That the real disk syncs is seen where the kernel refuses to: a device and the process directory have no sync.
#[test]
#[cfg(target_os = "linux")]
fn the_real_disk_really_syncs() {
    use super::disk::RealDisk;
    let device = std::fs::File::open("/dev/null").expect("a device");
    assert_eq!(RealDisk.sync_file(&device).map_err(|error| error.raw_os_error()), Err(Some(libc::EINVAL)));
    let refused = RealDisk.sync_directory(Path::new("/proc")).map_err(|error| error.raw_os_error());
    assert_eq!(refused, Err(Some(libc::EINVAL)));
    let directory = tempfile::tempdir().expect("a temporary directory");
    RealDisk.sync_directory(directory.path()).expect("a directory on a disk");
}

/// The harness must find each of these, or it proves nothing.
#[test]
fn planted_bugs_are_found() {
    for bug in [Bug::NoFileSync, Bug::NoDirectorySync, Bug::RenameFirst, Bug::InPlace] {
        let found = PATTERNS.iter().any(|pieces| {
            check(Setup { replace: true, bug: Some(bug), ..Setup::default() }, pieces).is_err()
        });
        assert!(found, "{bug:?} went unnoticed");
    }
}
