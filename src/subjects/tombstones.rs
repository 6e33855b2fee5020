//! How far the chains of tombstones and receipts are verified, and what a burial appends.
//!
//! Floor 6. A link is believed when it follows one that was verified before; each process begins at the first. Section
//! "Tombstones and receipts" of the [format](crate::manual::format).

use std::sync::{Mutex, PoisonError};

use super::shared::Shared;
use crate::{
    error::SubjectError,
    format::tombstone::{BadLink, FIRST, LINK_LEN, Link, Mac},
};

/// How far this process has verified both chains.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    tombstones: Mutex<Head>,
    receipts: Mutex<Head>,
}

/// A link that was verified, with all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// From 1; 0 before the first.
    pub(crate) number: u64,
    pub(crate) mac: Mac,
}

impl Default for Head {
    fn default() -> Self {
        Self { number: 0, mac: FIRST }
    }
}

/// One of the two chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    Tombstones,
    Receipts,
}

impl Chain {
    const fn name(self) -> &'static str {
        match self {
            Self::Tombstones => "tombstones",
            Self::Receipts => "receipts",
        }
    }
}

impl Verified {
    fn head(&self, chain: Chain) -> &Mutex<Head> {
        match chain {
            Chain::Tombstones => &self.tombstones,
            Chain::Receipts => &self.receipts,
        }
    }

    /// Forgets everything: what is there is to be verified from the first link on.
    pub(crate) fn forget(&self) {
        for chain in [Chain::Tombstones, Chain::Receipts] {
            *self.head(chain).lock().unwrap_or_else(PoisonError::into_inner) = Head::default();
        }
    }
}

impl Shared {
    /// The last link of a chain, after everything new was verified.
    pub(crate) async fn head_of(&self, chain: Chain) -> Result<Head, SubjectError> {
        let known = *self.verified.head(chain).lock().unwrap_or_else(PoisonError::into_inner);
        let head = self.walk(chain, known, |_, _, _| Ok(())).await?;
        self.note_head(chain, head);
        Ok(head)
    }

    /// Notes a link that was verified, or made here and stored.
    pub(crate) fn note_head(&self, chain: Chain, head: Head) {
        let mut known = self.verified.head(chain).lock().unwrap_or_else(PoisonError::into_inner);
        if head.number > known.number {
            *known = head;
        }
    }

    /// Shows each link after `from`, with its number, once it is verified.
    // fmt: J-12
    pub(crate) async fn walk(
        &self,
        chain: Chain,
        from: Head,
        mut visit: impl FnMut(u64, &Link, &[u8; LINK_LEN]) -> Result<(), SubjectError> + Send,
    ) -> Result<Head, SubjectError> {
        let mut head = from;
        loop {
            let page = self.links(chain, head.number).await?;
            if page.is_empty() {
                return Ok(head);
            }
            head = self.verify(chain, head, &page, &mut visit)?;
        }
    }

    /// The same of links that are at hand.
    pub(crate) fn verify(
        &self,
        chain: Chain,
        from: Head,
        links: &[[u8; LINK_LEN]],
        visit: &mut (impl FnMut(u64, &Link, &[u8; LINK_LEN]) -> Result<(), SubjectError> + Send),
    ) -> Result<Head, SubjectError> {
        let key = match chain {
            Chain::Tombstones => self.root.tombstones(),
            Chain::Receipts => self.root.receipts(),
        };
        let mut walk = key.walk_after(from.number, from.mac);
        for bytes in links {
            let link = walk.next(bytes).map_err(|BadLink { number }| {
                let chain = chain.name();
                SubjectError::ChainTampered { chain, number }
            })?;
            visit(walk.number(), &link, bytes)?;
        }
        Ok(Head { number: walk.number(), mac: walk.head() })
    }

    async fn links(&self, chain: Chain, after: u64) -> Result<Vec<[u8; LINK_LEN]>, SubjectError> {
        Ok(match chain {
            Chain::Tombstones => {
                let stones = self.store.tombstones(after, PAGE).await?;
                stones.into_iter().map(|stone| stone.bytes).collect()
            }
            Chain::Receipts => self.store.receipts(after, PAGE).await?,
        })
    }
}

/// Links that are read at a time: about a tenth of a MiB.
pub(crate) const PAGE: usize = 1024;
