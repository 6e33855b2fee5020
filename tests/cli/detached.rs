//! Detached headers: two files that belong together, and stay together.

use crate::sandbox::{PLAIN, Sandbox, plaintext};

const SEAL: [&str; 7] = ["seal", "-k", "k", "--layout", "detached", "-o", "body"];

fn sealed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run_with(&[&SEAL[..], &["-c", "a=b"]].concat(), &plaintext(40_000)).is_silent();
    assert_eq!(sandbox.listing(), ["body", "body.kvh", "k"]);
    sandbox
}

#[test]
fn opens_from_files_and_pipes_and_by_range() {
    let sandbox = sealed();
    let open = ["open", "-k", "k", "-c", "a=b", "--header", "body.kvh"];
    let text = plaintext(40_000);
    assert_eq!(sandbox.run(&[&open[..], &["body"]].concat()).is_good(), text);
    assert_eq!(sandbox.run(&[&open[..], &["--stream", "body"]].concat()).is_good(), text);
    assert_eq!(sandbox.run_with(&open, &sandbox.read("body")).is_good(), text);
    assert_eq!(
        sandbox.run(&[&open[..], &["--range", "16380..16390", "body"]].concat()).is_good(),
        &text[16_380..16_390]
    );
    let verified = sandbox.run(&["verify", "-k", "k", "-c", "a=b", "--header", "body.kvh", "body"]);
    assert!(verified.text().contains("40000 bytes"), "{verified:?}");
    // The body alone is what the standard says, and no more: salt, commitment and chunks.
    assert_eq!(sandbox.read("body").len(), 56 + 40_000 + 3 * 16);
}

#[test]
fn a_part_that_is_missing_is_pointed_at() {
    let sandbox = sealed();
    let ran = sandbox.run(&["open", "-k", "k", "-c", "a=b", "body"]);
    ran.fails_empty(3, &["a detached header lies beside it: add --header body.kvh"]);
    let ran = sandbox.run(&["open", "-k", "k", "-c", "a=b", "body.kvh"]);
    ran.fails_empty(2, &["detached", "kuvert open --header body.kvh body"]);
    sandbox.sealed("whole", PLAIN, &[]);
    let ran = sandbox.run(&["open", "-k", "k", "--header", "whole", "body"]);
    ran.fails_empty(2, &["not detached"]);
    let ran = sandbox.run_with(&SEAL[..5], b"x");
    ran.fails_empty(2, &["needs a file for the body", "-o OUT"]);
}

#[test]
fn parts_of_two_messages_do_not_fit() {
    let sandbox = sealed();
    sandbox
        .run_with(&["seal", "-k", "k", "--layout", "detached", "-c", "a=b", "-o", "other"], b"x")
        .is_silent();
    let ran = sandbox.run(&["open", "-k", "k", "-c", "a=b", "--header", "other.kvh", "body"]);
    ran.fails_empty(5, &["body", "damaged"]);
}

#[test]
fn neither_part_is_replaced_without_force() {
    let sandbox = sealed();
    let (body, header) = (sandbox.read("body"), sandbox.read("body.kvh"));
    sandbox.run_with(&SEAL, b"new").fails_empty(2, &["body exists"]);
    std::fs::remove_file(sandbox.path("body")).unwrap();
    sandbox.run_with(&SEAL, b"new").fails_empty(2, &["body.kvh exists"]);
    assert_eq!(sandbox.read("body.kvh"), header);
    sandbox.write("body", body);
    sandbox.run_with(&[&SEAL[..], &["--force"]].concat(), b"new").is_silent();
    assert_eq!(sandbox.listing(), ["body", "body.kvh", "k"]);
    assert_eq!(sandbox.run(&["open", "-k", "k", "--header", "body.kvh", "body"]).is_good(), b"new");
}

#[test]
fn a_failure_keeps_the_old_pair_together() {
    let sandbox = sealed();
    let (body, header) = (sandbox.read("body"), sandbox.read("body.kvh"));
    let failing = [&SEAL[..], &["--force", "--", "sh", "-c", "echo x; exit 1"]].concat();
    sandbox.run(&failing).fails_empty(1, &["exit status 1"]);
    // The body cannot be put in place: somebody has made a directory there meanwhile.
    let script = "rm body && mkdir -p body/full";
    let moved = [&SEAL[..], &["--force", "--", "sh", "-c", script]].concat();
    sandbox.run(&moved).fails_empty(1, &["body cannot be written"]);
    assert_eq!(sandbox.listing(), ["body", "body.kvh", "k"]);
    assert_eq!(sandbox.read("body.kvh"), header);
    std::fs::remove_dir_all(sandbox.path("body")).unwrap();
    sandbox.write("body", body);
    sandbox.run(&["verify", "-k", "k", "-c", "a=b", "--header", "body.kvh", "body"]).is_good();
}

#[test]
fn a_new_header_does_not_stay_without_its_body() {
    let sandbox = Sandbox::new();
    let script = "mkdir -p body/full";
    let ran = sandbox.run(&[&SEAL[..], &["--", "sh", "-c", script]].concat());
    assert!(!ran.status.success(), "{ran:?}");
    assert_eq!(sandbox.listing(), ["body", "k"]);
}

#[test]
fn what_an_interrupted_run_left_is_not_written_over() {
    let sandbox = sealed();
    sandbox.write("body.kvh.old", "the header of whatever body this is");
    let ran = sandbox.run_with(&[&SEAL[..], &["--force"]].concat(), b"new");
    ran.fails_empty(2, &["body.kvh.old is left from an earlier run", "--header body.kvh.old"]);
    assert_eq!(sandbox.read("body.kvh.old"), b"the header of whatever body this is");
}
