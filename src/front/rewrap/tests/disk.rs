//! A directory in memory that logs the calls which change it, and fails or misbehaves at a chosen one.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::io::{
    Access, Disk, HeaderDisk,
    images::{Directory, Op},
};

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does nothing, and fails with this error number.
    Fails(i32),
    /// It does its work, and fails with this error number all the same.
    FailsLate(i32),
    /// It was interrupted, and is to be tried again. Calls that nobody tries again are not interrupted.
    Interrupted,
    /// It takes or gives half of what it was asked for.
    Short,
}

/// What the disk does wrong, or code would; each must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// Writes into the locked file are never synced.
    NoSync,
    /// The zeroes are written before the new slot is.
    ZeroFirst,
    /// Each slot is written where the other one is.
    OtherSlot,
    /// Names are never synced.
    NoDirectorySync,
    /// New files are never synced.
    NoFileSync,
    /// The side copy is not removed.
    NoRemoval,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, usize>,
    contents: BTreeMap<usize, Vec<u8>>,
    log: Vec<Op>,
    calls: usize,
    fault: Option<(usize, Fault)>,
    bug: Option<Bug>,
    /// Where the two slots begin.
    slots: [usize; 2],
    /// The write that [`Bug::ZeroFirst`] holds back.
    held: Option<Op>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct LogDisk(Rc<RefCell<State>>);

#[derive(Debug)]
pub(super) struct LogFile {
    disk: LogDisk,
    number: usize,
}

impl LogDisk {
    pub(super) fn new(before: &Directory) -> Self {
        let mut state = State::default();
        for (i, (name, bytes)) in before.iter().enumerate() {
            state.names.insert(name.clone(), usize::MAX - i);
            state.contents.insert(usize::MAX - i, bytes.clone());
        }
        Self(Rc::new(RefCell::new(state)))
    }

    pub(super) fn failing(self, at: usize, fault: Fault) -> Self {
        self.0.borrow_mut().fault = Some((at, fault));
        self
    }

    pub(super) fn with_bug(self, bug: Bug, slots: [usize; 2]) -> Self {
        self.0.borrow_mut().bug = Some(bug);
        self.0.borrow_mut().slots = slots;
        self
    }

    pub(super) fn log(&self) -> Vec<Op> {
        self.0.borrow().log.clone()
    }

    pub(super) fn calls(&self) -> usize {
        self.0.borrow().calls
    }

    pub(super) fn live(&self) -> Directory {
        let state = self.0.borrow();
        state.names.iter().map(|(name, number)| (name.clone(), state.contents[number].clone())).collect()
    }

    fn has_bug(&self, bug: Bug) -> bool {
        self.0.borrow().bug == Some(bug)
    }

    /// One call: goes wrong if it is its turn, otherwise is done and logged.
    fn call(&self, op: Option<Op>) -> io::Result<()> {
        let fault = self.turn();
        if !matches!(fault, Some(Fault::Fails(_))) {
            if let Some(op) = op {
                self.0.borrow_mut().apply(op);
            }
        }
        match fault {
            Some(Fault::Fails(number) | Fault::FailsLate(number)) => {
                Err(io::Error::from_raw_os_error(number))
            }
            // Neither is an outcome of the calls that come here.
            Some(Fault::Interrupted | Fault::Short) | None => Ok(()),
        }
    }

    fn turn(&self) -> Option<Fault> {
        let mut state = self.0.borrow_mut();
        let n = state.calls;
        state.calls += 1;
        state.fault.filter(|(at, _)| *at == n).map(|(_, fault)| fault)
    }

    /// A write of some of these bytes.
    fn write_some(&self, file: usize, at: usize, bytes: &[u8]) -> io::Result<usize> {
        let fault = self.turn();
        let len = if fault == Some(Fault::Short) { bytes.len().div_ceil(2) } else { bytes.len() };
        if !matches!(fault, Some(Fault::Fails(_) | Fault::Interrupted)) {
            let op = Op::Write { file, at, bytes: bytes[..len].to_vec() };
            self.0.borrow_mut().apply(op);
        }
        match fault {
            Some(Fault::Interrupted) => Err(io::ErrorKind::Interrupted.into()),
            Some(Fault::Fails(number) | Fault::FailsLate(number)) => {
                Err(io::Error::from_raw_os_error(number))
            }
            Some(Fault::Short) | None => Ok(len),
        }
    }

