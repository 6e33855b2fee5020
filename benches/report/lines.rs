//! The lines, in the words of the tables, and what each is held to.

/// A line of the tables: a benchmark by its name, and its target.
pub(crate) struct Line {
    pub(crate) section: &'static str,
    /// As in the bench: the folder of criterion's files.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// What one call handles, for the speed; 0 where that says nothing.
    pub(crate) bytes: usize,
    pub(crate) held: Held,
    pub(crate) in_readme: bool,
    /// Measured with a PKCS#11 token only, hence shown only where it was.
    pub(crate) needs_a_token: bool,
}

/// What a line is compared with and, if it has a target, what that is.
pub(crate) enum Held {
    /// The bare side's time, by the crate's.
    SpeedAtLeast(Option<f64>),
    /// The crate's time, by the bare side's.
    TimeAtMost(Option<f64>),
    /// Nanoseconds, without a bare side.
    CostAtMost(Option<f64>),
    /// Two threads with twice the work, by one thread.
    ThreadsAtLeast(Option<f64>),
}

impl Held {
    pub(crate) fn target(&self) -> String {
        match *self {
            Self::SpeedAtLeast(Some(least)) => format!("≥ {least}"),
            Self::TimeAtMost(Some(most)) => format!("≤ {most} ×"),
            Self::CostAtMost(Some(most)) => format!("≤ {}", super::time(most)),
            Self::ThreadsAtLeast(Some(least)) => format!("≥ {least} ×"),
            _ => String::new(),
        }
    }

    /// The target as a multiple of the bare side's time, if it is one.
    pub(crate) fn most_time(&self) -> Option<f64> {
        match *self {
            Self::SpeedAtLeast(least) => least.map(|least| 1.0 / least),
            Self::TimeAtMost(most) => most,
            Self::CostAtMost(_) => None,
            Self::ThreadsAtLeast(least) => least.map(|least| 2.0 / least),
        }
    }
}

const fn line(name: &'static str, what: &'static str, bytes: usize, held: Held) -> Line {
    Line { section: "", name, what, bytes, held, in_readme: false, needs_a_token: false }
}

impl Line {
    const fn of(mut self, section: &'static str) -> Self {
        self.section = section;
        self
    }

    const fn with_a_token(mut self) -> Self {
        self.needs_a_token = true;
        self.of(HSM)
    }

    const fn in_readme(mut self) -> Self {
        self.in_readme = true;
        self
    }
}

const fn speed(least: f64) -> Held {
    Held::SpeedAtLeast(Some(least))
}

const fn times(most: f64) -> Held {
    Held::TimeAtMost(Some(most))
}

const fn cost(most: f64) -> Held {
    Held::CostAtMost(Some(most))
}

const LARGE: usize = 256 << 20;
const MIB: usize = 1 << 20;
const KIB: usize = 1 << 10;
const STREAMS: &str = "Streams, memory to sink";
const SLICES: &str = "Slice to slice";
const FILES: &str = "File to file, synced";
const PARALLEL: &str = "Two threads, against one";
const TOKIO: &str = "Tokio's adapters, against the blocking ones";
const MESSAGES: &str = "Small messages, headers and ranges";
const REWRAP: &str = "Rewrap, keys in memory";
const RECORDS: &str = "Records, key loaded";
const CACHE: &str = "Cache of data keys";
const CACHE_THREADS: &str = "Cache of data keys, two threads on one cache";
const HSM: &str = "PKCS#11, 64 calls at a time in SoftHSM, against its bare calls on as many threads";
const THREADS: &str = "Records, two threads on one key";
const SUBJECTS: &str = "Data subjects, key at hand, against a record key";
const SUBJECT_PAGES: &str = "Data subjects, pages of 10 000, key store in SQLite";
const SUBJECT_THREADS: &str = "Data subjects, two threads";

