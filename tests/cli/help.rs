//! The help: complete, with examples and exit statuses, and narrow enough for any terminal.

use crate::sandbox::Sandbox;

pub(crate) const COMMANDS: [&str; 12] = [
    "keygen",
    "seal",
    "open",
    "verify",
    "inspect",
    "rewrap",
    "repair",
    "doctor",
    "hsm",
    "subjects",
    "completions",
    "man",
];

/// What stands behind `subjects`.
pub(crate) const SUBJECTS: [&str; 10] =
    ["init", "status", "erase", "hold", "release", "roll", "receipts", "backup", "restore", "check-backup"];

/// Every call of the help.
fn calls() -> impl Iterator<Item = Vec<&'static str>> {
    let of_subjects = SUBJECTS.map(|action| vec!["subjects", action, "--help"]);
    COMMANDS.map(|command| vec![command, "--help"]).into_iter().chain(of_subjects)
}

#[test]
fn every_command_explains_itself() {
    let sandbox = Sandbox::new();
    for call in calls() {
        let ran = sandbox.run(&call);
        let text = String::from_utf8_lossy(ran.is_good()).into_owned();
        for part in ["Usage: kuvert", "Examples:\n  kuvert ", "Exit status", "  0  "] {
            assert!(text.contains(part), "{call:?} lacks {part:?}:\n{text}");
        }
    }
    for command in COMMANDS {
        let ran = sandbox.run(&[command, "--help"]);
        let text = String::from_utf8_lossy(ran.is_good()).into_owned();
        for part in ["Usage: kuvert", "Examples:\n  kuvert ", "Exit status", "  0  "] {
            assert!(text.contains(part), "{command} --help lacks {part:?}:\n{text}");
        }
        assert!(sandbox.run(&[command, "-h"]).is_good().len() <= text.len());
        assert_eq!(sandbox.run(&["help", command]).is_good(), text.as_bytes());
    }
}

#[test]
fn the_program_explains_its_commands() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["--help"]);
    let text = String::from_utf8_lossy(ran.is_good()).into_owned();
    for command in COMMANDS {
        assert!(text.contains(&format!("\n  {command}")), "{text}");
    }
    assert!(text.contains("Exit status:") && text.contains("  7  refused by a rule"), "{text}");
    let version = sandbox.run(&["--version"]);
    assert_eq!(version.text(), concat!("kuvert ", env!("CARGO_PKG_VERSION"), "\n"));
    version.is_good();
}

#[test]
fn no_line_that_we_broke_is_broken_again() {
    // What we wrote ourselves keeps its columns on a terminal of 80.
    let sandbox = Sandbox::new();
    for arguments in calls().chain([vec!["--help"]]) {
        let ran = sandbox.run(&arguments);
        let text = ran.text();
        let own = ["\nExamples:", "\nFirst steps:"].iter().find_map(|title| text.find(title)).unwrap();
        for line in text[own..].lines() {
            assert!(line.chars().count() <= 79, "{arguments:?}: {line}");
        }
    }
}

/// The usage of every command, word for word as the format's section on the command line has it.
#[test]
fn the_usage_is_the_manual_s() {
    let sandbox = Sandbox::new();
    let manual = include_str!("../../src/manual/format.md").split_once("## 16. Command line").unwrap().1;
    let block = manual.split("```").nth(1).unwrap().trim_start_matches("text");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let promised = words(block);
    let mut shown = Vec::new();
    for command in COMMANDS {
        let help = sandbox.run(&[command, "--help"]);
        let usage = help.text().split_once("Usage: ").unwrap().1.split_once("\n\n").unwrap().0.to_owned();
        shown.push(words(&usage));
    }
    assert_eq!(shown.join(" "), promised);
    // Each call behind `subjects` says of itself what `subjects` says of all of them.
    for action in SUBJECTS {
        let help = sandbox.run(&["subjects", action, "--help"]);
        let usage = help.text().split_once("Usage: ").unwrap().1.split_once("\n\n").unwrap().0.to_owned();
        assert!(promised.contains(&words(&usage)), "{action}: {usage}");
    }
}

#[test]
fn calls_that_are_not_understood_are_usage_errors() {
    let sandbox = Sandbox::new();
    for arguments in
        [&[][..], &["frobnicate"], &["seal", "--frobnicate"], &["open", "a", "b"], &["seal", "--layout", "x"]]
    {
        let ran = sandbox.run(arguments);
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        assert!(ran.out.is_empty() && ran.err.contains("Usage") || ran.err.contains("--help"), "{ran:?}");
    }
}

/// Every command line in the help is one that the program understands.
#[test]
fn examples_are_calls_that_are_understood() {
    let sandbox = Sandbox::new();
    let mut seen = 0;
    for call in calls() {
        let help = sandbox.run(&call);
        let text = help.text().replace("\\\n     ", "");
        let examples = text.split_once("Examples:\n").unwrap().1.split_once("\n\n").unwrap().0;
        for line in examples.lines() {
            let start = line.find("kuvert ").unwrap_or_else(|| panic!("no example: {line}"));
            let call = line[start + 7..].split(['|', '>']).next().unwrap();
            let arguments: Vec<&str> = call.split_whitespace().map(|word| word.trim_matches('\'')).collect();
            let ran = sandbox.finish(sandbox.command(&arguments).env("PATH", ""), &[]);
            // The files are not there, which is told by the program and not by the parser of arguments.
            assert!(!ran.err.starts_with("error: "), "{line}: {}", ran.err);
            seen += 1;
        }
    }
    assert!(seen >= 15, "only {seen} examples were found");
}
