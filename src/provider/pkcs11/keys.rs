//! The keys of one label in a token: versions of one wrapping key, told apart by their ids.
//!
//! Label and id together are the name under which a recipient names a key; both are compared whole, and two keys that
//! have both are refused. Knows attributes and handles, and no wraps. Types 0x0001 to 0x0004 of the
//! [format](crate::manual::format).

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::codes::Fault;
use super::failure::Pkcs11Failure;
use super::uri::KeyClass;
use crate::crypto::rsa::PublicKey;

/// What sort of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeySort {
    Aes,
    Rsa,
}

impl KeySort {
    /// What keys of this sort that stay in the token are found by: the half that unwraps.
    pub(super) fn template(self) -> Vec<Attribute> {
        let (class, of) = match self {
            Self::Aes => (ObjectClass::SECRET_KEY, KeyType::AES),
            Self::Rsa => (ObjectClass::PRIVATE_KEY, KeyType::RSA),
        };
        vec![Attribute::Class(class), Attribute::KeyType(of), Attribute::Token(true)]
    }
}

/// What a token says about a key.
#[derive(Debug, Clone)]
pub(super) struct KeyFacts {
    pub(super) sort: KeySort,
    pub(super) id: Vec<u8>,
    /// Bytes of an AES key or of the modulus; 0 if the token does not say.
    pub(super) len: usize,
    pub(super) is_sensitive: bool,
    pub(super) is_extractable: bool,
    pub(super) encrypts: bool,
    pub(super) decrypts: bool,
    pub(super) wraps: bool,
    pub(super) unwraps: bool,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl KeyFacts {
    /// Why no data key should be wrapped under this one, if so.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self.sort {
            KeySort::Aes if self.len != 32 => Some("it is not an AES key of 256 bits"),
            KeySort::Rsa if !(256..=1024).contains(&self.len) => {
                Some("its modulus has fewer than 2048 or more than 8192 bits")
            }
            KeySort::Rsa if self.len % 8 != 0 => Some("its modulus is not a multiple of 64 bits long"),
            _ => None,
        }
    }

    /// What an operator should know about it.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &'static str> {
        let extractable =
            self.is_extractable.then_some("it is extractable: the token lets it be taken out, wrapped");
        let plain = (!self.is_sensitive).then_some("it is not sensitive: whoever has the PIN can read it");
        let short = (self.sort == KeySort::Rsa && self.len < 384)
            .then_some("its modulus has fewer than 3072 bits, which is not for data that is kept for long");
        [extractable, plain, short].into_iter().flatten()
    }

    /// The public half of an RSA key.
    pub(super) fn public(&self) -> Option<Result<PublicKey, &'static str>> {
        (self.sort == KeySort::Rsa).then(|| PublicKey::from_numbers(&self.modulus, &self.exponent))
    }
}

/// The name of a key as recipients carry it.
// fmt: Z-14
pub(super) fn name_of(label: &str, id: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let digits = id.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    label.chars().chain(['/']).chain(digits).collect()
}

/// The label and id in a key's name.
pub(super) fn parts_of(name: &str) -> Option<(&str, Vec<u8>)> {
    let (label, digits) = name.rsplit_once('/')?;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = digits.as_bytes().chunks(2);
    let id = pairs.map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    Some((label, id.collect::<Option<_>>()?)).filter(|(label, _)| !label.is_empty())
}

/// Every key of this label that may be one of ours.
pub(super) fn list(session: &Session, label: &str, class: Option<KeyClass>) -> Result<Vec<KeyFacts>, Fault> {
    let mut found = Vec::new();
    for sort in sorts(class) {
        for handle in find(session, *sort, label, None)? {
            found.push(facts(session, *sort, handle)?);
        }
    }
    Ok(found)
}

/// The one key of this label and id.
pub(super) fn only(
    session: &Session,
    sort: KeySort,
    label: &str,
    id: &[u8],
) -> Result<ObjectHandle, Pkcs11Failure> {
    let found = find(session, sort, label, Some(id))?;
    match found[..] {
        [one] => Ok(one),
        [] => Err(Pkcs11Failure::NoKey { wanted: name_of(label, id), present: Vec::new() }),
        _ => Err(Pkcs11Failure::SeveralKeys { matching: vec![name_of(label, id); found.len()] }),
    }
}

/// The public keys of this label and id, which a token keeps beside the private ones.
pub(super) fn public_halves(session: &Session, label: &str, id: &[u8]) -> Result<Vec<ObjectHandle>, Fault> {
    let template = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let found = session.find_objects(&template).map_err(|error| Fault::of(&error, "C_FindObjects"))?;
    named(session, found, label, id)
}

