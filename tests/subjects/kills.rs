//! Real SIGKILLs of a process that erases, and of one that rolls epochs: nobody comes back, and nobody is lost.

use std::{
    collections::BTreeMap,
    fmt::Write,
    os::unix::process::ExitStatusExt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use kuvert::{
    Cell, Sealed, Subjects,
    keystore::KeyStore,
    subjects::{Anchor, RollOptions},
};

use crate::{
    is_long,
    processes::{lines, say, start},
    records::{Audit, EACH, Records, name},
    rng::Rng,
    world::{LIVE, ROOT, SCOPE, WEEK_1, World, wait},
};

/// What the killed process does: erases one after the other, seals something for a new one between them, and rolls the
/// epoch now and then.
pub(crate) fn erase_for_ever(world: &World, from: usize, to: usize) {
    let subjects = world.open();
    let scope = subjects.scope(SCOPE);
    for subject in from..to {
        let new = format!("new:{subject}");
        let sealed = wait(scope.subject(new.as_str()).seal("still here", new_cell(subject))).unwrap();
        let hex = sealed.as_bytes().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        say(&format!("sealed {subject} {hex}"));
        say(&format!("begin {subject}"));
        let request = format!("request-{subject}");
        wait(scope.erase(&scope.subject(name(subject)), request.as_str())).unwrap();
        say(&format!("done {subject}"));
        if subject % 4 == 3 {
            wait(subjects.roll_epoch(world.keys(&[WEEK_1]), in_small_steps())).unwrap();
        }
    }
    loop {
        std::thread::park();
    }
}

/// The same with nothing but rolls.
pub(crate) fn roll_for_ever(world: &World) {
    let subjects = world.open();
    for round in 0_u64.. {
        say(&format!("begin {round}"));
        wait(subjects.roll_epoch(world.keys(&[WEEK_1]), in_small_steps())).unwrap();
    }
}

fn in_small_steps() -> RollOptions {
    RollOptions::default().with_batch(16)
}

fn new_cell(subject: usize) -> Cell<'static> {
    Cell::new("people", "new", i64::try_from(subject).expect("few enough"))
}

fn kills() -> usize {
    if is_long() { 500 } else { 20 }
}

/// What is known of everybody, from what the killed processes said.
#[derive(Default)]
struct Known {
    begun: usize,
    done: usize,
    begins: usize,
    sealed: BTreeMap<usize, Vec<u8>>,
}

impl Known {
    fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (word, number) = (words.next().unwrap(), words.next().unwrap().parse::<usize>().unwrap());
        match word {
            "begin" => {
                self.begun = number + 1;
                self.begins += 1;
            }
            "done" => self.done = number + 1,
            "sealed" => {
                // The last line may be cut in the middle.
                let hex = words.next().unwrap_or_default();
                let bytes = hex
                    .as_bytes()
                    .chunks(2)
                    .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16));
                self.sealed.insert(number, bytes.collect::<Result<_, _>>().unwrap());
            }
            other => panic!("{other}"),
        }
    }
}

/// Lets a process work until it has begun, and a random while more. Gives what it said.
fn kill_once(job: &str, first: usize, second: usize, world: &World, rng: &mut Rng) -> Vec<String> {
    let mut child = start(job, first, second, world.path(".").as_path());
    let mut said = Vec::new();
    let mut all = lines(child.stdout.take().unwrap());
    while !said.last().is_some_and(|line: &String| line.starts_with("begin")) {
        said.push(all.next().expect("it works until it is killed"));
    }
    std::thread::sleep(Duration::from_micros(rng.below(60_000) as u64));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it died by itself");
    // What it had said by then is still in the pipe; a line that it had not finished is not.
    said.extend(all);
    said
}

