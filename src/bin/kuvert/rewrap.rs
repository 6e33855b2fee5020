//! `kuvert rewrap` and `kuvert repair`: other keys for many files, one after the other.
//!
//! A file that fails does not stop the others, and a file that is done already is left as it is: whatever has
//! interrupted a run, the same call goes on where it stopped.

mod failure;
mod report;
mod target;

use std::path::Path;

use kuvert::blocking::block_on;
use kuvert::{
    EncryptionContext, OpenHandle, OpenOptions, Rewrap, RewrapOptions, RewrapOutcome, RewrapReport,
};

use crate::args::{ChangeArguments, OpeningKeyArguments, RepairArguments, RewrapArguments};
use crate::failure::{Failure, say};
use crate::keys::{KeyName, Manner};
use crate::progress::Progress;
use crate::{context, interrupt, keys, names};
use target::Target;

pub(crate) fn run(arguments: &RewrapArguments) -> Result<(), Failure> {
    let change = &arguments.change;
    let to = keys::parse(&arguments.to)?;
    let opening = Opening::new(&arguments.keys, &to, change)?;
    let manner = Manner { all_of: arguments.to_all_of, ..arguments.keys.manner() };
    let mut new = keys::new_recipients(&to, manner)?.into_iter();
    let rewrap = match new.next() {
        None => opening.handle.remove_recipient(&arguments.remove),
        Some(first) if arguments.add => opening.handle.add_recipient_arc(first),
        Some(first) => opening.handle.rewrap_to_arc(first),
    };
    let removed: Vec<_> = arguments.remove.iter().map(|id| names::shown(id)).collect();
    let work = Work::new("rewrapping", new.fold(rewrap, Rewrap::and_to), opening, change);
    Work { removed: removed.join(", "), ..work }.all()
}

pub(crate) fn repair(arguments: &RepairArguments) -> Result<(), Failure> {
    let change = &arguments.change;
    let to = keys::parse(&arguments.to)?;
    let opening = Opening::new(&arguments.keys, &to, change)?;
    let manner = Manner { all_of: false, ..arguments.keys.manner() };
    let mut new = keys::new_recipients(if to.is_empty() { &opening.own } else { &to }, manner)?.into_iter();
    let Some(first) = new.next() else { return Err(Failure::usage("there is no key to add")) };
    let rewrap = new.fold(opening.handle.repair_arc(first), Rewrap::and_to);
    Work::new("repairing", rewrap, opening, change).all()
}

/// What opens the files.
struct Opening<'a> {
    handle: OpenHandle,
    own: Vec<KeyName>,
    key_ids: String,
    keys: &'a OpeningKeyArguments,
}

impl<'a> Opening<'a> {
    /// The new keys open as well: files that an earlier run has done are told from files of unknown keys.
    fn new(
        keys: &'a OpeningKeyArguments,
        new: &[KeyName],
        arguments: &ChangeArguments,
    ) -> Result<Self, Failure> {
        let own = keys::given(&keys.key)?;
        let manner = keys.manner();
        let all: Vec<KeyName> = own.iter().chain(new).cloned().collect();
        manner.check(&all)?;
        // Key files go together, so that a name that two keys share is found. What else is new is tried by the rewrap itself.
        let goes_along = |key: &&KeyName| !keys.all_of && key.file().is_some();
        let together: Vec<KeyName> = own.iter().chain(new.iter().filter(goes_along)).cloned().collect();
        let mut opening = keys::opening(&together, manner)?;
        for key in new.iter().filter(|key| !goes_along(key)) {
            opening.ids = format!("{}, {}", opening.ids, key.shown());
        }
        let options =
            OpenOptions::default().with_accept_stored_context(arguments.context.accept_stored_context);
        let handle = OpenHandle::from_arc(opening.provider).with_options(options);
        Ok(Self { handle, own: all, key_ids: opening.ids, keys })
    }
}

/// Many files, and what is done to each of them.
struct Work<'a> {
    what: &'static str,
    rewrap: Rewrap,
    opening: Opening<'a>,
    /// Ids that are to be removed, for the message that one of them is not there.
    removed: String,
    arguments: &'a ChangeArguments,
}

/// How many files came to which end.
#[derive(Default)]
struct Count {
    rewrapped: usize,
    mended: usize,
    unchanged: usize,
    failed: usize,
}

