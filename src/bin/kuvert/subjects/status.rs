//! `kuvert subjects status`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kuvert::SubjectError;
use kuvert::keystore::{EpochState, KeyStore};
use kuvert::subjects::{Anchor as _, FileAnchor};
use serde_json::{Value, json};

use super::census::{Census, EpochCount, class_name, recipients, state_name, wrapped_by};
use super::note::Note;
use super::store::{anchor_path, existing, wait};
use super::{Done, failure, good, hex, line};
use crate::args::StatusArguments;
use crate::failure::Failure;
use crate::{names, times};

// fmt: T-32
pub(super) fn run(arguments: &StatusArguments) -> Result<Done, Failure> {
    let path = &arguments.store.path;
    let name = names::path(path);
    let store = existing(path)?;
    let census = wait(Census::of(&store))?.map_err(|error| failure::of_store(&error, &name))?;
    let census = census.ok_or_else(|| failure::of(&SubjectError::NotInitialised, &name, ""))?;
    let anchor = match anchor_path(&arguments.store) {
        None => Anchored::NotGiven,
        Some(path) => {
            wait(Anchored::of(&path, &store, &census))?.map_err(|error| failure::of(&error, &name, ""))?
        }
    };
    let note = Note::read(path, census.store);
    let text = text(&name, &census, &anchor, note.as_ref()).join("\n");
    let mut json = good(as_json(&census, &anchor, note.as_ref()));
    json["file"] = json!(path.to_string_lossy());
    Ok(Done { text, json: vec![json], ..Done::default() })
}

/// How store and anchor stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchored {
    NotGiven,
    Missing,
    InStep,
    /// The anchor lacks so many tombstones.
    AnchorBehind(u64),
    /// The store lacks so many.
    StoreBehind(u64),
    OtherStore,
    Diverged(u64),
}

