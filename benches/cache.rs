//! The cache of unwrapped data keys: a hit by each way to it, and two threads on one cache.

mod support;

use std::{hint::black_box, thread};

use kuvert::{
    DataKey, Recipient,
    blocking::block_on,
    provider::{CacheOptions, Cached, KeyProvider, MemoryProvider, WrapContext},
};
use support::{Bench, Line};

fn main() {
    let mut bench = Bench::from_args();
    bench.yardstick();
    let setting = Setting::new();
    hits(&mut bench, &setting);
    two_threads(&mut bench, &setting);
    bench.finish();
}

/// Into a key that is there; as a new key; and as the trait gives it, which boxes a future.
fn hits(bench: &mut Bench, setting: &Setting) {
    let Setting { cache, context, recipients } = setting;
    let recipient = &recipients[0];
    let mut key = DataKey::copy_from(&[0; 32]);
    bench.alone(Line::cpu("cache-hit", 0), || {
        assert!(cache.cached_key_into(black_box(recipient), context, &mut key));
    });
    bench.alone(Line::cpu("cache-hit-new-key", 0), || {
        drop(black_box(cache.cached_key(black_box(recipient), context)));
    });
    bench.alone(Line::cpu("cache-hit-awaited", 0), || {
        let found = block_on(cache.unwrap_data_key(black_box(recipient), context)).expect("not nested");
        drop(black_box(found.expect("the key is in memory")));
    });
    let mut turn = 0;
    bench.alone(Line::cpu("cache-hit-of-10000", 0), || {
        turn = (turn + 7919) % recipients.len();
        assert!(cache.cached_key_into(&recipients[turn], context, &mut key));
    });
}

/// The same number of hits on each of two threads, against one thread alone with that number: 1.0 is twice the speed.
fn two_threads(bench: &mut Bench, setting: &Setting) {
    let Setting { cache, context, recipients } = setting;
    for (line, keys) in [("cache-hit-threads", 1), ("cache-hit-of-100-threads", 100)] {
        let work = || {
            let mut key = DataKey::copy_from(&[0; 32]);
            for n in 0..HITS_A_THREAD {
                assert!(cache.cached_key_into(&recipients[n % keys], context, &mut key));
            }
        };
        bench.compare(Line::wall(line, 0), || on_threads(1, work), || on_threads(2, work));
    }
}

fn on_threads(count: usize, work: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(&work);
        }
    });
}

/// A cache with ten thousand keys in it.
struct Setting {
    cache: Cached,
    context: WrapContext,
    recipients: Vec<Recipient>,
}

impl Setting {
    fn new() -> Self {
        let provider = MemoryProvider::generate("bench").expect("a key");
        let context = WrapContext::new([7; 12], [("table".to_owned(), "customers".to_owned())]);
        // An hour, which is longer than a bench runs: nothing is refreshed meanwhile.
        let age = std::time::Duration::from_secs(60 * 60);
        let options = CacheOptions::default().with_soft_age(age).with_max_age(age);
        let cache = Cached::new(provider, options);
        let recipients: Vec<_> = (0..10_000)
            .map(|_| {
                let made = block_on(cache.generate_data_key(&context)).expect("not nested");
                let recipient = made.expect("the key is in memory").recipients.remove(0);
                let loaded = block_on(cache.unwrap_data_key(&recipient, &context)).expect("not nested");
                drop(loaded.expect("the key is in memory"));
                recipient
            })
            .collect();
        Self { cache, context, recipients }
    }
}

/// So many that starting threads does not show.
const HITS_A_THREAD: usize = 200_000;
