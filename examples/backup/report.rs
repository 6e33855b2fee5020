//! What is printed: progress, notes, and the table at the end.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::pack::Archive;

/// A progress bar over bytes, on the standard error output if that is a terminal.
pub(crate) fn progress(what: &'static str, len: u64) -> ProgressBar {
    let template = "{msg:9} {bar:30} {bytes:>10} of {total_bytes}  {binary_bytes_per_sec}  {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(len).with_style(style).with_message(what)
}

pub(crate) fn megabytes(bytes: u64) -> String {
    if bytes < 100_000 { format!("{bytes} bytes") } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}

/// Text from outside, without characters that could play tricks on a terminal.
pub(crate) fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// What was left out, and why.
#[derive(Default)]
pub(crate) struct Notes(Vec<String>);

impl Notes {
    pub(crate) fn left_out(&mut self, path: &Path, why: &str) {
        self.remark(path, &format!("left out: {why}"));
    }

    pub(crate) fn remark(&mut self, path: &Path, what: &str) {
        self.0.push(format!("{}: {}", escaped(&path.to_string_lossy()), escaped(what)));
    }

    pub(crate) fn print(&self) {
        if !self.0.is_empty() {
            say!("\nNotes:");
        }
        self.0.iter().take(SHOWN).for_each(|note| say!("  {note}"));
        if self.0.len() > SHOWN {
            say!("  and {} more", self.0.len() - SHOWN);
        }
    }
}

#[derive(Default)]
pub(crate) struct Table(Vec<(&'static str, u64, Duration)>);

impl Table {
    pub(crate) fn add(&mut self, step: &'static str, bytes: u64, time: Duration) {
        self.0.push((step, bytes, time));
    }

    pub(crate) fn time<T>(&mut self, step: &'static str, bytes: u64, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = run();
        self.add(step, bytes, start.elapsed());
        result
    }

    pub(crate) fn print(&self, archive: &Archive, sealed_len: u64) {
        say!("\n{:<20} {:>16} {:>10} {:>9}", "step", "bytes", "seconds", "MB/s");
        for (step, bytes, time) in &self.0 {
            let seconds = time.as_secs_f64();
            let rate = *bytes as f64 / 1e6 / seconds.max(1e-9);
            say!("{step:<20} {bytes:>16} {seconds:>10.3} {rate:>9.0}");
        }
        let overhead = sealed_len.saturating_sub(archive.len());
        let share = overhead as f64 * 100.0 / archive.len().max(1) as f64;
        say!("overhead of sealing: {overhead} bytes on {} ({share:.2} %)", archive.len());
        if let Some(peak) = peak_memory() {
            say!("peak memory: {:.1} MiB", peak as f64 / 1024.0);
        }
    }
}

/// KiB, where the system says so.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

const SHOWN: usize = 20;