    fn number(&self, path: &Path) -> io::Result<usize> {
        self.0.borrow().names.get(&name(path)).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
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
                content.resize(content.len().max(at + bytes.len()), 0);
                content[*at..at + bytes.len()].copy_from_slice(bytes);
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
        self.call(None)?;
        if self.number(target).is_ok() && !replace {
            Err(io::ErrorKind::AlreadyExists.into())
        } else {
            Ok(())
        }
    }

    fn create_new(&self, path: &Path) -> io::Result<LogFile> {
        let number = self.0.borrow().contents.len();
        self.call(Some(Op::Create { file: number, name: name(path) }))?;
        Ok(LogFile { disk: self.clone(), number })
    }

    fn sync_file(&self, file: &LogFile) -> io::Result<()> {
        let op = Op::SyncFile { file: file.number };
        self.call(Some(op).filter(|_| !self.has_bug(Bug::NoFileSync)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Some(Op::Rename { from: name(from), to: name(to) }))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.number(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        self.call(Some(Op::SyncDir).filter(|_| !self.has_bug(Bug::NoDirectorySync)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.number(path).is_err() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.call(Some(Op::Remove { name: name(path) }).filter(|_| !self.has_bug(Bug::NoRemoval)))
    }
}

impl HeaderDisk for LogDisk {
    type Locked = usize;

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.number(path).map(|_| path.to_owned())
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Option<usize>> {
        self.call(None)?;
        self.number(path).map(Some)
    }

    fn is_at(&self, file: &usize, path: &Path) -> io::Result<bool> {
        self.call(None)?;
        Ok(self.number(path).ok() == Some(*file))
    }

    fn len(&self, file: &usize) -> io::Result<u64> {
        self.call(None)?;
        Ok(self.0.borrow().contents[file].len() as u64)
    }

    fn read_at(&self, file: &usize, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let fault = self.turn();
        let state = self.0.borrow();
        let rest = state.contents[file].get(usize::try_from(at).expect("small")..).unwrap_or(&[]);
        let mut len = rest.len().min(buffer.len());
        match fault {
            Some(Fault::Fails(number) | Fault::FailsLate(number)) => {
                return Err(io::Error::from_raw_os_error(number));
            }
            Some(Fault::Interrupted) => return Err(io::ErrorKind::Interrupted.into()),
            Some(Fault::Short) => len = len.div_ceil(2),
            None => {}
        }
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, file: &usize, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut at = usize::try_from(at).expect("small");
        if self.has_bug(Bug::OtherSlot) {
            let slots = self.0.borrow().slots;
            at = if at == slots[0] { slots[1] } else { slots[0] };
        }
        if self.has_bug(Bug::ZeroFirst) {
            let op = Op::Write { file: *file, at, bytes: bytes.to_vec() };
            let mut state = self.0.borrow_mut();
            let zeroes = Op::Write {
                file: *file,
                at: state.slots[0] + state.slots[1] - at,
                bytes: vec![0; bytes.len()],
            };
            if state.held.is_none() && bytes.iter().any(|byte| *byte != 0) {
                state.apply(zeroes);
                state.apply(Op::SyncFile { file: *file });
                state.held = Some(op.clone());
            }
            state.apply(op);
            return Ok(bytes.len());
        }
        self.write_some(*file, at, bytes)
    }

    fn sync_locked(&self, file: &usize) -> io::Result<()> {
        self.call(Some(Op::SyncFile { file: *file }).filter(|_| !self.has_bug(Bug::NoSync)))
    }

    fn read_small(&self, path: &Path, _: usize) -> io::Result<Option<Vec<u8>>> {
        self.call(None)?;
        Ok(self.number(path).ok().map(|number| self.0.borrow().contents[&number].clone()))
    }

    fn make_like(&self, _: &LogFile, _: &usize) -> io::Result<()> {
        self.call(None)
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.disk.0.borrow().contents[&self.number].len();
        self.disk.write_some(self.number, at, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
