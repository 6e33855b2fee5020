//! Faults one by one and all at once, what is made of what, and texts that nobody would write.

mod faults;
#[cfg(all(feature = "pkcs11", unix))]
mod hsm;
mod made;
mod texts;

use super::{Config, ConfigFault};

fn read(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    crate::executor::block_on(future).unwrap()
}

fn told(faults: &[ConfigFault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// A configuration of one provider.
fn one(section: &str) -> String {
    format!("provider = \"p\"\n[providers.p]\n{section}\n")
}

/// A wrapper or composition `p` around the key files `a` and `b`.
fn around(section: &str) -> String {
    let files: String =
        ["a", "b"].map(|n| format!("[providers.{n}]\ntype = \"key-file\"\npaths = [\"{n}.key\"]\n")).concat();
    format!("{}{files}", one(section))
}

/// The same around `a` alone.
fn around_one(section: &str) -> String {
    around(section).split("[providers.b]").next().unwrap().to_owned()
}

#[cfg(feature = "aws-kms")]
fn arn(region: &str) -> String {
    format!("arn:aws:kms:{region}:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")
}
