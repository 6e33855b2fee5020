//! The texts, none wider than 79 characters. Each example is a call that the program understands: a test runs them.

use super::{Help, subjects};

pub(super) const ALL: [&Help; 23] = [
    &OVERVIEW,
    &KEYGEN,
    &SEAL,
    &OPEN,
    &VERIFY,
    &INSPECT,
    &REWRAP,
    &REPAIR,
    &DOCTOR,
    &HSM,
    &subjects::SUBJECTS,
    &subjects::SUBJECTS_INIT,
    &subjects::SUBJECTS_STATUS,
    &subjects::SUBJECTS_ERASE,
    &subjects::SUBJECTS_HOLD,
    &subjects::SUBJECTS_RELEASE,
    &subjects::SUBJECTS_ROLL,
    &subjects::SUBJECTS_RECEIPTS,
    &subjects::SUBJECTS_BACKUP,
    &subjects::SUBJECTS_RESTORE,
    &subjects::SUBJECTS_CHECK,
    &COMPLETIONS,
    &MAN,
];

pub(crate) const OVERVIEW: Help = Help {
    command: "",
    usage: "kuvert COMMAND [ARGUMENTS]...",
    examples_title: "First steps",
    examples: "\
kuvert keygen -o backup.key                          make a key, and copy it
kuvert seal -k backup.key -o notes.kvt notes.txt     seal a file
kuvert open -k backup.key -o notes.txt notes.kvt     open it again
kuvert seal -k backup.key -o db.kvt -- pg_dump shop  seal a command's output
kuvert rewrap -k backup.key --to new.key *.kvt       change the key of files",
    notes: "\
'kuvert COMMAND --help' has examples of each command, 'kuvert man' the manual
page. Keep copies of the key file: if it is lost, so is everything sealed with
it.",
    statuses: &[
        (0, "done"),
        (1, "reading or writing failed"),
        (2, "wrong call, or a faulty key file"),
        (3, "not a sealed file, or unsupported"),
        (4, "truncated, or tampered with"),
        (5, "wrong encryption context"),
        (6, "wrong key, or none that fits"),
        (7, "refused by a rule"),
    ],
    takes_several_files: false,
    files: FILES,
};

pub(crate) const KEYGEN: Help = Help {
    command: "keygen",
    usage: "kuvert keygen [--id ID] -o KEYFILE",
    examples_title: EXAMPLES,
    examples: "\
kuvert keygen -o backup.key
kuvert keygen --id backup-2027 -o /etc/kuvert/backup-2027.key",
    notes: "\
The file gets mode 0600; one line of it is the key. Keep copies apart from
the data: whoever has the line can open everything sealed with it, and
without it nobody can.",
    statuses: &[
        (0, "written"),
        (1, "the file could not be written"),
        (2, "KEYFILE exists, or the id is impossible"),
    ],
    takes_several_files: false,
    files: &[("KEYFILE", "A text file: comments that begin with #, and one line for the key.")],
};

pub(crate) const SEAL: Help = Help {
    command: "seal",
    usage: "\
kuvert seal [-k KEY]... [--min N | --all-of] [--kms-context NAME]...
           [-c NAME=VALUE]... [-r NAME=VALUE]...
           [--layout compact|rewrappable|detached] [--threads N]
           [-o OUT] [--force] [IN | -- COMMAND ARGS...]",
    examples_title: EXAMPLES,
    examples: "\
kuvert seal -k backup.key -o photos.kvt photos.tar
tar -c photos | kuvert seal -k backup.key > photos.kvt
kuvert seal -k backup.key -c db=shop -c date=2026-11-21 -o shop.kvt \\
    -- pg_dump --format=custom shop
kuvert seal -k aws-kms:arn:aws:kms:eu-north-1:111122223333:key/1234abcd \\
    -k safe.key --min 1 -o shop.kvt shop.dump
kuvert seal -k backup.key --layout detached -o shop.body shop.dump",
    notes: "\
After '--' kuvert starts the command itself, so that a dump that dies midway
never becomes a valid backup; in a pipe nobody would notice. OUT appears whole
or not at all. Pairs of -c are readable by everybody; those of -r are not in
the file, and must be known to open it.

Each -k is a way in of its own: with two, either key opens. With --all-of,
all of them are needed. AWS credentials come from the usual environment.",
    statuses: &[
        (0, "sealed"),
        (1, "reading, writing or the command failed"),
        (2, "wrong call or key file, OUT exists, or OUT is a terminal"),
        (6, "a key could not be asked"),
    ],
    takes_several_files: false,
    files: &[
        ("OUT", "The sealed file; with --layout detached the body alone."),
        ("OUT.kvh", "With --layout detached, the header."),
        (".kuvert-*.tmp", "OUT while it is being written. May be deleted where a crash has left it."),
    ],
};

