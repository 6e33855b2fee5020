//! This crate against an independent reader and writer in Python, made from the manual alone: each opens what the
//! other sealed, in every layout and at every size around a border.
//!
//! The program's own interoperation is in `tests/cli`, over the same `support::python`.

use std::fs;
use std::path::{Path, PathBuf};

use kuvert::blocking::Kuvert;
use kuvert::provider::{KeyFile, MemoryProvider};
use kuvert::{
    Category, Cell, EncryptionContext, Layout, MessageStart, OpenOptions, RewrapOptions, SealOptions,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::fixture::text;
use crate::support::python::Python;

/// Bytes of plaintext: none, one, and around every border of a chunk and of a machine's group of 32.
const SIZES: [usize; 19] = [
    0,
    1,
    15,
    16,
    17,
    1000,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK - 17,
    2 * CHUNK - 1,
    2 * CHUNK,
    2 * CHUNK + 1,
    32 * CHUNK - 1,
    32 * CHUNK,
    32 * CHUNK + 1,
    65 * CHUNK + 7,
    3 << 20,
    (5 << 20) + 321,
];
const CHUNK: usize = 16_384;
const LAYOUTS: [(Layout, &str); 3] =
    [(Layout::Compact, "compact"), (Layout::Rewrappable, "rewrappable"), (Layout::Detached, "detached")];

/// Stored and required pairs, by what the writer is asked for.
type Pairs = &'static [(&'static str, &'static str)];
const CONTEXTS: [(Pairs, Pairs); 4] = [
    (&[], &[]),
    (&[("table", "users"), ("größe", "")], &[]),
    (&[], &[("tenant", "acme")]),
    (&[("backup", "2026-11-21"), ("名前", "🔑=1")], &[("tenant", "acme"), ("Zone", "a\nb")]),
];

#[test]
fn python_opens_what_the_crate_seals() {
    let Some(mut rig) = Rig::new("python_opens_what_the_crate_seals") else { return };
    let mut opened = 0;
    for (layout, name) in LAYOUTS {
        for (i, size) in SIZES.into_iter().enumerate() {
            let (stored, required) = CONTEXTS[i % CONTEXTS.len()];
            let plaintext = text(size);
            rig.seal(layout, &plaintext, stored, required);
            for stream in [false, true] {
                let answer = rig.python_opens(layout, &presented(stored, required), stream);
                assert_eq!(answer["category"], "ok", "{name} {size}: {answer}");
                assert_eq!(answer["len"], size, "{name} {size}");
                assert_eq!(answer["sha256"], hash(&plaintext), "{name} {size}");
                assert_eq!(answer["opened_by"], format!("0001 {}", rig.key_id), "{name} {size}");
                assert_eq!((&answer["generation"], &answer["degraded"]), (&json!(1), &json!(false)));
                opened += 1;
            }
        }
    }
    assert_eq!(opened, 3 * SIZES.len() * 2);
}

#[test]
fn the_crate_opens_what_python_writes() {
    let Some(mut rig) = Rig::new("the_crate_opens_what_python_writes") else { return };
    for (layout, name) in LAYOUTS {
        for (i, size) in SIZES.into_iter().enumerate() {
            let (stored, required) = CONTEXTS[(i + 1) % CONTEXTS.len()];
            let plaintext = text(size);
            rig.python_writes(name, &plaintext, stored, required, &format!("{name} {size}"));
            let opened = rig.open(layout, &context(&presented(stored, required)));
            assert!(opened.as_deref() == Ok(&plaintext[..]), "{name} {size}: {:?}", opened.err());
        }
    }
}

/// After a rewrap, and in the state that one leaves which stopped half way.
#[test]
fn python_opens_what_was_rewrapped() {
    let Some(mut rig) = Rig::new("python_opens_what_was_rewrapped") else { return };
    let always = RewrapOptions::default().with_even_if_unchanged(true);
    for (i, layout) in [Layout::Compact, Layout::Rewrappable, Layout::Detached].into_iter().enumerate() {
        let (stored, required) = CONTEXTS[i];
        let (plaintext, pairs) = (text(40_000), presented(stored, required));
        rig.seal(layout, &plaintext, stored, required);
        for generation in 2..5 {
            let (before, _) = rig.files();
            let new = MemoryProvider::from_key_file(rig.path("keys")).unwrap();
            let rewrap = rig.kuvert.rewrap_to(new).with_options(always);
            let report = match layout {
                Layout::Detached => {
                    rewrap.detached_file(rig.path("header"), rig.path("message"), &context(&pairs))
                }
                _ => rewrap.file(rig.path("message"), &context(&pairs)),
            };
            assert_eq!(report.unwrap().generation, generation);
            let (after, _) = rig.files();
            // The new slot beside the old one, where there are two.
            let both: Vec<u8> =
                before.iter().zip(&after).map(|(a, b)| if *b == 0 { *a } else { *b }).collect();
            let states = if layout == Layout::Rewrappable { vec![both, after] } else { vec![after] };
            for (message, unfinished) in states.iter().rev().zip([false, true]) {
                fs::write(rig.path("message"), message).unwrap();
                let answer = rig.python_opens(layout, &pairs, false);
                assert_eq!(answer["category"], "ok", "{layout:?} {generation}: {answer}");
                assert_eq!(answer["sha256"], hash(&plaintext));
                assert_eq!((&answer["generation"], &answer["degraded"]), (&json!(generation), &json!(false)));
                assert_eq!(rig.open(layout, &context(&pairs)).as_ref(), Ok(&plaintext), "{unfinished}");
            }
            fs::write(rig.path("message"), &states[states.len() - 1]).unwrap();
        }
    }
}

/// The same randomness is not at hand for both, so the headers' lengths are compared where the layout fixes them.
#[test]
fn both_lay_headers_out_alike() {
    let Some(mut rig) = Rig::new("both_lay_headers_out_alike") else { return };
    for (layout, name) in LAYOUTS {
        for (stored, required) in CONTEXTS {
            rig.seal(layout, b"hello", stored, required);
            let ours = rig.files();
            rig.python_writes(name, b"hello", stored, required, "layout");
            let theirs = rig.files();
            assert_eq!(ours.0.len(), theirs.0.len(), "{name}: message or body");
            assert_eq!(ours.1.len(), theirs.1.len(), "{name}: detached header");
            let (ours, theirs) =
                if layout == Layout::Detached { (ours.1, theirs.1) } else { (ours.0, theirs.0) };
            // Everything before the first wrap: fixed start, stored context, the slot's and the stanza's starts.
            let context_len = usize::try_from(u32::from_be_bytes(ours[12..16].try_into().unwrap())).unwrap();
            let wrap_at = 32 + context_len + 12 + 12 + rig.key_id.len();
            assert_eq!(ours[..wrap_at], theirs[..wrap_at], "{name}: header");
        }
    }
}

#[test]
fn both_refuse_alike() {
    let Some(mut rig) = Rig::new("both_refuse_alike") else { return };
    let plaintext = text(2 * CHUNK + 100);
    let right = [("tenant", "acme"), ("table", "users")];
    rig.seal(Layout::Rewrappable, &plaintext, &[("table", "users")], &[("tenant", "acme")]);
    let whole = fs::read(rig.path("message")).unwrap();
    let end = whole.len();
    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    for at in [
        0,
        8,
        9,
        10,
        11,
        14,
        18,
        20,
        21,
        22,
        23,
        40,
        60,
        70,
        100,
        130,
        2000,
        4090,
        4100,
        4130,
        4160,
        20_600,
        end - 1,
    ] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        damaged.push((format!("bit of byte {at}"), flipped));
    }
    for len in [
        0,
        7,
        31,
        32,
        100,
        4095,
        4096,
        4151,
        4152,
        4167,
        4168,
        4152 + 16_400,
        4152 + 16_416,
        end - 116,
        end - 100,
    ] {
        damaged.push((format!("cut to {len}"), whole[..len].to_vec()));
    }
    let contexts: [&[(&str, &str)]; 5] = [
        &right,
        &[("tenant", "acme")],
        &[("table", "users")],
        &[("tenant", "acme"), ("table", "orders")],
        &[],
    ];
    for presented in contexts {
        damaged.push((format!("presented {presented:?}"), whole.clone()));
        let (_, message) = damaged.pop().unwrap();
        rig.compare(&message, presented, &format!("presented {presented:?}"));
    }
    for (what, message) in &damaged {
        rig.compare(message, &right, what);
    }
}

