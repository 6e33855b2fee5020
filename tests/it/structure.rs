//! The house keeps its own rules: a plain text scan of the sources, and what a default build pulls in.
//!
//! Every check is a function over a path and a text, and has a planted fault that it must find.

#[path = "structure/clauses.rs"]
mod clauses;
#[path = "structure/floors.rs"]
mod floors;
#[path = "structure/lex.rs"]
mod lex;
#[path = "structure/rules.rs"]
mod rules;
#[path = "structure/tree.rs"]
mod tree;

use std::{fs, path::Path};

use lex::Source;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every `.rs` file under `src/`, in a fixed order.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&Path::new(ROOT).join("src"), &mut paths);
    paths.sort();
    assert!(paths.len() > 10, "the scan found only {} files", paths.len());
    paths
        .iter()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| Source::new(path, &fs::read_to_string(Path::new(ROOT).join(path)).unwrap()))
        .collect()
}

/// Files under `folder`, as paths from the root of the checkout, with `/`.
fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            let inner = path.strip_prefix(ROOT).unwrap().to_str().unwrap();
            found.push(inner.replace('\\', "/"));
        }
    }
}

fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} finding(s):\n{}", findings.len(), findings.join("\n"));
}

fn check_each(check: fn(&Source) -> Vec<String>) {
    assert_none(&sources().iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn dependencies_point_downwards() {
    check_each(floors::violations);
}

#[test]
fn files_and_functions_are_short() {
    check_each(rules::file_too_long);
    check_each(rules::functions_too_long);
    assert_none(&rules::median_too_long(&sources()));
}

#[test]
fn modules_are_files_that_say_what_they_are() {
    check_each(rules::mod_rs);
    check_each(rules::no_module_docs);
}

#[test]
fn unsafe_code_is_listed_and_explained() {
    check_each(rules::unsafe_code);
}

#[test]
fn only_the_crypto_floor_names_a_crypto_library() {
    check_each(rules::crypto_outside_its_floor);
}

#[test]
fn nothing_panics_on_input_or_is_unfinished() {
    let sources = sources();
    let test_only = lex::test_files(&sources);
    let shipped = |source: &&Source| !test_only.iter().any(|test| source.path.starts_with(test.as_str()));
    assert_none(&sources.iter().filter(shipped).flat_map(rules::forbidden_words).collect::<Vec<_>>());
}

#[test]
fn every_rule_of_the_format_is_cited_where_the_code_keeps_it() {
    let manual = fs::read_to_string(Path::new(ROOT).join("src/manual/format.md")).unwrap();
    assert!(clauses::rules(&manual).len() > 20, "the manual's rules were not found");
    assert_none(&clauses::violations(&manual, &sources()));
}