impl<'a> Work<'a> {
    fn new(what: &'static str, rewrap: Rewrap, opening: Opening<'a>, arguments: &'a ChangeArguments) -> Self {
        let options = RewrapOptions::default().with_in_place_only(arguments.in_place);
        Self { what, rewrap: rewrap.with_options(options), opening, removed: String::new(), arguments }
    }

    fn all(&self) -> Result<(), Failure> {
        let files = &self.arguments.files;
        if self.arguments.header.is_some() && files.len() != 1 {
            return Err(Failure::usage("--header belongs to one body: name one FILE"));
        }
        let context = context::presented(&self.arguments.context.context)?;
        interrupt::wait_for_files();
        let progress =
            if files.len() > 1 { Progress::of_files(self.what, files.len()) } else { Progress::none() };
        let mut count = Count::default();
        let mut first_failure = None;
        for file in files {
            // fmt: T-14
            if let Some(signal) = interrupt::asked() {
                progress.clear();
                return self.stop(signal, &count);
            }
            let done = self.one(file, &context);
            progress.aside(|| self.tell(file, &done))?;
            progress.add(1);
            count.add(&done);
            if let Err(failure) = done {
                // fmt: T-2, T-13
                first_failure.get_or_insert(failure.category());
            }
        }
        progress.clear();
        if files.len() > 1 && !self.arguments.json {
            say(&count.in_words())?;
        }
        first_failure.map_or(Ok(()), |category| Err(Failure::already_told(category)))
    }

    fn one(&self, file: &Path, context: &EncryptionContext) -> Result<RewrapReport, Failure> {
        let target = Target::new(file, self.arguments.header.as_deref())?;
        let done = match &target {
            Target::File(file) => block_on(self.rewrap.file(file, context)),
            Target::Detached { header, body } => block_on(self.rewrap.detached_file(header, body, context)),
        };
        let done = done.map_err(|error| Failure::new(kuvert::Category::Usage, error.to_string()))?;
        done.map_err(|error| {
            let failure = failure::of(&error, &target, &self.arguments.context, &self.opening);
            let is_about_removal =
                !self.removed.is_empty() && failure.category() == kuvert::Category::Refused;
            if is_about_removal {
                failure.advise(format!(
                    "to be removed: {}; a key that stays has to be given with -k",
                    self.removed
                ))
            } else {
                failure
            }
        })
    }

    /// About one file: failures always, the rest where it was asked for or there is no other.
    fn tell(&self, file: &Path, done: &Result<RewrapReport, Failure>) -> Result<(), Failure> {
        if self.arguments.json {
            return say(&report::json(file, done).to_string());
        }
        match done {
            Err(failure) => failure.print(),
            Ok(done) if self.arguments.verbose || self.arguments.files.len() == 1 => {
                say(&report::text(file, self.is_detached(file), done))?;
            }
            Ok(_) => {}
        }
        if let Ok(done) = done {
            report::warn_of(file, done);
        }
        Ok(())
    }

    /// Whether the header has a file of its own, which is replaced as a whole.
    fn is_detached(&self, file: &Path) -> bool {
        matches!(Target::new(file, self.arguments.header.as_deref()), Ok(Target::Detached { .. }))
    }

    /// After a signal that came between two files.
    fn stop(&self, signal: i32, count: &Count) -> Result<(), Failure> {
        let all = self.arguments.files.len();
        Failure::new(
            kuvert::Category::Io,
            format!("stopped by a signal after {} of {all} files", count.all()),
        )
        .advise(count.in_words())
        .advise("run the same command again to go on: files that are done are left as they are")
        .print();
        interrupt::end_by(signal);
        Ok(())
    }
}

impl Count {
    fn add(&mut self, done: &Result<RewrapReport, Failure>) {
        let one = match done.as_ref().map(|report| report.outcome) {
            Ok(RewrapOutcome::Mended) => &mut self.mended,
            Ok(RewrapOutcome::Unchanged) => &mut self.unchanged,
            Ok(_) => &mut self.rewrapped,
            Err(_) => &mut self.failed,
        };
        *one += 1;
    }

    const fn all(&self) -> usize {
        self.rewrapped + self.mended + self.unchanged + self.failed
    }

    fn in_words(&self) -> String {
        let rest = [(self.mended, "mended"), (self.unchanged, "unchanged"), (self.failed, "failed")];
        let rest =
            rest.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        format!("{} rewrapped{}", names::counted(self.rewrapped, "file"), rest.collect::<String>())
    }
}
