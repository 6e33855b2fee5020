//! `kuvert subjects hold` and `release`.

use kuvert::Category;
use kuvert::subjects::Standing;
use serde_json::{Value, json};

use super::people::People;
use super::store::Opened;
use super::{Done, erase, failed_json, good};
use crate::args::{HoldArguments, PeopleArguments, ReleaseArguments, StoreArguments};
use crate::failure::Failure;
use crate::names;

pub(super) fn hold(arguments: &HoldArguments) -> Result<Done, Failure> {
    let work = Work { is_hold: true, case: &arguments.case, even_unknown: arguments.even_unknown };
    work.run(&arguments.store, &arguments.people, arguments.json.wanted)
}

pub(super) fn release(arguments: &ReleaseArguments) -> Result<Done, Failure> {
    // A hold can be put on a name that is not known: so it can be released.
    let work = Work { is_hold: false, case: &arguments.case, even_unknown: true };
    work.run(&arguments.store, &arguments.people, arguments.json.wanted)
}

struct Work<'a> {
    is_hold: bool,
    case: &'a str,
    even_unknown: bool,
}

impl Work<'_> {
    fn run(&self, store: &StoreArguments, given: &PeopleArguments, as_json: bool) -> Result<Done, Failure> {
        let people = People::read(given)?;
        let opened = Opened::new(store, &[])?;
        let scope = opened.subjects.scope(&given.scope);
        let (mut done, mut changed, mut first) = (Done::default(), 0, None);
        for place in 0..people.len() {
            let answer = self.one(&opened, &people, &scope, place);
            if matches!(&answer, Err(failure) if failure.category() == Category::Io) {
                // The store itself: the others would fare no better.
                return answer.and(Ok(done));
            }
            changed += usize::from(answer.is_ok());
            done.json.push(as_object(&people, place, &answer));
            if let Err(failure) = answer {
                if !as_json && !people.is_one() {
                    failure.print();
                }
                first.get_or_insert(failure);
            }
        }
        done.text = match (people.is_one(), self.is_hold) {
            (true, _) if first.is_some() => String::new(),
            (true, true) => "on hold".to_owned(),
            (true, false) => "released".to_owned(),
            (false, true) => format!("{} on hold", names::counted(changed, "data subject")),
            (false, false) => format!("{} released", names::counted(changed, "data subject")),
        };
        done.failure = match first {
            Some(failure) if !people.is_one() => Some(Failure::already_told(failure.category())),
            first => first,
        };
        Ok(done)
    }

    /// Gives on how many holds the data subject is then.
    fn one(
        &self,
        opened: &Opened,
        people: &People,
        scope: &kuvert::Scope,
        place: usize,
    ) -> Result<usize, Failure> {
        let subject = people.subject(scope, place);
        let told = |error| erase::told(opened, people, place, &error);
        let standing = super::store::wait(subject.standing())?.map_err(told)?;
        // fmt: T-26
        if !self.even_unknown && standing == Standing::Unknown {
            return Err(erase::unknown(people, place));
        }
        if self.is_hold && standing == Standing::Erased {
            let called = people.called(place);
            return Err(Failure::new(
                Category::Refused,
                format!("{called}: it was erased, and cannot be put on hold"),
            ));
        }
        if self.is_hold {
            super::store::wait(scope.hold(&subject, self.case))?.map_err(told)?;
        } else if !super::store::wait(scope.release(&subject, self.case))?.map_err(told)? {
            let left = super::store::wait(scope.holds(&subject))?.map_err(told)?;
            let left = names::counted(left, "other case");
            return Err(Failure::usage(format!("{}: not on hold for this case", people.called(place)))
                .advise(format!("are the name, --scope and --case right? It is on hold for {left}")));
        }
        super::store::wait(scope.holds(&subject))?.map_err(told)
    }
}

fn as_object(people: &People, place: usize, answer: &Result<usize, Failure>) -> Value {
    let mut object = match answer {
        Ok(holds) => good(json!({ "holds": holds })),
        Err(failure) => failed_json(failure),
    };
    object["line"] = json!(people.line(place));
    object
}
