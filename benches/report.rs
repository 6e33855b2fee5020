//! Turns what `cargo bench` measured into the tables of the manual and of the README, and into a plot.
//!
//! `cargo bench --features tokio,pkcs11,sqlite && cargo bench --features tokio,pkcs11,sqlite --bench report`. Reads the medians that criterion left under the target directory, and
//! writes `benches/ratios.svg` and what stands between `<!-- figures -->` and `<!-- /figures -->` in the two pages. Exit
//! status 1 if a line was not measured; a target that is not met is told, and is no failure: machines differ.

#[path = "report/lines.rs"]
mod lines;
#[path = "report/machine.rs"]
mod machine;
#[path = "report/plot.rs"]
mod plot;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use lines::{Held, Line, lines};

fn main() -> ExitCode {
    // `cargo test` builds and runs every bench once to see that it works; this one has nothing to show then.
    if !env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match report() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("report: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn report() -> Result<(), String> {
    let measured = Measured::read(&criterion_directory()?)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    replace_figures(&root.join("src/manual/performance.md"), &manual_table(&measured))?;
    replace_figures(&root.join("README.md"), &readme_table(&measured))?;
    write(&root.join("benches/ratios.svg"), &plot::svg(&measured))?;
    for figure in measured.figures.iter().filter(|figure| figure.met() == Some(false)) {
        println!("not met: {}: {} (target {})", figure.line.what, figure.result(), figure.line.held.target());
    }
    Ok(())
}

/// Every line with its figures.
struct Measured {
    figures: Vec<Figure>,
    /// What absolute targets are multiplied by: 1 where the bare 1 KiB seal takes at most 200 ns.
    scale: f64,
    yardstick: f64,
}

/// Medians of one line.
struct Figure {
    line: &'static Line,
    /// Nanoseconds that the crate takes.
    kuvert: f64,
    /// Nanoseconds of the bare side, and how many times as long the crate takes.
    bare: Option<(f64, Estimate)>,
    scale: f64,
}

/// A median and its 95 % interval.
#[derive(Clone, Copy)]
struct Estimate {
    median: f64,
    lower: f64,
    upper: f64,
}

impl Measured {
    fn read(criterion: &Path) -> Result<Self, String> {
        let yardstick = estimate(criterion, "bare-seal-1kib", "kuvert")?.median;
        let scale = (yardstick / 200.0).max(1.0);
        let figures =
            lines().filter(|line| !line.needs_a_token || is_measured(criterion, line.name)).map(|line| {
                let kuvert = estimate(criterion, line.name, "kuvert")?.median;
                let bare = match line.held {
                    Held::CostAtMost(_) => None,
                    _ => Some((
                        estimate(criterion, line.name, "bare")?.median,
                        estimate(criterion, line.name, "ratio")?,
                    )),
                };
                Ok(Figure { line, kuvert, bare, scale })
            });
        Ok(Self { figures: figures.collect::<Result<_, String>>()?, scale, yardstick })
    }
}

impl Figure {
    /// How the crate does, in the terms of the line's target.
    fn result(&self) -> String {
        let ratio = self.bare.map_or(f64::NAN, |(_, ratio)| ratio.median);
        match self.line.held {
            Held::CostAtMost(_) => time(self.kuvert),
            Held::SpeedAtLeast(_) => format!("{:.3} of its speed", 1.0 / ratio),
            Held::TimeAtMost(_) => format!("{ratio:.2} × its time"),
            Held::ThreadsAtLeast(_) => format!("{:.2} × one thread", 2.0 / ratio),
        }
    }

    /// `None` for a line without a target.
    fn met(&self) -> Option<bool> {
        let ratio = self.bare.map_or(f64::NAN, |(_, ratio)| ratio.median);
        match self.line.held {
            Held::CostAtMost(most) => most.map(|most| self.kuvert <= most * self.scale),
            Held::SpeedAtLeast(least) => least.map(|least| 1.0 / ratio >= least),
            Held::TimeAtMost(most) => most.map(|most| ratio <= most),
            Held::ThreadsAtLeast(least) => least.map(|least| 2.0 / ratio >= least),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.met() {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "",
        }
    }

    fn of_kuvert(&self) -> String {
        with_speed(self.kuvert, self.line.bytes)
    }

    fn of_bare(&self) -> String {
        self.bare.map_or(String::new(), |(bare, _)| with_speed(bare, self.line.bytes))
    }
}

fn manual_table(measured: &Measured) -> String {
    let mut table = format!(
        "Measured with `cargo bench` on: {}. The bare 1 KiB seal takes {} there{}.\n",
        machine::class(),
        time(measured.yardstick),
        if measured.scale > 1.0 {
            format!(", so that absolute targets count {:.2}-fold", measured.scale)
        } else {
            String::new()
        }
    );
    let mut section = "";
    for figure in &measured.figures {
        if figure.line.section != section {
            section = figure.line.section;
            table.push_str(&format!(
                "\n### {section}\n\n| line | kuvert | bare | ratio | target | |\n|---|--:|--:|--:|--:|---|\n"
            ));
        }
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            figure.line.what,
            figure.of_kuvert(),
            figure.of_bare(),
            figure.bare.map_or(String::new(), |_| figure.result()),
            figure.line.held.target(),
            figure.verdict(),
        ));
    }
    table
}

