//! Bytes as decisions.

/// Reads decisions off the front of the fuzzer's bytes. What is missing at the end counts as zero, so that every
/// input is a case, and a shorter input a simpler one.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    pub fn i8(&mut self) -> i8 {
        i8::from_be_bytes([self.u8()])
    }

    pub fn i16(&mut self) -> i16 {
        i16::from_be_bytes([self.u8(), self.u8()])
    }

    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    pub fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.u64().to_be_bytes())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.u16()) % end
    }

    /// Up to `len` bytes, as many as there are.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes behind a length of one byte.
    pub fn short_bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.u8());
        self.bytes(len)
    }

    /// A length that likes the places where something changes: 0, a chunk, a group of chunks, and around them.
    pub fn boundary_len(&mut self) -> usize {
        let kind = self.u8();
        let by = usize::from(self.u8());
        let base = match kind & 7 {
            0 | 1 => return by,
            2 => return usize::from(kind >> 3) << 8 | by,
            3 => CHUNK,
            4 => 2 * CHUNK,
            5 => (usize::from(kind >> 4) + 1) * CHUNK,
            6 => GROUP,
            _ => GROUP + (usize::from(kind >> 5) + 1) * CHUNK,
        };
        // Around the border: 0 to 127 above it, 1 to 128 below it.
        if by < 128 { base + by } else { base - (256 - by) }
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Bytes of plaintext in a full chunk.
pub const CHUNK: usize = 16_384;
/// Bytes of plaintext that the crate seals and opens before it asks for I/O.
pub const GROUP: usize = 32 * CHUNK;
