//! `kuvert subjects` in a program that was built without SQLite.

use crate::sandbox::Sandbox;

#[test]
fn a_build_without_sqlite_says_what_to_build() {
    let sandbox = Sandbox::new();
    for arguments in [&["subjects", "status", "--store", "s"][..], &["subjects", "check-backup", "b"]] {
        sandbox.run(arguments).fails_empty(2, &["has no SQLite", "--features cli,sqlite"]);
    }
}
