//! Files, whole or not at all: sealed and opened through [`AtomicFile`].

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use super::{MessageStart, OpenHandle, Opener, SealHandle};
use crate::{
    error::{OpenError, SealError},
    format::{Layout, context::EncryptionContext},
    io::{
        AtomicFile, OpenReport, ParallelOpenReader, SealReport, SeekReader, unwrap_open_error,
        unwrap_seal_error,
    },
    stream::parallel::ParallelOpenMachine,
};

impl SealHandle {
    /// Seals the file `from` into the file `to`, which appears whole or not at all.
    ///
    /// Written to a temporary file in the same directory, synced, renamed, and the directory synced: after a power
    /// cut there is the old `to` (or none), or the whole new one. `to` gets mode 0600.
    ///
    /// The key is awaited; the file work blocks the calling thread. On an async runtime call it where blocking is
    /// allowed, with [`block_on`](crate::blocking::block_on) inside the runtime's `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// As [`sealer`](Self::sealer); [`SealError::Io`] when a file cannot be read or written, with
    /// [`io::ErrorKind::AlreadyExists`] if `to` is there and
    /// [`replace_existing`](crate::SealOptions#structfield.replace_existing) is not set; [`SealError::Usage`] with
    /// the detached layout.
    ///
    /// # Cancel safety
    ///
    /// The only await is before the first file is made. Dropping the future leaves nothing behind.
    pub async fn seal_file(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<SealReport, SealError> {
        if self.options.layout == Some(Layout::Detached) {
            return Err(SealError::Usage("a detached header needs a second output: use `sealer`"));
        }
        let mut source = open_regular(from.as_ref())?;
        AtomicFile::check(to.as_ref(), self.options.replace_existing)?;
        let sealer = self.sealer(context).await?;
        let target = AtomicFile::create(to.as_ref(), self.options.replace_existing)?;
        let mut writer = sealer.into_parallel_writer(target, self.options.threads);
        writer.copy_from(&mut source).map_err(unwrap_seal_error)?;
        let (target, report) = writer.finish()?;
        target.commit()?;
        Ok(report)
    }
}

impl OpenHandle {
    /// Opens the file `from` into the file `to`, which appears whole or not at all.
    ///
    /// First the whole message is verified, then it is read again and written: a damaged backup is told before a
    /// byte is written (see [`verify_first`](crate::OpenOptions#structfield.verify_first)). `to` gets mode 0600.
    ///
    /// The key is awaited; the file work blocks the calling thread, as for
    /// [`seal_file`](SealHandle::seal_file).
    ///
    /// # Errors
    ///
    /// As [`opener`](Self::opener), [`OpenError::Truncated`] and [`OpenError::Tampered`] for the body, and
    /// [`OpenError::Io`] when a file cannot be read or written.
    ///
    /// # Cancel safety
    ///
    /// The only await is before the first file is made. Dropping the future leaves nothing behind.
    pub async fn open_file(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<OpenReport, OpenError> {
        let mut source = open_regular(from.as_ref())?;
        AtomicFile::check(to.as_ref(), self.options.replace_existing)?;
        let start = MessageStart::within(self.options.max_header_len).read_seekable(&mut source)?;
        let opener = self.opener(start, context).await?;
        if self.options.threads.count() > 1 {
            return self.open_on_threads(opener, source, to.as_ref());
        }
        let mut reader = opener.into_seekable(source)?;
        if self.options.verify_first {
            reader.copy_to(&mut io::sink()).map_err(unwrap_open_error)?;
            reader.seek(SeekFrom::Start(0))?;
        }
        let mut target = AtomicFile::create(to.as_ref(), self.options.replace_existing)?;
        reader.copy_to(&mut target).map_err(unwrap_open_error)?;
        target.flush()?;
        target.commit()?;
        reader.report()
    }

    /// The same with the chunks opened by several threads. `source` stands on the first chunk.
    fn open_on_threads(&self, opener: Opener, source: File, to: &Path) -> Result<OpenReport, OpenError> {
        let base = (&source).stream_position()?;
        let (cipher, report) = opener.into_cipher();
        let opening = || {
            let machine = ParallelOpenMachine::new(cipher.clone(), self.options.threads.plan());
            ParallelOpenReader::new(&source, machine, report.clone())
        };
        // The last chunk first: a file that was cut off is told before all of it is read.
        SeekReader::new(&source, cipher.clone(), report.clone(), false)?;
        (&source).seek(SeekFrom::Start(base))?;
        if self.options.verify_first {
            opening().verify()?;
            (&source).seek(SeekFrom::Start(base))?;
        }
        let mut target = AtomicFile::create(to, self.options.replace_existing)?;
        let mut reader = opening();
        reader.copy_to(&mut target).map_err(unwrap_open_error)?;
        target.flush()?;
        target.commit()?;
        Ok(reader.report())
    }
}

fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    // Reading a directory fails later and less clearly.
    if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
}
