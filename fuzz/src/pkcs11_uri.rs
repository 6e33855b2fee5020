//! Arbitrary text as a PKCS#11 URI, and URIs that are nearly right.
//!
//! The verdict and the place of the first fault must be the model's, and so must every attribute; what is read is written
//! as a URI that reads the same; and whatever is shown of a refused one repeats nothing of it.

use std::collections::BTreeMap;

use kuvert::provider::pkcs11::{Pkcs11Uri, UriFault};

use super::input::Input;

pub fn run(data: &[u8]) {
    check(&text_of(data), &Crate);
}

/// What is tested.
pub trait Reader {
    fn read(&self, uri: &str) -> Result<Read, Refused>;
}

/// Attributes that can be asked for, by name; and the URI as it is written again.
#[derive(Debug)]
pub struct Read {
    pub attributes: BTreeMap<&'static str, Vec<u8>>,
    pub written: String,
}

#[derive(Debug)]
pub struct Refused {
    pub position: usize,
    pub is_about_the_pin: bool,
    pub shown: String,
}

/// The crate itself.
#[derive(Debug)]
pub struct Crate;

impl Reader for Crate {
    fn read(&self, uri: &str) -> Result<Read, Refused> {
        let read: Pkcs11Uri =
            uri.parse().map_err(|error: kuvert::provider::pkcs11::Pkcs11UriError| Refused {
                position: error.position(),
                is_about_the_pin: error.fault() == UriFault::Pin,
                shown: format!("{error}"),
            })?;
        let written = read.to_string();
        assert_eq!(written.parse::<Pkcs11Uri>().as_ref(), Ok(&read), "{written}");
        let path =
            |path: Option<&std::path::Path>| path.map(|path| path.to_str().unwrap().as_bytes().to_vec());
        let all = [
            ("token", read.token().map(|text| text.as_bytes().to_vec())),
            ("serial", read.serial().map(|text| text.as_bytes().to_vec())),
            ("object", read.object().map(|text| text.as_bytes().to_vec())),
            ("id", read.id().map(<[u8]>::to_vec)),
            ("module-path", path(read.module_path())),
            ("pin-source", path(read.pin_file())),
            ("x-a", read.vendor_attribute("x-a").map(<[u8]>::to_vec)),
        ];
        let attributes = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Ok(Read { attributes, written })
    }
}

pub fn check(uri: &str, reader: &impl Reader) {
    match (reader.read(uri), model(uri)) {
        (Ok(read), Ok(expected)) => {
            assert_eq!(read.attributes, expected, "{uri}");
            assert!(!read.written.contains(PIN) || !uri.contains("pin-value"), "a PIN was taken");
            // Whatever it was written like, its canonical form means the same to the model.
            assert_eq!(model(&read.written), Ok(expected), "{}", read.written);
        }
        (Err(refused), Err((position, is_about_the_pin))) => {
            assert_eq!((refused.position, refused.is_about_the_pin), (position, is_about_the_pin), "{uri}");
            assert!(!refused.shown.contains(PIN), "{}", refused.shown);
        }
        (read, expected) => panic!("{uri}: {read:?}, and not {expected:?}"),
    }
}

type Expected = Result<BTreeMap<&'static str, Vec<u8>>, (usize, bool)>;

/// RFC 7512, section 2.3, as far as the manual says that it is taken: written from there and not from the code.
fn model(uri: &str) -> Expected {
    let bytes = uri.as_bytes();
    if bytes.len() < 7 || !bytes[..7].eq_ignore_ascii_case(b"pkcs11:") {
        return Err((0, false));
    }
    let query = bytes.iter().position(|byte| *byte == b'?').unwrap_or(bytes.len());
    let mut seen: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (from, to, separator) in [(7, query, b';'), (query + 1, bytes.len(), b'&')] {
        let mut start = from;
        while from < to && start <= to {
            let end = (start..to).find(|at| bytes[*at] == separator).unwrap_or(to);
            one(&bytes[start..end], start, &mut seen)?;
            start = end + 1;
        }
    }
    let known = ["token", "serial", "object", "id", "module-path", "pin-source", "x-a"];
    Ok(known.into_iter().filter_map(|name| Some((name, seen.remove(name)?))).collect())
}

