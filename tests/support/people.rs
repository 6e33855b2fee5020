//! Records of data subjects, sealed and tried: one for each name.

use kuvert::{Cell, RecordError, Scope, blocking::block_on, subjects::Sealed};

/// Seals something for each of these.
pub fn seal_for(scope: &Scope, names: &[String]) -> Vec<Sealed<String>> {
    let seal = |name: &String| block_on(scope.subject(name).seal(name, cell())).unwrap().unwrap();
    names.iter().map(seal).collect()
}

/// How many of these open, and how many are erased; nothing else may come.
pub fn opened_and_erased(scope: &Scope, records: &[Sealed<String>]) -> (usize, usize) {
    let (mut opened, mut erased) = (0, 0);
    for record in records {
        match block_on(scope.open(record, cell())).unwrap() {
            Ok(_) => opened += 1,
            Err(RecordError::Erased { .. }) => erased += 1,
            Err(other) => panic!("{other}"),
        }
    }
    (opened, erased)
}

/// Where all of them stand.
pub fn cell() -> Cell<'static> {
    Cell::new("people", "email", 1)
}