fn readme_table(measured: &Measured) -> String {
    let mut table = format!(
        "| | kuvert | against the bare AES-256-GCM loop |\n|---|--:|--:|\n{}",
        measured.figures.iter().filter(|figure| figure.line.in_readme).fold(
            String::new(),
            |mut rows, figure| {
                let against = if figure.bare.is_some() { figure.result() } else { String::new() };
                rows.push_str(&format!("| {} | {} | {against} |\n", figure.line.what, figure.of_kuvert()));
                rows
            }
        )
    );
    table.push_str(&format!("\nOn: {}.\n", machine::class()));
    table
}

/// `12.3 µs`, three digits.
fn time(nanoseconds: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    let (unit, name) = units.into_iter().find(|(unit, _)| nanoseconds >= *unit).unwrap_or((1.0, "ns"));
    let value = nanoseconds / unit;
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {name}")
}

fn with_speed(nanoseconds: f64, bytes: usize) -> String {
    if bytes < 1 << 20 {
        return time(nanoseconds);
    }
    // Bytes a nanosecond are gigabytes a second.
    format!("{} ({:.2} GB/s)", time(nanoseconds), bytes as f64 / nanoseconds)
}

/// Whether there is anything of this line: those that need a token are left out where there is none.
fn is_measured(criterion: &Path, line: &str) -> bool {
    criterion.join(line).join("kuvert/new/estimates.json").exists()
}

fn estimate(criterion: &Path, line: &str, side: &str) -> Result<Estimate, String> {
    let path = criterion.join(line).join(side).join("new/estimates.json");
    let missing = |error: &dyn std::fmt::Display| {
        format!("{line}/{side} was not measured ({error}): run `cargo bench` first")
    };
    let json = fs::read(&path).map_err(|error| missing(&error))?;
    let all: serde_json::Value = serde_json::from_slice(&json).map_err(|error| missing(&error))?;
    let median = &all["median"];
    let number = |value: &serde_json::Value| value.as_f64().ok_or_else(|| missing(&"no median in it"));
    Ok(Estimate {
        median: number(&median["point_estimate"])?,
        lower: number(&median["confidence_interval"]["lower_bound"])?,
        upper: number(&median["confidence_interval"]["upper_bound"])?,
    })
}

/// Where criterion writes: this program is in `release/deps` of the target directory.
fn criterion_directory() -> Result<PathBuf, String> {
    if let Some(chosen) = env::var_os("CRITERION_HOME") {
        return Ok(chosen.into());
    }
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(3).ok_or("this program is not in a target directory")?;
    Ok(target.join("criterion"))
}

fn replace_figures(page: &Path, figures: &str) -> Result<(), String> {
    const BEGIN: &str = "<!-- figures -->\n";
    const END: &str = "<!-- /figures -->";
    let told = |what: &dyn std::fmt::Display| format!("{}: {what}", page.display());
    let text = fs::read_to_string(page).map_err(|error| told(&error))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        parts.ok_or_else(|| told(&"no `<!-- figures -->` and `<!-- /figures -->` in it"))?;
    write(page, &format!("{before}{BEGIN}{figures}{END}{after}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let written: io::Result<()> = fs::write(path, text);
    written.map_err(|error| format!("{}: {error}", path.display()))?;
    println!("written: {}", path.display());
    Ok(())
}
