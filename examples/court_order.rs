//! Split custody: a cloud's key and a key of your own, neither of which opens anything without the other.
//!
//! `cargo run --example court_order`
//!
//! A key that a cloud provider holds does not protect from an order to that provider: it can unwrap. With `AllOf` it can
//! unwrap its share, which tells nothing.

#[path = "shared/region.rs"]
mod region;

use kuvert::provider::{AllOf, AnyOf, KeyProvider, MemoryProvider};
use kuvert::{Category, EncryptionContext, blocking::Kuvert};
use region::Region;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (cloud, own) = (Region::new("cloud"), Arc::new(MemoryProvider::generate("own")?));
    let both = Arc::new(AllOf::new([cloud.clone() as Arc<dyn KeyProvider>, own.clone() as _])?);
    let context = EncryptionContext::new([("table", "sources")])?;
    let message = Kuvert::from_arc(both.clone()).seal(b"name of the source", &context)?;

    println!("both keys:       {} bytes", Kuvert::from_arc(both.clone()).open(&message, &context)?.len());
    for (who, alone) in [("the cloud alone", cloud.clone() as Arc<dyn KeyProvider>), ("you alone", own)] {
        let error = Kuvert::from_arc(alone).open(&message, &context).expect_err("a key alone opens nothing");
        println!("{who}: {error}");
        assert_eq!(error.category(), Category::KeyUnavailable);
    }

    // Any one of several will do, and one of them may be a set of which all are needed: here a key in a safe, for the
    // day on which one of the two is lost.
    let safe = Arc::new(MemoryProvider::generate("safe")?);
    let with_spare = Arc::new(AnyOf::new([both as Arc<dyn KeyProvider>, safe.clone() as _])?);
    let message = Kuvert::from_arc(with_spare).seal(b"name of the source", &context)?;
    println!("the safe's key:  {} bytes", Kuvert::from_arc(safe).open(&message, &context)?.len());
    assert!(Kuvert::from_arc(cloud).open(&message, &context).is_err());
    Ok(())
}
