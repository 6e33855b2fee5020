//! P6: a process that is killed while it seals leaves the old file or the whole new one.
//!
//! Real SIGKILLs of this test program, started again as a child that seals over one file for ever. What a power cut may
//! leave is built image by image in the unit tests of `io::AtomicFile`; here the operating system is the judge.
#![cfg(unix)]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kuvert::{OpenOptions, SealOptions};

use crate::support::cancel::wait;
use crate::support::fixture::{KEY_ID, WRAPPING_KEY, context, kuvert, write_key_file};
use crate::support::rng::Rng;

/// Tells the child what to do: the directory, and what to write how.
const ROLE: &str = "KUVERT_TEST_CRASH_CHILD";
/// Kills in all, over all scenarios.
const KILLS: usize = 1000;

/// What the child does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    /// `seal_file` of one of the plaintexts over `target`.
    Seal,
    /// `open_file` of one of the sealed files over `target`.
    Open,
    /// Planted bug: seals in place, without a temporary file.
    InPlace,
}

impl Job {
    const fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Open => "open",
            Self::InPlace => "in-place",
        }
    }
}

/// Plaintexts of different lengths, each recognisable from any of its bytes.
const LENGTHS: [usize; 4] = [0, 5_000, 300_000, 700_000];

fn plaintext(n: usize) -> Vec<u8> {
    vec![u8::try_from(n + 1).expect("few of them"); LENGTHS[n]]
}

/// Not a test by itself: what the killed process runs. Without its environment variable it does nothing.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (job, directory) = role.split_once(':').expect("job:directory");
    let directory = PathBuf::from(directory);
    let kuvert = kuvert()
        .with_seal_options(SealOptions::default().with_replace_existing(true))
        .with_open_options(OpenOptions::default().with_replace_existing(true));
    let target = directory.join("target");
    // The parent may begin to count the time; it reads one byte.
    let mut out = std::io::stdout();
    out.write_all(b"\n@").and_then(|()| out.flush()).expect("the parent listens");
    for round in std::process::id() as usize.. {
        let n = round % LENGTHS.len();
        let (plain, sealed) = (directory.join(format!("plain-{n}")), directory.join(format!("sealed-{n}")));
        if job == Job::Seal.name() {
            drop(wait(kuvert.seal_file(plain, &target, &context())).expect("a working disk"));
        } else if job == Job::Open.name() {
            drop(wait(kuvert.open_file(sealed, &target, &context())).expect("a working disk"));
        } else {
            let file = fs::File::create(&target).expect("a working disk");
            let sealer = wait(kuvert.sealer(&context())).expect("a key in memory");
            let mut writer = sealer.into_writer(file);
            writer
                .copy_from(&mut fs::File::open(plain).expect("made by the parent"))
                .expect("a working disk");
            writer.finish().expect("a working disk");
        }
    }
}

fn prepare(job: Job) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for n in 0..LENGTHS.len() {
        let plain = directory.path().join(format!("plain-{n}"));
        fs::write(&plain, plaintext(n)).expect("a working disk");
        wait(kuvert().seal_file(&plain, directory.path().join(format!("sealed-{n}")), &context()))
            .expect("a working disk");
    }
    let first = if job == Job::Open { "plain-1" } else { "sealed-1" };
    fs::copy(directory.path().join(first), directory.path().join("target")).expect("a working disk");
    directory
}

/// Starts the child, waits until it works, lets it work for a random while, kills it.
fn kill_once(job: Job, directory: &Path, rng: &mut Rng) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(ROLE, format!("{}:{}", job.name(), directory.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this program runs again");
    wait_until_it_works(&mut child);
    std::thread::sleep(Duration::from_micros(rng.below(6_000) as u64));
    // SIGKILL: no destructor, no handler, no flush.
    child.kill().expect("it runs for ever");
    let status = child.wait().expect("killed");
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(libc::SIGKILL),
        "it died by itself"
    );
}

fn wait_until_it_works(child: &mut Child) {
    let out = child.stdout.as_mut().expect("piped");
    let mut byte = [0];
    while byte != *b"@" {
        assert_eq!(out.read(&mut byte).expect("a pipe"), 1, "the child ended before it began to work");
    }
}

