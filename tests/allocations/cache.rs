//! The cache of data keys: nothing on the hot path but the key itself, and the boxed future where one is awaited.

use kuvert::{
    DataKey,
    blocking::block_on,
    provider::{CacheOptions, Cached, KeyProvider, MemoryProvider, WrapContext},
};

use crate::counting::allocations_of;

#[test]
fn a_hit_allocates_nothing_but_what_it_gives() {
    let cache = Cached::new(MemoryProvider::generate("counted").unwrap(), CacheOptions::default());
    let context = WrapContext::new([7; 12], [("table".to_owned(), "users".to_owned())]);
    let recipient = block_on(cache.generate_data_key(&context)).unwrap().unwrap().recipients.remove(0);
    let mut key = DataKey::copy_from(&[0; 32]);
    let into = |key: &mut DataKey| assert!(cache.cached_key_into(&recipient, &context, key));
    let awaited = || drop(block_on(cache.unwrap_data_key(&recipient, &context)).unwrap().unwrap());
    assert!(allocations_of(awaited) > 4, "a miss");
    // The first hit of this thread takes a place on its lane.
    into(&mut key);
    assert_eq!(allocations_of(|| (0..10_000).for_each(|_| into(&mut key))), 0);
    let as_key = || drop(cache.cached_key(&recipient, &context).unwrap());
    assert_eq!(allocations_of(|| (0..1000).for_each(|_| as_key())), 1000, "the key itself");
    let parking = allocations_of(|| block_on(async {}).unwrap());
    // The key, and the box that an async method of an object has to come in.
    assert_eq!(allocations_of(awaited) - parking, 2);
    // A cache that does not have it says so without allocating either.
    let other = WrapContext::new([7; 12], []);
    assert_eq!(allocations_of(|| assert!(cache.cached_key(&recipient, &other).is_none())), 0);
}
