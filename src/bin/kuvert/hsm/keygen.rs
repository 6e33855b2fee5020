//! `kuvert hsm keygen`.

use std::time::Duration;

use kuvert::provider::KeyCustodian as _;
use kuvert::provider::pkcs11::{KeyEntry, Pkcs11Wrap};
use serde_json::json;

use super::{hex, with_wrap, wrap_name};
use crate::failure::{Failure, say, warn};
use crate::keys::hsm::{self, HsmKey};
use crate::names;

pub(super) fn run(key: HsmKey, is_rsa: bool, as_json: bool) -> Result<(), Failure> {
    let default = if is_rsa { Pkcs11Wrap::RsaOaepSha256 } else { Pkcs11Wrap::AesGcm };
    let key = key.with_wrap(default);
    let wrap = key.wrap().unwrap_or(default);
    let makes_rsa = matches!(wrap, Pkcs11Wrap::RsaOaepSha256 | Pkcs11Wrap::RsaOaepSha1);
    if is_rsa && !makes_rsa {
        return Err(Failure::usage("--rsa makes an RSA key, and x-wrap names a wrap of AES keys"));
    }
    let label = key.uri().object().unwrap_or_default().to_owned();
    let keys = key.unlocked(|builder| {
        let surveyor = builder.surveyor().map_err(|error| hsm::misconfigured(&error))?;
        hsm::run(surveyor.keys())
    })?;
    let id = key.uri().id().map_or_else(|| next_id(&keys, &label), <[u8]>::to_vec);
    let key = key.with(|uri| uri.with_id(id.clone()));
    let name = format!("{label}/{}", hex(&id));
    // fmt: T-23
    let created = key.unlocked(|builder| {
        let custodian =
            builder.with_deadline(LONGEST).custodian().map_err(|error| hsm::misconfigured(&error))?;
        hsm::run(custodian.create_wrapping_key(&name))
    })?;
    let uri = with_wrap(key.uri(), &wrap_name(wrap));
    let sort = if makes_rsa { "RSA, 3072 bits" } else { "AES, 256 bits" };
    if as_json {
        say(&json!({ "key": created, "uri": uri }).to_string())?;
    } else {
        say(&format!("key \"{}\": {sort}, sensitive, never extractable", names::shown(&created)))?;
        say(&uri)?;
    }
    // It is there, whether or not it works here.
    if let Err(failure) = hsm::connect(&key) {
        warn(&format!("the key was made, and cannot be used like this: {}", failure.lines()));
    }
    Ok(())
}

/// The first id after those of the keys of this label.
fn next_id(keys: &[KeyEntry], label: &str) -> Vec<u8> {
    let own = keys.iter().filter(|key| key.label == label);
    // Longer ones were not counted by us, and do not stand in the way.
    let numbers = own.filter(|key| key.id.len() <= 4);
    let highest =
        numbers.map(|key| key.id.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte))).max();
    let bytes = (highest.unwrap_or(0) + 1).to_be_bytes();
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

/// Making an RSA key may take a small or busy token longer than any wrap, and nobody waits but who typed this.
const LONGEST: Duration = Duration::from_secs(180);
