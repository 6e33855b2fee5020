//! Looks for known secrets in the memory of a child process that waits.
//!
//! Reads every writable mapping of the child through `/proc`, freed memory included. The search runs in the parent, so
//! that it neither adds a copy nor writes over what it looks for. Linux only.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// A secret to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    pub name: String,
    pub secret: Vec<u8>,
}

/// Where copies were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Whole copies by region.
    pub heap: usize,
    pub stack: usize,
    pub other: usize,
    /// Runs of 16 bytes of the secret (at a multiple of 16) that are not part of a whole copy, in any region.
    pub halves: usize,
}

impl Found {
    pub fn total(&self) -> usize {
        self.heap + self.stack + self.other + self.halves
    }
}

/// Bytes of a partial copy that still counts.
pub const HALF: usize = 16;

/// Counts the copies of every needle in all writable mappings of process `pid`, which must not run meanwhile. `stack` is
/// an address on the stack of the thread that waits.
pub fn scan(pid: u32, stack: u64, needles: &[Needle]) -> io::Result<Vec<Found>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let index = Index::new(needles);
    let mut found = vec![Found::default(); needles.len()];
    let mut buffer = vec![0; PIECE + OVERLAP];
    for region in writable_regions(pid)? {
        let kind = region.kind(stack);
        let mut at = region.start;
        while at < region.end {
            let wanted = usize::try_from(region.end - at).unwrap_or(usize::MAX).min(buffer.len());
            // A mapping may have no pages behind it; there is nothing of the child's in it then.
            let Ok(read) = memory.read_at(&mut buffer[..wanted], at) else { break };
            let is_last = at + read as u64 >= region.end;
            let starts = if is_last { read } else { read.min(PIECE) };
            if starts == 0 {
                break;
            }
            index.count(&buffer[..read], starts, kind, &mut found);
            at += starts as u64;
        }
    }
    Ok(found)
}

/// The needles by the first two bytes of each of their parts, so that almost everything is passed over at once.
struct Index<'a> {
    needles: &'a [Needle],
    starts: Vec<Vec<(usize, usize)>>,
}

impl<'a> Index<'a> {
    fn new(needles: &'a [Needle]) -> Self {
        let mut starts = vec![Vec::new(); 1 << 16];
        for (n, needle) in needles.iter().enumerate() {
            assert!((2 * HALF..OVERLAP).contains(&needle.secret.len()), "short secrets are found by chance");
            for at in (0..=needle.secret.len() - HALF).step_by(HALF) {
                starts[slot(&needle.secret[at..])].push((n, at));
            }
        }
        Self { needles, starts }
    }

    /// Counts what begins in the first `starts` bytes of `piece`.
    fn count(&self, piece: &[u8], starts: usize, kind: Kind, found: &mut [Found]) {
        for offset in 0..starts.min(piece.len().saturating_sub(1)) {
            for (n, at) in &self.starts[slot(&piece[offset..])] {
                let secret = &self.needles[*n].secret;
                let here = &piece[offset..];
                if *at == 0 && here.starts_with(secret) {
                    kind.count(&mut found[*n]);
                } else if here.starts_with(&secret[*at..at + HALF]) {
                    // A part of a whole copy is counted with that.
                    let whole = offset.checked_sub(*at).is_some_and(|from| piece[from..].starts_with(secret));
                    found[*n].halves += usize::from(!whole);
                }
            }
        }
    }
}

fn slot(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// One writable mapping.
#[derive(Debug)]
struct Region {
    start: u64,
    end: u64,
    name: String,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Heap,
    Stack,
    Other,
}

impl Region {
    /// The main heap and stack are named by the kernel; a thread's stack and its part of the heap are anonymous.
    fn kind(&self, stack: u64) -> Kind {
        match self.name.as_str() {
            "[stack]" => Kind::Stack,
            _ if (self.start..self.end).contains(&stack) => Kind::Stack,
            "" | "[heap]" => Kind::Heap,
            _ => Kind::Other,
        }
    }
}

impl Kind {
    fn count(self, found: &mut Found) {
        match self {
            Self::Heap => found.heap += 1,
            Self::Stack => found.stack += 1,
            Self::Other => found.other += 1,
        }
    }
}

fn writable_regions(pid: u32) -> io::Result<Vec<Region>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut regions = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(access)) = (words.next(), words.next()) else { continue };
        let name = words.nth(3).unwrap_or("").to_owned();
        // The kernel's own pages in a process are not readable through the file.
        if !access.starts_with("rw") || name.starts_with("[v") {
            continue;
        }
        let Some((start, end)) = range.split_once('-') else { continue };
        let parse = |text| u64::from_str_radix(text, 16).map_err(io::Error::other);
        regions.push(Region { start: parse(start)?, end: parse(end)?, name });
    }
    Ok(regions)
}

/// Bytes searched at a time, and how far a piece reaches into the next one so that no needle is cut.
const PIECE: usize = 1 << 20;
const OVERLAP: usize = 4096;

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() % 2 != 0 {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
