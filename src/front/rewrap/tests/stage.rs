//! Files to rewrap in every state that a rewrap may meet, and the judgement of what came of it.

use std::path::Path;

use super::disk::LogDisk;
use crate::{
    error::{ProviderError, RewrapError},
    executor::block_on,
    format::{
        Layout,
        context::EncryptionContext,
        stanza::{Recipient, RecipientType},
    },
    front::{Kuvert, MessageStart, Rewrap, RewrapOutcome, RewrapReport, SealOptions},
    io::images::Directory,
    provider::{Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext},
    secret::DataKey,
};

pub(super) const FILE: &str = "backup";
pub(super) const SIDE: &str = "backup.kuvert-header";
const BODY: &str = "body";
const PLAINTEXT: &[u8] = b"what must neither be lost nor changed";

/// Which call is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// `file`.
    File,
    /// `detached_file`.
    Detached,
    /// `file_to` another file, over one that is there.
    To,
}

/// A directory before a rewrap from `old` to `new`.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) job: Job,
    pub(super) before: Directory,
    /// Whether the file's header is lost before, so that only the side copy brings it back.
    pub(super) lost: bool,
}

pub(super) fn holder(ids: &[&str]) -> Kuvert {
    let keys = ids.iter().map(|id| {
        let mut key = [0x42; 32];
        key[..id.len()].copy_from_slice(id.as_bytes());
        (*id, key)
    });
    Kuvert::new(Crowded(MemoryProvider::from_keys(keys).expect("well-named keys")))
}

/// Wraps for a crowd of strangers as well, so that a slot is full and no two of its sectors are alike.
#[derive(Debug)]
struct Crowded(MemoryProvider);

#[async_trait::async_trait]
impl KeyProvider for Crowded {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let mut all = self.0.wrap_data_key(key, context).await?;
        let salt = all[0].wrap()[0];
        let stranger =
            |n: u8| Recipient::new(RecipientType(0x8000), [b'a' + n], [], vec![(salt ^ n) | 1; 130]);
        all.extend((0..12).map(stranger));
        Ok(all)
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.0.unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.0.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.0.describe()
    }
}

pub(super) fn context() -> EncryptionContext {
    EncryptionContext::new([("table", "users")]).expect("one short pair")
}

pub(super) fn rewrap(from: &[&str], to: &str) -> Rewrap {
    holder(from).rewrap_to_arc(std::sync::Arc::clone(&holder(&[to]).opening().provider))
}

pub(super) fn sealed(layout: Layout, id: &str) -> Vec<u8> {
    let kuvert = holder(&[id]).with_seal_options(SealOptions::default().with_layout(layout));
    block_on(kuvert.seal(PLAINTEXT, &context())).expect("not nested").expect("in memory")
}

fn rewrapped(message: &[u8], from: &str, to: &str) -> Vec<u8> {
    let done = block_on(rewrap(&[from], to).message(message, &context())).expect("not nested");
    done.expect("a good message").0
}

/// Where the two slots begin and end.
pub(super) fn slots(message: &[u8]) -> [std::ops::Range<usize>; 2] {
    let be32 = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().expect("four")) as usize;
    let (start, len) = (32 + be32(12), be32(16));
    [start..start + len, start + len..start + 2 * len]
}

pub(super) fn cases() -> Vec<Case> {
    let first = sealed(Layout::Rewrappable, "old");
    let [a, b] = slots(&first);
    // Old in the second slot, the first one zeroed.
    let second = rewrapped(&sealed(Layout::Rewrappable, "older"), "older", "old");
    let done = rewrapped(&first, "old", "new");
    // Both slots valid: the old one was not zeroed any more.
    let mut unfinished = first.clone();
    unfinished[b.clone()].copy_from_slice(&done[b.clone()]);
    let mut torn = first.clone();
    torn[b.start..b.start + 100].copy_from_slice(&done[b.start..b.start + 100]);
    let mut torn_zero = unfinished.clone();
    torn_zero[a.start..a.start + 300].fill(0);
    let mut lost = first.clone();
    lost[a.clone()].fill(0);
    let header = first[..4096].to_vec();
    let case = |name, message: &[u8]| Case {
        name,
        job: Job::File,
        before: Directory::from([
            (FILE.to_owned(), message.to_vec()),
            ("bystander".to_owned(), b"stays".to_vec()),
        ]),
        lost: false,
    };
    let beside = |case: Case, name: &'static str, content: &[u8]| {
        let mut before = case.before.clone();
        before.insert(name.to_owned(), content.to_vec());
        Case { before, ..case }
    };
    let (detached_header, body) = detached();
    vec![
        case("sealed", &first),
        case("rewrapped before", &second),
        case("unfinished", &unfinished),
        case("torn", &torn),
        case("torn while zeroing", &torn_zero),
        case("one slot", &sealed(Layout::Compact, "old")),
        case("done", &done),
        beside(case("done, side copy left", &done), SIDE, &header),
        beside(case("sealed, other side copy left", &first), SIDE, &second[..4096]),
        Case { lost: true, ..beside(case("lost", &lost), SIDE, &header) },
        Case { job: Job::Detached, ..beside(case("detached", &detached_header), BODY, &body) },
        Case { job: Job::To, ..beside(case("to another file", &first), "to", &second) },
    ]
}