/// The lines that this build measures: those of a feature with the feature.
pub(crate) fn lines() -> impl Iterator<Item = &'static Line> {
    LINES.iter().filter(|line| match line.section {
        TOKIO => cfg!(feature = "tokio"),
        SUBJECTS | SUBJECT_PAGES | SUBJECT_THREADS => cfg!(feature = "sqlite"),
        _ => true,
    })
}

#[rustfmt::skip]
const LINES: &[Line] = &[
    line("stream-seal-256mib", "seal 256 MiB written to a writer", LARGE, speed(0.95)).of(STREAMS).in_readme(),
    line("stream-seal-read-256mib", "seal 256 MiB copied from a reader", LARGE, speed(0.95)).of(STREAMS),
    line("stream-open-256mib", "open 256 MiB", LARGE, speed(0.95)).of(STREAMS).in_readme(),
    line("read-open-256mib", "open 256 MiB through `Read`, 64 KiB at a time", LARGE, speed(0.95)).of(STREAMS),
    line("stream-seal-1mib", "seal 1 MiB, beginning and end included", MIB, Held::TimeAtMost(None)).of(STREAMS),
    line("stream-seal-read-1mib", "seal 1 MiB copied from a reader, the same", MIB, Held::TimeAtMost(None)).of(STREAMS),
    line("stream-open-1mib", "open 1 MiB, the same", MIB, Held::TimeAtMost(None)).of(STREAMS),
    line("stream-seal-64kib", "seal 64 KiB, the same", 64 * KIB, Held::TimeAtMost(None)).of(STREAMS),
    line("stream-seal-read-64kib", "seal 64 KiB copied from a reader, the same", 64 * KIB, Held::TimeAtMost(None)).of(STREAMS),
    line("stream-open-64kib", "open 64 KiB, the same", 64 * KIB, Held::TimeAtMost(None)).of(STREAMS),

    line("slice-seal-256mib", "seal 256 MiB into a slice", LARGE, speed(0.95)).of(SLICES).in_readme(),
    line("slice-open-256mib", "open 256 MiB into a slice", LARGE, speed(0.95)).of(SLICES).in_readme(),
    line("slice-seal-1mib", "seal 1 MiB, beginning included", MIB, Held::TimeAtMost(None)).of(SLICES),
    line("slice-open-1mib", "open 1 MiB, beginning included", MIB, Held::TimeAtMost(None)).of(SLICES),

    line("file-seal-loop", "seal a file of 256 MiB, against reading and writing it", LARGE, times(1.3)).of(FILES).in_readme(),
    line("file-open-loop", "open a file of 256 MiB, against reading and writing it", LARGE, times(1.3)).of(FILES).in_readme(),
    line("file-seal-std-copy", "seal it, against `std::fs::copy`", LARGE, times(1.3)).of(FILES),
    line("file-open-std-copy", "open it, against `std::fs::copy`", LARGE, times(1.3)).of(FILES),
    line("file-verify-open-loop", "verify all of it, then open it (the default), against reading and writing it", LARGE, Held::TimeAtMost(None)).of(FILES),

    line("two-seal-64kib", "seal 64 KiB into a slice", 64 * KIB, speed(0.95)).of(PARALLEL),
    line("two-open-64kib", "open 64 KiB into a slice", 64 * KIB, speed(0.95)).of(PARALLEL),
    line("two-write-64kib", "seal 64 KiB copied from a reader", 64 * KIB, speed(0.95)).of(PARALLEL),
    line("two-read-64kib", "open 64 KiB by `copy_to`", 64 * KIB, speed(0.95)).of(PARALLEL),
    line("two-seal-1mib", "seal 1 MiB into a slice", MIB, speed(0.95)).of(PARALLEL),
    line("two-open-1mib", "open 1 MiB into a slice", MIB, speed(0.95)).of(PARALLEL),
    line("two-write-1mib", "seal 1 MiB copied from a reader", MIB, speed(0.95)).of(PARALLEL),
    line("two-read-1mib", "open 1 MiB by `copy_to`", MIB, speed(0.95)).of(PARALLEL),
    line("two-seal-9mib", "seal 9 MiB into a slice", 9 * MIB, speed(0.95)).of(PARALLEL),
    line("two-open-9mib", "open 9 MiB into a slice", 9 * MIB, speed(0.95)).of(PARALLEL),
    line("two-write-9mib", "seal 9 MiB copied from a reader", 9 * MIB, speed(0.95)).of(PARALLEL),
    line("two-read-9mib", "open 9 MiB by `copy_to`", 9 * MIB, speed(0.95)).of(PARALLEL),
    line("two-seal-64mib", "seal 64 MiB into a slice", 64 * MIB, speed(1.7)).of(PARALLEL),
    line("two-open-64mib", "open 64 MiB into a slice", 64 * MIB, speed(1.7)).of(PARALLEL),
    line("two-write-64mib", "seal 64 MiB copied from a reader", 64 * MIB, speed(0.95)).of(PARALLEL),
    line("two-read-64mib", "open 64 MiB by `copy_to`", 64 * MIB, speed(0.95)).of(PARALLEL),
    line("two-write-66mib", "seal 66 MiB copied from a reader", 66 * MIB, speed(0.95)).of(PARALLEL),
    line("two-read-66mib", "open 66 MiB by `copy_to`", 66 * MIB, speed(0.95)).of(PARALLEL),
    line("two-seal-256mib", "seal 256 MiB into a slice", LARGE, speed(1.7)).of(PARALLEL).in_readme(),
    line("two-open-256mib", "open 256 MiB into a slice", LARGE, speed(1.7)).of(PARALLEL).in_readme(),
    line("two-write-256mib", "seal 256 MiB copied from a reader", LARGE, Held::SpeedAtLeast(None)).of(PARALLEL),
    line("two-read-256mib", "open 256 MiB by `copy_to`", LARGE, Held::SpeedAtLeast(None)).of(PARALLEL),
    line("two-file-seal", "seal a file of 256 MiB", LARGE, speed(0.95)).of(PARALLEL),
    line("two-file-seal-open", "seal it, and open it again, verified first", LARGE, speed(0.95)).of(PARALLEL),

    line("tokio-seal-256mib", "seal 256 MiB written to an `AsyncWrite`", LARGE, speed(0.9)).of(TOKIO),
    line("tokio-open-256mib", "open 256 MiB by `copy_to`", LARGE, speed(0.9)).of(TOKIO),
    line("tokio-read-256mib", "open 256 MiB through `AsyncRead`, 64 KiB at a time", LARGE, speed(0.9)).of(TOKIO),
    line("tokio-stream-seal-256mib", "seal a stream of 256 MiB in pieces of 256 KiB", LARGE, Held::SpeedAtLeast(None)).of(TOKIO),
    line("tokio-stream-open-256mib", "open a stream of 256 MiB in pieces of 256 KiB", LARGE, Held::SpeedAtLeast(None)).of(TOKIO),
    line("tokio-seal-64kib", "seal 64 KiB, beginning and end included", 64 * KIB, speed(0.9)).of(TOKIO),
    line("tokio-open-64kib", "open 64 KiB, the same", 64 * KIB, speed(0.9)).of(TOKIO),
    line("tokio-file-seal", "seal a file of 256 MiB by `tokio::fs`, against `std::fs`", LARGE, speed(0.9)).of(TOKIO),
    line("tokio-file-open", "open a file of 256 MiB by `tokio::fs`, against `std::fs`", LARGE, speed(0.9)).of(TOKIO),

    line("message-seal-64b", "seal a message of 64 B, key in memory", 0, cost(12_000.0)).of(MESSAGES).in_readme(),
    line("message-open-64b", "open a message of 64 B, key in memory", 0, cost(12_000.0)).of(MESSAGES).in_readme(),
    line("message-seal-16kib", "seal a message of 16 KiB", 0, Held::CostAtMost(None)).of(MESSAGES),
    line("message-open-16kib", "open a message of 16 KiB", 0, Held::CostAtMost(None)).of(MESSAGES),
    line("header-make-two-slots", "begin a stream: data key, wrap, header of 4 KiB", 0, Held::CostAtMost(None)).of(MESSAGES),
    line("header-verify-two-slots", "parse and verify that header", 0, Held::CostAtMost(None)).of(MESSAGES),
    line("range-1kib-of-1gib", "read 1 KiB of an open file of 1 GiB", 0, cost(60_000.0)).of(MESSAGES).in_readme(),
    line("range-1kib-of-1gib", "the same, against reading and opening one bare chunk", 0, Held::TimeAtMost(None)).of(MESSAGES),

    line("rewrap-file-10gib", "rewrap a file of 10 GiB in place, synced", 0, cost(50_000_000.0)).of(REWRAP).in_readme(),
    line("rewrap-message-two-slots", "the same header in memory: unwrap, wrap, check, write", 0, Held::CostAtMost(None)).of(REWRAP),
    line("rewrap-message-compact", "a compact header in memory", 0, Held::CostAtMost(None)).of(REWRAP),

    line("record-seal-64b", "seal 64 B into a buffer", 0, times(1.15)).of(RECORDS),
    line("record-seal-1kib", "seal 1 KiB into a buffer", 0, times(1.15)).of(RECORDS).in_readme(),
    line("record-seal-16kib", "seal 16 KiB into a buffer", 0, times(1.15)).of(RECORDS),
    line("record-seal-64b-aad", "seal 64 B, the bare side with 62 B of associated data too", 0, Held::TimeAtMost(None)).of(RECORDS),
    line("record-seal-1kib-aad", "seal 1 KiB, the same", 0, Held::TimeAtMost(None)).of(RECORDS),
    line("record-seal-16kib-aad", "seal 16 KiB, the same", 0, Held::TimeAtMost(None)).of(RECORDS),
    line("record-seal-pooled-1kib", "seal 1 KiB, nonces from the pool", 0, times(1.25)).of(RECORDS),
    line("record-seal-pooled-1kib-aad", "the same, the bare side with 62 B of associated data too", 0, Held::TimeAtMost(None)).of(RECORDS),
    line("record-open-64b", "open 64 B, subkey kept", 0, Held::TimeAtMost(None)).of(RECORDS),
    line("record-open-1kib", "open 1 KiB, subkey kept", 0, times(1.3)).of(RECORDS).in_readme(),
    line("record-open-1kib-aad", "the same, the bare side with 62 B of associated data too", 0, Held::TimeAtMost(None)).of(RECORDS),
    line("record-open-new-64b", "open 64 B, subkey not kept", 0, Held::TimeAtMost(None)).of(RECORDS),
    line("record-open-new-1kib", "open 1 KiB, subkey not kept", 0, times(2.3)).of(RECORDS),
    line("record-open-new-1kib-aad", "the same, the bare side with 62 B of associated data too", 0, Held::TimeAtMost(None)).of(RECORDS),
    line("record-many-1kib", "100 × 1 KiB by `seal_many`", 0, times(1.3)).of(RECORDS).in_readme(),
    line("record-many-into-1kib", "100 × 1 KiB by `seal_many_into`", 0, times(1.3)).of(RECORDS),

    line("record-seal-threads", "seal 1 KiB", 0, Held::ThreadsAtLeast(Some(1.8))).of(THREADS),
    line("record-pooled-threads", "seal 1 KiB, nonces from the pool", 0, Held::ThreadsAtLeast(Some(1.8))).of(THREADS),
    line("record-open-threads", "open 1 KiB", 0, Held::ThreadsAtLeast(Some(1.8))).of(THREADS),

    line("cache-hit", "unwrap a data key that is in the cache", 0, cost(60.0)).of(CACHE).in_readme(),
    line("cache-hit-new-key", "the same, as a new key", 0, Held::CostAtMost(None)).of(CACHE),
    line("cache-hit-awaited", "the same, awaited through the trait", 0, Held::CostAtMost(None)).of(CACHE),
    line("cache-hit-of-10000", "one of 10 000 keys, into a key", 0, Held::CostAtMost(None)).of(CACHE),
    line("cache-hit-threads", "one key", 0, Held::ThreadsAtLeast(Some(1.7))).of(CACHE_THREADS),
    line("cache-hit-of-100-threads", "a hundred keys in turn", 0, Held::ThreadsAtLeast(Some(1.7))).of(CACHE_THREADS),

    line("subject-seal-64b", "seal 64 B", 0, times(1.1)).of(SUBJECTS),
    line("subject-seal-1kib", "seal 1 KiB", 0, times(1.1)).of(SUBJECTS),
    line("subject-open-64b", "open 64 B", 0, times(1.1)).of(SUBJECTS),
    line("subject-open-1kib", "open 1 KiB", 0, times(1.1)).of(SUBJECTS),
    line("subject-seal-of-1000", "seal 64 B for one of a thousand, twice as many as a thread has at hand", 0, Held::CostAtMost(None)).of(SUBJECTS),
    line("subject-open-of-1000", "open 64 B of one of a thousand", 0, Held::CostAtMost(None)).of(SUBJECTS),
    line("subjects-open-many-warm", "open 10 000 records of 10 000 data subjects, keys cached", 0, cost(100_000_000.0)).of(SUBJECT_PAGES).in_readme(),
    line("subjects-open-many-cold", "the same, keys read from SQLite and opened", 0, Held::CostAtMost(None)).of(SUBJECT_PAGES),
    line("subjects-seal-many-warm", "seal 10 000 values for 10 000 data subjects, keys cached", 0, Held::CostAtMost(None)).of(SUBJECT_PAGES),
    line("store-get-10000", "of the store alone: 10 000 rows by reference", 0, Held::CostAtMost(None)).of(SUBJECT_PAGES),
    line("store-find-10000", "of the store alone: 10 000 rows by name", 0, Held::CostAtMost(None)).of(SUBJECT_PAGES),
    line("subject-seal-threads", "seal 1 KiB, one subject", 0, Held::ThreadsAtLeast(Some(1.8))).of(SUBJECT_THREADS),
    line("subject-open-threads", "open 1 KiB, one subject", 0, Held::ThreadsAtLeast(Some(1.8))).of(SUBJECT_THREADS),
    line("subject-seal-of-100-threads", "seal 1 KiB, a hundred subjects in turn", 0, Held::ThreadsAtLeast(Some(1.8))).of(SUBJECT_THREADS),
    line("subject-open-of-100-threads", "open 1 KiB, a hundred subjects in turn", 0, Held::ThreadsAtLeast(Some(1.8))).of(SUBJECT_THREADS),

    line("hsm-wrap-one", "64 wraps by AES-GCM, one worker", 0, speed(0.9)).with_a_token(),
    line("hsm-unwrap-one", "64 unwraps, one worker", 0, speed(0.9)).with_a_token(),
    line("hsm-wrap-four", "64 wraps, four workers", 0, speed(0.9)).with_a_token(),
    line("hsm-unwrap-four", "64 unwraps, four workers", 0, speed(0.9)).with_a_token(),
    line("hsm-wrap-verified", "64 wraps, each unwrapped again (the default), one worker; the bare side, too", 0, speed(0.9)).with_a_token(),
    line("hsm-cached", "100 unwraps through the cache, of which 99 are hits, against 100 bare ones", 0, Held::SpeedAtLeast(None)).with_a_token(),
];
