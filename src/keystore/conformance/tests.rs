//! The suite over the store in memory, and over one with every fault a clause is there to find.

use super::*;
use crate::executor::block_on;
use crate::keystore::MemoryKeyStore;

#[test]
fn the_store_in_memory_keeps_the_contract() {
    let make = || Box::new(MemoryKeyStore::new()) as Box<dyn KeyStore>;
    let report = block_on(Conformance::new(&make).run()).unwrap();
    assert!(report.is_conformant(), "{report}");
    let skipped: Vec<Clause> = report.skipped().iter().map(|(clause, _)| *clause).collect();
    assert_eq!(skipped, [Clause::Beside, Clause::Durable]);
}
