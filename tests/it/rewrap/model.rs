//! Long sequences of changes against a small model: a list of recipients and a number.

use kuvert::{Layout, RewrapMethod, RewrapOptions, RewrapOutcome};
use proptest::prelude::*;

use super::stage::{arc, holder, keys, opens, parts, sealed};
use crate::support::cancel::wait;
use crate::support::fixture::{context, text};

const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone)]
enum Step {
    Replace(Vec<usize>),
    Add(Vec<usize>),
    Remove(Vec<usize>),
    Repair(usize),
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::vec(0..IDS.len(), 1..4);
    prop_oneof![
        some().prop_map(Step::Replace),
        some().prop_map(Step::Add),
        some().prop_map(Step::Remove),
        (0..IDS.len()).prop_map(Step::Repair),
        (0..IDS.len()).prop_map(Step::Again),
    ]
}

/// Who can open it, in the order of the header, and how often it was rewrapped.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    recipients: Vec<usize>,
    generation: u32,
}

impl Model {
    /// What the step should come to: another state, or a refusal.
    fn after(&self, step: &Step) -> Option<Self> {
        let same_keys = |a: &[usize], b: &[usize]| {
            let sorted = |list: &[usize]| {
                let mut list = list.to_vec();
                list.sort_unstable();
                list
            };
            sorted(a) == sorted(b)
        };
        let recipients = match step {
            Step::Replace(new) if same_keys(new, &self.recipients) => return Some(self.clone()),
            Step::Replace(new) => new.clone(),
            Step::Add(new) => {
                let fresh: Vec<_> = new.iter().filter(|id| !self.recipients.contains(id)).copied().collect();
                if fresh.is_empty() {
                    return Some(self.clone());
                }
                [&self.recipients[..], &fresh].concat()
            }
            Step::Remove(gone) => {
                let rest: Vec<_> = self.recipients.iter().filter(|id| !gone.contains(id)).copied().collect();
                if rest.is_empty() || gone.iter().any(|id| !self.recipients.contains(id)) {
                    return None;
                }
                rest
            }
            // Nothing is ever pending here.
            Step::Repair(_) => return Some(self.clone()),
            Step::Again(id) => vec![*id],
        };
        Some(Self { recipients, generation: self.generation + 1 })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn changes_do_what_the_model_says(
        first in 0..IDS.len(),
        steps in prop::collection::vec(step(), 1..12),
        compact in any::<bool>(),
        len in 0_usize..40_000,
    ) {
        let layout = if compact { Layout::Compact } else { Layout::Rewrappable };
        let sealed = sealed(layout, IDS[first], &text(len));
        let body = parts(&sealed).1.to_vec();
        let mut message = sealed;
        let mut model = Model { recipients: vec![first], generation: 1 };
        let all = holder(&IDS);
        for step in &steps {
            let many = |new: &[usize]| new.iter().map(|id| arc(&[IDS[*id]])).collect::<Vec<_>>();
            let rewrap = match step {
                Step::Replace(new) | Step::Add(new) => {
                    let mut providers = many(new).into_iter();
                    let one = providers.next().unwrap();
                    let start = if matches!(step, Step::Add(_)) {
                        all.add_recipient_arc(one)
                    } else {
                        all.rewrap_to_arc(one)
                    };
                    providers.fold(start, kuvert::Rewrap::and_to)
                }
                Step::Remove(gone) => all.remove_recipient(gone.iter().map(|id| IDS[*id])),
                Step::Repair(id) => all.repair(keys(&[IDS[*id]])),
                Step::Again(id) => {
                    let always = RewrapOptions::default().with_even_if_unchanged(true);
                    all.rewrap_to(keys(&[IDS[*id]])).with_options(always)
                }
            };
            let result = wait(rewrap.message(&message, &context()));
            let Some(next) = model.after(step) else {
                prop_assert_eq!(result.unwrap_err().category(), kuvert::Category::Refused);
                continue;
            };
            let (after, report) = result.unwrap();
            let names: Vec<_> = report.recipients.iter().map(|name| name.id.as_str()).collect();
            let expected: Vec<_> = next.recipients.iter().map(|id| IDS[*id]).collect();
            prop_assert_eq!((names, report.generation), (expected, next.generation));
            let unchanged = next == model;
            prop_assert_eq!(report.outcome == RewrapOutcome::Unchanged, unchanged);
            prop_assert_eq!(report.method == RewrapMethod::Copy, compact && !unchanged);
            prop_assert!(!unchanged || after == message);
            prop_assert!(parts(&after).1 == body, "the body");
            for (n, id) in IDS.iter().enumerate() {
                let opened = opens(id, &after);
                prop_assert_eq!(opened.is_ok(), next.recipients.contains(&n), "{}", id);
                prop_assert!(opened.is_err() || opened.as_deref() == Ok(&text(len)[..]));
            }
            (message, model) = (after, next);
        }
    }
}
