//! What the target of configurations must find: faults that are lost, invented, out of order, or that show a key.

use super::{
    bodies::config::{Crate, Judge, Said, check},
    planted::finds,
};

#[derive(Debug, Clone, Copy)]
enum Fault {
    LosesTheLast,
    TellsOneTwice,
    TellsThemBackwards,
    InventsANameThatIsUnknown,
    StopsAtTheFirst,
    RepeatsWhatItCannotRead,
}

struct Broken(Fault);

impl Judge for Broken {
    fn faults(&self, said: Said) -> Vec<(String, String)> {
        let text = format!("{said:?}");
        let mut faults = Crate.faults(said);
        match self.0 {
            Fault::LosesTheLast => drop(faults.pop()),
            Fault::TellsOneTwice => faults.extend(faults.last().cloned()),
            Fault::TellsThemBackwards => faults.reverse(),
            Fault::InventsANameThatIsUnknown => {
                faults.insert(0, ("a".to_owned(), "it is the name of no provider".to_owned()));
            }
            Fault::StopsAtTheFirst => faults.truncate(1),
            Fault::RepeatsWhatItCannotRead => {
                faults.iter_mut().for_each(|(_, problem)| problem.push_str(&text));
            }
        }
        faults
    }
}

#[test]
fn faults_of_a_reader_of_configurations_are_found() {
    for fault in [
        Fault::LosesTheLast,
        Fault::TellsOneTwice,
        Fault::TellsThemBackwards,
        Fault::InventsANameThatIsUnknown,
        Fault::StopsAtTheFirst,
        Fault::RepeatsWhatItCannotRead,
    ] {
        assert!(finds("config", |data| check(data, &Broken(fault))), "{fault:?} is planted and not found");
    }
}
