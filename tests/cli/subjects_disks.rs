//! `kuvert subjects` on stores that cannot be written and on disks that are full: the status, what it says, and that the same
//! command finishes the work once there is room.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use crate::bad_disks::{mounted, unprivileged};
use crate::sandbox::Ran;
use crate::subjects::{ERASE, NAME, Stage, names, text};

/// Who runs it may read the store and nothing else; or not even make a file beside it.
#[test]
fn a_store_that_may_not_be_written() {
    let stage = Stage::new();
    let records = stage.seal(&names(2));
    let before = stage.sandbox.read("s");
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(stage.sandbox.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let commands = [
        format!("{ERASE} --subject {NAME}-0"),
        "roll -k r -k e --store s --anchor a --to e2".into(),
        "receipts -k r --store s --verify".into(),
        "backup -k r -k e --store s --to b -o out/kvt".into(),
        "status --store s".into(),
    ];
    std::fs::create_dir(stage.sandbox.path("out")).unwrap();
    for (preparation, of_file) in [("true", 0o444), ("chmod 555 .", 0o600)] {
        mode("s", of_file);
        for command in &commands {
            let script = format!("{preparation} && $KUVERT subjects {command}");
            let Some(ran) = unprivileged(&stage.sandbox, &script) else { return };
            ran.fails_empty(1, &["kuvert: s: ", "have to be writable for whoever runs this"]);
            mode(".", 0o755);
            assert_eq!(stage.sandbox.listing(), ["a", "b", "e", "e2", "k", "out", "r", "s"], "{command}");
        }
    }
    assert!(stage.sandbox.read("s") == before, "it was changed");
    // Nobody else's store either: it is not even read.
    mode("s", 0o000);
    let Some(ran) = unprivileged(&stage.sandbox, "$KUVERT subjects status --store s") else { return };
    ran.fails_empty(1, &["kuvert: s: "]);
    mode("s", 0o600);
    let script = format!("$KUVERT subjects {}", commands[0]);
    let Some(ran) = unprivileged(&stage.sandbox, &script) else { return };
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(stage.opens("s", &records), (1, 1));
}

#[test]
fn disks_that_are_read_only() {
    let stage = Stage::new();
    stage.seal(&names(2));
    let on_disk = |command: &str| {
        let script = format!("cp s a mounted && mount -o remount,ro mounted && $KUVERT subjects {command}");
        mounted(&stage.sandbox, "size=1m", &script)
    };
    let erase = format!("{ERASE} --subject {NAME}-0");
    let of_store = erase.replace("--store s", "--store mounted/s");
    for command in [&of_store, "roll -k r -k e --store mounted/s --to e2", "status --store mounted/s"] {
        let Some(ran) = on_disk(command) else { return };
        ran.fails_empty(1, &["kuvert: mounted/s: ", "have to be writable for whoever runs this"]);
    }
    for command in [
        "init --store mounted/new --root r --epoch e",
        "init --store new --anchor mounted/new --root r --epoch e",
        "backup -k r -k e --store s --to b -o mounted/kvt",
    ] {
        let Some(ran) = on_disk(command) else { return };
        ran.fails_empty(1, &["ead-only"]);
        assert!(!stage.sandbox.exists("new"));
    }
    // An anchor that cannot be written: the tombstones are in the store, nothing opens, and the next call adds them.
    let Some(ran) = on_disk(&erase.replace("--anchor a", "--anchor mounted/a")) else { return };
    ran.fails_empty(1, &["ead-only", "run the same command again to go on"]);
    let status = stage.json("status --store s --anchor a");
    assert_eq!((&status["anchor"]["state"], &status["tombstones"]), (&"anchor-behind".into(), &1.into()));
    let ran = stage.subjects(&erase);
    assert!(text(ran.is_good()).starts_with("erased before, for this request: 1 key\n"), "{ran:?}");
    assert_eq!(stage.json("status --store s --anchor a")["anchor"]["state"], "in-step");
}

/// Runs a command again and again on a disk on which each time another number of pages is free, with the same command after
/// room was made; `$n` is the number of the round.
fn with_less_room(stage: &Stage, rounds: u32, before: &str, command: &str, after: &str) -> Option<Ran> {
    let script = format!(
        "cp s a mounted
        for n in $(seq 0 {rounds}); do
            {before}
            cat /dev/zero >mounted/filler 2>errors
            truncate -s -$((n * 4096)) mounted/filler
            $KUVERT subjects {command} >said 2>&1; first=$?
            tail -n 3 said | tr '\\n' ' ' >line
            rm mounted/filler
            $KUVERT subjects {command} >again 2>&1; second=$?
            [ $second = 0 ] || cat again
            printf '%s\\n' \"$n $first $second $(cat line) | $(head -n 1 again)\"
            {after}
        done
        rm -f errors said again line
        cp mounted/s s; cp mounted/a a; ls -A mounted"
    );
    mounted(&stage.sandbox, "size=2m", &script)
}

/// The statuses of the first and the second call of each round.
fn statuses(ran: &Ran) -> Vec<(i32, i32)> {
    let lines = ran.text().lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    let number = |word: Option<&str>| word.unwrap().parse().unwrap();
    let of = |line: &str| {
        let mut words = line.split(' ').skip(1);
        (number(words.next()), number(words.next()))
    };
    lines.map(of).collect()
}

/// What was told in the rounds whose first call failed.
fn failed(ran: &Ran) -> impl Iterator<Item = &str> {
    ran.text().lines().filter(|line| line.split(' ').nth(1) == Some("1"))
}

/// Everything that was told in the rounds that failed is about the room.
fn tells_of_the_disk(ran: &Ran) {
    for line in failed(ran) {
        assert!(line.contains("make room there") || line.contains("No space left"), "{line}\n{ran:#?}");
    }
}

/// The second call of each round did what the first had no room for; some had none, and the last had enough.
fn each_round_ended_well(ran: &Ran, rounds: usize) {
    let statuses = statuses(ran);
    assert_eq!(statuses.len(), rounds, "{ran:#?}");
    assert!(statuses.iter().all(|(first, second)| [0, 1].contains(first) && *second == 0), "{ran:#?}");
    let failed = statuses.iter().filter(|(first, _)| *first == 1).count();
    assert!(failed > 3 && statuses.last() == Some(&(0, 0)), "{ran:#?}");
    tells_of_the_disk(ran);
}

#[test]
fn an_erasure_on_a_full_disk_is_finished_by_the_same_command() {
    let stage = Stage::new();
    let records = stage.seal(&names(30));
    let erase = ERASE.replace("--store s", "--store mounted/s").replace("--anchor a", "--anchor mounted/a");
    let Some(ran) = with_less_room(&stage, 24, "", &format!("{erase} --subject {NAME}-$n"), "") else {
        return;
    };
    each_round_ended_well(&ran, 25);
    // It was full before the burial, and after it: then the name was refused already, and the rest was to be done.
    for says in [" | erased: 1 key", " | erased before, for this request: "] {
        assert!(failed(&ran).any(|line| line.contains(says)), "{says}: {ran:#?}");
    }
    // Each in the register once, in the store as in the anchor; nobody else is gone, and nothing is left of the keys.
    assert_eq!(stage.opens("s", &records), (5, 25));
    let status = stage.json("status --store s --anchor a");
    assert_eq!(
        (&status["tombstones"], &status["keys"], &status["anchor"]["state"]),
        (&25.into(), &5.into(), &"in-step".into())
    );
    let verified = stage.json("receipts -k r --store s --verify");
    assert_eq!((&verified["tombstones"], &verified["unusable"]), (&25.into(), &25.into()));
    assert!(ran.text().ends_with("\na\ns\n"), "{ran:?}");
}

#[test]
fn a_roll_on_a_full_disk_is_finished_by_the_same_command() {
    let stage = Stage::new();
    let records = stage.seal(&names(400));
    stage.subjects(&format!("{ERASE} --subject {NAME}-0")).is_good();
    let command = "roll -k r -k e -k e2 --store mounted/s --anchor mounted/a --to $to --json";
    let turn = "if [ $((n % 2)) = 0 ]; then to=e2; else to=e; fi";
    let count = "$KUVERT subjects status --store mounted/s --json >counted";
    let Some(ran) = with_less_room(&stage, 40, turn, command, &format!("{count} && cat counted; rm counted"))
    else {
        return;
    };
    each_round_ended_well(&ran, 41);
    for is_resumed in [true, false] {
        let says = format!("\"resumed\":{is_resumed}");
        assert!(failed(&ran).any(|line| line.contains(&says)), "{says}: {ran:#?}");
    }
    for line in ran.text().lines().filter(|line| line.starts_with('{')) {
        let status: serde_json::Value = serde_json::from_str(line).unwrap();
        let states: BTreeSet<&str> = status["epochs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|epoch| epoch["state"].as_str().unwrap())
            .collect();
        assert!(!states.contains("closed") && status["keys"] == 399, "{status}");
    }
    assert_eq!(stage.opens("s", &records), (399, 1));
    stage.subjects("backup -k r -k e -k e2 --store s --to b -o kvt").is_good();
}

#[test]
fn what_is_made_on_a_full_disk_is_made_whole_or_not_at_all() {
    let stage = Stage::new();
    let records = stage.seal(&names(60));
    stage.subjects("backup -k r -k e --store s --anchor a --to b -o kvt").is_good();
    let full = |pages: u32, command: &str| {
        let script = format!(
            "cp kvt mounted; cat /dev/zero >mounted/filler 2>errors; rm -f errors; \
             truncate -s -$(({pages} * 4096)) mounted/filler; $KUVERT subjects {command} >said; status=$?; \
             rm said; ls -A mounted; exit $status"
        );
        mounted(&stage.sandbox, "size=1m", &script)
    };
    for command in [
        "init --store mounted/new --root r --epoch e",
        "init --store new --anchor mounted/anchor --root r --epoch e",
        "backup -k r -k e --store s --to b -o mounted/out",
        "restore -k r -k b --store mounted/new --anchor a mounted/kvt",
    ] {
        for pages in [0, 1, 3, 6] {
            let Some(ran) = full(pages, command) else { return };
            assert!([Some(0), Some(1), Some(2)].contains(&ran.status.code()), "{command}: {ran:?}");
            if ran.status.code() == Some(1) {
                assert!(!ran.text().contains("new") && !ran.text().contains("out"), "{command}: {ran:?}");
                assert!(!ran.text().contains(".kuvert-"), "{command}: {ran:?}");
            }
            if pages == 0 {
                assert_eq!(ran.status.code(), Some(1), "{command}: {ran:?}");
            }
            drop(std::fs::remove_file(stage.sandbox.path("new")));
        }
    }
    assert_eq!(stage.opens("s", &records), (60, 0));
}
