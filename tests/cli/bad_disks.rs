//! `kuvert rewrap` on files that cannot be written, on full disks, and on files that somebody else writes to.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::rewrap::sealed;
use crate::sandbox::{Ran, Sandbox, has_part, plaintext};

/// Runs a shell script in which `$KUVERT` is the program, without any rights that root has.
pub(crate) fn unprivileged(sandbox: &Sandbox, script: &str) -> Option<Ran> {
    let is_root = sandbox.shell("id -u").output().unwrap().stdout == b"0\n";
    if !is_root {
        return Some(sandbox.finish(&mut sandbox.shell(script), &[]));
    }
    if !has_part("setpriv", sandbox.shell("setpriv --version").output().unwrap().status.success()) {
        return None;
    }
    // The program itself may lie where others than root cannot get.
    let own = "cp \"$KUVERT\" kuvert && chown -R 65534:65534 . && export KUVERT=./kuvert";
    let become_nobody = "exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c";
    let script = format!("{own} && {become_nobody} '{script}'");
    let ran = sandbox.finish(&mut sandbox.shell(&script), &[]);
    std::fs::remove_file(sandbox.path("kuvert")).unwrap();
    Some(ran)
}

/// Runs a shell script with a file system of its own at `mounted`; none where mounting is not allowed.
pub(crate) fn mounted(sandbox: &Sandbox, options: &str, script: &str) -> Option<Ran> {
    let mount = format!("mkdir -p mounted && mount -t tmpfs -o {options} tmpfs mounted");
    let alone = |script: &str| {
        let mut command = sandbox.shell("exec unshare --user --map-root-user --mount sh -c \"$SCRIPT\"");
        command.env("SCRIPT", script);
        command
    };
    if !has_part("mount", alone(&mount).output().unwrap().status.success()) {
        return None;
    }
    Some(sandbox.finish(&mut alone(&format!("{mount} && {script}")), &[]))
}

#[test]
fn files_and_directories_that_may_not_be_written() {
    let sandbox = sealed(&["file"]);
    let before = sandbox.read("file");
    let rewrap = "$KUVERT rewrap -k k --to new file";
    std::fs::set_permissions(sandbox.path("file"), std::fs::Permissions::from_mode(0o444)).unwrap();
    let Some(ran) = unprivileged(&sandbox, rewrap) else { return };
    ran.fails_empty(1, &["kuvert: file: the file is read-only", "have to be writable for whoever runs this"]);
    std::fs::set_permissions(sandbox.path("file"), std::fs::Permissions::from_mode(0o600)).unwrap();
    // Without a place for the copy of the header nothing is begun.
    let Some(ran) = unprivileged(&sandbox, &format!("chmod 555 . && {rewrap}")) else { return };
    ran.fails_empty(
        1,
        &["file.kuvert-header", "Permission denied", "have to be writable for whoever runs this"],
    );
    assert_eq!(sandbox.read("file"), before);
    assert_eq!(sandbox.listing(), ["file", "k", "new", "third"]);
    let Some(ran) = unprivileged(&sandbox, &format!("chmod 755 . && {rewrap}")) else { return };
    assert!(ran.text().contains("opens with key \"new\""), "{ran:?}");
}

/// The system's message names the file beside, and a name may hold anything.
#[test]
fn names_in_messages_of_the_system_are_escaped() {
    let sandbox = sealed(&["a\u{1b}[2Jb"]);
    let script = "trap '' XFSZ; ulimit -f 0; exec $KUVERT rewrap -k k --to new a*";
    let ran = sandbox.finish(&mut sandbox.shell(script), &[]);
    ran.fails_empty(1, &["a\\u{1b}[2Jb: ", "a\\u{1b}[2Jb.kuvert-header: File too large"]);
}

#[test]
fn a_disk_that_is_read_only() {
    let sandbox = sealed(&["file"]);
    let script =
        "cp file mounted && mount -o remount,ro mounted && $KUVERT rewrap -k k --to new mounted/file";
    let Some(ran) = mounted(&sandbox, "size=1m", script) else { return };
    ran.fails_empty(1, &["mounted/file: ", "Read-only file system", "mount the disk for writing"]);
}

