//! A slot that is broken on purpose, and the proof that the checker sees it.

use std::{
    future::poll_fn,
    process::Command,
    task::{Poll, Waker},
};

use loom::{
    sync::{Arc, Mutex},
    thread,
};

use crate::{model, wait};

/// Looks whether there is a value and writes down who waits in two steps, as one lock for each is enough to read well.
#[derive(Default)]
struct Broken {
    value: Mutex<Option<u32>>,
    waiter: Mutex<Option<Waker>>,
}

impl Broken {
    fn land(&self, value: u32) {
        *self.value.lock().unwrap() = Some(value);
        let waiter = self.waiter.lock().unwrap().take();
        waiter.into_iter().for_each(Waker::wake);
    }

    /// `looks_again`: what makes it right.
    fn wait(&self, looks_again: bool) -> u32 {
        wait(poll_fn(|cx| {
            let value = *self.value.lock().unwrap();
            if let Some(value) = value {
                return Poll::Ready(value);
            }
            *self.waiter.lock().unwrap() = Some(cx.waker().clone());
            let value = *self.value.lock().unwrap();
            value.filter(|_| looks_again).map_or(Poll::Pending, Poll::Ready)
        }))
    }
}

fn race(looks_again: bool) {
    model(move || {
        let slot = Arc::new(Broken::default());
        let other = {
            let slot = slot.clone();
            thread::spawn(move || slot.land(7))
        };
        assert_eq!(slot.wait(looks_again), 7);
        other.join().unwrap();
    });
}

/// In a process of its own: the checker ends the one in which it finds a deadlock.
#[test]
fn a_planted_race_is_found() {
    race(true);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "planted::the_race", "--nocapture", "--test-threads=1"]).env(RACE, "1");
    let ended = child.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("deadlock"), "{said}");
}

#[test]
fn the_race() {
    if std::env::var_os(RACE).is_some() {
        race(false);
    }
}

/// Set for the process that is to find the race.
const RACE: &str = "KUVERT_TEST_MODEL_RACE";
