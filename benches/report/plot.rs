//! The plot: how many times as long as the bare loop each line with a target takes, and how long it may.

use super::{Figure, Measured};

/// An SVG that reads on light and dark pages alike, since it brings its own ground.
pub(crate) fn svg(measured: &Measured) -> String {
    let rows: Vec<&Figure> = measured
        .figures
        .iter()
        .filter(|figure| figure.line.held.most_time().is_some() && figure.bare.is_some())
        .collect();
    let sections = rows.chunk_by(|a, b| a.line.section == b.line.section);
    let height = TOP + rows.len() * ROW + sections.clone().count() * HEADING + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"20\" y=\"26\" font-size=\"16\" font-weight=\"600\" fill=\"#1a1a1a\">\
         Time as a multiple of the bare loop's</text>\n\
         <text x=\"20\" y=\"46\" fill=\"#555555\">median and 95 % interval; the grey bar ends at the target</text>\n"
    );
    axis(&mut svg, height);
    let mut y = TOP;
    for section in sections {
        y += HEADING;
        svg.push_str(&format!(
            "<text x=\"20\" y=\"{}\" font-weight=\"600\" fill=\"#1a1a1a\">{}</text>\n",
            y - 8,
            escaped(section[0].line.section)
        ));
        for figure in section {
            row(&mut svg, figure, y);
            y += ROW;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn axis(svg: &mut String, height: usize) {
    let bottom = height - BOTTOM;
    for tenths in (MIN_TENTHS..=MAX_TENTHS).step_by(2) {
        let at = f64::from(tenths) / 10.0;
        let strong = tenths == 10;
        svg.push_str(&format!(
            "<line x1=\"{0:.1}\" y1=\"{TOP}\" x2=\"{0:.1}\" y2=\"{bottom}\" stroke=\"{1}\"/>\
             <text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\" fill=\"#555555\">{at:.1}</text>\n",
            x(at),
            if strong { "#1a1a1a" } else { "#e4e4e4" },
            bottom + 18,
        ));
    }
}

fn row(svg: &mut String, figure: &Figure, y: usize) {
    let (Some((_, ratio)), Some(target)) = (figure.bare, figure.line.held.most_time()) else { return };
    let (middle, text) = (y + ROW / 2, y + ROW / 2 + 4);
    let colour = if figure.met() == Some(true) { "#1b7f4b" } else { "#c0392b" };
    svg.push_str(&format!("<text x=\"{label}\" y=\"{text}\" text-anchor=\"end\" fill=\"#1a1a1a\">{what}</text>\
         <rect x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"10\" fill=\"#d9d9d9\"/>\
         <line x1=\"{lower:.1}\" y1=\"{middle}\" x2=\"{upper:.1}\" y2=\"{middle}\" stroke=\"{colour}\" stroke-width=\"2\"/>\
         <circle cx=\"{dot:.1}\" cy=\"{middle}\" r=\"4.5\" fill=\"{colour}\"/>\
         <text x=\"{value}\" y=\"{text}\" fill=\"{colour}\">{median:.2} (≤ {target:.2})</text>\n",
        label = LEFT - 12,
        what = escaped(figure.line.what),
        left = x(f64::from(MIN_TENTHS) / 10.0),
        top = middle - 5,
        width = x(target) - x(f64::from(MIN_TENTHS) / 10.0),
        lower = x(ratio.lower),
        upper = x(ratio.upper),
        dot = x(ratio.median),
        value = RIGHT + 14,
        median = ratio.median,));
}

/// The place of a multiple, kept within the plot.
fn x(multiple: f64) -> f64 {
    let (min, max) = (f64::from(MIN_TENTHS) / 10.0, f64::from(MAX_TENTHS) / 10.0);
    let share = (multiple.clamp(min, max) - min) / (max - min);
    LEFT as f64 + share * (RIGHT - LEFT) as f64
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('`', "")
}

const WIDTH: usize = 980;
/// Where the plot begins and ends, between labels and values.
const LEFT: usize = 420;
const RIGHT: usize = 850;
const TOP: usize = 62;
const BOTTOM: usize = 30;
const ROW: usize = 24;
const HEADING: usize = 30;
/// The axis, in tenths of the bare loop's time.
const MIN_TENTHS: u32 = 6;
const MAX_TENTHS: u32 = 24;
