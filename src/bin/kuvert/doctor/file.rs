//! The file in question: what its header claims, whom it names of those who were given, and whether it opens.

use std::path::{Path, PathBuf};

use kuvert::io::OpenReport;
use kuvert::provider::arn::KeyArn;
use kuvert::{ClaimedSlot, Recipient, RecipientType};

use super::key::KeyFinding;
use super::personal::{self, Suspicion};
use super::place::Place;
use crate::args::DoctorArguments;
use crate::failure::Failure;
use crate::inspect::{self, Claims};
use crate::keys;
use crate::open::Reading;

pub(super) struct FileFinding {
    pub(super) path: PathBuf,
    /// `None` where it cannot be told what it claims.
    pub(super) claimed: Option<Claimed>,
    /// Its header, verified.
    pub(super) opened: Result<OpenReport, Failure>,
}

/// What the header says, and nobody has verified.
pub(super) struct Claimed {
    pub(super) recipients: Vec<Named>,
    pub(super) pairs: usize,
    /// Names of pairs that look personal; `None` where the name itself does.
    pub(super) personal: Vec<(Option<String>, Suspicion)>,
    pub(super) is_degraded: bool,
    pub(super) is_unfinished: bool,
}

/// A recipient of the file.
pub(super) struct Named {
    pub(super) recipient: Recipient,
    pub(super) state: State,
    /// Where its keys are, as far as their names say.
    pub(super) places: Vec<Place>,
    /// Whether all of its keys have a place.
    pub(super) is_placed: bool,
}

/// What a recipient is to whoever asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Given,
    NotGiven,
    /// Given, and these pairs may not be told to KMS.
    Untold(Vec<String>),
    /// It waits for its key, and opens nothing.
    Pending,
}

impl FileFinding {
    pub(super) fn of(file: &Path, arguments: &DoctorArguments, given: &[KeyFinding]) -> Self {
        let header = arguments.header.as_deref();
        let claimed = inspect::read(header.unwrap_or(file)).ok();
        Self {
            path: file.to_owned(),
            claimed: claimed.map(|claims| Claimed::of(&claims, arguments, given)),
            opened: open(file, arguments),
        }
    }
}

/// As `open` begins. The chunks, which come next, are not read.
fn open(file: &Path, arguments: &DoctorArguments) -> Result<OpenReport, Failure> {
    let reading = Reading::new(&arguments.keys, &arguments.context)?;
    let message = reading.open(Some(file), arguments.header.as_deref())?;
    Ok(message.opener.report())
}

impl Claimed {
    fn of(claims: &Claims, arguments: &DoctorArguments, given: &[KeyFinding]) -> Self {
        let mut recipients: Vec<Recipient> = Vec::new();
        for slot in claims.header().claimed_slots() {
            let ClaimedSlot::Filled { recipients: own, .. } = slot else { continue };
            let is_new = |recipient: &&Recipient| !recipients.iter().any(|known| is_same(known, recipient));
            let new: Vec<Recipient> = own.iter().filter(is_new).cloned().collect();
            recipients.extend(new);
        }
        let pairs = claims.header().claimed_context();
        Self {
            recipients: recipients
                .into_iter()
                .map(|recipient| Named::of(recipient, arguments, given))
                .collect(),
            pairs: pairs.len(),
            personal: pairs.filter_map(|(name, value)| suspect(name, value)).collect(),
            is_degraded: claims.is_degraded(),
            is_unfinished: claims.is_unfinished(),
        }
    }

    /// All regions that are named, in order.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> =
            self.recipients.iter().flat_map(|named| named.places.iter().cloned()).collect();
        places.sort();
        places.dedup();
        places
    }
}

fn suspect(name: &str, value: &str) -> Option<(Option<String>, Suspicion)> {
    // fmt: T-19
    match personal::of_text(name) {
        Some(suspicion) => Some((None, suspicion)),
        None => personal::suspicion(name, value).map(|suspicion| (Some(name.to_owned()), suspicion)),
    }
}

impl Named {
    fn of(recipient: Recipient, arguments: &DoctorArguments, given: &[KeyFinding]) -> Self {
        let shares = recipient.claimed_shares();
        let keys = if shares.is_empty() { std::slice::from_ref(&recipient) } else { &shares };
        let places: Vec<Place> = keys.iter().filter_map(|key| Place::of(&key.id_lossy())).collect();
        Self {
            state: state(&recipient, &shares, arguments, given),
            is_placed: places.len() == keys.len(),
            places,
            recipient,
        }
    }
}

fn state(
    recipient: &Recipient,
    shares: &[Recipient],
    arguments: &DoctorArguments,
    given: &[KeyFinding],
) -> State {
    if recipient.pending_for().is_some() {
        return State::Pending;
    }
    let is_all_of = recipient.recipient_type() == RecipientType::ALL_OF;
    let is_given = if is_all_of {
        arguments.keys.all_of && shares.len() == given.len() && shares.iter().all(|share| holds(given, share))
    } else {
        !arguments.keys.all_of && holds(given, recipient)
    };
    let told = if is_all_of { shares } else { std::slice::from_ref(recipient) };
    let mut untold: Vec<String> = told.iter().flat_map(keys::kms_names).collect();
    untold.retain(|name| !arguments.keys.kms_context.contains(name));
    match (is_given, untold.is_empty()) {
        (false, _) => State::NotGiven,
        (true, true) => State::Given,
        (true, false) => State::Untold(untold),
    }
}

/// Whether one of the keys that were given is the recipient's, or a copy of it in another region.
fn holds(given: &[KeyFinding], recipient: &Recipient) -> bool {
    let id = recipient.id_lossy();
    given.iter().flat_map(|key| &key.keys).any(|key| {
        key.recipient_type == recipient.recipient_type() && (key.id == id || are_copies(&key.id, &id))
    })
}

fn are_copies(one: &str, other: &str) -> bool {
    let (Ok(one), Ok(other)) = (KeyArn::parse(one), KeyArn::parse(other)) else { return false };
    let parts = |arn: &KeyArn| [arn.partition(), arn.account(), arn.key_id()].map(str::to_owned);
    one.is_multi_region() && parts(&one) == parts(&other)
}

/// Whether two slots name the same one.
fn is_same(one: &Recipient, other: &Recipient) -> bool {
    let names = |recipient: &Recipient| {
        let shares = recipient.claimed_shares();
        let shares: Vec<_> =
            shares.iter().map(|share| (share.recipient_type(), share.id().to_vec())).collect();
        (recipient.recipient_type(), recipient.id().to_vec(), recipient.params().to_vec(), shares)
    };
    names(one) == names(other)
}
