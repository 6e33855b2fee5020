//! What a file claims, for programs. The fields are described in the operations manual.

use std::path::Path;

use kuvert::{ClaimedSlot, Recipient};
use serde_json::{Value, json};

use super::Claims;
use crate::failure::Failure;
use crate::side_copy;

/// One object about one file.
pub(super) fn of(file: &Path, claims: &Result<Claims, Failure>) -> Value {
    let copy = side_copy::beside(file).map(|copy| copy.to_string_lossy().into_owned());
    let file = file.to_string_lossy();
    match claims {
        // fmt: T-10
        Ok(claims) => {
            json!({ "file": file, "verified": false, "side_copy": copy, "claimed": claimed(claims) })
        }
        Err(failure) => {
            json!({ "file": file, "verified": false, "side_copy": copy, "error": error(failure) })
        }
    }
}

/// Why a file could not be inspected.
pub(super) fn error(failure: &Failure) -> Value {
    json!({
        "status": failure.exit_status(),
        "category": failure.category().name(),
        "message": failure.message(),
    })
}

fn claimed(claims: &Claims) -> Value {
    let header = claims.header();
    let context: serde_json::Map<String, Value> =
        header.claimed_context().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({
        "kind": header.claimed_kind().name(),
        "version": header.claimed_version(),
        "suite": header.claimed_suite(),
        "layout": header.claimed_layout().name(),
        "header_bytes": header.claimed_header_len(),
        "message_bytes": claims.message_len,
        "plaintext_bytes": claims.plaintext_len(),
        "context": context,
        "degraded": claims.is_degraded(),
        "unfinished_rewrap": claims.is_unfinished(),
        "slots": header.claimed_slots().map(slot).collect::<Vec<_>>(),
    })
}

fn slot(slot: ClaimedSlot<'_>) -> Value {
    match slot {
        ClaimedSlot::Filled { generation, recipients } => json!({
            "state": "filled",
            "generation": generation,
            "recipients": recipients.iter().map(recipient).collect::<Vec<_>>(),
        }),
        ClaimedSlot::Bad { reason } => json!({ "state": "bad", "reason": reason }),
        _ => json!({ "state": "empty" }),
    }
}

fn recipient(recipient: &Recipient) -> Value {
    json!({
        "type": recipient.recipient_type().0,
        "type_name": recipient.recipient_type().name(),
        "id": recipient.id_lossy(),
        "pending_for": recipient.pending_for().map(|wanted| wanted.0),
        "params_bytes": recipient.params().len(),
        "wrap_bytes": recipient.wrap().len(),
    })
}