fn find(
    session: &Session,
    sort: KeySort,
    label: &str,
    id: Option<&[u8]>,
) -> Result<Vec<ObjectHandle>, Fault> {
    let mut template = sort.template();
    template.push(Attribute::Label(label.as_bytes().to_vec()));
    // A token may take an empty id for any.
    template.extend(id.filter(|id| !id.is_empty()).map(|id| Attribute::Id(id.to_vec())));
    let found = session.find_objects(&template).map_err(|error| Fault::of(&error, "C_FindObjects"))?;
    match id {
        Some(id) => named(session, found, label, id),
        None => Ok(found),
    }
}

/// Those of the handles whose label and id are these, since some tokens compare less than the whole.
fn named(
    session: &Session,
    found: Vec<ObjectHandle>,
    label: &str,
    id: &[u8],
) -> Result<Vec<ObjectHandle>, Fault> {
    let mut named = Vec::with_capacity(found.len());
    for handle in found {
        if is_named(session, handle, label, id)? {
            named.push(handle);
        }
    }
    Ok(named)
}

fn is_named(session: &Session, handle: ObjectHandle, label: &str, id: &[u8]) -> Result<bool, Fault> {
    let attributes = attributes(session, handle, &[AttributeType::Label, AttributeType::Id])?;
    let mut own: (&[u8], &[u8]) = (&[], &[]);
    for attribute in &attributes {
        match attribute {
            Attribute::Label(label) => own.0 = label,
            Attribute::Id(id) => own.1 = id,
            _ => {}
        }
    }
    Ok(own == (label.as_bytes(), id))
}

pub(super) fn facts(session: &Session, sort: KeySort, handle: ObjectHandle) -> Result<KeyFacts, Fault> {
    let mut wanted = vec![
        AttributeType::Id,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::Decrypt,
        AttributeType::Unwrap,
    ];
    wanted.extend(match sort {
        KeySort::Aes => [AttributeType::Encrypt, AttributeType::Wrap, AttributeType::ValueLen],
        KeySort::Rsa => [AttributeType::Modulus, AttributeType::PublicExponent, AttributeType::KeyType],
    });
    let mut facts = KeyFacts {
        sort,
        id: Vec::new(),
        len: 0,
        is_sensitive: false,
        is_extractable: true,
        encrypts: false,
        decrypts: false,
        wraps: false,
        unwraps: false,
        modulus: Vec::new(),
        exponent: Vec::new(),
    };
    for attribute in attributes(session, handle, &wanted)? {
        match attribute {
            Attribute::Id(id) => facts.id = id,
            Attribute::Sensitive(is) => facts.is_sensitive = is,
            Attribute::Extractable(is) => facts.is_extractable = is,
            Attribute::Encrypt(can) => facts.encrypts = can,
            Attribute::Decrypt(can) => facts.decrypts = can,
            Attribute::Wrap(can) => facts.wraps = can,
            Attribute::Unwrap(can) => facts.unwraps = can,
            Attribute::ValueLen(len) => facts.len = len.into(),
            Attribute::Modulus(modulus) => {
                // Some write a zero in front.
                facts.modulus = modulus.into_iter().skip_while(|byte| *byte == 0).collect();
                facts.len = facts.modulus.len();
            }
            Attribute::PublicExponent(exponent) => facts.exponent = exponent,
            _ => {}
        }
    }
    Ok(facts)
}

pub(super) fn attributes(
    session: &Session,
    handle: ObjectHandle,
    wanted: &[AttributeType],
) -> Result<Vec<Attribute>, Fault> {
    session.get_attributes(handle, wanted).map_err(|error| Fault::of(&error, "C_GetAttributeValue"))
}

const fn sorts(class: Option<KeyClass>) -> &'static [KeySort] {
    match class {
        Some(KeyClass::Secret) => &[KeySort::Aes],
        Some(KeyClass::Private | KeyClass::Public) => &[KeySort::Rsa],
        None => &[KeySort::Aes, KeySort::Rsa],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_say_one_thing_only() {
        for (label, id, name) in [
            ("kek", &[1][..], "kek/01"),
            ("kek", &[], "kek/"),
            ("a/01", &[], "a/01/"),
            ("a", &[0, 0xab, 255], "a/00abff"),
            ("caf\u{e9} /", &[9], "caf\u{e9} //09"),
        ] {
            assert_eq!(name_of(label, id), name);
            assert_eq!(parts_of(name), Some((label, id.to_vec())));
        }
        for name in ["", "kek", "/01", "kek/1", "kek/0g", "kek/AB", "kek/01 "] {
            assert_eq!(parts_of(name), None, "{name}");
        }
    }
}