pub(crate) const OPEN: Help = Help {
    command: "open",
    usage: "\
kuvert open [-k KEY]... [--all-of] [--kms-context NAME]...
           [-c NAME=VALUE]... [--accept-stored-context]
           [--range START..END] [--header FILE] [--stream] [--threads N]
           [-o OUT] [--force] [IN]",
    examples_title: EXAMPLES,
    examples: "\
kuvert open -k backup.key -o photos.tar photos.kvt
kuvert open -k backup.key -c db=shop -c date=2026-11-21 shop.kvt | pg_restore
kuvert open -k backup.key --range 0..512 photos.kvt > first-block
kuvert open -k backup.key --header shop.body.kvh -o shop.dump shop.body",
    notes: "\
A file is verified as a whole before the first byte is written, unless
--stream is given. From a pipe there is one pass only: what comes out is
authentic, and complete only if the exit status is 0. With -o, OUT appears
whole or not at all.",
    statuses: &[
        (0, "opened"),
        (1, "reading or writing failed"),
        (2, "wrong call, or a faulty key file"),
        (3, "not a sealed file, or unsupported"),
        (4, "truncated, or tampered with"),
        (5, "wrong encryption context"),
        (6, "wrong key, or none that fits"),
    ],
    takes_several_files: false,
    files: &[(".kuvert-*.tmp", "OUT while it is being written. May be deleted where a crash has left it.")],
};

pub(crate) const VERIFY: Help = Help {
    command: "verify",
    usage: "\
kuvert verify [-k KEY]... [--all-of] [--kms-context NAME]...
           [-c NAME=VALUE]... [--accept-stored-context]
           [--newer-than AGE] [--header FILE] [--threads N] [--json] FILE...",
    examples_title: EXAMPLES,
    examples: "\
kuvert verify -k backup.key -c db=shop -c date=2026-11-21 shop.kvt
kuvert verify -k backup.key --accept-stored-context \\
    --newer-than 26h --json /srv/backup/last.kvt
kuvert verify -k backup.key --header shop.body.kvh shop.body",
    notes: "\
--newer-than looks at when a file was last written, which the file itself
does not prove, and which 'kuvert rewrap' changes. The fields of --json are
described in the operations manual.",
    statuses: &[
        (0, "whole and untouched"),
        (1, "reading failed"),
        (2, "wrong call, or a faulty key file"),
        (3, "not a sealed file, or unsupported"),
        (4, "truncated, or tampered with"),
        (5, "wrong encryption context"),
        (6, "wrong key, or none that fits"),
        (7, "too old"),
    ],
    takes_several_files: true,
    files: &[],
};