fn one(text: &[u8], start: usize, seen: &mut BTreeMap<String, Vec<u8>>) -> Result<(), (usize, bool)> {
    let here = (start, false);
    let equals = text.iter().position(|byte| *byte == b'=').ok_or(here)?;
    let name = &text[..equals];
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)) {
        return Err(here);
    }
    if name == b"pin-value" {
        return Err((start, true));
    }
    let mut value = Vec::new();
    let mut at = equals + 1;
    while at < text.len() {
        let place = (start + at, false);
        if text[at] == b'%' {
            let digits = text.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
            let digits = std::str::from_utf8(digits.ok_or(place)?).unwrap();
            value.push(u8::from_str_radix(digits, 16).unwrap());
            at += 3;
        } else if matches!(text[at], b'!'..=b'~') && !b"#;?".contains(&text[at]) {
            value.push(text[at]);
            at += 1;
        } else {
            return Err(place);
        }
    }
    let name = std::str::from_utf8(name).unwrap().to_owned();
    let value = judged(&name, value).ok_or(here)?;
    if seen.insert(name, value).is_some() { Err(here) } else { Ok(()) }
}

/// The value as it is kept, if the attribute may have it.
fn judged(name: &str, value: Vec<u8>) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(&value);
    match name {
        "token" | "serial" | "manufacturer" | "model" => text.is_ok().then_some(value),
        "object" | "module-path" => (text.is_ok() && !value.is_empty()).then_some(value),
        "id" => (!value.is_empty()).then_some(value),
        "slot-id" => text.ok()?.parse::<u64>().is_ok().then_some(value),
        "type" => ["secret-key", "private", "public"].contains(&text.ok()?).then_some(value),
        "pin-source" => {
            let text = text.ok()?;
            let colon = text.find(':');
            let scheme = colon.map(|colon| &text[..colon]);
            let path = match scheme {
                Some(scheme) if scheme.eq_ignore_ascii_case("file") => {
                    let path = &text[5..];
                    let local = path.starts_with("///");
                    if path.starts_with("//") && !local {
                        return None;
                    } else {
                        &path[if local { 2 } else { 0 }..]
                    }
                }
                Some(scheme) if !scheme.contains('/') => return None,
                _ if text.starts_with('|') => return None,
                _ => text,
            };
            (!path.is_empty()).then(|| path.as_bytes().to_vec())
        }
        _ => name.starts_with("x-").then_some(value),
    }
}

/// Behind a byte 0xff, a script that makes URIs which are nearly right; else the bytes themselves.
pub fn text_of(data: &[u8]) -> String {
    let Some(script) = data.strip_prefix(b"\xff") else { return String::from_utf8_lossy(data).into_owned() };
    let mut input = Input::new(script);
    let mut uri = String::from("pkcs11:");
    let (mut is_first, mut is_query) = (true, false);
    while !input.is_empty() && uri.len() < 4096 {
        let what = input.u8();
        if what & 0xc0 == 0xc0 && !is_query {
            uri.push('?');
            (is_first, is_query) = (true, true);
        }
        if !is_first {
            uri.push(if is_query { '&' } else { ';' });
        }
        is_first = false;
        let name = NAMES[usize::from(what & 0x1f) % NAMES.len()];
        uri.push_str(name);
        uri.push('=');
        match input.u8() & 7 {
            _ if name == "pin-value" => uri.push_str(PIN),
            0 => uri.push_str("file:"),
            1 => uri.push_str("file:///"),
            2 => uri.push_str("secret-key"),
            3 => uri.push_str(&input.u16().to_string()),
            4 => input.short_bytes().iter().for_each(|byte| uri.push_str(&format!("%{byte:02x}"))),
            5 => uri.push_str(&String::from_utf8_lossy(input.short_bytes())),
            _ => uri.push_str("/run/pin"),
        }
        if what & 0x20 > 0 {
            uri.push(char::from(input.u8()));
        }
    }
    uri
}

const NAMES: [&str; 16] = [
    "token",
    "serial",
    "object",
    "id",
    "module-path",
    "pin-source",
    "x-a",
    "x-b",
    "model",
    "manufacturer",
    "slot-id",
    "type",
    "pin-value",
    "module-name",
    "library-version",
    "toke n",
];
/// So unlike anything else that it is noticed wherever it is repeated.
const PIN: &str = "zQ9-0073-Xk";
