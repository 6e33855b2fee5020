//! `tests/sanitize` runs these tests under AddressSanitizer: that it would see a module that writes too much.

use std::process::{Command, Stdio};

use kuvert::DataKey;
use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider as _;

use crate::shim::{Call, Shim};
use crate::stage::{Stage, connect, is_required, staged, wrap_context};

/// Set where this program was compiled for it.
pub(crate) fn is_on() -> bool {
    std::env::var_os("KUVERT_TEST_SANITIZER").is_some()
}

const PLANT: &str = "KUVERT_TEST_OVERRUN";

staged! {
    /// By itself nothing: what it plants is no test of anything without a sanitizer.
    fn planted(stage: &Stage) {
        if std::env::var_os(PLANT).is_none() {
            return;
        }
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        let provider = connect(stage.builder(shim.path(), "ours", "kek", Some("01")));
        shim.overrun(Call::Encrypt, 1);
        let sealed = block_on(provider.wrap_data_key(&DataKey::copy_from(&[7; 32]), &wrap_context())).unwrap();
        println!("it was not seen: {}", sealed.is_ok());
    }
}

#[test]
fn a_module_that_writes_more_than_there_is_room_for_is_seen() {
    if !is_on() {
        assert!(!is_required("sanitizer"));
        println!("skipped: tests/sanitize runs it");
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "sanitizer::planted", "--nocapture"]).env(PLANT, "1").stdin(Stdio::null());
    let output = again.output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!output.status.success() && !said.contains("it was not seen"), "{said}");
    assert!(said.contains("ERROR: AddressSanitizer: ") && said.contains("-buffer-overflow"), "{said}");
}
