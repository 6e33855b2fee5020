//! What a default build pulls in, where the lock file fetches from, and paths of one machine in tracked files.

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

use super::{ROOT, assert_none, walk};

/// Crates in a default build, this one not counted.
const MAX_CRATES: usize = 16;
/// Never in a default build: runtimes, TLS, cloud SDKs, HTTP.
const UNWANTED: [&str; 8] =
    ["tokio", "rustls", "openssl", "openssl-sys", "native-tls", "hyper", "reqwest", "async-std"];
const UNWANTED_PREFIXES: [&str; 2] = ["aws-sdk", "aws-smithy"];

/// Crates of a `cargo tree --prefix none` output: the first word of each line, without this crate itself.
fn crates(tree: &str) -> BTreeSet<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "kuvert").collect()
}

/// What no build has that did not ask for it.
fn unwanted(tree: &str) -> Vec<String> {
    let is_unwanted =
        |name: &&&str| UNWANTED.contains(name) || UNWANTED_PREFIXES.iter().any(|p| name.starts_with(p));
    crates(tree).iter().filter(is_unwanted).map(|name| format!("the build contains {name}")).collect()
}

fn too_much(tree: &str) -> Vec<String> {
    let crates = crates(tree);
    let mut found = unwanted(tree);
    if crates.len() > MAX_CRATES {
        found.push(format!(
            "a default build has {} crates, the cap is {MAX_CRATES}: {crates:?}",
            crates.len()
        ));
    }
    found
}

/// What a build with the default features and these depends on, a crate a line.
#[cfg(feature = "aws-lc")]
fn cargo_tree(features: &str) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--features",
            features,
        ])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

// With another backend only, the default one's sources need not be on this machine.
#[cfg(feature = "aws-lc")]
#[test]
fn a_default_build_is_small() {
    let tree = cargo_tree("");
    assert!(crates(&tree).contains("aws-lc-rs"), "the default backend is not in the tree:\n{tree}");
    assert_none(&too_much(&tree));
}

/// The SDK's former HTTP and TLS stack, which gets no repairs any more: a library that brings it in cannot be rid of it again.
const OLD_TLS: [&str; 6] =
    ["hyper v0.14.", "rustls v0.21.", "h2 v0.3.", "rustls-webpki v0.101.", "http v0.2.", "http-body v0.4."];

/// Lines of a `cargo tree --prefix none` output that are of the old TLS stack.
fn old_tls(tree: &str) -> Vec<&str> {
    tree.lines().filter(|line| OLD_TLS.iter().any(|old| line.starts_with(old))).collect()
}

// Without these features their sources need not be on this machine.
#[cfg(feature = "aws-kms")]
#[test]
fn the_kms_provider_brings_no_old_tls() {
    let features: &[&str] = if cfg!(feature = "https") { &["aws-kms", "https"] } else { &["aws-kms"] };
    for feature in features {
        let tree = cargo_tree(feature);
        assert!(crates(&tree).contains("aws-sdk-kms"), "{feature}: the SDK is not in the tree:\n{tree}");
        assert_eq!(old_tls(&tree), [""; 0], "{feature}");
    }
}

// Without this feature its sources need not be on this machine.
#[cfg(feature = "pkcs11")]
#[test]
fn the_pkcs11_provider_brings_no_runtime() {
    let tree = cargo_tree("pkcs11");
    assert!(crates(&tree).contains("cryptoki"), "cryptoki is not in the tree:\n{tree}");
    assert_none(&unwanted(&tree));
}

#[test]
fn planted_old_tls_is_found() {
    let tree = "hyper v1.7.0\nhyper v0.14.32\nrustls v0.21.12\nh2 v0.3.27\nrustls-webpki v0.101.7\nh2 v0.4.1\nrustls v0.23.1\n\
                http v0.2.12\nhttp v1.5.0\nhttp-body v0.4.6\n";
    assert_eq!(old_tls(tree).len(), 6);
}

