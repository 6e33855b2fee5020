//! A PIN that somebody types: read from the terminal itself, whatever standard input is, and not shown.
//!
//! The terminal is put back as it was, also when a signal ends the program meanwhile.

#![allow(
    unsafe_code,
    reason = "a terminal's settings are read and changed in no safe form; every block says why it is sound"
)]

use zeroize::Zeroizing;

/// Whether there is a terminal to ask on.
pub(crate) fn can_ask() -> bool {
    #[cfg(unix)]
    return unix::terminal().is_some();
    #[cfg(not(unix))]
    return false;
}

/// What somebody types, without the line's end; `None` without a terminal, or if nothing is typed.
// fmt: T-22
pub(crate) fn ask(prompt: &str) -> Option<Zeroizing<String>> {
    #[cfg(unix)]
    return unix::ask(prompt);
    #[cfg(not(unix))]
    {
        let _ = prompt;
        None
    }
}

#[cfg(unix)]
pub(crate) use unix::Hidden;

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::mem::MaybeUninit;
    use std::os::fd::AsRawFd as _;

    use zeroize::{Zeroize as _, Zeroizing};

    use crate::interrupt;

    pub(super) fn terminal() -> Option<File> {
        File::options().read(true).write(true).open("/dev/tty").ok()
    }

    pub(super) fn ask(prompt: &str) -> Option<Zeroizing<String>> {
        let mut terminal = terminal()?;
        // Without this, what is typed would be seen: then nobody is asked.
        let hidden = interrupt::register_terminal(|| Hidden::new(&terminal))?;
        terminal.write_all(prompt.as_bytes()).and_then(|()| terminal.flush()).ok()?;
        let line = line(&mut terminal);
        drop(hidden);
        // The line's end was not shown either.
        drop(terminal.write_all(b"\n"));
        let line = line?;
        let typed = std::str::from_utf8(&line).ok().filter(|typed| !typed.is_empty())?;
        Some(Zeroizing::new(typed.to_owned()))
    }

    /// One line, byte by byte, into room that never grows, so that no copy is left behind.
    fn line(terminal: &mut File) -> Option<Zeroizing<Vec<u8>>> {
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
        let mut byte = [0];
        while line.len() < LONGEST {
            match terminal.read(&mut byte) {
                Ok(0) | Err(_) => break,
                Ok(_) if matches!(byte[0], b'\n' | b'\r') => break,
                Ok(_) => line.push(byte[0]),
            }
        }
        byte.zeroize();
        (line.len() < LONGEST).then_some(line)
    }

    /// A terminal that does not show what is typed, until this is [put back](Self::put_back).
    pub(crate) struct Hidden {
        terminal: File,
        before: libc::termios,
    }

    impl Hidden {
        fn new(terminal: &File) -> Option<Self> {
            let terminal = terminal.try_clone().ok()?;
            let mut before = MaybeUninit::uninit();
            // SAFETY: the descriptor is open for as long as `terminal` lives, and the settings have room for all of them.
            if unsafe { libc::tcgetattr(terminal.as_raw_fd(), before.as_mut_ptr()) } != 0 {
                return None;
            }
            // SAFETY: the call has succeeded, and so has written them whole.
            let before: libc::termios = unsafe { before.assume_init() };
            let mut hidden = before;
            hidden.c_lflag &= !libc::ECHO;
            hidden.c_lflag |= libc::ICANON;
            let own = Self { terminal, before };
            own.set(&hidden).then_some(own)
        }

        pub(crate) fn put_back(&self) {
            self.set(&self.before);
        }

        fn set(&self, settings: &libc::termios) -> bool {
            // What was typed before the question is no answer to it.
            // SAFETY: the descriptor is open, and the settings came from the system, with known flags changed.
            unsafe { libc::tcsetattr(self.terminal.as_raw_fd(), libc::TCSAFLUSH, settings) == 0 }
        }
    }

    /// Bytes, more than any PIN has.
    const LONGEST: usize = 1025;
}
