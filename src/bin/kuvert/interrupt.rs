//! Nothing partial stays behind when a signal ends the program.
//!
//! A thread waits for the signals that ask a program to end, removes the temporary files that are registered, ends
//! the command that is being sealed, and then lets the signal do what it would have done. Work that is done file by
//! file can ask for the first signal to wait until the file at hand is done.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(all(unix, feature = "pkcs11"))]
use crate::pin::Hidden;

/// What has to go if a signal comes.
static LEFTOVERS: Mutex<Leftovers> = Mutex::new(Leftovers {
    files: Vec::new(),
    child: None,
    #[cfg(all(unix, feature = "pkcs11"))]
    terminal: None,
});

struct Leftovers {
    files: Vec<PathBuf>,
    child: Option<Arc<Mutex<Child>>>,
    #[cfg(all(unix, feature = "pkcs11"))]
    terminal: Option<Hidden>,
}

/// Starts waiting for signals. Without the thread everything works, and a signal may leave a temporary file.
pub(crate) fn watch() {
    #[cfg(unix)]
    unix::watch();
}

/// From now on the first signal waits for the file at hand, and [`asked`] tells of it; the next one ends the program at
/// once.
pub(crate) fn wait_for_files() {
    STATE.store(WAITING, Ordering::SeqCst);
}

/// The signal that has come and waits for the file at hand to be done.
pub(crate) fn asked() -> Option<i32> {
    Some(STATE.load(Ordering::SeqCst)).filter(|state| *state > 0)
}

/// Ends the program as a signal does that did not have to wait.
pub(crate) fn end_by(signal: i32) {
    #[cfg(unix)]
    unix::clean_up_and_end(signal);
    #[cfg(not(unix))]
    std::process::exit(signal);
}

/// Whether a signal is to wait, and then its number.
static STATE: AtomicI32 = AtomicI32::new(AT_ONCE);
const AT_ONCE: i32 = 0;
const WAITING: i32 = -1;

/// Creates a file that is removed if a signal comes, until the returned value is dropped.
pub(crate) fn register<T>(
    create: impl FnOnce() -> io::Result<T>,
    path: impl FnOnce(&T) -> &Path,
) -> io::Result<(T, Registered)> {
    // Created under the lock: a signal comes before there is a file, or after it is on the list.
    let mut leftovers = lock();
    let created = create()?;
    let path = path(&created).to_owned();
    leftovers.files.push(path.clone());
    Ok((created, Registered(path)))
}

/// That a temporary file is on the list.
pub(crate) struct Registered(PathBuf);

impl Drop for Registered {
    fn drop(&mut self) {
        lock().files.retain(|path| *path != self.0);
    }
}

/// Has the command ended as well if a signal comes; `None` once it has ended by itself.
pub(crate) fn register_child(child: Option<Arc<Mutex<Child>>>) {
    lock().child = child;
}

/// Hides what is typed on a terminal, until the returned value is dropped or a signal comes.
#[cfg(all(unix, feature = "pkcs11"))]
pub(crate) fn register_terminal(hide: impl FnOnce() -> Option<Hidden>) -> Option<PutBack> {
    let mut leftovers = lock();
    leftovers.terminal = Some(hide()?);
    Some(PutBack)
}

/// That a terminal has to be put back.
#[cfg(all(unix, feature = "pkcs11"))]
pub(crate) struct PutBack;

#[cfg(all(unix, feature = "pkcs11"))]
impl Drop for PutBack {
    fn drop(&mut self) {
        if let Some(hidden) = lock().terminal.take() {
            hidden.put_back();
        }
    }
}

fn lock() -> MutexGuard<'static, Leftovers> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::sync::PoisonError;
    use std::sync::atomic::Ordering;
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use super::{STATE, WAITING};
    use crate::failure::warn;

    pub(super) fn watch() {
        let ignored = ignored_signals();
        let wanted =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let Ok(mut signals) = Signals::new(wanted) else { return };
        let wait = move || {
            for signal in signals.forever() {
                let waits =
                    STATE.compare_exchange(WAITING, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok();
                if !waits {
                    clean_up_and_end(signal);
                }
                warn("stopping when the file at hand is done; the same signal again stops at once");
            }
        };
        drop(thread::Builder::new().name("signals".into()).spawn(wait));
    }

    pub(super) fn clean_up_and_end(signal: i32) {
        // Never given back: from here on nobody creates or renames a file that is on the list.
        let mut leftovers = super::lock();
        for path in leftovers.files.drain(..) {
            drop(fs::remove_file(path));
        }
        #[cfg(feature = "pkcs11")]
        if let Some(hidden) = leftovers.terminal.take() {
            hidden.put_back();
        }
        if let Some(child) = leftovers.child.take() {
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            drop(child.kill());
        }
        drop(emulate_default_handler(signal));
        std::process::exit(1);
    }

    /// A bit for each signal that whoever started us wants ignored, as `nohup` does with hang-ups: so it stays.
    fn ignored_signals() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }
}
