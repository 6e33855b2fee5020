//! The second token: kryoptic, a module of another house with other habits.
//!
//! Built once by `tests/run` into `target/kryoptic`. Where it is missing, its tests are skipped and say so, unless
//! `KUVERT_TEST_REQUIRE` names `kryoptic`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use kuvert::provider::pkcs11::{Pkcs11Builder, Pkcs11Provider};

use crate::stage::{PIN, SO_PIN, Stage, is_required, run};

/// One kryoptic token of this process.
pub(crate) struct Token {
    pub(crate) module: PathBuf,
    config: PathBuf,
}

/// A new token named `ours`, or `None` if the module is missing.
pub(crate) fn token(stage: &Stage) -> Option<Token> {
    let module = module().or_else(|| {
        assert!(!is_required("kryoptic"), "kryoptic is missing: tests/run builds it");
        println!("skipped, kryoptic is missing: tests/run builds it");
        None
    })?;
    let config = stage.folder().join("kryoptic.conf");
    let database = stage.folder().join("kryoptic.sql");
    let text = format!("[[slots]]\nslot = 42\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", database.display());
    fs::write(&config, text).unwrap();
    let token = Token { module, config };
    token.tool(&["--slot", "42", "--init-token", "--label", "ours", "--so-pin", SO_PIN]);
    token.tool(&[
        "--slot",
        "42",
        "--init-pin",
        "--login",
        "--login-type",
        "so",
        "--so-pin",
        SO_PIN,
        "--new-pin",
        PIN,
    ]);
    Some(token)
}

impl Token {
    fn tool(&self, args: &[&str]) -> String {
        let config = format!("KRYOPTIC_CONF={}", self.config.display());
        let start = [config.as_str(), "pkcs11-tool", "--module", self.module.to_str().unwrap()];
        run("env", start.into_iter().chain(args.iter().copied()))
    }

    /// What `pkcs11-tool` says to this, logged in.
    pub(crate) fn as_user(&self, args: &[&str]) -> String {
        self.tool(&[&["--token-label", "ours", "--login", "--pin", PIN], args].concat())
    }

    pub(crate) fn aes(&self, label: &str, id: &str) {
        self.as_user(&["--keygen", "--key-type", "AES:32", "--label", label, "--id", id, "--sensitive"]);
    }

    pub(crate) fn rsa(&self, label: &str, id: &str) {
        self.as_user(&["--keypairgen", "--key-type", "rsa:2048", "--label", label, "--id", id]);
    }

    /// A provider over it; the module is told of its configuration when it is initialised.
    pub(crate) fn builder(&self, stage: &Stage, object: &str, id: &str) -> Pkcs11Builder {
        self.builder_over(stage, &self.module, object, id)
    }

    /// The same through a module before it.
    pub(crate) fn builder_over(&self, stage: &Stage, module: &Path, object: &str, id: &str) -> Pkcs11Builder {
        let uri = stage.uri(module, "ours", object, Some(id));
        let args = format!("kryoptic_conf={}", self.config.display());
        Pkcs11Provider::from_uri(&uri).unwrap().with_init_args(args)
    }
}

impl Stage {
    /// Puts these bytes into a kryoptic token as an AES key.
    pub(crate) fn import_into(&self, token: &Token, label: &str, id: &str, key: &[u8]) {
        let file = self.file("imported", key, 0o600);
        let start = ["--write-object", file.to_str().unwrap(), "--type", "secrkey", "--key-type", "AES:32"];
        token.as_user(
            &[&start[..], &["--label", label, "--id", id, "--usage-wrap", "--usage-decrypt"]].concat(),
        );
    }
}

fn module() -> Option<PathBuf> {
    let built = env::var_os("KUVERT_TEST_KRYOPTIC").map(PathBuf::from).or_else(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
        Some(target.join("kryoptic/release/libkryoptic_pkcs11.so"))
    })?;
    built.exists().then_some(built)
}
