//! Just enough of Rust's lexing to tell code from comments and strings, and test code from the rest.

use std::ops::Range;

/// One file: its path from the checkout's root (with `/`), its text, and its text with comments, strings and
/// character literals blanked out byte by byte, so that offsets and lines agree.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) code: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: mask(text) }
    }

    pub(super) fn line_of(&self, offset: usize) -> usize {
        1 + self.code[..offset].matches('\n').count()
    }

    /// `path:line: what`, as every finding is reported.
    pub(super) fn finding(&self, offset: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, self.line_of(offset))
    }

    /// The module path of the whole file: `src/a/b.rs` is `[a, b]`, `src/lib.rs` is `[]`.
    pub(super) fn module(&self) -> Vec<String> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        if inner == "lib" { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
    }

    /// The module path at an offset: the file's, and the inline modules around it.
    pub(super) fn module_at(&self, offset: usize) -> Vec<String> {
        let mut path = self.module();
        for (name, span) in inline_modules(&self.code) {
            if span.contains(&offset) {
                path.push(name);
            }
        }
        path
    }

    /// Whether `offset` lies in an item under `#[cfg(test)]`.
    pub(super) fn in_test(&self, offset: usize) -> bool {
        test_spans(&self.code).iter().any(|span| span.contains(&offset))
    }

    /// Offsets of `word` in the code, as a whole word.
    pub(super) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, word)
    }
}

/// Blanks comments, string and character literals.
pub(super) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end > at {
            out[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(out).expect("only whole literals were blanked")
}

/// Where the comment or literal that starts at `at` ends; `at` itself where none starts.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    match rest[0] {
        b'/' if rest.starts_with(b"//") => at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        b'/' if rest.starts_with(b"/*") => at + block_comment_len(rest),
        b'"' => at + quoted_len(rest, b'"'),
        b'\'' => match rest {
            [_, b'\\', ..] => at + quoted_len(rest, b'\''),
            _ => {
                // A character is one to four bytes long; anything else is a lifetime.
                let len = (2..=5).find(|n| rest.get(*n) == Some(&b'\''));
                match len {
                    Some(n) if std::str::from_utf8(&rest[1..n]).is_ok_and(|s| s.chars().count() == 1) => {
                        at + n + 1
                    }
                    _ => at,
                }
            }
        },
        b'r' if at == 0 || !is_word(bytes[at - 1]) || (at >= 1 && matches!(bytes[at - 1], b'b' | b'c')) => {
            let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
            if rest.get(1 + hashes) == Some(&b'"') { at + raw_len(rest, hashes) } else { at }
        }
        _ => at,
    }
}

fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_len(rest: &[u8], hashes: usize) -> usize {
    let mut close = vec![b'"'];
    close.extend(std::iter::repeat_n(b'#', hashes));
    let body = 2 + hashes;
    rest[body..].windows(close.len()).position(|w| w == close).map_or(rest.len(), |n| body + n + close.len())
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Offsets of `word` in `code`, as a whole word.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let after = bytes.get(at + word.len()).is_some_and(|b| is_word(*b));
        let before = *at > 0 && is_word(bytes[at - 1]);
        !after && !before
    })
}

/// The offset after the brace that closes the one at `open`.
pub(super) fn close_of(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Where the item that starts at `from` gets its body (`{`) or ends (`;`), outside parentheses and brackets.
pub(super) fn body_or_end(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' | b';' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// Every `mod name { .. }`, outer ones first.
fn inline_modules(code: &str) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    for at in words(code, "mod") {
        let rest = &code[at + 3..];
        let name: String =
            rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if let Some(body) = body_or_end(code, at) {
            if code.as_bytes()[body] == b'{' {
                found.push((name, body..close_of(code, body)));
            }
        }
    }
    found
}

/// Every item under `#[cfg(test)]` (or `all(test, ..)`), attribute included; the whole file under `#![cfg(test)]`.
fn test_spans(code: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for (at, _) in code.match_indices("[cfg(") {
        let end = at + code[at..].find(']').unwrap_or(0);
        let attribute = &code[at..end];
        let only_test = words(attribute, "test").next().is_some()
            && words(attribute, "any").next().is_none()
            && words(attribute, "not").next().is_none();
        if !only_test {
            continue;
        }
        if at > 0 && code.as_bytes()[at - 1] == b'!' {
            spans.push(0..code.len());
        } else if let Some(stop) = body_or_end(code, end + 1) {
            spans.push(at..if code.as_bytes()[stop] == b'{' { close_of(code, stop) } else { stop + 1 });
        }
    }
    spans
}

/// The files that only tests compile: `#[cfg(test)] mod name;` in their parent.
pub(super) fn test_files(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for at in source.words("mod") {
            let rest = source.code[at + 3..].trim_start();
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if rest[name.len()..].trim_start().starts_with(';') && source.in_test(at) {
                let parent =
                    source.path.trim_end_matches(".rs").trim_end_matches("src/lib").trim_end_matches("/main");
                let folder = if parent.is_empty() { "src" } else { parent };
                found.push(format!("{folder}/{name}.rs"));
                found.push(format!("{folder}/{name}/"));
            }
        }
    }
    found
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "let a = \"crate::x\"; // crate::y\n/* a /* b */ crate::z */ let c = '\"'; let d: &'a str = r#\"\"crate::w\"#;\n";
    let code = mask(text);
    assert_eq!(code.len(), text.len());
    assert!(!code.contains("crate"), "{code}");
    assert!(code.contains("let c =") && code.contains("let d: &'a str ="), "{code}");
}

#[test]
fn test_items_are_told_from_the_rest() {
    let source = Source::new(
        "src/a/b.rs",
        "fn f() { one(); }\n#[cfg(test)]\nmod tests {\n    fn g() { two(); }\n}\n#[cfg(any(test, feature = \"x\"))]\nmod y { fn h() { three(); } }\n",
    );
    let at = |word: &str| source.words(word).next().unwrap();
    assert!(!source.in_test(at("one")) && source.in_test(at("two")) && !source.in_test(at("three")));
    assert_eq!(source.module_at(at("two")), ["a", "b", "tests"]);
    assert_eq!(
        test_files(&[Source::new("src/a.rs", "#[cfg(test)]\nmod tests;\nmod c;")])[0],
        "src/a/tests.rs"
    );
}
