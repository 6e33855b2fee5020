//! What must come of opening an edited fixture, from the format alone: steps 1 to 7, with every key known.
//!
//! The model takes one thing from the crate: which slots are well formed, and what stands in them; the target `header`
//! has looked into that.

use std::{collections::BTreeMap, sync::LazyLock};

use kuvert::{Category, Recipient, RecipientType};

use super::{
    super::{
        fixtures::{FIXTURES, Fixture, KEYS},
        input::CHUNK,
        model::{self, BODY_START, BodyPlace, Geometry, Kind, Pairs, SEALED_CHUNK},
    },
    Case, Presented, Way,
    edit::{of_body, recipients_of},
};

/// What opening must give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub released: Vec<u8>,
    pub result: Result<Report, Category>,
    /// The most unwraps that may be asked for.
    pub calls: usize,
}

/// What is verified about the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub generation: u32,
    pub degraded: bool,
    pub unfinished_rewrap: bool,
    pub opened_by: String,
}

pub fn expected(case: &Case, presented: &Presented, way: Way) -> Expected {
    let refused = |category| Expected { released: Vec::new(), result: Err(category), calls: 0 };
    let (header, body) = case.message.split_at(case.detached.unwrap_or(0));
    let header = if case.detached.is_some() { header } else { body };
    let own_limit = |geometry: &Geometry| geometry.header_len() > case.options.max_header_len;
    // A call that has the options from the beginning tells its own limit before anything behind the first 32 bytes.
    let over_limit = model::geometry(header, Kind::Message).is_ok_and(|geometry| own_limit(&geometry));
    if way == Way::Whole && over_limit {
        return refused(Category::LimitExceeded);
    }
    let place = match (case.detached, way.knows_len()) {
        (None, true) => BodyPlace::Behind,
        (None, false) => BodyPlace::Streamed,
        // Of unknown length: nothing but that its 56 bytes are there is told.
        (Some(_), false) if body.len() >= BODY_START => BodyPlace::Beside(72),
        (Some(_), _) => BodyPlace::Beside(body.len()),
    };
    let (geometry, stored) = match model::first_steps(header, Kind::Message, place) {
        Ok(found) => found,
        Err(category) => return refused(category),
    };
    if own_limit(&geometry) {
        return refused(Category::LimitExceeded);
    }
    let body = if case.detached.is_some() { body } else { &body[geometry.header_len()..] };
    let union = match join(&stored, presented, case.options.accept_stored_context) {
        Ok(union) => union,
        Err(category) => return refused(category),
    };
    let header = &header[..geometry.header_len()];
    let mut calls = 0;
    let result = Steps { header, geometry, body_start: &body[..BODY_START], union, case }.keys(&mut calls);
    match result {
        Err(category) => Expected { calls, ..refused(category) },
        Ok((fixture, report)) => {
            let (released, category) = chunks(fixture, &body[BODY_START..], way);
            Expected { released, result: category.map_or(Ok(report), Err), calls }
        }
    }
}

/// Step 2.
fn join(stored: &Pairs, presented: &Presented, accept: bool) -> Result<BTreeMap<String, String>, Category> {
    let presented: BTreeMap<String, String> =
        presented.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let fits = |(name, value): &(String, String)| presented.get(name).map_or(accept, |found| found == value);
    if !stored.iter().all(fits) {
        return Err(Category::WrongContext);
    }
    let mut union = presented;
    union.extend(stored.iter().cloned());
    let len = model::serialised_len(union.iter().map(|(name, value)| (&**name, &**value)));
    if union.len() > 64 || len > 16_384 { Err(Category::LimitExceeded) } else { Ok(union) }
}

struct Steps<'a> {
    header: &'a [u8],
    geometry: Geometry,
    body_start: &'a [u8],
    union: BTreeMap<String, String>,
    case: &'a Case,
}

