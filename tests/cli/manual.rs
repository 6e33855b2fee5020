//! Command lines in the README and the manual: run, or at least understood, so that they cannot rot.

use std::path::Path;
use std::process::Command;

use crate::sandbox::Sandbox;

const README: &str = include_str!("../../README.md");
const OPERATIONS: &str = include_str!("../../src/manual/operations.md");

/// The lines of the README's walk-through, without their remarks.
fn walk_through() -> Vec<&'static str> {
    let block = README.split_once("<!-- walk-through -->\n```sh\n").unwrap().1.split_once("```").unwrap().0;
    block.lines().map(|line| line.split_once(" #").map_or(line, |(call, _)| call).trim_end()).collect()
}

/// A shell that finds the program by its name, as the manual's readers do.
fn shell(sandbox: &Sandbox, script: &str) -> Command {
    let own = Path::new(env!("CARGO_BIN_EXE_kuvert")).parent().unwrap().to_owned();
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&rest))).unwrap();
    let mut command = sandbox.shell(script);
    command.env("PATH", path);
    command
}

#[test]
fn the_ten_commands_of_the_readme() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("photos")).unwrap();
    sandbox.write("photos/one", "of one");
    let lines = walk_through();
    assert_eq!(lines.len(), 10, "{lines:#?}");
    let mut said = Vec::new();
    for line in &lines {
        assert!(line.starts_with("kuvert "), "{line}");
        let ran = sandbox.finish(&mut shell(&sandbox, line), &[]);
        assert!(ran.status.success() && ran.err.is_empty(), "{ran:#?}");
        said.push(ran.text().to_owned());
    }
    for command in ["keygen", "seal", "inspect", "verify", "open", "rewrap", "man"] {
        assert!(lines.iter().any(|line| line.starts_with(&format!("kuvert {command} "))), "{command}");
    }
    // What the remarks say.
    assert!(said[0].contains("\"backup-2026\"") && said[5].contains("\"backup-2027\""), "{said:?}");
    assert!(said[2].contains("host = db1") && said[3].contains("whole and untouched"), "{said:?}");
    let listed = sandbox.finish(&mut shell(&sandbox, "tar -tf restored.tar"), &[]);
    assert!(listed.text().contains("photos/one"), "{listed:?}");
    assert!(said[6].contains("opens with key \"backup-2027\"") && said[6].contains("in place"), "{said:?}");
    assert!(said[7].contains("1  0x0001 (aes-kwp) \"backup-2027\"") && !said[7].contains("2026"), "{said:?}");
    let verified: serde_json::Value = serde_json::from_str(&said[8]).unwrap();
    assert_eq!((&verified["ok"], &verified["generation"]), (&true.into(), &2.into()));
    sandbox.run(&["open", "-k", "2026.key", "-c", "host=db1", "photos.kvt"]).fails_empty(6, &["backup-2027"]);
    assert!(sandbox.exists("man1/kuvert-rewrap.1"));
}

/// The README's commands over people, in order, with an erasure that is refused while there is a hold.
#[cfg(feature = "sqlite")]
#[test]
fn the_commands_of_the_readme_over_people() {
    let sandbox = Sandbox::new();
    for key in ["root.key", "w47.key", "w48.key", "2027.key"] {
        sandbox.add_key(key, key);
    }
    sandbox.write("names", "anna@example.se\nbo@example.se\n");
    let block = README.split_once("<!-- subjects -->\n```sh\n").unwrap().1.split_once("```").unwrap().0;
    let lines: Vec<&str> =
        block.lines().map(|line| line.split_once(" #").map_or(line, |(call, _)| call)).collect();
    let mut said = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let ran = sandbox.finish(&mut shell(&sandbox, line), &[]);
        if number == 2 {
            ran.fails(7, &["line 1: on hold", "line 2: on hold"]);
        } else {
            assert!(ran.status.success() && ran.err.is_empty(), "{ran:#?}");
        }
        said.push(ran.text().to_owned());
        if number == 0 {
            let keys = ["root.key", "w47.key"].map(|key| sandbox.path(key));
            let keys = std::sync::Arc::new(kuvert::provider::MemoryProvider::from_key_files(keys).unwrap());
            let store =
                kuvert::keystore::SqliteKeyStore::open(sandbox.path("keys.db"), &Default::default()).unwrap();
            let anchor = std::sync::Arc::new(kuvert::subjects::FileAnchor::new(sandbox.path("keys.anchor")));
            let options = kuvert::SubjectsOptions::default().with_anchor(anchor);
            let subjects = kuvert::Subjects::open(std::sync::Arc::new(store), keys, options);
            let scope = kuvert::blocking::block_on(subjects).unwrap().unwrap().scope("shop");
            for name in ["anna@example.se", "bo@example.se"] {
                let cell = kuvert::Cell::new("people", "email", 1);
                kuvert::blocking::block_on(scope.subject(name).seal("x", cell)).unwrap().unwrap();
            }
        }
    }
    let actions = [
        "init",
        "hold",
        "erase",
        "release",
        "roll",
        "receipts",
        "backup",
        "check-backup",
        "restore",
        "status",
    ];
    for action in actions {
        assert!(lines.iter().any(|line| line.starts_with(&format!("kuvert subjects {action} "))), "{action}");
    }
    assert!(
        said[1].starts_with("2 data subjects on hold") && said[3].starts_with("2 data subjects released"),
        "{said:#?}"
    );
    assert!(
        said[4].starts_with("2 data subjects erased")
            && said[10].contains("tombstones   2\n")
            && said[10].contains("in step"),
        "{said:#?}"
    );
}

