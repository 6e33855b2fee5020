//! Sizes, words and comments: what every file of `src/` keeps to, beside its floor.

use super::lex::{Source, body_or_end, close_of, is_word};

/// Lines of a file, its tests included.
const MAX_FILE_LINES: usize = 600;
/// Lines of the median file.
const MAX_MEDIAN_LINES: usize = 200;
/// Lines of a function, from its signature to its closing brace.
const MAX_FUNCTION_LINES: usize = 50;
/// The only files that may hold an `unsafe` block.
const UNSAFE_FILES: [&str; 4] =
    ["src/bin/kuvert/pin.rs", "src/fork.rs", "src/io/header_file/lock.rs", "src/provider/pkcs11/raw.rs"];
/// Libraries of primitives, which only the crypto floor names.
const CRYPTO_LIBRARIES: [&str; 7] = ["aws_lc_rs", "ring", "aes_gcm", "aes", "aes_kw", "hmac", "sha2"];

pub(super) fn file_too_long(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let too_long = lines > MAX_FILE_LINES;
    too_long
        .then(|| format!("{}: {lines} lines, the cap is {MAX_FILE_LINES}", source.path))
        .into_iter()
        .collect()
}

pub(super) fn median_too_long(sources: &[Source]) -> Vec<String> {
    let mut lines: Vec<usize> = sources.iter().map(|source| source.text.lines().count()).collect();
    lines.sort_unstable();
    let median = lines.get(lines.len() / 2).copied().unwrap_or(0);
    let too_long = median > MAX_MEDIAN_LINES;
    too_long
        .then(|| format!("the median file has {median} lines, the cap is {MAX_MEDIAN_LINES}"))
        .into_iter()
        .collect()
}

pub(super) fn functions_too_long(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for at in source.words("fn") {
        let rest = source.code[at + 2..].trim_start();
        let named = rest.bytes().next().is_some_and(is_word); // otherwise it is the type `fn(..)`
        let body = body_or_end(&source.code, at).filter(|open| source.code.as_bytes()[*open] == b'{');
        if let (true, Some(open)) = (named, body) {
            let lines = 1 + source.code[at..close_of(&source.code, open)].matches('\n').count();
            if lines > MAX_FUNCTION_LINES {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let what = format!("fn {name} has {lines} lines, the cap is {MAX_FUNCTION_LINES}");
                found.push(source.finding(at, &what));
            }
        }
    }
    found
}

pub(super) fn mod_rs(source: &Source) -> Vec<String> {
    let bad = source.path.ends_with("/mod.rs");
    bad.then(|| format!("{}: `foo.rs` beside `foo/`, never `mod.rs`", source.path)).into_iter().collect()
}

pub(super) fn no_module_docs(source: &Source) -> Vec<String> {
    let bad = !source.text.starts_with("//!");
    bad.then(|| format!("{}: begins without `//!` docs", source.path)).into_iter().collect()
}

/// `unsafe` outside the listed files; in them, an `unsafe` without a `SAFETY:` comment on the lines above it.
pub(super) fn unsafe_code(source: &Source) -> Vec<String> {
    let listed = UNSAFE_FILES.contains(&source.path.as_str());
    let mut found = Vec::new();
    for at in source.words("unsafe") {
        if !listed {
            found.push(source.finding(at, "`unsafe` outside the list of tests/it/structure/rules.rs"));
        } else if !safety_line_above(source, at) {
            found.push(source.finding(at, "`unsafe` without a SAFETY line above it"));
        }
    }
    if !listed {
        for at in source.words("unsafe_code") {
            found.push(source.finding(at, "the lint `unsafe_code` is lifted outside the list"));
        }
    }
    found
}

fn safety_line_above(source: &Source, at: usize) -> bool {
    let line = source.line_of(at);
    let above: Vec<&str> = source.text.lines().take(line - 1).collect();
    let comment_or_start = |line: &&&str| {
        let line = line.trim_start();
        // A statement whose `unsafe` stands on a later line than its comment: `let x =` and the like.
        line.starts_with("//") || line.ends_with('=') || line.ends_with('(') || line.starts_with("#[")
    };
    above.iter().rev().take_while(comment_or_start).any(|line| line.contains("SAFETY:"))
}

/// A library of primitives named outside the crypto floor.
pub(super) fn crypto_outside_its_floor(source: &Source) -> Vec<String> {
    if source.path == "src/crypto.rs" || source.path.starts_with("src/crypto/") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for library in CRYPTO_LIBRARIES {
        for at in source.words(library) {
            let after = source.code[at + library.len()..].trim_start();
            let before = source.code[..at].trim_end();
            let imported = before.ends_with("use") || before.ends_with("extern crate");
            if after.starts_with("::") || imported {
                found.push(source.finding(at, &format!("`{library}` outside crypto/")));
            }
        }
    }
    found
}

