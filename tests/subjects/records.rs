//! Records of many subjects, and trying which of them open.

use kuvert::{Cell, RecordError, Scope, Sealed};

use crate::world::wait;

/// Records of each subject.
pub(crate) const EACH: usize = 3;
/// Subjects in one page.
const PAGE: usize = 10_000;
const PLAIN_LEN: usize = 16;
const LEN: usize = PLAIN_LEN + 49;

/// How many there are, and who of them is erased.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) subjects: usize,
    pub(crate) erased: usize,
}

impl Plan {
    /// Evenly among all.
    pub(crate) fn is_erased(self, subject: usize) -> bool {
        subject % (self.subjects / self.erased) == 0
    }

    pub(crate) fn all(self) -> Vec<usize> {
        (0..self.subjects).collect()
    }

    pub(crate) fn erased(self) -> Vec<usize> {
        self.all().into_iter().filter(|subject| self.is_erased(*subject)).collect()
    }
}

pub(crate) fn name(subject: usize) -> String {
    format!("person:{subject}")
}

fn plaintext(subject: usize, n: usize) -> String {
    format!("{subject:013}/{n:02}")
}

fn cell(subject: usize, n: usize) -> Cell<'static> {
    Cell::new("people", "value", i64::try_from(subject * EACH + n).expect("few enough"))
}

/// All records, side by side: those of a subject together, in the order of the subjects.
pub(crate) struct Records(pub(crate) Vec<u8>);

impl Records {
    /// Seals all of them.
    pub(crate) fn seal(scope: &Scope, subjects: usize) -> Self {
        let mut bytes = Vec::with_capacity(subjects * EACH * LEN);
        let all: Vec<usize> = (0..subjects).collect();
        for page in all.chunks(PAGE) {
            let texts: Vec<(usize, usize, String)> =
                page.iter().flat_map(|i| (0..EACH).map(|n| (*i, n, plaintext(*i, n)))).collect();
            let values =
                texts.iter().map(|(i, n, text)| (scope.subject(name(*i)), text.as_str(), cell(*i, *n)));
            for sealed in wait(scope.seal_many(values)).unwrap() {
                let sealed = sealed.unwrap();
                assert_eq!(sealed.as_bytes().len(), LEN);
                bytes.extend(sealed.as_bytes());
            }
        }
        Self(bytes)
    }

    pub(crate) fn of(&self, subject: usize, n: usize) -> Sealed<String> {
        let start = (subject * EACH + n) * LEN;
        Sealed::from_bytes(self.0[start..start + LEN].to_vec())
    }

    /// The references of these subjects' keys.
    pub(crate) fn references(&self, subjects: &[usize]) -> Vec<u64> {
        subjects.iter().map(|subject| self.of(*subject, 0).claimed_reference().expect("a record")).collect()
    }
}

/// What came of trying.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Records that opened, of subjects that should be erased.
    pub(crate) resurrected: usize,
    /// Refused as erased.
    pub(crate) erased: usize,
    /// Opened, with the right value, of subjects that are not erased.
    pub(crate) opened: usize,
    /// All that should have opened and did not, and all refusals that are no `Erased`.
    pub(crate) lost: usize,
    /// The first of those.
    pub(crate) first_loss: Option<String>,
}

impl Audit {
    /// Nothing else than this.
    pub(crate) fn of(plan: Plan) -> Self {
        let (erased, opened) = (plan.erased * EACH, (plan.subjects - plan.erased) * EACH);
        Self { erased, opened, ..Self::default() }
    }

    /// Tries every record of these subjects.
    pub(crate) fn make(
        scope: &Scope,
        records: &Records,
        subjects: &[usize],
        is_erased: impl Fn(usize) -> bool,
    ) -> Self {
        let mut audit = Self::default();
        for page in subjects.chunks(PAGE) {
            let places: Vec<(usize, usize)> = page.iter().flat_map(|i| (0..EACH).map(|n| (*i, n))).collect();
            let sealed: Vec<Sealed<String>> = places.iter().map(|(i, n)| records.of(*i, *n)).collect();
            let wanted = sealed.iter().zip(&places).map(|(sealed, (i, n))| (sealed, cell(*i, *n)));
            let answers = wait(scope.open_many(wanted)).unwrap();
            for ((i, n), answer) in places.iter().zip(answers) {
                match answer {
                    Ok(_) if is_erased(*i) => audit.resurrected += 1,
                    Ok(text) if *text == plaintext(*i, *n) => audit.opened += 1,
                    Err(RecordError::Erased { .. }) if is_erased(*i) => audit.erased += 1,
                    answer => audit.note_loss(*i, &format!("{:?}", answer.map(|text| text.len()))),
                }
            }
        }
        audit
    }

    fn note_loss(&mut self, subject: usize, what: &str) {
        self.lost += 1;
        self.first_loss.get_or_insert_with(|| format!("subject {subject}: {what}"));
    }
}
