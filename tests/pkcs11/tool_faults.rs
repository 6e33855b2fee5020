//! The program over a module that hangs, whose token is locked, or of which one slot cannot be read.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::shim::{Call, Shim};
use crate::stage::{PIN, Stage, staged};
use crate::tool::Tool;

const FAIL: u64 = 0;
const HANG: u64 = 2;
const FOREVER: u64 = u64::MAX;

/// A token with a key behind the shim, and its URI.
fn ours(stage: &Stage) -> (Tool<'_>, String) {
    stage.token("ours");
    stage.aes("ours", "kek", "01");
    fs::write(stage.folder().join("plain"), "what is sealed").unwrap();
    (Tool { stage }, stage.uri(&Shim::file(), "ours", "kek", Some("01")))
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn hangs(stage: &Stage, call: Call) {
    let (tool, uri) = ours(stage);
    let variables = Shim::environment(stage, &[(call, HANG, 0, 0, FOREVER)]);
    let (status, _, told) = text(&tool.run_with(&variables, &["hsm", "check", &uri]));
    assert_eq!(status, Some(6), "{told}");
    assert!(told.contains("the module hangs in a call") && told.contains("stuck?"), "{told}");
    // It is over with the process.
    let variables = Shim::environment(stage, &[]);
    let (status, _, told) = text(&tool.run_with(&variables, &["hsm", "check", &uri]));
    assert_eq!(status, Some(0), "{told}");
}

staged! {
    fn a_module_that_hangs_when_it_is_initialised(stage: &Stage) {
        hangs(stage, Call::Initialize);
    }

    fn a_module_that_hangs_in_a_wrap(stage: &Stage) {
        hangs(stage, Call::EncryptInit);
    }

    fn a_locked_token_is_told_with_who_unlocks_it(stage: &Stage) {
        let (tool, uri) = ours(stage);
        // By its flags, before a PIN is tried; and by the answer to one.
        let mut by_flags = Shim::environment(stage, &[]).to_vec();
        by_flags.push(("KUVERT_SHIM_FLAGS", "262144".to_owned()));
        let by_answer = Shim::environment(stage, &[(Call::Login, FAIL, 0xa4, 0, FOREVER)]);
        for variables in [&by_flags[..], &by_answer] {
            for call in [&["hsm", "check", &uri][..], &["seal", "-k", &uri, "-o", "sealed", "plain"]] {
                let (status, _, told) = text(&tool.run_with(variables, call));
                assert_eq!(status, Some(6), "{told}");
                assert!(told.contains("the token is locked") && told.contains("security officer"), "{told}");
            }
        }
        // Which is no reason not to say what is there.
        let (status, listed, _) = text(&tool.run_with(&by_flags, &["hsm", "list", Shim::file().to_str().unwrap()]));
        assert_eq!(status, Some(0), "{listed}");
        assert!(listed.contains("token \"ours\"") && listed.contains("warning"), "{listed}");
        let (status, said, told) = text(&tool.run_with(&[], &["hsm", "check", &uri]));
        assert_eq!(status, Some(6), "{said} {told}");
        assert!(told.contains("it gives no list of its functions"), "{told}");
    }

    fn one_slot_that_cannot_be_read_does_not_hide_the_others(stage: &Stage) {
        let (tool, uri) = ours(stage);
        stage.token("other");
        let module = Shim::file();
        let module = module.to_str().unwrap();
        let pin = stage.pin_file();
        let list = |variables: &[(&str, String)], more: &[&str]| {
            let call = [&["hsm", "list", "--pin-file", pin.to_str().unwrap()], more].concat();
            text(&tool.run_with(variables, &call))
        };
        let (status, both, _) = list(&Shim::environment(stage, &[]), &[module]);
        assert!(status == Some(0) && both.contains("token \"ours\"") && both.contains("token \"other\""), "{both}");
        // TOKEN_NOT_RECOGNIZED of the first slot, once and for good.
        let once = Shim::environment(stage, &[(Call::GetTokenInfo, FAIL, 0xe1, 0, 1)]);
        let (status, listed, told) = list(&once, &[module]);
        assert_eq!(status, Some(1), "{told}");
        assert!(told.contains("cannot be read: CKR_TOKEN_NOT_RECOGNIZED (0xe1) in C_GetTokenInfo"), "{told}");
        assert_eq!(listed.matches("token \"").count(), 1, "{listed}");
        // The other one may be the one that the PIN is of.
        assert!(!listed.contains("kek/01") && listed.contains("name one token"), "{listed}");
        let (status, listed, told) = list(&once, &["--json", module]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!((status, told.as_str()), (Some(1), ""));
        assert_eq!(listed["tokens"].as_array().unwrap().len(), 1, "{listed}");
        assert!(listed["unreadable"][0]["message"].as_str().unwrap().contains("0xe1"), "{listed}");
        // All of them: it is told as what it is, and nothing is listed.
        let all = Shim::environment(stage, &[(Call::GetTokenInfo, FAIL, 0xe1, 0, FOREVER)]);
        let (status, listed, told) = list(&all, &[module]);
        assert_eq!((status, listed.as_str()), (Some(6), ""), "{told}");
        assert!(told.contains("CKR_TOKEN_NOT_RECOGNIZED") && !told.contains(PIN), "{told}");
        // The same in every look, of which each asks about three slots: a token that is not named is not guessed.
        let each: Vec<_> = (0..60).map(|look| (Call::GetTokenInfo, FAIL, 0xe1, look * 2, 1)).collect();
        let wrong = stage.file("wrong-pin", b"11111111", 0o600);
        let unnamed = format!("pkcs11:model=SoftHSM%20v2;object=kek?module-path={module}&pin-source=file:{}", wrong.display());
        let (status, _, told) = text(&tool.run_with(&Shim::environment(stage, &each), &["hsm", "check", &unnamed]));
        assert_eq!(status, Some(6), "{told}");
        assert!(told.contains("CKR_TOKEN_NOT_RECOGNIZED") && !told.contains("refused"), "{told}");
        // One that is named is found: at once or, if it is the one, after a reset.
        let (status, _, told) = text(&tool.run_with(&once, &["hsm", "check", &uri]));
        assert_eq!(status, Some(0), "{told}");
    }
}
