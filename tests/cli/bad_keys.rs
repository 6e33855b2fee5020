//! Keys that cannot be used: told with what to do about it, before anything is touched.

use crate::sandbox::{PLAIN, Sandbox};

#[test]
fn no_key_at_all() {
    let sandbox = Sandbox::new();
    for command in ["seal", "open"] {
        sandbox
            .run(&[command])
            .fails_empty(2, &["no key was given", "-k KEY", "KUVERT_KEYS", "kuvert keygen"]);
    }
    let ran = sandbox.finish(sandbox.command(&["seal"]).env("KUVERT_KEYS", " \t "), &[]);
    ran.fails_empty(2, &["no key was given"]);
}

#[test]
fn a_key_file_that_cannot_be_read() {
    let sandbox = Sandbox::new();
    sandbox.write("plain", PLAIN);
    std::fs::create_dir(sandbox.path("dir")).unwrap();
    for (key, says) in [("absent", "key file \"absent\" cannot be read"), ("dir", "is not a regular file")] {
        sandbox.run(&["seal", "-k", key, "-o", "out", "plain"]).fails_empty(2, &[says]);
        assert!(!sandbox.exists("out"));
    }
}

#[cfg(unix)]
#[test]
fn loose_permissions_are_refused_with_the_command_that_mends_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    for mode in [0o640, 0o604, 0o666] {
        std::fs::set_permissions(sandbox.path("k"), std::fs::Permissions::from_mode(mode)).unwrap();
        sandbox.run(&["open", "-k", "k", "sealed"]).fails_empty(2, &["has mode", "run: chmod 600 k\n"]);
    }
    // The advice works.
    assert!(sandbox.shell("chmod 600 k").status().unwrap().success());
    assert_eq!(sandbox.run(&["open", "-k", "k", "sealed"]).is_good(), PLAIN.as_bytes());
}

#[test]
fn a_mistyped_line_is_told_with_its_number_and_without_the_key() {
    let sandbox = Sandbox::new();
    let good = String::from_utf8(sandbox.read("k")).unwrap();
    let key_at = good.rfind(':').unwrap() + 3;
    for (from, says) in [
        (good.replace("kuvert-key-v1:main", "kuvert-key-v1:mian"), "mistyped"),
        (format!("{}\n", &good[..good.len() - 2]), "47 characters instead of 48"),
        (good.replace("kuvert-key-v1", " kuvert-key-v1"), "white space"),
        (good.replace("kuvert-key-v1", "kuvert-key-v7"), "version unknown here"),
        (good.replace("kuvert-key-v1:", ""), "not an entry"),
        (format!("{}_{}", &good[..key_at], &good[key_at + 1..]), "not standard base64"),
    ] {
        sandbox.write("bad", &from);
        set_private(&sandbox, "bad");
        sandbox
            .run(&["seal", "-k", "bad", "-o", "out"])
            .fails_empty(2, &["key file \"bad\", line 3: ", says]);
        assert!(!sandbox.exists("out"));
    }
    sandbox.write("bad", "# nothing\n");
    sandbox.run(&["seal", "-k", "bad"]).fails_empty(2, &["holds no key", "kuvert keygen"]);
    sandbox.write("bad", b"\x89PNG\r\n");
    sandbox.run(&["seal", "-k", "bad"]).fails_empty(2, &["line 1: not UTF-8"]);
}