/// Everybody is what is known of them; the one whose erasure was under way is either. Gives whether that one is erased.
fn judge(world: &World, records: &Records, count: usize, known: &Known) -> bool {
    let store = world.store(LIVE);
    let subjects: Subjects =
        wait(Subjects::open(store.clone(), world.keys(&[WEEK_1, ROOT]), world.options())).unwrap();
    assert_eq!(wait(store.unremoved(10)).unwrap(), [0_u64; 0], "a begun erasure was not finished");
    let scope = subjects.scope(SCOPE);
    let under_way: Vec<usize> = (known.done..known.begun).collect();
    let is_erased = match under_way[..] {
        [] => false,
        [subject] => {
            let audit = Audit::make(&scope, records, &[subject], |_| true);
            assert!(audit.erased == EACH || audit.resurrected == EACH, "half erased: {audit:?}");
            audit.erased == EACH
        }
        _ => panic!("they are erased one after the other"),
    };
    let gone = known.done + usize::from(is_erased);
    let everybody: Vec<usize> = (0..count).collect();
    let audit = Audit::make(&scope, records, &everybody, |subject| subject < gone);
    let (erased, opened) = (gone * EACH, (count - gone) * EACH);
    assert_eq!(audit, Audit { erased, opened, ..Audit::default() });
    for (subject, bytes) in &known.sealed {
        let sealed = Sealed::<String>::from_bytes(bytes.clone());
        assert_eq!(*wait(scope.open(&sealed, new_cell(*subject))).unwrap(), "still here");
    }
    let chains = wait(subjects.verify_receipts()).unwrap();
    assert_eq!((chains.tombstones, chains.unusable), (gone as u64, gone as u64));
    assert_eq!(wait(world.anchor().head()).unwrap().tombstones, gone as u64);
    is_erased
}

#[test]
fn killed_while_it_erases() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::make(folder.path());
    let count = kills() * 12;
    let records = Records::seal(&world.init().scope(SCOPE), count);
    let (mut rng, mut known, mut in_the_middle) = (Rng::new("killed_while_it_erases"), Known::default(), 0);
    for _ in 0..kills() {
        let from = known.done;
        if from >= count {
            break;
        }
        kill_once("erase", from, count, &world, &mut rng).iter().for_each(|line| known.hear(line));
        in_the_middle += known.begun - known.done;
        let is_erased = judge(&world, &records, count, &known);
        known.done += usize::from(is_erased);
        known.begun = known.done;
    }
    println!("{} erased; {in_the_middle} of {} kills in the middle of an erasure", known.done, kills());
    assert!(known.begins >= kills().min(count) && known.done > 0, "each of them worked");
}

#[test]
fn killed_while_it_rolls() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::make(folder.path());
    let count = 96;
    let records = Records::seal(&world.init().scope(SCOPE), count);
    let mut rng = Rng::new("killed_while_it_rolls");
    let (mut rolls, mut resumed) = (0, 0);
    for kill in 0..kills() {
        rolls += kill_once("roll", 0, 0, &world, &mut rng).len();
        judge(&world, &records, count, &Known::default());
        if kill % 4 == 0 {
            let subjects = world.open();
            let report = wait(subjects.roll_epoch(world.keys(&[WEEK_1]), in_small_steps())).unwrap();
            assert!(report.damaged.is_empty() && !report.retired.is_empty());
            resumed += usize::from(report.resumed);
            judge(&world, &records, count, &Known::default());
        }
    }
    println!("{rolls} rolls begun; {resumed} of {} were to be finished", kills().div_ceil(4));
    assert!(rolls >= kills());
}

/// The judge is not blind: for who is not erased, for who is, and for a record that is lost.
#[test]
fn a_planted_resurrection_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::make(folder.path());
    let subjects = world.init();
    let scope = subjects.scope(SCOPE);
    let records = Records::seal(&scope, 4);
    wait(scope.erase(&scope.subject(name(0)), "request")).unwrap();
    let judged = |done: usize, begun: usize, records: &Records| {
        let known = Known { begun, done, ..Known::default() };
        catch_unwind(AssertUnwindSafe(|| judge(&world, records, 4, &known)))
    };
    assert!(!judged(1, 1, &records).unwrap());
    assert!(judged(0, 1, &records).unwrap());
    assert!(judged(2, 2, &records).is_err(), "one who should be erased and opens");
    assert!(judged(0, 0, &records).is_err(), "one who should open and is erased");
    let mut damaged = Records(records.0.clone());
    *damaged.0.last_mut().unwrap() ^= 1;
    assert!(judged(1, 1, &damaged).is_err(), "a record that does not open");
}
