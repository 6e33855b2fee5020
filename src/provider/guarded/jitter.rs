//! Randomness for waiting times: so that many callers do not come back in one moment. Not for keys.
//!
//! SplitMix64, seeded from the operating system, or with a number by tests.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::crypto::random;

#[derive(Debug)]
pub(in crate::provider) struct Jitter(AtomicU64);

impl Jitter {
    /// Seeded from the operating system; if that fails, always the same, which still spreads the callers of one process.
    pub(super) fn new() -> Self {
        let mut seed = [0; 8];
        let seed = random::fill(&mut seed).map_or(0, |()| u64::from_be_bytes(seed));
        Self(AtomicU64::new(seed))
    }

    pub(in crate::provider) const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Anything from nothing to `longest`.
    pub(in crate::provider) fn up_to(&self, longest: Duration) -> Duration {
        longest.mul_f64(self.next())
    }

    /// `base`, up to a fifth more or less.
    pub(super) fn around(&self, base: Duration) -> Duration {
        base.mul_f64(0.8 + 0.4 * self.next())
    }

    /// From 0 to 1.
    fn next(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [.., a, b, c, d] = (z ^ (z >> 31)).to_be_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_its_bounds_and_spread_over_them() {
        let jitter = Jitter::seeded(1);
        let base = Duration::from_secs(10);
        let up_to: Vec<_> = (0..1000).map(|_| jitter.up_to(base)).collect();
        assert!(up_to.iter().all(|wait| *wait <= base));
        assert!(up_to.iter().min() < Some(&(base / 50)) && up_to.iter().max() > Some(&(base * 49 / 50)));
        let around: Vec<_> = (0..1000).map(|_| jitter.around(base)).collect();
        assert!(around.iter().all(|wait| (base * 4 / 5..=base * 6 / 5).contains(wait)));
        assert_ne!(Jitter::new().up_to(base), Jitter::new().up_to(base));
    }
}
