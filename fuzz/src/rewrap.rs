//! Scripts of changes of recipients, whole and torn, over a message that may be damaged in between, against a list of
//! who may open it.
//!
//! A change either does exactly what was asked, leaving nothing over, or is refused for a reason that the model knows.
//! Whatever happens, nobody opens it who was neither a recipient before nor asked for, and its body stays.

use kuvert::{
    Category, EncryptionContext, Kuvert, MessageStart, Rewrap, RewrapError, RewrapOptions, RewrapOutcome,
    RewrapReport,
    provider::{KeyProvider, MemoryProvider},
};
use std::sync::Arc;

use super::{
    fixtures::{FIXTURES, Fixture, KEYS, block_on},
    input::Input,
};

pub fn run(data: &[u8]) {
    check(data, &Crate);
}

/// What is tested.
pub trait Rewraps {
    fn rewrap(
        &self,
        rewrap: &Rewrap,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, RewrapReport), RewrapError>;
}

/// The crate itself.
#[derive(Debug)]
pub struct Crate;

impl Rewraps for Crate {
    fn rewrap(
        &self,
        rewrap: &Rewrap,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, RewrapReport), RewrapError> {
        block_on(rewrap.message(message, context))
    }
}

pub fn check(data: &[u8], tested: &impl Rewraps) {
    let mut input = Input::new(data);
    let fixture = if input.flag() { &FIXTURES[3] } else { &FIXTURES[1] };
    let mut case = Case::new(fixture, tested);
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        case.step(&mut input);
        case.check_openers();
    }
}

const MAX_STEPS: usize = 10;
const IDS: [&str; 4] = [KEYS[0].0, "b", "c", "d"];
/// Everybody.
const ALL: u8 = 0b1111;

/// What is known of the message's recipients.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    /// Exactly these, in this order, and nothing beside them.
    Exactly(Vec<usize>),
    /// A write was torn: at least one of these opens it, and nobody else.
    Torn(u8),
    /// Somebody wrote to the slots: at most these open it.
    Damaged(u8),
}

struct Case<'a, T> {
    tested: &'a T,
    fixture: &'static Fixture,
    context: EncryptionContext,
    message: Vec<u8>,
    generation: u32,
    known: Known,
}

impl<'a, T: Rewraps> Case<'a, T> {
    fn new(fixture: &'static Fixture, tested: &'a T) -> Self {
        let context = fixture.context();
        let always = RewrapOptions::default().with_even_if_unchanged(true);
        let first = holder(1).rewrap_to_arc(provider(1)).with_options(always);
        let (message, report) = block_on(first.message(fixture.message, &context)).unwrap();
        let known = Known::Exactly(vec![0]);
        Self { tested, fixture, context, message, generation: report.generation, known }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let (kind, mask) = (input.u8(), input.u8() & ALL);
        match kind % 8 {
            0 | 1 => self.change(&Change::Replace(members(mask))),
            2 => self.change(&Change::Add(members(mask))),
            3 => self.change(&Change::Remove(members(mask))),
            4 => self.change(&Change::Repair(usize::from(mask) % IDS.len())),
            5 => self.tear(input, usize::from(mask) % IDS.len()),
            6 => self.damage(input),
            _ => self.by_a_stranger(mask),
        }
    }

    /// A change by somebody who has all keys.
    fn change(&mut self, change: &Change) {
        let rewrap = change.of(&holder(ALL));
        let result = self.tested.rewrap(&rewrap, &self.message, &self.context);
        let expected = match &self.known {
            Known::Exactly(has) => Some(change.after(has)),
            _ => None,
        };
        match (expected, result) {
            (Some(Err(category)), result) => {
                assert_eq!(result.unwrap_err().category(), category, "{change:?}");
            }
            (Some(Ok(next)), result) => {
                let (message, report) = result.unwrap();
                let (has, outcome) = match &self.known {
                    Known::Exactly(has) if *has == next || change.is_same(has) => {
                        (has.clone(), RewrapOutcome::Unchanged)
                    }
                    _ => (next, RewrapOutcome::Rewrapped),
                };
                let counted = u32::from(outcome == RewrapOutcome::Rewrapped);
                assert_eq!((report.outcome, report.generation), (outcome, self.generation + counted));
                assert!(counted == 1 || message == self.message, "unchanged, and other bytes");
                self.accept(message, &report, &has);
            }
            // What the slots hold is not known exactly. What comes of them is.
            (None, Ok((message, report))) => {
                let has: Vec<usize> = report.recipients.iter().map(|name| number(&name.id)).collect();
                let allowed = self.may_open() | change.brings();
                assert!(has.iter().all(|id| allowed & 1 << id != 0), "{has:?} came out of nowhere");
                if let Change::Replace(new) = change {
                    assert!(same_keys(&has, new), "{has:?} in place of {new:?}");
                }
                self.accept(message, &report, &has);
            }
            (None, Err(_)) => {
                let may_fail =
                    matches!(self.known, Known::Damaged(_)) || !matches!(change, Change::Replace(_));
                assert!(may_fail, "a torn write was not mended");
            }
        }
    }

