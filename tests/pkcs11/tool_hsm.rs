//! `kuvert hsm`, and keys in tokens beside others, through the real program: what is made is what other tools say it is,
//! and every bad input has its status and its remedy.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use base64ct::{Base64, Encoding as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::stage::{Stage, staged};
use crate::tool::Tool;

const PLAIN: &str = "what is sealed";

fn tool(stage: &Stage) -> Tool<'_> {
    fs::write(stage.folder().join("plain"), PLAIN).unwrap();
    Tool { stage }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The block that `pkcs11-tool` writes of the secret key of this label.
fn listed(stage: &Stage, kind: &str, label: &str) -> String {
    let all = stage.tool("ours", ["--list-objects", "--type", kind]);
    let blocks = all.split(" Key Object;").find(|block| block.contains(&format!("label:      {label}\n")));
    blocks.unwrap_or_else(|| panic!("{label} is not in: {all}")).to_owned()
}

/// A URI without id, and more behind its end.
fn uri(stage: &Stage, object: &str, more: &str) -> String {
    stage.uri(stage.module(), "ours", object, None) + more
}

staged! {
    fn keygen_makes_keys_that_other_tools_call_sensitive_and_never_extractable(stage: &Stage) {
        stage.token("ours");
        let tool = tool(stage);
        let said = tool.good(&["hsm", "keygen", &uri(stage, "kek", "")]);
        let (first, made) = said.trim_end().split_once('\n').unwrap();
        assert_eq!(first, "key \"kek/01\": AES, 256 bits, sensitive, never extractable");
        assert!(made.contains(";id=%01?") && made.ends_with("&x-wrap=aes-gcm"), "{made}");
        let object = listed(stage, "secrkey", "kek");
        for word in ["AES length 32", "ID:         01", "sensitive", "always sensitive", "never extractable"] {
            assert!(object.contains(word), "{word}: {object}");
        }
        // The URI is for use as it is, and the next key is the next version.
        tool.good(&["seal", "-k", made, "-o", "sealed", "plain"]);
        let next = json(&tool.good(&["hsm", "keygen", "--json", &uri(stage, "kek", "")]));
        assert_eq!(next["key"], "kek/02");
        assert_eq!(tool.good(&["open", "-k", next["uri"].as_str().unwrap(), "sealed"]), PLAIN);
        tool.fails(&["hsm", "keygen", made], 2, "the token has a key kek/01 already");

        let rsa = json(&tool.good(&["hsm", "keygen", "--rsa", "--json", &uri(stage, "pair", "&x-wrap=rsa-oaep-sha1")]));
        let object = listed(stage, "privkey", "pair");
        assert!(object.contains("sensitive") && object.contains("never extractable"), "{object}");
        let made = rsa["uri"].as_str().unwrap();
        tool.good(&["seal", "-k", made, "-o", "to-rsa", "plain"]);
        assert_eq!(tool.good(&["open", "-k", made, "to-rsa"]), PLAIN);
        tool.fails(&["hsm", "keygen", "--rsa", &uri(stage, "kek", "&x-wrap=aes-kwp")], 2, "--rsa makes an RSA key");
        tool.fails(&["hsm", "list", "--rsa", made], 2, "hsm keygen");
    }

    fn list_shows_tokens_and_what_their_keys_are_good_for(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        stage.import("ours", "loose", "01", &[7; 32]);
        stage.rsa("ours", "short", "0a");
        let tool = tool(stage);
        let module = stage.module().to_str().unwrap();
        let said = tool.good(&["hsm", "list", module]);
        assert!(said.contains("token \"ours\" (serial ") && said.contains("AES-GCM (0x1087)"), "{said}");
        assert!(said.contains("--pin-file") && !said.contains("kek"), "{said}");
        let pin = stage.pin_file();
        let pin = pin.to_str().unwrap();
        let said = tool.good(&["hsm", "list", "--pin-file", pin, module]);
        assert!(said.contains("\"kek/01\": AES, 256 bits, sensitive"), "{said}");
        assert!(said.contains("\"short/0a\": RSA, 2048 bits") && said.contains("fewer than 3072 bits"), "{said}");
        let told = json(&tool.good(&["hsm", "list", "--json", "--pin-file", pin, module]));
        let keys = told["tokens"][0]["keys"].as_array().unwrap();
        let key = |label: &str| keys.iter().find(|key| key["label"] == label).unwrap();
        assert_eq!((&key("kek")["sensitive"], &key("kek")["bits"]), (&true.into(), &256.into()));
        assert_eq!(key("kek")["wraps"], serde_json::json!(["aes-gcm"]));
        assert_eq!(key("loose")["never_extractable"], false, "{told}");
        // With two tokens no PIN is tried before one is named.
        stage.token("other");
        let said = tool.good(&["hsm", "list", "--pin-file", pin, module]);
        assert!(said.contains("token \"other\"") && !said.contains("kek/01"), "{said}");
        let one = format!("pkcs11:token=ours?module-path={module}&pin-source={pin}");
        let said = tool.good(&["hsm", "list", &one]);
        assert!(said.contains("kek/01") && said.contains("token \"other\""), "{said}");
    }

    fn check_tries_the_key_and_warns(stage: &Stage) {
        stage.token("ours");
        stage.rsa("ours", "short", "0a");
        stage.import("ours", "loose", "01", &[7; 32]);
        stage.tool("ours", ["--keygen", "--key-type", "AES:16", "--label", "tiny", "--id", "01", "--sensitive"]);
        let tool = tool(stage);
        let oaep = "&x-wrap=rsa-oaep-sha1";
        let said = tool.good(&["hsm", "check", &uri(stage, "short", oaep)]);
        assert!(said.contains("rsa-oaep-sha1") && said.contains("works      yes"), "{said}");
        assert!(said.contains("warning") && said.contains("fewer than 3072 bits"), "{said}");
        let told = json(&tool.good(&["hsm", "check", "--json", &uri(stage, "short", oaep)]));
        assert_eq!((&told["ok"], &told["keys"][0]["id"]), (&true.into(), &"short/0a".into()));
        assert_eq!(told["warnings"].as_array().unwrap().len(), 1, "{told}");
        tool.fails(&["hsm", "check", &uri(stage, "tiny", "")], 6, "not an AES key of 256 bits");
        let output = tool.run(&["hsm", "check", "--json", &uri(stage, "none", "")]);
        let told = json(&String::from_utf8(output.stdout).unwrap());
        assert_eq!((output.status.code(), &told["status"]), (Some(6), &6.into()), "{told}");
        assert!(told["message"].as_str().unwrap().contains("hsm keygen") && output.stderr.is_empty(), "{told}");
    }

    fn an_imported_key_and_a_key_file_open_each_other_s(stage: &Stage) {
        const KEY: [u8; 32] = *b"a key that is known to two sides";
        stage.token("ours");
        stage.import("ours", "kek", "01", &KEY);
        let hash = Sha256::digest([&b"kuvert-key-v1kek/01"[..], &KEY].concat());
        let line = Base64::encode_string(&[&KEY[..], &hash[..4]].concat());
        stage.file("k", format!("kuvert-key-v1:kek/01:{line}\n").as_bytes(), 0o600);
        let tool = tool(stage);
        let kwp = uri(stage, "kek", "&x-wrap=aes-kwp&x-mechanism=0x210a");
        for (seals, opens) in [("k", kwp.as_str()), (&kwp, "k")] {
            tool.good(&["seal", "--force", "-k", seals, "-o", "sealed", "plain"]);
            assert_eq!(tool.good(&["open", "-k", opens, "sealed"]), PLAIN);
        }
    }

    fn a_key_that_is_away_becomes_pending_and_is_repaired(stage: &Stage) {
        stage.token("ours");
        let tool = tool(stage);
        tool.good(&["keygen", "-o", "k"]);
        let made = json(&tool.good(&["hsm", "keygen", "--json", &uri(stage, "kek", "")]));
        let made = made["uri"].as_str().unwrap();
        let (tokens, away) = (stage.folder().join("tokens"), stage.folder().join("away"));
        fs::rename(&tokens, &away).unwrap();
        fs::create_dir(&tokens).unwrap();
        let seal = ["seal", "-k", "k", "-k", made, "-o", "sealed", "plain"];
        tool.fails(&seal, 6, "no token matches");
        let output = tool.run(&[&seal[..], &["--min", "1"]].concat());
        let warned = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && warned.contains("kuvert repair"), "{warned}");
        tool.fails(&["open", "-k", made, "sealed"], 6, "kek/01");
        fs::remove_dir(&tokens).unwrap();
        fs::rename(&away, &tokens).unwrap();
        tool.good(&["repair", "-k", "k", "--to", made, "sealed"]);
        assert_eq!(tool.good(&["open", "-k", made, "sealed"]), PLAIN);
        // From the environment, beside a key file that does not fit.
        tool.good(&["keygen", "-o", "other"]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuvert"));
        command.args(["open", "sealed"]).env("KUVERT_KEYS", format!("other {made}")).current_dir(stage.folder());
        assert_eq!(command.output().unwrap().stdout, PLAIN.as_bytes());
        let said = tool.good(&["doctor", "-k", made, "sealed"]);
        assert!(said.contains("kek/01") && said.contains("what follows is verified"), "{said}");
    }

    fn every_bad_input_has_its_status_and_its_remedy(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        stage.aes("ours", "twin", "01");
        stage.aes("ours", "twin", "01");
        let tool = tool(stage);
        let good = uri(stage, "kek", "");
        let module = stage.module().to_str().unwrap();
        let all = |key: &str, said: &str, remedy: &str| {
            tool.fails(&["seal", "-k", key, "-o", "out", "plain"], 6, said);
            tool.fails(&["hsm", "check", key], 6, said);
            tool.fails(&["hsm", "check", key], 6, remedy);
            let output = tool.run(&["doctor", "-k", key]);
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let told = told + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(6) && told.contains(said), "{told}");
        };
        tool.good(&["seal", "-k", &good, "-o", "sealed", "plain"]);
        all(&good.replace(module, "/nowhere/module.so"), "/nowhere/module.so", "is module-path the file");
        all(&good.replace(module, "/etc/passwd"), "/etc/passwd", "is module-path the file");
        let library = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/usr/lib64/libm.so.6"];
        let library = library.iter().find(|path| std::path::Path::new(path).exists()).unwrap();
        all(&good.replace(module, library), "it is no PKCS#11 module", "is module-path the file");
        all(&good.replace("token=ours", "token=theirs"), "\"ours\" (serial", "hsm list MODULE");
        all(&good.replace("object=kek", "object=keg"), "no key keg", "hsm keygen");
        all(&good.replace("object=kek", "object=twin"), "several keys match: twin/01, twin/01", "delete one");
        all(&uri(stage, "kek", "&x-wrap=aes-kwp"), "it offers: 0x", "x-wrap=aes-gcm");
        let pin = stage.pin_file();
        let no_pin = good.split("&pin-source").next().unwrap();
        all(no_pin, "the token wants a PIN", "mode 0600");
        fs::set_permissions(&pin, fs::Permissions::from_mode(0o644)).unwrap();
        all(&good, "chmod 600", "mode 0644");
        fs::set_permissions(&pin, fs::Permissions::from_mode(0o600)).unwrap();
        all(&good.replace("pin-source=file:", "pin-source=file:/nowhere"), "cannot be read", "nothing but the PIN");
        fs::write(&pin, "").unwrap();
        all(&good, "the PIN is empty", "on one line");
        fs::write(&pin, "11111111").unwrap();
        tool.fails(&["open", "-k", &good, "sealed"], 6, "the token locks itself");
        fs::write(&pin, crate::stage::PIN).unwrap();
        stage.token("ours");
        all(&good, "several tokens match: \"ours\" (serial", "serial=");
        assert!(!stage.folder().join("out").exists());
    }

    fn a_pin_is_typed_unseen(stage: &Stage) {
        if Command::new("script").arg("--version").output().is_err() {
            assert!(!crate::stage::is_required("script"));
            return;
        }
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let tool = tool(stage);
        let good = uri(stage, "kek", "");
        let no_pin = good.split("&pin-source").next().unwrap();
        tool.good(&["seal", "-k", &good, "-o", "sealed", "plain"]);
        // Typed once the question stands there: what is typed before it is thrown away.
        let call = format!("'{}' open -k '{no_pin}' sealed", env!("CARGO_BIN_EXE_kuvert"));
        let ask = "(sleep 2; printf '%s\\n' \"$TYPED\"; sleep 1) | script --quiet --return --command \"$CALL\" /dev/null";
        let typed = |pin: &str| {
            let mut shell = Command::new("sh");
            let shell = shell.args(["-c", ask]).env("TYPED", pin).env("CALL", &call).current_dir(stage.folder());
            let output = shell.output().unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (status, shown) = typed(crate::stage::PIN);
        assert!(status == Some(0) && shown.contains("PIN of ours: ") && shown.ends_with(PLAIN), "{shown}");
        assert!(!shown.contains(crate::stage::PIN), "{shown}");
        let (status, shown) = typed("11111111");
        assert!(status == Some(6) && shown.contains("the token refused the PIN"), "{shown}");
    }

    fn a_token_is_set_up_by_the_script_of_the_examples(stage: &Stage) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/softhsm.sh");
        let folder = stage.folder().join("example");
        // What it says beside the two variables is the other tools'.
        let set_up = || {
            let mut shell = Command::new("bash");
            let output = shell.arg(script).arg(&folder).env("KUVERT_TEST_PKCS11_MODULE", stage.module()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let said = set_up();
        let names: Vec<_> = said.lines().map(|line| line.split('=').next().unwrap()).collect();
        assert_eq!(names, ["export SOFTHSM2_CONF", "export KUVERT_EXAMPLE_HSM_KEY"], "{said}");
        // A second time it makes nothing anew.
        assert_eq!(set_up(), said);
        // And its key is good for what the examples do with it.
        tool(stage);
        let (seal, open) = (r#"seal -k "$KUVERT_EXAMPLE_HSM_KEY" plain"#, r#"open -k "$KUVERT_EXAMPLE_HSM_KEY""#);
        let program = env!("CARGO_BIN_EXE_kuvert");
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("{said}\n'{program}' {seal} | '{program}' {open}")]).current_dir(stage.folder());
        let output = shell.output().unwrap();
        assert!(output.status.success() && output.stdout == PLAIN.as_bytes(), "{output:?}");
        let mode = fs::metadata(folder.join("pin")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// A token, a key in AWS KMS and a key file, any one of which opens.
#[cfg(feature = "https")]
mod mixed {
    use std::process::Command;

    use super::{PLAIN, Stage, staged, tool, uri};
    use crate::fake_kms;

    staged! {
        fn an_hsm_and_kms_and_a_key_file_in_one_message(stage: &Stage) {
            stage.token("ours");
            stage.aes("ours", "kek", "01");
            let tool = tool(stage);
            tool.good(&["keygen", "-o", "k"]);
            let kms = fake_kms::FakeKms::start();
            let arn = format!("aws-kms:{}", kms.create_key("eu-north-1"));
            let hsm = uri(stage, "kek", "");
            let call = |args: &[&str]| {
                let output = Command::new(env!("CARGO_BIN_EXE_kuvert"))
                    .args(args)
                    .current_dir(stage.folder())
                    .env("AWS_ENDPOINT_URL_KMS", kms.endpoint())
                    .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "of-nobody")])
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{args:?}: {output:?}");
                output.stdout
            };
            call(&["seal", "-k", "k", "-k", &arn, "-k", &hsm, "-o", "sealed", "plain"]);
            for key in ["k", &arn, &hsm] {
                assert_eq!(call(&["open", "-k", key, "sealed"]), PLAIN.as_bytes(), "{key}");
            }
            call(&["rewrap", "-k", &arn, "--to", &hsm, "sealed"]);
            assert_eq!(call(&["open", "-k", "k", "-k", &arn, "-k", &hsm, "sealed"]), PLAIN.as_bytes());
            tool.fails(&["open", "-k", "k", "sealed"], 6, "kek/01");
            // Both together, and neither alone.
            call(&["seal", "--all-of", "-k", &arn, "-k", &hsm, "-o", "both", "plain"]);
            assert_eq!(call(&["open", "--all-of", "-k", &arn, "-k", &hsm, "both"]), PLAIN.as_bytes());
            tool.fails(&["open", "-k", &hsm, "both"], 6, "no usable key");
        }
    }
}