#[test]
fn records_go_both_ways() {
    let Some(mut rig) = Rig::new("records_go_both_ways") else { return };
    let (stored, required): (Pairs, Pairs) = (&[("table", "customers")], &[("tenant", "acme")]);
    let presented = presented(stored, required);
    let bound = context(&presented);
    let (key, envelope) = rig.kuvert.new_record_key(&sealing_context(stored, required)).unwrap();
    let theirs = rig.python.ask_ok(&json!({"do": "record_key", "keys": rig.path("keys"), "stored": stored,
        "required": required, "reference": "00f8000000000001", "seed": "records"}));
    let their_envelope = unhex(theirs["envelope"].as_str().unwrap());
    let their_key = rig.kuvert.load_record_key(&their_envelope, &bound).unwrap();
    assert_eq!(their_key.reference(), 0x00f8_0000_0000_0001);
    assert_eq!(envelope.len(), their_envelope.len(), "the envelopes are laid out alike");

    for (i, size) in [0, 1, 15, 16, 17, 64, 1000, 16_384, 70_000, 1 << 20].into_iter().enumerate() {
        let (plaintext, row) = (text(size), 40 + i as u64);
        let cell = Cell::new("customers", "email", row);
        let parts: Vec<String> =
            [b"customers".as_slice(), b"email", &row.to_be_bytes()].into_iter().map(hex).collect();
        let record = key.seal(&plaintext, &cell).unwrap();
        let opened = rig.python.ask_ok(&json!({"do": "open_record", "keys": rig.path("keys"),
            "envelope": hex(&envelope), "context": presented, "record": hex(&record), "parts": parts}));
        assert_eq!(opened["plaintext"], hex(&plaintext), "{size} bytes, sealed by the crate");
        assert_eq!(opened["reference"], format!("{:016x}", key.reference()));

        let written = rig.python.ask_ok(&json!({"do": "write_record", "key": theirs["key"],
            "nonce": hex(&[u8::try_from(i).unwrap(); 24]), "plaintext": hex(&plaintext), "parts": parts}));
        let record = unhex(written["record"].as_str().unwrap());
        assert_eq!(
            their_key.open(&record, &cell).unwrap()[..],
            plaintext[..],
            "{size} bytes, written by Python"
        );
        let elsewhere = their_key.open(&record, &Cell::new("customers", "email", row + 1)).unwrap_err();
        assert_eq!(elsewhere.category(), Category::Tampered);
    }
}

