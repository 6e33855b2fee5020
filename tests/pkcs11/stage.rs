//! A process with tokens of its own: a module is initialised once a process and reads its configuration then.
//!
//! Every test starts this very program again for itself alone, with an empty folder of tokens. Keys are made by
//! `pkcs11-tool` and not by us. Where a part is missing, the test is skipped and says so, unless `KUVERT_TEST_REQUIRE`
//! names `pkcs11`: then it fails.

use std::ffi::OsStr;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use kuvert::blocking::block_on;
use kuvert::provider::WrapContext;
use kuvert::provider::pkcs11::{Pkcs11Builder, Pkcs11Provider};

/// Tests, each of which gets a [`Stage`] in a process of its own.
macro_rules! staged {
    ($($(#[$attribute:meta])* fn $name:ident($stage:ident: &Stage) $body:block)*) => {$(
        #[test]
        $(#[$attribute])*
        fn $name() {
            crate::stage::alone(concat!(module_path!(), "::", stringify!($name)), |$stage: &Stage| $body);
        }
    )*};
}
pub(crate) use staged;

/// Runs `body` in a process of its own.
pub(crate) fn alone(test: &str, body: impl FnOnce(&Stage)) {
    // Without the name of this program, which the harness leaves out.
    let test = test.split_once("::").map_or(test, |(_, name)| name);
    if env::var_os(FOLDER).is_some() {
        return body(&Stage::of_this_process());
    }
    let Some(parts) = parts(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let softhsm = folder.path().join("softhsm2.conf");
    let settings = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        tokens.display()
    );
    fs::write(&softhsm, settings).unwrap();
    let mut output = tempfile::tempfile().unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .env("SOFTHSM2_CONF", &softhsm)
        .env("KUVERT_TEST_SHIM", &parts.shim)
        .env("KUVERT_TEST_MODULE", &parts.module)
        .stdout(output.try_clone().unwrap())
        .stderr(output.try_clone().unwrap())
        .spawn()
        .unwrap();
    let end = Instant::now() + LONGEST;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() < end => thread::sleep(Duration::from_millis(10)),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
        }
    };
    let mut said = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut said).unwrap();
    assert!(said.contains("running 1 test"), "{test} was not found in {said}");
    let status = status.map_or_else(|| "it did not end".to_owned(), |status| status.to_string());
    assert!(status == "exit status: 0", "{test}, in its own process: {status}\n{said}");
}

/// Tokens, and a folder beside them.
pub(crate) struct Stage {
    folder: PathBuf,
    module: PathBuf,
}

