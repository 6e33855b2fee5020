//! The clauses about the store as a whole: snapshots, and stores made of them.

use super::super::answers::{Found, Lookup, Names};
use super::super::rows::{Entry, EpochClass, JointEnds, RECEIPT_LEN};
use super::KeyStore;
use super::drive::{Run, asked};
use super::kit::{self, FIRST, SECOND};
use crate::conformance::{Fault, Judged, Verdict, ensure};
use crate::error::KeyStoreErrorKind as Kind;

impl Run<'_> {
    pub(super) async fn snapshot(&self, store: &dyn KeyStore) -> Judged {
        let expected = filled(store).await?;
        for page in [1, 2, 7, 1000] {
            let mut snapshot = asked("snapshot", store.snapshot()).await?;
            let change = asked("change", store.change()).await?;
            ensure!(snapshot.change() == change, "a snapshot is of another change");
            let mut entries = Vec::new();
            loop {
                let next = asked("next", snapshot.next(page)).await?;
                ensure!(next.len() <= page, "a page has more entries than asked for");
                // Written meanwhile, and not seen.
                let hold = kit::hold(4, u8::try_from(entries.len()).unwrap_or(0), 1);
                asked("hold", store.hold(&hold)).await?;
                if next.is_empty() {
                    break;
                }
                entries.extend(next);
            }
            let end = asked("next", snapshot.next(page)).await?;
            ensure!(end.is_empty(), "there are entries after the end");
            drop(snapshot);
            ensure!(entries == expected, "pages of {page} do not give everything of one moment, in order");
            for case in 0..=u8::MAX {
                asked("release", store.release(&kit::name(4), &[case; 32])).await?;
            }
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn load(&self, store: &dyn KeyStore) -> Judged {
        let entries = filled(store).await?;
        let change = asked("change", store.change()).await?;
        self.refused("a load into a store with a root", Kind::Misuse, store.load(&entries, Some(1))).await?;
        for page in [1, 5, 1000] {
            let target = (self.suite.make)();
            let target = target.as_ref();
            let (last, pages) = entries.split_at(entries.len() - entries.len().min(page));
            let (pages, last) = (last, pages);
            for page in pages.chunks(page) {
                asked("load", target.load(page, None)).await?;
                self.refused("root of a store that is being loaded", Kind::Damaged, target.root()).await?;
                let get = target.get(&[1]);
                self.refused("a look into a store that is being loaded", Kind::Damaged, get).await?;
                let create = target.create(b"x", &[]);
                self.refused("create of a store that is being loaded", Kind::Damaged, create).await?;
            }
            // What was refused is not kept; and a page that begins with the root begins anew.
            if !pages.is_empty() {
                let backwards = [entries[1].clone()];
                self.refused("an entry out of order", Kind::Misuse, target.load(&backwards, None)).await?;
                asked("load", target.load(&entries[..1], None)).await?;
                for page in pages.split_first().map_or(pages, |(_, rest)| rest).chunks(page) {
                    asked("load", target.load(page, None)).await?;
                }
            }
            asked("load", target.load(last, Some(change))).await?;
            ensure!(asked("change", target.change()).await? > change, "a loaded store counts from the start");
            ensure!(all(target).await? == entries, "a loaded store is another one");
            behaves(target).await?;
        }
        let target = (self.suite.make)();
        let unknown = [entries[0].clone(), Entry::Subject(kit::row(1, 1, 79))];
        self.refused("a row under an unknown epoch", Kind::Misuse, target.load(&unknown, None)).await?;
        let late = [entries[0].clone(), entries[1].clone(), entries[0].clone()];
        self.refused("a second root", Kind::Misuse, target.load(&late, None)).await?;
        self.refused("a load without a root", Kind::Misuse, target.load(&entries[1..], None)).await?;
        let double = [entries[0].clone(), entries[1].clone(), entries[1].clone()];
        self.refused("an epoch twice", Kind::Misuse, target.load(&double, Some(1))).await?;
        ensure!(asked("root", target.root()).await?.is_none(), "what was refused was loaded");
        Ok(Verdict::Kept)
    }
}

/// That a loaded store knows what it is told.
async fn behaves(store: &dyn KeyStore) -> Result<(), Fault> {
    let found = asked("find", store.find(&[kit::name(1), kit::name(2), kit::name(3)])).await?;
    let is_right = matches!(&found[..], [Found::Row(row), Found::Erased, Found::Row(newer)]
        if row.version == 2 && newer.reference == kit::reference(3, 99));
    ensure!(is_right, "names of a loaded store lead elsewhere");
    let found = asked("get", store.get(&[kit::reference(2, 1)])).await?;
    ensure!(found == [Lookup::Erased { since: kit::SINCE }], "a tombstone of a loaded store does not hold");
    let left = asked("unremoved", store.unremoved(10)).await?;
    ensure!(left == [kit::reference(3, 1)], "a loaded store does not know what is to be removed");
    let joints = asked("joints", store.joints(&kit::name(4))).await?;
    ensure!(joints.len() == 1, "a loaded store has lost the members of a joint");
    Ok(())
}

/// A store with some of everything; gives what a snapshot of it has to give.
async fn filled(store: &dyn KeyStore) -> Result<Vec<Entry>, Fault> {
    kit::found(store).await?;
    let rows = kit::people(store, 1..=6).await?;
    asked("begin_epoch", store.begin_epoch(&kit::epoch(SECOND, EpochClass::Subjects, 50), FIRST)).await?;
    let newer = kit::row(1, 2, SECOND);
    kit::inserted(store, &newer, None).await?;
    let joint = kit::joint(50, JointEnds::WithTheLast, &[4, 5]);
    let joint_row = kit::row(50, 1, SECOND);
    kit::inserted(store, &joint_row, Some(&joint)).await?;
    for (of, case) in [(5, 2), (5, 1), (1, 9)] {
        asked("hold", store.hold(&kit::hold(of, case, 77))).await?;
    }
    asked("bury", store.bury(&kit::burial(0, &[&rows[1], &rows[2]]))).await?;
    asked("remove", store.remove(&[rows[1].reference])).await?;
    // A new person bears the name of one whose row is not removed yet.
    let mut bearer = kit::row(3, 1, SECOND);
    bearer.reference = kit::reference(3, 99);
    asked("insert", store.insert(&bearer, None, Names::MayBeNewPersons)).await?;
    asked("append_receipts", store.append_receipts(0, &[[8; RECEIPT_LEN], [7; RECEIPT_LEN]])).await?;

    let mut subjects: Vec<_> =
        rows.iter().filter(|row| row.reference != rows[1].reference).cloned().collect();
    subjects.extend([newer, joint_row, bearer]);
    subjects.sort_by_key(|row| row.reference);
    let mut entries = vec![Entry::Root(kit::ROOT.to_vec())];
    entries.extend(asked("epochs", store.epochs()).await?.into_iter().map(Entry::Epoch));
    entries.extend(subjects.into_iter().map(Entry::Subject));
    entries.push(Entry::Joint(joint));
    entries.extend([(1, 9), (5, 1), (5, 2)].map(|(of, case)| Entry::Hold(kit::hold(of, case, 77))));
    entries.push(Entry::Grave(kit::name(2)));
    entries.extend([1, 2].map(|place: usize| Entry::Tombstone(kit::tombstone(rows[place].reference))));
    entries.extend([[8; RECEIPT_LEN], [7; RECEIPT_LEN]].map(Entry::Receipt));
    Ok(entries)
}

pub(super) async fn all(store: &dyn KeyStore) -> Result<Vec<Entry>, Fault> {
    let mut snapshot = asked("snapshot", store.snapshot()).await?;
    let mut entries = Vec::new();
    loop {
        let next = asked("next", snapshot.next(100)).await?;
        if next.is_empty() {
            return Ok(entries);
        }
        entries.extend(next);
    }
}
