//! A command whose output is sealed: started here, so that its end is known.

use std::ffi::OsString;
use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use kuvert::Category;

use crate::failure::{Doing, Failure, FileFault};
use crate::interrupt;
use crate::names;
use crate::progress::Progress;

/// A running command. Dropped before it has [ended](Self::end), it is killed and reaped.
pub(crate) struct Running {
    child: Arc<Mutex<Child>>,
    output: ChildStdout,
    name: String,
    progress: Progress,
}

impl Running {
    /// Starts a command: the program and its arguments. It shares our standard input and error.
    pub(crate) fn start(words: &[OsString]) -> Result<Self, Failure> {
        let [program, arguments @ ..] = words else {
            return Err(Failure::usage("there is no command after '--'"));
        };
        let name = names::shown(&program.to_string_lossy());
        let mut child =
            Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().map_err(|error| {
                let category = match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Category::Usage,
                    _ => Category::Io,
                };
                Failure::new(category, format!("the command {name} cannot be started: {error}"))
            })?;
        let Some(output) = child.stdout.take() else {
            return Err(Failure::new(Category::Io, format!("the command {name} has no output")));
        };
        let child = Arc::new(Mutex::new(child));
        interrupt::register_child(Some(Arc::clone(&child)));
        Ok(Self { child, output, name, progress: Progress::new("sealing", None) })
    }

    /// Waits for the end, after all output was read. Only status 0 is good.
    // fmt: T-6
    pub(crate) fn end(self) -> Result<(), Failure> {
        let status = self.wait().map_err(|error| {
            Failure::new(Category::Io, format!("waiting for the command {} failed: {error}", self.name))
        })?;
        self.progress.clear();
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(Category::Io, format!("the command {} {}", self.name, told(status)))
            .advise("its output is not complete, so nothing was sealed"))
    }

    /// Does not hold the lock while it waits, so that a signal can still end the command.
    fn wait(&self) -> io::Result<ExitStatus> {
        let mut pause = Duration::from_micros(100);
        loop {
            if let Some(status) = lock(&self.child).try_wait()? {
                return Ok(status);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.output.read(buffer);
        let n = read
            .map_err(|error| FileFault::wrap(Doing::Read, &format!("the output of {}", self.name), error))?;
        self.progress.add(n as u64);
        Ok(n)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.progress.clear();
        let mut child = lock(&self.child);
        // Of one that has ended already, both do nothing.
        drop(child.kill());
        drop(child.wait());
        drop(child);
        interrupt::register_child(None);
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn told(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was killed by signal {signal}");
    }
    match status.code() {
        Some(code) => format!("ended with exit status {code}"),
        None => "did not end by itself".to_owned(),
    }
}
