//! `--threads`: the same bytes and the same answers, however many work on them.

use crate::sandbox::{Sandbox, plaintext};

/// Long enough for several threads to take part.
const LEN: usize = 12_000_000;

const ALL: [&str; 4] = ["1", "2", "7", "auto"];

#[test]
fn what_some_threads_sealed_others_open() {
    let sandbox = Sandbox::new();
    let text = plaintext(LEN);
    sandbox.write("plain", &text);
    for sealing in ALL {
        sandbox
            .run(&["seal", "-k", "k", "--force", "--threads", sealing, "-o", "sealed", "plain"])
            .is_silent();
        for opening in ALL {
            let open = ["open", "-k", "k", "--threads", opening];
            assert!(
                sandbox.run(&[&open[..], &["sealed"]].concat()).is_good() == text,
                "{sealing}, {opening}"
            );
            assert!(sandbox.run(&[&open[..], &["--stream", "sealed"]].concat()).is_good() == text);
            let ran = sandbox.run(&["verify", "-k", "k", "--threads", opening, "sealed"]);
            assert!(ran.text().contains("12000000 bytes of plaintext"), "{ran:?}");
        }
    }
    // From a pipe, and into one.
    let sealed = sandbox.run_with(&["seal", "-k", "k"], &text);
    assert!(sandbox.run_with(&["open", "-k", "k"], sealed.is_good()).is_good() == text);
}

#[test]
fn damage_has_one_answer() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", plaintext(LEN), &[]);
    let sealed = sandbox.read("sealed");
    let flipped = |at: usize| {
        let mut bytes = sealed.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cut = |chunks: usize| sealed[..4152 + chunks * 16_400].to_vec();
    for (bytes, says) in [
        (flipped(4160), "tampered"),
        (flipped(LEN / 2), "tampered"),
        (flipped(sealed.len() - 1), "tampered"),
        (cut(600), "truncated"),
        (sealed[..sealed.len() - 100].to_vec(), "tampered"),
    ] {
        sandbox.write("bad", bytes);
        sandbox.write("kept", "precious");
        for threads in ALL {
            let with = ["-k", "k", "--threads", threads];
            let fails =
                |command: &[&str]| sandbox.run(&[command, &with, &["bad"]].concat()).fails_empty(4, &[says]);
            fails(&["verify"]);
            fails(&["open"]);
            fails(&["open", "--force", "-o", "kept"]);
            let ran = sandbox.run(&[&["open", "--stream"], &with[..], &["bad"]].concat());
            ran.fails(4, &[says]);
            assert!(plaintext(LEN).starts_with(&ran.out), "{threads}: not the plaintext");
        }
        assert_eq!(sandbox.read("kept"), b"precious");
    }
}

#[test]
fn numbers_that_cannot_be() {
    let sandbox = Sandbox::new();
    for threads in ["0", "-1", "x", "", "1.5", "99999999999999999999999"] {
        let ran = sandbox.run(&["verify", "-k", "k", &format!("--threads={threads}"), "file"]);
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        assert!(ran.err.contains("--threads"), "{ran:?}");
    }
    sandbox
        .run(&["verify", "-k", "k", "--threads", "x", "file"])
        .fails_empty(2, &["a number from 1 on, or auto"]);
}
