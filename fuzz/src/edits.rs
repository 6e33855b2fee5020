//! Edits that know nothing of the format: what disks, networks and attackers do to bytes.

use super::input::Input;

/// Edits `bytes` once. `others` is where foreign bytes are taken from; `anchors` are places worth editing near.
pub fn apply(bytes: &mut Vec<u8>, input: &mut Input<'_>, others: &[&[u8]], anchors: &[usize]) {
    let what = input.u8();
    let at = place(bytes, input, anchors);
    match what % 10 {
        0 if !bytes.is_empty() => {
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1 << (input.u8() % 8);
        }
        1 => {
            let with = input.bytes(usize::from(what >> 4) + 1);
            let end = (at + with.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&with[..end - at]);
        }
        2 => bytes.truncate(at),
        3 => {
            let end = (at + 1 + length(what, input)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => {
            let new = input.short_bytes().iter().copied();
            bytes.splice(at..at, new).for_each(drop);
        }
        5 => bytes.extend_from_slice(input.short_bytes()),
        6 => {
            let end = (at + length(what, input)).min(bytes.len());
            let copied = bytes[at..end].to_vec();
            let to = place(bytes, input, anchors);
            bytes.splice(to..to, copied).for_each(drop);
        }
        7 | 8 if !others.is_empty() => {
            let other = others[input.below(others.len())];
            let from = place(other, input, anchors);
            let taken = &other[from..(from + length(what, input)).min(other.len())];
            let replaced = if what % 10 == 7 { taken.len() } else { 0 };
            let end = (at + replaced).min(bytes.len());
            bytes.splice(at..end, taken.iter().copied()).for_each(drop);
        }
        _ => {
            let end = (at + length(what, input)).min(bytes.len());
            bytes[at..end].fill(0);
        }
    }
}

/// A place within `bytes`, its end included: anywhere, or near an anchor.
fn place(bytes: &[u8], input: &mut Input<'_>, anchors: &[usize]) -> usize {
    let near = usize::from(input.u8());
    let by = input.i16();
    let at = match near.checked_rem(anchors.len() + 1) {
        Some(index) if index > 0 => anchors[index - 1].saturating_add_signed(by.into()),
        _ => by.unsigned_abs().into(),
    };
    at.min(bytes.len())
}

/// Short or, for half of all edits, as long as it goes.
fn length(what: u8, input: &mut Input<'_>) -> usize {
    if what & 0x80 == 0 { input.u8().into() } else { usize::from(input.u16()) * 2 }
}
