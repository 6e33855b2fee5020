//! What the target of PKCS#11 URIs must find: attributes that are lost or changed, faults in the wrong place, a PIN shown.

use super::{
    bodies::pkcs11_uri::{Crate, Read, Reader, Refused, check, text_of},
    planted::finds,
};

#[derive(Debug, Clone, Copy)]
enum Fault {
    LosesAnAttribute,
    ReadsPlusAsBlank,
    TakesAPinInTheUri,
    TakesWhateverIsLeft,
    TellsAnotherPlace,
    RepeatsTheUri,
    WritesAnotherToken,
}

struct Broken(Fault);

impl Reader for Broken {
    fn read(&self, uri: &str) -> Result<Read, Refused> {
        let nothing = || Read { attributes: Default::default(), written: "pkcs11:".to_owned() };
        match (self.0, Crate.read(uri)) {
            (Fault::LosesAnAttribute, Ok(mut read)) => {
                read.attributes.pop_last();
                Ok(read)
            }
            (Fault::ReadsPlusAsBlank, Ok(mut read)) => {
                let bytes = read.attributes.values_mut().flatten();
                bytes.filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
                Ok(read)
            }
            (Fault::WritesAnotherToken, Ok(mut read)) => {
                read.written = read.written.replace("token=", "token=a");
                Ok(read)
            }
            (Fault::TakesAPinInTheUri, Err(refused)) if refused.is_about_the_pin => Ok(nothing()),
            (Fault::TakesWhateverIsLeft, Err(refused)) if refused.position > 0 => Ok(nothing()),
            (Fault::TellsAnotherPlace, Err(mut refused)) => {
                refused.position += 1;
                Err(refused)
            }
            (Fault::RepeatsTheUri, Err(mut refused)) => {
                refused.shown.push_str(uri);
                Err(refused)
            }
            (_, read) => read,
        }
    }
}

#[test]
fn faults_of_a_reader_of_pkcs11_uris_are_found() {
    for fault in [
        Fault::LosesAnAttribute,
        Fault::ReadsPlusAsBlank,
        Fault::TakesAPinInTheUri,
        Fault::TakesWhateverIsLeft,
        Fault::TellsAnotherPlace,
        Fault::RepeatsTheUri,
        Fault::WritesAnotherToken,
    ] {
        let found = finds("pkcs11_uri", |data| check(&text_of(data), &Broken(fault)));
        assert!(found, "{fault:?} is planted and not found");
    }
}
