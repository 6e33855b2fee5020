//! Time: now, the date, and sleeping, without a runtime.
//!
//! Deadlines, cache ages and back-off are counted by a [`Clock`], so that tests can turn it by hand. Floor 0: knows
//! nothing else of the crate. One thread of its own serves every sleep of the [`SystemClock`], and only once
//! somebody sleeps.

pub(crate) mod ages;
mod system;
mod test_clock;
#[cfg(test)]
mod tests;
mod within;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

pub use self::system::SystemClock;
pub use self::test_clock::TestClock;
pub(crate) use self::within::within;

/// Gives the time and sleeps.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now, on a clock that never goes back. For deadlines and ages.
    fn now(&self) -> Instant;

    /// The date and time of day. For what is written down; may jump.
    fn wall(&self) -> SystemTime;

    /// A future that ends when `duration` has passed since this call; never earlier.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any time and leaves nothing behind.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// What [`Clock::sleep`] gives: belongs to nobody else, and can be sent to other threads.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn wall(&self) -> SystemTime {
        (**self).wall()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        (**self).sleep(duration)
    }
}
