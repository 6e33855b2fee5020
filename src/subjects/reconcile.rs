//! What `open` does before anybody gets a key: chains verified, anchor and store made equal, begun erasures finished.
//!
//! Floor 6. A store that was restored from an older copy is behind its anchor: the tombstones that it lacks are buried
//! again before it is used, or it is refused. Section "Tombstones and receipts" of the [format](crate::manual::format).

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use super::{
    anchor::Anchor,
    receipt::ATTEMPTS,
    shared::Shared,
    tombstones::{Chain, Head, PAGE},
};
use crate::{
    error::{AnchorError, SubjectError},
    keystore::{Burial, Buried, Lookup, Pseudonym, TOMBSTONE_LEN, Tombstone},
};

impl Shared {
    /// Makes the store fit to be used, or says why it is not. Gives how many erasures were made again.
    // fmt: J-18
    pub(crate) async fn reconcile(&self) -> Result<u64, SubjectError> {
        self.verified.forget();
        let again = match &self.options.anchor {
            Some(anchor) => self.follow_anchor(&**anchor).await?,
            None => {
                self.head_of(Chain::Tombstones).await?;
                0
            }
        };
        self.finish().await?;
        Ok(again)
    }

    /// Brings the store up to the anchor, and then the anchor up to the store.
    async fn follow_anchor(&self, anchor: &dyn Anchor) -> Result<u64, SubjectError> {
        let kept = self.ask(|| anchor.head()).await?;
        if kept.store.is_some_and(|store| store != self.root.reference()) {
            return Err(SubjectError::OtherAnchor);
        }
        let common = self.compare(anchor, kept.tombstones).await?;
        let (mut head, mut names) = (common, BTreeSet::new());
        while head.number < kept.tombstones {
            head = self.bury_again(anchor, kept.tombstones, head, &mut names).await?;
        }
        self.note_head(Chain::Tombstones, head);
        self.lift_anchor().await?;
        Ok(kept.tombstones - common.number.min(kept.tombstones))
    }

    /// Verifies the store's chain, and that the anchor says the same as far as both go. Gives the last link of the store.
    async fn compare(&self, anchor: &dyn Anchor, kept: u64) -> Result<Head, SubjectError> {
        let mut head = Head::default();
        loop {
            let ours = self.store.tombstones(head.number, PAGE).await?;
            if ours.is_empty() {
                return Ok(head);
            }
            let ours: Vec<_> = ours.into_iter().map(|stone| stone.bytes).collect();
            let after = head.number;
            let theirs = if after < kept {
                self.ask(|| anchor.tombstones(after, ours.len())).await?
            } else {
                Vec::new()
            };
            let differs = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
            head = self.verify(Chain::Tombstones, head, &ours, &mut |_, _, _| Ok(()))?;
            if let Some(place) = differs {
                return Err(SubjectError::Diverged { number: after + place as u64 + 1 });
            }
            if (theirs.len() as u64) < kept.saturating_sub(after).min(ours.len() as u64) {
                return Err(AnchorError::damaged("it gives fewer tombstones than it says it has").into());
            }
        }
    }

    /// Buries the next of the tombstones that only the anchor has. Gives the last one that the store has then. `names` are those
    /// of which a key was buried, and which are no graves yet because another key of theirs, or of a joint, comes later.
    async fn bury_again(
        &self,
        anchor: &dyn Anchor,
        kept: u64,
        head: Head,
        names: &mut BTreeSet<Pseudonym>,
    ) -> Result<Head, SubjectError> {
        let bytes = self.ask(|| anchor.tombstones(head.number, PAGE)).await?;
        if bytes.is_empty() {
            return Err(AnchorError::damaged("it gives fewer tombstones than it says it has").into());
        }
        let mut references = Vec::with_capacity(bytes.len());
        let note = &mut |_, link: &crate::format::tombstone::Link, _: &[u8; TOMBSTONE_LEN]| {
            references.push(link.reference);
            Ok(())
        };
        let last = self.verify(Chain::Tombstones, head, &bytes, note).map_err(|error| match error {
            // Its MAC is not the root's, or it does not follow what the store has: not the same history.
            SubjectError::ChainTampered { number, .. } => SubjectError::Diverged { number },
            other => other,
        })?;
        let stones = references.iter().zip(&bytes);
        let tombstones: Vec<Tombstone> =
            stones.map(|(reference, bytes)| Tombstone { reference: *reference, bytes: *bytes }).collect();
        for _ in 0..ATTEMPTS {
            let ended = self.names_that_end(&references, names).await?;
            let burial = Burial {
                after: head.number,
                tombstones: tombstones.clone(),
                names: ended.iter().copied().collect(),
                // Who was erased was not on hold then; a hold of before does not undo it.
                unless_on_hold: Vec::new(),
            };
            match self.store.bury(&burial).await? {
                Buried::Done => {
                    self.evict(&references, &burial.names);
                    names.retain(|name| !ended.contains(name));
                    return Ok(last);
                }
                // Another process does the same: what it has buried was verified here too.
                // It may also have buried others since, which the anchor gets in a moment.
                Buried::Behind { last } if last > head.number => {
                    return self.compare(anchor, kept).await;
                }
                _ => {}
            }
        }
        Err(self.too_busy())
    }