    /// Takes what a finished change gave, which must be whole.
    fn accept(&mut self, message: Vec<u8>, report: &RewrapReport, has: &[usize]) {
        let named: Vec<usize> = report.recipients.iter().map(|name| number(&name.id)).collect();
        assert_eq!(named, has);
        assert!(message.ends_with(self.fixture.body()), "the body changed");
        let start = MessageStart::parse(&message).unwrap();
        assert_eq!(message.len(), start.header().claimed_header_len() + self.fixture.body().len());
        let found = block_on(holder(ALL).opener(start, &self.context)).unwrap().report();
        assert!(!found.degraded && !found.unfinished_rewrap, "{found:?}");
        assert_eq!(found.generation, report.generation);
        self.message = message;
        self.generation = report.generation;
        self.known = Known::Exactly(has.to_vec());
    }

    /// A replacement that stops in the middle of one of its two writes.
    fn tear(&mut self, input: &mut Input<'_>, to: usize) {
        let rewrap = Change::Replace(vec![to]).of(&holder(ALL));
        let Ok((after, _)) = block_on(rewrap.message(&self.message, &self.context)) else { return };
        let slots = slots(&self.message);
        if slots.len() < 2 || after.len() != self.message.len() {
            return;
        }
        let new = usize::from(after[slots[0].clone()].iter().all(|byte| *byte == 0));
        let (zeroing, sectors, cut) = (input.flag(), input.u8(), usize::from(input.u16()));
        let torn = if zeroing { 1 - new } else { new };
        if zeroing {
            self.message[slots[new].clone()].copy_from_slice(&after[slots[new].clone()]);
        }
        for at in slots[torn].clone() {
            if sectors & 1 << (at / 512 % 8) != 0 && at % 2048 >= cut % 2048 {
                self.message[at] = after[at];
            }
        }
        let may_open = self.may_open() | 1 << to;
        self.known = match self.known {
            Known::Damaged(_) => Known::Damaged(may_open),
            _ => Known::Torn(may_open),
        };
    }

    /// Somebody writes into the slots.
    fn damage(&mut self, input: &mut Input<'_>) {
        let slots = slots(&self.message);
        let (start, end) = (slots[0].start, slots[slots.len() - 1].end);
        for _ in 0..=input.u8() % 4 {
            let at = start + input.below(end - start);
            self.message[at] ^= input.u8();
        }
        self.known = Known::Damaged(self.may_open());
    }

    /// Somebody who has only some keys and wants the message for these: refused, or by right.
    fn by_a_stranger(&mut self, mask: u8) {
        let mine = members(mask);
        let rewrap = Change::Replace(mine.clone()).of(&holder(mask | 1 << mine[0]));
        let result = self.tested.rewrap(&rewrap, &self.message, &self.context);
        let mask = mine.iter().fold(mask, |mask, id| mask | 1 << id);
        let Ok((message, report)) = result else {
            let had_right =
                matches!(&self.known, Known::Exactly(has) if has.iter().any(|id| mask & 1 << id != 0));
            assert!(!had_right, "refused to somebody who can open it");
            return;
        };
        assert_ne!(self.may_open() & mask, 0, "rewrapped by somebody who cannot open it");
        let has: Vec<usize> = report.recipients.iter().map(|name| number(&name.id)).collect();
        assert!(same_keys(&has, &mine));
        self.accept(message, &report, &has);
    }

    fn may_open(&self) -> u8 {
        match &self.known {
            Known::Exactly(has) => has.iter().fold(0, |mask, id| mask | 1 << id),
            Known::Torn(mask) | Known::Damaged(mask) => *mask,
        }
    }

