//! What kind of machine this is, without its name.

use std::{env, fs, process::Command, thread};

/// Architecture, what matters to AES of its processors, their number; system, compiler, backend.
pub(crate) fn class() -> String {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{} with {}, {processors} {}processors, {}, {}, backend {}",
        env::consts::ARCH,
        extensions().join(", "),
        if is_virtual() { "virtual " } else { "" },
        if env::consts::OS == "linux" { "Linux" } else { env::consts::OS },
        compiler(),
        backend(),
    )
}

#[cfg(target_arch = "x86_64")]
fn extensions() -> Vec<&'static str> {
    let found = [
        (is_x86_feature_detected!("aes"), "AES-NI"),
        (is_x86_feature_detected!("avx2"), "AVX2"),
        (is_x86_feature_detected!("avx512f"), "AVX-512"),
        (is_x86_feature_detected!("vaes"), "VAES"),
        (is_x86_feature_detected!("vpclmulqdq"), "VPCLMULQDQ"),
        (is_x86_feature_detected!("sha"), "SHA-NI"),
    ];
    found.into_iter().filter_map(|(here, name)| here.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn extensions() -> Vec<&'static str> {
    vec!["extensions not looked at"]
}

fn is_virtual() -> bool {
    fs::read_to_string("/proc/cpuinfo").is_ok_and(|info| info.contains(" hypervisor"))
}

/// `rustc 1.95.0`, without the build's hash and date.
fn compiler() -> String {
    let told = Command::new("rustc").arg("--version").output();
    let text =
        told.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    let words: Vec<_> = text.split_whitespace().take(2).collect();
    if words.len() == 2 { words.join(" ") } else { "an unknown compiler".to_owned() }
}

fn backend() -> &'static str {
    if cfg!(feature = "aws-lc") {
        "aws-lc"
    } else if cfg!(feature = "ring") {
        "ring"
    } else {
        "portable"
    }
}