/// Calls in blocks of code and in tables, as words.
fn calls(text: &str) -> Vec<String> {
    let mut calls = Vec::new();
    for (number, block) in text.split("```").enumerate() {
        let block = block.replace("\\\n   ", "");
        if number % 2 == 1 {
            calls.extend(block.lines().filter_map(|line| Some(line[line.find("kuvert ")?..].to_owned())));
        } else {
            let spans = block.split('`').skip(1).step_by(2);
            calls.extend(spans.filter(|span| span.starts_with("kuvert ")).map(str::to_owned));
        }
    }
    let is_call =
        |call: &String| call.split(' ').nth(1).is_some_and(|word| crate::help::COMMANDS.contains(&word));
    calls.into_iter().filter(is_call).collect()
}

#[test]
fn every_call_in_the_manual_is_understood() {
    let sandbox = Sandbox::new();
    let calls: Vec<String> = calls(OPERATIONS).into_iter().chain(calls(README)).collect();
    assert!(calls.len() > 30, "only {calls:#?}");
    let mut understood = 0;
    for call in &calls {
        // Values of the shell are one word, whatever is in them; words after some blanks are a remark.
        let call = call.replace("$(hostname)", "h").replace("$(date +%F)", "d");
        let call = call.split(['|', '>', '#', ')', '…', ';']).next().unwrap().split("   ").next().unwrap();
        let words: Vec<&str> = call.split_whitespace().skip(1).map(|word| word.trim_matches('"')).collect();
        // A command that is only named, without arguments.
        if words.len() < 2 {
            continue;
        }
        let ran = sandbox.finish(sandbox.command(&words).env("PATH", ""), &[]);
        // What is only named in the text may lack its files; nothing in it may be unknown.
        let is_named = ran.err.contains("required arguments were not provided");
        assert!(is_named || !ran.err.starts_with("error: "), "{call}: {}", ran.err);
        if is_named {
            continue;
        }
        understood += 1;
    }
    assert!(understood > 25, "{understood} of {calls:#?}");
}

/// The job for cron, on backups that are good, too old, and not there.
#[test]
fn the_job_for_cron() {
    let sandbox = Sandbox::new();
    let start = OPERATIONS.find("# Verifies the newest backup").unwrap();
    let script = OPERATIONS[start..].split_once("```").unwrap().0;
    let script = script.replace("/srv/backup", ".").replace("/etc/kuvert/backup.key", "k");
    let run = || sandbox.finish(&mut shell(&sandbox, &script), &[]);
    let ran = run();
    assert!(
        ran.status.code() == Some(2) && ran.err.contains("a value is required for '<FILE>...'"),
        "{ran:?}"
    );

    sandbox.sealed("shop-2026-11-20.kvt", "yesterday's", &["-c", "db=shop"]);
    sandbox.sealed("shop-2026-11-21.kvt", "today's", &["-c", "db=shop"]);
    let aged = |name: &str, hours: u64| {
        let file = std::fs::File::options().write(true).open(sandbox.path(name)).unwrap();
        let at = std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3600);
        file.set_modified(at).unwrap();
    };
    aged("shop-2026-11-20.kvt", 25);
    assert!(run().is_good().is_empty());
    let report = String::from_utf8(sandbox.read("verified.json")).unwrap();
    assert!(report.contains("shop-2026-11-21.kvt") && report.contains("\"ok\":true"), "{report}");

    aged("shop-2026-11-20.kvt", 51);
    aged("shop-2026-11-21.kvt", 27);
    let ran = run();
    assert_eq!(ran.status.code(), Some(7));
    let told: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    assert!(told["message"].as_str().unwrap().contains("too old"), "{told}");
    assert!(told["age_seconds"].as_u64().unwrap() / 3600 == 27, "{told}");
}