#[test]
fn planted_weight_is_found() {
    assert_eq!(too_much("kuvert v0.1.0\nlibc v0.2.1\nlibc v0.2.1 (*)\n"), [""; 0]);
    assert_eq!(too_much("kuvert v0.1.0\ntokio v1.0.0\naws-sdk-kms v1.0.0\ntokio-util v0.1.0").len(), 2);
    let many: String = (0..17).map(|n| format!("crate-{n} v1.0.0\n")).collect();
    assert_eq!(too_much(&many).len(), 1);
}

/// Sources in a lock file other than the public registry.
fn foreign_sources(lock: &str) -> Vec<String> {
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    lock.lines().filter(|line| line.starts_with("source = ") && *line != public).map(str::to_owned).collect()
}

#[test]
fn the_lock_file_fetches_from_the_public_registry_only() {
    for lock in ["Cargo.lock", "fuzz/Cargo.lock", "tests/kryoptic/Cargo.lock"] {
        assert_none(&foreign_sources(&fs::read_to_string(Path::new(ROOT).join(lock)).unwrap()));
    }
    assert_eq!(foreign_sources("source = \"git+https://example.org/x\"\n").len(), 1);
}

/// Occurrences of `paths` in a file's bytes.
fn machine_paths(name: &str, bytes: &[u8], paths: &[String]) -> Vec<String> {
    let holds = |path: &&String| bytes.windows(path.len()).any(|window| window == path.as_bytes());
    paths.iter().filter(holds).map(|path| format!("{name}: names the machine's path {path}")).collect()
}

/// Paths that only make sense on the machine that runs this: the checkout, cargo's folders, the home folder.
fn paths_of_this_machine() -> Vec<String> {
    let shared = ["", "/", "/tmp", "/var", "/var/tmp", "/home", "/root", "/usr", "/opt", "/mnt", "/src"];
    let own = |name: &str| env::var(name).ok();
    let checkout = Path::new(ROOT);
    let mut paths: Vec<String> =
        [own("HOME"), own("CARGO_HOME"), own("CARGO_TARGET_DIR"), Some(ROOT.to_owned())]
            .into_iter()
            .chain([checkout.parent().and_then(Path::to_str).map(str::to_owned)])
            .flatten()
            .filter(|path| path.starts_with('/') && !shared.contains(&path.trim_end_matches('/')))
            .collect();
    paths.extend(["/home", "/Users", "/root"].map(|folder| format!("{folder}/")));
    paths
}

#[test]
fn tracked_files_name_no_machine() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(ROOT).output();
    let files: Vec<String> = match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8(output.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect()
        }
        // No repository, as in an unpacked archive: everything that is not a build product.
        _ => {
            let mut found = Vec::new();
            ["src", "tests", "examples", "benches"]
                .iter()
                .for_each(|dir| walk(&Path::new(ROOT).join(dir), &mut found));
            found
        }
    };
    assert!(files.len() > 20, "the scan found only {} files", files.len());
    let paths = paths_of_this_machine();
    let read = |name: &String| {
        fs::read(Path::new(ROOT).join(name)).ok().map(|bytes| machine_paths(name, &bytes, &paths))
    };
    // This file is the one that has to name them.
    let others = files.iter().filter(|name| !name.ends_with("structure/tree.rs"));
    assert_none(&others.filter_map(read).flatten().collect::<Vec<_>>());
}

#[test]
fn a_planted_machine_path_is_found() {
    let planted = format!("cd {ROOT}/target");
    assert!(!machine_paths("x", planted.as_bytes(), &[ROOT.to_owned()]).is_empty());
    assert!(!machine_paths("x", b"see /home/anna/kuvert", &paths_of_this_machine()).is_empty());
    assert!(machine_paths("x", b"mount it at /srv/backup", &paths_of_this_machine()).is_empty());
}