impl Steps<'_> {
    /// Steps 3 to 6.
    fn keys(&self, calls: &mut usize) -> Result<(&'static Fixture, Report), Category> {
        let mut slots: Vec<(usize, u32, Vec<Recipient>)> = (0..self.geometry.slot_count)
            .filter_map(|slot| Some((slot, self.generation(slot), recipients_of(self.header, slot)?)))
            .collect();
        if slots.is_empty() {
            let first = (0..self.geometry.slot_count).map(|slot| self.slot(slot)).find(|slot| !is_zero(slot));
            let too_many = first.is_some_and(|slot| u16::from_be_bytes([slot[4], slot[5]]) > 32);
            return Err(if too_many { Category::LimitExceeded } else { Category::Malformed });
        }
        slots.sort_by_key(|(_, generation, _)| std::cmp::Reverse(*generation));
        let (mut matched, mut unwrapped) = (false, false);
        for (_, _, recipients) in &slots {
            let mut tried = 0;
            for recipient in recipients {
                let configured = KEYS.iter().any(|(id, _)| id.as_bytes() == recipient.id());
                if recipient.recipient_type() != RecipientType::AES_KWP || !configured {
                    continue;
                }
                if tried == self.case.options.max_stanzas_tried {
                    break;
                }
                tried += 1;
                *calls += 1;
                matched = true;
                let Some(dek) = unwrap(recipient) else { continue };
                unwrapped = true;
                let fits = |fixture: &&Fixture| fixture.dek == dek && self.is_context_of(fixture);
                if let Some(fixture) = of_body(self.body_start).filter(fits) {
                    return self
                        .macs(fixture, &slots)
                        .map(|report| (fixture, Report { opened_by: recipient.id_lossy(), ..report }));
                }
            }
        }
        Err(match (unwrapped, matched) {
            (true, _) => Category::WrongContext,
            (_, true) => Category::WrongKey,
            _ => Category::KeyUnavailable,
        })
    }

    /// Step 6.
    fn macs(&self, fixture: &Fixture, slots: &[(usize, u32, Vec<Recipient>)]) -> Result<Report, Category> {
        let key = fixture.mac_key(self.body_start);
        let before = &self.header[..self.geometry.slot_at(0)];
        let valid: Vec<&[u8]> = slots
            .iter()
            .map(|&(slot, ..)| self.slot(slot))
            .filter(|slot| model::slot_mac(&key, before, slot, self.body_start) == slot[slot.len() - 32..])
            .collect();
        let generation = |slot: &[u8]| u32::from_be_bytes(slot[..4].try_into().unwrap());
        let filled = (0..self.geometry.slot_count).filter(|&slot| !is_zero(self.slot(slot))).count();
        // They stand in descending order.
        let active = match valid[..] {
            [] => return Err(Category::Tampered),
            [first, second] if generation(first) == generation(second) && first != second => {
                return Err(Category::Tampered);
            }
            [first, ..] => generation(first),
        };
        if active < self.case.options.min_generation {
            return Err(Category::Tampered);
        }
        Ok(Report {
            generation: active,
            degraded: filled > valid.len(),
            unfinished_rewrap: valid.len() == 2,
            opened_by: String::new(),
        })
    }

    fn slot(&self, slot: usize) -> &[u8] {
        &self.header[self.geometry.slot_at(slot)..][..self.geometry.slot_len]
    }

    fn generation(&self, slot: usize) -> u32 {
        u32::from_be_bytes(self.slot(slot)[..4].try_into().unwrap())
    }

    fn is_context_of(&self, fixture: &Fixture) -> bool {
        let pairs = fixture.all_pairs();
        let mut union = self.union.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.len() == self.union.len() && union.all(|pair| pairs.contains(&pair))
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// The data key of a recipient: only the very wraps of the fixtures unwrap.
fn unwrap(recipient: &Recipient) -> Option<u8> {
    static KNOWN: LazyLock<Vec<(Recipient, u8)>> = LazyLock::new(|| {
        let of = |fixture: &Fixture| recipients_of(fixture.message, 0).unwrap_or_default();
        FIXTURES
            .iter()
            .flat_map(|fixture| of(fixture).into_iter().map(|known| (known, fixture.dek)))
            .collect()
    });
    KNOWN.iter().find(|(known, _)| known == recipient).map(|&(_, dek)| dek)
}

/// Step 7: what comes out, and how it ends. A chunk verifies exactly if it is the fixture's own at that place.
fn chunks(fixture: &Fixture, sealed: &[u8], way: Way) -> (Vec<u8>, Option<Category>) {
    let own = &fixture.body()[BODY_START..];
    let own_chunks: Vec<&[u8]> = own.chunks(SEALED_CHUNK).collect();
    let mut found: Vec<&[u8]> = sealed.chunks(SEALED_CHUNK).collect();
    if sealed.len() % SEALED_CHUNK == 0 {
        // It ends behind a full chunk: what is missing is shorter than any tag.
        found.push(&[]);
    }
    let good = found.iter().zip(&own_chunks).take_while(|(found, own)| found == own).count();
    let end = match found.get(good) {
        None => None,
        Some(bad) if good + 1 == found.len() && bad.len() < 16 => Some(Category::Truncated),
        Some(_) => Some(Category::Tampered),
    };
    // The last chunk at its place, whatever stands before it.
    let last_verifies = found.len() == own_chunks.len() && found.last() == own_chunks.last();
    let nothing = end.is_some() && (way == Way::Whole || (way.is_strict() && !last_verifies));
    let mut released = fixture.plaintext();
    released.truncate(if nothing { 0 } else { good * CHUNK });
    (released, end)
}
