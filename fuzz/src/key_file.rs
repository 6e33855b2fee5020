//! Arbitrary text as a key file, and lines that are nearly right.
//!
//! The verdict and the line of the first fault must be the model's; what is read is written back as the same entries;
//! and no error and no `Debug` output ever holds a part of a key.

use kuvert::{
    Category,
    provider::{KeyFile, KeyFileError, MemoryProvider},
};
use sha2::{Digest, Sha256};

use super::input::Input;

pub fn run(data: &[u8]) {
    check(&text_of(data), &Crate);
}

/// What is tested.
pub trait Reader {
    fn read(&self, text: &[u8]) -> Result<Read, Refused>;
}

/// A key file that was read.
#[derive(Debug)]
pub struct Read {
    pub ids: Vec<String>,
    /// As it would be written again.
    pub text: String,
    pub debug: String,
}

/// A key file that was refused.
#[derive(Debug)]
pub struct Refused {
    /// `None` if it holds no key.
    pub line: Option<usize>,
    pub shown: String,
}

/// The crate itself.
#[derive(Debug)]
pub struct Crate;

impl Reader for Crate {
    fn read(&self, text: &[u8]) -> Result<Read, Refused> {
        match KeyFile::parse(text) {
            Ok(file) => {
                let written = file.expose_text().clone();
                let provider = std::str::from_utf8(text).map(MemoryProvider::from_key_file_text);
                let provider = provider.unwrap().expect("what can be read gives a provider");
                Ok(Read {
                    ids: file.ids().map(str::to_owned).collect(),
                    text: written,
                    debug: format!("{file:?} {provider:?}"),
                })
            }
            Err(error) => {
                assert_eq!(error.category(), Category::Usage);
                let line = match &error {
                    KeyFileError::Line { line, .. } => Some(*line),
                    KeyFileError::NoKey { .. } => None,
                    other => panic!("text alone cannot give {other}"),
                };
                Err(Refused { line, shown: format!("{error} {error:?}") })
            }
        }
    }
}

pub fn check(text: &[u8], reader: &impl Reader) {
    match (reader.read(text), entries(text)) {
        (Err(refused), Err(line)) => {
            assert_eq!(refused.line, line, "the line of the first fault: {}", refused.shown);
            holds_no_key(&refused.shown, text);
        }
        (Ok(read), Ok(lines)) => {
            let ids: Vec<&str> = lines.iter().map(|line| line.split(':').nth(1).unwrap()).collect();
            assert_eq!(read.ids, ids);
            holds_no_key(&read.debug, text);
            // Written again, it is the same keys in the same order, and a key file in its turn.
            assert_eq!(entries(read.text.as_bytes()).as_ref(), Ok(&lines));
            let again = reader.read(read.text.as_bytes()).expect("what is written can be read");
            assert_eq!((again.ids, again.text), (read.ids, read.text));
        }
        (found, expected) => panic!("read as {found:?}, expected {expected:?}"),
    }
}

/// Whether `shown` repeats 16 characters of something that stands where a key would stand.
fn holds_no_key(shown: &str, text: &[u8]) {
    // An id is public, and may look like a part of a key.
    let ids = entries(text).unwrap_or_default();
    let is_id = |part: &str| ids.iter().any(|line| line.split(':').nth(1).unwrap().contains(part));
    let is_digit = |byte: &u8| ALPHABET.contains(byte);
    for field in text.split(|byte| matches!(byte, b':' | b'\n' | b'\r')) {
        for window in field.windows(16).filter(|window| window.iter().all(is_digit)) {
            let window = std::str::from_utf8(window).unwrap();
            assert!(!shown.contains(window) || is_id(window), "a part of a key is shown: {shown}");
        }
    }
}

