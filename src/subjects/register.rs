//! The register of erasures: what the tombstones and receipts of a store say, request by request.
//!
//! Floor 6. It is read from the two chains, which are verified on the way, and holds no names. Page on
//! [erasure](crate::manual::erasure).

use std::collections::HashMap;

use super::{
    ErasureReason, Receipt, Scope, Subjects,
    shared::Shared,
    tombstones::{Chain, Head},
};
use crate::{error::SubjectError, format::tombstone::Link, limits::MAX_SUBJECT_NAME_LEN};

/// What was erased for one request: everything that bears the hash of its reference.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredErasure {
    /// Stands for scope and reference of the request; nobody gets from it to them without the root's key.
    pub request: [u8; 32],
    /// Why, as the first tombstone says; `None` for a reason that this release does not know.
    pub reason: Option<ErasureReason>,
    /// What became of it.
    pub receipt: Receipt,
}

impl Subjects {
    /// Everything that was ever erased, by request, in the order of the first tombstone of each. Both chains are verified
    /// from their beginning. Takes memory for every tombstone: about 100 bytes each.
    ///
    /// # Errors
    ///
    /// [`SubjectError::ChainTampered`]; what the key store failed with.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn erasures(&self) -> Result<Vec<RegisteredErasure>, SubjectError> {
        self.shared().erasures(None).await
    }
}

impl Scope {
    /// What was erased for the request of this reference in this scope; `None` if nothing was for which there were keys.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Usage`] for a reference that is not of 1 to 1024 bytes; [`SubjectError::ChainTampered`]; what the
    /// key store failed with.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn erasure_of(&self, request: &str) -> Result<Option<RegisteredErasure>, SubjectError> {
        self.tag()?;
        if request.is_empty() || request.len() > MAX_SUBJECT_NAME_LEN {
            return Err(SubjectError::Usage("the reference of a request has 1 to 1024 bytes"));
        }
        let hash = self.shared().root.request_hash(self.name(), request);
        Ok(self.shared().erasures(Some(hash)).await?.pop())
    }
}

impl Shared {
    async fn erasures(&self, wanted: Option<[u8; 32]>) -> Result<Vec<RegisteredErasure>, SubjectError> {
        let slips = self.slips().await?;
        let (mut requests, mut places): (Vec<Vec<Link>>, HashMap<[u8; 32], usize>) = Default::default();
        let sort = |_, link: &Link, _: &_| {
            if wanted.is_none_or(|wanted| wanted == link.request) {
                let place = *places.entry(link.request).or_insert(requests.len());
                if place == requests.len() {
                    requests.push(Vec::new());
                }
                requests[place].push(*link);
            }
            Ok(())
        };
        self.walk(Chain::Tombstones, Head::default(), sort).await?;
        let registered = |links: Vec<Link>| {
            let first = links.first()?;
            let (request, reason) = (first.request, ErasureReason::of(first.code));
            Some(RegisteredErasure { request, reason, receipt: self.receipt(&links, &slips, true) })
        };
        Ok(requests.into_iter().filter_map(registered).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        blocking::block_on,
        front::Cell,
        keystore::MemoryKeyStore,
        provider::MemoryProvider,
        subjects::{ErasureRequest, Standing, SubjectsOptions},
    };

    #[test]
    fn requests_are_found_with_what_was_erased_for_each() {
        block_on(async {
            let keys = Arc::new(MemoryProvider::generate("root").unwrap());
            let store = Arc::new(MemoryKeyStore::new());
            let subjects =
                Subjects::init(store, keys.clone(), keys, SubjectsOptions::default()).await.unwrap();
            let scope = subjects.scope("t");
            for name in ["a", "b", "c"] {
                scope.subject(name).seal("x", Cell::new("t", "c", 1)).await.unwrap();
            }
            scope.credentials("b").seal("x", Cell::new("t", "c", 1)).await.unwrap();
            assert_eq!(subjects.erasures().await.unwrap(), []);
            let expired = ErasureRequest::new("r2").with_reason(ErasureReason::Expiry);
            scope.erase(&scope.subject("b"), expired.clone()).await.unwrap();
            scope.erase(&scope.subject("a"), "r1").await.unwrap();
            scope.erase(&scope.subject("c"), expired).await.unwrap();

            let all = subjects.erasures().await.unwrap();
            let shape: Vec<_> = all.iter().map(|one| (one.reason, one.receipt.keys.len())).collect();
            assert_eq!(shape, [(Some(ErasureReason::Expiry), 3), (Some(ErasureReason::Request), 1)]);
            assert!(all.iter().all(|one| one.receipt.unusable > one.receipt.requested));
            assert_eq!(scope.erasure_of("r2").await.unwrap().as_ref(), all.first());
            assert_eq!(scope.erasure_of("r3").await.unwrap(), None);
            assert_eq!(subjects.scope("u").erasure_of("r2").await.unwrap(), None);
            assert!(matches!(scope.erasure_of("").await, Err(SubjectError::Usage(_))));

            for (name, standing) in [("a", Standing::Erased), ("nobody", Standing::Unknown)] {
                assert_eq!(scope.subject(name).standing().await.unwrap(), standing);
            }
            scope.credentials("d").seal("x", Cell::new("t", "c", 1)).await.unwrap();
            assert_eq!(scope.subject("d").standing().await.unwrap(), Standing::Living);
            assert!(matches!(scope.subject("").standing().await, Err(SubjectError::Key(_))));
        })
        .unwrap();
    }

    #[test]
    fn every_reason_is_read_back() {
        for code in 1..=5 {
            assert_eq!(ErasureReason::of(code).map(|reason| reason as u16), Some(code));
        }
        assert_eq!((ErasureReason::of(0), ErasureReason::of(6)), (None, None));
    }
}
