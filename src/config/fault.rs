//! What is wrong with a configuration: every fault with the place where it stands, and all of them as one error.
//!
//! Faults are shown to whoever runs the service, so that nothing of a key may stand in them, also not where somebody
//! has put one by mistake. Page [configuration](crate::manual::configuration).

use std::{error::Error, fmt};

use crate::error::Category;

/// One thing that is wrong with a configuration: where it stands, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigFault {
    path: String,
    problem: String,
}

impl ConfigFault {
    pub(super) fn new(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { path: without_keys(path.into()), problem: without_keys(problem.to_string()) }
    }

    /// Where it stands, from the table that holds the configuration: `providers.both.members[1]`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong there, and the remedy.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Everything that is wrong with a configuration. Displayed, it is one fault a line.
#[derive(Debug)]
pub struct ConfigError {
    faults: Vec<ConfigFault>,
}

impl ConfigError {
    pub(super) fn new(faults: Vec<ConfigFault>) -> Self {
        Self { faults: sorted(faults) }
    }

    /// The faults, at least one, in the order of their places.
    #[must_use]
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }

    /// [`Category::Usage`]: it will not work until somebody changes the configuration, or what it names.
    #[must_use]
    pub const fn category(&self) -> Category {
        Category::Usage
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl Error for ConfigError {}

/// In the order of their places, each told once.
pub(super) fn sorted(mut faults: Vec<ConfigFault>) -> Vec<ConfigFault> {
    faults.sort();
    faults.dedup();
    faults
}

/// Whether a text looks like a line of a key file.
pub(super) fn holds_key(text: &str) -> bool {
    text.contains(KEY_LINE)
}

/// What a fault shows of a text that anybody may have written.
pub(super) fn shown(text: &str) -> String {
    let cut = if text.chars().nth(SHOWN).is_some() { "..." } else { "" };
    text.chars().take(SHOWN).flat_map(char::escape_debug).chain(cut.chars()).collect()
}

/// A key or a provider's name as a part of a place: in quotes where a file would have it in quotes.
pub(super) fn step(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.bytes().all(is_bare) { shown(key) } else { format!("\"{}\"", shown(key)) }
}

/// The text with everything that follows the beginning of a key line left out, up to the next quote.
fn without_keys(text: String) -> String {
    if !holds_key(&text) {
        return text;
    }
    let mut rest = text.as_str();
    let mut clean = String::new();
    while let Some(at) = rest.find(KEY_LINE) {
        clean.push_str(&rest[..at]);
        clean.push_str("(a key, not shown)");
        let after = &rest[at..];
        rest = &after[after.find(['"', '`']).unwrap_or(after.len())..];
    }
    clean + rest
}

/// How every line of a key file that holds a key begins.
const KEY_LINE: &str = "kuvert-key-v";
/// Characters.
const SHOWN: usize = 120;
