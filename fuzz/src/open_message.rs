//! Messages whose keys are known, edited in every way, and arbitrary bytes as messages.
//!
//! One message is opened by every way in: whole, in order, by seeking and by ranges, strictly and lazily. What opens
//! must be the plaintext that was sealed, and only if nothing was changed that is authenticated; what fails must fail
//! alike everywhere; and what comes out before that must be the beginning of the right plaintext. The edits can sign
//! slots with the right MAC key, so that what lies behind the MAC is reached as well.

mod edit;
mod expect;
mod ways;

use kuvert::{Category, EncryptionContext, OpenOptions};

use self::expect::Expected;
pub use self::ways::{Case, Crate, Openers, Outcome, Way};
use super::{
    fixtures::{FIXTURES, Fixture, Keys},
    input::Input,
    model,
};

pub fn run(data: &[u8]) {
    check(data, &Crate);
}

/// The pairs that are presented.
pub type Presented = [(&'static str, &'static str)];

pub fn check(data: &[u8], openers: &impl Openers) {
    // What no script begins with is a message as it is.
    if data.first() == Some(&model::MAGIC[0]) {
        check_raw(data, openers);
        return;
    }
    let mut input = Input::new(data);
    let fixture = &FIXTURES[usize::from(input.u8()) % FIXTURES.len()];
    let presented = present(fixture, &mut input);
    let options = options(&mut input);
    let message = edit::edited(fixture, &mut input);
    let detached = fixture.is_detached().then(|| fixture.header_len().min(message.len()));
    let context = EncryptionContext::new(presented.iter().copied()).unwrap();
    let case = Case { message, detached, context, options };
    let keys = Keys::new();
    for way in ways(&case) {
        let expected = expect::expected(&case, &presented, way);
        let found = openers.open(way, &case, &keys);
        assert_eq!(found.result.as_ref().err(), expected.result.as_ref().err(), "{way:?}: {expected:?}");
        assert!(found.released == expected.released, "{way:?}: other plaintext came out");
        assert_eq!(keys.take_calls(), expected.calls, "{way:?}: unwraps");
        check_report(&found, &expected);
    }
}

fn check_report(found: &Outcome, expected: &Expected) {
    let (Ok(Some(found)), Ok(report)) = (&found.result, &expected.result) else { return };
    let flags = (found.degraded, found.unfinished_rewrap);
    assert_eq!(flags, (report.degraded, report.unfinished_rewrap));
    assert_eq!(found.generation, report.generation);
    assert_eq!(found.opened_by.id, report.opened_by);
    assert_eq!(found.plaintext_len, expected.released.len() as u64);
}

/// Bytes of which nothing is known: whatever is said of them must be said by every way alike.
fn check_raw(data: &[u8], openers: &impl Openers) {
    let geometry = model::geometry(data, model::Kind::Message).ok().filter(|geometry| geometry.detached);
    let case = Case {
        message: data.to_vec(),
        detached: geometry.map(|geometry| geometry.header_len().min(data.len())),
        context: EncryptionContext::empty(),
        options: OpenOptions::default().with_accept_stored_context(true),
    };
    let keys = Keys::new();
    let outcomes: Vec<_> = ways(&case).map(|way| (way, openers.open(way, &case, &keys))).collect();
    assert!(keys.take_calls() <= outcomes.len() * 8);
    let (_, first) = outcomes.iter().find(|(way, _)| way.knows_len()).unwrap();
    for (way, outcome) in &outcomes {
        let (found, known) = (outcome.result.as_ref().err(), first.result.as_ref().err());
        // Only from the length can be known what those who do not know it tell differently, and then refuse too.
        let by_length = !way.knows_len() && known == Some(&Category::Truncated) && found.is_some();
        assert!(found == known || by_length, "{way:?}: {found:?} instead of {known:?}");
        if found.is_none() {
            assert_eq!(outcome.released, first.released, "{way:?}: another plaintext");
        } else if *way == Way::Whole {
            assert!(outcome.released.is_empty(), "plaintext beside an error");
        }
        let reports = [&outcome.result, &first.result].map(|result| result.as_ref().ok().cloned().flatten());
        assert!(reports.contains(&None) || reports[0] == reports[1], "{way:?}: {reports:?}");
    }
    let longest = outcomes.iter().map(|(_, outcome)| &outcome.released).max_by_key(|released| released.len());
    let longest = longest.unwrap();
    assert!(outcomes.iter().all(|(_, outcome)| longest.starts_with(&outcome.released)), "other plaintexts");
}

/// A detached message cannot be opened by a single call.
fn ways(case: &Case) -> impl Iterator<Item = Way> {
    let detached = case.detached.is_some();
    Way::ALL.into_iter().filter(move |way| !detached || *way != Way::Whole)
}

/// What the reader presents: mostly the right pairs.
fn present(fixture: &Fixture, input: &mut Input<'_>) -> Vec<(&'static str, &'static str)> {
    let mut pairs = fixture.all_pairs();
    match input.u8() % 8 {
        4 => pairs.iter_mut().for_each(|(_, value)| *value = "another"),
        5 => pairs.push(("more", "than there was")),
        6 => pairs = fixture.stored.to_vec(),
        7 => pairs = fixture.required.to_vec(),
        _ => {}
    }
    pairs
}

fn options(input: &mut Input<'_>) -> OpenOptions {
    let how = input.u8();
    OpenOptions::default()
        .with_accept_stored_context(how & 1 > 0)
        .with_min_generation(if how & 6 == 6 { input.u8().into() } else { 0 })
        .with_max_stanzas_tried(if how & 0x18 == 0x18 { input.u8().into() } else { 4 })
        .with_max_header_len(if how & 0x60 == 0x60 { input.u16().into() } else { usize::MAX })
}
