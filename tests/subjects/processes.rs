//! This program, started again as another process of the same service.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

#[cfg(unix)]
use crate::kills;
use crate::{
    records::{Audit, Plan, Records},
    world::{SCOPE, World},
};

/// Tells the other process what to do: a job, its numbers, the folder, with colons between them.
const ROLE: &str = "KUVERT_TEST_SUBJECTS_CHILD";

/// Begins every line that is meant for the parent, among those of the test harness.
const MARK: &str = "@@ ";

/// Not a test by itself: what the other process runs. Without its environment variable it does nothing.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut parts = role.splitn(4, ':');
    let mut next = || parts.next().expect("job:number:number:folder");
    let (job, first, second, folder) = (next(), next(), next(), next());
    let (first, second) = (first.parse().unwrap(), second.parse().unwrap());
    let world = World::at(Path::new(folder));
    match job {
        "audit" => audit(&world, Plan { subjects: first, erased: second }),
        #[cfg(unix)]
        "erase" => kills::erase_for_ever(&world, first, second),
        #[cfg(unix)]
        "roll" => kills::roll_for_ever(&world),
        other => panic!("no such job: {other}"),
    }
}

/// Tells the parent something, at once.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("\n{MARK}{line}\n").as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

pub(crate) fn start(job: &str, first: usize, second: usize, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--nocapture", "--test-threads=1"])
        .env(ROLE, format!("{job}:{first}:{second}:{}", folder.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What the other process says, line by line, until it ends.
pub(crate) fn lines(out: ChildStdout) -> impl Iterator<Item = String> {
    let lines = BufReader::new(out).split(b'\n').map_while(Result::ok);
    lines.filter_map(|line| Some(String::from_utf8(line).ok()?.strip_prefix(MARK)?.to_owned()))
}

fn audit(world: &World, plan: Plan) {
    let records = Records(std::fs::read(world.path("records")).unwrap());
    let scope = world.open().scope(SCOPE);
    let audit = Audit::make(&scope, &records, &plan.all(), |subject| plan.is_erased(subject));
    say(&format!("{audit:?}"));
}

/// What another process finds when it tries everything, in the words of `Debug`.
pub(crate) fn audit_elsewhere(world: &World, plan: Plan) -> String {
    let mut child = start("audit", plan.subjects, plan.erased, world.path(".").as_path());
    let said: Vec<String> = lines(child.stdout.take().unwrap()).collect();
    assert!(child.wait().unwrap().success());
    said.concat()
}