/// The model: the entries' lines, or the number of the first faulty line, or `None` where there is no entry.
fn entries(text: &[u8]) -> Result<Vec<String>, Option<usize>> {
    let line_at = |at: usize| 1 + text[..at].iter().filter(|&&byte| byte == b'\n').count();
    let text = std::str::from_utf8(text).map_err(|error| Some(line_at(error.valid_up_to())))?;
    let mut found: Vec<String> = Vec::new();
    let mut lines: Vec<&str> = text.split('\n').collect();
    // Behind the last line feed there is no line, and before it none may lack a carriage return's line feed.
    let last = lines.pop().unwrap();
    let ended = lines.into_iter().map(|line| line.strip_suffix('\r').unwrap_or(line));
    for (index, line) in ended.chain([last]).enumerate() {
        let fault = Some(index + 1);
        if line.contains('\r') || (index == 0 && line.starts_with('\u{feff}')) {
            return Err(fault);
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let id = entry_id(line).ok_or(fault)?;
        if found.iter().any(|known| entry_id(known) == Some(id)) {
            return Err(fault);
        }
        found.push(line.to_owned());
    }
    if found.is_empty() { Err(None) } else { Ok(found) }
}

/// The id of a right entry.
fn entry_id(line: &str) -> Option<&str> {
    let (id, key) = line.strip_prefix("kuvert-key-v1:")?.split_once(':')?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._/@-".contains(&byte);
    let keyed: [u8; 36] = decode(key)?.try_into().ok()?;
    let good = (1..=256).contains(&id.len()) && id.bytes().all(allowed);
    (good && keyed[32..] == check_bytes(id, &keyed[..32])).then_some(id)
}

fn check_bytes(id: &str, key: &[u8]) -> [u8; 4] {
    let hash = Sha256::new_with_prefix("kuvert-key-v1").chain_update(id).chain_update(key).finalize();
    hash[..4].try_into().unwrap()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 of a length that needs no padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for four in text.as_bytes().chunks(4) {
        let digits = four.iter().map(|byte| ALPHABET.iter().position(|known| known == byte));
        let digits: Vec<usize> = digits.collect::<Option<_>>()?;
        let [a, b, c, d] = digits[..] else { return None };
        let number = u32::try_from(a << 18 | b << 12 | c << 6 | d).ok()?;
        out.extend_from_slice(&number.to_be_bytes()[1..]);
    }
    Some(out)
}

pub fn entry(id: &str, key: &[u8; 32]) -> String {
    let keyed = [key.as_slice(), &check_bytes(id, key)].concat();
    let digit = |number: u32, shift: u32| char::from(ALPHABET[(number >> shift & 63) as usize]);
    let encoded: String = keyed
        .chunks(3)
        .map(|three| u32::from_be_bytes([0, three[0], three[1], three[2]]))
        .flat_map(|number| [18, 12, 6, 0].map(|shift| digit(number, shift)))
        .collect();
    format!("kuvert-key-v1:{id}:{encoded}")
}

/// Bytes that begin with 0xff, which no text does, are a script that writes lines; all others are the text itself.
fn text_of(data: &[u8]) -> Vec<u8> {
    let Some(script) = data.strip_prefix(b"\xff") else { return data.to_vec() };
    let mut input = Input::new(script);
    let mut text = Vec::new();
    while !input.is_empty() && text.len() < 100_000 {
        let what = input.u8();
        match what & 7 {
            0 => text.extend_from_slice(b"# "),
            1 => {}
            2 => text.extend_from_slice(input.short_bytes()),
            3 => text.extend_from_slice(entry(&"x".repeat(input.below(300)), &[input.u8(); 32]).as_bytes()),
            _ => {
                text.extend_from_slice(
                    entry(&format!("id-{}", input.u8() & 3), &[input.u8(); 32]).as_bytes(),
                );
            }
        }
        if what & 0x08 > 0 && !text.is_empty() {
            // One byte of what was written so far is mistyped.
            let at = text.len() - 1 - input.below(64.min(text.len()));
            text[at] = input.u8();
        }
        match what >> 4 & 7 {
            0..=3 => text.push(b'\n'),
            4 => text.extend_from_slice(b"\r\n"),
            5 => text.extend_from_slice(b"\r"),
            6 => text.extend_from_slice(b" \n"),
            _ => {}
        }
    }
    text
}
