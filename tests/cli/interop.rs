//! What the program seals opens without it: by the Python reader that was written from the manual alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{PLAIN, Sandbox, has_part, plaintext};

pub(crate) fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
    let python = std::env::var_os("KUVERT_TEST_PYTHON").map_or(target, PathBuf::from);
    let check = "from cryptography.cobblestone import Cobblestone256Decryptor";
    let is_there =
        Command::new(&python).args(["-c", check]).output().is_ok_and(|output| output.status.success());
    has_part("python", is_there).then_some(python)
}

/// The reader, with arguments as the program itself has them.
pub(crate) fn reader(python: &Path, sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/open_without_kuvert.py"));
    command.args(arguments).current_dir(sandbox.path(""));
    command
}

#[test]
fn every_size_and_layout() {
    let Some(python) = python() else { return };
    let sandbox = Sandbox::new();
    for size in [0, 1, 16_383, 16_384, 16_385, 5 * 16_384 + 3, 3_000_000] {
        let text = plaintext(size);
        for layout in ["compact", "rewrappable", "detached"] {
            sandbox.sealed(
                "sealed",
                &text,
                &["--force", "--layout", layout, "-c", "db=shop", "-r", "tenant=7"],
            );
            let mut arguments = vec!["-k", "k", "-c", "db=shop", "-c", "tenant=7"];
            if layout == "detached" {
                arguments.extend(["--header", "sealed.kvh"]);
            }
            arguments.push("sealed");
            let opened = reader(&python, &sandbox, &arguments).output().unwrap();
            assert!(opened.status.success(), "{layout}, {size}: {}", String::from_utf8_lossy(&opened.stderr));
            assert!(opened.stdout == text, "{layout}, {size} bytes");
        }
    }
}

#[test]
fn both_refuse_alike() {
    let Some(python) = python() else { return };
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &["-c", "db=shop"]);
    sandbox.add_key("other", "another");
    sandbox.add_key("same", "main");
    let sealed = sandbox.read("sealed");
    sandbox.write("cut", &sealed[..sealed.len() - 30]);
    sandbox.write("damaged", [&sealed[..sealed.len() - 1], &[!sealed[sealed.len() - 1]]].concat());
    sandbox.write("foreign", "hello");
    let good = ["-k", "k", "-c", "db=shop"];
    for arguments in [
        &["-k", "k", "sealed"][..],
        &["-k", "k", "-c", "db=other", "sealed"],
        &["-k", "other", "-c", "db=shop", "sealed"],
        &["-k", "same", "-c", "db=shop", "sealed"],
        &["-k", "k", "-k", "same", "sealed"],
        &[&good[..], &["cut"]].concat(),
        &[&good[..], &["damaged"]].concat(),
        &[&good[..], &["foreign"]].concat(),
        &[&good[..], &["sealed"]].concat(),
    ] {
        let ours = sandbox.run(&[&["open"], arguments].concat());
        let theirs = reader(&python, &sandbox, arguments).output().unwrap();
        assert_eq!(ours.status.code(), theirs.status.code(), "{arguments:?}: {ours:?}");
    }
}
