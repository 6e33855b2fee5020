//! Whom a call is about: names from a file, from standard input or from the command line, checked before anything is done.

use std::collections::HashSet;
use std::io::{IsTerminal as _, Read as _};

use kuvert::limits::MAX_SUBJECT_NAME_LEN;
use kuvert::{Scope, Subject};
use zeroize::Zeroizing;

use crate::args::PeopleArguments;
use crate::failure::{Failure, FileFault};
use crate::source::Source;

/// Names, each with what is said in its place.
pub(super) struct People {
    names: Vec<Named>,
    is_class: bool,
}

struct Named {
    name: Zeroizing<String>,
    /// From 1; none for a name of the command line.
    line: Option<usize>,
}

impl People {
    // fmt: T-24
    pub(super) fn read(arguments: &PeopleArguments) -> Result<Self, Failure> {
        let one = arguments.subject.as_ref().or(arguments.class.as_ref());
        if let Some(name) = one {
            let name = Zeroizing::new(name.clone());
            if let Some(fault) = fault_of(name.as_bytes()) {
                return Err(Failure::usage(format!("the name {fault}")));
            }
            let names = vec![Named { name, line: None }];
            return Ok(Self { names, is_class: arguments.class.is_some() });
        }
        let mut source = Source::open(arguments.from.as_deref())?;
        let is_typed = source.is_terminal() && std::io::stdin().is_terminal();
        if is_typed && arguments.from.is_none() {
            return Err(Failure::usage("nobody was named").advise(
                "give names one on a line: --from FILE, or on standard input, or one with --subject",
            ));
        }
        let name = source.name().to_owned();
        // As long as the file is, so that no piece of it stays behind where it was too short.
        let len = source.len().and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        let mut text = Zeroizing::new(Vec::with_capacity(len.min(MAX_LIST).saturating_add(1)));
        let limit = MAX_LIST as u64 + 1;
        source.by_ref().take(limit).read_to_end(&mut text).map_err(|error| reading(error, &name))?;
        if text.len() > MAX_LIST {
            return Err(Failure::usage(format!("{name} is longer than 256 MiB: give it in several calls")));
        }
        Ok(Self { names: lines(&text, &name)?, is_class: false })
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether it is one, given on the command line.
    pub(super) fn is_one(&self) -> bool {
        matches!(self.names.as_slice(), [Named { line: None, .. }])
    }

    /// Some of them at a time, by their places.
    pub(super) fn pages(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let len = self.names.len();
        (0..len).step_by(PAGE).map(move |start| start..len.min(start + PAGE))
    }

    pub(super) fn subject<'a>(&'a self, scope: &'a Scope, place: usize) -> Subject<'a> {
        let name = self.names[place].name.as_str();
        if self.is_class { scope.class(name) } else { scope.subject(name) }
    }

    pub(super) fn line(&self, place: usize) -> Option<usize> {
        self.names[place].line
    }

    /// In the place of a name.
    // fmt: T-25
    pub(super) fn called(&self, place: usize) -> String {
        self.names[place].line.map_or_else(|| "the name".to_owned(), |line| format!("line {line}"))
    }
}

fn lines(text: &[u8], from: &str) -> Result<Vec<Named>, Failure> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let name = match (fault_of(line), std::str::from_utf8(line)) {
            (None, Ok(name)) => name,
            (fault, _) => {
                let fault = fault.unwrap_or(NOT_UTF8);
                return Err(Failure::usage(format!("{from}, line {}: the name {fault}", number + 1))
                    .advise("nothing was done for any of them"));
            }
        };
        if seen.insert(name) {
            names.push(Named { name: Zeroizing::new(name.to_owned()), line: Some(number + 1) });
        }
    }
    Ok(names)
}

fn fault_of(name: &[u8]) -> Option<&'static str> {
    match name.len() {
        0 => Some("is empty"),
        1..=MAX_SUBJECT_NAME_LEN if std::str::from_utf8(name).is_ok() => None,
        1..=MAX_SUBJECT_NAME_LEN => Some(NOT_UTF8),
        _ => Some("has more than 1024 bytes"),
    }
}

fn reading(error: std::io::Error, name: &str) -> Failure {
    Failure::io(&error)
        .unwrap_or_else(|| FileFault::failure(crate::failure::Doing::Read, std::path::Path::new(name), error))
}

const NOT_UTF8: &str = "is not UTF-8";
/// Bytes of all names of one call.
const MAX_LIST: usize = 256 << 20;
/// Names that are asked for, or erased, at once.
const PAGE: usize = 512;
