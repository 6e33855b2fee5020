//! Erasing data subjects: tombstones first, then the anchor, the rows, the caches, the receipts.
//!
//! Floor 6. Every step may be repeated, and `reconcile.rs` finishes what a crash left. Section "Tombstones and receipts"
//! of the [format](crate::manual::format); page on [erasure](crate::manual::erasure).

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    fmt,
};

use super::{
    Scope, Subject,
    events::Telling,
    receipt::{ATTEMPTS, Receipt, ReceiptState, Slip, Slips},
    shared::Shared,
    tombstones::{Chain, Head},
};
use crate::{
    error::{KeyStoreError, KeyStoreErrorKind, RecordError, SubjectError},
    format::tombstone::{Link, mac_of},
    keystore::{Burial, Buried, Found, Joint, JointEnds, Pseudonym, Tombstone},
    limits::MAX_SUBJECT_NAME_LEN,
    observe::Operation,
};

/// Why a data subject is erased, and by which request.
///
/// Made from the reference of a request, such as `"2026-118"`; the reason is then the request of the person.
#[derive(Clone)]
pub struct ErasureRequest<'a> {
    reference: Cow<'a, str>,
    reason: ErasureReason,
}

impl<'a> ErasureRequest<'a> {
    /// The request of this reference. It should be one of each person's own: a repeated call finds its tombstones by it.
    ///
    /// # Security
    ///
    /// It is hashed under the root, and stored nowhere else.
    pub fn new(reference: impl Into<Cow<'a, str>>) -> Self {
        Self { reference: reference.into(), reason: ErasureReason::Request }
    }

    /// Says why, for the tombstone.
    #[must_use]
    pub const fn with_reason(mut self, reason: ErasureReason) -> Self {
        self.reason = reason;
        self
    }
}

impl<'a> From<&'a str> for ErasureRequest<'a> {
    fn from(reference: &'a str) -> Self {
        Self::new(reference)
    }
}

impl From<String> for ErasureRequest<'_> {
    fn from(reference: String) -> Self {
        Self::new(reference)
    }
}

impl fmt::Debug for ErasureRequest<'_> {
    /// Without the reference, which may be somebody's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasureRequest").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// Why a data subject is erased: the reason that its tombstones carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum ErasureReason {
    /// The person asked for it.
    Request = 1,
    /// The time to keep the data is over.
    Expiry = 2,
    /// Consent was withdrawn.
    ConsentWithdrawn = 3,
    /// The person objected.
    Objection = 4,
    /// Another reason.
    Other = 5,
}

impl ErasureReason {
    /// The reason that a tombstone says, where it is one that this release knows.
    pub(crate) const fn of(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Request),
            2 => Some(Self::Expiry),
            3 => Some(Self::ConsentWithdrawn),
            4 => Some(Self::Objection),
            5 => Some(Self::Other),
            _ => None,
        }
    }
}

impl Scope {
    /// Erases a data subject: from the moment this returns, nothing that was sealed for it opens through this process, and through
    /// others no later than the receipt's [`unusable`](Receipt::unusable).
    ///
    /// All versions of its key go, the person's [credentials](Self::credentials) with the person, and each joint key that ends with
    /// this member. The name is refused from then on, unless [a new person bears it](Subject::of_new_person). Repeated,
    /// it changes nothing more and gives what is known by then.
    ///
    /// # Errors
    ///
    /// [`SubjectError::OnHold`] if somebody who would be erased is on [hold](Self::hold), and nothing is changed;
    /// [`RecordError::Denied`] in [`SubjectError::Key`] by the authorizer; what the key store or the anchor failed with:
    /// call again, with the same request.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the data subject as it was or erased. What is then left to do, the next call does, or the next
    /// [`Subjects::open`](super::Subjects::open).
    pub async fn erase<'r>(
        &self,
        subject: &Subject<'_>,
        request: impl Into<ErasureRequest<'r>>,
    ) -> Result<Receipt, SubjectError> {
        let request = request.into();
        let mut receipts = self.erase_many(std::slice::from_ref(subject), request).await?;
        receipts.pop().unwrap_or(Err(SubjectError::Usage("there is nobody to erase")))
    }

    /// Erases many data subjects, with one burial for some hundreds of them. A receipt each, in this order; one who is on
    /// hold, or whose name cannot be one, does not keep the others.
    ///
    /// # Errors
    ///
    /// What the key store or the anchor failed with. Some may be erased then: call again, with the same request.
    ///
    /// # Cancel safety
    ///
    /// As [`erase`](Self::erase).
    pub async fn erase_many<'r>(
        &self,
        subjects: &[Subject<'_>],
        request: impl Into<ErasureRequest<'r>>,
    ) -> Result<Vec<Result<Receipt, SubjectError>>, SubjectError> {
        let request = request.into();
        self.tag()?;
        if request.reference.is_empty() || request.reference.len() > MAX_SUBJECT_NAME_LEN {
            return Err(SubjectError::Usage("the reference of a request has 1 to 1024 bytes"));
        }
        let shared = self.shared();
        // fmt: J-9
        let hash = shared.root.request_hash(self.name(), &request.reference);
        let order = Order { request: hash, code: request.reason as u16 };
        let mut answers = Vec::with_capacity(subjects.len());
        for subjects in subjects.chunks(SUBJECTS_AT_ONCE) {
            let (mut named, mut tellings) = (Vec::with_capacity(subjects.len()), Vec::new());
            for subject in subjects {
                let mut telling = self.telling(Operation::Erase);
                named.push(self.named(subject, &mut telling).await);
                tellings.push(telling);
            }
            match shared.erase_all(named, order).await {
                Ok(erased) => {
                    let told = erased.into_iter().zip(tellings).map(|(answer, telling)| telling.end(answer));
                    answers.extend(told);
                }
                Err(error) => {
                    tellings.into_iter().for_each(|telling| telling.fail(&error));
                    return Err(error);
                }
            }
        }
        Ok(answers)
    }

    /// The names that an erasure of this data subject ends, if that may be.
    async fn named(&self, subject: &Subject<'_>, telling: &mut Telling<'_>) -> Result<Named, SubjectError> {
        self.check_own(subject)?;
        let named = subject.named()?;
        telling.subject = Some(named.pseudonym);
        self.authorize(Operation::Erase, telling.subject, None).await?;
        Ok(named)
    }
}

