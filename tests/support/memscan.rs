//! Looks for known secrets in this process's own memory.
//!
//! Needles come masked (each byte XORed with a byte of a random mask), so that the search itself adds no copy; the
//! scanner reads every writable mapping through `/proc/self/mem` into one buffer, which it skips. Linux only.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// A secret to look for, unreadable by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    pub name: String,
    mask: Vec<u8>,
    masked: Vec<u8>,
}

impl Needle {
    /// From a secret and as many random bytes; the caller wipes the secret.
    pub fn new(name: impl Into<String>, secret: &[u8], mask: Vec<u8>) -> Self {
        assert_eq!(secret.len(), mask.len());
        assert!(secret.len() >= 2 * HALF, "short secrets are found by chance");
        let masked = secret.iter().zip(&mask).map(|(byte, mask)| byte ^ mask).collect();
        Self { name: name.into(), mask, masked }
    }

    /// As one line of text.
    pub fn to_line(&self) -> String {
        format!("{} {} {}", self.name, to_hex(&self.mask), to_hex(&self.masked))
    }

    /// From [`to_line`](Self::to_line).
    pub fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (name, mask, masked) = (words.next()?, from_hex(words.next()?)?, from_hex(words.next()?)?);
        Some(Self { name: name.to_owned(), mask, masked })
    }

    /// The first two bytes in clear: 16 bits give nothing away and let the scan skip almost everything.
    fn start(&self, at: usize) -> usize {
        usize::from(self.masked[at] ^ self.mask[at]) << 8
            | usize::from(self.masked[at + 1] ^ self.mask[at + 1])
    }

    /// Whether the `len` bytes of the secret from `from` on stand at the start of `memory`.
    fn matches(&self, memory: &[u8], from: usize, len: usize) -> bool {
        memory.len() >= len && (0..len).all(|i| memory[i] ^ self.mask[from + i] == self.masked[from + i])
    }
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

/// One writable mapping.
#[derive(Debug)]
struct Region {
    start: u64,
    end: u64,
    name: String,
}

/// Counts the copies of every needle in all writable mappings of this process. The needles' own names come back with
/// them, in order.
pub fn scan(needles: &[Needle]) -> io::Result<Vec<(String, Found)>> {
    // Everything is allocated before the mappings are listed, so that none appears in mid-scan.
    let mut found = vec![Found::default(); needles.len()];
    let mut buffer = vec![0_u8; BUFFER + OVERLAP];
    let mut starts: Vec<Vec<(usize, usize)>> = vec![Vec::new(); 1 << 16];
    for (index, needle) in needles.iter().enumerate() {
        for at in (0..=needle.masked.len() - HALF).step_by(HALF) {
            starts[needle.start(at)].push((index, at));
        }
    }
    let memory = File::open("/proc/self/mem")?;
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + buffer.len() as u64;
    for region in writable_regions()? {
        let kind = Kind::of(&region);
        let mut at = region.start;
        while at < region.end {
            let wanted = (region.end - at).min((BUFFER + OVERLAP) as u64) as usize;
            // A mapping may have no pages behind it; there is nothing of ours in it then.
            let Ok(read) = memory.read_at(&mut buffer[..wanted], at) else { break };
            let last = at + read as u64 >= region.end;
            let scanned = if last { read } else { read.min(BUFFER) };
            if scanned == 0 {
                break;
            }
            scan_piece(&buffer[..read], scanned, at, &own, needles, &starts, kind, &mut found);
            at += scanned as u64;
        }
    }
    // Not part of the result, but of the method: a later scan must not find what this one read.
    buffer.fill(0);
    std::hint::black_box(&mut buffer);
    Ok(needles.iter().map(|needle| needle.name.clone()).zip(found).collect())
}

#[allow(clippy::too_many_arguments, reason = "one loop, split off for its depth")]
fn scan_piece(
    piece: &[u8],
    scanned: usize,
    base: u64,
    own: &std::ops::Range<u64>,
    needles: &[Needle],
    starts: &[Vec<(usize, usize)>],
    kind: Kind,
    found: &mut [Found],
) {
    for offset in 0..scanned.min(piece.len().saturating_sub(1)) {
        let candidates = &starts[usize::from(piece[offset]) << 8 | usize::from(piece[offset + 1])];
        if candidates.is_empty() || own.contains(&(base + offset as u64)) {
            continue;
        }
        for &(index, at) in candidates {
            let needle = &needles[index];
            let here = &piece[offset..];
            if at == 0 && needle.matches(here, 0, needle.masked.len()) {
                kind.count(&mut found[index]);
            } else if needle.matches(here, at, HALF) && !part_of_whole(needle, piece, offset, at) {
                found[index].halves += 1;
            }
        }
    }
}

/// Whether the part found at `offset` belongs to a whole copy, which is counted by itself.
fn part_of_whole(needle: &Needle, piece: &[u8], offset: usize, at: usize) -> bool {
    offset >= at && needle.matches(&piece[offset - at..], 0, needle.masked.len())
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Heap,
    Stack,
    Other,
}

impl Kind {
    /// The main heap and stack are named by the kernel; a thread's stack and a large allocation are both anonymous, and
    /// told apart by whether this thread's stack pointer is inside.
    fn of(region: &Region) -> Self {
        let here = std::ptr::from_ref(&region) as u64;
        match region.name.as_str() {
            "[heap]" => Self::Heap,
            "[stack]" => Self::Stack,
            _ if (region.start..region.end).contains(&here) => Self::Stack,
            "" => Self::Heap,
            _ => Self::Other,
        }
    }

    fn count(self, found: &mut Found) {
        match self {
            Self::Heap => found.heap += 1,
            Self::Stack => found.stack += 1,
            Self::Other => found.other += 1,
        }
    }
}

fn writable_regions() -> io::Result<Vec<Region>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut regions = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(access)) = (words.next(), words.next()) else { continue };
        let name = words.nth(3).unwrap_or("").to_owned();
        // The kernel's own pages in our space are not readable through the file.
        if !access.starts_with("rw") || name.starts_with("[v") {
            continue;
        }
        let Some((start, end)) = range.split_once('-') else { continue };
        let parse = |text| u64::from_str_radix(text, 16).map_err(io::Error::other);
        regions.push(Region { start: parse(start)?, end: parse(end)?, name });
    }
    Ok(regions)
}

/// Bytes read at a time, and how far a piece reaches into the next one so that no needle is cut.
const BUFFER: usize = 1 << 20;
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
