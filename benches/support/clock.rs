//! The two clocks, and what criterion has to know to print them and their ratio.

use std::time::{Duration, Instant};

use criterion::{
    Throughput,
    measurement::{Measurement, ValueFormatter, WallTime},
};

/// By what a line is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The time that the measuring thread had a processor: other programs on the machine do not count.
    ThreadCpu,
    /// The time that passed.
    Wall,
}

impl Clock {
    /// How long so many calls take, on the calling thread.
    pub(crate) fn of(self, calls: u64, call: &mut dyn FnMut()) -> Duration {
        match self {
            Self::ThreadCpu => {
                let start = thread_cpu();
                (0..calls).for_each(|_| call());
                thread_cpu().saturating_sub(start)
            }
            Self::Wall => {
                let start = Instant::now();
                (0..calls).for_each(|_| call());
                start.elapsed()
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).expect("less than a second");
    Duration::new(u64::try_from(time.tv_sec).expect("since this thread began"), nanos)
}

/// Elsewhere the time that passed has to do.
#[cfg(not(target_os = "linux"))]
fn thread_cpu() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Times in nanoseconds. Which clock they come from is the line's business, since every line measures for itself.
pub(crate) struct Nanoseconds;

impl Measurement for Nanoseconds {
    type Intermediate = Instant;
    type Value = f64;

    fn start(&self) -> Instant {
        Instant::now()
    }

    fn end(&self, start: Instant) -> f64 {
        start.elapsed().as_secs_f64() * 1e9
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// How many times as long one thing takes as another.
pub(crate) struct TimeRatio;

impl Measurement for TimeRatio {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        unreachable!("ratios are measured by `iter_custom` only")
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &AsMultiple
    }
}

struct AsMultiple;

impl ValueFormatter for AsMultiple {
    fn format_value(&self, value: f64) -> String {
        format!("{value:.4} times the bare loop")
    }

    fn scale_values(&self, _: f64, _: &mut [f64]) -> &'static str {
        "times"
    }

    fn scale_throughputs(&self, _: f64, _: &Throughput, _: &mut [f64]) -> &'static str {
        "times"
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "times"
    }
}
