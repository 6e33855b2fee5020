//! `-k config:FILE.toml`: whatever a configuration describes stands for one key, and all of its faults are told at once.

use crate::sandbox::{PLAIN, Sandbox};

const FILES: &str = "\
provider = \"both\"
[providers.both]
type = \"any-of\"
members = [\"here\", \"safe\"]
[providers.here]
type = \"key-file\"
paths = [\"k\"]
[providers.safe]
type = \"key-file\"
paths = [\"safe.key\"]
";

fn with_config(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add_key("safe.key", "safe");
    sandbox.write("keys.toml", text);
    sandbox
}

#[test]
fn it_seals_opens_and_is_rewrapped_to() {
    let sandbox = with_config(FILES);
    sandbox.run_with(&["seal", "-k", "config:keys.toml", "-o", "file"], PLAIN.as_bytes()).is_silent();
    for key in ["k", "safe.key", "config:keys.toml"] {
        assert_eq!(sandbox.run(&["open", "-k", key, "file"]).is_good(), PLAIN.as_bytes());
    }
    sandbox.add_key("new", "new");
    sandbox.run(&["rewrap", "-k", "config:keys.toml", "--to", "new", "file"]).is_good();
    let ran = sandbox.run(&["open", "-k", "config:keys.toml", "file"]);
    ran.fails_empty(6, &["\"new\"", "keys given: main, safe"]);
    sandbox.run(&["rewrap", "-k", "new", "--to", "config:keys.toml", "file"]).is_good();
    // A key that is given in two ways is no fault.
    let ran = sandbox.run(&["open", "-k", "k", "-k", "config:keys.toml", "file"]);
    assert_eq!(ran.is_good(), PLAIN.as_bytes());
    sandbox.run(&["rewrap", "-k", "config:keys.toml", "--to", "k", "file"]).is_good();
    sandbox.run(&["open", "-k", "safe.key", "file"]).fails_empty(6, &["\"main\""]);
    sandbox.run(&["rewrap", "-k", "k", "--to", "config:keys.toml", "file"]).is_good();
    let ran = sandbox.run(&["verify", "-k", "config:keys.toml", "file"]);
    assert!(ran.text().contains("opened with key \"main\""), "{ran:?}");
    let ran = sandbox.run(&["doctor", "-k", "config:keys.toml", "file"]);
    let text = String::from_utf8_lossy(ran.is_good()).into_owned();
    for says in ["config:keys.toml\n", "key        0x0001 (aes-kwp) \"safe\"\n", "yes, with key \"main\""] {
        assert!(text.contains(says), "{says}: {text}");
    }
    // It is one key of several.
    sandbox
        .run_with(&["seal", "-k", "config:keys.toml", "-k", "new", "-o", "three"], PLAIN.as_bytes())
        .is_silent();
    for key in ["new", "safe.key"] {
        assert_eq!(sandbox.run(&["open", "-k", key, "three"]).is_good(), PLAIN.as_bytes());
    }
}

#[test]
fn key_files_are_where_the_configuration_is() {
    let sandbox = with_config("");
    std::fs::create_dir(sandbox.path("etc")).unwrap();
    std::fs::rename(sandbox.path("k"), sandbox.path("etc/k")).unwrap();
    std::fs::rename(sandbox.path("safe.key"), sandbox.path("etc/safe.key")).unwrap();
    sandbox.write("etc/keys.toml", FILES);
    sandbox.run_with(&["seal", "-k", "config:etc/keys.toml", "-o", "file"], PLAIN.as_bytes()).is_silent();
    assert_eq!(sandbox.run(&["open", "-k", "etc/k", "file"]).is_good(), PLAIN.as_bytes());
    // A key file of that name is another thing.
    std::fs::rename(sandbox.path("etc/k"), sandbox.path("config:k")).unwrap();
    assert_eq!(sandbox.run(&["open", "-k", "./config:k", "file"]).is_good(), PLAIN.as_bytes());
}

#[test]
fn every_fault_is_told_and_nothing_is_begun() {
    let sandbox = with_config(
        "provider = \"both\"\n[providers.both]\ntype = \"any-of\"\nmembers = [\"here\", \"gone\"]\nmim = 1\n\
         [providers.here]\ntype = \"key-file\"\npaths = [\"absent\"]\n",
    );
    for arguments in
        [&["seal", "-o", "out"][..], &["open", "-o", "out", "file"], &["verify", "file"], &["repair", "file"]]
    {
        let ran = sandbox.run(&[arguments, &["-k", "config:keys.toml"]].concat());
        ran.fails_empty(
            2,
            &[
                "configuration keys.toml has 3 faults\n",
                "\n  providers.both.members[1]: ",
                "\n  providers.both.mim: ",
                "\n  providers.here.paths[0]: ",
            ],
        );
        assert!(!sandbox.exists("out"));
    }
    let ran = sandbox.run(&["doctor", "-k", "config:keys.toml"]);
    assert!(ran.status.code() == Some(2) && ran.text().contains("has 3 faults"), "{ran:?}");
    sandbox
        .run(&["seal", "-k", "config:none.toml"])
        .fails_empty(2, &["configuration none.toml cannot be read"]);
    sandbox.run(&["seal", "-k", "config:"]).fails_empty(2, &["cannot be read"]);
}

#[test]
fn a_key_that_was_pasted_into_it_is_not_shown() {
    // The sandbox refuses every output with a key in it.
    let sandbox = with_config("");
    let key = String::from_utf8(sandbox.read("k")).unwrap();
    let line = key.lines().find(|line| line.starts_with("kuvert-key-v1:")).unwrap().to_owned();
    sandbox.write("keys.toml", format!("# fine\nprovider = \"p\"\n{line}\n"));
    sandbox.run(&["seal", "-k", "config:keys.toml"]).fails_empty(2, &["keys.toml, line 3, is not TOML"]);
    let paths = format!("provider = \"p\"\n[providers.p]\ntype = \"key-file\"\npaths = [\"{line}\"]\n");
    sandbox.write("keys.toml", paths);
    sandbox.run(&["seal", "-k", "config:keys.toml"]).fails_empty(2, &["has 1 fault"]);
}

#[cfg(feature = "https")]
mod kms {
    use base64ct::{Base64, Encoding as _};

    use crate::kms_stage::Stage;
    use crate::sandbox::PLAIN;
    use crate::support::fake_kms::Fault;
    use crate::support::fake_kms::faults::Rule;

    #[test]
    fn two_regions_of_which_one_is_down() {
        let stage = Stage::new();
        let (near, far) = (stage.fake.create_key("eu-north-1"), stage.fake.create_key("eu-central-1"));
        stage.sandbox.write(
            "keys.toml",
            format!(
                "provider = \"both\"\n[providers.both]\ntype = \"any-of\"\nmembers = [\"near\", \"far\"]\nmin = 1\n\
                 grace = \"5s\"\n[providers.near]\ntype = \"aws-kms\"\nsealing_key = \"{near}\"\n\
                 [providers.far]\ntype = \"aws-kms\"\nsealing_key = \"{far}\"\n"
            ),
        );
        stage.fake.fault(Rule::from(Fault::Status(503)).in_region("eu-central-1"));
        let ran = stage.run_with(&["seal", "-k", "config:keys.toml", "-o", "file"], PLAIN.as_bytes());
        assert!(ran.status.success() && ran.err.contains("warning") && ran.err.contains(&far), "{ran:?}");
        let ran = stage.run(&["doctor", "-k", "config:keys.toml", "file"]);
        assert!(ran.status.success(), "{ran:?}");
        for says in ["opens      yes", "problem    ", "eu-central-1, in the EU", "pending: wanted"] {
            assert!(ran.text().contains(says), "{says}: {ran:?}");
        }
        stage.fake.mend();
        stage.run(&["repair", "-k", "config:keys.toml", "file"]).is_good();
        stage.fake.fault(Rule::from(Fault::Status(503)).in_region("eu-north-1"));
        assert_eq!(stage.run(&["open", "-k", "config:keys.toml", "file"]).is_good(), PLAIN.as_bytes());
    }

    #[test]
    fn a_policy_refuses_before_any_call() {
        let stage = Stage::new();
        let london = stage.fake.create_key("eu-west-2");
        stage.sandbox.write(
            "keys.toml",
            format!(
                "provider = \"eu\"\n[providers.eu]\ntype = \"policy\"\nprovider = \"kms\"\nresidency = \"eu\"\n\
                 [providers.kms]\ntype = \"aws-kms\"\nsealing_key = \"{london}\"\n"
            ),
        );
        let ran = stage.run(&["seal", "-k", "config:keys.toml", "-o", "file"]);
        ran.fails_empty(2, &["eu-west-2", "providers.eu"]);
        assert!(!stage.sandbox.exists("file"));
        assert_eq!(stage.fake.take_actions(), [""; 0]);
    }

    #[test]
    fn a_machine_that_seals_to_an_rsa_key_asks_nobody() {
        let stage = Stage::new();
        let key = stage.fake.create_rsa_key("eu-north-1", 2048);
        let public = Base64::encode_string(&stage.fake.public_key(&key));
        let config = |rest: &str| {
            format!(
                "provider = \"rsa\"\n[providers.rsa]\ntype = \"aws-kms\"\n{rest}\n\
                 [providers.rsa.public_keys]\n\"{key}\" = \"{public}\"\n"
            )
        };
        stage.sandbox.write("seal.toml", config(&format!("role = \"seal-only\"\nsealing_key = \"{key}\"")));
        stage
            .sandbox
            .write("open.toml", config(&format!("role = \"open-only\"\nopening_keys = [\"{key}\"]")));
        stage.sealed("file", PLAIN, &["-k", "config:seal.toml"]);
        assert_eq!(stage.fake.take_actions(), [""; 0]);
        assert_eq!(stage.run(&["open", "-k", "config:open.toml", "file"]).is_good(), PLAIN.as_bytes());
        assert_eq!(stage.fake.take_actions(), ["Decrypt"]);
        stage.run(&["open", "-k", "config:seal.toml", "file"]).fails_empty(6, &["no usable key"]);
    }
}
