//! `kuvert verify`: many files, one status, and words or JSON about each.

use serde_json::Value;

use crate::sandbox::{PLAIN, Sandbox, plaintext};

/// A good file, one of another key, a damaged one and a foreign one.
fn mixed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sealed("good", plaintext(20_000), &[]);
    sandbox.add_key("other", "another");
    sandbox.run_with(&["seal", "-k", "other", "-o", "foreign-key"], b"x").is_silent();
    let mut damaged = sandbox.read("good");
    damaged[9000] ^= 1;
    sandbox.write("damaged", damaged);
    sandbox.write("foreign", "hello");
    sandbox
}

#[test]
fn good_files_are_told_and_nothing_is_written() {
    let sandbox = mixed();
    let before = sandbox.listing();
    let ran = sandbox.run(&["verify", "-k", "k", "good", "good"]);
    let line = "good: whole and untouched, 20000 bytes of plaintext, opened with key \"main\"\n";
    assert_eq!(String::from_utf8_lossy(ran.is_good()), line.repeat(2));
    assert_eq!(sandbox.listing(), before);
}

#[test]
fn the_status_is_that_of_the_first_failure_and_every_file_is_told() {
    let sandbox = mixed();
    for (files, status) in [
        (["good", "damaged", "foreign"], 4),
        (["foreign", "good", "damaged"], 3),
        (["good", "foreign-key", "damaged"], 6),
        (["absent", "good", "foreign"], 1),
    ] {
        let ran = sandbox.run(&[&["verify", "-k", "k"], &files[..]].concat());
        ran.fails(status, &[]);
        assert_eq!(ran.text().lines().count(), 1, "{ran:?}");
        for file in files.iter().filter(|file| **file != "good") {
            assert!(ran.err.contains(&format!("kuvert: {file}")), "{ran:?}");
        }
    }
}

#[test]
fn json_has_one_object_a_file() {
    let sandbox = mixed();
    let ran = sandbox.run(&["verify", "--json", "-k", "k", "good", "damaged", "foreign-key"]);
    assert_eq!(ran.status.code(), Some(4));
    assert!(ran.err.is_empty(), "{ran:?}");
    let mut objects: Vec<Value> =
        ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let age = objects[0].as_object_mut().unwrap().remove("age_seconds");
    assert!(age.unwrap().as_u64().unwrap() < 600);
    let good = serde_json::json!({
        "file": "good", "ok": true, "status": 0, "plaintext_bytes": 20_000, "generation": 1, "degraded": false,
        "unfinished_rewrap": false, "side_copy": null, "opened_by": { "type": 1, "type_name": "aes-kwp", "id": "main" },
    });
    assert_eq!(objects[0], good);
    for (object, (file, status, category)) in
        objects[1..].iter().zip([("damaged", 4, "tampered"), ("foreign-key", 6, "key-unavailable")])
    {
        assert_eq!((&object["file"], &object["ok"]), (&file.into(), &false.into()));
        assert_eq!((&object["status"], &object["category"]), (&status.into(), &category.into()));
        assert!(object["message"].as_str().unwrap().contains(file), "{object}");
    }
    assert_eq!(objects.len(), 3);
}

#[test]
fn files_that_are_too_old_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    let file = std::fs::File::options().write(true).open(sandbox.path("sealed")).unwrap();
    let aged = |hours: u64| {
        let written = std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3600);
        file.set_modified(written).unwrap();
    };
    let verify = |age: &str| sandbox.run(&["verify", "-k", "k", "--newer-than", age, "sealed"]);
    aged(30);
    for age in ["31h", "2d", "1w", "100000000m", "108060s"] {
        verify(age).is_good();
    }
    for age in ["29h", "1d", "0w", "5m", "1s"] {
        verify(age).fails_empty(7, &["sealed was last written 30 hours ago: too old", "stopped running"]);
    }
    aged(24 * 100);
    verify("26h").fails_empty(7, &["100 days ago"]);
    for age in ["", "5", "h", "5 h", "1.5h", "-5h", "5y", "99999999999999999999s", "9999999999999999w"] {
        let ran = sandbox.run(&["verify", "-k", "k", &format!("--newer-than={age}"), "sealed"]);
        ran.fails_empty(2, &["--newer-than is a whole number"]);
    }
    // From the clock of another machine.
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
    verify("1s").is_good();
}

#[test]
fn the_context_counts_here_too() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &["-c", "db=shop"]);
    sandbox.run(&["verify", "-k", "k", "-c", "db=shop", "sealed"]).is_good();
    sandbox.run(&["verify", "-k", "k", "--accept-stored-context", "sealed"]).is_good();
    sandbox.run(&["verify", "-k", "k", "sealed"]).fails_empty(5, &["add: -c db=..."]);
}

#[test]
fn calls_that_cannot_be() {
    let sandbox = mixed();
    sandbox.run(&["verify", "-k", "k"]).fails_empty(2, &["FILE"]);
    sandbox.run(&["verify", "-k", "k", "--header", "good", "good", "good"]).fails_empty(2, &["one FILE"]);
}
