//! The findings, for people.

use super::Findings;
use super::file::{Claimed, FileFinding, Named, State};
use super::key::KeyFinding;
use super::place::Place;
use crate::failure::Failure;
use crate::names;

pub(super) fn of(findings: &Findings) -> String {
    let mut lines = Vec::new();
    for key in &findings.keys {
        of_key(key, &mut lines);
    }
    if let Some(file) = &findings.file {
        of_file(file, &mut lines);
    }
    lines.join("\n")
}

fn of_key(finding: &KeyFinding, lines: &mut Vec<String>) {
    lines.push(finding.name.clone());
    // A key of AWS KMS has told its id by its name.
    for key in finding.keys.iter().filter(|key| !finding.name.ends_with(&key.id)) {
        lines.push(line("key", &format!("{} \"{}\"", key.recipient_type, names::shown(&key.id))));
    }
    for (title, answer) in [("opens", &finding.opens), ("seals", &finding.seals)] {
        lines.push(line(title, &verdict(answer)));
    }
    lines.extend(finding.problems.iter().map(|problem| line("problem", problem)));
    lines.extend(finding.places().map(|place| line("region", &place.in_words())));
}

fn of_file(finding: &FileFinding, lines: &mut Vec<String>) {
    lines.push(names::path(&finding.path));
    if let Some(claimed) = &finding.claimed {
        lines.push("  what follows is claimed by the file, and not verified".to_owned());
        lines.extend(claimed.recipients.iter().map(|named| line("recipient", &of_recipient(named))));
        lines.push(line("residency", &residency(claimed)));
        lines.push(line(
            "context",
            &format!("{} stored, readable by everybody", names::counted(claimed.pairs, "pair")),
        ));
        for (name, suspicion) in &claimed.personal {
            let pair = name
                .as_deref()
                .map_or("a pair".to_owned(), |name| format!("the pair {}", names::shown(name)));
            let why = if name.is_some() { suspicion.describe() } else { "its name itself does" };
            lines.push(line("warning", &format!("{pair} looks like personal data: {why}")));
        }
        if claimed.is_degraded {
            lines.push(line("warning", "degraded: one of the two copies of its keys is damaged"));
        }
        if claimed.is_unfinished {
            lines.push(line("warning", "a rewrap runs, or was not finished"));
        }
    }
    match &finding.opened {
        Ok(report) => {
            lines.push("  what follows is verified".to_owned());
            let id = names::shown(&report.opened_by.id);
            let generation = report.generation;
            let all_of = if id.is_empty() { "all keys together".to_owned() } else { format!("key \"{id}\"") };
            lines.push(line(
                "opens",
                &format!("yes, with {all_of} (generation {generation}); the content was not read"),
            ));
        }
        Err(failure) => lines.push(line("opens", &no(failure))),
    }
}

fn of_recipient(named: &Named) -> String {
    let what = names::recipient(&named.recipient);
    let where_ = named.places.iter().map(Place::in_words).collect::<Vec<_>>().join("; ");
    let where_ = if where_.is_empty() { where_ } else { format!(" ({where_})") };
    let state = match &named.state {
        State::Given => "given".to_owned(),
        State::NotGiven => "not given".to_owned(),
        State::Pending => "opens nothing before 'kuvert repair' has added it".to_owned(),
        State::Untold(pairs) => {
            let flags: Vec<_> =
                pairs.iter().map(|name| format!("--kms-context {}", names::shown(name))).collect();
            format!("given, and without use unless you add {}", flags.join(" "))
        }
    };
    format!("{what}: {state}{where_}")
}

fn residency(claimed: &Claimed) -> String {
    let places = claimed.places();
    let nowhere = claimed.recipients.iter().filter(|named| !named.is_placed).count();
    let mut said: Vec<String> = places.iter().map(Place::in_words).collect();
    if nowhere > 0 || said.is_empty() {
        said.push(format!(
            "{} with keys that say nothing about where they are",
            names::counted(nowhere, "recipient")
        ));
    }
    said.join("; ")
}

fn verdict(answer: &Result<(), Failure>) -> String {
    answer.as_ref().map_or_else(no, |()| "yes".to_owned())
}

fn no(failure: &Failure) -> String {
    format!("no: {}", failure.lines().replace("\n  ", "\n             "))
}

fn line(title: &str, text: &str) -> String {
    format!("  {title:<10} {text}")
}
