//! A progress bar on a terminal, and silence elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What shows how far the reading is. Cheap to clone; clones are the same bar.
#[derive(Clone)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows nothing.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// A bar for so many bytes, or a running count where nobody knows how many there will be. Drawn on standard error,
    /// and only if that is a terminal.
    pub(crate) fn new(what: &'static str, bytes: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr_with_hz(10));
        if bar.is_hidden() {
            return Self::none();
        }
        let template = if bytes.is_some() { KNOWN } else { UNKNOWN };
        // The templates are constant; if one of them were wrong, a plain bar would do.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(what);
        Self(Some(bar))
    }

    /// A bar for so many files.
    pub(crate) fn of_files(what: &'static str, files: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(files as u64), ProgressDrawTarget::stderr_with_hz(10));
        if bar.is_hidden() {
            return Self::none();
        }
        bar.set_style(ProgressStyle::with_template(FILES).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        Self(Some(bar))
    }

    /// A running count of keys.
    #[cfg(feature = "sqlite")]
    pub(crate) fn of_keys(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        if bar.is_hidden() {
            return Self::none();
        }
        bar.set_style(ProgressStyle::with_template(KEYS).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        Self(Some(bar))
    }

    /// Shows that it is so many by now.
    #[cfg(feature = "sqlite")]
    pub(crate) fn set(&self, count: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(count);
        }
    }

    /// Writes lines without the bar in their way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    pub(crate) fn add(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    /// Begins again from nothing, for another pass over the same bytes.
    pub(crate) fn restart(&self, what: &'static str) {
        if let Some(bar) = &self.0 {
            bar.set_message(what);
            bar.reset();
        }
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

const KNOWN: &str = "{msg:9} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
const UNKNOWN: &str = "{msg:9} {spinner} {bytes} {bytes_per_sec}";
const FILES: &str = "{msg:9} [{bar:30}] {pos}/{len} files {eta}";
#[cfg(feature = "sqlite")]
const KEYS: &str = "{msg:9} {spinner} {pos} keys";
