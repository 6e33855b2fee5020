//! Dependencies point downwards: every `crate::`, `super::` and `self::` path against the drawing of the floors.

use super::lex::{Source, is_word};

/// Which modules of the crate's root stand on which floor. A module that is not listed has to be given a floor
/// here before it can be used; two modules of one *row* of floor 4 are siblings and never see each other.
const FLOORS: [(u8, &[&str]); 7] = [
    (6, &["blocking", "subjects", "object_store"]),
    (5, &["front", "config"]),
    (4, &["io", "provider", "keystore"]),
    (3, &["stream", "record_cipher", "cache_slot"]),
    (2, &["format"]),
    (1, &["crypto"]),
    (
        0,
        &[
            "error",
            "limits",
            "secret",
            "clock",
            "conformance",
            "duration_text",
            "executor",
            "fork",
            "join",
            "observe",
            "sync",
            "thread_number",
            "worker",
        ],
    ),
];
const SIBLINGS: u8 = 4;
/// Re-exports and prose stand outside; the program (floor 7) is a crate of its own and sees the public face only.
const OUTSIDE: [&str; 2] = ["lib", "manual"];

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

/// Every arrow in `source` that points up, sideways between siblings, or to something that has no floor.
pub(super) fn violations(source: &Source) -> Vec<String> {
    let module = source.module();
    let from = module.first().map_or("lib", String::as_str);
    if source.path.starts_with("src/bin/") || OUTSIDE.contains(&from) {
        return Vec::new();
    }
    let Some(own) = floor(from) else {
        return vec![format!(
            "{}: module `{from}` has no floor; give it one in tests/it/structure/floors.rs",
            source.path
        )];
    };
    let mut found = Vec::new();
    for (at, path) in paths(source) {
        let to = path.first().map_or("", String::as_str);
        let complaint = match floor(to) {
            _ if to == from => continue,
            Some(other) if other > own => format!("floor {own} ({from}) uses floor {other} ({to})"),
            Some(SIBLINGS) if own == SIBLINGS => {
                format!("{from} and {to} are siblings and never see each other")
            }
            Some(_) => continue,
            None => format!("`crate::{to}` is no module with a floor; name the module, not a re-export"),
        };
        found.push(source.finding(at, &complaint));
    }
    found.dedup();
    found
}

/// Every path that starts with `crate`, `super` or `self`, with `use` trees spelled out, from the crate's root.
fn paths(source: &Source) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for start in ["crate", "super", "self"] {
        for at in source.words(start) {
            let before = source.code[..at].trim_end();
            // `super` in the middle of a path is handled where that path starts.
            if !source.code[at + start.len()..].starts_with("::") || before.ends_with("::") {
                continue;
            }
            let mut leaves = Vec::new();
            tree(&source.code, at, &[], &mut leaves);
            for leaf in leaves {
                found.push((at, absolute(source.module_at(at), &leaf)));
            }
        }
    }
    found
}

/// Reads a `use` tree (or a plain path) at `at`; returns the offset after it.
fn tree(code: &str, at: usize, prefix: &[String], leaves: &mut Vec<Vec<String>>) -> usize {
    let bytes = code.as_bytes();
    let mut at = skip_space(bytes, at);
    if bytes.get(at) == Some(&b'{') {
        at += 1;
        loop {
            at = skip_space(bytes, at);
            match bytes.get(at) {
                Some(b'}') | None => return at + 1,
                Some(b',') => at += 1,
                Some(_) => at = tree(code, at, prefix, leaves).max(at + 1),
            }
        }
    }
    let end = if bytes.get(at) == Some(&b'*') {
        at + 1
    } else {
        at + bytes[at..].iter().take_while(|byte| is_word(**byte)).count()
    };
    let mut path = prefix.to_vec();
    if end > at {
        path.push(code[at..end].to_owned());
    }
    let after = skip_space(bytes, end);
    if end > at && code[after..].starts_with("::") {
        return tree(code, after + 2, &path, leaves);
    }
    leaves.push(path);
    // A renamed leaf: `a as b`.
    let renamed =
        code[after..].strip_prefix("as ").map(|rest| rest.bytes().take_while(|b| is_word(*b)).count());
    renamed.map_or(end, |len| after + 3 + len)
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn absolute(mut module: Vec<String>, path: &[String]) -> Vec<String> {
    let mut rest = path;
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "crate" => module.clear(),
            "super" => drop(module.pop()),
            "self" => {}
            _ => break,
        }
        rest = others;
    }
    module.extend_from_slice(rest);
    module
}

#[test]
fn planted_arrows_are_found() {
    let bad = [
        (
            "src/format/header.rs",
            "use crate::{error::OpenError, stream::{self, open::Machine}};",
            "uses floor 3",
        ),
        ("src/io/blocking.rs", "fn f() { crate::provider::x(); }", "siblings"),
        ("src/provider/key_file.rs", "use super::super::io::SealWriter;", "siblings"),
        ("src/crypto.rs", "mod inner { use super::super::format as f; }", "uses floor 2"),
        ("src/stream.rs", "use super::front::Kuvert;", "uses floor 5"),
        ("src/front.rs", "use crate::Kuvert;", "no module with a floor"),
        ("src/front.rs", "use super::*;", "no module with a floor"),
        ("src/secret.rs", "use crate::{\n    limits::A,\n    manual,\n};", "no module with a floor"),
        ("src/novelty.rs", "fn f() {}", "has no floor"),
    ];
    for (path, text, expected) in bad {
        let found = violations(&Source::new(path, text));
        assert!(found.len() == 1 && found[0].contains(expected), "{path} {text}: {found:?}");
    }
}

#[test]
fn allowed_arrows_are_not_found() {
    let good = [
        (
            "src/front/file.rs",
            "use super::options::SealOptions;\nuse crate::{io, provider::{KeyProvider as P, *}};",
        ),
        ("src/format/header.rs", "use super::{context, stanza::Recipient};\nuse crate::error::OpenError;"),
        (
            "src/stream/open.rs",
            "use crate::record_cipher::X; // crate::front is above\nlet s = \"crate::front\";",
        ),
        ("src/io/blocking.rs", "mod tests {\n    use super::*;\n    use super::super::other;\n}"),
        ("src/crypto/aead.rs", "pub(in crate::crypto) fn f() -> self::X { crate::limits::TAG_LEN }"),
        ("src/bin/kuvert/main.rs", "use crate::seal;"),
    ];
    for (path, text) in good {
        assert_eq!(violations(&Source::new(path, text)), [""; 0], "{path}");
    }
}
