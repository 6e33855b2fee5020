//! PINs: where they come from, and which was refused.
//!
//! A PIN is read anew for every login, so that it can be changed while the program runs, and wiped right after. One that
//! a token refused is remembered by a keyed hash, since trying it again locks the token. Knows no token. Section "Keys in
//! a hardware security module" of the [operations manual](crate::manual::operations).

use std::fs::OpenOptions;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use cryptoki::types::AuthPin;
use zeroize::{Zeroize as _, Zeroizing};

use super::failure::Pkcs11Failure;
use crate::crypto::{kdf, random};

/// A PIN: wiped on drop, shown by no `Debug`.
pub struct Pkcs11Pin(Zeroizing<String>);

impl Pkcs11Pin {
    /// Takes a PIN over.
    #[must_use]
    pub fn new(pin: impl Into<String>) -> Self {
        Self(Zeroizing::new(pin.into()))
    }

    /// The PIN as the module's calls take it. Its copy is wiped, too.
    pub(super) fn to_auth(&self) -> AuthPin {
        // Of exactly this length, so that it becomes a boxed text without being copied again.
        AuthPin::from(self.0.as_str().to_owned().into_boxed_str())
    }

    /// A hash by which the same PIN is known again, and nothing else of it.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        static KEY: OnceLock<[u8; 32]> = OnceLock::new();
        let key = KEY.get_or_init(|| {
            let mut key = [0; 32];
            // Without random bytes the hash is weaker, and still better than trying a PIN twice.
            drop(random::fill(&mut key));
            key
        });
        Fingerprint(kdf::hmac_sha512(key, &[self.0.as_bytes()]))
    }

    fn checked(self) -> Result<Self, Pkcs11Failure> {
        if (1..=MAX_PIN).contains(&self.0.len()) { Ok(self) } else { Err(Pkcs11Failure::BadPin) }
    }
}

impl fmt::Debug for Pkcs11Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pkcs11Pin(..)")
    }
}

/// What a refused PIN is known again by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 64]);

/// What gives the PIN when it is wanted, where that is no file.
type Callback = dyn Fn() -> Option<Pkcs11Pin> + Send + Sync;

/// Where a token's PIN comes from.
#[derive(Clone, Default)]
pub(super) enum PinSource {
    /// There is none: the token wants none, or has its own keypad.
    #[default]
    None,
    File(PathBuf),
    Callback(Arc<Callback>),
}

impl PinSource {
    /// Reads the PIN; `Ok(None)` if there is no source.
    pub(super) fn read(&self) -> Result<Option<Pkcs11Pin>, Pkcs11Failure> {
        match self {
            Self::None => Ok(None),
            Self::File(path) => read_file(path)?.checked().map(Some),
            Self::Callback(callback) => {
                // A panic in there is the program's, and no reason for this thread to end.
                let pin = catch_unwind(AssertUnwindSafe(|| callback())).ok().flatten();
                pin.ok_or(Pkcs11Failure::PinCallback)?.checked().map(Some)
            }
        }
    }
}

impl fmt::Debug for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Callback(_) => f.write_str("Callback(..)"),
        }
    }
}

/// The PIN in a file that only its owner may read, without the line's end.
fn read_file(path: &Path) -> Result<Pkcs11Pin, Pkcs11Failure> {
    let failed =
        |source: io::Error| Pkcs11Failure::PinFile { path: path.to_owned(), source: Arc::new(source) };
    let mut options = OpenOptions::new();
    options.read(true);
    // A pipe that nobody writes to would keep this thread for ever; what is no regular file is refused below.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path).map_err(failed)?;
    // Of what was opened, not of what stands under the name by then.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Pkcs11Failure::LoosePinFile { path: path.to_owned(), mode });
        }
    }
    // Never grows, so that no copy of its beginning is left behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_PIN + 3));
    match file.take(MAX_PIN as u64 + 3).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(Pkcs11Failure::BadPin),
        Err(error) => return Err(failed(error)),
    }
    let pin = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    let pin = Pkcs11Pin::new(pin);
    text.zeroize();
    Ok(pin)
}

/// Bytes; the longest that a token is known to take is 255.
const MAX_PIN: usize = 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    fn file(name: &tempfile::TempDir, content: &[u8], mode: u32) -> PinSource {
        use std::os::unix::fs::PermissionsExt as _;
        let path = name.path().join("pin");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        PinSource::File(path)
    }

    #[cfg(unix)]
    #[test]
    fn a_file_gives_its_line_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for (content, pin) in [
            (&b"4711"[..], "4711"),
            (b"4711\n", "4711"),
            (b"4711\r\n", "4711"),
            (b" 47 11 \n\n", " 47 11 \n"),
            ("\u{e9}\n".as_bytes(), "\u{e9}"),
        ] {
            let read = file(&folder, content, 0o600).read().unwrap().unwrap();
            assert_eq!(read.0.as_str(), pin);
        }
        for content in [&b""[..], b"\n", b"\xff", &[b'1'; MAX_PIN + 1]] {
            let refused = file(&folder, content, 0o600).read();
            assert!(matches!(refused, Err(Pkcs11Failure::BadPin)), "{refused:?}");
        }
        assert!(file(&folder, &[b'1'; MAX_PIN], 0o600).read().is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o660, 0o601, 0o777] {
            let refused = file(&folder, b"4711", mode).read().unwrap_err();
            assert!(
                matches!(refused, Pkcs11Failure::LoosePinFile { mode: found, .. } if found == mode),
                "{refused:?}"
            );
            assert!(refused.to_string().contains("chmod 600 "), "{refused}");
        }
        for mode in [0o600, 0o400, 0o700] {
            assert!(file(&folder, b"4711", mode).read().is_ok(), "{mode:o}");
        }
        let missing = PinSource::File(folder.path().join("none")).read();
        assert!(matches!(missing, Err(Pkcs11Failure::PinFile { .. })), "{missing:?}");
        let directory = PinSource::File(folder.path().to_owned()).read();
        assert!(matches!(directory, Err(Pkcs11Failure::PinFile { .. })), "{directory:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let refused = PinSource::File(path).read();
        assert!(matches!(refused, Err(Pkcs11Failure::PinFile { .. })), "{refused:?}");
    }

    #[test]
    fn a_callback_is_asked_each_time_and_nothing_is_shown() {
        let source = PinSource::Callback(Arc::new(|| Some(Pkcs11Pin::new("48151623"))));
        let pin = source.read().unwrap().unwrap();
        let shown = format!("{pin:?} {source:?} {:?} {:?}", PinSource::None, pin.to_auth());
        assert!(!shown.contains("4815"), "{shown}");
        let none = PinSource::Callback(Arc::new(|| None)).read();
        assert!(matches!(none, Err(Pkcs11Failure::PinCallback)));
        assert!(PinSource::None.read().unwrap().is_none());
    }

    #[test]
    fn the_same_pin_is_known_again_and_no_other_is() {
        let of = |pin: &str| Pkcs11Pin::new(pin).fingerprint();
        assert!(of("4711") == of("4711"));
        assert!(of("4711") != of("4712") && of("4711") != of("47111"));
    }
}
