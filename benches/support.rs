//! What the benches share: clocks, the pairing of a line with its bare loop, and data.
//!
//! Every line is measured three times in a row: the bare algorithm, the crate, and both in turns, which gives the
//! ratio. Machines differ and are busy; what both sides meet in the same moment cancels out.

#![allow(dead_code, unreachable_pub, reason = "each bench uses a part of it, and the tests share one")]

#[path = "../tests/support/anatomy.rs"]
mod anatomy;
pub(crate) mod bare;
pub(crate) mod clock;
pub(crate) mod known_key;

use std::{
    hint::black_box,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use criterion::{Criterion, SamplingMode, Throughput};

use self::clock::{Clock, Nanoseconds, TimeRatio};

/// Both sides of every line, for as many lines as a bench has.
pub(crate) struct Bench {
    times: Criterion<Nanoseconds>,
    ratios: Criterion<TimeRatio>,
}

/// One line of the report: which clock, and how many bytes one call handles (0 where that says nothing).
#[derive(Clone, Copy)]
pub(crate) struct Line {
    /// Names the line in `benches/report.rs`: letters, digits and dashes.
    pub(crate) name: &'static str,
    pub(crate) clock: Clock,
    pub(crate) bytes: usize,
}

impl Line {
    /// A line of one thread, measured by the time that this thread had a processor.
    pub(crate) fn cpu(name: &'static str, bytes: usize) -> Self {
        Self { name, clock: Clock::ThreadCpu, bytes }
    }

    /// A line whose files lie in [`fast_directory`]. In memory nothing is waited for, so that the processor's time,
    /// that of the system calls included, is all the time there is; on a disk it is not.
    pub(crate) fn file(name: &'static str, bytes: usize) -> Self {
        let clock = if Path::new(MEMORY).is_dir() { Clock::ThreadCpu } else { Clock::Wall };
        Self { name, clock, bytes }
    }

    /// A line whose threads have to be waited for.
    pub(crate) fn wall(name: &'static str, bytes: usize) -> Self {
        Self { name, clock: Clock::Wall, bytes }
    }
}

impl Bench {
    /// Takes the arguments of `cargo bench`: filters, `--test`, sample sizes.
    pub(crate) fn from_args() -> Self {
        Self {
            times: configured(Criterion::default().with_measurement(Nanoseconds)),
            ratios: configured(Criterion::default().with_measurement(TimeRatio)),
        }
    }

    /// Measures `bare` and `kuvert` one after the other, and then in turns.
    pub(crate) fn compare(&mut self, line: Line, mut bare: impl FnMut(), mut kuvert: impl FnMut()) {
        self.time(line, "bare", &mut bare);
        self.time(line, "kuvert", &mut kuvert);
        let mut group = self.ratios.benchmark_group(line.name);
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function("ratio", |bencher| {
            bencher.iter_custom(|calls| in_turns(line.clock, calls, &mut bare, &mut kuvert));
        });
        group.finish();
    }

    /// Measures a line that has no bare counterpart, or one side of it.
    pub(crate) fn alone(&mut self, line: Line, mut kuvert: impl FnMut()) {
        self.time(line, "kuvert", &mut kuvert);
    }

    /// What absolute targets are scaled by, measured beside them: they are meant for a machine where this takes at most
    /// 200 ns.
    pub(crate) fn yardstick(&mut self) {
        let key = bare::BareKey::new(&[7; 32]);
        let plaintext = data(1024);
        let mut sealed = vec![0; 1024 + 16];
        let mut number = 0;
        self.alone(Line::cpu("bare-seal-1kib", 1024), || {
            number += 1;
            key.seal_to(&bare::nonce(number), &[], black_box(&plaintext), &mut sealed);
        });
    }

    /// Prints criterion's summary.
    pub(crate) fn finish(self) {
        self.times.final_summary();
    }

    fn time(&mut self, line: Line, side: &str, call: &mut dyn FnMut()) {
        let mut group = self.times.benchmark_group(line.name);
        if line.bytes > 0 {
            group.throughput(Throughput::Bytes(line.bytes as u64));
        }
        if line.bytes >= LARGE {
            group.sampling_mode(SamplingMode::Flat);
        }
        group.bench_function(side, |bencher| {
            bencher.iter_custom(|calls| nanoseconds(line.clock.of(calls, call)));
        });
        group.finish();
    }
}

/// How long `kuvert` takes as a multiple of `bare`, times `calls`, as criterion wants it.
fn in_turns(clock: Clock, calls: u64, bare: &mut dyn FnMut(), kuvert: &mut dyn FnMut()) -> f64 {
    let once = clock.of(1, bare).as_nanos().max(1);
    let a_turn = u64::try_from(TURN.as_nanos() / once).unwrap_or(u64::MAX).clamp(1, calls.max(1));
    let (mut bare_time, mut kuvert_time) = (Duration::ZERO, Duration::ZERO);
    let mut left = calls;
    let mut turn = 0;
    while left > 0 {
        let now = left.min(a_turn);
        // Who goes first changes: the second finds the caches as the first left them.
        if turn % 2 == 0 {
            bare_time += clock.of(now, bare);
            kuvert_time += clock.of(now, kuvert);
        } else {
            kuvert_time += clock.of(now, kuvert);
            bare_time += clock.of(now, bare);
        }
        left -= now;
        turn += 1;
    }
    calls as f64 * nanoseconds(kuvert_time) / nanoseconds(bare_time)
}

fn configured<M: criterion::measurement::Measurement + 'static>(criterion: Criterion<M>) -> Criterion<M> {
    criterion
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args()
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// Bytes that compress badly and repeat nowhere, the same each time.
pub(crate) fn data(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Takes every byte and does nothing with it, which the compiler must not know.
pub(crate) struct Sink;

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        black_box(bytes.as_ptr());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file system in memory, where there is one: a disk would measure the disk.
pub(crate) fn fast_directory() -> PathBuf {
    let memory = PathBuf::from(MEMORY);
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// Where Linux has a file system in memory.
const MEMORY: &str = "/dev/shm";
/// How long one side runs before the other one's turn, if its calls are shorter than that.
const TURN: Duration = Duration::from_micros(500);
/// From so many bytes on, a call is too long to be repeated often.
const LARGE: usize = 16 << 20;
