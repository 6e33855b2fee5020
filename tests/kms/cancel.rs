//! A future that is dropped, at whichever poll, leaves nothing stuck and nothing running.

use std::sync::Arc;
use std::time::Duration;

use kuvert::DataKey;
use kuvert::provider::KeyProvider as _;

use crate::stage::{REGION, builder, provider, wrap_context};
use crate::support::cancel::{PATIENCE, Polled, cancel_at_every_poll, poll_at_most, wait};
use crate::support::fake_kms::{FakeKms, Fault};

#[test]
fn every_call_can_be_dropped_at_every_poll() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let provider =
        builder(&fake.endpoint()).with_sealing_key(&arn).with_kms_randomness(true).build().unwrap();
    let context = wrap_context();
    let key = DataKey::copy_from(&[1; 32]);
    let works = |_| drop(wait(provider.generate_data_key(&context)).unwrap());
    let (polls, wrapped) = cancel_at_every_poll(|| provider.wrap_data_key(&key, &context), works);
    assert!(polls > 1, "the call was never pending");
    let wrapped = wrapped.unwrap().remove(0);
    cancel_at_every_poll(|| provider.generate_data_key(&context), works).1.unwrap();
    cancel_at_every_poll(|| provider.unwrap_data_key(&wrapped, &context), works).1.unwrap().unwrap();
    assert!(cancel_at_every_poll(|| provider.check(), works).1.unwrap().is_good());
}

/// Calls on the provider's own thread end there when their futures are dropped here: the connection closes.
#[test]
fn a_dropped_call_is_given_up_on_the_providers_own_thread_too() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let provider = provider(&fake.endpoint(), &arn);
    let context = wrap_context();
    fake.fault(Fault::Silence);
    let weak = {
        let token = Arc::new(());
        let call = async {
            let _held = Arc::clone(&token);
            provider.generate_data_key(&context).await.map(drop)
        };
        assert!(matches!(poll_at_most(call, 1, PATIENCE), Polled::Dropped));
        Arc::downgrade(&token)
    };
    assert!(weak.upgrade().is_none());
    // Whether or not the request had left: no connection to a service that never answers stays open.
    let closed = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        fake.open_connections() == 0
    });
    assert!(closed, "{} connections are still open", fake.open_connections());
    fake.mend();
    wait(provider.generate_data_key(&context)).unwrap();
}
