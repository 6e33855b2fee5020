//! The clauses about erasure: tombstones, removal, receipts; and about counting and repeating writes.

use super::super::answers::{Burial, Buried, Found, Inserted, Lookup, Names};
use super::super::rows::{EpochClass, JointEnds, MAX_BATCH, RECEIPT_LEN};
use super::KeyStore;
use super::drive::{Run, asked};
use super::kit::{self, FIRST, SECOND, SINCE};
use crate::conformance::{Judged, Verdict, ensure};
use crate::error::KeyStoreErrorKind as Kind;

impl Run<'_> {
    pub(super) async fn bury(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, 1..=4).await?;
        let newer = kit::row(2, 2, FIRST);
        kit::inserted(store, &newer, None).await?;
        let before = asked("change", store.change()).await?;
        let bury = async |burial| asked("bury", store.bury(&burial)).await;
        ensure!(
            bury(kit::burial(1, &[&rows[0]])).await? == Buried::Behind { last: 0 },
            "it began after the end"
        );
        let rotated = bury(kit::burial(0, &[&rows[1]])).await?;
        ensure!(rotated == Buried::RowsChanged, "a name was buried with a version that has no tombstone");
        asked("hold", store.hold(&kit::hold(3, 1, 1))).await?;
        let mut held = kit::burial(0, &[&rows[0], &rows[2]]);
        held.unless_on_hold = vec![kit::name(3)];
        ensure!(bury(held.clone()).await? == Buried::OnHold, "a hold was passed over");
        held.names.push(kit::name(2));
        ensure!(bury(held).await? == Buried::RowsChanged, "a hold comes before rows that changed");
        ensure!(asked("change", store.change()).await? == before + 1, "what was not done counts as a change");
        let found = asked("get", store.get(&[rows[0].reference])).await?;
        ensure!(matches!(found[..], [Lookup::Row(_)]), "a burial that was refused was half done");

        ensure!(bury(kit::burial(0, &[&rows[0], &rows[3]])).await? == Buried::Done, "a burial was not done");
        let behind = bury(kit::burial(0, &[&rows[1], &newer])).await?;
        ensure!(behind == Buried::Behind { last: 2 }, "tombstones came twice after the same one");
        ensure!(
            bury(kit::burial(2, &[&rows[1], &newer])).await? == Buried::Done,
            "a name with two versions stayed"
        );
        let stones = asked("tombstones", store.tombstones(0, 100)).await?;
        let expected = [&rows[0], &rows[3], &rows[1], &newer].map(|row| kit::tombstone(row.reference));
        ensure!(stones == expected, "tombstones are not all of them, in order");
        let page = asked("tombstones", store.tombstones(1, 2)).await?;
        ensure!(page == expected[1..3], "a page of tombstones is another one");
        let end = asked("tombstones", store.tombstones(4, 2)).await?;
        ensure!(end.is_empty(), "there are tombstones after the last one");
        // Without a name, as a reconciled store gets them; and for references that it never had.
        let mut nameless = kit::burial(4, &[&kit::row(9, 1, FIRST)]);
        nameless.names.clear();
        ensure!(bury(nameless).await? == Buried::Done, "a tombstone without a row was refused");
        Ok(Verdict::Kept)
    }

    pub(super) async fn tombstones_win(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, [1, 2]).await?;
        let newer = kit::row(2, 2, FIRST);
        kit::inserted(store, &newer, None).await?;
        // The newest version alone, without its name: the one before is the newest again.
        let version = Burial { tombstones: vec![kit::tombstone(newer.reference)], ..Burial::default() };
        asked("bury", store.bury(&version)).await?;
        asked("bury", store.bury(&kit::burial(1, &[&rows[0]]))).await?;
        for _ in 0..2 {
            let found = asked("get", store.get(&[newer.reference, rows[0].reference])).await?;
            let erased = Lookup::Erased { since: SINCE };
            ensure!(found == [erased.clone(), erased], "a reference with a tombstone leads to something");
            let found = asked("find", store.find(&[kit::name(1), kit::name(2)])).await?;
            let expected = [Found::Erased, Found::Row(rows[1].clone())];
            ensure!(found == expected, "a name leads to what has a tombstone");
            let versions = asked("versions", store.versions(&kit::name(2))).await?;
            ensure!(versions == rows[1..], "versions lists what has a tombstone");
            let scanned = asked("scan", store.scan(FIRST, 0, 10)).await?;
            ensure!(scanned == rows[1..], "scan lists what has a tombstone");
            // The same answers when the rows are gone.
            asked("remove", store.remove(&[newer.reference, rows[0].reference])).await?;
        }
        let mut again = kit::row(2, 2, FIRST);
        again.reference = kit::reference(2, 77);
        let done = asked("insert", store.insert(&again, None, Names::StayErased)).await?;
        ensure!(done == Inserted::Done, "a version that has a tombstone counts");
        Ok(Verdict::Kept)
    }

    pub(super) async fn remove(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, 1..=6).await?;
        let [a, b, c, d] = [0, 1, 2, 3].map(|place: usize| rows[place].reference);
        asked("bury", store.bury(&kit::burial(0, &[&rows[0], &rows[1], &rows[2]]))).await?;
        let mut buried = vec![a, b, c];
        buried.sort_unstable();
        let left = asked("unremoved", store.unremoved(100)).await?;
        ensure!(left == buried, "unremoved does not name what has a tombstone and a row, ascending");
        let some = asked("unremoved", store.unremoved(2)).await?;
        ensure!(some == buried[..2], "unremoved gives more than was asked for, or others");
        let removed = asked("remove", store.remove(&[d, a, 4711, a])).await?;
        ensure!(removed == 1, "of a buried row, a live one and an unknown one, {removed} were removed");
        let found = asked("get", store.get(&[d])).await?;
        ensure!(found == [Lookup::Row(rows[3].clone())], "a row without a tombstone was removed");
        let removed = asked("remove", store.remove(&[a, b, c])).await?;
        ensure!(removed == 2, "of two rows and a removed one, {removed} were removed");
        ensure!(asked("remove", store.remove(&[a, b, c])).await? == 0, "rows were removed twice");
        ensure!(
            asked("remove", store.remove(&[])).await? == 0,
            "nothing was asked for, and rows were removed"
        );
        let left = asked("unremoved", store.unremoved(100)).await?;
        ensure!(left.is_empty(), "what is removed is still to be removed");
        let stones = asked("tombstones", store.tombstones(0, 100)).await?;
        ensure!(stones.len() == 3, "tombstones went with the rows");
        Ok(Verdict::Kept)
    }

    pub(super) async fn receipts(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let receipts = [[1; RECEIPT_LEN], [2; RECEIPT_LEN], [1; RECEIPT_LEN]];
        let append =
            async |after, these: &[_]| asked("append_receipts", store.append_receipts(after, these)).await;
        ensure!(!append(1, &receipts[..1]).await?, "receipts began after the end");
        ensure!(append(0, &receipts[..2]).await?, "receipts were not appended");
        ensure!(!append(0, &receipts[2..]).await?, "receipts were appended after one that is not the last");
        ensure!(append(2, &receipts[2..]).await?, "receipts were not appended after the last one");
        let all = asked("receipts", store.receipts(0, 100)).await?;
        ensure!(all == receipts, "receipts are not all of them, in order");
        let page = asked("receipts", store.receipts(1, 1)).await?;
        ensure!(page == receipts[1..2], "a page of receipts is another one");
        ensure!(
            asked("receipts", store.receipts(3, 9)).await?.is_empty(),
            "there are receipts after the last one"
        );
        Ok(Verdict::Kept)
    }

    pub(super) async fn change(&self, store: &dyn KeyStore) -> Judged {
        let mut last = asked("change", store.change()).await?;
        let mut has_risen = async |what: &str, should: bool| {
            let now = asked("change", store.change()).await?;
            let has = now > last;
            ensure!(now >= last, "the change number fell with {what}");
            ensure!(has == should, "the change number does not say whether {what} changed something");
            last = now;
            Ok(())
        };
        kit::found(store).await?;
        has_risen("create", true).await?;
        asked("create", store.create(b"x", &[])).await?;
        has_risen("a second create", false).await?;
        let rows = kit::people(store, [1, 2]).await?;
        has_risen("insert", true).await?;
        asked("insert", store.insert(&rows[0], None, Names::StayErased)).await?;
        has_risen("an insert that was there", false).await?;
        asked("hold", store.hold(&kit::hold(2, 1, 1))).await?;
        has_risen("hold", true).await?;
        asked("release", store.release(&kit::name(2), &[1; 32])).await?;
        has_risen("release", true).await?;
        asked("release", store.release(&kit::name(2), &[1; 32])).await?;
        has_risen("a release of nothing", false).await?;
        asked("bury", store.bury(&kit::burial(0, &[&rows[0]]))).await?;
        has_risen("bury", true).await?;
        asked("remove", store.remove(&[rows[0].reference])).await?;
        has_risen("remove", true).await?;
        asked("remove", store.remove(&[rows[0].reference])).await?;
        has_risen("a removal of nothing", false).await?;
        asked("append_receipts", store.append_receipts(0, &[[1; RECEIPT_LEN]])).await?;
        has_risen("append_receipts", true).await?;
        asked("replace_envelope", store.replace_envelope(None, kit::ROOT, b"new")).await?;
        has_risen("replace_envelope", true).await?;
        asked("begin_epoch", store.begin_epoch(&kit::epoch(SECOND, EpochClass::Subjects, 9), FIRST)).await?;
        has_risen("begin_epoch", true).await?;
        asked("reseal", store.reseal(FIRST, SECOND, &[kit::resealed(&rows[1], 1)])).await?;
        has_risen("reseal", true).await?;
        asked("retire_epoch", store.retire_epoch(FIRST)).await?;
        has_risen("retire_epoch", true).await?;
        asked("retire_epoch", store.retire_epoch(FIRST)).await?;
        has_risen("a second retire_epoch", false).await?;
        Ok(Verdict::Kept)
    }

    pub(super) async fn repeat(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let row = kit::row(1, 1, FIRST);
        kit::inserted(store, &row, None).await?;
        let again = asked("insert", store.insert(&row, None, Names::StayErased)).await?;
        ensure!(again == Inserted::Exists(row.clone()), "an insertion that is repeated does not find itself");
        let burial = kit::burial(0, &[&row]);
        ensure!(asked("bury", store.bury(&burial)).await? == Buried::Done, "a burial was not done");
        let again = asked("bury", store.bury(&burial)).await?;
        ensure!(again == Buried::Behind { last: 1 }, "a burial that is repeated does not find itself done");
        let stones = asked("tombstones", store.tombstones(0, 10)).await?;
        ensure!(stones == burial.tombstones, "a burial that was repeated is there twice");
        for _ in 0..2 {
            asked("remove", store.remove(&[row.reference])).await?;
        }
        let receipts = [[3; RECEIPT_LEN]];
        ensure!(
            asked("append_receipts", store.append_receipts(0, &receipts)).await?,
            "a receipt was refused"
        );
        let again = asked("append_receipts", store.append_receipts(0, &receipts)).await?;
        ensure!(!again, "a receipt that was repeated is there twice");
        Ok(Verdict::Kept)
    }

    pub(super) async fn misuse(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let row = kit::people(store, [1]).await?.remove(0);
        let before = asked("change", store.change()).await?;
        let many = vec![1; MAX_BATCH + 1];
        self.refused("get of too many", Kind::Misuse, store.get(&many)).await?;
        self.refused("remove of too many", Kind::Misuse, store.remove(&many)).await?;
        let many = vec![kit::name(1); MAX_BATCH + 1];
        self.refused("find of too many", Kind::Misuse, store.find(&many)).await?;
        let odd = |change: fn(&mut super::super::rows::SubjectRow)| {
            let mut row = kit::row(2, 1, FIRST);
            change(&mut row);
            row
        };
        for (what, row) in [
            ("reference zero", odd(|row| row.reference = 0)),
            ("version zero", odd(|row| row.version = 0)),
            ("a first version 2", odd(|row| row.version = 2)),
        ] {
            self.refused(what, Kind::Misuse, store.insert(&row, None, Names::StayErased)).await?;
            let among = [kit::row(3, 1, FIRST), row];
            self.refused(what, Kind::Misuse, store.insert_many(&among, Names::StayErased)).await?;
        }
        let joint_row = kit::row(50, 1, FIRST);
        for members in [&[2, 1][..], &[1, 1], &[1]] {
            let joint = kit::joint(50, JointEnds::WithTheLast, members);
            let insert = store.insert(&joint_row, Some(&joint), Names::StayErased);
            self.refused("a joint whose members do not ascend", Kind::Misuse, insert).await?;
        }
        let mut other = kit::burial(0, &[&row]);
        other.tombstones[0].reference ^= 2;
        self.refused("a tombstone of another reference", Kind::Misuse, store.bury(&other)).await?;
        let double = kit::burial(0, &[&row, &row]);
        self.refused("two tombstones of one reference", Kind::Misuse, store.bury(&double)).await?;
        let late = kit::hold(1, 1, u64::MAX);
        self.refused("a hold beyond time", Kind::Misuse, store.hold(&late)).await?;
        ensure!(asked("change", store.change()).await? == before, "what was refused was done");
        asked("bury", store.bury(&kit::burial(0, &[&row]))).await?;
        let again = kit::burial(1, &[&row]);
        self.refused("a second tombstone of one reference", Kind::Misuse, store.bury(&again)).await?;
        Ok(Verdict::Kept)
    }
}
