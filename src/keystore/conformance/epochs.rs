//! The clauses about the store itself: what it says, its root, its epochs, and how rows move between them.

use super::super::answers::{Inserted, Names};
use super::super::rows::{EpochClass, EpochState, MAX_BATCH};
use super::KeyStore;
use super::drive::{Run, asked};
use super::kit::{self, CREDENTIALS, FIRST, ROOT, SECOND};
use crate::conformance::{Judged, Verdict, ensure};
use crate::error::KeyStoreErrorKind as Kind;

impl Run<'_> {
    pub(super) async fn describe(&self, store: &dyn KeyStore) -> Judged {
        let info = store.describe();
        self.show(format!("{info:?}"));
        ensure!(!info.name.is_empty(), "the store's name is empty");
        kit::found(store).await?;
        ensure!(info == store.describe(), "two descriptions of one store differ");
        Ok(Verdict::Kept)
    }

    pub(super) async fn empty(&self, store: &dyn KeyStore) -> Judged {
        ensure!(asked("root", store.root()).await?.is_none(), "an empty store has a root");
        ensure!(asked("change", store.change()).await? == 0, "an empty store has changes");
        let row = kit::row(1, 1, FIRST);
        self.refused("epochs of an empty store", Kind::Misuse, store.epochs()).await?;
        self.refused("find in an empty store", Kind::Misuse, store.find(&[kit::name(1)])).await?;
        let insert = store.insert(&row, None, Names::StayErased);
        self.refused("insert into an empty store", Kind::Misuse, insert).await?;
        let burial = kit::burial(0, &[&row]);
        self.refused("bury in an empty store", Kind::Misuse, store.bury(&burial)).await?;
        self.refused("hold in an empty store", Kind::Misuse, store.hold(&kit::hold(1, 1, 1))).await?;
        self.refused("receipts of an empty store", Kind::Misuse, store.receipts(0, 1)).await?;
        self.refused("snapshot of an empty store", Kind::Misuse, async { store.snapshot().await.map(drop) })
            .await?;
        ensure!(asked("change", store.change()).await? == 0, "what was refused counts as a change");
        Ok(Verdict::Kept)
    }

    pub(super) async fn create(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        ensure!(asked("root", store.root()).await?.as_deref() == Some(ROOT), "root gives another envelope");
        let epochs = asked("epochs", store.epochs()).await?;
        let expected = [
            kit::epoch(FIRST, EpochClass::Subjects, 10),
            kit::epoch(CREDENTIALS, EpochClass::Credentials, 11),
        ];
        ensure!(epochs == expected, "epochs gives others than were created");
        let again = asked("create", store.create(b"another", &[])).await?;
        ensure!(!again, "a store with a root was created again");
        ensure!(
            asked("root", store.root()).await?.as_deref() == Some(ROOT),
            "a second create changed the root"
        );
        ensure!(asked("epochs", store.epochs()).await? == expected, "a second create changed the epochs");
        Ok(Verdict::Kept)
    }

    pub(super) async fn envelopes(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let old = kit::epoch(FIRST, EpochClass::Subjects, 10).envelope;
        for (epoch, old) in [(None, ROOT), (Some(FIRST), &old[..])] {
            let replace = |old: &'static [u8], new: &'static [u8]| store.replace_envelope(epoch, old, new);
            let wrong = asked("replace_envelope", replace(b"never there", b"new")).await?;
            ensure!(!wrong, "an envelope was replaced although another one stood there");
            let done = asked("replace_envelope", store.replace_envelope(epoch, old, b"new")).await?;
            ensure!(done, "an envelope was not replaced");
            let again = asked("replace_envelope", store.replace_envelope(epoch, old, b"newer")).await?;
            ensure!(!again, "an envelope was replaced twice");
            let next = asked("replace_envelope", replace(b"new", b"newest")).await?;
            ensure!(next, "what was put in an envelope's place is not what stands there");
        }
        let unknown = asked("replace_envelope", store.replace_envelope(Some(77), b"new", b"x")).await?;
        ensure!(!unknown, "the envelope of an unknown epoch was replaced");
        ensure!(asked("root", store.root()).await?.as_deref() == Some(b"newest"), "root is not the newest");
        let epochs = asked("epochs", store.epochs()).await?;
        ensure!(epochs[0].envelope == b"newest", "the epoch's envelope is not the newest");
        let other = kit::epoch(CREDENTIALS, EpochClass::Credentials, 11);
        ensure!(epochs[1] == other, "another epoch's envelope was replaced as well");
        Ok(Verdict::Kept)
    }

    pub(super) async fn epochs(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, [1]).await?;
        let second = kit::epoch(SECOND, EpochClass::Subjects, 500);
        let wrong_class = kit::epoch(SECOND, EpochClass::Credentials, 500);
        let begin = store.begin_epoch(&wrong_class, FIRST);
        self.refused("an epoch that closes one of another class", Kind::Misuse, begin).await?;
        ensure!(!asked("retire_epoch", store.retire_epoch(FIRST)).await?, "an open epoch was retired");
        ensure!(asked("begin_epoch", store.begin_epoch(&second, FIRST)).await?, "an epoch did not begin");
        let again =
            asked("begin_epoch", store.begin_epoch(&kit::epoch(9, EpochClass::Subjects, 501), FIRST)).await?;
        ensure!(!again, "an epoch that was closed was closed again");
        let unknown =
            asked("begin_epoch", store.begin_epoch(&kit::epoch(9, EpochClass::Subjects, 501), 78)).await?;
        ensure!(!unknown, "an epoch began although it closes none");
        let epochs = asked("epochs", store.epochs()).await?;
        let mut first = kit::epoch(FIRST, EpochClass::Subjects, 10);
        (first.state, first.closed) = (EpochState::Closed, Some(500));
        let credentials = kit::epoch(CREDENTIALS, EpochClass::Credentials, 11);
        ensure!(
            epochs == [first, credentials, second],
            "epochs are not in order, or not closed when the next opened"
        );
        let late = asked("insert", store.insert(&kit::row(2, 1, FIRST), None, Names::StayErased)).await?;
        ensure!(late == Inserted::EpochClosed, "a row was inserted under a closed epoch");
        ensure!(!asked("retire_epoch", store.retire_epoch(FIRST)).await?, "an epoch with a row was retired");
        asked("bury", store.bury(&kit::burial(0, &[&rows[0]]))).await?;
        let buried = asked("retire_epoch", store.retire_epoch(FIRST)).await?;
        ensure!(!buried, "an epoch was retired whose last row has a tombstone and is not removed");
        asked("remove", store.remove(&[rows[0].reference])).await?;
        for _ in 0..2 {
            ensure!(
                asked("retire_epoch", store.retire_epoch(FIRST)).await?,
                "an empty epoch was not retired"
            );
        }
        let state = asked("epochs", store.epochs()).await?[0].state;
        ensure!(state == EpochState::Retired, "a retired epoch is not shown as retired");
        Ok(Verdict::Kept)
    }

    pub(super) async fn scan(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let mut rows = kit::people(store, 1..=20).await?;
        kit::inserted(store, &kit::row(30, 1, CREDENTIALS), None).await?;
        asked("bury", store.bury(&kit::burial(0, &[&rows[4]]))).await?;
        rows.remove(4);
        rows.sort_by_key(|row| row.reference);
        for page in [1, 3, 7, 100] {
            let (mut found, mut after) = (Vec::new(), 0);
            loop {
                let rows = asked("scan", store.scan(FIRST, after, page)).await?;
                ensure!(rows.len() <= page, "a page has more rows than asked for");
                let Some(last) = rows.last() else { break };
                ensure!(last.reference > after, "a page does not ascend");
                after = last.reference;
                found.extend(rows);
            }
            ensure!(found == rows, "pages of {page} do not give each live row of the epoch once, ascending");
        }
        let nothing = asked("scan", store.scan(FIRST, u64::MAX, 10)).await?;
        ensure!(nothing.is_empty(), "there is a row above every reference");
        ensure!(asked("scan", store.scan(FIRST, 0, 0)).await?.is_empty(), "a page of none has rows");
        let all = asked("scan", store.scan(FIRST, 0, usize::MAX)).await?;
        ensure!(all.len() == rows.len().min(MAX_BATCH), "a page without a limit of its own lacks rows");
        Ok(Verdict::Kept)
    }

    pub(super) async fn reseal(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let rows = kit::people(store, 1..=4).await?;
        let early = asked("reseal", store.reseal(FIRST, SECOND, &[kit::resealed(&rows[0], 1)])).await?;
        ensure!(early.is_none(), "a row was moved to an epoch that is not there");
        let second = kit::epoch(SECOND, EpochClass::Subjects, 500);
        asked("begin_epoch", store.begin_epoch(&second, FIRST)).await?;
        asked("bury", store.bury(&kit::burial(0, &[&rows[3]]))).await?;
        let keys: Vec<_> = rows.iter().take(2).chain(&rows[3..]).map(|row| kit::resealed(row, 2)).collect();
        let moved = asked("reseal", store.reseal(FIRST, SECOND, &keys)).await?;
        ensure!(moved == Some(2), "of two live rows and a buried one, {moved:?} were moved");
        let again = asked("reseal", store.reseal(FIRST, SECOND, &[kit::resealed(&rows[0], 3)])).await?;
        ensure!(again == Some(0), "a row was moved that is not under that epoch any more");
        let back = asked("reseal", store.reseal(SECOND, FIRST, &[kit::resealed(&rows[0], 3)])).await?;
        ensure!(back.is_none(), "a row was moved to a closed epoch");
        let keys = [kit::resealed(&rows[2], 3)];
        let across = store.reseal(FIRST, CREDENTIALS, &keys);
        self.refused("a row moved to another class", Kind::Misuse, across).await?;
        let mut expected = rows[0].clone();
        (expected.epoch, expected.sealed_key) = (SECOND, kit::resealed(&rows[0], 2).sealed_key);
        let stored = asked("scan", store.scan(SECOND, 0, 10)).await?;
        ensure!(stored.contains(&expected) && stored.len() == 2, "a moved row has not its new key");
        let left = asked("scan", store.scan(FIRST, 0, 10)).await?;
        ensure!(left == rows[2..3], "what was not asked for was moved, or what was buried is still listed");
        Ok(Verdict::Kept)
    }
}
