//! Keys in PKCS#11 tokens: what their text says, and the providers, which ask the token when they are first used.

use std::sync::Arc;

use crate::config::{ConfigFault, Parts, names::place, tree::Node};
use crate::provider::pkcs11::{Pkcs11Builder, Pkcs11Fault, Pkcs11Options};

/// Tells what is wrong with the text, and makes the provider if nothing is.
pub(crate) fn by_text(name: &str, options: &Pkcs11Options, faults: &mut Vec<ConfigFault>) -> Node {
    let at = |key: &str| format!("{}{key}", place(name));
    if options.uri.is_empty() {
        faults.push(ConfigFault::new(at(".uri"), MISSING));
        return Node::broken();
    }
    let builder = match Pkcs11Builder::from_options(options.clone()) {
        Ok(builder) => builder,
        Err(error) => {
            faults.push(ConfigFault::new(at(".uri"), error));
            return Node::broken();
        }
    };
    match builder.build() {
        Ok(provider) => Node::new(name, Arc::new(provider)),
        Err(error) => {
            for fault in error.faults() {
                let (key, problem) = told(*fault);
                faults.push(ConfigFault::new(at(key), problem));
            }
            Node::broken()
        }
    }
}

/// The same with what a program gives; reads the PIN's file, and tells what is wrong with it.
pub(crate) fn by_files(
    name: &str,
    options: &Pkcs11Options,
    parts: &Parts,
    faults: &mut Vec<ConfigFault>,
) -> Option<Node> {
    let mut options = options.clone();
    options.pin_file = options.pin_file.map(|file| parts.file(&file));
    let key = if options.pin_file.is_some() { ".pin_file" } else { ".uri" };
    // What is wrong with the text is told already.
    let mut builder = Pkcs11Builder::from_options(options).ok()?;
    if let Some(clock) = &parts.clock {
        builder = builder.with_clock(Arc::clone(clock));
    }
    if let Err(failure) = builder.check_pin() {
        faults.push(ConfigFault::new(format!("{}{key}", place(name)), failure));
        return None;
    }
    Some(Node::new(name, Arc::new(builder.build().ok()?)))
}

/// Where a fault stands, and what to say of it here, where nothing connects at once.
fn told(fault: Pkcs11Fault) -> (&'static str, String) {
    match fault {
        Pkcs11Fault::NoId => (".uri", "it names no id: add id=%01".to_owned()),
        Pkcs11Fault::NoWrap => (".wrap", format!("it is missing: it is one of {WRAPS}")),
        Pkcs11Fault::IvWithoutGcm => (".iv", fault.to_string()),
        Pkcs11Fault::InitArgs => (".init_args", fault.to_string()),
        Pkcs11Fault::Zero => ("", fault.to_string()),
        _ => (".uri", fault.to_string()),
    }
}

const MISSING: &str = "it is missing: name the key, such as uri = \
                       \"pkcs11:token=prod;object=kek;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so\"";
const WRAPS: &str = "\"aes-kwp\", \"aes-gcm\", \"rsa-oaep-sha256\" and \"rsa-oaep-sha1\"";