    /// Who opens it now, and to what.
    fn check_openers(&self) {
        let mut opens = 0;
        for id in 0..IDS.len() {
            match block_on(holder(1 << id).open(&self.message, &self.context)) {
                Ok(plaintext) => {
                    assert!(*plaintext == self.fixture.plaintext(), "opened to something else");
                    opens |= 1 << id;
                }
                Err(error) => drop(error),
            }
        }
        let may = self.may_open();
        assert_eq!(opens & !may, 0, "opens for somebody who was shut out");
        match self.known {
            Known::Exactly(_) => assert_eq!(opens, may, "does not open for all of its recipients"),
            Known::Torn(_) => assert_ne!(opens, 0, "a torn write lost the message"),
            Known::Damaged(_) => {}
        }
    }
}

/// A change, and what should come of it.
#[derive(Debug)]
enum Change {
    Replace(Vec<usize>),
    Add(Vec<usize>),
    Remove(Vec<usize>),
    Repair(usize),
}

impl Change {
    fn of(&self, holder: &Kuvert) -> Rewrap {
        let several = |first: Rewrap, new: &[usize]| {
            new[1..].iter().fold(first, |rewrap, id| rewrap.and_to(provider(1 << id)))
        };
        match self {
            Self::Replace(new) => several(holder.rewrap_to_arc(provider(1 << new[0])), new),
            Self::Add(new) => several(holder.add_recipient_arc(provider(1 << new[0])), new),
            Self::Remove(gone) => holder.remove_recipient(gone.iter().map(|id| IDS[*id])),
            Self::Repair(id) => holder.repair_arc(provider(1 << id)),
        }
    }

    fn after(&self, has: &[usize]) -> Result<Vec<usize>, Category> {
        Ok(match self {
            Self::Replace(new) => new.clone(),
            Self::Add(new) => {
                let fresh = new.iter().filter(|id| !has.contains(id));
                has.iter().chain(fresh).copied().collect()
            }
            Self::Remove(gone) => {
                let rest: Vec<_> = has.iter().filter(|id| !gone.contains(id)).copied().collect();
                if rest.is_empty() || !gone.iter().all(|id| has.contains(id)) {
                    return Err(Category::Refused);
                }
                rest
            }
            // Nothing is pending in any of the fixtures.
            Self::Repair(_) => has.to_vec(),
        })
    }

    /// Whether the order is all that is different.
    fn is_same(&self, has: &[usize]) -> bool {
        matches!(self, Self::Replace(new) if same_keys(new, has))
    }

    fn brings(&self) -> u8 {
        match self {
            Self::Replace(new) | Self::Add(new) => new.iter().fold(0, |mask, id| mask | 1 << id),
            Self::Remove(_) | Self::Repair(_) => 0,
        }
    }
}

/// The keys of a mask, never none.
fn members(mask: u8) -> Vec<usize> {
    let members: Vec<usize> = (0..IDS.len()).filter(|id| mask & 1 << id != 0).collect();
    if members.is_empty() { vec![0] } else { members }
}

fn same_keys(a: &[usize], b: &[usize]) -> bool {
    let sorted = |list: &[usize]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    sorted(a) == sorted(b)
}

fn number(id: &str) -> usize {
    IDS.iter().position(|known| *known == id).expect("a recipient of ours")
}

fn provider(mask: u8) -> Arc<dyn KeyProvider> {
    let key = |id: usize| if id == 0 { KEYS[0].1 } else { [0x50 + u8::try_from(id).unwrap(); 32] };
    let keys = members(mask).into_iter().map(|id| (IDS[id], key(id)));
    Arc::new(MemoryProvider::from_keys(keys).unwrap())
}

fn holder(mask: u8) -> Kuvert {
    Kuvert::from_arc(provider(mask))
}

/// Where the slots are, from the header's first bytes.
fn slots(message: &[u8]) -> Vec<std::ops::Range<usize>> {
    let be32 =
        |at: usize| usize::try_from(u32::from_be_bytes(message[at..at + 4].try_into().unwrap())).unwrap();
    let (start, len) = (32 + be32(12), be32(16));
    (0..usize::from(message[20])).map(|slot| start + slot * len..start + (slot + 1) * len).collect()
}