    /// Those of `names`, and of the names of these references (which are added to them), that no key is left of when these
    /// references have ended, nor of a joint that ends with them.
    async fn names_that_end(
        &self,
        references: &[u64],
        names: &mut BTreeSet<Pseudonym>,
    ) -> Result<BTreeSet<Pseudonym>, SubjectError> {
        let ending: HashSet<u64> = references.iter().copied().collect();
        for lookup in self.store.get(references).await? {
            if let Lookup::Row(row) = lookup {
                names.insert(row.pseudonym);
            }
        }
        let mut ended = BTreeSet::new();
        for name in names.iter() {
            if self.is_covered(name, &ending).await? {
                ended.insert(*name);
            }
        }
        // Whoever has a joint that would end and is not covered stays for later; then fewer joints may end.
        loop {
            let mut stay = Vec::new();
            for name in &ended {
                for joint in self.store.joints(name).await? {
                    if self.ends_now(&joint, &ended).await?
                        && !self.is_covered(&joint.pseudonym, &ending).await?
                    {
                        stay.push(*name);
                    }
                }
            }
            if stay.is_empty() {
                return Ok(ended);
            }
            ended.retain(|name| !stay.contains(name));
        }
    }

    async fn is_covered(&self, name: &Pseudonym, ending: &HashSet<u64>) -> Result<bool, SubjectError> {
        let versions = self.store.versions(name).await?;
        Ok(versions.iter().all(|row| ending.contains(&row.reference)))
    }

    /// Gives the anchor what the store has and it does not.
    pub(crate) async fn lift_anchor(&self) -> Result<(), SubjectError> {
        let Some(anchor) = &self.options.anchor else { return Ok(()) };
        let mut attempts = 0;
        while attempts < ATTEMPTS {
            let kept = self.ask(|| anchor.head()).await?;
            if kept.store.is_some_and(|store| store != self.root.reference()) {
                return Err(SubjectError::OtherAnchor);
            }
            let (store, after) = (self.root.reference(), kept.tombstones);
            let stones = self.store.tombstones(after, PAGE).await?;
            if stones.is_empty() {
                return Ok(());
            }
            let bytes: Vec<_> = stones.iter().map(|stone| stone.bytes).collect();
            // Refused: another process was faster. What is left is seen in the next round.
            let done = self.ask(|| anchor.append(store, after, &bytes)).await?;
            attempts = if done { 0 } else { attempts + 1 };
        }
        Err(self.too_busy())
    }

    /// Asks an anchor, and for a while again if it is in use.
    async fn ask<T, F: Future<Output = Result<T, AnchorError>> + Send>(
        &self,
        mut call: impl FnMut() -> F + Send,
    ) -> Result<T, SubjectError> {
        let mut attempts = 0;
        loop {
            match call().await {
                Err(error) if error.is_busy() && attempts < ANCHOR_ATTEMPTS => attempts += 1,
                answer => return answer.map_err(SubjectError::from),
            }
            self.clock().sleep(ANCHOR_PAUSE).await;
        }
    }
}

/// Times that a busy anchor is asked again.
const ANCHOR_ATTEMPTS: usize = 200;
/// Between two of them.
const ANCHOR_PAUSE: Duration = Duration::from_millis(10);