#[test]
fn a_disk_that_is_full() {
    let sandbox = sealed(&["file"]);
    sandbox.sealed("compact", plaintext(40_000), &["--layout", "compact"]);
    // Full before the copy of the header is written; and in the middle of writing a file anew.
    for (file, rest) in [("file", ""), ("compact", "| head -c 20000 ")] {
        let script = format!(
            "cp {file} mounted/file && cat /dev/zero {rest}>mounted/filler 2>errors; rm -f errors; \
             $KUVERT rewrap -k k --to new mounted/file; status=$?; ls -A mounted; cmp {file} mounted/file && exit $status"
        );
        let Some(ran) = mounted(&sandbox, "size=80k", &script) else { return };
        ran.fails(1, &["mounted/file: ", "No space left", "make room there"]);
        assert_eq!(ran.text(), "file\nfiller\n", "{ran:?}");
    }
}

#[test]
fn a_file_that_cannot_grow_is_left_as_it_is() {
    let sandbox = sealed(&["file"]);
    sandbox.sealed("compact", plaintext(3_000_000), &["--layout", "compact"]);
    for (file, blocks) in [("file", 1), ("compact", 1000)] {
        let before = sandbox.read(file);
        // The limit is in blocks of 512 or 1024 bytes. Without the trap the signal would end the program.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec $KUVERT rewrap -k k --to new {file}");
        let ran = sandbox.finish(&mut sandbox.shell(&script), &[]);
        ran.fails_empty(1, &[&format!("{file}: "), "File too large"]);
        assert_eq!(sandbox.read(file), before);
        assert_eq!(sandbox.listing(), ["compact", "file", "k", "new", "third"]);
    }
}

/// Stops the program while it writes the file `big` anew; whether that came in time: with everything copied, it may
/// have looked at the file for the last time.
fn stopped_in_the_middle(sandbox: &Sandbox) -> Option<Child> {
    let whole = std::fs::metadata(sandbox.path("big")).unwrap().len();
    let written = || {
        let beside = sandbox.listing().into_iter().find(|name| name.starts_with(".kuvert-"))?;
        Some(std::fs::metadata(sandbox.path(&beside)).ok()?.len())
    };
    let mut command = sandbox.command(&["rewrap", "-k", "k", "--to", "new", "big"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while written().is_none() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_micros(100));
    }
    send("STOP", &child);
    while !is_stopped(&child) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_micros(100));
    }
    if written().is_some_and(|len| len < whole) {
        return Some(child);
    }
    send("CONT", &child);
    child.wait().unwrap();
    None
}

/// Whether it has taken up the signal: until then it goes on.
fn is_stopped(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

fn send(signal: &str, child: &Child) {
    let pid = child.id().to_string();
    // One that has ended in the meantime cannot be stopped any more.
    std::process::Command::new("kill").args(["-s", signal, &pid]).stderr(Stdio::null()).status().unwrap();
}

#[test]
fn a_file_that_grows_or_shrinks_while_it_is_written_anew() {
    let sandbox = sealed(&[]);
    for (change, says) in [(1_i64, "became longer"), (-1, "became shorter")] {
        let mut stopped = None;
        for _ in 0..100 {
            sandbox.sealed("big", plaintext(20_000_000), &["--force", "--layout", "compact"]);
            stopped = stopped_in_the_middle(&sandbox);
            if stopped.is_some() {
                break;
            }
        }
        let child = stopped.expect("the program was never stopped in time");
        let file = std::fs::File::options().write(true).open(sandbox.path("big")).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(len.checked_add_signed(change).unwrap()).unwrap();
        let before = sandbox.read("big");
        send("CONT", &child);
        let ran = sandbox.checked("rewrap".into(), child.wait_with_output().unwrap());
        ran.fails_empty(1, &["big: changed meanwhile: the file ", says, "find out who writes to it"]);
        assert!(sandbox.read("big") == before, "not left as it was");
    }
}