/// Panics on input and unfinished work, outside tests.
pub(super) fn forbidden_words(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (word, follows) in [("unwrap", "()"), ("todo", "!"), ("unimplemented", "!"), ("dbg", "!")] {
        for at in source.words(word) {
            if source.code[at + word.len()..].starts_with(follows) && !source.in_test(at) {
                found.push(source.finding(at, &format!("`{word}{follows}` outside tests")));
            }
        }
    }
    found
}

#[cfg(test)]
mod planted {
    use super::*;

    /// Runs `check` on a file called `path`, and expects exactly one finding that says `expected` (or none).
    fn plant(check: fn(&Source) -> Vec<String>, path: &str, text: &str, expected: Option<&str>) {
        let found = check(&Source::new(path, text));
        match expected {
            Some(words) => assert!(found.len() == 1 && found[0].contains(words), "{path}: {text}: {found:?}"),
            None => assert_eq!(found, [""; 0], "{path}: {text}"),
        }
    }

    #[test]
    fn long_files_and_functions() {
        plant(file_too_long, "src/a.rs", &"x\n".repeat(601), Some("601 lines"));
        plant(file_too_long, "src/a.rs", &"x\n".repeat(600), None);
        let function = |lines: usize| {
            format!("impl A {{\n    fn f(a: [u8; 3]) {{\n{}    }}\n}}\n", "x();\n".repeat(lines))
        };
        plant(functions_too_long, "src/a.rs", &function(49), Some("fn f has 51 lines"));
        plant(functions_too_long, "src/a.rs", &function(48), None);
        plant(functions_too_long, "src/a.rs", "trait T { fn f(a: fn(u8) -> u8); }\n", None);
        let files: Vec<Source> =
            [1, 201, 300].iter().map(|n| Source::new("src/a.rs", &"x\n".repeat(*n))).collect();
        assert_eq!(median_too_long(&files).len(), 1);
        assert_eq!(median_too_long(&files[..1]).len(), 0);
    }

    #[test]
    fn names_and_docs() {
        plant(mod_rs, "src/io/mod.rs", "//! x", Some("never `mod.rs`"));
        plant(mod_rs, "src/io.rs", "//! x", None);
        plant(no_module_docs, "src/io.rs", "use x;\n//! late", Some("without"));
        plant(no_module_docs, "src/io.rs", "//! early", None);
    }

    #[test]
    fn unsafe_without_a_reason() {
        plant(
            unsafe_code,
            "src/io.rs",
            "fn f() {\n    // SAFETY: no\n    unsafe { g() }\n}",
            Some("outside the list"),
        );
        plant(unsafe_code, "src/io.rs", "#![allow(unsafe_code)]", Some("lifted"));
        plant(
            unsafe_code,
            "src/fork.rs",
            "fn f() {\n    // because\n    unsafe { g() }\n}",
            Some("without a SAFETY"),
        );
        let good = "// SAFETY: the page is ours\n// for good.\nlet page =\n    unsafe { g() };\n// unsafe\n";
        plant(unsafe_code, "src/fork.rs", good, None);
    }

    #[test]
    fn crypto_libraries_elsewhere() {
        plant(crypto_outside_its_floor, "src/front.rs", "use ring::aead;", Some("`ring` outside"));
        plant(crypto_outside_its_floor, "src/provider/key_file.rs", "aws_lc_rs::init();", Some("aws_lc_rs"));
        plant(crypto_outside_its_floor, "src/crypto/kdf.rs", "use ring::hmac;", None);
        plant(crypto_outside_its_floor, "src/front.rs", "let ring = \"sha2::X\"; // aes::Aes256", None);
    }

    #[test]
    fn unfinished_work_and_panics() {
        plant(forbidden_words, "src/a.rs", "fn f() { x.unwrap(); }", Some("`unwrap()`"));
        plant(forbidden_words, "src/a.rs", "fn f() { todo!() }", Some("`todo!`"));
        plant(forbidden_words, "src/a.rs", "fn f() { unimplemented!() }", Some("`unimplemented!`"));
        plant(forbidden_words, "src/a.rs", "fn f() { dbg!(x) }", Some("`dbg!`"));
        plant(forbidden_words, "src/a.rs", "#[cfg(test)]\nmod tests { fn f() { x.unwrap(); } }", None);
        plant(forbidden_words, "src/a.rs", "/// x.unwrap()\nfn f() { x.unwrap_or(1); y.unwrap(key); }", None);
    }
}
