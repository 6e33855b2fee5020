//! Every disk image that a power cut may leave behind a log of file calls.
//!
//! A model of one directory, more pessimistic than any file system in use: what was not synced may be there or
//! not, sector by sector and name by name, in any combination; what was synced is there. It knows nothing of
//! messages.

use std::collections::BTreeMap;

/// What the log's calls are about: a file by the number of its creation, a name in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// A new, empty file of this number under this name.
    Create { file: usize, name: String },
    /// Bytes at an offset.
    Write { file: usize, at: usize, bytes: Vec<u8> },
    /// The file's content is on the disk from here on.
    SyncFile { file: usize },
    /// The name moves, replacing what had the other name.
    Rename { from: String, to: String },
    /// A second name, refused by the caller if there is one.
    Link { from: String, to: String },
    /// The name goes.
    Remove { name: String },
    /// The directory's names are on the disk from here on.
    SyncDir,
}

/// A directory as it stood, durable, before the log began.
pub(crate) type Directory = BTreeMap<String, Vec<u8>>;

/// Calls `visit` with the number of calls done and with each image a power cut after them may leave; gives back how
/// many images there were.
pub(crate) fn for_each_image(
    before: &Directory,
    log: &[Op],
    mut visit: impl FnMut(usize, &Directory),
) -> usize {
    let mut disk = Disk::new(before);
    let mut images = 0;
    for done in 0..=log.len() {
        disk.for_each_image(|image| {
            images += 1;
            visit(done, image);
        });
        if let Some(op) = log.get(done) {
            disk.apply(op);
        }
    }
    images
}

/// What is durable and what is on its way.
#[derive(Debug)]
struct Disk {
    files: BTreeMap<usize, File>,
    names: BTreeMap<String, usize>,
    pending: Vec<Op>,
}

#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    /// Unsynced writes, cut at sector borders.
    pending: Vec<(usize, Vec<u8>)>,
}

const SECTOR: usize = 512;
/// Up to this many unsynced sectors all subsets are built, above it a chosen few hundred.
const ALL_SUBSETS: usize = 9;

impl Disk {
    fn new(before: &Directory) -> Self {
        // Files of before have numbers that no log uses.
        let number = |index: usize| usize::MAX - index;
        let files = before.values().enumerate();
        Self {
            files: files
                .map(|(i, bytes)| (number(i), File { durable: bytes.clone(), pending: vec![] }))
                .collect(),
            names: before.keys().enumerate().map(|(i, name)| (name.clone(), number(i))).collect(),
            pending: Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { file, at, bytes } => self.files.get_mut(file).expect("created").write(*at, bytes),
            Op::SyncFile { file } => self.files.get_mut(file).expect("created").sync(),
            Op::SyncDir => {
                for op in std::mem::take(&mut self.pending) {
                    apply_name(&mut self.names, &op);
                }
            }
            Op::Create { file, .. } => {
                self.files.insert(*file, File::default());
                self.pending.push(op.clone());
            }
            Op::Rename { .. } | Op::Link { .. } | Op::Remove { .. } => self.pending.push(op.clone()),
        }
    }

    fn for_each_image(&self, mut visit: impl FnMut(&Directory)) {
        let contents = self.files.iter().map(|(number, file)| (*number, file.images())).collect();
        for names in self.name_images() {
            let mut image = Directory::new();
            fill(&names.into_iter().collect::<Vec<_>>(), &contents, &mut image, &mut visit);
        }
    }

    /// Every set of names: any subset of the pending calls, in their order.
    fn name_images(&self) -> Vec<BTreeMap<String, usize>> {
        let mut images: Vec<BTreeMap<String, usize>> = Vec::new();
        for chosen in 0_usize..1 << self.pending.len() {
            let mut names = self.names.clone();
            for (i, op) in self.pending.iter().enumerate() {
                if chosen & 1 << i != 0 {
                    apply_name_with(&mut names, op, &self.numbers());
                }
            }
            if !images.contains(&names) {
                images.push(names);
            }
        }
        images
    }

    /// The file that each name of a pending call stands for, whether or not the name itself is durable.
    fn numbers(&self) -> BTreeMap<String, usize> {
        let mut numbers = self.names.clone();
        for op in &self.pending {
            match op {
                Op::Create { file, name } => {
                    numbers.insert(name.clone(), *file);
                }
                Op::Rename { from, .. } | Op::Link { from, .. } => debug_assert!(numbers.contains_key(from)),
                _ => {}
            }
        }
        numbers
    }
}

/// Every combination of the contents of the files named.
fn fill(
    names: &[(String, usize)],
    contents: &BTreeMap<usize, Vec<Vec<u8>>>,
    image: &mut Directory,
    visit: &mut impl FnMut(&Directory),
) {
    let Some(((name, number), rest)) = names.split_first() else { return visit(image) };
    for content in &contents[number] {
        image.insert(name.clone(), content.clone());
        fill(rest, contents, image, visit);
    }
    image.remove(name);
}

fn apply_name(names: &mut BTreeMap<String, usize>, op: &Op) {
    let numbers = names.clone();
    apply_name_with(names, op, &numbers);
}

fn apply_name_with(names: &mut BTreeMap<String, usize>, op: &Op, numbers: &BTreeMap<String, usize>) {
    match op {
        Op::Create { file, name } => {
            names.insert(name.clone(), *file);
        }
        Op::Rename { from, to } => {
            names.remove(from);
            names.insert(to.clone(), numbers[from]);
        }
        Op::Link { from, to } => {
            names.insert(to.clone(), numbers[from]);
        }
        Op::Remove { name } => {
            names.remove(name);
        }
        Op::Write { .. } | Op::SyncFile { .. } | Op::SyncDir => unreachable!("not about names"),
    }
}

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let mut from = 0;
        while from < bytes.len() {
            let to = (from + SECTOR - (at + from) % SECTOR).min(bytes.len());
            self.pending.push((at + from, bytes[from..to].to_vec()));
            from = to;
        }
    }

    fn sync(&mut self) {
        self.durable = self.with(|_| true);
        self.pending.clear();
    }

    /// The content with those pending sectors that are chosen; what was skipped in between reads as zero.
    fn with(&self, chosen: impl Fn(usize) -> bool) -> Vec<u8> {
        let mut content = self.durable.clone();
        for (i, (at, bytes)) in self.pending.iter().enumerate() {
            if chosen(i) {
                content.resize(content.len().max(at + bytes.len()), 0);
                content[*at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
        content
    }

    fn images(&self) -> Vec<Vec<u8>> {
        let n = self.pending.len();
        let mut images = Vec::new();
        if n <= ALL_SUBSETS {
            images.extend((0_usize..1 << n).map(|set| self.with(|i| set & 1 << i != 0)));
        } else {
            for k in 0..=n {
                images.push(self.with(|i| i < k));
                images.push(self.with(|i| i >= k));
                images.push(self.with(|i| i != k));
            }
            // Any fixed, well-mixed choice will do for the rest.
            images.extend(
                (1..=128_u64).map(|seed| {
                    self.with(|i| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 61)) & 1 != 0)
                }),
            );
        }
        // The length may be durable before any of the bytes: all zero up to it.
        let full = self.with(|_| true).len();
        let mut stretched: Vec<Vec<u8>> = images.iter().filter(|image| image.len() < full).cloned().collect();
        stretched.iter_mut().for_each(|image| image.resize(full, 0));
        images.append(&mut stretched);
        images.sort_unstable();
        images.dedup();
        images
    }
}
