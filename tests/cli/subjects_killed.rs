//! `kuvert subjects` killed at any moment: what comes after finishes it, and nobody is lost or comes back.

use std::process::Stdio;
use std::time::Duration;

use crate::subjects::{ERASE, NAME, Stage, names};

/// Runs `kuvert subjects` with these words and kills it after that time. Whether it was killed before its end.
fn killed_after(stage: &Stage, words: &str, pause: Duration) -> bool {
    let words: Vec<&str> = ["subjects"].into_iter().chain(words.split_whitespace()).collect();
    let mut command = stage.sandbox.command(&words);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(pause);
    let was_running = child.try_wait().unwrap().is_none();
    // One that has ended meanwhile cannot be killed any more.
    drop(child.kill());
    child.wait().unwrap();
    was_running
}

#[test]
fn a_roll_that_was_killed_is_finished_by_the_next() {
    let stage = Stage::new();
    let people = names(3000);
    let records = {
        let scope = stage.open("s").scope(crate::subjects::SCOPE);
        let subjects: Vec<_> = people.iter().map(|name| scope.subject(name.as_str())).collect();
        let mut records = Vec::new();
        for (subject, name) in subjects.iter().zip(&people) {
            records.push(
                kuvert::blocking::block_on(subject.seal(name, crate::support::people::cell()))
                    .unwrap()
                    .unwrap(),
            );
        }
        records
    };
    stage.subjects(&format!("{ERASE} --subject {NAME}-0")).is_good();
    let (mut from, mut to, mut seen) = ("e", "e2", 0);
    for round in 0..40_u64 {
        let roll = format!("roll -k r -k e -k e2 --store s --anchor a --to {to}");
        let was_running = killed_after(&stage, &roll, Duration::from_millis(2 + round * 3));
        let status = stage.json("status --store s --anchor a");
        let is_half_done =
            status["epochs"].as_array().unwrap().iter().any(|epoch| epoch["state"] == "closed");
        assert_eq!(status["keys"], 2999, "{status}");
        if was_running && is_half_done {
            seen += 1;
            let finished = stage.json(&roll);
            assert_eq!((&finished["ok"], &finished["resumed"]), (&true.into(), &true.into()), "{finished}");
            assert_eq!(stage.opens("s", &records), (2999, 1));
        }
        let status = stage.json("status --store s --anchor a");
        let open = status["epochs"]
            .as_array()
            .unwrap()
            .iter()
            .find(|epoch| epoch["class"] == "subjects" && epoch["state"] == "open")
            .unwrap()
            .clone();
        assert_eq!(open["keys"], 2999, "everything is under the epoch that is open: {status}");
        if open["wrapped_by"][0]["id"] == format!("id-{to}").as_str() {
            (from, to) = (to, from);
        }
        if seen == 3 {
            break;
        }
    }
    assert!(seen > 0, "the program was never killed in the middle; the last roll was to {from}");
    assert_eq!(stage.opens("s", &records), (2999, 1));
}

#[test]
fn an_erasure_that_was_killed_is_finished_and_an_init_leaves_nothing_that_looks_like_a_store() {
    let stage = Stage::new();
    let records = stage.seal(&names(40));
    for round in 0..20_u64 {
        let erase = format!("{ERASE} --subject {NAME}-{round}");
        killed_after(&stage, &erase, Duration::from_millis(round * 4));
        let (open, erased) = stage.opens("s", &records);
        assert_eq!(open + erased, 40);
        stage.subjects(&erase).is_good();
        assert_eq!(
            stage.opens("s", &records),
            (39 - usize::try_from(round).unwrap(), 1 + usize::try_from(round).unwrap())
        );
        killed_after(&stage, "init --store new --root r --epoch e", Duration::from_millis(round * 2));
        for left in stage.sandbox.listing().into_iter().filter(|name| name.starts_with(".kuvert-")) {
            std::fs::remove_file(stage.sandbox.path(left)).unwrap();
        }
        if stage.sandbox.exists("new") {
            assert_eq!(stage.json("status --store new")["ok"], true);
            std::fs::remove_file(stage.sandbox.path("new")).unwrap();
        }
    }
}