impl Stage {
    fn of_this_process() -> Self {
        let path = |name: &str| PathBuf::from(env::var_os(name).unwrap());
        Self { folder: path(FOLDER), module: path("KUVERT_TEST_MODULE") }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// SoftHSM's module.
    pub(crate) fn module(&self) -> &Path {
        &self.module
    }

    /// Makes a token with [`PIN`], by SoftHSM's own tool.
    pub(crate) fn token(&self, label: &str) {
        let made = run(
            "softhsm2-util",
            ["--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN],
        );
        assert!(made.contains("initialized"), "{made}");
    }

    /// What the other tool says to this, in the token of that label.
    pub(crate) fn tool<'a>(&'a self, token: &'a str, args: impl IntoIterator<Item = &'a str>) -> String {
        let module = self.module.to_str().unwrap();
        let start = ["--module", module, "--token-label", token, "--login", "--pin", PIN];
        run("pkcs11-tool", start.into_iter().chain(args))
    }

    /// Makes an AES key of 256 bits that cannot be taken out.
    pub(crate) fn aes(&self, token: &str, label: &str, id: &str) {
        self.tool(token, ["--keygen", "--key-type", "AES:32", "--label", label, "--id", id, "--sensitive"]);
    }

    /// Makes an RSA key.
    pub(crate) fn rsa(&self, token: &str, label: &str, id: &str) {
        self.tool(token, ["--keypairgen", "--key-type", "rsa:2048", "--label", label, "--id", id]);
    }

    /// Puts these bytes into the token as an AES key.
    pub(crate) fn import(&self, token: &str, label: &str, id: &str, key: &[u8]) {
        let file = self.file("imported", key, 0o600);
        let file = file.to_str().unwrap();
        let args = [
            "--write-object",
            file,
            "--type",
            "secrkey",
            "--key-type",
            "AES:32",
            "--label",
            label,
            "--id",
            id,
        ];
        self.tool(token, args.into_iter().chain(["--usage-wrap", "--usage-decrypt"]));
    }

    pub(crate) fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// The file of the right PIN.
    pub(crate) fn pin_file(&self) -> PathBuf {
        let path = self.folder.join("pin");
        if path.exists() { path } else { self.file("pin", PIN.as_bytes(), 0o600) }
    }

    /// A key's URI, with the module and the PIN's file.
    pub(crate) fn uri(&self, module: &Path, token: &str, object: &str, id: Option<&str>) -> String {
        let id = id.map_or_else(String::new, |id| format!(";id=%{id}"));
        let (module, pin) = (module.display(), self.pin_file());
        format!(
            "pkcs11:token={token};object={object}{id}?module-path={module}&pin-source=file:{}",
            pin.display()
        )
    }

    pub(crate) fn builder(
        &self,
        module: &Path,
        token: &str,
        object: &str,
        id: Option<&str>,
    ) -> Pkcs11Builder {
        Pkcs11Provider::from_uri(&self.uri(module, token, object, id)).unwrap()
    }

    /// A provider over SoftHSM.
    pub(crate) fn provider(&self, token: &str, object: &str, id: &str) -> Pkcs11Provider {
        connect(self.builder(&self.module, token, object, Some(id)))
    }
}

pub(crate) fn connect(builder: Pkcs11Builder) -> Pkcs11Provider {
    block_on(builder.connect()).unwrap().unwrap()
}

pub(crate) fn wrap_context() -> WrapContext {
    WrapContext::new(*b"\x89KUV\r\n\x1a\n\x01\x01\x00\x01", [("table".to_owned(), "users".to_owned())])
}

/// What a program says, which has to succeed.
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> String {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let output = Command::new(program).args(&args).stdin(Stdio::null()).output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {}\n{said}", output.status);
    said
}

pub(crate) struct Parts {
    module: PathBuf,
    shim: PathBuf,
}

/// What the tests need and did not make themselves, or `None` if they are skipped.
fn parts(test: &str) -> Option<&'static Parts> {
    static PARTS: OnceLock<Result<Parts, String>> = OnceLock::new();
    match PARTS.get_or_init(find_parts) {
        Ok(parts) => Some(parts),
        Err(missing) => {
            assert!(!is_required("pkcs11"), "{test}: {missing}");
            println!("{test}: skipped, {missing}");
            None
        }
    }
}

/// Whether a part must be there.
pub(crate) fn is_required(part: &str) -> bool {
    let required = env::var("KUVERT_TEST_REQUIRE").unwrap_or_default();
    required.split(',').any(|one| one.trim() == part)
}

fn find_parts() -> Result<Parts, String> {
    let module = MODULES.iter().map(Path::new).find(|path| path.exists());
    let module = env::var_os("KUVERT_TEST_PKCS11_MODULE").map(PathBuf::from).or(module.map(Path::to_owned));
    let module = module.ok_or("SoftHSM is missing: install softhsm2 (tests/run does)")?;
    for tool in ["softhsm2-util", "pkcs11-tool"] {
        if Command::new(tool).arg("--help").output().is_err() {
            return Err(format!("{tool} is missing: install softhsm2 and opensc (tests/run does)"));
        }
    }
    Ok(Parts { module: module.canonicalize().unwrap(), shim: compiled_shim() })
}

/// Compiles the module that stands before a real one. It has no dependencies, so the compiler alone is enough.
fn compiled_shim() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pkcs11/shim/shim.rs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    let made = folder.join(format!("shim-{}.so", std::process::id()));
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args(["--edition", "2021", "--crate-type", "cdylib", "-O", "-D", "warnings", "-o"])
        .args([&made, &source])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = folder.join("libkuvert_shim.so");
    fs::rename(made, &kept).unwrap();
    kept
}

/// Of every token.
pub(crate) const PIN: &str = "48151623";
pub(crate) const SO_PIN: &str = "87654321";
/// Names the folder, in the process of one test.
const FOLDER: &str = "KUVERT_TEST_STAGE";
/// What no test takes on any machine.
const LONGEST: Duration = Duration::from_secs(300);
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
