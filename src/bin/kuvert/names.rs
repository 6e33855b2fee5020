//! How foreign text and paths are shown: nothing in a file may steer a terminal.

use std::path::Path;

/// The text with everything escaped that is not shown as itself.
// fmt: T-11
pub(crate) fn shown(text: &str) -> String {
    text.chars().flat_map(|c| if is_visible(c) { vec![c] } else { c.escape_unicode().collect() }).collect()
}

/// A path, shown.
pub(crate) fn path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// Control characters, and those that change the order or the look of what stands around them.
fn is_visible(c: char) -> bool {
    let is_format = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !c.is_control() && !is_format
}

/// `1 file`, `2 files`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