/// The example as somebody in need would run it.
#[test]
fn the_example_rescues_from_its_command_line() {
    let Some(mut rig) = Rig::new("the_example_rescues_from_its_command_line") else { return };
    let plaintext = text(100_000);
    let (stored, required): (Pairs, Pairs) = (&[("table", "users")], &[("tenant", "acme")]);
    let (keys, message, header) = (rig.path("keys"), rig.path("message"), rig.path("header"));
    let context = ["-c", "table=users", "-c", "tenant=acme"];

    rig.seal(Layout::Rewrappable, &plaintext, stored, required);
    rig.cli(&[&["-k", &keys], &context[..], &[&message]].concat(), None, 0, &plaintext);
    rig.cli(&[&["-k", &keys], &context[..]].concat(), Some("message"), 0, &plaintext);
    rig.cli(&["-k", &keys, "--accept-stored-context", "-c", "tenant=acme", &message], None, 0, &plaintext);
    rig.cli(&["-k", &keys, "-c", "tenant=acme", &message], None, 5, b"");
    rig.cli(&["-k", &keys, "-c", "tenant", &message], None, 2, b"");
    rig.cli(&["-k", &keys, &rig.path("nowhere")], None, 1, b"");
    rig.cli(&["-k", &message, &message], None, 2, b"");
    rig.cli(&["-k", &keys, &keys], None, 3, b"");
    fs::write(rig.path("other"), KeyFile::generate(Some("other")).unwrap().expose_text().as_bytes()).unwrap();
    rig.cli(&[&["-k", &rig.path("other")], &context[..], &[&message]].concat(), None, 6, b"");
    let cut = fs::read(&message).unwrap();
    fs::write(rig.path("cut"), &cut[..cut.len() - 5000]).unwrap();
    rig.cli(&[&["-k", &keys], &context[..], &[&rig.path("cut")]].concat(), None, 4, b"");

    rig.seal(Layout::Detached, &plaintext, stored, required);
    rig.cli(&[&["-k", &keys, "--header", &header], &context[..], &[&message]].concat(), None, 0, &plaintext);
    rig.cli(&[&["-k", &keys], &context[..], &[&header]].concat(), None, 2, b"");

    let (key, envelope) = rig.kuvert.new_record_key(&sealing_context(stored, required)).unwrap();
    fs::write(rig.path("envelope"), envelope).unwrap();
    let record = key.seal(b"anna@example.se", &Cell::new("customers", "email", "C-42")).unwrap();
    let (envelope, record) = (rig.path("envelope"), hex(&record));
    let mut words = vec!["-k", &keys, "--envelope", &envelope, "--record", &record];
    words.extend(context);
    words.extend(["--part", "customers", "--part", "email", "--part"]);
    rig.cli(&[&words[..], &["C-42"]].concat(), None, 0, b"anna@example.se");
    rig.cli(&[&words[..], &["C-43"]].concat(), None, 4, b"");
    rig.cli(&[&words[..words.len() - 1], &["--part-hex", "432d3432"]].concat(), None, 0, b"anna@example.se");
}