impl Anchored {
    async fn of(path: &Path, store: &Arc<dyn KeyStore>, census: &Census) -> Result<Self, SubjectError> {
        if !path.exists() {
            return Ok(Self::Missing);
        }
        let anchor = FileAnchor::new(path);
        let head = anchor.head().await?;
        if head.store.is_some() && head.store != census.store {
            return Ok(Self::OtherStore);
        }
        let mut after = 0;
        while after < head.tombstones.min(census.tombstones) {
            let ours = store.tombstones(after, PAGE).await?;
            let theirs = anchor.tombstones(after, PAGE).await?;
            let differs = ours.iter().zip(&theirs).position(|(ours, theirs)| ours.bytes != *theirs);
            let both = ours.len().min(theirs.len()) as u64;
            match differs {
                Some(place) => return Ok(Self::Diverged(after + place as u64 + 1)),
                None if both == 0 => break,
                None => after += both,
            }
        }
        Ok(match (census.tombstones, head.tombstones) {
            (ours, theirs) if ours > theirs => Self::AnchorBehind(ours - theirs),
            (ours, theirs) if ours < theirs => Self::StoreBehind(theirs - ours),
            _ => Self::InStep,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::NotGiven => "not-given",
            Self::Missing => "missing",
            Self::InStep => "in-step",
            Self::AnchorBehind(_) => "anchor-behind",
            Self::StoreBehind(_) => "store-behind",
            Self::OtherStore => "other-store",
            Self::Diverged(_) => "diverged",
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::NotGiven => "not given: whether an erasure is missing here was not looked at".to_owned(),
            Self::Missing => "there is no such file: is the path right, and is its disk there?".to_owned(),
            Self::InStep => "in step".to_owned(),
            Self::AnchorBehind(by) => {
                format!("lacks {by} of the tombstones; the next call with -k and --anchor adds them")
            }
            Self::StoreBehind(by) => {
                format!(
                    "the store is behind by {by}: an older copy; the next call with -k and --anchor erases them again"
                )
            }
            Self::OtherStore => "belongs to another key store: nothing opens this one with it".to_owned(),
            Self::Diverged(at) => {
                format!("contradicts the store at tombstone {at}: keep both, and find out why")
            }
        }
    }
}

fn text(name: &str, census: &Census, anchor: &Anchored, note: Option<&Note>) -> Vec<String> {
    let store = census.store.map_or_else(|| "with a damaged root".to_owned(), hex);
    let mut lines = vec![
        format!("{name}: key store {store}, as it says of itself; nothing of it was verified"),
        line("change", &census.change.to_string()),
        line("subjects", &format!("{}, with {} keys", census.subjects, census.keys)),
    ];
    for (title, count) in
        [("joint", census.joints), ("on hold", census.holds), ("erased names", census.graves)]
    {
        lines.extend((count > 0).then(|| line(title, &count.to_string())));
    }
    lines.push(line("tombstones", &census.tombstones.to_string()));
    lines.push(line("anchor", &anchor.in_words()));
    lines.push(line("last backup", &backed_up(census, note)));
    lines.extend(census.epochs.iter().flat_map(epoch_text));
    lines
}

fn backed_up(census: &Census, note: Option<&Note>) -> String {
    let Some(note) = note else {
        return "none that is known here: see 'kuvert subjects backup --help'".to_owned();
    };
    let behind = match census.change.saturating_sub(note.change) {
        0 => "nothing changed since".to_owned(),
        behind => format!("{behind} changes ago"),
    };
    format!("verified {}, {behind}: {}", times::utc(note.verified), names::shown(&note.file))
}

fn epoch_text(epoch: &EpochCount) -> Vec<String> {
    let row = &epoch.row;
    let (class, state, keys) = (class_name(row.class), state_name(row.state), epoch.keys);
    let by = wrapped_by(&row.envelope);
    let opened = times::utc(row.opened);
    let mut lines = vec![
        line(
            "epoch",
            &format!("{} of {class}: {state}, {keys} keys, {} old", hex(row.reference), age(row.opened)),
        ),
        line("", &format!("opened {opened}, wrapped by {by}")),
    ];
    lines.extend(match row.state {
        EpochState::Open if keys > 0 => {
            Some(line("", &format!("a roll moves {keys} keys, and {by} may be destroyed after it")))
        }
        EpochState::Open => None,
        EpochState::Closed => {
            Some(line("", "a roll was interrupted: run 'kuvert subjects roll' again to finish it"))
        }
        _ => Some(line("", "only older copies of the store need it: 'roll --destroy' ends them")),
    });
    lines
}

fn age(opened: u64) -> String {
    times::roughly(Duration::from_secs(times::unix(SystemTime::now()).saturating_sub(opened)))
}

fn as_json(census: &Census, anchor: &Anchored, note: Option<&Note>) -> Value {
    let (lacks, number) = match *anchor {
        Anchored::AnchorBehind(by) | Anchored::StoreBehind(by) => (Some(by), None),
        Anchored::Diverged(at) => (None, Some(at)),
        _ => (None, None),
    };
    let last_backup = note.map(|note| {
        json!({ "verified": note.verified, "change": note.change, "file": note.file,
                "behind_by": census.change.saturating_sub(note.change) })
    });
    json!({
        "store": census.store.map(hex), "change": census.change, "subjects": census.subjects,
        "keys": census.keys, "joints": census.joints, "holds": census.holds, "erased_names": census.graves,
        "tombstones": census.tombstones, "receipts": census.receipts,
        "anchor": { "state": anchor.name(), "by": lacks, "number": number },
        "last_backup": last_backup,
        "epochs": census.epochs.iter().map(epoch_json).collect::<Vec<_>>(),
    })
}

fn epoch_json(epoch: &EpochCount) -> Value {
    let row = &epoch.row;
    let key = |recipient: &kuvert::Recipient| {
        let kind = recipient.recipient_type();
        json!({ "type": kind.0, "type_name": kind.name(), "id": recipient.id_lossy() })
    };
    let now = times::unix(SystemTime::now());
    json!({
        "reference": hex(row.reference), "class": class_name(row.class), "state": state_name(row.state),
        "opened": row.opened, "closed": row.closed, "age_seconds": now.saturating_sub(row.opened),
        "keys": epoch.keys, "wrapped_by": recipients(&row.envelope).iter().map(key).collect::<Vec<_>>(),
    })
}

/// Tombstones that are compared at a time.
const PAGE: usize = 1024;
