//! The program, with `pkcs11:` URIs for keys: every command, alone and beside other keys.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use crate::stage::{PIN, Stage, staged};

pub(crate) struct Tool<'s> {
    pub(crate) stage: &'s Stage,
}

impl Tool<'_> {
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Output {
        self.run_with(&[], args)
    }

    /// With these variables.
    pub(crate) fn run_with<A: AsRef<OsStr>>(&self, variables: &[(&str, String)], args: &[A]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuvert"));
        command.args(args).current_dir(self.stage.folder()).envs(variables.iter().cloned());
        // Without the terminal of whoever runs the tests, on which it would ask for a PIN.
        // SAFETY: the call is one that a forked child may make, and it touches no memory.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                Ok(())
            });
        }
        let output = command.output().unwrap();
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        assert!(!said.windows(PIN.len()).any(|window| window == PIN.as_bytes()), "it shows the PIN");
        output
    }

    #[track_caller]
    pub(crate) fn good<A: AsRef<OsStr>>(&self, args: &[A]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn fails<A: AsRef<OsStr>>(&self, args: &[A], status: i32, said: &str) {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.contains(said), "{said:?} is not in: {stderr}");
    }
}

staged! {
    fn every_command_takes_a_uri(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        stage.aes("ours", "kek", "02");
        let tool = Tool { stage };
        let [one, two] = ["01", "02"].map(|id| stage.uri(stage.module(), "ours", "kek", Some(id)));
        fs::write(stage.folder().join("plain"), b"what is sealed").unwrap();
        tool.good(&["seal", "-k", &one, "-c", "table=users", "-o", "sealed", "plain"]);
        assert!(tool.good(&["inspect", "sealed"]).contains("kek/01"));
        tool.good(&["verify", "-k", &one, "-c", "table=users", "sealed"]);
        assert_eq!(tool.good(&["open", "-k", &two, "-c", "table=users", "sealed"]), "what is sealed");
        tool.good(&["rewrap", "-k", &one, "--to", &two, "-c", "table=users", "sealed"]);
        let inspected = tool.good(&["inspect", "sealed"]);
        assert!(inspected.contains("kek/02") && !inspected.contains("kek/01"), "{inspected}");
        assert_eq!(tool.good(&["open", "-k", &one, "-c", "table=users", "sealed"]), "what is sealed");
        assert!(tool.good(&["doctor", "-k", &one, "-c", "table=users", "sealed"]).contains("kek/01"));
    }

    fn a_token_beside_a_key_file(stage: &Stage) {
        stage.token("ours");
        stage.rsa("ours", "rsa", "0a");
        let tool = Tool { stage };
        let uri = stage.uri(stage.module(), "ours", "rsa;x-wrap=rsa-oaep-sha1", Some("0a"));
        tool.good(&["keygen", "-o", "file.key"]);
        fs::write(stage.folder().join("plain"), b"what is sealed").unwrap();
        tool.good(&["seal", "-k", "file.key", "-k", &uri, "-o", "sealed", "plain"]);
        for key in ["file.key", &uri] {
            assert_eq!(tool.good(&["open", "-k", key, "sealed"]), "what is sealed");
        }
        // The token is away: the other key opens, with this one named or not.
        let tokens = stage.folder().join("tokens");
        fs::rename(&tokens, stage.folder().join("away")).unwrap();
        fs::create_dir(&tokens).unwrap();
        assert_eq!(tool.good(&["open", "-k", "file.key", "-k", &uri, "sealed"]), "what is sealed");
        tool.fails(&["open", "-k", &uri, "sealed"], 6, "no token matches token=\"ours\"");
    }

    fn the_same_key_in_a_token_and_in_a_file(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let tool = Tool { stage };
        let uri = |more: &str| stage.uri(stage.module(), "ours", &format!("kek{more}"), Some("01"));
        fs::write(stage.folder().join("plain"), b"what is sealed").unwrap();
        let kwp = uri(";x-wrap=aes-kwp;x-mechanism=0x210a");
        tool.good(&["seal", "-k", &kwp, "-o", "sealed", "plain"]);
        assert!(tool.good(&["inspect", "sealed"]).contains("aes-kwp"));
        assert_eq!(tool.good(&["open", "-k", &uri(";x-wrap=aes-kwp;x-mechanism=8458"), "sealed"]), "what is sealed");
    }

    fn what_is_wrong_is_told_with_its_status(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let tool = Tool { stage };
        let uri = |object: &str, id: &str| stage.uri(stage.module(), "ours", object, Some(id));
        fs::write(stage.folder().join("plain"), b"x").unwrap();
        let seal = |key: &str| ["seal".to_owned(), "-k".into(), key.into(), "-o".into(), "sealed".into(), "plain".into()];
        let with_pin = format!("pkcs11:token=ours;object=kek;pin-value={PIN}");
        tool.fails(&seal(&with_pin), 2, "at byte 29: a PIN does not belong here");
        tool.fails(&seal(&uri("kek;x-wrap=rot13", "01")), 2, "PKCS#11 URI: x-wrap is one of aes-kwp");
        tool.fails(&seal(&uri("kek;x-mechanism=kwp", "01")), 2, "x-mechanism");
        tool.fails(&seal(&uri("kek;x-iv=none", "01")), 2, "x-iv");
        tool.fails(&seal("pkcs11:token=ours;object=kek;id=%01"), 2, "names no module");
        tool.fails(&seal(&uri("kek;x-wrap=aes-kwp", "01")), 6, "the token has no mechanism 0x210b");
        tool.fails(&seal(&uri("kek", "07")), 6, "no key kek/07");
        fs::write(stage.pin_file(), "11111111").unwrap();
        tool.fails(&seal(&uri("kek", "01")), 6, "refused the PIN");
        assert!(!stage.folder().join("sealed").exists());
    }
}