/// A key file, a directory, the crate and the interpreter.
struct Rig {
    python: Python,
    folder: tempfile::TempDir,
    kuvert: Kuvert,
    key_id: String,
}

impl Rig {
    fn new(test: &str) -> Option<Self> {
        let python = Python::start(test)?;
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFile::generate(None).unwrap();
        let key_id = keys.ids().next().unwrap().to_owned();
        keys.write_new(&folder.path().join("keys")).unwrap();
        let kuvert = Kuvert::new(MemoryProvider::from_key_file(folder.path().join("keys")).unwrap());
        Some(Self { python, folder, kuvert, key_id })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().unwrap()
    }

    /// Seals into `message`, and `header` where that is detached.
    fn seal(&self, layout: Layout, plaintext: &[u8], stored: Pairs, required: Pairs) {
        let options = SealOptions::default().with_layout(layout);
        let kuvert = self.kuvert.clone().with_seal_options(options);
        let sealer = kuvert.sealer(&sealing_context(stored, required)).unwrap();
        let header = sealer.header().to_vec();
        let mut writer = sealer.into_writer(Vec::new());
        // In odd pieces, as a program would write them.
        for piece in plaintext.chunks(30_011) {
            std::io::Write::write_all(&mut writer, piece).unwrap();
        }
        let (written, _) = writer.finish().unwrap();
        fs::write(self.path("message"), written).unwrap();
        fs::write(self.path("header"), if layout == Layout::Detached { header } else { Vec::new() }).unwrap();
    }

