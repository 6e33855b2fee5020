//! `kuvert completions`: scripts that the shells understand, and that complete.

use std::process::Command;

use crate::sandbox::{Sandbox, has_part};

const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "elvish", "powershell"];

fn script(sandbox: &Sandbox, shell: &str) -> String {
    let ran = sandbox.run(&["completions", shell]);
    String::from_utf8(ran.is_good().to_vec()).unwrap()
}

fn is_installed(shell: &str) -> bool {
    let ran = Command::new(shell).arg("--version").output();
    has_part(shell, ran.is_ok_and(|output| output.status.success()))
}

/// What bash offers for the last of these words.
fn bash_completes(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    sandbox.write("completions", script(sandbox, "bash"));
    let ask = "
        source ./completions
        # An option of readline, which is not there in a script.
        compopt() { :; }
        COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))
        _kuvert kuvert \"${@: -1}\" \"${@: -2:1}\" || exit
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", ask, "bash"]).args(words).current_dir(sandbox.path(""));
    let output = bash.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn scripts_name_every_command_and_the_options_we_promise() {
    let sandbox = Sandbox::new();
    for shell in SHELLS {
        let script = script(&sandbox, shell);
        for word in crate::help::COMMANDS.into_iter().chain(["accept-stored-context", "newer-than"]) {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
}

#[test]
fn shells_that_are_installed_understand_them() {
    let sandbox = Sandbox::new();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        if !is_installed(shell) {
            continue;
        }
        let check = |script: &str| {
            sandbox.write("script", script);
            let mut command = Command::new(shell);
            let output = command.args([check, "script"]).current_dir(sandbox.path("")).output().unwrap();
            output.status.success() && output.stderr.is_empty()
        };
        let script = script(&sandbox, shell);
        assert!(check(&script), "{shell} refuses its script");
        // The check can fail.
        assert!(!check(&format!("{script}\nif\n")), "{shell} takes anything");
    }
}

#[test]
fn bash_completes_commands_options_values_and_files() {
    if !is_installed("bash") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("shop.kvt", "");
    assert_eq!(bash_completes(&sandbox, &["kuvert", "insp"]), ["inspect"]);
    assert_eq!(bash_completes(&sandbox, &["kuvert", "ve"]), ["verify"]);
    assert_eq!(bash_completes(&sandbox, &["kuvert", "verify", "--new"]), ["--newer-than"]);
    assert_eq!(bash_completes(&sandbox, &["kuvert", "open", "--acc"]), ["--accept-stored-context"]);
    assert_eq!(bash_completes(&sandbox, &["kuvert", "seal", "--layout", "com"]), ["compact"]);
    assert_eq!(bash_completes(&sandbox, &["kuvert", "completions", "fi"]), ["fish"]);
    assert_eq!(bash_completes(&sandbox, &["kuvert", "man", "key"]), ["keygen"]);
    assert_eq!(bash_completes(&sandbox, &["kuvert", "seal", "-k", "sho"]), ["shop.kvt"]);
}

#[test]
fn shells_that_nobody_wrote_for() {
    let sandbox = Sandbox::new();
    sandbox.run(&["completions", "tcsh"]).fails_empty(2, &["tcsh", "bash, elvish, fish, powershell, zsh"]);
    sandbox.run(&["completions"]).fails_empty(2, &["Usage"]);
}
