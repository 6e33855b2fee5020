//! The format's rules and the code that keeps them: every rule is cited, and whatever is cited exists.

use std::collections::BTreeSet;

use super::lex::Source;

/// A rule stands in the manual as `**[C-3]**`; one for a later release as `**[W-4*]**`.
const OPEN: &str = "**[";
const CLOSE: &str = "]**";
/// The code cites rules in a comment: `fmt: C-3`, or `fmt: C-3, C-4`.
const CITE: &str = "fmt: ";
/// The paragraph that explains what MUST means, and is no rule itself.
const EXPLANATION: &str = "How to read it:";

/// Rules that no source file cites, citations of rules that do not exist, rules numbered twice, rules without a name.
pub(super) fn violations(manual: &str, sources: &[Source]) -> Vec<String> {
    let (mut now, mut later, mut found) = (BTreeSet::new(), BTreeSet::new(), unnamed(manual));
    for id in rules(manual) {
        let (plain, set) = match id.strip_suffix('*') {
            Some(plain) => (plain, &mut later),
            None => (id, &mut now),
        };
        if !set.insert(plain.to_owned()) {
            found.push(format!("src/manual/format.md: rule {plain} is defined twice"));
        }
    }
    let mut cited = BTreeSet::new();
    for source in sources {
        for (line, id) in citations(&source.text) {
            if !now.contains(id) && !later.contains(id) {
                found.push(format!(
                    "{}:{line}: cites {id}, which src/manual/format.md does not have",
                    source.path
                ));
            }
            cited.insert(id.to_owned());
        }
    }
    let uncited =
        now.difference(&cited).map(|id| format!("src/manual/format.md: rule {id} is cited nowhere in src/"));
    found.into_iter().chain(uncited).collect()
}

/// Paragraphs that say MUST and have no name.
fn unnamed(manual: &str) -> Vec<String> {
    let paragraphs =
        manual.split("\n\n").filter(|text| text.contains("MUST") && !text.starts_with(EXPLANATION));
    let nameless = paragraphs.filter(|text| rules(text).is_empty());
    nameless.map(|text| format!("src/manual/format.md: a MUST without a name: {text}")).collect()
}

pub(super) fn rules(manual: &str) -> Vec<&str> {
    let inside = |(at, _): (usize, &str)| manual[at + OPEN.len()..].split_once(CLOSE).map(|(id, _)| id);
    manual.match_indices(OPEN).filter_map(inside).filter(|id| is_id(id.trim_end_matches('*'))).collect()
}

fn citations(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices(CITE) {
            let list = line[at + CITE.len()..].split(',').map(str::trim_start);
            for entry in list {
                let end = entry.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(entry.len());
                // The first entry that is no rule ends the list: what follows is prose.
                if !is_id(&entry[..end]) {
                    break;
                }
                found.push((number + 1, &entry[..end]));
            }
        }
    }
    found
}

/// Capital letters, a hyphen, a number.
fn is_id(id: &str) -> bool {
    id.split_once('-').is_some_and(|(letters, digits)| {
        let capital = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_uppercase());
        capital(letters) && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

#[test]
fn planted_gaps_between_manual_and_code_are_found() {
    let manual = "**[C-1]** A writer MUST. **[C-2]** MUST. **[C-3]** **[W-4*]** later. **[C-1]**, see [C-9].\n\nIt MUST.";
    let code = Source::new(
        "src/a.rs",
        "// fmt: C-1, C-7, and so on\nfn f(fmt: &str) {} /* fmt: W-4 */ // fmt: C-3: why\n",
    );
    let found = violations(manual, &[code]);
    assert_eq!(
        found,
        [
            "src/manual/format.md: a MUST without a name: It MUST.",
            "src/manual/format.md: rule C-1 is defined twice",
            "src/a.rs:1: cites C-7, which src/manual/format.md does not have",
            "src/manual/format.md: rule C-2 is cited nowhere in src/",
        ]
    );
}
