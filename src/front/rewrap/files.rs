//! Rewrapping files: in place where the header has room, otherwise by copy; one, or many.

use std::{ops::ControlFlow, path::Path};

use super::{
    Rewrap, RewrapOptions, RewrapReport,
    plan::{Action, Plan},
    report::{RewrapMethod, RewrapOutcome, RewrapSummary},
};
use crate::{
    error::{OpenError, RewrapError},
    format::{context::EncryptionContext, header::Header},
    front::MessageStart,
    io::{Access, HeaderDisk, HeaderFile, RealDisk},
};

impl Rewrap {
    /// Rewraps a file, in place if its header has a spare slot with room: 4 KiB are written, however long it is.
    ///
    /// In place: the file is locked; its header is saved beside it as `FILE.kuvert-header`; the spare slot is written,
    /// synced, read back and verified; the old slot is zeroed and synced; the saved header is removed. A power cut at
    /// any moment leaves a file that opens with the old keys or the new ones, and the next rewrap tidies up. If the
    /// header is lost all the same, the next rewrap puts the saved one back, if it is genuine.
    ///
    /// By copy, where there is no room: a temporary file in the same directory, with the new header and the same body,
    /// synced and renamed over the old one, whose owner and permissions it gets. It takes as much space as the file.
    ///
    /// The modification time changes, so that tools which mirror files notice. A symbolic link is followed. The keys
    /// are awaited; the file work blocks the calling thread, as for [`seal_file`](crate::SealHandle::seal_file).
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message); [`RewrapError::Busy`] while another process or thread rewraps this file;
    /// [`RewrapError::Changed`] if somebody else writes to it; [`RewrapError::SideCopy`] for a file that lost its header
    /// and whose saved one does not fit; [`RewrapError::Io`] when a file cannot be read or written, with
    /// [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) for a file whose mode is read-only, for root too.
    ///
    /// # Cancel safety
    ///
    /// All awaits are before the first write: dropping the future gives the lock back and leaves nothing behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use kuvert::{EncryptionContext, Kuvert, RewrapMethod, provider::MemoryProvider};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # kuvert::blocking::block_on(async {
    /// # let directory = tempfile::tempdir()?;
    /// # let (dump, backup) = (directory.path().join("dump"), directory.path().join("backup"));
    /// # std::fs::write(&dump, "much data")?;
    /// let old = Kuvert::new(MemoryProvider::generate("2026")?);
    /// let context = EncryptionContext::new([("backup", "daily")])?;
    /// old.seal_file(&dump, &backup, &context).await?;
    ///
    /// let report = old.rewrap_to(MemoryProvider::generate("2027")?).file(&backup, &context).await?;
    /// assert_eq!(report.method, RewrapMethod::InPlace);
    /// assert_eq!(report.recipients[0].id, "2027");
    ///
    /// // The old key no longer opens it.
    /// let refused = old.open_file(&backup, directory.path().join("opened"), &context).await.unwrap_err();
    /// assert_eq!(refused.category(), kuvert::Category::KeyUnavailable);
    /// # Ok(()) })? }
    /// ```
    pub async fn file(
        &self,
        path: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<RewrapReport, RewrapError> {
        self.file_on(RealDisk, path.as_ref(), context).await
    }

    /// Rewraps the file `from` into another file, which appears whole or not at all, with mode 0600. `from` is only
    /// read. Where the recipients are those asked for already, `to` gets the same header.
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file), with [`AlreadyExists`](std::io::ErrorKind::AlreadyExists) if `to` is there and
    /// [`replace_existing`](super::RewrapOptions#structfield.replace_existing) is not set.
    ///
    /// # Cancel safety
    ///
    /// All awaits are before the first write: dropping the future leaves nothing behind.
    pub async fn file_to(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<RewrapReport, RewrapError> {
        self.file_to_on(RealDisk, from.as_ref(), to.as_ref(), context).await
    }

    /// Rewraps a detached header's file, which is replaced as a whole by one of the same owner and permissions; of the
    /// body's file the first 56 bytes are read.
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file).
    ///
    /// # Cancel safety
    ///
    /// All awaits are before the first write: dropping the future leaves nothing behind.
    pub async fn detached_file(
        &self,
        header: impl AsRef<Path>,
        body: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<RewrapReport, RewrapError> {
        self.detached_file_on(RealDisk, header.as_ref(), body.as_ref(), context).await
    }

    /// Rewraps many files, one after the other. One that fails does not stop the others; `on_file` is told of each and
    /// may stop the work. Started again, it does what is left to do.
    ///
    /// # Cancel safety
    ///
    /// As [`file`](Self::file): the files that are done are done, the current one is untouched.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use kuvert::{EncryptionContext, Kuvert, provider::MemoryProvider};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # kuvert::blocking::block_on(async {
    /// # let directory = tempfile::tempdir()?;
    /// # let (dump, backup) = (directory.path().join("dump"), directory.path().join("backup"));
    /// # std::fs::write(&dump, "much data")?;
    /// let old = Kuvert::new(MemoryProvider::generate("2026")?);
    /// let context = EncryptionContext::empty();
    /// old.seal_file(&dump, &backup, &context).await?;
    ///
    /// let rewrap = old.rewrap_to(MemoryProvider::generate("2027")?);
    /// let summary = rewrap
    ///     .files([&backup, &dump], &context, |path, result| {
    ///         if let Err(error) = result {
    ///             eprintln!("{}: {error}", path.display());
    ///         }
    ///         ControlFlow::Continue(())
    ///     })
    ///     .await;
    /// assert_eq!((summary.rewrapped, summary.failed), (1, 1)); // the dump is no message
    /// # Ok(()) })? }
    /// ```
    pub async fn files<P: AsRef<Path>>(
        &self,
        paths: impl IntoIterator<Item = P>,
        context: &EncryptionContext,
        mut on_file: impl FnMut(&Path, &Result<RewrapReport, RewrapError>) -> ControlFlow<()>,
    ) -> RewrapSummary {
        let mut summary = RewrapSummary::default();
        for path in paths {
            let result = self.file(&path, context).await;
            summary.count(&result);
            if on_file(path.as_ref(), &result).is_break() {
                break;
            }
        }
        summary
    }

    pub(super) async fn file_on<D: HeaderDisk>(
        &self,
        disk: D,
        path: &Path,
        context: &EncryptionContext,
    ) -> Result<RewrapReport, RewrapError> {
        let mut file = HeaderFile::open(disk, path, Access::Change)?;
        let limit = self.opening.options.max_header_len;
        let start = match MessageStart::within(limit).read_seekable(&mut file.reader()) {
            Ok(start) => start,
            Err(error) => return Err(beside_side_copy(&file, error)),
        };
        file.expect(start.header.as_bytes(), &start.body_start);
        match self.plan_for(&start, context).await {
            Ok(plan) => carry_out(file, &start.header, plan),
            Err(RewrapError::Open(error)) => {
                let (saved, mut plan) = self.plan_from_side_copy(&file, start, context, error).await?;
                plan.report.restored = true;
                if plan.report.outcome == RewrapOutcome::Unchanged {
                    plan.report.outcome = RewrapOutcome::Mended;
                }
                if !matches!(plan.action, Action::Rebuild(_)) {
                    file.restore(saved.as_bytes())?;
                }
                carry_out(file, &saved, plan)
            }
            Err(error) => Err(error),
        }
    }

    /// The plan that starts from the header which an earlier rewrap saved, for a file that has no genuine slot any
    /// more. `error` is why the file's own header does not open.
    // fmt: W-7
    async fn plan_from_side_copy<D: HeaderDisk>(
        &self,
        file: &HeaderFile<D>,
        start: MessageStart,
        context: &EncryptionContext,
        error: OpenError,
    ) -> Result<(Header, Plan), RewrapError> {
        let Some(saved) = file.side_copy()? else { return Err(error.into()) };
        let refuse = |error, reason| RewrapError::SideCopy { path: file.side_path(), reason, error };
        let Ok(saved) = Header::parse_message(saved, false, start.body_len) else {
            return Err(refuse(error, "it is no whole header"));
        };
        if !saved.differs_in_slots_only(&start.header) {
            return Err(refuse(error, "it is the header of another message"));
        }
        let lost = start.header;
        let start = MessageStart { header: saved, ..start };
        let plan = match self.plan_for(&start, context).await {
            Ok(plan) => plan,
            Err(RewrapError::Open(_)) => return Err(refuse(error, "none of the keys given opens it")),
            Err(error) => return Err(error),
        };
        // An old header must not come back while there is a newer one: that would give old keys their right again.
        if plan.vouches_for(&lost) {
            return Err(error.into());
        }
        Ok((start.header, plan))
    }

    pub(super) async fn file_to_on<D: HeaderDisk>(
        &self,
        disk: D,
        from: &Path,
        to: &Path,
        context: &EncryptionContext,
    ) -> Result<RewrapReport, RewrapError> {
        let replace = self.options.replace_existing;
        let mut file = HeaderFile::open(disk.clone(), from, Access::Read)?;
        if disk.real_path(to).is_ok_and(|to| to == file.path()) {
            return Err(RewrapError::Usage("a file cannot be rewrapped into itself: rewrap it in place"));
        }
        disk.check_target(to, replace)?;
        let limit = self.opening.options.max_header_len;
        let start = MessageStart::within(limit).read_seekable(&mut file.reader())?;
        file.expect(start.header.as_bytes(), &start.body_start);
        let plan = self.copying().plan_for(&start, context).await?;
        let mut header = start.header.as_bytes().to_vec();
        let own_len = header.len();
        plan.apply(&mut header);
        file.copy_to(&header, own_len, to, replace, false)?;
        Ok(RewrapReport { method: RewrapMethod::Copy, ..plan.report })
    }

    pub(super) async fn detached_file_on<D: HeaderDisk>(
        &self,
        disk: D,
        header: &Path,
        body: &Path,
        context: &EncryptionContext,
    ) -> Result<RewrapReport, RewrapError> {
        let mut file = HeaderFile::open(disk.clone(), header, Access::Change)?;
        let body = HeaderFile::open(disk, body, Access::Read)?;
        let start = MessageStart::read_detached_seekable(&mut file.reader(), &mut body.reader())?;
        file.expect(start.header.as_bytes(), &[]);
        let plan = self.copying().plan_for(&start, context).await?;
        let mut header = start.header.as_bytes().to_vec();
        let own_len = header.len();
        if plan.action != Action::Nothing {
            plan.apply(&mut header);
            file.copy_to(&header, own_len, file.path(), true, true)?;
        }
        Ok(RewrapReport { method: RewrapMethod::Copy, ..plan.report })
    }

    /// The same, where a new file is written anyway.
    pub(super) fn copying(&self) -> Self {
        Self { options: RewrapOptions { in_place_only: false, ..self.options }, ..self.clone() }
    }
}

/// The file work of a plan, from the first write to the last. `header` is what stands in the file.
fn carry_out<D: HeaderDisk>(
    mut file: HeaderFile<D>,
    header: &Header,
    plan: Plan,
) -> Result<RewrapReport, RewrapError> {
    let header_len = header.as_bytes().len();
    match &plan.action {
        Action::Nothing => {}
        Action::Zero(stale) => file.zero(stale.clone(), header_len)?,
        Action::Edit(edit) => {
            let check = |bytes: &[u8]| plan.check(&Header::parse_message(bytes, false, None)?);
            file.apply(edit, header_len, check)?;
        }
        Action::Rebuild(new) => file.copy_to(new, header_len, file.path(), true, true)?,
    }
    // Also one that an earlier rewrap left.
    file.remove_side_copy()?;
    Ok(plan.report)
}

/// Names the side copy to whoever meets a file whose first bytes are beyond reading.
fn beside_side_copy<D: HeaderDisk>(file: &HeaderFile<D>, error: OpenError) -> RewrapError {
    match file.side_copy() {
        Ok(Some(_)) => RewrapError::SideCopy {
            path: file.side_path(),
            reason: "the beginning of the file, which would show that they belong together, is damaged too",
            error,
        },
        _ => error.into(),
    }
}
