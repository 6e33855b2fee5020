//! Keys in PKCS#11 tokens: every fault with its place and without the PIN, and a provider that calls nobody yet.

use std::os::unix::fs::PermissionsExt as _;

use super::{block_on, one, read, told};
use crate::config::Parts;
use crate::format::stanza::RecipientType;

const URI: &str = "pkcs11:token=prod;object=kek;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so";

/// One of this section, and its only fault.
fn fault(section: &str) -> (String, String) {
    let faults = read(&one(&format!("type = \"pkcs11\"\n{section}"))).faults();
    assert!(faults.len() == 1, "{section}: {:?}", told(&faults));
    (faults[0].path().to_owned(), faults[0].problem().to_owned())
}

#[test]
fn every_fault_has_its_place() {
    let uri = |uri: &str| format!("wrap = \"aes-gcm\"\nuri = \"{uri}\"");
    let good = uri(URI);
    for (section, key, says) in [
        ("wrap = \"aes-gcm\"".to_owned(), ".uri", "uri = "),
        (uri("token=prod"), ".uri", "at byte 0"),
        (uri(&URI.replace(";id=%01", "")), ".uri", "id=%01"),
        (uri(&URI.replace("object=kek;", "")), ".uri", "object=LABEL"),
        (uri(URI.split('?').next().unwrap()), ".uri", "module-path"),
        (uri(&URI.replace("/usr", "usr")), ".uri", "not absolute"),
        (format!("uri = \"{URI}\""), ".wrap", "\"rsa-oaep-sha256\""),
        (format!("uri = \"{URI}\"\nwrap = \"aes-kwp\"\niv = \"in-place\""), ".iv", "aes-gcm"),
        (format!("{good}\nworkers = 0"), "", "at least one"),
        (format!("{good}\npin = \"4711\""), ".pin", "pin_file"),
        (format!("{good}\nwraps = \"x\""), ".wraps", "`wrap`"),
        (format!("{good}\ndeadline = 3"), ".deadline", "\"250ms\""),
    ] {
        let (path, problem) = fault(&section);
        assert_eq!(path, format!("providers.p{key}"), "{section}");
        assert!(problem.contains(says), "{section}: {problem}");
        assert!(!problem.contains("4711"), "{problem}");
    }
    let (path, problem) = fault(&uri("pkcs11:object=kek;pin-value=4711"));
    assert!(
        path == "providers.p.uri" && problem.contains("does not belong here") && !problem.contains("4711")
    );
}

#[test]
fn a_provider_is_made_without_a_token_and_describes_its_key() {
    let config = read(&one(&format!("type = \"pkcs11\"\nuri = \"{URI}\"\nwrap = \"aes-kwp\"")));
    assert!(config.faults().is_empty(), "{:?}", config.faults());
    let provider = block_on(config.build(&Parts::default())).unwrap();
    let key = &provider.describe().keys[0];
    assert!(key.seals && key.id == "kek/01" && key.recipient_type == RecipientType::AES_KWP, "{key:?}");
}

#[test]
fn the_file_of_the_pin_is_looked_at_where_the_configuration_is() {
    let folder = tempfile::tempdir().unwrap();
    let parts = Parts::default().with_base(folder.path());
    let section = format!("type = \"pkcs11\"\nuri = \"{URI}\"\nwrap = \"aes-gcm\"\npin_file = \"pin\"");
    let built = || block_on(read(&one(&section)).build(&parts));
    let only = |said: &str| {
        let error = built().unwrap_err();
        assert!(error.faults().len() == 1, "{error}");
        assert_eq!(error.faults()[0].path(), "providers.p.pin_file");
        assert!(error.to_string().contains(said) && !error.to_string().contains("4711"), "{error}");
    };
    only("cannot be read");
    let file = folder.path().join("pin");
    std::fs::write(&file, "4711").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    only("chmod 600");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(built().is_ok());
}