#[cfg(unix)]
fn set_private(sandbox: &Sandbox, name: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(sandbox.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn set_private(_: &Sandbox, _: &str) {}

#[test]
fn one_name_for_two_keys() {
    let sandbox = Sandbox::new();
    sandbox.add_key("other", "main");
    sandbox.sealed("sealed", PLAIN, &[]);
    let ran = sandbox.run(&["open", "-k", "k", "-k", "other", "sealed"]);
    ran.fails_empty(2, &["two different keys have the id \"main\""]);
    assert_eq!(sandbox.run(&["open", "-k", "k", "-k", "k", "sealed"]).is_good(), PLAIN.as_bytes());
}

#[test]
fn a_key_of_the_same_name_that_does_not_fit() {
    let sandbox = Sandbox::new();
    sandbox.add_key("other", "main");
    sandbox.sealed("sealed", PLAIN, &[]);
    let ran = sandbox.run(&["open", "-k", "other", "-o", "opened", "sealed"]);
    ran.fails_empty(6, &["sealed: wrong key", "\"main\"", "another key has the same name"]);
    assert!(!sandbox.exists("opened"));
}

#[test]
fn a_key_that_the_file_does_not_name() {
    let sandbox = Sandbox::new();
    sandbox.add_key("other", "another");
    sandbox.sealed("sealed", PLAIN, &[]);
    let ran = sandbox.run(&["open", "-k", "other", "-o", "opened", "sealed"]);
    ran.fails_empty(6, &["no usable key", "\"main\"", "not configured here", "-k", "keys given: another"]);
    assert!(!sandbox.exists("opened"));
}

#[test]
fn kinds_of_keys_that_later_releases_know() {
    let sandbox = Sandbox::new();
    sandbox.run(&["seal", "-k", "pkcs11:token=t;object=k"]).fails_empty(2, &[NO_MODULE]);
    sandbox.add_key("pkcs11:k", "odd");
    sandbox.run_with(&["seal", "-k", "file:pkcs11:k", "-o", "out"], b"x").is_silent();
}

#[test]
fn a_build_without_kms_says_which_one_has_it() {
    let sandbox = Sandbox::new();
    let key = "aws-kms:arn:aws:kms:eu-north-1:111122223333:key/1234abcd";
    if cfg!(feature = "https") {
        // No key of that name is there; what is told is about the key, and not about the build.
        let ran = sandbox.finish(sandbox.command(&["seal", "-k", "aws-kms:alias/x"]).env("PATH", ""), &[]);
        ran.fails_empty(2, &["is an alias"]);
    } else {
        for command in ["seal", "open", "doctor"] {
            sandbox
                .run(&[command, "-k", key])
                .fails_empty(2, &["has no AWS KMS", "--features cli,https", "'file:aws-kms:...'"]);
        }
    }
    sandbox.add_key("aws-kms:k", "odd");
    sandbox.run_with(&["seal", "-k", "./aws-kms:k", "-o", "out"], b"x").is_silent();
}

#[test]
fn keygen_writes_one_private_key_and_never_over_anything() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["keygen", "--id", "backup-2027", "-o", "new.key"]);
    assert_eq!(String::from_utf8_lossy(ran.is_good()), "new.key: key \"backup-2027\"\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(sandbox.path("new.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    let before = sandbox.read("new.key");
    sandbox.run(&["keygen", "-o", "new.key"]).fails_empty(2, &["\"new.key\" already exists", "another name"]);
    assert_eq!(sandbox.read("new.key"), before);
    sandbox.run_with(&["seal", "-k", "new.key", "-o", "out"], b"x").is_silent();

    let ran = sandbox.run(&["keygen", "--output", "second"]);
    let id = ran.text().strip_prefix("second: key \"").unwrap().strip_suffix("\"\n").unwrap().to_owned();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    sandbox.run(&["keygen", "--id", "no blanks", "-o", "third"]).fails_empty(2, &["cannot be a key's id"]);
    sandbox.run(&["keygen", "-o", "no/such/dir/k"]).fails_empty(1, &["cannot be written"]);
    sandbox.run(&["keygen"]).fails_empty(2, &["--output"]);
    assert!(!sandbox.exists("third"));
}

/// What is said of a URI that names no module, or of every one where there is no PKCS#11.
const NO_MODULE: &str = if cfg!(feature = "pkcs11") { "names no module" } else { "has no PKCS#11" };
