//! Seeded randomness for tests: the same seed gives the same test.
//!
//! A test names its generator; the seed follows from the name, or from `KUVERT_TEST_SEED` where that is set, and is
//! printed when the test fails, so that every failure can be run again. Not for keys.

/// A generator (SplitMix64) that prints its seed if the test panics while it lives.
#[derive(Debug)]
pub struct Rng {
    name: &'static str,
    seed: u64,
    state: u64,
}

impl Rng {
    /// A generator for the test or part of a test called `name`.
    pub fn new(name: &'static str) -> Self {
        let chosen = std::env::var("KUVERT_TEST_SEED").ok();
        let base =
            chosen.map_or(0x6b75_7665_7274, |text| text.parse().expect("KUVERT_TEST_SEED is a decimal u64"));
        // FNV-1a, so that two tests under one seed do not walk the same path.
        let mixed = name.bytes().fold(base ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { name, seed: base, state: mixed }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound` (`bound` is at least 1). The bias is far below what a test could see.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next_u64() % bound as u64).expect("below a usize")
    }

    /// A number in `range`.
    pub fn between(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn fill(&mut self, out: &mut [u8]) {
        for part in out.chunks_mut(8) {
            part.copy_from_slice(&self.next_u64().to_le_bytes()[..part.len()]);
        }
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.fill(&mut out);
        out
    }
}

impl Drop for Rng {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("generator {:?}: to repeat, set KUVERT_TEST_SEED={}", self.name, self.seed);
        }
    }
}
