//! `kuvert subjects erase`.

use kuvert::Scope;
use kuvert::subjects::{ErasureReason, ErasureRequest, Receipt, Standing};
use serde_json::{Value, json};

use super::people::People;
use super::store::Opened;
use super::{Done, failed_json, good, receipt};
use crate::args::{EraseArguments, ReasonName};
use crate::failure::Failure;
use crate::names;

pub(super) fn run(arguments: &EraseArguments) -> Result<Done, Failure> {
    let people = People::read(&arguments.people)?;
    let opened = Opened::new(&arguments.store, &[])?;
    let scope = opened.subjects.scope(&arguments.people.scope);
    let request = ErasureRequest::new(arguments.request.as_str()).with_reason(reason(arguments.reason));
    let mut tally = Tally::default();
    for page in people.pages() {
        let done = one_page(&opened, &scope, &people, page, &request, arguments.even_unknown);
        let answers = done.map_err(|failure| failure.advise(tally.so_far(&people)))?;
        for (place, answer) in answers {
            tally.add(&people, place, answer, arguments.json.wanted);
        }
    }
    Ok(tally.end(&people))
}

type Answers = Vec<(usize, Result<Receipt, Failure>)>;

fn one_page(
    opened: &Opened,
    scope: &Scope,
    people: &People,
    places: std::ops::Range<usize>,
    request: &ErasureRequest<'_>,
    even_unknown: bool,
) -> Result<Answers, Failure> {
    let mut answers = Vec::new();
    let (mut known, mut subjects) = (Vec::new(), Vec::new());
    for place in places {
        let subject = people.subject(scope, place);
        // fmt: T-26
        if !even_unknown && opened.done(subject.standing())? == Standing::Unknown {
            answers.push((place, Err(unknown(people, place))));
        } else {
            known.push(place);
            subjects.push(subject);
        }
    }
    let erased = opened.done(scope.erase_many(&subjects, request.clone()))?;
    for (place, receipt) in known.into_iter().zip(erased) {
        let receipt = receipt.map_err(|error| told(opened, people, place, &error));
        answers.push((place, receipt));
    }
    answers.sort_by_key(|(place, _)| *place);
    Ok(answers)
}

/// A name that the scope does not know.
pub(super) fn unknown(people: &People, place: usize) -> Failure {
    let called = people.called(place);
    Failure::usage(format!("{called}: nothing was ever sealed for it in this scope; nothing was changed"))
        .advise("are the name and --scope right? With --even-unknown it is done all the same")
}

/// Why it was not done for one name.
pub(super) fn told(opened: &Opened, people: &People, place: usize, error: &kuvert::SubjectError) -> Failure {
    let failure = opened.failure(error);
    let (category, text) = (failure.category(), failure.lines());
    let text = text.strip_prefix(&format!("{}: ", opened.name)).unwrap_or(&text).to_owned();
    Failure::new(category, format!("{}: {text}", people.called(place)))
}

/// What came of all names.
#[derive(Default)]
struct Tally {
    json: Vec<Value>,
    text: Vec<String>,
    erased: usize,
    before: usize,
    failed: usize,
    first_failure: Option<Failure>,
}

impl Tally {
    fn add(&mut self, people: &People, place: usize, answer: Result<Receipt, Failure>, as_json: bool) {
        let line = people.line(place);
        match answer {
            Ok(receipt) => {
                let is_before = receipt.was_erased_before;
                *(if is_before { &mut self.before } else { &mut self.erased }) += 1;
                if people.is_one() {
                    self.text.push(headline(&receipt));
                    self.text.extend(receipt::text(&receipt));
                }
                if as_json {
                    let mut object = good(receipt::json(&receipt));
                    object["line"] = json!(line);
                    object["was_erased_before"] = json!(is_before);
                    self.json.push(object);
                }
            }
            Err(failure) => {
                self.failed += 1;
                if as_json {
                    let mut object = failed_json(&failure);
                    object["line"] = json!(line);
                    self.json.push(object);
                } else if !people.is_one() {
                    failure.print();
                }
                self.first_failure.get_or_insert(failure);
            }
        }
    }

    fn end(mut self, people: &People) -> Done {
        if !people.is_one() {
            let before = match self.before {
                0 => String::new(),
                before => format!(", {before} erased before"),
            };
            let failed =
                if self.failed == 0 { String::new() } else { format!(", {} not erased", self.failed) };
            self.text.push(format!("{} erased{before}{failed}", names::counted(self.erased, "data subject")));
            // Each was told already.
            let category = self.first_failure.as_ref().map(Failure::category);
            self.first_failure = category.map(Failure::already_told);
        }
        let text = self.text.join("\n");
        Done { text, json: self.json, warnings: Vec::new(), failure: self.first_failure }
    }

    /// After what has ended everything.
    fn so_far(&self, people: &People) -> String {
        format!(
            "{} of {} were done before; run the same command again to go on",
            self.erased + self.before,
            people.len()
        )
    }
}

fn headline(receipt: &Receipt) -> String {
    match (receipt.was_erased_before, receipt.keys.is_empty()) {
        (true, true) => "erased before, for another request".to_owned(),
        (true, false) => format!("erased before, for this request: {}", receipt::keys(receipt)),
        (false, true) => "no keys to erase; the name is refused from now on".to_owned(),
        (false, false) => format!("erased: {}", receipt::keys(receipt)),
    }
}

const fn reason(name: ReasonName) -> ErasureReason {
    match name {
        ReasonName::Request => ErasureReason::Request,
        ReasonName::Expiry => ErasureReason::Expiry,
        ReasonName::ConsentWithdrawn => ErasureReason::ConsentWithdrawn,
        ReasonName::Objection => ErasureReason::Objection,
        ReasonName::Other => ErasureReason::Other,
    }
}
