//! The prose at the top level keeps up with the tree: links, features, commands, and the tests that promises name.
//!
//! That the README's Rust compiles and runs is a doctest of the crate.

use std::{collections::BTreeSet, fs, path::Path};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Targets of the links in a Markdown text that lead to files of this repository, relative to the text's folder.
fn local_links(text: &str) -> Vec<&str> {
    let targets =
        text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split_once(')').map(|(to, _)| to));
    let files = targets.filter(|to| !to.contains("://") && !to.contains("::") && !to.starts_with('#'));
    files.map(|to| to.split('#').next().unwrap_or(to)).collect()
}

fn broken_links(folder: &Path, text: &str) -> Vec<String> {
    local_links(text).into_iter().filter(|to| !folder.join(to).exists()).map(str::to_owned).collect()
}

#[test]
fn links_lead_somewhere() {
    for name in ["README.md", "SECURITY.md", "CHANGELOG.md"] {
        let text = read(name);
        assert_eq!(broken_links(Path::new(ROOT), &text), [""; 0], "{name}");
    }
    assert!(local_links(&read("README.md")).len() > 5);
    assert_eq!(
        broken_links(Path::new(ROOT), "see [this](src/nowhere.md#part) and [that](src/lib.rs)"),
        ["src/nowhere.md"]
    );
}

/// Features of a manifest, `default` left out.
fn features(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[features]\n").nth(1).unwrap_or("").split("\n[").next().unwrap_or("");
    let names = section.lines().filter_map(|line| line.split_once(" = ").map(|(name, _)| name.to_owned()));
    names.filter(|name| name != "default" && !name.starts_with('#')).collect()
}

#[test]
fn the_table_of_features_is_complete() {
    let readme = read("README.md");
    let table = readme.split("\n## Features\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows =
        table.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|line| line.split_once('`'));
    let listed: BTreeSet<String> = rows.map(|(name, _)| name.to_owned()).collect();
    assert_eq!(listed, features(&read("Cargo.toml")));
    assert!(listed.contains("aws-lc") && listed.contains("cli"));
}

#[test]
fn the_first_thing_it_says_is_how_to_run_it() {
    let readme = read("README.md");
    let block = readme.split("```").nth(1).unwrap();
    assert!(block.contains("cargo run --release --features cli --example backup"));
    assert!(block.contains("bash tests/run"));
    assert!(readme.find(block).unwrap() < 40);
}

/// Tests that a page names, as `tests/it/ranges.rs: name_of_the_test` between backticks: those that do not exist.
fn missing_tests(page: &str, read: impl Fn(&str) -> Option<String>) -> (usize, Vec<String>) {
    let named: Vec<(&str, &str)> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once(": "))
        .filter(|(file, _)| file.ends_with(".rs"))
        .collect();
    let exists =
        |file: &str, test: &str| read(file).is_some_and(|text| text.contains(&format!("fn {test}(")));
    let missing =
        named.iter().filter(|(file, test)| !exists(file, test)).map(|(file, test)| format!("{file}: {test}"));
    (named.len(), missing.collect())
}

#[test]
fn promises_are_shown_by_tests_that_exist() {
    let (named, missing) = missing_tests(&read("src/manual/promises.md"), |file| {
        fs::read_to_string(Path::new(ROOT).join(file)).ok()
    });
    assert_eq!(missing, [""; 0]);
    assert!(named > 20, "{named} tests are named");
}

#[test]
fn a_planted_promise_without_a_test_is_found() {
    let files = |file: &str| (file == "tests/a.rs").then(|| "fn shown() {}".to_owned());
    let page = "| x | `tests/a.rs: shown` and `tests/a.rs: gone`, `tests/b.rs: shown` | `Type::call` |";
    assert_eq!(
        missing_tests(page, files),
        (3, vec!["tests/a.rs: gone".to_owned(), "tests/b.rs: shown".to_owned()])
    );
}
