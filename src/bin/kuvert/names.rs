//! How foreign text and paths are shown: nothing in a file may steer a terminal.

use std::path::Path;

use kuvert::Recipient;

/// The text with everything escaped that is not shown as itself.
// fmt: T-11
pub(crate) fn shown(text: &str) -> String {
    text.chars().flat_map(|c| if is_visible(c) { vec![c] } else { c.escape_unicode().collect() }).collect()
}

/// A path, shown.
pub(crate) fn path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// A recipient as it claims to be: its type and id, or those of the keys that it needs.
pub(crate) fn recipient(recipient: &Recipient) -> String {
    let id = shown(&recipient.id_lossy());
    let shares = recipient.claimed_shares();
    match recipient.pending_for() {
        Some(wanted) => format!("pending: wanted {wanted} \"{id}\""),
        None if shares.is_empty() => format!("{} \"{id}\"", recipient.recipient_type()),
        None => {
            let shares: Vec<_> = shares.iter().map(self::recipient).collect();
            format!("{} {}", recipient.recipient_type(), shares.join(" and "))
        }
    }
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
