//! The clauses about keys of subjects: inserting them, looking them up, joints and holds.

use super::super::answers::{Buried, Found, Inserted, Lookup, Names};
use super::super::rows::{EpochClass, JointEnds};
use super::KeyStore;
use super::drive::{Run, asked};
use super::kit::{self, CREDENTIALS, FIRST, SECOND};
use crate::conformance::{Judged, Verdict, ensure};

impl Run<'_> {
    pub(super) async fn insert(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, [1, 2]).await?;
        let insert = async |row, names| asked("insert", store.insert(&row, None, names)).await;
        let unknown = insert(kit::row(3, 1, 79), Names::StayErased).await?;
        ensure!(unknown == Inserted::EpochClosed, "a row was inserted under an unknown epoch");
        for version in [1, 3, u32::MAX] {
            let answer = insert(kit::row(1, version, FIRST), Names::StayErased).await?;
            let exists = Inserted::Exists(rows[0].clone());
            ensure!(answer == exists, "version {version} was inserted, where 1 is the newest");
        }
        let mut taken = kit::row(3, 1, FIRST);
        taken.reference = rows[1].reference;
        let answer = insert(taken, Names::StayErased).await?;
        ensure!(answer == Inserted::ReferenceTaken, "a reference was given to two rows");
        let second = kit::row(1, 2, FIRST);
        ensure!(
            insert(second.clone(), Names::StayErased).await? == Inserted::Done,
            "a next version was refused"
        );
        let answer = insert(kit::row(1, 1, FIRST), Names::StayErased).await?;
        ensure!(answer == Inserted::Exists(second), "`Exists` does not give the newest version");
        // Two reasons at once: the first of the contract's order is the answer.
        asked("bury", store.bury(&kit::burial(0, &[&rows[1]]))).await?;
        let answer = insert(kit::row(2, 7, 79), Names::StayErased).await?;
        ensure!(answer == Inserted::EpochClosed, "an erased name comes before a closed epoch");
        let answer = insert(kit::row(2, 7, FIRST), Names::StayErased).await?;
        ensure!(answer == Inserted::Erased, "a wrong version comes before an erased name");
        let mut stale = kit::row(1, 9, FIRST);
        stale.reference = rows[1].reference;
        let answer = insert(stale, Names::StayErased).await?;
        ensure!(matches!(answer, Inserted::Exists(_)), "a taken reference comes before a wrong version");
        let mut buried = kit::row(4, 1, FIRST);
        buried.reference = rows[1].reference;
        let answer = insert(buried.clone(), Names::StayErased).await?;
        ensure!(answer == Inserted::ReferenceTaken, "the reference of a tombstone was given away");
        asked("remove", store.remove(&[rows[1].reference])).await?;
        let answer = insert(buried, Names::StayErased).await?;
        ensure!(answer == Inserted::ReferenceTaken, "the reference of a removed row was given away");
        Ok(Verdict::Kept)
    }

    pub(super) async fn insert_many(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let old = kit::people(store, [1, 2]).await?;
        asked("bury", store.bury(&kit::burial(0, &[&old[1]]))).await?;
        let mut taken = kit::row(5, 1, FIRST);
        taken.reference = old[0].reference;
        let rows = [
            kit::row(3, 1, FIRST),
            kit::row(1, 1, FIRST),
            kit::row(3, 2, FIRST),
            kit::row(2, 1, FIRST),
            taken,
            kit::row(6, 1, 79),
            kit::row(7, 1, CREDENTIALS),
        ];
        let answers = asked("insert_many", store.insert_many(&rows, Names::StayErased)).await?;
        let expected = [
            Inserted::Done,
            Inserted::Exists(old[0].clone()),
            Inserted::Done,
            Inserted::Erased,
            Inserted::ReferenceTaken,
            Inserted::EpochClosed,
            Inserted::Done,
        ];
        ensure!(answers == expected, "the answers are not those of single insertions");
        let found = asked("find", store.find(&[kit::name(3), kit::name(7), kit::name(6)])).await?;
        let expected = [Found::Row(rows[2].clone()), Found::Row(rows[6].clone()), Found::Unknown];
        ensure!(found == expected, "what was inserted is not found, or what was not is");
        Ok(Verdict::Kept)
    }

    pub(super) async fn look(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, 1..=5).await?;
        let newer = kit::row(2, 2, FIRST);
        kit::inserted(store, &newer, None).await?;
        let asks: Vec<u64> = [4, 0, 2, 4].map(|place: usize| rows[place].reference).into();
        let found = asked("get", store.get(&[&asks[..], &[12345]].concat())).await?;
        let expected: Vec<Lookup> = [4, 0, 2, 4].map(|place: usize| Lookup::Row(rows[place].clone())).into();
        ensure!(found[..4] == expected, "get does not answer in the order of what is asked, each as it is");
        ensure!(found[4..] == [Lookup::Unknown], "get finds what is not there");
        let found = asked("find", store.find(&[2, 9, 1, 2].map(kit::name))).await?;
        let newest = Found::Row(newer.clone());
        let expected = [newest.clone(), Found::Unknown, Found::Row(rows[0].clone()), newest];
        ensure!(
            found == expected,
            "find does not answer in the order of what is asked, each with the newest"
        );
        let versions = asked("versions", store.versions(&kit::name(2))).await?;
        ensure!(versions == [rows[1].clone(), newer], "versions are not all of them, oldest first");
        let none = asked("versions", store.versions(&kit::name(9))).await?;
        ensure!(none.is_empty(), "somebody unknown has versions");
        ensure!(asked("get", store.get(&[])).await?.is_empty(), "get of nothing gives something");
        ensure!(asked("find", store.find(&[])).await?.is_empty(), "find of nothing gives something");
        Ok(Verdict::Kept)
    }

    pub(super) async fn joints(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, 1..=4).await?;
        let any = kit::joint(50, JointEnds::WithTheLast, &[1, 2]);
        let all = kit::joint(51, JointEnds::WithTheFirst, &[2, 3]);
        for joint in [&any, &all] {
            let of = if joint == &any { 50 } else { 51 };
            kit::inserted(store, &kit::row(of, 1, FIRST), Some(joint)).await?;
        }
        kit::inserted(store, &kit::row(50, 2, FIRST), Some(&any)).await?;
        let of = async |of| asked("joints", store.joints(&kit::name(of))).await;
        ensure!(of(1).await? == [any.clone()], "a joint is not found by its first member");
        ensure!(of(2).await? == [any.clone(), all.clone()], "the joints of a member are not all, ascending");
        ensure!(of(4).await?.is_empty() && of(50).await?.is_empty(), "who is no member has a joint");

        // 1 ends nothing: 2 is enough. With 2 both end.
        let buried = asked("bury", store.bury(&kit::burial(0, &[&rows[0]]))).await?;
        ensure!(buried == Buried::Done, "a joint that lives on with another member stands in the way");
        let (any_1, any_2, all_1) = (kit::row(50, 1, FIRST), kit::row(50, 2, FIRST), kit::row(51, 1, FIRST));
        for short in [vec![&rows[1]], vec![&rows[1], &any_1, &any_2], vec![&rows[1], &any_1, &all_1]] {
            let buried = asked("bury", store.bury(&kit::burial(1, &short))).await?;
            ensure!(buried == Buried::RowsChanged, "a burial left a row of a joint that ends with it");
        }
        let whole = kit::burial(1, &[&rows[1], &any_1, &any_2, &all_1]);
        let buried = asked("bury", store.bury(&whole)).await?;
        ensure!(buried == Buried::Done, "a burial with all rows of the joints that end with it was refused");
        let late = kit::joint(52, JointEnds::WithTheFirst, &[2, 4]);
        let late_row = kit::row(52, 1, FIRST);
        let answer = store.insert(&late_row, Some(&late), Names::StayErased);
        ensure!(asked("insert", answer).await? == Inserted::Erased, "a joint began that has ended");
        let open = kit::joint(53, JointEnds::WithTheLast, &[2, 4]);
        kit::inserted(store, &kit::row(53, 1, FIRST), Some(&open)).await?;
        Ok(Verdict::Kept)
    }

    pub(super) async fn holds(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, [1, 2]).await?;
        let [late, early, same] = [kit::hold(1, 1, 200), kit::hold(1, 2, 100), kit::hold(1, 3, 100)];
        for hold in [&late, &same, &early] {
            ensure!(asked("hold", store.hold(hold)).await?, "a new hold was not placed");
        }
        let mut later = late.clone();
        later.since = 999;
        ensure!(!asked("hold", store.hold(&later)).await?, "one case has two holds");
        let holds = asked("holds", store.holds(&kit::name(1))).await?;
        ensure!(
            holds == [early.clone(), same.clone(), late.clone()],
            "holds are not all of them, oldest first"
        );
        ensure!(asked("holds", store.holds(&kit::name(2))).await?.is_empty(), "others are on hold as well");

        let mut burial = kit::burial(0, &[&rows[0]]);
        burial.unless_on_hold = vec![kit::name(2), kit::name(1)];
        let buried = asked("bury", store.bury(&burial)).await?;
        ensure!(buried == Buried::OnHold, "whoever is on hold was buried");
        for hold in [&late, &early] {
            let released = asked("release", store.release(&hold.pseudonym, &hold.case)).await?;
            ensure!(released, "a hold was not released");
        }
        let again = asked("release", store.release(&late.pseudonym, &late.case)).await?;
        ensure!(!again, "a hold was released twice");
        let buried = asked("bury", store.bury(&burial)).await?;
        ensure!(buried == Buried::OnHold, "the release of one case ended the hold of another");
        asked("release", store.release(&same.pseudonym, &same.case)).await?;
        let buried = asked("bury", store.bury(&burial)).await?;
        ensure!(buried == Buried::Done, "a hold outlived its release");
        Ok(Verdict::Kept)
    }

    pub(super) async fn new_persons(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, [1]).await?;
        asked("bury", store.bury(&kit::burial(0, &[&rows[0]]))).await?;
        let mut newer = kit::row(1, 1, FIRST);
        newer.reference = kit::reference(1, 200);
        let refused = asked("insert", store.insert(&newer, None, Names::StayErased)).await?;
        ensure!(refused == Inserted::Erased, "the name of an erased person was given away");
        let many = asked("insert_many", store.insert_many(&[newer.clone()], Names::StayErased)).await?;
        ensure!(many == [Inserted::Erased], "the name of an erased person was given away among many");
        // While the old row is there still: it has a tombstone, and counts for nothing.
        let done = asked("insert", store.insert(&newer, None, Names::MayBeNewPersons)).await?;
        ensure!(done == Inserted::Done, "a new person does not get the name, although that was said");
        let found = asked("find", store.find(&[kit::name(1)])).await?;
        ensure!(found == [Found::Row(newer.clone())], "the name does not lead to the new person");
        asked("remove", store.remove(&[rows[0].reference])).await?;
        let found = asked("get", store.get(&[rows[0].reference, newer.reference])).await?;
        let expected = [Lookup::Erased { since: kit::SINCE }, Lookup::Row(newer.clone())];
        ensure!(found == expected, "the old reference leads to the new person, or the new one nowhere");
        let again = asked("insert", store.insert(&kit::row(1, 2, FIRST), None, Names::StayErased)).await?;
        ensure!(again == Inserted::Done, "the grave of a name outlived its new bearer");
        // And erased once more.
        let burial = kit::burial(1, &[&newer, &kit::row(1, 2, FIRST)]);
        ensure!(asked("bury", store.bury(&burial)).await? == Buried::Done, "a new person cannot be erased");
        let second = kit::epoch(SECOND, EpochClass::Subjects, 500);
        asked("begin_epoch", store.begin_epoch(&second, FIRST)).await?;
        ensure!(asked("find", store.find(&[kit::name(1)])).await? == [Found::Erased], "she is still found");
        self.graves_of_joints(store).await
    }

    /// Names are given away when nothing of their bearers is left, not even what they share with others.
    async fn graves_of_joints(&self, store: &dyn KeyStore) -> Judged {
        let row = |of| kit::row(of, 1, SECOND);
        let joint = kit::joint(9, JointEnds::WithTheLast, &[2, 3]);
        for (of, joint) in [(2, None), (3, None), (9, Some(&joint))] {
            let done = asked("insert", store.insert(&row(of), joint, Names::StayErased)).await?;
            ensure!(done == Inserted::Done, "an insertion was refused");
        }
        asked("bury", store.bury(&kit::burial(3, &[&row(2)]))).await?;
        let mut newer = row(2);
        newer.reference = kit::reference(2, 200);
        let what = "a name was given to a new person while an earlier one's joint has a key";
        let refused = asked("insert", store.insert(&newer, None, Names::MayBeNewPersons)).await?;
        ensure!(refused == Inserted::Erased, "{what}");
        let many = asked("insert_many", store.insert_many(&[newer.clone()], Names::MayBeNewPersons)).await?;
        ensure!(many == [Inserted::Erased], "{what}, among many");
        let mut burial = kit::burial(4, &[&row(3), &row(9)]);
        burial.names = vec![kit::name(3)];
        ensure!(
            asked("bury", store.bury(&burial)).await? == Buried::Done,
            "a joint did not end with the last"
        );
        let done = asked("insert", store.insert(&newer, None, Names::MayBeNewPersons)).await?;
        ensure!(done == Inserted::Done, "a joint that has ended keeps a name");
        Ok(Verdict::Kept)
    }
}