/// What is wrong with the directory after a kill, if anything.
fn judge(job: Job, directory: &Path) -> Result<Litter, String> {
    let found = fs::read(directory.join("target")).map_err(|error| format!("the target is gone: {error}"))?;
    let opened = if job == Job::Open {
        found
    } else {
        let opened = wait(kuvert().open(&found, &context()));
        opened.map_err(|error| format!("the target does not open: {error}"))?.into_inner()
    };
    if !(0..LENGTHS.len()).any(|n| opened == plaintext(n)) {
        return Err(format!("the target has {} bytes of no plaintext", opened.len()));
    }
    let mut litter = Litter::default();
    for entry in fs::read_dir(directory).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "target" || name.starts_with("plain-") || name.starts_with("sealed-") {
            continue;
        }
        if !(name.starts_with(".kuvert-") && name.ends_with(".tmp")) {
            return Err(format!("{name} was left behind, and cannot be told for litter"));
        }
        litter.found += 1;
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        match wait(kuvert().open(&bytes, &context())) {
            Err(_) => litter.partial += 1,
            // Killed between the last write and the rename: whole, and not yet in place.
            Ok(whole) if (0..LENGTHS.len()).any(|n| *whole == plaintext(n)) => litter.whole += 1,
            Ok(part) => return Err(format!("{name} is partial ({} bytes) and opens", part.len())),
        }
        // What the documentation tells the user to do.
        fs::remove_file(&path).map_err(|error| error.to_string())?;
    }
    Ok(litter)
}

/// Temporary files found, and what they were.
#[derive(Debug, Default, Clone, Copy)]
struct Litter {
    found: usize,
    partial: usize,
    whole: usize,
}

/// The program `kuvert` is killed at any time, also before and after it works. Built with the feature `cli` only.
#[test]
fn the_program_killed_two_hundred_times() {
    // Cargo names the program also where it was not built, or long ago.
    let Some(program) = option_env!("CARGO_BIN_EXE_kuvert").filter(|_| cfg!(feature = "cli")) else {
        println!("skipped: the program is built with the feature `cli`");
        return;
    };
    let mut rng = Rng::new("killing the program");
    let directory = prepare(Job::Seal);
    // Under a name that the judge passes over.
    write_key_file(&directory.path().join("plain-key"), KEY_ID, &WRAPPING_KEY);
    let (mut running, mut inside) = (0, 0);
    for n in 0..200 {
        let mut child = Command::new(program)
            .args([
                "seal",
                "-k",
                "plain-key",
                "-c",
                "table=users",
                "-r",
                "tenant=7",
                "--force",
                "-o",
                "target",
            ])
            .arg(format!("plain-{}", n % LENGTHS.len()))
            .current_dir(directory.path())
            .env_remove("KUVERT_KEYS")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        std::thread::sleep(Duration::from_micros(rng.below(25_000) as u64));
        child.kill().expect("it may have ended by itself");
        let output = child.wait_with_output().expect("killed or ended");
        let killed = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(libc::SIGKILL);
        assert!(killed || output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        running += usize::from(killed);
        inside +=
            judge(Job::Seal, directory.path()).unwrap_or_else(|fault| panic!("kill {n}: {fault}")).found;
    }
    println!("200 runs, {running} killed, {inside} of them between the first write and the rename");
    assert!(running > 20, "only {running} were killed");
}

/// Kills `times` times and judges after each. The first fault ends it.
fn kill(job: Job, times: usize, name: &'static str) -> Result<Litter, String> {
    let mut rng = Rng::new(name);
    let directory = prepare(job);
    let mut sum = Litter::default();
    for n in 0..times {
        kill_once(job, directory.path(), &mut rng);
        let litter = judge(job, directory.path()).map_err(|fault| format!("kill {n}: {fault}"))?;
        sum.found += litter.found;
        sum.partial += litter.partial;
        sum.whole += litter.whole;
    }
    Ok(sum)
}

#[test]
fn killed_a_thousand_times() {
    let began = Instant::now();
    let jobs = [
        (Job::Seal, "sealing 1"),
        (Job::Open, "opening 1"),
        (Job::Seal, "sealing 2"),
        (Job::Open, "opening 2"),
    ];
    let threads: Vec<_> = jobs
        .into_iter()
        .map(|(job, name)| (job, std::thread::spawn(move || kill(job, KILLS / jobs.len(), name))))
        .collect();
    let mut inside = 0;
    for (job, thread) in threads {
        let litter = thread.join().expect("no panic").unwrap_or_else(|fault| panic!("{job:?}: {fault}"));
        println!("{job:?}: {litter:?}");
        inside += litter.found;
    }
    println!(
        "{KILLS} kills in {:?}, {inside} of them between the first write and the rename",
        began.elapsed()
    );
    // If no kill ever fell into a write, nothing was shown.
    assert!(inside > KILLS / 20, "only {inside} kills fell into a write");
}

/// The harness must find a program that writes in place, or it proves nothing.
#[test]
fn planted_writing_in_place_is_found() {
    kill(Job::InPlace, 100, "writing in place").expect_err("a hundred kills, and none in a write");
}
