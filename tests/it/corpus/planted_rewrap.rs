//! What is broken about a rewrap, for the body of `rewrap` to find.

use kuvert::{EncryptionContext, Rewrap, RewrapError, RewrapOutcome, RewrapReport};

use super::{
    bodies::rewrap::{self, Rewraps},
    planted::finds,
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    ForgetsToZero,
    DoesNothing,
    ChangesTheBody,
    CountsWrong,
    RefusesWhatIsTorn,
    ForgetsARecipient,
}

struct Broken(Fault);

impl Rewraps for Broken {
    fn rewrap(
        &self,
        rewrap: &Rewrap,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, RewrapReport), RewrapError> {
        let (mut after, mut report) = rewrap::Crate.rewrap(rewrap, message, context)?;
        match self.0 {
            // Wherever the new header is zero the old one stays; a header of one slot has no such place.
            Fault::ForgetsToZero
                if after.len() == message.len() && report.outcome != RewrapOutcome::Unchanged =>
            {
                after
                    .iter_mut()
                    .zip(message)
                    .filter(|(new, _)| **new == 0)
                    .for_each(|(new, old)| *new = *old);
            }
            Fault::DoesNothing => after = message.to_vec(),
            Fault::ChangesTheBody => *after.last_mut().unwrap() ^= 1,
            Fault::CountsWrong => report.generation += 1,
            Fault::RefusesWhatIsTorn if report.outcome == RewrapOutcome::Mended => {
                return Err(RewrapError::Refused("planted"));
            }
            Fault::ForgetsARecipient => drop(report.recipients.pop()),
            _ => {}
        }
        Ok((after, report))
    }
}

#[test]
fn broken_rewraps_are_found() {
    use Fault::*;
    for fault in
        [ForgetsToZero, DoesNothing, ChangesTheBody, CountsWrong, RefusesWhatIsTorn, ForgetsARecipient]
    {
        assert!(finds("rewrap", |data| rewrap::check(data, &Broken(fault))), "{fault:?} went unnoticed");
    }
}
