//! The findings, for programs. The fields are described in the operations manual.

use kuvert::Recipient;
use kuvert::io::OpenReport;
use kuvert::provider::KeyInfo;
use serde_json::{Value, json};

use super::Findings;
use super::file::{Claimed, FileFinding, Named, State};
use super::key::KeyFinding;
use super::place::Place;
use crate::failure::Failure;

pub(super) fn of(findings: &Findings) -> Value {
    let failure = findings.failure();
    json!({
        "can_open": failure.is_none(),
        "status": failure.map_or(0, Failure::exit_status),
        "keys": findings.keys.iter().map(key).collect::<Vec<_>>(),
        "file": findings.file.as_ref().map(file),
    })
}

fn key(finding: &KeyFinding) -> Value {
    json!({
        "key": finding.name,
        "ids": finding.keys.iter().map(id).collect::<Vec<_>>(),
        "opens": answer(&finding.opens),
        "seals": answer(&finding.seals),
        "problems": finding.problems,
    })
}

fn id(key: &KeyInfo) -> Value {
    let kind = key.recipient_type;
    json!({
        "type": kind.0, "type_name": kind.name(), "id": key.id,
        "place": Place::of(&key.id).as_ref().map(place),
    })
}

fn place(place: &Place) -> Value {
    json!({ "region": place.region, "eu": place.is_in_eu, "multi_region": place.is_multi_region })
}

fn answer(answer: &Result<(), Failure>) -> Value {
    match answer {
        Ok(()) => json!({ "ok": true, "status": 0 }),
        Err(failure) => json!({
            "ok": false,
            "status": failure.exit_status(),
            "category": failure.category().name(),
            "message": failure.lines(),
        }),
    }
}

fn file(finding: &FileFinding) -> Value {
    json!({
        "file": finding.path.to_string_lossy(),
        "claimed": finding.claimed.as_ref().map(claimed),
        "opens": answer(&finding.opened.as_ref().map(|_| ()).map_err(copy)),
        "verified": finding.opened.as_ref().ok().map(verified),
    })
}

fn copy(failure: &Failure) -> Failure {
    Failure::new(failure.category(), failure.lines())
}

fn verified(report: &OpenReport) -> Value {
    let kind = report.opened_by.recipient_type;
    json!({
        "opened_by": { "type": kind.0, "type_name": kind.name(), "id": report.opened_by.id },
        "generation": report.generation,
        "degraded": report.degraded,
        "unfinished_rewrap": report.unfinished_rewrap,
    })
}

fn claimed(claimed: &Claimed) -> Value {
    let places = claimed.places();
    let personal = |(name, suspicion): &(Option<String>, super::personal::Suspicion)| json!({ "name": name, "why": suspicion.describe() });
    json!({
        "recipients": claimed.recipients.iter().map(recipient).collect::<Vec<_>>(),
        "places": places.iter().map(place).collect::<Vec<_>>(),
        "all_in_eu": claimed.recipients.iter().all(|named| named.is_placed) && places.iter().all(|place| place.is_in_eu),
        "stored_pairs": claimed.pairs,
        "personal_data": claimed.personal.iter().map(personal).collect::<Vec<_>>(),
        "degraded": claimed.is_degraded,
        "unfinished_rewrap": claimed.is_unfinished,
    })
}

fn recipient(named: &Named) -> Value {
    let mut object = name(&named.recipient);
    let state = match named.state {
        State::Given => "given",
        State::NotGiven => "not-given",
        State::Untold(_) => "kms-context-missing",
        State::Pending => "pending",
    };
    object["state"] = state.into();
    object["shares"] = named.recipient.claimed_shares().iter().map(name).collect();
    object["places"] = named.places.iter().map(place).collect();
    object
}

fn name(recipient: &Recipient) -> Value {
    json!({
        "type": recipient.recipient_type().0,
        "type_name": recipient.recipient_type().name(),
        "id": recipient.id_lossy(),
        "pending_for": recipient.pending_for().map(|wanted| wanted.0),
    })
}