    fn python_opens(&mut self, layout: Layout, presented: &[(&str, &str)], stream: bool) -> Value {
        let header = (layout == Layout::Detached).then(|| self.path("header"));
        let request = json!({"do": "open", "keys": self.path("keys"), "message": self.path("message"),
            "header": header, "context": presented, "stream": stream});
        self.python.ask(&request)
    }

    fn python_writes(&mut self, layout: &str, plaintext: &[u8], stored: Pairs, required: Pairs, seed: &str) {
        fs::write(self.path("plaintext"), plaintext).unwrap();
        fs::write(self.path("header"), b"").unwrap();
        let request = json!({"do": "write", "keys": self.path("keys"), "layout": layout, "seed": seed,
            "plaintext": self.path("plaintext"), "stored": stored, "required": required,
            "out": self.path("message"), "header_out": self.path("header")});
        self.python.ask_ok(&request);
    }

    fn files(&self) -> (Vec<u8>, Vec<u8>) {
        (fs::read(self.path("message")).unwrap(), fs::read(self.path("header")).unwrap())
    }

    /// Opens `message` (and `header`) with the crate.
    fn open(&self, layout: Layout, context: &EncryptionContext) -> Result<Vec<u8>, kuvert::Category> {
        let category = |error: kuvert::OpenError| error.category();
        let (message, header) = self.files();
        if layout != Layout::Detached {
            return self.kuvert.open(&message, context).map(kuvert::Opened::into_inner).map_err(category);
        }
        let mut body = std::io::Cursor::new(&message);
        let start =
            MessageStart::read_detached_seekable(&mut header.as_slice(), &mut body).map_err(category)?;
        let opener = self.kuvert.opener(start, context).map_err(category)?;
        let mut reader = opener.into_seekable(body).map_err(category)?;
        let mut plaintext = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut plaintext).map_err(|error| category(error.into()))?;
        Ok(plaintext)
    }

    /// Both readers answer the same for `message`, whatever it is.
    fn compare(&mut self, message: &[u8], presented: &[(&str, &str)], what: &str) {
        fs::write(self.path("message"), message).unwrap();
        let ours =
            self.kuvert.clone().with_open_options(OpenOptions::default()).open(message, &context(presented));
        let ours = ours.map_or_else(|error| error.category().name(), |_| "ok");
        let theirs = self.python_opens(Layout::Compact, presented, false);
        assert_eq!(theirs["category"], ours, "{what}: {theirs}");
    }

    /// Runs the example's command line.
    fn cli(&mut self, args: &[&str], stdin: Option<&str>, status: u8, plaintext: &[u8]) {
        let out = self.path("out");
        let stdin: Option<PathBuf> = stdin.map(|name| Path::new(&self.path(name)).to_owned());
        let answer = self.python.ask_ok(&json!({"do": "cli", "args": args, "stdin": stdin, "out": out}));
        assert_eq!(answer["status"], status, "{args:?}: {answer}");
        let stderr = answer["stderr"].as_str().unwrap();
        assert_eq!(stderr.is_empty(), status == 0, "{args:?}: {stderr}");
        if status == 0 {
            assert!(fs::read(&out).unwrap() == plaintext, "{args:?}: another plaintext");
        } else {
            let key = fs::read_to_string(self.path("keys")).unwrap();
            let secret = key.trim_end().rsplit(':').next().unwrap();
            assert!(!stderr.contains(secret), "{args:?} shows the key");
        }
    }
}

fn presented(stored: Pairs, required: Pairs) -> Vec<(&'static str, &'static str)> {
    [stored, required].concat()
}

fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    EncryptionContext::new(pairs.iter().copied()).unwrap()
}

fn sealing_context(stored: Pairs, required: Pairs) -> EncryptionContext {
    let stored = context(stored);
    required.iter().fold(stored, |context, (name, value)| context.with_required(*name, *value).unwrap())
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