pub(crate) const INSPECT: Help = Help {
    command: "inspect",
    usage: "kuvert inspect [--json] [--keys] FILE...",
    examples_title: EXAMPLES,
    examples: "\
kuvert inspect shop.kvt
kuvert inspect --json shop.kvt | jq .claimed.context
kuvert inspect --keys /srv/backup/*.kvt",
    notes: "\
Everything shown is what the file claims; 'kuvert verify' and 'kuvert open'
tell whether it is true. --keys counts in how many files each key is named;
that a key is not among them does not show that nothing needs it. The fields
of --json are described in the operations manual.",
    statuses: &[
        (0, "shown"),
        (1, "reading failed"),
        (2, "wrong call"),
        (3, "not a sealed file, or unsupported"),
        (4, "ends within its header"),
    ],
    takes_several_files: true,
    files: &[],
};

pub(crate) const REWRAP: Help = Help {
    command: "rewrap",
    usage: "\
kuvert rewrap [-k OLD]... [--all-of] --to NEW... [--to-all-of] [--add]
           [--kms-context NAME]... [-c NAME=VALUE]...
           [--accept-stored-context] [--header FILE] [--in-place]
           [--json] [-v] FILE...
       kuvert rewrap [-k OLD]... --remove ID... [...] FILE...",
    examples_title: EXAMPLES,
    examples: "\
kuvert rewrap -k old.key --to new.key --accept-stored-context *.kvt
kuvert rewrap -k old.key --to new.key -c db=shop shop.kvt
kuvert rewrap -k backup.key --to office.key --add photos.kvt
kuvert rewrap -k backup.key --remove office-2026 photos.kvt
kuvert rewrap -k old.key --to new.key --header shop.body.kvh shop.body",
    notes: "\
Without --add, the new keys are afterwards the only ones that open the files.
Only the header changes, in place and in milliseconds whatever the size; a file
whose header has no room is written anew, unless --in-place forbids it.

A crash at any moment leaves a file that opens with the old key or with the new
one. Run the same command again to go on: files that are done are left as they
are. A damaged header is mended, too.

It takes nothing back: whoever has opened a file knows its data key, and older
copies of the file elsewhere still open with the old key.",
    statuses: &[
        (0, "done, or done already"),
        (1, "reading or writing failed, or another rewrap runs"),
        (2, "wrong call, or a faulty key file"),
        (3, "not a sealed file, or unsupported"),
        (4, "truncated, or tampered with"),
        (5, "wrong encryption context"),
        (6, "wrong key, or none that fits"),
        (7, "refused: the last key, an unknown id, no room with --in-place"),
    ],
    takes_several_files: true,
    files: REWRAP_FILES,
};

pub(crate) const REPAIR: Help = Help {
    command: "repair",
    usage: "\
kuvert repair [-k KEY]... [--all-of] [--to NEW]... [--kms-context NAME]...
           [-c NAME=VALUE]... [--accept-stored-context] [--header FILE]
           [--in-place] [--json] [-v] FILE...",
    examples_title: EXAMPLES,
    examples: "\
kuvert repair -k backup.key --to office.key photos.kvt
kuvert repair -k backup.key -k office.key --accept-stored-context *.kvt",
    notes: "\
A file can be sealed for several keys of which one could not be reached: it
stands in the header as pending, which 'kuvert inspect' shows. Repair wraps
the data key for it now. It is as safe to interrupt as 'kuvert rewrap'.",
    statuses: &[
        (0, "done, or nothing was pending"),
        (1, "reading or writing failed, or another rewrap runs"),
        (2, "wrong call, or a faulty key file"),
        (3, "not a sealed file, or unsupported"),
        (4, "truncated, or tampered with"),
        (5, "wrong encryption context"),
        (6, "wrong key, or none that fits"),
        (7, "refused: no room with --in-place"),
    ],
    takes_several_files: true,
    files: REWRAP_FILES,
};

pub(crate) const DOCTOR: Help = Help {
    command: "doctor",
    usage: "\
kuvert doctor [-k KEY]... [--all-of] [--kms-context NAME]...
           [-c NAME=VALUE]... [--accept-stored-context]
           [--header FILE] [--json] [FILE]",
    examples_title: EXAMPLES,
    examples: "\
kuvert doctor -k backup.key -c db=shop shop.kvt
kuvert doctor -k aws-kms:arn:aws:kms:eu-north-1:111122223333:key/1234abcd
kuvert doctor -k backup.key --accept-stored-context --json shop.kvt",
    notes: "\
Tries each key, with calls to AWS KMS that do nothing and are billed as
others are. With FILE it also says which keys the file names, where they are,
whether one that was given opens its header, and which stored pairs look like
personal data; their values are not shown. The content is neither read nor
verified: that is for 'kuvert verify'.",
    statuses: &[
        (0, "FILE opens; without FILE, every key can be asked to open"),
        (1, "reading failed"),
        (2, "wrong call, or a faulty key file"),
        (3, "not a sealed file, or unsupported"),
        (4, "truncated, or its header was tampered with"),
        (5, "wrong encryption context"),
        (6, "wrong key, none that fits, or one that cannot be asked"),
    ],
    takes_several_files: false,
    files: &[],
};

pub(crate) const HSM: Help = Help {
    command: "hsm",
    usage: "\
kuvert hsm list   [--pin-file FILE] [--json] URI|MODULE
       kuvert hsm keygen [--rsa] [--pin-file FILE] [--json] URI
       kuvert hsm check  [--pin-file FILE] [--json] URI",
    examples_title: EXAMPLES,
    examples: "\
kuvert hsm list /usr/lib/softhsm/libsofthsm2.so
kuvert hsm list --pin-file /etc/kuvert/pin \\
    'pkcs11:token=hsm?module-path=/usr/lib/softhsm/libsofthsm2.so'
kuvert hsm keygen --pin-file /etc/kuvert/pin \\
    'pkcs11:token=hsm;object=kek?module-path=/usr/lib/softhsm/libsofthsm2.so'
kuvert hsm check --pin-file /etc/kuvert/pin --json \\
    'pkcs11:token=hsm;object=kek?module-path=/usr/lib/softhsm/libsofthsm2.so'",
    notes: "\
A URI (RFC 7512) names token, key and module; quote it. The PIN is never in
it: its file is named by pin-source=file:PATH or --pin-file, or else it is
asked for on the terminal. It is tried once, and on one token only.

keygen makes a key that is sensitive and was never extractable: a copy exists
only where the token itself is backed up. Without id= it takes the next one
that is free. It prints the URI by which -k takes the key.

check warns of keys that are extractable, readable or short. The fields of
--json are described in the operations manual.",
    statuses: &[
        (0, "listed, made, or it works"),
        (1, "writing failed, or a token of several cannot be read"),
        (2, "wrong call, a malformed URI, or a key that exists"),
        (6, "module, token, PIN or key cannot be used"),
    ],
    takes_several_files: false,
    files: &[("FILE", "The PIN and nothing else, in a file of mode 0600.")],
};

pub(crate) const COMPLETIONS: Help = Help {
    command: "completions",
    usage: "kuvert completions bash|zsh|fish|elvish|powershell",
    examples_title: EXAMPLES,
    examples: "\
kuvert completions bash > ~/.local/share/bash-completion/completions/kuvert
kuvert completions zsh > ~/.zfunc/_kuvert
kuvert completions fish > ~/.config/fish/completions/kuvert.fish
kuvert completions elvish >> ~/.config/elvish/rc.elv
kuvert completions powershell >> $PROFILE",
    notes: "\
For zsh, the directory has to be in fpath before compinit runs.",
    statuses: &[(0, "printed"), (1, "writing failed"), (2, "no such shell")],
    takes_several_files: false,
    files: &[],
};

pub(crate) const MAN: Help = Help {
    command: "man",
    usage: "kuvert man [COMMAND | -o DIR]",
    examples_title: EXAMPLES,
    examples: "\
kuvert man | man -l -
kuvert man verify | man -l -
kuvert man -o ~/.local/share/man/man1",
    notes: "",
    statuses: &[(0, "written"), (1, "writing failed"), (2, "no such command")],
    takes_several_files: false,
    files: &[],
};

const EXAMPLES: &str = "Examples";

const FILES: &[(&str, &str)] = &[
    ("*.kvh", "The header of a message whose layout is detached; the body has the name without .kvh."),
    ("*.kvh.old", "The header that was being replaced when a seal --force was interrupted."),
    (
        "*.kuvert-header",
        "The header as it was before a rewrap that was interrupted; the next rewrap uses and removes it.",
    ),
    (
        ".kuvert-*.tmp",
        "An output while it is being written. May be deleted where a crash has left it and no kuvert runs.",
    ),
];

const REWRAP_FILES: &[(&str, &str)] = &[
    (
        "FILE.kuvert-header",
        "FILE's header as it was, kept while it is being changed. If an interrupted rewrap has left it, the next \
         one restores from it what has to be, and removes it.",
    ),
    (".kuvert-*.tmp", "A file that is being written anew. May be deleted where a crash has left it."),
];
