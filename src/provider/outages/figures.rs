//! Figures that stand in the manual: each is what a test has just measured, or the test fails.

use std::time::Duration;

/// The row of the manual's table of outages that begins with `row` holds each of these.
pub(super) fn stand_in_the_manual(row: &str, figures: &[String]) {
    println!("{row}: {}", figures.join("; "));
    let line = line_of(MANUAL, row);
    let missing: Vec<_> = figures.iter().filter(|figure| !line.contains(figure.as_str())).collect();
    assert!(missing.is_empty(), "the manual's row {row} lacks {missing:?}: {line}");
}

fn line_of<'m>(manual: &'m str, row: &str) -> &'m str {
    let start = format!("| {row} |");
    let mut lines = manual.lines().filter(|line| line.starts_with(&start));
    let line = lines.next().expect("a row of that name");
    assert!(lines.next().is_none(), "two rows {row}");
    line
}

pub(super) fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// In seconds, to a tenth.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// To a hundredth, upwards: a figure that is promised.
pub(super) fn at_most(ratio: f64) -> String {
    format!("{:.2}", (ratio * 100.0).ceil() / 100.0)
}

/// Of a hundred, to a thousandth, downwards.
pub(super) fn percent(share: f64) -> String {
    format!("{:.3} %", (share * 100_000.0).floor() / 1000.0)
}

const MANUAL: &str = include_str!("../../manual/operations.md");

#[test]
fn a_figure_that_does_not_stand_there_is_found() {
    let manual = "| C1 | 7 ms |\n| C10 | 8 ms |\n";
    assert_eq!((line_of(manual, "C1"), line_of(manual, "C10")), ("| C1 | 7 ms |", "| C10 | 8 ms |"));
    assert!(
        std::panic::catch_unwind(|| stand_in_the_manual("C1", &["a figure of no test".to_owned()])).is_err()
    );
    assert_eq!([at_most(1.001), at_most(1.0)], ["1.01", "1.00"]);
    assert_eq!(percent(0.999_998), "99.999 %");
}
