//! What a file claims, for people.

use std::path::Path;

use kuvert::{ClaimedSlot, Kind};

use super::Claims;
use crate::{names, side_copy};

/// The lines about one file; with an empty line before them, if others stand above.
pub(super) fn of(file: &Path, claims: &Claims, is_after_others: bool) -> String {
    let header = claims.header();
    let mut lines = Vec::new();
    if is_after_others {
        lines.push(String::new());
    }
    lines.push(names::path(file));
    // fmt: T-10
    lines.push("  all of this is claimed by the file, and not verified".to_owned());
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<10} {value}"));
    let (kind, version, suite) =
        (header.claimed_kind().name(), header.claimed_version(), header.claimed_suite());
    line("format", format!("kuvert {kind}, version {version}, suite {suite}"));
    line(
        "layout",
        format!("{}, header {} bytes", header.claimed_layout().name(), header.claimed_header_len()),
    );
    if let Some(len) = claims.message_len {
        line("file", format!("{len} bytes"));
    }
    match (claims.message_len, claims.plaintext_len()) {
        (_, Some(len)) => line("plaintext", format!("{len} bytes, if the file is whole")),
        (Some(_), None) if header.claimed_kind() == Kind::Message => {
            line("plaintext", "none: the file is cut off, its length is impossible".to_owned());
        }
        _ => {}
    }
    let pairs = header.claimed_context();
    line("context", format!("{} stored", names::counted(pairs.len(), "pair")));
    lines.extend(pairs.map(|(name, value)| format!("    {} = {}", names::shown(name), names::shown(value))));
    for (slot, letter) in header.claimed_slots().zip(["A", "B"]) {
        slot_lines(slot, letter, &mut lines);
    }
    if claims.is_degraded() {
        lines.push(
            "  note       one slot is damaged: 'kuvert rewrap -k KEY --to KEY FILE' mends it".to_owned(),
        );
    }
    if claims.is_unfinished() {
        lines.push(
            "  note       both slots are filled: a rewrap runs or was interrupted; the same 'kuvert rewrap' ends it"
                .to_owned(),
        );
    }
    if let Some(copy) = side_copy::beside(file) {
        lines.push(format!("  beside it  {}, the header as it was before a rewrap", names::path(&copy)));
    }
    lines.join("\n")
}

fn slot_lines(slot: ClaimedSlot<'_>, letter: &str, lines: &mut Vec<String>) {
    let title = format!("  slot {letter:<5}");
    match slot {
        ClaimedSlot::Filled { generation, recipients } => {
            let recipients_text = names::counted(recipients.len(), "recipient");
            lines.push(format!("{title} generation {generation}, {recipients_text}"));
            lines.extend(recipients.iter().map(|recipient| format!("    {}", names::recipient(recipient))));
        }
        ClaimedSlot::Bad { reason } => lines.push(format!("{title} damaged: {reason}")),
        _ => lines.push(format!("{title} empty")),
    }
}
