//! How many threads work on one message: a number, or as many as the machine has cores.

use std::{num::NonZeroUsize, sync::OnceLock, thread};

use crate::stream::parallel::Plan;

/// How many threads seal or open one message, the calling one among them.
///
/// The bytes are the same with any number. Threads beside the calling one are started only when a message turns out
/// to be long: 8 MiB of what is all in memory, 64 MiB of a stream. Below, one is as fast. Each costs up to 1 MiB of
/// memory, and more than 256 have no effect.
///
/// In a configuration file it is a number or `"auto"`.
///
/// # Examples
///
/// ```
/// use kuvert::{SealOptions, Threads};
///
/// let options = SealOptions::default().with_threads(Threads::auto());
/// assert!(options.threads.count() >= 1);
/// assert_eq!(SealOptions::default().threads, Threads::ONE);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Threads {
    /// `None`: as many as the machine has cores.
    count: Option<NonZeroUsize>,
    eager: bool,
}

impl Threads {
    /// The calling thread and no other. The default.
    pub const ONE: Self = Self { count: Some(NonZeroUsize::MIN), eager: false };

    /// As many as this process may use cores, which is looked up once.
    #[must_use]
    pub const fn auto() -> Self {
        Self { count: None, eager: false }
    }

    /// Exactly so many, the calling one among them, for messages that are long enough.
    #[must_use]
    pub const fn exactly(count: NonZeroUsize) -> Self {
        Self { count: Some(count), eager: false }
    }

    /// How many that is on this machine.
    #[must_use]
    pub fn count(self) -> usize {
        // Asked once: it reads files, and takes longer than sealing a small message.
        static CORES: OnceLock<NonZeroUsize> = OnceLock::new();
        let cores = || *CORES.get_or_init(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
        self.count.unwrap_or_else(cores).get()
    }

    /// Starts the threads with the first byte and hands them little at a time: slow, and for tests alone.
    #[doc(hidden)]
    #[must_use]
    pub const fn eagerly(self) -> Self {
        Self { eager: true, ..self }
    }

    pub(crate) fn plan(self) -> Plan {
        if self.eager { Plan::eager(self.count()) } else { Plan::new(self.count()) }
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::ONE
    }
}

#[cfg(feature = "serde")]
mod config {
    use std::{fmt, num::NonZeroUsize};

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Threads;

    impl Serialize for Threads {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.count {
                Some(count) => serializer.serialize_u64(count.get() as u64),
                None => serializer.serialize_str("auto"),
            }
        }
    }

    impl<'de> Deserialize<'de> for Threads {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Visitor)
        }
    }

    #[derive(Clone, Copy)]
    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = Threads;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of threads, at least 1, or \"auto\"")
        }

        fn visit_u64<E: de::Error>(self, count: u64) -> Result<Threads, E> {
            let wanted = usize::try_from(count).ok().and_then(NonZeroUsize::new);
            wanted
                .map(Threads::exactly)
                .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(count), &self))
        }

        fn visit_i64<E: de::Error>(self, count: i64) -> Result<Threads, E> {
            let wanted = u64::try_from(count);
            self.visit_u64(wanted.map_err(|_| E::invalid_value(de::Unexpected::Signed(count), &self))?)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Threads, E> {
            match text {
                "auto" => Ok(Threads::auto()),
                other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
            }
        }
    }
}