/// A detached header and its body.
fn detached() -> (Vec<u8>, Vec<u8>) {
    let writer = holder(&["old"]).with_seal_options(SealOptions::default().with_layout(Layout::Detached));
    let sealer = block_on(writer.sealer(&context())).expect("not nested").expect("in memory");
    let header = sealer.header().to_vec();
    let mut out = sealer.into_writer(Vec::new());
    std::io::Write::write_all(&mut out, PLAINTEXT).expect("in memory");
    (header, out.finish().expect("in memory").0)
}

/// Runs the case's rewrap.
pub(super) fn run(case: &Case, disk: LogDisk) -> Result<RewrapReport, RewrapError> {
    let rewrap = rewrap(&["old"], "new");
    let context = context();
    let (file, body) = (Path::new(FILE), Path::new(BODY));
    let done = match case.job {
        Job::File => block_on(rewrap.file_on(disk, file, &context)),
        Job::Detached => block_on(rewrap.detached_file_on(disk, file, body, &context)),
        Job::To => {
            let options = crate::front::RewrapOptions::default().with_replace_existing(true);
            let rewrap = rewrap.with_options(options);
            block_on(rewrap.file_to_on(disk, file, Path::new("to"), &context))
        }
    };
    done.expect("not nested")
}

/// Whether a holder of this key opens it to the right plaintext, and whether the header is as it should be.
fn opens(case: &Case, directory: &Directory, name: &str, id: &str) -> Result<bool, String> {
    let bytes = &directory[name];
    let detached = directory.get(BODY).filter(|_| case.job == Job::Detached);
    let start = match detached {
        Some(body) => MessageStart::read_detached(&mut bytes.as_slice(), &mut body.as_slice()),
        None => MessageStart::parse(bytes),
    };
    let start = start.map_err(|error| format!("{name}: {error}"))?;
    let chunks = usize::try_from(start.chunks_offset()).expect("small");
    let Ok(opener) = block_on(holder(&[id]).opener(start, &context())).expect("not nested") else {
        return Ok(false);
    };
    let mut plaintext = vec![0; PLAINTEXT.len()];
    opener
        .open_into(&detached.unwrap_or(bytes)[chunks..], &mut plaintext)
        .map_err(|error| format!("{name}: {error}"))?;
    if plaintext != PLAINTEXT {
        return Err(format!("{name} opens to something else"));
    }
    Ok(true)
}

/// What must hold of the directory at any moment; with `promised`, after a rewrap that was reported as done.
pub(super) fn judge(case: &Case, directory: &Directory, promised: bool) -> Result<(), String> {
    let target = if case.job == Job::To { "to" } else { FILE };
    for name in case.before.keys() {
        let is_side = name == SIDE;
        if !directory.contains_key(name) && !is_side {
            return Err(format!("{name} is gone"));
        }
        let untouched = name != target && !is_side;
        if untouched && directory[name] != case.before[name] {
            return Err(format!("{name} changed"));
        }
    }
    let (old, new) = if case.job == Job::To && directory["to"] == case.before["to"] && !promised {
        (true, false)
    } else if case.lost && !promised {
        return again(case, directory);
    } else {
        (opens(case, directory, target, "old")?, opens(case, directory, target, "new")?)
    };
    if !old && !new {
        return Err("opens with neither key".into());
    }
    if promised {
        if old || !new || directory.contains_key(SIDE) && case.job == Job::File {
            return Err(format!("reported as done: old {old}, new {new}, {:?}", directory.keys()));
        }
        return Ok(());
    }
    again(case, directory)
}

/// The next rewrap, on a good disk, does the rest.
pub(super) fn again(case: &Case, directory: &Directory) -> Result<(), String> {
    let disk = LogDisk::new(directory);
    run(case, disk.clone()).map_err(|error| format!("the next rewrap fails: {error}"))?;
    let live = disk.live();
    judge(case, &live, true)?;
    let twice =
        run(case, LogDisk::new(&live)).map_err(|error| format!("the one after that fails: {error}"))?;
    if case.job != Job::To && twice.outcome != RewrapOutcome::Unchanged {
        return Err(format!("something was left to do: {twice:?}"));
    }
    Ok(())
}
