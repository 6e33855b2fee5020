//! The texts of `kuvert subjects` and of what stands behind it.

use super::Help;

pub(crate) const SUBJECTS: Help = Help {
    command: "subjects",
    usage: "\
kuvert subjects init    --store FILE --root KEY... --epoch KEY...
           [--credentials KEY]... [--anchor FILE] [--json]
       kuvert subjects status  --store FILE [--anchor FILE] [--json]
       kuvert subjects erase   [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] --scope SCOPE --request REF [--reason REASON]
           [--even-unknown] [--json]
           [--from FILE | --subject NAME | --class NAME]
       kuvert subjects hold    [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] --scope SCOPE --case REF [--even-unknown] [--json]
           [--from FILE | --subject NAME | --class NAME]
       kuvert subjects release [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] --scope SCOPE --case REF [--json]
           [--from FILE | --subject NAME | --class NAME]
       kuvert subjects roll    [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] [--credentials] [--json]
           (--to KEY... | --destroy KEY... --backup FILE)
       kuvert subjects receipts [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] [--confirm KEY]... [--json]
           [--verify | --scope SCOPE --request REF]
       kuvert subjects backup  [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] --to KEY... [-o OUT] [--force] [--json]
       kuvert subjects restore [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] [--json] [IN]
       kuvert subjects check-backup [-k KEY]... [--store FILE] [--json] [IN]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects init --store keys.sqlite --anchor /mnt/b/keys.anchor \\
    --root root.key --epoch w47.key
kuvert subjects erase -k root.key --store keys.sqlite \\
    --anchor /mnt/b/keys.anchor --scope shop --request 2026-118 --from names
kuvert subjects status --store keys.sqlite --anchor /mnt/b/keys.anchor
kuvert subjects backup -k root.key -k w47.key --store keys.sqlite \\
    --to backup.key -o keys.kvt",
    notes: "\
Lose the key store, lose the data: it is the only place where the keys of
people are. Back it up after every change that matters, apart from the data.
Each command has a --help of its own.

What is erased does not open again, from any copy of the data. Copies of the
key store from before an erasure end with the next roll, once its old wrapping
key is destroyed.

Names of people come from a file or from standard input, one on a line, and
are never shown again: what is told of one of them is told by its line.",
    statuses: STATUSES,
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_INIT: Help = Help {
    command: "subjects-init",
    usage: "\
kuvert subjects init    --store FILE --root KEY... --epoch KEY...
           [--credentials KEY]... [--anchor FILE] [--json]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects init --store keys.sqlite --anchor /mnt/b/keys.anchor \\
    --root root.key --epoch w47.key
kuvert subjects init --store keys.sqlite --root config:root.toml \\
    --epoch aws-kms:arn:aws:kms:eu-north-1:111122223333:key/1234abcd",
    notes: "\
The root's key has to last as long as the store; an epoch's is destroyed after
the roll that ends it, so that older copies of the store become noise. Use two.

The anchor keeps a mark of every erasure on another disk. With it a store that
was restored from an older copy is found out, and erases again what it has to.",
    statuses: &[
        (0, "made"),
        (1, "reading or writing failed"),
        (2, "wrong call, or FILE exists"),
        (3, "FILE is something else than a key store"),
        (6, "a key could not be asked"),
        (7, "refused: the anchor belongs to another key store"),
    ],
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_STATUS: Help = Help {
    command: "subjects-status",
    usage: "kuvert subjects status  --store FILE [--anchor FILE] [--json]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects status --store keys.sqlite --anchor /mnt/b/keys.anchor
kuvert subjects status --store keys.sqlite --json | jq .anchor.state",
    notes: "\
Counts epochs, keys and tombstones, compares the store with its anchor, and
says when a backup was last verified and what a roll would do. It needs no
key, so nothing is verified: 'kuvert subjects receipts --verify' does that.",
    statuses: &[
        (0, "shown"),
        (1, "reading failed"),
        (2, "wrong call, or the store was never initialised"),
        (3, "not a key store, damaged, or made by a newer kuvert"),
    ],
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_ERASE: Help = Help {
    command: "subjects-erase",
    usage: "\
kuvert subjects erase   [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] --scope SCOPE --request REF [--reason REASON]
           [--even-unknown] [--json]
           [--from FILE | --subject NAME | --class NAME]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects erase -k root.key --store keys.sqlite \\
    --anchor /mnt/b/keys.anchor --scope shop --request 2026-118 --from names
kuvert subjects erase -k root.key --store keys.sqlite --scope shop \\
    --request r-2027 --reason expiry --class orders-2016",
    notes: "\
Names are lines of FILE, or of standard input. A name on the command line can
be seen by other users of the machine and stays in the shell's history. A line
that is empty, too long or not UTF-8 ends the call before anything is done.

All keys of a person go, with the person's credentials. Repeated, it changes
nothing; after an interruption it goes on. A name on hold, and one for which
nothing was ever sealed, does not keep the others.

With a service that keeps keys for longer than a minute, say so: --max-age is
what the time in the receipt is counted from. The root's key is enough.",
    statuses: &[
        (0, "erased, or erased before"),
        (1, "reading or writing failed"),
        (2, "wrong call, or a name that the scope does not know"),
        (3, "not a key store, or unsupported"),
        (4, "the register was tampered with"),
        (6, "wrong key, or none that fits"),
        (7, "refused: on hold, or the anchor contradicts the store"),
    ],
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_HOLD: Help = Help {
    command: "subjects-hold",
    usage: "\
kuvert subjects hold    [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] --scope SCOPE --case REF [--even-unknown] [--json]
           [--from FILE | --subject NAME | --class NAME]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects hold -k root.key --store keys.sqlite --scope shop \\
    --case 'court-7-O-118' --from names",
    notes: "\
Whoever is on hold for any case is not erased. One person may be on hold for
several; each is released by itself. The case is hashed and not stored.",
    statuses: STATUSES,
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_RELEASE: Help = Help {
    command: "subjects-release",
    usage: "\
kuvert subjects release [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] --scope SCOPE --case REF [--json]
           [--from FILE | --subject NAME | --class NAME]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects release -k root.key --store keys.sqlite --scope shop \\
    --case 'court-7-O-118' --from names",
    notes: "\
A name that is not on hold for this case is told, with the number of other
cases for which it is.",
    statuses: STATUSES,
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_ROLL: Help = Help {
    command: "subjects-roll",
    usage: "\
kuvert subjects roll    [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] [--credentials] [--json]
           (--to KEY... | --destroy KEY... --backup FILE)",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects roll -k root.key -k w47.key --to w48.key --store keys.sqlite
kuvert subjects backup -k root.key -k w48.key --store keys.sqlite \\
    --to backup.key -o keys.kvt
kuvert subjects roll -k root.key -k w48.key -k backup.key \\
    --store keys.sqlite --backup keys.kvt \\
    --destroy aws-kms:arn:aws:kms:eu-north-1:111122223333:key/1234abcd",
    notes: "\
--to opens an epoch under a new wrapping key and moves every key into it, while
services go on. Interrupted at any moment, the same call goes on where it was.
The old wrapping key is then needed for nothing but older copies of the store.

--destroy has that key destroyed, so that those copies become noise: it cannot
be undone. It first checks --backup, which has to be from after the roll, and
that nothing needs the key: credentials have an epoch of their own, which is
rolled with --credentials. Keys in AWS KMS go after 30 days, in which AWS can
stop it; keys in a token at once. A key in a file is yours to delete.",
    statuses: &[
        (0, "done"),
        (1, "reading or writing failed"),
        (2, "wrong call"),
        (3, "not a key store or backup, or unsupported"),
        (4, "a key does not open, or the register was tampered with"),
        (6, "wrong key, or none that fits"),
        (7, "refused: a key that is still needed, or an old backup"),
    ],
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_RECEIPTS: Help = Help {
    command: "subjects-receipts",
    usage: "\
kuvert subjects receipts [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] [--confirm KEY]... [--json]
           [--verify | --scope SCOPE --request REF]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects receipts -k root.key --store keys.sqlite --verify
kuvert subjects receipts -k root.key --store keys.sqlite \\
    --scope shop --request 2026-118 --json",
    notes: "\
Every tombstone and receipt is verified, whatever is shown. Without --request
each request stands on a line, by a hash that nobody gets a name from.

--confirm asks AWS KMS or a token whether the wrapping key of a retired epoch
is gone. If it is, the receipts of all that was erased before say from then on
that it is irrevocable; if not, it says why. Whoever was erased within an hour
before a roll waits for the end of the next epoch's key. Of a token, name the
very one: another token does not have the key either.",
    statuses: STATUSES,
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_BACKUP: Help = Help {
    command: "subjects-backup",
    usage: "\
kuvert subjects backup  [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] --to KEY... [-o OUT] [--force] [--json]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects backup -k root.key -k w47.key --store keys.sqlite \\
    --to backup.key -o keys.kvt
kuvert subjects backup -k root.key --store keys.sqlite --to backup.key \\
    | ssh vault 'cat > keys.kvt'",
    notes: "\
Services go on meanwhile. OUT is read back and checked before it appears, for
which -k has to open the epochs, too. Seal it for a key that outlives them.

A backup from before a roll opens nothing once the old wrapping key is
destroyed: take a new one after every roll.",
    statuses: STATUSES,
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_RESTORE: Help = Help {
    command: "subjects-restore",
    usage: "\
kuvert subjects restore [-k KEY]... --store FILE [--anchor FILE]
           [--max-age AGE] [--json] [IN]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects restore -k root.key -k backup.key --store new.sqlite \\
    --anchor /mnt/b/keys.anchor keys.kvt",
    notes: "\
FILE must not be there: a backup is never put over a store that may be newer.
It appears whole or not at all. With its anchor, everybody who was erased since
the backup is erased again before it appears.",
    statuses: &[
        (0, "restored"),
        (1, "reading or writing failed"),
        (2, "wrong call"),
        (3, "not a backup of a key store, or unsupported"),
        (4, "truncated, or tampered with"),
        (5, "a sealed file, and no backup of a key store"),
        (6, "wrong key, or none that fits"),
        (7, "refused: FILE exists, or the anchor is another store's"),
    ],
    takes_several_files: false,
    files: STORE_FILES,
};

pub(crate) const SUBJECTS_CHECK: Help = Help {
    command: "subjects-check-backup",
    usage: "kuvert subjects check-backup [-k KEY]... [--store FILE] [--json] [IN]",
    examples_title: EXAMPLES,
    examples: "\
kuvert subjects check-backup -k root.key -k w47.key -k backup.key \\
    --store keys.sqlite keys.kvt",
    notes: "\
Reads it to its end and opens the root, every living epoch and every key in
it. With --store it says how many changes the backup is behind.",
    statuses: &[
        (0, "whole, and everything in it opens"),
        (1, "reading failed"),
        (2, "wrong call"),
        (3, "not a backup of a key store, or unsupported"),
        (4, "truncated, or tampered with"),
        (5, "a sealed file, and no backup of a key store"),
        (6, "wrong key, or none that fits"),
        (7, "refused: the backup of another key store"),
    ],
    takes_several_files: false,
    files: STORE_FILES,
};

const EXAMPLES: &str = "Examples";

const STATUSES: &[(u8, &str)] = &[
    (0, "done"),
    (1, "reading or writing failed"),
    (2, "wrong call, or a name that is not known"),
    (3, "not a key store, or unsupported"),
    (4, "truncated, or tampered with"),
    (6, "wrong key, or none that fits"),
    (7, "refused by a rule"),
];

const STORE_FILES: &[(&str, &str)] = &[
    ("FILE", "The key store, an SQLite database of mode 0600. Copy it by 'kuvert subjects backup' only."),
    (
        "FILE-wal, FILE-shm",
        "The last changes of a store that is in use. They belong to FILE: never delete them.",
    ),
    ("FILE.last-backup", "When a backup was last verified, for 'status'. Nothing depends on it."),
];