/// The names of a data subject.
pub(crate) struct Named {
    /// Its own.
    pub(crate) pseudonym: Pseudonym,
    /// What is erased together with it, such as a person's credentials.
    pub(crate) with_it: Option<Pseudonym>,
    /// Who must not be on hold beside these, such as the person whose credentials are erased alone.
    pub(crate) guards: Vec<Pseudonym>,
}

impl Named {
    fn names(&self) -> impl Iterator<Item = Pseudonym> {
        [self.pseudonym].into_iter().chain(self.with_it)
    }
}

/// What all tombstones of one call say.
#[derive(Clone, Copy)]
struct Order {
    request: [u8; 32],
    code: u16,
}

/// What a burial of some data subjects takes with it.
#[derive(Default)]
struct Taken {
    /// References to end, with the data subject (by its place) for whom.
    references: BTreeMap<u64, usize>,
    /// Names that become graves.
    names: BTreeSet<Pseudonym>,
    /// Who must not be on hold.
    guards: BTreeSet<Pseudonym>,
    /// Data subjects of which nothing is left but graves.
    gone: BTreeSet<usize>,
    /// All names whose keys have to leave the caches, also of those who were erased before: others may have done that.
    ended: BTreeSet<Pseudonym>,
}

impl Shared {
    async fn erase_all(
        &self,
        named: Vec<Result<Named, SubjectError>>,
        order: Order,
    ) -> Result<Vec<Result<Receipt, SubjectError>>, SubjectError> {
        let mut answers: Vec<Option<Result<Receipt, SubjectError>>> = Vec::new();
        let (mut wanted, mut first, mut again) = (BTreeMap::new(), HashMap::new(), Vec::new());
        for (place, named) in named.into_iter().enumerate() {
            match named {
                Ok(named) => {
                    answers.push(None);
                    match first.entry(named.pseudonym) {
                        Entry::Vacant(entry) => {
                            entry.insert(place);
                            wanted.insert(place, named);
                        }
                        Entry::Occupied(entry) => again.push((place, *entry.get())),
                    }
                }
                Err(error) => answers.push(Some(Err(error))),
            }
        }
        let (taken, tombstones) = self.bury_all(&mut wanted, &mut answers, order).await?;
        self.carry_out(&taken, &tombstones).await?;
        let earlier = if taken.gone.is_empty() { Vec::new() } else { self.of_request(&order).await? };
        let slips = self.slips_for(&tombstones, &earlier).await?;
        for place in wanted.into_keys() {
            let of_it = |link: &&Link| taken.references.get(&link.reference) == Some(&place);
            let own: Vec<Link> = tombstones.iter().filter(of_it).copied().collect();
            let was_erased = taken.gone.contains(&place);
            let links = if was_erased { &earlier } else { &own };
            answers[place] = Some(Ok(self.receipt(links, &slips, was_erased)));
        }
        for (place, first) in again {
            answers[place] = match &answers[first] {
                Some(Ok(receipt)) => Some(Ok(receipt.clone())),
                _ => Some(Err(SubjectError::OnHold)),
            };
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Makes the tombstones durable. Whoever is on hold is answered so, and left out.
    async fn bury_all(
        &self,
        wanted: &mut BTreeMap<usize, Named>,
        answers: &mut [Option<Result<Receipt, SubjectError>>],
        order: Order,
    ) -> Result<(Taken, Vec<Link>), SubjectError> {
        for _ in 0..ATTEMPTS {
            self.leave_out_held(wanted, answers).await?;
            let taken = self.take(wanted).await?;
            if taken.references.is_empty() && taken.names.is_empty() {
                return Ok((taken, Vec::new()));
            }
            let head = self.head_of(Chain::Tombstones).await?;
            let time = self.unix_seconds();
            let link = |reference| Link { reference, time, code: order.code, request: order.request };
            let links: Vec<Link> = taken.references.keys().copied().map(link).collect();
            let (tombstones, last) = self.chained(head, &links);
            let burial = Burial {
                after: head.number,
                tombstones,
                names: taken.names.iter().copied().collect(),
                unless_on_hold: taken.guards.iter().copied().collect(),
            };
            // fmt: J-3, J-11
            if self.store.bury(&burial).await? == Buried::Done {
                self.note_head(Chain::Tombstones, last);
                return Ok((taken, links));
            }
            // Somebody else buried, rotated, or put a hold on somebody meanwhile: look again.
        }
        Err(self.too_busy())
    }

    /// Tombstones for these links behind `head`, and what is then the head.
    pub(crate) fn chained(&self, mut head: Head, links: &[Link]) -> (Vec<Tombstone>, Head) {
        let mut tombstones = Vec::with_capacity(links.len());
        for link in links {
            let bytes = self.root.tombstones().append(&head.mac, link);
            head = Head { number: head.number + 1, mac: mac_of(&bytes) };
            tombstones.push(Tombstone { reference: link.reference, bytes });
        }
        (tombstones, head)
    }

    async fn leave_out_held(
        &self,
        wanted: &mut BTreeMap<usize, Named>,
        answers: &mut [Option<Result<Receipt, SubjectError>>],
    ) -> Result<(), SubjectError> {
        // Those who are on hold themselves first: what ends only together with them does not end.
        for with_joints in [false, true] {
            let ending: BTreeSet<Pseudonym> = wanted.values().flat_map(Named::names).collect();
            let mut held = Vec::new();
            for (place, named) in wanted.iter() {
                let ending = with_joints.then_some(&ending);
                if self.is_held(named, ending).await? {
                    held.push(*place);
                }
            }
            for place in held {
                wanted.remove(&place);
                answers[place] = Some(Err(SubjectError::OnHold));
            }
        }
        Ok(())
    }

    /// Whether a data subject is on hold, or somebody else whose joint key would end when all of `ending` are erased.
    async fn is_held(
        &self,
        named: &Named,
        ending: Option<&BTreeSet<Pseudonym>>,
    ) -> Result<bool, SubjectError> {
        let mut guarded: BTreeSet<Pseudonym> = named.names().chain(named.guards.iter().copied()).collect();
        if let Some(ending) = ending {
            for name in named.names() {
                for joint in self.store.joints(&name).await? {
                    if self.ends_now(&joint, ending).await? {
                        guarded.insert(joint.pseudonym);
                        guarded.extend(joint.members);
                    }
                }
            }
        }
        for name in guarded {
            if !self.store.holds(&name).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads what there is to be ended.
    async fn take(&self, wanted: &BTreeMap<usize, Named>) -> Result<Taken, SubjectError> {
        let mut taken = Taken::default();
        let ending: BTreeSet<Pseudonym> = wanted.values().flat_map(Named::names).collect();
        for (place, named) in wanted {
            let (mut rows, mut graves, mut names) = (0, 0, 0);
            for name in named.names() {
                names += 1;
                taken.ended.insert(name);
                graves += usize::from(self.is_grave(&name).await?);
                taken.names.insert(name);
                taken.guards.insert(name);
                rows += self.take_rows(&mut taken, &name, *place).await?;
                for joint in self.store.joints(&name).await? {
                    if self.ends_now(&joint, &ending).await? {
                        taken.ended.insert(joint.pseudonym);
                        rows += self.take_rows(&mut taken, &joint.pseudonym, *place).await?;
                        taken.guards.insert(joint.pseudonym);
                        taken.guards.extend(&joint.members);
                    }
                }
            }
            taken.guards.extend(&named.guards);
            if rows == 0 && graves == names {
                // Nothing is left to do for it but what a crash may have left.
                taken.gone.insert(*place);
                for name in named.names() {
                    taken.names.remove(&name);
                }
            }
        }
        Ok(taken)
    }

    async fn take_rows(
        &self,
        taken: &mut Taken,
        name: &Pseudonym,
        place: usize,
    ) -> Result<usize, SubjectError> {
        let rows = self.store.versions(name).await?;
        for row in &rows {
            taken.references.entry(row.reference).or_insert(place);
        }
        Ok(rows.len())
    }

    /// Whether a joint key ends when all of `ending` are erased.
    pub(super) async fn ends_now(
        &self,
        joint: &Joint,
        ending: &BTreeSet<Pseudonym>,
    ) -> Result<bool, SubjectError> {
        if joint.ends == JointEnds::WithTheFirst {
            return Ok(true);
        }
        let others: Vec<Pseudonym> =
            joint.members.iter().filter(|member| !ending.contains(*member)).copied().collect();
        if others.is_empty() {
            return Ok(true);
        }
        let found = self.store.find(&others).await?;
        Ok(found.iter().all(|found| matches!(found, Found::Erased)))
    }

    async fn is_grave(&self, name: &Pseudonym) -> Result<bool, SubjectError> {
        let found = self.store.find(std::slice::from_ref(name)).await?;
        Ok(matches!(found.first(), Some(Found::Erased)))
    }

    /// All that follows a burial: the anchor, the rows, the caches, the receipts.
    async fn carry_out(&self, taken: &Taken, tombstones: &[Link]) -> Result<(), SubjectError> {
        let references: Vec<u64> = taken.references.keys().copied().collect();
        let names: Vec<Pseudonym> = taken.ended.iter().copied().collect();
        self.evict(&references, &names);
        self.lift_anchor().await?;
        if !taken.gone.is_empty() {
            // Somebody's erasure was begun before this call; whether it was finished is not known. A row may be removed
            // of which a reader kept the bytes.
            self.store.remove(&[]).await?;
            self.finish().await?;
        }
        if references.is_empty() {
            return Ok(());
        }
        self.store.remove(&references).await?;
        // Once more: what was on its way into a cache when the tombstones came is there now.
        self.evict(&references, &names);
        let unusable = self.unusable_from();
        let requested = tombstones.iter().map(|link| Slip::of(link, ReceiptState::Requested, link.time));
        let gone = tombstones.iter().map(|link| Slip::of(link, ReceiptState::Unusable, unusable));
        self.write_slips(&requested.chain(gone).collect::<Vec<_>>()).await
    }

    /// Removes rows whose tombstones are there, and writes the receipts that are missing.
    pub(crate) async fn finish(&self) -> Result<(), SubjectError> {
        loop {
            let left = self.store.unremoved(super::tombstones::PAGE).await?;
            if left.is_empty() {
                break;
            }
            self.store.remove(&left).await?;
            self.evict(&left, &[]);
        }
        self.complete_receipts().await
    }

    /// The tombstones of a request that was made before.
    async fn of_request(&self, order: &Order) -> Result<Vec<Link>, SubjectError> {
        let mut links = Vec::new();
        let find = |_, link: &Link, _: &_| {
            if link.request == order.request {
                links.push(*link);
            }
            Ok(())
        };
        self.walk(Chain::Tombstones, Head::default(), find).await?;
        Ok(links)
    }

    /// What the receipts say about tombstones of now and of before.
    async fn slips_for(&self, new: &[Link], earlier: &[Link]) -> Result<Slips, SubjectError> {
        if !earlier.is_empty() {
            return self.slips().await;
        }
        let mut slips = Slips::default();
        let unusable = self.unusable_from();
        for link in new {
            slips.note(&Link { code: ReceiptState::Requested as u16, ..*link });
            slips.note(&Link { code: ReceiptState::Unusable as u16, time: unusable, ..*link });
        }
        Ok(slips)
    }

    /// That others change the store faster than this one can.
    pub(crate) fn too_busy(&self) -> SubjectError {
        let error = KeyStoreError::new(KeyStoreErrorKind::Busy, self.store_name);
        error.with_detail("others change it as fast as it is read").into()
    }
}

impl Subject<'_> {
    /// The names that an erasure of this data subject ends.
    ///
    /// A joint is that of its members: none of them may be on hold.
    pub(crate) fn named(&self) -> Result<Named, RecordError> {
        let pseudonym = self.pseudonym()?;
        let person = self.person_and_credentials();
        let with_it =
            person.as_ref().and_then(|(person, credentials)| (*person == pseudonym).then_some(*credentials));
        let guards = person.map(|(person, _)| person).into_iter().chain(self.members()?).collect();
        Ok(Named { pseudonym, with_it, guards })
    }
}

/// Data subjects in one burial.
const SUBJECTS_AT_ONCE: usize = 512;
