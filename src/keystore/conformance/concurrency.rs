//! The clauses about several callers, dropped callers, and several openings of one store.

use std::sync::Barrier;
use std::thread;

use super::super::answers::{Burial, Buried, Found, Inserted, Names};
use super::KeyStore;
use super::drive::{Run, asked};
use super::kit::{self, FIRST};
use super::whole::all;
use crate::conformance::{Fault, Judged, Verdict, after_polls, ensure};
use crate::executor::block_on;

impl Run<'_> {
    pub(super) async fn cancelled(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        let mut has_ended = false;
        for polls in 0..MAX_POLLS {
            let row = kit::row(1000 + polls, 1, FIRST);
            let insert = store.insert(&row, None, Names::StayErased);
            has_ended |= after_polls(polls as usize, insert).await.is_some();
            // Done or not done, and then it can be repeated.
            let answer = asked("insert", store.insert(&row, None, Names::StayErased)).await?;
            ensure!(
                [Inserted::Done, Inserted::Exists(row.clone())].contains(&answer),
                "an insertion that was dropped at poll {polls} is neither done nor not done"
            );
            drop(after_polls(polls as usize, store.get(&[row.reference])).await);
            let last = asked("tombstones", store.tombstones(0, usize::MAX)).await?.len() as u64;
            let burial = kit::burial(last, &[&row]);
            drop(after_polls(polls as usize, store.bury(&burial)).await);
            let again = asked("bury", store.bury(&burial)).await?;
            let is_whole = match again {
                Buried::Done => true,
                Buried::Behind { last: now } => now == last + 1,
                _ => false,
            };
            ensure!(is_whole, "a burial that was dropped at poll {polls} is neither done nor not done");
            drop(after_polls(polls as usize, store.remove(&[row.reference])).await);
            let found = asked("find", store.find(&[row.pseudonym])).await?;
            ensure!(found == [Found::Erased], "a burial that was dropped at poll {polls} is half done");
            if has_ended {
                return Ok(Verdict::Kept);
            }
        }
        Err(Fault(format!("an insertion did not end within {MAX_POLLS} polls")))
    }

    pub(super) async fn races(&self, store: &dyn KeyStore) -> Judged {
        kit::found(store).await?;
        self.race(|_| store)
    }

    pub(super) async fn beside(&self, store: &dyn KeyStore) -> Judged {
        let Some(open) = self.suite.beside else {
            return Ok(Verdict::Skipped("no way was given to open a store twice"));
        };
        let other = open();
        kit::found(store).await?;
        let root = asked("root of the other", other.root()).await?;
        ensure!(root.as_deref() == Some(kit::ROOT), "another opening does not see the root");
        let rows = kit::people(store, [1, 2]).await?;
        let found = asked("find", other.find(&[kit::name(1), kit::name(2)])).await?;
        let expected = [Found::Row(rows[0].clone()), Found::Row(rows[1].clone())];
        ensure!(found == expected, "another opening does not see what was inserted");
        let buried = asked("bury", other.bury(&kit::burial(0, &[&rows[0]]))).await?;
        ensure!(buried == Buried::Done, "another opening cannot bury");
        let found = asked("find", store.find(&[kit::name(1)])).await?;
        ensure!(found == [Found::Erased], "the erasure of another opening is not seen");
        asked("remove", store.remove(&[rows[0].reference])).await?;
        let changes = [asked("change", store.change()).await?, asked("change", other.change()).await?];
        ensure!(changes[0] == changes[1], "two openings count changes differently");
        self.race(|thread| if thread % 2 == 0 { store } else { other.as_ref() })
    }

    /// Every thread wants the same version of the same names, and the same places in the chain of tombstones.
    fn race<'k>(&self, of: impl (Fn(usize) -> &'k dyn KeyStore) + Sync) -> Judged {
        let threads = self.suite.threads.max(2);
        let barrier = Barrier::new(threads);
        let run = |thread: usize| {
            let store = of(thread);
            barrier.wait();
            // On a thread of its own there is no other executor.
            let raced = block_on(race_of_one(store, u32::try_from(thread).unwrap_or(0)));
            raced.map_err(|_| Fault("a thread of the suite was in an executor already".to_owned()))?
        };
        let run = &run;
        let mut won = 0;
        thread::scope(|scope| {
            let raced: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
            for one in raced {
                won += one.join().map_err(|_| Fault("a thread that raced panicked".to_owned()))??;
            }
            Ok::<_, Fault>(())
        })?;
        ensure!(won == ROUNDS, "of {ROUNDS} names that {threads} threads wanted, {won} were given");
        Ok(Verdict::Kept)
    }

    pub(super) async fn durable(&self) -> Judged {
        let Some(open) = self.suite.beside else {
            return Ok(Verdict::Skipped("no way was given to open a store twice"));
        };
        let store = (self.suite.make)();
        if !store.describe().durable {
            return Ok(Verdict::Skipped("the store says that it is not durable"));
        }
        kit::found(store.as_ref()).await?;
        let rows = kit::people(store.as_ref(), 1..=5).await?;
        asked("bury", store.bury(&kit::burial(0, &[&rows[2]]))).await?;
        let (before, change) = (all(store.as_ref()).await?, asked("change", store.change()).await?);
        drop(store);
        let again = open();
        ensure!(all(again.as_ref()).await? == before, "opened again, it is another store");
        ensure!(asked("change", again.change()).await? == change, "opened again, it counts otherwise");
        Ok(Verdict::Kept)
    }
}

/// How many of the names this thread got.
async fn race_of_one(store: &dyn KeyStore, thread: u32) -> Result<u32, Fault> {
    let mut won = 0;
    for round in 0..ROUNDS {
        let mut row = kit::row(5000 + round, 1, FIRST);
        row.reference = kit::reference(5000 + round, 1 + thread);
        match asked("insert", store.insert(&row, None, Names::StayErased)).await? {
            Inserted::Done => won += 1,
            Inserted::Exists(theirs) => {
                let found = asked("find", store.find(&[row.pseudonym])).await?;
                ensure!(found == [Found::Row(theirs)], "whoever lost a race does not see who won it");
            }
            _ => return Err(Fault("a race ended with another answer than `Done` and `Exists`".to_owned())),
        }
        // A tombstone of its own in the common chain: nobody's is lost.
        let stone = kit::tombstone(kit::reference(900_000 + round * 64 + thread, 1));
        let mut after = 0;
        loop {
            let burial = Burial { after, tombstones: vec![stone.clone()], ..Burial::default() };
            match asked("bury", store.bury(&burial)).await? {
                Buried::Done => break,
                Buried::Behind { last } => after = last,
                _ => return Err(Fault("a race of burials ended with another answer".to_owned())),
            }
        }
        let mine = asked("tombstones", store.tombstones(after, 1)).await?;
        ensure!(mine == [stone], "a tombstone that was appended is not where it was appended");
    }
    Ok(won)
}

const MAX_POLLS: u32 = 1000;
/// Names in a race.
const ROUNDS: u32 = 20;
