//! `kuvert man`: a page for the program and for each command, with everything that a page has to have.

use std::process::Command;

use crate::help::{COMMANDS, SUBJECTS};
use crate::sandbox::{Sandbox, has_part};

fn page(sandbox: &Sandbox, command: &str) -> String {
    let arguments: Vec<&str> = ["man", command].into_iter().filter(|word| !word.is_empty()).collect();
    String::from_utf8(sandbox.run(&arguments).is_good().to_vec()).unwrap()
}

/// The headings of a page, in order.
fn headings(roff: &str) -> Vec<&str> {
    roff.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|title| title.trim_matches('"')).collect()
}

#[test]
fn every_page_has_its_sections() {
    let sandbox = Sandbox::new();
    for command in [""].into_iter().chain(COMMANDS) {
        let roff = page(&sandbox, command);
        let found = headings(&roff);
        let mut wanted =
            vec!["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"];
        if command.is_empty() || roff.contains("\\fB\\-\\-key\\fR") {
            wanted.extend(["ENVIRONMENT", "FILES"]);
        }
        for title in wanted {
            assert!(found.contains(&title), "kuvert man {command} lacks {title}: {found:?}");
        }
        let name = if command.is_empty() { "kuvert".into() } else { format!("kuvert\\-{command}") };
        assert!(roff.contains(&format!(".SH NAME\n{name} \\- ")), "{roff}");
        assert_eq!(
            roff.contains("\nKUVERT_KEYS\n") || roff.contains("fIKUVERT_KEYS"),
            found.contains(&"ENVIRONMENT")
        );
    }
    assert!(headings(&page(&sandbox, "seal")).contains(&"ENVIRONMENT"));
}

/// Requests, macros and escapes that any reader of man pages knows, each block closed.
#[test]
fn pages_are_plain_man_macros() {
    let sandbox = Sandbox::new();
    for command in [""].into_iter().chain(COMMANDS) {
        let roff = page(&sandbox, command);
        let known = ["TH", "SH", "PP", "TP", "IP", "RS", "RE", "EX", "EE", "br", "nh", "ie", "el"];
        for line in roff.lines().filter(|line| line.starts_with(['.', '\''])) {
            let name = line[1..].split_whitespace().next().unwrap_or_default();
            assert!(known.contains(&name), "{command}: {line}");
        }
        let count = |name: &str| roff.lines().filter(|line| line.split(' ').next() == Some(name)).count();
        assert_eq!((count(".EX"), count(".RS")), (count(".EE"), count(".RE")), "{command}");
        assert_eq!(count(".TH"), 1);
        assert!(
            roff.lines().any(|line| line.starts_with(".TH kuvert") && line.ends_with("\"Kuvert Manual\""))
        );
    }
}

#[test]
fn pages_say_what_the_help_says() {
    let sandbox = Sandbox::new();
    for command in COMMANDS {
        let help = sandbox.run(&[command, "--help"]);
        let roff = page(&sandbox, command).replace("\\-", "-").replace("\\*(Aq", "'");
        let examples = help.text().split_once("Examples:\n").unwrap().1.split_once("\n\n").unwrap().0;
        for line in examples.lines() {
            let line = line.trim().trim_end_matches(" \\");
            assert!(roff.contains(line), "{command}: the page lacks {line:?}");
        }
    }
}

#[test]
fn pages_render_without_a_complaint() {
    let is_there =
        Command::new("groff").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_part("groff", is_there) {
        return;
    }
    let sandbox = Sandbox::new();
    let render = |roff: &str| {
        sandbox.write("page.1", roff);
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-Tascii", "-P-cbou", "page.1"]).current_dir(sandbox.path(""));
        groff.output().unwrap()
    };
    for command in [""].into_iter().chain(COMMANDS) {
        let output = render(&page(&sandbox, command));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && output.stderr.is_empty(), "{command}: {output:?}");
        for part in ["NAME\n", "SYNOPSIS\n       kuvert", "EXIT STATUS\n", "\n       0      "] {
            assert!(text.contains(part), "{command}: {part:?} is not shown:\n{text}");
        }
    }
    // It complains where there is something to complain about.
    assert!(!render(".TH A 1\n.SH NAME\n.nosuchmacro\n").stderr.is_empty());
}

#[test]
fn all_pages_are_written_into_a_directory() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        sandbox.run(&["man", "-o", "share/man1"]).is_silent();
    }
    let mut written: Vec<_> = std::fs::read_dir(sandbox.path("share/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort();
    let mut wanted: Vec<_> = COMMANDS.map(|command| format!("kuvert-{command}.1")).into();
    wanted.push("kuvert.1".into());
    wanted.extend(SUBJECTS.map(|action| format!("kuvert-subjects-{action}.1")));
    wanted.sort();
    assert_eq!(written, wanted);
    assert_eq!(sandbox.read("share/man1/kuvert-seal.1"), page(&sandbox, "seal").as_bytes());
    sandbox.write("file", "precious");
    sandbox.run(&["man", "-o", "file"]).fails_empty(2, &["file"]);
    assert_eq!(sandbox.read("file"), b"precious");
    sandbox.run(&["man", "frobnicate"]).fails_empty(2, &["frobnicate", "inspect"]);
}
