//! What the help and the manual pages say beside the options: examples, notes and exit statuses.
//!
//! One text each, so that `kuvert COMMAND --help` and `kuvert man COMMAND` cannot say different things.

mod subjects;
mod texts;

pub(crate) use subjects::{
    SUBJECTS, SUBJECTS_BACKUP, SUBJECTS_CHECK, SUBJECTS_ERASE, SUBJECTS_HOLD, SUBJECTS_INIT,
    SUBJECTS_RECEIPTS, SUBJECTS_RELEASE, SUBJECTS_RESTORE, SUBJECTS_ROLL, SUBJECTS_STATUS,
};
pub(crate) use texts::{
    COMPLETIONS, DOCTOR, HSM, INSPECT, KEYGEN, MAN, OPEN, OVERVIEW, REPAIR, REWRAP, SEAL, VERIFY,
};

/// What is said about a command.
#[derive(Debug)]
pub(crate) struct Help {
    /// The name of the command; empty for the program as a whole.
    pub(crate) command: &'static str,
    pub(crate) usage: &'static str,
    /// The heading of the examples.
    pub(crate) examples_title: &'static str,
    pub(crate) examples: &'static str,
    /// Paragraphs.
    pub(crate) notes: &'static str,
    pub(crate) statuses: &'static [(u8, &'static str)],
    pub(crate) takes_several_files: bool,
    pub(crate) files: &'static [(&'static str, &'static str)],
}

/// The names of all commands.
pub(crate) fn commands() -> impl Iterator<Item = &'static str> {
    texts::ALL.into_iter().map(|help| help.command).filter(|command| !command.is_empty())
}

impl Help {
    /// Of a command by its name; the empty one is the program.
    pub(crate) fn of(command: &str) -> Option<&'static Self> {
        texts::ALL.into_iter().find(|help| help.command == command)
    }

    /// What stands below the options in `--help`.
    pub(crate) fn after_help(&self) -> String {
        let mut text =
            format!("{}:\n{}\n\n{}:\n", self.examples_title, indented(self.examples), self.status_title());
        text.push_str(&columns(self.statuses).join("\n"));
        if !self.notes.is_empty() {
            text.push_str("\n\n");
            text.push_str(self.notes);
        }
        text
    }

    pub(crate) const fn status_title(&self) -> &'static str {
        if self.takes_several_files {
            "Exit status, of several files that of the first failure"
        } else {
            "Exit status"
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// The statuses in one column, or in two where they are many and short.
fn columns(statuses: &[(u8, &str)]) -> Vec<String> {
    let lines: Vec<String> = statuses.iter().map(|(status, means)| format!("  {status}  {means}")).collect();
    if lines.len() < 6 || lines.iter().any(|line| line.chars().count() > COLUMN) {
        return lines;
    }
    let (left, right) = lines.split_at(lines.len().div_ceil(2));
    let right = right.iter().map(String::as_str).chain(std::iter::repeat(""));
    left.iter()
        .zip(right)
        .map(|(left, right)| format!("{left:COLUMN$}{right}").trim_end().to_owned())
        .collect()
}

const COLUMN: usize = 39;
